#include "ledger/json.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"

#define NUMBER_MAX ((UINT64_C(1) << 53) - 1)

size_t json_utf8_at(const uint8_t *text, size_t len)
{
    /* Lead byte, length, and the range of the second byte; the rest is always 80..bf. */
    static const struct {
        uint8_t first, last, len, low, high;
    } forms[] = {
        { 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
        { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
        { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
    };
    for (size_t i = 0; len > 0 && i < RF_COUNT(forms); i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].len == 1)
            return 1;
        if (len < forms[i].len || text[1] < forms[i].low || text[1] > forms[i].high)
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if ((text[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

static bool is_utf8(const uint8_t *text, size_t len)
{
    while (len > 0) {
        size_t n = text[0] < 0x80 ? 1 : json_utf8_at(text, len);
        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}

/* Code point of a character that is written as \u00xx, else -1. TEXT holds N bytes of one
   character. */
static int control_at(const uint8_t *text, size_t n)
{
    if (n == 1 && (text[0] < 0x20 || text[0] == 0x7f))
        return text[0];
    if (n == 2 && text[0] == 0xc2 && text[1] < 0xa0)
        return text[1];
    return -1;
}

static void put(struct json_writer *w, const void *bytes, size_t n)
{
    if (!w->bad && buf_append(w->to, bytes, n) < 0)
        w->bad = true;
}

static void put_str(struct json_writer *w, const char *s)
{
    put(w, s, strlen(s));
}

struct json_writer json_begin(struct buf *to)
{
    struct json_writer w = { .to = to };
    put_str(&w, "{");
    return w;
}

static void put_key(struct json_writer *w, const char *key, const char *suffix)
{
    put_str(w, w->any ? ",\"" : "\"");
    put_str(w, key);
    put_str(w, suffix);
    put_str(w, "\":");
    w->any = true;
}

static uint8_t *laid(uint8_t *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

/* `"key":"text"` in one piece, for text that stands for itself: nearly all there is. */
static void put_plain(struct json_writer *w, const char *key, const char *text, size_t len)
{
    size_t key_len = strlen(key), n = key_len + len + 5 + w->any;
    uint8_t *at = w->bad ? NULL : buf_reserve(w->to, n);
    if (at == NULL) {
        w->bad = true;
        return;
    }
    if (w->any)
        *at++ = ',';
    *at++ = '"';
    at = laid(at, key, key_len);
    at = laid(at, "\":\"", 3);
    at = laid(at, text, len);
    *at = '"';
    buf_grew(w->to, n);
    w->any = true;
}

/* Most text is this: printable ASCII that stands for itself. */
static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Runs of plain bytes go in one piece. */
static void put_escaped(struct json_writer *w, const uint8_t *text, size_t len)
{
    size_t plain = 0, i = 0;
    while (i < len) {
        if (is_plain(text[i])) {
            i++;
            continue;
        }
        size_t n = json_utf8_at(text + i, len - i);
        int control = control_at(text + i, n);
        char escape[8];
        if (text[i] == '"' || text[i] == '\\')
            (void)snprintf(escape, sizeof(escape), "\\%c", text[i]);
        else if (control >= 0)
            (void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)control & 0xffff);
        else {
            i += n;
            continue;
        }
        put(w, text + plain, i - plain);
        put_str(w, escape);
        i += n;
        plain = i;
    }
    put(w, text + plain, len - plain);
}

static void put_hex(struct json_writer *w, const uint8_t *bytes, size_t n)
{
    char hex[129];
    put_str(w, "\"");
    for (size_t i = 0; i < n; i += 64) {
        size_t piece = n - i < 64 ? n - i : 64;
        digest_hex(bytes + i, piece, hex);
        put(w, hex, 2 * piece);
    }
    put_str(w, "\"");
}

void json_text(struct json_writer *w, const char *key, const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (len == 0)
        return;
    size_t plain = 0;
    while (plain < len && is_plain(bytes[plain]))
        plain++;
    if (plain == len) {
        put_plain(w, key, text, len);
        return;
    }
    if (!is_utf8(bytes, len)) {
        put_key(w, key, "_hex");
        put_hex(w, bytes, len);
        return;
    }
    put_key(w, key, "");
    put_str(w, "\"");
    put_escaped(w, bytes, len);
    put_str(w, "\"");
}

void json_number(struct json_writer *w, const char *key, uint64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    if (value == 0)
        return;
    if (value > NUMBER_MAX)
        w->bad = true;
    put_key(w, key, "");
    for (; value > 0; value /= 10)
        digits[--at] = (char)('0' + value % 10);
    put(w, digits + at, sizeof(digits) - at);
}

void json_hex(struct json_writer *w, const char *key, const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return;
    put_key(w, key, "");
    put_hex(w, bytes, n);
}

bool json_end(struct json_writer *w)
{
    put_str(w, "}");
    return !w->bad;
}

bool json_open(struct json_reader *r, const void *bytes, size_t n)
{
    *r = (struct json_reader){ .at = bytes, .end = (const char *)bytes + n };
    if (n == 0 || *r->at != '{')
        return false;
    r->at++;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An escape that our writer would have chosen: its length, or 0. */
static size_t escape_at(const char *s, size_t left)
{
    if (left >= 2 && (s[1] == '"' || s[1] == '\\'))
        return 2;
    if (left < 6 || memcmp(s, "\\u00", 4) != 0)
        return 0;
    int high = hex_digit(s[4]), low = hex_digit(s[5]);
    if (high < 0 || low < 0)
        return 0;
    int code = high << 4 | low;
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) ? 6 : 0;
}

/* The text at r->at, quotes included. */
static bool take_text(struct json_reader *r, const char **ret, size_t *ret_len)
{
    if (r->at == r->end || *r->at != '"')
        return false;
    const char *start = ++r->at;
    while (r->at < r->end && *r->at != '"') {
        size_t left = (size_t)(r->end - r->at), n;
        if (is_plain((uint8_t)*r->at)) {
            r->at++;
            continue;
        }
        if (*r->at == '\\') {
            n = escape_at(r->at, left);
        } else {
            n = json_utf8_at((const uint8_t *)r->at, left);
            if (n > 0 && control_at((const uint8_t *)r->at, n) >= 0)
                return false;
        }
        if (n == 0)
            return false;
        r->at += n;
    }
    if (r->at == r->end)
        return false;
    *ret = start;
    *ret_len = (size_t)(r->at - start);
    r->at++;
    return true;
}

static bool take_number(struct json_reader *r, uint64_t *ret)
{
    const char *start = r->at;
    uint64_t value = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        value = value * 10 + (uint64_t)(*r->at++ - '0');
        if (value > NUMBER_MAX)
            return false;
    }
    *ret = value;
    return r->at > start && *start != '0'; /* zero itself is left out by the writer */
}

int json_next(struct json_reader *r, struct json_field *ret)
{
    struct json_field f = { 0 };
    if (r->at == r->end)
        return -RF_EPROTO;
    if (*r->at == '}')
        return r->at + 1 == r->end ? 0 : -RF_EPROTO;
    if (r->any && *r->at++ != ',')
        return -RF_EPROTO;
    r->any = true;
    if (!take_text(r, &f.key, &f.key_len) || r->at == r->end || *r->at++ != ':' || r->at == r->end)
        return -RF_EPROTO;
    f.is_text = *r->at == '"';
    if (f.is_text) {
        if (!take_text(r, &f.value, &f.value_len) || f.value_len == 0)
            return -RF_EPROTO;
    } else if (!take_number(r, &f.number)) {
        return -RF_EPROTO;
    }
    *ret = f;
    return 1;
}

bool json_is_canonical(const void *bytes, size_t n)
{
    enum { KEYS_MAX = 64 };
    struct json_field seen[KEYS_MAX];
    struct json_reader r;
    size_t count = 0;
    int rc;
    if (!json_open(&r, bytes, n))
        return false;
    while ((rc = json_next(&r, &seen[count])) == 1) {
        for (size_t i = 0; i < count; i++)
            if (seen[i].key_len == seen[count].key_len &&
                memcmp(seen[i].key, seen[count].key, seen[i].key_len) == 0)
                return false;
        if (++count == KEYS_MAX)
            return false;
    }
    return rc == 0;
}
