/* tag.h - what stands in a disclosure for one subject (docs/formats/log.md, sections 5 to 7).
 *
 * Pure functions of a format that others implement too. digest_init() and sodium_init() come first.
 * K of a subject and epoch is a secret until the epoch is closed; a tag without it is a random
 * number. */
#ifndef RF_LEDGER_TAG_H
#define RF_LEDGER_TAG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/digest.h"
#include "tlog/vrf.h"

enum {
    TAG_LEN = 16,
    TAG_COMMITMENT_LEN = DIGEST_LEN,
    TAG_ITEM_LEN = TAG_LEN + TAG_COMMITMENT_LEN, /* one of the list `tags` */
    TAG_ITEMS_MAX = 50,                          /* in one leaf */
    TAG_KEY_LEN = 32,
    TAG_SALT_LEN = DIGEST_LEN,
    TAG_SUBJECT_MAX = 512,
    TAG_EPOCH_SIZE = 24,
    TAG_ACCESS_MAX = 4096
};

/* How long an epoch lasts: `epoch` of a genesis. */
struct tag_period {
    uint32_t minutes; /* 0: a calendar month */
};

/* "month", or "Nm" with N 1..1440; -RF_EINVAL. */
RF_CHECK int tag_period_read(const char *text, size_t len, struct tag_period *ret);
void tag_epoch_of(struct tag_period period, uint32_t minute, char ret[TAG_EPOCH_SIZE]);
/* Consecutive epochs have consecutive numbers. -RF_EINVAL: TEXT is not an epoch of that period. */
uint64_t tag_epoch_number(struct tag_period period, uint32_t minute);
RF_CHECK int tag_epoch_read(struct tag_period period, const char *text, size_t len,
                            uint64_t *ret_number);

/* Whose K, or whose access. Borrows. */
struct tag_subject {
    const char *region; /* a word */
    const char *epoch;
    const void *key; /* 1..TAG_SUBJECT_MAX bytes */
    size_t key_len;
};

/* K, and unless RET_PROOF is NULL the proof that it is the one. -RF_EINVAL: lengths, or no secret.
 */
RF_CHECK int tag_key_make(const struct tag_subject *subject, const uint8_t secret[VRF_SECRET_LEN],
                          uint8_t ret_proof[VRF_PROOF_LEN], uint8_t ret_k[TAG_KEY_LEN]);
/* K out of a proof; -RF_ETAMPER when it does not hold for PUBLIC and SUBJECT. */
RF_CHECK int tag_key_check(const struct tag_subject *subject, const uint8_t public[VRF_PUBLIC_LEN],
                           const uint8_t proof[VRF_PROOF_LEN], uint8_t ret_k[TAG_KEY_LEN]);

/* ORIGIN has at most 255 bytes. */
void tag_of(const uint8_t k[TAG_KEY_LEN], const char *origin, uint64_t n, uint8_t ret[TAG_LEN]);
void tag_salt_of(const uint8_t k[TAG_KEY_LEN], const char *origin, uint64_t n,
                 uint8_t ret[TAG_SALT_LEN]);
void tag_commitment_of(const uint8_t salt[TAG_SALT_LEN], const void *access, size_t n,
                       uint8_t ret[TAG_COMMITMENT_LEN]);

/* Append an access: what the commitment is to. -RF_EINVAL for lengths, CLASSES that are not words,
   times before 1970 or after 9999. */
RF_CHECK int tag_access_write(struct buf *to, const void *key, size_t key_len, const char *classes,
                              int64_t time_ms);
struct tag_access { /* borrows */
    const char *classes;
    size_t classes_len;
    int64_t time_ms;
};
/* -RF_EPROTO: not what the writer writes; -RF_ETAMPER: an access to another subject than KEY. */
RF_CHECK int tag_access_read(const void *bytes, size_t n, const void *key, size_t key_len,
                             struct tag_access *ret);

/* "2026-11-22T10:05:07.123Z", from 1970 to 9999, as this program writes it. */
bool tag_time_read(const char *text, size_t len, int64_t *ret_ms);

/* `held` in the place of a purpose. */
void tag_held_of(const uint8_t salt[TAG_SALT_LEN], const char *purpose, uint8_t ret[DIGEST_LEN]);

#endif
