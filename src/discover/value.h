/* value.h - what a sampled value looks like. Values are looked at and not kept. */
#ifndef RF_DISCOVER_VALUE_H
#define RF_DISCOVER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_format {
#define VALUE(format, concept, weight, least, sentence) FORMAT_##format,
#include "discover/tbl/word.def"
#undef VALUE
    FORMAT_COUNT
};

enum { VALUE_DISTINCT_MAX = 64 };

/* What was seen in one column. */
struct value_tally {
    unsigned seen; /* values that are not NULL and not empty */
    unsigned hits[FORMAT_COUNT];
    uint64_t hashes[VALUE_DISTINCT_MAX];
    unsigned distinct; /* VALUE_DISTINCT_MAX: that many or more */
    unsigned longest;  /* bytes */
};

/* Count VALUE, the first bytes of a value as text; IS_NUMBER: of a numeric column, IS_JSON: of a
   JSON one (perhaps cut). */
enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_JSON };
void value_look(struct value_tally *t, enum value_kind kind, const char *value);

/* Does VALUE have this format? */
bool value_has_format(enum value_format format, enum value_kind kind, const char *value);

#endif
