#include "auth/auditors.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/lines.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"
#include "policy/quantity.h"

enum { FIELDS_MAX = 3, SECRET_LEN = 30, DAY_LEN = 10 };
static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;
static const char prefix[] = "rfa_"; /* what a scanner for leaked secrets can look for */
static const char blanks[] = " \t";

struct auditor {
    const char *name; /* in `text` */
    uint8_t hash[DIGEST_LEN];
    int64_t end_ms; /* no longer from here on */
    unsigned line;
};

struct auditors {
    char *text;
    size_t text_len;
    struct auditor *list;
    size_t count, room;
};

/* ---- fields --------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hash(const char *text, uint8_t ret[DIGEST_LEN])
{
    if (strlen(text) != (size_t)2 * DIGEST_LEN)
        return false;
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

/* COUNT digits at TEXT, or -1. */
static int digits(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The end of a day "YYYY-MM-DD", in Unix time. */
static bool read_end(const char *text, int64_t *ret_ms)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (strlen(text) != DAY_LEN || text[4] != '-' || text[7] != '-')
        return false;
    int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    int64_t days = day;
    for (int y = 1970; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        days += lengths[m - 1] + (m == 2 && is_leap(year));
    *ret_ms = days * day_ms;
    return true;
}

/* Cuts LINE at its blanks; the number of fields, FIELDS_MAX + 1 for more. */
static size_t split(char *line, char *fields[FIELDS_MAX])
{
    size_t count = 0;
    for (line += strspn(line, blanks); *line != '\0'; line += strspn(line, blanks)) {
        if (count == FIELDS_MAX)
            return FIELDS_MAX + 1;
        fields[count++] = line;
        line += strcspn(line, blanks);
        if (*line != '\0')
            *line++ = '\0';
    }
    return count;
}

/* ---- the file ------------------------------------------------------------------------------- */

static int add(struct auditors *a, const struct auditor *one)
{
    if (a->count == a->room) {
        size_t room = a->room > 0 ? a->room * 2 : 16;
        struct auditor *grown = mem_realloc(a->list, room * sizeof(*grown));
        if (grown == NULL)
            return -RF_ENOMEM;
        a->list = grown;
        a->room = room;
    }
    a->list[a->count++] = *one;
    return 0;
}

static int line_read(struct auditors *a, const char *file, char *line, size_t len, unsigned number,
                     struct mistakes *mistakes)
{
    struct auditor one = { .end_ms = INT64_MAX, .line = number };
    char *fields[FIELDS_MAX] = { NULL };
    if (strlen(line) == len && lines_is_comment(line))
        return 0;
    size_t count = strlen(line) == len ? split(line, fields) : 0;
    if (count < 2 || count > FIELDS_MAX) {
        mistakes_add(mistakes, file, number, "expected NAME SHA256HEX-OF-TOKEN [YYYY-MM-DD]");
        return 0;
    }
    if (!quantity_is_name(fields[0])) {
        mistakes_add(mistakes, file, number, "expected a name of letters, digits, '-' and '_'");
        return 0;
    }
    one.name = fields[0];
    if (!read_hash(fields[1], one.hash)) {
        mistakes_add(
            mistakes, file, number,
            "\"%s\": expected the SHA-256 of a token in 64 lower-case hex digits; the token "
            "itself does not belong here",
            one.name);
        return 0;
    }
    if (count == FIELDS_MAX && !read_end(fields[2], &one.end_ms)) {
        mistakes_add(mistakes, file, number, "\"%s\": expected a last day such as 2027-03-31",
                     one.name);
        return 0;
    }
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->list[i].name, one.name) == 0 ||
            memcmp(a->list[i].hash, one.hash, DIGEST_LEN) == 0) {
            mistakes_add(mistakes, file, number, "\"%s\": name or token is already in line %u",
                         one.name, a->list[i].line);
            return 0;
        }
    return add(a, &one);
}

static int text_read(struct auditors *a, const char *file, struct mistakes *mistakes)
{
    struct lines lines = lines_of(a->text, a->text_len);
    size_t len;
    char *line;
    int rc = 0;
    while (rc == 0 && (line = lines_next(&lines, &len)) != NULL)
        rc = line_read(a, file, line, len, lines.number, mistakes);
    return rc;
}

int auditors_parse(const char *name, const char *text, size_t len, struct auditors **ret,
                   struct mistakes *mistakes)
{
    size_t before = mistakes->count;
    int rc = -RF_ENOMEM;
    struct auditors *a = mem_zalloc(1, sizeof(*a));
    if (a == NULL)
        goto out;
    a->text = mem_strndup(text, len);
    if (a->text == NULL)
        goto out;
    a->text_len = len;
    rc = text_read(a, name, mistakes);
    if (rc == 0 && (mistakes->count > before || mistakes->overflowed))
        rc = -RF_ECONFIG;
    if (rc < 0)
        goto out;
    *ret = a;
    a = NULL;
out:
    if (rc == -RF_ENOMEM)
        mistakes_add(mistakes, name, 0, "out of memory");
    auditors_free(a);
    return rc;
}

int auditors_load(const char *path, struct auditors **ret, struct mistakes *mistakes)
{
    char *text = NULL;
    size_t len = 0;
    struct err err = { 0 };
    int rc = fd_read_secret(path, AUDITORS_BYTES_MAX, &text, &len, &err);
    if (rc < 0) {
        mistakes_add(mistakes, path, 0, "%s", err.line);
        return rc;
    }
    rc = auditors_parse(path, text, len, ret, mistakes);
    mem_free_secret(text, len);
    return rc;
}

void auditors_free(struct auditors *a)
{
    if (a == NULL)
        return;
    mem_free_secret(a->text, a->text_len);
    mem_free_secret(a->list, a->room * sizeof(*a->list));
    mem_free(a);
}

size_t auditors_count(const struct auditors *a)
{
    return a->count;
}

/* ---- tokens --------------------------------------------------------------------------------- */

/* RFC 6750: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static size_t token_len(const char *text)
{
    static const char signs[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    size_t len = strspn(text, signs);
    return len > 0 ? len + strspn(text + len, "=") : 0;
}

bool auditors_bearer(const char *header, const char **ret, size_t *ret_len)
{
    static const char scheme[] = "Bearer ";
    if (strncasecmp(header, scheme, strlen(scheme)) != 0)
        return false;
    const char *token = header + strlen(scheme);
    token += strspn(token, " ");
    size_t len = token_len(token);
    if (len < AUDITORS_TOKEN_MIN || len > AUDITORS_TOKEN_MAX ||
        token[len + strspn(token + len, blanks)] != '\0')
        return false;
    *ret = token;
    *ret_len = len;
    return true;
}

static void hash_token(const char *token, size_t len, uint8_t ret[DIGEST_LEN])
{
    const struct iovec piece = digest_piece(token, len);
    digest_pieces(&piece, 1, ret);
}

const char *auditors_find(const struct auditors *a, const char *token, size_t len, int64_t wall_ms)
{
    uint8_t hash[DIGEST_LEN];
    const char *found = NULL;
    hash_token(token, len, hash);
    for (size_t i = 0; i < a->count; i++) {
        const struct auditor *one = &a->list[i];
        bool is_it = CRYPTO_memcmp(hash, one->hash, DIGEST_LEN) == 0;
        found = is_it && wall_ms < one->end_ms ? one->name : found;
    }
    explicit_bzero(hash, sizeof(hash));
    return found;
}

/* Base64 for URLs, of whole groups of three bytes: no padding. */
static void write_secret(const uint8_t *bytes, char *to)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < SECRET_LEN; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = signs[group >> shift & 63];
    }
    *to = '\0';
}

/* The line as the file takes it: the file's own parser decides. */
static int check_line(const char *line, struct err *err)
{
    struct auditors *a = NULL;
    struct mistakes mistakes;
    if (strpbrk(line, "\r\n") != NULL)
        return err_set(err, RF_EUSAGE, "name and day stand in one line");
    mistakes_init(&mistakes);
    int rc = auditors_parse("line", line, strlen(line), &a, &mistakes);
    if (rc == 0 && a->count != 1)
        rc = err_set(err, RF_EUSAGE, "this would be a comment in the file of auditors");
    else if (rc < 0)
        rc = err_set(err, rc == -RF_ENOMEM ? RF_ENOMEM : RF_EUSAGE, "%s",
                     mistakes.count > 0 ? mistakes.list[0].text : "out of memory");
    mistakes_done(&mistakes);
    auditors_free(a);
    return rc;
}

int auditors_make(const char *name, const char *until, char token[AUDITORS_MADE_SIZE],
                  char line[AUDITORS_LINE_SIZE], struct err *err)
{
    _Static_assert(sizeof(prefix) + SECRET_LEN / 3 * 4 <= AUDITORS_MADE_SIZE, "a token has room");
    uint8_t secret[SECRET_LEN], hash[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    if (RAND_bytes(secret, sizeof(secret)) != 1)
        return err_set(err, RF_EBUG, "could not get random bytes");
    memcpy(token, prefix, sizeof(prefix));
    write_secret(secret, token + strlen(prefix));
    explicit_bzero(secret, sizeof(secret));
    hash_token(token, strlen(token), hash);
    digest_hex(hash, sizeof(hash), hex);
    int len = snprintf(line, AUDITORS_LINE_SIZE, "%s %s%s%s", name, hex, until != NULL ? " " : "",
                       until != NULL ? until : "");
    if (len < 0 || len >= AUDITORS_LINE_SIZE)
        return err_set(err, RF_EUSAGE, "the name is too long");
    return check_line(line, err);
}
