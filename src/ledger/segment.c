#include "ledger/segment.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

int segment_folder(const char *state_dir, char ret[PATH_MAX], struct err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/journal", state_dir);
    if (n < 0 || n > PATH_MAX - 48) /* room for a file's name */
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir);
    return 0;
}

void segment_path(const char *folder, uint64_t first, const char *ending, char ret[PATH_MAX])
{
    (void)snprintf(ret, PATH_MAX, "%.*s/%020" PRIu64 ".journal%s", PATH_MAX - 48, folder, first,
                   ending);
}

static bool ends_with(const char *s, const char *ending)
{
    size_t n = strlen(s), m = strlen(ending);
    return n >= m && strcmp(s + n - m, ending) == 0;
}

static bool name_read(const char *name, uint64_t *ret)
{
    uint64_t value = 0;
    if (strlen(name) != SEGMENT_NAME_LEN || strcmp(name + 20, ".journal") != 0)
        return false;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    *ret = value;
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static int add(struct segment_list *list, uint64_t first, struct err *err)
{
    if (list->count == SEGMENT_COUNT_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d segments", (int)SEGMENT_COUNT_MAX);
    if ((list->count & (list->count - 1)) == 0) { /* full at every power of two */
        size_t room = list->count > 0 ? 2 * list->count : 1;
        uint64_t *grown = mem_realloc(list->first, room * sizeof(*grown));
        if (grown == NULL)
            return err_set(err, RF_ENOMEM, "out of memory");
        list->first = grown;
    }
    list->first[list->count++] = first;
    return 0;
}

static int take_name(const char *folder, const char *name, bool remove_unfinished,
                     struct segment_list *list, struct err *err)
{
    char path[PATH_MAX];
    uint64_t first;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
        strcmp(name, "lost+found") == 0)
        return 0;
    if (name_read(name, &first))
        return add(list, first, err);
    if (!ends_with(name, ".new"))
        return err_set(err, RF_ETAMPER, "\"%s/%.100s\" is no file of the journal", folder, name);
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (remove_unfinished && n > 0 && n < PATH_MAX && unlink(path) < 0 && errno != ENOENT)
        return err_sys(err, "could not remove \"%s\"", path);
    return 0;
}

int segment_list_read(const char *folder, bool remove_unfinished, struct segment_list *ret,
                      struct err *err)
{
    int rc = 0;
    *ret = (struct segment_list){ 0 };
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return err_sys(err, "could not open folder \"%s\"", folder);
    while (rc == 0) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            rc = errno != 0 ? err_sys(err, "could not read folder \"%s\"", folder) : 0;
            break;
        }
        rc = take_name(folder, entry->d_name, remove_unfinished, ret, err);
    }
    (void)closedir(dir);
    if (rc == 0 && ret->count > 1)
        qsort(ret->first, ret->count, sizeof(*ret->first), compare);
    return rc;
}

void segment_list_done(struct segment_list *list)
{
    mem_free(list->first);
    *list = (struct segment_list){ 0 };
}
