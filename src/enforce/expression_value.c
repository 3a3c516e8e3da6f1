#include "enforce/expression_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *expression_type_name(enum value_type type)
{
    static const char *const names[VALUE_COUNT] = {
        "nothing", "null", "text",      "whole number", "number",  "truth value",
        "date",    "time", "timestamp", "UUID",         "address",
    };
    return names[type];
}

/* -- mistakes -- */

struct expression_value expression_wrong(struct expression_reader *r, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    if (r->rc < 0)
        return nothing;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->rc = err_set(r->err, RF_ECONFIG, "column %s: expression: %s", r->where_name, text);
    r->kind = TOKEN_END;
    r->word[0] = '\0';
    return nothing;
}

struct expression_value expression_write(struct expression_reader *r, struct expression_value v,
                                         const char *fmt, ...)
{
    char text[8192];
    va_list ap;
    if (r->rc < 0)
        return nothing;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        return expression_wrong(r, "it is too long");
    v.sql = arena_strndup(&r->arena, text, (size_t)n);
    if (v.sql == NULL)
        return expression_wrong(r, "out of memory");
    return v;
}

const char *expression_join(struct expression_reader *r, const char *a, const char *between,
                            const char *b)
{
    const char *text = r->rc == 0 ? arena_printf(&r->arena, "%s%s%s", a, between, b) : "";
    if (text == NULL)
        (void)expression_wrong(r, "out of memory");
    return text != NULL ? text : "";
}
static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

void expression_widen(struct expression_value *a, const struct expression_value *b)
{
    a->low = smaller(a->low, b->low);
    a->high = larger(a->high, b->high);
}

/* -- what shows -- */

static bool has_remainder(const struct policy_column *c)
{
    return c->class_id == CLASS_CONTACT || c->class_id == CLASS_ACTIVITY ||
           c->class_id == CLASS_PAYMENT;
}

void expression_look_at(struct expression_reader *r, const struct expression_value *v)
{
    if (v->shows != NULL && !has_remainder(v->shows))
        (void)expression_wrong(
            r,
            "column %s has class %s, of which nothing may be told (use columns of class none,"
            " contact, activity or payment; of others only \"is null\")",
            v->shows->name, policy_class_name(v->shows->class_id));
}

const struct policy_column *expression_shows_of(const struct expression_value *a,
                                                const struct expression_value *b)
{
    return a->shows != NULL ? a->shows : b->shows;
}

bool expression_is_of(struct expression_reader *r, const struct expression_value *v,
                      enum value_type type, const char *what)
{
    if (r->rc == 0 && v->type != type)
        (void)expression_wrong(r, "%s takes a %s, not a %s", what, expression_type_name(type),
                               expression_type_name(v->type));
    return r->rc == 0;
}
enum value_type expression_agree(struct expression_reader *r, const struct expression_value *a,
                                 const struct expression_value *b)
{
    if (r->rc < 0)
        return VALUE_NONE;
    if (a->type != VALUE_NULL && b->type != VALUE_NULL && a->type != b->type) {
        (void)expression_wrong(r, "a %s and a %s cannot stand for one another",
                               expression_type_name(a->type), expression_type_name(b->type));
        return VALUE_NONE;
    }
    return a->type != VALUE_NULL ? a->type : b->type;
}

/* -- columns and constants -- */

static const struct policy_column *column_of(const struct expression_reader *r, const char *name)
{
    const struct policy_table *t = r->column->table;
    for (size_t i = 0; t != NULL && i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

struct expression_value expression_column(struct expression_reader *r, const char *name)
{
    static const struct {
        enum column_kind kind;
        enum value_type type;
        const char *as;
        double low, high;
    } kinds[] = {
        { KIND_TEXT, VALUE_TEXT, "text", 0, 0 },
        { KIND_INT2, VALUE_INTEGER, "bigint", INT16_MIN, INT16_MAX },
        { KIND_INT4, VALUE_INTEGER, "bigint", INT32_MIN, INT32_MAX },
        { KIND_INT8, VALUE_INTEGER, "bigint", (double)INT64_MIN, (double)INT64_MAX },
        { KIND_FLOAT4, VALUE_REAL, "double precision", 0, 0 },
        { KIND_FLOAT8, VALUE_REAL, "double precision", 0, 0 },
        { KIND_NUMERIC, VALUE_REAL, "numeric", 0, 0 },
        { KIND_BOOL, VALUE_BOOL, "boolean", 0, 0 },
        { KIND_DATE, VALUE_DATE, "date", 0, 0 },
        { KIND_TIMESTAMP, VALUE_TIMESTAMP, "timestamp without time zone", 0, 0 },
        { KIND_TIMESTAMPTZ, VALUE_TIMESTAMPTZ, "timestamp with time zone", 0, 0 },
        { KIND_UUID, VALUE_UUID, "uuid", 0, 0 },
        { KIND_INET, VALUE_INET, "inet", 0, 0 },
        { KIND_CIDR, VALUE_INET, "inet", 0, 0 },
    };
    const struct policy_column *column = column_of(r, name);
    const struct catalog_column *fact = catalog_column_find(r->facts, name);
    if (column == NULL || fact == NULL)
        return expression_wrong(r, "\"%s\" is no column of this table that the policy lists", name);
    for (size_t i = 0; i < RF_COUNT(kinds); i++) {
        if (kinds[i].kind != fact->kind)
            continue;
        struct expression_value v = { .type = kinds[i].type,
                                      .low = kinds[i].low,
                                      .high = kinds[i].high,
                                      .shows = column->class_id == CLASS_NOTHING ? NULL : column };
        return expression_write(r, v, "(CAST(t.\"%s\" AS %s)%s)", name, kinds[i].as,
                                v.type == VALUE_TEXT ? " COLLATE pg_catalog.\"C\"" : "");
    }
    return expression_wrong(r, "column %s of type %s cannot be part of an expression", name,
                            fact->type);
}

/* A literal of a text, whatever standard_conforming_strings says: it has no backslash. */
struct expression_value expression_text(struct expression_reader *r, const char *text)
{
    struct expression_value v = { .type = VALUE_TEXT, .is_constant = true, .text = text };
    char quoted[2 * 256 + 1];
    size_t n = 0;
    for (; *text != '\0' && n + 2 < sizeof(quoted); text++) {
        if (*text == '\'')
            quoted[n++] = '\'';
        quoted[n++] = *text;
    }
    quoted[n] = '\0';
    return expression_write(r, v, "CAST('%s' AS text)", quoted);
}

struct expression_value expression_number(struct expression_reader *r, int64_t number)
{
    struct expression_value v = { .type = VALUE_INTEGER,
                                  .is_constant = true,
                                  .number = number,
                                  .low = (double)number,
                                  .high = (double)number };
    return expression_write(r, v, "CAST('%lld' AS bigint)", (long long)number);
}
