#include "policy/policy_signers.h"

#include <stdio.h>
#include <string.h>

#include "policy/policy_check.h"
#include "sign/sshsig.h"

#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END   "\n-----END SSH SIGNATURE-----\n"
#define DAY   (INT64_C(24) * 60 * 60 * 1000)

/* ---- the file ------------------------------------------------------------------------------- */

static const struct field signer_fields[] = {
    { "actor", FIELD_REFERENCE, .required = true, .width = sizeof(struct policy_actor *),
      .target = TARGET_ACTOR },
};
static const struct field_shape signer_shape = { .what = "the name of an actor",
                                                 .size = sizeof(struct policy_actor *),
                                                 .fields = signer_fields,
                                                 .field_count = RF_COUNT(signer_fields),
                                                 .short_form = "actor",
                                                 .line_offset = FIELD_NO_LINE };

static const struct field signers_fields[] = {
    { "quorum", FIELD_INTEGER, .required = true, FIELD_AT(struct policy, signers.quorum), .min = 1,
      .max = SIGNERS_MAX },
    { "actors", FIELD_LIST, .required = true, FIELD_AT(struct policy, signers.actors),
      .count_offset = offsetof(struct policy, signers.actor_count), .max = SIGNERS_MAX,
      .shape = &signer_shape },
    { "wait", FIELD_DURATION, FIELD_AT(struct policy, signers.wait_ms), .min = 0, .max = 31 * DAY },
};
const struct field_shape policy_signers_shape = { .what = "who signs the next policy",
                                                  .fields = signers_fields,
                                                  .field_count = RF_COUNT(signers_fields) };

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void policy_follows_read(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy *p = record;
    char found[FIELD_FOUND_MAX];
    bool good = node->kind == YAML_TEXT && strlen(node->text) == 2 * sizeof(p->follows);
    for (size_t i = 0; good && i < sizeof(p->follows); i++) {
        int high = digit_of(node->text[2 * i]), low = digit_of(node->text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        p->follows[i] = good ? (uint8_t)(high << 4 | low) : 0;
    }
    p->has_follows = good;
    if (!good)
        field_wrong(r, at, node->line,
                    "expected the SHA-256 of the policy before, 64 hex digits in lower case, "
                    "found %s",
                    field_found(node, found));
}

static bool may_sign(const struct policy_actor *a)
{
    return a->kind == ACTOR_PERSON && !a->suspended && a->key_count > 0;
}

void policy_signers_check(struct field_reader *r, const struct policy *p)
{
    const struct policy_signers *s = &p->signers;
    int64_t able = 0;
    for (size_t i = 0; i < s->actor_count; i++) {
        const struct policy_actor *a = s->actors[i];
        unsigned line = field_line_of(r, &s->actors[i]);
        if (a == NULL) /* told already: no such actor */
            return;
        for (size_t k = 0; k < i; k++)
            if (s->actors[k] == a)
                field_wrong(r, NULL, line, "signers.actors: \"%s\" is listed twice", a->name);
        if (a->kind != ACTOR_PERSON || a->key_count == 0)
            field_wrong(r, NULL, line, "signers.actors: \"%s\" has no key to sign with", a->name);
        able += may_sign(a);
    }
    if (s->actor_count > 0 && s->quorum > able)
        field_wrong(r, NULL, field_line_of(r, &s->quorum),
                    "signers.quorum: %lld signatures are demanded, and %lld persons can sign",
                    (long long)s->quorum, (long long)able);
}

/* ---- signatures ----------------------------------------------------------------------------- */

int policy_signature_next(const char *sigs, size_t len, size_t *at, const char **ret_block,
                          size_t *ret_len)
{
    static const size_t begin = sizeof(BEGIN) - 1, end = sizeof(END) - 1;
    size_t left = len - *at;
    if (left == 0)
        return 0;
    if (left < begin || memcmp(sigs + *at, BEGIN, begin) != 0)
        return -RF_EPROTO;
    const char *stop = memmem(sigs + *at, left, END, end);
    if (stop == NULL)
        return -RF_EPROTO;
    *ret_block = sigs + *at;
    *ret_len = (size_t)(stop - *ret_block) + end;
    *at += *ret_len;
    return 1;
}

/* The signer whose key it is; the number of signers: nobody's. */
static size_t signer_of(const struct policy *by, const struct ssh_key *key)
{
    for (size_t i = 0; i < by->signers.actor_count; i++) {
        const struct policy_actor *a = by->signers.actors[i];
        for (size_t k = 0; may_sign(a) && k < a->key_count; k++)
            if (ssh_key_equal(&a->keys[k], key))
                return i;
    }
    return by->signers.actor_count;
}

static void count_block(const struct policy *by, const void *text, size_t len, const char *block,
                        size_t block_len, struct policy_signed *ret)
{
    struct ssh_key key;
    struct err ignored;
    if (sshsig_verify(block, block_len, POLICY_NAMESPACE, text, len, &key, &ignored) < 0) {
        ret->spoiled++;
        return;
    }
    size_t who = signer_of(by, &key);
    if (who == by->signers.actor_count) {
        ret->others++;
        return;
    }
    ret->valid += (ret->signed_by >> who & 1) == 0;
    ret->signed_by |= UINT32_C(1) << who;
}

void policy_count_signatures(const struct policy *by, const void *text, size_t len,
                             const char *sigs, size_t sigs_len, struct policy_signed *ret)
{
    const char *block;
    size_t at = 0, block_len;
    int rc = sigs_len > SIGNATURES_BYTES_MAX ? -RF_ETOOBIG : 0;
    *ret = (struct policy_signed){ 0 };
    for (unsigned n = 0; rc == 0; n++) {
        rc = policy_signature_next(sigs, sigs_len, &at, &block, &block_len);
        if (rc == 0)
            return;
        if (rc == 1 && n < SIGNATURES_MAX) {
            count_block(by, text, len, block, block_len, ret);
            rc = 0;
        }
    }
    *ret = (struct policy_signed){ .is_malformed = true };
}

void policy_signers_names(const struct policy *p, uint32_t set, bool is_set, char *ret, size_t n)
{
    size_t at = 0;
    (void)snprintf(ret, n, "nobody");
    for (size_t i = 0; i < p->signers.actor_count && at < n; i++)
        if (((set >> i & 1) != 0) == is_set)
            at += (size_t)snprintf(ret + at, n - at, "%s%s", at > 0 ? ", " : "",
                                   p->signers.actors[i]->name);
}
