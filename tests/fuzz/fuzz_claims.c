/* fuzz_claims.c - any bytes as a file of claims: all of it is right, or mistakes are told. */
#include <stdint.h>

#include "policy/mistakes.h"
#include "verify/claim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct claims *c)
{
    static const char text[] =
        "{\"v\":1,\"type\":\"transfer\",\"minute\":\"2026-11-22T10:05Z\","
        "\"id\":\"00000000000000000000000000000000\",\"region\":\"us\",\"entity\":\"e\","
        "\"place\":\"CN\",\"from\":\"2026-11-22T10:00Z\",\"until\":\"2026-11-22T10:05Z\",\"rows\":"
        "4,"
        "\"d\":\"0000000000000000000000000000000000000000000000000000000000000000\"}";
    struct claim_result result;
    struct logleaf leaf;
    struct err err;
    RF_ASSERT(logleaf_read(text, sizeof(text) - 1, &leaf) == 0);
    claims_log(c, "log.example.com/us");
    RF_ASSERT(claims_leaf(c, 1, &leaf, &err) == 0);
    for (size_t i = 0; i < claims_count(c); i++) {
        claims_judge(c, i, &result);
        RF_ASSERT(result.name[0] != '\0' && result.lower <= result.upper);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mistakes mistakes;
    struct claims *claims = NULL;
    mistakes_init(&mistakes);
    int rc = claims_read("fuzz", (const char *)data, size, &claims, &mistakes);
    RF_ASSERT((rc == 0) == (claims != NULL) && (rc == 0) == !mistakes_any(&mistakes));
    if (claims != NULL)
        use(claims);
    claims_free(claims);
    mistakes_done(&mistakes);
    return 0;
}
