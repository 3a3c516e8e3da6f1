/* key.h - keys of signed notes (C2SP signed-note): `vkey` text, key ids, Ed25519.
 *
 * A secret key is a file of one line, `ringfence-key@1 NAME BASE64(seed)`, mode 0600. */
#ifndef RF_TLOG_KEY_H
#define RF_TLOG_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    KEY_NAME_MAX = 255,
    KEY_PUBLIC_LEN = 32,
    KEY_SEED_LEN = 32,
    KEY_SIGNATURE_LEN = 64,
    KEY_VKEY_SIZE = KEY_NAME_MAX + 1 + 8 + 1 + 44 + 1
};

/* The algorithm byte of a vkey. */
enum key_type { KEY_ED25519 = 0x01, KEY_COSIGNATURE = 0x04 };

struct key { /* public */
    char name[KEY_NAME_MAX + 1];
    enum key_type type;
    uint32_t id;
    uint8_t public[KEY_PUBLIC_LEN];
};

struct secret_key {
    struct key key;
    uint8_t seed[KEY_SEED_LEN];
};

/* Printable ASCII without blank and `+`, 1..KEY_NAME_MAX. */
bool key_is_name(const char *name, size_t len);

/* A vkey without white space; its id is recomputed. -RF_EINVAL. */
RF_CHECK int key_read(const char *vkey, size_t len, struct key *ret, struct err *err);
void key_write(const struct key *key, char ret[KEY_VKEY_SIZE]);
/* One vkey, and at most one line end, in file PATH. */
RF_CHECK int key_load(const char *path, struct key *ret, struct err *err);

/* Of that name and type out of SEED. */
RF_CHECK int secret_key_make(const char *name, enum key_type type, const uint8_t seed[KEY_SEED_LEN],
                             struct secret_key *ret, struct err *err);
RF_CHECK int secret_key_load(const char *path, enum key_type type, struct secret_key *ret,
                             struct err *err);
/* Refuses to replace a file. Synced. */
RF_CHECK int secret_key_save(const char *path, const struct secret_key *key, struct err *err);
void secret_key_wipe(struct secret_key *key);

RF_CHECK int key_sign(const struct secret_key *key, const void *message, size_t n,
                      uint8_t ret[KEY_SIGNATURE_LEN]);
bool key_verify(const struct key *key, const void *message, size_t n,
                const uint8_t signature[KEY_SIGNATURE_LEN]);

#endif
