/* fuzz_errand.c - any packet between notary and courier: refused, or exactly what a writer makes.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/errand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct buf *again, const uint8_t *data, size_t size)
{
    RF_ASSERT(buf_len(again) == size && memcmp(buf_at(again), data, size) == 0);
    buf_done(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct errand_post post;
    struct errand_answer answer;
    struct buf again;
    buf_init(&again, ERRAND_MESSAGE_MAX);
    if (errand_post_read(data, size, &post) == 0) {
        RF_ASSERT(errand_post_write(&again, &post) == 0);
        same(&again, data, size);
    }
    if (errand_answer_read(data, size, &answer) == 0) {
        RF_ASSERT(errand_answer_write(&again, &answer) == 0);
        same(&again, data, size);
    }
    return 0;
}
