#include "cmd/audit_tags.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ledger/revealed.h"
#include "ledger/vrfkey.h"

void audit_tags_init(struct audit_tags *a, const char *path)
{
    *a = (struct audit_tags){ .path = path };
}

void audit_tags_done(struct audit_tags *a)
{
    sodium_memzero(a->secret, sizeof(a->secret));
    a->has_key = false;
}

static void word(const struct logleaf *l, enum logleaf_key key, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%.*s", (int)l->value[key].len,
                   l->value[key].text != NULL ? l->value[key].text : "");
}

static int begin(struct audit_tags *a, const struct logleaf *genesis, struct err *err)
{
    uint8_t public[VRF_PUBLIC_LEN], said[DIGEST_LEN];
    word(genesis, LEAF_KEY_REGION, a->region, sizeof(a->region));
    word(genesis, LEAF_KEY_ORIGIN, a->origin, sizeof(a->origin));
    if (a->path == NULL)
        return 0;
    int rc = vrfkey_load(a->path, a->region, a->secret, err);
    if (rc < 0)
        return rc;
    logleaf_hash(genesis, LEAF_KEY_VRF, said);
    if (vrf_public_of(a->secret, public) < 0 || memcmp(public, said, sizeof(public)) != 0)
        return err_set(err, RF_ECONFIG, "the VRF key in \"%.200s\" is not the one of this log",
                       a->path);
    a->has_key = true;
    return 0;
}

int audit_tags_leaf(struct audit_tags *a, const struct logleaf *leaf, struct err *err)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    if (leaf->type == LEAF_GENESIS)
        return begin(a, leaf, err);
    if (!logleaf_has_items(leaf->type))
        return 0;
    if (!logleaf_is(leaf, LEAF_KEY_EPOCH, a->epoch))
        a->in_epoch = 0;
    word(leaf, LEAF_KEY_EPOCH, a->epoch, sizeof(a->epoch));
    a->in_epoch += logleaf_items(leaf, items);
    return 0;
}

/* ITEM is TAG and commitment of an appearance of R's subject. How many there were before is not
   known: the private parts that would say it may be gone. */
static int judge_item(const struct audit_tags *a, const struct revealed *r,
                      const uint8_t item[LOGLEAF_ITEM_LEN], unsigned position, char wrong[200],
                      struct err *err)
{
    const struct tag_subject subject = {
        .region = a->region, .epoch = a->epoch, .key = r->key, .key_len = r->key_len
    };
    uint8_t k[TAG_KEY_LEN], tag[TAG_LEN], salt[TAG_SALT_LEN], commitment[TAG_COMMITMENT_LEN];
    uint64_t n = 0;
    bool is_found = false;
    if (tag_key_make(&subject, a->secret, NULL, k) < 0)
        return err_set(err, RF_EINVAL, "cannot make the key of a subject");
    for (; n < a->in_epoch && !is_found; n += !is_found) {
        tag_of(k, a->origin, n, tag);
        is_found = memcmp(tag, item, sizeof(tag)) == 0;
    }
    tag_salt_of(k, a->origin, n, salt);
    sodium_memzero(k, sizeof(k));
    if (!is_found) {
        sodium_memzero(salt, sizeof(salt));
        (void)snprintf(wrong, 200, "tag %u is not one of the subject that its private part names",
                       position);
        return 1;
    }
    struct buf access;
    buf_init(&access, TAG_ACCESS_MAX);
    int rc = tag_access_write(&access, r->key, r->key_len, r->classes, r->time_ms);
    if (rc == 0)
        tag_commitment_of(salt, buf_at(&access), buf_len(&access), commitment);
    buf_wipe_done(&access);
    sodium_memzero(salt, sizeof(salt));
    if (rc == -RF_ENOMEM)
        return err_set(err, RF_ENOMEM, "out of memory");
    if (rc == 0 && memcmp(commitment, item + TAG_LEN, sizeof(commitment)) == 0)
        return 0;
    (void)snprintf(wrong, 200, "commitment %u is not to the access that its private part names",
                   position);
    return 1;
}

static int miscounted(unsigned position, unsigned count, char wrong[200])
{
    if (position < count)
        (void)snprintf(wrong, 200, "its private part names no subject for tag %u", position);
    else
        (void)snprintf(wrong, 200, "its private part names more subjects than the %u tags", count);
    return 1;
}

int audit_tags_judge(struct audit_tags *a, const struct logleaf *leaf, const void *private_part,
                     size_t n, char wrong[200], struct err *err)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    struct revealed r;
    unsigned count = logleaf_items(leaf, items);
    int rc = 0;
    if (!a->has_key)
        return 0;
    for (unsigned i = 0; rc == 0 && i <= count; i++) {
        int named = revealed_read(private_part, n, i, &r);
        if (named == 0 && i == 0 && leaf->type == LEAF_FIND)
            return 0; /* a find that found nobody has a tag of nobody's */
        if (named < 0)
            rc = err_set(err, RF_ENOMEM, "out of memory");
        else if ((named == 1) != (i < count))
            rc = miscounted(i, count, wrong);
        else if (named == 1)
            rc = judge_item(a, &r, items[i], i, wrong, err);
        a->checked += rc == 0 && i < count;
    }
    sodium_memzero(&r, sizeof(r));
    return rc;
}
