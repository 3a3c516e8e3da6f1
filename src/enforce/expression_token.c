#include "enforce/expression_inside.h"

#include <stdio.h>
#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void read_word(struct expression_reader *r)
{
    size_t n = 0;
    while (is_letter(r->at[n]) || is_digit(r->at[n]) || r->at[n] == '$')
        n++;
    if (n >= WORD_MAX) {
        (void)expression_wrong(r, "a name is longer than 63 characters");
        return;
    }
    for (size_t i = 0; i < n; i++)
        r->word[i] = r->at[i] >= 'A' && r->at[i] <= 'Z' ? (char)(r->at[i] + 32) : r->at[i];
    r->word[n] = '\0';
    r->at += n;
    r->kind = TOKEN_WORD;
}

static void read_number(struct expression_reader *r)
{
    r->number = 0;
    for (; is_digit(*r->at); r->at++) {
        r->number = r->number * 10 + (*r->at - '0');
        if (r->number > INT32_MAX) {
            (void)expression_wrong(r, "a number is larger than 2147483647");
            return;
        }
    }
    if (is_letter(*r->at) || *r->at == '.')
        (void)expression_wrong(r, "a number is not whole");
    else
        r->kind = TOKEN_NUMBER;
}

/* 'text' or "name"; the mark doubled stands for itself. */
static void read_marked(struct expression_reader *r, char mark)
{
    char text[256];
    size_t n = 0;
    for (r->at++; *r->at != '\0'; r->at++) {
        if (*r->at == mark && *++r->at != mark) {
            text[n] = '\0';
            r->kind = mark == '\'' ? TOKEN_TEXT : TOKEN_NAME;
            r->text = arena_strndup(&r->arena, text, n);
            if (r->text == NULL)
                (void)expression_wrong(r, "out of memory");
            else if (mark == '"' && n < WORD_MAX)
                memcpy(r->word, text, n + 1);
            else if (mark == '"')
                (void)expression_wrong(r, "a name is longer than 63 characters");
            return;
        }
        if (n + 1 == sizeof(text) || *r->at == '\\') {
            (void)expression_wrong(r, "a text is longer than 255 bytes, or has a backslash");
            return;
        }
        text[n++] = *r->at;
    }
    (void)expression_wrong(r, "a %c is not closed", mark);
}

void expression_next(struct expression_reader *r)
{
    static const char *const signs[] = { "<=", ">=", "<>", "!=", "||", "::", "<", ">", "=",
                                         "+",  "-",  "*",  "/",  "%",  "(",  ")", "," };
    if (r->rc < 0)
        return;
    r->at += strspn(r->at, " ");
    r->word[0] = '\0';
    if (*r->at == '\0')
        r->kind = TOKEN_END;
    else if (is_letter(*r->at))
        read_word(r);
    else if (is_digit(*r->at))
        read_number(r);
    else if (*r->at == '\'' || *r->at == '"')
        read_marked(r, *r->at);
    else {
        for (size_t i = 0; i < RF_COUNT(signs); i++) {
            if (strncmp(r->at, signs[i], strlen(signs[i])) != 0)
                continue;
            (void)snprintf(r->word, sizeof(r->word), "%s", signs[i]);
            r->at += strlen(signs[i]);
            r->kind = TOKEN_SIGN;
            if (r->word[0] == '-' && *r->at == '-')
                (void)expression_wrong(r, "comments are not understood");
            return;
        }
        (void)expression_wrong(r, "\"%.1s\" is not understood", r->at);
    }
}

bool expression_take(struct expression_reader *r, const char *word)
{
    if ((r->kind != TOKEN_WORD && r->kind != TOKEN_SIGN) || strcmp(r->word, word) != 0)
        return false;
    expression_next(r);
    return r->rc == 0;
}

void expression_must_take(struct expression_reader *r, const char *word)
{
    if (r->rc == 0 && !expression_take(r, word))
        (void)expression_wrong(r, "expected \"%s\"%s%s", word,
                               r->word[0] != '\0' ? " before " : " at the end", r->word);
}
