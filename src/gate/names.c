#include "gate/names.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static bool is_same(const struct name *e, const char *name)
{
    return strncmp(e->name, name, NAMES_LEN) == 0;
}

static void free_name(struct name *e)
{
    if (e == NULL)
        return;
    mem_free(e->name);
    mem_free_secret(e->sql, e->sql_len);
    mem_free(e->relations);
    mem_free(e);
}

void names_done(struct names *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        free_name(n->list[i]);
    mem_free(n->list);
    *n = (struct names){ 0 };
}

static struct name *take(struct names *n, uint32_t i)
{
    struct name *e = n->list[i];
    memmove(n->list + i, n->list + i + 1, (n->count - i - 1) * sizeof(struct name *));
    n->count--;
    return e;
}

static void drop(struct names *n, uint32_t i)
{
    struct name *e = take(n, i);
    n->bytes -= e->sql_len;
    free_name(e);
}

const struct name *names_find(struct names *n, const char *name)
{
    for (uint32_t i = n->count; i-- > 0;)
        if (is_same(n->list[i], name)) {
            struct name *e = take(n, i);
            n->list[n->count++] = e;
            return e;
        }
    return NULL;
}

bool names_is_open(const struct names *n, const char *name, uint64_t synced)
{
    const struct name *newest = NULL;
    for (uint32_t i = n->count; i-- > 0;) {
        if (!is_same(n->list[i], name))
            continue;
        if (newest != NULL)
            return true;
        newest = n->list[i];
        if (newest->confirmed || newest->number > synced)
            return false;
    }
    return false;
}

static int grow(struct names *n)
{
    if (n->count < n->cap)
        return 0;
    uint32_t cap = n->cap > 0 ? n->cap * 2 : 8;
    struct name **list = mem_realloc(n->list, cap * sizeof(struct name *));
    if (list == NULL)
        return -RF_ENOMEM;
    n->list = list;
    n->cap = cap;
    return 0;
}

int names_add(struct names *n, const char *name, uint64_t number, const char *sql, size_t sql_len,
              const struct name *facts, const char *relations)
{
    struct name *e = mem_zalloc(1, sizeof(*e));
    if (e == NULL || grow(n) < 0) {
        mem_free(e);
        return -RF_ENOMEM;
    }
    e->name = mem_strdup(name);
    e->sql = mem_strndup(sql != NULL ? sql : "", sql_len);
    e->relations = mem_strdup(relations != NULL ? relations : "");
    if (e->name == NULL || e->sql == NULL || e->relations == NULL) {
        free_name(e);
        return -RF_ENOMEM;
    }
    e->sql_len = sql_len;
    e->number = number;
    if (facts != NULL) {
        memcpy(e->kind, facts->kind, sizeof(e->kind));
        e->fingerprint = facts->fingerprint;
    }
    n->bytes += sql_len;
    n->list[n->count++] = e;
    return 0;
}

const struct name *names_excess(const struct names *n)
{
    return n->count > NAMES_MAX || n->bytes > NAMES_BYTES_MAX ? n->list[0] : NULL;
}

void names_confirm(struct names *n, uint32_t number)
{
    for (uint32_t i = n->count; i-- > 0;) {
        if ((uint32_t)n->list[i]->number != number)
            continue;
        n->list[i]->confirmed = true;
        for (uint32_t k = i; k-- > 0;)
            if (is_same(n->list[k], n->list[i]->name)) {
                drop(n, k);
                i--;
            }
        return;
    }
}

void names_remove(struct names *n, uint32_t number)
{
    for (uint32_t i = 0; i < n->count; i++)
        if ((uint32_t)n->list[i]->number == number) {
            drop(n, i);
            return;
        }
}

void names_end_until(struct names *n, uint32_t number)
{
    for (uint32_t i = n->count; i-- > 0;)
        if ((uint32_t)n->list[i]->number <= number)
            drop(n, i);
}
