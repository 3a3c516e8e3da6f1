#include "policy/policy_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/arena.h"
#include "policy/field.h"
#include "policy/mistakes.h"
#include "policy/policy_consents.h"
#include "policy/policy_ingest.h"

/* -- names -- */

/* The names of COUNT objects of SIZE bytes whose first member is the name. */
static void resolve_named(struct field_reader *r, int target, const char *what, const void *objects,
                          size_t count, size_t size)
{
    const char **names = arena_alloc(r->scratch, count + 1, sizeof(*names));
    if (names == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(&names[i], (const char *)objects + i * size, sizeof(names[i]));
    field_resolve(r, target, what, names, count, objects, size);
}

static void resolve_tables(struct field_reader *r, const struct policy *p)
{
    const char **names = arena_alloc(r->scratch, p->table_count + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < p->table_count; i++) {
        names[i] = arena_printf(r->scratch, "%s.%s", p->tables[i].schema, p->tables[i].name);
        if (names[i] == NULL)
            names = NULL;
    }
    if (names == NULL) {
        r->no_memory = true;
        return;
    }
    field_resolve(r, TARGET_TABLE, "a table", names, p->table_count, p->tables, sizeof(*p->tables));
}

/* Purposes and departments are only names: those who name them keep the name. */
static void resolve_words(struct field_reader *r, const struct policy *p)
{
    const char **names =
        arena_alloc(r->scratch, p->purpose_count + p->actor_count + 1, sizeof(*names));
    size_t count = 0;
    if (names == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < p->purpose_count; i++)
        if (p->purposes[i] != NULL)
            names[count++] = p->purposes[i];
    field_resolve(r, TARGET_PURPOSE, "a purpose", names, count, NULL, 0);
    count = 0;
    for (size_t i = 0; i < p->actor_count; i++)
        if (p->actors[i].department != NULL)
            names[count++] = p->actors[i].department;
    field_resolve(r, TARGET_DEPARTMENT, "a person's department", names, count, NULL, 0);
}

static void resolve(struct field_reader *r, const struct policy *p)
{
    _Static_assert(offsetof(struct policy_jurisdiction, name) == 0, "resolve_named");
    _Static_assert(offsetof(struct policy_region, name) == 0, "resolve_named");
    _Static_assert(offsetof(struct policy_entity, name) == 0, "resolve_named");
    _Static_assert(offsetof(struct policy_actor, name) == 0, "resolve_named");
    resolve_named(r, TARGET_JURISDICTION, "a jurisdiction", p->jurisdictions, p->jurisdiction_count,
                  sizeof(*p->jurisdictions));
    resolve_named(r, TARGET_REGION, "a region", p->regions, p->region_count, sizeof(*p->regions));
    resolve_named(r, TARGET_ENTITY, "an entity", p->entities, p->entity_count,
                  sizeof(*p->entities));
    resolve_named(r, TARGET_ACTOR, "an actor", p->actors, p->actor_count, sizeof(*p->actors));
    resolve_tables(r, p);
    resolve_words(r, p);
    policy_consents_resolve(r, p);
}

/* -- places -- */

static bool place_in(const struct place *list, size_t count, const char *code)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].code, code) == 0)
            return true;
    return false;
}

static void check_places(struct field_reader *r, const struct place *list, size_t count,
                         const char *what, const char *name)
{
    for (size_t i = 1; i < count; i++)
        if (list[i].code[0] != '\0' && place_in(list, i, list[i].code))
            field_wrong(r, NULL, field_line_of(r, &list[i]), "%s.%s: country %s is listed twice",
                        what, name, list[i].code);
}

static void check_regions(struct field_reader *r, const struct policy *p)
{
    for (size_t i = 0; i < p->jurisdiction_count; i++)
        check_places(r, p->jurisdictions[i].countries, p->jurisdictions[i].country_count,
                     "jurisdictions", p->jurisdictions[i].name);
    for (size_t i = 0; i < p->region_count; i++) {
        const struct policy_region *region = &p->regions[i];
        if (region->home != NULL && region->place.code[0] != '\0' &&
            !policy_is_home(region, region->place))
            field_wrong(r, NULL, field_line_of(r, &region->place),
                        "regions.%s.place: %s is not in jurisdiction \"%s\"", region->name,
                        region->place.code, region->home->name);
    }
}

/* -- listeners and networks -- */

/* Two names for one range would leave the place of a session to the order of the file. */
static void check_networks(struct field_reader *r, const struct policy_network *list, size_t count,
                           const char *what)
{
    for (size_t i = 1; i < count && !r->mistakes->overflowed; i++) {
        for (size_t j = 0; j < i; j++) {
            if (memcmp(&list[i].range, &list[j].range, sizeof(list[i].range)) != 0 ||
                field_line_of(r, &list[i].range) == 0)
                continue;
            field_wrong(r, NULL, field_line_of(r, &list[i].range),
                        "%s.%s: the same range as \"%s\"", what, list[i].name, list[j].name);
            break;
        }
    }
}

/* -- actors -- */

struct indexed {
    const struct policy_actor *actor;
    const char *text;
    size_t index;
};

static int by_text(const void *one, const void *other)
{
    const struct indexed *a = one, *b = other;
    int order = strcmp(a->text, b->text);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Names of actors become names of roles, which the server or apply keep for themselves. */
static bool is_reserved(const char *name)
{
    static const char *const whole[] = { "postgres", "public", "none", "all", "user" };
    for (size_t i = 0; i < RF_COUNT(whole); i++)
        if (strcmp(name, whole[i]) == 0)
            return true;
    return strncmp(name, "pg_", 3) == 0 || strncmp(name, "ringfence", 9) == 0;
}

static void check_service(struct field_reader *r, const struct policy_actor *a, unsigned line)
{
    if (a->access_count == 0)
        field_wrong(r, NULL, line, "actors.%s: a service needs \"regions\"", a->name);
    if (a->department != NULL || a->manager != NULL)
        field_wrong(r, NULL, line, "actors.%s: a service has no department and no manager",
                    a->name);
    for (size_t i = 0; i < a->access_count; i++) {
        const struct policy_service_access *access = &a->access[i];
        check_places(r, access->from, access->from_count, "actors", a->name);
        if (access->from_count > 0 && a->place.code[0] != '\0' &&
            !place_in(access->from, access->from_count, a->place.code))
            field_wrong(r, NULL, field_line_of(r, access),
                        "actors.%s: it could never connect: its own place %s is not among \"from\"",
                        a->name, a->place.code);
    }
}

static void check_person(struct field_reader *r, const struct policy *p,
                         const struct policy_actor *a, unsigned line)
{
    if (a->access_count > 0)
        field_wrong(r, NULL, line,
                    "actors.%s: a person has no \"regions\"; rooms follow from places", a->name);
    if (a->manager == NULL)
        return;
    const struct policy_actor *manager = policy_actor_find(p, a->manager);
    if (manager != NULL && manager->kind == ACTOR_SERVICE)
        field_wrong(r, NULL, field_line_of(r, &a->manager),
                    "actors.%s.manager: \"%s\" is a service", a->name, a->manager);
}

static void check_actor(struct field_reader *r, const struct policy *p,
                        const struct policy_actor *a)
{
    unsigned line = field_line_of(r, a);
    if (is_reserved(a->name))
        field_wrong(r, NULL, line, "actors.%s: this name is reserved", a->name);
    for (const char *at = a->name; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            /* SQL folds what is not quoted: App_us and app_us would be mixed up by hand. */
            field_wrong(r, NULL, line, "actors.%s: names of actors are lower case", a->name);
            break;
        }
    }
    if (a->kind == ACTOR_SERVICE)
        check_service(r, a, line);
    else if (a->kind == ACTOR_PERSON)
        check_person(r, p, a, line);
}

static void check_certificates(struct field_reader *r, const struct policy *p,
                               struct indexed *sorted)
{
    size_t count = 0;
    for (size_t i = 0; i < p->actor_count; i++)
        if (p->actors[i].certificate_cn != NULL)
            sorted[count++] = (struct indexed){ &p->actors[i], p->actors[i].certificate_cn, i };
    qsort(sorted, count, sizeof(*sorted), by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1].text, sorted[i].text) == 0)
            field_wrong(r, NULL, field_line_of(r, &sorted[i].actor->certificate_cn),
                        "actors.%s.certificate: also the certificate of \"%s\"",
                        sorted[i].actor->name, sorted[i - 1].actor->name);
}

static void find_superiors(const struct policy *p, struct indexed *sorted)
{
    for (size_t i = 0; i < p->actor_count; i++)
        sorted[i] = (struct indexed){ &p->actors[i], p->actors[i].name, 0 };
    qsort(sorted, p->actor_count, sizeof(*sorted), by_text);
    for (size_t i = 0; i < p->actor_count; i++) {
        struct policy_actor *a = &p->actors[i];
        struct indexed key = { NULL, a->manager, 0 };
        const struct indexed *found =
            a->manager == NULL ? NULL
                               : bsearch(&key, sorted, p->actor_count, sizeof(*sorted), by_text);
        a->superior = found != NULL ? found->actor : NULL;
    }
}

/* Each chain is walked until it ends or meets an actor of an earlier walk, so that all walks
   together are linear. STAMPS: which walk came by, zero none. */
static void check_managers(struct field_reader *r, const struct policy *p, size_t *stamps)
{
    for (size_t walk = 1; walk <= p->actor_count; walk++) {
        const struct policy_actor *a = &p->actors[walk - 1];
        while (a != NULL && stamps[a - p->actors] == 0) {
            stamps[a - p->actors] = walk;
            a = a->superior;
        }
        if (a != NULL && stamps[a - p->actors] == walk)
            field_wrong(r, NULL, field_line_of(r, &a->manager),
                        "actors.%s.manager: the chain of managers comes back to \"%s\"", a->name,
                        a->name);
    }
}

static void check_actors(struct field_reader *r, const struct policy *p)
{
    struct indexed *sorted = mem_zalloc(p->actor_count + 1, sizeof(*sorted));
    size_t *stamps = mem_zalloc(p->actor_count + 1, sizeof(*stamps));
    if (sorted == NULL || stamps == NULL) {
        r->no_memory = true;
    } else {
        for (size_t i = 0; i < p->actor_count && !r->mistakes->overflowed; i++)
            check_actor(r, p, &p->actors[i]);
        check_certificates(r, p, sorted);
        find_superiors(p, sorted);
        check_managers(r, p, stamps);
    }
    mem_free(sorted);
    mem_free(stamps);
}

static void check_purposes(struct field_reader *r, const struct policy *p)
{
    for (size_t i = 1; i < p->purpose_count; i++)
        for (size_t j = 0; j < i && p->purposes[i] != NULL; j++)
            if (p->purposes[j] != NULL && strcmp(p->purposes[i], p->purposes[j]) == 0)
                field_wrong(r, NULL, field_line_of(r, &p->purposes[i]),
                            "purposes: \"%s\" is listed twice", p->purposes[i]);
}

void policy_check(struct field_reader *r, struct policy *p)
{
    resolve(r, p);
    if (r->no_memory)
        return;
    check_regions(r, p);
    check_networks(r, p->listeners, p->listener_count, "listeners");
    check_networks(r, p->networks, p->network_count, "networks");
    check_purposes(r, p);
    check_actors(r, p);
    policy_check_tables(r, p);
    policy_check_ingest(r, p);
}
