#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

#if defined(__x86_64__)
#    include <nmmintrin.h>
#endif

/* Fetched once: EVP_sha256() would look the algorithm up anew for each of many small digests. */
static EVP_MD *sha256;
static EVP_MD_CTX *context;

int digest_init(struct err *err)
{
    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (context == NULL)
        context = EVP_MD_CTX_new();
    if (sha256 == NULL || context == NULL || EVP_DigestInit_ex(context, sha256, NULL) != 1)
        return err_set(err, RF_EBUG, "cannot initialise SHA-256");
    return 0;
}

void digest_pieces(const struct iovec *pieces, size_t count, uint8_t ret[DIGEST_LEN])
{
    RF_ASSERT(context != NULL);
    RF_ASSERT(EVP_DigestInit_ex(context, NULL, NULL) == 1);
    for (size_t i = 0; i < count; i++)
        RF_ASSERT(EVP_DigestUpdate(context, pieces[i].iov_base, pieces[i].iov_len) == 1);
    RF_ASSERT(EVP_DigestFinal_ex(context, ret, NULL) == 1);
}

int digest_file(int fd, uint8_t ret[DIGEST_LEN])
{
    uint8_t chunk[16384];
    RF_ASSERT(context != NULL);
    RF_ASSERT(EVP_DigestInit_ex(context, NULL, NULL) == 1);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -RF_ESYS;
        if (n == 0)
            break;
        RF_ASSERT(EVP_DigestUpdate(context, chunk, (size_t)n) == 1);
    }
    RF_ASSERT(EVP_DigestFinal_ex(context, ret, NULL) == 1);
    return 0;
}

/* Four bits at a time: sixteen words of table, and the only path on machines without the
   instruction. */
uint32_t digest_crc32c_plain(uint32_t crc, const void *bytes, size_t n)
{
    static const uint32_t steps[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *at = bytes;
    crc = ~crc;
    while (n-- > 0) {
        crc ^= *at++;
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *at,
                                                               size_t n)
{
    uint64_t wide = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        __builtin_memcpy(&word, at, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    while (n-- > 0)
        narrow = _mm_crc32_u8(narrow, *at++);
    return ~narrow;
}
#endif

uint32_t digest_crc32c(uint32_t crc, const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, bytes, n);
#endif
    return digest_crc32c_plain(crc, bytes, n);
}

void digest_hex(const uint8_t *bytes, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * n] = '\0';
}
