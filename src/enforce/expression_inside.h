/* expression_inside.h - what the parts of the reader of expressions share; nobody else includes it.
 *
 * expression_token.c cuts the text into words and signs, expression_value.c makes values of columns
 * and constants and knows what shows, expression_call.c has the functions, expression.c the rest.
 */
#ifndef RF_ENFORCE_EXPRESSION_INSIDE_H
#define RF_ENFORCE_EXPRESSION_INSIDE_H

#include "enforce/expression.h"
#include "policy/arena.h"

enum { DEPTH_MAX = 24, ARGUMENTS_MAX = 8, WORD_MAX = 64, SHOWN_MAX = 2, LENGTH_MAX = 1 << 30 };
enum { UNHASHED_MAX = 8 }; /* longer lists call the type's hash function, which persons may not */
#define BIGINT_SAFE 4.0e18 /* below 2^62: sums of what is read so far still fit */

enum value_type {
    VALUE_NONE, /* after a mistake */
    VALUE_NULL,
    VALUE_TEXT,
    VALUE_INTEGER,
    VALUE_REAL, /* float8 or numeric: only compared */
    VALUE_BOOL,
    VALUE_DATE,
    VALUE_TIMESTAMP,
    VALUE_TIMESTAMPTZ,
    VALUE_UUID,
    VALUE_INET,
    VALUE_COUNT
};

struct expression_value {
    enum value_type type;
    const char *sql;
    double low, high; /* VALUE_INTEGER: what it can be */
    int64_t number;   /* of a constant whole number */
    const char *text; /* of a constant text */
    bool is_constant;
    const struct policy_column *shows; /* a hidden column that can be told from it; NULL: none */
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_SIGN };

struct expression_reader {
    const char *at; /* behind the token */
    enum token_kind kind;
    char word[WORD_MAX]; /* of words in small letters; of signs "<=" */
    const char *text;    /* of TOKEN_TEXT */
    int64_t number;
    int depth, shown;
    const struct policy_column *column;
    const struct catalog_table *facts;
    struct arena arena;
    const char *where_name;
    struct err *err;
    int rc;
};

static const struct expression_value nothing = { .type = VALUE_NONE };

/* The one mistake that is told: the first. Returns the empty value; from here on nothing is read.
 */
struct expression_value expression_wrong(struct expression_reader *r, const char *fmt, ...)
    RF_PRINTF(2, 3);

/* V with the SQL of FMT. */
struct expression_value expression_write(struct expression_reader *r, struct expression_value v,
                                         const char *fmt, ...) RF_PRINTF(3, 4);

/* "AbetweenB", or "" after a mistake. */
const char *expression_join(struct expression_reader *r, const char *a, const char *between,
                            const char *b);

/* Tokens. Take: is this word or sign next? Then go on behind it. */
void expression_next(struct expression_reader *r);
bool expression_take(struct expression_reader *r, const char *word);
void expression_must_take(struct expression_reader *r, const char *word);

/* What can be A can be B, too. */
void expression_widen(struct expression_value *a, const struct expression_value *b);

/* An operator or function reads V: fine for constants and for columns that may be looked at. */
void expression_look_at(struct expression_reader *r, const struct expression_value *v);
const struct policy_column *expression_shows_of(const struct expression_value *a,
                                                const struct expression_value *b);

/* Is V of this type? A mistake when not; WHAT takes it. */
bool expression_is_of(struct expression_reader *r, const struct expression_value *v,
                      enum value_type type, const char *what);
const char *expression_type_name(enum value_type type);

/* The common type of A and B, or a mistake. */
enum value_type expression_agree(struct expression_reader *r, const struct expression_value *a,
                                 const struct expression_value *b);

struct expression_value expression_column(struct expression_reader *r, const char *name);
struct expression_value expression_text(struct expression_reader *r, const char *text);
struct expression_value expression_number(struct expression_reader *r, int64_t number);

/* Behind "NAME(". */
struct expression_value expression_call(struct expression_reader *r, const char *name);

/* A whole expression, up to what is no part of it. */
struct expression_value expression_read(struct expression_reader *r);

#endif
