#include "ledger/daykey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "ledger/leaf.h"

enum { MINUTES_A_DAY = 24 * 60 };

struct daykey_store {
    char folder[PATH_MAX];
    uint8_t *key; /* sodium_malloc(): guarded pages, wiped when freed */
    uint8_t id[SEAL_KEY_ID_LEN];
    uint32_t day; /* since 1970; which one `key` is of */
    bool has_key;
    bool is_missing; /* that day has no file: not looked for again and again */
    bool is_locked;
};

int daykey_open(const char *state_dir, struct daykey_store **ret, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, RF_EBUG, "cannot initialise libsodium");
    int rc = digest_init(err);
    if (rc < 0)
        return rc;
    struct daykey_store *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int n = snprintf(s->folder, sizeof(s->folder), "%s/keys/day", state_dir);
    if (n < 0 || n > PATH_MAX - 32) { /* room for a file's name */
        mem_free(s);
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir);
    }
    s->key = sodium_malloc(SEAL_KEY_LEN);
    if (s->key == NULL) {
        mem_free(s);
        return err_set(err, RF_ENOMEM, "out of memory");
    }
    s->is_locked = sodium_mlock(s->key, SEAL_KEY_LEN) == 0;
    *ret = s;
    return 0;
}

void daykey_close(struct daykey_store *s)
{
    if (s == NULL)
        return;
    sodium_free(s->key); /* wipes */
    mem_free(s);
}

bool daykey_is_locked(const struct daykey_store *s)
{
    return s->is_locked;
}

static void path_of(const struct daykey_store *s, uint32_t day, const char *ending,
                    char ret[PATH_MAX])
{
    char minute[18];
    leaf_minute_format(day * MINUTES_A_DAY, minute);
    (void)snprintf(ret, PATH_MAX, "%.*s/%.10s.key%s", PATH_MAX - 32, s->folder, minute, ending);
}

/* 0, -RF_ENOTFOUND without a text, or another failure. */
static int load(struct daykey_store *s, uint32_t day, struct err *err)
{
    char path[PATH_MAX], *bytes;
    size_t len;
    struct stat st;
    path_of(s, day, "", path);
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return -RF_ENOTFOUND;
    int rc = fd_read_secret(path, SEAL_KEY_LEN, &bytes, &len, err);
    if (rc < 0)
        return rc;
    if (len != SEAL_KEY_LEN) {
        mem_free_secret(bytes, len);
        rc = err_set(err, RF_ECONFIG, "day key \"%s\" has %zu bytes instead of 32", path, len);
        err_hint(err, "restore it from a copy; a new key cannot open that day's entries");
        return rc;
    }
    memcpy(s->key, bytes, SEAL_KEY_LEN);
    mem_free_secret(bytes, len);
    return 0;
}

/* Written under another name and renamed, so that half a key is never taken for one; both the file
   and its name are on disk before anything is sealed with it. */
static int create(struct daykey_store *s, uint32_t day, struct err *err)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    path_of(s, day, ".new", fresh);
    path_of(s, day, "", path);
    randombytes_buf(s->key, SEAL_KEY_LEN);
    if (FAULT("daykey.create")) {
        errno = ENOSPC;
        return err_sys(err, "could not make day key \"%s\"", path);
    }
    return folder_place_file(s->folder, fresh, path, s->key, SEAL_KEY_LEN, err);
}

static int remember(struct daykey_store *s, uint32_t day, int loaded)
{
    s->day = day;
    s->has_key = loaded == 0;
    s->is_missing = loaded == -RF_ENOTFOUND;
    if (s->has_key)
        seal_key_id(s->key, s->id);
    else
        sodium_memzero(s->key, SEAL_KEY_LEN);
    return loaded;
}

int daykey_find(struct daykey_store *s, uint32_t minute, const uint8_t **ret_key,
                const uint8_t **ret_id, struct err *err)
{
    uint32_t day = minute / MINUTES_A_DAY;
    bool is_known = s->day == day && (s->has_key || s->is_missing);
    int rc = is_known ? (s->has_key ? 0 : -RF_ENOTFOUND) : remember(s, day, load(s, day, err));
    if (rc < 0)
        return rc;
    *ret_key = s->key;
    *ret_id = s->id;
    return 0;
}

int daykey_make(struct daykey_store *s, uint32_t minute, const uint8_t **ret_key,
                const uint8_t **ret_id, struct err *err)
{
    uint32_t day = minute / MINUTES_A_DAY;
    int rc = daykey_find(s, minute, ret_key, ret_id, err);
    if (rc != -RF_ENOTFOUND)
        return rc;
    rc = remember(s, day, create(s, day, err));
    if (rc < 0)
        return rc;
    *ret_key = s->key;
    *ret_id = s->id;
    return 0;
}

bool daykey_is_there(const struct daykey_store *s, uint32_t minute)
{
    char path[PATH_MAX];
    struct stat st;
    path_of(s, minute / MINUTES_A_DAY, "", path);
    return lstat(path, &st) == 0;
}

/* Noise, and then zeros, each synced. What a file system or a disk keeps of old blocks all the same
   is beyond this program (docs/formats/journal.md, section 9). */
static int overwrite(int fd, size_t len)
{
    uint8_t bytes[4 * SEAL_KEY_LEN];
    if (len > sizeof(bytes)) /* no key: whatever it is, its beginning goes */
        len = sizeof(bytes);
    randombytes_buf(bytes, len);
    errno = EIO; /* of a short write */
    if (FAULT("daykey.destroy") || pwrite(fd, bytes, len, 0) != (ssize_t)len || fsync(fd) < 0)
        return -1;
    sodium_memzero(bytes, sizeof(bytes));
    errno = EIO;
    return FAULT("daykey.destroy") || pwrite(fd, bytes, len, 0) != (ssize_t)len || fsync(fd) < 0
               ? -1
               : 0;
}

/* 1, 0 when there is no such file. */
static int destroy_file(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, "could not open day key \"%s\"", path);
    int rc = fstat(fd, &st) < 0 || overwrite(fd, (size_t)st.st_size) < 0 ||
                     FAULT("daykey.destroy") || unlink(path) < 0
                 ? err_sys(err, "could not destroy day key \"%s\"", path)
                 : 1;
    fd_close(&fd);
    return rc;
}

int daykey_destroy(struct daykey_store *s, uint32_t minute, struct err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    path_of(s, minute / MINUTES_A_DAY, "", path);
    path_of(s, minute / MINUTES_A_DAY, ".new", fresh);
    int unfinished = destroy_file(fresh, err);
    int rc = unfinished < 0 ? unfinished : destroy_file(path, err);
    if (rc < 0)
        return rc;
    if (rc == 1 || unfinished == 1) {
        int synced = folder_sync(s->folder, err);
        if (synced < 0)
            return synced;
    }
    if (s->day == minute / MINUTES_A_DAY)
        (void)remember(s, s->day, -RF_ENOTFOUND); /* forgets it */
    return rc;
}
