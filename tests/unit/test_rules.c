#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "verify/rules.h"

/* Which policy rules, leaf after leaf. A log needs a genesis for the rest of its rules; here only
 * findings that speak of a policy are looked at. */

struct said {
    enum logleaf_type type;
    uint8_t policy; /* first byte of its digest */
    unsigned signatures, quorum;
    uint32_t minute, from;
};

enum { MINUTE = 29930000, SAID_MAX = 6 };

static int judge(struct rules *r, uint64_t index, const struct said *s, struct findings *to)
{
    uint8_t digest[DIGEST_LEN] = { s->policy, 1 };
    struct logleaf l = { .type = s->type, .minute = MINUTE + s->minute }, read;
    struct err err;
    struct buf b;
    buf_init(&b, LOGLEAF_MAX);
    logleaf_text(&l, LEAF_KEY_REGION, "us");
    if (s->type == LEAF_START) {
        logleaf_bytes(&l, LEAF_KEY_BINARY, digest, DIGEST_LEN);
        logleaf_bytes(&l, LEAF_KEY_LIBRARIES, digest, DIGEST_LEN);
    }
    logleaf_number(&l, LEAF_KEY_FROM, s->from > 0 ? MINUTE + s->from : 0);
    logleaf_bytes(&l, LEAF_KEY_POLICY, digest, DIGEST_LEN);
    logleaf_number(&l, LEAF_KEY_SIGNATURES, s->signatures);
    logleaf_number(&l, LEAF_KEY_QUORUM, s->quorum);
    assert_int_equal(logleaf_write(&b, &l), 0);
    assert_int_equal(logleaf_read(buf_at(&b), buf_len(&b), &read), 0);
    int rc = rules_leaf(r, index, &read, to, &err);
    buf_done(&b);
    return rc;
}

static void policies_rule_with_the_signatures_that_the_one_before_demands(void **state)
{
    static const struct {
        const char *told; /* NULL: all is well */
        struct said said[SAID_MAX];
    } rows[] = {
        { NULL, { { LEAF_START, 1, 0, 0 }, { LEAF_POLICY, 2, 0, 2 }, { LEAF_POLICY, 3, 2, 2 } } },
        { NULL,
          { { LEAF_START, 1, 0, 2 },
            { LEAF_START, 1, 0, 2 },
            { LEAF_START, 2, 3, 0 },
            { LEAF_POLICY, 3, 0, 0 } } },
        { NULL, { { LEAF_START, 1, 0, 2 }, { LEAF_POLICY, 2, 2, 2 }, { LEAF_START, 2, 2, 2 } } },
        { "rules with 1 signatures, and the one before demands 2",
          { { LEAF_START, 1, 0, 2 }, { LEAF_POLICY, 2, 1, 2 } } },
        { "rules with 0 signatures, and the one before demands 1",
          { { LEAF_START, 1, 0, 1 }, { LEAF_START, 2, 0, 1 } } },
        { "rules with 0 signatures", /* and back */
          { { LEAF_START, 1, 0, 1 }, { LEAF_POLICY, 2, 1, 1 }, { LEAF_START, 1, 0, 1 } } },
        { "whom the one before does not name",
          { { LEAF_START, 1, 0, 0 }, { LEAF_POLICY, 2, 1, 1 } } },
        { "with another quorum", { { LEAF_START, 1, 0, 2 }, { LEAF_START, 1, 0, 1 } } },
        { NULL,
          { { LEAF_START, 1, 0, 2 },
            { LEAF_POLICY, 2, 2, 0, 1, 5 },
            { LEAF_POLICY, 1, 0, 2, 2 },
            { LEAF_POLICY, 2, 2, 2, 5 } } },
        { "before the minute from which it was announced",
          { { LEAF_START, 1, 0, 2 },
            { LEAF_POLICY, 2, 2, 0, 1, 5 },
            { LEAF_POLICY, 2, 2, 2, 4 } } },
        { "is announced with 1 signatures",
          { { LEAF_START, 1, 0, 2 }, { LEAF_POLICY, 2, 1, 0, 1, 5 } } },
        { "from a minute on that is over",
          { { LEAF_START, 1, 0, 2 }, { LEAF_POLICY, 2, 2, 0, 6, 5 } } },
        { "a policy that waits", { { LEAF_START, 1, 0, 2 }, { LEAF_POLICY, 2, 2, 2, 1, 5 } } },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        static struct findings f;
        const struct key key = { .name = "log.example/us" };
        const char *told = NULL;
        struct rules *r;
        struct err err;
        memset(&f, 0, sizeof(f));
        assert_int_equal(rules_new(&key, &r, &err), 0);
        for (uint64_t k = 0; k < SAID_MAX && rows[i].said[k].type != LEAF_NONE; k++)
            assert_int_equal(judge(r, k, &rows[i].said[k], &f), 0);
        for (unsigned k = 0; k < f.count; k++)
            if (strstr(f.list[k].text, "policy") != NULL)
                told = f.list[k].text;
        if ((told != NULL) != (rows[i].told != NULL) ||
            (told != NULL && strstr(told, rows[i].told) == NULL))
            fail_msg("row %zu: %s", i, told != NULL ? told : "nothing is told");
        rules_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_rule_with_the_signatures_that_the_one_before_demands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
