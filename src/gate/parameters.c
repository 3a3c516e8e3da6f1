#include "gate/parameters.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "wire/rd.h"

enum { TAIL_ROOM = 64 };

struct printer {
    char *out;
    size_t len, at;
    size_t dropped; /* bytes of values that found no room */
};

static void put(struct printer *p, const char *text, size_t n)
{
    if (p->at + n + TAIL_ROOM > p->len) {
        p->dropped += n;
        return;
    }
    memcpy(p->out + p->at, text, n);
    p->at += n;
}

static void put_text(struct printer *p, const uint8_t *value, size_t n)
{
    put(p, "'", 1);
    for (size_t i = 0; i < n; i++) {
        const char c = (char)value[i];
        if (c == '\'' || c == '\\')
            put(p, "\\", 1);
        put(p, c == '\0' ? " " : &c, 1);
    }
    put(p, "'", 1);
}

static void put_hex(struct printer *p, const uint8_t *value, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    put(p, "\\x", 2);
    for (size_t i = 0; i < n; i++) {
        char pair[2] = { digits[value[i] >> 4], digits[value[i] & 15] };
        put(p, pair, 2);
    }
}

static bool is_binary(const uint8_t *formats, uint16_t format_count, uint16_t i)
{
    if (format_count == 0)
        return false;
    size_t at = format_count == 1 ? 0 : (size_t)i;
    return at < format_count && (formats[2 * at] != 0 || formats[2 * at + 1] != 0);
}

void parameters_print(char *out, size_t out_len, const uint8_t *bytes, size_t n)
{
    struct printer p = { .out = out, .len = out_len };
    struct rd r = rd_of(bytes, n);
    uint16_t format_count = rd_u16(&r);
    const uint8_t *formats = rd_bytes(&r, (size_t)format_count * 2);
    uint16_t count = rd_u16(&r);
    for (uint16_t i = 0; i < count && !r.bad; i++) {
        char label[16];
        int label_len = snprintf(label, sizeof(label), "%s$%u=", i > 0 ? ", " : "", i + 1u);
        uint32_t len = rd_u32(&r);
        put(&p, label, (size_t)label_len);
        if (len == UINT32_MAX) {
            put(&p, "NULL", 4);
            continue;
        }
        const uint8_t *value = rd_bytes(&r, len);
        if (value == NULL)
            break;
        if (is_binary(formats, format_count, i))
            put_hex(&p, value, len);
        else
            put_text(&p, value, len);
    }
    if (p.dropped > 0)
        p.at += (size_t)snprintf(out + p.at, TAIL_ROOM, " … and %zu bytes more", p.dropped);
    out[p.at] = '\0';
}
