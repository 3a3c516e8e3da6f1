#include "super/reload.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
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

void reload_log_standing(const struct bundle *b)
{
    const struct standing *s = &b->standing;
    char when[25], why[STANDING_TEXT_SIZE + 4], hint[STANDING_TEXT_SIZE + 4];
    (void)log_quote(why, sizeof(why), s->why, strlen(s->why));
    (void)log_quote(hint, sizeof(hint), s->hint, strlen(s->hint));
    if (s->kind == STANDING_WAITS) {
        clock_format(s->from_ms, when);
        log_warn("policy-waits", "until=%.19sZ widens=%s in_force=\"the policy before\"", when,
                 why);
    } else if (s->kind == STANDING_REFUSED) {
        log_error("policy-refused", "reason=%s hint=%s in_force=\"the policy that was signed\"",
                  why, hint);
    } else if (s->kind == STANDING_ACCEPTED) {
        log_info("policy-rules", "signatures=%u of=%lld", s->valid, (long long)s->quorum);
    }
}

void reload_done(struct reload *r)
{
    listeners_done(&r->next_listeners);
    bundle_free(r->next);
    *r = (struct reload){ .wanted = r->wanted };
}

static bool load_next(struct reload *r, const struct bundle *held, int64_t wall_ms,
                      const struct listeners *listeners)
{
    struct mistakes mistakes;
    struct err err;
    mistakes_init(&mistakes);
    bool ok = bundle_load(held->path, held, wall_ms, &r->next, &mistakes) == 0;
    if (ok) {
        bundle_compare(held, r->next, &mistakes);
        ok = !mistakes_any(&mistakes);
    }
    if (!r->is_retry)
        reload_log_mistakes(&mistakes);
    mistakes_done(&mistakes);
    if (ok && listeners_open(r->next->config, NULL, listeners, held->config, &r->next_listeners,
                             &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "mistake", &err);
        ok = false;
    }
    if (ok && bundle_prepare_ruling(r->next, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "policy-not-kept", &err);
        ok = false;
    }
    return ok;
}

static enum reload_event refuse(struct reload *r, const char *reason)
{
    if (!r->is_retry)
        log_error("reload-refused", "reason=\"%s\" in_force=\"the configuration before\"", reason);
    reload_done(r);
    return RELOAD_REFUSED;
}

static enum reload_event begin(struct reload *r, struct crew *crew, struct bundle *held,
                               struct listeners *listeners, int64_t now_ms)
{
    r->wanted = false;
    if (!load_next(r, held, crew_wall_ms(crew), listeners))
        return refuse(r, "the files have mistakes");
    if (crew->is_unrecorded && r->next->standing.is_counted)
        return refuse(r, "the policy that rules is not on record yet, and no other can follow it");
    r->phase = RELOAD_ASKED;
    crew->hold = true;
    crew->refused = false;
    crew_ask_config(crew, CREW_OTHERS, r->next, now_ms + ANSWER_MS);
    return RELOAD_GOES_ON;
}

static void undo(struct reload *r, struct crew *crew, const struct bundle *held, int64_t now_ms)
{
    /* a ledger that was not told the new one would put the old one on record a second time */
    enum crew_some told = r->phase == RELOAD_ASKED ? CREW_OTHERS : CREW_ALL;
    r->phase = RELOAD_UNDONE;
    crew->refused = false;
    crew_ask_config(crew, told, held, now_ms + ANSWER_MS);
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
    if (r->phase != RELOAD_UNDONE && crew->refused) {
        undo(r, crew, *held, now_ms);
        return RELOAD_GOES_ON;
    }
    if (r->phase == RELOAD_ASKED) {
        r->phase = RELOAD_RECORDED;
        crew_ask_config(crew, CREW_LEDGER, r->next, now_ms + ANSWER_MS);
        return RELOAD_GOES_ON;
    }
    if (r->phase == RELOAD_RECORDED)
        return adopt(r, crew, held, listeners);
    crew->hold = false;
    if (crew->refused) /* it can serve by neither: its restart is the cure, and it said why */
        log_error("reload-undo-failed", "action=\"restart the service\"");
    return refuse(r, "a child could not take the new configuration");
}
