/* claim.h - the text of a claim file: who looked at one person (docs/formats/claims.md).
 *
 * A line at a time, written and read by the same table. Here lines have their form and their order;
 * whether what they say is true is the business of claim_verify.h. */
#ifndef RF_LEDGER_CLAIM_H
#define RF_LEDGER_CLAIM_H

#include <stdbool.h>

#include "base/buf.h"
#include "ledger/leaf.h"
#include "ledger/tag.h"
#include "tlog/line.h"
#include "tlog/note.h"
#include "tlog/proof.h"

enum { CLAIM_MAX = 64 * 1024 * 1024, CLAIM_LOGS_MAX = 64 };

/* The first word of a line. */
enum claim_word {
    CLAIM_NOTHING,
    CLAIM_HEAD,
    CLAIM_REGION,
    CLAIM_SUBJECT,
    CLAIM_VRF,
    CLAIM_LOG,
    CLAIM_CHECKPOINT,
    CLAIM_GENESIS,
    CLAIM_NAMED,
    CLAIM_EPOCH,
    CLAIM_K,
    CLAIM_IN,
    CLAIM_SEAL,
    CLAIM_GRANT,
    CLAIM_ACCESS,
    CLAIM_ABSENT,
    CLAIM_NONE,
    CLAIM_END,
    CLAIM_WORD_COUNT
};

struct claim_neighbour {
    bool there;
    uint64_t rank;
    uint8_t tag[TAG_LEN];
    struct proof proof;
};

/* What a line may hold; which of it counts follows from its word. Large: not on a small stack. */
struct claim_line {
    enum claim_word word;
    unsigned number;             /* of the line, from 1 */
    char text[KEY_NAME_MAX + 1]; /* REGION, LOG, EPOCH, IN */
    uint8_t key[TAG_KEY_LEN];    /* VRF, K */
    uint8_t vrf_proof[VRF_PROOF_LEN];
    uint64_t n, index;
    struct proof proof;
    struct claim_neighbour left, right;
    size_t subject_len, leaf_len, access_len, checkpoint_len;
    uint8_t subject[TAG_SUBJECT_MAX];
    uint8_t leaf[LEAF_MAX];
    uint8_t access[TAG_ACCESS_MAX];
    uint8_t checkpoint[NOTE_MAX];
};

struct claim_reader {
    struct line rest; /* borrowed */
    enum claim_word last;
    unsigned number;
};

struct claim_reader claim_read_begin(const void *bytes, size_t n);
/* 1 and a line; 0: the file has ended where it should; -RF_EPROTO: ERR names the line. What was in
 *RET before may be lost in any case. */
RF_CHECK int claim_read(struct claim_reader *r, struct claim_line *ret, struct err *err);

struct claim_writer {
    struct buf *to; /* borrowed; its ceiling is CLAIM_MAX */
    enum claim_word last;
};

struct claim_writer claim_write_begin(struct buf *to);
/* Append LINE (its `number` is ignored), or nothing: -RF_EINVAL for a line that may not stand here
   or that no reader would take, -RF_ETOOBIG, -RF_ENOMEM. */
RF_CHECK int claim_write(struct claim_writer *w, const struct claim_line *line);

/* The neighbours of ABSENT among COUNT tags that are sorted, with their proofs to the root over
   them, into *RET's LEFT and RIGHT; its word becomes CLAIM_ABSENT, or CLAIM_NONE without tags.
   -RF_EINVAL: it is there. -RF_ENOMEM. */
RF_CHECK int claim_absence_of(const uint8_t (*sorted)[TAG_LEN], size_t count,
                              const uint8_t absent[TAG_LEN], struct claim_line *ret);

#endif
