/* fuzz_cosign.c - witnesses that answer anything, at any time, and a remembered state of any text.
 *
 * Input: steps, each a byte that says what happens, a byte for whom or how much, and for answers
 * and states a length byte and that many bytes. The witnesses' keys are never used here, so that no
 * answer may ever count. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "ledger/cosign.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"
#include "wire/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEAVES = 64, WITNESSES = 3, STEPS_MAX = 200 };

static const char origin[] = "log.example.com/ringfence";
static struct trust trust;
static struct key log_key;
static uint8_t leaves[LEAVES][TLOG_HASH_LEN];
static struct buf notes[LEAVES + 1];

static int tile_of(void *context, unsigned level, uint64_t index, unsigned width,
                   uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    (void)context;
    (void)err;
    RF_ASSERT(level == 0 && index == 0 && width <= LEAVES);
    memcpy(ret, leaves, width * sizeof(leaves[0]));
    return 0;
}

static void make_note(uint64_t size, const struct secret_key *key)
{
    struct checkpoint c = { .size = size };
    char text[CHECKPOINT_TEXT_SIZE];
    memcpy(c.origin, origin, sizeof(origin));
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves, size, c.root);
    buf_init(&notes[size], 4096);
    RF_ASSERT(note_sign(&notes[size], text, checkpoint_write(&c, text), key, NULL) == 0);
}

static void prepare(void)
{
    static char text[2048];
    char vkey[KEY_VKEY_SIZE], name[40];
    uint8_t seed[KEY_SEED_LEN] = { 1 };
    struct secret_key key;
    size_t at = 0;
    RF_ASSERT(digest_init(NULL) == 0);
    RF_ASSERT(secret_key_make(origin, KEY_ED25519, seed, &key, NULL) == 0);
    log_key = key.key;
    for (uint64_t size = 0; size <= LEAVES; size++) {
        if (size > 0)
            tlog_leaf_hash(&size, sizeof(size), leaves[size - 1]);
        make_note(size, &key);
    }
    for (unsigned i = 0; i < WITNESSES; i++) {
        seed[0] = (uint8_t)(10 + i);
        (void)snprintf(name, sizeof(name), "w%u", i);
        RF_ASSERT(secret_key_make(name, KEY_COSIGNATURE, seed, &key, NULL) == 0);
        key_write(&key.key, vkey);
        at +=
            (size_t)snprintf(text + at, sizeof(text) - at, "witness %s %s http://h\n", name, vkey);
    }
    at += (size_t)snprintf(text + at, sizeof(text) - at, "group g 2 w0 w1 w2\nquorum g\n");
    RF_ASSERT(trust_read(text, at, &trust, NULL) == 0);
}

struct world {
    struct cosign *c;
    uint64_t tickets[WITNESSES];
    uint64_t size;
    int64_t now;
    bool has_alarm;
};

static void take_posts(struct world *w)
{
    struct errand_post post;
    struct witness_request r;
    while (cosign_next(w->c, w->now, &post, NULL) == 1) {
        RF_ASSERT(!w->has_alarm && post.witness < WITNESSES);
        w->tickets[post.witness] = post.ticket;
        if (post.is_fetch)
            continue;
        RF_ASSERT(witness_request_read((const char *)post.body, post.body_len, &r, NULL) == 0);
        RF_ASSERT(r.old_size <= w->size && r.checkpoint_len == buf_len(&notes[w->size]) &&
                  memcmp(r.checkpoint, buf_at(&notes[w->size]), r.checkpoint_len) == 0);
    }
}

static void answer(struct world *w, uint8_t what, uint8_t who, const uint8_t *body, size_t len)
{
    static const unsigned statuses[] = { 200, 409, 422, 404, 409, 500 };
    struct errand_answer a = { .witness = who % WITNESSES };
    a.ticket = w->tickets[a.witness];
    if (a.ticket == 0)
        a.ticket = 1;
    if (what % 8 < RF_COUNT(statuses)) {
        a.status = statuses[what % 8];
        a.is_size = what % 8 == 1;
        a.body = body;
        a.body_len = len;
    } else {
        a.failure = ERRAND_TIMEOUT;
    }
    enum cosign_outcome outcome = cosign_answer(w->c, &a, w->now);
    RF_ASSERT(outcome != COSIGN_COVERED && outcome != COSIGN_OLDER);
    if (outcome == COSIGN_ALARM)
        w->has_alarm = true;
}

static void offer(struct world *w, uint8_t size)
{
    const struct tile_source tiles = { .tile = tile_of };
    struct buf *note = &notes[size % (LEAVES + 1)];
    int rc = cosign_offer(w->c, (const char *)buf_at(note), buf_len(note), &tiles, w->now, NULL);
    RF_ASSERT(!w->has_alarm || rc < 0);
    if (rc == 0)
        w->size = size % (LEAVES + 1);
    w->has_alarm |= cosign_alarm(w->c) != NULL;
}

static void check(const struct world *w)
{
    struct buf lines;
    struct cosign_view v;
    buf_init(&lines, 64);
    RF_ASSERT(cosign_lines(w->c, &lines) == 0 && buf_len(&lines) == 0);
    RF_ASSERT(!cosign_is_met(w->c, NULL));
    RF_ASSERT((cosign_alarm(w->c) != NULL) == w->has_alarm);
    for (unsigned i = 0; i < WITNESSES; i++) {
        cosign_look(w->c, i, &v);
        RF_ASSERT(!v.covers && v.time == 0);
    }
    buf_done(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = { .size = 0 };
    struct rd r = rd_of(data, size);
    if (trust.witness_count == 0)
        prepare();
    RF_ASSERT(cosign_new(&trust, origin, &log_key, 1, &w.c, NULL) == 0);
    for (unsigned i = 0; i < STEPS_MAX && r.left >= 3; i++) {
        uint8_t what = rd_u8(&r), how = rd_u8(&r);
        size_t len = 0;
        const uint8_t *bytes = NULL;
        if (what >= 0x80 || what == 3) {
            len = rd_u8(&r);
            len = len < r.left ? len : r.left;
            bytes = rd_bytes(&r, len);
        }
        if (what >= 0x80)
            answer(&w, what, how, bytes, len);
        else if (what == 3)
            RF_NEGLECT(cosign_import(w.c, (const char *)bytes, len, NULL));
        else if (what == 4)
            w.now += (int64_t)how * 4000;
        else if (what == 5)
            cosign_lost(w.c, w.now);
        else
            offer(&w, how);
        take_posts(&w);
        check(&w);
    }
    cosign_free(w.c);
    return 0;
}
