#include "ledger/clerk.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ledger/clerk_inside.h"
#include "ledger/revealed.h"
#include "ledger/vrfkey.h"
#include "priv/grant_table.h"

/* ---- making and freeing --------------------------------------------------------------------- */

static int load_keys(struct clerk *c, const struct config_ledger *l, struct err *err)
{
    struct secret_key key;
    struct tag_book_options options = { .region = c->region_name, .origin = c->origin };
    int rc = secret_key_load(l->key_path, KEY_ED25519, &key, err);
    if (rc < 0)
        return rc;
    key_write(&key.key, c->vkey);
    bool is_ours = strcmp(key.key.name, c->origin) == 0;
    secret_key_wipe(&key);
    if (!is_ours)
        return err_set(err, RF_ECONFIG, "the key in \"%.200s\" is not of origin \"%.100s\"",
                       l->key_path, c->origin);
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
    return c->slots == NULL ? err_set(err, RF_ENOMEM, "out of memory") : load_keys(c, l, err);
}

int clerk_new(struct journal *journal, const struct config *config,
              const struct grant_table *grants, struct clerk **ret, struct err *err)
{
    struct clerk *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    *c = (struct clerk){ .journal = journal, .grants_table = grants };
    buf_init(&c->detail, DETAIL_MAX);
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
    mem_free(c->sums);
    mem_free(c->slots);
    mem_free(c->grants);
    mem_free(c->held);
    buf_wipe_done(&c->detail);
    mem_free(c);
}

/* ---- leaves --------------------------------------------------------------------------------- */

static void ref_write(const struct clerk *c, uint64_t leaf, char ret[KEY_NAME_MAX + 24])
{
    (void)snprintf(ret, KEY_NAME_MAX + 24, "%" PRIu64 " %s", leaf, c->origin);
}

/* LEAF into the journal's batch with DETAIL as its private part. */
static int leaf_append(struct clerk *c, struct logleaf *leaf, const char *detail, size_t len,
                       uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    int rc = journal_append_leaf(c->journal, leaf, detail, len, instance, seq, now_ms, err);
    return rc < 0 ? rc : clerk_note(c, leaf, err);
}

static int own_leaf(struct clerk *c, struct logleaf *leaf, const char *detail, int64_t now_ms,
                    struct err *err)
{
    return leaf_append(c, leaf, detail, strlen(detail), 0, 0, now_ms, err);
}

static int genesis(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_GENESIS };
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_ORIGIN, c->origin);
    logleaf_text(&l, LEAF_KEY_KEY, c->vkey);
    logleaf_bytes(&l, LEAF_KEY_VRF, c->vrf_public, sizeof(c->vrf_public));
    logleaf_text(&l, LEAF_KEY_EPOCH, c->epoch_spec);
    logleaf_number(&l, LEAF_KEY_ROLLUP, c->rollup);
    logleaf_number(&l, LEAF_KEY_SEAL, c->seal);
    return own_leaf(c, &l, "{}", now_ms, err);
}

int clerk_start(struct clerk *c, const struct policy *policy, const struct clerk_start *what,
                int64_t now_ms, struct err *err)
{
    struct record record = { .kind = RECORD_START, .wall_ms = now_ms, .detail = what->detail };
    struct logleaf l = { .type = what->is_reload ? LEAF_POLICY : LEAF_START };
    memcpy(record.session, what->session, sizeof(record.session));
    int rc = c->leaves == 0 ? genesis(c, now_ms, err) : clerk_tick(c, policy, now_ms, err);
    if (rc < 0)
        return rc;
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    if (!what->is_reload) {
        logleaf_bytes(&l, LEAF_KEY_BINARY, what->binary, DIGEST_LEN);
        logleaf_bytes(&l, LEAF_KEY_LIBRARIES, what->libraries, DIGEST_LEN);
    }
    logleaf_bytes(&l, LEAF_KEY_POLICY, policy->digest, DIGEST_LEN);
    buf_clear(&c->detail);
    rc = leaf_detail_write(&c->detail, &record, &record);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make a leaf");
    return leaf_append(c, &l, (const char *)buf_at(&c->detail), buf_len(&c->detail), 0, 0, now_ms,
                       err);
}

/* ---- what is due ---------------------------------------------------------------------------- */

/* Tags of the epoch are counted when they are durable. */
static int settle(struct clerk *c, struct err *err)
{
    if (tag_book_pending(c->book) == 0)
        return 0;
    int rc = journal_commit(c->journal, err);
    if (rc == 0)
        tag_book_commit(c->book);
    return rc;
}

static int seal_epoch(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_SEAL };
    char epoch[TAG_EPOCH_SIZE];
    uint8_t root[DIGEST_LEN];
    uint64_t count;
    int rc = settle(c, err);
    if (rc == 0 && (rc = tag_book_seal(c->book, root, &count)) < 0)
        rc = err_set(err, (enum err_code) - rc, "could not sum up the epoch's tags");
    if (rc < 0)
        return rc;
    (void)snprintf(epoch, sizeof(epoch), "%s", tag_book_epoch(c->book));
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_OF, "epoch");
    logleaf_text(&l, LEAF_KEY_EPOCH, epoch);
    logleaf_number(&l, LEAF_KEY_DISCLOSURES, c->since_epoch.disclosures);
    logleaf_number(&l, LEAF_KEY_LEAVES, c->since_epoch.leaves);
    logleaf_number(&l, LEAF_KEY_TAGS, count);
    logleaf_bytes(&l, LEAF_KEY_TAGS_ROOT, root, sizeof(root));
    return own_leaf(c, &l, "{}", now_ms, err);
}

static int seal_interval(struct clerk *c, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_SEAL };
    uint8_t chain[DIGEST_LEN];
    journal_chain(c->journal, chain);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_OF, "interval");
    logleaf_number(&l, LEAF_KEY_DISCLOSURES, c->since_interval.disclosures);
    logleaf_number(&l, LEAF_KEY_LEAVES, c->since_interval.leaves);
    logleaf_bytes(&l, LEAF_KEY_CHAIN, chain, sizeof(chain));
    return own_leaf(c, &l, "{}", now_ms, err);
}

static int roll_up(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                   struct err *err)
{
    size_t due = sum_due(c, minute), done = 0;
    int rc = 0;
    for (; rc == 0 && done < due; done++) {
        const struct sum s = c->sums[done];
        struct logleaf l;
        char detail[240];
        sum_leaf(c, &s, policy->small_cell, &l);
        (void)snprintf(detail, sizeof(detail),
                       "{\"detail\":\"sessions=%" PRIu64 " statements=%" PRIu64 " rows=%" PRIu64
                       " bytes=%" PRIu64 " denials=%" PRIu64 "\"}",
                       s.sessions, s.statements, s.rows, s.bytes, s.denials);
        rc = own_leaf(c, &l, detail, now_ms, err);
    }
    sum_drop_first(c, rc < 0 ? done - 1 : done);
    return rc;
}

static int open_held(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                     struct err *err)
{
    const struct held_leaf *due;
    int rc = 0;
    while (rc == 0 && (due = hold_due(c, policy, minute)) != NULL) {
        const struct held_leaf h = *due;
        struct logleaf l = { .type = LEAF_OPENED };
        char ref[KEY_NAME_MAX + 24];
        ref_write(c, h.leaf, ref);
        logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
        logleaf_text(&l, LEAF_KEY_PURPOSE, h.purpose);
        logleaf_text(&l, LEAF_KEY_REF, ref);
        logleaf_bytes(&l, LEAF_KEY_SALT, h.salt, sizeof(h.salt));
        rc = own_leaf(c, &l, "{}", now_ms, err);
        if (rc == 0) /* after writing, its values are bytes: the ref is text either way */
            hold_forget(c, &l);
    }
    return rc;
}

/* Everything that a leaf of MINUTE comes after. */
static int boundaries(struct clerk *c, const struct policy *policy, uint32_t minute, int64_t now_ms,
                      struct err *err)
{
    int rc = 0;
    while (rc == 0 && !tag_book_covers(c->book, minute)) /* each epoch that went by has its own */
        rc = seal_epoch(c, now_ms, err);
    if (rc == 0 && c->sum_count > 0)
        rc = roll_up(c, policy, minute, now_ms, err);
    if (rc == 0 && minute >= c->seal_minute)
        rc = seal_interval(c, now_ms, err);
    return rc;
}

/* LEAF with the private part of what was said. */
static int detailed_leaf(struct clerk *c, struct logleaf *leaf, const struct record *said,
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

static bool has_purpose(const struct policy *policy, const char *purpose)
{
    for (size_t i = 0; i < policy->purpose_count; i++)
        if (strcmp(policy->purposes[i], purpose) == 0)
            return true;
    return false;
}

/* The grant's own leaf, out of what control published about it. */
static int grant_leaf(struct clerk *c, const struct policy *policy, const struct grant_entry *e,
                      int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_GRANT };
    char classes[RECORD_WORD_MAX + 1], policy_ref[KEY_NAME_MAX + 24];
    const struct policy_actor *actor = policy_actor_find(policy, e->actor);
    struct record record = { .kind = RECORD_NONE,
                             .wall_ms = now_ms,
                             .actor = e->actor,
                             .role = e->role,
                             .subjects = e->subjects };
    char held[HOLD_DETAIL_SIZE];
    classes_write(e->classes, classes);
    ref_write(c, c->policy_leaf, policy_ref);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    if (actor != NULL && actor->entity != NULL)
        logleaf_text(&l, LEAF_KEY_ENTITY, actor->entity->name);
    if (actor != NULL)
        logleaf_text(&l, LEAF_KEY_PLACE, actor->place.code);
    int rc =
        hold_put(c, policy, has_purpose(policy, e->purpose) ? e->purpose : "unlisted", &l, held);
    if (rc < 0)
        return err_set(err, RF_ENOMEM, "out of memory for a held purpose");
    record.detail = held;
    logleaf_number(&l, LEAF_KEY_GRANT, e->id);
    logleaf_text(&l, LEAF_KEY_CLASSES, classes[0] != '\0' ? classes : "unlisted");
    logleaf_number(&l, LEAF_KEY_SUBJECTS, e->subjects > 0 ? e->subjects : 1);
    logleaf_number(&l, LEAF_KEY_UNTIL, (uint64_t)(e->ends_wall_ms / FRAME_MINUTE_MS + 1));
    logleaf_text(&l, LEAF_KEY_POLICY_REF, policy_ref);
    return detailed_leaf(c, &l, &record, &record, 0, 0, now_ms, err);
}

/* The grant that SAID is about has its leaf before anything else is said of it. What control has
   not published is no grant, and the disclosure stands without one: every verifier sees that. */
static int meet_grant(struct clerk *c, const struct policy *policy, const struct record *said,
                      int64_t now_ms, struct err *err)
{
    struct grant_entry e;
    struct known_grant *known = clerk_grant(c, said->grant);
    int database = c->grants_table != NULL && said->database != NULL
                       ? grant_table_database(c->grants_table, said->database)
                       : -1;
    if (known != NULL && known->alias[0] != '\0')
        return 0;
    if (database < 0 || grant_table_look(c->grants_table, (unsigned)database, said->grant, &e) != 1)
        return 0;
    int rc = known == NULL ? grant_leaf(c, policy, &e, now_ms, err) : 0;
    known = clerk_grant(c, said->grant);
    if (rc == 0 && known != NULL)
        (void)snprintf(known->alias, sizeof(known->alias), "%s", said->database);
    return rc;
}

static int revoke(struct clerk *c, const struct known_grant *g, const char *rule, int64_t now_ms,
                  struct err *err)
{
    struct logleaf l = { .type = LEAF_REVOKE };
    char ref[KEY_NAME_MAX + 24];
    ref_write(c, g->leaf, ref);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_RULE, rule);
    logleaf_number(&l, LEAF_KEY_GRANT, g->id);
    logleaf_text(&l, LEAF_KEY_GRANT_REF, ref);
    return own_leaf(c, &l, "{}", now_ms, err);
}

/* Grants that have ended since we last looked. Whether one ran out or was closed says its end. */
static int end_grants(struct clerk *c, int64_t now_ms, struct err *err)
{
    for (size_t i = c->grant_count; i-- > 0;) {
        const struct known_grant g = c->grants[i];
        struct grant_entry e;
        int database = c->grants_table != NULL && g.alias[0] != '\0'
                           ? grant_table_database(c->grants_table, g.alias)
                           : -1;
        if (database < 0)
            continue;
        int found = grant_table_look(c->grants_table, (unsigned)database, g.id, &e);
        if (found < 0 || (found == 1 && !e.closed && e.ends_wall_ms > now_ms))
            continue;
        bool ran_out = found == 1 && !e.closed;
        int rc = revoke(c, &g, ran_out ? "expired" : "revoked", now_ms, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- disclosures ---------------------------------------------------------------------------- */

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

static int disclosure(struct clerk *c, const struct policy *policy, const struct record *said,
                      uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    struct logleaf l = { .type = LEAF_DISCLOSURE };
    struct record published;
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    char grant_ref[KEY_NAME_MAX + 24], held[HOLD_DETAIL_SIZE];
    unsigned count;
    size_t mark = tag_book_pending(c->book);
    leaf_publish(policy, said, &published);
    int rc = take_tags(c, said, items, &count);
    if (rc < 0) {
        tag_book_undo(c->book, mark);
        return err_set(err, (enum err_code) - rc, "could not number the subjects of a disclosure");
    }
    const struct known_grant *grant = clerk_grant(c, said->grant);
    logleaf_text(&l, LEAF_KEY_REGION, c->region_name);
    logleaf_text(&l, LEAF_KEY_ENTITY, published.entity);
    logleaf_text(&l, LEAF_KEY_PLACE, published.place);
    logleaf_text(&l, LEAF_KEY_ROOM, published.room);
    logleaf_number(&l, LEAF_KEY_GRANT, published.grant);
    if (grant != NULL) {
        ref_write(c, grant->leaf, grant_ref);
        logleaf_text(&l, LEAF_KEY_GRANT_REF, grant_ref);
    }
    logleaf_text(&l, LEAF_KEY_CLASSES, published.classes);
    logleaf_text(&l, LEAF_KEY_EPOCH, tag_book_epoch(c->book));
    logleaf_bytes(&l, LEAF_KEY_TAGS, items[0], count * (size_t)LOGLEAF_ITEM_LEN);
    struct record detailed = *said;
    rc = hold_put(c, policy, published.purpose, &l, held);
    if (held[0] != '\0')
        detailed.detail = held;
    if (rc < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for a held purpose");
    else
        rc = detailed_leaf(c, &l, &detailed, &published, instance, seq, now_ms, err);
    if (rc < 0)
        tag_book_undo(c->book, mark);
    return rc;
}

/* ---- records -------------------------------------------------------------------------------- */

static struct leaf_word word_of(const char *text)
{
    return (struct leaf_word){ text, text != NULL ? strlen(text) : 0 };
}

/* The same sums live as after a start: out of what stands in the open part. */
static int sum_up(struct clerk *c, const struct policy *policy, const struct record *said,
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
                               .rule = word_of(p.rule),
                               .actor_kind = word_of(p.actor_kind),
                               .grant = p.grant,
                               .rows = p.rows,
                               .bytes = p.bytes,
                               .statements = p.statements,
                               .slot = p.slot,
                               .start = p.start };
    return sum_record(c, policy_region_find(policy, c->region_name), &open);
}

int clerk_append(struct clerk *c, struct journal *journal, const struct policy *policy,
                 const struct record *said, uint64_t instance, uint64_t seq, int64_t now_ms,
                 struct err *err)
{
    if (c == NULL)
        return journal_append(journal, policy, said, instance, seq, now_ms, err);
    int rc = boundaries(c, policy, journal_minute(c->journal, now_ms), now_ms, err);
    if (rc == 0 && said->grant != 0)
        rc = meet_grant(c, policy, said, now_ms, err);
    if (rc < 0)
        return rc;
    if (said->kind == RECORD_DISCLOSURE)
        return disclosure(c, policy, said, instance, seq, now_ms, err);
    rc = journal_append(c->journal, policy, said, instance, seq, now_ms, err);
    if (rc == 0 && sum_up(c, policy, said, now_ms) < 0)
        return err_set(err, RF_ENOMEM, "out of memory for the sums of the log");
    return rc;
}

int clerk_tick(struct clerk *c, const struct policy *policy, int64_t now_ms, struct err *err)
{
    if (c->leaves == 0)
        return 0;
    int rc = boundaries(c, policy, journal_minute(c->journal, now_ms), now_ms, err);
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
    for (size_t i = 0; i < c->sum_count; i++)
        if (c->sums[i].from + c->rollup < due)
            due = c->sums[i].from + c->rollup;
    return (int64_t)due * FRAME_MINUTE_MS;
}

void clerk_committed(struct clerk *c)
{
    if (c != NULL)
        tag_book_commit(c->book);
}
