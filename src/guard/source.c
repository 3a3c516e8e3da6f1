#include "guard/source.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The end of a comment that nests, as in PostgreSQL; END when it is not closed. */
static const char *block_skip(const char *at, const char *end)
{
    int depth = 0;
    while (end - at >= 2) {
        bool opens = at[0] == '/' && at[1] == '*', closes = at[0] == '*' && at[1] == '/';
        at += opens || closes ? 2 : 1;
        depth += opens - closes;
        if (depth == 0)
            return at;
    }
    return end;
}

static const char *line_skip(const char *at, const char *end)
{
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return at;
}

void source_trim(const char *sql, uint32_t *offset, uint32_t *len)
{
    const char *at = sql + *offset, *end = at + *len;
    for (;;) {
        if (at < end && is_blank(*at))
            at++;
        else if (end - at >= 2 && at[0] == '-' && at[1] == '-')
            at = line_skip(at, end);
        else if (end - at >= 2 && at[0] == '/' && at[1] == '*')
            at = block_skip(at, end);
        else
            break;
    }
    while (end > at && is_blank(end[-1]))
        end--;
    *offset = (uint32_t)(at - sql);
    *len = (uint32_t)(end - at);
}

/* How long a character is by its first byte, as pg_utf_mblen() says. */
static size_t length_by(unsigned char first)
{
    if ((first & 0x80) == 0)
        return 1;
    if ((first & 0xe0) == 0xc0)
        return 2;
    if ((first & 0xf0) == 0xe0)
        return 3;
    return (first & 0xf8) == 0xf0 ? 4 : 1;
}

/* Unicode, table 3-7: the second byte has narrower ranges after some first bytes. */
static bool is_legal(const unsigned char *c, size_t n)
{
    unsigned char low = 0x80, high = 0xbf;
    if (n == 1)
        return c[0] < 0x80;
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return false;
    if (c[0] == 0xe0)
        low = 0xa0;
    else if (c[0] == 0xed)
        high = 0x9f;
    else if (c[0] == 0xf0)
        low = 0x90;
    else if (c[0] == 0xf4)
        high = 0x8f;
    if (c[1] < low || c[1] > high)
        return false;
    for (size_t i = 2; i < n; i++) {
        if (c[i] < 0x80 || c[i] > 0xbf)
            return false;
    }
    return true;
}

size_t source_bad_bytes(const char *sql, size_t len, size_t *ret_at)
{
    for (size_t i = 0; i < len;) {
        const unsigned char *c = (const unsigned char *)sql + i;
        size_t n = length_by(c[0]), left = len - i;
        if (n > left || !is_legal(c, n)) {
            *ret_at = i;
            return n < left ? n : left;
        }
        i += n;
    }
    return 0;
}

size_t source_stand_in(char *text)
{
    size_t found = 0, n = sizeof(SOURCE_GRANT) - 1;
    for (char *at = text; (at = strcasestr(at, SOURCE_GRANT)) != NULL; at += n, found++)
        memcpy(at, SOURCE_GRANT_STAND_IN, n);
    return found;
}

size_t source_operator_run(const char *sql, size_t len)
{
    size_t run = 0, longest = 0;
    for (size_t i = 0; i < len; i++) {
        run = sql[i] != '\0' && strchr("~!@#^&|`?+-*/%<>=", sql[i]) != NULL ? run + 1 : 0;
        if (run > longest)
            longest = run;
    }
    return longest;
}
