#include "ledger/tag.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ledger/json.h"
#include "ledger/leaf.h"

static const char subject_domain[] = "ringfence-subject@1\n";
static const char tag_domain[] = "ringfence-tag@1\n";
static const char salt_domain[] = "ringfence-salt@1\n";
static const char access_domain[] = "ringfence-access@1\n";
static const char held_domain[] = "ringfence-held@1\n";

enum { ORIGIN_MAX = 255, PERIOD_MINUTES_MAX = 1440 };

_Static_assert((int)TAG_KEY_LEN <= (int)VRF_OUTPUT_LEN, "K is a part of the output");
_Static_assert((int)DIGEST_LEN == crypto_auth_hmacsha256_BYTES, "salts are whole MACs");

/* ---- epochs -------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits without leading zeros, at most MAX. */
static bool number_read(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (len == 0 || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > max)
            return false;
    }
    *ret = value;
    return true;
}

int tag_period_read(const char *text, size_t len, struct tag_period *ret)
{
    uint64_t minutes;
    if (len == 5 && memcmp(text, "month", 5) == 0) {
        ret->minutes = 0;
        return 0;
    }
    if (len < 2 || text[len - 1] != 'm' ||
        !number_read(text, len - 1, PERIOD_MINUTES_MAX, &minutes) || minutes == 0)
        return -RF_EINVAL;
    ret->minutes = (uint32_t)minutes;
    return 0;
}

void tag_epoch_of(struct tag_period period, uint32_t minute, char ret[TAG_EPOCH_SIZE])
{
    if (period.minutes == 0) {
        char whole[18];
        leaf_minute_format(minute, whole);
        (void)snprintf(ret, TAG_EPOCH_SIZE, "%.7s", whole);
    } else {
        (void)snprintf(ret, TAG_EPOCH_SIZE, "%um-%u", period.minutes, minute / period.minutes);
    }
}

/* "2026-11" */
static bool month_read(const char *text, size_t len, uint64_t *ret)
{
    uint64_t year;
    if (len != 7 || !number_read(text, 4, 9999, &year) || text[4] != '-' || !is_digit(text[5]) ||
        !is_digit(text[6]))
        return false;
    int month = (text[5] - '0') * 10 + (text[6] - '0');
    if (year < 1970 || month < 1 || month > 12)
        return false;
    *ret = year * 12 + (uint64_t)month - 1;
    return true;
}

int tag_epoch_read(struct tag_period period, const char *text, size_t len, uint64_t *ret_number)
{
    char start[8];
    if (period.minutes == 0)
        return month_read(text, len, ret_number) ? 0 : -RF_EINVAL;
    size_t n = (size_t)snprintf(start, sizeof(start), "%um-", period.minutes);
    if (len <= n || memcmp(text, start, n) != 0 ||
        !number_read(text + n, len - n, UINT32_MAX / period.minutes, ret_number))
        return -RF_EINVAL;
    return 0;
}

uint64_t tag_epoch_number(struct tag_period period, uint32_t minute)
{
    char text[TAG_EPOCH_SIZE];
    uint64_t number = 0;
    tag_epoch_of(period, minute, text);
    RF_ASSERT(tag_epoch_read(period, text, strlen(text), &number) == 0);
    return number;
}

/* ---- K ------------------------------------------------------------------------------------- */

struct alpha {
    uint8_t bytes[1024];
    size_t len;
};

static void put(struct alpha *a, const void *bytes, size_t n)
{
    memcpy(a->bytes + a->len, bytes, n);
    a->len += n;
}

static void put_sized(struct alpha *a, const void *bytes, size_t n)
{
    const uint8_t len[2] = { (uint8_t)(n >> 8), (uint8_t)n };
    put(a, len, sizeof(len));
    put(a, bytes, n);
}

static bool alpha_of(const struct tag_subject *s, struct alpha *ret)
{
    size_t region_len = strlen(s->region), epoch_len = strlen(s->epoch);
    if (region_len == 0 || region_len > RECORD_WORD_MAX || epoch_len == 0 ||
        epoch_len >= TAG_EPOCH_SIZE || s->key_len == 0 || s->key_len > TAG_SUBJECT_MAX)
        return false;
    ret->len = 0;
    put(ret, subject_domain, sizeof(subject_domain) - 1);
    put_sized(ret, s->region, region_len);
    put_sized(ret, s->epoch, epoch_len);
    put_sized(ret, s->key, s->key_len);
    return true;
}

_Static_assert(sizeof(subject_domain) + 3 * 2 + RECORD_WORD_MAX + TAG_EPOCH_SIZE +
                       TAG_SUBJECT_MAX <=
                   sizeof(((struct alpha *)0)->bytes),
               "the longest alpha fits");

int tag_key_make(const struct tag_subject *subject, const uint8_t secret[VRF_SECRET_LEN],
                 uint8_t ret_proof[VRF_PROOF_LEN], uint8_t ret_k[TAG_KEY_LEN])
{
    struct alpha alpha;
    uint8_t output[VRF_OUTPUT_LEN];
    if (!alpha_of(subject, &alpha))
        return -RF_EINVAL;
    int rc = vrf_prove(secret, alpha.bytes, alpha.len, ret_proof, output);
    if (rc == 0)
        memcpy(ret_k, output, TAG_KEY_LEN);
    sodium_memzero(output, sizeof(output));
    return rc;
}

int tag_key_check(const struct tag_subject *subject, const uint8_t public[VRF_PUBLIC_LEN],
                  const uint8_t proof[VRF_PROOF_LEN], uint8_t ret_k[TAG_KEY_LEN])
{
    struct alpha alpha;
    uint8_t output[VRF_OUTPUT_LEN];
    if (!alpha_of(subject, &alpha))
        return -RF_EINVAL;
    int rc = vrf_verify(public, alpha.bytes, alpha.len, proof, output);
    if (rc == 0)
        memcpy(ret_k, output, TAG_KEY_LEN);
    return rc;
}

/* ---- tags ---------------------------------------------------------------------------------- */

static void mac_of(const uint8_t k[TAG_KEY_LEN], const char *domain, const char *origin, uint64_t n,
                   uint8_t ret[DIGEST_LEN])
{
    crypto_auth_hmacsha256_state mac;
    size_t len = strlen(origin);
    RF_ASSERT(len <= ORIGIN_MAX);
    const uint8_t origin_len[2] = { (uint8_t)(len >> 8), (uint8_t)len };
    uint8_t number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(n >> (56 - 8 * i));
    crypto_auth_hmacsha256_init(&mac, k, TAG_KEY_LEN);
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)domain, strlen(domain));
    crypto_auth_hmacsha256_update(&mac, origin_len, sizeof(origin_len));
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)origin, len);
    crypto_auth_hmacsha256_update(&mac, number, sizeof(number));
    crypto_auth_hmacsha256_final(&mac, ret);
    sodium_memzero(&mac, sizeof(mac));
}

void tag_of(const uint8_t k[TAG_KEY_LEN], const char *origin, uint64_t n, uint8_t ret[TAG_LEN])
{
    uint8_t mac[DIGEST_LEN];
    mac_of(k, tag_domain, origin, n, mac);
    memcpy(ret, mac, TAG_LEN);
}

void tag_salt_of(const uint8_t k[TAG_KEY_LEN], const char *origin, uint64_t n,
                 uint8_t ret[TAG_SALT_LEN])
{
    mac_of(k, salt_domain, origin, n, ret);
}

void tag_commitment_of(const uint8_t salt[TAG_SALT_LEN], const void *access, size_t n,
                       uint8_t ret[TAG_COMMITMENT_LEN])
{
    const struct iovec pieces[] = { digest_piece(access_domain, sizeof(access_domain) - 1),
                                    digest_piece(salt, TAG_SALT_LEN), digest_piece(access, n) };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

void tag_held_of(const uint8_t salt[TAG_SALT_LEN], const char *purpose, uint8_t ret[DIGEST_LEN])
{
    const struct iovec pieces[] = { digest_piece(held_domain, sizeof(held_domain) - 1),
                                    digest_piece(salt, TAG_SALT_LEN),
                                    digest_piece(purpose, strlen(purpose)) };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

/* ---- accesses ------------------------------------------------------------------------------ */

#define TIME_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

static bool is_word(const char *text, size_t len)
{
    if (len == 0 || len > RECORD_WORD_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
            return false;
    return true;
}

int tag_access_write(struct buf *to, const void *key, size_t key_len, const char *classes,
                     int64_t time_ms)
{
    char when[25];
    size_t classes_len = strlen(classes);
    if (key_len == 0 || key_len > TAG_SUBJECT_MAX || !is_word(classes, classes_len) ||
        time_ms < 0 || time_ms > TIME_MS_MAX)
        return -RF_EINVAL;
    clock_format(time_ms, when);
    struct json_writer w = json_begin(to);
    json_number(&w, "v", 1);
    json_text(&w, "subject", key, key_len);
    json_text(&w, "classes", classes, classes_len);
    json_text(&w, "time", when, strlen(when));
    return json_end(&w) ? 0 : -RF_ENOMEM;
}

static bool is_key(const struct json_field *f, const char *key)
{
    return f->key_len == strlen(key) && memcmp(f->key, key, f->key_len) == 0;
}

/* "2026-11-22T10:05:07.123Z", which strptime() reads up to the seconds. */
bool tag_time_read(const char *value, size_t len, int64_t *ret)
{
    struct tm tm = { 0 };
    char text[25], again[25];
    if (len != 24)
        return false;
    memcpy(text, value, 24);
    text[24] = '\0';
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end != text + 19 || text[19] != '.')
        return false;
    if (!is_digit(text[20]) || !is_digit(text[21]) || !is_digit(text[22]))
        return false;
    int ms = (text[20] - '0') * 100 + (text[21] - '0') * 10 + (text[22] - '0');
    int64_t seconds = timegm(&tm);
    if (seconds < 0 || seconds > TIME_MS_MAX / 1000)
        return false;
    *ret = seconds * 1000 + ms;
    clock_format(*ret, again); /* strptime() is generous: only our own writing counts */
    return strcmp(text, again) == 0;
}

/* What was read, written anew for KEY: any difference left is in the subject. */
static int is_of(const struct tag_access *a, const void *key, size_t key_len, const void *bytes,
                 size_t n)
{
    char classes[RECORD_WORD_MAX + 1];
    struct buf again;
    memcpy(classes, a->classes, a->classes_len);
    classes[a->classes_len] = '\0';
    buf_init(&again, TAG_ACCESS_MAX);
    int rc = tag_access_write(&again, key, key_len, classes, a->time_ms);
    if (rc == 0 && (buf_len(&again) != n || memcmp(buf_at(&again), bytes, n) != 0))
        rc = -RF_ETAMPER;
    buf_wipe_done(&again);
    return rc;
}

int tag_access_read(const void *bytes, size_t n, const void *key, size_t key_len,
                    struct tag_access *ret)
{
    struct json_reader r;
    struct json_field version, subject, classes, when, none;
    struct tag_access a = { 0 };
    if (key_len == 0 || key_len > TAG_SUBJECT_MAX)
        return -RF_EINVAL;
    if (n > TAG_ACCESS_MAX || !json_open(&r, bytes, n) || json_next(&r, &version) != 1 ||
        json_next(&r, &subject) != 1 || json_next(&r, &classes) != 1 || json_next(&r, &when) != 1 ||
        json_next(&r, &none) != 0)
        return -RF_EPROTO;
    if (!is_key(&version, "v") || version.is_text || version.number != 1 || !subject.is_text ||
        (!is_key(&subject, "subject") && !is_key(&subject, "subject_hex")) ||
        !is_key(&classes, "classes") || !classes.is_text ||
        !is_word(classes.value, classes.value_len) || !is_key(&when, "time") || !when.is_text ||
        !tag_time_read(when.value, when.value_len, &a.time_ms))
        return -RF_EPROTO;
    a.classes = classes.value;
    a.classes_len = classes.value_len;
    int rc = is_of(&a, key, key_len, bytes, n);
    if (rc == 0)
        *ret = a;
    return rc;
}
