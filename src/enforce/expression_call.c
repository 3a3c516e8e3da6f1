#include "enforce/expression_inside.h"

#include <string.h>

struct call {
    const char *name;
    struct expression_value arguments[ARGUMENTS_MAX];
    size_t count;
};

static struct expression_value call_text(struct expression_reader *r,
                                         struct call *c) /* lower, upper, btrim */
{
    const struct expression_value *a = &c->arguments[0];
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_TEXT, c->name))
        return nothing;
    return expression_write(r, (struct expression_value){ .type = VALUE_TEXT, .shows = a->shows },
                            "%s(%s)", c->name, a->sql);
}

/* left, right: what two characters tell is no longer the column. */
static struct expression_value call_part(struct expression_reader *r, struct call *c)
{
    const struct expression_value *a = &c->arguments[0], *n = &c->arguments[1];
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_TEXT, c->name))
        return nothing;
    if (n->type != VALUE_INTEGER || !n->is_constant || n->number < 1)
        return expression_wrong(r, "%s takes a constant number from 1", c->name);
    bool is_short = a->shows != NULL && n->number <= SHOWN_MAX;
    r->shown += is_short ? (int)n->number : 0;
    struct expression_value v = { .type = VALUE_TEXT, .shows = is_short ? NULL : a->shows };
    return expression_write(r, v, "\"%s\"(%s, %lld)", c->name, a->sql, (long long)n->number);
}

static struct expression_value call_length(struct expression_reader *r, struct call *c)
{
    const struct expression_value *a = &c->arguments[0];
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_TEXT, c->name))
        return nothing;
    return expression_write(r,
                            (struct expression_value){ .type = VALUE_INTEGER, .high = LENGTH_MAX },
                            "CAST(length(%s) AS bigint)", a->sql);
}

static struct expression_value call_split(struct expression_reader *r, struct call *c)
{
    const struct expression_value *a = &c->arguments[0], *by = &c->arguments[1],
                                  *n = &c->arguments[2];
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_TEXT, c->name))
        return nothing;
    if (by->type != VALUE_TEXT || !by->is_constant || by->text[0] == '\0' ||
        n->type != VALUE_INTEGER || !n->is_constant || n->number < 1)
        return expression_wrong(r, "split_part takes a constant text and a constant number from 1");
    return expression_write(r, (struct expression_value){ .type = VALUE_TEXT, .shows = a->shows },
                            "split_part(%s, %s, %lld)", a->sql, by->sql, (long long)n->number);
}

/* strpos, starts_with: a comparison with a constant. */
static struct expression_value call_find(struct expression_reader *r, struct call *c)
{
    const struct expression_value *a = &c->arguments[0], *what = &c->arguments[1];
    bool is_position = strcmp(c->name, "strpos") == 0;
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_TEXT, c->name))
        return nothing;
    if (what->type != VALUE_TEXT || !what->is_constant)
        return expression_wrong(r, "%s takes a constant text", c->name);
    struct expression_value v = { .type = is_position ? VALUE_INTEGER : VALUE_BOOL,
                                  .high = LENGTH_MAX };
    return is_position ? expression_write(r, v, "CAST(strpos(%s, %s) AS bigint)", a->sql, what->sql)
                       : expression_write(r, v, "starts_with(%s, %s)", a->sql, what->sql);
}

static struct expression_value call_address(struct expression_reader *r,
                                            struct call *c) /* host, family */
{
    const struct expression_value *a = &c->arguments[0];
    bool is_host = strcmp(c->name, "host") == 0;
    expression_look_at(r, a);
    if (!expression_is_of(r, a, VALUE_INET, c->name))
        return nothing;
    if (is_host)
        return expression_write(r,
                                (struct expression_value){ .type = VALUE_TEXT, .shows = a->shows },
                                "host(%s)", a->sql);
    return expression_write(r, (struct expression_value){ .type = VALUE_INTEGER, .high = 6 },
                            "CAST(family(%s) AS bigint)", a->sql);
}

/* coalesce, nullif, greatest, least: one of the arguments. */
static struct expression_value call_choice(struct expression_reader *r, struct call *c)
{
    struct expression_value v = c->arguments[0];
    const char *list = v.sql;
    expression_look_at(r, &v);
    for (size_t i = 1; i < c->count && r->rc == 0; i++) {
        const struct expression_value *a = &c->arguments[i];
        expression_look_at(r, a);
        v.type = expression_agree(r, &v, a);
        expression_widen(&v, a);
        v.shows = expression_shows_of(&v, a);
        list = expression_join(r, list, ", ", a->sql);
    }
    v.is_constant = false;
    return expression_write(r, v, "%s(%s)", c->name, list);
}

static const struct {
    const char *name;
    size_t min, max;
    struct expression_value (*call)(struct expression_reader *r, struct call *c);
} functions[] = {
    { "lower", 1, 1, call_text },
    { "upper", 1, 1, call_text },
    { "btrim", 1, 1, call_text },
    { "left", 2, 2, call_part },
    { "right", 2, 2, call_part },
    { "length", 1, 1, call_length },
    { "split_part", 3, 3, call_split },
    { "strpos", 2, 2, call_find },
    { "starts_with", 2, 2, call_find },
    { "host", 1, 1, call_address },
    { "family", 1, 1, call_address },
    { "coalesce", 2, ARGUMENTS_MAX, call_choice },
    { "nullif", 2, 2, call_choice },
    { "greatest", 2, ARGUMENTS_MAX, call_choice },
    { "least", 2, ARGUMENTS_MAX, call_choice },
};

struct expression_value expression_call(struct expression_reader *r, const char *name)
{
    struct call c = { .name = name };
    size_t i = 0;
    while (i < RF_COUNT(functions) && strcmp(functions[i].name, name) != 0)
        i++;
    if (i == RF_COUNT(functions))
        return expression_wrong(
            r,
            "function %s is not among those that are known to be harmless (expected one of"
            " lower, upper, btrim, left, right, length, split_part, strpos, starts_with,"
            " host, family, coalesce, nullif, greatest, least)",
            name);
    while (r->rc == 0 && c.count < ARGUMENTS_MAX) {
        c.arguments[c.count++] = expression_read(r);
        if (!expression_take(r, ","))
            break;
    }
    expression_must_take(r, ")");
    if (r->rc < 0)
        return nothing;
    if (c.count < functions[i].min || c.count > functions[i].max)
        return expression_wrong(r, "%s takes %zu values, not %zu", name, functions[i].min, c.count);
    /* what it gives is a value; nothing of C is kept */
    /* cppcheck-suppress returnDanglingLifetime */
    return functions[i].call(r, &c);
}
