/* Auditors: the file is accepted whole, or refused with a reason; a header has a token or none. The
   first line is the header, the rest the file. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/auditors.h"
#include "base/digest.h"
#include "base/mem.h"
#include "policy/mistakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_file(const char *text, size_t len, const char *token, size_t token_len)
{
    struct auditors *a = NULL;
    struct mistakes mistakes;
    mistakes_init(&mistakes);
    int rc = auditors_parse("fuzz", text, len, &a, &mistakes);
    RF_ASSERT((rc == 0) == (a != NULL));
    RF_ASSERT((rc == 0) == !mistakes_any(&mistakes));
    if (a != NULL && token != NULL) {
        const char *late = auditors_find(a, token, token_len, INT64_MAX - 1);
        const char *early = auditors_find(a, token, token_len, 0);
        RF_ASSERT(late == NULL || late == early); /* time takes away, and brings nothing */
    }
    auditors_free(a);
    mistakes_done(&mistakes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    const char *text = (const char *)data, *token = NULL;
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t header_len = end != NULL ? (size_t)(end - data) : size, token_len = 0;
    char *header = mem_strndup(text, header_len);
    RF_ASSERT(header != NULL && digest_init(&err) == 0);
    if (auditors_bearer(header, &token, &token_len)) {
        RF_ASSERT(token_len >= AUDITORS_TOKEN_MIN && token_len <= AUDITORS_TOKEN_MAX);
        RF_ASSERT(token >= header && token + token_len <= header + strlen(header));
        RF_ASSERT(strcspn(token, " \t,\"") >= token_len);
    } else {
        token = NULL;
    }
    if (end != NULL)
        try_file(text + header_len + 1, size - header_len - 1, token, token_len);
    mem_free(header);
    return 0;
}
