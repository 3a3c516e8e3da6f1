#include "ledger/vrfkey.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/mem.h"

enum { FILE_MAX = 256 };

static const char head[] = "ringfence-vrf@1 ";

int vrfkey_load(const char *path, const char *region, uint8_t ret[VRF_SECRET_LEN], struct err *err)
{
    uint8_t public[VRF_PUBLIC_LEN];
    char *text = NULL;
    size_t len, n = 0, region_len = strlen(region);
    int rc = fd_read_secret(path, FILE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    const char *at = text + sizeof(head) - 1;
    if (strncmp(text, head, sizeof(head) - 1) != 0 || len < sizeof(head) + region_len + 2)
        rc = err_set(err, RF_ECONFIG, "\"%.200s\" is no VRF key", path);
    else if (strncmp(at, region, region_len) != 0 || at[region_len] != ' ')
        rc = err_set(err, RF_ECONFIG, "the VRF key in \"%.200s\" is not of region \"%.60s\"", path,
                     region);
    else {
        const char *key = at + region_len + 1;
        size_t key_len = strcspn(key, "\n");
        if (key + key_len + 1 != text + len ||
            base64_decode(key, key_len, ret, VRF_SECRET_LEN, &n) < 0 || n != VRF_SECRET_LEN ||
            vrf_public_of(ret, public) < 0)
            rc = err_set(err, RF_ECONFIG, "\"%.200s\" is no VRF key", path);
    }
    mem_free_secret(text, len);
    if (rc < 0)
        explicit_bzero(ret, VRF_SECRET_LEN);
    return rc;
}

int vrfkey_save(const char *path, const char *region, const uint8_t secret[VRF_SECRET_LEN],
                struct err *err)
{
    char text[FILE_MAX], key[BASE64_LEN(VRF_SECRET_LEN) + 1];
    (void)base64_encode(secret, VRF_SECRET_LEN, key);
    int len = snprintf(text, sizeof(text), "%s%s %s\n", head, region, key);
    int rc = 0, fd = -1;
    if (len < 0 || len >= (int)sizeof(text))
        rc = err_set(err, RF_EINVAL, "name of the region is too long");
    else if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
        rc = err_sys(err, "could not create \"%s\"", path);
    else if (fd_write_all(fd, text, (size_t)len) < 0 || fsync(fd) < 0)
        rc = err_sys(err, "could not write \"%s\"", path);
    fd_close(&fd);
    explicit_bzero(text, sizeof(text));
    explicit_bzero(key, sizeof(key));
    return rc;
}
