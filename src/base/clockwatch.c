#include "base/clockwatch.h"

bool clockwatch_believes(struct clockwatch *w, int64_t wall_ms, int64_t boot_ms,
                         int64_t *ret_jump_ms)
{
    int64_t ahead_ms = wall_ms - boot_ms;
    *ret_jump_ms = w->has_begun ? ahead_ms - w->ahead_ms : 0;
    if (*ret_jump_ms > CLOCKWATCH_JUMP_MS)
        return false;
    if (!w->has_begun || ahead_ms > w->ahead_ms) /* a clock that is slewed gets there in time */
        w->ahead_ms = ahead_ms;
    w->has_begun = true;
    return true;
}

int64_t clockwatch_time_ms(struct clockwatch *w, int64_t wall_ms, int64_t boot_ms)
{
    int64_t jump_ms;
    return clockwatch_believes(w, wall_ms, boot_ms, &jump_ms) ? wall_ms : boot_ms + w->ahead_ms;
}
