/* cosign.h - one log towards its witnesses: whom to ask for what, and what an answer is worth.
 *
 * Pure: no sockets, no files, no clock. The notary offers each checkpoint that it has signed and
 * stored (its tiles durable), carries what cosign_next() yields to the courier, and brings the
 * answers back:
 *
 *     cosign_offer()   a newer checkpoint, or the same one again
 *     cosign_next()    until it yields nothing: posts for witnesses that are free and due
 *     cosign_answer()  what came of one; then cosign_next() again
 *     cosign_due_ms()  when to call cosign_next() though nothing happened (back-off, refresh)
 *
 * A checkpoint offered while a witness is busy with an older one is asked for when that one is
 * answered; its late cosignature counts for the size, not for the current checkpoint. Whoever wants
 * quorums holds the next offer back while cosign_is_waiting().
 *
 * Times are clock_mono_ms(). Not for threads. */
#ifndef RF_LEDGER_COSIGN_H
#define RF_LEDGER_COSIGN_H

#include "ledger/errand.h"
#include "tlog/proof.h"
#include "tlog/trust.h"

enum {
    COSIGN_TRIES = 3,                   /* with a size that the witness itself named */
    COSIGN_LIMIT_MS = 5 * 1000,         /* of one post */
    COSIGN_OVERDUE_MS = 5 * 1000,       /* after that limit an answer is not waited for */
    COSIGN_REFRESH_MS = 10 * 60 * 1000, /* of a checkpoint that stays the same */
    COSIGN_BACKOFF_MIN_MS = 1000,       /* doubled by each failure, less up to a half at random */
    COSIGN_BACKOFF_MAX_MS = 5 * 60 * 1000,
    COSIGN_STATE_MAX = 64 * 1024, /* of cosign_export() */
};

struct cosign;

/* TRUST and LOG_KEY (type KEY_ED25519) are borrowed for the life of *RET. SEED: random; of jitter
   and the first ticket. Witnesses without a URL are not asked. */
RF_CHECK int cosign_new(const struct trust *trust, const char *origin, const struct key *log_key,
                        uint64_t seed, struct cosign **ret, struct err *err);
void cosign_free(struct cosign *c); /* NULL is welcome */

/* From now on the witnesses and the quorum of TRUST (borrowed; the one before may go). What is
   known of a witness that stays (the same key) stays, its cosignature of the current checkpoint,
   too; what is under way is given up and asked again. -RF_ENOMEM, and -RF_ETAMPER after an alarm:
   then the trust before stays. */
RF_CHECK int cosign_retrust(struct cosign *c, const struct trust *trust, int64_t now_ms,
                            struct err *err);

/* NOTE (copied): a signed note of ORIGIN and of the log's key, not smaller than the one before; the
   same size has the same root. TILES (copied; its context borrowed until the next offer) gives the
   tiles of that tree. -RF_EINVAL: it is not such a note. -RF_ETAMPER: after or because of an alarm;
   the log must sign no more. A failure leaves the checkpoint before current. */
RF_CHECK int cosign_offer(struct cosign *c, const char *note, size_t len,
                          const struct tile_source *tiles, int64_t now_ms, struct err *err);

/* 1 and a post, whose body lives until the next call of this function; 0: nothing now. Negative: a
   proof could not be made (failures of TILES are passed through) or no memory: that witness is put
   off, so calling again goes on with the others. */
RF_CHECK int cosign_next(struct cosign *c, int64_t now_ms, struct errand_post *ret,
                         struct err *err);
int64_t cosign_due_ms(const struct cosign *c); /* -1: not before an offer or an answer */

enum cosign_outcome {
    COSIGN_DROPPED,  /* nobody waits for this answer */
    COSIGN_COVERED,  /* a cosignature of the current checkpoint */
    COSIGN_OLDER,    /* a cosignature of the checkpoint that was current when it was asked for */
    COSIGN_BEHIND,   /* the witness named the size it has: it is asked again from there */
    COSIGN_REFUSED,  /* an answer, no cosignature: backs off */
    COSIGN_CLAIMED,  /* it says that it has a larger log than ours: it is asked to show it */
    COSIGN_DISPUTED, /* 422 to a proof from the size it has: its history differs; backs off, and is
                        asked to show it then */
    COSIGN_FAILED,   /* no answer: backs off */
    COSIGN_ALARM,    /* it shows a log that we have signed, and that is larger than ours (which was
                        rolled back) or another one (there are two) */
    COSIGN_OUTCOME_COUNT
};

enum cosign_outcome cosign_answer(struct cosign *c, const struct errand_answer *answer,
                                  int64_t now_ms);
/* The courier is gone: whatever is under way has failed. */
void cosign_lost(struct cosign *c, int64_t now_ms);

/* What it came to. An alarm stays; nothing is asked after it. */
struct cosign_alarm {
    unsigned witness;
    uint64_t witness_size, our_size;
};
const struct cosign_alarm *cosign_alarm(const struct cosign *c); /* NULL: none */

/* Is the quorum reached for the current checkpoint, and since when? False without a checkpoint. */
bool cosign_is_met(const struct cosign *c, int64_t *ret_since_ms);
/* The quorum is not reached, and somebody has not answered about the current checkpoint yet whom
   nothing keeps waiting. */
bool cosign_is_waiting(const struct cosign *c);
/* Append the signature lines that cover the current checkpoint, the newest of each witness, in the
   order of the trust file: what follows the log's own line in the published checkpoint. */
RF_CHECK int cosign_lines(const struct cosign *c, struct buf *to);

/* Another number whenever cosign_lines() would give other lines than before: a refresh has the same
   length, and is worth publishing. */
uint64_t cosign_version(const struct cosign *c);

struct cosign_view { /* one witness, for logs and figures */
    bool is_asked;   /* has a URL */
    bool size_known;
    uint64_t size; /* that it cosigned last, as far as we know */
    bool covers;   /* the current checkpoint */
    uint64_t time; /* POSIX seconds of its newest cosignature, whatever of; 0: none yet */
    bool is_busy;
    unsigned failures; /* in a row */
    enum cosign_outcome last;
};
void cosign_look(const struct cosign *c, unsigned witness, struct cosign_view *ret);
const char *cosign_outcome_name(enum cosign_outcome outcome);

/* What must outlive a restart: per witness `NAME KEYID SIZE`, so that a log that was rolled back
   notices before it asks anybody. Import comes before the first offer; witnesses of other keys are
   skipped. -RF_EPROTO: not such a text; nothing was taken over. */
RF_CHECK int cosign_export(const struct cosign *c, struct buf *to);
RF_CHECK int cosign_import(struct cosign *c, const char *text, size_t len, struct err *err);

#endif
