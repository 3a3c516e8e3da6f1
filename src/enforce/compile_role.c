/* Roles, their groups and their settings.
 *
 * A person has one login a room, NAME.masked and NAME.stats, never one for both: what a session may
 * read is decided when it is opened, by its place, and nothing that it runs can change it
 * (`SET ROLE` reaches only the room's own group). The logins have no password; pg_hba maps the
 * gateway's client certificate to them and to nobody else. The room at home also reads the
 * statistics, by a right of its group and not by membership, so that every login stays in exactly
 * one room's group. */
#include <string.h>

#include "enforce/compiler.h"

enum { PERSON_CONNECTIONS = 20, CONTROL_CONNECTIONS = 10 };

static const char *keep(struct compiler *k, const char *text)
{
    return arena_strndup(&k->script->arena, text, strlen(text));
}

static const struct wanted_role *wanted_find(const struct compiler *k, const char *name)
{
    for (size_t i = 0; i < k->role_count; i++)
        if (strcmp(k->roles[i].name, name) == 0)
            return &k->roles[i];
    return NULL;
}

static bool is_member(const struct catalog *c, const char *member, const char *group)
{
    for (size_t i = 0; i < c->member_count; i++)
        if (strcmp(c->members[i].member, member) == 0 && strcmp(c->members[i].group, group) == 0)
            return true;
    return false;
}

static int want(struct compiler *k, struct wanted_role role)
{
    if (role.name == NULL)
        return err_set(k->err, RF_ENOMEM, "out of memory while compiling roles");
    if (strlen(role.name) > SQL_NAME_MAX)
        return err_set(k->err, RF_ECONFIG, "role name \"%.100s\" is longer than %d bytes",
                       role.name, (int)SQL_NAME_MAX);
    if (wanted_find(k, role.name) != NULL)
        return err_set(k->err, RF_ECONFIG, "two actors would share the role \"%s\"", role.name);
    if (k->role_count == k->role_cap) {
        size_t cap = k->role_cap > 0 ? k->role_cap * 2 : 32;
        struct wanted_role *more = arena_alloc(&k->script->arena, cap, sizeof(*more));
        if (more == NULL)
            return err_set(k->err, RF_ENOMEM, "out of memory while compiling roles");
        if (k->role_count > 0)
            memcpy(more, k->roles, k->role_count * sizeof(*more));
        k->roles = more;
        k->role_cap = cap;
    }
    k->roles[k->role_count++] = role;
    return 0;
}

/* An owner has every right on what he owns, and so has everybody in his group: no grant tells. */
static int check_owns_nothing(struct compiler *k, const char *name)
{
    const struct catalog_role *there = catalog_role_find(k->catalog, name);
    if (there == NULL || there->owns == NULL)
        return 0;
    int rc = err_set(k->err, RF_EDATABASE, "role \"%s\" owns %s: an actor must own nothing", name,
                     there->owns);
    err_hint(k->err, "give it to another role: REASSIGN OWNED BY … TO …");
    return rc;
}

/* An actor's role that is already there must be one that we may set right. */
static int check_actor_role(struct compiler *k, const char *name)
{
    const struct catalog_role *there = catalog_role_find(k->catalog, name);
    if (!role_name_is_free(name))
        return err_set(k->err, RF_ECONFIG, "an actor cannot be called \"%s\": the name is reserved",
                       name);
    if (there != NULL && there->is_super)
        return err_set(k->err, RF_ECONFIG, "actor's role \"%s\" is a superuser of this database",
                       name);
    return check_owns_nothing(k, name);
}

static int want_person(struct compiler *k, const struct policy_actor *actor)
{
    static const struct {
        enum room room;
        const char *group;
    } rooms[] = { { ROOM_MASKED, ROLE_NAME_MASKED }, { ROOM_STATS, ROLE_NAME_STATS } };
    for (size_t i = 0; i < RF_COUNT(rooms); i++) {
        char name[ROLE_NAME_SIZE];
        if (!role_person_needs(k->policy, k->region, actor, rooms[i].room))
            continue;
        int rc = check_actor_role(k, role_of_person(name, actor->name, rooms[i].room));
        const char *room = policy_room_name(rooms[i].room);
        if (rc == 0)
            rc = want(k, (struct wanted_role){ .name = keep(k, name),
                                               .kind = WANTED_PERSON,
                                               .groups = { ROLE_NAME_PERSON, rooms[i].group },
                                               .path_sql = room,
                                               .path_stored = room });
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool service_reads(const struct policy_service_access *access, const struct policy_table *t)
{
    if (access->all_tables != TABLE_NONE)
        return true;
    for (size_t i = 0; i < access->table_count; i++)
        if (strcmp(access->tables[i].schema, t->schema) == 0 &&
            strcmp(access->tables[i].table, t->name) == 0)
            return access->tables[i].access != TABLE_NONE;
    return false;
}

static bool is_first_of_schema(const struct policy *p, const struct policy_service_access *access,
                               size_t table)
{
    for (size_t i = 0; i < table; i++)
        if (strcmp(p->tables[i].schema, p->tables[table].schema) == 0 &&
            service_reads(access, &p->tables[i]))
            return false;
    return true;
}

/* The schemas of a service's tables, in the policy's order, as SQL and as the server stores it. */
static int service_path(struct compiler *k, const struct policy_service_access *access,
                        struct wanted_role *role)
{
    struct sql stored;
    const char *text = NULL;
    const char *comma = "";
    sql_init(&stored);
    for (size_t i = 0; i < k->policy->table_count; i++) {
        const struct policy_table *t = &k->policy->tables[i];
        if (!service_reads(access, t) || !is_first_of_schema(k->policy, access, i))
            continue;
        sql_add(&k->sql, "%S%I", comma, t->schema);
        sql_add(&stored, "%S%S", comma, k->catalog->tables[i].schema_quoted);
        comma = ", ";
    }
    if (comma[0] == '\0') {
        sql_add(&k->sql, "pg_catalog");
        sql_add(&stored, "pg_catalog");
    }
    int rc = sql_text(&k->sql, &text, k->err);
    if (rc == 0 && (role->path_sql = keep(k, text)) == NULL)
        rc = err_set(k->err, RF_ENOMEM, "out of memory while compiling roles");
    sql_done(&k->sql);
    sql_init(&k->sql);
    if (rc == 0)
        rc = sql_text(&stored, &text, k->err);
    if (rc == 0 && (role->path_stored = keep(k, text)) == NULL)
        rc = err_set(k->err, RF_ENOMEM, "out of memory while compiling roles");
    sql_done(&stored);
    return rc;
}

static int want_service(struct compiler *k, const struct policy_actor *actor)
{
    const struct policy_service_access *access = role_service_access(actor, k->region);
    if (access == NULL)
        return 0;
    struct wanted_role role = { .name = keep(k, actor->name),
                                .kind = WANTED_SERVICE,
                                .groups = { ROLE_NAME_SERVICE, NULL } };
    int rc = check_actor_role(k, actor->name);
    if (rc == 0)
        rc = service_path(k, access, &role);
    return rc == 0 ? want(k, role) : rc;
}

int compile_role_list(struct compiler *k)
{
    static const struct wanted_role ours[] = {
        { .name = ROLE_NAME_FUNCTION, .kind = WANTED_GROUP }, /* first: others are put into it */
        /* states of other sessions, for the functions that it owns */
        { .name = ROLE_NAME_OWNER,
          .kind = WANTED_GROUP,
          .groups = { "pg_read_all_stats", ROLE_NAME_FUNCTION } },
        { .name = ROLE_NAME_VIEW, .kind = WANTED_GROUP, .groups = { ROLE_NAME_FUNCTION, NULL } },
        /* makes the roles of grants and ends their sessions: by its functions alone */
        { .name = ROLE_NAME_ADMIN,
          .kind = WANTED_ADMIN,
          .groups = { "pg_signal_backend", ROLE_NAME_FUNCTION } },
        { .name = ROLE_NAME_MASKED, .kind = WANTED_GROUP },
        { .name = ROLE_NAME_GRANTED, .kind = WANTED_GROUP },
        { .name = ROLE_NAME_STATS, .kind = WANTED_GROUP },
        { .name = ROLE_NAME_PERSON, .kind = WANTED_GROUP },
        { .name = ROLE_NAME_SERVICE, .kind = WANTED_GROUP, .groups = { ROLE_NAME_FUNCTION, NULL } },
        { .name = ROLE_NAME_EVERYBODY,
          .kind = WANTED_GROUP,
          .groups = { ROLE_NAME_FUNCTION, NULL } },
        { .name = ROLE_NAME_CONTROL,
          .kind = WANTED_CONTROL,
          .groups = { ROLE_NAME_FUNCTION, NULL },
          .path_sql = "pg_catalog",
          .path_stored = "pg_catalog" },
        { .name = ROLE_NAME_REGISTRAR,
          .kind = WANTED_CONTROL,
          .groups = { ROLE_NAME_FUNCTION, NULL },
          .path_sql = "pg_catalog",
          .path_stored = "pg_catalog" },
        { .name = ROLE_NAME_HERALD,
          .kind = WANTED_CONTROL,
          .groups = { ROLE_NAME_FUNCTION, NULL },
          .path_sql = "pg_catalog",
          .path_stored = "pg_catalog" },
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(ours) && rc == 0; i++) {
        bool is_owner = strcmp(ours[i].name, ROLE_NAME_OWNER) == 0 ||
                        strcmp(ours[i].name, ROLE_NAME_VIEW) == 0 || ours[i].kind == WANTED_ADMIN;
        rc = is_owner ? 0 : check_owns_nothing(k, ours[i].name);
        if (rc == 0)
            rc = want(k, ours[i]);
    }
    for (size_t i = 0; i < k->policy->actor_count && rc == 0; i++) {
        const struct policy_actor *actor = &k->policy->actors[i];
        rc = actor->kind == ACTOR_SERVICE ? want_service(k, actor) : want_person(k, actor);
    }
    return rc;
}

static int64_t connection_limit(const struct wanted_role *role)
{
    return role->kind == WANTED_PERSON    ? PERSON_CONNECTIONS
           : role->kind == WANTED_CONTROL ? CONTROL_CONNECTIONS
                                          : -1;
}

static bool is_login(const struct wanted_role *role)
{
    return role->kind != WANTED_GROUP && role->kind != WANTED_ADMIN;
}

static bool is_right(const struct wanted_role *wanted, const struct catalog_role *there)
{
    if (there->can_login != is_login(wanted) || !there->inherits || there->has_power ||
        there->makes_roles != (wanted->kind == WANTED_ADMIN))
        return false;
    if (wanted->kind == WANTED_SERVICE) /* its password and number of connections are the DBA's */
        return true;
    return !there->has_password && there->connection_limit == connection_limit(wanted);
}

static int compile_role(struct compiler *k, const struct wanted_role *wanted)
{
    const struct catalog_role *there = catalog_role_find(k->catalog, wanted->name);
    if (there != NULL && is_right(wanted, there))
        return 0;
    sql_add(&k->sql,
            "%S ROLE %I WITH %S INHERIT NOSUPERUSER NOCREATEDB %S NOREPLICATION NOBYPASSRLS",
            there != NULL ? "ALTER" : "CREATE", wanted->name,
            is_login(wanted) ? "LOGIN" : "NOLOGIN",
            wanted->kind == WANTED_ADMIN ? "CREATEROLE" : "NOCREATEROLE");
    if (wanted->kind != WANTED_SERVICE)
        sql_add(&k->sql, " CONNECTION LIMIT %D PASSWORD NULL", connection_limit(wanted));
    return script_add(k->script, there != NULL ? STEP_GUARD : STEP_ROLE, &k->sql, k->err,
                      "role \"%s\"", wanted->name);
}

static bool is_wanted_member(const struct compiler *k, const struct catalog_member *m)
{
    const struct wanted_role *role = wanted_find(k, m->member);
    for (size_t i = 0; role != NULL && i < RF_COUNT(role->groups); i++)
        if (role->groups[i] != NULL && strcmp(role->groups[i], m->group) == 0)
            return true;
    return false;
}

static bool ends_in_room(const char *name)
{
    size_t len = strlen(name);
    static const char *const rooms[] = { ".masked", ".stats" };
    for (size_t i = 0; i < RF_COUNT(rooms); i++)
        if (len > strlen(rooms[i]) && strcmp(name + len - strlen(rooms[i]), rooms[i]) == 0)
            return true;
    return false;
}

/* The login of a person whom the policy no longer lets in, in a group that every such login has.
   The gateway opens no session for it whatever the database says, so it is a leftover and no
   breach: a suspension must not shut everybody else out until somebody has run apply. */
static bool is_leftover(const struct compiler *k, const struct catalog_member *m)
{
    return wanted_find(k, m->member) == NULL && ends_in_room(m->member) &&
           is_member(k->catalog, m->member, ROLE_NAME_PERSON) &&
           (strcmp(m->group, ROLE_NAME_PERSON) == 0 || strcmp(m->group, ROLE_NAME_MASKED) == 0 ||
            strcmp(m->group, ROLE_NAME_STATS) == 0);
}

/* A role that the policy does not know, in the group of all such roles. */
static bool is_somebody_else(const struct compiler *k, const struct catalog_member *m)
{
    return strcmp(m->group, ROLE_NAME_EVERYBODY) == 0 && wanted_find(k, m->member) == NULL &&
           !is_member(k->catalog, m->member, ROLE_NAME_PERSON) &&
           !is_member(k->catalog, m->member, ROLE_NAME_SERVICE);
}

static int compile_members(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->member_count && rc == 0; i++) {
        const struct catalog_member *m = &k->catalog->members[i];
        if (is_wanted_member(k, m) || is_somebody_else(k, m))
            continue;
        sql_add(&k->sql, "REVOKE %I FROM %I", m->group, m->member);
        rc = script_add(k->script, is_leftover(k, m) ? STEP_ROLE : STEP_GUARD, &k->sql, k->err,
                        "role \"%s\" is in group \"%s\": too much", m->member, m->group);
    }
    for (size_t i = 0; i < k->role_count * 2 && rc == 0; i++) {
        const struct wanted_role *role = &k->roles[i / 2];
        const char *group = role->groups[i % 2];
        if (group == NULL || is_member(k->catalog, role->name, group))
            continue;
        sql_add(&k->sql, "GRANT %I TO %I", group, role->name);
        rc = script_add(k->script, STEP_ROLE, &k->sql, k->err, "role \"%s\" in group \"%s\"",
                        role->name, group);
    }
    return rc;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What every login of a person is set to. Read-only: they could not write anyway, and are told so.
   Without jit: it pays where a statement is as large as the planner thinks, and about masks the
   planner knows nothing: it takes a join for a thousand times as many rows, and spends a quarter of
   a second on compiling it. */
static const struct {
    const char *start, *value, *what;
} person_settings[] = {
    { "default_transaction_read_only=", "on", "read-only" },
    { "jit=", "off", "not compiling" },
};

/* Whether TEXT ("name=value") is what the policy wants for ROLE. */
static bool is_wanted_setting(const struct wanted_role *role, const struct catalog_setting *there)
{
    static const char path[] = "search_path=";
    if (there->in_database)
        return false;
    if (starts_with(there->text, path))
        return role->path_stored != NULL &&
               strcmp(there->text + strlen(path), role->path_stored) == 0;
    for (size_t i = 0; i < RF_COUNT(person_settings); i++)
        if (starts_with(there->text, person_settings[i].start))
            return role->kind == WANTED_PERSON &&
                   strcmp(there->text + strlen(person_settings[i].start),
                          person_settings[i].value) == 0;
    return false;
}

static bool has_setting(const struct compiler *k, const struct wanted_role *role, const char *start)
{
    for (size_t i = 0; i < k->catalog->setting_count; i++) {
        const struct catalog_setting *there = &k->catalog->settings[i];
        if (strcmp(there->role, role->name) == 0 && starts_with(there->text, start) &&
            is_wanted_setting(role, there))
            return true;
    }
    return false;
}

/* Settings that nobody of ours made: a service keeps them, except where names would be found. */
static int reset_settings(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->setting_count && rc == 0; i++) {
        const struct catalog_setting *there = &k->catalog->settings[i];
        const struct wanted_role *role = wanted_find(k, there->role);
        const char *equals = strchr(there->text, '=');
        if (role == NULL || equals == NULL || is_wanted_setting(role, there))
            continue;
        if (role->kind == WANTED_SERVICE && !starts_with(there->text, "search_path="))
            continue;
        char *name = arena_strndup(&k->script->arena, there->text, (size_t)(equals - there->text));
        if (name == NULL)
            return err_set(k->err, RF_ENOMEM, "out of memory while compiling settings");
        sql_add(&k->sql, "ALTER ROLE %I", role->name);
        if (there->in_database)
            sql_add(&k->sql, " IN DATABASE %I", k->catalog->database);
        sql_add(&k->sql, " RESET %I", name);
        /* a service may set its own at any time: that must not shut persons out */
        rc = script_add(k->script, role->kind == WANTED_SERVICE ? STEP_ROLE : STEP_GUARD, &k->sql,
                        k->err, "setting %s of role \"%s\": too much", name, role->name);
    }
    return rc;
}

static int compile_settings(struct compiler *k)
{
    int rc = reset_settings(k);
    for (size_t i = 0; i < k->role_count && rc == 0; i++) {
        const struct wanted_role *role = &k->roles[i];
        if (role->path_sql != NULL && !has_setting(k, role, "search_path=")) {
            sql_add(&k->sql, "ALTER ROLE %I SET search_path = %S", role->name, role->path_sql);
            rc = script_add(k->script, STEP_ROLE, &k->sql, k->err, "search path of role \"%s\"",
                            role->name);
        }
        for (size_t n = 0; n < RF_COUNT(person_settings) && rc == 0; n++) {
            if (role->kind != WANTED_PERSON || has_setting(k, role, person_settings[n].start))
                continue;
            sql_add(&k->sql, "ALTER ROLE %I SET %S%S", role->name, person_settings[n].start,
                    person_settings[n].value);
            rc = script_add(k->script, STEP_ROLE, &k->sql, k->err, "%s role \"%s\"",
                            person_settings[n].what, role->name);
        }
    }
    return rc;
}

int compile_roles(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->role_count && rc == 0; i++)
        rc = compile_role(k, &k->roles[i]);
    if (rc == 0)
        rc = compile_members(k);
    return rc == 0 ? compile_settings(k) : rc;
}

/* A person's login goes; a service's stays, because it may own or be known elsewhere, but nobody
   can log in as it. Their rights and groups were taken before. */
int compile_retired(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->role_count && rc == 0; i++) {
        const struct catalog_role *there = &k->catalog->roles[i];
        if (wanted_find(k, there->name) != NULL || there->is_super)
            continue;
        if (is_member(k->catalog, there->name, ROLE_NAME_PERSON) && ends_in_room(there->name)) {
            sql_add(&k->sql, "DROP ROLE %I", there->name);
            rc = script_add(k->script, STEP_ROLE, &k->sql, k->err,
                            "role \"%s\": no longer in the policy", there->name);
        } else if (is_member(k->catalog, there->name, ROLE_NAME_SERVICE) && there->can_login) {
            sql_add(&k->sql, "ALTER ROLE %I NOLOGIN", there->name);
            rc = script_add(k->script, STEP_ROLE, &k->sql, k->err,
                            "role \"%s\": no longer in the policy", there->name);
        }
    }
    return rc;
}
