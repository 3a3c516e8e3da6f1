#include "memlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    RF_ASSERT(p != NULL);
    return p;
}

void memlog_done(struct memlog *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->files[i].bytes);
    free(m->files);
    memset(m, 0, sizeof(*m));
}

struct memlog_file *memlog_find(const struct memlog *m, const char *path)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->files[i].path, path) == 0)
            return &m->files[i];
    return NULL;
}

int memlog_put(void *context, const char *path, const void *bytes, size_t n)
{
    struct memlog *m = context;
    struct memlog_file *f = memlog_find(m, path);
    if (f == NULL) {
        if (m->count == m->room) {
            m->room = m->room > 0 ? 2 * m->room : 16;
            m->files = must(realloc(m->files, m->room * sizeof(*m->files)));
        }
        f = &m->files[m->count++];
        (void)snprintf(f->path, sizeof(f->path), "%s", path);
    } else {
        free(f->bytes);
    }
    f->bytes = must(malloc(n + 1));
    if (n > 0)
        memcpy(f->bytes, bytes, n);
    f->n = n;
    return 0;
}

void memlog_remove(struct memlog *m, const char *path)
{
    struct memlog_file *f = memlog_find(m, path);
    if (f == NULL)
        return;
    free(f->bytes);
    *f = m->files[--m->count];
}

void memlog_copy(const struct memlog *from, struct memlog *to)
{
    memlog_done(to);
    for (size_t i = 0; i < from->count; i++)
        (void)memlog_put(to, from->files[i].path, from->files[i].bytes, from->files[i].n);
}

static int mem_read(void *context, const char *path, size_t max, struct buf *to, struct err *err)
{
    const struct memlog_file *f = memlog_find(context, path);
    if (f == NULL)
        return 0;
    return buf_append(to, f->bytes, f->n <= max ? f->n : max + 1) == 0
               ? 1
               : err_set(err, RF_ENOMEM, "out of memory");
}

static int mem_list(void *context, source_name_fn *on_name, void *name_context, struct err *err)
{
    const struct memlog *m = context;
    int rc = 0;
    (void)err;
    for (size_t i = 0; rc == 0 && i < m->count; i++)
        if (strncmp(m->files[i].path, "tile/", 5) == 0)
            rc = on_name(name_context, m->files[i].path, true);
    return rc;
}

struct source *memlog_source(struct memlog *m)
{
    static const struct source_ops ops = { .read = mem_read, .list = mem_list };
    struct source *s = NULL;
    struct err err;
    RF_ASSERT(source_new(&ops, m, &s, &err) == 0);
    return s;
}
