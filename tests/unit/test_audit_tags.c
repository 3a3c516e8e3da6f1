/* test_audit_tags.c - tags compared with private parts: what is a lie, and what is only a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "cmd/audit_tags.h"
#include "ledger/revealed.h"
#include "ledger/vrfkey.h"

#define ORIGIN "log.example/us"
#define TIME   INT64_C(1795780800123)

struct audited {
    struct audit_tags tags;
    uint8_t secret[VRF_SECRET_LEN];
    struct buf leaf;
    struct logleaf disclosure; /* of ann and bob */
    struct err err;
    char wrong[200];
};

static const char honest[] = "{\"time\":\"2026-11-27T12:00:00.123Z\","
                             "\"revealed\":\"ann identity bob identity\"}";

static void item_of(const struct audited *a, const char *key, uint8_t ret[LOGLEAF_ITEM_LEN])
{
    const struct tag_subject s = {
        .region = "us-virginia", .epoch = "2026-11", .key = key, .key_len = strlen(key)
    };
    uint8_t k[TAG_KEY_LEN], salt[TAG_SALT_LEN];
    struct buf access;
    assert_int_equal(tag_key_make(&s, a->secret, NULL, k), 0);
    tag_of(k, ORIGIN, 0, ret);
    tag_salt_of(k, ORIGIN, 0, salt);
    buf_init(&access, TAG_ACCESS_MAX);
    assert_int_equal(tag_access_write(&access, key, strlen(key), "identity", TIME), 0);
    tag_commitment_of(salt, buf_at(&access), buf_len(&access), ret + TAG_LEN);
    buf_done(&access);
}

static void put_leaf(struct audited *a, struct logleaf *l)
{
    l->minute = (uint32_t)(TIME / 60000);
    logleaf_text(l, LEAF_KEY_REGION, "us-virginia");
    buf_clear(&a->leaf);
    assert_int_equal(logleaf_write(&a->leaf, l), 0);
    assert_int_equal(logleaf_read(buf_at(&a->leaf), buf_len(&a->leaf), &a->disclosure), 0);
    assert_int_equal(audit_tags_leaf(&a->tags, &a->disclosure, &a->err), 0);
}

static void put_genesis(struct audited *a)
{
    struct logleaf l = { .type = LEAF_GENESIS };
    uint8_t public[VRF_PUBLIC_LEN];
    assert_int_equal(vrf_public_of(a->secret, public), 0);
    logleaf_text(&l, LEAF_KEY_ORIGIN, ORIGIN);
    logleaf_text(&l, LEAF_KEY_KEY, ORIGIN "+00000000+AA");
    logleaf_bytes(&l, LEAF_KEY_VRF, public, sizeof(public));
    logleaf_text(&l, LEAF_KEY_EPOCH, "month");
    logleaf_number(&l, LEAF_KEY_ROLLUP, 5);
    logleaf_number(&l, LEAF_KEY_SEAL, 15);
    put_leaf(a, &l);
}

static void begin(struct audited *a)
{
    struct logleaf l = { .type = LEAF_DISCLOSURE };
    uint8_t items[2][LOGLEAF_ITEM_LEN];
    char path[] = "/tmp/test_audit_tags.XXXXXX";
    memset(a, 0, sizeof(*a));
    assert_true(sodium_init() >= 0 && digest_init(&a->err) == 0);
    assert_int_equal(vrf_secret_make(a->secret), 0);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
    assert_int_equal(vrfkey_save(path, "us-virginia", a->secret, &a->err), 0);
    audit_tags_init(&a->tags, path);
    buf_init(&a->leaf, LOGLEAF_MAX);
    put_genesis(a);
    assert_int_equal(unlink(path), 0);
    assert_true(a->tags.has_key);
    item_of(a, "ann", items[0]);
    item_of(a, "bob", items[1]);
    logleaf_text(&l, LEAF_KEY_ROOM, "granted");
    logleaf_text(&l, LEAF_KEY_ENTITY, "clipstream-us");
    logleaf_text(&l, LEAF_KEY_PLACE, "US");
    logleaf_text(&l, LEAF_KEY_PURPOSE, "support_ticket");
    logleaf_text(&l, LEAF_KEY_CLASSES, "identity");
    logleaf_text(&l, LEAF_KEY_EPOCH, "2026-11");
    logleaf_bytes(&l, LEAF_KEY_TAGS, items[0], sizeof(items));
    put_leaf(a, &l);
}

static void end(struct audited *a)
{
    audit_tags_done(&a->tags);
    buf_done(&a->leaf);
}

static int judge(struct audited *a, const char *private_part)
{
    a->wrong[0] = '\0';
    return audit_tags_judge(&a->tags, &a->disclosure, private_part, strlen(private_part), a->wrong,
                            &a->err);
}

static void tags_of_those_who_are_named_agree_and_others_do_not(void **state)
{
    static const struct {
        const char *private_part, *wrong;
    } lies[] = {
        { "{\"time\":\"2026-11-27T12:00:00.123Z\",\"revealed\":\"ann identity eve identity\"}",
          "tag 1 is not one of the subject" },
        { "{\"time\":\"2026-11-27T12:00:00.123Z\",\"revealed\":\"ann contact bob identity\"}",
          "commitment 0 is not to the access" },
        { "{\"time\":\"2026-11-27T12:00:00.124Z\",\"revealed\":\"ann identity bob identity\"}",
          "commitment 0 is not to the access" },
        { "{\"time\":\"2026-11-27T12:00:00.123Z\",\"revealed\":\"ann identity\"}",
          "names no subject for tag 1" },
        { "{\"time\":\"2026-11-27T12:00:00.123Z\",\"revealed\":\"ann identity bob identity eve "
          "identity\"}",
          "names more subjects than the 2 tags" },
        { "{\"revealed\":\"ann identity bob identity\"}", "names no subject for tag 0" },
        { "no JSON", "names no subject for tag 0" },
    };
    struct audited a;
    (void)state;
    begin(&a);
    assert_int_equal(judge(&a, honest), 0);
    assert_int_equal(a.tags.checked, 2);
    for (size_t i = 0; i < RF_COUNT(lies); i++) {
        assert_int_equal(judge(&a, lies[i].private_part), 1);
        assert_non_null(strstr(a.wrong, lies[i].wrong));
    }
    end(&a);
}

#ifdef RF_FAULTS
/* Memory that was not there is no evidence against anybody. */
static void out_of_memory_is_no_lie(void **state)
{
    struct audited a;
    char spec[40];
    int failed = 0, rc = -RF_ENOMEM;
    (void)state;
    begin(&a);
    for (int at = 1; rc != 0 && at < 1000; at++) {
        (void)snprintf(spec, sizeof(spec), "mem.alloc:%d", at);
        fault_arm(spec);
        rc = judge(&a, honest);
        fault_arm(NULL);
        assert_true(rc == 0 || rc == -RF_ENOMEM);
        failed += rc < 0;
    }
    assert_int_equal(rc, 0);
    assert_true(failed >= 4);
    end(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_of_those_who_are_named_agree_and_others_do_not),
#ifdef RF_FAULTS
        cmocka_unit_test(out_of_memory_is_no_lie),
#endif
    };
    return cmocka_run_group_tests_name("audit_tags", tests, NULL, NULL);
}
