#include "courier/address.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void address_init(void)
{
    /* resolv.conf(5); what an administrator set stays */
    if (setenv("RES_OPTIONS", "timeout:2 attempts:1", 0) < 0)
        RF_ASSERT(!"setenv"); /* no memory, before anything began */
}

/* libcurl's form of an IPv6 address has brackets. */
static bool is_literal(const char *host)
{
    struct in_addr ip;
    return host[0] == '[' || inet_pton(AF_INET, host, &ip) == 1;
}

/* Letters, digits, dots and hyphens, which libcurl compares as they are; or an IPv6 address. */
static bool is_host(const char *host)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t len = strlen(host);
    if (host[0] == '[')
        return len < ADDRESS_HOST_SIZE;
    return len > 0 && len < ADDRESS_HOST_SIZE && strspn(host, name) == len && host[len - 1] != '.';
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

int address_of_url(const char *url, struct address *ret, struct err *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    struct address a = { .found = false };
    CURLU *u = curl_url();
    bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && is_host(host) &&
              strlen(port) < sizeof(a.port) && !has_part(u, CURLUPART_USER) &&
              !has_part(u, CURLUPART_QUERY) && !has_part(u, CURLUPART_FRAGMENT);
    if (ok) {
        (void)snprintf(a.host, sizeof(a.host), "%s", host);
        (void)snprintf(a.port, sizeof(a.port), "%s", port);
        a.is_literal = is_literal(host);
        *ret = a;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok ? 0
              : err_set(err, RF_ECONFIG, "\"%.200s\" is not http://HOST… or https://HOST…", url);
}

/* The addresses of LIST behind what PIN begins with. */
static bool pin_addresses(struct address *a, const struct addrinfo *list)
{
    char host[INET6_ADDRSTRLEN];
    unsigned count = 0;
    size_t at = (size_t)snprintf(a->pin, sizeof(a->pin), "%s:%s:", a->host, a->port);
    for (; list != NULL && count < ADDRESS_LIST_MAX; list = list->ai_next) {
        bool is_v6 = list->ai_family == AF_INET6;
        if (getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof(host), NULL, 0,
                        NI_NUMERICHOST) != 0 ||
            strchr(host, '%') != NULL) /* a link-local one means something on one wire only */
            continue;
        at += (size_t)snprintf(a->pin + at, sizeof(a->pin) - at, "%s%s%s%s", count > 0 ? "," : "",
                               is_v6 ? "[" : "", host, is_v6 ? "]" : "");
        count++;
    }
    return count > 0;
}

bool address_find(struct address *a, int64_t now_ms)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    if (a->is_literal || (a->until_ms != 0 && now_ms < a->until_ms))
        return a->is_literal || a->found;
    a->found = getaddrinfo(a->host, NULL, &hints, &list) == 0 && pin_addresses(a, list);
    if (list != NULL)
        freeaddrinfo(list);
    a->until_ms = clock_mono_ms() + (a->found ? ADDRESS_KEPT_MS : ADDRESS_MISSED_MS);
    return a->found;
}
