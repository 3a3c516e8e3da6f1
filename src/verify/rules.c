/* One function a type of leaf, in a table; what holds for all of them stands in rules_leaf(). Those
 * of grants, and of what is said under them, stand in rules_grant.c.
 *
 *   seals     of: interval  leaves and disclosures behind the last seal of that kind, this one not
 *                           counted
 *             of: epoch     one for each epoch, in turn, also for those in which nothing happened:
 *                           the first leaf whose minute is in a later epoch
 *             An interval's seal is due at multiples of `seal` minutes; the first leaf behind that
 *             time that is no seal and no roll-up has it before it, once, however long the pause
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
#include "verify/rules_inside.h"

enum { POLICIES_FIRST = 16 };

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

void rules_wrong(struct rules *r, const char *fmt, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, arguments);
    va_end(arguments);
    findings_add_leaf(r->to, FINDING_TAMPERED, r->index, "%s", text);
}

void rules_text_of(const struct logleaf *l, enum logleaf_key key, char *ret, size_t size)
{
    const struct logleaf_value *v = &l->value[key];
    size_t n = v->text == NULL ? 0 : v->len < size ? v->len : size - 1;
    if (n > 0)
        memcpy(ret, v->text, n);
    ret[n] = '\0';
}

uint64_t rules_number_of(const struct logleaf *l, enum logleaf_key key)
{
    return l->value[key].text == NULL ? l->value[key].number : 0;
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
    rules_text_of(l, LEAF_KEY_KEY, text, KEY_VKEY_SIZE);
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
        rules_wrong(r, "a second genesis");
        return 0;
    }
    if (!logleaf_is(l, LEAF_KEY_ORIGIN, r->key.name))
        rules_wrong(r, "genesis names another origin than the log's");
    if (!logleaf_is(l, LEAF_KEY_KEY, r->vkey))
        rules_wrong(r, "genesis names another key than the log's");
    if (tag_period_read(l->value[LEAF_KEY_EPOCH].text, l->value[LEAF_KEY_EPOCH].len, &r->period) <
        0)
        rules_wrong(r, "epoch is neither \"month\" nor minutes");
    r->epoch = tag_epoch_number(r->period, l->minute);
    r->rollup = rules_number_of(l, LEAF_KEY_ROLLUP);
    r->seal = rules_number_of(l, LEAF_KEY_SEAL);
    next_seal(r, l);
    logleaf_hash(l, LEAF_KEY_VRF, r->facts.vrf);
    if (logleaf_has(l, LEAF_KEY_PREDECESSOR) != logleaf_has(l, LEAF_KEY_SIGNATURE)) {
        rules_wrong(r, "predecessor and signature come together");
        return 0;
    }
    const char *origin;
    size_t len;
    struct rules_log *before = &r->facts.predecessor;
    if (!logleaf_has(l, LEAF_KEY_PREDECESSOR))
        return 0;
    if (!logleaf_ref(l, LEAF_KEY_PREDECESSOR, &before->leaf, &origin, &len) ||
        !key_is_name(origin, len)) {
        rules_wrong(r, "predecessor is no reference to a leaf");
        return 0;
    }
    memcpy(before->origin, origin, len);
    before->origin[len] = '\0';
    const struct succession s = { before->origin, &r->key, before->leaf };
    if (!succession_holds(&s, &r->key, l))
        rules_wrong(r, "the signature that continues \"%s\" does not hold", before->origin);
    return 0;
}

static int on_member(struct rules *r, const struct logleaf *l)
{
    struct rules_log m = { .leaf = r->index };
    struct key key;
    rules_text_of(l, LEAF_KEY_ORIGIN, m.origin, sizeof(m.origin));
    if (!vkey_of(l, &key, m.vkey))
        rules_wrong(r, "member \"%s\" has no key of that name", m.origin);
    bool is_known = strcmp(m.origin, r->key.name) == 0;
    for (unsigned i = 0; i < r->facts.member_count; i++)
        is_known = is_known || strcmp(r->facts.members[i].origin, m.origin) == 0;
    if (is_known)
        rules_wrong(r, "member \"%s\" is in the roster already", m.origin);
    else if (r->facts.member_count < RULES_MEMBERS_MAX)
        r->facts.members[r->facts.member_count++] = m;
    else
        rules_wrong(r, "more than %d members", RULES_MEMBERS_MAX);
    return 0;
}

static int on_successor(struct rules *r, const struct logleaf *l)
{
    struct rules_log *next = &r->facts.successor;
    struct key key;
    rules_text_of(l, LEAF_KEY_ORIGIN, next->origin, sizeof(next->origin));
    next->leaf = r->index;
    if (!vkey_of(l, &key, next->vkey))
        rules_wrong(r, "successor \"%s\" has no key of that name", next->origin);
    else if (!succession_holds(&(struct succession){ r->key.name, &key, r->index }, &r->key, l))
        rules_wrong(r, "the signature of the succession does not hold");
    else if (strcmp(next->origin, r->key.name) == 0)
        rules_wrong(r, "the log continues itself");
    r->is_ended = true;
    return 0;
}

/* A policy rules, or is announced, with fewer signatures than the one that rules demands. */
static void judge_signatures(struct rules *r, const struct logleaf *l, const char *what)
{
    uint64_t has = rules_number_of(l, LEAF_KEY_SIGNATURES);
    if (has < r->quorum)
        findings_add_leaf(r->to, FINDING_WANTING, r->index,
                          "a policy %s with %llu signatures, and the one before demands %llu", what,
                          (unsigned long long)has, (unsigned long long)r->quorum);
    if (has > 0 && r->quorum == 0)
        rules_wrong(r, "a policy with signatures of those whom the one before does not name");
}

static void judge_rule(struct rules *r, const struct logleaf *l)
{
    uint8_t digest[DIGEST_LEN];
    uint64_t quorum = rules_number_of(l, LEAF_KEY_QUORUM);
    logleaf_hash(l, LEAF_KEY_POLICY, digest);
    bool is_first = r->policy_count == 0;
    bool is_same = !is_first && memcmp(digest, r->policy, sizeof(digest)) == 0;
    if (is_same && quorum != r->quorum)
        rules_wrong(r, "the same policy as before, with another quorum");
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
        rules_wrong(r, "a policy that waits, before one rules, or with what one that rules has");
    if (rules_number_of(l, LEAF_KEY_FROM) < l->minute)
        rules_wrong(r, "a policy is announced from a minute on that is over");
    judge_signatures(r, l, "is announced");
    logleaf_hash(l, LEAF_KEY_POLICY, r->waiting);
    r->waiting_from = rules_number_of(l, LEAF_KEY_FROM);
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

/* ---- roll-ups and seals ---------------------------------------------------------------------- */

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
        rules_wrong(r, "a second roll-up of one group and interval");
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
    if (rules_number_of(l, LEAF_KEY_FEW) != 1 || has_band)
        rules_wrong(r, "few is 1, and stands without bands");
}

static void judge_alerts(struct rules *r, const struct logleaf *l)
{
    if (l->type == LEAF_ALERT && !logleaf_has(l, LEAF_KEY_ALERTS) &&
        !logleaf_has(l, LEAF_KEY_REVIEWED))
        rules_wrong(r, "it has neither alerts nor reviews");
}

static int on_rollup(struct rules *r, const struct logleaf *l)
{
    uint64_t from = rules_number_of(l, LEAF_KEY_FROM), until = rules_number_of(l, LEAF_KEY_UNTIL);
    if (from >= until)
        rules_wrong(r, "its interval ends before it begins");
    else if (r->rollup > 0 && (from % r->rollup != 0 || until - from != r->rollup))
        rules_wrong(r, "its interval is not one of %llu minutes", (unsigned long long)r->rollup);
    else if (from > l->minute)
        rules_wrong(r, "its interval has not begun");
    else if (until > l->minute && !r->is_early) {
        r->is_early = true; /* judge_early() */
        r->early_at = r->index;
    }
    if (from != r->from || until != r->until) {
        if (from < r->until)
            rules_wrong(r, "its interval overlaps the one before");
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
    uint64_t leaves = rules_number_of(l, LEAF_KEY_LEAVES);
    uint64_t disclosures = rules_number_of(l, LEAF_KEY_DISCLOSURES);
    if (leaves != since->leaves)
        rules_wrong(r, "counts %llu leaves since the last seal, and there are %llu",
                    (unsigned long long)leaves, (unsigned long long)since->leaves);
    if (disclosures != since->disclosures)
        rules_wrong(r, "counts %llu disclosures since the last seal, and there are %llu",
                    (unsigned long long)disclosures, (unsigned long long)since->disclosures);
    *since = (struct count){ 0 };
}

static void seal_interval(struct rules *r, const struct logleaf *l)
{
    if (!logleaf_has(l, LEAF_KEY_CHAIN) || logleaf_has(l, LEAF_KEY_EPOCH) ||
        logleaf_has(l, LEAF_KEY_TAGS) || logleaf_has(l, LEAF_KEY_TAGS_ROOT))
        rules_wrong(r, "a seal of an interval has chain, and no epoch, tags or tags_root");
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
        rules_wrong(r, "a seal of an epoch has epoch and tags_root, and no chain");
    rules_text_of(l, LEAF_KEY_EPOCH, epoch, sizeof(epoch));
    /* of a log that has ended nothing more can come into its last epoch */
    uint64_t now = tag_epoch_number(r->period, l->minute);
    if (tag_epoch_read(r->period, epoch, strlen(epoch), &number) < 0)
        rules_wrong(r, "\"%s\" is no epoch of this log", epoch);
    else if (number > now || (number == now && !r->is_ended))
        rules_wrong(r, "epoch \"%s\" has not ended", epoch);
    else if (number != r->epoch)
        rules_wrong(r, "epoch \"%s\" is %s", epoch,
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
    if (rules_number_of(l, LEAF_KEY_TAGS) != tags)
        rules_wrong(r, "counts %llu tags of epoch \"%s\", and there are %llu",
                    (unsigned long long)rules_number_of(l, LEAF_KEY_TAGS), epoch,
                    (unsigned long long)tags);
    else if (memcmp(root, said, sizeof(root)) != 0)
        rules_wrong(r, "tags_root is not the root over the tags of epoch \"%s\"", epoch);
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
        rules_wrong(r, "a seal of neither an interval nor an epoch");
    return 0;
}

static rules_judge_fn *const judges[LEAF_TYPE_COUNT] = {
    [LEAF_GENESIS] = on_genesis,
    [LEAF_MEMBER] = on_member,
    [LEAF_SUCCESSOR] = on_successor,
    [LEAF_START] = on_policy,
    [LEAF_POLICY] = on_policy,
    [LEAF_GRANT] = rules_on_grant,
    [LEAF_REVOKE] = rules_on_revoke,
    [LEAF_OPENED] = rules_on_opened,
    [LEAF_SESSION] = on_rollup,
    [LEAF_DISCLOSURE] = rules_on_disclosure,
    [LEAF_TRANSFER] = on_rollup,
    [LEAF_SERVICE] = on_rollup,
    [LEAF_DENIAL] = on_rollup,
    [LEAF_SEAL] = on_seal,
    [LEAF_FIND] = rules_on_find,
    [LEAF_REQUEST] = rules_on_request,
    [LEAF_BREAKGLASS] = rules_on_request,
    [LEAF_APPROVAL] = rules_on_approval,
    [LEAF_REVIEW] = rules_on_review,
    [LEAF_ALERT] = on_rollup,
    [LEAF_CONSENT] = on_rollup,
};

/* ---- what holds for every leaf -------------------------------------------------------------- */

static void judge_place(struct rules *r, const struct logleaf *l)
{
    if (r->index == 0) {
        if (l->type != LEAF_GENESIS)
            rules_wrong(r, "the first leaf is no genesis");
        rules_text_of(l, LEAF_KEY_REGION, r->facts.region, sizeof(r->facts.region));
    } else if (!logleaf_is(l, LEAF_KEY_REGION, r->facts.region)) {
        rules_wrong(r, "its region is not \"%s\"", r->facts.region);
    }
    if (l->minute < r->facts.minute)
        rules_wrong(r, "its minute lies before that of the leaf before");
    else
        r->facts.minute = l->minute;
    if (r->is_ended && l->type != LEAF_SEAL)
        rules_wrong(r, "a leaf behind the successor that is no seal");
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
    rules_wrong(r, "an epoch before \"%s\" was not sealed", r->epoch_name);
    tag_set_done(&r->tags);
    r->in_epoch = (struct count){ 0 };
    r->epoch = number;
}

/* Journals are committed to in time: behind the minute of a seal nothing happens before it. */
static void judge_seal_due(struct rules *r, const struct logleaf *l)
{
    if (l->minute < r->seal_due || l->type == LEAF_SEAL || judges[l->type] == on_rollup)
        return;
    rules_wrong(r, "the seal of an interval was due %llu minutes before",
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
