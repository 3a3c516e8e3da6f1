/* fuzz_record.c - any bytes as a worker's messages: refused, or read without leaving the message.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct record *r, uint64_t seq)
{
    struct buf again;
    struct record twice;
    uint64_t seq_twice;
    RF_ASSERT(r->kind > RECORD_NONE && r->kind < RECORD_KIND_COUNT);
    RF_ASSERT(strlen(r->region) <= RECORD_WORD_MAX && strlen(r->place) <= 2);
    RF_ASSERT(r->sql[r->sql_len] == '\0');
    /* What was read can be written, and reads the same. */
    buf_init(&again, RECORD_MAX + 4);
    RF_ASSERT(record_write(&again, seq, r) == 0);
    RF_ASSERT(record_read(buf_at(&again) + 4, buf_len(&again) - 4, &seq_twice, &twice) == 0);
    RF_ASSERT(seq == seq_twice && strcmp(r->detail, twice.detail) == 0);
    RF_ASSERT(memcmp(r->sql, twice.sql, r->sql_len) == 0);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[RECORD_WORD_MAX + 1];
    struct record record;
    uint64_t seq, instance;
    if (record_read(data, size, &seq, &record) == 0)
        use(&record, seq);
    if (record_hello_read(data, size, &instance, name) == 0)
        RF_ASSERT(instance != 0 && name[0] != '\0');
    return 0;
}
