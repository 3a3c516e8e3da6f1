#include "verify/remember.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "verify/source.h"

int remember_folder(char ret[PATH_MAX], struct err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state != NULL && state[0] == '/')
        n = snprintf(ret, PATH_MAX, "%s/ringfence", state);
    else if (home != NULL && home[0] == '/')
        n = snprintf(ret, PATH_MAX, "%s/.local/state/ringfence", home);
    else
        return err_set(err, RF_EUSAGE, "no folder to remember checkpoints in: name it");
    return n < PATH_MAX ? 0 : err_set(err, RF_ETOOBIG, "path of the state folder is too long");
}

static void name_of(const struct key *key, char ret[2 * DIGEST_LEN + 1])
{
    uint8_t digest[DIGEST_LEN];
    const struct iovec piece = digest_piece(key->name, strlen(key->name));
    digest_pieces(&piece, 1, digest);
    digest_hex(digest, sizeof(digest), ret);
}

static int path_of(const char *folder, const struct key *key, char ret[PATH_MAX], struct err *err)
{
    char name[2 * DIGEST_LEN + 1];
    name_of(key, name);
    if (snprintf(ret, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path of the remembered checkpoint is too long");
    return 0;
}

static int parse(const char *path, const char *bytes, size_t n, const struct key *key,
                 struct checkpoint *ret, struct err *err)
{
    struct note *note = mem_zalloc(1, sizeof(*note));
    struct err why;
    if (note == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = 1;
    if (note_read(bytes, n, note, &why) < 0 || note_verify(note, key, NULL, &why) != 1 ||
        checkpoint_read(note->text, note->text_len, ret, &why) < 0 ||
        strcmp(ret->origin, key->name) != 0) {
        rc = err_set(err, RF_EIO, "the remembered checkpoint \"%.200s\" is not signed by this key",
                     path);
        err_hint(err, "if that log really has a new key, forget the old one with --forget");
    }
    mem_free(note);
    return rc;
}

int remember_read(const char *folder, const struct key *key, struct checkpoint *ret,
                  struct err *err)
{
    char path[PATH_MAX], *bytes;
    size_t n;
    int rc = path_of(folder, key, path, err);
    if (rc < 0)
        return rc;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    rc = fd_read_file(path, NOTE_MAX, &bytes, &n, err);
    if (rc < 0)
        return rc;
    rc = parse(path, bytes, n, key, ret, err);
    mem_free(bytes);
    return rc;
}

int remember_write(const char *folder, const struct key *key, const void *note, size_t n,
                   struct err *err)
{
    char name[2 * DIGEST_LEN + 1];
    name_of(key, name);
    return source_keep(folder, name, note, n, err);
}

int remember_forget(const char *folder, const struct key *key, struct err *err)
{
    char path[PATH_MAX];
    int rc = path_of(folder, key, path, err);
    if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
        rc = err_sys(err, "could not forget \"%.200s\"", path);
    return rc;
}
