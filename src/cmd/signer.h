/* signer.h - a text signed with the SSH key of whoever is at the terminal.
 *
 * ssh-keygen(1) does it, as a program: it knows passphrases, agents and hardware keys, and asks for
 * what it needs at the terminal. */
#ifndef RF_CMD_SIGNER_H
#define RF_CMD_SIGNER_H

#include "base/buf.h"
#include "base/err.h"

struct ssh_key;

/* Sign N bytes at TEXT for NAMESPACE. IDENTITY is a file with a secret key, or with a public one
   whose secret part the agent holds; NULL: the usual one below ~/.ssh, else the only one that the
   agent holds. On 0 the armored signature is appended to TO and *RET_KEY is who signed. -RF_EUSAGE:
   there is no such key, or it is of a kind that is refused anyway; -RF_EAUTH: it did not sign. */
RF_CHECK int signer_sign(const char *identity, const char *name_space, const void *text, size_t n,
                         struct buf *to, struct ssh_key *ret_key, struct err *err);

#endif
