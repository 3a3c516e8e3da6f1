/* A parser by descent, one function a level of binding, loosest first. Each returns a struct value:
 * the SQL written so far, its type, how large a whole number can become, and whether a hidden
 * column shows through. After the first mistake every function returns the empty value and the
 * parser goes nowhere (struct reader is sticky, as in the wire readers).
 *
 * Texts of columns have the collation "C": two of different collations cannot be compared, and
 * pattern matching fails on those that are nondeterministic. */
#include "enforce/expression_inside.h"

#include <string.h>

#include "enforce/literal.h"

static struct expression_value read_case(struct expression_reader *r)
{
    struct expression_value v = { .type = VALUE_NULL };
    const char *text = "CASE";
    bool any = false;
    while (expression_take(r, "when")) {
        struct expression_value condition = expression_read(r);
        (void)expression_is_of(r, &condition, VALUE_BOOL, "when");
        expression_look_at(r, &condition);
        expression_must_take(r, "then");
        struct expression_value then = expression_read(r);
        v.type = expression_agree(r, &v, &then);
        expression_widen(&v, &then);
        v.shows = v.shows != NULL ? v.shows : expression_shows_of(&then, &condition);
        text = expression_join(r, expression_join(r, text, " WHEN ", condition.sql), " THEN ",
                               then.sql);
        any = true;
    }
    if (!any)
        return expression_wrong(r, "expected \"when\" behind \"case\"");
    if (expression_take(r, "else")) {
        struct expression_value other = expression_read(r);
        v.type = expression_agree(r, &v, &other);
        expression_widen(&v, &other);
        v.shows = expression_shows_of(&v, &other);
        text = expression_join(r, text, " ELSE ", other.sql);
    }
    expression_must_take(r, "end");
    return expression_write(r, v, "%s END", text);
}

static struct expression_value read_date(struct expression_reader *r)
{
    struct expression_value v = { .type = VALUE_DATE, .is_constant = true };
    if (r->kind != TOKEN_TEXT || !literal_is_date(r->text))
        return expression_wrong(r, "expected a date such as date '2026-01-31'");
    v = expression_write(r, v, "CAST('%s' AS date)", r->text);
    expression_next(r);
    return v;
}

static struct expression_value read_named(struct expression_reader *r)
{
    char name[WORD_MAX];
    bool is_word = r->kind == TOKEN_WORD;
    memcpy(name, r->word, sizeof(name));
    expression_next(r);
    if (is_word && strcmp(name, "null") == 0)
        return expression_write(
            r, (struct expression_value){ .type = VALUE_NULL, .is_constant = true }, "NULL");
    if (is_word && (strcmp(name, "true") == 0 || strcmp(name, "false") == 0))
        return expression_write(
            r, (struct expression_value){ .type = VALUE_BOOL, .is_constant = true }, "%s", name);
    if (is_word && strcmp(name, "date") == 0 && r->kind == TOKEN_TEXT)
        return read_date(r);
    if (is_word && strcmp(name, "case") == 0)
        return read_case(r);
    if (is_word && strcmp(name, "select") == 0)
        return expression_wrong(r, "it may read its own row only, so there is no select");
    if (expression_take(r, "("))
        return expression_call(r, name);
    return expression_column(r, name);
}

static struct expression_value read_primary(struct expression_reader *r)
{
    struct expression_value v = nothing;
    if (++r->depth > DEPTH_MAX)
        return expression_wrong(r, "it is nested too deeply");
    if (r->kind == TOKEN_NUMBER) {
        v = expression_number(r, r->number);
        expression_next(r);
    } else if (r->kind == TOKEN_TEXT) {
        v = expression_text(r, r->text);
        expression_next(r);
    } else if (r->kind == TOKEN_WORD || r->kind == TOKEN_NAME) {
        v = read_named(r);
    } else if (expression_take(r, "(")) {
        v = expression_read(r);
        expression_must_take(r, ")");
    } else {
        v = expression_wrong(r, "expected a value%s%s",
                             r->word[0] != '\0' ? " before " : " at the end", r->word);
    }
    r->depth--;
    return v;
}

/* A value, its sign, and ::text behind it. */
static struct expression_value read_unary(struct expression_reader *r)
{
    bool is_negative = expression_take(r, "-");
    struct expression_value v = read_primary(r);
    if (is_negative && (v.type != VALUE_INTEGER || !v.is_constant))
        return expression_wrong(r, "\"-\" in front takes a constant number");
    if (is_negative)
        v = expression_number(r, -v.number);
    while (expression_take(r, "::")) {
        if (!expression_take(r, "text"))
            return expression_wrong(r, "the only cast that cannot fail here is ::text");
        expression_look_at(r, &v);
        bool fits = v.type == VALUE_INTEGER || v.type == VALUE_TEXT || v.type == VALUE_BOOL ||
                    v.type == VALUE_UUID;
        if (!fits)
            return expression_wrong(r, "a %s cannot be cast to text", expression_type_name(v.type));
        v = expression_write(r, (struct expression_value){ .type = VALUE_TEXT, .shows = v.shows },
                             "CAST(%s AS text)", v.sql);
    }
    return v;
}

/* Between what "A SIGN B" can lie. */
static void bound_integers(char sign, const struct expression_value *a,
                           const struct expression_value *b, struct expression_value *v)
{
    const double n = (double)b->number;
    const double ends[] = { a->low * b->low, a->low * b->high, a->high * b->low,
                            a->high * b->high };
    switch (sign) {
    case '/':
        v->low = a->low / n;
        v->high = a->high / n;
        break;
    case '%':
        v->low = a->low < 0 ? 1 - n : 0;
        v->high = n - 1;
        break;
    case '*':
        for (size_t i = 0; i < RF_COUNT(ends); i++) {
            v->low = i == 0 || ends[i] < v->low ? ends[i] : v->low;
            v->high = i == 0 || ends[i] > v->high ? ends[i] : v->high;
        }
        break;
    case '+':
        v->low = a->low + b->low;
        v->high = a->high + b->high;
        break;
    default:
        v->low = a->low - b->high;
        v->high = a->high - b->low;
    }
}

static struct expression_value join_integers(struct expression_reader *r, char sign,
                                             struct expression_value a, struct expression_value b)
{
    static const char what[] = "arithmetic";
    expression_look_at(r, &a);
    expression_look_at(r, &b);
    if (!expression_is_of(r, &a, VALUE_INTEGER, what) ||
        !expression_is_of(r, &b, VALUE_INTEGER, what))
        return nothing;
    bool divides = sign == '/' || sign == '%';
    if (divides && (!b.is_constant || b.number < 1))
        return expression_wrong(r, "\"%c\" takes a constant number from 1 on its right", sign);
    struct expression_value v = { .type = VALUE_INTEGER, .shows = expression_shows_of(&a, &b) };
    bound_integers(sign, &a, &b, &v);
    if (!divides && (v.low < -BIGINT_SAFE || v.high > BIGINT_SAFE))
        return expression_wrong(r, "\"%c\" could overflow here (divide first)", sign);
    if (sign == '/' && b.number >= 2)
        v.shows = b.shows;
    return expression_write(r, v, "(%s %c %s)", a.sql, sign, b.sql);
}

static struct expression_value read_product(struct expression_reader *r)
{
    struct expression_value v = read_unary(r);
    while (r->rc == 0) {
        char sign = r->kind == TOKEN_SIGN ? r->word[0] : '\0';
        if (!expression_take(r, "*") && !expression_take(r, "/") && !expression_take(r, "%"))
            return v;
        struct expression_value right = read_unary(r);
        v = join_integers(r, sign, v, right);
    }
    return nothing;
}

static struct expression_value read_sum(struct expression_reader *r)
{
    struct expression_value v = read_product(r);
    while (r->rc == 0) {
        char sign = r->kind == TOKEN_SIGN ? r->word[0] : '\0';
        bool joins = expression_take(r, "||");
        if (!joins && !expression_take(r, "+") && !expression_take(r, "-"))
            return v;
        struct expression_value right = read_product(r);
        if (!joins) {
            v = join_integers(r, sign, v, right);
            continue;
        }
        expression_look_at(r, &v);
        expression_look_at(r, &right);
        if (!expression_is_of(r, &v, VALUE_TEXT, "||") ||
            !expression_is_of(r, &right, VALUE_TEXT, "||"))
            return nothing;
        struct expression_value both = { .type = VALUE_TEXT,
                                         .shows = expression_shows_of(&v, &right) };
        v = expression_write(r, both, "(%s || %s)", v.sql, right.sql);
    }
    return nothing;
}

static struct expression_value compare(struct expression_reader *r,
                                       const struct expression_value *a, const char *operator,
                                       const struct expression_value * b)
{
    static const struct expression_value truth = { .type = VALUE_BOOL };
    expression_look_at(r, a);
    expression_look_at(r, b);
    bool mixed = (a->type == VALUE_REAL && b->type == VALUE_INTEGER) ||
                 (b->type == VALUE_REAL && a->type == VALUE_INTEGER);
    if (!mixed && expression_agree(r, a, b) == VALUE_NONE)
        return nothing;
    return expression_write(r, truth, "(%s %s %s)", a->sql, operator, b->sql);
}

static struct expression_value read_in(struct expression_reader *r,
                                       const struct expression_value *a)
{
    const char *list = NULL;
    int count = 0;
    expression_must_take(r, "(");
    do {
        struct expression_value one = read_unary(r);
        if (r->rc == 0 && !one.is_constant)
            return expression_wrong(r, "\"in\" takes constants");
        if (++count > UNHASHED_MAX && a->type != VALUE_TEXT)
            return expression_wrong(r, "\"in\" takes at most %d constants that are no texts",
                                    (int)UNHASHED_MAX);
        (void)compare(r, a, "=", &one);
        if (r->rc < 0)
            return nothing;
        list = list == NULL ? one.sql : expression_join(r, list, ", ", one.sql);
    } while (expression_take(r, ","));
    expression_must_take(r, ")");
    return expression_write(r, (struct expression_value){ .type = VALUE_BOOL }, "(%s IN (%s))",
                            a->sql, list);
}

static struct expression_value read_between(struct expression_reader *r,
                                            const struct expression_value *a)
{
    struct expression_value low = read_sum(r);
    expression_must_take(r, "and");
    struct expression_value high = read_sum(r);
    struct expression_value from = compare(r, a, ">=", &low), to = compare(r, a, "<=", &high);
    return expression_write(r, (struct expression_value){ .type = VALUE_BOOL }, "(%s AND %s)",
                            r->rc == 0 ? from.sql : "", r->rc == 0 ? to.sql : "");
}

static struct expression_value read_like(struct expression_reader *r,
                                         const struct expression_value *a)
{
    expression_look_at(r, a);
    struct expression_value pattern = read_unary(r);
    if (!expression_is_of(r, a, VALUE_TEXT, "like"))
        return nothing;
    if (pattern.type != VALUE_TEXT || !pattern.is_constant)
        return expression_wrong(r, "\"like\" takes a constant text");
    return expression_write(r, (struct expression_value){ .type = VALUE_BOOL }, "(%s LIKE %s)",
                            a->sql, pattern.sql);
}

static struct expression_value read_null_test(struct expression_reader *r,
                                              const struct expression_value *a)
{
    bool is_not = expression_take(r, "not");
    expression_must_take(r, "null");
    return expression_write(r, (struct expression_value){ .type = VALUE_BOOL }, "(%s IS %sNULL)",
                            a->sql != NULL ? a->sql : "", is_not ? "NOT " : "");
}

static struct expression_value read_comparison(struct expression_reader *r)
{
    static const char *const operators[] = { "=", "<>", "!=", "<", "<=", ">", ">=" };
    struct expression_value v = read_sum(r);
    for (size_t i = 0; i < RF_COUNT(operators); i++) {
        if (!expression_take(r, operators[i]))
            continue;
        struct expression_value right = read_sum(r);
        return compare(r, &v, strcmp(operators[i], "!=") == 0 ? "<>" : operators[i], &right);
    }
    if (expression_take(r, "is"))
        return read_null_test(r, &v);
    bool is_not = expression_take(r, "not");
    struct expression_value test = v;
    if (expression_take(r, "in"))
        test = read_in(r, &v);
    else if (expression_take(r, "between"))
        test = read_between(r, &v);
    else if (expression_take(r, "like"))
        test = read_like(r, &v);
    else if (is_not)
        return expression_wrong(r, "expected \"in\", \"between\" or \"like\" behind \"not\"");
    return is_not ? expression_write(r, test, "(NOT %s)", r->rc == 0 ? test.sql : "") : test;
}

static struct expression_value read_not(struct expression_reader *r)
{
    if (!expression_take(r, "not"))
        return read_comparison(r);
    if (++r->depth > DEPTH_MAX)
        return expression_wrong(r, "it is nested too deeply");
    struct expression_value v = read_not(r);
    r->depth--;
    expression_look_at(r, &v);
    if (!expression_is_of(r, &v, VALUE_BOOL, "not"))
        return nothing;
    return expression_write(r, v, "(NOT %s)", v.sql);
}

static struct expression_value
read_joined(struct expression_reader *r, const char *word,
            struct expression_value (*read_side)(struct expression_reader *r))
{
    struct expression_value v = read_side(r);
    while (expression_take(r, word)) {
        struct expression_value right = read_side(r);
        expression_look_at(r, &v);
        expression_look_at(r, &right);
        if (!expression_is_of(r, &v, VALUE_BOOL, word) ||
            !expression_is_of(r, &right, VALUE_BOOL, word))
            return nothing;
        v.shows = expression_shows_of(&v, &right);
        v.is_constant = false;
        v = expression_write(r, v, "(%s %s %s)", v.sql, word, right.sql);
    }
    return v;
}

static struct expression_value read_and(struct expression_reader *r)
{
    return read_joined(r, "and", read_not);
}

struct expression_value expression_read(struct expression_reader *r)
{
    return read_joined(r, "or", read_and);
}

/* -- the whole -- */

static void check_fits(struct expression_reader *r, const struct expression_value *v,
                       const struct catalog_column *fact)
{
    static const struct {
        enum column_kind kind;
        enum value_type type;
        double low, high; /* zero: no limit */
    } kinds[] = {
        { KIND_TEXT, VALUE_TEXT, 0, 0 },
        { KIND_INT2, VALUE_INTEGER, INT16_MIN, INT16_MAX },
        { KIND_INT4, VALUE_INTEGER, INT32_MIN, INT32_MAX },
        { KIND_INT8, VALUE_INTEGER, 0, 0 },
        { KIND_BOOL, VALUE_BOOL, 0, 0 },
        { KIND_DATE, VALUE_DATE, 0, 0 },
        { KIND_TIMESTAMP, VALUE_TIMESTAMP, 0, 0 },
        { KIND_TIMESTAMPTZ, VALUE_TIMESTAMPTZ, 0, 0 },
        { KIND_UUID, VALUE_UUID, 0, 0 },
        { KIND_INET, VALUE_INET, 0, 0 },
    };
    if (v->type == VALUE_NULL)
        return;
    for (size_t i = 0; i < RF_COUNT(kinds); i++) {
        if (kinds[i].kind != fact->kind || kinds[i].type != v->type)
            continue;
        if (kinds[i].high > 0 && (v->low < kinds[i].low || v->high > kinds[i].high))
            (void)expression_wrong(r, "the result can be larger than type %s holds (divide it)",
                                   fact->type);
        return;
    }
    (void)expression_wrong(r, "the result is a %s, the column of type %s",
                           expression_type_name(v->type), fact->type);
}

static void check_hides(struct expression_reader *r, const struct expression_value *v)
{
    if (v->shows != NULL)
        (void)expression_wrong(
            r,
            "it shows column %s of class %s (expected a comparison, its length, a division,"
            " or left or right of at most %d characters)",
            v->shows->name, policy_class_name(v->shows->class_id), (int)SHOWN_MAX);
    if (r->shown > SHOWN_MAX)
        (void)expression_wrong(r, "it shows more than %d characters of hidden columns",
                               (int)SHOWN_MAX);
}

int expression_add(struct sql *s, const struct policy_column *column,
                   const struct catalog_table *facts, const struct catalog_column *fact,
                   const char *where_name, struct err *err)
{
    struct expression_reader r = { .at = column->sql != NULL ? column->sql : "",
                                   .column = column,
                                   .facts = facts,
                                   .where_name = where_name,
                                   .err = err };
    arena_init(&r.arena);
    expression_next(&r);
    struct expression_value v = expression_read(&r);
    if (r.rc == 0 && r.kind != TOKEN_END)
        (void)expression_wrong(&r, "\"%s\" is not understood here",
                               r.word[0] != '\0' ? r.word : "value");
    if (r.rc == 0)
        check_fits(&r, &v, fact);
    if (r.rc == 0)
        check_hides(&r, &v);
    if (r.rc == 0)
        sql_add(s, "%S", v.sql);
    arena_done(&r.arena);
    return r.rc;
}
