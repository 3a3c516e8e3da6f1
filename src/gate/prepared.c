#include "gate/prepared.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gate/pool.h"

enum { BUCKETS_FIRST = 64 };

void prepared_table_done(struct prepared_table *t)
{
    for (uint32_t i = 0; i < t->bucket_count; i++)
        for (struct prepared *p = t->buckets[i], *next; p != NULL; p = next) {
            next = p->next;
            mem_free(p->types);
            mem_free(p);
        }
    mem_free(t->buckets);
    *t = (struct prepared_table){ 0 };
}

/* FNV-1a: spreads names of one's own clients; it need not withstand anybody. */
static uint32_t hash_of(const struct frontend_parse *parse)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < parse->query_len; i++)
        h = (h ^ (uint8_t)parse->query[i]) * 16777619u;
    for (size_t i = 0; i < (size_t)parse->type_count * 4; i++)
        h = (h ^ parse->types[i]) * 16777619u;
    return h;
}

static bool is_same(const struct prepared *p, const struct frontend_parse *parse)
{
    return p->query_len == parse->query_len && p->type_count == parse->type_count &&
           memcmp(p->query, parse->query, parse->query_len) == 0 &&
           (p->type_count == 0 ||
            memcmp(p->types, parse->types, (size_t)parse->type_count * 4) == 0);
}

static int grow_table(struct prepared_table *t)
{
    if (t->bucket_count > t->count)
        return 0;
    uint32_t n = t->bucket_count > 0 ? t->bucket_count * 2 : BUCKETS_FIRST;
    struct prepared **buckets = mem_zalloc(n, sizeof(struct prepared *));
    if (buckets == NULL)
        return t->bucket_count > 0 ? 0 : -RF_ENOMEM; /* longer chains are no failure */
    for (uint32_t i = 0; i < t->bucket_count; i++)
        for (struct prepared *p = t->buckets[i], *next; p != NULL; p = next) {
            next = p->next;
            p->next = buckets[p->hash & (n - 1)];
            buckets[p->hash & (n - 1)] = p;
        }
    mem_free(t->buckets);
    t->buckets = buckets;
    t->bucket_count = n;
    return 0;
}

int prepared_intern(struct prepared_table *t, const struct frontend_parse *parse,
                    struct prepared **ret)
{
    uint32_t hash = hash_of(parse);
    int rc = grow_table(t);
    if (rc < 0)
        return rc;
    struct prepared **bucket = &t->buckets[hash & (t->bucket_count - 1)];
    for (struct prepared *p = *bucket; p != NULL; p = p->next)
        if (p->hash == hash && is_same(p, parse)) {
            p->references++;
            *ret = p;
            return 0;
        }
    if (parse->query_len > UINT32_MAX - 1)
        return -RF_ETOOBIG;
    struct prepared *p = mem_zalloc(1, sizeof(*p) + parse->query_len + 1);
    size_t types_len = (size_t)parse->type_count * 4;
    uint8_t *types = types_len > 0 ? mem_zalloc(types_len, 1) : NULL;
    if (p == NULL || (types_len > 0 && types == NULL)) {
        mem_free(p);
        mem_free(types);
        return -RF_ENOMEM;
    }
    if (types_len > 0)
        memcpy(types, parse->types, types_len);
    memcpy(p->query, parse->query, parse->query_len);
    p->types = types;
    p->type_count = parse->type_count;
    p->query_len = (uint32_t)parse->query_len;
    p->hash = hash;
    p->references = 1;
    p->id = ++t->last_id;
    (void)snprintf(p->name, sizeof(p->name), "rf_%llx", (unsigned long long)p->id);
    p->next = *bucket;
    *bucket = p;
    t->count++;
    *ret = p;
    return 0;
}

void prepared_release(struct prepared_table *t, struct prepared *p)
{
    if (p == NULL || --p->references > 0)
        return;
    struct prepared **at = &t->buckets[p->hash & (t->bucket_count - 1)];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    t->count--;
    mem_free(p->types);
    mem_free(p);
}

void prepared_names_done(struct prepared_names *n, struct prepared_table *t)
{
    for (uint32_t i = 0; i < n->count; i++) {
        mem_free(n->list[i].name);
        prepared_release(t, n->list[i].statement);
    }
    mem_free(n->list);
    *n = (struct prepared_names){ 0 };
}

static struct prepared_name *find(const struct prepared_names *n, const char *name)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (strcmp(n->list[i].name, name) == 0)
            return &n->list[i];
    return NULL;
}

struct prepared *prepared_names_find(const struct prepared_names *n, const char *name)
{
    const struct prepared_name *found = find(n, name);
    return found != NULL ? found->statement : NULL;
}

int prepared_names_put(struct prepared_names *n, struct prepared_table *t, const char *name,
                       struct prepared *statement)
{
    struct prepared_name *found = find(n, name);
    if (found != NULL) {
        prepared_release(t, found->statement);
        found->statement = statement;
        return 0;
    }
    if (n->count >= PREPARED_PER_CLIENT_MAX)
        return -RF_ETOOBIG;
    if (n->count == n->cap) {
        uint32_t cap = n->cap > 0 ? n->cap * 2 : 4;
        struct prepared_name *list = mem_realloc(n->list, cap * sizeof(*list));
        if (list == NULL)
            return -RF_ENOMEM;
        n->list = list;
        n->cap = cap;
    }
    char *copy = mem_strdup(name);
    if (copy == NULL)
        return -RF_ENOMEM;
    n->list[n->count++] = (struct prepared_name){ .name = copy, .statement = statement };
    return 0;
}

void prepared_names_drop(struct prepared_names *n, struct prepared_table *t, const char *name)
{
    struct prepared_name *found = find(n, name);
    if (found == NULL)
        return;
    mem_free(found->name);
    prepared_release(t, found->statement);
    *found = n->list[--n->count];
}

/* Where ID is or belongs in B's ascending list. */
static uint32_t place_of(const struct backend *b, uint64_t id)
{
    uint32_t low = 0, high = b->known_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (b->known[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool prepared_is_known(const struct backend *b, uint64_t id)
{
    uint32_t at = place_of(b, id);
    return at < b->known_count && b->known[at] == id;
}

int prepared_learn(struct backend *b, uint64_t id)
{
    uint32_t at = place_of(b, id);
    if (at < b->known_count && b->known[at] == id)
        return 0;
    if (b->known_count == b->known_cap) {
        uint32_t cap = b->known_cap > 0 ? b->known_cap * 2 : 8;
        uint64_t *known = mem_realloc(b->known, cap * sizeof(*known));
        if (known == NULL)
            return -RF_ENOMEM;
        b->known = known;
        b->known_cap = cap;
    }
    memmove(b->known + at + 1, b->known + at, (b->known_count - at) * sizeof(*b->known));
    b->known[at] = id;
    b->known_count++;
    return 0;
}

void prepared_unlearn(struct backend *b, uint64_t id)
{
    uint32_t at = place_of(b, id);
    if (at == b->known_count || b->known[at] != id)
        return;
    memmove(b->known + at, b->known + at + 1, (b->known_count - at - 1) * sizeof(*b->known));
    b->known_count--;
}
