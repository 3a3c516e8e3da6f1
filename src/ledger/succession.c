#include "ledger/succession.h"

#include <string.h>

#include "base/base64.h"

static const char domain[] = "ringfence-successor@1\n";

enum { MESSAGE_MAX = sizeof(domain) + 2 * (2 + KEY_NAME_MAX) + KEY_VKEY_SIZE + 1 + 8 };

static size_t put(uint8_t *to, const void *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return n;
}

static size_t put_sized(uint8_t *to, const char *text)
{
    size_t n = strlen(text);
    to[0] = (uint8_t)(n >> 8);
    to[1] = (uint8_t)n;
    return 2 + put(to + 2, text, n);
}

static size_t message_of(const struct succession *s, uint8_t ret[MESSAGE_MAX])
{
    char vkey[KEY_VKEY_SIZE];
    key_write(s->next, vkey);
    size_t n = put(ret, domain, sizeof(domain) - 1);
    n += put_sized(ret + n, s->old_origin);
    n += put_sized(ret + n, s->next->name);
    n += put(ret + n, vkey, strlen(vkey));
    ret[n++] = '\n';
    for (int shift = 56; shift >= 0; shift -= 8)
        ret[n++] = (uint8_t)(s->at >> shift);
    return n;
}

int succession_sign(const struct succession *s, const struct secret_key *by,
                    uint8_t ret[KEY_SIGNATURE_LEN])
{
    uint8_t message[MESSAGE_MAX];
    return key_sign(by, message, message_of(s, message), ret);
}

bool succession_holds(const struct succession *s, const struct key *by, const struct logleaf *leaf)
{
    const struct logleaf_value *v = &leaf->value[LEAF_KEY_SIGNATURE];
    uint8_t message[MESSAGE_MAX], signature[KEY_SIGNATURE_LEN];
    size_t n;
    return v->text != NULL &&
           base64_decode(v->text, v->len, signature, sizeof(signature), &n) == 0 &&
           n == sizeof(signature) && key_verify(by, message, message_of(s, message), signature);
}

bool succession_ref_read(const char *text, uint64_t *ret_at, const char **ret_origin)
{
    struct logleaf leaf = { 0 };
    size_t len;
    logleaf_text(&leaf, LEAF_KEY_PREDECESSOR, text);
    return logleaf_ref(&leaf, LEAF_KEY_PREDECESSOR, ret_at, ret_origin, &len) &&
           key_is_name(*ret_origin, len) && (*ret_origin)[len] == '\0';
}
