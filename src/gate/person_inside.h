/* person_inside.h - what the files of a person's session share.
 *
 *   person.c         beginning, end, the link, what has been released
 *   person_ask.c     from the client: judged, recorded, sent on
 *   person_answer.c  from the server: counted, held
 *   person_switch.c  SET ringfence.grant: another server connection under another role */
#ifndef RF_GATE_PERSON_INSIDE_H
#define RF_GATE_PERSON_INSIDE_H

#include "gate/expect.h"
#include "gate/inspector.h"
#include "gate/link.h"
#include "gate/names.h"
#include "gate/person.h"
#include "gate/release.h"

enum {
    PERSON_BIND_MAX = 1024 * 1024,
    PERSON_PARSE_EXTRA = 64 * 1024, /* name and parameter types beside the statement */
    PERSON_PIPELINE_MAX = 5000,
    PERSON_BODY_MAX = 64 * 1024,
    PERSON_PARAMETERS_MAX = 8 * 1024
};

/* A server connection and whose it is. */
struct person_line {
    struct link link;
    struct person *person;
};

static inline struct person *person_of(struct link *l)
{
    return RF_OWNER(l, struct person_line, link)->person;
}

struct person_switch; /* one that is under way */

struct person {
    struct session *session;
    struct link *link; /* of a struct person_line; NULL before there is one */
    struct person_switch *change;
    struct release release;
    struct recorder_wait open_wait;
    struct inspection inspection;
    struct expect_queue expect;
    struct walk server;
    struct buf body; /* of a server message in parts that is looked at */
    struct buf text; /* scratch for messages to the server */
    struct names prepared, portals;
    struct err denial; /* stands in for the error of the statement that was replaced */
    uint32_t denial_position;
    uint64_t statements;    /* numbers given */
    uint64_t synced_out;    /* of those, up to the last Sync sent */
    uint32_t synced;        /* newest statement before the Sync that a 'Z' answers */
    struct timer timer;     /* how long the parser may take; before the greeting, the ledger */
    int64_t grant_until_ms; /* how long a grant is waited for that is not known; 0: for none */
    struct err refusal;     /* REFUSED: until the timer says what to make of it */
    size_t discard;         /* bytes to come of a message that was refused unseen */
    uint8_t watched;        /* enum message whose body is collected, or 0 */
    char status;
    bool denying, denial_synced; /* `denial` is unanswered; a Sync has gone out behind it */
    bool news;                   /* the server message being walked needs a record */
    bool swallowing, replacing;  /* the server message being walked */
    bool noticing;               /* it is a notice, held once it is known not to be for us */
    bool awaits_grant;           /* the timer has the SET in front looked at again */
    bool awaits_sync;            /* so have the answers to what went before it */
    bool said_fatal, link_over, refused;
};

/* End the session with this error. */
void person_fail(struct person *p, enum err_code code, const char *line);

/* A link of this person's, not connected: the startup packet will ask for WANTED. NULL: out of
   memory. */
struct link *person_line_new(struct person *p, const char *role, const struct link_ops *ops,
                             const struct settings *wanted);
void person_line_free(struct link *l); /* closes it; NULL is welcome */
extern const struct link_ops person_link_ops;

/* Record a SET of the grant, and begin to enter grant ID, or to leave the present one (0). False:
   it is refused, and *RET_DENIAL and *RET_RULE say why. The answer follows. */
bool person_switch_may_come(const struct person *p, uint64_t id); /* not known, perhaps not yet */
RF_CHECK bool person_switch_begin(struct person *p, uint64_t id, struct err *ret_denial,
                                  const char **ret_rule);
void person_switch_go(struct person *p); /* goes on where it can; harmless without one */
void person_switch_failed(struct person *p, const struct err *why);
void person_switch_end(struct person *p); /* the session ends; harmless without one */

/* The server refuses the role of a grant: look in a moment whether the grant has ended, and refuse
   for that reason, or else for WHY. */
void person_ask_again(struct person *p, const struct err *why);

void person_refused(struct person *p); /* that moment is over */

/* The session ends over something that only an attacker or a fault can be behind. */
void person_alarm(struct person *p, const char *rule, const char *reason);

/* Work through what the client has sent, as far as it goes. */
void person_ask(struct person *p);
void person_on_report(struct inspection *q, const struct guard_report *report);
void person_on_timer(struct timer *t); /* the parser, or the ledger at login, took too long */

/* N bytes of the server: count, hold and note them. False: it broke the protocol, or the session
   has ended. */
RF_CHECK bool person_answer(struct person *p, const uint8_t *bytes, size_t n);

#endif
