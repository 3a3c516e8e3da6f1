#include "ledger/clerk.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/clerk_inside.h"
#include "ledger/folder.h"
#include "ledger/revealed.h"
#include "ledger/succession.h"
#include "ledger/vrfkey.h"
#include "policy/grants.h"
#include "policy/policy_signers.h"
#include "priv/grant_table.h"

enum { GRANT_GRACE_MS = 2000 };

/* ---- making and freeing --------------------------------------------------------------------- */

/* This log continues another one: what its genesis says of that. */
static int continue_other(struct clerk *c, const char *predecessor, const struct secret_key *key,
                          struct err *err)
{
    struct succession s = { .next = &key->key };
    (void)snprintf(c->predecessor, sizeof(c->predecessor), "%s", predecessor);
    if (!succession_ref_read(c->predecessor, &s.at, &s.old_origin))
        return err_set(err, RF_ECONFIG, "predecessor \"%.100s\" is no leaf of a log", predecessor);
    int rc = succession_sign(&s, key, c->continues);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not sign the succession") : 0;
}

static int load_keys(struct clerk *c, const struct config_ledger *l, struct err *err)
{
    struct secret_key key;
    struct tag_book_options options = { .region = c->region_name, .origin = c->origin };
    int rc = secret_key_load(l->key_path, KEY_ED25519, &key, err);
    if (rc < 0)
        return rc;
    key_write(&key.key, c->vkey);
    if (strcmp(key.key.name, c->origin) != 0)
        rc = err_set(err, RF_ECONFIG, "the key in \"%.200s\" is not of origin \"%.100s\"",
                     l->key_path, c->origin);
    if (rc == 0 && l->predecessor != NULL)
        rc = continue_other(c, l->predecessor, &key, err);
    secret_key_wipe(&key);
    if (rc < 0)
        return rc;
    rc = vrfkey_load(l->vrf_path, c->region_name, options.secret, err);
    if (rc < 0)
        return rc;
    options.period = c->period;
    rc = vrf_public_of(options.secret, c->vrf_public);
    if (rc == 0)
        rc = tag_book_new(&options, &c->book, err);
    sodium_memzero(&options, sizeof(options));
    return rc;
}

static int set_up(struct clerk *c, const struct config *config, struct err *err)
{
    const struct config_ledger *l = &config->ledger;
    (void)snprintf(c->origin, sizeof(c->origin), "%s", l->origin);
    (void)snprintf(c->region_name, sizeof(c->region_name), "%s", config->databases[0].region);
    (void)snprintf(c->epoch_spec, sizeof(c->epoch_spec), "%s", l->epoch);
    c->rollup = (uint32_t)(l->rollup_ms / FRAME_MINUTE_MS);
    c->seal = (uint32_t)(l->seal_ms / FRAME_MINUTE_MS);
    if (tag_period_read(c->epoch_spec, strlen(c->epoch_spec), &c->period) < 0)
        return err_set(err, RF_ECONFIG, "no such epoch: \"%s\"", c->epoch_spec);
    c->slots = mem_zalloc(SUM_SLOTS, sizeof(*c->slots));
    if (config->state_dir != NULL) {
        int rc = folder_make(config->state_dir, "clerk", err);
        if (rc < 0)
            return rc;
        (void)snprintf(c->snapshot_path, sizeof(c->snapshot_path), "%.*s/clerk/snapshot",
                       PATH_MAX - 32, config->state_dir);
    }
    return c->slots == NULL ? err_set(err, RF_ENOMEM, "out of memory") : load_keys(c, l, err);
}

int clerk_new(struct journal *journal, const struct config *config,
              const struct grant_table *grants, struct clerk **ret, struct err *err)
{
    struct clerk *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    *c = (struct clerk){ .journal = journal, .grants_table = grants };
    buf_init(&c->detail, LEAF_DETAIL_MAX);
    buf_init(&c->fresh, DETAIL_MAX);
    int rc = set_up(c, config, err);
    if (rc < 0) {
        clerk_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void clerk_free(struct clerk *c)
{
    if (c == NULL)
        return;
    tag_book_free(c->book);
    repeat_done(&c->repeats);
    mem_free(c->sums);
    mem_free(c->slots);
    mem_free(c->grants);
    mem_free(c->held);
    buf_wipe_done(&c->detail);
    buf_wipe_done(&c->fresh);
    mem_free(c);
}

/* ---- leaves --------------------------------------------------------------------------------- */

void clerk_ref(const struct clerk *c, uint64_t leaf, char ret[CLERK_REF_SIZE])
{
    (void)snprintf(ret, CLERK_REF_SIZE, "%" PRIu64 " %s", leaf, c->origin);
}

/* LEAF into the journal's batch with DETAIL as its private part. */
static int leaf_append(struct clerk *c, struct logleaf *leaf, const char *detail, size_t len,
                       uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    int rc = clerk_reserve(c, err);
    if (rc == 0)
        rc = journal_append_leaf(c->journal, leaf, detail, len, instance, seq, now_ms, err);
    return rc < 0 ? rc : clerk_note(c, leaf, err);
}

/* What was appended so far becomes durable, earlier than it had to. */
static int settle(struct clerk *c, struct err *err)
{
    int rc = journal_commit(c->journal, err);
    if (rc == 0)
        tag_book_commit(c->book);
    return rc;
}

/* Of these there may be many at once, after a long stop: more than a batch holds. */
int clerk_own_leaf(struct clerk *c, struct logleaf *leaf, const char *detail, int64_t now_ms,
                   struct err *err)
{
    int rc = journal_pending(c->journal) >= JOURNAL_BATCH_MAX ? settle(c, err) : 0;
    return rc < 0 ? rc : leaf_append(c, leaf, detail, strlen(detail), 0, 0, now_ms, err);
}

static int genesis(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_GENESIS };
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_ORIGIN, c->origin);
    logleaf_text(&l, LEAF_KEY_KEY, c->vkey);
    logleaf_bytes(&l, LEAF_KEY_VRF, c->vrf_public, sizeof(c->vrf_public));
    if (c->predecessor[0] != '\0') {
        logleaf_text(&l, LEAF_KEY_PREDECESSOR, c->predecessor);
        logleaf_bytes(&l, LEAF_KEY_SIGNATURE, c->continues, sizeof(c->continues));
    }
    logleaf_text(&l, LEAF_KEY_EPOCH, c->epoch_spec);
    logleaf_number(&l, LEAF_KEY_ROLLUP, c->rollup);
    logleaf_number(&l, LEAF_KEY_SEAL, c->seal);
    return clerk_own_leaf(c, &l, "{}", now_ms, err);
}

int clerk_start(struct clerk *c, const struct policy *policy, const struct clerk_start *what,
                int64_t now_ms, struct err *err)
{
    bool waits = what->waits != NULL;
    /* A ledger that starts again is told the signatures again; they stand where it came to rule. */
    bool is_same =
        !waits && c->leaves > 0 && memcmp(c->policy_digest, policy->digest, DIGEST_LEN) == 0;
    struct record record = { .kind = RECORD_START,
                             .wall_ms = now_ms,
                             .detail = what->detail,
                             .signature = is_same ? NULL : what->signed_by };
    struct logleaf l = { .type = what->is_reload || waits ? LEAF_POLICY : LEAF_START };
    memcpy(record.session, what->session, sizeof(record.session));
    int rc = clerk_goes_on(c, err);
    if (rc < 0)
        return rc;
    rc = c->leaves == 0 ? genesis(c, now_ms, err) : clerk_tick(c, policy, now_ms, err);
    if (rc < 0)
        return rc;
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    if (l.type == LEAF_START) {
        logleaf_bytes(&l, LEAF_KEY_BINARY, what->binary, DIGEST_LEN);
        logleaf_bytes(&l, LEAF_KEY_LIBRARIES, what->libraries, DIGEST_LEN);
    }
    logleaf_number(&l, LEAF_KEY_FROM, waits ? what->from : 0);
    logleaf_bytes(&l, LEAF_KEY_POLICY, waits ? what->waits : policy->digest, DIGEST_LEN);
    logleaf_number(&l, LEAF_KEY_SIGNATURES, is_same ? 0 : what->signatures);
    if (!waits && policy_names_signers(policy))
        logleaf_number(&l, LEAF_KEY_QUORUM, (uint64_t)policy->signers.quorum);
    buf_clear(&c->detail);
    rc = leaf_detail_write(&c->detail, &record, &record);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make a leaf");
    return leaf_append(c, &l, (const char *)buf_at(&c->detail), buf_len(&c->detail), 0, 0, now_ms,
                       err);
}

int clerk_may_rule(const struct clerk *c, const struct policy *policy, const uint8_t by[32],
                   unsigned signatures, struct err *err)
{
    char before[2 * DIGEST_LEN + 1];
    unsigned counted = memcmp(by, c->policy_digest, DIGEST_LEN) == 0 ? signatures : 0;
    if (c->policy_quorum == 0 || counted >= c->policy_quorum ||
        memcmp(c->policy_digest, policy->digest, DIGEST_LEN) == 0)
        return 0;
    digest_hex(c->policy_digest, DIGEST_LEN, before);
    (void)err_set(err, RF_ECONFIG,
                  "the log says that policy %s rules, and this one has %u of the %" PRIu64
                  " signatures that it demands",
                  before, counted, c->policy_quorum);
    err_hint(err, "put that policy and its signatures back in their place, and start again");
    return -RF_ECONFIG;
}

/* ---- what is due ---------------------------------------------------------------------------- */

int clerk_seal_epoch(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_SEAL };
    char epoch[TAG_EPOCH_SIZE];
    uint8_t root[DIGEST_LEN];
    uint64_t count;
    /* tags of the epoch are counted when they are durable */
    int rc = tag_book_pending(c->book) > 0 ? settle(c, err) : 0;
    if (rc < 0)
        return rc;
    rc = tag_book_seal(c->book, root, &count);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not sum up the epoch's tags");
    (void)snprintf(epoch, sizeof(epoch), "%s", tag_book_epoch(c->book));
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_OF, "epoch");
    logleaf_text(&l, LEAF_KEY_EPOCH, epoch);
    logleaf_number(&l, LEAF_KEY_DISCLOSURES, c->since_epoch.disclosures);
    logleaf_number(&l, LEAF_KEY_LEAVES, c->since_epoch.leaves);
    logleaf_number(&l, LEAF_KEY_TAGS, count);
    logleaf_bytes(&l, LEAF_KEY_TAGS_ROOT, root, sizeof(root));
    return clerk_own_leaf(c, &l, "{}", now_ms, err);
}

int clerk_seal_interval(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_SEAL };
    uint8_t chain[DIGEST_LEN];
    journal_chain(c->journal, chain);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_OF, "interval");
    logleaf_number(&l, LEAF_KEY_DISCLOSURES, c->since_interval.disclosures);
    logleaf_number(&l, LEAF_KEY_LEAVES, c->since_interval.leaves);
    logleaf_bytes(&l, LEAF_KEY_CHAIN, chain, sizeof(chain));
    return clerk_own_leaf(c, &l, "{}", now_ms, err);
}

/* The exact numbers, for the private part. */
static void sum_detail(const struct sum *s, char *to, size_t size)
{
    if (s->type == LEAF_CONSENT)
        (void)snprintf(to, size, "{\"detail\":\"given=%" PRIu64 " withdrawn=%" PRIu64 "\"}",
                       s->statements, s->rows);
    else
        (void)snprintf(to, size,
                       "{\"detail\":\"sessions=%" PRIu64 " statements=%" PRIu64 " rows=%" PRIu64
                       " bytes=%" PRIu64 " denials=%" PRIu64 " alerts=%" PRIu64 " reviewed=%" PRIu64
                       "\"}",
                       s->sessions, s->statements, s->rows, s->bytes, s->denials, s->alerts,
                       s->reviewed);
}

int clerk_roll_up(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                  struct err *err)
{
    size_t due = sum_due(c, minute), done = 0;
    int rc = 0;
    for (; rc == 0 && done < due; done++) {
        const struct sum s = c->sums[done];
        struct logleaf l;
        char detail[300];
        sum_leaf(c, &s, policy->small_cell, &l);
        sum_detail(&s, detail, sizeof(detail));
        rc = clerk_own_leaf(c, &l, detail, now_ms, err);
    }
    sum_drop_first(c, rc < 0 ? done - 1 : done);
    return rc;
}

/* There may be a hundred thousand open grants and as many held purposes, and every record waits for
   a tick. So each looks at some, from the end on, and the next one at those before them. What is
   removed meanwhile leaves its place to the last of all, which has been looked at. */
static size_t looked_at_next(size_t *at, size_t count)
{
    if (*at == 0 || *at > count)
        *at = count;
    return --*at;
}

static size_t of_a_tick(size_t count)
{
    return count < CLERK_A_TICK ? count : CLERK_A_TICK;
}

static int open_held(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                     struct err *err)
{
    int rc = 0;
    for (size_t left = of_a_tick(c->held_count); rc == 0 && left > 0; left--) {
        const struct held_leaf h = c->held[looked_at_next(&c->held_at, c->held_count)];
        if (!hold_is_due(&h, policy, minute))
            continue;
        struct logleaf l = { .type = LEAF_OPENED };
        char ref[CLERK_REF_SIZE];
        clerk_ref(c, h.leaf, ref);
        logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
        logleaf_text(&l, LEAF_KEY_PURPOSE, h.purpose);
        logleaf_text(&l, LEAF_KEY_REF, ref);
        logleaf_bytes(&l, LEAF_KEY_SALT, h.salt, sizeof(h.salt));
        rc = clerk_own_leaf(c, &l, "{}", now_ms, err);
        if (rc == 0) /* after writing, its values are bytes: the ref is text either way */
            hold_forget(c, &l);
    }
    return rc;
}

int clerk_boundaries(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                     struct err *err)
{
    int rc = 0;
    while (rc == 0 && !tag_book_covers(c->book, minute)) /* each epoch that went by has its own */
        rc = clerk_seal_epoch(c, now_ms, err);
    if (rc == 0 && c->sum_count > 0)
        rc = clerk_roll_up(c, policy, minute, now_ms, err);
    if (rc == 0 && minute >= c->seal_minute)
        rc = clerk_seal_interval(c, now_ms, err);
    return rc;
}

int clerk_detailed_leaf(struct clerk *c, struct logleaf *leaf, const struct record *said,
                        const struct record *published, uint64_t instance, uint64_t seq,
                        int64_t now_ms, struct err *err)
{
    uint64_t index = c->leaves;
    buf_clear(&c->detail);
    int rc = leaf_detail_write(&c->detail, said, published);
    if (rc < 0)
        rc = err_set(err, (enum err_code) - rc, "could not make a leaf");
    else
        rc = leaf_append(c, leaf, (const char *)buf_at(&c->detail), buf_len(&c->detail), instance,
                         seq, now_ms, err);
    hold_settle(c, index, leaf->minute, rc == 0);
    return rc;
}

/* ---- grants --------------------------------------------------------------------------------- */

static void classes_write(uint32_t classes, char ret[RECORD_WORD_MAX + 1])
{
    size_t len = 0;
    ret[0] = '\0';
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++)
        if ((classes & (1U << i)) != 0)
            len += (size_t)snprintf(ret + len, RECORD_WORD_MAX + 1 - len, "%s%s",
                                    len > 0 ? "," : "", policy_class_name((enum class_id)i));
}

/* What makes the grant E true: another log's leaf of it, or that the policy lets an administrator
   open grants. Neither: every verifier calls that wanting. */
static void put_evidence(const struct policy *policy, const struct grant_entry *e,
                         struct logleaf *l)
{
    bool by_administrator =
        policy->grants == NULL || policy->grants->opened_by == GRANTS_BY_ADMINISTRATOR;
    size_t len = strlen(e->ref);
    if (len > 0 && len < CLERK_REF_SIZE && logleaf_are_refs(e->ref, len))
        logleaf_text(l, LEAF_KEY_GRANT_REF, e->ref);
    else if (by_administrator)
        logleaf_text(l, LEAF_KEY_BY, "administrator");
    else
        log_error("alert",
                  "rule=grant-without-evidence grant=%" PRIu64
                  " reason=\"it was opened, and nothing on record says by whom\"",
                  e->id);
}

/* The grant's own leaf, out of what control published about it. */
static int grant_leaf(struct clerk *c, const struct policy *policy, const struct grant_entry *e,
                      const char *alias, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_GRANT };
    char classes[RECORD_WORD_MAX + 1], policy_ref[CLERK_REF_SIZE];
    const struct policy_actor *actor = policy_actor_find(policy, e->actor);
    struct record record = { .kind = RECORD_NONE,
                             .wall_ms = now_ms,
                             .actor = e->actor,
                             .database = alias, /* a start takes it from here */
                             .role = e->role,
                             .subjects = e->subjects };
    char held[HOLD_DETAIL_SIZE];
    classes_write(e->classes, classes);
    clerk_ref(c, c->policy_leaf, policy_ref);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    if (actor != NULL && actor->entity != NULL)
        logleaf_text(&l, LEAF_KEY_ENTITY, actor->entity->name);
    if (actor != NULL)
        logleaf_text(&l, LEAF_KEY_PLACE, actor->place.code);
    int rc = hold_put(c, policy, policy_has_purpose(policy, e->purpose) ? e->purpose : "unlisted",
                      &l, held);
    if (rc < 0)
        return err_set(err, RF_ENOMEM, "out of memory for a held purpose");
    record.detail = held;
    logleaf_number(&l, LEAF_KEY_GRANT, e->id);
    logleaf_text(&l, LEAF_KEY_CLASSES, classes[0] != '\0' ? classes : "unlisted");
    logleaf_number(&l, LEAF_KEY_SUBJECTS, e->subjects > 0 ? e->subjects : 1);
    logleaf_number(&l, LEAF_KEY_UNTIL, (uint64_t)(e->ends_wall_ms / FRAME_MINUTE_MS + 1));
    logleaf_text(&l, LEAF_KEY_POLICY_REF, policy_ref);
    put_evidence(policy, e, &l);
    return clerk_detailed_leaf(c, &l, &record, &record, 0, 0, now_ms, err);
}

/* The grant that SAID is about has its leaf before anything else is said of it. What control has
   not published is no grant, and the disclosure stands without one: every verifier sees that. */
static int meet_grant(struct clerk *c, const struct policy *policy, const struct record *said,
                      int64_t now_ms, struct err *err)
{
    struct grant_entry e;
    struct known_grant *known = clerk_grant(c, said->grant, said->database);
    int database = c->grants_table != NULL && said->database != NULL
                       ? grant_table_database(c->grants_table, said->database)
                       : -1;
    if (known != NULL && known->alias[0] != '\0')
        return 0;
    if (database < 0 || strlen(said->database) >= GRANT_ALIAS_SIZE ||
        grant_table_look(c->grants_table, (unsigned)database, said->grant, &e) != 1)
        return 0;
    /* Of a grant that is closed nothing is known any more but that. */
    int rc = known == NULL && !e.closed && !e.withheld && e.ends_wall_ms > now_ms
                 ? grant_leaf(c, policy, &e, said->database, now_ms, err)
                 : 0;
    known = clerk_grant(c, said->grant, said->database);
    if (rc == 0 && known != NULL) {
        (void)snprintf(known->alias, sizeof(known->alias), "%s", said->database);
        known->ends_ms = e.ends_wall_ms;
    }
    return rc;
}

static int revoke(struct clerk *c, const struct known_grant *g, const char *rule, int64_t now_ms,
                  struct err *err)
{
    struct logleaf l = { .type = LEAF_REVOKE };
    char ref[CLERK_REF_SIZE];
    clerk_ref(c, g->leaf, ref);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_RULE, rule);
    logleaf_number(&l, LEAF_KEY_GRANT, g->id);
    logleaf_text(&l, LEAF_KEY_GRANT_REF, ref);
    return clerk_own_leaf(c, &l, "{}", now_ms, err);
}

/* After a start only the minute is known that the leaf names, `until` behind it: what is over when
   that minute has begun is taken to have run out. */
static int64_t end_ms_of(const struct known_grant *g)
{
    int64_t minute = g->until > 0 ? (int64_t)g->until - 1 : 0;
    return g->ends_ms != 0 ? g->ends_ms : minute * FRAME_MINUTE_MS;
}

/* Why G has ended, or NULL. What a database does not tell at the moment is no end, and neither is
   a table that knows nothing yet, and a grant that is only about to be opened: then the time that
   the grant's leaf names decides. */
static const char *end_of(const struct clerk *c, struct known_grant *g, int database,
                          int64_t now_ms)
{
    struct grant_entry e;
    int found =
        database < 0 ? -1 : grant_table_look(c->grants_table, (unsigned)database, g->id, &e);
    if (found == 1 && !e.closed && g->ends_ms == 0)
        g->ends_ms = e.ends_wall_ms;
    /* Control closes a grant that ran out, too, and often before we look. */
    int64_t seen_ms = g->over_ms != 0 && g->over_ms < now_ms ? g->over_ms : now_ms;
    g->used_up = g->used_up || (found == 1 && e.closed && e.used_up);
    const char *gone = g->used_up ? "used_up" : seen_ms >= end_ms_of(g) ? "expired" : "revoked";
    if (found == 1) {
        g->awaited = 0;
        return e.closed ? gone : e.ends_wall_ms <= now_ms ? "expired" : NULL;
    }
    bool is_awaited = now_ms / FRAME_MINUTE_MS < g->awaited;
    if (found == 0 && !is_awaited &&
        grant_table_leased(c->grants_table, (unsigned)database, clock_mono_ms()))
        return gone;
    return now_ms / FRAME_MINUTE_MS > g->until ? "expired" : NULL;
}

/* Grants that have ended. Workers see an end as soon as we do, and what they saw before it may
   still be on its way to us: it comes first. */
static int end_grants(struct clerk *c, int64_t now_ms, struct err *err)
{
    char alias[GRANT_ALIAS_SIZE] = ""; /* nearly all are of one database */
    int database = -1;
    for (size_t left = of_a_tick(c->grant_count); left > 0; left--) {
        struct known_grant *g = &c->grants[looked_at_next(&c->grant_at, c->grant_count)];
        if (strcmp(g->alias, alias) != 0) {
            memcpy(alias, g->alias, sizeof(alias));
            database = c->grants_table != NULL && alias[0] != '\0'
                           ? grant_table_database(c->grants_table, alias)
                           : -1;
        }
        const char *why = end_of(c, g, database, now_ms);
        if (why == NULL || g->over_ms == 0 || now_ms < g->over_ms)
            g->over_ms = why == NULL ? 0 : now_ms;
        if (why == NULL || now_ms - g->over_ms < GRANT_GRACE_MS)
            continue;
        const struct known_grant ended = *g;
        int rc = revoke(c, &ended, why, now_ms, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- disclosures ---------------------------------------------------------------------------- */

uint32_t clerk_class_bits(const char *list)
{
    uint32_t bits = 0;
    for (const char *end; *list != '\0'; list = *end == ',' ? end + 1 : end) {
        uint32_t before = bits;
        end = list + strcspn(list, ",");
        for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++) {
            const char *name = policy_class_name((enum class_id)i);
            if (strlen(name) == (size_t)(end - list) && memcmp(name, list, strlen(name)) == 0)
                bits |= 1U << i;
        }
        if (bits == before)
            return 0;
    }
    return bits;
}

/* One subject of a disclosure after the other. */
struct walk {
    const char *at;
    struct repeat_what what;
    uint8_t subject[TAG_SUBJECT_MAX];
    char classes[RECORD_WORD_MAX + 1];
    const char *key; /* as it stands in the list, with its escapes */
    size_t key_len;
    uint32_t bits;
    uint8_t hash[REPEAT_KEY_LEN];
};

static void walk_begin(struct walk *w, const struct record *said, const struct record *published)
{
    *w = (struct walk){ .at = said->revealed != NULL ? said->revealed : "",
                        .what = { .grant = said->grant,
                                  .database = said->database,
                                  .entity = published->entity,
                                  .place = published->place,
                                  .room = published->room } };
}

static bool walk_next_subject(struct walk *w)
{
    const char *begin = w->at;
    w->at = revealed_next(begin, w->subject, &w->what.subject_len, w->classes);
    if (w->at == NULL)
        return false;
    w->key = begin;
    w->key_len = strcspn(begin, " ");
    w->bits = w->what.subject_len > 0 ? clerk_class_bits(w->classes) : 0;
    w->what.subject = w->subject;
    repeat_key_of(&w->what, w->hash);
    return true;
}

/* What no leaf of this hour has said of SAID stays in c->fresh, as `revealed` lists it. *RET_BITS:
   its classes. An empty list: all of it is repeated. *RET_PART: some of it is. */
static int find_fresh(struct clerk *c, const struct record *said, const struct record *published,
                      uint32_t minute, uint32_t *ret_bits, bool *ret_part, struct err *err)
{
    struct walk w;
    int rc = 0;
    buf_clear(&c->fresh);
    repeat_enter(&c->repeats, minute, tag_epoch_number(c->period, minute));
    *ret_bits = 0;
    *ret_part = false;
    walk_begin(&w, said, published);
    while (rc == 0 && walk_next_subject(&w)) {
        uint32_t shown = repeat_shown(&c->repeats, w.hash) & w.bits;
        const char *classes = w.classes;
        char left[RECORD_WORD_MAX + 1];
        *ret_part |= shown != 0;
        if (w.bits != 0 && shown == w.bits)
            continue;
        if (shown != 0) {
            classes_write(w.bits & ~shown, left);
            classes = left;
        }
        *ret_bits |= w.bits & ~shown;
        rc = buf_len(&c->fresh) > 0 ? buf_append(&c->fresh, " ", 1) : 0;
        if (rc == 0)
            rc = buf_append(&c->fresh, w.key, w.key_len);
        if (rc == 0)
            rc = buf_append(&c->fresh, " ", 1);
        if (rc == 0)
            rc = buf_append(&c->fresh, classes, strlen(classes));
    }
    if (rc == 0)
        rc = buf_append(&c->fresh, "", 1); /* its end */
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not read a disclosure's subjects")
                  : 0;
}

/* A leaf says all of SAID now. */
static void note_shown(struct clerk *c, const struct record *said, const struct record *published)
{
    struct walk w;
    walk_begin(&w, said, published);
    while (walk_next_subject(&w))
        repeat_note(&c->repeats, w.hash, w.bits);
}

static int take_tags(struct clerk *c, const struct record *said,
                     uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN], unsigned *ret_count)
{
    uint8_t key[TAG_SUBJECT_MAX];
    char classes[RECORD_WORD_MAX + 1];
    const char *at = said->revealed != NULL ? said->revealed : "";
    size_t len;
    unsigned n = 0;
    while ((at = revealed_next(at, key, &len, classes)) != NULL) {
        if (len == 0 || n == LOGLEAF_ITEMS_MAX)
            return -RF_EPROTO;
        int rc = tag_book_take(c->book, key, len, classes, said->wall_ms, items[n]);
        if (rc < 0)
            return rc;
        n++;
    }
    *ret_count = n;
    return n > 0 ? 0 : -RF_EPROTO;
}

/* What the leaf of a disclosure says of its grant: nothing that only a worker says. A purpose that
   the policy dropped meanwhile stays the grant's, or an honest log would contradict itself; classes
   that the grant has not are no access under it, and no honest gateway sends them. */
static void put_grant(struct clerk *c, struct logleaf *l, const struct known_grant *grant,
                      uint32_t bits, char ref[CLERK_REF_SIZE])
{
    if (grant == NULL)
        return;
    logleaf_number(l, LEAF_KEY_GRANT, grant->id);
    if (bits == 0 || (bits & ~grant->classes) != 0) {
        log_error("alert",
                  "rule=classes-beyond-grant grant=%" PRIu64
                  " reason=\"a worker discloses classes that its grant does not name\"",
                  grant->id);
        return;
    }
    clerk_ref(c, grant->leaf, ref);
    logleaf_text(l, LEAF_KEY_GRANT_REF, ref);
}

/* The leaf of SAID, whose `revealed` and classes are what it shows. */
static int disclosure_leaf(struct clerk *c, const struct policy *policy, const struct record *said,
                           const struct record *published, uint64_t instance, uint64_t seq,
                           int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_DISCLOSURE };
    struct record detailed = *said;
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    char grant_ref[CLERK_REF_SIZE], held[HOLD_DETAIL_SIZE];
    unsigned count;
    size_t mark = tag_book_pending(c->book);
    const struct known_grant *grant = clerk_grant(c, said->grant, said->database);
    int rc = take_tags(c, said, items, &count);
    if (rc < 0) {
        tag_book_undo(c->book, mark);
        return err_set(err, (enum err_code) - rc, "could not number the subjects of a disclosure");
    }
    const char *purpose =
        grant != NULL && grant->purpose[0] != '\0' ? grant->purpose : published->purpose;
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_ENTITY, published->entity);
    logleaf_text(&l, LEAF_KEY_PLACE, published->place);
    logleaf_text(&l, LEAF_KEY_ROOM, published->room);
    put_grant(c, &l, grant, clerk_class_bits(published->classes), grant_ref);
    logleaf_text(&l, LEAF_KEY_CLASSES, published->classes);
    logleaf_text(&l, LEAF_KEY_EPOCH, tag_book_epoch(c->book));
    logleaf_bytes(&l, LEAF_KEY_TAGS, items[0], count * (size_t)LOGLEAF_ITEM_LEN);
    rc = hold_put(c, policy, purpose, &l, held);
    if (held[0] != '\0')
        detailed.detail = held;
    if (rc < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for a held purpose");
    else
        rc = clerk_detailed_leaf(c, &l, &detailed, published, instance, seq, now_ms, err);
    if (rc < 0)
        tag_book_undo(c->book, mark);
    return rc;
}

/* Only what is new in this hour has a leaf, while the grant is open: what comes behind its end is
   for every verifier to see. When that is not all, the leaf is one of our own, and the worker's
   record stands behind it whole. */
static int disclosure(struct clerk *c, const struct policy *policy, const struct record *said,
                      uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    struct record published, fresh = *said;
    char classes[RECORD_WORD_MAX + 1];
    uint32_t bits = 0;
    bool is_part = false;
    leaf_publish(policy, said, &published);
    if (clerk_grant(c, said->grant, said->database) == NULL)
        return disclosure_leaf(c, policy, said, &published, instance, seq, now_ms, err);
    int rc =
        find_fresh(c, said, &published, journal_minute(c->journal, now_ms), &bits, &is_part, err);
    if (rc < 0)
        return rc;
    if (is_part) {
        fresh.revealed = (const char *)buf_at(&c->fresh);
        bits &= clerk_class_bits(published.classes);
        classes_write(bits, classes);
        if (bits != 0)
            fresh.classes = published.classes = classes;
    }
    bool is_new = !is_part || fresh.revealed[0] != '\0';
    if (is_new)
        rc = disclosure_leaf(c, policy, &fresh, &published, is_part ? 0 : instance,
                             is_part ? 0 : seq, now_ms, err);
    if (rc == 0 && is_part)
        rc = clerk_reserve(c, err);
    if (rc == 0 && is_part)
        rc = journal_append(c->journal, policy, said, instance, seq, now_ms, err);
    if (rc == 0 && is_new)
        note_shown(c, said, &published);
    return rc;
}

/* ---- records -------------------------------------------------------------------------------- */

static struct leaf_word word_of(const char *text)
{
    return (struct leaf_word){ text, text != NULL ? strlen(text) : 0 };
}

/* The same sums live as after a start: out of what stands in the open part. */
static void sum_up(struct clerk *c, const struct policy *policy, const struct record *said,
                   int64_t now_ms)
{
    struct record p;
    leaf_publish(policy, said, &p);
    const struct leaf open = { .kind = p.kind,
                               .minute = journal_minute(c->journal, now_ms),
                               .region = word_of(p.region),
                               .entity = word_of(p.entity),
                               .place = word_of(p.place),
                               .room = word_of(p.room),
                               .purpose = word_of(p.purpose),
                               .rule = word_of(p.rule),
                               .actor_kind = word_of(p.actor_kind),
                               .verdict = word_of(p.verdict),
                               .grant = p.grant,
                               .rows = p.rows,
                               .bytes = p.bytes,
                               .statements = p.statements,
                               .subjects = p.subjects,
                               .slot = p.slot,
                               .start = p.start };
    sum_record(c, policy_region_find(policy, c->region_name), &open);
}

int clerk_append(struct clerk *c, struct journal *journal, const struct policy *policy,
                 const struct record *said, uint64_t instance, uint64_t seq, int64_t now_ms,
                 struct err *err)
{
    if (c == NULL)
        return journal_append(journal, policy, said, instance, seq, now_ms, err);
    int rc = clerk_goes_on(c, err);
    if (rc == 0)
        rc = clerk_boundaries(c, policy, journal_minute(c->journal, now_ms), now_ms, err);
    if (rc == 0 && said->grant != 0 && !record_is_of_registrar(said->kind))
        rc = meet_grant(c, policy, said, now_ms, err);
    if (rc < 0)
        return rc;
    if (record_is_leaf(said->kind))
        return clerk_asked(c, policy, said, instance, seq, now_ms, err);
    if (said->kind == RECORD_DISCLOSURE)
        return disclosure(c, policy, said, instance, seq, now_ms, err);
    rc = clerk_reserve(c, err);
    if (rc == 0)
        rc = journal_append(c->journal, policy, said, instance, seq, now_ms, err);
    if (rc == 0)
        sum_up(c, policy, said, now_ms);
    return rc;
}

int clerk_tick(struct clerk *c, const struct policy *policy, int64_t now_ms, struct err *err)
{
    if (c->leaves == 0 || c->end.origin[0] != '\0')
        return 0;
    int rc = clerk_boundaries(c, policy, journal_minute(c->journal, now_ms), now_ms, err);
    if (rc == 0)
        rc = open_held(c, policy, journal_minute(c->journal, now_ms), now_ms, err);
    return rc < 0 ? rc : end_grants(c, now_ms, err);
}

int64_t clerk_due_ms(const struct clerk *c)
{
    if (c->leaves == 0)
        return INT64_MAX;
    uint32_t epoch = clerk_next_epoch(c->period, c->epoch_minute), due = c->seal_minute;
    if (epoch < due)
        due = epoch;
    if (c->sum_count > 0 && c->sum_oldest + c->rollup < due)
        due = c->sum_oldest + c->rollup;
    return (int64_t)due * FRAME_MINUTE_MS;
}

void clerk_committed(struct clerk *c)
{
    if (c == NULL)
        return;
    tag_book_commit(c->book);
    if (clerk_snapshot_is_due(c))
        clerk_snapshot(c);
}
