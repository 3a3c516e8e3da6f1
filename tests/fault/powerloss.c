#include "powerloss.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/fd.h"

enum { NODES_MAX = 20000, NAME_SIZE = 64 };

struct name {
    char name[NAME_SIZE];
    int node;
};

struct names {
    struct name *list;
    size_t count, room;
};

/* What was done since the last sync: to a file (bytes), or to a folder (names). */
struct act {
    const struct disk_record *event;
    char from[NAME_SIZE], to[NAME_SIZE]; /* names that go and come; "" none */
    int node;
};

struct node {
    bool is_folder, is_used;
    struct names now, safe; /* of a folder */
    uint8_t *bytes;         /* of a file: what is safe */
    size_t len;
    struct act *acts;
    size_t act_count, act_room;
};

struct powerloss {
    struct node nodes[NODES_MAX];
};

const char *powerloss_name(enum powerloss_disk disk)
{
    static const char *const names[] = { "everything was kept",
                                         "nothing was kept that was not synced",
                                         "names were kept, and no bytes",
                                         "bytes were kept, and no names",
                                         "a part from the front was kept",
                                         "any part was kept" };
    return names[disk];
}

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct powerloss *powerloss_new(void)
{
    struct powerloss *p = must(calloc(1, sizeof(*p)));
    p->nodes[0].is_folder = p->nodes[0].is_used = true;
    return p;
}

void powerloss_free(struct powerloss *p)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        free(p->nodes[i].now.list);
        free(p->nodes[i].safe.list);
        free(p->nodes[i].bytes);
        free(p->nodes[i].acts);
    }
    free(p);
}

/* ---- names ---------------------------------------------------------------------------------- */

static struct name *name_find(const struct names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->list[i].name, name) == 0)
            return &n->list[i];
    return NULL;
}

static void name_remove(struct names *n, const char *name)
{
    struct name *found = name_find(n, name);
    if (found != NULL)
        *found = n->list[--n->count];
}

static void name_set(struct names *n, const char *name, int node)
{
    name_remove(n, name);
    if (n->count == n->room) {
        n->room = n->room == 0 ? 8 : 2 * n->room;
        n->list = must(realloc(n->list, n->room * sizeof(*n->list)));
    }
    (void)snprintf(n->list[n->count].name, NAME_SIZE, "%s", name);
    n->list[n->count++].node = node;
}

static void names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        name_set(to, from->list[i].name, from->list[i].node);
}

static void names_act(struct names *n, const struct act *a)
{
    if (a->from[0] != '\0')
        name_remove(n, a->from);
    if (a->to[0] != '\0')
        name_set(n, a->to, a->node);
}

/* ---- events --------------------------------------------------------------------------------- */

/* The folder that PATH lies in, and its last part. */
static struct node *folder_of(struct powerloss *p, const char *path, char ret[NAME_SIZE])
{
    struct node *at = &p->nodes[0];
    for (;;) {
        size_t n = strcspn(path, "/");
        (void)snprintf(ret, NAME_SIZE, "%.*s", (int)n, path);
        if (path[n] == '\0')
            return at;
        const struct name *found = name_find(&at->now, ret);
        if (found == NULL)
            abort();
        at = &p->nodes[found->node];
        path += n + 1;
    }
}

static struct act *act_add(struct node *n, const struct disk_record *event)
{
    if (n->act_count == n->act_room) {
        n->act_room = n->act_room == 0 ? 8 : 2 * n->act_room;
        n->acts = must(realloc(n->acts, n->act_room * sizeof(*n->acts)));
    }
    n->acts[n->act_count] = (struct act){ .event = event };
    return &n->acts[n->act_count++];
}

static void bytes_act(uint8_t **bytes, size_t *len, const struct disk_record *e, size_t n)
{
    size_t end = e->event == DISK_TRUNCATE ? e->offset : e->offset + n;
    if (end > *len || e->event == DISK_TRUNCATE) {
        *bytes = must(realloc(*bytes, end + 1));
        if (end > *len)
            memset(*bytes + *len, 0, end - *len);
        *len = end;
    }
    if (e->event == DISK_WRITE && n > 0)
        memcpy(*bytes + e->offset, e->bytes, n);
}

static void sync_node(struct node *n)
{
    if (n->is_folder)
        names_copy(&n->safe, &n->now);
    for (size_t i = 0; !n->is_folder && i < n->act_count; i++)
        bytes_act(&n->bytes, &n->len, n->acts[i].event, n->acts[i].event->len);
    n->act_count = 0;
}

void powerloss_apply(struct powerloss *p, const struct disk_record *e)
{
    char name[NAME_SIZE], second[NAME_SIZE];
    if (e->inode < 0 || e->inode >= NODES_MAX) /* a file from before the trace: it stays */
        return;
    struct node *n = &p->nodes[e->inode], *folder;
    struct act *a;
    switch (e->event) {
    case DISK_CREATE:
    case DISK_MKDIR:
        n->is_used = true;
        n->is_folder = e->event == DISK_MKDIR;
        folder = folder_of(p, e->path, name);
        a = act_add(folder, e);
        (void)snprintf(a->to, NAME_SIZE, "%s", name);
        a->node = e->inode;
        names_act(&folder->now, a);
        return;
    case DISK_RENAME:
        folder = folder_of(p, e->path, name);
        if (folder_of(p, e->second, second) != folder || name_find(&folder->now, name) == NULL)
            abort();
        a = act_add(folder, e);
        a->node = name_find(&folder->now, name)->node;
        (void)snprintf(a->from, NAME_SIZE, "%s", name);
        (void)snprintf(a->to, NAME_SIZE, "%s", second);
        names_act(&folder->now, a);
        return;
    case DISK_UNLINK:
        folder = folder_of(p, e->path, name);
        a = act_add(folder, e);
        (void)snprintf(a->from, NAME_SIZE, "%s", name);
        names_act(&folder->now, a);
        return;
    case DISK_WRITE:
    case DISK_TRUNCATE:
        (void)act_add(n, e);
        return;
    case DISK_SYNC:
        sync_node(n);
        return;
    case DISK_MARK:
        return;
    }
}

/* ---- what the disk has ---------------------------------------------------------------------- */

struct maker {
    const struct powerloss *p;
    enum powerloss_disk disk;
    uint64_t random;
};

static uint64_t chance_of(struct maker *m, uint64_t n)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->random >> 33) % n;
}

/* How many of COUNT acts from the front; for each of these, is it there? */
static size_t front(struct maker *m, size_t count, bool is_name)
{
    if (m->disk == POWERLOSS_DROPPED || m->disk == (is_name ? POWERLOSS_BYTES : POWERLOSS_NAMES))
        return 0;
    return m->disk == POWERLOSS_ORDERED ? chance_of(m, count + 1) : count;
}

static bool is_there(struct maker *m)
{
    return m->disk != POWERLOSS_CHANCE || chance_of(m, 2) == 0;
}

static void make_file(struct maker *m, const struct node *n, const char *path)
{
    uint8_t *bytes = must(malloc(n->len + 1));
    size_t len = n->len, most = front(m, n->act_count, false);
    if (len > 0)
        memcpy(bytes, n->bytes, len);
    for (size_t i = 0; i < most; i++) {
        const struct disk_record *e = n->acts[i].event;
        bool is_cut = (m->disk == POWERLOSS_ORDERED && i + 1 == most) ||
                      (m->disk == POWERLOSS_CHANCE && chance_of(m, 3) == 0);
        if (is_there(m))
            bytes_act(&bytes, &len, e, is_cut ? chance_of(m, e->len + 1) : e->len);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || fd_write_all(fd, bytes, len) < 0)
        abort();
    fd_close(&fd);
    free(bytes);
}

static void make_folder(struct maker *m, const struct node *n, const char *path)
{
    struct names names = { .count = 0 };
    size_t most = front(m, n->act_count, true);
    names_copy(&names, &n->safe);
    for (size_t i = 0; i < most; i++)
        if (is_there(m))
            names_act(&names, &n->acts[i]);
    for (size_t i = 0; i < names.count; i++) {
        const struct node *child = &m->p->nodes[names.list[i].node];
        char below[4096];
        (void)snprintf(below, sizeof(below), "%.3900s/%s", path, names.list[i].name);
        if (!child->is_folder)
            make_file(m, child, below);
        else if (mkdir(below, 0755) < 0)
            abort();
        else
            make_folder(m, child, below);
    }
    free(names.list);
}

void powerloss_make(const struct powerloss *p, enum powerloss_disk disk, uint64_t chance,
                    const char *to)
{
    struct maker m = { .p = p, .disk = disk, .random = chance * 2 + 1 };
    make_folder(&m, &p->nodes[0], to);
}
