/* Both sides of SCRAM against a hostile other side: the first byte picks the side and the binding,
 * the rest is messages separated by newlines. Nobody may get in: the fuzzer does not know the
 * password, so SCRAM_DONE would be a break-in. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct scram_mock mock = { .secret = { 7 }, .iterations = 4096 };
static const uint8_t binding[32] = { 1, 2, 3 };
static const char verifier[] =
    "SCRAM-SHA-256$4096:FbULBZJBAOFD1SOokX8rbg==$L/pxNX7tgadICCHzUcM8GPC4mpKPf0R6wAtp4Cd7Nbg="
    ":oB23NY5SLObqLE3cHDOGzU7w10pXEDKoFYiz3sy15sc=";

/* The next line of *AT, which moves on; NULL after the last. */
static const uint8_t *line_next(const uint8_t **at, size_t *left, size_t *ret_len)
{
    const uint8_t *line = *at;
    if (line == NULL)
        return NULL;
    const uint8_t *end = *left > 0 ? memchr(line, '\n', *left) : NULL;
    *ret_len = end != NULL ? (size_t)(end - line) : *left;
    *left -= end != NULL ? *ret_len + 1 : *left;
    *at = end != NULL ? end + 1 : NULL;
    return line;
}

static void server_run(uint8_t how, const uint8_t *at, size_t left)
{
    struct scram_server *s;
    struct buf out;
    struct err err;
    size_t len;
    const uint8_t *line;
    const char *mechanism = (how & 4) != 0 ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM;
    if (scram_server_new((how & 8) != 0 ? NULL : verifier, "alice", &mock, binding,
                         (how & 2) != 0 ? sizeof(binding) : 0, &s) < 0)
        return;
    buf_init(&out, 8192);
    while ((line = line_next(&at, &left, &len)) != NULL) {
        size_t before = buf_len(&out);
        enum scram_step step = scram_server_step(s, mechanism, line, len, &out, &err);
        RF_ASSERT(step != SCRAM_DONE);
        RF_ASSERT(step == SCRAM_CONTINUE || buf_len(&out) == before);
        mechanism = NULL;
    }
    buf_done(&out);
    scram_server_free(s);
}

static void client_run(uint8_t how, const uint8_t *at, size_t left)
{
    struct scram_client *c;
    struct buf out;
    struct err err;
    size_t len = 0;
    const uint8_t *line = line_next(&at, &left, &len);
    const char *mechanism;
    if (scram_client_new("pencil", binding, (how & 2) != 0 ? sizeof(binding) : 0, NULL, &c) < 0)
        return;
    buf_init(&out, 8192);
    static const uint8_t both[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
    if ((how & 4) != 0) {
        line = both;
        len = sizeof(both);
    }
    enum scram_step step = scram_client_start(c, line, len, &mechanism, &out, &err);
    while (step == SCRAM_CONTINUE && (line = line_next(&at, &left, &len)) != NULL) {
        char message[4096];
        /* "@" stands for the client's nonce, which the fuzzer cannot guess */
        if (len > 2 && len < 2000 && line[2] == '@') {
            const uint8_t *nonce = buf_at(&out) + buf_len(&out) - 24;
            memcpy(message, line, 2);
            memcpy(message + 2, nonce, 24);
            memcpy(message + 26, line + 3, len - 3);
            step = scram_client_step(c, (const uint8_t *)message, len + 23, &out, &err);
        } else {
            step = scram_client_step(c, line, len, &out, &err);
        }
        RF_ASSERT(step != SCRAM_DONE);
    }
    buf_done(&out);
    scram_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scram_verifier v;
    if (size == 0)
        return 0;
    if ((data[0] & 1) != 0)
        client_run(data[0], data + 1, size - 1);
    else
        server_run(data[0], data + 1, size - 1);
    if (scram_verifier_parse((const char *)data + 1, size - 1, &v) == 0)
        RF_ASSERT(v.iterations > 0 && v.salt_len > 0 && v.salt_len <= SCRAM_SALT_MAX);
    return 0;
}
