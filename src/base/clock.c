#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail for these ids on Linux */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

static char *two_digits(char *at, unsigned n, char behind)
{
    at[0] = (char)('0' + n / 10);
    at[1] = (char)('0' + n % 10);
    at[2] = behind;
    return at + 3;
}

/* The calendar of 400 years, which begin in March so that the leap day is a year's last. */
static void format_plain(int64_t wall_ms, char out[25])
{
    unsigned ms = (unsigned)(wall_ms % 1000), second = (unsigned)(wall_ms / 1000 % 86400);
    unsigned days = (unsigned)(wall_ms / 86400000) + 719468, era = days / 146097;
    unsigned of_era = days % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned march = (5 * of_year + 2) / 153, day = of_year - (153 * march + 2) / 5 + 1;
    unsigned month = march < 10 ? march + 3 : march - 9;
    year += era * 400 + (month <= 2);
    (void)two_digits(out, year / 100, '0');
    char *at = two_digits(out + 2, year % 100, '-');
    at = two_digits(at, month, '-');
    at = two_digits(at, day, 'T');
    at = two_digits(at, second / 3600, ':');
    at = two_digits(at, second / 60 % 60, ':');
    at = two_digits(at, second % 60, '.');
    *at = (char)('0' + ms / 100);
    (void)two_digits(at + 1, ms % 100, 'Z');
    out[24] = '\0';
}

void clock_format(int64_t wall_ms, char out[25])
{
    static const int64_t year_10000_ms = INT64_C(253402300800000);
    if (wall_ms >= 0 && wall_ms < year_10000_ms) { /* every record has a time or two */
        format_plain(wall_ms, out);
        return;
    }
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[20];
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        strcpy(date, "0000-00-00T00:00:00"); /* a year beyond what struct tm holds */
    (void)snprintf(out, 25, "%.19s.%03dZ", date, (int)(wall_ms % 1000 < 0 ? 0 : wall_ms % 1000));
}
