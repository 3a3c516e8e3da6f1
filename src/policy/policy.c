#include "policy/policy.h"

#include <string.h>

enum { V4_PREFIX_LEN = 96 }; /* of ::ffff:0.0.0.0, behind which IPv4 is held */

static bool is(const char *one, const char *other)
{
    return one != NULL && other != NULL && strcmp(one, other) == 0;
}

const struct policy_actor *policy_actor_find(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->actor_count; i++)
        if (is(p->actors[i].name, name))
            return &p->actors[i];
    return NULL;
}

bool policy_has_purpose(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->purpose_count; i++)
        if (is(p->purposes[i], name))
            return true;
    return false;
}

const struct policy_actor *policy_actor_by_cn(const struct policy *p, const char *cn)
{
    for (size_t i = 0; i < p->actor_count; i++)
        if (is(p->actors[i].certificate_cn, cn))
            return &p->actors[i];
    return NULL;
}

const struct policy_region *policy_region_find(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->region_count; i++)
        if (is(p->regions[i].name, name))
            return &p->regions[i];
    return NULL;
}

const struct policy_table *policy_table_find(const struct policy *p, const char *schema,
                                             const char *name)
{
    for (size_t i = 0; i < p->table_count; i++)
        if (is(p->tables[i].schema, schema) && is(p->tables[i].name, name))
            return &p->tables[i];
    return NULL;
}

bool policy_is_home(const struct policy_region *region, struct place place)
{
    if (region == NULL || region->home == NULL || place.code[0] == '\0')
        return false;
    for (size_t i = 0; i < region->home->country_count; i++)
        if (memcmp(region->home->countries[i].code, place.code, sizeof(place.code)) == 0)
            return true;
    return false;
}

static bool range_holds(const struct policy_range *range, const struct in6_addr *address)
{
    unsigned whole = range->prefix_len / 8, bits = range->prefix_len % 8;
    /* ::/0 and its like speak of IPv6: how IPv4 is held here is no reason to hold it, too */
    if (range->prefix_len < V4_PREFIX_LEN && IN6_IS_ADDR_V4MAPPED(address))
        return false;
    if (memcmp(&range->address, address, whole) != 0)
        return false;
    unsigned differ = bits == 0 ? 0U : range->address.s6_addr[whole] ^ address->s6_addr[whole];
    return (differ & (0xff00U >> bits) & 0xffU) == 0;
}

const struct policy_network *policy_network_of(const struct policy_network *list, size_t count,
                                               const struct in6_addr *address)
{
    const struct policy_network *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (range_holds(&list[i].range, address) &&
            (best == NULL || list[i].range.prefix_len > best->range.prefix_len))
            best = &list[i];
    return best;
}

const char *policy_room_name(enum room room)
{
    static const char *const names[ROOM_COUNT] = { "none", "stats", "masked", "granted", "clear" };
    return (unsigned)room < ROOM_COUNT ? names[room] : "none";
}

const char *policy_class_name(enum class_id class_id)
{
    static const char *const names[CLASS_COUNT] = { "unset",    "none",     "identity", "contact",
                                                    "location", "activity", "graph",    "content",
                                                    "payment",  "child" };
    return (unsigned)class_id < CLASS_COUNT ? names[class_id] : "unset";
}

const char *policy_mask_name(enum mask_id mask)
{
    static const char *const names[MASK_COUNT] = { "unset",    "clear",     "pseudonym", "redact",
                                                   "day",      "year",      "coarse",    "null",
                                                   "absent",   "month",     "partial",   "network",
                                                   "constant", "expression" };
    return (unsigned)mask < MASK_COUNT ? names[mask] : "unset";
}
