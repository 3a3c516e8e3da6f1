#include "policy/policy_change.h"

#include <stdio.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/mistakes.h"
#include "policy/yaml_tree.h"
#include "sign/sshsig.h"

/* Sections are compared as they are written, but for actors, tables and statistics, which are
 * compared by what they mean: those change daily, and another way of writing the same should not
 * wait. Whoever adds a key to a policy need not think of this file: an unknown key that differs
 * counts as widening. */

enum allowed {
    ALLOWED_NOTHING,
    ALLOWED_ALL,  /* compared elsewhere, or without meaning for rights */
    ALLOWED_LESS, /* elements may go */
    ALLOWED_MORE, /* elements may come */
    ALLOWED_NONE  /* the whole may go */
};

static const struct {
    const char *path;
    enum allowed allowed;
} rows[] = {
    { "version", ALLOWED_ALL },
    { "company", ALLOWED_ALL },
    { "follows", ALLOWED_ALL },
    { "actors", ALLOWED_ALL }, /* below */
    { "tables", ALLOWED_ALL },
    { "statistics", ALLOWED_ALL },
    { "jurisdictions", ALLOWED_ALL }, /* enforce/exposure.h, like the next ones */
    { "rooms", ALLOWED_ALL },
    { "purposes", ALLOWED_ALL },
    { "adult_age", ALLOWED_ALL },
    { "publication.profile", ALLOWED_ALL },
    { "grants.rules", ALLOWED_LESS },
    { "grants.rules.*.budget", ALLOWED_ALL }, /* numbers: enforce/exposure.h */
    { "grants.break_glass", ALLOWED_NONE },
    { "grants.break_glass.budget", ALLOWED_ALL },
    { "grants.subjects_per_day", ALLOWED_ALL },
    { "grants.find", ALLOWED_NONE },
    { "grants.refused_authorities", ALLOWED_MORE },
    { "grants.sensitive.subjects", ALLOWED_MORE },
    { "grants.bound", ALLOWED_MORE },  /* purposes; a person more of one is a person more to see */
    { "alerts", ALLOWED_MORE },        /* rules; one that says something else waits */
    { "grants.notices", ALLOWED_ALL }, /* enforce/exposure_grants.h */
};

struct at {
    const struct at *up;
    const char *key;
};

static void path_of(const struct at *at, char *ret, size_t n)
{
    size_t len;
    ret[0] = '\0';
    if (at == NULL)
        return;
    path_of(at->up, ret, n);
    len = strlen(ret);
    (void)snprintf(ret + len, n - len, "%s%s", len > 0 ? "." : "", at->key);
}

/* Is AT the place that PATH (of LEN) names? `*` is any one key. */
static bool is_at(const struct at *at, const char *path, size_t len)
{
    size_t begin = len;
    if (at == NULL)
        return len == 0;
    while (begin > 0 && path[begin - 1] != '.')
        begin--;
    bool is_any = len - begin == 1 && path[begin] == '*';
    if (!is_any &&
        (strlen(at->key) != len - begin || memcmp(at->key, path + begin, len - begin) != 0))
        return false;
    return at->up == NULL ? begin == 0 : begin > 0 && is_at(at->up, path, begin - 1);
}

static enum allowed allowed_at(const struct at *at)
{
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        if (is_at(at, rows[i].path, strlen(rows[i].path)))
            return rows[i].allowed;
    return ALLOWED_NOTHING;
}

static bool differs(const struct at *at, const struct yaml_node *old, const struct yaml_node *new,
                    char what[POLICY_CHANGE_SIZE]);

static const struct yaml_node *child_of(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = map->first;
    while (n != NULL && strcmp(n->key, key) != 0)
        n = n->next;
    return n;
}

static bool maps_differ(const struct at *at, enum allowed allowed, const struct yaml_node *old,
                        const struct yaml_node *new, char what[POLICY_CHANGE_SIZE])
{
    for (const struct yaml_node *n = new->first; n != NULL; n = n->next) {
        const struct yaml_node *before = child_of(old, n->key);
        const struct at here = { at, n->key };
        if ((before != NULL || allowed != ALLOWED_MORE) && differs(&here, before, n, what))
            return true;
    }
    for (const struct yaml_node *n = old->first; n != NULL; n = n->next) {
        const struct at here = { at, n->key };
        if (child_of(new, n->key) == NULL && allowed != ALLOWED_LESS &&
            differs(&here, n, NULL, what))
            return true;
    }
    return false;
}

/* Is every element of SOME one of ALL? */
static bool are_among(const struct at *at, const struct yaml_node *some,
                      const struct yaml_node *all)
{
    char ignored[POLICY_CHANGE_SIZE];
    for (const struct yaml_node *n = some->first; n != NULL; n = n->next) {
        const struct yaml_node *m = all->first;
        while (m != NULL && differs(at, m, n, ignored))
            m = m->next;
        if (m == NULL)
            return false;
    }
    return true;
}

static bool lists_differ(const struct at *at, enum allowed allowed, const struct yaml_node *old,
                         const struct yaml_node *new)
{
    const struct at element = { at, "-" };
    return !(allowed == ALLOWED_MORE || are_among(&element, new, old)) ||
           !(allowed == ALLOWED_LESS || are_among(&element, old, new)) ||
           (allowed == ALLOWED_NOTHING && old->count != new->count);
}

/* OLD or NEW may be NULL: not there. WHAT is the deepest place that differs. */
static bool differs(const struct at *at, const struct yaml_node *old, const struct yaml_node *new,
                    char what[POLICY_CHANGE_SIZE])
{
    enum allowed allowed = allowed_at(at);
    bool is_other;
    if (allowed == ALLOWED_ALL || (new == NULL &&allowed == ALLOWED_NONE) ||
        (old == NULL && allowed == ALLOWED_MORE))
        return false;
    if (old == NULL || new == NULL || old->kind != new->kind)
        is_other = true;
    else if (old->kind == YAML_MAP)
        return maps_differ(at, allowed, old, new, what);
    else if (old->kind == YAML_LIST)
        is_other = lists_differ(at, allowed, old, new);
    else
        is_other = old->kind != YAML_TEXT || strcmp(old->text, new->text) != 0;
    if (is_other)
        path_of(at, what, POLICY_CHANGE_SIZE);
    return is_other;
}

/* ---- what is compared by meaning ------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_keys(const struct policy_actor *a, const struct policy_actor *b)
{
    if (a->key_count != b->key_count)
        return false;
    for (size_t i = 0; i < a->key_count; i++)
        if (!ssh_key_equal(&a->keys[i], &b->keys[i]))
            return false;
    return true;
}

/* What a service reaches is compared with the rooms. */
static bool actor_widens(const struct policy_actor *old, const struct policy_actor *new)
{
    return old == NULL || old->kind != new->kind || !same(old->entity->name, new->entity->name) ||
           !same(old->place.code, new->place.code) || !same(old->department, new->department) ||
           !same(old->manager, new->manager) || !same(old->certificate_cn, new->certificate_cn) ||
           (old->suspended && !new->suspended) || !same_keys(old, new);
}

static bool same_subjects(const struct policy_table *a, const struct policy_table *b)
{
    if (a->subject_count != b->subject_count)
        return false;
    for (size_t i = 0; i < a->subject_count; i++) {
        const struct policy_subject *x = &a->subjects[i], *y = &b->subjects[i];
        if (!same(x->column, y->column) || !same(x->key, y->key) ||
            (x->through == NULL) != (y->through == NULL) ||
            (x->through != NULL && (!same(x->through->schema, y->through->schema) ||
                                    !same(x->through->name, y->through->name))))
            return false;
    }
    return true;
}

static const struct policy_column *column_of(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (same(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

/* Masks are compared with the rooms; a class also says what a grant shows. */
static bool table_widens(const struct policy_table *old, const struct policy_table *new)
{
    if (old == NULL || old->is_view != new->is_view || !same_subjects(old, new) ||
        !same(old->residency, new->residency) || !same(old->birthdate, new->birthdate))
        return true;
    for (size_t i = 0; i < new->column_count; i++) {
        const struct policy_column *c = &new->columns[i], *before = column_of(old, c->name);
        if (before == NULL || before->class_id != c->class_id || !same(before->value, c->value))
            return true;
    }
    return false;
}

static bool statistic_widens(const struct policy_statistic *old, const struct policy_statistic *new)
{
    if (old == NULL || !same(old->table->schema, new->table->schema) ||
        !same(old->table->name, new->table->name) || new->minimum < old->minimum ||
        old->dimension_count != new->dimension_count || old->measure_count != new->measure_count)
        return true;
    for (size_t i = 0; i < new->dimension_count; i++) {
        const struct policy_dimension *a = &old->dimensions[i], *b = &new->dimensions[i];
        if (!same(a->column, b->column) || a->mask != b->mask || a->step != b->step ||
            a->month != b->month)
            return true;
    }
    for (size_t i = 0; i < new->measure_count; i++)
        if (old->measures[i].what != new->measures[i].what ||
            !same(old->measures[i].column, new->measures[i].column))
            return true;
    return false;
}

static const struct policy_statistic *statistic_of(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->statistic_count; i++)
        if (same(p->statistics[i].name, name))
            return &p->statistics[i];
    return NULL;
}

static bool meaning_widens(const struct policy *old, const struct policy *new,
                           char what[POLICY_CHANGE_SIZE])
{
    for (size_t i = 0; i < new->actor_count; i++) {
        const struct policy_actor *a = &new->actors[i];
        (void)snprintf(what, POLICY_CHANGE_SIZE, "actors.%.100s", a->name);
        if (actor_widens(policy_actor_find(old, a->name), a))
            return true;
    }
    for (size_t i = 0; i < new->table_count; i++) {
        const struct policy_table *t = &new->tables[i];
        (void)snprintf(what, POLICY_CHANGE_SIZE, "tables.%.80s.%.80s", t->schema, t->name);
        if (table_widens(policy_table_find(old, t->schema, t->name), t))
            return true;
    }
    for (size_t i = 0; i < new->statistic_count; i++) {
        const struct policy_statistic *s = &new->statistics[i];
        (void)snprintf(what, POLICY_CHANGE_SIZE, "statistics.%.100s", s->name);
        if (statistic_widens(statistic_of(old, s->name), s))
            return true;
    }
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int tree_of(const struct policy_bytes *of, struct arena *arena,
                   const struct yaml_node **ret_root)
{
    struct mistakes ignored; /* a policy was made of these bytes: there are none */
    *ret_root = NULL;
    mistakes_init(&ignored);
    int rc = yaml_tree_read("policy", of->text, of->len, arena, ret_root, &ignored);
    mistakes_done(&ignored);
    return rc < 0 || *ret_root == NULL ? -RF_ENOMEM : 0;
}

int policy_change_widens(const struct policy_bytes *old, const struct policy_bytes *new,
                         char what[POLICY_CHANGE_SIZE])
{
    const struct yaml_node *before, *after;
    struct arena arena;
    what[0] = '\0';
    if (meaning_widens(old->policy, new->policy, what))
        return 1;
    arena_init(&arena);
    int rc = tree_of(old, &arena, &before);
    if (rc == 0)
        rc = tree_of(new, &arena, &after);
    if (rc == 0) {
        what[0] = '\0';
        rc = maps_differ(NULL, ALLOWED_NOTHING, before, after, what) ? 1 : 0;
    }
    arena_done(&arena);
    return rc;
}
