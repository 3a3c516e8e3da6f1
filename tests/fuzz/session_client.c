/* session_client.c - the clients of session_world.h, and what they may never see. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/scram.h"
#include "base/mem.h"
#include "session_world.h"
#include "wire/startup.h"

enum { LOGIN_TURNS = 60, IN_MAX = 1 << 20 };

static struct scram_cache cache; /* one password for all: PBKDF2 is paid once a process */

/* ---- what comes from the gate ---- */

static bool is_news(char type)
{
    return type != '\0' && strchr("DdTtNAVH", type) != NULL;
}

/* Answers carry the tag of the client that asked: "~hhhhhhhhk~", k = c when the server is clean.
   Errors without one are the gate's own refusals, which say nothing about data. */
static void check_tag(struct client *c)
{
    struct follow *f = &c->follow;
    for (unsigned i = 0; i + 11 <= f->front_len; i++) {
        unsigned tag = 0;
        char text[12];
        if (f->front[i] != '~' || f->front[i + 10] != '~' || f->front[i + 9] != 'c')
            continue;
        memcpy(text, f->front + i + 1, 8);
        text[8] = '\0';
        if (sscanf(text, "%8x", &tag) != 1)
            continue;
        RF_ASSERT(tag == 0 || tag == c->tag); /* somebody else's answer */
        if (f->type == 'E')
            f->news_at = f->bytes;
    }
}

static void check_records(const struct client *c)
{
    const struct ledger_account *a = ledger_account_of(c->id);
    if (c->kind != CLIENT_PERSON)
        return;
    RF_ASSERT(a != NULL && a->opened);
    RF_ASSERT(c->follow.rows <= a->rows);
    RF_ASSERT(c->follow.news_at <= a->bytes);
}

static void follow_header(struct client *c)
{
    struct follow *f = &c->follow;
    uint32_t length = (uint32_t)f->header[1] << 24 | (uint32_t)f->header[2] << 16 |
                      (uint32_t)f->header[3] << 8 | f->header[4];
    f->have = 0;
    f->type = (char)f->header[0];
    f->front_len = 0;
    f->bad = length < 4;
    f->left = f->bad ? 0 : length - 4;
    if (f->type == 'D' || f->type == 'd')
        f->rows++;
    if (is_news(f->type))
        f->news_at = f->bytes;
}

static void follow_bytes(struct client *c, const uint8_t *at, size_t n)
{
    struct follow *f = &c->follow;
    while (n > 0 && !f->bad) {
        if (f->left > 0) {
            size_t part = n < f->left ? n : f->left;
            for (size_t i = 0; i < part && f->front_len < sizeof(f->front); i++)
                f->front[f->front_len++] = at[i];
            f->left -= (uint32_t)part;
            f->bytes += part;
            if (is_news(f->type))
                f->news_at = f->bytes;
            at += part;
            n -= part;
            if (f->left == 0)
                check_tag(c);
            continue;
        }
        f->header[f->have++] = *at++;
        f->bytes++;
        n--;
        if (f->have == sizeof(f->header))
            follow_header(c);
    }
    check_records(c);
}

/* The gate's own last words say nothing about data and are on no record: where they begin at the
   end of what came, or N. They may stand in the middle of a message that never ended. */
static size_t last_words(const uint8_t *bytes, size_t n)
{
    static const char words[] = "SFATAL\0VFATAL";
    for (size_t i = 0; i + 5 + sizeof(words) <= n; i++) {
        if (bytes[i] != 'E' || memcmp(bytes + i + 5, words, sizeof(words)) != 0)
            continue;
        size_t length = (size_t)bytes[i + 1] << 24 | (size_t)bytes[i + 2] << 16 |
                        (size_t)bytes[i + 3] << 8 | bytes[i + 4];
        if (i + 1 + length == n)
            return i;
    }
    return n;
}

static bool still_serves(const struct client *c)
{
    const struct worker *w = &world.worker;
    const struct session *s = c->slot < w->slot_cap ? w->slots[c->slot] : NULL;
    return s != NULL && memcmp(s->id, c->id, sizeof(c->id)) == 0 && s->state != SESSION_ENDING &&
           s->state != SESSION_CLOSED;
}

/* ---- logging in ---- */

static void send_sasl(struct client *c, const char *mechanism, struct buf *out)
{
    struct bytes b = { 0 };
    size_t at = message_begin(&b, 'p');
    if (mechanism != NULL) {
        bytes_add(&b, mechanism, strlen(mechanism) + 1);
        bytes_add_u32(&b, (uint32_t)buf_len(out));
    }
    bytes_add(&b, buf_at(out), buf_len(out));
    message_end(&b, at);
    client_send(c, b.at, b.len);
    bytes_done(&b);
}

static void on_authentication(struct client *c, const uint8_t *body, size_t n)
{
    struct buf out;
    struct err e;
    const char *mechanism = NULL;
    enum scram_step step = SCRAM_FAILED;
    uint32_t code = n >= 4 ? (uint32_t)body[3] : 0;
    if (code < 10 || c->kind == CLIENT_RAW)
        return;
    buf_init(&out, SCRAM_MESSAGE_MAX);
    if (code == 10 && c->scram == NULL &&
        scram_client_new("pencil", NULL, 0, &cache, &c->scram) == 0)
        step = scram_client_start(c->scram, body + 4, n - 4, &mechanism, &out, &e);
    else if (c->scram != NULL)
        step = scram_client_step(c->scram, body + 4, n - 4, &out, &e);
    if (step == SCRAM_CONTINUE)
        send_sasl(c, mechanism, &out);
    buf_done(&out);
}

/* The messages of a login; from the first ReadyForQuery on they are only followed. */
static void read_login(struct client *c)
{
    while (!c->greeted && c->in.len >= 5) {
        const uint8_t *m = c->in.at;
        size_t length = (size_t)m[1] << 24 | (size_t)m[2] << 16 | (size_t)m[3] << 8 | m[4];
        if (m[0] == 'N' && (c->in.len == 1 || m[1] != 0)) { /* the answer to an SSLRequest */
            bytes_take(&c->in, 1);
            continue;
        }
        if (c->in.len < length + 1)
            return;
        if (m[0] == 'R')
            on_authentication(c, m + 5, length - 4);
        if (m[0] == 'K' && length - 4 <= sizeof(c->key)) {
            memcpy(c->key, m + 5, length - 4);
            c->key_len = length - 4;
        }
        c->greeted = m[0] == 'Z';
        bytes_take(&c->in, length + 1);
    }
    if (!c->greeted)
        return;
    check_records(c);
    scram_client_free(c->scram);
    c->scram = NULL;
}

void client_connect(struct client *c, enum client_kind kind)
{
    int pair[2];
    uint32_t tag = c->tag;
    client_hang_up(c);
    RF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    *c = (struct client){ .fd = pair[0], .kind = kind, .tag = tag };
    world_accept(pair[1], c);
}

void client_login(struct client *c, unsigned minor)
{
    static const struct {
        const char *user, *database;
    } who[] = { { "nobody", "ses" }, { "svc", "ses" }, { "svc", "txn" }, { "ann", "ses" } };
    const struct startup_parameter list[] = { { "user", who[c->kind].user },
                                              { "database", who[c->kind].database },
                                              { "application_name", "fuzz" } };
    struct buf b;
    buf_init(&b, STARTUP_LENGTH_MAX);
    RF_ASSERT(startup_session_write(&b, minor == 2 ? 2 : 0, list, RF_COUNT(list)) == 0);
    client_send(c, buf_at(&b), buf_len(&b));
    buf_done(&b);
    for (unsigned i = 0; i < LOGIN_TURNS && c->fd >= 0 && !c->gone && !c->greeted; i++)
        world_turn();
}

/* ---- bytes ---- */

void client_send(struct client *c, const void *bytes, size_t n)
{
    if (c->fd >= 0 && c->out.len < IN_MAX)
        bytes_add(&c->out, bytes, n);
}

static void receive(struct client *c)
{
    static uint8_t piece[256 * 1024];
    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof(piece), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            c->gone = true;
            return;
        }
        bytes_add(&c->in, piece, (size_t)n);
    }
}

void client_run(struct client *c)
{
    if (c->fd < 0)
        return;
    if (c->out.len > 0) {
        ssize_t n = send(c->fd, c->out.at, c->out.len, MSG_NOSIGNAL);
        if (n > 0)
            bytes_take(&c->out, (size_t)n);
        else if (n < 0 && errno != EAGAIN)
            bytes_take(&c->out, c->out.len); /* the gate has hung up */
    }
    if (c->deaf || c->gone)
        return;
    receive(c);
    if (!c->greeted)
        read_login(c);
    if (c->greeted && c->in.len > 0) {
        size_t n = still_serves(c) ? c->in.len : last_words(c->in.at, c->in.len);
        follow_bytes(c, c->in.at, n);
        if (n < c->in.len)
            c->follow.bad = true; /* nothing of meaning follows */
        bytes_take(&c->in, c->in.len);
    }
}

void client_hang_up(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    scram_client_free(c->scram);
    c->scram = NULL;
    bytes_done(&c->in);
    bytes_done(&c->out);
}
