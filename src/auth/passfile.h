/* passfile.h - pgpass(5): which password to use towards which database.
 *
 * HOST:PORT:DATABASE:USER:PASSWORD a line; '*' matches anything, a backslash escapes ':' and
 * itself,
 * '#' begins a comment line, the first match counts (PostgreSQL manual, "The Password File"). */
#ifndef RF_AUTH_PASSFILE_H
#define RF_AUTH_PASSFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct passfile;
struct mistakes;

enum { PASSFILE_BYTES_MAX = 1024 * 1024 };

/* Parse LEN bytes called NAME in messages. Unlike libpq, which skips a malformed line, every one is
   a mistake: a password that is silently not used costs somebody an evening. On 0 the caller owns
   *RET_PASSFILE. */
RF_CHECK int passfile_parse(const char *name, const char *text, size_t len,
                            struct passfile **ret_passfile, struct mistakes *mistakes);

/* The same from a file that group and others can neither read nor write. */
RF_CHECK int passfile_load(const char *path, struct passfile **ret_passfile,
                           struct mistakes *mistakes);
void passfile_free(struct passfile *p); /* wipes; NULL is welcome */

/* The password, borrowed from P, or NULL. HOST that begins with '/' is the folder of a unix socket:
   it matches itself and, where it is a default one (/run/postgresql, /tmp), "localhost". */
const char *passfile_find(const struct passfile *p, const char *host, uint16_t port,
                          const char *database, const char *user);

#endif
