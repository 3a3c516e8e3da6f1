/* auditors.h - who may read logs that are not for everybody: NAME SHA256HEX-OF-TOKEN [UNTIL] a
 * line.
 *
 * Tokens are random and long (auditors_make()), so their plain hash is enough to keep them by, and
 * finding one by its hash says nothing about others. UNTIL is a day, YYYY-MM-DD, and the token is
 * good to its end (UTC); without it, until the line goes. Fields are separated by blanks; blank
 * lines and those whose first character is '#' are skipped. A name, or a token, twice is a mistake.
 */
#ifndef RF_AUTH_AUDITORS_H
#define RF_AUTH_AUDITORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct auditors;
struct mistakes;

enum {
    AUDITORS_BYTES_MAX = 256 * 1024,
    /* What is presented and not as long is no token, whatever a line says: a word that somebody
       could think of must not become one. */
    AUDITORS_TOKEN_MIN = 32,
    AUDITORS_TOKEN_MAX = 256,
    AUDITORS_MADE_SIZE = 48, /* a token that we make, with its NUL */
    AUDITORS_LINE_SIZE = 160
};

/* Parse LEN bytes called NAME in messages. On 0 the caller owns *RET; otherwise it is untouched and
   MISTAKES holds every mistake found. No hash is quoted in a mistake. */
RF_CHECK int auditors_parse(const char *name, const char *text, size_t len, struct auditors **ret,
                            struct mistakes *mistakes);

/* The same from a file that group and others can neither read nor write. */
RF_CHECK int auditors_load(const char *path, struct auditors **ret, struct mistakes *mistakes);
void auditors_free(struct auditors *a); /* wipes; NULL is welcome */
size_t auditors_count(const struct auditors *a);

/* The value of a header Authorization: *RET points to its token in HEADER. False for another scheme
   and for what is no token by RFC 6750 or of another length than above. */
bool auditors_bearer(const char *header, const char **ret, size_t *ret_len);

/* The name of whose token that is at WALL_MS, or NULL. All lines are compared, in constant time:
   unknown, wrong and outdated cost the same. digest_init() was called. */
const char *auditors_find(const struct auditors *a, const char *token, size_t len, int64_t wall_ms);

/* A new token, and the line that admits it; UNTIL may be NULL. -RF_EUSAGE for what no line holds.
 */
RF_CHECK int auditors_make(const char *name, const char *until, char token[AUDITORS_MADE_SIZE],
                           char line[AUDITORS_LINE_SIZE], struct err *err);

#endif
