/* The password file: accepted whole, or refused with a reason. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/passfile.h"
#include "policy/mistakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct passfile *p = NULL;
    struct mistakes mistakes;
    mistakes_init(&mistakes);
    int rc = passfile_parse("fuzz", (const char *)data, size, &p, &mistakes);
    RF_ASSERT((rc == 0) == (p != NULL));
    RF_ASSERT((rc == 0) == !mistakes_any(&mistakes));
    if (p != NULL) {
        const char *password = passfile_find(p, "/tmp", 5432, "app", "alice");
        RF_ASSERT(password == NULL || strlen(password) > 0);
    }
    passfile_free(p);
    mistakes_done(&mistakes);
    return 0;
}
