#include "control/logsize.h"

#include <inttypes.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"
#include "enforce/role.h"

enum { LINE_SIZE = 400 };

static void hang_up(struct logsize *l, int64_t rest_ms)
{
    PQfinish(l->conn);
    l->conn = NULL;
    l->state = LOGSIZE_REST;
    l->due_ms = clock_mono_ms() + rest_ms;
}

/* The notary does not wait for what may take long. */
static void give_up(struct logsize *l, const char *why)
{
    char quoted[LINE_SIZE];
    const char *message = l->conn != NULL ? PQerrorMessage(l->conn) : "";
    if (!l->has_complained)
        log_warn("log-size-not-kept", "database=%s %s=%s", l->database->alias, why,
                 log_quote(quoted, sizeof(quoted), message, strlen(message)));
    l->has_complained = true;
    l->seen = (struct sight){ .is_answered = false };
    l->is_news = true;
    l->host++;
    hang_up(l, LOGSIZE_RETRY_MS);
}

static void enter(struct logsize *l, enum logsize_state state)
{
    l->state = state;
    l->due_ms = clock_mono_ms() + LOGSIZE_LIMIT_MS;
}

static void start(struct logsize *l)
{
    l->conn = l->database->primary_count > 0
                  ? server_connect(l->database,
                                   &l->database->primary[l->host % l->database->primary_count],
                                   SERVER_PRIMARY, ROLE_NAME_CONTROL)
                  : NULL;
    if (l->conn == NULL || PQstatus(l->conn) == CONNECTION_BAD) {
        give_up(l, "refused");
        return;
    }
    l->events = POLLOUT;
    enter(l, LOGSIZE_CONNECTING);
}

static void ask(struct logsize *l)
{
    static const char question[] =
        "SELECT held_size, encode(held_root, 'hex'), encode(held_signature, 'hex')"
        " FROM ringfence.log_seen($1, $2, decode($3, 'hex'), decode($4, 'hex'))";
    char size[24], root[2 * DIGEST_LEN + 1], signature[2 * KEY_SIGNATURE_LEN + 1];
    (void)snprintf(size, sizeof(size), "%" PRIu64, l->signed_.size);
    digest_hex(l->signed_.root, DIGEST_LEN, root);
    digest_hex(l->signed_.signature, KEY_SIGNATURE_LEN, signature);
    const char *const values[] = { l->origin, size, root, signature };
    l->events = POLLIN;
    if (PQsendQueryParams(l->conn, question, 4, NULL, values, NULL, NULL, 0) == 0)
        give_up(l, "lost");
    else
        enter(l, LOGSIZE_BUSY);
}

static void on_connecting(struct logsize *l)
{
    switch (PQconnectPoll(l->conn)) {
    case PGRES_POLLING_READING:
        l->events = POLLIN;
        return;
    case PGRES_POLLING_WRITING:
        l->events = POLLOUT;
        return;
    case PGRES_POLLING_OK:
        ask(l);
        return;
    default:
        give_up(l, "refused");
    }
}

static bool hex_is(const char *hex, uint8_t *to, size_t len)
{
    size_t n = 0;
    return sodium_hex2bin(to, len, hex, strlen(hex), NULL, &n, NULL) == 0 && n == len;
}

/* No row: the database has not seen this log yet. No signature: the row is older than those. */
static bool take(struct logsize *l, const PGresult *answer)
{
    struct sight seen = { .is_answered = true };
    if (PQresultStatus(answer) != PGRES_TUPLES_OK || PQntuples(answer) > 1)
        return false;
    if (PQntuples(answer) == 1) {
        seen.size = strtoull(PQgetvalue(answer, 0, 0), NULL, 10);
        if (!hex_is(PQgetvalue(answer, 0, 1), seen.root, sizeof(seen.root)) ||
            (PQgetisnull(answer, 0, 2) == 0 &&
             !hex_is(PQgetvalue(answer, 0, 2), seen.signature, sizeof(seen.signature))))
            return false;
    }
    l->seen = seen;
    l->is_news = true;
    return true;
}

static void on_answer(struct logsize *l)
{
    if (PQconsumeInput(l->conn) == 0) {
        give_up(l, "lost");
        return;
    }
    while (!PQisBusy(l->conn)) {
        PGresult *answer = PQgetResult(l->conn);
        if (answer == NULL) {
            l->has_complained = false;
            hang_up(l, LOGSIZE_PERIOD_MS);
            return;
        }
        bool is_right = take(l, answer);
        PQclear(answer);
        if (!is_right) {
            give_up(l, "refused");
            return;
        }
    }
}

void logsize_init(struct logsize *l, const struct config *config)
{
    const struct sight was = l->signed_;
    *l = (struct logsize){ .database = config->database_count > 0 ? &config->databases[0] : NULL,
                           .origin = config->ledger.origin,
                           .signed_ = was };
    l->due_ms = clock_mono_ms();
}

void logsize_done(struct logsize *l)
{
    PQfinish(l->conn);
    l->conn = NULL;
    l->state = LOGSIZE_REST;
}

void logsize_ask(struct logsize *l)
{
    if (l->state == LOGSIZE_REST)
        l->due_ms = clock_mono_ms();
}

int logsize_fd(const struct logsize *l)
{
    return l->conn != NULL ? PQsocket(l->conn) : -1;
}

int64_t logsize_due_ms(const struct logsize *l)
{
    return l->origin == NULL || l->database == NULL ? INT64_MAX : l->due_ms;
}

void logsize_turn(struct logsize *l, bool is_ready)
{
    bool is_due = clock_mono_ms() >= logsize_due_ms(l);
    if (l->state == LOGSIZE_REST && is_due)
        start(l);
    else if (l->state == LOGSIZE_CONNECTING && is_ready)
        on_connecting(l);
    else if (l->state == LOGSIZE_BUSY && is_ready)
        on_answer(l);
    else if (l->state != LOGSIZE_REST && is_due)
        give_up(l, "too-slow");
}
