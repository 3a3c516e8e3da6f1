/* A log of leaves in memory, witnesses that are scripted, and a clock that is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "ledger/cosign.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"

enum { LEAVES = 300, WITNESSES = 3 };

static const char origin[] = "log.example.com/ringfence";
static struct secret_key log_key, other_log_key, witness_keys[WITNESSES];
static struct trust trust;
static uint8_t leaves[LEAVES][TLOG_HASH_LEN], forked[LEAVES][TLOG_HASH_LEN];

/* ---- the log -------------------------------------------------------------------------------- */

struct tiles {
    uint8_t (*leaves)[TLOG_HASH_LEN];
    bool fails;
};

static struct tiles true_tiles = { .leaves = leaves };

static int tile_of(void *context, unsigned level, uint64_t index, unsigned width,
                   uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    const struct tiles *t = context;
    if (t->fails)
        return err_set(err, RF_EIO, "could not read a tile");
    for (unsigned i = 0; i < width; i++) {
        size_t span = level == 0 ? 1 : 256;
        assert_true(level < 2);
        tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])t->leaves + (index * 256 + i) * span, span,
                     ret[i]);
    }
    return 0;
}

static const struct tile_source tiles = { .tile = tile_of, .context = &true_tiles };

static struct buf note_by(const struct secret_key *key, uint8_t (*of)[TLOG_HASH_LEN], uint64_t size)
{
    struct checkpoint c = { .size = size };
    char text[CHECKPOINT_TEXT_SIZE];
    struct buf note;
    (void)snprintf(c.origin, sizeof(c.origin), "%s", key->key.name);
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])of, size, c.root);
    buf_init(&note, NOTE_MAX);
    assert_int_equal(note_sign(&note, text, checkpoint_write(&c, text), key, NULL), 0);
    return note;
}

static int offer_at(struct cosign *c, uint64_t size, int64_t now_ms)
{
    struct buf note = note_by(&log_key, leaves, size);
    int rc = cosign_offer(c, (const char *)buf_at(&note), buf_len(&note), &tiles, now_ms, NULL);
    buf_done(&note);
    return rc;
}

/* ---- a scripted witness --------------------------------------------------------------------- */

struct scripted {
    const struct secret_key *key;
    uint64_t size, time;
    uint8_t root[TLOG_HASH_LEN];
};

/* What a right witness answers to POST; BODY is filled. */
static struct errand_answer witness_says(struct scripted *w, const struct errand_post *post,
                                         struct buf *body)
{
    struct errand_answer a = { .witness = post->witness, .ticket = post->ticket, .status = 200 };
    struct witness_request r;
    struct note note;
    struct checkpoint c;
    char size[32];
    buf_clear(body);
    if (post->is_fetch) {
        a.status = 404; /* nobody is this far behind what a right witness has */
        return a;
    }
    assert_int_equal(witness_request_read((const char *)post->body, post->body_len, &r, NULL), 0);
    assert_int_equal(note_read(r.checkpoint, r.checkpoint_len, &note, NULL), 0);
    assert_int_equal(checkpoint_read(note.text, note.text_len, &c, NULL), 0);
    assert_int_equal(note_verify(&note, &log_key.key, NULL, NULL), 1);
    if (r.old_size != w->size) {
        a.status = 409;
        a.is_size = true;
        (void)snprintf(size, sizeof(size), "%" PRIu64 "\n", w->size);
        assert_int_equal(buf_append(body, size, strlen(size)), 0);
    } else if (w->size > 0 &&
               !proof_consistency_holds(&r.proof, w->size, c.size, w->root, c.root)) {
        a.status = 422;
    } else {
        assert_int_equal(note_cosign(body, note.text, note.text_len, ++w->time, w->key, NULL), 0);
        w->size = c.size;
        memcpy(w->root, c.root, sizeof(w->root));
    }
    a.body = buf_at(body);
    a.body_len = buf_len(body);
    return a;
}

static struct errand_answer plain(const struct errand_post *post, unsigned status, bool is_size,
                                  const char *body)
{
    return (struct errand_answer){ .witness = post->witness,
                                   .ticket = post->ticket,
                                   .status = status,
                                   .is_size = is_size,
                                   .body = (const uint8_t *)body,
                                   .body_len = strlen(body) };
}

static struct errand_answer nothing(const struct errand_post *post, enum errand_failure failure)
{
    return (struct errand_answer){ .witness = post->witness,
                                   .ticket = post->ticket,
                                   .failure = failure };
}

/* Only witness 0 has an address in the tests of single steps. */
static struct cosign *fresh(unsigned asked)
{
    struct cosign *c;
    for (unsigned i = 0; i < WITNESSES; i++)
        (void)snprintf(trust.witnesses[i].url, sizeof(trust.witnesses[i].url), "%s",
                       i < asked ? "http://127.0.0.1:1" : "");
    assert_int_equal(cosign_new(&trust, origin, &log_key.key, 7, &c, NULL), 0);
    return c;
}

static struct scripted right_witness(unsigned i)
{
    return (struct scripted){ .key = &witness_keys[i], .time = 1700000000 };
}

static struct errand_post next(struct cosign *c, int64_t now_ms)
{
    struct errand_post post = { 0 };
    assert_int_equal(cosign_next(c, now_ms, &post, NULL), 1);
    return post;
}

static void no_next(struct cosign *c, int64_t now_ms)
{
    struct errand_post post;
    assert_int_equal(cosign_next(c, now_ms, &post, NULL), 0);
}

/* The one post that is due goes to W; the outcome. */
static enum cosign_outcome one_round(struct cosign *c, struct scripted *w, int64_t now_ms)
{
    struct buf body;
    buf_init(&body, NOTE_MAX);
    struct errand_post post = next(c, now_ms);
    struct errand_answer a = witness_says(w, &post, &body);
    enum cosign_outcome outcome = cosign_answer(c, &a, now_ms);
    buf_done(&body);
    return outcome;
}

static uint64_t old_of(const struct errand_post *post)
{
    struct witness_request r;
    assert_int_equal(witness_request_read((const char *)post->body, post->body_len, &r, NULL), 0);
    return r.old_size;
}

/* ---- single steps --------------------------------------------------------------------------- */

static void an_unknown_history_begins_with_old_0(void **state)
{
    struct cosign *c = fresh(1);
    struct cosign_view v;
    (void)state;
    no_next(c, 0);
    assert_int_equal(cosign_due_ms(c), -1);
    assert_int_equal(offer_at(c, 5, 0), 0);
    struct errand_post post = next(c, 0);
    assert_int_equal(old_of(&post), 0);
    assert_int_equal(post.witness, 0);
    assert_int_equal(post.key_id, witness_keys[0].key.id);
    no_next(c, 0); /* one at a time, and the others have no URL */
    cosign_look(c, 0, &v);
    assert_true(v.is_busy && v.is_asked && !v.size_known);
    assert_true(cosign_is_waiting(c));
    cosign_free(c);
}

static void a_cosignature_covers_and_meets_the_quorum(void **state)
{
    struct cosign *c = fresh(2);
    struct scripted w[2] = { right_witness(0), right_witness(1) };
    struct buf lines;
    struct note_signature s;
    int64_t since = 0;
    (void)state;
    assert_int_equal(offer_at(c, 5, 0), 0);
    assert_int_equal(one_round(c, &w[0], 10), COSIGN_COVERED);
    assert_false(cosign_is_met(c, &since)); /* two of three */
    assert_true(cosign_is_waiting(c));
    assert_int_equal(one_round(c, &w[1], 20), COSIGN_COVERED);
    assert_true(cosign_is_met(c, &since));
    assert_int_equal(since, 20);
    assert_false(cosign_is_waiting(c));
    no_next(c, 30);
    buf_init(&lines, NOTE_MAX);
    assert_int_equal(cosign_lines(c, &lines), 0);
    size_t half = buf_len(&lines) / 2;
    assert_int_equal(note_line_read((const char *)buf_at(&lines), half, &s, NULL), 0);
    assert_int_equal(s.id, witness_keys[0].key.id);
    buf_done(&lines);
    /* a larger one starts anew */
    assert_int_equal(offer_at(c, 6, 40), 0);
    assert_false(cosign_is_met(c, NULL));
    struct errand_post post = next(c, 40);
    assert_int_equal(old_of(&post), 5);
    cosign_free(c);
}

static void a_conflict_names_the_size_to_go_on_from(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    (void)state;
    w.size = 100;
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves, 100, w.root);
    assert_int_equal(offer_at(c, 290, 0), 0);
    assert_int_equal(one_round(c, &w, 0), COSIGN_BEHIND);
    assert_int_equal(one_round(c, &w, 0), COSIGN_COVERED);
    assert_int_equal(w.size, 290);
    cosign_free(c);
}

static void a_witness_that_never_agrees_is_asked_four_times_and_then_rests(void **state)
{
    struct cosign *c = fresh(1);
    (void)state;
    assert_int_equal(offer_at(c, 9, 0), 0);
    for (int i = 0; i < 4; i++) {
        struct errand_post post = next(c, 0);
        assert_int_equal(old_of(&post), i == 0 ? 0 : (uint64_t)i);
        char size[2][3] = { "1\n", "" };
        size[0][0] = (char)('1' + i);
        struct errand_answer a = plain(&post, 409, true, size[0]);
        assert_int_equal(cosign_answer(c, &a, 0), i < 3 ? COSIGN_BEHIND : COSIGN_REFUSED);
    }
    no_next(c, 0);
    no_next(c, COSIGN_BACKOFF_MIN_MS / 2 - 1);
    assert_in_range(cosign_due_ms(c), COSIGN_BACKOFF_MIN_MS / 2, COSIGN_BACKOFF_MIN_MS);
    assert_false(cosign_is_waiting(c)); /* nobody holds an offer back for it */
    (void)next(c, COSIGN_BACKOFF_MIN_MS);
    cosign_free(c);
}

/* Witness 0 says that it has 10 leaves: the errand that it is asked next. */
static struct errand_post claim_more(struct cosign *c, const struct errand_post *post)
{
    struct errand_answer a = plain(post, 409, true, "10\n");
    assert_int_equal(cosign_answer(c, &a, 0), COSIGN_CLAIMED);
    assert_null(cosign_alarm(c));
    struct errand_post fetch = next(c, 0);
    assert_true(fetch.is_fetch);
    assert_int_equal(fetch.witness, post->witness);
    assert_int_equal(fetch.body_len, 1 + 64 + 11);
    return fetch;
}

/* Anybody can say a size; our own signature nobody else can show. */
static void what_a_witness_only_claims_ends_nothing(void **state)
{
    const struct {
        const struct secret_key *key;
        uint64_t size;
    } shown[] = { { &other_log_key, 10 }, { &log_key, 9 }, { &log_key, 8 }, { NULL, 0 } };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(shown); i++) {
        struct cosign *c = fresh(1);
        struct scripted w = right_witness(0);
        struct buf note;
        assert_int_equal(offer_at(c, 9, 0), 0);
        struct errand_post post = next(c, 0), fetch = claim_more(c, &post);
        struct errand_answer a = plain(&fetch, 404, false, "nothing");
        buf_init(&note, NOTE_MAX);
        if (shown[i].key != NULL) {
            note = note_by(shown[i].key, leaves, shown[i].size);
            a.status = 200;
            a.body = buf_at(&note);
            a.body_len = buf_len(&note);
        }
        assert_int_equal(cosign_answer(c, &a, 0), COSIGN_REFUSED);
        buf_done(&note);
        assert_null(cosign_alarm(c));
        assert_false(cosign_is_met(c, NULL));
        no_next(c, COSIGN_BACKOFF_MIN_MS / 2 - 1); /* it rests */
        assert_int_equal(offer_at(c, 20, 1), 0);   /* the log goes on */
        assert_int_equal(one_round(c, &w, COSIGN_BACKOFF_MIN_MS), COSIGN_COVERED);
        cosign_free(c);
    }
}

static void a_witness_that_shows_more_raises_the_alarm_for_ever(void **state)
{
    struct cosign *c = fresh(2);
    (void)state;
    assert_int_equal(offer_at(c, 9, 0), 0);
    struct errand_post post = next(c, 0), other = next(c, 0), fetch = claim_more(c, &post);
    struct buf note = note_by(&log_key, leaves, 10);
    struct errand_answer a = plain(&fetch, 200, false, "");
    a.body = buf_at(&note);
    a.body_len = buf_len(&note);
    assert_int_equal(cosign_answer(c, &a, 0), COSIGN_ALARM);
    buf_done(&note);
    const struct cosign_alarm *alarm = cosign_alarm(c);
    assert_non_null(alarm);
    assert_int_equal(alarm->witness, 0);
    assert_int_equal(alarm->witness_size, 10);
    assert_int_equal(alarm->our_size, 9);
    assert_int_equal(offer_at(c, 20, 1), -RF_ETAMPER);
    a = nothing(&other, ERRAND_TIMEOUT);
    assert_int_equal(cosign_answer(c, &a, 1), COSIGN_FAILED);
    no_next(c, 1 << 30);
    assert_int_equal(cosign_due_ms(c), -1);
    cosign_free(c);
}

static void what_is_remembered_raises_the_alarm_before_anybody_is_asked(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    struct buf text;
    (void)state;
    buf_init(&text, COSIGN_STATE_MAX);
    assert_int_equal(offer_at(c, 50, 0), 0);
    assert_int_equal(one_round(c, &w, 0), COSIGN_COVERED);
    assert_int_equal(cosign_export(c, &text), 0);
    cosign_free(c);
    c = fresh(1);
    assert_int_equal(cosign_import(c, (const char *)buf_at(&text), buf_len(&text), NULL), 0);
    assert_int_equal(offer_at(c, 49, 0), -RF_ETAMPER);
    assert_non_null(cosign_alarm(c));
    cosign_free(c);
    c = fresh(1);
    assert_int_equal(cosign_import(c, (const char *)buf_at(&text), buf_len(&text), NULL), 0);
    assert_int_equal(offer_at(c, 60, 0), 0);
    struct errand_post post = next(c, 0);
    assert_int_equal(old_of(&post), 50);
    buf_done(&text);
    cosign_free(c);
}

static void states_that_nobody_wrote_are_refused_whole(void **state)
{
    static const char *const wrong[] = {
        "",
        "ringfence-witnesses@2\n",
        "ringfence-witnesses@1\nw0 00000000 5",
        "ringfence-witnesses@1\nw0 00000000 05\n",
        "ringfence-witnesses@1\nw0 00000000 -5\n",
        "ringfence-witnesses@1\nw0 0000000G 5\n",
        "ringfence-witnesses@1\nw0 00000000  5\n",
        "ringfence-witnesses@1\n\n",
        "ringfence-witnesses@1\n w0 00000000 5\n",
        "ringfence-witnesses@1\nw0 00000000 9223372036854775808\n",
    };
    struct cosign *c = fresh(1);
    struct cosign_view v;
    char text[400];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(wrong); i++)
        assert_int_equal(cosign_import(c, wrong[i], strlen(wrong[i]), NULL), -RF_EPROTO);
    int n = snprintf(text, sizeof(text), "ringfence-witnesses@1\n%s %08x 5\n%s %08x 6\n",
                     witness_keys[0].key.name, witness_keys[0].key.id, witness_keys[0].key.name,
                     witness_keys[0].key.id);
    assert_int_equal(cosign_import(c, text, (size_t)n, NULL), -RF_EPROTO); /* twice */
    cosign_look(c, 0, &v);
    assert_false(v.size_known);
    n = snprintf(text, sizeof(text), "ringfence-witnesses@1\n%s %08x 5\n", witness_keys[0].key.name,
                 witness_keys[0].key.id ^ 1);
    assert_int_equal(cosign_import(c, text, (size_t)n, NULL), 0); /* another key: skipped */
    cosign_look(c, 0, &v);
    assert_false(v.size_known);
    assert_int_equal(offer_at(c, 5, 0), 0);
    assert_int_equal(cosign_import(c, text, (size_t)n, NULL), -RF_EINVAL); /* too late */
    cosign_free(c);
}

/* Answers 200 with LINE mutilated in one of many ways; none may count. */
static void lines_that_do_not_verify_are_dropped(void **state)
{
    (void)state;
    struct buf good, wrong;
    struct checkpoint other = { .size = 5 };
    char other_text[CHECKPOINT_TEXT_SIZE], text[CHECKPOINT_TEXT_SIZE];
    struct checkpoint ours = { .size = 5 };
    buf_init(&good, NOTE_MAX);
    buf_init(&wrong, NOTE_MAX);
    (void)snprintf(ours.origin, sizeof(ours.origin), "%s", origin);
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves, 5, ours.root);
    size_t len = checkpoint_write(&ours, text);
    assert_int_equal(note_cosign(&good, text, len, 1700000000, &witness_keys[0], NULL), 0);
    (void)snprintf(other.origin, sizeof(other.origin), "%s", origin);
    size_t other_len = checkpoint_write(&other, other_text);
    for (size_t i = 0; i <= buf_len(&good) + 4; i++) {
        struct cosign *c = fresh(1);
        assert_int_equal(offer_at(c, 5, 0), 0);
        struct errand_post post = next(c, 0);
        buf_clear(&wrong);
        if (i < buf_len(&good)) { /* a bit of each byte */
            assert_int_equal(buf_append(&wrong, buf_at(&good), buf_len(&good)), 0);
            buf_at(&wrong)[i] ^= (uint8_t)(1 << (i % 7));
        } else if (i == buf_len(&good)) { /* over another text */
            assert_int_equal(note_cosign(&wrong, other_text, other_len, 1700000000,
                                         &witness_keys[0], NULL),
                             0);
        } else if (i == buf_len(&good) + 1) { /* by another witness of ours */
            assert_int_equal(note_cosign(&wrong, text, len, 1700000000, &witness_keys[1], NULL), 0);
        } else if (i == buf_len(&good) + 2) { /* cut off */
            assert_int_equal(buf_append(&wrong, buf_at(&good), buf_len(&good) - 1), 0);
        } else if (i == buf_len(&good) + 3) { /* the log's own line */
            struct buf note = note_by(&log_key, leaves, 5);
            assert_int_equal(buf_append(&wrong, buf_at(&note) + len + 1, buf_len(&note) - len - 1),
                             0);
            buf_done(&note);
        }
        struct errand_answer a = plain(&post, 200, false, "");
        a.body = buf_at(&wrong);
        a.body_len = buf_len(&wrong);
        assert_int_equal(cosign_answer(c, &a, 0), COSIGN_REFUSED);
        struct cosign_view v;
        cosign_look(c, 0, &v);
        assert_true(!v.covers && !v.size_known && v.failures == 1);
        cosign_free(c);
    }
    buf_done(&good);
    buf_done(&wrong);
}

static void the_newest_good_line_among_others_counts(void **state)
{
    struct cosign *c = fresh(1);
    struct buf body, lines;
    struct note note;
    struct witness_request r;
    struct cosign_view v;
    (void)state;
    buf_init(&body, NOTE_MAX);
    buf_init(&lines, NOTE_MAX);
    assert_int_equal(offer_at(c, 5, 0), 0);
    struct errand_post post = next(c, 0);
    assert_int_equal(witness_request_read((const char *)post.body, post.body_len, &r, NULL), 0);
    assert_int_equal(note_read(r.checkpoint, r.checkpoint_len, &note, NULL), 0);
    static const uint64_t times[] = { 100, 300, 200 };
    assert_int_equal(note_cosign(&body, note.text, note.text_len, 400, &witness_keys[1], NULL), 0);
    for (size_t i = 0; i < RF_COUNT(times); i++) {
        assert_int_equal(buf_append(&body, "\ngarbage\n", 9), 0);
        assert_int_equal(note_cosign(&body, note.text, note.text_len, times[i], &witness_keys[0],
                                     NULL),
                         0);
    }
    struct errand_answer a = plain(&post, 200, false, "");
    a.body = buf_at(&body);
    a.body_len = buf_len(&body);
    assert_int_equal(cosign_answer(c, &a, 0), COSIGN_COVERED);
    cosign_look(c, 0, &v);
    assert_int_equal(v.time, 300);
    assert_int_equal(cosign_lines(c, &lines), 0);
    assert_true(buf_len(&lines) < 200); /* one */
    buf_done(&body);
    buf_done(&lines);
    cosign_free(c);
}

static void everything_else_is_no_cosignature_this_time(void **state)
{
    static const struct {
        unsigned status;
        bool is_size;
        const char *body;
        enum cosign_outcome outcome;
    } rows[] = {
        { 400, false, "x", COSIGN_REFUSED },
        { 403, false, "", COSIGN_REFUSED },
        { 404, false, "", COSIGN_REFUSED },
        { 409, false, "3\n", COSIGN_REFUSED },
        { 409, true, "3", COSIGN_REFUSED },
        { 409, true, "", COSIGN_REFUSED },
        { 409, true, "\n", COSIGN_REFUSED },
        { 409, true, "03\n", COSIGN_REFUSED },
        { 409, true, "+3\n", COSIGN_REFUSED },
        { 409, true, "3\n\n", COSIGN_REFUSED },
        { 409, true, "3\r\n", COSIGN_REFUSED },
        { 409, true, "3 \n", COSIGN_REFUSED },
        { 409, true, "9223372036854775808\n", COSIGN_REFUSED },
        { 409, true, "99999999999999999999999\n", COSIGN_REFUSED },
        { 409, true, "9223372036854775807\n", COSIGN_CLAIMED },
        { 409, true, "9\n", COSIGN_BEHIND },
        { 409, true, "0\n", COSIGN_BEHIND },
        { 422, false, "", COSIGN_REFUSED }, /* to old 0 */
        { 500, false, "", COSIGN_REFUSED },
        { 301, false, "", COSIGN_REFUSED },
        { 200, true, "3\n", COSIGN_REFUSED },
        { 201, false, "", COSIGN_REFUSED },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct cosign *c = fresh(1);
        assert_int_equal(offer_at(c, 9, 0), 0);
        struct errand_post post = next(c, 0);
        struct errand_answer a = plain(&post, rows[i].status, rows[i].is_size, rows[i].body);
        assert_int_equal(cosign_answer(c, &a, 0), rows[i].outcome);
        assert_int_equal(cosign_answer(c, &a, 0), COSIGN_DROPPED); /* once */
        cosign_free(c);
    }
}

static void a_witness_whose_history_differs_disputes(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    (void)state;
    w.size = 7;
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])forked, 7, w.root);
    assert_int_equal(offer_at(c, 9, 0), 0);
    assert_int_equal(one_round(c, &w, 0), COSIGN_BEHIND);
    assert_int_equal(one_round(c, &w, 0), COSIGN_DISPUTED);
    assert_null(cosign_alarm(c));
    cosign_free(c);
}

/* And is asked to show it: our own signature under another tree, whatever its size, is the end. */
static void a_witness_that_disputes_and_shows_our_signature_raises_the_alarm(void **state)
{
    const struct {
        const struct secret_key *key;
        uint8_t (*of)[TLOG_HASH_LEN];
        uint64_t size;
        enum cosign_outcome outcome;
    } shown[] = {
        { &log_key, forked, 7, COSIGN_ALARM },         { &log_key, forked, 290, COSIGN_ALARM },
        { &log_key, leaves, 7, COSIGN_REFUSED },       { &log_key, leaves, 290, COSIGN_REFUSED },
        { &other_log_key, forked, 7, COSIGN_REFUSED },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(shown); i++) {
        struct cosign *c = fresh(1);
        struct scripted w = right_witness(0);
        w.size = 7;
        tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])forked, 7, w.root);
        assert_int_equal(offer_at(c, 290, 0), 0);
        assert_int_equal(one_round(c, &w, 0), COSIGN_BEHIND);
        assert_int_equal(one_round(c, &w, 0), COSIGN_DISPUTED);
        struct errand_post fetch = next(c, COSIGN_BACKOFF_MIN_MS);
        assert_true(fetch.is_fetch);
        struct buf note = note_by(shown[i].key, shown[i].of, shown[i].size);
        struct errand_answer a = plain(&fetch, 200, false, "");
        a.body = buf_at(&note);
        a.body_len = buf_len(&note);
        assert_int_equal(cosign_answer(c, &a, COSIGN_BACKOFF_MIN_MS), shown[i].outcome);
        assert_int_equal(cosign_alarm(c) != NULL, shown[i].outcome == COSIGN_ALARM);
        buf_done(&note);
        cosign_free(c);
    }
}

static void failures_back_off_up_to_a_ceiling_and_forget(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    int64_t now = 0, base = COSIGN_BACKOFF_MIN_MS;
    (void)state;
    assert_int_equal(offer_at(c, 9, now), 0);
    for (int i = 0; i < 14; i++) {
        struct errand_post post = next(c, now);
        struct errand_answer a = nothing(&post, ERRAND_UNREACHED);
        assert_int_equal(cosign_answer(c, &a, now), COSIGN_FAILED);
        assert_in_range(cosign_due_ms(c) - now, base / 2, base);
        base = base * 2 > COSIGN_BACKOFF_MAX_MS ? COSIGN_BACKOFF_MAX_MS : base * 2;
        no_next(c, cosign_due_ms(c) - 1);
        now = cosign_due_ms(c);
    }
    assert_int_equal(one_round(c, &w, now), COSIGN_COVERED);
    assert_int_equal(offer_at(c, 10, now), 0);
    assert_int_equal(one_round(c, &w, now), COSIGN_COVERED); /* at once */
    cosign_free(c);
}

static void an_unchanged_checkpoint_is_refreshed(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    struct cosign_view v;
    (void)state;
    assert_int_equal(offer_at(c, 9, 0), 0);
    assert_int_equal(one_round(c, &w, 0), COSIGN_COVERED);
    int64_t due = cosign_due_ms(c);
    assert_in_range(due, COSIGN_REFRESH_MS / 10 * 9, COSIGN_REFRESH_MS);
    assert_int_equal(offer_at(c, 9, 5), 0); /* the same again changes nothing */
    no_next(c, due - 1);
    struct errand_post post = next(c, due);
    assert_int_equal(old_of(&post), 9);
    assert_true(cosign_is_met(c, NULL) == false); /* one of three never was enough */
    struct buf body;
    buf_init(&body, NOTE_MAX);
    struct errand_answer a = witness_says(&w, &post, &body);
    uint64_t version = cosign_version(c);
    assert_int_equal(cosign_answer(c, &a, due), COSIGN_COVERED);
    assert_true(cosign_version(c) != version);
    version = cosign_version(c);
    assert_int_equal(offer_at(c, 9, due), 0);
    assert_true(cosign_version(c) == version);
    cosign_look(c, 0, &v);
    assert_int_equal(v.time, w.time);
    buf_done(&body);
    cosign_free(c);
}

static void an_answer_about_an_older_checkpoint_counts_for_the_size_only(void **state)
{
    struct cosign *c = fresh(1);
    struct scripted w = right_witness(0);
    struct buf body, lines;
    struct cosign_view v;
    (void)state;
    buf_init(&body, NOTE_MAX);
    buf_init(&lines, NOTE_MAX);
    assert_int_equal(offer_at(c, 9, 0), 0);
    struct errand_post post = next(c, 0);
    struct errand_answer a = witness_says(&w, &post, &body);
    assert_int_equal(offer_at(c, 20, 1), 0);
    no_next(c, 1);
    assert_int_equal(cosign_answer(c, &a, 2), COSIGN_OLDER);
    cosign_look(c, 0, &v);
    assert_true(v.size == 9 && !v.covers);
    assert_int_equal(cosign_lines(c, &lines), 0);
    assert_int_equal(buf_len(&lines), 0);
    assert_int_equal(one_round(c, &w, 2), COSIGN_COVERED);
    buf_done(&body);
    buf_done(&lines);
    cosign_free(c);
}

static void what_is_never_answered_fails_after_a_while(void **state)
{
    struct cosign *c = fresh(1);
    (void)state;
    assert_int_equal(offer_at(c, 9, 0), 0);
    struct errand_post post = next(c, 0);
    assert_int_equal(cosign_due_ms(c), COSIGN_LIMIT_MS + COSIGN_OVERDUE_MS);
    no_next(c, cosign_due_ms(c));
    struct errand_answer a = plain(&post, 409, true, "100\n");
    assert_int_equal(cosign_answer(c, &a, 20000), COSIGN_DROPPED);
    struct errand_post again = next(c, 30000);
    assert_true(again.ticket != post.ticket);
    cosign_lost(c, 30000);
    a = plain(&again, 409, true, "100\n");
    assert_int_equal(cosign_answer(c, &a, 30000), COSIGN_DROPPED);
    cosign_free(c);
}

static void a_tile_that_cannot_be_read_puts_one_witness_off(void **state)
{
    struct cosign *c = fresh(2);
    struct scripted w = right_witness(0);
    struct errand_post post;
    (void)state;
    assert_int_equal(offer_at(c, 9, 0), 0);
    assert_int_equal(one_round(c, &w, 0), COSIGN_COVERED);
    assert_int_equal(offer_at(c, 20, 0), 0);
    true_tiles.fails = true;
    assert_int_equal(cosign_next(c, 0, &post, NULL), -RF_EIO);
    assert_int_equal(cosign_next(c, 0, &post, NULL), 1); /* the other needs no proof */
    assert_int_equal(post.witness, 1);
    true_tiles.fails = false;
    assert_int_equal(one_round(c, &w, COSIGN_BACKOFF_MIN_MS), COSIGN_COVERED);
    cosign_free(c);
}

static void offers_that_are_none_are_refused(void **state)
{
    struct cosign *c = fresh(1);
    struct buf notes[] = { note_by(&other_log_key, leaves, 9), note_by(&log_key, forked, 9),
                           note_by(&log_key, leaves, 8) };
    struct buf good = note_by(&log_key, leaves, 9);
    (void)state;
    for (size_t i = 0; i < buf_len(&good); i++) {
        buf_at(&good)[i] ^= 1;
        assert_true(cosign_offer(c, (const char *)buf_at(&good), buf_len(&good), &tiles, 0, NULL) ==
                    -RF_EINVAL);
        buf_at(&good)[i] ^= 1;
    }
    no_next(c, 0);
    assert_int_equal(offer_at(c, 9, 0), 0);
    for (size_t i = 0; i < RF_COUNT(notes); i++)
        assert_int_equal(cosign_offer(c, (const char *)buf_at(&notes[i]), buf_len(&notes[i]),
                                      &tiles, 0, NULL),
                         -RF_EINVAL);
    struct errand_post post = next(c, 0);
    assert_int_equal(old_of(&post), 0);
    for (size_t i = 0; i < RF_COUNT(notes); i++)
        buf_done(&notes[i]);
    buf_done(&good);
    cosign_free(c);
}

/* The file of witnesses was changed: who stays keeps what he gave, whatever his place in it. */
static void other_witnesses_count_from_now_on_and_who_stays_is_not_asked_again(void **state)
{
    struct cosign *c = fresh(2);
    struct scripted w[WITNESSES] = { right_witness(0), right_witness(1), right_witness(2) };
    struct trust *next_trust = mem_zalloc(1, sizeof(*next_trust));
    struct cosign_view v;
    struct buf lines;
    struct note_signature s;
    (void)state;
    assert_int_equal(offer_at(c, 5, 0), 0);
    assert_int_equal(one_round(c, &w[0], 10), COSIGN_COVERED);
    struct errand_post lost = next(c, 10); /* to witness 1 */
    assert_int_equal(lost.witness, 1);
    uint64_t version = cosign_version(c);

    *next_trust = trust; /* 2 and 0 are left, in that order, and both are needed */
    next_trust->witness_count = 2;
    next_trust->witnesses[0] = trust.witnesses[2];
    next_trust->witnesses[1] = trust.witnesses[0];
    (void)snprintf(next_trust->witnesses[0].url, TRUST_URL_MAX, "http://127.0.0.1:2");
    next_trust->group_count = 1;
    next_trust->groups[0] =
        (struct trust_group){ .needed = 2, .member_count = 2, .members = { 0, 1 } };
    next_trust->quorum = TRUST_MAX;
    assert_int_equal(cosign_retrust(c, next_trust, 20, NULL), 0);
    assert_true(cosign_version(c) != version);
    assert_false(cosign_is_met(c, NULL));
    struct errand_answer late = plain(&lost, 200, false, "");
    assert_int_equal(cosign_answer(c, &late, 20), COSIGN_DROPPED);
    cosign_look(c, 1, &v);
    assert_true(v.covers && v.size_known && v.size == 5);
    cosign_look(c, 0, &v);
    assert_true(!v.covers && !v.size_known && v.is_asked);
    assert_int_equal(one_round(c, &w[2], 30), COSIGN_COVERED);
    assert_true(cosign_is_met(c, NULL));
    no_next(c, 40);
    buf_init(&lines, NOTE_MAX);
    assert_int_equal(cosign_lines(c, &lines), 0);
    size_t half = buf_len(&lines) / 2;
    assert_int_equal(note_line_read((const char *)buf_at(&lines), half, &s, NULL), 0);
    assert_int_equal(s.id, witness_keys[2].key.id);
    assert_int_equal(note_line_read((const char *)buf_at(&lines) + half, half, &s, NULL), 0);
    assert_int_equal(s.id, witness_keys[0].key.id);
    buf_done(&lines);
    cosign_free(c);
    mem_free(next_trust);
}

/* ---- random schedules ----------------------------------------------------------------------- */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice % sides);
}

struct schedule {
    struct cosign *c;
    struct scripted w[WITNESSES];
    struct errand_post posts[WITNESSES]; /* under way; ticket 0: none */
    struct buf bodies[WITNESSES], answer;
    struct buf seen; /* the lines as of the last check: the same need no second one */
    bool offered[LEAVES + 1];
    uint64_t size;
    int64_t now;
    bool must_alarm;
};

/* Every line of a witness that covers is a cosignature of the current checkpoint. */
static void check_lines(struct schedule *s, const struct buf *lines)
{
    struct buf probe;
    struct note note;
    if (buf_len(lines) == buf_len(&s->seen) &&
        (buf_len(lines) == 0 ||
         memcmp(lines->data + lines->off, buf_at(&s->seen), buf_len(lines)) == 0))
        return;
    buf_clear(&s->seen);
    if (buf_len(lines) == 0)
        return;
    assert_int_equal(buf_append(&s->seen, lines->data + lines->off, buf_len(lines)), 0);
    probe = note_by(&log_key, leaves, s->size);
    assert_int_equal(buf_append(&probe, lines->data + lines->off, buf_len(lines)), 0);
    assert_int_equal(note_read((const char *)buf_at(&probe), buf_len(&probe), &note, NULL), 0);
    for (unsigned i = 0; i < WITNESSES; i++) {
        struct cosign_view v;
        cosign_look(s->c, i, &v);
        assert_int_equal(note_verify(&note, &trust.witnesses[i].key, NULL, NULL), v.covers);
    }
    buf_done(&probe);
}

static void check(struct schedule *s)
{
    struct buf lines;
    bool have[TRUST_MAX] = { false };
    buf_init(&lines, NOTE_MAX);
    assert_int_equal(cosign_lines(s->c, &lines), 0);
    check_lines(s, &lines);
    for (unsigned i = 0; i < WITNESSES; i++) {
        struct cosign_view v;
        cosign_look(s->c, i, &v);
        have[i] = v.covers;
        assert_true(!v.size_known || v.size <= s->size);
        assert_true(!v.covers || buf_len(&lines) > 0);
    }
    assert_int_equal(cosign_is_met(s->c, NULL), s->size > 0 && trust_is_met(&trust, have));
    assert_int_equal(cosign_alarm(s->c) != NULL, s->must_alarm);
    buf_done(&lines);
}

static void take_post(struct schedule *s)
{
    struct errand_post post;
    struct witness_request r;
    struct note note;
    struct checkpoint c;
    if (cosign_next(s->c, s->now, &post, NULL) != 1)
        return;
    assert_false(s->must_alarm);
    if (post.is_fetch) { /* of a path that lives as long as S->c */
        s->posts[post.witness] = post;
        return;
    }
    assert_int_equal(witness_request_read((const char *)post.body, post.body_len, &r, NULL), 0);
    assert_int_equal(note_read(r.checkpoint, r.checkpoint_len, &note, NULL), 0);
    assert_int_equal(checkpoint_read(note.text, note.text_len, &c, NULL), 0);
    assert_true(c.size <= LEAVES && s->offered[c.size] && c.size == s->size);
    unsigned i = post.witness;
    buf_clear(&s->bodies[i]);
    assert_int_equal(buf_append(&s->bodies[i], post.body, post.body_len), 0);
    post.body = buf_at(&s->bodies[i]);
    s->posts[i] = post;
}

static void answer_post(struct schedule *s, unsigned i)
{
    struct errand_answer a;
    uint64_t size = s->w[i].size;
    char text[32];
    switch (roll(8)) {
    case 0:
        a = nothing(&s->posts[i], (enum errand_failure)(1 + roll(ERRAND_FAILURE_COUNT - 1)));
        break;
    case 1: /* it cosigned, and the answer is lost or damaged */
        a = witness_says(&s->w[i], &s->posts[i], &s->answer);
        if (a.body_len > 0)
            buf_at(&s->answer)[roll((unsigned)a.body_len)] ^= (uint8_t)(1U << roll(8));
        if (a.status == 409) /* a damaged size may be any */
            a.status = 500;
        break;
    case 2:
        a = plain(&s->posts[i], 400 + roll(100), false, "no");
        break;
    case 3: /* it lost its memory, or lies about it */
        (void)snprintf(text, sizeof(text), "%u\n", roll(3) == 0 ? 0 : (unsigned)size);
        a = plain(&s->posts[i], 409, true, text);
        s->must_alarm |= cosign_answer(s->c, &a, s->now) == COSIGN_ALARM;
        s->posts[i].ticket = 0;
        return;
    case 4:
        if (roll(40) == 0) { /* it has seen more than we have */
            (void)snprintf(text, sizeof(text), "%" PRIu64 "\n", s->size + 1 + roll(5));
            a = plain(&s->posts[i], 409, true, text);
            if (s->posts[i].is_fetch) {
                struct buf note = note_by(&log_key, leaves, LEAVES);
                a = plain(&s->posts[i], 200, false, "");
                a.body = buf_at(&note);
                a.body_len = buf_len(&note);
                s->must_alarm |= cosign_answer(s->c, &a, s->now) == COSIGN_ALARM;
                buf_done(&note);
            } else {
                (void)cosign_answer(s->c, &a, s->now);
            }
            s->posts[i].ticket = 0;
            return;
        }
        RF_FALLTHROUGH;
    default:
        a = witness_says(&s->w[i], &s->posts[i], &s->answer);
    }
    (void)cosign_answer(s->c, &a, s->now);
    s->posts[i].ticket = roll(10) == 0 ? s->posts[i].ticket : 0; /* sometimes said twice */
}

static void run_schedule(uint64_t seed)
{
    static struct schedule s;
    memset(&s, 0, sizeof(s));
    dice = seed;
    s.c = fresh(WITNESSES);
    buf_init(&s.answer, NOTE_MAX);
    buf_init(&s.seen, NOTE_MAX);
    for (unsigned i = 0; i < WITNESSES; i++) {
        s.w[i] = right_witness(i);
        buf_init(&s.bodies[i], NOTE_MAX);
    }
    for (unsigned step = 0; step < 60; step++) {
        unsigned i = roll(WITNESSES);
        switch (roll(6)) {
        case 0: {
            uint64_t size = s.size + roll(6);
            if (size == 0 || size > LEAVES)
                break;
            int rc = offer_at(s.c, size, s.now);
            assert_int_equal(rc, s.must_alarm ? -RF_ETAMPER : 0);
            if (rc == 0) {
                s.size = size;
                s.offered[size] = true;
            }
            break;
        }
        case 1:
            s.now += roll(10) == 0 ? COSIGN_REFRESH_MS : roll(3000);
            break;
        case 2:
            if (roll(30) == 0)
                cosign_lost(s.c, s.now);
            break;
        case 3:
        case 4:
            take_post(&s);
            break;
        default:
            if (s.posts[i].ticket != 0)
                answer_post(&s, i);
        }
        check(&s);
    }
    /* In the end all is well again: whoever is right, in time, covers the last checkpoint. */
    for (unsigned step = 0; step < 40 && !s.must_alarm && s.size > 0 && !cosign_is_met(s.c, NULL);
         step++) {
        s.now += COSIGN_BACKOFF_MAX_MS;
        for (unsigned i = 0; i < WITNESSES; i++) {
            take_post(&s);
            for (unsigned k = 0; k < WITNESSES; k++)
                if (s.posts[k].ticket != 0) {
                    struct errand_answer a = witness_says(&s.w[k], &s.posts[k], &s.answer);
                    (void)cosign_answer(s.c, &a, s.now);
                    s.posts[k].ticket = 0;
                }
        }
        check(&s);
    }
    assert_true(s.must_alarm || s.size == 0 || cosign_is_met(s.c, NULL));
    for (unsigned i = 0; i < WITNESSES; i++)
        buf_done(&s.bodies[i]);
    buf_done(&s.answer);
    buf_done(&s.seen);
    cosign_free(s.c);
}

static void no_schedule_breaks_an_invariant(void **state)
{
    const char *rounds = getenv("RF_ROUNDS");
    unsigned long count = rounds != NULL ? strtoul(rounds, NULL, 10) : 2000;
    (void)state;
    for (unsigned long seed = 1; seed <= count; seed++)
        run_schedule(seed * UINT64_C(0x9e3779b97f4a7c15));
}

static int prepare(void **state)
{
    static char text[4096];
    struct err err = { 0 };
    char vkey[KEY_VKEY_SIZE], name[40];
    uint8_t seed[KEY_SEED_LEN] = { 1 };
    size_t at = 0;
    (void)state;
    if (digest_init(&err) < 0 || secret_key_make(origin, KEY_ED25519, seed, &log_key, &err) < 0)
        return -1;
    seed[0] = 99;
    if (secret_key_make("log.example.com/other", KEY_ED25519, seed, &other_log_key, &err) < 0)
        return -1;
    for (unsigned i = 0; i < WITNESSES; i++) {
        seed[0] = (uint8_t)(10 + i);
        (void)snprintf(name, sizeof(name), "witness.example.com/w%u", i);
        if (secret_key_make(name, KEY_COSIGNATURE, seed, &witness_keys[i], &err) < 0)
            return -1;
        key_write(&witness_keys[i].key, vkey);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "witness w%u %s http://127.0.0.1:1\n",
                               i, vkey);
    }
    at += (size_t)snprintf(text + at, sizeof(text) - at, "group g 2 w0 w1 w2\nquorum g\n");
    if (trust_read(text, at, &trust, &err) < 0) {
        print_error("%s\n", err.line);
        return -1;
    }
    for (unsigned i = 0; i < LEAVES; i++) {
        (void)snprintf(name, sizeof(name), "leaf-%u", i);
        tlog_leaf_hash(name, strlen(name), leaves[i]);
        tlog_leaf_hash(name, strlen(name) - 1, forked[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_history_begins_with_old_0),
        cmocka_unit_test(a_cosignature_covers_and_meets_the_quorum),
        cmocka_unit_test(a_conflict_names_the_size_to_go_on_from),
        cmocka_unit_test(a_witness_that_never_agrees_is_asked_four_times_and_then_rests),
        cmocka_unit_test(what_a_witness_only_claims_ends_nothing),
        cmocka_unit_test(a_witness_that_shows_more_raises_the_alarm_for_ever),
        cmocka_unit_test(what_is_remembered_raises_the_alarm_before_anybody_is_asked),
        cmocka_unit_test(states_that_nobody_wrote_are_refused_whole),
        cmocka_unit_test(lines_that_do_not_verify_are_dropped),
        cmocka_unit_test(the_newest_good_line_among_others_counts),
        cmocka_unit_test(everything_else_is_no_cosignature_this_time),
        cmocka_unit_test(a_witness_whose_history_differs_disputes),
        cmocka_unit_test(a_witness_that_disputes_and_shows_our_signature_raises_the_alarm),
        cmocka_unit_test(failures_back_off_up_to_a_ceiling_and_forget),
        cmocka_unit_test(an_unchanged_checkpoint_is_refreshed),
        cmocka_unit_test(an_answer_about_an_older_checkpoint_counts_for_the_size_only),
        cmocka_unit_test(what_is_never_answered_fails_after_a_while),
        cmocka_unit_test(a_tile_that_cannot_be_read_puts_one_witness_off),
        cmocka_unit_test(offers_that_are_none_are_refused),
        cmocka_unit_test(other_witnesses_count_from_now_on_and_who_stays_is_not_asked_again),
        cmocka_unit_test(no_schedule_breaks_an_invariant),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
