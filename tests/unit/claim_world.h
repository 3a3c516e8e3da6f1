/* claim_world.h - a region in memory for tests of claim files: a few logs, their epochs, and who
 * was disclosed in them. What the region knows is the truth that claim files are compared with. */
#ifndef RF_TESTS_CLAIM_WORLD_H
#define RF_TESTS_CLAIM_WORLD_H

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"
#include "ledger/logleaf.h"
#include "ledger/tag_book.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"

enum {
    WORLD_LOGS = 4,
    WORLD_EPOCHS = 4,
    WORLD_LEAVES = 400,
    WORLD_SUBJECTS = 12,
    WORLD_PERIOD = 5,
    WORLD_ACCESSES = 4000
};

#define WORLD_REGION "us-virginia"
#define WORLD_MINUTE UINT32_C(29929525)

/* What the region itself does wrong once, in leaves that its logs have signed. */
enum world_lie {
    LIE_NONE,
    LIE_REGION,
    LIE_GENESIS_TYPE,
    LIE_GENESIS_KEY,
    LIE_VRF,
    LIE_PERIOD,
    LIE_FIRST_HAS_PREDECESSOR,
    LIE_NO_PREDECESSOR,
    LIE_ANOTHER_PREDECESSOR,
    LIE_OLD_SIGNATURE,
    LIE_NEW_SIGNATURE,
    LIE_NAMED_TWICE,
    LIE_NAMED_NOTHING,
    LIE_MEMBER_OF_MEMBER,
    LIE_MEMBER_AFTER_SUCCESSOR,
    LIE_CHECKPOINT_ORIGIN,
    LIE_SEAL_OF_INTERVAL,
    LIE_SEAL_OF_ANOTHER_EPOCH,
    LIE_DISCLOSURE_OF_ANOTHER_EPOCH,
    LIE_ACCESS_OF_ANOTHER,
    LIE_ACCESS_AFTER_SEAL,
    LIE_ACCESS_ORDER,
    LIE_COUNT
};

struct world_log {
    struct secret_key key;
    char vkey[KEY_VKEY_SIZE];
    struct tag_book *book;
    struct buf leaves[WORLD_LEAVES];
    uint8_t hashes[WORLD_LEAVES][TLOG_HASH_LEN];
    unsigned count;
    uint64_t named[WORLD_LOGS + 1];
    unsigned named_count;
    int begins, ends; /* epochs, of WORLD_EPOCHS */
    unsigned vrf;     /* which of the world's VRF keys it has */
    uint64_t seal[WORLD_EPOCHS];
    struct tag_set tags[WORLD_EPOCHS]; /* what the seal's root is over */
};

struct world_access {
    unsigned subject, log, n;
    int epoch;
    uint64_t index;
    const char *classes;
    int64_t time_ms;
    bool of_another; /* its commitment is to an access of the last subject */
};

struct world {
    enum world_lie lie;
    bool told;
    unsigned victim; /* whose claims show it */
    uint8_t secrets[2][VRF_SECRET_LEN], publics[2][VRF_PUBLIC_LEN];
    bool rotates;                      /* whoever is continued gets the second VRF key */
    bool heir_has_member;              /* named by the log that continues the first */
    struct world_log logs[WORLD_LOGS]; /* in the roster's order */
    unsigned log_count;
    struct world_access accesses[WORLD_ACCESSES];
    unsigned access_count;
    unsigned seen[WORLD_SUBJECTS][WORLD_LOGS][WORLD_EPOCHS];
};

static size_t world_subject(unsigned i, uint8_t ret[32])
{
    static const char *const odd[] = { "Zo\xc3\xab \xe4\xb8\xad\"\\", "\xff\x00 raw", "\n" };
    if (i < RF_COUNT(odd)) {
        size_t len = i == 1 ? 6 : strlen(odd[i]);
        memcpy(ret, odd[i], len);
        return len;
    }
    return (size_t)snprintf((char *)ret, 32, "%u", i);
}

/* Is LIE to be told, for the first time and now? */
static bool world_lies(struct world *w, enum world_lie lie)
{
    bool now = w->lie == lie && !w->told;
    w->told = w->told || now;
    return now;
}

static void world_epoch(int epoch, char ret[TAG_EPOCH_SIZE])
{
    struct tag_period period = { WORLD_PERIOD };
    tag_epoch_of(period, WORLD_MINUTE + (uint32_t)epoch * WORLD_PERIOD, ret);
}

/* Write LEAF, whose type and keys are set; returns its index. */
static uint64_t world_leaf(struct world_log *log, struct logleaf *leaf, int epoch)
{
    struct buf *to = &log->leaves[log->count];
    RF_ASSERT(log->count < WORLD_LEAVES);
    leaf->minute = WORLD_MINUTE + (uint32_t)epoch * WORLD_PERIOD;
    if (!logleaf_has(leaf, LEAF_KEY_REGION))
        logleaf_text(leaf, LEAF_KEY_REGION, WORLD_REGION);
    randombytes_buf(leaf->id, sizeof(leaf->id));
    buf_init(to, LOGLEAF_MAX);
    RF_ASSERT(logleaf_write(to, leaf) == 0);
    tlog_leaf_hash(buf_at(to), buf_len(to), log->hashes[log->count]);
    return log->count++;
}

static size_t world_succession(const struct world_log *old, const struct world_log *new,
                               uint64_t size, uint8_t ret[1024])
{
    size_t old_len = strlen(old->key.key.name), new_len = strlen(new->key.key.name);
    int n = snprintf((char *)ret, 1024, "ringfence-successor@1\n%c%c%s%c%c%s%s\n", 0, (int)old_len,
                     old->key.key.name, 0, (int)new_len, new->key.key.name, new->vkey);
    for (int i = 0; i < 8; i++)
        ret[n++] = (uint8_t)(size >> (56 - 8 * i));
    return (size_t)n;
}

/* A leaf that has nothing to do with claims. */
static uint64_t world_policy(struct world_log *log, int epoch)
{
    struct logleaf leaf = { .type = LEAF_POLICY };
    uint8_t hash[DIGEST_LEN];
    randombytes_buf(hash, sizeof(hash));
    logleaf_bytes(&leaf, LEAF_KEY_POLICY, hash, sizeof(hash));
    return world_leaf(log, &leaf, epoch);
}

/* OLD names a new log: a member, or its successor. */
static void world_log_begin(struct world *w, struct world_log *old, bool succeeds, int epoch)
{
    struct world_log *log = &w->logs[w->log_count];
    struct logleaf genesis = { .type = LEAF_GENESIS }, naming = { .type = LEAF_MEMBER };
    struct tag_book_options o = { .region = WORLD_REGION, .period = { WORLD_PERIOD } };
    uint8_t seed[KEY_SEED_LEN], message[1024], signature[KEY_SIGNATURE_LEN],
        again[KEY_SIGNATURE_LEN];
    char name[64], predecessor[96];
    randombytes_buf(seed, sizeof(seed));
    (void)snprintf(name, sizeof(name), "log.example.com/%c-%u", "kzae"[w->log_count],
                   w -> log_count);
    RF_ASSERT(secret_key_make(name, KEY_ED25519, seed, &log->key, NULL) == 0);
    key_write(&log->key.key, log->vkey);
    log->begins = epoch;
    log->ends = WORLD_EPOCHS - 1;
    w->log_count++;
    if (old != NULL) {
        uint64_t at = old->count;
        logleaf_text(&naming, LEAF_KEY_ORIGIN, name);
        logleaf_text(&naming, LEAF_KEY_KEY, log->vkey);
        if (succeeds) {
            size_t n = world_succession(old, log, at, message);
            naming.type = LEAF_SUCCESSOR;
            RF_ASSERT(key_sign(&old->key, message, n, signature) == 0);
            RF_ASSERT(key_sign(&log->key, message, n, again) == 0);
            signature[7] ^= world_lies(w, LIE_OLD_SIGNATURE);
            again[7] ^= world_lies(w, LIE_NEW_SIGNATURE);
            logleaf_bytes(&naming, LEAF_KEY_SIGNATURE, signature, sizeof(signature));
            logleaf_bytes(&genesis, LEAF_KEY_SIGNATURE, again, sizeof(again));
            (void)snprintf(predecessor, sizeof(predecessor), "%llu %s",
                           (unsigned long long)at + world_lies(w, LIE_ANOTHER_PREDECESSOR),
                           old->key.key.name);
            if (!world_lies(w, LIE_NO_PREDECESSOR))
                logleaf_text(&genesis, LEAF_KEY_PREDECESSOR, predecessor);
            old->ends = epoch;
        }
        old->named[old->named_count++] = world_leaf(old, &naming, epoch);
        if (!succeeds && world_lies(w, LIE_NAMED_TWICE))
            old->named[old->named_count++] = world_leaf(old, &naming, epoch);
        if (!succeeds && world_lies(w, LIE_NAMED_NOTHING))
            old->named[old->named_count++] = world_policy(old, epoch);
    }
    logleaf_text(&genesis, LEAF_KEY_ORIGIN, name);
    logleaf_text(&genesis, LEAF_KEY_KEY, log->vkey);
    log->vrf = old == NULL ? 0 : succeeds && w->rotates ? 1 : old->vrf;
    logleaf_bytes(&genesis, LEAF_KEY_VRF, w->publics[log->vrf], VRF_PUBLIC_LEN);
    logleaf_text(&genesis, LEAF_KEY_EPOCH, "5m");
    logleaf_number(&genesis, LEAF_KEY_ROLLUP, 5);
    logleaf_number(&genesis, LEAF_KEY_SEAL, 5);
    if (world_lies(w, LIE_FIRST_HAS_PREDECESSOR))
        logleaf_text(&genesis, LEAF_KEY_PREDECESSOR, "3 log.example.com/before");
    if (world_lies(w, LIE_REGION))
        logleaf_text(&genesis, LEAF_KEY_REGION, "eu-dublin");
    if (world_lies(w, LIE_GENESIS_KEY))
        logleaf_text(&genesis, LEAF_KEY_KEY, "log.example.com/k-0+00000000+AA");
    if (world_lies(w, LIE_VRF))
        logleaf_bytes(&genesis, LEAF_KEY_VRF, w->secrets[0], VRF_SECRET_LEN);
    if (old == NULL ? false : world_lies(w, LIE_PERIOD))
        logleaf_text(&genesis, LEAF_KEY_EPOCH, "6m");
    if (world_lies(w, LIE_GENESIS_TYPE)) {
        genesis = (struct logleaf){ .type = LEAF_MEMBER };
        logleaf_text(&genesis, LEAF_KEY_ORIGIN, name);
        logleaf_text(&genesis, LEAF_KEY_KEY, log->vkey);
    }
    (void)world_leaf(log, &genesis, epoch);
    o.origin = name;
    memcpy(o.secret, w->secrets[log->vrf], sizeof(o.secret));
    RF_ASSERT(tag_book_new(&o, &log->book, NULL) == 0);
    tag_book_enter(log->book, WORLD_MINUTE + (uint32_t)epoch * WORLD_PERIOD);
}

/* One more access of SUBJECT, whose item is in RET; its leaf is not written yet. */
static struct world_access *world_access(struct world *w, unsigned at, int epoch, unsigned subject,
                                         uint8_t ret[TAG_ITEM_LEN])
{
    static const char *const classes[] = { "identity", "contact", "identity,contact" };
    struct world_access *a = &w->accesses[w->access_count++];
    struct world_log *log = &w->logs[at];
    uint8_t key[32];
    RF_ASSERT(w->access_count < WORLD_ACCESSES);
    a->subject = subject;
    a->log = at;
    a->epoch = epoch;
    a->n = w->seen[subject][at][epoch]++;
    a->index = log->count;
    a->classes = classes[randombytes_uniform(RF_COUNT(classes))];
    a->time_ms = (int64_t)WORLD_MINUTE * 60000 + (int64_t)w->access_count * 137;
    size_t len = world_subject(subject, key);
    RF_ASSERT(tag_book_take(log->book, key, len, a->classes, a->time_ms, ret) == 0);
    RF_ASSERT(tag_set_add(&log->tags[epoch], ret) == 1);
    tag_book_commit(log->book);
    return a;
}

static void world_disclosure(struct world *w, struct world_log *log, int epoch,
                             const uint8_t *items, unsigned count, int minute_epoch)
{
    struct logleaf leaf = { .type = LEAF_DISCLOSURE };
    char text[TAG_EPOCH_SIZE];
    world_epoch(epoch + world_lies(w, LIE_DISCLOSURE_OF_ANOTHER_EPOCH), text);
    logleaf_text(&leaf, LEAF_KEY_ROOM, "granted");
    logleaf_text(&leaf, LEAF_KEY_PURPOSE, "support_ticket");
    logleaf_number(&leaf, LEAF_KEY_GRANT, 7);
    logleaf_text(&leaf, LEAF_KEY_CLASSES, "identity,contact");
    logleaf_text(&leaf, LEAF_KEY_EPOCH, text);
    logleaf_bytes(&leaf, LEAF_KEY_TAGS, items, count * TAG_ITEM_LEN);
    (void)world_leaf(log, &leaf, minute_epoch);
}

/* The commitment of A, whose item is ITEM, is to an access of somebody else. */
static void world_misattribute(struct world *w, struct world_access *a, uint8_t item[TAG_ITEM_LEN])
{
    char epoch[TAG_EPOCH_SIZE];
    uint8_t key[32], k[TAG_KEY_LEN], salt[TAG_SALT_LEN];
    struct buf access;
    world_epoch(a->epoch, epoch);
    struct tag_subject s = { .region = WORLD_REGION, .epoch = epoch, .key = key };
    s.key_len = world_subject(a->subject, key);
    RF_ASSERT(tag_key_make(&s, w->secrets[w->logs[a->log].vrf], NULL, k) == 0);
    tag_salt_of(k, w->logs[a->log].key.key.name, a->n, salt);
    buf_init(&access, TAG_ACCESS_MAX);
    size_t len = world_subject(WORLD_SUBJECTS - 1, key);
    RF_ASSERT(tag_access_write(&access, key, len, a->classes, a->time_ms) == 0);
    tag_commitment_of(salt, buf_at(&access), buf_len(&access), item + TAG_LEN);
    buf_done(&access);
    a->of_another = true;
}

static void world_disclose(struct world *w, unsigned at, int epoch)
{
    struct world_log *log = &w->logs[at];
    uint8_t items[8][TAG_ITEM_LEN];
    unsigned count = 1 + randombytes_uniform(8);
    for (unsigned i = 0; i < count; i++) {
        /* the last subject is never seen */
        struct world_access *a =
            world_access(w, at, epoch, randombytes_uniform(WORLD_SUBJECTS - 1), items[i]);
        if (!w->told)
            w->victim = a->subject;
        if (world_lies(w, LIE_ACCESS_OF_ANOTHER))
            world_misattribute(w, a, items[i]);
    }
    world_disclosure(w, log, epoch, items[0], count, epoch);
}

/* Somebody who was not seen yet: his second access stands before his first. */
static void world_disclose_reversed(struct world *w, unsigned at, int epoch)
{
    struct world_log *log = &w->logs[at];
    uint8_t items[2][TAG_ITEM_LEN];
    w->victim = WORLD_SUBJECTS - 1;
    world_access(w, at, epoch, w->victim, items[0])->index = log->count + 1;
    world_access(w, at, epoch, w->victim, items[1])->index = log->count;
    world_disclosure(w, log, epoch, items[1], 1, epoch);
    world_disclosure(w, log, epoch, items[0], 1, epoch);
}

static void world_seal(struct world *w, unsigned at, int epoch)
{
    struct world_log *log = &w->logs[at];
    struct logleaf leaf = { .type = LEAF_SEAL };
    uint8_t root[DIGEST_LEN], late[TAG_ITEM_LEN];
    char text[TAG_EPOCH_SIZE];
    uint64_t count;
    bool is_late = world_lies(w, LIE_ACCESS_AFTER_SEAL);
    if (is_late) {
        w->victim = WORLD_SUBJECTS - 1;
        world_access(w, at, epoch, w->victim, late)->index = log->count + 1;
    }
    RF_ASSERT(tag_book_seal(log->book, root, &count) == 0);
    RF_ASSERT(count == log->tags[epoch].count);
    world_epoch(epoch + world_lies(w, LIE_SEAL_OF_ANOTHER_EPOCH), text);
    logleaf_text(&leaf, LEAF_KEY_OF, world_lies(w, LIE_SEAL_OF_INTERVAL) ? "interval" : "epoch");
    logleaf_text(&leaf, LEAF_KEY_EPOCH, text);
    logleaf_number(&leaf, LEAF_KEY_LEAVES, log->count);
    logleaf_number(&leaf, LEAF_KEY_TAGS, count);
    logleaf_bytes(&leaf, LEAF_KEY_TAGS_ROOT, root, sizeof(root));
    log->seal[epoch] = world_leaf(log, &leaf, epoch + 1);
    if (is_late)
        world_disclosure(w, log, epoch, late, 1, epoch + 1);
    tag_book_enter(log->book, WORLD_MINUTE + (uint32_t)(epoch + 1) * WORLD_PERIOD);
}

static void world_fill(struct world_log *log, int epoch)
{
    for (uint32_t i = randombytes_uniform(3); i > 0; i--)
        (void)world_policy(log, epoch);
}

/* The roster's order is that in which logs are shown: with at most one new log a log, and those in
   the order of their parents, it is the order of their making. */
static struct world *world_make(enum world_lie lie, bool rotates)
{
    struct world *w = mem_zalloc(1, sizeof(*w));
    RF_ASSERT(w != NULL);
    w->lie = lie;
    w->rotates = rotates;
    for (int i = 0; i < 2; i++) {
        RF_ASSERT(vrf_secret_make(w->secrets[i]) == 0);
        RF_ASSERT(vrf_public_of(w->secrets[i], w->publics[i]) == 0);
    }
    for (int i = 0; i < WORLD_LOGS; i++)
        for (int e = 0; e < WORLD_EPOCHS; e++)
            tag_set_init(&w->logs[i].tags[e]);
    world_log_begin(w, NULL, false, 0);
    for (int e = 0; e < WORLD_EPOCHS; e++) {
        /* the first log names one or two members, later it, or a member, is continued */
        if (e < 2 && w->log_count < 3 && randombytes_uniform(3) > 0)
            world_log_begin(w, &w->logs[0], false, e);
        unsigned before = w->log_count, heir = WORLD_LOGS;
        if (e >= 2 && w->log_count < WORLD_LOGS && randombytes_uniform(2) == 0)
            heir = w->logs[w->log_count - 1].named_count == 0 ? w->log_count - 1 : WORLD_LOGS;
        for (unsigned i = 0; i < before; i++) {
            struct world_log *log = &w->logs[i];
            if (log->ends < e)
                continue;
            for (uint32_t d = randombytes_uniform(4); d > 0; d--) {
                world_fill(log, e);
                world_disclose(w, i, e);
            }
        }
        if (heir < WORLD_LOGS) {
            world_log_begin(w, &w->logs[heir], true, e);
            world_disclose(w, w->log_count - 1, e);
            if (heir == 0 && w->rotates && randombytes_uniform(2) == 0) {
                world_log_begin(w, &w->logs[1], false, e); /* has the new key, as its namer */
                w->heir_has_member = true;
            }
            if (heir == 0 && world_lies(w, LIE_MEMBER_AFTER_SUCCESSOR))
                world_log_begin(w, &w->logs[0], false, e);
        }
        if (e == 1 && w->log_count == 2 && world_lies(w, LIE_MEMBER_OF_MEMBER))
            world_log_begin(w, &w->logs[1], false, e);
        if (world_lies(w, LIE_ACCESS_ORDER))
            world_disclose_reversed(w, 0, e);
        for (unsigned i = 0; i < w->log_count; i++)
            if (w->logs[i].ends >= e)
                world_seal(w, i, e);
    }
    return w;
}

static struct world *world_new(enum world_lie lie)
{
    return world_make(lie, false);
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->log_count; i++) {
        struct world_log *log = &w->logs[i];
        tag_book_free(log->book);
        for (unsigned l = 0; l < log->count; l++)
            buf_done(&log->leaves[l]);
        for (int e = 0; e < WORLD_EPOCHS; e++)
            tag_set_done(&log->tags[e]);
    }
    mem_free(w);
}

/* ---- a claim file about it ----------------------------------------------------------------- */

struct world_claim {
    struct world *world;
    struct claim_writer out;
    struct claim_line *line;
};

static void claim_put(struct world_claim *c, enum claim_word word)
{
    c->line->word = word;
    RF_ASSERT(claim_write(&c->out, c->line) == 0);
}

static void claim_text(struct world_claim *c, enum claim_word word, const char *text)
{
    (void)snprintf(c->line->text, sizeof(c->line->text), "%s", text);
    claim_put(c, word);
}

/* Leaf INDEX of LOG with its proof. */
static void claim_leaf(struct world_claim *c, struct world_log *log, uint64_t index)
{
    struct buf *leaf = &log->leaves[index];
    c->line->index = index;
    c->line->leaf_len = buf_len(leaf);
    memcpy(c->line->leaf, buf_at(leaf), buf_len(leaf));
    RF_ASSERT(proof_inclusion_of((const uint8_t(*)[TLOG_HASH_LEN])log->hashes, log->count, index,
                                 &c->line->proof) == 0);
}

/* A checkpoint of the first SIZE leaves, signed by KEY, cosigned by WITNESS (or not). */
static void world_checkpoint(const struct world_log *log, const char *origin, unsigned size,
                             const struct secret_key *key, const struct secret_key *witness,
                             struct buf *to)
{
    struct checkpoint cp = { .size = size };
    char text[CHECKPOINT_TEXT_SIZE];
    (void)snprintf(cp.origin, sizeof(cp.origin), "%s", origin);
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])log->hashes, size, cp.root);
    size_t len = checkpoint_write(&cp, text);
    RF_ASSERT(note_sign(to, text, len, key, NULL) == 0);
    if (witness != NULL)
        RF_ASSERT(note_cosign(to, text, len, 1700000000, witness, NULL) == 0);
}

static void claim_logs(struct world_claim *c, const struct secret_key *witness)
{
    for (unsigned i = 0; i < c->world->log_count; i++) {
        struct world_log *log = &c->world->logs[i];
        struct buf note;
        claim_text(c, CLAIM_LOG, log->key.key.name);
        buf_init(&note, NOTE_MAX);
        world_checkpoint(log,
                         world_lies(c->world, LIE_CHECKPOINT_ORIGIN) ? "log.example.com/else"
                                                                     : log->key.key.name,
                         log->count, &log->key, witness, &note);
        c->line->checkpoint_len = buf_len(&note);
        memcpy(c->line->checkpoint, buf_at(&note), buf_len(&note));
        buf_done(&note);
        claim_put(c, CLAIM_CHECKPOINT);
        claim_leaf(c, log, 0);
        claim_put(c, CLAIM_GENESIS);
        for (unsigned j = 0; j < log->named_count; j++) {
            claim_leaf(c, log, log->named[j]);
            claim_put(c, CLAIM_NAMED);
        }
    }
}

static void claim_epoch_log(struct world_claim *c, unsigned at, unsigned subject, int epoch,
                            const uint8_t k[TAG_KEY_LEN])
{
    struct world_log *log = &c->world->logs[at];
    uint8_t key[32], absent[TAG_LEN];
    size_t len = world_subject(subject, key);
    claim_text(c, CLAIM_IN, log->key.key.name);
    claim_leaf(c, log, log->seal[epoch]);
    claim_put(c, CLAIM_SEAL);
    unsigned n = 0;
    for (unsigned i = 0; i < c->world->access_count; i++) {
        const struct world_access *a = &c->world->accesses[i];
        struct buf access;
        if (a->subject != subject || a->log != at || a->epoch != epoch)
            continue;
        buf_init(&access, TAG_ACCESS_MAX);
        if (a->of_another)
            len = world_subject(WORLD_SUBJECTS - 1, key);
        RF_ASSERT(tag_access_write(&access, key, len, a->classes, a->time_ms) == 0);
        len = world_subject(subject, key);
        c->line->n = n++;
        c->line->access_len = buf_len(&access);
        memcpy(c->line->access, buf_at(&access), buf_len(&access));
        buf_done(&access);
        claim_leaf(c, log, a->index);
        claim_put(c, CLAIM_ACCESS);
    }
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&log->tags[epoch]);
    RF_ASSERT(sorted != NULL);
    tag_of(k, log->key.key.name, n, absent);
    RF_ASSERT(claim_absence_of((const uint8_t(*)[TAG_LEN])sorted, log->tags[epoch].count, absent,
                               c->line) == 0);
    mem_free(sorted);
    claim_put(c, c->line->word);
}

/* Logs of VRF key number VRF that lived in epoch E. */
static unsigned world_living(const struct world *w, int e, unsigned vrf)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->log_count; i++)
        n += w->logs[i].begins <= e && e <= w->logs[i].ends && w->logs[i].vrf == vrf;
    return n;
}

/* All epochs in EPOCHS (bits) for SUBJECT, in the logs of VRF key number VRF. */
static void world_claim_of(struct world *w, unsigned vrf, unsigned subject, unsigned epochs,
                           const struct secret_key *witness, struct buf *to)
{
    struct world_claim c = { .world = w,
                             .out = claim_write_begin(to),
                             .line = mem_zalloc(1, sizeof(*c.line)) };
    RF_ASSERT(c.line != NULL);
    claim_put(&c, CLAIM_HEAD);
    claim_text(&c, CLAIM_REGION, WORLD_REGION);
    c.line->subject_len = world_subject(subject, c.line->subject);
    claim_put(&c, CLAIM_SUBJECT);
    memcpy(c.line->key, w->publics[vrf], sizeof(c.line->key));
    claim_put(&c, CLAIM_VRF);
    claim_logs(&c, witness);
    for (int e = 0; e < WORLD_EPOCHS; e++) {
        char text[TAG_EPOCH_SIZE];
        uint8_t key[32], k[TAG_KEY_LEN];
        if ((epochs >> e & 1) == 0 || world_living(w, e, vrf) == 0)
            continue;
        world_epoch(e, text);
        claim_text(&c, CLAIM_EPOCH, text);
        struct tag_subject s = { .region = WORLD_REGION, .epoch = text, .key = key };
        s.key_len = world_subject(subject, key);
        RF_ASSERT(tag_key_make(&s, w->secrets[vrf], c.line->vrf_proof, k) == 0);
        memcpy(c.line->key, k, sizeof(k));
        claim_put(&c, CLAIM_K);
        for (unsigned i = 0; i < w->log_count; i++)
            if (w->logs[i].begins <= e && e <= w->logs[i].ends && w->logs[i].vrf == vrf)
                claim_epoch_log(&c, i, subject, e, k);
    }
    claim_put(&c, CLAIM_END);
    mem_free(c.line);
}

static void world_claim(struct world *w, unsigned subject, unsigned epochs,
                        const struct secret_key *witness, struct buf *to)
{
    world_claim_of(w, 0, subject, epochs, witness, to);
}

#endif
