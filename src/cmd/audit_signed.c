#include "cmd/audit_signed.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/json.h"
#include "policy/policy.h"
#include "sign/command.h"
#include "sign/sshsig.h"

/* What the private part says, as it was before it was written as JSON. */
struct said {
    char text[COMMAND_MAX + 1], copy[COMMAND_MAX + 1], signature[SSHSIG_MAX + 1];
    size_t text_len, signature_len;
    char actor[128];
    struct command command;
    struct ssh_key key;
};

static const enum command_verb verbs[LEAF_TYPE_COUNT] = {
    [LEAF_FIND] = COMMAND_FIND,
    [LEAF_REQUEST] = COMMAND_REQUEST,
    [LEAF_BREAKGLASS] = COMMAND_BREAK_GLASS,
    [LEAF_APPROVAL] = COMMAND_APPROVE, /* or COMMAND_DENY */
    [LEAF_REVIEW] = COMMAND_REVIEW,
};

/* One character behind a backslash; how long it was: `u00xx` is one below U+00A0. */
static size_t unescape_one(const char *at, size_t left, char ret[2], size_t *ret_len)
{
    unsigned code;
    *ret_len = 1;
    ret[0] = at[0];
    if (at[0] != 'u' || left < 5 || sscanf(at + 1, "%4x", &code) != 1)
        return 1;
    *ret_len = code < 0x80 ? 1 : 2;
    ret[0] = (char)(code < 0x80 ? code : 0xc0 | code >> 6);
    ret[1] = (char)(0x80 | (code & 0x3f));
    return 5;
}

/* The length, and a NUL behind it; 0: too long. */
static size_t unescape(const struct json_field *f, char *to, size_t size)
{
    size_t n = 0;
    for (size_t at = 0; at < f->value_len; at++) {
        char one[2] = { f->value[at], 0 };
        size_t len = 1;
        if (f->value[at] == '\\' && at + 1 < f->value_len)
            at += unescape_one(f->value + at + 1, f->value_len - at - 1, one, &len);
        if (n + len >= size)
            return 0;
        memcpy(to + n, one, len);
        n += len;
    }
    to[n] = '\0';
    return n;
}

static void read_said(const void *private_part, size_t n, struct said *ret)
{
    struct json_reader r;
    struct json_field f;
    if (!json_open(&r, private_part, n))
        return;
    while (json_next(&r, &f) == 1) {
        if (f.is_text && f.key_len == 4 && memcmp(f.key, "text", 4) == 0)
            ret->text_len = unescape(&f, ret->text, sizeof(ret->text));
        else if (f.is_text && f.key_len == 9 && memcmp(f.key, "signature", 9) == 0)
            ret->signature_len = unescape(&f, ret->signature, sizeof(ret->signature));
        else if (f.is_text && f.key_len == 5 && memcmp(f.key, "actor", 5) == 0)
            (void)unescape(&f, ret->actor, sizeof(ret->actor));
    }
}

/* Names of classes, commas between, are those of the leaf, in its order. */
static bool same_classes(const struct logleaf *l, const struct command *c)
{
    char list[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < c->class_count && n < sizeof(list); i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? "," : "", c->classes[i]);
    return logleaf_is(l, LEAF_KEY_CLASSES, list) || logleaf_is(l, LEAF_KEY_CLASSES, "unlisted");
}

/* What of the leaf the command does not say, or NULL. */
static const char *disagrees(const struct logleaf *l, const struct said *s)
{
    const struct command *c = &s->command;
    bool denies = l->type == LEAF_APPROVAL && logleaf_is(l, LEAF_KEY_VERDICT, "deny");
    if (c->verb != (denies ? COMMAND_DENY : verbs[l->type]))
        return "verb";
    if (strcmp(c->actor, s->actor) != 0)
        return "actor";
    if (!logleaf_is(l, LEAF_KEY_REGION, c->region))
        return "region";
    if ((l->type == LEAF_APPROVAL || l->type == LEAF_REVIEW) &&
        c->request != l->value[LEAF_KEY_GRANT].number)
        return "request";
    if (l->type == LEAF_REVIEW && !logleaf_is(l, LEAF_KEY_VERDICT, c->verdict))
        return "verdict";
    if (logleaf_has(l, LEAF_KEY_PURPOSE) && !logleaf_is(l, LEAF_KEY_PURPOSE, c->purpose) &&
        !logleaf_is(l, LEAF_KEY_PURPOSE, "unlisted"))
        return "purpose";
    if (logleaf_has(l, LEAF_KEY_CLASSES) && !same_classes(l, c))
        return "classes";
    if (logleaf_has(l, LEAF_KEY_SUBJECTS) &&
        logleaf_band(c->subject_count) != l->value[LEAF_KEY_SUBJECTS].number)
        return "number of subjects";
    return NULL;
}

static bool is_listed(const struct policy *policy, const struct said *s)
{
    const struct policy_actor *actor = policy_actor_find(policy, s->command.actor);
    for (size_t i = 0; actor != NULL && i < actor->key_count; i++)
        if (ssh_key_equal(&actor->keys[i], &s->key))
            return true;
    return false;
}

static int judge(struct audit_signed *a, const struct logleaf *leaf, struct said *s,
                 char wrong[200])
{
    struct err why = { 0 };
    if (s->text_len == 0 || s->signature_len == 0) {
        (void)snprintf(wrong, 200, "its private part has no signed text");
        return 1;
    }
    if (command_read(s->text, s->text_len, s->copy, &s->command, &why) < 0) {
        (void)snprintf(wrong, 200, "what was signed is no command: %.150s", why.line);
        return 1;
    }
    if (sshsig_verify(s->signature, s->signature_len, command_namespace(s->command.verb), s->text,
                      s->text_len, &s->key, &why) < 0) {
        (void)snprintf(wrong, 200, "its signature does not hold: %.150s", why.line);
        return 1;
    }
    const char *what = disagrees(leaf, s);
    if (what != NULL) {
        (void)snprintf(wrong, 200, "what was signed has another %s", what);
        return 1;
    }
    a->checked++;
    a->unlisted += a->policy != NULL && !is_listed(a->policy, s);
    return 0;
}

int audit_signed_judge(struct audit_signed *a, const struct logleaf *leaf, const void *private_part,
                       size_t n, char wrong[200], struct err *err)
{
    if (verbs[leaf->type] == COMMAND_NONE)
        return 0;
    struct said *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    read_said(private_part, n, s);
    int rc = judge(a, leaf, s, wrong);
    mem_free_secret(s, sizeof(*s));
    return rc;
}
