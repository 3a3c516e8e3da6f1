/* `trace`: from which grants values come that somebody found elsewhere.
 *
 * The database compares (enforce/compile_trace.c), here is judged what is no accident. The answer
 * names numbers of grants; whose they were whoever may know of them asks with `grants`. */
#include "registrar/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "policy/watermark.h"

enum {
    UNLIKELY = 1000, /* what happens by accident once in so many traces is told, with the number */
    ANSWERS_MAX = 50,
    PAGES_MAX = 8, /* each a statement of a second or two */
    DETAIL_SIZE = 16 + 24 * ANSWERS_MAX
};

#define ONE_IN_MAX 1e15 /* readers of JSON round larger numbers */

/* The values as the database takes them. */
struct leak {
    struct watermark marks[WATERMARK_VALUES_MAX];
    size_t counts[WATERMARK_KIND_COUNT];
    char *digits, *ms, *us; /* arrays */
};

static int read_leak(struct matter *m, struct leak *l)
{
    const struct command *c = &m->command;
    if (c->leaked_count > WATERMARK_VALUES_MAX)
        return matter_refuse(m, 400, "too-many-values", "at most 40 values are traced at once");
    for (size_t i = 0; i < c->leaked_count; i++) {
        const char *value = c->leaked[i];
        l->counts[watermark_read(value, strlen(value), &l->marks[i])]++;
    }
    return l->counts[WATERMARK_NONE] < c->leaked_count
               ? 0
               : matter_refuse(
                     m, 400, "nothing-to-trace",
                     "none of the values is a pseudonym or a time that a grant could have "
                     "shown");
}

static void leak_done(struct leak *l)
{
    mem_free(l->digits);
    mem_free(l->ms);
    mem_free(l->us);
}

static int write_arrays(struct matter *m, struct leak *l)
{
    const char *digits[WATERMARK_VALUES_MAX], *ms[WATERMARK_VALUES_MAX], *us[WATERMARK_VALUES_MAX];
    char numbers[2][WATERMARK_VALUES_MAX][NUMBER_SIZE];
    size_t digits_count = 0, times = 0;
    for (size_t i = 0; i < m->command.leaked_count; i++) {
        if (l->marks[i].kind == WATERMARK_PSEUDONYM)
            digits[digits_count++] = l->marks[i].digits;
        if (l->marks[i].kind != WATERMARK_TIME)
            continue;
        verb_number(numbers[0][times], l->marks[i].ms);
        verb_number(numbers[1][times], l->marks[i].us);
        ms[times] = numbers[0][times];
        us[times] = numbers[1][times];
        times++;
    }
    l->digits = matter_array(digits, digits_count);
    l->ms = matter_array(ms, times);
    l->us = matter_array(us, times);
    return l->digits != NULL && l->ms != NULL && l->us != NULL ? 0 : verb_no_memory(m);
}

/* What came of it. */
struct traced {
    size_t tried; /* grants */
    struct origin {
        json_int_t grant;
        size_t fit[WATERMARK_KIND_COUNT];
        double chance;
    } origins[ANSWERS_MAX]; /* the least likely to be an accident first */
    size_t count;
};

static void keep(struct traced *t, const struct origin *o)
{
    size_t at = t->count;
    while (at > 0 && t->origins[at - 1].chance > o->chance)
        at--;
    if (at == ANSWERS_MAX)
        return;
    t->count += t->count < ANSWERS_MAX;
    memmove(&t->origins[at + 1], &t->origins[at], (t->count - 1 - at) * sizeof(*o));
    t->origins[at] = *o;
}

/* One page: what fits by accident or not, until all pages are there. */
struct pages {
    json_t *fits[PAGES_MAX];
    size_t count, tried;
};

static void pages_done(struct pages *p)
{
    for (size_t i = 0; i < p->count; i++)
        json_decref(p->fits[i]);
}

static int read_pages(struct matter *m, const struct leak *l, struct pages *p)
{
    char per_day[NUMBER_SIZE], before[NUMBER_SIZE] = "";
    int rc = 0;
    verb_number(per_day, m->office->policy->grants->traces_per_day);
    while (rc == 0 && p->count < PAGES_MAX) {
        const char *const values[] = { m->command.actor, per_day, before[0] != '\0' ? before : NULL,
                                       l->digits,        l->ms,   l->us };
        PGresult *r;
        rc = matter_query(m,
                          "SELECT tried, oldest, fits FROM ringfence.trace($1, $2::integer,"
                          " $3::bigint, $4::text[], $5::integer[], $6::integer[])",
                          RF_COUNT(values), values, &r);
        if (rc < 0)
            return rc;
        (void)snprintf(before, sizeof(before), "%s", database_value(r, 0, 1));
        p->tried += (size_t)strtoull(database_value(r, 0, 0), NULL, 10);
        p->fits[p->count] = json_loads(database_value(r, 0, 2), 0, NULL);
        PQclear(r);
        if (p->fits[p->count++] == NULL)
            rc = verb_no_memory(m);
        if (before[0] == '\0')
            break;
    }
    return rc;
}

static void judge(const struct leak *l, const struct pages *p, struct traced *t)
{
    t->tried = p->tried;
    for (size_t page = 0; page < p->count; page++)
        for (size_t i = 0; i < json_array_size(p->fits[page]); i++) {
            const json_t *one = json_array_get(p->fits[page], i);
            struct origin o = { .grant = json_integer_value(json_array_get(one, 0)) };
            o.fit[WATERMARK_PSEUDONYM] = (size_t)json_integer_value(json_array_get(one, 1));
            o.fit[WATERMARK_TIME] = (size_t)json_integer_value(json_array_get(one, 2));
            o.chance = watermark_chance(l->counts, o.fit, t->tried);
            if (o.chance * UNLIKELY <= 1)
                keep(t, &o);
        }
}

static int record_trace(struct matter *m, const struct traced *t)
{
    char ref[RECORD_REF_SIZE], detail[DETAIL_SIZE];
    struct record record = matter_record(m, RECORD_TRACE);
    size_t n = (size_t)snprintf(detail, sizeof(detail), "grants=");
    for (size_t i = 0; i < t->count; i++)
        n += (size_t)snprintf(detail + n, sizeof(detail) - n, "%s%" JSON_INTEGER_FORMAT,
                              i > 0 ? "," : "", t->origins[i].grant);
    record.detail = detail;
    record.text = m->text;
    record.signature = m->signature;
    return matter_say(m, &record, ref);
}

static void answer(struct matter *m, const struct leak *l, const struct traced *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->count; i++) {
        const struct origin *o = &t->origins[i];
        double one_in = o->chance * ONE_IN_MAX > 1 ? 1 / o->chance : ONE_IN_MAX;
        (void)json_array_append_new(list,
                                    json_pack("{s:I,s:I,s:I,s:I}", "request", o->grant,
                                              "pseudonyms", (json_int_t)o->fit[WATERMARK_PSEUDONYM],
                                              "times", (json_int_t)o->fit[WATERMARK_TIME], "one_in",
                                              (json_int_t)one_in));
    }
    m->status = 200;
    m->answer =
        json_pack("{s:I,s:I,s:I,s:o}", "pseudonyms", (json_int_t)l->counts[WATERMARK_PSEUDONYM],
                  "times", (json_int_t)l->counts[WATERMARK_TIME], "tried", (json_int_t)t->tried,
                  "grants", list);
}

static int trace(struct matter *m, const struct leak *l)
{
    struct traced t = { .tried = 0 };
    struct pages pages = { .count = 0 };
    int rc = read_pages(m, l, &pages);
    if (rc == 0) {
        judge(l, &pages, &t);
        rc = record_trace(m, &t);
    }
    pages_done(&pages);
    if (rc == 0)
        answer(m, l, &t);
    return rc;
}

int verb_trace(struct matter *m)
{
    struct leak leak = { .digits = NULL };
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .is_suspended = m->is_suspended,
                                     .at_ms = clock_wall_ms() };
    enum grant_refusal refusal = approval_may_trace(m->office->policy, m->region, &vote);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    int rc = read_leak(m, &leak);
    if (rc == 0)
        rc = write_arrays(m, &leak);
    if (rc == 0)
        rc = trace(m, &leak);
    leak_done(&leak);
    return rc;
}
