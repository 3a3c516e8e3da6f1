#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "priv/lease.h"

struct both {
    int fd;
    struct lease *control, *worker;
};

static int map_both(void **state)
{
    static struct both b;
    struct err err;
    if (lease_create(2, &b.fd, &err) < 0 || lease_map(b.fd, LEASE_WRITE, &b.control, &err) < 0 ||
        lease_map(b.fd, LEASE_READ, &b.worker, &err) < 0)
        return -1;
    *state = &b;
    return 0;
}

static int unmap_both(void **state)
{
    struct both *b = *state;
    lease_unmap(b->control);
    lease_unmap(b->worker);
    fd_close(&b->fd);
    return 0;
}

static void a_new_mapping_has_no_leases(void **state)
{
    struct both *b = *state;
    for (unsigned i = 0; i < LEASE_SLOTS; i++) {
        assert_false(lease_valid(b->worker, i, 0));
        assert_int_equal(lease_state_of(b->worker, i), LEASE_UNKNOWN);
    }
}

static void a_lease_is_seen_in_another_mapping_until_its_time(void **state)
{
    struct both *b = *state;
    lease_publish(b->control, 1, 1000, LEASE_GOOD);
    assert_true(lease_valid(b->worker, 1, 999));
    assert_false(lease_valid(b->worker, 1, 1000));
    assert_false(lease_valid(b->worker, 0, 1));
    assert_int_equal(lease_state_of(b->worker, 1), LEASE_GOOD);
    lease_publish(b->control, 1, 0, LEASE_FAULTS);
    assert_false(lease_valid(b->worker, 1, 1));
    assert_int_equal(lease_state_of(b->worker, 1), LEASE_FAULTS);
}

static void an_index_past_the_mapping_has_no_lease(void **state)
{
    struct both *b = *state;
    lease_publish(b->control, LEASE_SLOTS, INT64_MAX, LEASE_GOOD);
    assert_false(lease_valid(b->worker, LEASE_SLOTS, 0));
    assert_false(lease_valid(b->worker, UINT32_MAX, 0));
    assert_int_equal(lease_state_of(b->worker, LEASE_SLOTS), LEASE_UNKNOWN);
}

static void too_many_databases_are_refused(void **state)
{
    struct err err;
    int fd = -1;
    (void)state;
    assert_int_equal(lease_create(LEASE_SLOTS + 1, &fd, &err), -RF_ECONFIG);
    assert_int_equal(fd, -1);
}

static void every_state_has_its_own_sentence(void **state)
{
    (void)state;
    for (int a = 0; a < LEASE_STATE_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(lease_state_text((enum lease_state)a),
                                    lease_state_text((enum lease_state)b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_mapping_has_no_leases, map_both, unmap_both),
        cmocka_unit_test_setup_teardown(a_lease_is_seen_in_another_mapping_until_its_time, map_both,
                                        unmap_both),
        cmocka_unit_test_setup_teardown(an_index_past_the_mapping_has_no_lease, map_both,
                                        unmap_both),
        cmocka_unit_test(too_many_databases_are_refused),
        cmocka_unit_test(every_state_has_its_own_sentence),
    };
    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
