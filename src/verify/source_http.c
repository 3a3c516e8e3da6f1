/* source_http.c - a log behind an http(s) address: the one place that knows libcurl.
 *
 * Files that are announced travel at the same time over connections that stay open. Every answer
 * has a ceiling and a time; a server that is slow, or sends more than a file of that kind can be,
 * ends its own transfer. Certificates are checked, although nothing rests on them: what a server
 * says is believed only as far as signatures and hashes go. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "verify/source.h"

enum {
    URL_MAX = 1024,
    CONNECT_MS = 10000,
    SLOW_BYTES = 100, /* fewer a second than this */
    SLOW_SECONDS = 20,
    WHOLE_MS = 120000,
    POLL_MS = 1000,
    REDIRECTS_MAX = 5,
    TRIES = 3,
    PAUSE_MS = 300
};

struct transfer {
    struct http *owner;
    CURL *easy;
    struct buf body;
    size_t max;
    char path[TLOG_PATH_SIZE]; /* "": free */
    bool is_done, is_too_long;
    CURLcode result;
    char why[CURL_ERROR_SIZE];
};

struct http {
    CURLM *multi;
    struct transfer transfers[SOURCE_AHEAD_MAX];
    char url[URL_MAX];
    struct source_access access;
};

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    size_t n = size * count, room = t->max + 1 - buf_len(&t->body);
    if (n > room) {
        t->is_too_long = true;
        return buf_append(&t->body, bytes, room) == 0 ? CURL_WRITEFUNC_ERROR : 0;
    }
    return buf_append(&t->body, bytes, n) == 0 ? n : 0;
}

static bool easy_prepare(struct transfer *t)
{
    CURL *e = t->easy;
    bool is_https = strncmp(t->owner->url, "https://", 8) == 0;
    const char *schemes = is_https ? "https" : "http,https";
    return curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, schemes) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, schemes) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)WHOLE_MS) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_USERAGENT, "ringfence-verify") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->why) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK;
}

/* A redirect could name any host: whoever bears a token follows none. */
static bool easy_let_in(struct transfer *t)
{
    const struct source_access *a = &t->owner->access;
    return (a->ca == NULL || curl_easy_setopt(t->easy, CURLOPT_CAINFO, a->ca) == CURLE_OK) &&
           (a->token == NULL ||
            (curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
             curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER) == CURLE_OK &&
             curl_easy_setopt(t->easy, CURLOPT_XOAUTH2_BEARER, a->token) == CURLE_OK));
}

static bool transfer_start(struct http *h, struct transfer *t, const char *path, size_t max)
{
    char url[URL_MAX + TLOG_PATH_SIZE];
    if (t->easy == NULL) {
        t->owner = h;
        t->easy = curl_easy_init();
        if (t->easy == NULL || !easy_prepare(t) || !easy_let_in(t))
            return false;
    }
    (void)snprintf(url, sizeof(url), "%s/%s", h->url, path);
    (void)snprintf(t->path, sizeof(t->path), "%s", path);
    buf_done(&t->body);
    buf_init(&t->body, max + 1);
    t->max = max;
    t->is_done = t->is_too_long = false;
    t->why[0] = '\0';
    if (curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK &&
        curl_multi_add_handle(h->multi, t->easy) == CURLM_OK)
        return true;
    t->path[0] = '\0';
    return false;
}

static struct transfer *transfer_find(struct http *h, const char *path)
{
    for (size_t i = 0; i < SOURCE_AHEAD_MAX; i++)
        if (strcmp(h->transfers[i].path, path) == 0)
            return &h->transfers[i];
    return NULL;
}

static void transfer_end(struct http *h, struct transfer *t)
{
    if (t->path[0] != '\0' && !t->is_done)
        (void)curl_multi_remove_handle(h->multi, t->easy);
    t->path[0] = '\0';
}

static void take_finished(struct http *h)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        t->result = m->data.result;
        t->is_done = true;
        (void)curl_multi_remove_handle(h->multi, t->easy);
    }
}

static int transfer_wait(struct http *h, struct transfer *t, struct err *err)
{
    int running;
    while (!t->is_done) {
        if (curl_multi_perform(h->multi, &running) != CURLM_OK)
            return err_set(err, RF_EIO, "could not fetch \"%s\"", t->path);
        take_finished(h);
        if (!t->is_done && curl_multi_poll(h->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return err_set(err, RF_EIO, "could not fetch \"%s\"", t->path);
    }
    return 0;
}

/* 1, 0, negative; *RET_AGAIN: another try may help. */
static int transfer_judge(const struct http *h, struct transfer *t, struct buf *to, bool *ret_again,
                          struct err *err)
{
    long status = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret_again = false;
    if (t->result == CURLE_OK && (status == 404 || status == 410))
        return 0;
    if ((t->result == CURLE_OK || t->is_too_long) && status == 200)
        return buf_len(&t->body) == 0 || buf_append(to, buf_at(&t->body), buf_len(&t->body)) == 0
                   ? 1
                   : err_set(err, RF_ENOMEM, "out of memory");
    if (t->result == CURLE_OK) {
        int rc = err_set(err, RF_EIO, "could not fetch \"%s/%s\": the server answers %ld", h->url,
                         t->path, status);
        *ret_again = status == 429 || status >= 500;
        if (status == 401)
            err_hint(err, h->access.token != NULL
                              ? "the token is unknown to the server, or its time is over"
                              : "the log is shown to auditors: give the token with --token-file");
        return rc;
    }
    *ret_again = t->result == CURLE_COULDNT_CONNECT || t->result == CURLE_GOT_NOTHING ||
                 t->result == CURLE_RECV_ERROR || t->result == CURLE_PARTIAL_FILE;
    return err_set(err, t->result == CURLE_OPERATION_TIMEDOUT ? RF_ETIMEOUT : RF_ECONNECT,
                   "could not fetch \"%.200s/%s\": %.150s", h->url, t->path,
                   t->why[0] != '\0' ? t->why : curl_easy_strerror(t->result));
}

static int http_read_once(struct http *h, const char *path, size_t max, struct buf *to,
                          bool *ret_again, struct err *err)
{
    struct transfer *t = transfer_find(h, path);
    *ret_again = false;
    if (t == NULL) {
        t = transfer_find(h, "");
        if (t == NULL) { /* announced and never asked for: the first one makes room */
            t = &h->transfers[0];
            transfer_end(h, t);
        }
        if (!transfer_start(h, t, path, max))
            return err_set(err, RF_ENOMEM, "cannot begin to fetch \"%s\"", path);
    }
    int rc = transfer_wait(h, t, err);
    if (rc == 0)
        rc = transfer_judge(h, t, to, ret_again, err);
    transfer_end(h, t);
    return rc;
}

static int http_read(void *context, const char *path, size_t max, struct buf *to, struct err *err)
{
    static const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    bool again = false;
    int rc = 0;
    for (int i = 0; i < TRIES; i++) {
        rc = http_read_once(context, path, max, to, &again, err);
        if (rc >= 0 || !again)
            return rc;
        (void)nanosleep(&pause, NULL);
    }
    return rc;
}

static void http_ahead(void *context, const char *path, size_t max)
{
    struct http *h = context;
    struct transfer *t = transfer_find(h, "");
    int running;
    if (t != NULL && transfer_find(h, path) == NULL && transfer_start(h, t, path, max))
        (void)curl_multi_perform(h->multi, &running);
}

static void http_close(void *context)
{
    struct http *h = context;
    for (size_t i = 0; i < SOURCE_AHEAD_MAX; i++) {
        transfer_end(h, &h->transfers[i]);
        curl_easy_cleanup(h->transfers[i].easy);
        buf_done(&h->transfers[i].body);
    }
    (void)curl_multi_cleanup(h->multi);
    mem_free(h);
}

int source_http_open(const char *url, const struct source_access *access, struct source **ret,
                     struct err *err)
{
    static const struct source_ops ops = { .read = http_read,
                                           .ahead = http_ahead,
                                           .close = http_close };
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    if (len >= URL_MAX || strpbrk(url, "?#") != NULL)
        return err_set(err, RF_EUSAGE, "cannot read \"%.200s\": not the prefix of a log", url);
    if (access != NULL && access->token != NULL && strncmp(url, "https://", 8) != 0)
        return err_set(err, RF_EUSAGE, "cannot read \"%.200s\": a token is sent over https alone",
                       url);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, RF_EBUG, "cannot initialise libcurl");
    struct http *h = mem_zalloc(1, sizeof(*h));
    if (h == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    memcpy(h->url, url, len);
    if (access != NULL)
        h->access = *access;
    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        http_close(h);
        return err_set(err, RF_ENOMEM, "out of memory");
    }
    (void)curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 8L);
    return source_new(&ops, h, ret, err);
}
