#include "verify/source.h"

#include <string.h>

#include "base/mem.h"

struct source {
    struct source_ops ops;
    void *context;
    /* One a kind, so that a tile may be compared with the bundle it belongs to. */
    struct buf kept[TLOG_FILE_ENTRIES + 1];
};

static size_t most(enum tlog_file file)
{
    return file == TLOG_FILE_TILE      ? SOURCE_TILE_MAX
           : file == TLOG_FILE_ENTRIES ? SOURCE_BUNDLE_MAX
                                       : SOURCE_CHECKPOINT_MAX;
}

int source_new(const struct source_ops *ops, void *context, struct source **ret, struct err *err)
{
    struct source *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL) {
        if (ops->close != NULL)
            ops->close(context);
        return err_set(err, RF_ENOMEM, "out of memory");
    }
    s->ops = *ops;
    s->context = context;
    for (int i = TLOG_FILE_NONE; i <= TLOG_FILE_ENTRIES; i++)
        buf_init(&s->kept[i], most((enum tlog_file)i) + 1);
    *ret = s;
    return 0;
}

int source_open(const char *where, const struct source_access *access, struct source **ret,
                struct err *err)
{
    if (strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0)
        return source_http_open(where, access, ret, err);
    if (strstr(where, "://") != NULL)
        return err_set(err, RF_EUSAGE,
                       "cannot read \"%.200s\": a log is a folder or an http(s) URL", where);
    return source_folder_open(where, ret, err);
}

void source_close(struct source *s)
{
    if (s == NULL)
        return;
    if (s->ops.close != NULL)
        s->ops.close(s->context);
    for (int i = TLOG_FILE_NONE; i <= TLOG_FILE_ENTRIES; i++)
        buf_done(&s->kept[i]);
    mem_free(s);
}

int source_fetch(struct source *s, const char *path, size_t max, struct buf *to, struct err *err)
{
    return s->ops.read(s->context, path, max, to, err);
}

void source_announce(struct source *s, const char *path, size_t max)
{
    if (s->ops.ahead != NULL)
        s->ops.ahead(s->context, path, max);
}

int source_read_exact(struct source *s, const struct tlog_path *path, struct source_file *ret,
                      struct err *err)
{
    struct buf *to = &s->kept[path->file];
    tlog_path_write(path, ret->path);
    buf_clear(to);
    if (buf_reserve(to, 1) == NULL) /* so that an empty file has an address, too */
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = source_fetch(s, ret->path, most(path->file), to, err);
    ret->bytes = buf_at(to);
    ret->len = buf_len(to);
    ret->width = path->width;
    return rc;
}

int source_read(struct source *s, const struct tlog_path *path, struct source_file *ret,
                struct err *err)
{
    struct tlog_path whole = *path;
    int rc = source_read_exact(s, path, ret, err);
    if (rc != 0 || path->file == TLOG_FILE_CHECKPOINT || path->width == TLOG_TILE_WIDTH)
        return rc;
    /* A log may have grown meanwhile and dropped the partial tile for the whole one. */
    whole.width = TLOG_TILE_WIDTH;
    rc = source_read_exact(s, &whole, ret, err);
    if (rc == 0) /* what is missing is the one that was asked for */
        tlog_path_write(path, ret->path);
    return rc;
}

void source_ahead(struct source *s, const struct tlog_path *path)
{
    char text[TLOG_PATH_SIZE];
    if (s->ops.ahead == NULL)
        return;
    tlog_path_write(path, text);
    source_announce(s, text, most(path->file));
}

bool source_lists(const struct source *s)
{
    return s->ops.list != NULL;
}

int source_list(struct source *s, source_name_fn *on_name, void *context, struct err *err)
{
    return s->ops.list(s->context, on_name, context, err);
}
