/* What the registrar says: who was looked for, what was asked, voted, granted, and thought of it.
 *
 * Each is a leaf of its own, by one table. A grant is known from its leaf on, and that is before
 * any database has it: until control has shown it for the first time it is awaited and not taken
 * for one that was revoked (clerk.c), for as long as CLERK_AWAIT_MINUTES.
 *
 * A find has exactly one tag whether somebody was found or not: the person's own, or one that is
 * nobody's. Else whoever looks would read in the public log what the answer does not tell him. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ledger/clerk_inside.h"
#include "ledger/revealed.h"

static const char found[] = "find"; /* in `revealed` and as classes of the access */

#define K(NAME) (UINT64_C(1) << LEAF_KEY_##NAME)
#define WHO     (K(ENTITY) | K(PLACE))
#define ASKED   (WHO | K(PURPOSE) | K(GRANT) | K(CLASSES) | K(SUBJECTS) | K(POLICY_REF))

/* Which keys of the record's leaf come out of the record. */
static const struct {
    enum logleaf_type type;
    uint64_t keys;
} forms[RECORD_KIND_COUNT] = {
    [RECORD_FIND] = { LEAF_FIND, WHO | K(PURPOSE) | K(TAGS) },
    [RECORD_REQUEST] = { LEAF_REQUEST, ASKED | K(RULE) },
    [RECORD_BREAKGLASS] = { LEAF_BREAKGLASS, ASKED | K(RULE) },
    [RECORD_APPROVAL] = { LEAF_APPROVAL, WHO | K(GRANT) | K(REQUEST_REF) | K(VERDICT) },
    [RECORD_REVIEW] = { LEAF_REVIEW, K(GRANT) | K(REQUEST_REF) | K(VERDICT) },
    [RECORD_GRANT] = { LEAF_GRANT, ASKED | K(UNTIL) | K(REQUEST_REF) | K(APPROVAL_REFS) },
};

/* Texts of a leaf that stand in the record under the same name. */
static const struct {
    enum logleaf_key key;
    size_t at;
} texts[] = {
    { LEAF_KEY_ENTITY, offsetof(struct record, entity) },
    { LEAF_KEY_PLACE, offsetof(struct record, place) },
    { LEAF_KEY_CLASSES, offsetof(struct record, classes) },
    { LEAF_KEY_RULE, offsetof(struct record, rule) },
    { LEAF_KEY_VERDICT, offsetof(struct record, verdict) },
    { LEAF_KEY_REQUEST_REF, offsetof(struct record, request_ref) },
    { LEAF_KEY_APPROVAL_REFS, offsetof(struct record, approval_refs) },
};

static bool has_key(enum record_kind kind, enum logleaf_key key)
{
    return (forms[kind].keys >> key & 1) != 0;
}

/* The tag of who was found, or of nobody: a subject of random bytes is seen once. */
static int find_tag(struct clerk *c, const struct record *said, uint8_t item[LOGLEAF_ITEM_LEN],
                    struct err *err)
{
    uint8_t key[TAG_SUBJECT_MAX];
    char classes[RECORD_WORD_MAX + 1] = "";
    size_t len = 32;
    const char *at = said->revealed != NULL && said->revealed[0] != '\0' ? said->revealed : NULL;
    if (at == NULL)
        randombytes_buf(key, len);
    else if ((at = revealed_next(at, key, &len, classes)) == NULL || at[0] != '\0' || len == 0 ||
             strcmp(classes, found) != 0)
        return err_set(err, RF_EPROTO, "the record of a find names something else than one person");
    int rc = tag_book_take(c->book, key, len, found, said->wall_ms, item);
    sodium_memzero(key, sizeof(key));
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not number the person of a find") : 0;
}

static void put_texts(struct logleaf *l, const struct record *published)
{
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        const char *text;
        memcpy(&text, (const char *)published + texts[i].at, sizeof(text));
        if (has_key(published->kind, texts[i].key))
            logleaf_text(l, texts[i].key, text);
    }
}

static void put_numbers(struct logleaf *l, const struct record *published)
{
    logleaf_number(l, LEAF_KEY_GRANT, published->grant);
    if (has_key(published->kind, LEAF_KEY_SUBJECTS))
        logleaf_number(l, LEAF_KEY_SUBJECTS, published->subjects);
    if (has_key(published->kind, LEAF_KEY_UNTIL))
        logleaf_number(l, LEAF_KEY_UNTIL, published->until / FRAME_MINUTE_MS + 1);
}

/* The leaf of a grant stands: what a worker says of it refers to it. */
static void know_grant(struct clerk *c, const struct record *said)
{
    struct known_grant *g = &c->grants[c->grant_count - 1];
    (void)snprintf(g->alias, sizeof(g->alias), "%s", said->database);
    g->ends_ms = (int64_t)said->until;
}

int clerk_asked(struct clerk *c, const struct policy *policy, const struct record *said,
                uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = forms[said->kind].type };
    struct record published, detailed = *said;
    uint8_t item[LOGLEAF_ITEM_LEN];
    char policy_ref[CLERK_REF_SIZE], held[HOLD_DETAIL_SIZE] = "";
    size_t mark = tag_book_pending(c->book);
    if (said->kind == RECORD_GRANT && strlen(said->database) >= GRANT_ALIAS_SIZE)
        return err_set(err, RF_EPROTO, "a grant's database has too long a name");
    leaf_publish(policy, said, &published);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    put_texts(&l, &published);
    put_numbers(&l, &published);
    clerk_ref(c, c->policy_leaf, policy_ref);
    if (has_key(said->kind, LEAF_KEY_POLICY_REF))
        logleaf_text(&l, LEAF_KEY_POLICY_REF, policy_ref);
    int rc = has_key(said->kind, LEAF_KEY_TAGS) ? find_tag(c, said, item, err) : 0;
    if (rc == 0 && has_key(said->kind, LEAF_KEY_TAGS)) {
        logleaf_text(&l, LEAF_KEY_EPOCH, tag_book_epoch(c->book));
        logleaf_bytes(&l, LEAF_KEY_TAGS, item, sizeof(item));
    }
    if (rc == 0 && has_key(said->kind, LEAF_KEY_PURPOSE) &&
        hold_put(c, policy, published.purpose, &l, held) < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for a held purpose");
    if (held[0] != '\0') {
        detailed.detail = held;
        logleaf_text(&l, LEAF_KEY_RULE, ""); /* its name would tell */
    }
    if (rc == 0)
        rc = clerk_detailed_leaf(c, &l, &detailed, &published, instance, seq, now_ms, err);
    if (rc < 0)
        tag_book_undo(c->book, mark);
    else if (said->kind == RECORD_GRANT)
        know_grant(c, said);
    return rc;
}
