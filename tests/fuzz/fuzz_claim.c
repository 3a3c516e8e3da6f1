/* fuzz_claim.c - any bytes as a claim file: refused with a place, or each line reads as it is
 * written. The key is the one that the seeds are signed with, so that a verifier gets past it. */
#include <sodium.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vkey[] =
    "log.example.com/one+a79321b0+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

static void read_and_write_back(const uint8_t *data, size_t size, struct claim_line *line)
{
    struct claim_reader r = claim_read_begin(data, size);
    struct err err = { 0 };
    struct buf again;
    int rc;
    buf_init(&again, CLAIM_MAX);
    struct claim_writer w = claim_write_begin(&again);
    while ((rc = claim_read(&r, line, &err)) == 1)
        RF_ASSERT(claim_write(&w, line) == 0);
    RF_ASSERT(rc == 0 || (rc == -RF_EPROTO && err.line[0] != '\0'));
    /* What was taken so far has one spelling. */
    RF_ASSERT(buf_len(&again) <= size);
    RF_ASSERT(buf_len(&again) == 0 || memcmp(buf_at(&again), data, buf_len(&again)) == 0);
    RF_ASSERT(rc < 0 || buf_len(&again) == size);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct claim_line *line;
    static struct key key;
    struct claim_trust trust = { .keys = &key, .key_count = 1 };
    struct claim_result result;
    struct err err = { 0 };
    if (line == NULL) {
        line = mem_zalloc(1, sizeof(*line));
        RF_ASSERT(line != NULL && sodium_init() >= 0 && digest_init(&err) == 0);
        RF_ASSERT(key_read(vkey, strlen(vkey), &key, &err) == 0);
    }
    read_and_write_back(data, size, line);
    int rc = claim_verify(data, size, &trust, &result, &err);
    RF_ASSERT(rc == 0 || rc == -RF_EPROTO || rc == -RF_ETAMPER);
    RF_ASSERT(rc == 0 || err.line[0] != '\0');
    return 0;
}
