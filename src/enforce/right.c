#include "enforce/right.h"

#include <string.h>

void right_set_init(struct right_set *set)
{
    *set = (struct right_set){ 0 };
    arena_init(&set->arena);
}

void right_set_done(struct right_set *set)
{
    arena_done(&set->arena);
    *set = (struct right_set){ 0 };
}

static bool has_room(struct right_set *set)
{
    if (set->count < set->cap)
        return true;
    size_t cap = set->cap > 0 ? set->cap * 2 : 128;
    struct right *more = arena_alloc(&set->arena, cap, sizeof(*more));
    if (more == NULL)
        return false;
    if (set->count > 0)
        memcpy(more, set->rights, set->count * sizeof(*more));
    set->rights = more;
    set->cap = cap;
    return true;
}

void right_set_add_quoted(struct right_set *set, const char *grantee, const char *privilege,
                          const char *object)
{
    struct right right = {
        .grantee = arena_strndup(&set->arena, grantee, strlen(grantee)),
        .object = arena_strndup(&set->arena, object, strlen(object)),
        .privilege = privilege, /* always a constant of the caller's */
    };
    if (right.grantee == NULL || right.object == NULL || !has_room(set))
        set->no_memory = true;
    else
        set->rights[set->count++] = right;
}

void right_set_add(struct right_set *set, const char *grantee, const char *privilege,
                   const char *kind, const char *schema, const char *name)
{
    struct sql object;
    const char *text = "";
    sql_init(&object);
    if (schema != NULL)
        sql_add(&object, "%S %N", kind, schema, name);
    else
        sql_add(&object, "%S %I", kind, name);
    if (sql_text(&object, &text, NULL) < 0)
        set->no_memory = true; /* names were checked before: only memory can fail here */
    else
        right_set_add_quoted(set, grantee, privilege, text);
    sql_done(&object);
}

static bool is_wanted(const struct right_set *set, const struct catalog_right *there)
{
    for (size_t i = 0; i < set->count && there->grantee != NULL; i++)
        if (strcmp(set->rights[i].object, there->object) == 0 &&
            strcmp(set->rights[i].grantee, there->grantee) == 0 &&
            strcmp(set->rights[i].privilege, there->privilege) == 0)
            return true;
    return false;
}

static bool is_there(const struct catalog *c, const struct right *wanted)
{
    for (size_t i = 0; i < c->right_count; i++)
        if (c->rights[i].grantee != NULL && strcmp(c->rights[i].object, wanted->object) == 0 &&
            strcmp(c->rights[i].grantee, wanted->grantee) == 0 &&
            strcmp(c->rights[i].privilege, wanted->privilege) == 0)
            return true;
    return false;
}

static bool is_twice(const struct right_set *set, size_t at)
{
    const struct right *r = &set->rights[at];
    for (size_t i = 0; i < at; i++)
        if (strcmp(set->rights[i].object, r->object) == 0 &&
            strcmp(set->rights[i].grantee, r->grantee) == 0 &&
            strcmp(set->rights[i].privilege, r->privilege) == 0)
            return true;
    return false;
}

static int revoke(const struct catalog_right *there, bool only_passing_on, struct script *script,
                  struct err *err)
{
    struct sql sql;
    sql_init(&sql);
    sql_add(&sql, "REVOKE %S%S ON %S FROM ", only_passing_on ? "GRANT OPTION FOR " : "",
            there->privilege, there->object);
    if (there->grantee != NULL)
        sql_add(&sql, "%I", there->grantee);
    else
        sql_add(&sql, "PUBLIC");
    if (there->may_pass_on)
        sql_add(&sql, " CASCADE"); /* and from those to whom it was passed on */
    int rc = script_add(script, STEP_GUARD, &sql, err, "right of %s to %s on %s: too much",
                        there->grantee != NULL ? there->grantee : "PUBLIC", there->privilege,
                        there->object);
    sql_done(&sql);
    return rc;
}

static int grant(const struct right *wanted, struct script *script, struct err *err)
{
    struct sql sql;
    sql_init(&sql);
    sql_add(&sql, "GRANT %S ON %S TO %I", wanted->privilege, wanted->object, wanted->grantee);
    int rc = script_add(script, STEP_GUARD, &sql, err, "right of %s to %s on %s: missing",
                        wanted->grantee, wanted->privilege, wanted->object);
    sql_done(&sql);
    return rc;
}

int right_set_compile(const struct right_set *set, const struct catalog *c,
                      bool (*is_remade)(void *context, const char *object), void *context,
                      struct script *script, struct err *err)
{
    int rc = 0;
    if (set->no_memory)
        return err_set(err, RF_ENOMEM, "out of memory while compiling rights");
    for (size_t i = 0; i < c->right_count && rc == 0; i++) {
        const struct catalog_right *there = &c->rights[i];
        if (is_remade(context, there->object))
            continue;
        bool wanted = is_wanted(set, there);
        if (!wanted || there->may_pass_on)
            rc = revoke(there, wanted, script, err);
    }
    for (size_t i = 0; i < set->count && rc == 0; i++) {
        const struct right *wanted = &set->rights[i];
        bool kept = is_there(c, wanted) && !is_remade(context, wanted->object);
        if (!kept && !is_twice(set, i))
            rc = grant(wanted, script, err);
    }
    return rc;
}
