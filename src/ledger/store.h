/* store.h - the public files of one log (docs/formats/log.md, section 2), written so that nothing
 * is named by a checkpoint before it is on stable storage.
 *
 * Order of calls: store_open(); store_load() or nothing for an empty log; then store_append() any
 * number of times, store_sync(), store_publish(), again and again. What was appended is durable
 * once store_sync() returned 0. A file that is there already must be the same, byte for byte: the
 * tree is a function of the journal, and a difference is the end (RF_ETAMPER). After any failure of
 * append or sync the store must be closed; the next start goes the same way again. */
#ifndef RF_LEDGER_STORE_H
#define RF_LEDGER_STORE_H

#include "base/buf.h"
#include "tlog/proof.h"
#include "tlog/tree.h"

struct store;

/* DIRECTORY is made when it is not there, its parent is not. One writer: -RF_EUNAVAIL. */
RF_CHECK int store_open(const char *directory, struct store **ret, struct err *err);
void store_close(struct store *s);

/* Take up a tree of SIZE that is on disk. -RF_ENOTFOUND: some of it is missing or damaged, and ERR
   says what; the store is empty then, and the tree has to be made again from its first leaf. */
RF_CHECK int store_load(struct store *s, uint64_t size, struct err *err);

RF_CHECK int store_append(struct store *s, const void *leaf, size_t n, struct err *err);
RF_CHECK int store_sync(struct store *s, struct err *err);

uint64_t store_size(const struct store *s);
void store_root(const struct store *s, uint8_t ret[TLOG_HASH_LEN]);

/* Tiles of the synced size, for proofs; borrowed. */
struct tile_source store_source(struct store *s);

/* Replace `checkpoint`, durably. */
RF_CHECK int store_publish(struct store *s, const void *note, size_t n, struct err *err);
/* What `checkpoint` has; 0 bytes when it is not there. */
RF_CHECK int store_published(struct store *s, struct buf *to, struct err *err);

/* Remove partial tiles whose whole one has been there since before NOW_MS - KEEP_MS (monotonic).
   Failures are harmless and silent: they are tried again after the next start, or never. */
void store_collect(struct store *s, int64_t now_ms, int64_t keep_ms);

#endif
