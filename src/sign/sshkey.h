/* sshkey.h - a public key of OpenSSH taken apart and handed to OpenSSL: what sshsig.c stands on.
 *
 * Stricter than OpenSSH where that takes several spellings of one key, or a key that gives its
 * holder no signature of his own (RSA below 3072 bits or with exponent 1, an Ed25519 point of small
 * order). Pure. */
#ifndef RF_SIGN_SSHKEY_H
#define RF_SIGN_SSHKEY_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rd;

enum sshkey_algorithm { SSHKEY_NONE, SSHKEY_ED25519, SSHKEY_ECDSA, SSHKEY_RSA };

/* tbl/sshkey.def */
struct sshkey_type {
    const char *name;
    enum sshkey_algorithm algorithm;
    bool is_hardware;
    const char *curve, *group, *hash; /* ECDSA: SSH's name, OpenSSL's names; else NULL */
    size_t point_len;                 /* Ed25519, ECDSA */
};

struct sshkey_piece { /* borrowed from the blob */
    const uint8_t *at;
    size_t len;
};

struct sshkey {
    const struct sshkey_type *type;
    struct sshkey_piece point;             /* Ed25519, ECDSA: uncompressed */
    struct sshkey_piece exponent, modulus; /* RSA */
    struct sshkey_piece application;       /* hardware */
};

/* Take BLOB apart: *RET borrows from it, and the caller owns *RET_PUBLIC. -RF_EPROTO with a reason:
   no key of a type in the table, too weak, not on its curve, or spelled otherwise than OpenSSH
   spells it; -RF_ENOMEM. */
RF_CHECK int sshkey_open(const uint8_t *blob, size_t len, struct sshkey *ret, EVP_PKEY **ret_public,
                         struct err *err);

/* A string of RFC 4251, section 5. */
struct sshkey_piece sshkey_string(struct rd *r);
bool sshkey_piece_is(struct sshkey_piece piece, const char *text);

/* A positive mpint of RFC 4251 in its only spelling, without the zero that keeps it positive; else
   R is bad. */
struct sshkey_piece sshkey_positive(struct rd *r);

#endif
