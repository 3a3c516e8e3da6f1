#include "verify/stray.h"

#include <string.h>

#include "tlog/bundle.h"

struct walk {
    struct source *from;
    uint64_t size, beyond;
    bool tell_beyond;
    struct findings *to;
    struct buf older;
    struct err *err;
};

static void wrong(const struct walk *w, const char *path, const char *what)
{
    findings_add(w->to, FINDING_TAMPERED, path, FINDING_NO_LEAF, "%s", what);
}

/* Is the older partial tile in W->older the beginning of what is there NOW? */
static bool begins(struct walk *w, const struct tlog_path *path, const struct source_file *now)
{
    static struct bundle_entry entries[TLOG_TILE_WIDTH];
    size_t n = buf_len(&w->older);
    if (n == 0 || n > now->len || memcmp(buf_at(&w->older), now->bytes, n) != 0)
        return false;
    return path->file == TLOG_FILE_TILE
               ? n == (size_t)path->width * DIGEST_LEN
               : bundle_read(buf_at(&w->older), n, path->width, entries) == 0;
}

static int judge_older(struct walk *w, const char *name, const struct tlog_path *path,
                       unsigned width)
{
    struct tlog_path now = *path;
    struct source_file file;
    int rc = source_read_exact(w->from, path, &file, w->err);
    if (rc <= 0)
        return rc; /* gone: the writer collects them */
    buf_clear(&w->older);
    if (buf_append(&w->older, file.bytes, file.len) < 0)
        return err_set(w->err, RF_ENOMEM, "out of memory");
    now.width = width;
    rc = source_read(w->from, &now, &file, w->err);
    if (rc == 1 && !begins(w, path, &file))
        wrong(w, name, "an older partial tile that is not the beginning of the present one");
    return rc < 0 ? rc : 0;
}

/* A writer's unfinished file: NAME.new, of a canonical name. */
static bool is_unfinished(const char *name)
{
    struct tlog_path path;
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".new") == 0 && tlog_path_read(name, n - 4, &path) == 0;
}

static int on_name(void *context, const char *name, bool is_file)
{
    struct walk *w = context;
    struct tlog_path path;
    if (!is_file) {
        wrong(w, name, "is neither a file nor a folder");
        return 0;
    }
    if (is_unfinished(name))
        return 0;
    if (tlog_path_read(name, strlen(name), &path) < 0) {
        wrong(w, name, "no file of a log has this name");
        return 0;
    }
    unsigned level = path.file == TLOG_FILE_TILE ? path.level : 0;
    unsigned width = tlog_tile_width(w->size, level, path.index);
    if (path.width > width) {
        w->beyond++;
        if (w->tell_beyond)
            wrong(w, name, "lies beyond the size of the checkpoint");
        return 0;
    }
    return path.width < width ? judge_older(w, name, &path, width) : 0;
}

int stray_judge(struct source *from, uint64_t size, bool tell_beyond, struct findings *to,
                uint64_t *ret_beyond, struct err *err)
{
    struct walk w = {
        .from = from, .size = size, .tell_beyond = tell_beyond, .to = to, .err = err
    };
    buf_init(&w.older, SOURCE_BUNDLE_MAX + 1);
    int rc = source_list(from, on_name, &w, err);
    buf_done(&w.older);
    *ret_beyond = w.beyond;
    return rc;
}
