/* Pseudonyms are SHA-256(domain key ‖ value), cut. The domain key is
 *
 *     SHA-256(master ‖ "ringfence pseudonym 1 " ‖ year-month ‖ " " ‖ domain)
 *
 * with the region's random master key, which only the views' owner can read. It stands in the view
 * as a subselect without outer references: PostgreSQL evaluates it once a query, nothing has to be
 * written when the month turns, and it works on a standby. A key in front of the value is enough
 * where a hash is cut: to lengthen a message one would need all 256 bits of its hash, and at most
 * 128 are shown. Two domains never compare equal, nor do two months or two regions.
 *
 * Masks of numbers use integer or floating arithmetic, never numeric: round(x::numeric) costs
 * twelve times the query around it. Times are cut in UTC whatever the session's time zone: the cut
 * must not move with a setting of the person who asks. */
#include "enforce/mask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int unfit(struct err *err, const char *where_name, const char *mask,
                 const struct catalog_column *fact)
{
    int rc = err_set(err, RF_ECONFIG, "column %s of type %s cannot have mask \"%s\"", where_name,
                     fact->type, mask);
    err_hint(err, "use mask null or absent");
    return rc;
}

const char *mask_pseudonym_family(enum column_kind kind)
{
    switch (kind) {
    case KIND_INT8:
        return "bigint";
    case KIND_INT4:
        return "integer";
    case KIND_TEXT:
        return "text";
    case KIND_UUID:
        return "uuid";
    default:
        return NULL;
    }
}

int mask_pseudonym_digits(const struct catalog_column *fact)
{
    if (fact->kind != KIND_TEXT || fact->width == 0)
        return PSEUDONYM_DIGITS_MAX;
    /* "p_" in front where at least five digits are left beside it: see add_pseudonym() */
    int digits = fact->width >= 7 ? fact->width - 2 : fact->width < 4 ? fact->width : 4;
    return digits < PSEUDONYM_DIGITS_MAX ? digits : PSEUDONYM_DIGITS_MAX;
}

static void add_hash(struct sql *s, const char *domain, const char *as_bytes, const char *name)
{
    sql_add(s,
            "sha256((SELECT sha256(k.key || convert_to('ringfence pseudonym 1 ' ||"
            " to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM') || ' ' || %L, 'UTF8'))"
            " FROM ringfence.pseudonym_key k) || ",
            domain);
    sql_add(s, as_bytes, name);
    sql_add(s, ")");
}

static int add_pseudonym(struct sql *s, const struct policy_column *column,
                         const struct catalog_column *fact, int digits, const char *where_name,
                         struct err *err)
{
    const char *domain = column->domain != NULL ? column->domain : where_name;
    switch (fact->kind) {
    case KIND_INT8: /* 63 bits: never negative */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, domain, "int8send(t.%I::bigint)", column->name);
        sql_add(s, ", 1, 8), 'hex'))::bit(64)::bigint & 9223372036854775807");
        return 0;
    case KIND_INT4: /* 31 bits: two of many values may meet, as the type leaves no more room */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, domain, "int4send(t.%I::integer)", column->name);
        sql_add(s, ", 1, 4), 'hex'))::bit(32)::integer & 2147483647");
        return 0;
    case KIND_UUID:
        sql_add(s, "encode(substr(");
        add_hash(s, domain, "uuid_send(t.%I::uuid)", column->name);
        sql_add(s, ", 1, 16), 'hex')::uuid");
        return 0;
    case KIND_TEXT:
        /* through text, so that the padding of char(n) does not count */
        sql_add(s, "%Sleft(encode(substr(", digits > 4 ? "'p_' || " : "");
        add_hash(s, domain, "convert_to(t.%I::text, 'UTF8')", column->name);
        sql_add(s, ", 1, 16), 'hex'), %D)", (int64_t)digits);
        return 0;
    default:
        return unfit(err, where_name, "pseudonym", fact);
    }
}

/* A constant that every value of the kind could be. NULL: none. */
static const char *blank_of(enum column_kind kind)
{
    switch (kind) {
    case KIND_TEXT:
        return "'***'";
    case KIND_INT2:
    case KIND_INT4:
    case KIND_INT8:
    case KIND_FLOAT4:
    case KIND_FLOAT8:
    case KIND_NUMERIC:
        return "0";
    case KIND_UUID:
        return "'00000000-0000-0000-0000-000000000000'";
    case KIND_BOOL:
        return "false";
    case KIND_DATE:
        return "'1970-01-01'";
    case KIND_TIMESTAMP:
        return "'1970-01-01 00:00:00'";
    case KIND_TIMESTAMPTZ:
        return "'1970-01-01 00:00:00+00'";
    case KIND_INTERVAL:
    case KIND_TIME:
        return "'00:00:00'";
    case KIND_INET:
    case KIND_CIDR:
        return "'0.0.0.0'";
    case KIND_BYTEA:
        return "''";
    case KIND_JSON:
    case KIND_JSONB:
        return "'{}'";
    case KIND_ARRAY:
        return "'{}'";
    case KIND_OTHER:
        break;
    }
    return NULL;
}

static int add_redacted(struct sql *s, const struct policy_column *column,
                        const struct catalog_column *fact, const char *where_name, struct err *err)
{
    const char *blank = blank_of(fact->kind);
    if (blank == NULL)
        return unfit(err, where_name, "redact", fact);
    if (fact->kind == KIND_TEXT && fact->width > 0 && fact->width < 3)
        blank = fact->width == 1 ? "'*'" : "'**'";
    if (fact->not_null)
        sql_add(s, "%S", blank);
    else
        sql_add(s, "CASE WHEN t.%I IS NOT NULL THEN CAST(%S AS %S) END", column->name, blank,
                fact->type);
    return 0;
}

/* Cutting a time of the year 4713 BC to its year, or a date far beyond timestamp's range, is an
   error in PostgreSQL; such values come out as infinity. */
static void add_guarded(struct sql *s, const char *name, const char *type, const char *cut)
{
    sql_add(s, "CASE WHEN t.%I >= %S '4700-01-01 BC' AND t.%I < %S '290000-01-01' THEN ", name,
            type, name, type);
    sql_add(s, cut, name);
    sql_add(s, " WHEN t.%I IS NOT NULL THEN 'infinity' END", name);
}

/* UNIT: "day", "month", "year". */
static int add_cut(struct sql *s, const char *name, const char *unit,
                   const struct catalog_column *fact, const char *where_name, struct err *err)
{
    bool is_day = strcmp(unit, "day") == 0, is_year = strcmp(unit, "year") == 0;
    switch (fact->kind) {
    case KIND_TIMESTAMPTZ:
        if (is_day)
            sql_add(s, "date_trunc('day', t.%I, 'UTC')", name);
        else
            add_guarded(s, name, "timestamptz",
                        is_year ? "date_trunc('year', t.%I, 'UTC')"
                                : "date_trunc('month', t.%I, 'UTC')");
        return 0;
    case KIND_TIMESTAMP:
        if (is_day)
            sql_add(s, "date_trunc('day', t.%I)", name);
        else
            add_guarded(s, name, "timestamp",
                        is_year ? "date_trunc('year', t.%I)" : "date_trunc('month', t.%I)");
        return 0;
    case KIND_DATE: /* by way of timestamp: a bare date would be read in the session's time zone */
        if (is_day)
            sql_add(s, "t.%I", name);
        else
            add_guarded(s, name, "date",
                        is_year ? "date_trunc('year', t.%I::timestamp without time zone)"
                                : "date_trunc('month', t.%I::timestamp without time zone)");
        return 0;
    default:
        return unfit(err, where_name, unit, fact);
    }
}

static const struct {
    enum column_kind kind;
    int64_t least;
    const char *type;
} integers[] = {
    { KIND_INT2, INT16_MIN, "smallint" },
    { KIND_INT4, INT32_MIN, "integer" },
    { KIND_INT8, INT64_MIN, "bigint" },
};

/* Rounded down to a multiple of STEP, for numerics towards zero (a longer number might not fit the
   column). What lies so near the end of a type's range that the result would be an error becomes
   one value near that end; x - x keeps NULL. */
static int add_coarse(struct sql *s, const char *name, int64_t step,
                      const struct catalog_column *fact, const char *where_name, struct err *err)
{
    for (size_t i = 0; i < RF_COUNT(integers); i++) {
        const char *type = integers[i].type;
        int64_t least = integers[i].least + step;
        if (integers[i].kind != fact->kind)
            continue;
        if (step < 1 || step > -(integers[i].least / 2))
            break;
        sql_add(s, "CASE WHEN t.%I >= %S '%D' THEN t.%I - (t.%I %% %S '%D' + %S '%D') %% %S '%D'",
                name, type, least, name, name, type, step, type, step, type, step);
        sql_add(s, " ELSE t.%I - t.%I + %S '%D' END", name, name, type, least);
        return 0;
    }
    switch (step < 1 ? KIND_OTHER : fact->kind) {
    case KIND_FLOAT4:
    case KIND_FLOAT8:
        sql_add(s,
                "CASE WHEN abs(t.%I) < 1e30 THEN floor(t.%I / float8 '%D') * float8 '%D'"
                " ELSE t.%I - t.%I END",
                name, name, step, step, name, name);
        return 0;
    case KIND_NUMERIC:
        sql_add(s,
                "CASE WHEN abs(t.%I) < 1e15 THEN (trunc(t.%I::float8 / %D) * %D)::numeric"
                " ELSE t.%I - t.%I END",
                name, name, step, step, name, name);
        return 0;
    case KIND_INT2:
    case KIND_INT4:
    case KIND_INT8:
    case KIND_OTHER:
        if (fact->kind != KIND_OTHER)
            return err_set(err, RF_ECONFIG, "step %" PRId64 " of column %s does not fit type %s",
                           step, where_name, fact->type);
        RF_FALLTHROUGH;
    default:
        return unfit(err, where_name, "coarse", fact);
    }
}

static int add_masked(struct sql *s, const struct policy_column *column,
                      const struct catalog_column *fact, int digits, const char *where_name,
                      struct err *err)
{
    switch (column->mask) {
    case MASK_PSEUDONYM:
        return add_pseudonym(s, column, fact, digits, where_name, err);
    case MASK_REDACT:
        return add_redacted(s, column, fact, where_name, err);
    case MASK_DAY:
        return add_cut(s, column->name, "day", fact, where_name, err);
    case MASK_YEAR:
        return add_cut(s, column->name, "year", fact, where_name, err);
    case MASK_COARSE:
        return add_coarse(s, column->name, column->step, fact, where_name, err);
    case MASK_NULL:
        if (fact->refuses_null)
            return unfit(err, where_name, "null", fact);
        sql_add(s, "NULL");
        return 0;
    default: /* a column without a mask must not come out as it is */
        return err_set(err, RF_ECONFIG, "column %s has no mask", where_name);
    }
}

int mask_add(struct sql *s, const struct policy_column *column, const struct catalog_column *fact,
             int pseudonym_digits, const char *where_name, struct err *err)
{
    if (column->mask == MASK_CLEAR) {
        if (column->class_id != CLASS_NOTHING)
            return err_set(err, RF_ECONFIG, "column %s of class %s cannot be clear", where_name,
                           policy_class_name(column->class_id));
        sql_add(s, "t.%I", column->name);
        return 0;
    }
    sql_add(s, "CAST(");
    int rc = add_masked(s, column, fact, pseudonym_digits, where_name, err);
    sql_add(s, " AS %S)", fact->type);
    if (fact->collation != NULL)
        sql_add(s, " COLLATE %S", fact->collation);
    return rc;
}

int mask_add_dimension(struct sql *s, const struct policy_dimension *dimension,
                       const struct catalog_column *fact, const char *where_name, struct err *err)
{
    if (!dimension->month && (dimension->mask == MASK_CLEAR || dimension->mask == MASK_UNSET)) {
        sql_add(s, "t.%I", dimension->column);
        return 0;
    }
    int rc;
    sql_add(s, "CAST(");
    if (dimension->month)
        rc = add_cut(s, dimension->column, "month", fact, where_name, err);
    else if (dimension->mask == MASK_DAY || dimension->mask == MASK_YEAR)
        rc = add_cut(s, dimension->column, dimension->mask == MASK_DAY ? "day" : "year", fact,
                     where_name, err);
    else if (dimension->mask == MASK_COARSE)
        rc = add_coarse(s, dimension->column, dimension->step, fact, where_name, err);
    else
        rc = err_set(err, RF_ECONFIG, "dimension %s cannot be cut by \"%s\"", where_name,
                     policy_mask_name(dimension->mask));
    sql_add(s, " AS %S)", fact->type);
    return rc;
}
