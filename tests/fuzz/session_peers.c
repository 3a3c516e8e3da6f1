/* session_peers.c - the ledger and the parser process of session_world.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guard/inspect.h"
#include "session_world.h"

enum { UNACKED_MAX = 4096, ACCOUNTS_MAX = 64, SHORT_SQL = 2048 };

/* ---- bytes ---- */

void bytes_add(struct bytes *b, const void *more, size_t n)
{
    if (b->len + n > b->cap) {
        size_t cap = (b->len + n) * 2;
        b->at = realloc(b->at, cap);
        RF_ASSERT(b->at != NULL);
        b->cap = cap;
    }
    if (n > 0)
        memcpy(b->at + b->len, more, n);
    b->len += n;
}

void bytes_add_u16(struct bytes *b, unsigned v)
{
    const uint8_t two[] = { (uint8_t)(v >> 8), (uint8_t)v };
    bytes_add(b, two, sizeof(two));
}

void bytes_add_u32(struct bytes *b, uint32_t v)
{
    bytes_add_u16(b, v >> 16);
    bytes_add_u16(b, v & 0xffff);
}

void bytes_take(struct bytes *b, size_t n)
{
    RF_ASSERT(n <= b->len);
    if (n > 0)
        memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

void bytes_done(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){ 0 };
}

size_t message_begin(struct bytes *b, char type)
{
    bytes_add(b, &type, 1);
    bytes_add_u32(b, 0);
    return b->len - 4;
}

void message_end(struct bytes *b, size_t length_at)
{
    uint32_t length = (uint32_t)(b->len - length_at);
    const uint8_t four[] = { (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                             (uint8_t)(length >> 8), (uint8_t)length };
    memcpy(b->at + length_at, four, sizeof(four));
}

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- the ledger ---- */

struct unacked {
    uint8_t id[RECORD_SESSION_ID_LEN];
    enum record_kind kind;
    uint64_t rows, bytes;
};

static struct {
    int fd;
    bool greeted, automatic, refusing;
    uint64_t acked, stored; /* numbers; those between wait in `unacked`, in order */
    struct unacked *unacked;
    struct ledger_account accounts[ACCOUNTS_MAX];
    struct bytes in;
} ledger = { .fd = -1 };

const struct ledger_account *ledger_account_of(const uint8_t id[RECORD_SESSION_ID_LEN])
{
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++)
        if (ledger.accounts[i].used &&
            memcmp(ledger.accounts[i].id, id, sizeof(ledger.accounts[i].id)) == 0)
            return &ledger.accounts[i];
    return NULL;
}

static struct ledger_account *account_make(const uint8_t id[RECORD_SESSION_ID_LEN])
{
    const struct ledger_account *found = ledger_account_of(id);
    if (found != NULL)
        return &ledger.accounts[found - ledger.accounts];
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++)
        if (!ledger.accounts[i].used) {
            ledger.accounts[i].used = true;
            memcpy(ledger.accounts[i].id, id, sizeof(ledger.accounts[i].id));
            return &ledger.accounts[i];
        }
    RF_ASSERT(!"more sessions than a script can open");
    return NULL;
}

static void ledger_send(const struct bytes *body)
{
    struct bytes b = { 0 };
    bytes_add_u32(&b, (uint32_t)body->len);
    bytes_add(&b, body->at, body->len);
    if (ledger.fd >= 0)
        (void)send(ledger.fd, b.at, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    bytes_done(&b);
}

static void ledger_send_number(uint8_t type, uint64_t number)
{
    struct bytes b = { 0 };
    bytes_add(&b, &type, 1);
    bytes_add_u32(&b, (uint32_t)(number >> 32));
    bytes_add_u32(&b, (uint32_t)number);
    ledger_send(&b);
    bytes_done(&b);
}

/* The next COUNT records are durable, as far as this file goes. */
static void note_acked(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct unacked *u = &ledger.unacked[i];
        struct ledger_account *a = account_make(u->id);
        a->opened = a->opened || u->kind == RECORD_SESSION_OPEN;
        if (u->kind == RECORD_RESULT) {
            a->rows += u->rows;
            a->bytes += u->bytes;
            a->results++;
        }
    }
    uint64_t left = ledger.stored - ledger.acked - count;
    memmove(ledger.unacked, ledger.unacked + count, left * sizeof(*ledger.unacked));
    ledger.acked += count;
}

void ledger_ack(unsigned count)
{
    uint64_t waiting = ledger.stored - ledger.acked;
    if (ledger.fd < 0 || !ledger.greeted || ledger.refusing || waiting == 0)
        return;
    note_acked(count < waiting ? count : waiting);
    ledger_send_number(RECORD_ANSWER_ACK, ledger.acked);
}

static void on_record(const uint8_t *bytes, size_t n)
{
    struct record r;
    uint64_t seq = 0;
    RF_ASSERT(record_read(bytes, n, &seq, &r) == 0);
    RF_ASSERT(seq <= ledger.stored + 1); /* no gap, whatever died in between */
    if (seq <= ledger.stored || ledger.refusing)
        return;
    RF_ASSERT(ledger.stored - ledger.acked < UNACKED_MAX);
    struct unacked *u = &ledger.unacked[ledger.stored - ledger.acked];
    *u = (struct unacked){ .kind = r.kind, .rows = r.rows, .bytes = r.bytes };
    memcpy(u->id, r.session, sizeof(u->id));
    ledger.stored = seq;
    if (ledger.stored - ledger.acked == UNACKED_MAX) /* more than a script is meant to hold back */
        ledger_ack(UNACKED_MAX);
}

static void on_ledger_message(const uint8_t *bytes, size_t n)
{
    uint64_t instance = 0;
    char name[RECORD_WORD_MAX + 1];
    if (ledger.greeted) {
        bool is_awaited = n == 1 && bytes[0] == RECORD_MSG_AWAITED; /* the script acknowledges */
        if (!is_awaited)
            on_record(bytes, n);
        return;
    }
    RF_ASSERT(record_hello_read(bytes, n, &instance, name) == 0);
    ledger.greeted = true;
    if (!ledger.refusing)
        ledger_send_number(RECORD_ANSWER_WELCOME, ledger.acked);
}

void ledger_run(void)
{
    static uint8_t piece[64 * 1024];
    ssize_t n;
    while (ledger.fd >= 0 && (n = recv(ledger.fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        bytes_add(&ledger.in, piece, (size_t)n);
    while (ledger.in.len >= 4) {
        size_t len = u32_at(ledger.in.at);
        if (ledger.in.len < 4 + len)
            break;
        on_ledger_message(ledger.in.at + 4, len);
        bytes_take(&ledger.in, 4 + len);
    }
    if (ledger.automatic)
        ledger_ack(UNACKED_MAX);
}

void ledger_auto(bool on)
{
    ledger.automatic = on;
}

void ledger_die(bool forgets)
{
    if (ledger.fd >= 0)
        (void)close(ledger.fd);
    ledger.fd = -1;
    ledger.greeted = ledger.refusing = false;
    bytes_done(&ledger.in);
    if (forgets)
        ledger.stored = ledger.acked;
    else
        note_acked(ledger.stored - ledger.acked); /* durable, and nobody was told */
}

void ledger_connect(void)
{
    int pair[2];
    ledger_die(true);
    RF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    ledger.fd = pair[0];
    world.inside = true;
    recorder_connect(world.worker.recorder, pair[1]);
    world.inside = false;
}

void ledger_refuse(void)
{
    struct bytes b = { 0 };
    bytes_add(&b, "\3", 1);
    bytes_add_u32(&b, 9);
    bytes_add(&b, "disk full", 9);
    ledger.refusing = true;
    ledger_send(&b);
    bytes_done(&b);
}

void ledger_say(const uint8_t *bytes, size_t n)
{
    if (ledger.fd >= 0 && n > 0)
        (void)send(ledger.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ledger_reset(void)
{
    ledger_die(true);
    struct unacked *keep = ledger.unacked;
    memset(&ledger, 0, sizeof(ledger));
    ledger.fd = -1;
    ledger.automatic = true;
    ledger.unacked = keep != NULL ? keep : calloc(UNACKED_MAX, sizeof(*keep));
    RF_ASSERT(ledger.unacked != NULL);
}

/* ---- the parser ---- */

static struct {
    int fd;
    bool automatic, has_request;
    uint8_t request[GUARD_MESSAGE_MAX];
    size_t request_len;
} parser = { .fd = -1 };

/* What a text that begins with '!' is answered by: its next byte says; no parser needed. */
static void pretend(const char *sql, size_t len, struct guard_report *r)
{
    unsigned how = len > 1 ? (uint8_t)sql[1] : 0;
    r->status = (enum guard_status)(how % GUARD_STATUS_COUNT);
    if (r->status != GUARD_PARSED) {
        memcpy(r->message, "pretended", 10);
        r->position = how;
        return;
    }
    r->count = how / 16 % 4;
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t part = (uint32_t)len / r->count;
        r->statements[i] = (struct guard_statement){
            .offset = i * part,
            .len = part > 0 ? part : 1,
            .kind = "SelectStmt",
            .fingerprint = how,
            .refusal = i + 1 == r->count ? (enum guard_refusal)(how / 64 % 4) : GUARD_OK,
            .subject = "subject",
            .relations = "users",
        };
    }
}

void parser_answer(void)
{
    static struct guard_report report;
    struct buf b;
    uint32_t id = 0;
    const char *sql = NULL;
    size_t len = 0;
    if (!parser.has_request || parser.fd < 0)
        return;
    parser.has_request = false;
    RF_ASSERT(guard_request_read(parser.request, parser.request_len, &id, &sql, &len) == 0);
    memset(&report, 0, sizeof(report));
    if (len > SHORT_SQL) /* what libpg_query does with long ones is its own matter */
        report = (struct guard_report){ .status = GUARD_TOO_COMPLEX, .message = "too long" };
    else if (len > 0 && sql[0] == '!')
        pretend(sql, len, &report);
    else
        guard_inspect(sql, len, &report);
    report.id = id;
    buf_init(&b, GUARD_MESSAGE_MAX);
    if (guard_report_write(&b, &report) == 0)
        parser_say(buf_at(&b), buf_len(&b));
    buf_done(&b);
    guard_inspect_done(&report);
}

void parser_run(void)
{
    ssize_t n;
    if (parser.fd < 0 || parser.has_request)
        return;
    n = recv(parser.fd, parser.request, sizeof(parser.request), MSG_DONTWAIT);
    if (n <= 0)
        return;
    parser.request_len = (size_t)n;
    parser.has_request = true;
    if (parser.automatic)
        parser_answer();
}

void parser_auto(bool on)
{
    parser.automatic = on;
    if (on)
        parser_answer();
}

void parser_die(void)
{
    if (parser.fd >= 0)
        (void)close(parser.fd);
    parser.fd = -1;
    parser.has_request = false;
}

void parser_connect(void)
{
    int pair[2];
    parser_die();
    RF_ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    parser.fd = pair[0];
    world.inside = true;
    inspector_connect(world.worker.inspector, pair[1]);
    world.inside = false;
}

void parser_say(const uint8_t *bytes, size_t n)
{
    if (parser.fd >= 0 && n > 0)
        (void)send(parser.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void parser_reset(void)
{
    parser_die();
    parser.automatic = true;
}
