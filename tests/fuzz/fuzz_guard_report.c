/* Messages between worker and parser: what is read can be written, and reads back the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guard/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard_report report;
    const char *sql;
    size_t len;
    uint32_t id;
    if (guard_request_read(data, size, &id, &sql, &len) == 0)
        RF_ASSERT(len <= GUARD_SQL_MAX && (len == 0 || memchr(sql, 0, len) == NULL));
    if (guard_report_read(data, size, &report) < 0)
        return 0;
    struct buf b;
    buf_init(&b, 1024 * 1024);
    RF_ASSERT(guard_report_write(&b, &report) == 0);
    RF_ASSERT(buf_len(&b) == size && memcmp(buf_at(&b), data, size) == 0);
    RF_ASSERT(strlen(guard_report_sqlstate(&report)) == 5);
    for (uint32_t i = 0; i < report.count; i++)
        RF_ASSERT(guard_refusal_sentence(report.statements[i].refusal) != NULL);
    buf_done(&b);
    return 0;
}
