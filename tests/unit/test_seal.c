#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "journal_house.h"
#include "ledger/json.h"
#include "ledger/treehead.h"

/* ---- tests/vectors/journal-v1.txt: "name: hex" a line -------------------------------------- */

static char *vectors;

static int load_vectors(void **state)
{
    const char *folder = getenv("RF_VECTORS");
    char path[PATH_MAX];
    size_t len;
    struct err err;
    (void)state;
    if (sodium_init() < 0 || digest_init(&err) < 0)
        return -1;
    if (folder == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/journal-v1.txt", folder);
    return fd_read_file(path, 1 << 20, &vectors, &len, &err);
}

static int free_vectors(void **state)
{
    (void)state;
    mem_free(vectors);
    return 0;
}

/* The bytes of vector NAME; *RET has room for MAX. */
static size_t vector(const char *name, uint8_t *ret, size_t max)
{
    char start[64];
    (void)snprintf(start, sizeof(start), "\n%s: ", name);
    char *at = strstr(vectors, start);
    size_t n;
    if (at == NULL)
        fail_msg("no vector %s", name);
    at += strlen(start);
    assert_int_equal(sodium_hex2bin(ret, max, at, strcspn(at, "\n"), NULL, &n, NULL), 0);
    return n;
}

static void assert_vector(const char *name, const void *bytes, size_t n)
{
    uint8_t expected[4096];
    assert_int_equal(vector(name, expected, sizeof(expected)), n);
    assert_memory_equal(bytes, expected, n);
}

static struct record vector_record(unsigned i)
{
    struct record r = { .kind = i == 0 ? RECORD_STATEMENT : RECORD_RESULT,
                        .wall_ms = INT64_C(29929525) * 60000 + (i == 0 ? 7123 : 7456),
                        .statement = 1,
                        .region = "us-virginia",
                        .entity = "clipstream-us",
                        .place = "US",
                        .room = "masked",
                        .actor_kind = "person",
                        .actor = "us_analyst" };
    for (uint8_t j = 0; j < 16; j++)
        r.session[j] = (uint8_t)(1 + j);
    if (i == 0) {
        r.client = "127.0.0.1:40000";
        r.listener = "127.0.0.1:6432";
        r.database = "us-virginia";
        r.role = "us_analyst.masked";
        r.statement_kind = "SelectStmt";
        r.fingerprint = 0x00ab00000000cdef;
        r.relations = "app.users";
        r.sql = "select \"id\" from users\n-- Zo\xc3\xab \xe4\xb8\xad\xc2\x85\\\x7f";
        r.sql_len = strlen(r.sql);
    } else {
        r.sql = "caf\xe9";
        r.sql_len = 5;
        r.rows = 5;
        r.bytes = 1234;
        r.outcome = "SELECT 5";
    }
    return r;
}

static void the_vectors_of_the_format_come_out(void **state)
{
    uint8_t key[32], key_id[8], chain[32], salt[32], nonce[24], id[16], d[32], leaf_hash[32];
    struct frame_header header = { .first = 0, .name = NAME };
    struct buf out, leaf, detail, sealed;
    char name[32];
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(vector("day_key", key, 32), 32);
    seal_key_id(key, key_id);
    assert_vector("day_key_id", key_id, 8);
    assert_int_equal(vector("journal_id", header.journal_id, 16), 16);
    frame_first_chain(header.journal_id, NAME, chain);
    assert_vector("chain_before", chain, 32);
    memcpy(header.chain, chain, 32);
    assert_int_equal(frame_header_write(&out, &header), 0);
    assert_vector("header", buf_at(&out), buf_len(&out));
    for (unsigned i = 0; i < 2; i++) {
        struct record r = vector_record(i), published;
#define VECTOR(what) ((void)snprintf(name, sizeof(name), "entry%u_" what, i), name)
        assert_int_equal(vector(VECTOR("salt"), salt, 32), 32);
        assert_int_equal(vector(VECTOR("nonce"), nonce, 24), 24);
        assert_int_equal(vector(VECTOR("id"), id, 16), 16);
        buf_init(&leaf, LEAF_MAX);
        buf_init(&detail, LEAF_DETAIL_MAX);
        buf_init(&sealed, FRAME_LENGTH_MAX);
        buf_clear(&out);
        leaf_publish(house_policy(), &r, &published);
        assert_int_equal(leaf_detail_write(&detail, &r, &published), 0);
        assert_vector(VECTOR("private"), buf_at(&detail), buf_len(&detail));
        seal_commitment(salt, buf_at(&detail), buf_len(&detail), d);
        assert_int_equal(leaf_write(&leaf, &published, 29929525, id, d), 0);
        assert_vector(VECTOR("public"), buf_at(&leaf), buf_len(&leaf));
        const struct iovec pieces[] = { digest_piece("\0", 1),
                                        digest_piece(buf_at(&leaf), buf_len(&leaf)) };
        digest_pieces(pieces, 2, leaf_hash);
        assert_vector(VECTOR("leaf_hash"), leaf_hash, 32);
        const struct seal_context context = {
            .index = i, .name = NAME, .leaf = buf_at(&leaf), .leaf_len = buf_len(&leaf)
        };
        assert_int_equal(seal_close(&sealed, &context, key, nonce, salt, buf_at(&detail),
                                    buf_len(&detail)),
                         0);
        struct frame_entry entry = { .index = i,
                                     .minute = 29929525,
                                     .instance = 0x1122334455667788,
                                     .seq = i + 1,
                                     .leaf = buf_at(&leaf),
                                     .leaf_len = buf_len(&leaf),
                                     .sealed = buf_at(&sealed),
                                     .sealed_len = buf_len(&sealed) };
        memcpy(entry.key_id, key_id, 8);
        assert_int_equal(frame_entry_write(&out, &entry, chain), 0);
        assert_vector(VECTOR("chain_after"), chain, 32);
        assert_vector(VECTOR("bytes"), buf_at(&out), buf_len(&out));
        buf_done(&leaf);
        buf_done(&detail);
        buf_done(&sealed);
    }
    buf_done(&out);
}

static void a_sealed_part_opens_only_as_it_was_bound(void **state)
{
    static const uint8_t key[32] = { 7 }, other[32] = { 8 }, nonce[24] = { 1 }, salt[32] = { 2 };
    struct seal_context context = {
        .index = 5, .name = NAME, .leaf = (const uint8_t *)"{}", .leaf_len = 2
    };
    struct buf sealed, plain;
    (void)state;
    buf_init(&sealed, 1000);
    buf_init(&plain, 1000);
    assert_int_equal(seal_close(&sealed, &context, key, nonce, salt, "{\"a\":1}", 7), 0);
    assert_int_equal(buf_len(&sealed), SEAL_OVERHEAD + 7);
    assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), buf_len(&sealed)), 0);
    assert_memory_equal(buf_at(&plain), salt, 32);
    assert_memory_equal(buf_at(&plain) + 32, "{\"a\":1}", 7);
    assert_int_equal(seal_open(&plain, &context, other, buf_at(&sealed), buf_len(&sealed)),
                     -RF_ETAMPER);
    context.index = 6;
    assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), buf_len(&sealed)),
                     -RF_ETAMPER);
    context.index = 5;
    context.name = "eu-dublin";
    assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), buf_len(&sealed)),
                     -RF_ETAMPER);
    context.name = NAME;
    context.leaf = (const uint8_t *)"{]";
    assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), buf_len(&sealed)),
                     -RF_ETAMPER);
    context.leaf = (const uint8_t *)"{}";
    for (size_t bit = 0; bit < 8 * buf_len(&sealed); bit++) {
        buf_at(&sealed)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), buf_len(&sealed)),
                         -RF_ETAMPER);
        buf_at(&sealed)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < buf_len(&sealed); n++)
        assert_int_equal(seal_open(&plain, &context, key, buf_at(&sealed), n), -RF_ETAMPER);
    buf_done(&sealed);
    buf_done(&plain);
}

static void a_day_key_is_durable_private_and_the_same_after_a_restart(void **state)
{
    struct house h;
    struct daykey_store *keys;
    const uint8_t *key, *id;
    uint8_t first[32];
    char path[PATH_MAX];
    struct stat st;
    uint32_t minute = (uint32_t)(NOON / 60000);
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0); /* makes the folders */
    assert_int_equal(daykey_open(h.state, &keys, &h.err), 0);
    assert_int_equal(daykey_find(keys, minute, &key, &id, &h.err), -RF_ENOTFOUND);
    assert_int_equal(daykey_make(keys, minute, &key, &id, &h.err), 0);
    memcpy(first, key, 32);
    (void)snprintf(path, sizeof(path), "%s/keys/day/2026-11-27.key", h.state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(st.st_mode & 0777, 0600);
    daykey_close(keys);
    assert_int_equal(daykey_open(h.state, &keys, &h.err), 0);
    assert_int_equal(daykey_make(keys, minute + 1, &key, &id, &h.err), 0);
    assert_memory_equal(key, first, 32);
    assert_int_equal(daykey_make(keys, minute + 12 * 60, &key, &id, &h.err), 0); /* midnight */
    assert_memory_not_equal(key, first, 32);
    daykey_close(keys);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(daykey_open(h.state, &keys, &h.err), 0);
    assert_int_equal(daykey_find(keys, minute, &key, &id, &h.err), -RF_ECONFIG);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(daykey_find(keys, minute, &key, &id, &h.err), -RF_ECONFIG);
    daykey_close(keys);
    house_done(&h);
}

static void the_public_part_reads_back_and_nothing_else_does(void **state)
{
    static const uint8_t id[16] = { 9 }, d[32] = { 8 };
    struct record r = vector_record(1), published;
    struct leaf leaf;
    struct buf b;
    (void)state;
    buf_init(&b, LEAF_MAX);
    r.rule = "actor-known";
    leaf_publish(house_policy(), &r, &published);
    assert_int_equal(leaf_write(&b, &published, 29929525, id, d), 0);
    assert_int_equal(leaf_read(buf_at(&b), buf_len(&b), &leaf), 0);
    assert_int_equal(leaf.kind, RECORD_RESULT);
    assert_int_equal(leaf.minute, 29929525);
    assert_memory_equal(leaf.commitment, d, 32);
    for (size_t n = 0; n < buf_len(&b); n++)
        assert_int_equal(leaf_read(buf_at(&b), n, &leaf), -RF_EPROTO);
    buf_done(&b);
    static const char *const bad[] = {
        "{\"v\":1}",
        "{\"kind\":\"start\",\"v\":1}",
        "{\"v\":2,\"kind\":\"start\"}",
    };
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        assert_int_equal(leaf_read(bad[i], strlen(bad[i]), &leaf), -RF_EPROTO);
    static const char frame[] = "{\"v\":1,\"kind\":\"start\",\"minute\":\"%s\","
                                "\"id\":\"00000000000000000000000000000000\",%s\"d\":\"%064d\"}";
    static const struct {
        const char *minute, *more;
        int rc;
    } rows[] = {
        { "2026-11-27T09:25Z", "", 0 },
        { "2026-11-27T09:60Z", "", -RF_EPROTO },
        { "2026-13-27T09:25Z", "", -RF_EPROTO },
        { "2026-11-27T09:25Z", "\"rows\":4,", 0 },
        { "2026-11-27T09:25Z", "\"rows\":5,\"slot\":1,\"start\":77,", 0 },
        { "2026-11-27T09:25Z", "\"start\":77,\"slot\":1,", -RF_EPROTO },
        { "2026-11-27T09:25Z", "\"rows\":\"5\",", -RF_EPROTO },
        { "2026-11-27T09:25Z", "\"actor\":\"x\",", -RF_EPROTO },
        { "2026-11-27T09:25Z", "\"rows\":4,\"place\":\"US\",", -RF_EPROTO },
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        char text[500];
        int n = snprintf(text, sizeof(text), frame, rows[i].minute, rows[i].more, 0);
        assert_int_equal(leaf_read(text, (size_t)n, &leaf), rows[i].rc);
    }
}

static void words_outside_the_policy_are_not_published(void **state)
{
    struct record r = vector_record(0), published;
    static const uint8_t id[16], d[32];
    struct buf b;
    (void)state;
    r.region = "jane.doe@example.com";
    r.entity = "Jane Doe";
    r.room = "under the stairs";
    r.purpose = "555-0100";
    r.actor_kind = "jane";
    leaf_publish(house_policy(), &r, &published);
    buf_init(&b, LEAF_DETAIL_MAX);
    assert_int_equal(leaf_write(&b, &published, 1, id, d), 0);
    assert_null(memmem(buf_at(&b), buf_len(&b), "ane", 3));
    assert_null(memmem(buf_at(&b), buf_len(&b), "555", 3));
    assert_null(memmem(buf_at(&b), buf_len(&b), "stairs", 6));
    buf_clear(&b);
    assert_int_equal(leaf_detail_write(&b, &r, &published), 0);
    assert_non_null(
        memmem(buf_at(&b), buf_len(&b), "\"said_region\":\"jane.doe@example.com\"", 36));
    assert_non_null(memmem(buf_at(&b), buf_len(&b), "\"said_actor_kind\":\"jane\"", 24));
    buf_done(&b);
}

static void the_tree_head_is_that_of_rfc_6962(void **state)
{
    /* leaf i is "leaf-i"; roots from the transparency log's reference vectors (set B) */
    static const struct {
        uint64_t size;
        const char *root;
    } rows[] = {
        { 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { 1, "305df59f9590c3c9ac63d2b2743c388e3792449078cebf7fb3dbe6471643b2b7" },
        { 2, "60a53eed0de87a90c8e59427c59c46253c33a76a09502a51801300927b7e6bdc" },
        { 255, "3de22a1a5c13f8ad7c6fdf034305190d870b7a72b99cf69e9cdd6f7e5430c136" },
        { 256, "f7ed5eb44be61908cdf66bb316813dc75442aa2a5b307177c06c728271356c91" },
        { 257, "45d7e207b9bd948a0b1e55162edc386453c8a9853b5f3c457e25716c0be98ec2" },
    };
    struct treehead t;
    uint8_t root[32];
    char hex[65], leaf[32];
    (void)state;
    treehead_init(&t);
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        while (t.size < rows[i].size) {
            int n = snprintf(leaf, sizeof(leaf), "leaf-%llu", (unsigned long long)t.size);
            treehead_add(&t, leaf, (size_t)n);
        }
        treehead_root(&t, root);
        digest_hex(root, 32, hex);
        assert_string_equal(hex, rows[i].root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_format_come_out),
        cmocka_unit_test(a_sealed_part_opens_only_as_it_was_bound),
        cmocka_unit_test(a_day_key_is_durable_private_and_the_same_after_a_restart),
        cmocka_unit_test(the_public_part_reads_back_and_nothing_else_does),
        cmocka_unit_test(words_outside_the_policy_are_not_published),
        cmocka_unit_test(the_tree_head_is_that_of_rfc_6962),
    };
    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
