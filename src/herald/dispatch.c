#include "herald/dispatch.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "courier/address.h"
#include "courier/carrier.h"
#include "herald/webhook.h"

enum { FDS_MAX = 4, CA_FILE_MAX = 1024 * 1024, LINE_SIZE = 256, URL_SIZE = 1001 };

/* One webhook; its handle is made with the first post and kept, for its connection. */
struct slot {
    struct dispatch *all;
    char url[URL_SIZE]; /* "": this hook is a command */
    struct webhook_key key;
    char *ca; /* in PEM; NULL: the system's */
    size_t ca_len;
    struct address address;
    CURL *easy;
    struct curl_slist *pin, *headers; /* of the post under way */
    bool is_busy;
};

struct dispatch {
    dispatch_fn *on_done;
    void *context;
    CURLM *multi;
    size_t count;
    struct slot slots[CONFIG_HOOKS_MAX];
};

/* ---- outcomes ------------------------------------------------------------------------------- */

static void fail(struct slot *s, const char *word)
{
    struct outcome outcome = { .is_done = false };
    (void)snprintf(outcome.word, sizeof(outcome.word), "%s", word);
    s->all->on_done(s->all->context, (size_t)(s - s->all->slots), &outcome);
}

/* What a receiver says of this very post; everything else may be better in a while. */
static bool is_refusal(long status)
{
    return status == 400 || status == 413 || status == 415 || status == 422;
}

static const char *word_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return "tls";
    default:
        return "unreached";
    }
}

static void slot_stop(struct slot *s)
{
    if (s->is_busy && curl_multi_remove_handle(s->all->multi, s->easy) != CURLM_OK)
        log_warn("post-stuck", "hook=%zu", (size_t)(s - s->all->slots));
    s->is_busy = false;
    curl_slist_free_all(s->headers);
    curl_slist_free_all(s->pin);
    s->headers = s->pin = NULL;
}

static void finish(struct slot *s, CURLcode code)
{
    struct outcome outcome = { .is_done = false };
    long status = 0;
    if (code == CURLE_OK && curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        (void)snprintf(outcome.word, sizeof(outcome.word), "status-%ld", status);
    else
        (void)snprintf(outcome.word, sizeof(outcome.word), "%s", word_of(code));
    outcome.is_done = code == CURLE_OK && status >= 200 && status <= 299;
    outcome.is_refused = is_refusal(status);
    slot_stop(s);
    s->all->on_done(s->all->context, (size_t)(s - s->all->slots), &outcome);
}

/* ---- setting up ----------------------------------------------------------------------------- */

/* Without what stands behind the question mark, which is no part of where it leads. */
static int find_address(struct slot *s, struct err *err)
{
    char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "%.*s", (int)strcspn(s->url, "?"), s->url);
    return address_of_url(url, &s->address, err);
}

static int open_slot(struct slot *s, const struct config_hook *h, struct err *err)
{
    if (h->url == NULL)
        return 0;
    (void)snprintf(s->url, sizeof(s->url), "%s", h->url);
    int rc = find_address(s, err);
    if (rc == 0)
        rc = webhook_key_read(h->key_path, &s->key, err);
    if (rc == 0 && h->ca_path != NULL)
        rc = fd_read_file(h->ca_path, CA_FILE_MAX, &s->ca, &s->ca_len, err);
    return rc;
}

int dispatch_new(const struct config *c, dispatch_fn *on_done, void *context, struct dispatch **ret,
                 struct err *err)
{
    struct dispatch *p = mem_zalloc(1, sizeof(*p));
    int rc = 0;
    if (p == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the posts");
    p->on_done = on_done;
    p->context = context;
    p->count = c->hook_count;
    address_init();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mem_free(p);
        return err_set(err, RF_ESYS, "could not start libcurl");
    }
    if ((p->multi = curl_multi_init()) == NULL)
        rc = err_set(err, RF_ENOMEM, "out of memory for the posts");
    for (size_t i = 0; i < p->count && rc == 0; i++) {
        p->slots[i].all = p;
        rc = open_slot(&p->slots[i], &c->hooks[i], err);
    }
    if (rc < 0) {
        dispatch_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void dispatch_free(struct dispatch *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++) {
        struct slot *s = &p->slots[i];
        if (s->all != NULL)
            slot_stop(s);
        curl_easy_cleanup(s->easy);
        mem_free(s->ca);
        explicit_bzero(&s->key, sizeof(s->key));
    }
    if (p->multi != NULL)
        (void)curl_multi_cleanup(p->multi);
    curl_global_cleanup();
    mem_free(p);
}

/* ---- one post ------------------------------------------------------------------------------- */

/* What a receiver answers is of no use to us. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

/* libcurl wants to look a name up by itself, in a thread: it was not handed this one. */
static int on_resolve(void *state, void *reserved, void *context)
{
    (void)state;
    (void)reserved;
    (void)context;
    return 1;
}

static bool add_header(struct slot *s, const char *name, const char *value)
{
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof(line), "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    struct curl_slist *list = curl_slist_append(s->headers, line);
    s->headers = list != NULL ? list : s->headers;
    return list != NULL;
}

/* A new time for each try, so that a receiver can refuse what is old; the same id. */
static bool add_headers(struct slot *s, const char *id, const char *body)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], timestamp[24];
    int64_t now_s = clock_wall_ms() / 1000;
    struct err err = { 0 };
    (void)snprintf(timestamp, sizeof(timestamp), "%" PRId64, now_s);
    if (webhook_sign(&s->key, id, now_s, body, signature, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "not-signed", &err);
        return false;
    }
    return add_header(s, "webhook-id", id) && add_header(s, "webhook-timestamp", timestamp) &&
           add_header(s, "webhook-signature", signature) &&
           add_header(s, "Content-Type", "application/json") && add_header(s, "Accept", "") &&
           add_header(s, "Expect", "");
}

static bool set_authority(struct slot *s)
{
    struct curl_blob blob = { .data = s->ca, .len = s->ca_len, .flags = CURL_BLOB_NOCOPY };
    return s->ca != NULL ? curl_easy_setopt(s->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK
                         : curl_easy_setopt(s->easy, CURLOPT_CAINFO, CARRIER_CA) == CURLE_OK;
}

/* All options, whose failures (no memory, a libcurl that lacks one) come to one. */
static bool set_options(struct slot *s, const char *body)
{
    CURL *e = s->easy;
    bool bad = !set_authority(s);
#define SET(option, value) bad |= curl_easy_setopt(e, (option), (value)) != CURLE_OK
    SET(CURLOPT_PRIVATE, (char *)s);
    SET(CURLOPT_URL, s->url);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https"); /* none is followed */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* not the environment's */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, s->headers);
    SET(CURLOPT_USERAGENT, "ringfence");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NULL); /* a folder of links to places that are out of reach */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)DISPATCH_LIMIT_MS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)DISPATCH_CONNECT_MS);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    SET(CURLOPT_COPYPOSTFIELDS, body);
    if (!s->address.is_literal) { /* those libcurl reads without a thread */
        SET(CURLOPT_RESOLVE, s->pin);
        SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    }
#undef SET
    return !bad;
}

static bool start(struct slot *s, const char *id, const char *body)
{
    if (s->easy == NULL)
        s->easy = curl_easy_init();
    else
        curl_easy_reset(s->easy); /* connections stay: they are the multi handle's */
    if (s->easy == NULL || !add_headers(s, id, body))
        return false;
    if (!s->address.is_literal && (s->pin = curl_slist_append(NULL, s->address.pin)) == NULL)
        return false;
    s->is_busy = set_options(s, body) && curl_multi_add_handle(s->all->multi, s->easy) == CURLM_OK;
    return s->is_busy;
}

void dispatch_send(struct dispatch *p, size_t hook, const char *id, const char *body)
{
    struct slot *s = &p->slots[hook];
    RF_ASSERT(hook < p->count && s->url[0] != '\0' && !s->is_busy);
    if (!address_find(&s->address, clock_mono_ms())) {
        fail(s, "unreached");
    } else if (!start(s, id, body)) {
        slot_stop(s);
        fail(s, "not-started");
    }
}

int dispatch_turn(struct dispatch *p, const int *fds, unsigned count, int timeout_ms,
                  struct err *err)
{
    struct curl_waitfd waits[FDS_MAX];
    int running, left;
    const CURLMsg *m;
    RF_ASSERT(count <= FDS_MAX);
    for (unsigned i = 0; i < count; i++)
        waits[i] = (struct curl_waitfd){ .fd = fds[i], .events = CURL_WAIT_POLLIN };
    CURLMcode rc = curl_multi_poll(p->multi, waits, count, timeout_ms, NULL);
    if (rc == CURLM_OK)
        rc = curl_multi_perform(p->multi, &running);
    if (rc != CURLM_OK)
        return err_set(err, RF_ESYS, "could not go on with the posts: %s", curl_multi_strerror(rc));
    while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
        char *slot = NULL;
        CURLcode code = m->data.result; /* M goes away with its handle */
        if (m->msg == CURLMSG_DONE &&
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &slot) == CURLE_OK)
            finish((struct slot *)(void *)slot, code);
    }
    return 0;
}
