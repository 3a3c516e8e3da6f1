/* session_server.c - the databases of session_world.h: a model of how a PostgreSQL backend answers,
 * in order, skipping to the next Sync after an error (PostgreSQL manual 55.2). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session_world.h"

enum { OUT_MAX = 2 << 20, CANCEL_CODE = 80877102, ROW_SIZE_MAX = 100000 };

static void say(struct bytes *b, char type, const void *body, size_t n)
{
    size_t at = message_begin(b, type);
    bytes_add(b, body, n);
    message_end(b, at);
}

static void say_parameter(struct bytes *b, const char *name, const char *value)
{
    size_t at = message_begin(b, 'S');
    bytes_add(b, name, strlen(name) + 1);
    bytes_add(b, value, strlen(value) + 1);
    message_end(b, at);
}

static void say_tag(const struct server *s, struct bytes *b)
{
    char text[12];
    int n = snprintf(text, sizeof(text), "~%08x%c~", s->tag, s->dirty ? 'd' : 'c');
    bytes_add(b, text, (size_t)n);
}

static void say_error(struct server *s, struct bytes *b, char type, const char *severity,
                      const char *sqlstate)
{
    size_t at = message_begin(b, type);
    bytes_add(b, "S", 1);
    bytes_add(b, severity, strlen(severity) + 1);
    bytes_add(b, "V", 1);
    bytes_add(b, severity, strlen(severity) + 1);
    bytes_add(b, "C", 1);
    bytes_add(b, sqlstate, strlen(sqlstate) + 1);
    bytes_add(b, "M", 1);
    say_tag(s, b);
    bytes_add(b, "", 1);
    bytes_add(b, "", 1);
    message_end(b, at);
}

/* ---- start-up ---- */

static void start_up(struct server *s)
{
    static const uint8_t key[] = { 0, 0, 0, 7, 1, 2, 3, 4 };
    struct bytes b = { 0 };
    say(&b, 'R', "\0\0\0\0", 4);
    say_parameter(&b, "in_hot_standby", s->standby != s->lies ? "on" : "off");
    say_parameter(&b, "server_version", "15.6");
    say_parameter(&b, "client_encoding", "UTF8");
    say_parameter(&b, "DateStyle", "ISO, MDY");
    say_parameter(&b, "TimeZone", "UTC");
    say_parameter(&b, "application_name", "fuzz");
    say(&b, 'K', key, sizeof(key));
    say(&b, 'Z', "I", 1);
    s->started = true;
    s->status = 'I';
    server_send(s, b.at, b.len);
    bytes_done(&b);
}

static void read_first(struct server *s)
{
    if (s->in.len < 8)
        return;
    size_t length = (size_t)s->in.at[2] << 8 | s->in.at[3];
    uint32_t code = (uint32_t)s->in.at[4] << 24 | (uint32_t)s->in.at[5] << 16 |
                    (uint32_t)s->in.at[6] << 8 | s->in.at[7];
    if (s->in.len < length)
        return;
    bytes_take(&s->in, length);
    if (code == CANCEL_CODE)
        server_hang_up(s); /* a cancel request is delivered when the server closes */
    else if (s->silent)
        s->started = true;
    else
        start_up(s);
}

/* ---- answers ---- */

static void find_tag(struct server *s, const uint8_t *body, size_t n)
{
    for (size_t i = 0; i + 12 <= n; i++) {
        char text[9];
        unsigned tag = 0;
        if (body[i] != '/' || body[i + 1] != '~' || body[i + 10] != '~' || body[i + 11] != '/')
            continue;
        memcpy(text, body + i + 2, 8);
        text[8] = '\0';
        if (sscanf(text, "%8x", &tag) == 1)
            s->tag = tag;
    }
}

static void say_ready(struct server *s, struct bytes *b)
{
    say(b, 'Z', &s->status, 1);
    s->skipping = false;
    if (s->status == 'I')
        s->tag = 0; /* the next statement may be another client's */
}

static void say_rows(struct server *s, struct bytes *b, char type, unsigned rows, size_t size)
{
    static const uint8_t filler[ROW_SIZE_MAX];
    if (size > ROW_SIZE_MAX)
        size = ROW_SIZE_MAX;
    for (unsigned i = 0; i < rows && s->out.len + b->len < OUT_MAX && world.said < OUT_MAX; i++) {
        size_t at = message_begin(b, type);
        if (type == 'D') {
            bytes_add_u16(b, 1);
            bytes_add_u32(b, (uint32_t)(11 + size));
        }
        say_tag(s, b);
        bytes_add(b, filler, size);
        message_end(b, at);
        world.said += size + 16;
    }
}

static void say_description(struct bytes *b)
{
    static const uint8_t column[] = { 0, 1, 'c', 0,   0,   0,   0,   0,   0,   0, 0,
                                      0, 0, 25,  255, 255, 255, 255, 255, 255, 0, 0 };
    say(b, 'T', column, sizeof(column));
}

static void fail(struct server *s, struct bytes *b, bool simple)
{
    say_error(s, b, 'E', "ERROR", "22012");
    s->skipping = !simple;
    if (s->status == 'T')
        s->status = 'E';
}

static void begin_copy(struct server *s, struct bytes *b, char type)
{
    static const uint8_t text_format[] = { 0, 0, 1, 0, 0 };
    say(b, type, text_format, sizeof(text_format));
    (void)s;
}

/* What an Execute, or a Query between its description and its ReadyForQuery, is answered by. */
static void say_result(struct server *s, struct bytes *b, enum answer how, unsigned rows,
                       size_t size, bool simple)
{
    switch (how) {
    case ANSWER_ERROR:
        fail(s, b, simple);
        return;
    case ANSWER_COPY_OUT:
        begin_copy(s, b, 'H');
        say_rows(s, b, 'd', rows, size);
        say(b, 'c', NULL, 0);
        say(b, 'C', "COPY 1", 7);
        return;
    case ANSWER_COPY_IN:
        begin_copy(s, b, 'G');
        s->copy_in = true;
        s->copy_simple = simple;
        return;
    case ANSWER_EMPTY:
        say(b, 'I', NULL, 0);
        return;
    case ANSWER_BEGIN:
        s->status = 'T';
        say(b, 'C', "BEGIN", 6);
        return;
    case ANSWER_COMMIT:
        s->status = 'I';
        say(b, 'C', "COMMIT", 7);
        return;
    case ANSWER_SUSPENDED:
        say_rows(s, b, 'D', rows, size);
        if (simple)
            say(b, 'C', "SELECT 1", 9);
        else
            say(b, 's', NULL, 0);
        return;
    case ANSWER_SET:
        say(b, 'C', "SET", 4);
        say_parameter(b, "TimeZone", "Europe/Dublin");
        return;
    default:
        say_rows(s, b, 'D', rows, size);
        say(b, 'C', "SELECT 1", 9);
    }
}

static void on_copy_message(struct server *s, struct bytes *b, char type)
{
    if (type != 'c' && type != 'f')
        return; /* data; and Sync and Flush are ignored in here */
    s->copy_in = false;
    if (type == 'c')
        say(b, 'C', "COPY 1", 7);
    else
        fail(s, b, s->copy_simple);
    if (s->copy_simple)
        say_ready(s, b);
}

static void on_query(struct server *s, struct bytes *b, enum answer how, unsigned rows, size_t size)
{
    if (how == ANSWER_ROWS || how == ANSWER_SUSPENDED)
        say_description(b);
    say_result(s, b, how, rows, size, true);
    if (!s->copy_in)
        say_ready(s, b);
}

static void on_parse(struct server *s, struct bytes *b, const uint8_t *body, size_t n,
                     enum answer how)
{
    static const char refused[] = "REFUSED BY RINGFENCE";
    if (how == ANSWER_ERROR || (n > sizeof(refused) && memcmp(body + 1, refused, 20) == 0))
        fail(s, b, false);
    else
        say(b, '1', NULL, 0);
}

static void on_message(struct server *s, struct bytes *b, char type, const uint8_t *body, size_t n,
                       enum answer how, unsigned rows, size_t size)
{
    if (s->copy_in) {
        on_copy_message(s, b, type);
        return;
    }
    if (type == 'S') {
        say_ready(s, b);
        return;
    }
    if (s->skipping)
        return;
    find_tag(s, body, n);
    switch (type) {
    case 'Q':
        on_query(s, b, how, rows, size);
        return;
    case 'P':
        on_parse(s, b, body, n, how);
        return;
    case 'B':
        say(b, '2', NULL, 0);
        return;
    case 'D':
        if (n > 0 && body[0] == 'S')
            say(b, 't', "\0\0", 2);
        if (how == ANSWER_ROWS || how == ANSWER_SUSPENDED)
            say_description(b);
        else
            say(b, 'n', NULL, 0);
        return;
    case 'E':
        say_result(s, b, how, rows, size, false);
        return;
    case 'C':
        say(b, '3', NULL, 0);
        return;
    case 'F':
        say(b, 'V', "\xff\xff\xff\xff", 4);
        say_ready(s, b);
        return;
    default:
        return;
    }
}

void server_answer(struct server *s, unsigned count, enum answer how, unsigned rows, size_t size)
{
    struct bytes b = { 0 };
    bool leaves = how == ANSWER_FATAL;
    while (s->fd >= 0 && s->started && count-- > 0 && s->in.len >= 5) {
        const uint8_t *m = s->in.at;
        size_t length = (size_t)m[1] << 24 | (size_t)m[2] << 16 | (size_t)m[3] << 8 | m[4];
        if (length < 4 || s->in.len < length + 1)
            break;
        leaves = leaves || m[0] == 'X';
        if (!leaves)
            on_message(s, &b, (char)m[0], m + 5, length - 4, how, rows, size);
        bytes_take(&s->in, length + 1);
    }
    if (how == ANSWER_FATAL)
        say_error(s, &b, 'E', "FATAL", "57P01");
    server_send(s, b.at, b.len);
    bytes_done(&b);
    if (leaves) {
        server_run(s);
        server_hang_up(s);
    }
}

void server_say(struct server *s, unsigned what)
{
    static const char notification[] = "\0\0\0\1channel\0payload";
    struct bytes b = { 0 };
    s->tag = 0;
    switch (what % 4) {
    case 0:
        say_error(s, &b, 'N', "NOTICE", "00000");
        break;
    case 1:
        say(&b, 'A', notification, sizeof(notification));
        break;
    case 2:
        say_parameter(&b, "TimeZone", what % 8 < 4 ? "Asia/Tokyo" : "UTC");
        break;
    default:
        say_parameter(&b, "search_path", "a, b");
    }
    server_send(s, b.at, b.len);
    bytes_done(&b);
}

/* ---- bytes ---- */

void server_accept(struct server *s, int fd, bool standby)
{
    *s = (struct server){ .fd = fd,
                          .standby = standby,
                          .silent = world.silent_servers,
                          .lies = world.lying_servers,
                          .status = 'I' };
}

void server_send(struct server *s, const void *bytes, size_t n)
{
    if (s->fd >= 0 && s->out.len < OUT_MAX)
        bytes_add(&s->out, bytes, n);
}

void server_run(struct server *s)
{
    static uint8_t piece[64 * 1024];
    while (s->fd >= 0) {
        ssize_t n = recv(s->fd, piece, sizeof(piece), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            server_hang_up(s);
            return;
        }
        bytes_add(&s->in, piece, (size_t)n);
    }
    if (s->fd >= 0 && !s->started)
        read_first(s);
    if (s->fd >= 0 && s->out.len > 0) {
        ssize_t n = send(s->fd, s->out.at, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            bytes_take(&s->out, (size_t)n);
        else if (n < 0 && errno != EAGAIN)
            server_hang_up(s);
    }
}

void server_hang_up(struct server *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    bytes_done(&s->in);
    bytes_done(&s->out);
}
