#include "policy/policy_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sign/sshsig.h"

/* What ssh-keygen writes into a .pub file. */
static void read_key(struct field_reader *r, const struct field_at *at,
                     const struct yaml_node *node, void *record)
{
    struct err err = { .code = RF_OK };
    char found[FIELD_FOUND_MAX];
    if (node->kind != YAML_TEXT)
        field_wrong(r, at, node->line,
                    "expected a public key of SSH such as \"ssh-ed25519 AAAA...\", found %s",
                    field_found(node, found));
    else if (ssh_key_parse(node->text, record, &err) < 0)
        field_wrong(r, at, node->line,
                    "expected a public key of SSH such as \"ssh-ed25519 AAAA...\": %s", err.line);
}

static const struct field key_fields[] = {
    { "key", FIELD_OTHER, .required = true, .read = read_key },
};
const struct field_shape policy_key_shape = { .what = "a public key of SSH",
                                              .size = sizeof(struct ssh_key),
                                              .fields = key_fields,
                                              .field_count = RF_COUNT(key_fields),
                                              .short_form = "key",
                                              .line_offset = FIELD_NO_LINE };

struct owned_key {
    const struct ssh_key *key;
    const struct policy_actor *actor;
    size_t index; /* in the order of the file */
};

static int by_key(const void *one, const void *other)
{
    const struct owned_key *a = one, *b = other;
    if (a->key->len != b->key->len)
        return a->key->len < b->key->len ? -1 : 1;
    int order = memcmp(a->key->blob, b->key->blob, a->key->len);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static size_t count_keys(const struct policy *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->actor_count; i++)
        count += p->actors[i].key_count;
    return count;
}

/* A signature by a key that two persons have would be of neither. Keys of length zero were told. */
static void check_twins(struct field_reader *r, const struct owned_key *sorted, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct owned_key *first = &sorted[i - 1], *second = &sorted[i];
        if (second->key->len > 0 && ssh_key_equal(first->key, second->key))
            field_wrong(r, NULL, field_line_of(r, second->key),
                        "actors.%s.keys: this is also a key of \"%s\"; everybody has his own",
                        second->actor->name, first->actor->name);
    }
}

void policy_keys_check(struct field_reader *r, const struct policy *p)
{
    size_t count = 0, all = count_keys(p);
    struct owned_key *sorted = mem_zalloc(all + 1, sizeof(*sorted));
    if (sorted == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < p->actor_count; i++) {
        const struct policy_actor *a = &p->actors[i];
        if (a->kind == ACTOR_SERVICE && a->key_count > 0)
            field_wrong(r, NULL, field_line_of(r, &a->keys),
                        "actors.%s.keys: a service signs nothing; only persons have keys", a->name);
        for (size_t k = 0; k < a->key_count; k++, count++)
            sorted[count] = (struct owned_key){ &a->keys[k], a, count };
    }
    qsort(sorted, count, sizeof(*sorted), by_key);
    check_twins(r, sorted, count);
    mem_free(sorted);
}
