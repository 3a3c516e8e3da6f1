#include "enforce/role.h"

#include <stdio.h>
#include <string.h>

const char *role_of_person(char out[ROLE_NAME_SIZE], const char *actor, enum room room)
{
    (void)snprintf(out, ROLE_NAME_SIZE, "%s.%s", actor, policy_room_name(room));
    return out;
}

bool role_person_needs(const struct policy *p, const struct policy_region *region,
                       const struct policy_actor *actor, enum room room)
{
    if (actor->kind != ACTOR_PERSON || actor->suspended)
        return false;
    if (room != ROOM_MASKED && room != ROOM_STATS)
        return false;
    return room == p->room_abroad || (room == p->room_home && policy_is_home(region, actor->place));
}

const struct policy_service_access *role_service_access(const struct policy_actor *actor,
                                                        const struct policy_region *region)
{
    if (actor->kind != ACTOR_SERVICE || actor->suspended)
        return NULL;
    for (size_t i = 0; i < actor->access_count; i++)
        if (actor->access[i].region == region)
            return &actor->access[i];
    return NULL;
}

bool role_name_is_free(const char *name)
{
    return strncmp(name, "rf_", 3) != 0 && strncmp(name, "pg_", 3) != 0 &&
           strcmp(name, "public") != 0 && strcmp(name, "none") != 0;
}
