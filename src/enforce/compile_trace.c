/* From which grants values come that were found elsewhere.
 *
 *   ringfence.trace_day(actor, day, count)   how often somebody has asked
 *
 * trace() reads no row of the application and needs none: a grant's watermark and the value tell,
 * years after the grant and the person's data (policy/watermark.h). So its answer says nothing
 * about anybody, but of which grant a value is. One call compares one page of grants, open and
 * ended, the latest first; each value costs a hash for each of them. */
#include "enforce/compiler.h"
#include "policy/watermark.h"

enum { TRACE_PAGE = 2500 };

static int compile_trace_table(struct compiler *k)
{
    static const char day[] =
        "CREATE TABLE ringfence.trace_day (actor text, day date, count integer NOT NULL,"
        " PRIMARY KEY (actor, day))";
    return compile_own_table(k, "trace_day", day);
}

/* With the first page: one more of today (UTC), which is not one too many. */
static const char trace_count[] =
    " IF before IS NULL THEN DELETE FROM ringfence.trace_day d WHERE d.day < today - 1;"
    " INSERT INTO ringfence.trace_day AS d VALUES (trace.actor, today, 1)"
    "  ON CONFLICT ON CONSTRAINT trace_day_pkey DO UPDATE SET count = d.count + 1"
    "  RETURNING d.count INTO n;"
    " IF n > per_day THEN RAISE EXCEPTION 'too many traces in a day' USING ERRCODE = '53400';"
    "  END IF; END IF;";

static void add_checks(struct sql *s)
{
    sql_add(
        s,
        " IF (octet_length(trace.actor) BETWEEN 1 AND 56 AND per_day > 0) IS NOT TRUE THEN"
        "  RAISE EXCEPTION 'a trace needs an actor, and how many he may have in a day'"
        "  USING ERRCODE = '22023'; END IF;"
        " IF (cardinality(digits) + cardinality(ms) BETWEEN 1 AND %D"
        "   AND cardinality(ms) = cardinality(us)) IS NOT TRUE THEN RAISE EXCEPTION"
        "  'between 1 and %D values are traced at once' USING ERRCODE = '22023'; END IF;"
        " IF EXISTS (SELECT FROM unnest(digits) u(d) WHERE (u.d ~ '^[0-9a-f]{%D,%D}$') IS NOT TRUE)"
        "  OR EXISTS (SELECT FROM unnest(ms || us) u(n) WHERE u.n IS NULL) THEN RAISE EXCEPTION"
        "  'a value that is traced is no pseudonym and no time' USING ERRCODE = '22023'; END IF;",
        (int64_t)WATERMARK_VALUES_MAX, (int64_t)WATERMARK_VALUES_MAX, (int64_t)WATERMARK_DIGITS_MIN,
        (int64_t)WATERMARK_DIGITS_MAX);
}

static void add_comparison(struct sql *s)
{
    sql_add(
        s,
        " WITH g AS MATERIALIZED (SELECT x.id, x.watermark FROM ringfence.\"grant\" x"
        "   WHERE trace.before IS NULL OR x.id < trace.before ORDER BY x.id DESC LIMIT %D),"
        " d AS MATERIALIZED (SELECT DISTINCT decode(left(u.d, n.n), 'hex') AS shown,"
        "   substr(u.d, n.n + 1) AS last FROM unnest(digits) u(d),"
        "   LATERAL (SELECT (length(u.d) - %D) / 2 * 2) n(n)),"
        " m AS MATERIALIZED (SELECT DISTINCT int4send(u.ms) AS shown, u.us FROM unnest(ms, us)"
        "   u(ms, us)),"
        " p AS (SELECT g.id, count(*) AS n FROM g, d WHERE"
        "   left(encode(substr(sha256(g.watermark || d.shown), 1, 4), 'hex'), length(d.last))"
        "   = d.last GROUP BY g.id),"
        " t AS (SELECT g.id, count(*) AS n FROM g, m WHERE"
        "   ('x' || encode(substr(sha256(g.watermark || m.shown), 1, 4), 'hex'))::bit(32)::bigint"
        "   %% 1000 = m.us GROUP BY g.id)"
        " SELECT (SELECT count(*) FROM g), (SELECT min(g.id) FROM g), (SELECT "
        "coalesce(json_agg(json_build_array(id,"
        "  coalesce(p.n, 0), coalesce(t.n, 0))), '[]') FROM p FULL JOIN t USING (id))"
        "  INTO tried, oldest, fits;",
        (int64_t)TRACE_PAGE, (int64_t)WATERMARK_DIGITS);
}

/* FITS: [[grant, pseudonyms, times], …] of those with any that fit, by accident or not. OLDEST: the
   next page is before it; NULL: there is none. */
static int compile_trace_function(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.trace(actor text, per_day integer, before bigint,"
            " digits text[], ms integer[], us integer[], OUT tried bigint, OUT oldest bigint,"
            " OUT fits json) LANGUAGE plpgsql"
            " SET timezone = 'UTC'" FUNCTION_HEAD "\n#variable_conflict use_column\n"
            "DECLARE today date := statement_timestamp()::date; n integer; BEGIN");
    add_checks(&k->sql);
    sql_add(&k->sql, "%S", trace_count);
    add_comparison(&k->sql);
    sql_add(&k->sql, "%S", " END $body$");
    int rc = compile_take_text(k, &source);
    return rc == 0
               ? compile_function(k, "trace", "text, integer, bigint, text[], integer[], integer[]",
                                  ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR, source)
               : rc;
}

int compile_trace(struct compiler *k)
{
    static const char *const rights[] = { "SELECT", "INSERT", "UPDATE", "DELETE" };
    int rc = compile_trace_table(k);
    if (rc == 0)
        rc = compile_trace_function(k);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i], "TABLE", SCHEMA_OWN, "trace_day");
    return rc;
}
