/* guard.h - an early look at a person's SQL: kinds, relations, fingerprint, and refusals.
 *
 * A second wall with good messages, never the first one: what an actor must not see is not readable
 * by the database role that runs the statement. libpg_query crashes on hostile text, so
 * guard_inspect() runs in the parser process only; everybody else uses the messages below. */
#ifndef RF_GUARD_GUARD_H
#define RF_GUARD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* tbl/refusal.def: REFUSAL(name, sqlstate, sentence, hint) */
enum guard_refusal {
    GUARD_OK,
#define REFUSAL(name, sqlstate, sentence, hint) GUARD_##name,
#include "guard/tbl/refusal.def"
#undef REFUSAL
    GUARD_REFUSAL_COUNT
};

/* More of either in one text, or in one statement, is too complex: a list that is silently cut
   could hide a relation behind others. */
enum { GUARD_STATEMENTS_MAX = 100, GUARD_RELATIONS_MAX = 64 };

struct guard_statement {
    uint32_t offset, len; /* bytes of the source text, without the ';' */
    const char *kind;     /* "SelectStmt": libpg_query's node name */
    uint64_t fingerprint; /* pg_query_fingerprint of the statement */
    enum guard_refusal refusal;
    const char *subject;   /* what the refusal is about (parameter, function), or "" */
    const char *relations; /* "schema.table,table", deduplicated, quoted as SQL where a name
                              needs it; names of WITH queries are not relations */
};

enum guard_status { GUARD_PARSED, GUARD_SYNTAX_ERROR, GUARD_TOO_COMPLEX, GUARD_STATUS_COUNT };

/* The answer about one text. Strings are borrowed from the message or the arena it was made in. */
struct guard_report {
    uint32_t id;
    enum guard_status status;
    char message[256]; /* SYNTAX_ERROR: as PostgreSQL says it; TOO_COMPLEX: a sentence */
    uint32_t position; /* SYNTAX_ERROR: in characters, from 1; 0 unknown */
    uint32_t count;
    struct guard_statement statements[GUARD_STATEMENTS_MAX];
    char *arena; /* guard_inspect()'s strings; NULL in a report that was read */
};

/* Messages on the socket between a worker and the parser: SOCK_SEQPACKET, one message a packet.
   Request: u32 id, u32 length, SQL. Report: as guard_report_write() lays it out. */
enum { GUARD_SQL_MAX = 64 * 1024, GUARD_MESSAGE_MAX = 160 * 1024 };

RF_CHECK int guard_request_write(struct buf *to, uint32_t id, const char *sql, size_t len);
RF_CHECK int guard_request_read(const void *bytes, size_t n, uint32_t *ret_id, const char **ret_sql,
                                size_t *ret_len);
RF_CHECK int guard_report_write(struct buf *to, const struct guard_report *report);
/* Strings of *RET borrow from BYTES. -RF_EPROTO for anything malformed. */
RF_CHECK int guard_report_read(const void *bytes, size_t n, struct guard_report *ret);

/* For a report that is not GUARD_PARSED: 42601, 54001, or 22021 for text that is not UTF-8. */
const char *guard_report_sqlstate(const struct guard_report *report);

const char *guard_refusal_sqlstate(enum guard_refusal r);
const char *guard_refusal_sentence(enum guard_refusal r); /* may hold one %s for `subject` */
const char *guard_refusal_hint(enum guard_refusal r);

/* May a person set this parameter (SET, startup packet, `options`)? tbl/parameter.def; names
   compare without case. */
bool guard_parameter_allowed(const char *name);

/* The same for a value. client_encoding must be UTF8 or SQL_ASCII (in any of the server's
   spellings): both reach the server's parser as the bytes that we looked at, while in SJIS, BIG5 or
   GBK the second byte of a character can be a quote or a backslash. */
bool guard_parameter_value_allowed(const char *name, const char *value);

#endif
