#include "tlog/line.h"

#include <string.h>

#include "base/base64.h"

bool line_cut(struct line *rest, struct line *ret)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->at, '\n', rest->len);
    if (end == NULL)
        return false;
    size_t len = (size_t)(end - rest->at);
    *ret = (struct line){ .at = rest->at, .len = len };
    rest->at = end + 1;
    rest->len -= len + 1;
    return true;
}

bool line_is(struct line line, const char *word)
{
    size_t len = strlen(word);
    return line.len == len && memcmp(line.at, word, len) == 0;
}

bool line_skip(struct line *line, const char *prefix)
{
    size_t len = strlen(prefix);
    if (line->len < len || memcmp(line->at, prefix, len) != 0)
        return false;
    line->at += len;
    line->len -= len;
    return true;
}

bool line_number(struct line text, uint64_t *ret)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len >= LINE_NUMBER_SIZE || (text.at[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.at[i] - '0'); /* 19 digits cannot wrap */
    }
    if (number > LINE_NUMBER_MAX)
        return false;
    *ret = number;
    return true;
}

bool line_hash(struct line text, uint8_t ret[TLOG_HASH_LEN])
{
    uint8_t hash[TLOG_HASH_LEN];
    size_t n;
    if (text.len != LINE_HASH_LEN || base64_decode(text.at, text.len, hash, sizeof(hash), &n) < 0 ||
        n != sizeof(hash))
        return false;
    memcpy(ret, hash, sizeof(hash));
    return true;
}

int32_t line_code_point(struct line text, size_t *ret_len)
{
    static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *at = (const uint8_t *)text.at;
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > text.len || at[0] > 0xf4)
        return -1;
    int32_t code = len == 1 ? at[0] : at[0] & (0x7f >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return -1;
        code = code << 6 | (at[i] & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return -1;
    *ret_len = len;
    return code;
}

bool line_is_text(struct line text)
{
    while (text.len > 0) {
        size_t len;
        int32_t code = line_code_point(text, &len);
        if (code < 0 || (code < 0x20 && code != '\n'))
            return false;
        text.at += len;
        text.len -= len;
    }
    return true;
}
