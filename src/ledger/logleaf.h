/* logleaf.h - one leaf of the public log (docs/formats/log.md, sections 3 and 4), by two tables.
 *
 * Pure. What each type means and how leaves refer to each other is for the writer (clerk.h) and the
 * verifier; here every leaf alone is well-formed or refused. */
#ifndef RF_LEDGER_LOGLEAF_H
#define RF_LEDGER_LOGLEAF_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

enum {
    LOGLEAF_MAX = 4096,
    LOGLEAF_ID_LEN = 16,
    LOGLEAF_TAG_LEN = 16,
    LOGLEAF_ITEM_LEN = LOGLEAF_TAG_LEN + DIGEST_LEN,
    LOGLEAF_ITEMS_MAX = 50,
    LOGLEAF_REFS_MAX = 2400
};

enum logleaf_type {
    LEAF_NONE,
#define TYPE(NAME, name, must, may) LEAF_##NAME,
#include "ledger/tbl/leaftype.def"
#undef TYPE
    LEAF_TYPE_COUNT
};

enum logleaf_key {
#define KEY(NAME, name, form) LEAF_KEY_##NAME,
#include "ledger/tbl/leafkey.def"
#undef KEY
    LEAF_KEY_COUNT
};

/* A text, or a number where TEXT is NULL: NUMBER of a TIME is minutes since 1970. Not there: both
   zero. */
struct logleaf_value {
    const char *text; /* borrowed; not NUL-terminated after reading */
    size_t len;
    uint64_t number;
};

struct logleaf {
    enum logleaf_type type;
    uint32_t minute;
    uint8_t id[LOGLEAF_ID_LEN];
    struct logleaf_value value[LEAF_KEY_COUNT];
    uint8_t commitment[DIGEST_LEN];
};

/* For writers: NULL and "" leave the key out; so does zero. BAND numbers are banded here. HASH and
   BYTES values are set from bytes that logleaf_write() turns into text. */
void logleaf_text(struct logleaf *l, enum logleaf_key key, const char *text);
void logleaf_number(struct logleaf *l, enum logleaf_key key, uint64_t number);
void logleaf_bytes(struct logleaf *l, enum logleaf_key key, const uint8_t *bytes, size_t n);

/* Append the leaf. -RF_EINVAL: a key that the type must have is missing, or may not have is there;
   -RF_ETOOBIG, -RF_ENOMEM. */
RF_CHECK int logleaf_write(struct buf *to, const struct logleaf *leaf);

/* Texts borrow from BYTES. -RF_EPROTO for whatever logleaf_write() would not have written. After
   reading, HASH and BYTES values are text, as they stand. */
RF_CHECK int logleaf_read(const void *bytes, size_t n, struct logleaf *ret);

bool logleaf_has(const struct logleaf *l, enum logleaf_key key);
bool logleaf_is(const struct logleaf *l, enum logleaf_key key,
                const char *text); /* after reading */
/* The bytes of a HASH. RET is zero when the key is not there. */
void logleaf_hash(const struct logleaf *l, enum logleaf_key key, uint8_t ret[DIGEST_LEN]);
/* Does TYPE have items in `tags`? Those are what a person finds himself in. */
bool logleaf_has_items(enum logleaf_type type);
/* Items of a disclosure's or find's `tags`: how many. */
unsigned logleaf_items(const struct logleaf *l, uint8_t ret[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN]);
/* `INDEX ORIGIN`; false: it is none. ORIGIN borrows. */
bool logleaf_ref(const struct logleaf *l, enum logleaf_key key, uint64_t *ret_index,
                 const char **ret_origin, size_t *ret_origin_len);

/* The refs of `approval_refs`, one after the other: *AT begins with 0. False: there is no further
   one. */
bool logleaf_refs_next(const struct logleaf *l, size_t *at, uint64_t *ret_index,
                       const char **ret_origin, size_t *ret_origin_len);
/* Is this one ref or more, commas between? */
bool logleaf_are_refs(const char *list, size_t len);

const char *logleaf_type_name(enum logleaf_type type);
const char *logleaf_key_name(enum logleaf_key key);

/* The largest power of two that is not above N (at most 2^52), 0 for 0. */
uint64_t logleaf_band(uint64_t n);

#endif
