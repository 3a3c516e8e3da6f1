#include "enforce/literal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMERIC_DIGITS_MAX = 100 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Characters, not bytes; the policy is known to be UTF-8. */
static int characters(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_integer(const char *value, int64_t min, int64_t max)
{
    char *end;
    const char *digits = value + (value[0] == '-');
    if (!is_digit(digits[0]))
        return false;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    return *end == '\0' && errno == 0 && number >= min && number <= max;
}

/* "-12.50": digits before and behind one point, no exponent. */
static bool split_number(const char *value, int *ret_before, int *ret_behind)
{
    const char *at = value + (value[0] == '-');
    int before = 0, behind = 0;
    while (*at == '0' && is_digit(at[1])) /* do not count */
        at++;
    if (!is_digit(*at))
        return false;
    for (; is_digit(*at); at++)
        before++;
    if (*at == '.') {
        if (!is_digit(*++at))
            return false;
        for (; is_digit(*at); at++)
            behind++;
    }
    *ret_before = before;
    *ret_behind = behind;
    return *at == '\0' && before + behind <= NUMERIC_DIGITS_MAX;
}

static bool is_numeric(const char *value, const char *type)
{
    int before, behind, precision, scale;
    if (!split_number(value, &before, &behind))
        return false;
    if (strcmp(type, "numeric") == 0)
        return true;
    if (sscanf(type, "numeric(%d,%d)", &precision, &scale) != 2 ||
        scale < 0)    // NOLINT(cert-err34-c)
        return false; /* a domain: its limits are not known here */
    return behind <= scale && before <= precision - scale;
}

static bool is_real(const char *value, bool is_single)
{
    char *end;
    int before, behind;
    if (!split_number(value, &before, &behind))
        return false;
    errno = 0;
    double number = is_single ? (double)strtof(value, &end) : strtod(value, &end);
    return errno == 0 && isfinite(number);
}

static bool two_digits(const char *at, int max, int *ret)
{
    if (!is_digit(at[0]) || !is_digit(at[1]))
        return false;
    *ret = (at[0] - '0') * 10 + (at[1] - '0');
    return *ret <= max;
}

static bool is_day(const char *value)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int century, rest, month, day;
    if (!two_digits(value, 99, &century) || !two_digits(value + 2, 99, &rest) || value[4] != '-' ||
        !two_digits(value + 5, 12, &month) || month == 0 || value[7] != '-' ||
        !two_digits(value + 8, 31, &day) || day == 0)
        return false;
    int year = century * 100 + rest;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return year > 0 && day <= days[month - 1] + (month == 2 && leap);
}

bool literal_is_date(const char *value)
{
    return strlen(value) == 10 && is_day(value);
}

/* "2026-02-28 13:30:00" */
static bool is_time(const char *value)
{
    int hour, minute, second;
    return strlen(value) == 19 && is_day(value) && value[10] == ' ' &&
           two_digits(value + 11, 23, &hour) && value[13] == ':' &&
           two_digits(value + 14, 59, &minute) && value[16] == ':' &&
           two_digits(value + 17, 59, &second);
}

static bool is_uuid(const char *value)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? value[i] != '-' : strchr("0123456789abcdef", value[i]) == NULL || value[i] == 0)
            return false;
    }
    return value[36] == '\0';
}

static bool is_address(const char *value)
{
    struct in6_addr address;
    return inet_pton(AF_INET, value, &address) == 1 || inet_pton(AF_INET6, value, &address) == 1;
}

/* What is expected of the kind, or NULL: no constants. *RET_GOOD: VALUE is that. */
static const char *expected_of(const char *value, const struct catalog_column *fact, bool *ret_good)
{
    switch (fact->kind) {
    case KIND_TEXT:
        *ret_good = fact->width == 0 || characters(value) <= fact->width;
        return "a text that is not longer than the column";
    case KIND_INT2:
        *ret_good = is_integer(value, INT16_MIN, INT16_MAX);
        return "a whole number from -32768 to 32767";
    case KIND_INT4:
        *ret_good = is_integer(value, INT32_MIN, INT32_MAX);
        return "a whole number of 31 bits";
    case KIND_INT8:
        *ret_good = is_integer(value, INT64_MIN, INT64_MAX);
        return "a whole number of 63 bits";
    case KIND_FLOAT4:
    case KIND_FLOAT8:
        *ret_good = is_real(value, fact->kind == KIND_FLOAT4);
        return "a number such as 12.5";
    case KIND_NUMERIC:
        *ret_good = is_numeric(value, fact->type);
        return "a number such as 12.5 that the column can hold";
    case KIND_BOOL:
        *ret_good = strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
        return "true or false";
    case KIND_DATE:
        *ret_good = literal_is_date(value);
        return "a date such as 2026-02-28";
    case KIND_TIMESTAMP:
    case KIND_TIMESTAMPTZ:
        *ret_good = literal_is_date(value) || is_time(value);
        return "a time such as 2026-02-28 13:30:00, in UTC";
    case KIND_UUID:
        *ret_good = is_uuid(value);
        return "a UUID in small letters, with its four dashes";
    case KIND_INET:
    case KIND_CIDR:
        *ret_good = is_address(value);
        return "an address such as 192.0.2.1 or 2001:db8::1";
    default:
        *ret_good = false;
        return NULL;
    }
}

int literal_add(struct sql *s, const char *value, const struct catalog_column *fact,
                const char *where_name, struct err *err)
{
    bool good;
    const char *expected = expected_of(value, fact, &good);
    if (expected == NULL) {
        int rc = err_set(err, RF_ECONFIG, "column %s of type %s cannot have mask \"constant\"",
                         where_name, fact->type);
        err_hint(err, "use mask redact, null or absent");
        return rc;
    }
    if (!good)
        return err_set(err, RF_ECONFIG,
                       "column %s of type %s: \"value\" does not fit (expected %s)", where_name,
                       fact->type, expected);
    char with_zone[32]; /* whatever the session's time zone */
    (void)snprintf(with_zone, sizeof(with_zone), "%.19s%s", value,
                   strlen(value) == 10 ? " 00:00:00+00" : "+00");
    sql_add(s, "%L", fact->kind == KIND_TIMESTAMPTZ ? with_zone : value);
    return 0;
}
