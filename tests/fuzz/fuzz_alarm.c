/* fuzz_alarm.c - a reader with a planted fault, to prove that a fuzzer of this build finds one.
 *
 * It believes a length that the peer sent: three magic bytes, then an index into a small table
 * without a check. Coverage has to lead the fuzzer there, the sanitiser has to see it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { TABLE_LEN = 16 };
    if (size < 4 || data[0] != 'R' || data[1] != 'i' || data[2] != 'f')
        return 0;
    volatile uint8_t *table = malloc(TABLE_LEN);
    if (table == NULL)
        return 0;
    table[data[3]] = 1;
    free((void *)(uintptr_t)table);
    return 0;
}
