#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger/logleaf.h"

/* What the tables of docs/formats/log.md say, once more and in other words: must, may. */
static const struct {
    enum logleaf_type type;
    const char *name, *must, *may;
} types[] = {
    { LEAF_GENESIS, "genesis", "region origin key vrf epoch rollup seal", "predecessor signature" },
    { LEAF_MEMBER, "member", "region origin key", "" },
    { LEAF_SUCCESSOR, "successor", "region origin key signature", "" },
    { LEAF_START, "start", "region binary libraries policy", "signatures quorum" },
    { LEAF_POLICY, "policy", "region policy", "from signatures quorum" },
    { LEAF_FIND, "find", "region purpose|held epoch tags", "entity place" },
    { LEAF_REQUEST, "request", "region purpose|held grant classes subjects policy_ref",
      "entity place rule" },
    { LEAF_APPROVAL, "approval", "region grant request_ref verdict", "entity place" },
    { LEAF_BREAKGLASS, "breakglass", "region purpose|held grant classes subjects policy_ref",
      "entity place rule" },
    { LEAF_REVIEW, "review", "region grant request_ref verdict", "" },
    { LEAF_GRANT, "grant", "region purpose|held grant classes subjects until policy_ref",
      "entity place request_ref approval_refs by grant_ref" },
    { LEAF_REVOKE, "revoke", "region grant grant_ref rule", "" },
    { LEAF_DISCLOSURE, "disclosure", "region purpose|held room classes epoch tags",
      "entity place grant grant_ref" },
    { LEAF_OPENED, "opened", "region ref purpose salt", "" },
    { LEAF_SESSION, "session", "region room from until",
      "entity place actor_kind sessions statements rows bytes few" },
    { LEAF_TRANSFER, "transfer", "region from until",
      "entity place room actor_kind rows bytes few" },
    { LEAF_SERVICE, "service", "region from until", "entity place sessions statements rows bytes" },
    { LEAF_DENIAL, "denial", "region from until denials", "entity" },
    { LEAF_SEAL, "seal", "region of", "disclosures leaves chain epoch tags tags_root" },
    { LEAF_ALERT, "alert", "region from until rule", "alerts reviewed" },
    { LEAF_CONSENT, "consent", "region purpose from until", "version given withdrawn few" },
};

static const uint8_t hash[DIGEST_LEN] = { 0xab, 1, 2 };
static const uint8_t items[3 * LOGLEAF_ITEM_LEN] = { 9, 8, 7 };

static unsigned items_of(enum logleaf_type type)
{
    return type == LEAF_FIND ? 1 : 3;
}

/* Some value of the form that KEY has. */
static void set(struct logleaf *l, enum logleaf_key key)
{
    switch (key) {
    case LEAF_KEY_VRF:
    case LEAF_KEY_TAGS_ROOT:
    case LEAF_KEY_CHAIN:
    case LEAF_KEY_BINARY:
    case LEAF_KEY_LIBRARIES:
    case LEAF_KEY_POLICY:
    case LEAF_KEY_HELD:
    case LEAF_KEY_SALT:
        logleaf_bytes(l, key, hash, sizeof(hash));
        return;
    case LEAF_KEY_SIGNATURE:
        logleaf_bytes(l, key, items, 64);
        return;
    case LEAF_KEY_TAGS:
        if (l->type == LEAF_SEAL)
            logleaf_number(l, key, 77);
        else
            logleaf_bytes(l, key, items, items_of(l->type) * (size_t)LOGLEAF_ITEM_LEN);
        return;
    case LEAF_KEY_APPROVAL_REFS:
        logleaf_text(l, key, "12 log.example/us,7 log,with,commas,0 log.example/us");
        return;
    case LEAF_KEY_GRANT:
    case LEAF_KEY_ROLLUP:
    case LEAF_KEY_SEAL:
    case LEAF_KEY_FEW:
    case LEAF_KEY_DISCLOSURES:
    case LEAF_KEY_LEAVES:
    case LEAF_KEY_FROM:
    case LEAF_KEY_UNTIL:
    case LEAF_KEY_SIGNATURES:
    case LEAF_KEY_QUORUM:
        logleaf_number(l, key, 29930000 + (unsigned)key);
        return;
    case LEAF_KEY_SESSIONS:
    case LEAF_KEY_STATEMENTS:
    case LEAF_KEY_ROWS:
    case LEAF_KEY_BYTES:
    case LEAF_KEY_DENIALS:
    case LEAF_KEY_ALERTS:
    case LEAF_KEY_REVIEWED:
    case LEAF_KEY_SUBJECTS:
    case LEAF_KEY_GIVEN:
    case LEAF_KEY_WITHDRAWN:
        logleaf_number(l, key, 1000); /* written as 512 */
        return;
    case LEAF_KEY_GRANT_REF:
    case LEAF_KEY_REQUEST_REF:
    case LEAF_KEY_POLICY_REF:
    case LEAF_KEY_REF:
    case LEAF_KEY_PREDECESSOR:
        logleaf_text(l, key, "12 log.example/us");
        return;
    default:
        logleaf_text(l, key, "a word, with ~ and }{");
    }
}

/* Is NAME one of the words in LIST? `a|b`: a, unless the caller wants the other. */
static bool is_listed(const char *list, const char *name, bool want_held)
{
    size_t n = strlen(name);
    for (const char *at = list; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (len == n && memcmp(at, name, n) == 0)
            return true;
        if (len == strlen("purpose|held") && memcmp(at, "purpose|held", len) == 0 &&
            strcmp(name, want_held ? "held" : "purpose") == 0)
            return true;
        at += len + (at[len] == ' ');
    }
    return false;
}

static void fill(struct logleaf *l, size_t row, bool may, bool want_held)
{
    memset(l, 0, sizeof(*l));
    l->type = types[row].type;
    l->minute = 29930000;
    memset(l->id, 0x5a, sizeof(l->id));
    memset(l->commitment, 0xc3, sizeof(l->commitment));
    for (int k = 0; k < LEAF_KEY_COUNT; k++) {
        const char *name = logleaf_key_name((enum logleaf_key)k);
        if (is_listed(types[row].must, name, want_held) ||
            (may && is_listed(types[row].may, name, false)))
            set(l, (enum logleaf_key)k);
    }
}

static void write_leaf(struct buf *to, size_t row, bool may, bool want_held)
{
    struct logleaf l;
    fill(&l, row, may, want_held);
    buf_init(to, 3 * LOGLEAF_MAX);
    assert_int_equal(logleaf_write(to, &l), 0);
}

/* What was read, written again: after reading, hashes and base64 are text, so they go back first.
 */
static void assert_round_trip(struct buf *bytes)
{
    struct logleaf l;
    struct buf again;
    uint8_t hashes[LEAF_KEY_COUNT][DIGEST_LEN], tags[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    assert_int_equal(logleaf_read(buf_at(bytes), buf_len(bytes), &l), 0);
    for (int k = 0; k < LEAF_KEY_COUNT; k++) {
        enum logleaf_key key = (enum logleaf_key)k;
        if (!logleaf_has(&l, key))
            continue;
        if (key == LEAF_KEY_SIGNATURE) {
            logleaf_bytes(&l, key, items, 64);
        } else if (key == LEAF_KEY_TAGS && l.value[k].text != NULL) {
            unsigned n = logleaf_items(&l, tags);
            assert_int_equal(n, items_of(l.type));
            assert_memory_equal(tags, items, n * (size_t)LOGLEAF_ITEM_LEN);
            logleaf_bytes(&l, key, tags[0], n * (size_t)LOGLEAF_ITEM_LEN);
        } else if (l.value[k].text != NULL && l.value[k].len == 2 * DIGEST_LEN) {
            logleaf_hash(&l, key, hashes[k]);
            logleaf_bytes(&l, key, hashes[k], DIGEST_LEN);
        }
    }
    buf_init(&again, 3 * LOGLEAF_MAX);
    assert_int_equal(logleaf_write(&again, &l), 0);
    assert_int_equal(buf_len(&again), buf_len(bytes));
    assert_memory_equal(buf_at(&again), buf_at(bytes), buf_len(bytes));
    buf_done(&again);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void every_type_is_in_the_list_above(void **state)
{
    (void)state;
    assert_int_equal(RF_COUNT(types), LEAF_TYPE_COUNT - 1);
    for (size_t i = 0; i < RF_COUNT(types); i++)
        assert_string_equal(logleaf_type_name(types[i].type), types[i].name);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++)
        for (int how = 0; how < 4; how++) {
            struct buf b;
            write_leaf(&b, i, (how & 1) != 0, (how & 2) != 0);
            assert_round_trip(&b);
            buf_done(&b);
        }
}

static void a_key_that_must_be_there_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++)
        for (int k = 0; k < LEAF_KEY_COUNT; k++) {
            struct logleaf l;
            struct buf b;
            fill(&l, i, true, false);
            if (!is_listed(types[i].must, logleaf_key_name((enum logleaf_key)k), false))
                continue;
            logleaf_text(&l, (enum logleaf_key)k, NULL);
            buf_init(&b, LOGLEAF_MAX);
            assert_int_equal(logleaf_write(&b, &l), -RF_EINVAL);
            assert_int_equal(buf_len(&b), 0);
            buf_done(&b);
        }
}

static void a_key_of_another_type_is_refused(void **state)
{
    unsigned tried = 0;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++)
        for (int k = 0; k < LEAF_KEY_COUNT; k++) {
            struct logleaf l;
            struct buf b;
            const char *name = logleaf_key_name((enum logleaf_key)k);
            fill(&l, i, true, false);
            if (is_listed(types[i].must, name, false) || is_listed(types[i].may, name, false))
                continue;
            set(&l, (enum logleaf_key)k); /* `held` beside `purpose` is one of these */
            buf_init(&b, LOGLEAF_MAX);
            assert_int_equal(logleaf_write(&b, &l), -RF_EINVAL);
            buf_done(&b);
            tried++;
        }
    assert_true(tried > 300);
}

static void a_reader_refuses_what_the_writer_refuses(void **state)
{
    static const char tail[] = ",\"d\":\"";
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++) {
        struct buf b;
        struct logleaf l;
        char text[LOGLEAF_MAX + 100];
        write_leaf(&b, i, true, false);
        char *end = memmem(buf_at(&b), buf_len(&b), tail, sizeof(tail) - 1);
        assert_non_null(end);
        int n = snprintf(text, sizeof(text), "%.*s,\"zebra\":\"x\"%.*s",
                         (int)(end - (char *)buf_at(&b)), (char *)buf_at(&b),
                         (int)((char *)buf_at(&b) + buf_len(&b) - end), end);
        assert_int_equal(logleaf_read(text, (size_t)n, &l), -RF_EPROTO);
        buf_done(&b);
    }
}

/* At the end of a page that is followed by one that cannot be read. */
static uint8_t *guarded(size_t *ret_page)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE) * 2;
    uint8_t *at = mmap(NULL, page + (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    assert_int_equal(mprotect(at + page, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE), 0);
    *ret_page = page;
    return at;
}

static void a_leaf_that_is_cut_anywhere_is_refused(void **state)
{
    size_t page;
    uint8_t *room = guarded(&page);
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++) {
        struct buf b;
        struct logleaf l;
        write_leaf(&b, i, true, i % 2 == 0);
        for (size_t n = 0; n < buf_len(&b); n++) {
            memcpy(room + page - n, buf_at(&b), n);
            assert_int_equal(logleaf_read(room + page - n, n, &l), -RF_EPROTO);
        }
        buf_done(&b);
    }
}

/* A changed bit is refused, or it is another leaf that is written in one way only. */
static void a_leaf_with_any_bit_changed_is_refused_or_another_one(void **state)
{
    size_t page;
    uint8_t *room = guarded(&page);
    unsigned others = 0, refused = 0;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++) {
        struct buf b;
        struct logleaf l;
        write_leaf(&b, i, true, i % 2 == 0);
        size_t n = buf_len(&b);
        uint8_t *at = room + page - n;
        for (size_t bit = 0; bit < 8 * n; bit++) {
            memcpy(at, buf_at(&b), n);
            at[bit / 8] ^= (uint8_t)(1U << bit % 8);
            int rc = logleaf_read(at, n, &l);
            assert_true(rc == 0 || rc == -RF_EPROTO);
            others += rc == 0;
            refused += rc < 0;
        }
        buf_done(&b);
    }
    assert_true(others > 0 && refused > others);
}

static void numbers_are_banded_to_powers_of_two(void **state)
{
    (void)state;
    assert_int_equal(logleaf_band(0), 0);
    assert_int_equal(logleaf_band(1), 1);
    assert_int_equal(logleaf_band(3), 2);
    assert_int_equal(logleaf_band(1023), 512);
    assert_int_equal(logleaf_band(1024), 1024);
    assert_true(logleaf_band(UINT64_MAX) == UINT64_C(1) << 52);
    for (unsigned i = 0; i < 52; i++) {
        assert_true(logleaf_band(UINT64_C(1) << i) == UINT64_C(1) << i);
        assert_true(logleaf_band((UINT64_C(2) << i) - 1) == UINT64_C(1) << i);
    }
}

static void a_number_that_is_no_band_is_refused(void **state)
{
    struct buf b;
    struct logleaf l;
    (void)state;
    write_leaf(&b, LEAF_DENIAL - 1, true, false);
    char *at = memmem(buf_at(&b), buf_len(&b), "\"denials\":512", 13);
    assert_non_null(at);
    memcpy(at, "\"denials\":513", 13);
    assert_int_equal(logleaf_read(buf_at(&b), buf_len(&b), &l), -RF_EPROTO);
    buf_done(&b);
}

static void references_are_an_index_and_an_origin(void **state)
{
    static const char *const bad[] = { "",      "12",   "12 ",  " x",    "x y",
                                       "012 x", "-1 x", "+1 x", "12\tx", "99999999999999999 x" };
    struct logleaf l = { .type = LEAF_OPENED };
    const char *origin;
    uint64_t index;
    size_t len;
    (void)state;
    logleaf_text(&l, LEAF_KEY_REF, "9007199254740991 log.example/us");
    assert_true(logleaf_ref(&l, LEAF_KEY_REF, &index, &origin, &len));
    assert_true(index == (UINT64_C(1) << 53) - 1);
    assert_int_equal(len, strlen("log.example/us"));
    logleaf_text(&l, LEAF_KEY_REF, "0 x");
    assert_true(logleaf_ref(&l, LEAF_KEY_REF, &index, &origin, &len));
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        logleaf_text(&l, LEAF_KEY_REF, bad[i]);
        assert_false(logleaf_ref(&l, LEAF_KEY_REF, &index, &origin, &len));
    }
}

static void a_list_of_references_is_read_one_by_one(void **state)
{
    static const struct {
        uint64_t index;
        const char *origin;
    } want[] = { { 12, "log.example/us" }, { 7, "log,with,commas" }, { 0, "a,3" }, { 1, "b" } };
    static const char *const bad[] = { "",         "3",        "3 ",          ",3 a",
                                       "03 a,4 b", "3 a, 4 b", "3 a,b c,4 d", "3 a 4 b" };
    struct logleaf l = { .type = LEAF_GRANT };
    const char *origin;
    uint64_t index;
    size_t len, at = 0;
    (void)state;
    logleaf_text(&l, LEAF_KEY_APPROVAL_REFS, "12 log.example/us,7 log,with,commas,0 a,3,1 b");
    assert_true(logleaf_are_refs(l.value[LEAF_KEY_APPROVAL_REFS].text,
                                 l.value[LEAF_KEY_APPROVAL_REFS].len));
    for (size_t i = 0; i < RF_COUNT(want); i++) {
        assert_true(logleaf_refs_next(&l, &at, &index, &origin, &len));
        assert_int_equal(index, want[i].index);
        assert_int_equal(len, strlen(want[i].origin));
        assert_memory_equal(origin, want[i].origin, len);
    }
    assert_false(logleaf_refs_next(&l, &at, &index, &origin, &len));
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (logleaf_are_refs(bad[i], strlen(bad[i])))
            fail_msg("\"%s\" is taken for a list of references", bad[i]);
}

static void a_find_has_one_tag(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        struct logleaf l, read;
        struct buf b;
        fill(&l, LEAF_FIND - 1, true, false);
        buf_init(&b, LOGLEAF_MAX);
        logleaf_bytes(&l, LEAF_KEY_TAGS, items, n * LOGLEAF_ITEM_LEN);
        assert_int_equal(logleaf_write(&b, &l), n == 1 ? 0 : -RF_EINVAL);
        if (n == 2) { /* nor does a reader take what is a disclosure's */
            fill(&l, LEAF_DISCLOSURE - 1, false, false);
            logleaf_text(&l, LEAF_KEY_ROOM, NULL);
            logleaf_text(&l, LEAF_KEY_CLASSES, NULL);
            l.type = LEAF_FIND;
            logleaf_bytes(&l, LEAF_KEY_TAGS, items, LOGLEAF_ITEM_LEN);
            assert_int_equal(logleaf_write(&b, &l), 0);
            char *tags = memmem(buf_at(&b), buf_len(&b), "\"tags\":\"", 8);
            assert_non_null(tags);
            char text[LOGLEAF_MAX];
            int len = snprintf(text, sizeof(text), "%.*s%.64s%.*s",
                               (int)(tags + 8 - (char *)buf_at(&b)), (char *)buf_at(&b), tags + 8,
                               (int)((char *)buf_at(&b) + buf_len(&b) - tags - 8), tags + 8);
            assert_int_equal(logleaf_read(text, (size_t)len, &read), -RF_EPROTO);
        }
        buf_done(&b);
    }
}

static void minutes_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = { "2026-02-29T10:00Z", "2026-13-01T10:00Z",
                                       "2026-00-01T10:00Z", "2026-11-31T10:00Z",
                                       "2026-11-22T24:00Z", "2026-11-22T10:60Z",
                                       "1969-12-31T23:59Z", "2026-11-22 10:00Z",
                                       "2026-11-22T10:00 " };
    struct buf b;
    struct logleaf l;
    (void)state;
    write_leaf(&b, LEAF_POLICY - 1, true, false);
    char *at = memmem(buf_at(&b), buf_len(&b), "\"minute\":\"", 10);
    assert_non_null(at);
    memcpy(at + 10, "2028-02-29T10:00Z", 17);
    assert_int_equal(logleaf_read(buf_at(&b), buf_len(&b), &l), 0);
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        memcpy(at + 10, bad[i], 17);
        assert_int_equal(logleaf_read(buf_at(&b), buf_len(&b), &l), -RF_EPROTO);
    }
    buf_done(&b);
}

static void at_most_fifty_subjects_stand_in_a_leaf(void **state)
{
    static const uint8_t many[51 * LOGLEAF_ITEM_LEN];
    struct logleaf l;
    struct buf b;
    (void)state;
    for (size_t n = 50; n <= 51; n++) {
        fill(&l, LEAF_DISCLOSURE - 1, true, false);
        logleaf_bytes(&l, LEAF_KEY_TAGS, many, n * LOGLEAF_ITEM_LEN);
        buf_init(&b, 3 * LOGLEAF_MAX);
        assert_int_equal(logleaf_write(&b, &l), n == 50 ? 0 : -RF_EINVAL);
        assert_true(buf_len(&b) <= LOGLEAF_MAX);
        buf_done(&b);
    }
    fill(&l, LEAF_DISCLOSURE - 1, true, false);
    logleaf_bytes(&l, LEAF_KEY_TAGS, many, LOGLEAF_ITEM_LEN - 1);
    buf_init(&b, LOGLEAF_MAX);
    assert_int_equal(logleaf_write(&b, &l), -RF_EINVAL);
    buf_done(&b);
}

static void words_are_short_and_plain(void **state)
{
    static const char *const bad[] = {
        "a\"b",        "a\\b",  "a\nb",
        "caf\xc3\xa9", "a\x7f", "0123456789012345678901234567890123456789012345678901234567890123"
    };
    struct logleaf l;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct buf b;
        fill(&l, LEAF_DENIAL - 1, true, false);
        logleaf_text(&l, LEAF_KEY_RULE, bad[i]);
        buf_init(&b, LOGLEAF_MAX);
        assert_int_equal(logleaf_write(&b, &l), -RF_EINVAL);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_in_the_list_above),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_key_that_must_be_there_is_missed),
        cmocka_unit_test(a_key_of_another_type_is_refused),
        cmocka_unit_test(a_reader_refuses_what_the_writer_refuses),
        cmocka_unit_test(a_leaf_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(a_leaf_with_any_bit_changed_is_refused_or_another_one),
        cmocka_unit_test(numbers_are_banded_to_powers_of_two),
        cmocka_unit_test(a_number_that_is_no_band_is_refused),
        cmocka_unit_test(references_are_an_index_and_an_origin),
        cmocka_unit_test(a_list_of_references_is_read_one_by_one),
        cmocka_unit_test(a_find_has_one_tag),
        cmocka_unit_test(minutes_that_are_none_are_refused),
        cmocka_unit_test(at_most_fifty_subjects_stand_in_a_leaf),
        cmocka_unit_test(words_are_short_and_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
