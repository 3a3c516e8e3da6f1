#include "courier/carrier.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "courier/address.h"

enum {
    FDS_MAX = 4,
    CONNECTIONS_KEPT = TRUST_MAX,
    IDLE_CONNECTION_S = 110, /* shorter than what servers usually keep */
    SLOW_BYTES_S = 8,        /* fewer than that over the next is a witness that stalls */
    SLOW_TIME_S = 10,
};

/* One witness: its handle is made with the first post and kept, for its connection. */
struct slot {
    struct carrier *carrier;
    CURL *easy;
    struct curl_slist *pin; /* of libcurl's form; lives as long as the transfer */
    uint32_t key_id;
    bool is_busy, is_too_large;
    uint64_t ticket; /* busy */
    size_t header_len;
    struct buf body;
    char url[TRUST_URL_MAX + sizeof("/add-checkpoint")]; /* "": it has none */
    size_t prefix_len;                                   /* of it */
    struct address address;
};

struct carrier {
    const char *ca_path;
    carrier_fn *on_answer;
    void *context;
    CURLM *multi;
    struct curl_slist *headers;
    unsigned count;
    struct slot slots[TRUST_MAX];
};

/* ---- what libcurl calls --------------------------------------------------------------------- */

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct slot *s = context;
    size_t n = size * count;
    (void)bytes;
    s->header_len += n;
    if (s->header_len > CARRIER_HEADER_MAX)
        s->is_too_large = true;
    return s->is_too_large ? 0 : n; /* fewer than N ends the transfer */
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct slot *s = context;
    size_t n = size * count;
    int rc = buf_append(&s->body, bytes, n);
    if (rc < 0)
        s->is_too_large = true; /* or no memory, which comes to the same */
    return rc < 0 ? 0 : n;
}

/* libcurl wants to look a name up by itself, in a thread: it was not handed this one. */
static int on_resolve(void *state, void *reserved, void *context)
{
    (void)state;
    (void)reserved;
    (void)context;
    return 1;
}

/* ---- setting up ----------------------------------------------------------------------------- */

int carrier_new(const char *ca_path, carrier_fn *on_answer, void *context, struct carrier **ret,
                struct err *err)
{
    struct carrier *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the posts");
    *c = (struct carrier){ .ca_path = ca_path, .on_answer = on_answer, .context = context };
    address_init();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mem_free(c);
        return err_set(err, RF_ESYS, "could not start libcurl");
    }
    c->multi = curl_multi_init();
    /* no "Expect: 100-continue", no guess at a form; an empty value takes a header away */
    static const char *const lines[] = { "Expect:", "Accept:",
                                         "Content-Type: text/plain; charset=utf-8" };
    bool ok = c->multi != NULL &&
              curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) == CURLM_OK;
    for (size_t i = 0; i < RF_COUNT(lines) && ok; i++) {
        struct curl_slist *list = curl_slist_append(c->headers, lines[i]);
        ok = list != NULL;
        c->headers = ok ? list : c->headers;
    }
    for (unsigned i = 0; i < TRUST_MAX; i++) {
        c->slots[i].carrier = c;
        buf_init(&c->slots[i].body, ERRAND_BODY_MAX);
    }
    if (!ok) {
        carrier_free(c);
        return err_set(err, RF_ENOMEM, "out of memory for the posts");
    }
    *ret = c;
    return 0;
}

static void slot_stop(struct slot *s)
{
    if (s->is_busy && curl_multi_remove_handle(s->carrier->multi, s->easy) != CURLM_OK)
        log_warn("post-stuck", "url=%s", s->url);
    s->is_busy = false;
}

void carrier_drop(struct carrier *c)
{
    for (unsigned i = 0; i < TRUST_MAX; i++)
        slot_stop(&c->slots[i]);
}

void carrier_free(struct carrier *c)
{
    if (c == NULL)
        return;
    carrier_drop(c);
    for (unsigned i = 0; i < TRUST_MAX; i++) {
        curl_easy_cleanup(c->slots[i].easy);
        curl_slist_free_all(c->slots[i].pin);
        buf_done(&c->slots[i].body);
    }
    curl_slist_free_all(c->headers);
    (void)curl_multi_cleanup(c->multi);
    curl_global_cleanup();
    mem_free(c);
}

static void give_up(struct carrier *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct errand_answer answer = { .witness = i,
                                              .ticket = c->slots[i].ticket,
                                              .failure = ERRAND_UNREACHED };
        if (!c->slots[i].is_busy)
            continue;
        slot_stop(&c->slots[i]);
        c->on_answer(c->context, &answer);
    }
}

int carrier_trust(struct carrier *c, const struct trust *trust, struct err *err)
{
    static struct address addresses[TRUST_MAX]; /* large */
    struct err why;
    for (unsigned i = 0; i < trust->witness_count; i++) {
        const struct trust_witness *w = &trust->witnesses[i];
        if (w->url[0] != '\0' && address_of_url(w->url, &addresses[i], &why) < 0)
            return err_set(err, RF_ECONFIG, "witness \"%.100s\": %s", w->name, why.line);
    }
    give_up(c);
    c->count = trust->witness_count;
    for (unsigned i = 0; i < c->count; i++) {
        const struct trust_witness *w = &trust->witnesses[i];
        struct slot *s = &c->slots[i];
        size_t len = strlen(w->url);
        while (len > 0 && w->url[len - 1] == '/')
            len--;
        s->url[0] = '\0';
        s->prefix_len = len;
        if (len > 0)
            (void)snprintf(s->url, sizeof(s->url), "%.*s/add-checkpoint", (int)len, w->url);
        s->key_id = w->key.id;
        s->address = addresses[i];
    }
    return 0;
}

/* All options, whose failures (no memory, a libcurl that lacks one) come to one. */
static bool set_options(struct slot *s)
{
    CURL *e = s->easy;
    const struct carrier *c = s->carrier;
    bool bad = false;
#define SET(option, value) bad |= curl_easy_setopt(e, (option), (value)) != CURLE_OK
    SET(CURLOPT_PRIVATE, (char *)s);
    SET(CURLOPT_URL, s->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https"); /* none is followed */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_PROXY, ""); /* not the environment's */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, c->headers);
    SET(CURLOPT_USERAGENT, "ringfence");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAINFO, c->ca_path);
    SET(CURLOPT_CAPATH, NULL); /* a folder of links to places that are out of reach */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_S);
    SET(CURLOPT_LOW_SPEED_TIME, (long)SLOW_TIME_S);
    SET(CURLOPT_MAXFILESIZE, (long)ERRAND_BODY_MAX);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, s);
    if (!s->address.is_literal) { /* those libcurl reads without a thread */
        SET(CURLOPT_RESOLVE, s->pin);
        SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    }
#undef SET
    return !bad;
}

static bool set_post(struct slot *s, const struct errand_post *post, int64_t left_ms)
{
    CURL *e = s->easy;
    char path[TRUST_URL_MAX + ERRAND_PATH_MAX + 1];
    long connect_ms = left_ms < CARRIER_CONNECT_MS ? (long)left_ms : (long)CARRIER_CONNECT_MS;
    if (curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)left_ms) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) != CURLE_OK)
        return false;
    if (post->is_fetch) { /* libcurl copies it */
        (void)snprintf(path, sizeof(path), "%.*s%.*s", (int)s->prefix_len, s->url,
                       (int)post->body_len, (const char *)post->body);
        return curl_easy_setopt(e, CURLOPT_URL, path) == CURLE_OK &&
               curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)post->body_len) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, post->body) == CURLE_OK;
}

/* ---- one post ------------------------------------------------------------------------------- */

static bool pin_address(struct slot *s)
{
    if (s->address.is_literal)
        return true;
    curl_slist_free_all(s->pin);
    s->pin = curl_slist_append(NULL, s->address.pin);
    return s->pin != NULL;
}

/* Begins it, or says why not. */
static enum errand_failure start(struct slot *s, const struct errand_post *post)
{
    int64_t began_ms = clock_mono_ms();
    if (!address_find(&s->address, began_ms))
        return ERRAND_UNREACHED;
    int64_t left_ms = (int64_t)post->limit_ms - (clock_mono_ms() - began_ms);
    if (left_ms <= 0)
        return ERRAND_TIMEOUT;
    if (s->easy == NULL)
        s->easy = curl_easy_init();
    else
        curl_easy_reset(s->easy); /* connections stay: they are the multi handle's */
    s->is_too_large = false;
    s->header_len = 0;
    buf_clear(&s->body);
    if (s->easy == NULL || !pin_address(s) || !set_options(s) || !set_post(s, post, left_ms) ||
        curl_multi_add_handle(s->carrier->multi, s->easy) != CURLM_OK)
        return ERRAND_REFUSED;
    s->is_busy = true;
    s->ticket = post->ticket;
    return ERRAND_REACHED;
}

void carrier_post(struct carrier *c, const struct errand_post *post)
{
    struct slot *s = &c->slots[post->witness];
    enum errand_failure failure = ERRAND_REFUSED;
    if (post->witness < c->count && s->url[0] != '\0' && s->key_id == post->key_id && !s->is_busy)
        failure = start(s, post);
    if (failure == ERRAND_REACHED)
        return; /* under way */
    const struct errand_answer answer = { .witness = post->witness,
                                          .ticket = post->ticket,
                                          .failure = failure };
    c->on_answer(c->context, &answer);
}

static enum errand_failure failure_of(const struct slot *s, CURLcode code)
{
    if (s->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        return ERRAND_TOO_LARGE;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERRAND_TIMEOUT;
    return code == CURLE_OK ? ERRAND_REACHED : ERRAND_UNREACHED;
}

static void finish(struct slot *s, CURLcode code)
{
    long status = 0;
    const char *type = NULL;
    struct errand_answer a = { .witness = (uint32_t)(s - s->carrier->slots),
                               .ticket = s->ticket,
                               .failure = failure_of(s, code) };
    if (a.failure == ERRAND_REACHED) {
        if (curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK ||
            status < 100 || status > 599)
            a.failure = ERRAND_UNREACHED;
        else if (curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK)
            a.is_size = type != NULL && strcmp(type, "text/x.tlog.size") == 0;
    }
    if (a.failure == ERRAND_REACHED) {
        a.status = (unsigned)status;
        a.body = buf_at(&s->body);
        a.body_len = buf_len(&s->body);
    }
    log_debug("post-done", "witness=%u status=%u result=%s detail=\"%s\"", a.witness, a.status,
              errand_failure_name(a.failure), curl_easy_strerror(code));
    slot_stop(s);
    s->carrier->on_answer(s->carrier->context, &a);
}

int carrier_turn(struct carrier *c, const int *fds, unsigned count, int timeout_ms, struct err *err)
{
    struct curl_waitfd waits[FDS_MAX];
    int running, left;
    const CURLMsg *m;
    RF_ASSERT(count <= FDS_MAX);
    for (unsigned i = 0; i < count; i++)
        waits[i] = (struct curl_waitfd){ .fd = fds[i], .events = CURL_WAIT_POLLIN };
    CURLMcode rc = curl_multi_poll(c->multi, waits, count, timeout_ms, NULL);
    if (rc == CURLM_OK)
        rc = curl_multi_perform(c->multi, &running);
    if (rc != CURLM_OK)
        return err_set(err, RF_ESYS, "could not go on with the posts: %s", curl_multi_strerror(rc));
    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *slot = NULL;
        CURLcode code = m->data.result; /* M goes away with its handle */
        if (m->msg == CURLMSG_DONE &&
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &slot) == CURLE_OK)
            finish((struct slot *)(void *)slot, code);
    }
    return 0;
}
