/* remember.h - the last checkpoint of each log that held, so that a log cannot be turned back.
 *
 * One file an origin, `HEX(SHA-256(origin))`, in a folder: the signed checkpoint as it was fetched.
 * It is evidence by itself, and is believed only as far as its signature goes. */
#ifndef RF_VERIFY_REMEMBER_H
#define RF_VERIFY_REMEMBER_H

#include <limits.h>

#include "tlog/checkpoint.h"
#include "tlog/note.h"

/* $XDG_STATE_HOME/ringfence, else ~/.local/state/ringfence. */
RF_CHECK int remember_folder(char ret[PATH_MAX], struct err *err);

/* 1: *RET is what FOLDER has for KEY's log. 0: nothing. Negative: it cannot be read, or is not what
   was kept. */
RF_CHECK int remember_read(const char *folder, const struct key *key, struct checkpoint *ret,
                           struct err *err);
/* Make folders as needed; NOTE (N bytes) replaces what was kept. */
RF_CHECK int remember_write(const char *folder, const struct key *key, const void *note, size_t n,
                            struct err *err);
RF_CHECK int remember_forget(const char *folder, const struct key *key, struct err *err);

#endif
