#include "policy/watermark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NUMBER_DIGITS_MIN = 15, /* decimal: of 100,000 pseudonyms one has fewer */
    NUMBER_DIGITS_MAX = 19,
    UUID_LEN = 36,
    TEXT_DIGITS_MAX = 20, /* of "p_…" (enforce/pseudonym.h) */
    FRACTION_DIGITS = 6,
    QUARTER_MINUTES = 15
};

/* By accident fits one of so many. */
static const double one_of[WATERMARK_KIND_COUNT] = {
    [WATERMARK_PSEUDONYM] = 16777216, [WATERMARK_TIME] = 1000
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_at(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && is_digit(text[n]))
        n++;
    return n;
}

/* Hexadecimal digits of either case, hyphens of a uuid left out. False: something else, or not
   between MIN and MAX of them. */
static bool read_hex(const char *text, size_t len, size_t min, size_t max, struct watermark *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '-' && len == UUID_LEN && (i == 8 || i == 13 || i == 18 || i == 23))
            continue;
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (n == max || (!is_digit(c) && (c < 'a' || c > 'f')))
            return false;
        ret->digits[n++] = c;
    }
    ret->digits[n] = '\0';
    return n >= min;
}

static bool read_number(const char *text, size_t len, struct watermark *ret)
{
    uint64_t number = 0;
    if (len < NUMBER_DIGITS_MIN || len > NUMBER_DIGITS_MAX || digits_at(text, len) != len ||
        text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++)
        number = 10 * number + (uint64_t)(text[i] - '0'); /* 19 digits fit */
    if (number > INT64_MAX)
        return false;
    (void)snprintf(ret->digits, sizeof(ret->digits), "%016" PRIx64, number);
    return true;
}

static bool read_pseudonym(const char *text, size_t len, struct watermark *ret)
{
    if (read_number(text, len, ret))
        return true;
    if (len > 2 && text[0] == 'p' && text[1] == '_')
        return read_hex(text + 2, len - 2, WATERMARK_DIGITS_MIN, TEXT_DIGITS_MAX, ret);
    return (len == UUID_LEN || len == WATERMARK_DIGITS_MAX) &&
           read_hex(text, len, WATERMARK_DIGITS_MAX, WATERMARK_DIGITS_MAX, ret);
}

static uint32_t number_of(const char *digits, size_t n)
{
    uint32_t number = 0;
    for (size_t i = 0; i < n; i++)
        number = 10 * number + (uint32_t)(digits[i] - '0');
    return number;
}

/* "…MM:SS.FFFFFF…". Zeros at the end are not always written; where a time has no fraction at all,
   it would have to be one of a million. */
static bool read_time(const char *text, size_t len, struct watermark *ret)
{
    const char *dot = memchr(text, '.', len);
    if (dot == NULL || dot - text < 5)
        return false;
    const char *at = dot - 5;
    size_t n = digits_at(dot + 1, len - (size_t)(dot + 1 - text));
    if (digits_at(at, 2) != 2 || at[2] != ':' || digits_at(at + 3, 2) != 2 || n == 0 ||
        n > FRACTION_DIGITS || number_of(at, 2) > 59 || number_of(at + 3, 2) > 59)
        return false;
    uint32_t fraction = number_of(dot + 1, n);
    for (; n < FRACTION_DIGITS; n++)
        fraction *= 10;
    ret->ms =
        (number_of(at, 2) % QUARTER_MINUTES * 60 + number_of(at + 3, 2)) * 1000 + fraction / 1000;
    ret->us = fraction % 1000;
    return true;
}

enum watermark_kind watermark_read(const char *text, size_t len, struct watermark *ret)
{
    *ret = (struct watermark){ .kind = WATERMARK_NONE };
    if (read_pseudonym(text, len, ret))
        ret->kind = WATERMARK_PSEUDONYM;
    else if (read_time(text, len, ret))
        ret->kind = WATERMARK_TIME;
    return ret->kind;
}

double watermark_chance(const size_t tried[WATERMARK_KIND_COUNT],
                        const size_t fit[WATERMARK_KIND_COUNT], size_t grants)
{
    double chance = (double)grants;
    for (size_t kind = 0; kind < WATERMARK_KIND_COUNT; kind++)
        for (size_t i = 0; i < fit[kind]; i++) /* so many of so many can be chosen in … ways */
            chance *= (double)(tried[kind] - i) / (double)(i + 1) / one_of[kind];
    return chance < 1 ? chance : 1;
}
