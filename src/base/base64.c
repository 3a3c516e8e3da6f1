#include "base/base64.h"

#include "base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *bytes, size_t n, char *out)
{
    char *at = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (have > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = have > 1 ? alphabet[group >> 6 & 63] : '=';
        *at++ = have > 2 ? alphabet[group & 63] : '=';
    }
    *at = '\0';
    return (size_t)(at - out);
}

/* 0..63, or -1. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four characters of which PADDED are '='; -1 when it is not one. */
static int32_t group_of(const char *four, unsigned padded)
{
    int32_t group = 0;
    for (unsigned i = 0; i < 4; i++) {
        int digit = i < 4 - padded ? digit_of(four[i]) : 0;
        if (digit < 0)
            return -1;
        group = group << 6 | digit;
    }
    int32_t spare = padded == 0 ? 0 : padded == 1 ? 0xff : 0xffff;
    return (group & spare) == 0 ? group : -1;
}

int base64_decode(const char *text, size_t len, uint8_t *out, size_t max, size_t *ret_n)
{
    size_t n = 0;
    if (len % 4 != 0)
        return -RF_EINVAL;
    for (size_t i = 0; i < len; i += 4) {
        unsigned padded = 0;
        if (i + 4 == len)
            padded = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        int32_t group = group_of(text + i, padded);
        if (group < 0 || 3 - padded > max - n)
            return -RF_EINVAL;
        for (unsigned k = 0; k < 3 - padded; k++)
            out[n++] = (uint8_t)(group >> (16 - 8 * k));
    }
    *ret_n = n;
    return 0;
}
