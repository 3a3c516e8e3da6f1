/* The credentials file: accepted whole, or refused with a reason. */
#include <stddef.h>
#include <stdint.h>

#include "auth/credentials.h"
#include "policy/mistakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credentials *c = NULL;
    struct mistakes mistakes;
    mistakes_init(&mistakes);
    int rc = credentials_parse("fuzz", (const char *)data, size, &c, &mistakes);
    RF_ASSERT((rc == 0) == (c != NULL));
    RF_ASSERT((rc == 0) == !mistakes_any(&mistakes));
    if (c != NULL) {
        const char *verifier = credentials_find(c, "alice");
        struct scram_server *s = NULL;
        int made = scram_server_new(verifier, "alice", credentials_mock(c), NULL, 0, &s);
        RF_ASSERT(made == 0); /* what was accepted can be used */
        scram_server_free(s);
    }
    credentials_free(c);
    mistakes_done(&mistakes);
    return 0;
}
