/* Figures that do not tell of one person, however many of them are put together. The reasons, and
 * what remains, with numbers: docs/decisions/0014-figures-with-stable-noise.md.
 *
 * Rows are added up for each subject and group, then for each group, so that every figure knows how
 * many people it is about and how much the largest share of one of them is:
 *
 *   closed periods   by a dimension in time, only periods that are over; without one, rows from
 *                    before this month by the table's first column of class activity that is a time
 *   small groups     left out, and the limit itself is blurred: who makes a group the 20th shows
 *                    nothing
 *   noise            on every figure, as large as several of the largest shares, so that no
 *                    difference of two figures tells whether one person is in it
 *   dominance        a figure of which one person makes more than a quarter is NULL
 *
 * The noise is a keyed hash of who is in the group (as a set), what is added up, and its sum. The
 * same group of people has the same noise in every view and at every time, so asking again does not
 * average it away; any other group has other noise, so that subtracting leaves noise, too.
 *
 * security_barrier, because groups are left out: without it a condition on a dimension would be
 * pushed below the grouping, where an error tells of a group that was to stay unseen. */
#include "enforce/statistic.h"

#include <stdio.h>
#include <string.h>

#include "enforce/mask.h"
#include "enforce/role.h"
#include "enforce/subject.h"

enum {
    PERSONS_NOISE = 5, /* persons, to both sides; also the blur of the limit */
    SHARES_NOISE = 2,  /* largest shares of one person, to both sides */
    SHARE_PARTS = 4,   /* more than one in so many from one person: NULL */
    ROUNDED_TO = 5     /* counts */
};

const char statistic_figure_source[] =
    "CREATE OR REPLACE FUNCTION ringfence.statistic_figure(people bigint, what text, value double "
    "precision,"
    " scale double precision, step double precision) RETURNS double precision LANGUAGE plpgsql"
    " STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$\n"
    "DECLARE\n"
    "    noise bytea;\n"
    "    grain double precision := step;\n"
    "BEGIN\n"
    "    IF grain = 0 THEN\n" /* the first digit of the noise */
    "        grain := power(10, floor(log(scale)));\n"
    "    END IF;\n"
    "    SELECT sha256(k.key || convert_to('ringfence statistic 1 ' || what || ' ' || people || ' '"
    " || value, 'UTF8')) INTO noise FROM ringfence.pseudonym_key k;\n"
    "    RETURN round((value + scale * ((get_byte(noise, 0) * 65536 + get_byte(noise, 1) * 256"
    " + get_byte(noise, 2)) / 8388607.5 - 1)) / grain) * grain;\n"
    "END $f$";

struct statistic {
    struct sql *sql;
    const struct policy_statistic *policy;
    const struct policy_table *table;
    const struct catalog_table *fact;
    struct err *err;
};

static int find_fact(const struct statistic *st, const char *column,
                     const struct catalog_column **ret)
{
    *ret = catalog_column_find(st->fact, column);
    if (*ret == NULL)
        return err_set(st->err, RF_ECONFIG,
                       "table %s.%s has no column \"%s\", which the policy names",
                       st->table->schema, st->table->name, column);
    return 0;
}

/* -- the rows of closed periods -- */

static bool is_time(const struct catalog_column *fact)
{
    return fact->kind == KIND_DATE || fact->kind == KIND_TIMESTAMP ||
           fact->kind == KIND_TIMESTAMPTZ;
}

/* "t.at is before the running UNIT"; NULL is in no period. */
static void add_is_closed(struct sql *s, const struct catalog_column *fact, const char *unit)
{
    if (fact->kind == KIND_TIMESTAMPTZ)
        sql_add(s, "t.%I < date_trunc(%L, statement_timestamp(), 'UTC')", fact->name, unit);
    else
        sql_add(s, "t.%I < CAST(date_trunc(%L, statement_timestamp() AT TIME ZONE 'UTC') AS %S)",
                fact->name, unit, fact->kind == KIND_DATE ? "date" : "timestamp without time zone");
}

static const char *unit_of(const struct policy_dimension *d)
{
    return d->month ? "month" : d->mask == MASK_YEAR ? "year" : "day";
}

static const struct catalog_column *first_activity(const struct statistic *st)
{
    for (size_t i = 0; i < st->table->column_count; i++) {
        const struct policy_column *c = &st->table->columns[i];
        const struct catalog_column *fact = catalog_column_find(st->fact, c->name);
        if (c->class_id == CLASS_ACTIVITY && fact != NULL && is_time(fact))
            return fact;
    }
    return NULL;
}

/* BEFORE: " WHERE " or " AND ". A birth date is no period in which something was done. */
static void add_closed(struct statistic *st, const char *before)
{
    bool any = false;
    for (size_t i = 0; i < st->policy->dimension_count; i++) {
        const struct policy_dimension *d = &st->policy->dimensions[i];
        const struct catalog_column *fact = catalog_column_find(st->fact, d->column);
        bool is_birth =
            st->table->birthdate != NULL && strcmp(st->table->birthdate, d->column) == 0;
        if (fact == NULL || !is_time(fact) || is_birth)
            continue;
        sql_add(st->sql, "%S", before);
        add_is_closed(st->sql, fact, unit_of(d));
        before = " AND ";
        any = true;
    }
    const struct catalog_column *fact = any ? NULL : first_activity(st);
    if (fact != NULL) {
        sql_add(st->sql, "%S", before);
        add_is_closed(st->sql, fact, "month");
    }
}

static int add_rows(struct statistic *st, const struct policy *p, const struct catalog *c)
{
    struct sql condition;
    const char *text = "";
    sql_init(&condition);
    int rc = subject_add_condition(&condition, p, c, (size_t)(st->table - p->tables), st->err);
    if (rc == 0)
        rc = sql_text(&condition, &text, st->err);
    if (rc == 0) {
        sql_add(st->sql, " FROM %N t%S", st->table->schema, st->table->name, text);
        add_closed(st, text[0] != '\0' ? " AND " : " WHERE ");
        sql_add(st->sql, " AND t.%I IS NOT NULL", st->table->subject);
    }
    sql_done(&condition);
    return rc;
}

/* -- shares: one subject in one group -- */

/* "d1, d2" and so on; "d0" is always there, so that a statistic without dimensions is one group. */
static void add_dimension_list(struct sql *s, const struct statistic *st)
{
    sql_add(s, "d0");
    for (size_t i = 0; i < st->policy->dimension_count; i++)
        sql_add(s, ", d%D", (int64_t)i + 1);
}

/* What one subject adds to a sum. A numeric that no double holds would be an error that prints it:
   such ones become very large, or nothing. */
static void add_sum_of_share(struct sql *s, const struct policy_measure *m,
                             const struct catalog_column *fact)
{
    bool is_numeric = fact != NULL && fact->kind == KIND_NUMERIC;
    if (is_numeric)
        sql_add(s, "round(least(greatest(");
    sql_add(s, "coalesce(sum(t.%I), 0)", m->column);
    if (is_numeric)
        sql_add(s, ", -1e100), 1e100), 100)");
}

static int add_shares(struct statistic *st, const struct policy *p, const struct catalog *c)
{
    struct sql *s = st->sql;
    char name[256];
    int rc = 0;
    sql_add(s, "SELECT 0 AS d0");
    for (size_t i = 0; i < st->policy->dimension_count && rc == 0; i++) {
        const struct policy_dimension *d = &st->policy->dimensions[i];
        const struct catalog_column *column;
        rc = find_fact(st, d->column, &column);
        if (rc < 0)
            return rc;
        (void)snprintf(name, sizeof(name), "%s.%s.%s", st->table->schema, st->table->name,
                       d->column);
        sql_add(s, ", ");
        rc = mask_add_dimension(s, d, column, name, st->err);
        sql_add(s, " AS d%D", (int64_t)i + 1);
    }
    sql_add(s, ", t.%I AS s, CAST(count(*) AS double precision) AS n", st->table->subject);
    for (size_t i = 0; i < st->policy->measure_count && rc == 0; i++) {
        const struct policy_measure *m = &st->policy->measures[i];
        const struct catalog_column *column;
        if (m->what != MEASURE_SUM && m->what != MEASURE_AVG)
            continue;
        rc = find_fact(st, m->column, &column);
        sql_add(s, ", CAST(");
        add_sum_of_share(s, m, rc == 0 ? column : NULL);
        sql_add(s,
                " AS double precision) AS v%D, CAST(count(t.%I) AS double precision)"
                " AS c%D",
                (int64_t)i, m->column, (int64_t)i);
    }
    if (rc == 0)
        rc = add_rows(st, p, c);
    sql_add(s, " GROUP BY ");
    add_dimension_list(s, st);
    sql_add(s, ", s");
    return rc;
}

/* -- groups, and their figures -- */

static int add_groups(struct statistic *st, const struct policy *p, const struct catalog *c)
{
    struct sql *s = st->sql;
    sql_add(s, "SELECT ");
    add_dimension_list(s, st);
    sql_add(s, ", count(*) AS people, bit_xor(hashtextextended(CAST(x.s AS text), 0)) AS who,"
               " sum(x.n) AS n,"
               " max(x.n) AS n_most");
    for (size_t i = 0; i < st->policy->measure_count; i++) {
        int64_t at = (int64_t)i;
        enum measure what = st->policy->measures[i].what;
        if (what != MEASURE_SUM && what != MEASURE_AVG)
            continue;
        sql_add(s, ", sum(x.v%D) AS v%D", at, at);
        sql_add(s, ", sum(greatest(x.v%D, -x.v%D)) AS v%D_all", at, at, at);
        sql_add(s, ", max(greatest(x.v%D, -x.v%D)) AS v%D_most", at, at, at);
        sql_add(s, ", sum(x.c%D) AS c%D", at, at);
        sql_add(s, ", max(x.c%D) AS c%D_most", at, at);
    }
    sql_add(s, " FROM (");
    int rc = add_shares(st, p, c);
    sql_add(s, ") x GROUP BY ");
    add_dimension_list(s, st);
    return rc;
}

/* The figure called WHAT in this table; the same in every view. VALUE and SCALE: SQL. */
static void add_figure(struct statistic *st, const char *what, const char *value, const char *scale,
                       int64_t step)
{
    char name[256];
    (void)snprintf(name, sizeof(name), "%s.%s %s", st->table->schema, st->table->name, what);
    sql_add(st->sql, "ringfence.statistic_figure(g.who, %L, %S, %S, %D)", name, value, scale, step);
}

static void add_people(struct statistic *st, int64_t step)
{
    char scale[24];
    (void)snprintf(scale, sizeof(scale), "%d", (int)PERSONS_NOISE);
    add_figure(st, "subjects", "CAST(g.people AS double precision)", scale, step);
}

/* A count of rows: COLUMN of the groups, with COLUMN_most beside it. */
static void add_rows_figure(struct statistic *st, const char *column, const char *what)
{
    char value[32], scale[80];
    (void)snprintf(value, sizeof(value), "g.%s", column);
    (void)snprintf(scale, sizeof(scale), "greatest(%d, %d * g.%s_most)", (int)PERSONS_NOISE,
                   (int)SHARES_NOISE, column);
    sql_add(st->sql, "CASE WHEN %D * g.%S_most < g.%S THEN ", (int64_t)SHARE_PARTS, column, column);
    add_figure(st, what, value, scale, ROUNDED_TO);
    sql_add(st->sql, " END");
}

static void add_sum_figure(struct statistic *st, size_t measure)
{
    const struct policy_measure *m = &st->policy->measures[measure];
    char what[80], value[32], scale[48];
    (void)snprintf(what, sizeof(what), "sum %s", m->column);
    (void)snprintf(value, sizeof(value), "g.v%zu", measure);
    (void)snprintf(scale, sizeof(scale), "%d * g.v%zu_most", (int)SHARES_NOISE, measure);
    sql_add(st->sql, "CASE WHEN %D * g.v%D_most < g.v%D_all THEN ", (int64_t)SHARE_PARTS,
            (int64_t)measure, (int64_t)measure);
    add_figure(st, what, value, scale, 0);
    sql_add(st->sql, " END");
}

/* The type that PostgreSQL's own sum() or avg() would have. */
static const char *type_of(const struct policy_measure *m, const struct catalog_column *fact)
{
    switch (fact->kind) {
    case KIND_FLOAT4:
        return m->what == MEASURE_SUM ? "real" : "double precision";
    case KIND_FLOAT8:
        return "double precision";
    case KIND_INT2:
    case KIND_INT4:
        return m->what == MEASURE_SUM ? "bigint" : "numeric";
    default:
        return "numeric";
    }
}

static int add_measure(struct statistic *st, size_t measure)
{
    const struct policy_measure *m = &st->policy->measures[measure];
    const struct catalog_column *fact;
    char column[32], what[80];
    int rc = 0;
    sql_add(st->sql, ", CAST(");
    switch (m->what) {
    case MEASURE_COUNT_ROWS:
        add_rows_figure(st, "n", "rows");
        sql_add(st->sql, " AS bigint)");
        break;
    case MEASURE_COUNT_SUBJECTS:
        add_people(st, ROUNDED_TO);
        sql_add(st->sql, " AS bigint)");
        break;
    case MEASURE_SUM:
    case MEASURE_AVG:
        rc = find_fact(st, m->column, &fact);
        if (rc < 0)
            return rc;
        add_sum_figure(st, measure);
        if (m->what == MEASURE_AVG) {
            (void)snprintf(column, sizeof(column), "c%zu", measure);
            (void)snprintf(what, sizeof(what), "rows of %s", m->column);
            sql_add(st->sql, " / nullif(");
            add_rows_figure(st, column, what);
            sql_add(st->sql, ", 0)");
        }
        sql_add(st->sql, " AS %S)", type_of(m, fact));
        break;
    }
    sql_add(st->sql, " AS %I", m->name);
    return rc;
}

int statistic_add_view(struct sql *s, const struct policy *p, const struct catalog *c,
                       size_t statistic, struct err *err)
{
    const struct policy_statistic *policy = &p->statistics[statistic];
    struct statistic st = { .sql = s,
                            .policy = policy,
                            .table = policy->table,
                            .fact = &c->tables[policy->table - p->tables],
                            .err = err };
    int rc = 0;
    if (st.table->subject == NULL)
        return err_set(err, RF_ECONFIG, "table %s.%s has no subjects to count", st.table->schema,
                       st.table->name);
    sql_add(s, "CREATE VIEW %N WITH (security_barrier) AS SELECT ", SCHEMA_STATS, policy->name);
    for (size_t i = 0; i < policy->dimension_count; i++)
        sql_add(s, "%Sg.d%D AS %I", i == 0 ? "" : ", ", (int64_t)i + 1, policy->dimensions[i].name);
    for (size_t i = 0; i < policy->measure_count && rc == 0; i++) {
        struct sql one;
        const char *text = "";
        sql_init(&one);
        st.sql = &one;
        rc = add_measure(&st, i);
        if (rc == 0)
            rc = sql_text(&one, &text, err);
        /* the first of all columns has no comma in front */
        sql_add(s, "%S", rc == 0 && i == 0 && policy->dimension_count == 0 ? text + 2 : text);
        sql_done(&one);
        st.sql = s;
    }
    sql_add(s, " FROM (");
    if (rc == 0)
        rc = add_groups(&st, p, c);
    /* below the limit nothing is ever shown; above it, noise decides up to twice the noise on */
    sql_add(s, ") g WHERE g.people >= %D AND ", policy->minimum);
    add_people(&st, 1);
    sql_add(s, " >= %D", policy->minimum + PERSONS_NOISE);
    return rc;
}
