/* fuzz_command.c - any bytes as the text of a command: refused, or the one way to write what was
 * read; and what is asked for can be approved by a text that is about it. */
#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "sign/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const struct command *c, const void *wanted, size_t n)
{
    struct buf b;
    struct err err;
    buf_init(&b, COMMAND_MAX);
    RF_ASSERT(command_write(&b, c, &err) == 0);
    RF_ASSERT(buf_len(&b) == n && memcmp(buf_at(&b), wanted, n) == 0);
    buf_done(&b);
}

static void check_approval(const struct command *c, const char *text, size_t n)
{
    static char copy[COMMAND_MAX + 1];
    static struct command a, again;
    char digest[65];
    struct buf b;
    struct err err;
    command_answer(c, text, n, COMMAND_APPROVE, "somebody", digest, &a);
    RF_ASSERT(command_is_about(&a, c, digest));
    a.request = 1;
    a.nonce = c->nonce;
    a.expires_s = c->expires_s;
    buf_init(&b, COMMAND_MAX);
    int rc = command_write(&b, &a, &err);
    RF_ASSERT(rc == 0 || rc == -RF_ETOOBIG); /* it has more lines than the request */
    if (rc == 0) {
        RF_ASSERT(command_read((char *)buf_at(&b), buf_len(&b), copy, &again, &err) == 0);
        RF_ASSERT(command_is_about(&again, c, digest));
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct command c;
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    char *copy = mem_zalloc(1, size + 1);
    RF_ASSERT(copy != NULL);
    int rc = command_read((const char *)data, size, copy, &c, &err);
    RF_ASSERT(rc == 0 || rc == -RF_EPROTO);
    if (rc == 0) {
        check_written(&c, data, size);
        RF_ASSERT(size > 22 && memcmp(data, command_namespace(c.verb), 10) == 0);
        if (c.verb == COMMAND_REQUEST || c.verb == COMMAND_BREAK_GLASS)
            check_approval(&c, (const char *)data, size);
    }
    mem_free(copy);
    return 0;
}
