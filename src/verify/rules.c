/* One function a type of leaf, in a table; what holds for all of them stands in rules_leaf().
 *
 *   seals     of: interval  leaves and disclosures behind the last seal of that kind, this one not
 *                           counted
 *             of: epoch     one for each epoch, in turn, also for those in which nothing happened:
 *                           the first leaf whose minute is in a later epoch
 *             An interval's seal is due at multiples of `seal` minutes; the first leaf behind that
 *             time that is no seal and no roll-up has it before it, once, however long the pause
 *   grants    in the map from their leaf to their revoke, or until the last hold under them is
 *             opened; a reference to one that has ended is wrong. Words of theirs are remembered as
 *             keyed hashes, so whoever writes a log cannot make its readers remember many of them
 *   requests  number, entity, purpose, classes and band of subjects are those of their grant; its
 *             approvals are votes for just that request, before it, each once; whoever votes behind
 *             it, or has denied before, is told as wanting, since two gateways may cross each other
 *   roll-ups  all of one interval together; no group twice; the next interval begins where the last
 *             one ended, or later: an interval in which nothing happened has no leaves
 *   the end   cuts an interval and an epoch short: roll-ups of what was going on stand before the
 *             `successor` with nothing but others between, the epoch's seal behind it
 *
 * After a finding the state is brought to where it would be without it, so that one lie is told
 * once. */
#include "verify/rules.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/succession.h"
#include "ledger/tag.h"
#include "ledger/tag_set.h"
#include "policy/policy.h"
#include "verify/indexmap.h"

enum { POLICIES_FIRST = 16 };

struct grant {
    uint64_t number;
    uint64_t entity, purpose; /* word_hash(); purpose 0: held, and nothing has shown it */
    uint64_t request;         /* leaf that it refers to, plus 1; 0: none of this log */
    uint32_t classes;         /* class_bits() */
    uint32_t until;
    uint32_t waiting; /* leaves of it, itself too, whose holds no `opened` has ended */
    bool is_ended;
    uint8_t content[TAG_LEN]; /* of what it says: content_of() */
};

struct request {
    uint64_t number;
    uint64_t entity, purpose; /* as of a grant; the purpose is also what its grant shows */
    uint64_t subjects;
    uint64_t grant, denial; /* leaves, plus 1; 0: none */
    uint32_t classes;
    bool is_breakglass, is_reviewed, is_over; /* its grant has ended */
};

struct approval {
    uint64_t request; /* its leaf */
    bool is_approve;
};

struct held {
    uint8_t hash[DIGEST_LEN];
    uint64_t grant;   /* leaf of the grant it belongs to, plus 1; 0: none of this log */
    uint64_t request; /* is it that, then its leaf, plus 1 */
};

/* Since the last seal of a kind. */
struct count {
    uint64_t leaves, disclosures;
};

struct rules {
    struct key key;
    char vkey[KEY_VKEY_SIZE];
    struct rules_facts facts;
    struct tag_period period;
    uint64_t rollup, seal;
    uint64_t seal_due;                 /* minute of the next interval seal */
    uint64_t epoch;                    /* number of the one that no seal has closed */
    char epoch_name[RULES_EPOCH_SIZE]; /* of the leaf at hand */
    uint32_t epoch_minute;             /* that EPOCH_NAME was made of */
    struct count in_interval, in_epoch;
    struct tag_set tags, groups;
    struct tag_set ended; /* what grants said that have ended */
    uint8_t word_key[crypto_shorthash_KEYBYTES];
    uint32_t from, until; /* of the roll-ups last seen */
    struct indexmap grants, holds, requests, approvals;
    uint64_t *policies; /* indexes of `start` and `policy` leaves, ascending */
    size_t policy_count, policy_room;
    uint8_t policy[DIGEST_LEN], waiting[DIGEST_LEN]; /* that rules; that was announced last */
    uint64_t quorum;       /* signatures that the one that rules demands of the next; 0: none */
    uint64_t waiting_from; /* minute; 0: none was announced */
    bool is_ended;         /* a `successor` was seen */
    bool is_early;         /* a roll-up was seen whose interval had not ended, at: */
    uint64_t early_at;
    /* of the leaf at hand */
    uint64_t index;
    struct findings *to;
};

int rules_new(const struct key *key, struct rules **ret, struct err *err)
{
    struct rules *r = mem_zalloc(1, sizeof(*r));
    if (r == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    r->key = *key;
    key_write(key, r->vkey);
    tag_set_init(&r->tags);
    tag_set_init(&r->groups);
    tag_set_init(&r->ended);
    crypto_shorthash_keygen(r->word_key);
    r->seal_due = UINT64_MAX;
    indexmap_init(&r->grants, sizeof(struct grant));
    indexmap_init(&r->holds, sizeof(struct held));
    indexmap_init(&r->requests, sizeof(struct request));
    indexmap_init(&r->approvals, sizeof(struct approval));
    *ret = r;
    return 0;
}

void rules_free(struct rules *r)
{
    if (r == NULL)
        return;
    tag_set_done(&r->tags);
    tag_set_done(&r->groups);
    tag_set_done(&r->ended);
    indexmap_done(&r->grants);
    indexmap_done(&r->holds);
    indexmap_done(&r->requests);
    indexmap_done(&r->approvals);
    mem_free(r->policies);
    mem_free(r);
}

const struct rules_facts *rules_facts(const struct rules *r)
{
    return &r->facts;
}

RF_PRINTF(2, 3) static void wrong(struct rules *r, const char *fmt, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, arguments);
    va_end(arguments);
    findings_add_leaf(r->to, FINDING_TAMPERED, r->index, "%s", text);
}

/* The text of a key into an array that is large enough for its form; "" when it is not there. */
static void text_of(const struct logleaf *l, enum logleaf_key key, char *ret, size_t size)
{
    const struct logleaf_value *v = &l->value[key];
    size_t n = v->text == NULL ? 0 : v->len < size ? v->len : size - 1;
    if (n > 0)
        memcpy(ret, v->text, n);
    ret[n] = '\0';
}

static uint64_t number_of(const struct logleaf *l, enum logleaf_key key)
{
    return l->value[key].text == NULL ? l->value[key].number : 0;
}

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
    text_of(l, LEAF_KEY_CLASSES, list, sizeof(list));
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
        wrong(r, "classes are not names of classes in the policy's order");
    return bits;
}

/* ---- references ----------------------------------------------------------------------------- */

enum reference { REF_BROKEN, REF_HERE, REF_ELSEWHERE };

/* For whoever reads the other log, too. */
static void keep_foreign(struct rules *r, const struct logleaf *l, enum logleaf_key key,
                         uint64_t index, const char *origin, size_t len)
{
    struct rules_foreign f = { .index = index, .key = key, .leaf = r->index };
    f.grant = key == LEAF_KEY_POLICY_REF ? 0 : number_of(l, LEAF_KEY_GRANT);
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
        wrong(r, "%s is no reference to a leaf", name);
        return REF_BROKEN;
    }
    if (len != strlen(r->key.name) || memcmp(origin, r->key.name, len) != 0) {
        keep_foreign(r, l, key, index, origin, len);
        return REF_ELSEWHERE;
    }
    if (index >= r->index) {
        wrong(r, "%s names leaf %llu, which does not stand before it", name,
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

/* ---- epochs --------------------------------------------------------------------------------- */

bool rules_epoch(const char *period, size_t len, uint32_t minute, char ret[RULES_EPOCH_SIZE])
{
    struct tag_period p;
    if (tag_period_read(period, len, &p) < 0)
        return false;
    tag_epoch_of(p, minute, ret);
    return true;
}

/* ---- logs that name each other -------------------------------------------------------------- */

static bool vkey_of(const struct logleaf *l, struct key *ret, char text[KEY_VKEY_SIZE])
{
    struct err ignored;
    text_of(l, LEAF_KEY_KEY, text, KEY_VKEY_SIZE);
    return key_read(text, strlen(text), ret, &ignored) == 0 && ret->type == KEY_ED25519 &&
           logleaf_is(l, LEAF_KEY_ORIGIN, ret->name);
}

/* ---- one function a type -------------------------------------------------------------------- */

static void next_seal(struct rules *r, const struct logleaf *l)
{
    r->seal_due = r->seal > 0 ? (l->minute / r->seal + 1) * r->seal : UINT64_MAX;
}

static int on_genesis(struct rules *r, const struct logleaf *l)
{
    if (r->index != 0) {
        wrong(r, "a second genesis");
        return 0;
    }
    if (!logleaf_is(l, LEAF_KEY_ORIGIN, r->key.name))
        wrong(r, "genesis names another origin than the log's");
    if (!logleaf_is(l, LEAF_KEY_KEY, r->vkey))
        wrong(r, "genesis names another key than the log's");
    if (tag_period_read(l->value[LEAF_KEY_EPOCH].text, l->value[LEAF_KEY_EPOCH].len, &r->period) <
        0)
        wrong(r, "epoch is neither \"month\" nor minutes");
    r->epoch = tag_epoch_number(r->period, l->minute);
    r->rollup = number_of(l, LEAF_KEY_ROLLUP);
    r->seal = number_of(l, LEAF_KEY_SEAL);
    next_seal(r, l);
    logleaf_hash(l, LEAF_KEY_VRF, r->facts.vrf);
    if (logleaf_has(l, LEAF_KEY_PREDECESSOR) != logleaf_has(l, LEAF_KEY_SIGNATURE)) {
        wrong(r, "predecessor and signature come together");
        return 0;
    }
    const char *origin;
    size_t len;
    struct rules_log *before = &r->facts.predecessor;
    if (!logleaf_has(l, LEAF_KEY_PREDECESSOR))
        return 0;
    if (!logleaf_ref(l, LEAF_KEY_PREDECESSOR, &before->leaf, &origin, &len) ||
        !key_is_name(origin, len)) {
        wrong(r, "predecessor is no reference to a leaf");
        return 0;
    }
    memcpy(before->origin, origin, len);
    before->origin[len] = '\0';
    const struct succession s = { before->origin, &r->key, before->leaf };
    if (!succession_holds(&s, &r->key, l))
        wrong(r, "the signature that continues \"%s\" does not hold", before->origin);
    return 0;
}

static int on_member(struct rules *r, const struct logleaf *l)
{
    struct rules_log m = { .leaf = r->index };
    struct key key;
    text_of(l, LEAF_KEY_ORIGIN, m.origin, sizeof(m.origin));
    if (!vkey_of(l, &key, m.vkey))
        wrong(r, "member \"%s\" has no key of that name", m.origin);
    bool is_known = strcmp(m.origin, r->key.name) == 0;
    for (unsigned i = 0; i < r->facts.member_count; i++)
        is_known = is_known || strcmp(r->facts.members[i].origin, m.origin) == 0;
    if (is_known)
        wrong(r, "member \"%s\" is in the roster already", m.origin);
    else if (r->facts.member_count < RULES_MEMBERS_MAX)
        r->facts.members[r->facts.member_count++] = m;
    else
        wrong(r, "more than %d members", RULES_MEMBERS_MAX);
    return 0;
}

static int on_successor(struct rules *r, const struct logleaf *l)
{
    struct rules_log *next = &r->facts.successor;
    struct key key;
    text_of(l, LEAF_KEY_ORIGIN, next->origin, sizeof(next->origin));
    next->leaf = r->index;
    if (!vkey_of(l, &key, next->vkey))
        wrong(r, "successor \"%s\" has no key of that name", next->origin);
    else if (!succession_holds(&(struct succession){ r->key.name, &key, r->index }, &r->key, l))
        wrong(r, "the signature of the succession does not hold");
    else if (strcmp(next->origin, r->key.name) == 0)
        wrong(r, "the log continues itself");
    r->is_ended = true;
    return 0;
}

/* A policy rules, or is announced, with fewer signatures than the one that rules demands. */
static void judge_signatures(struct rules *r, const struct logleaf *l, const char *what)
{
    uint64_t has = number_of(l, LEAF_KEY_SIGNATURES);
    if (has < r->quorum)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a policy %s with %llu signatures, and the one before demands %llu", what,
                          (unsigned long long)has, (unsigned long long)r->quorum);
    if (has > 0 && r->quorum == 0)
        wrong(r, "a policy with signatures of those whom the one before does not name");
}

static void judge_rule(struct rules *r, const struct logleaf *l)
{
    uint8_t digest[DIGEST_LEN];
    uint64_t quorum = number_of(l, LEAF_KEY_QUORUM);
    logleaf_hash(l, LEAF_KEY_POLICY, digest);
    bool is_first = r->policy_count == 0;
    bool is_same = !is_first && memcmp(digest, r->policy, sizeof(digest)) == 0;
    if (is_same && quorum != r->quorum)
        wrong(r, "the same policy as before, with another quorum");
    if (!is_first && !is_same)
        judge_signatures(r, l, "rules");
    if (!is_same && r->waiting_from > l->minute && memcmp(digest, r->waiting, sizeof(digest)) == 0)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a policy rules before the minute from which it was announced");
    if (!is_same)
        r->waiting_from = 0;
    memcpy(r->policy, digest, sizeof(digest));
    r->quorum = quorum;
}

static void on_announced(struct rules *r, const struct logleaf *l)
{
    if (logleaf_has(l, LEAF_KEY_QUORUM) || r->policy_count == 0)
        wrong(r, "a policy that waits, before one rules, or with what one that rules has");
    if (number_of(l, LEAF_KEY_FROM) < l->minute)
        wrong(r, "a policy is announced from a minute on that is over");
    judge_signatures(r, l, "is announced");
    logleaf_hash(l, LEAF_KEY_POLICY, r->waiting);
    r->waiting_from = number_of(l, LEAF_KEY_FROM);
}

static int on_policy(struct rules *r, const struct logleaf *l)
{
    if (logleaf_has(l, LEAF_KEY_FROM)) {
        on_announced(r, l);
        return 0;
    }
    judge_rule(r, l);
    if (r->policy_count == r->policy_room) {
        size_t room = r->policy_room > 0 ? 2 * r->policy_room : POLICIES_FIRST;
        uint64_t *wider = mem_realloc(r->policies, room * sizeof(*wider));
        if (wider == NULL)
            return -RF_ENOMEM;
        r->policies = wider;
        r->policy_room = room;
    }
    r->policies[r->policy_count++] = r->index;
    return 0;
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
        wrong(r, "shows another purpose than the request (leaf %llu) or its grant",
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
        wrong(r, "shows another purpose than the grant (leaf %llu) or what else is under it",
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
        wrong(r, "policy_ref names leaf %llu, which is neither a start nor a policy",
              (unsigned long long)policy);
}

/* ---- requests, votes, and what follows from them -------------------------------------------- */

static int on_request(struct rules *r, const struct logleaf *l)
{
    judge_policy_ref(r, l);
    if (!logleaf_has(l, LEAF_KEY_HELD) && !logleaf_has(l, LEAF_KEY_RULE))
        wrong(r, "a request whose purpose is not held names the rule by which it may be asked");
    struct request *q = indexmap_put(&r->requests, r->index);
    if (q == NULL)
        return -RF_ENOMEM;
    *q = (struct request){ .number = number_of(l, LEAF_KEY_GRANT),
                           .entity = word_hash(r, l, LEAF_KEY_ENTITY),
                           .subjects = number_of(l, LEAF_KEY_SUBJECTS),
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
        wrong(r, "request_ref names leaf %llu, which is no request",
              (unsigned long long)*ret_index);
    else if (q->number != number_of(l, LEAF_KEY_GRANT))
        wrong(r, "request_ref names leaf %llu, which is request %llu and not %llu",
              (unsigned long long)*ret_index, (unsigned long long)q->number,
              (unsigned long long)number_of(l, LEAF_KEY_GRANT));
    else
        return q;
    return NULL;
}

static int on_approval(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    bool is_approve = logleaf_is(l, LEAF_KEY_VERDICT, "approve");
    if (!is_approve && !logleaf_is(l, LEAF_KEY_VERDICT, "deny"))
        wrong(r, "an approval says \"approve\" or \"deny\", and this one something else");
    struct request *q = request_of(r, l, &index);
    struct approval *a = indexmap_put(&r->approvals, r->index);
    if (a == NULL)
        return -RF_ENOMEM;
    *a = (struct approval){ .request = q != NULL ? index : UINT64_MAX, .is_approve = is_approve };
    if (q == NULL)
        return 0;
    if (q->is_breakglass)
        wrong(r, "votes about leaf %llu, which broke the glass", (unsigned long long)index);
    if (q->grant > 0)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a vote about leaf %llu behind its grant (leaf %llu)",
                          (unsigned long long)index, (unsigned long long)(q->grant - 1));
    if (!is_approve && q->denial == 0)
        q->denial = r->index + 1;
    return 0;
}

static int on_review(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    if (!logleaf_is(l, LEAF_KEY_VERDICT, "proper") && !logleaf_is(l, LEAF_KEY_VERDICT, "improper"))
        wrong(r, "a review says \"proper\" or \"improper\", and this one something else");
    struct request *q = request_of(r, l, &index);
    if (q == NULL)
        return 0;
    if (!q->is_breakglass)
        wrong(r, "reviews leaf %llu, which broke no glass", (unsigned long long)index);
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
                wrong(r, "counts the approval of leaf %llu twice", (unsigned long long)index);
        if (judge_reference(r, l, LEAF_KEY_APPROVAL_REFS, index, origin, len) != REF_HERE)
            continue;
        const struct approval *a = indexmap_find(&r->approvals, index);
        if (a == NULL || !a->is_approve)
            wrong(r, "approval_refs names leaf %llu, which approves nothing",
                  (unsigned long long)index);
        else if (a->request != request && a->request != UINT64_MAX && request != UINT64_MAX)
            wrong(r, "approval_refs names leaf %llu, which approves another request",
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
    if (!is_content_of(g, number_of(l, LEAF_KEY_SUBJECTS), q))
        wrong(r, "grants other classes or another number of subjects than leaf %llu asked for",
              (unsigned long long)index);
    if (g->entity != q->entity && !has_new_rules(r, index))
        wrong(r, "grants to another entity than that of leaf %llu", (unsigned long long)index);
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
        wrong(r, "has approvals, and its request (leaf %llu) broke the glass",
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
        wrong(r, "has more than one of request_ref, grant_ref and by");
    if (logleaf_has(l, LEAF_KEY_APPROVAL_REFS) && !has_request)
        wrong(r, "has approvals without a request");
    if (by && !logleaf_is(l, LEAF_KEY_BY, "administrator"))
        wrong(r, "a grant is by signatures or by \"administrator\", and this one otherwise");
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

static int on_grant(struct rules *r, const struct logleaf *l)
{
    judge_policy_ref(r, l);
    struct grant *g = indexmap_put(&r->grants, r->index);
    if (g == NULL)
        return -RF_ENOMEM;
    *g = (struct grant){ .number = number_of(l, LEAF_KEY_GRANT),
                         .until = (uint32_t)number_of(l, LEAF_KEY_UNTIL),
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
        wrong(r, "grant_ref names leaf %llu, which is no grant that is still open",
              (unsigned long long)*ret_index);
        return NULL;
    }
    if (g->number != number_of(l, LEAF_KEY_GRANT))
        wrong(r, "grant_ref names leaf %llu, which is grant %llu and not %llu",
              (unsigned long long)*ret_index, (unsigned long long)g->number,
              (unsigned long long)number_of(l, LEAF_KEY_GRANT));
    return g;
}

/* Nothing will be compared with G any more. */
static void forget_grant(struct rules *r, const struct grant *g, uint64_t index)
{
    if (g->is_ended && g->waiting == 0)
        indexmap_remove(&r->grants, index);
}

static int on_revoke(struct rules *r, const struct logleaf *l)
{
    uint64_t index;
    if (!logleaf_is(l, LEAF_KEY_RULE, "expired") && !logleaf_is(l, LEAF_KEY_RULE, "revoked") &&
        !logleaf_is(l, LEAF_KEY_RULE, "used_up"))
        wrong(r, "a grant ends \"expired\", \"revoked\" or \"used_up\", and this one otherwise");
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
        wrong(r, "discloses classes that its grant (leaf %llu) does not have",
              (unsigned long long)index);
    if (!logleaf_is(l, LEAF_KEY_ROOM, "granted"))
        wrong(r, "is under a grant (leaf %llu), and not in room \"granted\"",
              (unsigned long long)index);
    if (g->entity != word_hash(r, l, LEAF_KEY_ENTITY) && !has_new_rules(r, index))
        wrong(r, "its grant (leaf %llu) is of another entity", (unsigned long long)index);
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
        wrong(r, "its epoch is not \"%s\", in which its minute lies", r->epoch_name);
    unsigned count = logleaf_items(l, items);
    for (unsigned i = 0; i < count; i++) {
        int rc = tag_set_add(&r->tags, items[i]);
        if (rc == -RF_EINVAL)
            wrong(r, "tag %u of it is no tag", i);
        else if (rc < 0)
            return rc;
        if (rc == 0)
            wrong(r, "tag %u of it is in epoch \"%s\" already", i, r->epoch_name);
    }
    return 0;
}

static int on_disclosure(struct rules *r, const struct logleaf *l)
{
    uint64_t grant;
    judge_under_grant(r, l, &grant);
    int rc = judge_items(r, l);
    return rc < 0 ? rc : hold(r, l, grant);
}

static int on_find(struct rules *r, const struct logleaf *l)
{
    int rc = judge_items(r, l);
    return rc < 0 ? rc : hold(r, l, 0);
}

static int on_opened(struct rules *r, const struct logleaf *l)
{
    static const char domain[] = "ringfence-held@1\n";
    uint8_t salt[DIGEST_LEN], digest[DIGEST_LEN];
    uint64_t index;
    if (reference_of(r, l, LEAF_KEY_REF, &index) != REF_HERE)
        return 0;
    const struct held *h = indexmap_find(&r->holds, index);
    if (h == NULL) {
        wrong(r, "ref names leaf %llu, whose purpose is not held", (unsigned long long)index);
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
        wrong(r, "the purpose that it shows is not the one that leaf %llu holds",
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

/* No group of one interval twice: a group is everything but numbers. */
static int group_add(struct rules *r, const struct logleaf *l)
{
    static const enum logleaf_key words[] = { LEAF_KEY_ENTITY,     LEAF_KEY_PLACE, LEAF_KEY_ROOM,
                                              LEAF_KEY_ACTOR_KIND, LEAF_KEY_RULE,  LEAF_KEY_PURPOSE,
                                              LEAF_KEY_VERSION };
    const uint8_t type = (uint8_t)l->type;
    struct iovec pieces[2 * RF_COUNT(words) + 1] = { digest_piece(&type, 1) };
    uint8_t digest[DIGEST_LEN];
    size_t n = 1;
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        pieces[n++] = digest_piece(l->value[words[i]].text, l->value[words[i]].len);
        pieces[n++] = digest_piece("\n", 1);
    }
    digest_pieces(pieces, n, digest);
    int rc = tag_set_add(&r->groups, digest);
    if (rc == 0)
        wrong(r, "a second roll-up of one group and interval");
    return rc < 0 ? rc : 0;
}

/* What is too small to be told is not told. */
static void judge_few(struct rules *r, const struct logleaf *l)
{
    static const enum logleaf_key bands[] = {
        LEAF_KEY_SESSIONS, LEAF_KEY_STATEMENTS, LEAF_KEY_ROWS,  LEAF_KEY_BYTES,    LEAF_KEY_DENIALS,
        LEAF_KEY_ALERTS,   LEAF_KEY_REVIEWED,   LEAF_KEY_GIVEN, LEAF_KEY_WITHDRAWN
    };
    bool has_band = false;
    if (!logleaf_has(l, LEAF_KEY_FEW))
        return;
    for (size_t i = 0; i < RF_COUNT(bands); i++)
        has_band = has_band || logleaf_has(l, bands[i]);
    if (number_of(l, LEAF_KEY_FEW) != 1 || has_band)
        wrong(r, "few is 1, and stands without bands");
}

static void judge_alerts(struct rules *r, const struct logleaf *l)
{
    if (l->type == LEAF_ALERT && !logleaf_has(l, LEAF_KEY_ALERTS) &&
        !logleaf_has(l, LEAF_KEY_REVIEWED))
        wrong(r, "it has neither alerts nor reviews");
}

static int on_rollup(struct rules *r, const struct logleaf *l)
{
    uint64_t from = number_of(l, LEAF_KEY_FROM), until = number_of(l, LEAF_KEY_UNTIL);
    if (from >= until)
        wrong(r, "its interval ends before it begins");
    else if (r->rollup > 0 && (from % r->rollup != 0 || until - from != r->rollup))
        wrong(r, "its interval is not one of %llu minutes", (unsigned long long)r->rollup);
    else if (from > l->minute)
        wrong(r, "its interval has not begun");
    else if (until > l->minute && !r->is_early) {
        r->is_early = true; /* judge_early() */
        r->early_at = r->index;
    }
    if (from != r->from || until != r->until) {
        if (from < r->until)
            wrong(r, "its interval overlaps the one before");
        tag_set_done(&r->groups);
    }
    r->from = (uint32_t)from;
    r->until = (uint32_t)until;
    judge_few(r, l);
    judge_alerts(r, l);
    return group_add(r, l);
}

static void judge_counts(struct rules *r, const struct logleaf *l, struct count *since)
{
    uint64_t leaves = number_of(l, LEAF_KEY_LEAVES);
    uint64_t disclosures = number_of(l, LEAF_KEY_DISCLOSURES);
    if (leaves != since->leaves)
        wrong(r, "counts %llu leaves since the last seal, and there are %llu",
              (unsigned long long)leaves, (unsigned long long)since->leaves);
    if (disclosures != since->disclosures)
        wrong(r, "counts %llu disclosures since the last seal, and there are %llu",
              (unsigned long long)disclosures, (unsigned long long)since->disclosures);
    *since = (struct count){ 0 };
}

static void seal_interval(struct rules *r, const struct logleaf *l)
{
    if (!logleaf_has(l, LEAF_KEY_CHAIN) || logleaf_has(l, LEAF_KEY_EPOCH) ||
        logleaf_has(l, LEAF_KEY_TAGS) || logleaf_has(l, LEAF_KEY_TAGS_ROOT))
        wrong(r, "a seal of an interval has chain, and no epoch, tags or tags_root");
    judge_counts(r, l, &r->in_interval);
    next_seal(r, l);
}

static int seal_epoch(struct rules *r, const struct logleaf *l)
{
    char epoch[RULES_WORD_SIZE];
    uint8_t root[DIGEST_LEN], said[DIGEST_LEN];
    uint64_t number = 0;
    if (logleaf_has(l, LEAF_KEY_CHAIN) || !logleaf_has(l, LEAF_KEY_EPOCH) ||
        !logleaf_has(l, LEAF_KEY_TAGS_ROOT))
        wrong(r, "a seal of an epoch has epoch and tags_root, and no chain");
    text_of(l, LEAF_KEY_EPOCH, epoch, sizeof(epoch));
    /* of a log that has ended nothing more can come into its last epoch */
    uint64_t now = tag_epoch_number(r->period, l->minute);
    if (tag_epoch_read(r->period, epoch, strlen(epoch), &number) < 0)
        wrong(r, "\"%s\" is no epoch of this log", epoch);
    else if (number > now || (number == now && !r->is_ended))
        wrong(r, "epoch \"%s\" has not ended", epoch);
    else if (number != r->epoch)
        wrong(r, "epoch \"%s\" is %s", epoch,
              number < r->epoch ? "sealed already" : "sealed before an earlier one");
    r->epoch = (number > r->epoch ? number : r->epoch) + 1;
    uint64_t tags = r->tags.count;
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&r->tags);
    if (sorted == NULL && tags > 0)
        return -RF_ENOMEM;
    tag_set_root_of(sorted, tags, root);
    mem_free(sorted);
    tag_set_done(&r->tags);
    logleaf_hash(l, LEAF_KEY_TAGS_ROOT, said);
    if (number_of(l, LEAF_KEY_TAGS) != tags)
        wrong(r, "counts %llu tags of epoch \"%s\", and there are %llu",
              (unsigned long long)number_of(l, LEAF_KEY_TAGS), epoch, (unsigned long long)tags);
    else if (memcmp(root, said, sizeof(root)) != 0)
        wrong(r, "tags_root is not the root over the tags of epoch \"%s\"", epoch);
    judge_counts(r, l, &r->in_epoch);
    return 0;
}

static bool is_epoch_seal(const struct logleaf *l)
{
    return l->type == LEAF_SEAL && logleaf_is(l, LEAF_KEY_OF, "epoch");
}

static int on_seal(struct rules *r, const struct logleaf *l)
{
    if (is_epoch_seal(l))
        return seal_epoch(r, l);
    if (logleaf_is(l, LEAF_KEY_OF, "interval"))
        seal_interval(r, l);
    else
        wrong(r, "a seal of neither an interval nor an epoch");
    return 0;
}

typedef int judge_fn(struct rules *r, const struct logleaf *l);

static judge_fn *const judges[LEAF_TYPE_COUNT] = {
    [LEAF_GENESIS] = on_genesis,     [LEAF_MEMBER] = on_member,
    [LEAF_SUCCESSOR] = on_successor, [LEAF_START] = on_policy,
    [LEAF_POLICY] = on_policy,       [LEAF_GRANT] = on_grant,
    [LEAF_REVOKE] = on_revoke,       [LEAF_OPENED] = on_opened,
    [LEAF_SESSION] = on_rollup,      [LEAF_DISCLOSURE] = on_disclosure,
    [LEAF_TRANSFER] = on_rollup,     [LEAF_SERVICE] = on_rollup,
    [LEAF_DENIAL] = on_rollup,       [LEAF_SEAL] = on_seal,
    [LEAF_FIND] = on_find,           [LEAF_REQUEST] = on_request,
    [LEAF_BREAKGLASS] = on_request,  [LEAF_APPROVAL] = on_approval,
    [LEAF_REVIEW] = on_review,       [LEAF_ALERT] = on_rollup,
    [LEAF_CONSENT] = on_rollup,
};

/* ---- what holds for every leaf -------------------------------------------------------------- */

static void judge_place(struct rules *r, const struct logleaf *l)
{
    if (r->index == 0) {
        if (l->type != LEAF_GENESIS)
            wrong(r, "the first leaf is no genesis");
        text_of(l, LEAF_KEY_REGION, r->facts.region, sizeof(r->facts.region));
    } else if (!logleaf_is(l, LEAF_KEY_REGION, r->facts.region)) {
        wrong(r, "its region is not \"%s\"", r->facts.region);
    }
    if (l->minute < r->facts.minute)
        wrong(r, "its minute lies before that of the leaf before");
    else
        r->facts.minute = l->minute;
    if (r->is_ended && l->type != LEAF_SEAL)
        wrong(r, "a leaf behind the successor that is no seal");
}

/* Sums of an interval that goes on are told only by a log that ends. */
static void judge_early(struct rules *r, const struct logleaf *l)
{
    if (!r->is_early || judges[l->type] == on_rollup)
        return;
    if (l->type != LEAF_SUCCESSOR)
        findings_add_leaf(r->to, FINDING_TAMPERED, r->early_at,
                          "its interval has not ended, and neither does the log behind it");
    r->is_early = false;
}

/* Leaves of an epoch are followed by its seal before anything else of a later one. */
static void judge_epoch(struct rules *r, const struct logleaf *l)
{
    if (l->minute != r->epoch_minute || r->epoch_name[0] == '\0')
        tag_epoch_of(r->period, l->minute, r->epoch_name);
    r->epoch_minute = l->minute;
    uint64_t number = tag_epoch_number(r->period, l->minute);
    if (is_epoch_seal(l) || number <= r->epoch)
        return;
    wrong(r, "an epoch before \"%s\" was not sealed", r->epoch_name);
    tag_set_done(&r->tags);
    r->in_epoch = (struct count){ 0 };
    r->epoch = number;
}

/* Journals are committed to in time: behind the minute of a seal nothing happens before it. */
static void judge_seal_due(struct rules *r, const struct logleaf *l)
{
    if (l->minute < r->seal_due || l->type == LEAF_SEAL || judges[l->type] == on_rollup)
        return;
    wrong(r, "the seal of an interval was due %llu minutes before",
          (unsigned long long)(l->minute - r->seal_due));
    next_seal(r, l);
}

int rules_leaf(struct rules *r, uint64_t index, const struct logleaf *leaf, struct findings *to,
               struct err *err)
{
    int rc = 0;
    r->index = index;
    r->to = to;
    judge_place(r, leaf);
    judge_early(r, leaf);
    if (index > 0) {
        judge_epoch(r, leaf);
        judge_seal_due(r, leaf);
    }
    if (judges[leaf->type] != NULL)
        rc = judges[leaf->type](r, leaf);
    /* A seal counts for the other kind, and for its own the next time it does not. */
    bool is_interval = leaf->type == LEAF_SEAL && !is_epoch_seal(leaf);
    r->in_interval.leaves += is_interval ? 0 : 1;
    r->in_epoch.leaves += is_epoch_seal(leaf) ? 0 : 1;
    r->in_interval.disclosures += leaf->type == LEAF_DISCLOSURE;
    r->in_epoch.disclosures += leaf->type == LEAF_DISCLOSURE;
    r->facts.of_type[leaf->type]++;
    r->facts.tags = r->tags.count;
    return rc < 0 ? err_set(err, RF_ENOMEM, "out of memory at leaf %llu", (unsigned long long)index)
                  : 0;
}
