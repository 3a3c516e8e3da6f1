#include "ledger/tag_book.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/record.h"

/* A subject that was seen before costs three MACs: its K and next number are remembered, four to a
 * row, the longest unused gives way. A subject that is not remembered costs a VRF and about twice
 * log2(n) look-ups in the set. The cache is only that: without it every result is the same. */

enum { ROWS = 1024, ROW_WIDTH = 4, ORIGIN_MAX = 255, PENDING_FIRST = 64, PENDING_MAX = 1 << 20 };

struct known {
    uint8_t subject[DIGEST_LEN]; /* SHA-256 of the key */
    uint8_t k[TAG_KEY_LEN];
    uint64_t next;
    uint64_t used; /* when it was last looked at: a counter, not a time; 0: free */
};

struct taken {
    uint8_t tag[TAG_LEN];
    uint8_t subject[DIGEST_LEN];
};

struct tag_book {
    char region[RECORD_WORD_MAX + 1];
    char origin[ORIGIN_MAX + 1];
    struct tag_period period;
    uint8_t secret[VRF_SECRET_LEN];
    char epoch[TAG_EPOCH_SIZE];
    struct tag_set set;
    struct taken *pending;
    size_t pending_count, pending_room;
    uint64_t tick;
    struct known cache[ROWS][ROW_WIDTH];
};

int tag_book_new(const struct tag_book_options *o, struct tag_book **ret, struct err *err)
{
    uint8_t public[VRF_PUBLIC_LEN];
    if (strlen(o->region) > RECORD_WORD_MAX || strlen(o->origin) > ORIGIN_MAX)
        return err_set(err, RF_EINVAL, "a name of the log is too long");
    if (vrf_public_of(o->secret, public) < 0)
        return err_set(err, RF_EINVAL, "the region's VRF key is not a key");
    struct tag_book *b = mem_zalloc(1, sizeof(*b));
    if (b == NULL)
        return err_set(err, RF_ENOMEM, "could not keep the tags of the log");
    (void)snprintf(b->region, sizeof(b->region), "%s", o->region);
    (void)snprintf(b->origin, sizeof(b->origin), "%s", o->origin);
    b->period = o->period;
    memcpy(b->secret, o->secret, sizeof(b->secret));
    tag_set_init(&b->set);
    *ret = b;
    return 0;
}

void tag_book_free(struct tag_book *b)
{
    if (b == NULL)
        return;
    tag_set_done(&b->set);
    mem_free(b->pending);
    mem_free_secret(b, sizeof(*b));
}

void tag_book_enter(struct tag_book *b, uint32_t minute)
{
    RF_ASSERT(b->pending_count == 0);
    tag_set_done(&b->set);
    sodium_memzero(b->cache, sizeof(b->cache)); /* K of one epoch is nothing in the next */
    tag_epoch_of(b->period, minute, b->epoch);
}

const char *tag_book_epoch(const struct tag_book *b)
{
    return b->epoch;
}

bool tag_book_covers(const struct tag_book *b, uint32_t minute)
{
    char epoch[TAG_EPOCH_SIZE];
    tag_epoch_of(b->period, minute, epoch);
    return strcmp(epoch, b->epoch) == 0;
}

int tag_book_note(struct tag_book *b, const uint8_t tag[TAG_LEN])
{
    int rc = tag_set_add(&b->set, tag);
    return rc == 0 || rc == -RF_EINVAL ? -RF_ETAMPER : rc < 0 ? rc : 0;
}

/* ---- which number is next ------------------------------------------------------------------ */

static struct known *row_of(struct tag_book *b, const uint8_t subject[DIGEST_LEN])
{
    return b->cache[(subject[0] << 8 | subject[1]) % ROWS];
}

static struct known *known_find(struct tag_book *b, const uint8_t subject[DIGEST_LEN])
{
    struct known *row = row_of(b, subject);
    for (int i = 0; i < ROW_WIDTH; i++)
        if (row[i].used > 0 && memcmp(row[i].subject, subject, DIGEST_LEN) == 0)
            return &row[i];
    return NULL;
}

static bool is_taken(const struct tag_book *b, const uint8_t k[TAG_KEY_LEN], uint64_t n)
{
    uint8_t tag[TAG_LEN];
    tag_of(k, b->origin, n, tag);
    return tag_set_contains(&b->set, tag);
}

/* The numbers have no gap, so that "taken" is true up to some number and false from there on. */
static uint64_t first_free(const struct tag_book *b, const uint8_t k[TAG_KEY_LEN])
{
    uint64_t free = 0, taken = 0; /* from here on: TAKEN is taken and below FREE */
    if (!is_taken(b, k, 0))
        return 0;
    for (free = 1; is_taken(b, k, free); free *= 2) /* ends: the set is finite */
        taken = free;
    while (free - taken > 1) {
        uint64_t middle = taken + (free - taken) / 2;
        if (is_taken(b, k, middle))
            taken = middle;
        else
            free = middle;
    }
    return free;
}

/* K and next number of a subject; the one that was unused longest makes room. */
static int known_get(struct tag_book *b, const void *key, size_t key_len,
                     const uint8_t subject[DIGEST_LEN], struct known **ret)
{
    struct known *found = known_find(b, subject), fresh = { 0 };
    if (found == NULL) {
        const struct tag_subject s = {
            .region = b->region, .epoch = b->epoch, .key = key, .key_len = key_len
        };
        int rc = tag_key_make(&s, b->secret, NULL, fresh.k);
        if (rc < 0)
            return rc;
        memcpy(fresh.subject, subject, DIGEST_LEN);
        fresh.next = first_free(b, fresh.k);
        found = row_of(b, subject);
        for (struct known *k = found; k < row_of(b, subject) + ROW_WIDTH; k++)
            if (k->used < found->used)
                found = k;
        *found = fresh;
        sodium_memzero(&fresh, sizeof(fresh));
    }
    found->used = ++b->tick;
    *ret = found;
    return 0;
}

/* ---- taking and giving back ---------------------------------------------------------------- */

static int pending_reserve(struct tag_book *b)
{
    if (b->pending_count < b->pending_room)
        return 0;
    size_t room = b->pending_room == 0 ? PENDING_FIRST : 2 * b->pending_room;
    if (room > PENDING_MAX)
        return -RF_ETOOBIG;
    struct taken *larger = mem_realloc(b->pending, room * sizeof(*larger));
    if (larger == NULL)
        return -RF_ENOMEM;
    b->pending = larger;
    b->pending_room = room;
    return 0;
}

/* Tag and commitment of access number N. */
static void item_of(const struct tag_book *b, const uint8_t k[TAG_KEY_LEN], uint64_t n,
                    const struct buf *access, uint8_t ret[TAG_ITEM_LEN])
{
    uint8_t salt[TAG_SALT_LEN];
    tag_of(k, b->origin, n, ret);
    tag_salt_of(k, b->origin, n, salt);
    tag_commitment_of(salt, access->data + access->off, buf_len(access), ret + TAG_LEN);
    sodium_memzero(salt, sizeof(salt));
}

int tag_book_take(struct tag_book *b, const void *key, size_t key_len, const char *classes,
                  int64_t time_ms, uint8_t ret[TAG_ITEM_LEN])
{
    struct taken taken;
    struct known *known;
    struct buf access;
    const struct iovec piece = digest_piece(key, key_len);
    RF_ASSERT(b->epoch[0] != '\0');
    buf_init(&access, TAG_ACCESS_MAX);
    int rc = tag_access_write(&access, key, key_len, classes, time_ms);
    if (rc < 0)
        goto out;
    digest_pieces(&piece, 1, taken.subject);
    rc = pending_reserve(b);
    if (rc == 0)
        rc = known_get(b, key, key_len, taken.subject, &known);
    if (rc < 0)
        goto out;
    item_of(b, known->k, known->next, &access, ret);
    rc = tag_set_add(&b->set, ret);
    if (rc == 0) /* there is a gap before it, which our own leaves never have */
        rc = -RF_ETAMPER;
    if (rc < 0)
        goto out;
    memcpy(taken.tag, ret, TAG_LEN);
    b->pending[b->pending_count++] = taken;
    known->next++;
    rc = 0;
out:
    buf_wipe_done(&access);
    return rc;
}

size_t tag_book_pending(const struct tag_book *b)
{
    return b->pending_count;
}

/* In reverse, so that the numbers of each subject go down one by one. */
void tag_book_undo(struct tag_book *b, size_t mark)
{
    RF_ASSERT(mark <= b->pending_count);
    while (b->pending_count > mark) {
        const struct taken *t = &b->pending[--b->pending_count];
        struct known *known = known_find(b, t->subject);
        tag_set_remove(&b->set, t->tag);
        if (known != NULL)
            known->next--;
    }
}

void tag_book_commit(struct tag_book *b)
{
    b->pending_count = 0;
}

uint64_t tag_book_count(const struct tag_book *b)
{
    return b->set.count;
}

int tag_book_export(const struct tag_book *b, struct buf *to)
{
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&b->set);
    if (sorted == NULL)
        return -RF_ENOMEM;
    int rc = buf_append(to, sorted, b->set.count * TAG_LEN);
    mem_free(sorted);
    return rc;
}

int tag_book_seal(const struct tag_book *b, uint8_t ret_root[DIGEST_LEN], uint64_t *ret_count)
{
    RF_ASSERT(b->pending_count == 0);
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&b->set);
    if (sorted == NULL)
        return -RF_ENOMEM;
    tag_set_root_of((const uint8_t(*)[TAG_LEN])sorted, b->set.count, ret_root);
    *ret_count = b->set.count;
    mem_free(sorted);
    return 0;
}
