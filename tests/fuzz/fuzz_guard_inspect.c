/* SQL of a hostile person through libpg_query and our walk. Texts are short: what libpg_query does
 * with deep ones is its own matter, and the reason for the parser process. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guard/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SHORT = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard_report report, back;
    struct buf b;
    if (size > SHORT || (size > 0 && memchr(data, 0, size) != NULL))
        return 0;
    guard_inspect((const char *)data, size, &report);
    RF_ASSERT(report.status == GUARD_PARSED || report.count == 0);
    RF_ASSERT(report.status == GUARD_PARSED || report.message[0] != '\0');
    uint32_t end = 0;
    for (uint32_t i = 0; i < report.count; i++) {
        const struct guard_statement *s = &report.statements[i];
        RF_ASSERT(s->offset >= end && s->len > 0 && s->offset + s->len <= size);
        end = s->offset + s->len;
    }
    buf_init(&b, GUARD_MESSAGE_MAX);
    RF_ASSERT(guard_report_write(&b, &report) == 0);
    RF_ASSERT(guard_report_read(buf_at(&b), buf_len(&b), &back) == 0);
    buf_done(&b);
    guard_inspect_done(&report);
    return 0;
}
