#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "auth/throttle.h"
#include "base/err.h"

static struct in6_addr address(const char *text)
{
    struct in6_addr a;
    assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
    return a;
}

static struct throttle *make(uint32_t per_minute, size_t addresses)
{
    struct throttle *t = NULL;
    assert_int_equal(throttle_new(per_minute, addresses, &t), 0);
    return t;
}

static void failures_use_up_the_minute(void **state)
{
    struct throttle *t = make(30, 10);
    struct in6_addr a = address("::ffff:192.0.2.1"), b = address("::ffff:192.0.2.2");
    (void)state;
    for (int i = 0; i < 30; i++) {
        assert_true(throttle_allows(t, &a, 1000));
        throttle_failed(t, &a, 1000);
    }
    assert_false(throttle_allows(t, &a, 1000));
    assert_true(throttle_allows(t, &b, 1000));
    /* a token every two seconds */
    assert_int_equal(throttle_wait_ms(t, &a, 1000), 2000);
    assert_false(throttle_allows(t, &a, 2999));
    assert_true(throttle_allows(t, &a, 3000));
    throttle_failed(t, &a, 3000);
    assert_false(throttle_allows(t, &a, 3001));
    throttle_free(t);
}

static void asking_takes_nothing(void **state)
{
    struct throttle *t = make(1, 10);
    struct in6_addr a = address("::ffff:192.0.2.1");
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(throttle_allows(t, &a, i));
    throttle_free(t);
}

static void failures_that_were_under_way_are_owed(void **state)
{
    struct throttle *t = make(10, 10);
    struct in6_addr a = address("::ffff:192.0.2.1");
    (void)state;
    for (int i = 0; i < 500; i++)
        throttle_failed(t, &a, 0);
    assert_false(throttle_allows(t, &a, 60000)); /* the debt took this minute */
    assert_true(throttle_allows(t, &a, 66000));  /* but not more than one */
    throttle_free(t);
}

static void a_64_network_is_one_client(void **state)
{
    struct throttle *t = make(1, 10);
    struct in6_addr a = address("2001:db8:1:2::1"), b = address("2001:db8:1:2:ffff::9");
    struct in6_addr c = address("2001:db8:1:3::1");
    (void)state;
    throttle_failed(t, &a, 0);
    assert_false(throttle_allows(t, &b, 0));
    assert_true(throttle_allows(t, &c, 0));
    throttle_free(t);
}

static void a_flood_evicts_the_oldest_and_grows_nothing(void **state)
{
    struct throttle *t = make(1, 3);
    struct in6_addr a = address("2001:db8:1::"), b = address("2001:db8:2::");
    struct in6_addr c = address("2001:db8:3::"), flood = address("2001:db8:4::");
    (void)state;
    throttle_failed(t, &a, 0);
    throttle_failed(t, &b, 1);
    throttle_failed(t, &c, 2);
    throttle_failed(t, &a, 3); /* a is now the newest */
    throttle_failed(t, &flood, 4);
    assert_true(throttle_allows(t, &b, 5)); /* forgotten */
    assert_false(throttle_allows(t, &a, 5));
    assert_false(throttle_allows(t, &c, 5));
    for (uint32_t i = 0; i < 10000; i++) {
        memcpy(flood.s6_addr, &i, sizeof(i));
        throttle_failed(t, &flood, 6);
        assert_false(throttle_allows(t, &flood, 6));
    }
    assert_true(throttle_allows(t, &a, 6));
    throttle_free(t);
}

static void many_addresses_keep_their_own_counts(void **state)
{
    struct throttle *t = make(2, 1000);
    struct in6_addr a = address("::ffff:10.0.0.0");
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        a.s6_addr[14] = (uint8_t)(i >> 8);
        a.s6_addr[15] = (uint8_t)i;
        throttle_failed(t, &a, 0);
        if (i % 2 == 0)
            throttle_failed(t, &a, 0);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        a.s6_addr[14] = (uint8_t)(i >> 8);
        a.s6_addr[15] = (uint8_t)i;
        assert_int_equal(throttle_allows(t, &a, 0), i % 2 != 0);
    }
    throttle_free(t);
}

static void time_that_stands_still_or_goes_back_gives_nothing(void **state)
{
    struct throttle *t = make(1, 10);
    struct in6_addr a = address("::1");
    (void)state;
    throttle_failed(t, &a, 100000);
    assert_false(throttle_allows(t, &a, 100000));
    assert_false(throttle_allows(t, &a, 0));
    assert_false(throttle_allows(t, &a, 100001));
    assert_true(throttle_allows(t, &a, 160000));
    assert_true(throttle_allows(t, &a, INT64_MAX));
    throttle_free(t);
}

static void a_changed_rate_acts_at_once(void **state)
{
    struct throttle *t = make(100, 10);
    struct in6_addr a = address("::1");
    (void)state;
    throttle_failed(t, &a, 0);
    throttle_set_rate(t, 1);
    assert_true(throttle_allows(t, &a, 1));
    throttle_failed(t, &a, 1);
    assert_false(throttle_allows(t, &a, 2));
    throttle_set_rate(t, 0);
    assert_true(throttle_allows(t, &a, 3));
    throttle_free(t);
}

static void no_limit_means_none(void **state)
{
    struct throttle *t = make(0, 1), *none = NULL;
    struct in6_addr a = address("::1");
    (void)state;
    for (int i = 0; i < 100; i++)
        throttle_failed(t, &a, 0);
    assert_true(throttle_allows(t, &a, 0));
    throttle_free(t);
    assert_int_equal(throttle_new(1, 0, &none), -RF_EINVAL);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_use_up_the_minute),
        cmocka_unit_test(asking_takes_nothing),
        cmocka_unit_test(failures_that_were_under_way_are_owed),
        cmocka_unit_test(a_64_network_is_one_client),
        cmocka_unit_test(a_flood_evicts_the_oldest_and_grows_nothing),
        cmocka_unit_test(many_addresses_keep_their_own_counts),
        cmocka_unit_test(time_that_stands_still_or_goes_back_gives_nothing),
        cmocka_unit_test(a_changed_rate_acts_at_once),
        cmocka_unit_test(no_limit_means_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
