/* digest.h - SHA-256 over several pieces, and CRC-32C: the two checksums of the journal. */
#ifndef RF_BASE_DIGEST_H
#define RF_BASE_DIGEST_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

enum { DIGEST_LEN = 32 };

/* Get the hash ready; the functions below may be called after it succeeded. Opens OpenSSL's files,
   so it comes before a sandbox. May be called again. One thread only. */
RF_CHECK int digest_init(struct err *err);

/* SHA-256 of COUNT pieces, one after another. A failure inside OpenSSL ends the process: a record
   without its digest must not exist. */
void digest_pieces(const struct iovec *pieces, size_t count, uint8_t ret[DIGEST_LEN]);

/* SHA-256 of what is left to read from FD. */
RF_CHECK int digest_file(int fd, uint8_t ret[DIGEST_LEN]);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4). CRC is 0, or the result for the bytes before these.
 */
uint32_t digest_crc32c(uint32_t crc, const void *bytes, size_t n);
uint32_t digest_crc32c_plain(uint32_t crc, const void *bytes, size_t n); /* without CPU support */

/* Lower-case hex of N bytes and a NUL; RET has room for 2 * N + 1. */
void digest_hex(const uint8_t *bytes, size_t n, char *ret);

static inline struct iovec digest_piece(const void *bytes, size_t n)
{
    union {
        const void *in;
        void *out; /* struct iovec has no const form */
    } at = { .in = bytes };
    return (struct iovec){ .iov_base = at.out, .iov_len = n };
}

#endif
