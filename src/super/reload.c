#include "super/reload.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { ANSWER_MS = 30 * 1000 };

void reload_log_mistakes(const struct mistakes *m)
{
    char at[1000], quoted[1004], text[600];
    for (size_t i = 0; i < m->count; i++) {
        const struct mistake *one = &m->list[i];
        (void)snprintf(at, sizeof(at), "%s:%u", one->file, one->line);
        log_error("mistake", "at=%s text=%s", log_quote(quoted, sizeof(quoted), at, strlen(at)),
                  log_quote(text, sizeof(text), one->text, strlen(one->text)));
    }
    if (m->overflowed)
        log_error("mistake", "text=\"and more\"");
}

void reload_done(struct reload *r)
{
    listeners_done(&r->next_listeners);
    bundle_free(r->next);
    *r = (struct reload){ .wanted = r->wanted };
}

static bool load_next(struct reload *r, const struct bundle *held,
                      const struct listeners *listeners)
{
    struct mistakes mistakes;
    struct err err;
    mistakes_init(&mistakes);
    bool ok = bundle_load(held->path, &r->next, &mistakes) == 0;
    if (ok) {
        bundle_compare(held, r->next, &mistakes);
        ok = !mistakes_any(&mistakes);
    }
    reload_log_mistakes(&mistakes);
    mistakes_done(&mistakes);
    if (ok && listeners_open(r->next->config, NULL, listeners, held->config, &r->next_listeners,
                             &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "mistake", &err);
        ok = false;
    }
    return ok;
}

static enum reload_event refuse(struct reload *r, const char *reason)
{
    log_error("reload-refused", "reason=\"%s\" in_force=\"the configuration before\"", reason);
    reload_done(r);
    return RELOAD_REFUSED;
}

static enum reload_event begin(struct reload *r, struct crew *crew, struct bundle *held,
                               struct listeners *listeners, int64_t now_ms)
{
    r->wanted = false;
    if (!load_next(r, held, listeners))
        return refuse(r, "the files have mistakes");
    r->phase = RELOAD_ASKED;
    crew->hold = true;
    crew->refused = false;
    crew_ask_config(crew, r->next, now_ms + ANSWER_MS);
    return RELOAD_GOES_ON;
}

static void undo(struct reload *r, struct crew *crew, const struct bundle *held, int64_t now_ms)
{
    r->phase = RELOAD_UNDONE;
    crew->refused = false;
    crew_ask_config(crew, held, now_ms + ANSWER_MS);
    crew_send_listeners(crew); /* those that the new one lacked are closed in workers by now */
}

static enum reload_event adopt(struct reload *r, struct crew *crew, struct bundle **held,
                               struct listeners *listeners)
{
    listeners_adopt(listeners, &r->next_listeners);
    bundle_free(*held);
    *held = r->next;
    r->next = NULL;
    crew->bundle = *held;
    crew->hold = false;
    crew_send_listeners(crew);
    log_set_level((enum log_level)(*held)->config->log_level);
    log_info("reloaded", "configuration=%s listeners=%zu", (*held)->path, listeners->count);
    reload_done(r);
    return RELOAD_DONE;
}

enum reload_event reload_tick(struct reload *r, struct crew *crew, struct bundle **held,
                              struct listeners *listeners, int64_t now_ms)
{
    if (r->phase == RELOAD_IDLE)
        return r->wanted && crew->complete && !crew_is_starting(crew)
                   ? begin(r, crew, *held, listeners, now_ms)
                   : RELOAD_WAITS;
    if (crew_answers_due(crew) > 0)
        return RELOAD_WAITS;
    if (r->phase == RELOAD_ASKED && crew->refused) {
        undo(r, crew, *held, now_ms);
        return RELOAD_GOES_ON;
    }
    if (r->phase == RELOAD_ASKED)
        return adopt(r, crew, held, listeners);
    crew->hold = false;
    if (crew->refused) /* it can serve by neither: its restart is the cure, and it said why */
        log_error("reload-undo-failed", "action=\"restart the service\"");
    return refuse(r, "a child could not take the new configuration");
}
