/* fuzz_policy.c - any bytes as a policy file: a whole policy, or mistakes, and nothing in between.
 *
 * What was accepted is then used: a session is decided, names are looked up. */
#include <stdint.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/mistakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct policy *p)
{
    for (size_t i = 0; i < p->actor_count; i++) {
        for (size_t j = 0; j < p->region_count; j++) {
            struct decide_facts facts = {
                .actor = policy_actor_find(p, p->actors[i].name),
                .region = policy_region_find(p, p->regions[j].name),
                .gateway_place = p->regions[j].place,
                .network = p->network_count > 0 ? &p->networks[0] : NULL,
                .listener = p->listener_count > 0 ? &p->listeners[0] : NULL,
                .has_client_address = p->network_count > 0,
            };
            struct decision d = decide_session(p, &facts);
            RF_ASSERT(facts.actor == &p->actors[i] && facts.region == &p->regions[j]);
            RF_ASSERT(d.room != ROOM_CLEAR || facts.actor->kind == ACTOR_SERVICE);
            RF_ASSERT((d.room == ROOM_NONE) == (d.verdict != VERDICT_ALLOW));
        }
    }
    for (size_t i = 0; i < p->table_count; i++) {
        const struct policy_table *t = &p->tables[i];
        RF_ASSERT(policy_table_find(p, t->schema, t->name) != NULL);
        for (size_t j = 0; j < t->column_count; j++)
            RF_ASSERT(
                t->columns[j].mask != MASK_UNSET && t->columns[j].class_id != CLASS_UNSET &&
                (t->columns[j].mask != MASK_CLEAR || t->columns[j].class_id == CLASS_NOTHING));
    }
    for (size_t i = 0; i < p->statistic_count; i++)
        RF_ASSERT(p->statistics[i].table != NULL && p->statistics[i].minimum >= 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mistakes mistakes;
    struct policy *policy = NULL;
    mistakes_init(&mistakes);
    int rc = policy_parse("fuzz", (const char *)data, size, &policy, &mistakes);
    RF_ASSERT((rc == 0) == (policy != NULL) && (rc == 0) == !mistakes_any(&mistakes));
    if (policy != NULL)
        use(policy);
    policy_free(policy);
    mistakes_done(&mistakes);
    return 0;
}
