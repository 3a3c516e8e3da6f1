#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/clerk_inside.h"
#include "ledger/json.h"
#include "ledger/opening.h"
#include "ledger/scan.h"

static bool value_is(const struct logleaf *l, enum logleaf_key key, const char *text)
{
    return logleaf_is(l, key, text);
}

/* The log's first leaf says for ever what the configuration must say, too. */
static int genesis_check(const struct clerk *c, const struct logleaf *l, struct err *err)
{
    char vrf[2 * VRF_PUBLIC_LEN + 1];
    digest_hex(c->vrf_public, sizeof(c->vrf_public), vrf);
    const struct {
        const char *what;
        bool same;
    } rows[] = {
        { "origin", value_is(l, LEAF_KEY_ORIGIN, c->origin) },
        { "region", value_is(l, LEAF_KEY_REGION, c->region_name) },
        { "key", value_is(l, LEAF_KEY_KEY, c->vkey) },
        { "VRF key", value_is(l, LEAF_KEY_VRF, vrf) },
        { "epoch", value_is(l, LEAF_KEY_EPOCH, c->epoch_spec) },
        { "rollup", l->value[LEAF_KEY_ROLLUP].number == c->rollup },
        { "seal", l->value[LEAF_KEY_SEAL].number == c->seal },
        { "predecessor",
          c->predecessor[0] == '\0' || value_is(l, LEAF_KEY_PREDECESSOR, c->predecessor) },
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        if (!rows[i].same) {
            (void)err_set(err, RF_ECONFIG, "the log began with another %s than the configuration's",
                          rows[i].what);
            err_hint(err, "what the first leaf names holds for the life of a log; put it back, or "
                          "end this log and begin another: \"ringfence key rotate\"");
            return -RF_ECONFIG;
        }
    return 0;
}

/* Every record under a grant asks for it, and a hundred thousand may be open: chains through the
   array, by number. */
static uint32_t *grant_head(struct clerk *c, uint64_t id)
{
    return &c->grant_heads[id * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (GRANT_BUCKETS - 1)];
}

struct known_grant *clerk_grant(struct clerk *c, uint64_t id, const char *alias)
{
    for (uint32_t at = *grant_head(c, id); at != 0; at = c->grants[at - 1].next) {
        struct known_grant *g = &c->grants[at - 1];
        if (g->id == id && (alias == NULL || alias[0] == '\0' || g->alias[0] == '\0' ||
                            strcmp(g->alias, alias) == 0))
            return g;
    }
    return NULL;
}

/* What points at place AT (from 1) of the array. */
static uint32_t *grant_link(struct clerk *c, uint32_t at)
{
    uint32_t *link = grant_head(c, c->grants[at - 1].id);
    while (*link != at)
        link = &c->grants[*link - 1].next;
    return link;
}

static void grant_remove(struct clerk *c, uint32_t at)
{
    const uint32_t last = (uint32_t)c->grant_count;
    *grant_link(c, at) = c->grants[at - 1].next;
    if (at != last) { /* the last one moves into the gap */
        *grant_link(c, last) = at;
        c->grants[at - 1] = c->grants[last - 1];
    }
    c->grant_count--;
}

static int grants_reserve(struct clerk *c)
{
    if (c->grant_count < c->grant_room)
        return 0;
    size_t room = c->grant_room == 0 ? 64 : 2 * c->grant_room;
    struct known_grant *grants = mem_realloc(c->grants, room * sizeof(*grants));
    if (grants == NULL)
        return -RF_ENOMEM;
    c->grants = grants;
    c->grant_room = room;
    return 0;
}

int clerk_reserve(struct clerk *c, struct err *err)
{
    return sum_reserve(c) < 0 || grants_reserve(c) < 0
               ? err_set(err, RF_ENOMEM, "out of memory for the sums of the log")
               : 0;
}

static void word_copy(const struct logleaf *l, enum logleaf_key key, char ret[RECORD_WORD_MAX + 1])
{
    const struct logleaf_value *v = &l->value[key];
    (void)snprintf(ret, RECORD_WORD_MAX + 1, "%.*s", (int)v->len, v->text != NULL ? v->text : "");
}

static void grant_add(struct clerk *c, const struct known_grant *grant)
{
    RF_ASSERT(c->grant_count < c->grant_room);
    uint32_t *head = grant_head(c, grant->id);
    c->grants[c->grant_count] = *grant;
    c->grants[c->grant_count++].next = *head;
    *head = (uint32_t)c->grant_count;
}

int clerk_grant_restore(struct clerk *c, const struct known_grant *grant)
{
    int rc = grants_reserve(c);
    if (rc == 0)
        grant_add(c, grant);
    return rc;
}

/* Its disclosures will say the same of it. */
static void grant_note(struct clerk *c, const struct logleaf *l)
{
    char classes[RECORD_WORD_MAX + 1];
    const struct held_leaf *last = c->held_count > 0 ? &c->held[c->held_count - 1] : NULL;
    word_copy(l, LEAF_KEY_CLASSES, classes);
    struct known_grant grant = { .id = l->value[LEAF_KEY_GRANT].number,
                                 .leaf = c->leaves,
                                 .until = (uint32_t)l->value[LEAF_KEY_UNTIL].number,
                                 .classes = clerk_class_bits(classes) };
    if (logleaf_has(l, LEAF_KEY_REQUEST_REF))
        grant.awaited = l->minute + CLERK_AWAIT_MINUTES;
    word_copy(l, LEAF_KEY_PURPOSE, grant.purpose);
    if (logleaf_has(l, LEAF_KEY_HELD) && last != NULL && last->leaf == c->leaves)
        (void)snprintf(grant.purpose, sizeof(grant.purpose), "%s", last->purpose);
    grant_add(c, &grant);
}

/* Numbers of grants are never used twice: a grant that ended need not be known any more. */
static void revoke_note(struct clerk *c, const struct logleaf *l)
{
    const char *origin;
    uint64_t leaf;
    size_t len;
    if (!logleaf_ref(l, LEAF_KEY_GRANT_REF, &leaf, &origin, &len))
        return;
    for (uint32_t at = *grant_head(c, l->value[LEAF_KEY_GRANT].number); at != 0;
         at = c->grants[at - 1].next)
        if (c->grants[at - 1].leaf == leaf) {
            grant_remove(c, at);
            return;
        }
}

static int items_note(struct clerk *c, const struct logleaf *l, struct err *err)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    unsigned count = logleaf_items(l, items);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = tag_book_note(c->book, items[i]);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "leaf %" PRIu64 " repeats a tag of its epoch",
                       c->leaves);
    return 0;
}

uint32_t clerk_next_epoch(struct tag_period period, uint32_t minute)
{
    uint64_t now = tag_epoch_number(period, minute);
    if (period.minutes > 0)
        return (minute / period.minutes + 1) * period.minutes;
    uint32_t day = minute / 1440 * 1440;
    while (tag_epoch_number(period, day) == now)
        day += 1440;
    return day;
}

static void seal_note(struct clerk *c, const struct logleaf *l)
{
    bool is_epoch = value_is(l, LEAF_KEY_OF, "epoch"), is_behind = c->end.origin[0] != '\0';
    c->end.has_epoch_seal |= is_behind && is_epoch;
    c->end.has_interval_seal |= is_behind && !is_epoch;
    if (is_epoch) {
        c->since_epoch = (struct since){ 0 };
        c->epoch_minute = clerk_next_epoch(c->period, c->epoch_minute);
        tag_book_enter(c->book, c->epoch_minute);
    } else {
        c->since_interval = (struct since){ 0 };
        c->seal_minute = (l->minute / c->seal + 1) * c->seal;
    }
}

/* Another log: a member of the roster, or the one that continues this one. */
static void named_note(struct clerk *c, const struct logleaf *l)
{
    const struct logleaf_value *origin = &l->value[LEAF_KEY_ORIGIN], *key = &l->value[LEAF_KEY_KEY];
    if (l->type == LEAF_SUCCESSOR) {
        c->end.leaf = c->leaves;
        c->is_ending = false;
        (void)snprintf(c->end.origin, sizeof(c->end.origin), "%.*s", (int)origin->len,
                       origin->text);
        (void)snprintf(c->end.vkey, sizeof(c->end.vkey), "%.*s", (int)key->len, key->text);
    } else if (c->member_count < MEMBERS_MAX) {
        (void)snprintf(c->members[c->member_count++], sizeof(c->members[0]), "%.*s",
                       (int)origin->len, origin->text);
    }
}

/* One that announces another policy changes nothing. Live, its values are bytes; read, they are
   text. */
static void policy_note(struct clerk *c, const struct logleaf *l)
{
    const struct logleaf_value *digest = &l->value[LEAF_KEY_POLICY];
    if (logleaf_has(l, LEAF_KEY_FROM))
        return;
    c->policy_leaf = c->leaves;
    c->policy_quorum = l->value[LEAF_KEY_QUORUM].number;
    if (digest->len == DIGEST_LEN)
        memcpy(c->policy_digest, digest->text, DIGEST_LEN);
    else
        logleaf_hash(l, LEAF_KEY_POLICY, c->policy_digest);
}

/* Live, tags were taken from the book already; after a start they are put there. */
static int type_note(struct clerk *c, const struct logleaf *l, bool is_replay, struct err *err)
{
    switch (l->type) {
    case LEAF_GENESIS:
        c->epoch_minute = l->minute;
        c->seal_minute = (l->minute / c->seal + 1) * c->seal;
        tag_book_enter(c->book, l->minute);
        return is_replay ? genesis_check(c, l, err) : 0;
    case LEAF_MEMBER:
    case LEAF_SUCCESSOR:
        named_note(c, l);
        return 0;
    case LEAF_START:
    case LEAF_POLICY:
        policy_note(c, l);
        return 0;
    case LEAF_GRANT:
        grant_note(c, l);
        return 0;
    case LEAF_REVOKE:
        revoke_note(c, l);
        return 0;
    case LEAF_DISCLOSURE:
    case LEAF_FIND:
        return is_replay ? items_note(c, l, err) : 0;
    case LEAF_SESSION:
    case LEAF_TRANSFER:
    case LEAF_SERVICE:
    case LEAF_DENIAL:
    case LEAF_ALERT:
    case LEAF_CONSENT:
        if (is_replay)
            sum_forget(c, l);
        c->is_ending = l->value[LEAF_KEY_UNTIL].number > l->minute;
        return 0;
    case LEAF_OPENED:
        hold_forget(c, l);
        return 0;
    case LEAF_SEAL:
        seal_note(c, l);
        return 0;
    default:
        return 0;
    }
}

static int note(struct clerk *c, const struct logleaf *l, bool is_replay, struct err *err)
{
    bool is_interval = l->type == LEAF_SEAL && value_is(l, LEAF_KEY_OF, "interval");
    bool is_epoch = l->type == LEAF_SEAL && !is_interval;
    int rc = type_note(c, l, is_replay, err);
    if (rc < 0)
        return rc;
    c->leaves++;
    c->since_interval.leaves += !is_interval;
    c->since_epoch.leaves += !is_epoch;
    c->since_interval.disclosures += l->type == LEAF_DISCLOSURE;
    c->since_epoch.disclosures += l->type == LEAF_DISCLOSURE;
    return 0;
}

int clerk_note(struct clerk *c, const struct logleaf *leaf, struct err *err)
{
    return note(c, leaf, false, err);
}

/* ---- after a start -------------------------------------------------------------------------- */

/* What only private parts say: the database of a grant, and a purpose that is held. Of a day that
   was erased nobody knows it any more. */
static int private_note(struct clerk *c, const char *name, const struct frame_entry *entry,
                        const struct leaf *open, const struct logleaf *leaf,
                        char alias[GRANT_ALIAS_SIZE], struct err *err)
{
    struct buf plain;
    struct json_reader r;
    struct json_field f;
    alias[0] = '\0';
    if (leaf->type != LEAF_GRANT && !logleaf_has(leaf, LEAF_KEY_HELD))
        return 0;
    buf_init(&plain, FRAME_LENGTH_MAX);
    int rc = opening_private(journal_keys(c->journal), name, entry, open, &plain, err);
    if (rc == 1) {
        const uint8_t *private_part = buf_at(&plain) + SEAL_SALT_LEN;
        size_t n = buf_len(&plain) - SEAL_SALT_LEN;
        rc = logleaf_has(leaf, LEAF_KEY_HELD) ? hold_replay(c, entry->minute, private_part, n) : 0;
        if (rc < 0)
            (void)err_set(err, RF_ENOMEM, "out of memory for a held purpose");
        bool is_open = leaf->type == LEAF_GRANT && json_open(&r, private_part, n);
        while (is_open && json_next(&r, &f) == 1)
            if (f.key_len == 8 && memcmp(f.key, "database", 8) == 0 && f.is_text &&
                f.value_len < GRANT_ALIAS_SIZE) {
                memcpy(alias, f.value, f.value_len);
                alias[f.value_len] = '\0';
            }
    }
    buf_wipe_done(&plain);
    return rc;
}

static int entry_note(struct clerk *c, const struct policy_region *region, const char *name,
                      const struct frame_entry *entry, struct err *err)
{
    struct leaf open;
    struct logleaf leaf;
    char alias[GRANT_ALIAS_SIZE];
    int rc = opening_leaf(entry, &open, err);
    if (rc == 0)
        rc = clerk_reserve(c, err);
    if (rc < 0)
        return rc;
    if (open.type == LEAF_NONE) {
        if (c->leaves > 0) /* what came before the log began is none of its sums */
            sum_record(c, region, &open);
        return 0;
    }
    rc = logleaf_read(entry->leaf, entry->leaf_len, &leaf);
    RF_ASSERT(rc == 0); /* opening_leaf() read it, too */
    if ((leaf.type == LEAF_GENESIS) != (c->leaves == 0))
        return err_set(err, RF_ETAMPER,
                       "the log's leaves do not begin with a genesis, or have two");
    rc = private_note(c, name, entry, &open, &leaf, alias, err);
    if (rc == 0)
        rc = note(c, &leaf, true, err);
    if (rc == 0 && leaf.type == LEAF_GRANT)
        memcpy(c->grants[c->grant_count - 1].alias, alias, sizeof(alias));
    return rc;
}

void clerk_forget(struct clerk *c)
{
    c->leaves = c->policy_leaf = c->policy_quorum = c->slots_start = 0;
    c->epoch_minute = c->seal_minute = 0;
    c->since_interval = c->since_epoch = (struct since){ 0 };
    sum_drop_first(c, c->sum_count);
    c->grant_count = c->held_count = 0;
    c->grant_at = c->held_at = 0;
    c->member_count = 0;
    c->end = (struct clerk_end){ .leaf = 0 };
    c->is_ending = false;
    memset(c->grant_heads, 0, sizeof(c->grant_heads));
    memset(c->slots, 0, SUM_SLOTS * sizeof(*c->slots));
    tag_book_enter(c->book, 0);
}

/* Entries from FROM on. 0: FROM is no place of this journal. */
static int replay_from(struct clerk *c, const struct policy_region *region,
                       const struct clerk_place *from, struct err *err)
{
    struct frame_entry entry;
    struct scan *scan = NULL;
    uint64_t offset;
    int rc = scan_open(journal_folder(c->journal), from->index, &scan, err);
    bool is_there = false;
    while (rc >= 0) {
        const struct scan_state *at = scan_state(scan);
        if (at->index == from->index)
            is_there = from->index == 0 || memcmp(at->chain, from->chain, DIGEST_LEN) == 0;
        if (at->index >= from->index && !is_there)
            break;
        rc = scan_next(scan, &entry, &offset, err);
        if (rc != 1)
            break;
        if (entry.index < from->index)
            continue;
        rc = entry_note(c, region, at->header.name, &entry, err);
        if (rc < 0)
            err_detail(err, "entry %" PRIu64 " of the journal", entry.index);
    }
    scan_close(scan);
    return rc < 0 ? rc : is_there;
}

int clerk_replay(struct clerk *c, const struct policy *policy, struct err *err)
{
    const struct policy_region *region = policy_region_find(policy, c->region_name);
    struct clerk_place from = { 0 };
    struct err why;
    if (clerk_snapshot_load(c, &from)) {
        if (replay_from(c, region, &from, &why) == 1) {
            c->snapshot_index = from.index;
            return 0;
        }
        clerk_forget(c); /* whatever is wrong, reading all of it says so */
    }
    from = (struct clerk_place){ 0 };
    int rc = replay_from(c, region, &from, err);
    return rc < 0 ? rc : 0;
}
