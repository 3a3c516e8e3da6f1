#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/fd.h"
#include "claim_world.h"

/* ---- the file of tests/vectors/log-v1.json -------------------------------------------------- */

static char *vectors;
static struct claim_line *line; /* for readers: too large for a stack */

static int setup(void **state)
{
    const char *folder = getenv("RF_VECTORS");
    char path[PATH_MAX];
    size_t len;
    struct err err;
    (void)state;
    line = mem_zalloc(1, sizeof(*line));
    if (folder == NULL || line == NULL || sodium_init() < 0 || digest_init(&err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/log-v1.json", folder);
    return fd_read_file(path, 1 << 20, &vectors, &len, &err);
}

static int teardown(void **state)
{
    (void)state;
    mem_free(vectors);
    mem_free(line);
    return 0;
}

/* Text NAME of part `claim`, its line feeds decoded; mem_free() it. */
static char *claim_vector(const char *name)
{
    char start[64];
    (void)snprintf(start, sizeof(start), "\n  \"%s\": \"", name);
    const char *at = strstr(strstr(vectors, "\n \"claim\": {"), start);
    assert_non_null(at);
    at += strlen(start);
    size_t len = strcspn(at, "\""), n = 0;
    char *text = mem_zalloc(1, len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '\\') {
            assert_int_equal(at[++i], 'n');
            text[n++] = '\n';
        } else {
            text[n++] = at[i];
        }
    }
    return text;
}

static int verify(const void *bytes, size_t n, const struct key *key)
{
    struct claim_trust trust = { .keys = key, .key_count = 1 };
    struct claim_result result;
    struct err err;
    return claim_verify(bytes, n, &trust, &result, &err);
}

/* All lines of a file, written anew, are that file. */
static void assert_writes_back(const char *file, size_t len)
{
    struct claim_reader r = claim_read_begin(file, len);
    struct buf again;
    struct err err;
    int rc;
    buf_init(&again, CLAIM_MAX);
    struct claim_writer w = claim_write_begin(&again);
    while ((rc = claim_read(&r, line, &err)) == 1)
        assert_int_equal(claim_write(&w, line), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(buf_len(&again), len);
    assert_memory_equal(buf_at(&again), file, len);
    buf_done(&again);
}

static void the_file_of_the_second_implementation_holds(void **state)
{
    char *file = claim_vector("file"), *vkey = claim_vector("vkey");
    struct claim_trust trust = { .key_count = 1 };
    struct claim_result result;
    struct key key;
    struct err err = { 0 };
    (void)state;
    size_t len = strlen(file);
    assert_int_equal(key_read(vkey, strlen(vkey), &key, &err), 0);
    trust.keys = &key;
    if (claim_verify(file, len, &trust, &result, &err) != 0)
        fail_msg("%s", err.line);
    assert_int_equal(result.log_count, 3);
    assert_int_equal(result.epoch_count, 3);
    assert_int_equal(result.access_count, 4);
    assert_int_equal(result.unwitnessed, 0);
    assert_writes_back(file, len);
    mem_free(file);
    mem_free(vkey);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    char *file = claim_vector("file"), *vkey = claim_vector("vkey");
    struct key key;
    (void)state;
    size_t len = strlen(file);
    assert_int_equal(key_read(vkey, strlen(vkey), &key, NULL), 0);
    for (size_t n = 0; n < len; n += n < 3000 ? 1 : 97) {
        char *cut = mem_zalloc(1, n + 1);
        assert_non_null(cut);
        memcpy(cut, file, n);
        assert_int_equal(verify(cut, n, &key), -RF_EPROTO);
        mem_free(cut);
    }
    mem_free(file);
    mem_free(vkey);
}

static void each_flipped_bit_is_refused(void **state)
{
    char *file = claim_vector("file"), *vkey = claim_vector("vkey");
    struct key key;
    (void)state;
    size_t len = strlen(file);
    assert_int_equal(key_read(vkey, strlen(vkey), &key, NULL), 0);
    for (size_t i = 0; i < len; i += i < 2000 ? 1 : 13) {
        int bit = (int)(i % 8);
        file[i] = (char)(file[i] ^ 1 << bit);
        int rc = verify(file, len, &key);
        if (rc != -RF_EPROTO && rc != -RF_ETAMPER)
            fail_msg("bit %d of byte %zu: %d", bit, i, rc);
        file[i] = (char)(file[i] ^ 1 << bit);
    }
    assert_int_equal(verify(file, len, &key), 0);
    mem_free(file);
    mem_free(vkey);
}

/* ---- the form of lines --------------------------------------------------------------------- */

static void lines_of_another_form_are_refused(void **state)
{
    static const char start[] = "ringfence-claim@1\nregion r\nsubject NDI=\n";
    static const char *const bad[] = {
        "",
        "\n",
        "ringfence-claim@1",
        "ringfence-claim@2\n",
        " ringfence-claim@1\n",
        "ringfence-claim@1 \n",
        "ringfence-claim@1\r\n",
        "ringfence-claim@1\nregion\n",
        "ringfence-claim@1\nregion \n",
        "ringfence-claim@1\nregion  r\n",
        "ringfence-claim@1\nregion r \n",
        "ringfence-claim@1\nregion r s\n",
        "ringfence-claim@1\nregion r\ts\n",
        "ringfence-claim@1\nregion r\xc3\xa9\n",
        "ringfence-claim@1\nsubject NDI=\n",
        "ringfence-claim@1\nregion r\nregion r\n",
        "ringfence-claim@1\nregion r\nsubject \n",
        "ringfence-claim@1\nregion r\nsubject NDI\n",
        "ringfence-claim@1\nregion r\nsubject NDJ=\n",
        "ringfence-claim@1\nregion r\nsubject NDI= \n",
        "ringfence-claim@1\nregion r\nsubject NDI=\nvrf 00\n",
        "ringfence-claim@1\nregion r\nsubject NDI=\nend\n",
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct claim_reader r = claim_read_begin(bad[i], strlen(bad[i]));
        int rc;
        do
            rc = claim_read(&r, line, &err);
        while (rc == 1);
        if (rc != -RF_EPROTO)
            fail_msg("taken: %s", bad[i]);
    }
    struct claim_reader r = claim_read_begin(start, sizeof(start) - 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(claim_read(&r, line, &err), 1);
    assert_int_equal(line->subject_len, 2);
    assert_memory_equal(line->subject, "42", 2);
    assert_int_equal(claim_read(&r, line, &err), -RF_EPROTO);
    assert_non_null(strstr(err.line, "line 4"));
}

static void a_writer_writes_only_what_a_reader_takes(void **state)
{
    struct buf b;
    (void)state;
    memset(line, 0, sizeof(*line));
    buf_init(&b, 100);
    struct claim_writer w = claim_write_begin(&b);
    line->word = CLAIM_REGION;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL); /* not the first */
    line->word = CLAIM_HEAD;
    assert_int_equal(claim_write(&w, line), 0);
    size_t len = buf_len(&b);
    line->word = CLAIM_REGION;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL); /* "" */
    (void)snprintf(line->text, sizeof(line->text), "two words");
    assert_int_equal(claim_write(&w, line), -RF_EINVAL);
    (void)snprintf(line->text, sizeof(line->text), "region");
    assert_int_equal(buf_len(&b), len);
    assert_int_equal(claim_write(&w, line), 0);
    len = buf_len(&b);
    line->word = CLAIM_SUBJECT;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL); /* no bytes */
    line->subject_len = TAG_SUBJECT_MAX + 1;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL);
    line->subject_len = TAG_SUBJECT_MAX;
    assert_int_equal(claim_write(&w, line), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), len);
    line->word = CLAIM_NOTHING;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL);
    line->word = CLAIM_WORD_COUNT;
    assert_int_equal(claim_write(&w, line), -RF_EINVAL);
    buf_done(&b);
}

/* ---- random regions ------------------------------------------------------------------------ */

/* What the file says about SUBJECT in the epochs EPOCHS is what the region knows. */
static void assert_is_the_truth(const struct world *w, unsigned subject, unsigned epochs,
                                const char *file, size_t len)
{
    struct claim_reader r = claim_read_begin(file, len);
    struct err err;
    char epoch[TAG_EPOCH_SIZE] = "", text[TAG_EPOCH_SIZE], origin[KEY_NAME_MAX + 1] = "";
    bool shown[WORLD_ACCESSES] = { false };
    uint8_t key[32];
    size_t key_len = world_subject(subject, key);
    int rc;
    while ((rc = claim_read(&r, line, &err)) == 1) {
        struct tag_access access;
        bool found = false;
        if (line->word == CLAIM_EPOCH)
            (void)snprintf(epoch, sizeof(epoch), "%.*s", TAG_EPOCH_SIZE - 1, line->text);
        if (line->word == CLAIM_IN)
            (void)snprintf(origin, sizeof(origin), "%s", line->text);
        if (line->word != CLAIM_ACCESS)
            continue;
        assert_int_equal(tag_access_read(line->access, line->access_len, key, key_len, &access), 0);
        for (unsigned i = 0; i < w->access_count && !found; i++) {
            const struct world_access *a = &w->accesses[i];
            world_epoch(a->epoch, text);
            found = a->subject == subject && a->n == line->n && a->index == line->index &&
                    strcmp(text, epoch) == 0 && strcmp(w->logs[a->log].key.key.name, origin) == 0;
            if (found) {
                assert_false(shown[i]);
                shown[i] = true;
                assert_true(access.time_ms == a->time_ms);
                assert_int_equal(access.classes_len, strlen(a->classes));
                assert_memory_equal(access.classes, a->classes, access.classes_len);
            }
        }
        assert_true(found);
    }
    assert_int_equal(rc, 0);
    for (unsigned i = 0; i < w->access_count; i++) {
        const struct world_access *a = &w->accesses[i];
        assert_int_equal(shown[i], a->subject == subject && (epochs >> a->epoch & 1) != 0);
    }
}

enum { GOOD_KEPT_MAX = 50, BAD_KEPT_MAX = 100 };

/* Claims for other readers: FOLDER/NUMBER.good or .bad, and NUMBER.vkey. Each kind has a share of
 * its own: how many good ones there are depends on the dice, and must not crowd out the bad. */
static void keep(const char *kind, const void *bytes, size_t n, const struct world *w)
{
    static unsigned kept, good, bad;
    const char *folder = getenv("RF_CLAIMS_OUT");
    char path[PATH_MAX];
    if (folder == NULL)
        return;
    bool is_good = strcmp(kind, "good") == 0;
    unsigned *share = is_good ? &good : &bad;
    if (*share >= (is_good ? GOOD_KEPT_MAX : BAD_KEPT_MAX))
        return;
    ++*share;
    (void)snprintf(path, sizeof(path), "%s/%03u.%s", folder, kept, kind);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof(path), "%s/%03u.vkey", folder, kept++);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(w->logs[0].vkey, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void claims_of_random_regions_are_the_truth(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        struct world *w = world_new(LIE_NONE);
        for (unsigned subject = 0; subject < WORLD_SUBJECTS; subject++) {
            unsigned epochs = 1 + randombytes_uniform((1 << WORLD_EPOCHS) - 1);
            struct claim_trust trust = { .keys = &w->logs[0].key.key, .key_count = 1 };
            struct claim_result result;
            struct err err = { 0 };
            struct buf b;
            buf_init(&b, CLAIM_MAX);
            world_claim(w, subject, epochs, NULL, &b);
            if (claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err) != 0)
                fail_msg("%s", err.line);
            assert_int_equal(result.log_count, w->log_count);
            assert_int_equal(result.epoch_count, __builtin_popcount(epochs));
            assert_is_the_truth(w, subject, epochs, (char *)buf_at(&b), buf_len(&b));
            assert_writes_back((char *)buf_at(&b), buf_len(&b));
            if (subject % 4 == 0)
                keep("good", buf_at(&b), buf_len(&b), w);
            buf_done(&b);
        }
        world_free(w);
    }
}

/* ---- lies ---------------------------------------------------------------------------------- */

enum { LINES_MAX = 2000 };

struct text {
    char *lines[LINES_MAX];
    unsigned count;
};

static void text_split(const struct buf *b, struct text *ret)
{
    const char *at = (const char *)b->data + b->off, *end = at + buf_len(b);
    ret->count = 0;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        assert_true(stop != NULL && ret->count < LINES_MAX);
        ret->lines[ret->count] = mem_strndup(at, (size_t)(stop - at));
        assert_non_null(ret->lines[ret->count++]);
        at = stop + 1;
    }
}

static void text_free(struct text *t)
{
    for (unsigned i = 0; i < t->count; i++)
        mem_free(t->lines[i]);
}

static void text_drop(struct text *t, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++)
        mem_free(t->lines[i]);
    memmove(&t->lines[from], &t->lines[from + count],
            (t->count - from - count) * sizeof(t->lines[0]));
    t->count -= count;
}

static void text_set(struct text *t, unsigned at, const char *value)
{
    char *copy = mem_strdup(value);
    assert_non_null(copy);
    mem_free(t->lines[at]);
    t->lines[at] = copy;
}

static bool starts(const char *text, const char *word)
{
    size_t len = strlen(word);
    return strncmp(text, word, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

/* A line at random that starts with WORD (any, when NULL), or -1. */
static int pick(const struct text *t, const char *word)
{
    int found = -1;
    uint32_t seen = 0;
    for (unsigned i = 0; i < t->count; i++)
        if ((word == NULL || starts(t->lines[i], word)) && randombytes_uniform(++seen) == 0)
            found = (int)i;
    return found;
}

/* Field NUMBER (1 the first behind the word) of a line. */
static bool field_at(const char *text, unsigned number, size_t *ret_at, size_t *ret_len)
{
    size_t at = 0;
    for (unsigned i = 0; i < number; i++) {
        const char *blank = strchr(text + at, ' ');
        if (blank == NULL)
            return false;
        at = (size_t)(blank - text) + 1;
    }
    *ret_at = at;
    *ret_len = strcspn(text + at, " ");
    return true;
}

static bool lie_drop_line(struct text *t)
{
    text_drop(t, (unsigned)pick(t, NULL), 1);
    return true;
}

static bool lie_swap_lines(struct text *t)
{
    int a = pick(t, NULL), b = pick(t, NULL);
    if (strcmp(t->lines[a], t->lines[b]) == 0)
        return false;
    char *line_a = t->lines[a];
    t->lines[a] = t->lines[b];
    t->lines[b] = line_a;
    return true;
}

static bool lie_repeat_line(struct text *t)
{
    int a = pick(t, NULL);
    memmove(&t->lines[a + 1], &t->lines[a], (t->count - (unsigned)a) * sizeof(t->lines[0]));
    t->count++;
    t->lines[a + 1] = mem_strdup(t->lines[a]);
    assert_non_null(t->lines[a + 1]);
    return true;
}

static bool lie_flip_bit(struct text *t)
{
    char *text = t->lines[pick(t, NULL)];
    char *at = &text[randombytes_uniform((uint32_t)strlen(text))];
    *at = (char)(*at ^ 1 << randombytes_uniform(7));
    return *at != '\0';
}

/* The same field of two lines with one word changes places. */
static bool lie_swap_fields(struct text *t)
{
    static const char *const words[] = { "checkpoint", "genesis", "named",  "k",
                                         "seal",       "access",  "absent", "epoch" };
    const char *word = words[randombytes_uniform(RF_COUNT(words))];
    int a = pick(t, word), b = pick(t, word);
    unsigned number = 1 + randombytes_uniform(5);
    size_t at_a, len_a, at_b, len_b;
    if (a < 0 || !field_at(t->lines[a], number, &at_a, &len_a) ||
        !field_at(t->lines[b], number, &at_b, &len_b) ||
        (len_a == len_b && memcmp(t->lines[a] + at_a, t->lines[b] + at_b, len_a) == 0))
        return false;
    static char text[4 * NOTE_MAX];
    (void)snprintf(text, sizeof(text), "%.*s%.*s%s", (int)at_a, t->lines[a], (int)len_b,
                   t->lines[b] + at_b, t->lines[a] + at_a + len_a);
    text_set(t, (unsigned)a, text);
    return true;
}

/* From an `in` line on: how many lines that log has in that epoch. */
static unsigned block_len(const struct text *t, unsigned in)
{
    unsigned n = 1;
    while (!starts(t->lines[in + n], "absent") && !starts(t->lines[in + n], "none"))
        n++;
    return n + 1;
}

static bool lie_drop_log_of_epoch(struct text *t)
{
    unsigned in = (unsigned)pick(t, "in");
    text_drop(t, in, block_len(t, in));
    return true;
}

static bool lie_drop_all_accesses(struct text *t)
{
    unsigned in = (unsigned)pick(t, "in"), n = block_len(t, in);
    if (n == 3)
        return false;
    text_drop(t, in + 2, n - 3);
    return true;
}

static bool lie_say_none(struct text *t)
{
    int at = pick(t, "absent");
    if (at >= 0)
        text_set(t, (unsigned)at, "none");
    return at >= 0;
}

static bool lie_one_neighbour(struct text *t)
{
    int at = pick(t, "absent");
    size_t field, len;
    if (at < 0 || !field_at(t->lines[at], 1 + randombytes_uniform(2), &field, &len) || len == 1)
        return false;
    char *text = t->lines[at];
    text[field] = '-';
    memmove(text + field + 1, text + field + len, strlen(text + field + len) + 1);
    return true;
}

static bool lie_reverse_neighbours(struct text *t)
{
    int at = pick(t, "absent");
    size_t left, left_len, right, right_len;
    static char text[8192];
    if (at < 0 || !field_at(t->lines[at], 1, &left, &left_len) ||
        !field_at(t->lines[at], 2, &right, &right_len))
        return false;
    (void)snprintf(text, sizeof(text), "absent %s %.*s", t->lines[at] + right, (int)left_len,
                   t->lines[at] + left);
    text_set(t, (unsigned)at, text);
    return true;
}

/* From an `epoch` line on, how many lines it has. */
static unsigned epoch_len(const struct text *t, unsigned epoch)
{
    unsigned n = 1;
    while (!starts(t->lines[epoch + n], "epoch") && !starts(t->lines[epoch + n], "end"))
        n++;
    return n;
}

/* Each part of the file holds for itself; it is there twice. */
static bool lie_repeat_epoch(struct text *t)
{
    unsigned at = (unsigned)pick(t, "epoch"), n = epoch_len(t, at);
    memmove(&t->lines[at + 2 * n], &t->lines[at + n], (t->count - at - n) * sizeof(t->lines[0]));
    for (unsigned i = 0; i < n; i++) {
        t->lines[at + n + i] = mem_strdup(t->lines[at + i]);
        assert_non_null(t->lines[at + n + i]);
    }
    t->count += n;
    return true;
}

/* The last log of the roster is left out wherever it stands. */
static bool lie_drop_log(struct text *t)
{
    char in[KEY_NAME_MAX + 5];
    unsigned at = 0, n = 1;
    for (unsigned i = 0; i < t->count; i++)
        if (starts(t->lines[i], "log"))
            at = i;
    (void)snprintf(in, sizeof(in), "in %s", t->lines[at] + 4);
    while (!starts(t->lines[at + n], "epoch"))
        n++;
    text_drop(t, at, n);
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->lines[i], in) == 0) {
            text_drop(t, i, block_len(t, i));
            i--;
        }
    return true;
}

static bool lie_absent_for_none(struct text *t)
{
    int at = pick(t, "none");
    if (at >= 0)
        text_set(t, (unsigned)at, "absent - -");
    return at >= 0;
}

static bool lie_say_more(struct text *t)
{
    t->lines[t->count++] = mem_strdup("end");
    return true;
}

static bool (*const lies[])(struct text *t) = {
    lie_drop_line,    lie_swap_lines,    lie_repeat_line,        lie_flip_bit,
    lie_swap_fields,  lie_swap_fields,   lie_drop_log_of_epoch,  lie_drop_all_accesses,
    lie_say_none,     lie_one_neighbour, lie_reverse_neighbours, lie_say_more,
    lie_repeat_epoch, lie_drop_log,      lie_absent_for_none,
};

static void assert_refused(const struct text *t, const struct world *w, const char *what)
{
    struct buf b;
    buf_init(&b, CLAIM_MAX);
    for (unsigned i = 0; i < t->count; i++) {
        assert_int_equal(buf_append(&b, t->lines[i], strlen(t->lines[i])), 0);
        assert_int_equal(buf_append(&b, "\n", 1), 0);
    }
    int rc = verify(buf_at(&b), buf_len(&b), &w->logs[0].key.key);
    if (rc != -RF_EPROTO && rc != -RF_ETAMPER)
        fail_msg("%s was not refused: %d\n%.*s", what, rc, (int)buf_len(&b), (char *)buf_at(&b));
    if (randombytes_uniform(15) == 0)
        keep("bad", buf_at(&b), buf_len(&b), w);
    buf_done(&b);
}

static void thousands_of_lies_are_refused(void **state)
{
    static struct text t;
    unsigned told[RF_COUNT(lies)] = { 0 }, all = 0;
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct world *w = world_new(LIE_NONE);
        for (unsigned subject = 0; subject < WORLD_SUBJECTS; subject += 4) {
            struct buf b;
            buf_init(&b, CLAIM_MAX);
            world_claim(w, subject, 1 + randombytes_uniform((1 << WORLD_EPOCHS) - 1), NULL, &b);
            assert_int_equal(verify(buf_at(&b), buf_len(&b), &w->logs[0].key.key), 0);
            for (int i = 0; i < 100; i++) {
                uint32_t lie = randombytes_uniform(RF_COUNT(lies));
                char what[32];
                text_split(&b, &t);
                if (lies[lie](&t)) {
                    (void)snprintf(what, sizeof(what), "lie %u", lie);
                    assert_refused(&t, w, what);
                    told[lie]++;
                    all++;
                }
                text_free(&t);
            }
            buf_done(&b);
        }
        world_free(w);
    }
    for (size_t i = 0; i < RF_COUNT(lies); i++)
        assert_true(told[i] > 0);
    assert_true(all > 1500);
}

/* ---- regions that lie ---------------------------------------------------------------------- */

/* Everything is signed and in its tree, and the file says what the leaves say. */
static void what_a_region_does_wrong_in_its_leaves_is_refused(void **state)
{
    static const char *const said[LIE_COUNT] = {
        [LIE_REGION] = "of another region",
        [LIE_GENESIS_TYPE] = "is not the genesis of log",
        [LIE_GENESIS_KEY] = "is not the genesis of log",
        [LIE_VRF] = "has another VRF key",
        [LIE_PERIOD] = "has another kind of epochs",
        [LIE_FIRST_HAS_PREDECESSOR] = "genesis has a predecessor",
        [LIE_NO_PREDECESSOR] = "genesis has no predecessor",
        [LIE_ANOTHER_PREDECESSOR] = "genesis has another predecessor",
        [LIE_OLD_SIGNATURE] = "signature of the old log",
        [LIE_NEW_SIGNATURE] = "signature of the new log",
        [LIE_NAMED_TWICE] = "is named twice",
        [LIE_NAMED_NOTHING] = "names no log",
        [LIE_MEMBER_OF_MEMBER] = "which is one itself",
        [LIE_MEMBER_AFTER_SUCCESSOR] = "named leaves are not in their order",
        [LIE_CHECKPOINT_ORIGIN] = "checkpoint is one of log",
        [LIE_SEAL_OF_INTERVAL] = "is not the seal of epoch",
        [LIE_SEAL_OF_ANOTHER_EPOCH] = "is not the seal of epoch",
        [LIE_DISCLOSURE_OF_ANOTHER_EPOCH] = "no disclosure of epoch",
        [LIE_ACCESS_OF_ANOTHER] = "access is one to another subject",
        [LIE_ACCESS_AFTER_SEAL] = "is not where an access of this epoch may be",
        [LIE_ACCESS_ORDER] = "is not where an access of this epoch may be",
    };
    (void)state;
    for (int lie = LIE_NONE + 1; lie < LIE_COUNT; lie++) {
        bool told = false;
        for (int attempt = 0; !told && attempt < 1000; attempt++) {
            struct world *w = world_new((enum world_lie)lie);
            struct claim_trust trust = { .keys = &w->logs[0].key.key, .key_count = 1 };
            struct claim_result result;
            struct err err = { 0 };
            struct buf b;
            buf_init(&b, CLAIM_MAX);
            world_claim(w, w->victim, (1 << WORLD_EPOCHS) - 1, NULL, &b);
            told = w->told;
            int rc = claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err);
            /* a first log with another key, continued by one with the file's, has no place */
            bool is_said = told && (strstr(err.line, said[lie]) != NULL ||
                                    (lie == LIE_VRF && strstr(err.line, "no place in") != NULL));
            if (rc != (told ? -RF_ETAMPER : 0) || is_said != told)
                fail_msg("lie %d: %d, %s", lie, rc, err.line);
            if (told)
                keep("bad", buf_at(&b), buf_len(&b), w);
            buf_done(&b);
            world_free(w);
        }
        assert_true(told);
    }
}

/* ---- another VRF key ----------------------------------------------------------------------- */

static unsigned world_accesses(const struct world *w, unsigned subject, unsigned vrf)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->access_count; i++)
        n += w->accesses[i].subject == subject && w->logs[w->accesses[i].log].vrf == vrf;
    return n;
}

/* Each file is true, covers the logs of its key, and says in how many others he may have been seen.
 */
static void a_change_of_the_vrf_key_makes_two_files_that_together_are_complete(void **state)
{
    unsigned rotated = 0, members = 0;
    (void)state;
    for (int attempt = 0; (rotated < 20 || members == 0) && attempt < 1000; attempt++) {
        struct world *w = world_make(LIE_NONE, true);
        bool has_two = w->logs[w->log_count - 1].vrf == 1;
        for (unsigned vrf = 0; has_two && vrf < 2; vrf++) {
            struct claim_trust trust = { .keys = &w->logs[0].key.key, .key_count = 1 };
            struct claim_result result;
            struct err err = { 0 };
            struct buf b;
            unsigned elsewhere = 0;
            for (int e = 0; e < WORLD_EPOCHS; e++)
                elsewhere += world_living(w, e, vrf) > 0 ? world_living(w, e, 1 - vrf) : 0;
            buf_init(&b, CLAIM_MAX);
            world_claim_of(w, vrf, 0, (1 << WORLD_EPOCHS) - 1, NULL, &b);
            if (claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err) != 0)
                fail_msg("key %u: %s", vrf, err.line);
            assert_int_equal(result.elsewhere, elsewhere);
            assert_int_equal(result.access_count, world_accesses(w, 0, vrf));
            keep("good", buf_at(&b), buf_len(&b), w);
            buf_done(&b);
        }
        rotated += has_two;
        members += has_two && w->heir_has_member;
        world_free(w);
    }
    assert_true(rotated >= 20 && members > 0);
}

/* ---- lies that need the region's secrets ---------------------------------------------------- */

/* Somebody who was accessed, where the epoch has a few more tags. */
static const struct world_access *last_access(const struct world *w)
{
    for (unsigned i = w->access_count; i > 0; i--) {
        const struct world_access *a = &w->accesses[i - 1];
        if (a->n + 1 == w->seen[a->subject][a->log][a->epoch] &&
            w->logs[a->log].tags[a->epoch].count > 3)
            return a;
    }
    return NULL;
}

/* Line WORD of that log in that epoch, as the only claim of the file has it. */
static unsigned line_in(const struct text *t, const struct world *w, const struct world_access *a,
                        const char *word, unsigned number)
{
    char in[KEY_NAME_MAX + 5];
    (void)snprintf(in, sizeof(in), "in %s", w->logs[a->log].key.key.name);
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->lines[i], in) == 0)
            for (; i < t->count; i++)
                if (starts(t->lines[i], word) && number-- == 0)
                    return i;
    fail();
    return 0;
}

/* The last access is left out, and the tags around it are shown as neighbours: their proofs hold,
   but they do not stand side by side. */
static void an_access_is_not_hidden_by_neighbours_that_are_none(void **state)
{
    static struct text t;
    (void)state;
    struct world *w = world_new(LIE_NONE);
    const struct world_access *a;
    while ((a = last_access(w)) == NULL) {
        world_free(w);
        w = world_new(LIE_NONE);
    }
    struct world_log *log = &w->logs[a->log];
    struct buf b, hidden;
    buf_init(&b, CLAIM_MAX);
    world_claim(w, a->subject, 1U << a->epoch, NULL, &b);
    text_split(&b, &t);
    /* The tag, by the subject's own K. */
    char epoch[TAG_EPOCH_SIZE];
    uint8_t key[32], k[TAG_KEY_LEN], tag[TAG_LEN];
    world_epoch(a->epoch, epoch);
    struct tag_subject s = { .region = WORLD_REGION, .epoch = epoch, .key = key };
    s.key_len = world_subject(a->subject, key);
    assert_int_equal(tag_key_make(&s, w->secrets[0], NULL, k), 0);
    tag_of(k, log->key.key.name, a->n, tag);
    /* The true neighbours of that tag in a set that has it: those of the set without it, with the
       proofs of the set with it. */
    uint8_t(*sorted)[TAG_LEN] = tag_set_sorted(&log->tags[a->epoch]);
    size_t count = log->tags[a->epoch].count, rank = 0;
    static uint8_t hashes[WORLD_ACCESSES][TLOG_HASH_LEN];
    for (size_t i = 0; i < count; i++) {
        tlog_leaf_hash(sorted[i], TAG_LEN, hashes[i]);
        if (memcmp(sorted[i], tag, TAG_LEN) == 0)
            rank = i;
    }
    memset(line, 0, sizeof(*line));
    line->word = CLAIM_ABSENT;
    for (int side = -1; side <= 1; side += 2) {
        struct claim_neighbour *n = side < 0 ? &line->left : &line->right;
        if ((side < 0 && rank == 0) || (side > 0 && rank + 1 == count))
            continue;
        n->there = true;
        n->rank = rank + (size_t)side;
        memcpy(n->tag, sorted[n->rank], TAG_LEN);
        assert_int_equal(proof_inclusion_of((const uint8_t(*)[TLOG_HASH_LEN])hashes, count, n->rank,
                                            &n->proof),
                         0);
    }
    mem_free(sorted);
    buf_init(&hidden, 1 << 16);
    struct claim_writer out = { .to = &hidden, .last = CLAIM_SEAL };
    assert_int_equal(claim_write(&out, line), 0);
    buf_at(&hidden)[buf_len(&hidden) - 1] = '\0';
    text_set(&t, line_in(&t, w, a, "absent", 0), (char *)buf_at(&hidden));
    text_drop(&t, line_in(&t, w, a, "access", a->n), 1);
    assert_refused(&t, w, "neighbours that are none");
    text_free(&t);
    buf_done(&b);
    buf_done(&hidden);
    world_free(w);
}

/* K and proof of somebody else, which are good ones. */
static void the_key_of_another_subject_is_refused(void **state)
{
    static struct text t, other;
    (void)state;
    struct world *w = world_new(LIE_NONE);
    struct buf b, c;
    buf_init(&b, CLAIM_MAX);
    buf_init(&c, CLAIM_MAX);
    world_claim(w, WORLD_SUBJECTS - 1, 1, NULL, &b); /* never seen, so that nothing else fits ill */
    world_claim(w, 3, 1, NULL, &c);
    text_split(&b, &t);
    text_split(&c, &other);
    text_set(&t, (unsigned)pick(&t, "k"), other.lines[pick(&other, "k")]);
    assert_refused(&t, w, "another's K");
    text_free(&t);
    text_free(&other);
    buf_done(&b);
    buf_done(&c);
    world_free(w);
}

/* A checkpoint of the same log at another size, and one by another key of the same name. */
static void another_checkpoint_is_refused(void **state)
{
    static struct text t;
    static char text[2 * NOTE_MAX];
    (void)state;
    struct world *w = world_new(LIE_NONE);
    struct secret_key thief;
    uint8_t seed[KEY_SEED_LEN];
    struct buf b, note;
    randombytes_buf(seed, sizeof(seed));
    assert_int_equal(secret_key_make(w->logs[0].key.key.name, KEY_ED25519, seed, &thief, NULL), 0);
    buf_init(&b, CLAIM_MAX);
    world_claim(w, 4, 1, NULL, &b);
    for (int i = 0; i < 2; i++) {
        text_split(&b, &t);
        buf_init(&note, NOTE_MAX);
        world_checkpoint(&w->logs[0], w->logs[0].key.key.name, w->logs[0].count - (i == 0),
                         i == 0 ? &w->logs[0].key : &thief, NULL, &note);
        memcpy(text, "checkpoint ", 11);
        (void)base64_encode(buf_at(&note), buf_len(&note), text + 11);
        text_set(&t, 5, text);
        assert_refused(&t, w, "another checkpoint");
        buf_done(&note);
        text_free(&t);
    }
    buf_done(&b);
    world_free(w);
}

static void the_keys_that_are_given_must_be_of_the_roster(void **state)
{
    struct world *w = world_new(LIE_NONE);
    struct key keys[WORLD_LOGS + 1];
    struct claim_trust trust = { .keys = keys, .key_count = w->log_count };
    struct claim_result result;
    struct secret_key other;
    uint8_t seed[KEY_SEED_LEN] = { 1 };
    struct err err;
    struct buf b;
    (void)state;
    buf_init(&b, CLAIM_MAX);
    world_claim(w, 4, 3, NULL, &b);
    for (unsigned i = 0; i < w->log_count; i++)
        keys[i] = w->logs[i].key.key;
    assert_int_equal(claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err), 0);
    /* a log that is not there */
    assert_int_equal(secret_key_make("log.example.com/x", KEY_ED25519, seed, &other, NULL), 0);
    keys[trust.key_count++] = other.key;
    assert_int_equal(claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err), -RF_ETAMPER);
    /* the first log, and another key under its name */
    assert_int_equal(secret_key_make(keys[0].name, KEY_ED25519, seed, &other, NULL), 0);
    keys[1] = other.key;
    trust.key_count = 2;
    assert_int_equal(claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err), -RF_ETAMPER);
    /* it alone */
    keys[0] = other.key;
    trust.key_count = 1;
    assert_int_equal(claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err), -RF_ETAMPER);
    /* nobody's */
    trust.key_count = 0;
    assert_int_equal(claim_verify(buf_at(&b), buf_len(&b), &trust, &result, &err), -RF_EINVAL);
    buf_done(&b);
    world_free(w);
}

static void a_quorum_is_asked_of_every_checkpoint(void **state)
{
    struct world *w = world_new(LIE_NONE);
    struct trust *t = mem_zalloc(1, sizeof(*t));
    struct claim_trust trust = { .keys = &w->logs[0].key.key, .key_count = 1, .witnesses = t };
    struct secret_key witness;
    struct claim_result result;
    uint8_t seed[KEY_SEED_LEN] = { 7 };
    char vkey[KEY_VKEY_SIZE], policy[2 * KEY_VKEY_SIZE];
    struct err err;
    struct buf with, without;
    (void)state;
    assert_non_null(t);
    assert_int_equal(secret_key_make("w.example.com/1", KEY_COSIGNATURE, seed, &witness, NULL), 0);
    key_write(&witness.key, vkey);
    (void)snprintf(policy, sizeof(policy), "witness w1 %s\nquorum w1\n", vkey);
    assert_int_equal(trust_read(policy, strlen(policy), t, &err), 0);
    buf_init(&with, CLAIM_MAX);
    buf_init(&without, CLAIM_MAX);
    world_claim(w, 4, 3, &witness, &with);
    world_claim(w, 4, 3, NULL, &without);
    assert_int_equal(claim_verify(buf_at(&with), buf_len(&with), &trust, &result, &err), 0);
    assert_int_equal(result.unwitnessed, 0);
    assert_int_equal(claim_verify(buf_at(&without), buf_len(&without), &trust, &result, &err), 0);
    assert_int_equal(result.unwitnessed, w->log_count);
    /* a cosignature that does not hold: one over another text */
    t->witnesses[0].key.public[5] ^= 1;
    assert_int_equal(claim_verify(buf_at(&with), buf_len(&with), &trust, &result, &err),
                     -RF_ETAMPER);
    assert_non_null(strstr(err.line, "line 6"));
    buf_done(&with);
    buf_done(&without);
    mem_free(t);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_the_vrf_key_makes_two_files_that_together_are_complete),
        cmocka_unit_test(the_file_of_the_second_implementation_holds),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(each_flipped_bit_is_refused),
        cmocka_unit_test(lines_of_another_form_are_refused),
        cmocka_unit_test(a_writer_writes_only_what_a_reader_takes),
        cmocka_unit_test(claims_of_random_regions_are_the_truth),
        cmocka_unit_test(what_a_region_does_wrong_in_its_leaves_is_refused),
        cmocka_unit_test(thousands_of_lies_are_refused),
        cmocka_unit_test(an_access_is_not_hidden_by_neighbours_that_are_none),
        cmocka_unit_test(the_key_of_another_subject_is_refused),
        cmocka_unit_test(another_checkpoint_is_refused),
        cmocka_unit_test(the_keys_that_are_given_must_be_of_the_roster),
        cmocka_unit_test(a_quorum_is_asked_of_every_checkpoint),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
