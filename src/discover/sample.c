/* sample.c - a few values of each column: what do they look like?
 *
 * A sample of blocks where a table is large, the first rows where it is small, never a whole table;
 * large values are not fetched from where they are stored. Each table has its time limit and its
 * savepoint: what cannot be read becomes a note and the next table is looked at. */
#include <stdio.h>
#include <string.h>

#include "discover/discover.h"
#include "discover/value.h"
#include "enforce/sql.h"

enum { FEW_BLOCKS = 20, SAMPLE_BLOCKS = 40 };

static bool is_sampled(const struct discover_column *c)
{
    switch (c->kind) {
    case DISCOVER_TEXT:
    case DISCOVER_INTEGER:
    case DISCOVER_NUMERIC:
    case DISCOVER_JSON:
        return c->is_readable;
    default:
        return false;
    }
}

/* Per cent of the blocks, in millionths of the whole, so that about SAMPLE_BLOCKS are read. */
static void add_sampling(struct sql *s, const struct discover_table *t)
{
    int64_t millionths = t->blocks > 0 ? (int64_t)SAMPLE_BLOCKS * 1000000 / t->blocks : 0;
    if (t->blocks <= FEW_BLOCKS)
        return;
    if (millionths > 1000000)
        millionths = 1000000;
    sql_add(s, " TABLESAMPLE SYSTEM (%D / 10000.0)", millionths > 0 ? millionths : 1);
}

static void add_question(struct sql *s, const struct discover_table *t, bool by_blocks)
{
    sql_add(s, "SELECT ");
    for (size_t i = 0, n = 0; i < t->column_count; i++)
        if (is_sampled(&t->columns[i]))
            sql_add(s, "%SCASE WHEN pg_column_size(%I) < 65536 THEN left(%I::text, %D) END",
                    n++ > 0 ? ", " : "", t->columns[i].name, t->columns[i].name,
                    (int64_t)(t->columns[i].kind == DISCOVER_JSON ? 2000 : 300));
    sql_add(s, " FROM %N", t->schema, t->name);
    if (by_blocks)
        add_sampling(s, t);
    sql_add(s, " LIMIT %D", (int64_t)DISCOVER_SAMPLE_ROWS);
}

/* Elements of a text array, or the one value; good enough to see a format. */
static void look(struct value_tally *tally, const struct discover_column *c, const char *value)
{
    enum value_kind kind = c->kind == DISCOVER_TEXT   ? VALUE_TEXT
                           : c->kind == DISCOVER_JSON ? VALUE_JSON
                                                      : VALUE_NUMBER;
    char element[304];
    if (!c->is_array) {
        value_look(tally, kind, value);
        return;
    }
    size_t start = strspn(value, "{\"");
    size_t len = strcspn(value + start, ",\"}");
    (void)snprintf(element, sizeof(element), "%.*s", (int)(len < 300 ? len : 300), value + start);
    value_look(tally, kind, element);
}

static void add_facts(struct discovery *d, struct discover_column *c,
                      const struct value_tally *tally)
{
    static const struct {
        enum discover_concept concept;
        int weight, least;
        const char *sentence;
    } formats[FORMAT_COUNT] = {
#define VALUE(format, concept, weight, least, sentence) \
    { CONCEPT_##concept, weight, least, sentence },
#include "discover/tbl/word.def"
#undef VALUE
    };
    if (tally->seen == 0)
        return;
    for (size_t i = 0; i < RF_COUNT(formats); i++) {
        double share = (double)tally->hits[i] / tally->seen;
        if (share * 100 < formats[i].least)
            continue;
        double sure = tally->seen >= 20 ? 1.0 : 0.5 + 0.025 * tally->seen;
        discover_add_fact(d, c, formats[i].concept,
                          formats[i].weight / 100.0 * (0.6 + 0.4 * share) * sure,
                          "%u of %u sampled values look %s", tally->hits[i], tally->seen,
                          formats[i].sentence);
    }
    if (tally->seen >= 40 && tally->distinct <= 12)
        discover_add_fact(d, c, CONCEPT_NEUTRAL, 0.25, "%u different values in %u sampled rows",
                          tally->distinct, tally->seen);
    c->longest_seen = tally->longest;
    c->seen = tally->seen;
    c->seen_as_person = tally->hits[FORMAT_person] * 10 >= tally->seen;
    c->seen_as_country = tally->hits[FORMAT_country] * 100 >= tally->seen * 95;
    c->seen_as_prose = tally->hits[FORMAT_prose] * 10 >= tally->seen;
}

static int ask(struct database *db, struct discover_table *t, bool by_blocks, PGresult **ret,
               struct err *err)
{
    struct sql s;
    const char *text;
    sql_init(&s);
    add_question(&s, t, by_blocks);
    int rc = sql_text(&s, &text, err);
    if (rc == 0)
        rc = database_query(db, text, ret, err);
    sql_done(&s);
    return rc;
}

static int sample_table(struct database *db, struct discovery *d, struct discover_table *t,
                        struct err *err)
{
    PGresult *r = NULL;
    int column = 0;
    int rc = ask(db, t, true, &r, err);
    if (rc == 0 && PQntuples(r) == 0 && t->blocks > FEW_BLOCKS) { /* blocks without rows */
        PQclear(r);
        r = NULL;
        rc = ask(db, t, false, &r, err);
    }
    if (rc < 0)
        return rc;
    t->sampled = (size_t)PQntuples(r);
    for (size_t i = 0; i < t->column_count; i++) {
        struct discover_column *c = &t->columns[i];
        struct value_tally tally = { 0 };
        if (!is_sampled(c))
            continue;
        for (int row = 0; row < PQntuples(r); row++)
            if (!PQgetisnull(r, row, column))
                look(&tally, c, database_value(r, row, column));
        column++;
        add_facts(d, c, &tally);
    }
    PQclear(r);
    return 0;
}

/* Why a table was not sampled, without the server's words where they could hold a value. */
static void note_failure(struct discovery *d, const struct discover_table *t, const struct err *why)
{
    const char *schema = discover_plain_name(d, t->schema);
    const char *name = discover_plain_name(d, t->name);
    if (why->code == RF_ETIMEOUT)
        discover_add_note(d, "%s.%s was not sampled: it is locked or took too long", schema, name);
    else if (why->code == RF_EPRIV)
        discover_add_note(d, "%s.%s was not sampled: no right to read it", schema, name);
    else
        discover_add_note(d, "%s.%s was not sampled: SQLSTATE %s", schema, name, why->sqlstate);
}

int discover_sample(struct database *db, struct discovery *d, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < d->table_count && rc == 0; i++) {
        struct discover_table *t = &d->tables[i];
        struct err why = { 0 };
        bool any = false;
        for (size_t k = 0; k < t->column_count; k++)
            any |= is_sampled(&t->columns[k]);
        if (!any)
            continue;
        if (!t->may_read) {
            why.code = RF_EPRIV;
            note_failure(d, t, &why);
            continue;
        }
        rc = database_run(db, "SAVEPOINT ringfence_sample", err);
        if (rc == 0 && sample_table(db, d, t, &why) < 0) {
            note_failure(d, t, &why);
            rc = database_run(db, "ROLLBACK TO SAVEPOINT ringfence_sample", err);
        }
        if (rc == 0)
            rc = database_run(db, "RELEASE SAVEPOINT ringfence_sample", err);
    }
    return rc;
}
