#include "ledger/revealed.h"

#include <string.h>

#include "base/mem.h"
#include "ledger/json.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

const char *revealed_next(const char *at, uint8_t key[TAG_SUBJECT_MAX], size_t *ret_len,
                          char classes[RECORD_WORD_MAX + 1])
{
    size_t n = 0, class_len;
    if (*at == '\0')
        return NULL;
    for (; *at != ' ' && *at != '\0' && n < TAG_SUBJECT_MAX; at++) {
        int high = at[0] == '%' ? hex_digit(at[1]) : 0;
        int low = at[0] == '%' && high >= 0 ? hex_digit(at[2]) : 0;
        key[n++] = (uint8_t)(at[0] == '%' && high >= 0 && low >= 0 ? high << 4 | low : at[0]);
        at += at[0] == '%' && high >= 0 && low >= 0 ? 2 : 0;
    }
    at += *at == ' ';
    class_len = strcspn(at, " ");
    *ret_len = class_len >= 1 && class_len <= RECORD_WORD_MAX ? n : 0;
    if (*ret_len > 0) {
        memcpy(classes, at, class_len);
        classes[class_len] = '\0';
    }
    at += class_len;
    return at + (*at == ' ');
}

int revealed_put(struct buf *to, const void *key, size_t len, const char *classes)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t *bytes = key;
    int rc = buf_len(to) > 0 ? buf_append(to, " ", 1) : 0;
    for (size_t i = 0; rc == 0 && i < len; i++) {
        const char escaped[3] = { '%', digits[bytes[i] >> 4], digits[bytes[i] & 15] };
        bool is_plain = bytes[i] > ' ' && bytes[i] <= '~' && bytes[i] != '%';
        rc = is_plain ? buf_append(to, &bytes[i], 1) : buf_append(to, escaped, sizeof(escaped));
    }
    if (rc == 0)
        rc = buf_append(to, " ", 1);
    return rc == 0 ? buf_append(to, classes, strlen(classes)) : rc;
}

static bool is_key(const struct json_field *f, const char *key)
{
    return f->is_text && f->key_len == strlen(key) && memcmp(f->key, key, f->key_len) == 0;
}

/* `revealed` is printable ASCII: of JSON's escapes only these two stand in it. */
static char *unescape(const struct json_field *f)
{
    char *text = mem_zalloc(f->value_len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; text != NULL && i < f->value_len; i++) {
        i += f->value[i] == '\\' && i + 1 < f->value_len;
        text[n++] = f->value[i];
    }
    return text;
}

static bool find(const char *text, unsigned position, struct revealed *ret)
{
    for (unsigned i = 0;
         (text = revealed_next(text, ret->key, &ret->key_len, ret->classes)) != NULL; i++)
        if (i == position)
            return ret->key_len > 0;
    return false;
}

int revealed_read(const void *private_part, size_t n, unsigned position, struct revealed *ret)
{
    struct json_reader r;
    struct json_field f;
    bool has_subject = false, has_time = false;
    if (!json_open(&r, private_part, n))
        return 0;
    while (json_next(&r, &f) == 1) {
        if (is_key(&f, "time"))
            has_time = tag_time_read(f.value, f.value_len, &ret->time_ms);
        if (!is_key(&f, "revealed"))
            continue;
        char *text = unescape(&f);
        if (text == NULL)
            return -RF_ENOMEM;
        has_subject = find(text, position, ret);
        mem_free_secret_str(text);
    }
    return has_subject && has_time;
}
