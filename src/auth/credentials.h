/* credentials.h - who may log in with a password: NAME:SCRAM-SHA-256$… a line.
 *
 * The file holds verifiers, not passwords. Blank lines and lines whose first character is '#' are
 * skipped. A name is 1..63 bytes without ':', blanks around it are part of it and refused; the same
 * name twice is a mistake. */
#ifndef RF_AUTH_CREDENTIALS_H
#define RF_AUTH_CREDENTIALS_H

#include <stddef.h>

#include "auth/scram.h"

struct credentials;
struct mistakes;

enum { CREDENTIALS_BYTES_MAX = 16 * 1024 * 1024, CREDENTIALS_NAME_MAX = 63 };

/* Parse LEN bytes called NAME in messages. On 0 the caller owns *RET_CREDENTIALS; otherwise it is
   untouched and MISTAKES holds every mistake found. No secret is quoted in a mistake. */
RF_CHECK int credentials_parse(const char *name, const char *text, size_t len,
                               struct credentials **ret_credentials, struct mistakes *mistakes);

/* The same from a file that group and others can neither read nor write. */
RF_CHECK int credentials_load(const char *path, struct credentials **ret_credentials,
                              struct mistakes *mistakes);
void credentials_free(struct credentials *c); /* wipes; NULL is welcome */

/* The verifier of USER (compared whole, byte by byte) as text for scram_server_new(), or NULL. */
const char *credentials_find(const struct credentials *c, const char *user);
size_t credentials_count(const struct credentials *c);

/* What unknown users are shown. Derived from the verifiers, so that every worker and every restart
   shows the same salt for the same unknown name, as it does for a known one. Borrowed from C. */
const struct scram_mock *credentials_mock(const struct credentials *c);

#endif
