/* claim_read.c - a file of claims, with every mistake and its line. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"
#include "policy/quantity.h"
#include "policy/yaml_tree.h"
#include "verify/claim_inside.h"

struct reading {
    const char *file;
    struct claims *claims;
    struct mistakes *mistakes;
    bool no_memory, wrong;
};

RF_PRINTF(3, 4)
static void wrong(struct reading *r, unsigned line, const char *fmt, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, arguments);
    va_end(arguments);
    mistakes_add(r->mistakes, r->file, line, "%s", text);
    r->wrong = true;
}

/* ---- values --------------------------------------------------------------------------------- */

static const char *text_of(struct reading *r, const struct yaml_node *n)
{
    if (n->kind != YAML_TEXT) {
        if (n->kind != YAML_REFUSED)
            wrong(r, n->line, "expected a text");
        r->wrong = true;
        return "";
    }
    const char *copy = arena_strndup(&r->claims->arena, n->text, strlen(n->text));
    r->no_memory = r->no_memory || copy == NULL;
    return copy != NULL ? copy : "";
}

/* One text, or a list of them. */
static const char *const *texts_of(struct reading *r, const struct yaml_node *n, size_t *ret_count)
{
    size_t count = n->kind == YAML_LIST ? n->count : 1, i = 0;
    const char **list = arena_alloc(&r->claims->arena, count + 1, sizeof(*list));
    *ret_count = 0;
    if (list == NULL) {
        r->no_memory = true;
        return NULL;
    }
    if (n->kind != YAML_LIST)
        list[i++] = text_of(r, n);
    else
        for (const struct yaml_node *e = n->first; e != NULL && i < count; e = e->next)
            list[i++] = text_of(r, e);
    *ret_count = i;
    return list;
}

static uint64_t number_of(struct reading *r, const struct yaml_node *n)
{
    int64_t value = 0;
    if (n->kind != YAML_TEXT || !quantity_integer(n->text, &value))
        wrong(r, n->line, "expected a number");
    return (uint64_t)value;
}

static bool yes_of(struct reading *r, const struct yaml_node *n)
{
    bool yes = n->kind == YAML_TEXT && strcmp(n->text, "yes") == 0;
    if (!yes && (n->kind != YAML_TEXT || strcmp(n->text, "no") != 0))
        wrong(r, n->line, "expected yes or no");
    return yes;
}

static enum logleaf_key key_of(struct reading *r, const char *name, unsigned line)
{
    for (int i = 0; i < LEAF_KEY_COUNT; i++)
        if (strcmp(logleaf_key_name((enum logleaf_key)i), name) == 0)
            return (enum logleaf_key)i;
    wrong(r, line, "no key of a leaf is called \"%.60s\"", name);
    return LEAF_KEY_REGION;
}

static uint64_t keys_of(struct reading *r, const struct yaml_node *n)
{
    uint64_t keys = 0;
    size_t count;
    const char *const *names = texts_of(r, n, &count);
    for (size_t i = 0; i < count; i++)
        keys |= UINT64_C(1) << key_of(r, names[i], n->line);
    return keys;
}

/* "2026-11-22T10:05Z": what a minute is, the reader of leaves knows. */
static uint32_t minute_of(struct reading *r, const struct yaml_node *n)
{
    char text[400];
    struct logleaf leaf;
    const char *said = text_of(r, n);
    int len = snprintf(text, sizeof(text),
                       "{\"v\":1,\"type\":\"policy\",\"minute\":\"%.17s\",\"id\":\"%032d\","
                       "\"region\":\"x\",\"policy\":\"%064d\",\"d\":\"%064d\"}",
                       said, 0, 0, 0);
    if (strlen(said) == 17 && logleaf_read(text, (size_t)len, &leaf) == 0)
        return leaf.minute;
    wrong(r, n->line, "expected a minute such as 2026-11-22T10:05Z");
    return 0;
}

/* ---- one claim ------------------------------------------------------------------------------ */

static void read_types(struct reading *r, struct claim *c, const struct yaml_node *n)
{
    size_t count;
    const char *const *names = texts_of(r, n, &count);
    for (size_t i = 0; i < count; i++) {
        int type = LEAF_NONE + 1;
        while (type < LEAF_TYPE_COUNT &&
               strcmp(logleaf_type_name((enum logleaf_type)type), names[i]) != 0)
            type++;
        if (type == LEAF_TYPE_COUNT)
            wrong(r, n->line, "no type of leaf is called \"%.60s\"", names[i]);
        else
            c->types |= UINT64_C(1) << type;
    }
}

static void read_filters(struct reading *r, struct claim *c, const struct yaml_node *n, bool is_not)
{
    if (n->kind != YAML_MAP) {
        wrong(r, n->line, "expected a map of keys and values");
        return;
    }
    for (const struct yaml_node *e = n->first; e != NULL; e = e->next) {
        if (c->filter_count == CLAIM_FILTERS_MAX) {
            wrong(r, e->line, "more than %d filters", CLAIM_FILTERS_MAX);
            return;
        }
        struct claim_filter *f = &c->filters[c->filter_count++];
        f->key = key_of(r, e->key, e->key_line);
        f->is_not = is_not;
        f->values = texts_of(r, e, &f->count);
    }
}

static void read_sum(struct reading *r, struct claim *c, const struct yaml_node *n)
{
    static const enum logleaf_key bands[] = { LEAF_KEY_SESSIONS, LEAF_KEY_STATEMENTS,
                                              LEAF_KEY_ROWS,     LEAF_KEY_BYTES,
                                              LEAF_KEY_DENIALS,  LEAF_KEY_ALERTS,
                                              LEAF_KEY_REVIEWED, LEAF_KEY_SUBJECTS,
                                              LEAF_KEY_GIVEN,    LEAF_KEY_WITHDRAWN };
    c->sums = true;
    c->of = key_of(r, text_of(r, n), n->line);
    for (size_t i = 0; i < RF_COUNT(bands); i++)
        if (bands[i] == c->of)
            return;
    wrong(r, n->line, "\"%.60s\" is no band that could be summed", logleaf_key_name(c->of));
}

static void read_key(struct reading *r, struct claim *c, const struct yaml_node *n)
{
    const char *key = n->key;
    if (strcmp(key, "name") == 0)
        c->name = text_of(r, n);
    else if (strcmp(key, "sentence") == 0)
        c->sentence = text_of(r, n);
    else if (strcmp(key, "grade") == 0)
        c->grade = text_of(r, n);
    else if (strcmp(key, "leaf") == 0)
        read_types(r, c, n);
    else if (strcmp(key, "where") == 0 || strcmp(key, "unless") == 0)
        read_filters(r, c, n, key[0] == 'u');
    else if (strcmp(key, "at_home") == 0)
        c->home = yes_of(r, n) ? CLAIM_HOME_YES : CLAIM_HOME_NO;
    else if (strcmp(key, "fewer_approvals_than") == 0) {
        c->fewer_approvals = number_of(r, n);
        r->claims->wants_approvals = true;
    } else if (strcmp(key, "with") == 0)
        c->with = keys_of(r, n);
    else if (strcmp(key, "without") == 0)
        c->without = keys_of(r, n);
    else if (strcmp(key, "sum") == 0)
        read_sum(r, c, n);
    else if (strcmp(key, "at_most") == 0) {
        c->has_most = true;
        c->most = number_of(r, n);
    } else if (strcmp(key, "at_least") == 0) {
        c->has_least = true;
        c->least = number_of(r, n);
    } else if (strcmp(key, "epoch") == 0)
        c->epoch = text_of(r, n);
    else if (strcmp(key, "from") == 0)
        c->from = minute_of(r, n);
    else if (strcmp(key, "until") == 0)
        c->until = minute_of(r, n);
    else
        wrong(r, n->key_line, "a claim has no \"%.60s\"", key);
}

static void read_claim(struct reading *r, const struct yaml_node *n)
{
    struct claims *all = r->claims;
    struct claim *c = &all->list[all->count];
    *c = (struct claim){ .name = "", .sentence = "", .grade = "" };
    if (n->kind != YAML_MAP) {
        wrong(r, n->line, "expected a claim");
        return;
    }
    for (const struct yaml_node *e = n->first; e != NULL; e = e->next)
        read_key(r, c, e);
    if (c->name[0] == '\0' || c->sentence[0] == '\0')
        wrong(r, n->line, "a claim has a name and a sentence");
    if (c->types == 0)
        wrong(r, n->line, "a claim says of which leaf it speaks");
    if (!c->has_most && !c->has_least)
        wrong(r, n->line, "a claim has at_most or at_least");
    c->has_interval = c->from != 0 || c->until != 0;
    if (c->has_interval && (c->from == 0 || c->until <= c->from || c->epoch != NULL))
        wrong(r, n->line, "a period is an epoch, or from and a later until");
    if (c->home != CLAIM_HOME_ANY && all->home_count == 0)
        wrong(r, n->line, "at_home needs `home`, a list of countries, before the claims");
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].name, c->name) == 0)
            wrong(r, n->line, "a second claim called \"%.60s\"", c->name);
    all->count++;
}

static void read_claims(struct reading *r, const struct yaml_node *n)
{
    struct claims *all = r->claims;
    if (n->kind != YAML_LIST || n->count > CLAIMS_MAX) {
        wrong(r, n->line, "expected a list of at most %d claims", CLAIMS_MAX);
        return;
    }
    all->list = arena_alloc(&all->arena, n->count + 1, sizeof(*all->list));
    if (all->list == NULL) {
        r->no_memory = true;
        return;
    }
    for (const struct yaml_node *e = n->first; e != NULL; e = e->next)
        read_claim(r, e);
}

static void read_root(struct reading *r, const struct yaml_node *root)
{
    const struct yaml_node *claims = NULL;
    if (root == NULL || root->kind != YAML_MAP) {
        wrong(r, root != NULL ? root->line : 0, "expected `claims`");
        return;
    }
    for (const struct yaml_node *n = root->first; n != NULL; n = n->next)
        if (strcmp(n->key, "claims") == 0)
            claims = n;
        else if (strcmp(n->key, "home") == 0)
            r->claims->home = texts_of(r, n, &r->claims->home_count);
        else
            wrong(r, n->key_line, "expected `home` or `claims`, found \"%.60s\"", n->key);
    if (claims != NULL)
        read_claims(r, claims);
    else
        wrong(r, root->line, "expected `claims`");
}

int claims_read(const char *file, const char *text, size_t len, struct claims **ret,
                struct mistakes *mistakes)
{
    const struct yaml_node *root = NULL;
    struct arena scratch;
    struct claims *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return -RF_ENOMEM;
    struct reading r = { .file = file, .claims = c, .mistakes = mistakes };
    arena_init(&c->arena);
    arena_init(&scratch);
    int rc = yaml_tree_read(file, text, len, &scratch, &root, mistakes);
    if (rc == 0)
        read_root(&r, root);
    arena_done(&scratch);
    if (rc == 0 && r.no_memory)
        rc = -RF_ENOMEM;
    if (rc == 0 && r.wrong)
        rc = -RF_ECONFIG;
    if (rc == 0)
        *ret = c;
    else
        claims_free(c);
    return rc;
}

int claims_load(const char *path, struct claims **ret, struct err *err)
{
    struct mistakes mistakes;
    char *text;
    size_t len;
    int rc = fd_read_file(path, CLAIMS_FILE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    mistakes_init(&mistakes);
    rc = claims_read(path, text, len, ret, &mistakes);
    mem_free(text);
    mistakes_print(&mistakes, stderr);
    mistakes_done(&mistakes);
    if (rc == -RF_ECONFIG)
        return err_set(err, RF_ECONFIG, "the file of claims has mistakes");
    return rc < 0 ? err_set(err, RF_ENOMEM, "out of memory") : 0;
}
