/* verb.h - what the verbs share. A verb returns 0 with the matter answered, or a negative code with
 * it answered likewise: by matter_refuse() and its like.
 *
 * A verb runs once for each text that somebody signed: its nonce is used before (verbs.c). */
#ifndef RF_REGISTRAR_VERB_H
#define RF_REGISTRAR_VERB_H

#include "registrar/office.h"

enum { NUMBER_SIZE = 24, TIME_SIZE = 32, CLASSES_SIZE = 128 };

/* Everything that is kept about one request (verb_open.c). */
struct file {
    PGresult *rows;
    struct proof proof;
    struct evidence_case *judged; /* large */
    enum grant_refusal refusal;   /* of evidence_judge() */
};

/* -RF_ENOTFOUND; other codes as line_ask(). The caller closes it in any case. It borrows from
   SUSPENDED. */
RF_CHECK int file_open(struct file *f, const struct policy *p, const struct policy_region *region,
                       struct line *line, const struct suspensions *suspended, uint64_t request,
                       struct err *err);
void file_close(struct file *f);
RF_CHECK int verb_file(struct matter *m, struct file *f); /* the same, with errors answered */

/* What the database knows of those who are named. */
struct named {
    char *subjects;  /* as an array */
    json_t *keys;    /* as the database has them */
    json_t *lacking; /* of each consent that rules ask for, how many have not given it */
    const char *consented[CONSENT_PURPOSES_MAX]; /* as in struct grant_ask */
    size_t minors, sensitive, consented_count;
    size_t unbound; /* those whom the purpose is not for */
};
/* May M's actor ask, whoever is named? Nobody is looked up. */
enum grant_refusal verb_judge_asker(const struct matter *m, const struct grant_ask *ask);
/* Who they are. Whoever names one whom nobody has a reason to look at is suspended, whether or not
   he may ask; *RET_NOBODY: he is told what he would be told about nobody. The caller calls
   named_done() in any case. */
RF_CHECK int verb_look_up(struct matter *m, struct named *named, bool *ret_nobody);
int verb_refuse_nobody(struct matter *m);
/* A person is named by his key just as the database writes it, or by a handle. */
RF_CHECK int verb_check_names(struct matter *m, struct named *named);
void named_done(struct named *named);
struct grant_ask verb_ask(const struct matter *m, const struct named *named);

/* Open what was just approved, as F has it (NULL: it is read). Should that fail, it is done in a
   while; the answer says so. */
RF_CHECK int verb_open_now(struct matter *m, uint64_t request, const struct file *f);
RF_CHECK int verb_move(struct matter *m, uint64_t request, const char *event, const char *leaf);

int verb_state(struct matter *m, uint64_t request, const char *state); /* the answer */
int verb_no_memory(struct matter *m);

void verb_number(char to[NUMBER_SIZE], int64_t n);
void verb_classes(const struct command *c, char to[CLASSES_SIZE]); /* "identity,contact" */
const char *verb_truth(bool is_so);

/* ---- the verbs ---- */

int verb_find(struct matter *m);
int verb_request(struct matter *m); /* and break-glass */
int verb_vote(struct matter *m);    /* approve, deny */
int verb_revoke(struct matter *m);
int verb_review(struct matter *m);
int verb_grants(struct matter *m);
int verb_hold(struct matter *m);
int verb_trace(struct matter *m);
int verb_consent_give(struct matter *m);
int verb_consent_withdraw(struct matter *m);
int verb_consent_show(struct matter *m);

/* What the clock brings to consents (verb_consent.c): grants end that lost one; and, where IS_DUE,
   what services wrote down goes on record. */
void consent_tend(struct office *o, const struct policy_region *region, struct line *line,
                  bool is_due);

#endif
