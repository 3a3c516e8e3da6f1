/* watermark.h - what a value that was shown under a grant says about which grant it was
 * (docs/formats/watermark.md).
 *
 *   a pseudonym   its last six hexadecimal digits, seven of an odd number, are a keyed hash of
 * those before a time        its microseconds beyond the millisecond are one of the quarter hour's
 * milliseconds
 *
 * The key is the grant's own, and the database keeps it when the grant has ended. Nothing but key
 * and value is needed to tell. Pure. */
#ifndef RF_POLICY_WATERMARK_H
#define RF_POLICY_WATERMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    WATERMARK_DIGITS =
        6, /* of a pseudonym's hexadecimal ones, the last; one more of an odd number */
    WATERMARK_DIGITS_MIN = 16, /* a pseudonym with fewer has none */
    WATERMARK_DIGITS_MAX = 32,
    WATERMARK_VALUES_MAX = 40 /* looked at at once */
};

enum watermark_kind { WATERMARK_NONE, WATERMARK_PSEUDONYM, WATERMARK_TIME, WATERMARK_KIND_COUNT };

/* What there is to compare in one value. */
struct watermark {
    enum watermark_kind kind;
    char digits[WATERMARK_DIGITS_MAX + 1]; /* PSEUDONYM: as hexadecimal digits */
    uint32_t ms, us; /* TIME: milliseconds since the quarter hour, and the rest */
};

/* Could a grant have shown LEN bytes at TEXT, one word of a file? NONE when not: a number, uuid or
   "p_…" that is no pseudonym, a time without its six digits of a second. Borrows nothing. */
enum watermark_kind watermark_read(const char *text, size_t len, struct watermark *ret);

/* How likely it is that of so many different values so many fit one of GRANTS grants by accident:
   at most 1. TRIED and FIT count by kind. */
double watermark_chance(const size_t tried[WATERMARK_KIND_COUNT],
                        const size_t fit[WATERMARK_KIND_COUNT], size_t grants);

#endif
