/* proofs.h - which grants of a database are true: those that signed texts prove
 * (docs/decisions/0021).
 *
 * A grant is judged when it first appears, and again when another policy rules: then all of this is
 * made anew. What was proven holds for just these words of it; an end may only come nearer. Its
 * persons are not among these words (the list of grants counts them), and whoever edits rows need
 * not say so in a list of changes: so open grants are looked at again and again, some a second. */
#ifndef RF_CONTROL_PROOFS_H
#define RF_CONTROL_PROOFS_H

#include <libpq-fe.h>

#include "control/known.h"
#include "policy/policy.h"

enum {
    PROOFS_AT_ONCE = 64,
    PROOFS_AGAIN = 16, /* of those that were proven, each second */
    PROOFS_AGAIN_MS = 1000,
    PROOFS_QUESTION_SIZE = 2400
};

struct proofs {
    bool is_demanded; /* the policy lets nobody open grants but by signatures */
    const struct policy *policy;
    const struct policy_region *region;
    struct known good;
    uint64_t asked[PROOFS_AT_ONCE];
    size_t asked_count;
    const char *const *suspended; /* of the region, borrowed: their grants and votes are none */
    size_t suspended_count;
};

void proofs_init(struct proofs *p, const struct policy *policy, const struct policy_region *region);
void proofs_done(struct proofs *p);

/* Others are suspended than before: everything is to be judged anew. */
void proofs_suspend(struct proofs *p, const char *const *suspended, size_t count);

/* Is E true? Then its ref becomes that of its leaf. */
bool proofs_has(const struct proofs *p, struct grant_entry *e);

/* One question about several grants: begin; put those that are open and unknown, while there is
   room; the SQL; the answer. */
void proofs_begin(struct proofs *p);
bool proofs_room(const struct proofs *p);
void proofs_put(struct proofs *p, const struct grant_entry *e);
void proofs_put_again(struct proofs *p, const struct grant_entry *e); /* proven or not */
void proofs_question(const struct proofs *p, char sql[PROOFS_QUESTION_SIZE]);
/* What the answer does not prove is reported, by ALIAS of the database, and is not true any more:
   whether one of them was so far. */
bool proofs_answer(struct proofs *p, const PGresult *answer, const struct known *known,
                   const char *alias);

#endif
