#include "hub/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/beneath.h"
#include "tlog/checkpoint.h"
#include "tlog/note.h"

static void open_folder(struct log_folder *f)
{
    struct stat st;
    f->fd = open(f->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (f->fd >= 0 && fstat(f->fd, &st) == 0) {
        f->dev = st.st_dev;
        f->ino = st.st_ino;
    }
    if (f->fd < 0)
        log_warn("log-folder-missing", "region=%s directory=%s reason=\"%s\"", f->region,
                 f->directory, strerrordesc_np(errno));
}

static int new_list(const struct config_hub *hub, struct logs *ret, struct err *err)
{
    struct logs l = { .list = mem_zalloc(hub->log_count + 1, sizeof(*l.list)) }; /* + 1: never 0 */
    if (l.list == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for %zu logs", hub->log_count);
    for (; l.count < hub->log_count; l.count++)
        l.list[l.count] = (struct log_folder){ .region = hub->logs[l.count].region,
                                               .directory = hub->logs[l.count].directory,
                                               .fd = -1 };
    *ret = l;
    return 0;
}

int logs_open(const struct config_hub *hub, struct logs *ret, struct err *err)
{
    int rc = digest_init(err); /* an empty log's root is compared */
    if (rc == 0)
        rc = new_list(hub, ret, err);
    for (size_t i = 0; rc == 0 && i < ret->count; i++)
        open_folder(&ret->list[i]);
    return rc;
}

void logs_done(struct logs *l)
{
    for (size_t i = 0; i < l->count; i++)
        fd_close(&l->list[i].fd);
    mem_free(l->list);
    *l = (struct logs){ 0 };
}

/* The folder at F's path is there, and is not the one that F may open. */
static bool is_another(const struct log_folder *f)
{
    struct stat st;
    return stat(f->directory, &st) == 0 && S_ISDIR(st.st_mode) &&
           (st.st_dev != f->dev || st.st_ino != f->ino);
}

bool logs_look(const struct logs *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (is_another(&l->list[i]))
            return true;
    return false;
}

static const struct log_folder *find(const struct logs *l, const char *directory)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->list[i].directory, directory) == 0)
            return &l->list[i];
    return NULL;
}

int logs_replace(struct logs *l, const struct config_hub *hub, struct err *err)
{
    struct logs next;
    int rc = new_list(hub, &next, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < next.count && rc == 0; i++) {
        struct log_folder *to = &next.list[i];
        const struct log_folder *from = find(l, to->directory);
        if (from != NULL) {
            to->dev = from->dev;
            to->ino = from->ino;
            to->fd = from->fd >= 0 ? fcntl(from->fd, F_DUPFD_CLOEXEC, 0) : -1;
            if (from->fd >= 0 && to->fd < 0)
                rc = err_sys(err, "could not keep folder \"%s\"", to->directory);
        }
        if (rc == 0 && is_another(to))
            rc = err_set(err, RF_EUNAVAIL, "only a new process can open \"%s\"", to->directory);
    }
    if (rc == 0) {
        logs_done(l);
        *l = next;
    } else {
        logs_done(&next);
    }
    return rc;
}

int logs_file(const struct logs *l, size_t index, const char *file)
{
    if (index >= l->count || l->list[index].fd < 0) {
        errno = ENOENT;
        return -1;
    }
    return beneath_open(l->list[index].fd, file, BENEATH_BEST);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static bool read_whole(int fd, char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t n = pread(fd, text + at, len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool read_size(int fd, const struct stat *st, uint64_t *ret_size)
{
    static struct note note; /* large, and used for a moment */
    struct checkpoint checkpoint;
    struct err err;
    if (st->st_size <= 0 || st->st_size > NOTE_MAX)
        return false;
    size_t len = (size_t)st->st_size;
    char *text = mem_zalloc(len, 1);
    bool ok = text != NULL && read_whole(fd, text, len) && note_read(text, len, &note, &err) == 0 &&
              checkpoint_read(note.text, note.text_len, &checkpoint, &err) == 0;
    if (ok)
        *ret_size = checkpoint.size;
    mem_free(text);
    return ok;
}

static bool is_same_file(const struct log_folder *f, const struct stat *st)
{
    return f->head_ino == st->st_ino && f->head_len == st->st_size &&
           f->head_time.tv_sec == st->st_mtim.tv_sec && f->head_time.tv_nsec == st->st_mtim.tv_nsec;
}

const struct log_head *logs_head(struct logs *l, size_t index)
{
    struct log_folder *f = &l->list[index];
    struct stat st;
    int fd = logs_file(l, index, "checkpoint");
    if (fd < 0 || fstat(fd, &st) < 0) {
        f->head = (struct log_head){ .state = errno == ENOENT ? LOG_MISSING : LOG_UNREADABLE };
        f->head_ino = 0;
        fd_close(&fd);
        return &f->head;
    }
    if (f->head_ino == 0 || !is_same_file(f, &st)) {
        f->head = (struct log_head){ .state = LOG_UNREADABLE };
        if (read_size(fd, &st, &f->head.size))
            f->head.state = LOG_READABLE;
        f->head.written_ms = st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
        f->head_time = st.st_mtim;
        f->head_ino = st.st_ino;
        f->head_len = st.st_size;
    }
    fd_close(&fd);
    return &f->head;
}
