/* record.h - what happened, as a worker tells the ledger (docs/formats/journal.md).
 *
 * Every record has a public part, without personal data, and a private part that the ledger seals
 * with the day's key before it reaches the journal. Strings are borrowed; NULL and "" are the same:
 * not said. */
#ifndef RF_LEDGER_RECORD_H
#define RF_LEDGER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum record_kind {
    RECORD_NONE,
    RECORD_START,        /* a gateway process began: digests of binary and policy */
    RECORD_SESSION_OPEN, /* a person's session, before its first ReadyForQuery */
    RECORD_STATEMENT,    /* a person's statement, as it is forwarded */
    RECORD_RESULT,       /* rows and bytes about to be released; several a statement */
    RECORD_DENIAL,       /* login, statement or parameter refused */
    RECORD_SESSION_CLOSE,
    RECORD_SERVICE,    /* roll-up of one service's counters */
    RECORD_DISCLOSURE, /* clear values of subjects were evaluated under a grant */
    /* Of the registrar alone: leaves where there is a public log (docs/formats/log.md). */
    RECORD_FIND,         /* somebody was looked for, and found or not */
    RECORD_REQUEST,      /* clear values of named subjects were asked for */
    RECORD_APPROVAL,     /* somebody said yes or no to a request */
    RECORD_GRANT,        /* it is granted: before there is such a grant anywhere */
    RECORD_BREAKGLASS,   /* a request that opens at once */
    RECORD_REVIEW,       /* what was thought of that afterwards */
    RECORD_SUSPENSION,   /* somebody may do nothing more; in the journal alone, as the next */
    RECORD_LIFTING,      /* one of two says that he may again */
    RECORD_ALERT,        /* a rule of the policy says that somebody should look; also the next */
    RECORD_ALERT_REVIEW, /* what he thought of it */
    RECORD_HOLD,  /* one of two says that the notices of a grant wait; in the journal alone */
    RECORD_TRACE, /* values found elsewhere were compared with grants; in the journal alone, too */
    RECORD_CONSENT, /* consents were given or withdrawn: so many, or one by a signed command;
                       the journal has these, the public log their sums */
    RECORD_KIND_COUNT
};

/* RECORD_MAX counts what follows the length word. The public strings are words of at most
   RECORD_WORD_MAX printable ASCII characters without quote and backslash, so that no text of a
   client fits through by mistake; place is two capitals or empty. */
enum {
    RECORD_SESSION_ID_LEN = 16,
    RECORD_MAX = 80 * 1024,
    RECORD_WORD_MAX = 63,
    RECORD_REF_SIZE = 16 + 1 + 255 + 1, /* `INDEX ORIGIN` of a leaf, or `ENTRY journal` */
    RECORD_REFS_MAX = 2400
};

/* Most that a number of a record may be (and a seq): what JSON readers hold exactly. */
#define RECORD_NUMBER_MAX ((INT64_C(1) << 53) - 1)

struct record {
    enum record_kind kind;
    int64_t wall_ms;
    uint8_t session[RECORD_SESSION_ID_LEN]; /* random per session; zero when there is none */
    uint64_t statement;                     /* from 1 within the session; 0: none */

    /* public */
    const char *region;
    const char *entity;
    const char *place; /* ISO country */
    const char *room;
    const char *purpose;
    const char *rule;        /* that decided: denials, suspensions, alerts; CONSENT: version of its
                                text */
    const char *actor_kind;  /* "person", "service", "unknown" */
    const char *classes;     /* DISCLOSURE: "identity,contact", in the policy's order */
    const char *verdict;     /* APPROVAL: "approve", "deny"; REVIEW, ALERT_REVIEW: "proper", …;
                                CONSENT: "given", "withdrawn", "shown" (to who may record them) */
    const char *request_ref; /* APPROVAL, GRANT, REVIEW: what the ledger answered for the REQUEST */
    const char
        *approval_refs;   /* GRANT: those of its APPROVALs, commas between; none: glass broken */
    uint64_t grant;       /* that the session runs under, or a request's number; 0: none */
    uint64_t until;       /* GRANT: its end; HOLD: that of the hold; milliseconds since 1970 */
    uint64_t rows, bytes; /* RESULT: of this chunk; SESSION_CLOSE: in all; SERVICE: cumulative */
    uint64_t statements;  /* SESSION_CLOSE, SERVICE */
    uint64_t subjects;    /* DISCLOSURE; CONSENT: how many */
    uint64_t slot, start; /* SERVICE, the ledger's own: whose totals, of which start; never sent */

    /* private: sealed */
    const char *actor;
    const char *client; /* address and port */
    const char *listener;
    const char *database; /* alias */
    const char *role;     /* database role */
    const char *sql;
    size_t sql_len;
    const char *statement_kind;
    uint64_t fingerprint;
    const char *relations;
    const char
        *revealed; /* "KEY CLASSES KEY CLASSES …"; FIND: "KEY find" of who was found, or "" */
    const char *outcome;   /* command tag, SQLSTATE, or "" while a result goes on */
    const char *detail;    /* START: digests; DENIAL: what was refused */
    const char *text;      /* FIND to REVIEW but for GRANT: what was signed (sign/command.h) … */
    const char *signature; /* … and the signature, armored */
};

/* Messages on the stream between a worker (or registrar) and the ledger: u32 length of what
   follows, and one of

   from worker:  HELLO    u8 1, u64 instance, str32 name; first; random per process
                 RECORD   u8 2, u64 seq, record; seq from 1, by one, per instance
                 AWAITED  u8 3; somebody waits for what was sent so far
                 NEWS     u8 4, u64 number; of a registrar: that piece of news is taken (0: none
                          was), what is next?
   from ledger:  WELCOME  u8 1, u64 last durable seq of that instance (0: none)
                 ACK      u8 2, u64 seq; all up to it are durable
                 REFUSED  u8 3, str32 reason; it takes no more (disk full, sync error)
                 REACHED  u8 4, u64 seq, u64 seq; all up to these are in a signed, and in
                          a witnessed checkpoint of the public log
                 LEAF     u8 5, u64 seq, str32 ref; to a registrar, behind the ACK of seq:
                          `INDEX ORIGIN` of its leaf, or `ENTRY journal` of what is none;
                          he waits for it before he sends another record
                 NEWS     u8 6, u64 number (0: there are none, and the rest is empty), u8 kind,
                          u64 count, str32 region, str32 actor, str32 place; tally.h */
enum record_message {
    RECORD_MSG_HELLO = 1,
    RECORD_MSG_RECORD = 2,
    RECORD_MSG_AWAITED = 3,
    RECORD_MSG_NEWS = 4,
    RECORD_MSG_COUNT
};
enum record_answer {
    RECORD_ANSWER_WELCOME = 1,
    RECORD_ANSWER_ACK = 2,
    RECORD_ANSWER_REFUSED = 3,
    RECORD_ANSWER_REACHED = 4,
    RECORD_ANSWER_LEAF = 5,
    RECORD_ANSWER_NEWS = 6
};

/* What workers have said, summed up for the registrar. */
enum record_news_kind {
    RECORD_NEWS_NONE,
    RECORD_NEWS_ROWS,   /* COUNT more rows were released to ACTOR */
    RECORD_NEWS_FORGED, /* ACTOR's session ended, COUNT times, with a forged disclosure */
    RECORD_NEWS_KIND_COUNT
};
struct record_news {
    uint64_t number, count;
    enum record_news_kind kind;
    const char *region, *actor, *place; /* of the last one; "": nobody knows */
};

/* How safe a record is: each level includes those before it. */
enum record_level { RECORD_DURABLE, RECORD_SIGNED, RECORD_WITNESSED, RECORD_LEVEL_COUNT };

/* 0, or with TO as it was: -RF_EINVAL for a value that the rules above refuse, -RF_ETOOBIG past
   RECORD_MAX or the buffer's ceiling, -RF_ENOMEM. */
RF_CHECK int record_hello_write(struct buf *to, uint64_t instance, const char *name);
RF_CHECK int record_write(struct buf *to, uint64_t seq, const struct record *record);
/* Strings borrow from BYTES (the message after its length word) and end in NUL. -RF_EPROTO for
   anything else than what the writers above make. */
RF_CHECK int record_read(const void *bytes, size_t n, uint64_t *ret_seq, struct record *ret);
RF_CHECK int record_hello_read(const void *bytes, size_t n, uint64_t *ret_instance,
                               char ret_name[RECORD_WORD_MAX + 1]);

RF_CHECK int record_awaited_write(struct buf *to);

RF_CHECK int record_news_ask(struct buf *to, uint64_t taken);
RF_CHECK int record_news_asked(const void *bytes, size_t n, uint64_t *ret_taken);
/* The answer; NULL: there are none. */
RF_CHECK int record_news_write(struct buf *to, const struct record_news *news);
/* BODY is what follows the type. Texts are copied into COPY. 1: news; 0: none; -RF_EPROTO. */
struct record_news_copy {
    char region[RECORD_WORD_MAX + 1], actor[RECORD_WORD_MAX + 1], place[RECORD_WORD_MAX + 1];
};
RF_CHECK int record_news_read(const void *body, size_t n, struct record_news_copy *copy,
                              struct record_news *ret);

/* Nobody waits for a record of KIND as such: it need not be durable before the first byte of an
   answer leaves, and the record of that answer, or AWAITED, comes behind it. */
bool record_is_patient(enum record_kind kind);

const char *record_kind_name(enum record_kind kind);
/* Is it one of those that a registrar says, and nobody else? */
bool record_is_of_registrar(enum record_kind kind);

/* Of those: is it a leaf of the public log, too? */
bool record_is_leaf(enum record_kind kind);

#endif
