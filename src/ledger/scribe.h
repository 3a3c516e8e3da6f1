/* scribe.h - from the journal to signed checkpoints: the notary without its sockets.
 *
 *   journal entries that are durable ─▶ leaves into bundles and tiles ─▶ all of it durable
 *     ─▶ checkpoint signed ─▶ remembered in STATE/notary/head, durable ─▶ (witnesses) ─▶ published
 *
 * The one rule: two checkpoints are never signed between which there is no consistency proof. So
 * the scribe signs only what the journal makes of itself, and only on top of the largest checkpoint
 * that it remembers, finds published, or is told of: a tree that comes out otherwise at that size
 * is the end (RF_ETAMPER), and so is a journal that stays shorter. Nothing is ever signed then. */
#ifndef RF_LEDGER_SCRIBE_H
#define RF_LEDGER_SCRIBE_H

#include <stdbool.h>

#include "tlog/checkpoint.h"
#include "tlog/key.h"
#include "tlog/proof.h"

struct scribe;

struct scribe_options {
    const char *state_dir;        /* the journal is below it, and what must never be forgotten */
    const char *directory;        /* public files */
    const struct secret_key *key; /* borrowed for life; its name is the origin */
    int64_t delay_ms;             /* leaves younger than this wait */
};

/* Lock, read what is remembered, take up the tree. -RF_EUNAVAIL: another writer is at work.
   -RF_ETAMPER: what is there contradicts itself. */
RF_CHECK int scribe_open(const struct scribe_options *options, struct scribe **ret,
                         struct err *err);
void scribe_close(struct scribe *s);
void scribe_set_delay(struct scribe *s, int64_t delay_ms);

/* A checkpoint that somebody else vouches for: a witness, the region's database. The log must hold
   it as its own past. -RF_ETAMPER: it cannot. */
RF_CHECK int scribe_must_hold(struct scribe *s, const struct checkpoint *c, struct err *err);

/* Work in the journal's first COMMITTED entries (they are durable), or some of them: scribe_next()
   says how far. 1: a new checkpoint is signed and remembered. 0: the tree did not grow. After a
   failure the scribe must be closed; RF_ETAMPER stays. */
RF_CHECK int scribe_advance(struct scribe *s, uint64_t committed, int64_t wall_ms, struct err *err);

/* The journal has another writer now, which may have cut off what was read ahead: nothing of that
   is used. */
void scribe_read_again(struct scribe *s);

/* The present checkpoint, signed; NULL: none yet, or its tree is still being made again, or a
   larger one was signed before. And how many of the journal's entries its tree holds, or has passed
   over. */
const char *scribe_note(const struct scribe *s, size_t *ret_len);
const struct checkpoint *scribe_checkpoint(const struct scribe *s);
uint64_t scribe_covered(const struct scribe *s);
uint64_t scribe_next(const struct scribe *s); /* the entry that comes next */
/* The journal's tree is smaller than one that was signed before: nothing is signed until it is not.
 */
bool scribe_is_behind(const struct scribe *s, uint64_t *ret_size, uint64_t *ret_past);
/* When a leaf that waits for its delay is due (wall clock); 0: none waits. */
int64_t scribe_due_ms(const struct scribe *s);
struct tile_source scribe_source(struct scribe *s);

/* Publish the present checkpoint with the signature lines of witnesses at LINES behind it. */
RF_CHECK int scribe_publish(struct scribe *s, const void *lines, size_t n, struct err *err);
uint64_t scribe_published_size(const struct scribe *s);
void scribe_collect(struct scribe *s, int64_t now_ms);

/* A small text that must outlive a restart (which sizes witnesses have cosigned). */
RF_CHECK int scribe_remember(struct scribe *s, const char *name, const void *bytes, size_t n,
                             struct err *err);

/* Says, for an operator, what is to be done after RF_ETAMPER. */
extern const char scribe_tamper_hint[];

#endif
