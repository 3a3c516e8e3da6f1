#include "tlog/key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tlog/line.h"

_Static_assert(KEY_PUBLIC_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(KEY_SEED_LEN == crypto_sign_SEEDBYTES, "Ed25519");
_Static_assert(KEY_SIGNATURE_LEN == crypto_sign_BYTES, "Ed25519");

/* --- names, ids, vkeys --- */

bool key_is_name(const char *name, size_t len)
{
    if (len == 0 || len > KEY_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return false;
    return true;
}

/* First four bytes of SHA-256(name, line feed, type, public key). */
static uint32_t id_of(const struct key *key)
{
    const uint8_t type = (uint8_t)key->type;
    const struct iovec pieces[] = {
        digest_piece(key->name, strlen(key->name)),
        digest_piece("\n", 1),
        digest_piece(&type, 1),
        digest_piece(key->public, sizeof(key->public)),
    };
    uint8_t digest[DIGEST_LEN];
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           digest[3];
}

/* The name of KEY, which is zeroed. */
static void set_name(struct key *key, const char *name, size_t len)
{
    memcpy(key->name, name, len);
}

static bool hex_id_read(struct line text, uint32_t *ret)
{
    uint32_t id = 0;
    if (text.len != 8)
        return false;
    for (size_t i = 0; i < 8; i++) {
        char c = text.at[i];
        bool is_digit = c >= '0' && c <= '9', is_letter = c >= 'a' && c <= 'f';
        if (!is_digit && !is_letter)
            return false;
        id = id << 4 | (uint32_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret = id;
    return true;
}

/* Cut what stands before the first `+` off REST: no name has one, though base64 may. */
static bool cut_plus(struct line *rest, struct line *ret)
{
    const char *plus = rest->len == 0 ? NULL : memchr(rest->at, '+', rest->len);
    if (plus == NULL)
        return false;
    size_t len = (size_t)(plus - rest->at);
    *ret = (struct line){ rest->at, len };
    rest->at += len + 1;
    rest->len -= len + 1;
    return true;
}

int key_read(const char *vkey, size_t len, struct key *ret, struct err *err)
{
    struct line rest = { vkey, len }, name, hex;
    struct key key = { .id = 0 };
    uint8_t bytes[1 + KEY_PUBLIC_LEN];
    uint32_t id;
    size_t n;
    if (!cut_plus(&rest, &name) || !cut_plus(&rest, &hex))
        return err_set(err, RF_EINVAL, "verifier key is not of the form NAME+ID+KEY");
    if (!key_is_name(name.at, name.len))
        return err_set(err, RF_EINVAL,
                       "name of the verifier key is empty, too long, or has a "
                       "character that is not printable ASCII");
    if (!hex_id_read(hex, &id))
        return err_set(err, RF_EINVAL, "id of verifier key \"%.*s\" is not eight hex digits",
                       (int)name.len, name.at);
    if (base64_decode(rest.at, rest.len, bytes, sizeof(bytes), &n) < 0 || n != sizeof(bytes))
        return err_set(err, RF_EINVAL, "verifier key \"%.*s\" is not base64 of %zu bytes",
                       (int)name.len, name.at, sizeof(bytes));
    if (bytes[0] != KEY_ED25519 && bytes[0] != KEY_COSIGNATURE)
        return err_set(err, RF_EINVAL, "verifier key \"%.*s\" is of type %02x, not 01 or 04",
                       (int)name.len, name.at, bytes[0]);
    set_name(&key, name.at, name.len);
    key.type = bytes[0];
    memcpy(key.public, bytes + 1, sizeof(key.public));
    key.id = id_of(&key);
    if (key.id != id)
        return err_set(err, RF_EINVAL, "verifier key \"%s\" has id %08x, and %08x belongs to it",
                       key.name, id, key.id);
    *ret = key;
    return 0;
}

void key_write(const struct key *key, char ret[KEY_VKEY_SIZE])
{
    uint8_t bytes[1 + KEY_PUBLIC_LEN];
    char text[BASE64_LEN(sizeof(bytes)) + 1];
    bytes[0] = (uint8_t)key->type;
    memcpy(bytes + 1, key->public, sizeof(key->public));
    (void)base64_encode(bytes, sizeof(bytes), text);
    (void)snprintf(ret, KEY_VKEY_SIZE, "%s+%08x+%s", key->name, key->id, text);
}

int key_load(const char *path, struct key *ret, struct err *err)
{
    char *text;
    size_t len;
    struct err why = { 0 };
    int rc = fd_read_file(path, KEY_VKEY_SIZE, &text, &len, err);
    if (rc < 0)
        return rc;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    rc = key_read(text, len, ret, &why);
    if (rc < 0)
        rc = err_set(err, RF_EINVAL, "file \"%s\": %s", path, why.line);
    mem_free(text);
    return rc;
}

/* --- secret keys --- */

/* libsodium wants seed and public key side by side. */
static void expand(const uint8_t seed[KEY_SEED_LEN], uint8_t public[KEY_PUBLIC_LEN],
                   uint8_t secret[crypto_sign_SECRETKEYBYTES])
{
    RF_ASSERT(crypto_sign_seed_keypair(public, secret, seed) == 0); /* never fails */
}

int secret_key_make(const char *name, enum key_type type, const uint8_t seed[KEY_SEED_LEN],
                    struct secret_key *ret, struct err *err)
{
    size_t len = strlen(name);
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    if (!key_is_name(name, len))
        return err_set(err, RF_EINVAL, "\"%.60s\" cannot name a key", name);
    if (type != KEY_ED25519 && type != KEY_COSIGNATURE)
        return err_set(err, RF_EINVAL, "keys of type %02x cannot be made", (unsigned)type);
    if (sodium_init() < 0)
        return err_set(err, RF_ESYS, "could not start libsodium");
    memset(ret, 0, sizeof(*ret));
    set_name(&ret->key, name, len);
    ret->key.type = type;
    memcpy(ret->seed, seed, sizeof(ret->seed));
    expand(seed, ret->key.public, secret);
    ret->key.id = id_of(&ret->key);
    explicit_bzero(secret, sizeof(secret));
    return 0;
}

static const char secret_mark[] = "ringfence-key@1 ";

enum {
    SECRET_SEED_CHARS = BASE64_LEN(KEY_SEED_LEN),
    SECRET_FILE_MAX = sizeof(secret_mark) - 1 + KEY_NAME_MAX + 1 + SECRET_SEED_CHARS + 1
};

static int secret_text_read(struct line rest, enum key_type type, struct secret_key *ret,
                            struct err *err)
{
    char name[KEY_NAME_MAX + 1] = "";
    uint8_t seed[KEY_SEED_LEN];
    struct line line;
    size_t n;
    int rc = -RF_EINVAL;
    bool is_line = line_cut(&rest, &line) && rest.len == 0 && line_skip(&line, secret_mark);
    const char *blank = is_line && line.len > 0 ? memchr(line.at, ' ', line.len) : NULL;
    size_t name_len = blank == NULL ? 0 : (size_t)(blank - line.at);
    if (blank != NULL && name_len <= KEY_NAME_MAX && line.len - name_len - 1 == SECRET_SEED_CHARS &&
        base64_decode(blank + 1, SECRET_SEED_CHARS, seed, sizeof(seed), &n) == 0 &&
        n == sizeof(seed)) {
        memcpy(name, line.at, name_len);
        if (strlen(name) == name_len)
            rc = secret_key_make(name, type, seed, ret, err);
    }
    explicit_bzero(seed, sizeof(seed));
    return rc;
}

int secret_key_load(const char *path, enum key_type type, struct secret_key *ret, struct err *err)
{
    char *text;
    size_t len;
    int rc = fd_read_secret(path, SECRET_FILE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    rc = secret_text_read((struct line){ text, len }, type, ret, err);
    if (rc == -RF_EINVAL) /* without a word of what stands there */
        rc = err_set(err, RF_EINVAL, "file \"%s\" is not a secret key: one line, %sNAME SEED", path,
                     secret_mark);
    mem_free_secret(text, len);
    return rc;
}

static int sync_folder_of(const char *path, struct err *err)
{
    char copy[PATH_MAX];
    int rc = 0, n = snprintf(copy, sizeof(copy), "%s", path);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open the folder of \"%s\"", path);
    int synced = fsync(fd);
    if (FAULT("key.sync_folder")) {
        errno = EIO;
        synced = -1;
    }
    if (synced < 0)
        rc = err_sys(err, "could not sync the folder of \"%s\"", path);
    fd_close(&fd);
    return rc;
}

static int write_and_sync(int fd, const char *path, const char *text, size_t len, struct err *err)
{
    if (fchmod(fd, 0600) < 0 || fd_write_all(fd, text, len) < 0)
        return err_sys(err, "could not write file \"%s\"", path);
    int synced = fsync(fd);
    if (FAULT("key.sync")) {
        errno = EIO;
        synced = -1;
    }
    return synced < 0 ? err_sys(err, "could not sync file \"%s\"", path) : 0;
}

int secret_key_save(const char *path, const struct secret_key *key, struct err *err)
{
    char text[SECRET_FILE_MAX + 1], seed[SECRET_SEED_CHARS + 1];
    int rc, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "could not create file \"%s\"", path);
    (void)base64_encode(key->seed, sizeof(key->seed), seed);
    int n = snprintf(text, sizeof(text), "%s%s %s\n", secret_mark, key->key.name, seed);
    rc = write_and_sync(fd, path, text, (size_t)n, err);
    if (rc == 0)
        rc = sync_folder_of(path, err);
    if (rc < 0)
        (void)unlink(path); /* a key that may be gone tomorrow must not be used today */
    fd_close(&fd);
    explicit_bzero(text, sizeof(text));
    explicit_bzero(seed, sizeof(seed));
    return rc;
}

void secret_key_wipe(struct secret_key *key)
{
    explicit_bzero(key, sizeof(*key));
}

/* --- signatures --- */

int key_sign(const struct secret_key *key, const void *message, size_t n,
             uint8_t ret[KEY_SIGNATURE_LEN])
{
    uint8_t public[KEY_PUBLIC_LEN], secret[crypto_sign_SECRETKEYBYTES];
    int rc = 0;
    expand(key->seed, public, secret);
    /* An Ed25519 signature for a public key that is not the seed's gives the secret away. */
    if (memcmp(public, key->key.public, sizeof(public)) != 0)
        rc = -RF_EINVAL;
    else if (crypto_sign_detached(ret, NULL, message, n, secret) != 0)
        rc = -RF_ESYS;
    explicit_bzero(secret, sizeof(secret));
    return rc;
}

bool key_verify(const struct key *key, const void *message, size_t n,
                const uint8_t signature[KEY_SIGNATURE_LEN])
{
    /* also before sodium_init(): nothing random, and one implementation on every machine */
    return crypto_sign_verify_detached(signature, message, n, key->public) == 0;
}
