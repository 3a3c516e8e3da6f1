#include "cmd/hubclient.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, WHOLE_MS = 12000, TEMPORARY_REDIRECT = 307 };

#define SCHEME  "https://"
#define COMMAND "/api/v1/commands"

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct buf *to;
    bool is_too_long;
    char why[CURL_ERROR_SIZE];
};

bool hubclient_is_url(const char *url)
{
    static const size_t scheme = sizeof(SCHEME) - 1;
    if (strncmp(url, SCHEME, scheme) != 0 || strlen(url) > HUBCLIENT_URL_MAX)
        return false;
    size_t host = strcspn(url + scheme, "/?#@\\ \"\n");
    const char *rest = url + scheme + host;
    return host > 0 && (*rest == '\0' || strcmp(rest, "/") == 0);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    size_t n = size * count;
    if (buf_append(t->to, bytes, n) == 0)
        return n;
    t->is_too_long = true; /* or no memory, which comes to the same */
    return n == 0 ? 0 : n - 1;
}

/* All options, whose failures (no memory, a libcurl that lacks one) come to one. */
static bool prepare(struct transfer *t, const char *ca, const void *body, size_t n)
{
    /* no "Expect: 100-continue"; an empty value takes a header away */
    static const char *const lines[] = { "Expect:", "Content-Type: application/json",
                                         "Accept: application/json" };
    CURL *e = t->easy;
    bool bad = false;
    for (size_t i = 0; i < RF_COUNT(lines) && !bad; i++) {
        struct curl_slist *list = curl_slist_append(t->headers, lines[i]);
        bad = list == NULL;
        t->headers = bad ? t->headers : list;
    }
#define SET(option, value) bad |= curl_easy_setopt(e, (option), (value)) != CURLE_OK
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* post() follows one */
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)WHOLE_MS);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "ringfence");
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->why);
    if (ca != NULL) {
        SET(CURLOPT_CAINFO, ca);
        SET(CURLOPT_CAPATH, NULL); /* else the system's would do as well */
    }
#undef SET
    return !bad;
}

/* Whether the hub's host is the one that was meant is what certificates are for. */
static bool is_certificate(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_SSL_ISSUER_ERROR;
}

static int perform(struct transfer *t, const char *url, long *ret_status, struct err *err)
{
    buf_clear(t->to);
    if (curl_easy_setopt(t->easy, CURLOPT_URL, url) != CURLE_OK)
        return err_set(err, RF_ENOMEM, "out of memory for a command");
    CURLcode code = curl_easy_perform(t->easy);
    if (t->is_too_long)
        return err_set(err, RF_EPROTO, "the answer of \"%s\" is longer than a hub's can be", url);
    if (code != CURLE_OK) {
        int rc = err_set(err, code == CURLE_OPERATION_TIMEDOUT ? RF_ETIMEOUT : RF_ECONNECT,
                         "could not post to \"%s\": %.120s", url,
                         t->why[0] != '\0' ? t->why : curl_easy_strerror(code));
        err_hint(err, is_certificate(code)
                          ? "name the certificates to trust with --ca FILE, if this is your hub"
                          : "ask `ringfence grants` what has arrived before you sign anew");
        return rc;
    }
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, ret_status);
    return 0;
}

/* Where the answer leads, or NULL: nowhere that a command may be sent. */
static const char *redirect_of(struct transfer *t)
{
    const char *to = NULL;
    if (curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == NULL ||
        strncmp(to, SCHEME, sizeof(SCHEME) - 1) != 0)
        return NULL;
    size_t len = strlen(to), end = sizeof(COMMAND) - 1;
    return len > end && strcmp(to + len - end, COMMAND) == 0 ? to : NULL;
}

static int post(struct transfer *t, const char *url, long *ret_status, struct err *err)
{
    char other[2 * HUBCLIENT_URL_MAX];
    int rc = perform(t, url, ret_status, err);
    if (rc < 0 || *ret_status != TEMPORARY_REDIRECT)
        return rc;
    const char *to = redirect_of(t);
    if (to == NULL || strlen(to) >= sizeof(other))
        return err_set(err, RF_EPROTO, "hub \"%s\" leads to an address that is no hub's", url);
    (void)snprintf(other, sizeof(other), "%s", to); /* libcurl's own goes with the next transfer */
    rc = perform(t, other, ret_status, err);
    if (rc == 0 && *ret_status == TEMPORARY_REDIRECT)
        return err_set(err, RF_EPROTO, "hub \"%s\" leads to one that leads on", url);
    return rc;
}

int hubclient_post(const char *url, const char *ca, const void *body, size_t n, struct buf *to,
                   long *ret_status, struct err *err)
{
    char address[HUBCLIENT_URL_MAX + sizeof(COMMAND)];
    struct transfer t = { .to = to };
    size_t len = strlen(url);
    if (!hubclient_is_url(url))
        return err_set(err, RF_EUSAGE,
                       "\"%.200s\" is no address of a hub: expected https://HOST or "
                       "https://HOST:PORT",
                       url);
    if (ca != NULL && access(ca, R_OK) < 0)
        return err_sys(err, "could not read the certificates in \"%.200s\"", ca);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (t.easy = curl_easy_init()) == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a command");
    (void)snprintf(address, sizeof(address), "%.*s%s", (int)(len - (url[len - 1] == '/')), url,
                   COMMAND);
    int rc = prepare(&t, ca, body, n) ? post(&t, address, ret_status, err)
                                      : err_set(err, RF_ENOMEM, "out of memory for a command");
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(t.headers);
    return rc;
}
