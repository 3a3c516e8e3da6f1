/* rules_grant.c - grants, and what is said under them.
 *
 *   grants    in the map from their leaf to their revoke, or until the last hold under them is
 *             opened; a reference to one that has ended is wrong. Words of theirs are remembered as
 *             keyed hashes, so whoever writes a log cannot make its readers remember many of them
 *   requests  number, entity, purpose, classes and band of subjects are those of their grant; its
 *             approvals are votes for just that request, before it, each once; whoever votes behind
 *             it, or has denied before, is told as wanting, since two gateways may cross each other
 */
#include <string.h>

#include "policy/policy.h"
#include "verify/rules_inside.h"

/* ---- words ---------------------------------------------------------------------------------- */

/* Of a word, under a key of this process: nobody can make two words that have the same. Never 0. */
static uint64_t word_hash(const struct rules *r, const struct logleaf *l, enum logleaf_key key)
{
    const struct logleaf_value *v = &l->value[key];
    uint64_t hash;
    uint8_t bytes[crypto_shorthash_BYTES];
    (void)crypto_shorthash(bytes, (const uint8_t *)(v->text != NULL ? v->text : ""),
                           v->text != NULL ? v->len : 0, r->word_key);
    memcpy(&hash, bytes, sizeof(hash));
    return hash != 0 ? hash : 1;
}

/* The classes of a list, a bit each, bit 0 for `unlisted`; 0: not names of classes in the policy's
   order, each once. */
static uint32_t class_bits(const struct logleaf *l)
{
    char list[RULES_WORD_SIZE];
    const char *at = list;
    uint32_t bits = 0;
    rules_text_of(l, LEAF_KEY_CLASSES, list, sizeof(list));
    if (strcmp(list, "unlisted") == 0)
        return 1;
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT && *at != '\0'; i++) {
        const char *name = policy_class_name((enum class_id)i);
        size_t n = strlen(name);
        if (strncmp(at, name, n) != 0 || (at[n] != ',' && at[n] != '\0'))
            continue;
        bits |= 1U << i;
        at += n;
        if (*at == ',' && *++at == '\0')
            return 0;
    }
    return *at == '\0' ? bits : 0;
}

static uint32_t classes_of(struct rules *r, const struct logleaf *l)
{
    uint32_t bits = class_bits(l);
    if (bits == 0)
        rules_wrong(r, "classes are not names of classes in the policy's order");
    return bits;
}

/* ---- references ----------------------------------------------------------------------------- */

enum reference { REF_BROKEN, REF_HERE, REF_ELSEWHERE };

/* For whoever reads the other log, too. */
static void keep_foreign(struct rules *r, const struct logleaf *l, enum logleaf_key key,
                         uint64_t index, const char *origin, size_t len)
{
    struct rules_foreign f = { .index = index, .key = key, .leaf = r->index };
    f.grant = key == LEAF_KEY_POLICY_REF ? 0 : rules_number_of(l, LEAF_KEY_GRANT);
    memcpy(f.origin, origin, len);
    r->facts.elsewhere++;
    for (unsigned i = 0; i < r->facts.foreign_count; i++) {
        const struct rules_foreign *known = &r->facts.foreign[i];
        if (known->index == index && known->key == key && known->grant == f.grant &&
            strcmp(known->origin, f.origin) == 0)
            return;
    }
    if (r->facts.foreign_count < RULES_FOREIGN_MAX)
        r->facts.foreign[r->facts.foreign_count++] = f;
}

/* A reference of this log goes back. What other logs have is for whoever reads them all. */
static enum reference judge_reference(struct rules *r, const struct logleaf *l,
                                      enum logleaf_key key, uint64_t index, const char *origin,
                                      size_t len)
{
    const char *name = logleaf_key_name(key);
    if (!key_is_name(origin, len)) {
        rules_wrong(r, "%s is no reference to a leaf", name);
        return REF_BROKEN;
    }
    if (len != strlen(r->key.name) || memcmp(origin, r->key.name, len) != 0) {
        keep_foreign(r, l, key, index, origin, len);
        return REF_ELSEWHERE;
    }
    if (index >= r->index) {
        rules_wrong(r, "%s names leaf %llu, which does not stand before it", name,
                    (unsigned long long)index);
        return REF_BROKEN;
    }
    return REF_HERE;
}

static enum reference reference_of(struct rules *r, const struct logleaf *l, enum logleaf_key key,
                                   uint64_t *ret_index)
{
    const char *origin = "";
    size_t len = 0;
    if (!logleaf_ref(l, key, ret_index, &origin, &len))
        len = 0; /* then it is no name, either */
    return judge_reference(r, l, key, *ret_index, origin, len);
}

static bool is_policy(const struct rules *r, uint64_t index)
{
    size_t low = 0, high = r->policy_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->policies[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->policy_count && r->policies[low] == index;
}

/* ---- grants, and what is said under them ---------------------------------------------------- */

/* A leaf whose purpose is held waits for its `opened`; GRANT: as in struct held. */
static int hold(struct rules *r, const struct logleaf *l, uint64_t grant)
{
    if (!logleaf_has(l, LEAF_KEY_HELD))
        return 0;
    struct held *h = indexmap_put(&r->holds, r->index);
    if (h == NULL)
        return -RF_ENOMEM;
    logleaf_hash(l, LEAF_KEY_HELD, h->hash);
    h->grant = grant;
    h->request = l->type == LEAF_REQUEST || l->type == LEAF_BREAKGLASS ? r->index + 1 : 0;
    struct grant *g = grant > 0 ? indexmap_find(&r->grants, grant - 1) : NULL;
    if (g != NULL)
        g->waiting++;
    return 0;
}

/* Were rules read since leaf INDEX? Then words may have another meaning, or none. */
static bool has_new_rules(const struct rules *r, uint64_t index)
{
    return r->policy_count > 0 && r->policies[r->policy_count - 1] > index;
}

/* The leaf at hand shows the purpose of a request (leaf INDEX), itself or by its grant. Whichever
   is shown first is the purpose of both. */
static void settle_request(struct rules *r, uint64_t index, const struct logleaf *l)
{
    struct request *q = indexmap_find(&r->requests, index);
    uint64_t purpose = word_hash(r, l, LEAF_KEY_PURPOSE);
    if (q == NULL || (logleaf_is(l, LEAF_KEY_PURPOSE, "unlisted") && has_new_rules(r, index)))
        return;
    if (q->purpose == 0)
        q->purpose = purpose;
    else if (q->purpose != purpose)
        rules_wrong(r, "shows another purpose than the request (leaf %llu) or its grant",
                    (unsigned long long)index);
}

/* The leaf at hand shows a purpose: of grant G (leaf INDEX) or of what is under it. Whichever is
   shown first is the purpose of all of them. */
static void settle_purpose(struct rules *r, struct grant *g, uint64_t index,
                           const struct logleaf *l)
{
    uint64_t purpose = word_hash(r, l, LEAF_KEY_PURPOSE);
    if (logleaf_is(l, LEAF_KEY_PURPOSE, "unlisted") && has_new_rules(r, index))
        return;
    if (g->purpose == 0 && g->request > 0)
        settle_request(r, g->request - 1, l);
    if (g->purpose == 0)
        g->purpose = purpose;
    else if (g->purpose != purpose)
        rules_wrong(r, "shows another purpose than the grant (leaf %llu) or what else is under it",
                    (unsigned long long)index);
}

/* All that a grant says but for its purpose, which may be held. */
static void content_of(const struct logleaf *l, uint8_t ret[TAG_LEN])
{
    uint64_t numbers[3] = { l->value[LEAF_KEY_GRANT].number, l->value[LEAF_KEY_SUBJECTS].number,
                            l->value[LEAF_KEY_UNTIL].number };
    static const enum logleaf_key words[] = { LEAF_KEY_ENTITY, LEAF_KEY_PLACE, LEAF_KEY_CLASSES };
    struct iovec pieces[2 * RF_COUNT(words) + 1] = { digest_piece(numbers, sizeof(numbers)) };
    uint8_t digest[DIGEST_LEN];
    size_t n = 1;
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        pieces[n++] = digest_piece(l->value[words[i]].text, l->value[words[i]].len);
        pieces[n++] = digest_piece("\n", 1);
    }
    digest_pieces(pieces, n, digest);
    memcpy(ret, digest, TAG_LEN);
}

static void judge_policy_ref(struct rules *r, const struct logleaf *l)
{
    uint64_t policy;
    if (reference_of(r, l, LEAF_KEY_POLICY_REF, &policy) == REF_HERE && !is_policy(r, policy))
        rules_wrong(r, "policy_ref names leaf %llu, which is neither a start nor a policy",
                    (unsigned long long)policy);
}

/* ---- requests, votes, and what follows from them -------------------------------------------- */

int rules_on_request(struct rules *r, const struct logleaf *l)
{
    judge_policy_ref(r, l);
    if (!logleaf_has(l, LEAF_KEY_HELD) && !logleaf_has(l, LEAF_KEY_RULE))
        rules_wrong(r,
                    "a request whose purpose is not held names the rule by which it may be asked");
    struct request *q = indexmap_put(&r->requests, r->index);
    if (q == NULL)
        return -RF_ENOMEM;
    *q = (struct request){ .number = rules_number_of(l, LEAF_KEY_GRANT),
                           .entity = word_hash(r, l, LEAF_KEY_ENTITY),
                           .subjects = rules_number_of(l, LEAF_KEY_SUBJECTS),
                           .classes = classes_of(r, l),
                           .is_breakglass = l->type == LEAF_BREAKGLASS };
    if (logleaf_has(l, LEAF_KEY_PURPOSE))
        q->purpose = word_hash(r, l, LEAF_KEY_PURPOSE);
    r->facts.unreviewed += q->is_breakglass;
    return hold(r, l, 0);
}

/* The request that request_ref names; NULL when it is elsewhere or the reference was wrong. */
static struct request *request_of(struct rules *r, const struct logleaf *l, uint64_t *ret_index)
{
    if (reference_of(r, l, LEAF_KEY_REQUEST_REF, ret_index) != REF_HERE)
        return NULL;
    struct request *q = indexmap_find(&r->requests, *ret_index);
    if (q == NULL)
        rules_wrong(r, "request_ref names leaf %llu, which is no request",
                    (unsigned long long)*ret_index);
    else if (q->number != rules_number_of(l, LEAF_KEY_GRANT))
        rules_wrong(r, "request_ref names leaf %llu, which is request %llu and not %llu",
                    (unsigned long long)*ret_index, (unsigned long long)q->number,
                    (unsigned long long)rules_number_of(l, LEAF_KEY_GRANT));
    else
        return q;
    return NULL;
}

int rules_on_approval(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    bool is_approve = logleaf_is(l, LEAF_KEY_VERDICT, "approve");
    if (!is_approve && !logleaf_is(l, LEAF_KEY_VERDICT, "deny"))
        rules_wrong(r, "an approval says \"approve\" or \"deny\", and this one something else");
    struct request *q = request_of(r, l, &index);
    struct approval *a = indexmap_put(&r->approvals, r->index);
    if (a == NULL)
        return -RF_ENOMEM;
    *a = (struct approval){ .request = q != NULL ? index : UINT64_MAX, .is_approve = is_approve };
    if (q == NULL)
        return 0;
    if (q->is_breakglass)
        rules_wrong(r, "votes about leaf %llu, which broke the glass", (unsigned long long)index);
    if (q->grant > 0)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a vote about leaf %llu behind its grant (leaf %llu)",
                          (unsigned long long)index, (unsigned long long)(q->grant - 1));
    if (!is_approve && q->denial == 0)
        q->denial = r->index + 1;
    return 0;
}

int rules_on_review(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    if (!logleaf_is(l, LEAF_KEY_VERDICT, "proper") && !logleaf_is(l, LEAF_KEY_VERDICT, "improper"))
        rules_wrong(r, "a review says \"proper\" or \"improper\", and this one something else");
    struct request *q = request_of(r, l, &index);
    if (q == NULL)
        return 0;
    if (!q->is_breakglass)
        rules_wrong(r, "reviews leaf %llu, which broke no glass", (unsigned long long)index);
    else if (!q->is_reviewed)
        r->facts.unreviewed--;
    q->is_reviewed = true;
    return 0;
}

/* Each ref of approval_refs is a vote for the request REQUEST (UINT64_MAX: it is elsewhere), and
   another one than those before it. */
static void judge_approvals(struct rules *r, const struct logleaf *l, uint64_t request)
{
    const struct logleaf_value *refs = &l->value[LEAF_KEY_APPROVAL_REFS];
    const char *origin, *other;
    uint64_t index, again;
    size_t len, other_len, at = 0;
    while (logleaf_refs_next(l, &at, &index, &origin, &len)) {
        size_t behind = at;
        while (behind < refs->len && logleaf_refs_next(l, &behind, &again, &other, &other_len))
            if (again == index && other_len == len && memcmp(origin, other, len) == 0)
                rules_wrong(r, "counts the approval of leaf %llu twice", (unsigned long long)index);
        if (judge_reference(r, l, LEAF_KEY_APPROVAL_REFS, index, origin, len) != REF_HERE)
            continue;
        const struct approval *a = indexmap_find(&r->approvals, index);
        if (a == NULL || !a->is_approve)
            rules_wrong(r, "approval_refs names leaf %llu, which approves nothing",
                        (unsigned long long)index);
        else if (a->request != request && a->request != UINT64_MAX && request != UINT64_MAX)
            rules_wrong(r, "approval_refs names leaf %llu, which approves another request",
                        (unsigned long long)index);
    }
}

static bool is_content_of(const struct grant *g, uint64_t subjects, const struct request *q)
{
    return g->classes == q->classes && subjects == q->subjects;
}

/* The grant at hand, G, is what its request asked for. */
static enum rules_evidence judge_request(struct rules *r, const struct logleaf *l, struct grant *g)
{
    bool has_approvals = logleaf_has(l, LEAF_KEY_APPROVAL_REFS);
    uint64_t index;
    struct request *q = request_of(r, l, &index);
    judge_approvals(r, l, q != NULL ? index : UINT64_MAX);
    if (q == NULL) /* elsewhere: what it is, whoever has all logs will say */
        return has_approvals ? EVIDENCE_SIGNATURES : EVIDENCE_BREAKGLASS;
    if (!is_content_of(g, rules_number_of(l, LEAF_KEY_SUBJECTS), q))
        rules_wrong(r,
                    "grants other classes or another number of subjects than leaf %llu asked for",
                    (unsigned long long)index);
    if (g->entity != q->entity && !has_new_rules(r, index))
        rules_wrong(r, "grants to another entity than that of leaf %llu",
                    (unsigned long long)index);
    g->request = index + 1;
    if (logleaf_has(l, LEAF_KEY_PURPOSE))
        settle_request(r, index, l);
    if (q->denial > 0)
        findings_add_leaf(r->to, FINDING_WANTING, r->index, "grants what leaf %llu denied",
                          (unsigned long long)(q->denial - 1));
    if (q->is_over)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "grants once more what was granted for leaf %llu and has ended",
                          (unsigned long long)index);
    q->grant = r->index + 1;
    if (q->is_breakglass && has_approvals)
        rules_wrong(r, "has approvals, and its request (leaf %llu) broke the glass",
                    (unsigned long long)index);
    if (!q->is_breakglass && !has_approvals)
        findings_add_leaf(r->to, FINDING_WANTING, r->index, "nobody approved this grant");
    return q->is_breakglass ? EVIDENCE_BREAKGLASS
           : has_approvals  ? EVIDENCE_SIGNATURES
                            : EVIDENCE_NONE;
}

/* What makes the grant at hand true: one thing of three. */
static enum rules_evidence judge_evidence(struct rules *r, const struct logleaf *l, struct grant *g)
{
    bool has_request = logleaf_has(l, LEAF_KEY_REQUEST_REF), by = logleaf_has(l, LEAF_KEY_BY);
    bool is_elsewhere = logleaf_has(l, LEAF_KEY_GRANT_REF);
    uint64_t index;
    if (has_request + by + is_elsewhere > 1)
        rules_wrong(r, "has more than one of request_ref, grant_ref and by");
    if (logleaf_has(l, LEAF_KEY_APPROVAL_REFS) && !has_request)
        rules_wrong(r, "has approvals without a request");
    if (by && !logleaf_is(l, LEAF_KEY_BY, "administrator"))
        rules_wrong(r, "a grant is by signatures or by \"administrator\", and this one otherwise");
    if (has_request)
        return judge_request(r, l, g);
    if (by)
        return EVIDENCE_ADMINISTRATOR;
    if (!is_elsewhere) {
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a grant without a request, and not by an administrator either");
        return EVIDENCE_NONE;
    }
    if (reference_of(r, l, LEAF_KEY_GRANT_REF, &index) == REF_HERE &&
        indexmap_find(&r->grants, index) == NULL)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "grant_ref names leaf %llu, which is no grant that is still open",
                          (unsigned long long)index);
    return EVIDENCE_ELSEWHERE;
}

const char *rules_disagree(const struct logleaf *grant, const struct logleaf *request,
                           bool has_new_rules)
{
    static const struct {
        enum logleaf_key key;
        bool is_named_by_rules; /* the policy's words */
        const char *what;
    } rows[] = {
        { LEAF_KEY_GRANT, false, "number" },
        { LEAF_KEY_CLASSES, false, "classes" },
        { LEAF_KEY_SUBJECTS, false, "number of subjects" },
        { LEAF_KEY_ENTITY, true, "entity" },
        { LEAF_KEY_PURPOSE, true, "purpose" },
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        const struct logleaf_value *a = &grant->value[rows[i].key];
        const struct logleaf_value *b = &request->value[rows[i].key];
        bool is_held = rows[i].key == LEAF_KEY_PURPOSE && (a->text == NULL || b->text == NULL);
        bool is_same = a->number == b->number && a->len == b->len &&
                       (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
        if (!is_held && !is_same && !(rows[i].is_named_by_rules && has_new_rules))
            return rows[i].what;
    }
    return NULL;
}

/* ---- grants --------------------------------------------------------------------------------- */

int rules_on_grant(struct rules *r, const struct logleaf *l)
{
    judge_policy_ref(r, l);
    struct grant *g = indexmap_put(&r->grants, r->index);
    if (g == NULL)
        return -RF_ENOMEM;
    *g = (struct grant){ .number = rules_number_of(l, LEAF_KEY_GRANT),
                         .until = (uint32_t)rules_number_of(l, LEAF_KEY_UNTIL),
                         .entity = word_hash(r, l, LEAF_KEY_ENTITY),
                         .classes = classes_of(r, l) };
    if (logleaf_has(l, LEAF_KEY_PURPOSE))
        g->purpose = word_hash(r, l, LEAF_KEY_PURPOSE);
    content_of(l, g->content);
    r->facts.grants[judge_evidence(r, l, g)]++;
    /* Another database of the region may count its grants from 1, too. But then it is not the very
       same grant. */
    if (tag_set_contains(&r->ended, g->content))
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "grant %llu has ended, and is granted again as it was",
                          (unsigned long long)g->number);
    r->facts.open_grants++;
    return hold(r, l, r->index + 1);
}

/* The open grant that grant_ref names, NULL when it is elsewhere or the reference was wrong. */
static struct grant *grant_of(struct rules *r, const struct logleaf *l, uint64_t *ret_index)
{
    if (reference_of(r, l, LEAF_KEY_GRANT_REF, ret_index) != REF_HERE)
        return NULL;
    struct grant *g = indexmap_find(&r->grants, *ret_index);
    if (g == NULL || g->is_ended) {
        rules_wrong(r, "grant_ref names leaf %llu, which is no grant that is still open",
                    (unsigned long long)*ret_index);
        return NULL;
    }
    if (g->number != rules_number_of(l, LEAF_KEY_GRANT))
        rules_wrong(r, "grant_ref names leaf %llu, which is grant %llu and not %llu",
                    (unsigned long long)*ret_index, (unsigned long long)g->number,
                    (unsigned long long)rules_number_of(l, LEAF_KEY_GRANT));
    return g;
}

/* Nothing will be compared with G any more. */
static void forget_grant(struct rules *r, const struct grant *g, uint64_t index)
{
    if (g->is_ended && g->waiting == 0)
        indexmap_remove(&r->grants, index);
}

int rules_on_revoke(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    if (!logleaf_is(l, LEAF_KEY_RULE, "expired") && !logleaf_is(l, LEAF_KEY_RULE, "revoked") &&
        !logleaf_is(l, LEAF_KEY_RULE, "used_up"))
        rules_wrong(r,
                    "a grant ends \"expired\", \"revoked\" or \"used_up\", and this one otherwise");
    struct grant *g = grant_of(r, l, &index);
    if (g == NULL)
        return 0;
    int rc = tag_set_add(&r->ended, g->content);
    if (rc == -RF_ETOOBIG) { /* of that many the older ones are forgotten */
        tag_set_done(&r->ended);
        rc = tag_set_add(&r->ended, g->content);
    }
    g->is_ended = true;
    struct request *q = g->request > 0 ? indexmap_find(&r->requests, g->request - 1) : NULL;
    if (q != NULL)
        q->is_over = true;
    r->facts.open_grants--;
    forget_grant(r, g, index);
    return rc < 0 ? rc : 0;
}

/* *RET_GRANT: leaf of the grant that it is under, plus 1; 0: none that is known. */
static void judge_under_grant(struct rules *r, const struct logleaf *l, uint64_t *ret_grant)
{
    uint32_t classes = classes_of(r, l);
    uint64_t index;
    *ret_grant = 0;
    if (!logleaf_has(l, LEAF_KEY_GRANT_REF)) {
        r->facts.orphans++;
        findings_add_leaf(r->to, FINDING_WANTING, r->index, "a disclosure that names no grant");
        return;
    }
    struct grant *g = grant_of(r, l, &index);
    if (g == NULL)
        return;
    *ret_grant = index + 1;
    if ((classes & ~g->classes) != 0)
        rules_wrong(r, "discloses classes that its grant (leaf %llu) does not have",
                    (unsigned long long)index);
    if (!logleaf_is(l, LEAF_KEY_ROOM, "granted"))
        rules_wrong(r, "is under a grant (leaf %llu), and not in room \"granted\"",
                    (unsigned long long)index);
    if (g->entity != word_hash(r, l, LEAF_KEY_ENTITY) && !has_new_rules(r, index))
        rules_wrong(r, "its grant (leaf %llu) is of another entity", (unsigned long long)index);
    if (logleaf_has(l, LEAF_KEY_PURPOSE))
        settle_purpose(r, g, index, l);
    if (l->minute > (uint64_t)g->until + 1)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a disclosure %u minutes after the end of its grant (leaf %llu)",
                          l->minute - g->until, (unsigned long long)index);
}

/* Tags of people: of a disclosure, or of a find. */
static int judge_items(struct rules *r, const struct logleaf *l)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    if (!logleaf_is(l, LEAF_KEY_EPOCH, r->epoch_name))
        rules_wrong(r, "its epoch is not \"%s\", in which its minute lies", r->epoch_name);
    unsigned count = logleaf_items(l, items);
    for (unsigned i = 0; i < count; i++) {
        int rc = tag_set_add(&r->tags, items[i]);
        if (rc == -RF_EINVAL)
            rules_wrong(r, "tag %u of it is no tag", i);
        else if (rc < 0)
            return rc;
        if (rc == 0)
            rules_wrong(r, "tag %u of it is in epoch \"%s\" already", i, r->epoch_name);
    }
    return 0;
}

int rules_on_disclosure(struct rules *r, const struct logleaf *l)
{
    uint64_t grant;
    judge_under_grant(r, l, &grant);
    int rc = judge_items(r, l);
    return rc < 0 ? rc : hold(r, l, grant);
}

int rules_on_find(struct rules *r, const struct logleaf *l)
{
    int rc = judge_items(r, l);
    return rc < 0 ? rc : hold(r, l, 0);
}

int rules_on_opened(struct rules *r, const struct logleaf *l)
{
    static const char domain[] = "ringfence-held@1\n";
    uint8_t salt[DIGEST_LEN], digest[DIGEST_LEN];
    uint64_t index;
    if (reference_of(r, l, LEAF_KEY_REF, &index) != REF_HERE)
        return 0;
    const struct held *h = indexmap_find(&r->holds, index);
    if (h == NULL) {
        rules_wrong(r, "ref names leaf %llu, whose purpose is not held", (unsigned long long)index);
        return 0;
    }
    logleaf_hash(l, LEAF_KEY_SALT, salt);
    const struct iovec pieces[] = {
        digest_piece(domain, sizeof(domain) - 1), digest_piece(salt, sizeof(salt)),
        digest_piece(l->value[LEAF_KEY_PURPOSE].text, l->value[LEAF_KEY_PURPOSE].len)
    };
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    bool is_shown = memcmp(digest, h->hash, sizeof(digest)) == 0;
    if (!is_shown)
        rules_wrong(r, "the purpose that it shows is not the one that leaf %llu holds",
                    (unsigned long long)index);
    uint64_t grant = h->grant - 1; /* of 0 there is no leaf, either */
    struct grant *g = h->grant > 0 ? indexmap_find(&r->grants, grant) : NULL;
    if (h->request > 0 && is_shown)
        settle_request(r, h->request - 1, l);
    indexmap_remove(&r->holds, index);
    if (g == NULL)
        return 0;
    if (is_shown)
        settle_purpose(r, g, grant, l);
    g->waiting--;
    forget_grant(r, g, grant);
    return 0;
}
