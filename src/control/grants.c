#include "control/grants.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforce/database.h"
#include "enforce/role.h"

enum { LINE_SIZE = 300, LIST_SIZE = GRANTS_AT_ONCE * 21 + 100, ROLE_DIGITS = 16 };

#define ROLE_PREFIX "rf_g_"

enum { LINE_PRIMARY, LINE_STANDBY };

enum { FACTS = 3 }; /* columns before a list: token, counter, who is suspended */

/* The columns of a list. */
enum {
    AT_ID,
    AT_ACTOR,
    AT_ROLE,
    AT_PURPOSE,
    AT_ENDS,
    AT_LEFT,
    AT_CLOSED,
    AT_SUBJECTS,
    AT_CLASSES,
    AT_USED_UP,
    AT_GONE
};

/* Two statements, two results, of which the first is the older. A grant for longer than this is
   none; the bound keeps an infinite end a number. */
#define ASK_HEAD                                                                                   \
    "SELECT ringfence.reveal_token_read(), ringfence.grant_counter_read(),"                        \
    " (SELECT coalesce(json_agg(s.actor ORDER BY s.actor), '[]')"                                  \
    " FROM ringfence.suspensions() s);"                                                            \
    "SELECT id, actor, role, purpose, floor(extract(epoch FROM e) * 1000)::bigint,"                \
    " floor(extract(epoch FROM e - clock_timestamp()) * 1000)::bigint, closed, subjects, classes," \
    " used_up,"
#define ASK_TAIL                                                                         \
    " LATERAL (SELECT least(ends, clock_timestamp() + interval '1000 days') AS e) AS at" \
    " ORDER BY id"

static const char all_sql[] = ASK_HEAD " false FROM ringfence.grants()," ASK_TAIL;
static const char changes_head[] = ASK_HEAD " gone FROM ringfence.grant_changes(";
static const char changes_tail[] = ")," ASK_TAIL;

/* ---- lines ---- */

static void line_drop(struct grants_line *l, int64_t after_ms)
{
    PQfinish(l->conn);
    PQclear(l->last);
    PQclear(l->changes);
    known_clear(&l->known);
    json_decref(l->suspended);
    l->suspended = NULL;
    l->conn = NULL;
    l->last = l->changes = NULL;
    l->list_ms = l->counter = 0;
    l->is_known = false;
    l->events = 0;
    l->state = GRANTS_DOWN;
    l->due_ms = clock_mono_ms() + after_ms;
    explicit_bzero(l->token, sizeof(l->token));
}

static void line_give_up(const struct grants *g, struct grants_line *l, const char *why)
{
    char quoted[LINE_SIZE];
    const char *message = l->conn != NULL ? PQerrorMessage(l->conn) : "";
    if (!l->has_complained) /* once, not twice a second */
        log_warn("grants-connection", "database=%s server=%s %s=%s", g->config->alias,
                 l == &g->lines[LINE_PRIMARY] ? "primary" : "standby", why,
                 log_quote(quoted, sizeof(quoted), message, strlen(message)));
    l->has_complained = true;
    l->host++;
    line_drop(l, GRANTS_RETRY_MS);
}

static void line_start(const struct grants *g, struct grants_line *l)
{
    l->conn =
        server_connect(g->config, &l->hosts[l->host % l->host_count], l->kind, ROLE_NAME_CONTROL);
    if (l->conn == NULL || PQstatus(l->conn) == CONNECTION_BAD) {
        line_give_up(g, l, "refused");
        return;
    }
    l->state = GRANTS_CONNECTING;
    l->events = POLLOUT;
    l->due_ms = clock_mono_ms() + GRANTS_LIMIT_MS;
}

static void line_connecting(const struct grants *g, struct grants_line *l)
{
    switch (PQconnectPoll(l->conn)) {
    case PGRES_POLLING_READING:
        l->events = POLLIN;
        return;
    case PGRES_POLLING_WRITING:
        l->events = POLLOUT;
        return;
    case PGRES_POLLING_OK:
        l->events = POLLIN;
        l->state = GRANTS_READY;
        return;
    default:
        line_give_up(g, l, "refused");
    }
}

static void line_ask(const struct grants *g, struct grants_line *l, const char *sql)
{
    l->asked_ms = clock_mono_ms();
    if (PQsendQuery(l->conn, sql) == 0) {
        line_give_up(g, l, "lost");
        return;
    }
    l->state = GRANTS_BUSY;
    l->due_ms = l->asked_ms + GRANTS_LIMIT_MS;
}

static void line_ask_grants(const struct grants *g, struct grants_line *l)
{
    char sql[sizeof(changes_head) + sizeof(changes_tail) + 20];
    (void)snprintf(sql, sizeof(sql), "%s%" PRId64 "%s", changes_head, l->counter, changes_tail);
    line_ask(g, l, l->is_known ? sql : all_sql);
}

/* These questions can fail by themselves: what is known stays. */
static bool is_judging(const struct grants *g)
{
    return g->phase == GRANTS_USED || g->phase == GRANTS_PROVE || g->phase == GRANTS_PROVE_AGAIN ||
           g->phase == GRANTS_BUDGETS; /* who waits half a second for a lock and no longer */
}

/* The answer is an error: apply has not made the functions yet, or the server ended the question
   for a reason of its own. */
static void line_refused(const struct grants *g, struct grants_line *l, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (is_judging(g) && PQstatus(l->conn) == CONNECTION_OK)
        return; /* without a result nothing is judged, and it is asked again */
    if (!l->has_complained)
        log_warn("grants-refused", "database=%s server=%s sqlstate=%s", g->config->alias,
                 l == &g->lines[LINE_PRIMARY] ? "primary" : "standby", state != NULL ? state : "-");
    l->has_complained = true;
    line_drop(l, GRANTS_REFUSED_MS);
}

/* The first result of ask_sql. */
static void line_take_facts(struct grants_line *l, const PGresult *r)
{
    const char *token = PQntuples(r) == 1 ? PQgetvalue(r, 0, 0) : "";
    l->next_counter = strtoll(database_value(r, 0, 1), NULL, 10);
    json_decref(l->suspended);
    l->suspended = json_loads(database_value(r, 0, 2), 0, NULL);
    explicit_bzero(l->token, sizeof(l->token));
    if (strlen(token) == GRANT_TOKEN_LEN)
        memcpy(l->token, token, GRANT_TOKEN_LEN);
}

/* ---- what a server tells ---- */

static int64_t number(const PGresult *r, int row, int column)
{
    return strtoll(database_value(r, row, column), NULL, 10);
}

/* The workers log in as that role, so it must be a grant's: no answer of a database makes them
   somebody else. */
static bool is_role(const char *role)
{
    size_t prefix = sizeof(ROLE_PREFIX) - 1;
    return strncmp(role, ROLE_PREFIX, prefix) == 0 && strlen(role) == prefix + ROLE_DIGITS &&
           strspn(role + prefix, "0123456789abcdef") == ROLE_DIGITS;
}

static bool copy_name(char to[GRANT_NAME_SIZE], const char *from)
{
    size_t len = strlen(from);
    if (len == 0 || len >= GRANT_NAME_SIZE)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

static bool entry_read(const PGresult *r, int row, int64_t now, struct grant_entry *ret)
{
    struct grant_entry e;
    memset(&e, 0, sizeof(e));
    int64_t id = number(r, row, AT_ID);
    e.id = (uint64_t)id;
    e.ends_wall_ms = number(r, row, AT_ENDS);
    e.ends_mono_ms = now + number(r, row, AT_LEFT); /* the least of all counts */
    e.closed = database_true(r, row, AT_CLOSED);
    e.subjects = (uint64_t)number(r, row, AT_SUBJECTS);
    e.classes = (uint32_t)number(r, row, AT_CLASSES);
    e.used_up = database_true(r, row, AT_USED_UP);
    e.rows = e.bytes = BUDGET_UNLIMITED; /* what else there is, the proof says */
    bool ok = id > 0 && copy_name(e.actor, database_value(r, row, AT_ACTOR)) &&
              copy_name(e.purpose, database_value(r, row, AT_PURPOSE)) &&
              copy_name(e.role, database_value(r, row, AT_ROLE)) && is_role(e.role);
    *ret = e;
    return ok;
}

/* False: out of memory. */
static bool line_take_row(struct grants_line *l, int row, int64_t now)
{
    struct grant_entry e;
    bool ok = entry_read(l->changes, row, now, &e);
    const struct grant_entry *before = known_find(&l->known, e.id);
    if (!ok || database_true(l->changes, row, AT_GONE)) {
        known_drop(&l->known, e.id);
        return true;
    }
    if (before != NULL) { /* an end only comes nearer */
        e.closed = e.closed || before->closed;
        e.used_up = e.used_up || before->used_up;
        if (before->ends_mono_ms < e.ends_mono_ms)
            e.ends_mono_ms = before->ends_mono_ms;
    }
    return known_put(&l->known, &e) == 0;
}

/* The whole answer has come. */
static void line_take_changes(const struct grants *g, struct grants_line *l)
{
    int64_t now = clock_mono_ms();
    PQclear(l->changes);
    l->changes = l->last;
    l->last = NULL;
    if (!l->is_known || l->next_counter < l->counter)
        known_clear(&l->known);
    for (int row = 0; row < PQntuples(l->changes); row++)
        if (!line_take_row(l, row, now)) {
            line_give_up(g, l, "out-of-memory");
            return;
        }
    l->is_known = l->next_counter >= l->counter; /* else: all of it anew, in the next round */
    l->counter = l->next_counter;
    l->list_ms = l->is_known ? l->asked_ms : 0;
    l->has_complained = false;
}

/* The results of the query under way as they come; the last one stays. */
static void line_answer(const struct grants *g, struct grants_line *l)
{
    if (PQconsumeInput(l->conn) == 0) {
        line_give_up(g, l, "lost");
        return;
    }
    while (l->state == GRANTS_BUSY && !PQisBusy(l->conn)) {
        PGresult *r = PQgetResult(l->conn);
        if (r == NULL) {
            l->state = GRANTS_READY;
        } else if (PQresultStatus(r) == PGRES_COMMAND_OK) { /* a setting before the question */
            PQclear(r);
        } else if (PQresultStatus(r) != PGRES_TUPLES_OK) {
            line_refused(g, l, r);
            PQclear(r);
        } else {
            if (g->phase == GRANTS_ASK && PQnfields(r) == FACTS)
                line_take_facts(l, r);
            PQclear(l->last);
            l->last = r;
        }
    }
    if (l->state == GRANTS_READY && g->phase == GRANTS_ASK)
        line_take_changes(g, l);
}

static void line_turn(const struct grants *g, struct grants_line *l, bool is_ready)
{
    bool is_due = clock_mono_ms() >= l->due_ms;
    switch (l->state) {
    case GRANTS_DOWN:
        if (is_due)
            line_start(g, l);
        break;
    case GRANTS_CONNECTING:
        if (is_ready)
            line_connecting(g, l);
        else if (is_due)
            line_give_up(g, l, "too-slow");
        break;
    case GRANTS_READY:
        if (is_ready && PQconsumeInput(l->conn) == 0)
            line_give_up(g, l, "lost");
        break;
    case GRANTS_BUSY:
        if (is_ready)
            line_answer(g, l);
        else if (is_due)
            line_give_up(g, l, "too-slow");
        break;
    }
}

/* ---- lists ---- */

static void note_over(struct grants *g, uint64_t id)
{
    if (g->over_count < GRANTS_AT_ONCE)
        g->over[g->over_count++] = id;
}

static bool both_answered(const struct grants *g)
{
    for (size_t i = 0; i < g->line_count; i++)
        if (g->lines[i].list_ms == 0)
            return false;
    return true;
}

static bool was_left_behind(const struct grants *g, uint64_t id)
{
    for (size_t i = 0; i < g->behind_count; i++)
        if (g->behind[i] == id)
            return true;
    return false;
}

/* Grants that the standby still has and the primary has no more: over, and so are their sessions
   there. In one round alone it means nothing: the primary may have been asked before the grant was
   opened, and the standby after. */
static void note_left_behind(struct grants *g)
{
    uint64_t now[GRANTS_AT_ONCE];
    size_t count = 0, at = 0;
    const struct grant_entry *e;
    while (g->line_count > 1 && (e = known_next(&g->lines[LINE_STANDBY].known, &at)) != NULL) {
        if (known_find(&g->lines[LINE_PRIMARY].known, e->id) != NULL || count == RF_COUNT(now))
            continue;
        now[count++] = e->id;
        if (was_left_behind(g, e->id))
            note_over(g, e->id);
    }
    memcpy(g->behind, now, count * sizeof(now[0]));
    g->behind_count = count;
}

/* ---- who is suspended ---- */

static bool is_suspended(const struct grants *g, const char *actor)
{
    for (size_t i = 0; i < g->suspended_count; i++)
        if (strcmp(g->suspended_names[i], actor) == 0)
            return true;
    return g->suspended_count == GRANTS_SUSPENDED_MAX;
}

/* Those of FROM that ALL has not; false: out of memory. */
static bool add_new(json_t *all, json_t *from)
{
    size_t i, j;
    json_t *name, *there;
    json_array_foreach(from, i, name)
    {
        bool is_there = false;
        json_array_foreach(all, j, there) is_there = is_there || json_equal(name, there);
        if (!is_there && json_array_append(all, name) < 0)
            return false;
    }
    return all != NULL;
}

/* Those whom either server names: the standby may not have heard of it yet, nor that it has ended.
   NULL: a server does not say, or out of memory. */
static json_t *suspended_of_all(const struct grants *g)
{
    json_t *all = json_array();
    for (size_t i = 0; i < g->line_count; i++)
        if (!json_is_array(g->lines[i].suspended) || !add_new(all, g->lines[i].suspended)) {
            json_decref(all);
            return NULL;
        }
    return all;
}

/* False: it is not known who is suspended. */
static bool take_suspended(struct grants *g)
{
    json_t *now = suspended_of_all(g);
    if (now == NULL)
        return false;
    if (g->suspended != NULL && json_equal(g->suspended, now)) {
        json_decref(now);
        return true;
    }
    json_decref(g->suspended);
    g->suspended = now;
    g->suspended_count = 0;
    for (size_t i = 0; i < json_array_size(now) && g->suspended_count < GRANTS_SUSPENDED_MAX; i++) {
        const char *name = json_string_value(json_array_get(now, i));
        if (name != NULL && !is_suspended(g, name))
            g->suspended_names[g->suspended_count++] = name;
    }
    proofs_suspend(&g->proofs, g->suspended_names, g->suspended_count);
    grant_table_suspend(g->table, g->database, g->suspended_names, g->suspended_count);
    grant_table_new_era(g->table, g->database);
    log_info("suspended", "database=%s count=%zu", g->config->alias, g->suspended_count);
    g->is_stale = true;
    return true;
}

/* What has ended may be told. */
static enum proofs_verdict verdict_of(const struct grants *g, struct grant_entry *e)
{
    return e->closed                   ? PROOFS_GOOD
           : is_suspended(g, e->actor) ? PROOFS_BAD
                                       : proofs_verdict(&g->proofs, e);
}

/* What both servers say about grant ID goes to the workers. False: the table has no room. */
static bool publish_one(struct grants *g, uint64_t id)
{
    struct grant_entry *e = known_find(&g->lines[LINE_PRIMARY].known, id), both;
    const struct grant_entry *there =
        g->line_count > 1 ? known_find(&g->lines[LINE_STANDBY].known, id) : e;
    enum proofs_verdict verdict = e != NULL ? verdict_of(g, e) : PROOFS_BAD;
    if (e == NULL || e->closed)
        proofs_forget(&g->proofs, id);
    if (e == NULL || there == NULL || verdict == PROOFS_BAD) {
        grant_table_drop(g->table, g->database, id);
        return true;
    }
    e->closed = e->closed || there->closed;
    e->used_up = e->used_up || there->used_up;
    if (there->ends_mono_ms < e->ends_mono_ms)
        e->ends_mono_ms = there->ends_mono_ms;
    int rc = e->closed || verdict == PROOFS_GOOD ? grant_table_put(g->table, g->database, e)
                                                 : grant_table_withhold(g->table, g->database, e);
    if (rc < 0)
        return false;
    if (grant_table_look(g->table, g->database, id, &both) == 1)
        *e = both; /* an end that was seen before counts */
    return true;
}

static size_t publish_all(struct grants *g)
{
    const struct grant_entry *e;
    size_t left_out = 0, at = 0;
    grant_table_begin(g->table, g->database);
    while ((e = known_next(&g->lines[LINE_PRIMARY].known, &at)) != NULL)
        left_out += !publish_one(g, e->id);
    grant_table_end(g->table, g->database);
    proofs_keep(&g->proofs, &g->lines[LINE_PRIMARY].known);
    return left_out;
}

static size_t publish_changes(struct grants *g)
{
    size_t left_out = 0;
    for (size_t i = 0; i < g->line_count; i++)
        for (int row = 0; row < PQntuples(g->lines[i].changes); row++)
            left_out += !publish_one(g, (uint64_t)number(g->lines[i].changes, row, AT_ID));
    return left_out;
}

/* Those that were asked about. True: one of them is not good. */
static bool publish_judged(struct grants *g, size_t *ret_left_out)
{
    bool is_news = false;
    *ret_left_out = 0;
    for (size_t i = 0; i < g->proofs.asked_count; i++) {
        struct grant_entry *e = known_find(&g->lines[LINE_PRIMARY].known, g->proofs.asked[i]);
        is_news = is_news || e == NULL || verdict_of(g, e) != PROOFS_GOOD;
        *ret_left_out += !publish_one(g, g->proofs.asked[i]);
    }
    return is_news;
}

static void say_left_out(const struct grants *g, size_t count)
{
    if (count > 0)
        log_error("grants-left-out", "database=%s count=%zu", g->config->alias, count);
}

/* Look through all grants for what is over, and for when the next one will be. */
static void look_through(struct grants *g, int64_t now, int64_t wall)
{
    struct grant_entry *e;
    size_t at = 0;
    g->open = g->unjudged = 0;
    g->budgets.has_any = false;
    g->soonest_mono_ms = g->soonest_wall_ms = INT64_MAX;
    while ((e = known_next(&g->lines[LINE_PRIMARY].known, &at)) != NULL) {
        enum proofs_verdict verdict = verdict_of(g, e);
        if (grant_entry_is_over(e, now, wall) || verdict == PROOFS_BAD) {
            note_over(g, e->id);
            continue;
        }
        g->budgets.has_any =
            g->budgets.has_any || e->rows != BUDGET_UNLIMITED || e->bytes != BUDGET_UNLIMITED;
        if (verdict == PROOFS_UNJUDGED)
            g->unjudged++;
        else
            g->open +=
                g->line_count == 1 || known_find(&g->lines[LINE_STANDBY].known, e->id) != NULL;
        if (e->ends_mono_ms < g->soonest_mono_ms)
            g->soonest_mono_ms = e->ends_mono_ms;
        if (e->ends_wall_ms < g->soonest_wall_ms)
            g->soonest_wall_ms = e->ends_wall_ms;
    }
    note_left_behind(g);
    g->is_changed = g->over_count > 0 || g->behind_count > 0;
}

static void publish(struct grants *g)
{
    int64_t now = clock_mono_ms(), wall = clock_wall_ms(), asked = INT64_MAX;
    size_t left_out = g->is_stale ? publish_all(g) : publish_changes(g);
    for (size_t i = 0; i < g->line_count; i++) {
        struct grants_line *l = &g->lines[i];
        asked = l->list_ms < asked ? l->list_ms : asked;
        g->is_changed = g->is_changed || PQntuples(l->changes) > 0;
    }
    g->is_changed = g->is_changed || g->is_stale;
    g->is_stale = false;
    if (g->is_changed || now >= g->soonest_mono_ms || wall >= g->soonest_wall_ms)
        look_through(g, now, wall);
    grant_table_set_token(g->table, g->database, g->lines[g->line_count - 1].token);
    grant_table_lease(g->table, g->database, asked + GRANT_LEASE_MS);
    say_left_out(g, left_out);
}

static void report(struct grants *g)
{
    if (g->unjudged > PROOFS_AT_ONCE || /* soon it is the whole number */
        (g->open == g->said_open && g->over_count == g->said_over))
        return;
    g->said_open = g->open;
    g->said_over = g->over_count;
    log_info("grants", "database=%s open=%zu ending=%zu", g->config->alias, g->open, g->over_count);
}

/* ---- rounds ---- */

static void rest(struct grants *g)
{
    g->phase = GRANTS_REST;
    g->next_ms = g->round_ms + GRANTS_PERIOD_MS;
    int64_t soon = clock_mono_ms() + GRANTS_PERIOD_MS / 4; /* long lists: not all day */
    if (g->next_ms < soon)
        g->next_ms = soon;
}

static bool is_busy(const struct grants *g)
{
    for (size_t i = 0; i < g->line_count; i++)
        if (g->lines[i].state == GRANTS_BUSY)
            return true;
    return false;
}

/* SQL (…) with the grants that are being ended in the place of %s, to the first COUNT lines. */
static void ask_about_over(struct grants *g, enum grants_phase phase, const char *head,
                           size_t count)
{
    char sql[LIST_SIZE];
    size_t n = (size_t)snprintf(sql, sizeof(sql), "%s'{", head);
    for (size_t i = 0; i < g->over_count; i++)
        n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s%" PRIu64, i > 0 ? "," : "", g->over[i]);
    (void)snprintf(sql + n, sizeof(sql) - n, "}'::bigint[]) AS id");
    g->phase = phase;
    for (size_t i = 0; i < count; i++)
        if (g->lines[i].state == GRANTS_READY)
            line_ask(g, &g->lines[i], sql);
}

/* Sessions that the signals found; false: a server did not say. */
static bool take_signals(struct grants *g)
{
    bool all = true;
    g->sessions = 0;
    for (size_t i = 0; i < g->line_count; i++) {
        const struct grants_line *l = &g->lines[i];
        if (l->state != GRANTS_READY || l->last == NULL)
            all = false;
        else
            g->sessions += (uint64_t)number(l->last, 0, 0);
    }
    return all;
}

static void clear_answers(struct grants *g)
{
    for (size_t i = 0; i < g->line_count; i++) {
        PQclear(g->lines[i].last);
        g->lines[i].last = NULL;
    }
}

static void begin_round(struct grants *g)
{
    g->phase = GRANTS_ASK;
    g->over_count = 0;
    g->round_ms = clock_mono_ms();
    g->used_at = 0;
    g->fresh_at = 0;
    g->is_judge_done = false;
    PQclear(g->used);
    g->used = NULL;
    for (size_t i = 0; i < g->line_count; i++) {
        g->lines[i].list_ms = 0;
        g->is_stale = g->is_stale || !g->lines[i].is_known;
        if (g->lines[i].state == GRANTS_READY)
            line_ask_grants(g, &g->lines[i]);
    }
}

/* ---- judging ---- */

/* The roles of grants that have sessions, as bytes are ordered. */
static const char used_sql[] =
    "SELECT DISTINCT s.role::text COLLATE \"C\" AS role FROM ringfence.sessions() s"
    " WHERE s.role::text LIKE 'rf\\_g\\_%' ORDER BY 1";

static bool is_used(const struct grants *g, const char *role)
{
    int from = 0, to = PQntuples(g->used);
    while (from < to) {
        int middle = from + (to - from) / 2;
        int order = strcmp(database_value(g->used, middle, 0), role);
        if (order == 0)
            return true;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

static const struct grant_entry *next_used(struct grants *g)
{
    const struct grant_entry *e;
    if (g->used == NULL || PQntuples(g->used) == 0)
        return NULL;
    while ((e = known_next(&g->lines[LINE_PRIMARY].known, &g->used_at)) != NULL)
        if (is_used(g, e->role))
            return e;
    return NULL;
}

static const struct grant_entry *next_fresh(struct grants *g)
{
    const struct grants_line *l = &g->lines[LINE_PRIMARY];
    while (g->fresh_at < PQntuples(l->changes)) {
        const struct grant_entry *e =
            known_find(&l->known, (uint64_t)number(l->changes, g->fresh_at++, AT_ID));
        if (e != NULL)
            return e;
    }
    return NULL;
}

/* Goes on where the last round stopped, so that none is always behind the others. */
static const struct grant_entry *next_other(struct grants *g)
{
    if (g->is_judge_done)
        return NULL;
    const struct grant_entry *e = known_next(&g->lines[LINE_PRIMARY].known, &g->judge_at);
    if (e == NULL) {
        g->judge_at = 0;
        g->is_judge_done = true;
    }
    return e;
}

static const struct grant_entry *next_to_judge(struct grants *g)
{
    const struct grant_entry *e = next_used(g);
    if (e == NULL)
        e = next_fresh(g);
    return e != NULL ? e : next_other(g);
}

/* Some of those that were proven, each second: nobody tells what he changes by hand. */
static void put_again(struct grants *g)
{
    struct grant_entry *e;
    if (clock_mono_ms() < g->again_ms)
        return;
    g->again_ms = clock_mono_ms() + PROOFS_AGAIN_MS;
    for (size_t i = 0; i < PROOFS_AGAIN && proofs_room(&g->proofs); i++) {
        e = known_next(&g->lines[LINE_PRIMARY].known, &g->again_at);
        if (e == NULL) {
            g->again_at = 0;
            return;
        }
        if (verdict_of(g, e) == PROOFS_GOOD)
            proofs_put_again(&g->proofs, e);
    }
}

/* Something went wrong in between: do it all anew, soon. */
static void begin_again(struct grants *g)
{
    g->is_stale = true;
    g->next_ms = clock_mono_ms() + GRANTS_PERIOD_MS;
    g->phase = GRANTS_REST;
}

static void ask_about_proofs(struct grants *g, enum grants_phase phase)
{
    char sql[PROOFS_QUESTION_SIZE];
    proofs_question(&g->proofs, sql);
    g->phase = phase;
    line_ask(g, &g->lines[LINE_PRIMARY], sql);
}

/* False: there is nothing to ask. */
static bool ask_for_proofs(struct grants *g)
{
    const struct grant_entry *e;
    proofs_begin(&g->proofs);
    while (g->unjudged > 0 && proofs_room(&g->proofs) && (e = next_to_judge(g)) != NULL)
        proofs_put(&g->proofs, e);
    if (g->proofs.asked_count == 0)
        return false;
    ask_about_proofs(g, GRANTS_PROVE);
    return true;
}

/* The same of some that were proven. False: it is not due. */
static bool ask_for_proofs_again(struct grants *g)
{
    proofs_begin(&g->proofs);
    if (g->proofs.is_demanded)
        put_again(g);
    if (g->proofs.asked_count == 0)
        return false;
    ask_about_proofs(g, GRANTS_PROVE_AGAIN);
    return true;
}

/* One batch a round at least, and more while there is time. */
static void judge_some(struct grants *g, bool is_first)
{
    bool has_time = is_first || clock_mono_ms() - g->round_ms < GRANTS_PERIOD_MS;
    if (g->lines[LINE_PRIMARY].state != GRANTS_READY)
        begin_again(g);
    else if ((!has_time || !ask_for_proofs(g)) && !ask_for_proofs_again(g))
        rest(g);
}

/* Everything of this round is published and ended; what is left is to be judged. */
static void begin_judging(struct grants *g)
{
    struct grants_line *l = &g->lines[g->line_count - 1]; /* where persons are served */
    if (g->unjudged <= PROOFS_AT_ONCE || l->state != GRANTS_READY) {
        judge_some(g, true);
        return;
    }
    g->phase = GRANTS_USED;
    line_ask(g, l, used_sql);
}

static void take_used(struct grants *g)
{
    struct grants_line *l = &g->lines[g->line_count - 1];
    g->used = l->last;
    l->last = NULL;
    judge_some(g, true);
}

/* Both servers have told what there is. */
static void conclude(struct grants *g)
{
    proofs_new_list(&g->proofs);
    publish(g);
    report(g);
    if (g->over_count > 0)
        ask_about_over(g, GRANTS_CLOSE, "SELECT count(ringfence.grant_close(id)) FROM unnest(", 1);
    else
        begin_judging(g);
}

static void take_proofs(struct grants *g)
{
    struct grants_line *l = &g->lines[LINE_PRIMARY];
    bool is_again = g->phase == GRANTS_PROVE_AGAIN;
    size_t left_out;
    if (!both_answered(g)) { /* one of them went away meanwhile, and knows of no grant any more */
        begin_again(g);
        return;
    }
    proofs_answer(&g->proofs, l->last, &l->known, g->config->alias);
    clear_answers(g);
    if (publish_judged(g, &left_out) || !is_again)
        g->is_changed = true;
    say_left_out(g, left_out);
    if (is_again)
        rest(g);
    else
        judge_some(g, false);
}

static void ask_about_budgets(struct grants *g)
{
    char sql[BUDGETS_QUESTION_SIZE];
    if (g->lines[LINE_PRIMARY].state != GRANTS_READY || !budgets_ask(&g->budgets, sql))
        return;
    g->phase = GRANTS_BUDGETS;
    line_ask(g, &g->lines[LINE_PRIMARY], sql);
}

/* What is used up is published at once: its sessions everywhere on this gateway end. */
static void take_budgets(struct grants *g)
{
    struct grants_line *l = &g->lines[LINE_PRIMARY];
    uint64_t ended[BUDGETS_AT_ONCE];
    size_t count = 0;
    if (l->state == GRANTS_READY && l->last != NULL)
        count = budgets_answer(&g->budgets, l->last, ended);
    else
        budgets_lost(&g->budgets);
    for (size_t i = 0; i < count; i++) {
        struct grant_entry *e = known_find(&l->known, ended[i]);
        if (e == NULL)
            continue;
        e->closed = e->used_up = true;
        g->is_stale = !publish_one(g, ended[i]) || g->is_stale;
        g->is_changed = true;
        g->next_ms = clock_mono_ms();
    }
    clear_answers(g);
    g->phase = GRANTS_REST;
}

/* Nobody owes an answer: what comes next. */
static void advance(struct grants *g)
{
    switch (g->phase) {
    case GRANTS_REST:
        if (clock_mono_ms() >= g->next_ms)
            begin_round(g);
        else
            ask_about_budgets(g);
        return;
    case GRANTS_BUDGETS:
        take_budgets(g);
        return;
    case GRANTS_ASK:
        if (!both_answered(g) || !take_suspended(g))
            begin_again(g);
        else
            conclude(g);
        return;
    case GRANTS_USED:
        take_used(g);
        return;
    case GRANTS_PROVE:
    case GRANTS_PROVE_AGAIN:
        take_proofs(g);
        return;
    case GRANTS_CLOSE:
        clear_answers(g);
        ask_about_over(g, GRANTS_SIGNAL, "SELECT sum(ringfence.grant_signal(id)) FROM unnest(",
                       g->line_count);
        return;
    case GRANTS_SIGNAL:
        if (take_signals(g) && g->sessions == 0) {
            clear_answers(g);
            g->phase = GRANTS_REAP;
            line_ask(g, &g->lines[LINE_PRIMARY], "SELECT ringfence.grant_reap()");
            return;
        }
        clear_answers(g);
        begin_judging(g);
        return;
    case GRANTS_REAP:
        clear_answers(g);
        begin_judging(g);
        return;
    }
}

/* ---- the door ---- */

static void line_init(struct grants_line *l, enum server_kind kind, const struct config_host *hosts,
                      size_t count)
{
    *l = (struct grants_line){ .kind = kind, .hosts = hosts, .host_count = count };
}

void grants_init(struct grants *g, const struct config_database *database,
                 const struct policy *policy, const struct policy_region *region,
                 struct grant_table *table, struct budget_table *budgets, unsigned workers)
{
    *g = (struct grants){ .config = database, .table = table, .is_stale = true };
    proofs_init(&g->proofs, policy, region);
    g->is_disabled = region == NULL || database->primary_count == 0 ||
                     (database->standby_count == 0 && !region->persons_on_primary);
    if (!g->is_disabled && grant_table_claim(table, database->alias, &g->database) < 0) {
        g->is_disabled = true;
        log_error("grants-without-place", "database=%s", database->alias);
    }
    budgets_init(&g->budgets, budgets, table, workers, g->database);
    line_init(&g->lines[LINE_PRIMARY], SERVER_PRIMARY, database->primary, database->primary_count);
    line_init(&g->lines[LINE_STANDBY], SERVER_STANDBY, database->standby, database->standby_count);
    g->line_count = database->standby_count > 0 ? GRANTS_LINES : 1;
}

void grants_done(struct grants *g)
{
    for (size_t i = 0; i < GRANTS_LINES; i++)
        line_drop(&g->lines[i], 0);
    PQclear(g->used);
    g->used = NULL;
    proofs_done(&g->proofs);
    json_decref(g->suspended);
    g->suspended = NULL;
    g->suspended_count = 0;
    g->is_disabled = true;
}

void grants_poll(const struct grants *g, struct pollfd *polls)
{
    for (size_t i = 0; i < GRANTS_LINES; i++)
        polls[i] =
            (struct pollfd){ .fd = g->lines[i].conn != NULL ? PQsocket(g->lines[i].conn) : -1,
                             .events = g->lines[i].events };
}

void grants_turn(struct grants *g, const struct pollfd *polls, bool polled)
{
    if (g->is_disabled)
        return;
    for (size_t i = 0; i < g->line_count; i++)
        line_turn(g, &g->lines[i], polled && polls[i].revents != 0);
    if (!is_busy(g))
        advance(g);
}

int64_t grants_due_ms(const struct grants *g)
{
    int64_t due = INT64_MAX;
    if (g->is_disabled)
        return due;
    if (g->phase == GRANTS_REST) {
        /* budgets are asked about on the primary; while it is away nothing is due */
        bool is_there = g->lines[LINE_PRIMARY].state == GRANTS_READY;
        int64_t look_ms = is_there ? budgets_due_ms(&g->budgets) : INT64_MAX;
        due = g->next_ms < look_ms ? g->next_ms : look_ms;
    }
    for (size_t i = 0; i < g->line_count; i++)
        if (g->lines[i].state != GRANTS_READY && g->lines[i].due_ms < due)
            due = g->lines[i].due_ms;
    return due;
}
