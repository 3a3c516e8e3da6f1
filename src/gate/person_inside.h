/* person_inside.h - what the three files of a person's session share.
 *
 *   person.c         beginning, end, the link, what has been released
 *   person_ask.c     from the client: judged, recorded, sent on
 *   person_answer.c  from the server: counted, held */
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

struct person {
    struct session *session;
    struct link link;
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
    uint64_t statements; /* numbers given */
    uint64_t synced_out; /* of those, up to the last Sync sent */
    uint32_t synced;     /* newest statement before the Sync that a 'Z' answers */
    struct timer timer;  /* how long the parser may take; before the greeting, the ledger */
    size_t discard;      /* bytes to come of a message that was refused unseen */
    uint8_t watched;     /* enum message whose body is collected, or 0 */
    char status;
    bool denying, denial_synced; /* `denial` is unanswered; a Sync has gone out behind it */
    bool news;                   /* the server message being walked needs a record */
    bool swallowing, replacing;  /* the server message being walked */
    bool said_fatal, link_over;
};

/* End the session with this error. */
void person_fail(struct person *p, enum err_code code, const char *line);

/* Work through what the client has sent, as far as it goes. */
void person_ask(struct person *p);
void person_on_report(struct inspection *q, const struct guard_report *report);
void person_on_timer(struct timer *t); /* the parser, or the ledger at login, took too long */

/* N bytes of the server: count, hold and note them. False: it broke the protocol, or the session
   has ended. */
RF_CHECK bool person_answer(struct person *p, const uint8_t *bytes, size_t n);

#endif
