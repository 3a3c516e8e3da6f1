#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "ledger/clerk_inside.h"
#include "ledger/seal.h"
#include "wire/rd.h"
#include "wire/wr.h"

/* STATE/clerk/snapshot: everything that a clerk knows, so that a start need not read a journal of
 * years. It is bound to the journal by an index and the chain value before the entry of that index:
 * one that is missing, torn, of another version, configuration or journal is as good as none, and
 * then the whole journal is read. So nothing is synced, and nothing depends on it.
 *
 *   "RFCLRK06" || configuration || u64 index || chain || state || SHA-256 of all before
 *
 * Purposes that are held are sealed with the key of their leaf's day, as in the journal: whoever
 * erases the day erases them here. Repeats (repeat.h) are not in it. Of a log that has ended, or is
 * about to, none is made: its end is read where it stands.
 *
 * What is added to struct clerk must be added here, or a start forgets it. The size is looked at so
 * that nobody forgets that; tests/unit/test_clerk.c compares each snapshot with the whole journal.
 */
#if defined(__x86_64__)
_Static_assert(sizeof(struct clerk) + sizeof(struct sum) + sizeof(struct totals) +
                       sizeof(struct known_grant) + sizeof(struct held_leaf) ==
                   CLERK_SIZE_OF_SNAPSHOT,
               "see above: write it, read it");
#endif

static const char magic[8] = "RFCLRK06";
static const char name_of_seal[] = "clerk-snapshot";

enum { STATE_MAX = 64 * 1024 * 1024, EACH_ENTRIES = 1 << 18 };

static size_t size_max(uint64_t tags)
{
    return STATE_MAX + (size_t)tags * TAG_LEN;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* What a genesis holds for life: another configuration has no use for the rest. */
static void put_configuration(const struct clerk *c, struct wr *w)
{
    wr_cstr(w, c->origin);
    wr_cstr(w, c->region_name);
    wr_cstr(w, c->epoch_spec);
    wr_cstr(w, c->vkey);
    wr_cstr(w, c->predecessor);
    wr_bytes(w, c->vrf_public, sizeof(c->vrf_public));
    wr_u32(w, c->rollup);
    wr_u32(w, c->seal);
}

static void put_sums(const struct clerk *c, struct wr *w)
{
    uint32_t slots = 0;
    wr_u32(w, (uint32_t)c->sum_count);
    for (size_t i = 0; i < c->sum_count; i++) {
        const struct sum *s = &c->sums[i];
        wr_u8(w, (uint8_t)s->type);
        wr_u32(w, s->from);
        wr_cstr(w, s->entity);
        wr_cstr(w, s->place);
        wr_cstr(w, s->room);
        wr_cstr(w, s->actor_kind);
        wr_cstr(w, s->rule);
        wr_cstr(w, s->purpose);
        wr_cstr(w, s->version);
        const uint64_t numbers[] = { s->sessions, s->statements, s->rows,    s->bytes,
                                     s->denials,  s->alerts,     s->reviewed };
        for (size_t k = 0; k < RF_COUNT(numbers); k++)
            wr_u64(w, numbers[k]);
    }
    wr_u64(w, c->slots_start);
    for (size_t i = 0; i < SUM_SLOTS; i++)
        slots += (c->slots[i].statements | c->slots[i].rows | c->slots[i].bytes) != 0;
    wr_u32(w, slots);
    for (uint32_t i = 0; i < SUM_SLOTS; i++) {
        const struct totals *t = &c->slots[i];
        if ((t->statements | t->rows | t->bytes) == 0)
            continue;
        wr_u32(w, i);
        wr_u64(w, t->statements);
        wr_u64(w, t->rows);
        wr_u64(w, t->bytes);
    }
}

/* Where a leaf stands in one of the clerk's lists; sorted by the leaves, because of each there may
   be a hundred thousand. */
struct leaf_place {
    uint64_t leaf;
    size_t at;
};

static int by_leaf(const void *a, const void *b)
{
    const struct leaf_place *x = a, *y = b;
    return x->leaf < y->leaf ? -1 : x->leaf > y->leaf;
}

static const struct leaf_place *place_find(const struct leaf_place *places, size_t count,
                                           uint64_t leaf)
{
    const struct leaf_place key = { .leaf = leaf };
    return count > 0 ? bsearch(&key, places, count, sizeof(key), by_leaf) : NULL;
}

/* The caller frees it; NULL: out of memory. */
static struct leaf_place *places_of_held(const struct clerk *c)
{
    struct leaf_place *places = mem_zalloc(c->held_count + 1, sizeof(*places));
    for (size_t i = 0; places != NULL && i < c->held_count; i++)
        places[i] = (struct leaf_place){ c->held[i].leaf, i };
    if (places != NULL)
        qsort(places, c->held_count, sizeof(*places), by_leaf);
    return places;
}

/* A purpose that is held stands sealed among those, and is taken from there. */
static int put_grants(const struct clerk *c, struct wr *w)
{
    struct leaf_place *held = places_of_held(c);
    if (held == NULL)
        return -RF_ENOMEM;
    wr_u32(w, (uint32_t)c->grant_count);
    for (size_t i = 0; i < c->grant_count; i++) {
        bool is_held = place_find(held, c->held_count, c->grants[i].leaf) != NULL;
        wr_u64(w, c->grants[i].id);
        wr_u64(w, c->grants[i].leaf);
        wr_u32(w, c->grants[i].until);
        wr_u32(w, c->grants[i].awaited);
        wr_u32(w, c->grants[i].classes);
        wr_cstr(w, c->grants[i].alias);
        wr_cstr(w, is_held ? "" : c->grants[i].purpose);
    }
    mem_free(held);
    return 0;
}

/* Salt and purpose, sealed; empty when the day's key is gone. */
static int seal_held(struct clerk *c, const struct held_leaf *h, struct buf *to)
{
    const struct seal_context context = {
        .index = h->leaf, .name = name_of_seal, .leaf = (const uint8_t *)"", .leaf_len = 0
    };
    uint8_t nonce[SEAL_NONCE_LEN];
    const uint8_t *key, *id;
    int rc = daykey_find(journal_keys(c->journal), h->minute, &key, &id, NULL);
    if (rc < 0)
        return rc == -RF_ENOTFOUND ? 0 : rc;
    randombytes_buf(nonce, sizeof(nonce));
    return seal_close(to, &context, key, nonce, h->salt, h->purpose, strlen(h->purpose));
}

static int put_held(struct clerk *c, struct wr *w)
{
    int rc = 0;
    wr_u32(w, (uint32_t)c->held_count);
    for (size_t i = 0; rc == 0 && i < c->held_count; i++) {
        struct buf sealed;
        buf_init(&sealed, SEAL_OVERHEAD + RECORD_WORD_MAX);
        rc = seal_held(c, &c->held[i], &sealed);
        wr_u64(w, c->held[i].leaf);
        wr_u32(w, c->held[i].minute);
        wr_u32(w, (uint32_t)buf_len(&sealed));
        if (buf_len(&sealed) > 0)
            wr_bytes(w, buf_at(&sealed), buf_len(&sealed));
        buf_done(&sealed);
    }
    return rc;
}

static void put_members(const struct clerk *c, struct wr *w)
{
    wr_u32(w, c->member_count);
    for (unsigned i = 0; i < c->member_count; i++)
        wr_cstr(w, c->members[i]);
}

static int put_all(struct clerk *c, struct buf *to)
{
    uint8_t chain[DIGEST_LEN], digest[DIGEST_LEN];
    struct wr w = wr_to(to);
    journal_chain(c->journal, chain);
    wr_bytes(&w, magic, sizeof(magic));
    put_configuration(c, &w);
    wr_u64(&w, journal_next_index(c->journal));
    wr_bytes(&w, chain, sizeof(chain));
    wr_u64(&w, c->leaves);
    wr_u32(&w, c->epoch_minute);
    wr_u32(&w, c->seal_minute);
    wr_u64(&w, c->since_interval.disclosures);
    wr_u64(&w, c->since_interval.leaves);
    wr_u64(&w, c->since_epoch.disclosures);
    wr_u64(&w, c->since_epoch.leaves);
    wr_u64(&w, c->policy_leaf);
    wr_bytes(&w, c->policy_digest, sizeof(c->policy_digest));
    wr_u64(&w, c->policy_quorum);
    put_members(c, &w);
    put_sums(c, &w);
    int rc = put_grants(c, &w);
    if (rc == 0)
        rc = put_held(c, &w);
    wr_u64(&w, tag_book_count(c->book));
    if (rc == 0 && !wr_done(&w))
        rc = -RF_ENOMEM;
    if (rc == 0)
        rc = tag_book_export(c->book, to);
    if (rc < 0)
        return rc;
    const struct iovec piece = digest_piece(buf_at(to), buf_len(to));
    digest_pieces(&piece, 1, digest);
    return buf_append(to, digest, sizeof(digest));
}

static int put_file(const char *path, const struct buf *bytes)
{
    char fresh[PATH_MAX];
    (void)snprintf(fresh, sizeof(fresh), "%.*s.new", PATH_MAX - 8, path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -RF_ESYS : fd_write_all(fd, bytes->data + bytes->off, buf_len(bytes));
    fd_close(&fd);
    return rc < 0 || rename(fresh, path) < 0 ? -RF_ESYS : 0;
}

void clerk_snapshot(struct clerk *c)
{
    struct buf bytes;
    bool has_end = c != NULL && (c->is_ending || c->end.origin[0] != '\0');
    if (c == NULL || has_end || c->snapshot_path[0] == '\0' || c->leaves == 0 ||
        journal_pending(c->journal) > 0 || journal_death(c->journal) != NULL)
        return;
    buf_init(&bytes, size_max(tag_book_count(c->book)));
    if (put_all(c, &bytes) == 0)
        (void)put_file(c->snapshot_path, &bytes); /* the next start takes longer, that is all */
    c->snapshot_index = journal_next_index(c->journal);
    buf_wipe_done(&bytes);
}

/* So rarely that it costs at most 16 bytes an entry, and so often that a start reads little. */
bool clerk_snapshot_is_due(const struct clerk *c)
{
    uint64_t since = journal_next_index(c->journal) - c->snapshot_index;
    return since >= EACH_ENTRIES && since >= tag_book_count(c->book);
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool word_get(struct rd *r, char *ret, size_t size)
{
    const char *text = rd_cstr(r);
    int n = snprintf(ret, size, "%s", text);
    return !r->bad && n >= 0 && (size_t)n < size;
}

static bool is_configuration(const struct clerk *c, struct rd *r)
{
    const char *const words[] = { c->origin, c->region_name, c->epoch_spec, c->vkey,
                                  c->predecessor };
    bool same = true;
    for (size_t i = 0; i < RF_COUNT(words); i++)
        same = strcmp(rd_cstr(r), words[i]) == 0 && same;
    const uint8_t *vrf = rd_bytes(r, sizeof(c->vrf_public));
    same = !r->bad && memcmp(vrf, c->vrf_public, sizeof(c->vrf_public)) == 0 && same;
    same = rd_u32(r) == c->rollup && same;
    return rd_u32(r) == c->seal && same && !r->bad;
}

static bool get_members(struct clerk *c, struct rd *r)
{
    uint32_t count = rd_u32(r);
    if (count > MEMBERS_MAX)
        return false;
    for (c->member_count = 0; c->member_count < count; c->member_count++)
        if (!word_get(r, c->members[c->member_count], sizeof(c->members[0])))
            return false;
    return !r->bad;
}

static bool get_sums(struct clerk *c, struct rd *r)
{
    uint32_t count = rd_u32(r), slots;
    if (count > SUM_GROUPS_MAX + SUM_GROUPS_OTHER)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct sum s = { .type = (enum logleaf_type)rd_u8(r) };
        s.from = rd_u32(r);
        bool good = word_get(r, s.entity, sizeof(s.entity)) &&
                    word_get(r, s.place, sizeof(s.place)) && word_get(r, s.room, sizeof(s.room)) &&
                    word_get(r, s.actor_kind, sizeof(s.actor_kind)) &&
                    word_get(r, s.rule, sizeof(s.rule)) &&
                    word_get(r, s.purpose, sizeof(s.purpose)) &&
                    word_get(r, s.version, sizeof(s.version));
        s.sessions = rd_u64(r);
        s.statements = rd_u64(r);
        s.rows = rd_u64(r);
        s.bytes = rd_u64(r);
        s.denials = rd_u64(r);
        s.alerts = rd_u64(r);
        s.reviewed = rd_u64(r);
        if (!good || r->bad || sum_restore(c, &s) < 0)
            return false;
    }
    c->slots_start = rd_u64(r);
    slots = rd_u32(r);
    for (uint32_t i = 0; i < slots && !r->bad; i++) {
        uint32_t slot = rd_u32(r);
        struct totals t = { .statements = rd_u64(r) };
        t.rows = rd_u64(r);
        t.bytes = rd_u64(r);
        if (slot >= SUM_SLOTS)
            return false;
        c->slots[slot] = t;
    }
    return !r->bad;
}

static bool get_grants(struct clerk *c, struct rd *r)
{
    uint32_t count = rd_u32(r);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct known_grant g = { .id = rd_u64(r) };
        g.leaf = rd_u64(r);
        g.until = rd_u32(r);
        g.awaited = rd_u32(r);
        g.classes = rd_u32(r);
        if (!word_get(r, g.alias, sizeof(g.alias)) || !word_get(r, g.purpose, sizeof(g.purpose)) ||
            clerk_grant_restore(c, &g) < 0)
            return false;
    }
    return !r->bad;
}

/* False: it is there and cannot be opened, which no erased day explains. */
static bool open_held(struct clerk *c, struct held_leaf *h, const uint8_t *sealed, size_t n)
{
    const struct seal_context context = {
        .index = h->leaf, .name = name_of_seal, .leaf = (const uint8_t *)"", .leaf_len = 0
    };
    const uint8_t *key, *id;
    struct buf plain;
    int rc = daykey_find(journal_keys(c->journal), h->minute, &key, &id, NULL);
    if (rc == -RF_ENOTFOUND || n == 0) /* erased: nobody can open it any more */
        return true;
    buf_init(&plain, SEAL_SALT_LEN + RECORD_WORD_MAX);
    if (rc == 0)
        rc = seal_open(&plain, &context, key, sealed, n);
    if (rc == 0) {
        size_t len = buf_len(&plain) - SEAL_SALT_LEN;
        memcpy(h->salt, buf_at(&plain), SEAL_SALT_LEN);
        memcpy(h->purpose, buf_at(&plain) + SEAL_SALT_LEN, len);
        h->purpose[len] = '\0';
        rc = hold_restore(c, h);
    }
    buf_wipe_done(&plain);
    return rc == 0;
}

/* Grants whose purposes are held have them from there. */
static bool give_purposes(struct clerk *c)
{
    struct leaf_place *held = places_of_held(c);
    for (size_t i = 0; held != NULL && i < c->grant_count; i++) {
        const struct leaf_place *p = place_find(held, c->held_count, c->grants[i].leaf);
        if (p != NULL)
            memcpy(c->grants[i].purpose, c->held[p->at].purpose, sizeof(c->grants[i].purpose));
    }
    mem_free(held);
    return held != NULL;
}

static bool get_held(struct clerk *c, struct rd *r)
{
    uint32_t count = rd_u32(r);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct held_leaf h = { .leaf = rd_u64(r) };
        h.minute = rd_u32(r);
        size_t n = rd_u32(r);
        const uint8_t *sealed = rd_bytes(r, n);
        if (r->bad || n > SEAL_OVERHEAD + RECORD_WORD_MAX || !open_held(c, &h, sealed, n))
            return false;
    }
    return !r->bad && give_purposes(c);
}

static bool get_tags(struct clerk *c, struct rd *r)
{
    uint64_t count = rd_u64(r);
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        const uint8_t *tag = rd_bytes(r, TAG_LEN);
        if (r->bad || tag_book_note(c->book, tag) < 0)
            return false;
    }
    return rd_done(r);
}

static bool get_all(struct clerk *c, struct rd *r, struct clerk_place *ret)
{
    const uint8_t *first = rd_bytes(r, sizeof(magic)), *chain;
    if (r->bad || memcmp(first, magic, sizeof(magic)) != 0 || !is_configuration(c, r))
        return false;
    ret->index = rd_u64(r);
    chain = rd_bytes(r, DIGEST_LEN);
    if (r->bad)
        return false;
    memcpy(ret->chain, chain, DIGEST_LEN);
    c->leaves = rd_u64(r);
    c->epoch_minute = rd_u32(r);
    c->seal_minute = rd_u32(r);
    c->since_interval.disclosures = rd_u64(r);
    c->since_interval.leaves = rd_u64(r);
    c->since_epoch.disclosures = rd_u64(r);
    c->since_epoch.leaves = rd_u64(r);
    c->policy_leaf = rd_u64(r);
    const uint8_t *policy = rd_bytes(r, sizeof(c->policy_digest));
    c->policy_quorum = rd_u64(r);
    if (r->bad)
        return false;
    memcpy(c->policy_digest, policy, sizeof(c->policy_digest));
    tag_book_enter(c->book, c->epoch_minute);
    return get_members(c, r) && get_sums(c, r) && get_grants(c, r) && get_held(c, r) &&
           get_tags(c, r);
}

bool clerk_snapshot_load(struct clerk *c, struct clerk_place *ret)
{
    char *bytes = NULL;
    size_t n;
    uint8_t digest[DIGEST_LEN];
    if (c->snapshot_path[0] == '\0' || access(c->snapshot_path, F_OK) < 0 ||
        fd_read_file(c->snapshot_path, size_max(TAG_SET_MAX), &bytes, &n, NULL) < 0)
        return false;
    bool good = n > DIGEST_LEN;
    if (good) {
        const struct iovec piece = digest_piece(bytes, n - DIGEST_LEN);
        digest_pieces(&piece, 1, digest);
        struct rd r = rd_of(bytes, n - DIGEST_LEN);
        good = memcmp(digest, bytes + n - DIGEST_LEN, DIGEST_LEN) == 0 && get_all(c, &r, ret);
    }
    mem_free(bytes);
    if (!good)
        clerk_forget(c);
    return good;
}
