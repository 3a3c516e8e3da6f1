#include "hub/site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/auditors.h"
#include "auth/throttle.h"
#include "base/clock.h"
#include "base/fd.h"
#include "hub/page.h"
#include "hub/text.h"

enum { MADE_MAX = 1 << 20 };

static const char type_text[] = "text/plain; charset=utf-8";

static void answer_text(struct answer *a, unsigned status, const char *type, const char *text)
{
    a->status = status;
    a->type = type;
    a->at = text;
    a->len = strlen(text);
}

/* RC is that of what filled A->made. */
static void answer_made(struct answer *a, unsigned status, const char *type, int rc)
{
    if (rc < 0) {
        a->caching = ANSWER_NOT_STORED;
        answer_text(a, 503, type_text, "out of memory\n");
        return;
    }
    a->status = status;
    a->type = type;
    a->len = buf_len(&a->made);
    a->at = (const char *)buf_at(&a->made);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* RFC 9110, 13.1.2: a list of tags, or `*`; weak ones compare equal. */
static bool matches(const char *list, const char *etag)
{
    size_t len = strlen(etag);
    while (list != NULL && *list != '\0') {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (strncmp(list, etag, len) == 0 && strchr(" \t,", list[len]) != NULL)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

/* The tag of a file is its length and its time: a tile never changes, but another log may come to
   stand under the same name. */
static void answer_tile(struct answer *a, const struct stat *st, const char *if_none_match)
{
    (void)snprintf(a->etag, sizeof(a->etag), "\"%llx-%llx%08lx\"", (unsigned long long)st->st_size,
                   (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
    a->caching = ANSWER_FOR_EVER;
    if (!matches(if_none_match, a->etag))
        return;
    fd_close(&a->fd);
    a->status = 304;
    a->type = NULL;
    a->len = 0;
}

static void answer_file(struct site *s, const struct route *route, const char *if_none_match,
                        struct answer *a)
{
    struct stat st;
    a->fd = logs_file(&s->logs, route->log, route->file);
    if (a->fd < 0 && errno == ENOENT) {
        answer_text(a, 404, type_text, "not found\n");
        return;
    }
    if (a->fd < 0 || fstat(a->fd, &st) < 0) {
        fd_close(&a->fd);
        answer_text(a, 503, type_text, "this file cannot be read now\n");
        return;
    }
    a->status = 200;
    a->len = (uint64_t)st.st_size;
    a->type = route->kind == ROUTE_CHECKPOINT ? type_text : "application/octet-stream";
    if (route->kind != ROUTE_CHECKPOINT)
        answer_tile(a, &st, if_none_match);
}

/* ---- who may read --------------------------------------------------------------------------- */

/* Of the logs. What is not SIGHT_ALL is refused; the zero value is as if there were none. */
enum sight { SIGHT_NONE, SIGHT_IN_CLEAR, SIGHT_UNKNOWN, SIGHT_WRONG, SIGHT_THROTTLED, SIGHT_ALL };

static enum sight look_at_token(struct site *s, const struct site_request *q)
{
    const char *token, *name = NULL;
    size_t len;
    if (q->address != NULL && !throttle_allows(s->throttle, q->address, q->now_ms))
        return SIGHT_THROTTLED;
    if (s->auditors != NULL && auditors_bearer(q->authorization, &token, &len))
        name = auditors_find(s->auditors, token, len, clock_wall_ms());
    if (name != NULL)
        return SIGHT_ALL;
    if (q->address != NULL)
        throttle_failed(s->throttle, q->address, q->now_ms);
    return SIGHT_WRONG;
}

static enum sight sight_of(struct site *s, const struct site_request *q)
{
    if (s->profile != PROFILE_AUDITORS)
        return s->profile == PROFILE_PUBLIC ? SIGHT_ALL : SIGHT_NONE;
    if (q->channel != SITE_IN_PRIVATE)
        return SIGHT_IN_CLEAR; /* a token that came here is not looked at: whoever listens has it */
    return q->authorization == NULL ? SIGHT_UNKNOWN : look_at_token(s, q);
}

/* The same whatever is asked for, so that nobody learns what there is. */
static void answer_stranger(struct answer *a, enum sight sight)
{
    switch (sight) {
    case SIGHT_IN_CLEAR:
        answer_text(a, 403, type_text, "logs are shown to auditors, and over TLS alone\n");
        break;
    case SIGHT_THROTTLED:
        answer_text(a, 429, type_text, "too many wrong tokens from this address\n");
        break;
    case SIGHT_UNKNOWN:
    case SIGHT_WRONG:
        a->challenge = sight == SIGHT_WRONG ? "Bearer realm=\"logs\", error=\"invalid_token\""
                                            : "Bearer realm=\"logs\"";
        answer_text(a, 401, type_text, "logs are shown to auditors\n");
        break;
    default:
        answer_text(a, 404, type_text, "not found\n");
    }
}

/* ---- state ---------------------------------------------------------------------------------- */

static int add_reason(struct site *s, size_t i, int64_t wall_ms, struct buf *to)
{
    const struct log_head *head = logs_head(&s->logs, i);
    const char *region = s->logs.list[i].region;
    int64_t age_ms = wall_ms - head->written_ms;
    if (head->state == LOG_MISSING)
        return text_add(to, "%s: no checkpoint that can be read\n", region);
    if (head->state == LOG_UNREADABLE)
        return text_add(to, "%s: the checkpoint is no checkpoint\n", region);
    if (age_ms > s->hub->stale_ms)
        return text_add(to, "%s: the checkpoint is %lld s old\n", region,
                        (long long)(age_ms / 1000));
    return 0;
}

/* Whom the logs are not shown learns at most that they are not well. */
static void answer_health(struct site *s, enum sight sight, struct answer *a)
{
    int64_t wall_ms = clock_wall_ms();
    int rc = 0;
    for (size_t i = 0; i < s->logs.count && rc == 0 && sight != SIGHT_NONE; i++)
        rc = add_reason(s, i, wall_ms, &a->made);
    if (rc == 0 && buf_len(&a->made) == 0)
        answer_text(a, 200, type_text, "ok\n");
    else if (rc == 0 && sight != SIGHT_ALL)
        answer_text(a, 503, type_text, "a log is not well\n");
    else
        answer_made(a, 503, type_text, rc);
}

/* ---- the door ------------------------------------------------------------------------------- */

static void answer_page(struct site *s, enum sight sight, struct answer *a)
{
    static struct logs none; /* stays so */
    struct logs *logs = sight == SIGHT_ALL ? &s->logs : sight == SIGHT_NONE ? &none : NULL;
    a->caching = ANSWER_CHECKED_AGAIN;
    answer_made(a, 200, "text/html; charset=utf-8", page_write(logs, &a->made));
}

static void answer_metrics(struct site *s, enum sight sight, struct answer *a)
{
    static struct logs none;
    answer_made(a, 200, "text/plain; version=0.0.4; charset=utf-8",
                metrics_write(&s->metrics, &s->crowd, sight == SIGHT_ALL ? &s->logs : &none,
                              clock_wall_ms(), &a->made));
}

static void answer_not_allowed(struct answer *a, const struct route *route)
{
    bool is_posted = route->kind == ROUTE_COMMANDS;
    a->allow = is_posted ? "POST" : "GET, HEAD";
    answer_text(a, 405, type_text, is_posted ? "only POST\n" : "only GET and HEAD\n");
}

static void answer_read(struct site *s, const struct site_request *q, enum sight sight,
                        struct answer *a)
{
    if (q->route->is_log && sight != SIGHT_ALL) {
        answer_stranger(a, sight);
        return;
    }
    switch (q->route->kind) {
    case ROUTE_CHECKPOINT:
    case ROUTE_TILE:
    case ROUTE_ENTRIES:
        answer_file(s, q->route, q->if_none_match, a);
        break;
    case ROUTE_PAGE:
        answer_page(s, sight, a);
        break;
    case ROUTE_STYLE:
        a->caching = ANSWER_FOR_AN_HOUR;
        answer_text(a, 200, "text/css; charset=utf-8", page_style);
        break;
    case ROUTE_HEALTH:
        answer_health(s, sight, a);
        break;
    case ROUTE_METRICS:
        answer_metrics(s, sight, a);
        break;
    case ROUTE_COMMANDS:
        answer_not_allowed(a, q->route);
        break;
    default:
        answer_text(a, 404, type_text, "not found\n");
    }
}

void site_answer(struct site *s, const struct site_request *q, struct answer *ret)
{
    enum sight sight = q->asks == SITE_TO_READ ? sight_of(s, q) : SIGHT_NONE;
    bool hides = q->route->is_log && s->profile != PROFILE_PUBLIC && sight != SIGHT_ALL;
    *ret = (struct answer){ .caching = ANSWER_NOT_STORED, .fd = -1 };
    buf_init(&ret->made, MADE_MAX);
    if (q->asks == SITE_MALFORMED)
        answer_text(ret, 400, type_text, "malformed request\n");
    else if (q->asks != SITE_TO_READ)
        answer_not_allowed(ret, q->route);
    else
        answer_read(s, q, sight, ret);
    ret->is_private = s->profile == PROFILE_AUDITORS && q->route->kind != ROUTE_STYLE;
    /* figures are for everybody: they must not tell which targets are those of a log */
    metrics_request(&s->metrics, hides ? ROUTE_NONE : q->route->kind, ret->status);
}

/* ---- commands ------------------------------------------------------------------------------- */

static const char type_json[] = "application/json";

static bool is_json(const char *content_type)
{
    size_t len = sizeof(type_json) - 1;
    return content_type != NULL && strncasecmp(content_type, type_json, len) == 0 &&
           strchr(" ;", content_type[len]) != NULL;
}

bool site_begin_post(struct site *s, const struct site_request *q, void *connection,
                     struct post **ret, struct answer *a)
{
    *a = (struct answer){ .caching = ANSWER_NOT_STORED, .fd = -1, .is_private = true };
    buf_init(&a->made, MADE_MAX);
    if (q->asks != SITE_TO_POST)
        answer_not_allowed(a, q->route);
    else if (q->channel != SITE_IN_PRIVATE)
        answer_text(a, 403, type_json,
                    "{\"error\":{\"rule\":\"in-clear\",\"message\":\"commands are taken over TLS "
                    "alone\"}}\n");
    else if (!is_json(q->content_type))
        answer_text(a, 415, type_json,
                    "{\"error\":{\"rule\":\"not-json\",\"message\":\"expected Content-Type: "
                    "application/json\"}}\n");
    else if ((*ret = post_begin(&s->posts, connection)) == NULL)
        answer_text(a, 429, type_json,
                    "{\"error\":{\"rule\":\"busy\",\"message\":\"too many commands wait: try "
                    "again\"}}\n");
    else
        return true;
    metrics_request(&s->metrics, ROUTE_COMMANDS, a->status);
    return false;
}

void site_answer_post(struct site *s, const struct post *post, struct answer *ret)
{
    *ret = (struct answer){ .caching = ANSWER_NOT_STORED,
                            .fd = -1,
                            .is_private = true,
                            .status = post->status,
                            .type = type_json,
                            .location = post->location[0] != '\0' ? post->location : NULL };
    buf_init(&ret->made, POST_BODY_MAX); /* stays empty: what answers is the post's */
    ret->at = (const char *)post->body.data + post->body.off;
    ret->len = buf_len(&post->body);
    metrics_request(&s->metrics, ROUTE_COMMANDS, post->status);
}

void answer_done(struct answer *a)
{
    fd_close(&a->fd);
    buf_done(&a->made);
}
