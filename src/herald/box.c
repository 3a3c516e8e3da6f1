#include "herald/box.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "enforce/role.h"
#include "registrar/office.h"

enum { NUMBER_SIZE = 24, KINDS_SIZE = 160, NAME_BYTES = (BOX_HOOK_SIZE - 1) / 2 };

/* Of the URL, or of the program's path and arguments, each with its NUL. */
void box_hook_name(const struct config_hook *h, char ret[BOX_HOOK_SIZE])
{
    struct iovec pieces[CONFIG_ARGUMENTS_MAX + 1];
    uint8_t digest[DIGEST_LEN];
    size_t count = 0;
    const char *kind = h->url != NULL ? "url" : "command";
    pieces[count++] = digest_piece(kind, strlen(kind) + 1);
    if (h->url != NULL)
        pieces[count++] = digest_piece(h->url, strlen(h->url) + 1);
    for (size_t i = 0; i < h->command_count; i++)
        pieces[count++] = digest_piece(h->command[i], strlen(h->command[i]) + 1);
    digest_pieces(pieces, count, digest);
    digest_hex(digest, NAME_BYTES, ret);
}

void box_init(struct box *b, const struct config *config, const struct config_database *database,
              bool has_begun)
{
    *b = (struct box){ .config = config,
                       .has_begun = has_begun,
                       .line = { .database = database, .role = ROLE_NAME_HERALD } };
}

void box_done(struct box *b)
{
    line_close(&b->line);
}

/* It is asked again in a while, and all anew: it may be another server by then. */
static void leave_alone(struct box *b, const struct err *err)
{
    if (b->away_until_ms == 0) /* once, not every few seconds */
        log_err(LOG_LEVEL_WARN, "outbox-away", err);
    b->away_until_ms = clock_mono_ms() + BOX_AWAY_MS;
    b->hooks_ms = 0;
    line_close(&b->line);
}

/* *RET is NULL on failure. */
static int ask(struct box *b, const char *sql, size_t count, const char *const *values,
               PGresult **ret)
{
    struct err err = { 0 };
    *ret = NULL;
    int rc = b->line.conn == NULL ? line_ready(&b->line, &err) : 0;
    if (rc == 0)
        rc = line_ask(&b->line, sql, count, values, ret, &err);
    if (rc < 0)
        leave_alone(b, &err);
    else
        b->away_until_ms = 0;
    return rc;
}

/* ---- what there is -------------------------------------------------------------------------- */

/* "request,notice" */
static void write_kinds(const struct config_hook *h, char ret[KINDS_SIZE])
{
    size_t n = 0;
    ret[0] = '\0';
    for (unsigned i = 0; i < EVENT_COUNT && n < KINDS_SIZE; i++)
        if ((h->events & 1U << i) != 0)
            n += (size_t)snprintf(ret + n, KINDS_SIZE - n, "%s%s", n > 0 ? "," : "",
                                  config_event_name((enum config_event)i));
}

static int tell_hooks(struct box *b)
{
    char names[CONFIG_HOOKS_MAX][BOX_HOOK_SIZE], kinds[CONFIG_HOOKS_MAX][KINDS_SIZE];
    const char *name_list[CONFIG_HOOKS_MAX], *kind_list[CONFIG_HOOKS_MAX];
    const struct config *c = b->config;
    PGresult *r;
    for (size_t i = 0; i < c->hook_count; i++) {
        box_hook_name(&c->hooks[i], names[i]);
        write_kinds(&c->hooks[i], kinds[i]);
        name_list[i] = names[i];
        kind_list[i] = kinds[i];
    }
    char *name_array = matter_array(name_list, c->hook_count);
    char *kind_array = matter_array(kind_list, c->hook_count);
    const char *const values[] = { c->name, name_array, kind_array,
                                   b->has_begun ? "false" : "true" };
    int rc = name_array != NULL && kind_array != NULL
                 ? ask(b,
                       "SELECT ringfence.outbox_hooks($1, $2::text[], $3::text[],"
                       " $4::boolean)",
                       RF_COUNT(values), values, &r)
                 : -RF_ENOMEM;
    if (rc == 0) {
        b->has_begun = true;
        int64_t dropped = strtoll(database_value(r, 0, 0), NULL, 10);
        if (dropped > 0)
            log_error("outbox-dropped",
                      "region=%s events=%" PRId64 " reason=\"not delivered in 30 days\"",
                      b->line.database->region, dropped);
        PQclear(r);
    }
    mem_free(name_array);
    mem_free(kind_array);
    return rc;
}

/* What waits is a matter of course for seconds, and somebody's for longer. */
static int report(struct box *b)
{
    PGresult *r;
    int rc =
        ask(b, "SELECT hook, waiting, oldest, error FROM ringfence.outbox_waiting()", 0, NULL, &r);
    if (rc < 0)
        return rc;
    for (int row = 0; row < PQntuples(r); row++) {
        int64_t oldest_s = strtoll(database_value(r, row, 2), NULL, 10);
        log_event(oldest_s * 1000 > BOX_REPORT_MS ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "outbox-waits",
                  "region=%s hook=%.16s waiting=%.20s oldest_s=%" PRId64 " error=%.40s",
                  b->line.database->region, database_value(r, row, 0), database_value(r, row, 1),
                  oldest_s, database_value(r, row, 3));
    }
    PQclear(r);
    return 0;
}

bool box_ready(struct box *b)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms < b->away_until_ms)
        return false;
    if (b->hooks_ms == 0 || now_ms >= b->hooks_ms) {
        if (tell_hooks(b) < 0)
            return false;
        b->hooks_ms = now_ms + BOX_HOOKS_MS;
    }
    if (now_ms < b->report_ms)
        return true;
    if (b->report_ms != 0 && report(b) < 0)
        return false;
    b->report_ms = now_ms + BOX_REPORT_MS;
    return true;
}

/* ---- one parcel ----------------------------------------------------------------------------- */

int box_next(struct box *b, const char *const *hooks, size_t count, PGresult **ret)
{
    char lease[NUMBER_SIZE];
    char *array = matter_array(hooks, count);
    const char *const values[] = { b->config->name, array, lease };
    (void)snprintf(lease, sizeof(lease), "%d s", (int)BOX_LEASE_S);
    *ret = NULL;
    int rc = array == NULL ? -RF_ENOMEM
                           : ask(b,
                                 "SELECT id, hook, key, kind, body"
                                 " FROM ringfence.outbox_next($1, $2::text[], $3::interval)",
                                 RF_COUNT(values), values, ret);
    mem_free(array);
    return rc;
}

struct parcel box_parcel(const PGresult *r, int row)
{
    return (struct parcel){ .id = strtoll(database_value(r, row, 0), NULL, 10),
                            .hook = database_value(r, row, 1),
                            .key = database_value(r, row, 2),
                            .kind = database_value(r, row, 3),
                            .body = database_value(r, row, 4) };
}

int box_say(struct box *b, int64_t id, const char *hook, const struct outcome *outcome)
{
    char number[NUMBER_SIZE];
    PGresult *r;
    (void)snprintf(number, sizeof(number), "%" PRId64, id);
    const char *const values[] = { number, hook, outcome->word,
                                   outcome->is_refused ? "true" : "false" };
    if (clock_mono_ms() < b->away_until_ms)
        return -RF_EUNAVAIL;
    int rc = outcome->is_done
                 ? ask(b, "SELECT ringfence.outbox_done($1::bigint, $2)", 2, values, &r)
                 : ask(b, "SELECT ringfence.outbox_later($1::bigint, $2, $3, $4::boolean)", 4,
                       values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}
