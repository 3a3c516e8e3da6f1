/* vault.h - the private parts of the public log's leaves, sealed, each to be had by its leaf's
 * number (STATE/vault/private.db, SQLite; docs/formats/journal.md, section 9).
 *
 * A copy: all of it is in the journal, and it is made again from there when it is missing, damaged,
 * of another journal or of another past of it, or behind. So it may lose its last moments in a
 * power cut (synchronous NORMAL), and nothing of the log ever waits for it. Nothing in it is clear
 * text, and there is no key in it. What is deleted is overwritten (secure_delete), in its pages and
 * in what SQLite writes ahead. */
#ifndef RF_LEDGER_VAULT_H
#define RF_LEDGER_VAULT_H

#include "base/buf.h"
#include "base/err.h"
#include "ledger/frame.h"

struct vault;

enum { VAULT_ROUND = 2000 /* entries of the journal in one transaction */ };

/* ---- the writer, one at a time: the notary ---- */

/* The folder STATE_DIR/vault is there (who writes here may not be allowed to make it); the file is
   made as needed, and what cannot be used is begun anew. Of a day that has no key nothing is taken
   in, so that an erased day does not come back. -RF_ENOTFOUND: there is no journal yet.
   -RF_EUNAVAIL, here and below: somebody else writes; the writer does not wait for him. */
RF_CHECK int vault_open(const char *state_dir, struct vault **ret, struct err *err);
/* Take in some of the journal's first COMMITTED entries, at least one: vault_next() says how far.
   After a failure the vault must be closed. */
RF_CHECK int vault_advance(struct vault *v, uint64_t committed, struct err *err);
uint64_t vault_next(const struct vault *v);

/* ---- readers, also while it is written ---- */

/* -RF_ENOTFOUND: there is none, or it is damaged, or not of the journal beside it. */
RF_CHECK int vault_look(const char *state_dir, struct vault **ret, struct err *err);
/* 1: the leaf's entry in *RET (its instance, seq and chain are zero), borrowed until the next call.
   0: it is not there: erased, or not taken in yet. Nothing but its forms says that a row is that of
   its number: whoever reads it judges it (reopen.h). */
RF_CHECK int vault_read(struct vault *v, uint64_t leaf, struct frame_entry *ret, struct err *err);
const char *vault_name(const struct vault *v); /* of the gateway */

/* Delete what is of the minutes from FROM to before UNTIL, so that no byte of it is left in the
   files. The entry that was read last is borrowed no longer. May be repeated. The key of that day
   is gone already: then the writer takes nothing of it in again. -RF_EUNAVAIL: somebody is reading,
   and some of it may still be there. */
RF_CHECK int vault_erase(struct vault *v, uint32_t from, uint32_t until, uint64_t *ret_rows,
                         struct err *err);

void vault_close(struct vault *v); /* NULL is welcome */

#endif
