#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "ledger/revealed.h"
#include "ledger/tag_book.h"

/* ---- tests/vectors/log-v1.json, part `tags`: one value a line, each key once ---------------- */

static char *vectors;

static int load_vectors(void **state)
{
    const char *folder = getenv("RF_VECTORS");
    char path[PATH_MAX];
    size_t len;
    struct err err;
    (void)state;
    if (folder == NULL || sodium_init() < 0 || digest_init(&err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/log-v1.json", folder);
    return fd_read_file(path, 1 << 20, &vectors, &len, &err);
}

static int free_vectors(void **state)
{
    (void)state;
    mem_free(vectors);
    return 0;
}

/* What stands behind `"NAME": `, up to the end of the line. */
static const char *value_of(const char *name, size_t *ret_len)
{
    char start[64];
    (void)snprintf(start, sizeof(start), "\n  \"%s\": ", name);
    const char *at = strstr(vectors, start);
    if (at == NULL)
        fail_msg("no vector %s", name);
    at += strlen(start);
    *ret_len = strcspn(at, "\n");
    if (at[*ret_len - 1] == ',')
        --*ret_len;
    return at;
}

static void text_vector(const char *name, char *ret, size_t max)
{
    size_t len;
    const char *value = value_of(name, &len);
    assert_true(len >= 2 && len - 2 < max);
    memcpy(ret, value + 1, len - 2);
    ret[len - 2] = '\0';
}

static size_t vector(const char *name, uint8_t *ret, size_t max)
{
    char hex[4096];
    size_t n;
    text_vector(name, hex, sizeof(hex));
    assert_int_equal(sodium_hex2bin(ret, max, hex, strlen(hex), NULL, &n, NULL), 0);
    return n;
}

static void assert_vector(const char *name, const void *bytes, size_t n)
{
    uint8_t expected[2048];
    assert_int_equal(vector(name, expected, sizeof(expected)), n);
    assert_memory_equal(bytes, expected, n);
}

/* "month" and "tag", 1: "month_tag_1". */
static const char *named(const char *period, const char *what, uint64_t n)
{
    static char name[64];
    (void)snprintf(name, sizeof(name), "%s_%s_%llu", period, what, (unsigned long long)n);
    return name;
}

/* ---- the format ---------------------------------------------------------------------------- */

struct world {
    char region[64], origin[256];
    uint8_t subject[64], secret[VRF_SECRET_LEN], public[VRF_PUBLIC_LEN];
    size_t subject_len;
    uint32_t minute;
};

static struct world world_of_vectors(void)
{
    struct world w;
    size_t len;
    text_vector("region", w.region, sizeof(w.region));
    text_vector("origin", w.origin, sizeof(w.origin));
    w.subject_len = vector("subject", w.subject, sizeof(w.subject));
    (void)vector("vrf_secret", w.secret, sizeof(w.secret));
    (void)vector("vrf_public", w.public, sizeof(w.public));
    w.minute = (uint32_t)strtoul(value_of("minute", &len), NULL, 10);
    return w;
}

static void check_accesses(const struct world *w, const char *period, const uint8_t *k)
{
    static const uint64_t numbers[] = { 0, 1, 4294967296 };
    uint8_t tag[TAG_LEN], salt[TAG_SALT_LEN], commitment[TAG_COMMITMENT_LEN];
    for (size_t i = 0; i < RF_COUNT(numbers); i++) {
        uint64_t n = numbers[i];
        struct tag_access read;
        struct buf access;
        buf_init(&access, TAG_ACCESS_MAX);
        int64_t time_ms = (int64_t)w->minute * 60000 + 7000 + (int64_t)(n % 1000);
        assert_int_equal(tag_access_write(&access, w->subject, w->subject_len, "identity,contact",
                                          time_ms),
                         0);
        assert_vector(named(period, "access", n), buf_at(&access), buf_len(&access));
        assert_int_equal(tag_access_read(buf_at(&access), buf_len(&access), w->subject,
                                         w->subject_len, &read),
                         0);
        assert_true(read.time_ms == time_ms);
        assert_int_equal(read.classes_len, strlen("identity,contact"));
        tag_of(k, w->origin, n, tag);
        assert_vector(named(period, "tag", n), tag, sizeof(tag));
        tag_salt_of(k, w->origin, n, salt);
        assert_vector(named(period, "salt", n), salt, sizeof(salt));
        tag_commitment_of(salt, buf_at(&access), buf_len(&access), commitment);
        assert_vector(named(period, "commitment", n), commitment, sizeof(commitment));
        buf_done(&access);
    }
}

static void check_roots(const struct world *w, const char *period, const uint8_t *k)
{
    static const uint64_t sizes[] = { 0, 1, 2, 3, 50, 257, 1000 };
    struct tag_set set;
    uint64_t n = 0;
    tag_set_init(&set);
    for (size_t i = 0; i < RF_COUNT(sizes); i++) {
        uint8_t tag[TAG_LEN], root[DIGEST_LEN];
        for (; n < sizes[i]; n++) {
            tag_of(k, w->origin, n, tag);
            assert_int_equal(tag_set_add(&set, tag), 1);
        }
        uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&set);
        assert_non_null(sorted);
        tag_set_root_of((const uint8_t(*)[TAG_LEN])sorted, set.count, root);
        mem_free(sorted);
        assert_vector(named(period, "tags_root", sizes[i]), root, sizeof(root));
    }
    tag_set_done(&set);
}

static void the_vectors_of_the_format_come_out(void **state)
{
    static const char *const periods[] = { "month", "trial" };
    struct world w = world_of_vectors();
    (void)state;
    for (size_t i = 0; i < RF_COUNT(periods); i++) {
        char text[32], name[64], epoch[TAG_EPOCH_SIZE];
        uint8_t k[TAG_KEY_LEN], proof[VRF_PROOF_LEN], again[TAG_KEY_LEN];
        struct tag_period period;
        (void)snprintf(name, sizeof(name), "%s_period", periods[i]);
        text_vector(name, text, sizeof(text));
        assert_int_equal(tag_period_read(text, strlen(text), &period), 0);
        (void)snprintf(name, sizeof(name), "%s_epoch", periods[i]);
        text_vector(name, text, sizeof(text));
        tag_epoch_of(period, w.minute, epoch);
        assert_string_equal(epoch, text);
        struct tag_subject subject = {
            .region = w.region, .epoch = epoch, .key = w.subject, .key_len = w.subject_len
        };
        assert_int_equal(tag_key_make(&subject, w.secret, proof, k), 0);
        (void)snprintf(name, sizeof(name), "%s_k", periods[i]);
        assert_vector(name, k, sizeof(k));
        (void)snprintf(name, sizeof(name), "%s_proof", periods[i]);
        assert_vector(name, proof, sizeof(proof));
        assert_int_equal(tag_key_check(&subject, w.public, proof, again), 0);
        assert_memory_equal(again, k, sizeof(k));
        subject.key_len--;
        assert_int_equal(tag_key_check(&subject, w.public, proof, again), -RF_ETAMPER);
        check_accesses(&w, periods[i], k);
        check_roots(&w, periods[i], k);
    }
}

static void bytes_that_are_no_text_and_held_purposes_have_vectors_too(void **state)
{
    uint8_t subject[16], salt[TAG_SALT_LEN], held[DIGEST_LEN];
    char purpose[64];
    struct tag_access read;
    struct buf access;
    (void)state;
    size_t n = vector("subject_not_utf8", subject, sizeof(subject));
    buf_init(&access, TAG_ACCESS_MAX);
    assert_int_equal(tag_access_write(&access, subject, n, "identity", 0), 0);
    assert_vector("access_not_utf8", buf_at(&access), buf_len(&access));
    assert_int_equal(tag_access_read(buf_at(&access), buf_len(&access), subject, n, &read), 0);
    buf_done(&access);
    (void)vector("held_salt", salt, sizeof(salt));
    text_vector("held_purpose", purpose, sizeof(purpose));
    tag_held_of(salt, purpose, held);
    assert_vector("held", held, sizeof(held));
}

static void periods_and_epochs_have_one_spelling(void **state)
{
    static const char *const no_periods[] = { "",   "m",      "0m",    "01m",    "1441m", "5",
                                              "5M", "month ", "Month", "99999m", "-1m",   "5mm" };
    static const char *const no_months[] = { "2026-1",   "2026-13", "2026-00", "0026-11",
                                             "2026-011", "2026/11", "1969-12", "2026-1a" };
    static const char *const no_quotients[] = {
        "5m-", "5m-05", "5m", "6m-5", "5m--5", "5m-5 ", "5m-858993460", "5m-99999999999999999999"
    };
    struct tag_period p, month = { 0 }, five = { 5 };
    char epoch[TAG_EPOCH_SIZE];
    uint64_t number;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(no_periods); i++)
        assert_int_equal(tag_period_read(no_periods[i], strlen(no_periods[i]), &p), -RF_EINVAL);
    for (size_t i = 0; i < RF_COUNT(no_months); i++)
        assert_int_equal(tag_epoch_read(month, no_months[i], strlen(no_months[i]), &number),
                         -RF_EINVAL);
    for (size_t i = 0; i < RF_COUNT(no_quotients); i++)
        assert_int_equal(tag_epoch_read(five, no_quotients[i], strlen(no_quotients[i]), &number),
                         -RF_EINVAL);
    assert_int_equal(tag_period_read("1440m", 5, &p), 0);
    assert_int_equal(p.minutes, 1440);
    tag_epoch_of(five, UINT32_MAX, epoch);
    assert_string_equal(epoch, "5m-858993459");
    /* consecutive, over the turn of a year too */
    uint64_t december = tag_epoch_number(month, 29929525 + 34 * 1440);
    tag_epoch_of(month, 29929525 + 34 * 1440, epoch);
    assert_string_equal(epoch, "2026-12");
    assert_true(tag_epoch_number(month, 29929525) == december - 1);
    assert_true(tag_epoch_number(month, 29929525 + 64 * 1440) == december + 1);
    assert_true(tag_epoch_number(five, 29929525) + 1 == tag_epoch_number(five, 29929530));
}

static void an_access_is_read_only_as_it_is_written(void **state)
{
    struct tag_access read;
    struct buf b;
    char changed[256];
    (void)state;
    buf_init(&b, TAG_ACCESS_MAX);
    assert_int_equal(tag_access_write(&b, "42", 2, "identity", 1795780807123), 0);
    size_t n = buf_len(&b);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(tag_access_read(buf_at(&b), cut, "42", 2, &read), -RF_EPROTO);
    assert_int_equal(tag_access_read(buf_at(&b), n, "43", 2, &read), -RF_ETAMPER);
    /* Every change is refused, or is another access to the same subject. */
    for (size_t bit = 0; bit < 8 * n; bit++) {
        memcpy(changed, buf_at(&b), n);
        changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
        int rc = tag_access_read(changed, n, "42", 2, &read);
        if (rc == 0) {
            struct buf again;
            char classes[64];
            buf_init(&again, TAG_ACCESS_MAX);
            (void)snprintf(classes, sizeof(classes), "%.*s", (int)read.classes_len, read.classes);
            assert_int_equal(tag_access_write(&again, "42", 2, classes, read.time_ms), 0);
            assert_memory_equal(buf_at(&again), changed, n);
            buf_done(&again);
        }
    }
    assert_int_equal(tag_access_write(&b, "", 0, "identity", 0), -RF_EINVAL);
    assert_int_equal(tag_access_write(&b, changed, TAG_SUBJECT_MAX + 1, "identity", 0), -RF_EINVAL);
    assert_int_equal(tag_access_write(&b, "42", 2, "", 0), -RF_EINVAL);
    assert_int_equal(tag_access_write(&b, "42", 2, "a\"b", 0), -RF_EINVAL);
    assert_int_equal(tag_access_write(&b, "42", 2, "identity", -1), -RF_EINVAL);
    assert_int_equal(tag_access_write(&b, "42", 2, "identity", INT64_MAX), -RF_EINVAL);
    assert_int_equal(buf_len(&b), n);
    buf_done(&b);
    char longest[TAG_SUBJECT_MAX];
    memset(longest, 1, sizeof(longest)); /* six characters each */
    buf_init(&b, TAG_ACCESS_MAX);
    assert_int_equal(tag_access_write(&b, longest, sizeof(longest), "identity", 0), 0);
    buf_done(&b);
}

/* ---- the set ------------------------------------------------------------------------------- */

static void number_tag(uint64_t n, uint8_t ret[TAG_LEN])
{
    memset(ret, 0, TAG_LEN);
    ret[0] = 1;
    memcpy(ret + 8, &n, sizeof(n));
}

static void a_set_holds_what_was_added_and_not_removed(void **state)
{
    enum { TAGS = 3000, STEPS = 40000 };
    static bool there[TAGS];
    static const uint8_t zero[TAG_LEN];
    uint8_t tag[TAG_LEN];
    struct tag_set s;
    size_t count = 0;
    (void)state;
    tag_set_init(&s);
    assert_false(tag_set_contains(&s, zero));
    assert_int_equal(tag_set_add(&s, zero), -RF_EINVAL);
    for (int step = 0; step < STEPS; step++) {
        uint32_t n = randombytes_uniform(TAGS);
        number_tag(n, tag);
        assert_int_equal(tag_set_contains(&s, tag), there[n]);
        if (randombytes_uniform(5) > 1) {
            assert_int_equal(tag_set_add(&s, tag), !there[n]);
            count += !there[n];
            there[n] = true;
        } else if (there[n]) {
            tag_set_remove(&s, tag);
            count--;
            there[n] = false;
        }
        assert_int_equal(s.count, count);
    }
    for (uint32_t n = 0; n < TAGS; n++) {
        number_tag(n, tag);
        assert_int_equal(tag_set_contains(&s, tag), there[n]);
    }
    assert_true(s.capacity <= 8192 && s.count < s.capacity);
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&s);
    assert_non_null(sorted);
    for (size_t i = 1; i < count; i++)
        assert_true(memcmp(sorted[i - 1], sorted[i], TAG_LEN) < 0);
    mem_free(sorted);
    tag_set_done(&s);
    assert_int_equal(s.count, 0);
    assert_false(tag_set_contains(&s, tag));
}

/* So many that they are sorted in drawers: evenly spread, and all in one. */
static void many_tags_come_out_sorted_wherever_they_lie(void **state)
{
    enum { MANY = 150 * 1000 };
    (void)state;
    for (int one_drawer = 0; one_drawer < 2; one_drawer++) {
        struct tag_set s;
        uint8_t tag[TAG_LEN];
        tag_set_init(&s);
        while (s.count < MANY) {
            randombytes_buf(tag, sizeof(tag));
            if (one_drawer == 1)
                tag[0] = tag[1] = 0xff;
            assert_int_equal(tag_set_add(&s, tag), 1);
        }
        uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&s);
        assert_non_null(sorted);
        for (size_t i = 0; i < MANY; i++) {
            assert_true(tag_set_contains(&s, sorted[i]));
            assert_true(i == 0 || memcmp(sorted[i - 1], sorted[i], TAG_LEN) < 0);
        }
        mem_free(sorted);
        tag_set_done(&s);
    }
}

/* ---- the book ------------------------------------------------------------------------------ */

enum { SUBJECTS = 6000 }; /* more than the book remembers */

struct model {
    struct tag_book *book;
    uint8_t secret[VRF_SECRET_LEN];
    uint8_t (*tags)[TAG_LEN]; /* all that are durable */
    size_t count;
    unsigned next[SUBJECTS];
    uint8_t k[SUBJECTS][TAG_KEY_LEN];
};

#define MINUTE UINT32_C(29929525)

static struct tag_book *book_new(const uint8_t secret[VRF_SECRET_LEN])
{
    struct tag_book_options o = { .region = "us-virginia", .origin = "log.example.com/one" };
    struct tag_book *book;
    struct err err;
    memcpy(o.secret, secret, sizeof(o.secret));
    assert_int_equal(tag_book_new(&o, &book, &err), 0);
    tag_book_enter(book, MINUTE);
    return book;
}

static size_t subject_text(unsigned i, char ret[16])
{
    return (size_t)snprintf(ret, 16, "user-%u", i);
}

static struct model *model_new(void)
{
    struct model *m = mem_zalloc(1, sizeof(*m));
    char key[16];
    assert_non_null(m);
    assert_int_equal(vrf_secret_make(m->secret), 0);
    m->book = book_new(m->secret);
    m->tags = mem_zalloc(100000, TAG_LEN);
    assert_non_null(m->tags);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        struct tag_subject s = { .region = "us-virginia",
                                 .epoch = tag_book_epoch(m->book),
                                 .key = key,
                                 .key_len = subject_text(i, key) };
        assert_int_equal(tag_key_make(&s, m->secret, NULL, m->k[i]), 0);
    }
    return m;
}

static void model_free(struct model *m)
{
    tag_book_free(m->book);
    mem_free(m->tags);
    mem_free(m);
}

/* Take SUBJECT, and see that it is the number that the model expects, OFFSET later. */
static void take(struct model *m, unsigned subject, unsigned offset, uint8_t ret[TAG_ITEM_LEN])
{
    uint8_t tag[TAG_LEN];
    char key[16];
    size_t len = subject_text(subject, key);
    assert_int_equal(tag_book_take(m->book, key, len, "identity", 1000, ret), 0);
    tag_of(m->k[subject], "log.example.com/one", m->next[subject] + offset, tag);
    assert_memory_equal(ret, tag, TAG_LEN);
}

static void restart(struct model *m)
{
    tag_book_free(m->book);
    m->book = book_new(m->secret);
    for (size_t i = 0; i < m->count; i++)
        assert_int_equal(tag_book_note(m->book, m->tags[i]), 0);
    if (m->count > 0)
        assert_int_equal(tag_book_note(m->book, m->tags[0]), -RF_ETAMPER);
}

/* A disclosure of some subjects: written, or given back in whole or in part and taken again. */
static void disclose(struct model *m)
{
    unsigned subjects[TAG_ITEMS_MAX], count = 1 + randombytes_uniform(TAG_ITEMS_MAX);
    uint8_t items[TAG_ITEMS_MAX][TAG_ITEM_LEN];
    static unsigned seen[SUBJECTS];
    unsigned range = randombytes_uniform(2) == 0 ? 20 : SUBJECTS, keep = count;
    for (unsigned i = 0; i < count; i++)
        subjects[i] = randombytes_uniform(range);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = round == 0 ? 0 : keep; i < count; i++) {
            take(m, subjects[i], seen[subjects[i]], items[i]);
            seen[subjects[i]]++;
        }
        assert_int_equal(tag_book_pending(m->book), count);
        if (round == 0 && randombytes_uniform(3) == 0) {
            keep = randombytes_uniform(count);
            tag_book_undo(m->book, keep);
            for (unsigned i = keep; i < count; i++)
                seen[subjects[i]]--;
        } else {
            break;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        seen[subjects[i]] = 0;
        m->next[subjects[i]]++;
        memcpy(m->tags[m->count++], items[i], TAG_LEN);
    }
    tag_book_commit(m->book);
}

static void numbers_have_no_gap_whatever_fails_or_starts_again(void **state)
{
    struct model *m = model_new();
    uint8_t root[DIGEST_LEN], again[DIGEST_LEN];
    uint64_t count;
    (void)state;
    for (int i = 0; i < 1200; i++) {
        disclose(m);
        if (randombytes_uniform(200) == 0)
            restart(m);
    }
    assert_int_equal(tag_book_seal(m->book, root, &count), 0);
    assert_true(count == m->count);
    restart(m);
    assert_int_equal(tag_book_seal(m->book, again, &count), 0);
    assert_memory_equal(root, again, sizeof(root));
    model_free(m);
}

static void the_next_epoch_begins_at_nothing(void **state)
{
    uint8_t secret[VRF_SECRET_LEN], first[TAG_ITEM_LEN], second[TAG_ITEM_LEN], root[DIGEST_LEN];
    uint8_t empty[DIGEST_LEN];
    uint64_t count;
    (void)state;
    assert_int_equal(vrf_secret_make(secret), 0);
    struct tag_book *book = book_new(secret);
    assert_string_equal(tag_book_epoch(book), "2026-11");
    assert_true(tag_book_covers(book, MINUTE + 1000));
    assert_false(tag_book_covers(book, MINUTE + 34 * 1440));
    assert_int_equal(tag_book_take(book, "42", 2, "identity", 1, first), 0);
    tag_book_commit(book);
    tag_book_enter(book, MINUTE + 34 * 1440);
    assert_string_equal(tag_book_epoch(book), "2026-12");
    assert_int_equal(tag_book_seal(book, root, &count), 0);
    digest_pieces(NULL, 0, empty);
    assert_true(count == 0);
    assert_memory_equal(root, empty, sizeof(root));
    assert_int_equal(tag_book_take(book, "42", 2, "identity", 1, second), 0);
    assert_memory_not_equal(first, second, TAG_LEN);
    tag_book_undo(book, 0);
    assert_int_equal(tag_book_take(book, "", 0, "identity", 1, second), -RF_EINVAL);
    assert_int_equal(tag_book_take(book, "42", 2, "", 1, second), -RF_EINVAL);
    assert_int_equal(tag_book_pending(book), 0);
    tag_book_free(book);
    static const uint8_t no_secret[VRF_SECRET_LEN];
    struct tag_book_options o = { .region = "r", .origin = "o" };
    memcpy(o.secret, no_secret, sizeof(o.secret));
    assert_int_equal(tag_book_new(&o, &book, NULL), -RF_EINVAL);
}

/* Somebody else's leaves may have it; ours never do. */
static void a_gap_in_the_noted_tags_is_seen_when_it_is_reached(void **state)
{
    uint8_t secret[VRF_SECRET_LEN], items[3][TAG_ITEM_LEN], item[TAG_ITEM_LEN];
    (void)state;
    assert_int_equal(vrf_secret_make(secret), 0);
    struct tag_book *book = book_new(secret);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tag_book_take(book, "42", 2, "identity", 1, items[i]), 0);
    tag_book_undo(book, 0);
    tag_book_free(book);
    book = book_new(secret);
    assert_int_equal(tag_book_note(book, items[0]), 0);
    assert_int_equal(tag_book_note(book, items[2]), 0);
    assert_int_equal(tag_book_take(book, "42", 2, "identity", 1, item), 0);
    assert_memory_equal(item, items[1], TAG_LEN);
    assert_int_equal(tag_book_take(book, "42", 2, "identity", 1, item), -RF_ETAMPER);
    assert_int_equal(tag_book_pending(book), 1);
    tag_book_free(book);
}

static void what_stands_in_a_list_of_subjects_is_read_back(void **state)
{
    static const struct {
        const char *key;
        size_t len;
    } keys[] = { { "8", 1 },   { "a b", 3 },        { "100%", 4 },
                 { "%41", 3 }, { "Zo\xc3\xab", 5 }, { "a\0b\n", 4 } };
    uint8_t key[TAG_SUBJECT_MAX];
    char classes[RECORD_WORD_MAX + 1];
    struct buf list;
    size_t len;
    (void)state;
    buf_init(&list, 1000);
    for (size_t i = 0; i < RF_COUNT(keys); i++)
        assert_int_equal(revealed_put(&list, keys[i].key, keys[i].len, "find"), 0);
    assert_int_equal(buf_append(&list, "", 1), 0);
    const char *at = (const char *)buf_at(&list);
    for (size_t i = 0; i < RF_COUNT(keys); i++) {
        at = revealed_next(at, key, &len, classes);
        assert_non_null(at);
        assert_int_equal(len, keys[i].len);
        assert_memory_equal(key, keys[i].key, len);
        assert_string_equal(classes, "find");
    }
    assert_null(revealed_next(at, key, &len, classes));
    buf_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_format_come_out),
        cmocka_unit_test(bytes_that_are_no_text_and_held_purposes_have_vectors_too),
        cmocka_unit_test(periods_and_epochs_have_one_spelling),
        cmocka_unit_test(an_access_is_read_only_as_it_is_written),
        cmocka_unit_test(a_set_holds_what_was_added_and_not_removed),
        cmocka_unit_test(many_tags_come_out_sorted_wherever_they_lie),
        cmocka_unit_test(numbers_have_no_gap_whatever_fails_or_starts_again),
        cmocka_unit_test(the_next_epoch_begins_at_nothing),
        cmocka_unit_test(a_gap_in_the_noted_tags_is_seen_when_it_is_reached),
        cmocka_unit_test(what_stands_in_a_list_of_subjects_is_read_back),
    };
    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
