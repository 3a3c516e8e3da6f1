/* sample.h - leaves picked by chance that nobody could foresee (audits).
 *
 * For a checkpoint (origin, size, root) and a SEED that became known after it was signed, such as
 * a public randomness beacon's value:
 *     h(i) = SHA-256("ringfence-audit@1\n" || u16 len || origin || u64 size || root ||
 *                    u16 len || SEED || u64 i)                              i = 0, 1, 2, …
 *     x(i) = the first 8 bytes of h(i), big-endian; left out when x(i) >= 2^64 - 2^64 mod size
 * The sample is the first COUNT different values of x(i) mod size, in ascending order. */
#ifndef RF_VERIFY_SAMPLE_H
#define RF_VERIFY_SAMPLE_H

#include "tlog/checkpoint.h"

enum { SAMPLE_MAX = 10000, SAMPLE_SEED_MAX = 1024 };

/* RET has room for COUNT (at most SAMPLE_MAX); returns how many, fewer when the log has fewer. */
size_t sample_pick(const struct checkpoint *c, const char *seed, size_t count, uint64_t *ret);

#endif
