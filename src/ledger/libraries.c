#include "ledger/libraries.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

enum { LIST_MAX = 256, LINE_SIZE = 2 * DIGEST_LEN + 2 + 256 };

struct list {
    const char *paths[LIST_MAX]; /* the loader's own, for the life of the process */
    size_t count;
};

/* The program itself has no name, and what the kernel maps no path. */
static int gather(struct dl_phdr_info *info, size_t size, void *context)
{
    struct list *list = context;
    (void)size;
    if (info->dlpi_name != NULL && info->dlpi_name[0] == '/' && list->count < LIST_MAX)
        list->paths[list->count++] = info->dlpi_name;
    return 0;
}

static int line_of(const char *path, char ret[LINE_SIZE], struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open library \"%s\"", path);
    if (digest_file(fd, digest) < 0)
        rc = err_sys(err, "could not read library \"%s\"", path);
    fd_close(&fd);
    if (rc < 0)
        return rc;
    digest_hex(digest, sizeof(digest), hex);
    (void)snprintf(ret, LINE_SIZE, "%s  %.250s\n", hex, strrchr(path, '/') + 1);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const char *one = a, *other = b;
    return strcmp(one, other);
}

int libraries_list(struct buf *to, struct err *err)
{
    static char lines[LIST_MAX][LINE_SIZE]; /* once a process, before it serves */
    struct list list = { .count = 0 };
    int rc = digest_init(err);
    (void)dl_iterate_phdr(gather, &list);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        rc = line_of(list.paths[i], lines[i], err);
    if (rc < 0)
        return rc;
    qsort(lines, list.count, sizeof(lines[0]), compare);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        rc = buf_append(to, lines[i], strlen(lines[i]));
    return rc < 0 ? err_set(err, RF_ENOMEM, "out of memory for the list of libraries") : 0;
}

int libraries_digest(uint8_t ret[DIGEST_LEN], struct err *err)
{
    struct buf text;
    buf_init(&text, LIBRARIES_LIST_MAX);
    int rc = libraries_list(&text, err);
    if (rc == 0) {
        const struct iovec piece = digest_piece(buf_at(&text), buf_len(&text));
        digest_pieces(&piece, 1, ret);
    }
    buf_done(&text);
    return rc;
}
