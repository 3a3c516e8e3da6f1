/* fuzz_tlog_trust.c - any bytes as a policy file: refused, or a quorum that all witnesses reach,
 * none do not, and one more never spoils. */
#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "tlog/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_members(const struct trust *t)
{
    bool grouped[2 * TRUST_MAX] = { false };
    for (unsigned i = 0; i < t->group_count; i++) {
        const struct trust_group *g = &t->groups[i];
        RF_ASSERT(g->needed >= 1 && g->needed <= g->member_count);
        for (unsigned k = 0; k < g->member_count; k++) {
            unsigned member = g->members[k];
            RF_ASSERT(member < TRUST_MAX ? member < t->witness_count : member < TRUST_MAX + i);
            RF_ASSERT(!grouped[member]);
            grouped[member] = true;
        }
    }
    RF_ASSERT(t->quorum < TRUST_MAX ? t->quorum < (int)t->witness_count
                                    : t->quorum < (int)(TRUST_MAX + t->group_count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trust trust;
    bool have[TRUST_MAX] = { false };
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    if (trust_read((const char *)data, size, &trust, &err) < 0)
        return 0;
    RF_ASSERT(trust.log_count <= TRUST_MAX && trust.witness_count <= TRUST_MAX);
    RF_ASSERT(trust.group_count <= TRUST_MAX);
    check_members(&trust);
    bool met = trust_is_met(&trust, have);
    RF_ASSERT(met == (trust.quorum < 0));
    for (unsigned i = 0; i < TRUST_MAX; i++) {
        have[i] = true;
        bool now = trust_is_met(&trust, have);
        RF_ASSERT(now || !met);
        met = now;
    }
    RF_ASSERT(met);
    return 0;
}
