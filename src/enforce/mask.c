/* Masks of numbers use integer or floating arithmetic, never numeric: round(x::numeric) costs
 * twelve times the query around it. Times are cut in UTC whatever the session's time zone: the cut
 * must not move with a setting of the person who asks. */
#include "enforce/mask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "enforce/expression.h"
#include "enforce/literal.h"
#include "enforce/pseudonym.h"
#include "enforce/role.h"

static int unfit(struct err *err, const char *where_name, const char *mask,
                 const struct catalog_column *fact)
{
    int rc = err_set(err, RF_ECONFIG, "column %s of type %s cannot have mask \"%s\"", where_name,
                     fact->type, mask);
    err_hint(err, "use mask null or absent");
    return rc;
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

static const char *time_type(enum column_kind kind)
{
    return kind == KIND_DATE        ? "date"
           : kind == KIND_TIMESTAMP ? "timestamp without time zone"
                                    : "timestamp with time zone";
}

static bool has_native_cut(enum column_kind kind)
{
    return kind == KIND_DATE || kind == KIND_TIMESTAMP || kind == KIND_TIMESTAMPTZ;
}

/* UNIT: "day", "month", "year". */
static int add_cut(struct sql *s, const char *name, const char *unit,
                   const struct catalog_column *fact, const char *where_name, struct err *err)
{
    bool is_day = strcmp(unit, "day") == 0, is_year = strcmp(unit, "year") == 0;
    if (fact->has_native && has_native_cut(fact->kind) && !(is_day && fact->kind == KIND_DATE)) {
        sql_add(s, SCHEMA_NATIVE ".%S_of(t.%I::%S)", unit, name, time_type(fact->kind));
        return 0;
    }
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
   one value near that end; x - x keeps NULL. What is next to nothing is nothing: dividing it, or
   reading it as a float, would be an underflow, whose message prints the value. */
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
        if (fact->has_native) {
            sql_add(s, SCHEMA_NATIVE ".coarse(t.%I::%S, %S '%D')", name, type, type, step);
            return 0;
        }
        sql_add(s, "CASE WHEN t.%I >= %S '%D' THEN t.%I - (t.%I %% %S '%D' + %S '%D') %% %S '%D'",
                name, type, least, name, name, type, step, type, step, type, step);
        sql_add(s, " ELSE t.%I - t.%I + %S '%D' END", name, name, type, least);
        return 0;
    }
    switch (step < 1 ? KIND_OTHER : fact->kind) {
    case KIND_FLOAT4:
    case KIND_FLOAT8:
        sql_add(s,
                "CASE WHEN abs(t.%I) < 1e-30 THEN 0 WHEN abs(t.%I) < 1e30"
                " THEN floor(t.%I / float8 '%D') * float8 '%D' ELSE t.%I - t.%I END",
                name, name, name, step, step, name, name);
        return 0;
    case KIND_NUMERIC:
        sql_add(s,
                "CASE WHEN abs(t.%I) < %D THEN 0 WHEN abs(t.%I) < 1e15"
                " THEN (trunc(t.%I::float8 / %D) * %D)::numeric ELSE t.%I - t.%I END",
                name, step, name, name, step, step, name, name);
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

/* Mail domains that say nothing of a person; the rest of a mail address, or of the world's domains,
   is somebody's own. */
static const char mail_providers[] =
    "'gmail.com', 'googlemail.com', 'outlook.com', 'hotmail.com', 'live.com', 'msn.com',"
    " 'yahoo.com', 'yahoo.co.uk', 'yahoo.co.jp', 'yahoo.de', 'yahoo.fr', 'icloud.com', 'me.com',"
    " 'aol.com', 'proton.me', 'protonmail.com', 'gmx.de', 'gmx.net', 'gmx.com', 'web.de',"
    " 't-online.de', 'orange.fr', 'free.fr', 'laposte.net', 'libero.it', 'wp.pl', 'o2.pl',"
    " 'seznam.cz', 'mail.ru', 'yandex.ru', 'qq.com', '163.com', '126.com', 'naver.com',"
    " 'comcast.net', 'verizon.net', 'att.net'";

/* The first characters, where they are of those that every second address begins with, and enough
   is left to guess; or the domain of a large provider. Collation "C": lower() and split_part() must
   mean the same for every column, and must not meet a collation in which nothing can be found. */
static int add_partial(struct sql *s, const struct policy_column *column,
                       const struct catalog_column *fact, const char *where_name, struct err *err)
{
    static const char text[] = "(CAST(t.%I AS text) COLLATE pg_catalog.\"C\")";
    const char *name = column->name;
    if (fact->kind != KIND_TEXT || (fact->width > 0 && fact->width < 8))
        return unfit(err, where_name, "partial", fact);
    sql_add(s, "(CASE WHEN t.%I IS NULL THEN NULL WHEN ", name);
    if (column->keep == KEEP_DOMAIN) {
        sql_add(s, "lower(split_part(");
        sql_add(s, text, name);
        sql_add(s, ", '@', 2)) IN (%S) THEN '***@' || lower(split_part(", mail_providers);
        sql_add(s, text, name);
        sql_add(s, ", '@', 2))");
    } else {
        sql_add(s, "length(");
        sql_add(s, text, name);
        sql_add(s, ") >= 6 AND translate(lower(\"left\"(");
        sql_add(s, text, name);
        sql_add(s, ", %D)), 'abcdefghijklmnopqrstuvwxyz0123456789+', '') = '' THEN \"left\"(",
                column->keep);
        sql_add(s, text, name);
        sql_add(s, ", %D) || '***'", column->keep);
    }
    sql_add(s, " ELSE '***' END COLLATE pg_catalog.\"default\")");
    return 0;
}

/* "a.b.0.0/16" of a text "a.b.c.d"; everything else that a text may hold, IPv6 too, is blank. */
static int add_network_of_text(struct sql *s, const char *name, int64_t keep)
{
    static const char text[] = "(CAST(t.%I AS text) COLLATE pg_catalog.\"C\")";
    sql_add(s, "(CASE WHEN t.%I IS NULL THEN NULL WHEN translate(", name);
    sql_add(s, text, name);
    sql_add(s, ", '0123456789', '') = '...'");
    for (int64_t part = 1; part <= 4; part++) {
        sql_add(s, " AND length(split_part(");
        sql_add(s, text, name);
        sql_add(s, ", '.', %D)) BETWEEN 1 AND 3", part);
    }
    sql_add(s, " THEN ");
    for (int64_t part = 1; part <= keep / 8; part++) {
        sql_add(s, "split_part(");
        sql_add(s, text, name);
        sql_add(s, ", '.', %D) || '.' || ", part);
    }
    sql_add(s, "'%S/%D' ELSE '***' END COLLATE pg_catalog.\"default\")",
            keep == 8    ? "0.0.0"
            : keep == 16 ? "0.0"
                         : "0",
            keep);
    return 0;
}

static int add_network(struct sql *s, const struct policy_column *column,
                       const struct catalog_column *fact, const char *where_name, struct err *err)
{
    const char *name = column->name;
    int64_t keep = column->keep;
    if (fact->kind == KIND_TEXT && (fact->width == 0 || fact->width >= 18)) {
        if (keep == 8 || keep == 16 || keep == 24)
            return add_network_of_text(s, name, keep);
        return err_set(err, RF_ECONFIG,
                       "column %s of type %s: mask network of a text keeps 8, 16 or 24 bits",
                       where_name, fact->type);
    }
    if (fact->kind != KIND_INET && fact->kind != KIND_CIDR)
        return unfit(err, where_name, "network", fact);
    /* a network that is wider already stays as it is */
    sql_add(s,
            "network(set_masklen(CAST(t.%I AS inet), LEAST(masklen(CAST(t.%I AS inet)),"
            " CASE WHEN family(CAST(t.%I AS inet)) = 4 THEN %D ELSE %D END)))",
            name, name, name, keep, keep * 2);
    return 0;
}

static int add_constant(struct sql *s, const struct policy_column *column,
                        const struct catalog_column *fact, const char *where_name, struct err *err)
{
    if (fact->not_null)
        return literal_add(s, column->value != NULL ? column->value : "", fact, where_name, err);
    sql_add(s, "CASE WHEN t.%I IS NOT NULL THEN CAST(", column->name);
    int rc = literal_add(s, column->value != NULL ? column->value : "", fact, where_name, err);
    sql_add(s, " AS %S) END", fact->type);
    return rc;
}

static int add_expression(struct sql *s, const struct policy_column *column,
                          const struct catalog_column *fact, const char *where_name,
                          struct err *err)
{
    const struct catalog_table *facts = fact->table;
    if (facts == NULL || column->table == NULL)
        return err_set(err, RF_ECONFIG, "column %s: an expression needs its table", where_name);
    if (fact->refuses_null)
        return unfit(err, where_name, "expression", fact);
    sql_add(s, "(CASE WHEN t.%I IS NOT NULL THEN ", column->name);
    int rc = expression_add(s, column, facts, fact, where_name, err);
    sql_add(s, " END%S)", fact->kind == KIND_TEXT ? " COLLATE pg_catalog.\"default\"" : "");
    return rc;
}

static int add_masked(struct sql *s, const struct policy_column *column,
                      const struct catalog_column *fact, int digits, const char *where_name,
                      struct err *err)
{
    switch (column->mask) {
    case MASK_PSEUDONYM:
        return pseudonym_add(s, column, fact, digits, where_name, err);
    case MASK_REDACT:
        return add_redacted(s, column, fact, where_name, err);
    case MASK_DAY:
        return add_cut(s, column->name, "day", fact, where_name, err);
    case MASK_MONTH:
        return add_cut(s, column->name, "month", fact, where_name, err);
    case MASK_YEAR:
        return add_cut(s, column->name, "year", fact, where_name, err);
    case MASK_PARTIAL:
        return add_partial(s, column, fact, where_name, err);
    case MASK_NETWORK:
        return add_network(s, column, fact, where_name, err);
    case MASK_CONSTANT:
        return add_constant(s, column, fact, where_name, err);
    case MASK_EXPRESSION:
        return add_expression(s, column, fact, where_name, err);
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
