/* proofs.h - which grants of a database are true: those that signed texts prove
 * (docs/decisions/0021).
 *
 * A grant is UNJUDGED until its texts have been looked at under the rules of now; then it is GOOD
 * or BAD, for just these words of it: an end may come nearer, and one whose words change is
 * UNJUDGED again. Other rules, or others who are suspended, make all of them so. Only a judgement
 * makes one BAD. What fails on our side (memory, the database) leaves it UNJUDGED; so does an
 * answer that contradicts the list of grants, once: the grant may have ended between the two, which
 * the next list shows.
 *
 * Its persons are not among a grant's words (the list counts them), and whoever edits rows need not
 * say so in a list of changes: so open grants are looked at again and again, some a second. */
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

enum proofs_verdict { PROOFS_UNJUDGED, PROOFS_GOOD, PROOFS_BAD };

struct proofs {
    bool is_demanded; /* the policy lets nobody open grants but by signatures */
    const struct policy *policy;
    const struct policy_region *region;
    struct known good, bad;
    struct known doubts, old_doubts; /* contradicted the list in this round, in the one before */
    uint64_t asked[PROOFS_AT_ONCE];
    size_t asked_count;
    const char *const *suspended; /* of the region, borrowed: their grants and votes are none */
    size_t suspended_count;
    bool has_complained; /* of a failure of ours */
};

void proofs_init(struct proofs *p, const struct policy *policy, const struct policy_region *region);
void proofs_done(struct proofs *p);

/* Others are suspended than before: everything is to be judged anew. */
void proofs_suspend(struct proofs *p, const char *const *suspended, size_t count);

/* What is known of E, which is open. GOOD: its ref becomes that of its leaf, its budget
   that of its rule. Where signatures are
   not demanded every grant is. */
enum proofs_verdict proofs_verdict(const struct proofs *p, struct grant_entry *e);

/* That grant is no more. */
void proofs_forget(struct proofs *p, uint64_t id);
/* So are all that KNOWN has not. */
void proofs_keep(struct proofs *p, const struct known *known);

/* A newer list than that of the last questions is there. */
void proofs_new_list(struct proofs *p);

/* One question about several grants: begin; put those that are open and unjudged, while there is
   room; the SQL; the answer. */
void proofs_begin(struct proofs *p);
bool proofs_room(const struct proofs *p);
void proofs_put(struct proofs *p, const struct grant_entry *e);
void proofs_put_again(struct proofs *p, const struct grant_entry *e); /* judged or not */
void proofs_question(const struct proofs *p, char sql[PROOFS_QUESTION_SIZE]);
/* Judge each grant that was asked about and that KNOWN, the list, has; BAD ones are reported, by
   ALIAS of the database. ANSWER NULL: the database gave none, and nothing is judged. */
void proofs_answer(struct proofs *p, const PGresult *answer, const struct known *known,
                   const char *alias);

#endif
