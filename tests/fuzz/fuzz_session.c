/* fuzz_session.c - whole sessions of a worker by a script: what clients, databases, ledger, parser
 * and time do, interleaved as the input says (session_world.h plays them all).
 *
 * The first bytes log clients in and set how obliging the others are; then each byte is an order
 * and takes its arguments from what follows. Orders that make no sense now do nothing.
 * session_seeds.py writes scripts by name. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "session_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ORDERS_MAX = 300, SCRIPT_MAX = 8192 };

struct script {
    const uint8_t *at;
    size_t left;
    struct client *client; /* that orders are for */
    struct server *server;
};

static uint8_t next(struct script *s)
{
    if (s->left == 0)
        return 0;
    s->left--;
    return *s->at++;
}

static size_t next_text(struct script *s, const uint8_t **ret)
{
    size_t n = next(s);
    if (n > s->left)
        n = s->left;
    *ret = s->at;
    s->at += n;
    s->left -= n;
    return n;
}

/* ---- what clients say ---- */

static void add_cstr(struct bytes *b, const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n && text[i] != 0; i++)
        bytes_add(b, text + i, 1);
    bytes_add(b, "", 1);
}

static void add_name(struct bytes *b, unsigned which)
{
    static const char *const names[] = { "", "a", "b", "rf_1" };
    bytes_add(b, names[which % 4], strlen(names[which % 4]) + 1);
}

static void add_tag(struct bytes *b, const struct client *c)
{
    char tag[16];
    int n = snprintf(tag, sizeof(tag), "/~%08x~/", c->tag);
    bytes_add(b, tag, (size_t)n);
}

/* SQL of the script with the client's tag in a comment behind it. */
static void add_sql(struct script *s, struct bytes *b, bool tagged)
{
    static const char *const known[] = { "select 1", "select * from users",
                                         "begin; select 1; commit", "copy (select 1) to stdout" };
    const uint8_t *text;
    size_t n = next_text(s, &text);
    if (n == 1)
        bytes_add(b, known[text[0] % 4], strlen(known[text[0] % 4]));
    else
        for (size_t i = 0; i < n && text[i] != 0; i++)
            bytes_add(b, text + i, 1);
    if (tagged) {
        bytes_add(b, "/* ", 3);
        add_tag(b, s->client);
        bytes_add(b, " */", 3);
    }
    bytes_add(b, "", 1);
}

static void write_query(struct script *s, struct bytes *b)
{
    size_t at = message_begin(b, 'Q');
    add_sql(s, b, true);
    message_end(b, at);
}

static void write_parse(struct script *s, struct bytes *b)
{
    uint8_t how = next(s);
    size_t at = message_begin(b, 'P');
    add_name(b, how);
    add_sql(s, b, (how & 16) == 0); /* without a tag clients may share a statement */
    bytes_add_u16(b, (how & 32) != 0);
    if ((how & 32) != 0)
        bytes_add_u32(b, 25);
    message_end(b, at);
}

static void write_bind(struct script *s, struct bytes *b)
{
    uint8_t how = next(s);
    size_t at = message_begin(b, 'B');
    add_name(b, how / 4);
    add_name(b, how);
    bytes_add_u16(b, 0);
    bytes_add_u16(b, 1);
    bytes_add_u32(b, 12);
    add_tag(b, s->client);
    bytes_add_u16(b, 0);
    message_end(b, at);
}

static void write_target(struct script *s, struct bytes *b)
{
    uint8_t how = next(s);
    size_t at = message_begin(b, (how & 16) != 0 ? 'C' : 'D');
    bytes_add(b, (how & 32) != 0 ? "P" : "S", 1);
    add_name(b, how);
    message_end(b, at);
}

static void write_execute(struct script *s, struct bytes *b)
{
    uint8_t how = next(s);
    size_t at = message_begin(b, 'E');
    add_name(b, how);
    bytes_add_u32(b, how / 16);
    message_end(b, at);
}

static void write_other(struct script *s, struct bytes *b)
{
    static const char types[] = "SHScfdFX";
    const uint8_t *text;
    char type = types[next(s) % 8];
    size_t n = 0, at = message_begin(b, type);
    if (type == 'd' || type == 'f') {
        n = next_text(s, &text);
        if (type == 'f')
            add_cstr(b, text, n);
        else
            bytes_add(b, text, n);
    }
    if (type == 'F') {
        bytes_add_u32(b, 1);
        bytes_add_u32(b, 0);
        bytes_add_u16(b, 0);
    }
    message_end(b, at);
}

/* Parse, Bind, Describe, Execute and Sync of one statement in one piece, as drivers do. */
static void write_statement(struct script *s, struct bytes *b)
{
    static const uint8_t tail[] = { 'D', 0, 0, 0, 6, 'P', 0,   'E', 0, 0, 0,
                                    9,   0, 0, 0, 0, 0,   'S', 0,   0, 0, 4 };
    size_t at = message_begin(b, 'P');
    bytes_add(b, "", 1);
    add_sql(s, b, true);
    bytes_add_u16(b, 0);
    message_end(b, at);
    at = message_begin(b, 'B');
    bytes_add(b, "\0\0\0\0\0\0\0\0", 8);
    message_end(b, at);
    bytes_add(b, tail, sizeof(tail));
}

typedef void write_fn(struct script *s, struct bytes *b);

static void client_says(struct script *s, write_fn *write)
{
    struct bytes b = { 0 };
    write(s, &b);
    client_send(s->client, b.at, b.len);
    bytes_done(&b);
}

static void write_raw(struct script *s, struct bytes *b)
{
    const uint8_t *text;
    size_t n = next_text(s, &text);
    bytes_add(b, text, n);
}

/* ---- orders ---- */

static void on_client(struct script *s)
{
    uint8_t how = next(s);
    struct client *c = &world.clients[how % WORLD_CLIENTS];
    s->client = c;
    switch (how / 16) {
    case 1:
    case 2:
    case 3:
    case 4:
        client_connect(c, (enum client_kind)(how / 16 - 1));
        if (c->kind != CLIENT_RAW)
            client_login(c, how & 8 ? 2 : 0);
        break;
    case 5:
        client_hang_up(c);
        break;
    case 6:
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_WR);
        break;
    case 7:
        c->deaf = !c->deaf;
        break;
    case 8: /* says who it is and leaves the rest of the login to the script */
        client_connect(c, (enum client_kind)(how / 4 % 4));
        break;
    default:
        break;
    }
}

static void on_server(struct script *s)
{
    uint8_t how = next(s);
    s->server = &world.servers[how % WORLD_SERVERS];
    switch (how / 16) {
    case 1:
        server_hang_up(s->server);
        break;
    case 2:
        world.silent_servers = !world.silent_servers;
        break;
    case 3:
        world.lying_servers = !world.lying_servers;
        break;
    case 4:
    case 5:
        server_say(s->server, how / 8);
        break;
    default:
        break;
    }
}

static void on_server_raw(struct script *s)
{
    const uint8_t *text;
    size_t n = next_text(s, &text);
    s->server->dirty = s->server->dirty || n > 0;
    server_send(s->server, text, n);
}

/* One server answers, or all that have something to answer. */
static void on_answer(struct script *s)
{
    static const size_t sizes[] = { 0, 100, 3000, 90000 };
    uint8_t how = next(s), much = next(s);
    unsigned count = (much & 0x80) != 0 ? 1 + much / 4 % 4 : 100,
             rows = much % 4 * (1 + how / 64 * 4);
    enum answer answer = (enum answer)(how % ANSWER_COUNT);
    size_t size = sizes[much / 16 % 4];
    if ((how & 32) != 0) {
        server_answer(s->server, count, answer, rows, size);
        return;
    }
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        if (world.servers[i].fd >= 0 && (answer != ANSWER_FATAL || world.servers[i].in.len > 0))
            server_answer(&world.servers[i], count, answer, rows, size);
}

static void on_ledger(struct script *s)
{
    const uint8_t *text;
    uint8_t how = next(s);
    size_t n;
    switch (how % 8) {
    case 0:
        ledger_auto(false);
        break;
    case 1:
        ledger_auto(true);
        break;
    case 2:
        ledger_ack(1 + how / 8);
        break;
    case 3:
        ledger_die(how / 8 % 2 == 0);
        break;
    case 4:
        ledger_connect();
        break;
    case 5:
        ledger_refuse();
        break;
    case 6:
        n = next_text(s, &text);
        ledger_say(text, n);
        break;
    default:
        world_lease(how / 8 % 2 == 0);
    }
}

static void on_parser(struct script *s)
{
    const uint8_t *text;
    uint8_t how = next(s);
    size_t n;
    switch (how % 8) {
    case 0:
        parser_auto(false);
        break;
    case 1:
        parser_auto(true);
        break;
    case 2:
        parser_answer();
        break;
    case 3:
        parser_die();
        break;
    case 4:
        parser_connect();
        break;
    case 5:
        n = next_text(s, &text);
        parser_say(text, n);
        break;
    default:
        break;
    }
}

static void on_world(struct script *s)
{
    static const int64_t steps[] = { 1, 50, 250, 1000, 3000, 10000, 30000, 61000 };
    uint8_t how = next(s);
    switch (how / 16) {
    case 0:
    case 1:
        world_pass(steps[how % 8]);
        break;
    case 2:
    case 3:
        world_cancel(&world.clients[how % WORLD_CLIENTS], how / 4 % 4);
        break;
    case 4:
        world_reload(how % 2 == 0);
        break;
    case 5:
        world_stop(how % 2 == 0);
        break;
    case 6:
        world.fail_at = world.passed + 1 + how % 16;
        break;
    default:
        for (unsigned i = 0; i < how % 16u; i++)
            world_turn();
    }
}

static void take_order(struct script *s)
{
    static write_fn *const writers[] = {
        write_raw,    write_query,   write_parse, write_bind,
        write_target, write_execute, write_other, write_statement
    };
    uint8_t order = next(s);
    switch (order % 16) {
    case 8:
        on_client(s);
        break;
    case 9:
        on_server(s);
        break;
    case 10:
        on_server_raw(s);
        break;
    case 11:
    case 12:
        on_answer(s);
        break;
    case 13:
        on_ledger(s);
        break;
    case 14:
        on_parser(s);
        break;
    case 15:
        on_world(s);
        break;
    default:
        client_says(s, writers[order % 16]);
    }
    if ((order & 16) == 0) /* otherwise the next order comes in the same turn */
        world_turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SCRIPT_MAX)
        return 0;
    struct script s = { .at = data, .left = size };
    world_open();
    s.client = &world.clients[0];
    s.server = &world.servers[0];
    uint8_t who = next(&s);
    for (unsigned i = 0; i < 3; i++) {
        unsigned kind = who >> (2 * i) & 3;
        if (kind == CLIENT_RAW)
            continue;
        client_connect(&world.clients[i], (enum client_kind)kind);
        client_login(&world.clients[i], who & 64 ? 2 : 0);
    }
    for (unsigned i = 0; i < ORDERS_MAX && s.left > 0; i++)
        take_order(&s);
    world_close();
    return 0;
}
