#include "hub/site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static void answer_health(struct site *s, struct answer *a)
{
    int64_t wall_ms = clock_wall_ms();
    int rc = 0;
    for (size_t i = 0; i < s->logs.count && rc == 0; i++)
        rc = add_reason(s, i, wall_ms, &a->made);
    if (rc == 0 && buf_len(&a->made) == 0)
        answer_text(a, 200, type_text, "ok\n");
    else
        answer_made(a, 503, type_text, rc);
}

/* ---- the door ------------------------------------------------------------------------------- */

static void answer_read(struct site *s, const struct route *route, const char *if_none_match,
                        struct answer *a)
{
    switch (route->kind) {
    case ROUTE_CHECKPOINT:
    case ROUTE_TILE:
    case ROUTE_ENTRIES:
        answer_file(s, route, if_none_match, a);
        break;
    case ROUTE_PAGE:
        a->caching = ANSWER_CHECKED_AGAIN;
        answer_made(a, 200, "text/html; charset=utf-8", page_write(&s->logs, &a->made));
        break;
    case ROUTE_STYLE:
        a->caching = ANSWER_FOR_AN_HOUR;
        answer_text(a, 200, "text/css; charset=utf-8", page_style);
        break;
    case ROUTE_HEALTH:
        answer_health(s, a);
        break;
    case ROUTE_METRICS:
        answer_made(a, 200, "text/plain; version=0.0.4; charset=utf-8",
                    metrics_write(&s->metrics, &s->crowd, &s->logs, clock_wall_ms(), &a->made));
        break;
    default:
        answer_text(a, 404, type_text, "not found\n");
    }
}

void site_answer(struct site *s, enum site_asks asks, const struct route *route,
                 const char *if_none_match, struct answer *ret)
{
    *ret = (struct answer){ .caching = ANSWER_NOT_STORED, .fd = -1 };
    buf_init(&ret->made, MADE_MAX);
    if (asks == SITE_MALFORMED)
        answer_text(ret, 400, type_text, "malformed request\n");
    else if (asks == SITE_OTHERWISE)
        answer_text(ret, 405, type_text, "only GET and HEAD\n");
    else
        answer_read(s, route, if_none_match, ret);
    metrics_request(&s->metrics, route->kind, ret->status);
}

void answer_done(struct answer *a)
{
    fd_close(&a->fd);
    buf_done(&a->made);
}
