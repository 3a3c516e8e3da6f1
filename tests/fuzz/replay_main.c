/* replay_main.c - feeds the files of a folder to a fuzz target, without a fuzzer.
 *
 * So every build, with every sanitiser and under valgrind, goes through what fuzzing once found and
 * through the seeds. Each input lies in a block of exactly its own length, so that a read past the
 * end is seen. Writes TAP: one line a file; an input that crashes leaves the plan unfulfilled. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int only_files(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The whole file in a block of its own, or NULL. */
static uint8_t *file_read(int folder, const char *name, size_t *ret_len)
{
    uint8_t *data = NULL;
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        size_t len = (size_t)st.st_size;
        data = malloc(len > 0 ? len : 1);
        if (data != NULL && read(fd, data, len) != (ssize_t)len) {
            free(data);
            data = NULL;
        }
        *ret_len = len;
    }
    fd_close(&fd);
    return data;
}

static int replay(int folder, struct dirent **entries, int count)
{
    int failed = 0;
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        size_t len = 0;
        uint8_t *data = file_read(folder, entries[i]->d_name, &len);
        if (data == NULL) {
            printf("not ok %d - %s could not be read\n", i + 1, entries[i]->d_name);
            failed++;
            continue;
        }
        (void)LLVMFuzzerTestOneInput(data, len); /* always 0; what counts is that it returns */
        free(data);
        printf("ok %d - %s\n", i + 1, entries[i]->d_name);
        (void)fflush(stdout);
    }
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = scandir(argv[1], &entries, only_files, alphasort);
    if (folder < 0 || count <= 0) {
        fprintf(stderr, "could not read any file of folder \"%s\"\n", argv[1]);
        return 3;
    }
    int rc = replay(folder, entries, count);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    fd_close(&folder);
    return rc;
}
