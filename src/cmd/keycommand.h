/* keycommand.h - the verbs of `ringfence key` that work on a log that no gateway writes. */
#ifndef RF_CMD_KEYCOMMAND_H
#define RF_CMD_KEYCOMMAND_H

#include "cmd/command.h"
#include "ledger/clerk.h"
#include "ledger/sight.h"

typedef int key_verb_fn(const struct command_context *context, int argc, char **argv);
key_verb_fn key_rotate, key_member, key_retire; /* ARGV[0] is "key", ARGV[1] the verb */

/* ---- the files of a stopped gateway (key_house.c) ---- */

struct key_house {
    struct config *config;
    struct policy *policy;
    struct journal *journal;
    struct clerk *clerk;
};

/* Read configuration and policy; mistakes go to standard error. -RF_ECONFIG also where there is no
   public log. The caller calls key_house_close() after a failure, too. */
RF_CHECK int key_house_find(const struct command_context *context, struct key_house *ret,
                            struct err *err);
/* Become the gateway's user (started as root), take the journal, read the log so far. For good: the
   process stays that user. -RF_EUNAVAIL: a gateway is running. */
RF_CHECK int key_house_enter(struct key_house *h, struct err *err);
void key_house_close(struct key_house *h);

/* ---- signing what is there (key_publish.c) ---- */

struct key_published {
    uint64_t leaves;    /* in the log, as it is published */
    int64_t due_ms;     /* leaves wait for the policy's delay, until then (wall clock); 0: none */
    bool lacks_quorum;  /* it is signed, and too few witnesses answered: not published */
    unsigned witnesses; /* that cosigned it */
};

/* What the gateway's notary and courier would do: sign all of the journal, have it cosigned,
   publish. In two steps, because a log that has ended cannot go on: whatever stands in the way of
   its last signature is found before anything is written. */
struct key_publishing;

/* Load the log's key, take the place of the notary, sign what is there, read who the witnesses are.
   -RF_EUNAVAIL: a notary is running; -RF_ETAMPER as for it. The caller ends it. */
RF_CHECK int key_publishing_begin(const struct key_house *h, struct key_publishing **ret,
                                  struct err *err);
void key_publishing_end(struct key_publishing *p); /* NULL is welcome; wipes */
const struct secret_key *key_publishing_key(const struct key_publishing *p); /* of the log */

/* Show the region's database what is signed, and ask for the largest checkpoint that it has seen:
   this log must reach it and hold it. -RF_ETAMPER: it does not; -RF_EDENIED: the database names one
   that this log's key has not signed; -RF_EUNAVAIL: no server answers. */
RF_CHECK int key_publishing_compare(struct key_publishing *p, const struct key_house *h,
                                    struct err *err);

/* Repeatable. -RF_ETAMPER as for the notary. */
RF_CHECK int key_publish(struct key_publishing *p, const struct key_house *h,
                         struct key_published *ret, struct err *err);

/* ---- the region's database (key_database.c) ---- */

/* Tell the primary of CONFIG's first database our last checkpoint (size 0: there is none), and take
   the largest that it has seen. Each of its servers is asked once, some seconds at most.
   -RF_EUNAVAIL: none answers. */
RF_CHECK int key_database_ask(const struct config *config, const struct sight *ours,
                              struct sight *ret, struct err *err);

#endif
