/* session_world.h - a worker's sessions with everything around them played in one process.
 *
 * The code under test is the whole of src/gate over src/io: struct worker is built from a small
 * configuration, its loop is turned by hand, and every other end is here:
 *   clients    socket pairs, with a real SCRAM client for logging in
 *   databases  unix sockets without a file; a model of a PostgreSQL server that answers in order
 *   ledger     takes records, acknowledges them when told to, dies, comes back
 *   parser     answers with guard_inspect(), dies, comes back
 * Time stands still unless world_pass() moves it, random numbers come from a fixed seed, and
 * nothing blocks: the same calls give the same run. Only the gate's own allocations are made to
 * fail.
 *
 * What must hold is asserted in here, all the time:
 *   - no row, error or notice reaches a person before a record that covers it was acknowledged, and
 *     no ReadyForQuery before the record of the session was
 *   - what a database answered to one client never reaches another
 *   - records arrive numbered by one, whatever dies
 *   - when everybody has hung up, every session ends, and no descriptor stays */
#ifndef RF_TEST_SESSION_WORLD_H
#define RF_TEST_SESSION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/session.h"
#include "gate/worker.h"

enum { WORLD_CLIENTS = 4, WORLD_SERVERS = 8 };

/* Bytes that grow; malloc's, not mem's: they are not the gate's. */
struct bytes {
    uint8_t *at;
    size_t len, cap;
};

void bytes_add(struct bytes *b, const void *more, size_t n);
void bytes_add_u16(struct bytes *b, unsigned v);
void bytes_add_u32(struct bytes *b, uint32_t v);
void bytes_take(struct bytes *b, size_t n); /* off the front */
void bytes_done(struct bytes *b);

/* A message whose body follows: returns where its length word stands for message_end(). */
size_t message_begin(struct bytes *b, char type);
void message_end(struct bytes *b, size_t length_at);

/* ---- clients ---- */

enum client_kind { CLIENT_RAW, CLIENT_SESSION, CLIENT_TRANSACTION, CLIENT_PERSON };

/* What has come from the gate, followed message by message. */
struct follow {
    uint8_t header[5];
    unsigned have;
    uint32_t left;
    char type;
    uint8_t front[96]; /* of the body */
    unsigned front_len;
    uint64_t bytes;   /* since the greeting */
    uint64_t news_at; /* end of the last byte that says something about data */
    uint64_t rows;
    bool bad;
};

struct client {
    int fd; /* -1: none */
    enum client_kind kind;
    bool greeted, deaf, gone; /* deaf: does not read; gone: the gate has hung up */
    uint8_t id[RECORD_SESSION_ID_LEN];
    uint32_t slot;
    uint32_t tag;     /* what this client's statements carry */
    uint8_t key[260]; /* of cancel requests: process number and secret */
    size_t key_len;
    struct scram_client *scram;
    struct bytes in, out;
    struct follow follow;
};

void client_connect(struct client *c, enum client_kind kind);
void client_login(struct client *c, unsigned minor); /* until greeted, refused or stuck */
void client_send(struct client *c, const void *bytes, size_t n);
void client_run(struct client *c); /* once a turn */
void client_hang_up(struct client *c);

/* ---- databases ---- */

enum answer {
    ANSWER_ROWS,
    ANSWER_ERROR,
    ANSWER_COPY_OUT,
    ANSWER_COPY_IN,
    ANSWER_EMPTY,
    ANSWER_BEGIN,
    ANSWER_COMMIT,
    ANSWER_SUSPENDED,
    ANSWER_FATAL,
    ANSWER_SET,
    ANSWER_COUNT
};

struct server {
    int fd;                              /* -1: none */
    bool standby, started, silent, lies; /* silent: start-up is left to the script */
    bool dirty;                          /* sent bytes of the script's own: proves nothing */
    bool skipping, copy_in, copy_simple;
    char status;
    uint32_t tag; /* of the client whose statement is being answered */
    struct bytes in, out;
};

void server_accept(struct server *s, int fd, bool standby);
void server_send(struct server *s, const void *bytes, size_t n);
/* Answer up to COUNT of the messages that have come, statements with HOW and ROWS of SIZE bytes. */
void server_answer(struct server *s, unsigned count, enum answer how, unsigned rows, size_t size);
void server_say(struct server *s,
                unsigned what); /* a notice, notification, parameter or farewell */
void server_run(struct server *s);
void server_hang_up(struct server *s);

/* ---- the whole ---- */

struct world {
    struct worker worker;
    struct client clients[WORLD_CLIENTS];
    struct server servers[WORLD_SERVERS];
    int64_t now_ms;
    bool silent_servers, lying_servers;
    bool inside;           /* the gate's code is running */
    unsigned long fail_at; /* of the gate's allocations, from now; 0: none */
    unsigned long passed;  /* allocations of the gate so far */
    size_t said;           /* bytes that databases have made up, for a limit */
};

extern struct world world;
extern unsigned long world_fail_first; /* fail_at of every world that is opened */

void world_open(void);
void world_close(void); /* everybody hangs up; asserts that nothing is left */
void world_turn(void);
void world_pass(int64_t ms);

void world_accept(int fd, struct client *c);
void world_cancel(const struct client *c, unsigned damage);
void world_reload(bool without_person);
void world_stop(bool now);
void world_lease(bool on);

/* The ledger. */
void ledger_auto(bool on);
void ledger_ack(unsigned count);
void ledger_die(bool forgets); /* FORGETS: what was not acknowledged is lost */
void ledger_connect(void);
void ledger_refuse(void);
void ledger_say(const uint8_t *bytes, size_t n);
void ledger_run(void);
/* What was acknowledged about the session ID. */
struct ledger_account {
    uint8_t id[RECORD_SESSION_ID_LEN];
    uint64_t rows, bytes, results;
    bool opened, used;
};
const struct ledger_account *ledger_account_of(const uint8_t id[RECORD_SESSION_ID_LEN]);
void ledger_reset(void);

/* The parser. */
void parser_auto(bool on);
void parser_answer(void);
void parser_die(void);
void parser_connect(void);
void parser_say(const uint8_t *bytes, size_t n);
void parser_run(void);
void parser_reset(void);

#endif
