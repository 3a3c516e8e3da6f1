#include "gate/service_inside.h"

#include <string.h>

#include "wire/backend.h"

/* COMMIT and friends leave the session as it was; anything not listed may have changed it. */
static const char *const clean_tags[] = {
    "SELECT",       "INSERT",         "UPDATE",   "DELETE",
    "MERGE",        "FETCH",          "MOVE",     "COPY",
    "BEGIN",        "COMMIT",         "ROLLBACK", "SHOW",
    "EXPLAIN",      "SAVEPOINT",      "RELEASE",  "START TRANSACTION",
    "CLOSE CURSOR", "VALUES",         "CALL",     "ANALYZE",
    "CREATE INDEX", "TRUNCATE TABLE", "VACUUM",
};

static void to_client(struct service *v, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        session_write(v->session, from, (size_t)(to - from));
}

static void on_tag(struct service *v, const char *tag)
{
    if (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0)
        v->backend->known_count = 0;
    for (size_t i = 0; i < RF_COUNT(clean_tags); i++)
        if (strncmp(tag, clean_tags[i], strlen(clean_tags[i])) == 0)
            return;
    v->dirty = true;
}

/* The whole body of a message that is looked at. False: malformed. */
static bool on_watched(struct service *v, enum message m, const uint8_t *body, size_t n)
{
    struct rd r = rd_of(body, n);
    const char *name = NULL, *value = NULL;
    switch (m) {
    case MESSAGE_READY_FOR_QUERY:
        v->status = (char)rd_u8(&r);
        if (v->owed > 0)
            v->owed--;
        else
            v->unsynced = false; /* a COPY failed before it read the Sync that was written off */
        if (v->syncs > v->owed)
            v->syncs = v->owed;
        return rd_done(&r);
    case MESSAGE_COMMAND_COMPLETE: {
        const char *tag = rd_cstr(&r);
        if (!rd_done(&r))
            return false;
        on_tag(v, tag);
        return true;
    }
    case MESSAGE_PARAMETER_STATUS:
        if (backend_read_parameter(r, &name, &value) < 0 ||
            link_note_parameter(&v->backend->link, r) < 0)
            return false;
        /* what the client changed by SET follows it; what it never mentioned need not */
        if (settings_is_tracked(name) && settings_value_valid(value))
            return settings_put(&v->settings, name, value) == 0;
        return true;
    case MESSAGE_ERROR_RESPONSE: {
        struct backend_error e;
        if (backend_read_error(r, &e) < 0)
            return false;
        v->said_fatal = strcmp(e.severity, "FATAL") == 0 || strcmp(e.severity, "PANIC") == 0;
        return true;
    }
    default:
        return true;
    }
}

static void on_skipped(const struct expect *e, void *arg)
{
    struct service *v = arg;
    if (e->kind == EXPECT_PARSE && e->reference != 0)
        prepared_unlearn(v->backend, e->reference); /* the server never got to it */
    else if (e->kind == EXPECT_QUERY && v->owed > 0)
        v->owed--;
}

/* What happens to message M under transaction pooling: forwarded, swallowed, or replaced. */
static enum expect_action judge(struct service *v, enum message m)
{
    struct expect e = expect_answer(&v->expect, m, on_skipped, v);
    if (m == MESSAGE_ERROR_RESPONSE)
        return EXPECT_FORWARD; /* also one to a Parse of ours: the client's Bind has failed */
    return (enum expect_action)e.action;
}

/* COPY FROM STDIN began. A Sync that the client has already sent behind its Execute is read as part
   of the copy and never answered; another one will follow the copy. */
static void on_copy_in(struct service *v)
{
    v->copy_in = true;
    if (v->syncs > 0 && v->owed == v->syncs)
        v->unsynced = true;
    v->owed -= v->syncs;
    v->syncs = 0;
    while (v->expect.count > 0) {
        struct expect *last =
            &v->expect.list[(v->expect.first + v->expect.count - 1) % v->expect.cap];
        if (last->kind != EXPECT_SYNC)
            break;
        v->expect.count--;
    }
}

static uint8_t watched_of(const struct service *v, enum message m)
{
    return m == MESSAGE_READY_FOR_QUERY || m == MESSAGE_PARAMETER_STATUS ||
                   (m == MESSAGE_COMMAND_COMPLETE && v->pooled) ||
                   (m == MESSAGE_ERROR_RESPONSE && v->server.left <= SERVICE_BODY_MAX)
               ? (uint8_t)m
               : 0;
}

/* A header has been seen. *FROM is where unsent bytes start, HEAD where this message does (in the
   chunk, or NULL when its header came in two parts and stands in the walk). */
static void on_header(struct service *v, enum message m, const uint8_t **from, const uint8_t *head,
                      const uint8_t *at)
{
    static const uint8_t parse_complete[] = { '1', 0, 0, 0, 4 };
    enum expect_action action = v->pooled ? judge(v, m) : EXPECT_FORWARD;
    v->watched = watched_of(v, m);
    buf_done(&v->body);
    if (m == MESSAGE_COPY_IN)
        on_copy_in(v);
    else if (m == MESSAGE_ERROR_RESPONSE)
        v->copy_in = false;
    if (m == MESSAGE_DATA_ROW || m == MESSAGE_BACKEND_COPY_DATA)
        atomic_fetch_add_explicit(&v->meter->rows, 1, memory_order_relaxed);
    if (action != EXPECT_FORWARD) {
        if (head != NULL)
            to_client(v, *from, head);
        if (action == EXPECT_AS_PARSE)
            session_write(v->session, parse_complete, sizeof(parse_complete));
        *from = at + v->server.left; /* both messages are bare: nothing left, by the table */
    } else if (head == NULL) {
        session_write(v->session, v->server.header, MESSAGE_HEADER_LEN);
        *from = at;
    }
}

static bool collect(struct service *v, const uint8_t *piece, size_t n)
{
    if (buf_len(&v->body) == 0 && v->server.left == 0)
        return on_watched(v, (enum message)v->watched, piece, n);
    if (buf_len(&v->body) + n > SERVICE_BODY_MAX || buf_append(&v->body, piece, n) < 0)
        return false;
    if (v->server.left > 0)
        return true;
    bool ok = on_watched(v, (enum message)v->watched, buf_at(&v->body), buf_len(&v->body));
    buf_done(&v->body);
    return ok;
}

bool service_relay(struct service *v, const uint8_t *bytes, size_t n)
{
    const uint8_t *at = bytes, *from = bytes, *piece;
    size_t left = n;
    for (;;) {
        enum message m = MESSAGE_UNKNOWN;
        uint32_t body_len = 0;
        bool was_split = v->server.have > 0;
        piece = at;
        switch (walk_next(&v->server, &at, &left, &m, &body_len)) {
        case WALK_MORE:
            /* bytes of a half header are kept in the walk until it is whole */
            if (!was_split || v->server.have == 0)
                to_client(v, from, at - v->server.have);
            return true;
        case WALK_HEADER:
            on_header(v, m, &from, was_split ? NULL : piece, at);
            break;
        case WALK_BODY:
            if (v->watched != 0 && !collect(v, piece, (size_t)(at - piece)))
                return false;
            break;
        case WALK_BAD:
        default:
            return false;
        }
    }
}
