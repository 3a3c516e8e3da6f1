#include "gate/grant.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/person.h"
#include "gate/session.h"
#include "gate/worker.h"

bool grant_number_read(const char *text, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 16)
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    if (n == 0 || n > (uint64_t)RECORD_NUMBER_MAX)
        return false;
    *ret = n;
    return true;
}

enum decide_grant grant_fact(const struct session *s, uint64_t id, struct grant_entry *ret)
{
    const struct grant_table *t = s->worker->grants;
    int64_t now = clock_mono_ms();
    struct grant_entry e;
    if (id == 0)
        return DECIDE_GRANT_NONE;
    int database = t != NULL && s->database != NULL
                       ? grant_table_database(t, s->database->config->alias)
                       : -RF_ENOTFOUND;
    bool runs = s->grant != NULL && s->grant->entry.id == id; /* its standing says when it ends */
    if (database < 0 || (!runs && !grant_table_leased(t, (unsigned)database, now)))
        return DECIDE_GRANT_MISSING;
    int found = grant_table_look(t, (unsigned)database, id, &e);
    if (found < 0)
        return DECIDE_GRANT_MISSING;
    if (found == 0 || s->actor == NULL || strcmp(e.actor, s->actor->name) != 0)
        return DECIDE_GRANT_UNKNOWN;
    if (grant_entry_is_over(&e, now, clock_wall_ms()))
        return DECIDE_GRANT_ENDED;
    if (e.withheld && !runs)
        return DECIDE_GRANT_MISSING;
    if (ret != NULL)
        *ret = e;
    return DECIDE_GRANT_OPEN;
}

enum grant_suspended grant_suspended(const struct session *s)
{
    const struct grant_table *t = s->worker->grants;
    int database = t != NULL && s->database != NULL
                       ? grant_table_database(t, s->database->config->alias)
                       : -RF_ENOTFOUND;
    if (database < 0 || s->actor == NULL)
        return GRANT_SUSPENDED_NO;
    return grant_table_suspended(t, (unsigned)database, s->actor->name);
}

/* ---- sessions under a grant ---- */

static void start_ticking(struct worker *w, int64_t after_ms)
{
    if (w->first_granted != NULL)
        loop_timer(w->loop, &w->grant_timer, after_ms);
}

int grant_enter(struct session *s, const struct grant_entry *e)
{
    struct worker *w = s->worker;
    int database = grant_table_database(w->grants, s->database->config->alias);
    struct grant *g = database >= 0 ? mem_zalloc(1, sizeof(*g)) : NULL;
    RF_ASSERT(s->grant == NULL);
    if (g == NULL)
        return -RF_ENOMEM;
    g->database = (unsigned)database;
    g->entry = *e;
    g->epoch = grant_table_epoch(w->grants, g->database) - 1; /* looked up afresh at first */
    g->next = w->first_granted;
    if (g->next != NULL)
        g->next->grant->before = s;
    bool first = w->first_granted == NULL;
    w->first_granted = s;
    s->grant = g;
    s->grant_id = e->id;
    if (first)
        start_ticking(w, GRANT_TICK_MS);
    return budget_enter(s);
}

void grant_leave(struct session *s)
{
    struct grant *g = s->grant;
    if (g == NULL)
        return;
    if (g->before != NULL)
        g->before->grant->next = g->next;
    else
        s->worker->first_granted = g->next;
    if (g->next != NULL)
        g->next->grant->before = g->before;
    budget_leave(s);
    s->grant = NULL;
    s->grant_id = 0;
    mem_free_secret(g, sizeof(*g));
}

static enum grant_standing over(struct grant *g, const char *why)
{
    (void)snprintf(g->why, sizeof(g->why), "%s", why);
    return GRANT_OVER;
}

/* Look again; what a moment ago was confirmed stays while it cannot be. */
static enum grant_standing look(struct grant *g, const struct grant_table *t, int64_t now)
{
    struct grant_entry fresh;
    uint64_t epoch = grant_table_epoch(t, g->database);
    if (epoch == g->epoch)
        return GRANT_GOOD;
    int found = grant_table_look(t, g->database, g->entry.id, &fresh);
    if (found < 0)
        return GRANT_WAITING;
    if (found == 0 || fresh.closed || strcmp(fresh.role, g->entry.role) != 0)
        return over(g, found == 1 && fresh.used_up                            ? "used-up"
                       : grant_entry_is_over(&g->entry, now, clock_wall_ms()) ? "expired"
                                                                              : "closed");
    if (fresh.ends_mono_ms < g->entry.ends_mono_ms)
        g->entry.ends_mono_ms = fresh.ends_mono_ms;
    if (fresh.ends_wall_ms < g->entry.ends_wall_ms)
        g->entry.ends_wall_ms = fresh.ends_wall_ms;
    if (fresh.withheld)
        return GRANT_WAITING; /* and its budget is not known yet: the old one holds */
    g->entry.rows = fresh.rows;
    g->entry.bytes = fresh.bytes;
    g->epoch = epoch;
    return GRANT_GOOD;
}

enum grant_standing grant_standing(struct session *s)
{
    struct grant *g = s->grant;
    if (g == NULL)
        return GRANT_GOOD;
    const struct grant_table *t = s->worker->grants;
    int64_t now = clock_mono_ms(); /* and not the loop's, which may be a long turn ago */
    if (g->over_since_ms != 0)
        return GRANT_OVER;
    if (g->refused_ms != 0)
        return now - g->refused_ms >= GRANT_REFUSED_MS ? over(g, "used-up") : GRANT_WAITING;
    enum grant_standing standing = look(g, t, now);
    if (standing != GRANT_OVER && grant_entry_is_over(&g->entry, now, clock_wall_ms()))
        return over(g, "expired");
    if (standing == GRANT_GOOD && grant_table_leased(t, g->database, now)) {
        g->waiting_since_ms = 0;
        return GRANT_GOOD;
    }
    if (standing == GRANT_OVER)
        return GRANT_OVER;
    if (g->waiting_since_ms == 0)
        g->waiting_since_ms = now;
    return now - g->waiting_since_ms >= GRANT_PATIENCE_MS ? over(g, "unconfirmed") : GRANT_WAITING;
}

void grant_end(struct session *s)
{
    struct err e;
    struct grant *g = s->grant;
    unsigned long long id = g->entry.id;
    int64_t now = clock_mono_ms();
    if (g->over_since_ms == 0) {
        g->over_since_ms = now;
        log_info("grant_ended", "session=%u grant=%llu reason=%s", s->slot, id, g->why);
        person_cancel(s);
    }
    if (stream_queued(&s->stream) == 0) {
        (void)err_set(&e, RF_EUNAVAIL, "grant %llu has ended%s", id,
                      strcmp(g->why, "used-up") == 0 ? ": its budget is used up" : "");
        err_sqlstate(&e, "57P01");
        session_fatal(s, &e);
        return;
    }
    if (now - g->over_since_ms < GRANT_LINGER_MS)
        return;
    /* the client has not taken what was released before: what it has not, it does not get */
    stream_abort(&s->stream);
    session_close(s, "its grant has ended");
}

/* ---- the worker's timer ---- */

void grant_on_tick(struct worker *w)
{
    struct session *s = w->first_granted, *next;
    bool budget_waits = budget_on_tick(w, clock_mono_ms());
    for (; s != NULL; s = next) {
        next = s->grant->next;
        if (s->state != SESSION_PERSON)
            continue;
        bool waited = s->grant->waiting_since_ms != 0 || budget_waits;
        enum grant_standing standing = grant_standing(s);
        if (standing == GRANT_OVER && strcmp(s->grant->why, "used-up") == 0 && person_refuse(s))
            continue;
        if (standing == GRANT_OVER)
            grant_end(s);
        else if (standing == GRANT_GOOD && waited)
            person_on_drained(s); /* what was held goes on */
    }
    start_ticking(w, budget_is_awaited(w) ? BUDGET_TICK_MS : GRANT_TICK_MS);
}

/* ---- words ---- */

void grant_describe(const struct grant_entry *e, char out[GRANT_SENTENCE_SIZE])
{
    char classes[80] = "", until[25], budget[BUDGET_SENTENCE_SIZE];
    size_t n = 0;
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++)
        if ((e->classes & 1u << i) != 0)
            n += (size_t)snprintf(classes + n, sizeof(classes) - n, "%s%s", n > 0 ? "," : "",
                                  policy_class_name((enum class_id)i));
    clock_format(e->ends_wall_ms, until);
    budget_words((struct budget_amount){ e->rows, e->bytes }, budget);
    (void)snprintf(out, GRANT_SENTENCE_SIZE,
                   "grant %llu of %s: %s, %s of %llu subject%s, until %.19sZ%s%s%s",
                   (unsigned long long)e->id, e->actor, e->purpose, classes,
                   (unsigned long long)e->subjects, e->subjects == 1 ? "" : "s", until,
                   budget[0] != '\0' ? ", at most " : "", budget,
                   budget[0] != '\0' ? " in all" : "");
}
