#include "super/backoff.h"

enum { PARSER_MAX_MS = 500 };

int64_t backoff_after_death(struct backoff *b, enum imsg_role role, int64_t started_ms,
                            int64_t died_ms)
{
    static const int64_t waits_ms[] = { 0, 100, 500, 1500, 4000, 8000 };
    if (died_ms - started_ms >= BACKOFF_CALM_MS)
        b->quick_deaths = 0;
    unsigned step = b->quick_deaths < RF_COUNT(waits_ms) ? b->quick_deaths : RF_COUNT(waits_ms) - 1;
    b->quick_deaths = step + 1;
    int64_t wait_ms = waits_ms[step];
    return role == ROLE_PARSER && wait_ms > PARSER_MAX_MS ? PARSER_MAX_MS : wait_ms;
}
