/* sshsig.h - SSH keys and signatures over texts, as OpenSSH's `ssh-keygen -Y sign` makes them
 * (OpenSSH: PROTOCOL.sshsig, PROTOCOL.u2f; RFC 4253, 5656, 8332, 8709).
 *
 * Types: ed25519, ECDSA (P-256, P-384, P-521), RSA from 3072 bits with SHA-2, and the
 * hardware-backed forms of ed25519 and P-256, of which a touch is demanded. Pure; verification by
 * OpenSSL. */
#ifndef RF_SIGN_SSHSIG_H
#define RF_SIGN_SSHSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    SSH_KEY_BLOB_MAX = 2200, /* RSA of 16384 bits */
    SSH_KEY_FINGERPRINT_SIZE = 7 + 43 + 1,
    SSHSIG_MAX = 8192 /* armored */
};

struct ssh_key {
    size_t len;
    uint8_t blob[SSH_KEY_BLOB_MAX]; /* as on the wire: type name, then what the type has */
};

/* One line as in authorized_keys, without options: "TYPE BASE64 [COMMENT]". -RF_EPROTO with a
   reason: another form or type, a key that is too weak or no key. */
RF_CHECK int ssh_key_parse(const char *line, struct ssh_key *ret, struct err *err);
bool ssh_key_equal(const struct ssh_key *a, const struct ssh_key *b);

/* "SHA256:…", as ssh-keygen -l prints it. */
void ssh_key_fingerprint(const struct ssh_key *key, char ret[SSH_KEY_FINGERPRINT_SIZE]);

/* Whose key does it name? Nothing is verified: for whoever verifies by known keys alone, before he
   works for a stranger (an RSA key may be chosen so that it takes long). -RF_EPROTO. */
RF_CHECK int sshsig_signer(const char *armored, size_t len, struct ssh_key *ret, struct err *err);

/* Who signed MESSAGE for NAMESPACE? ARMORED is the block between the BEGIN and END lines with them.
   0: *RET is the key that did, and it is for the caller to know it; -RF_EPROTO: this is no such
   signature; -RF_EAUTH: it is one of something else. */
RF_CHECK int sshsig_verify(const char *armored, size_t len, const char *name_space,
                           const void *message, size_t message_len, struct ssh_key *ret,
                           struct err *err);

#endif
