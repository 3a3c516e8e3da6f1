/* fuzz_message.c - any bytes as a stream of protocol messages, from either side.
 *
 * The first byte picks the side, the second how the stream is cut. What a walk says must not depend
 * on the cuts, and no reader of a body may look past it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a walk saw, in order, as one number. */
struct seen {
    uint64_t hash;
    bool bad;
};

static void note(struct seen *s, uint64_t what)
{
    s->hash = (s->hash ^ what) * UINT64_C(1099511628211);
}

/* Walk one chunk; body bytes are counted, since how they are cut must not matter. */
static void walk_chunk(struct walk *w, const uint8_t *at, size_t n, struct seen *seen)
{
    while (!seen->bad) {
        enum message m = MESSAGE_UNKNOWN;
        uint32_t body_len = 0;
        const uint8_t *before = at;
        size_t had = n;
        enum walk_step step = walk_next(w, &at, &n, &m, &body_len);
        RF_ASSERT(n <= had && at == before + (had - n));
        if (step == WALK_MORE) {
            RF_ASSERT(n == 0);
            return;
        }
        if (step == WALK_HEADER) {
            RF_ASSERT(m != MESSAGE_UNKNOWN && message_length_valid(m, body_len + 4));
            note(seen, ((uint64_t)m << 32) | body_len);
        }
        if (step == WALK_BAD)
            seen->bad = true;
    }
}

static struct seen walk_in_pieces(enum message_side side, const uint8_t *data, size_t size,
                                  size_t piece)
{
    struct seen seen = { .hash = UINT64_C(14695981039346656037) };
    struct walk w = walk_of(side);
    for (size_t i = 0; i < size && !seen.bad; i += piece)
        walk_chunk(&w, data + i, size - i < piece ? size - i : piece, &seen);
    return seen;
}

static void read_frontend(struct rd body)
{
    struct frontend_parse parse;
    struct frontend_bind bind;
    struct frontend_execute execute;
    struct frontend_target target;
    const char *text = NULL;
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (frontend_read_query(body, &text, &len) == 0)
        RF_ASSERT(strlen(text) == len);
    if (frontend_read_parse(body, &parse) == 0)
        RF_ASSERT(strlen(parse.query) == parse.query_len && parse.type_count <= body.left / 4);
    if (frontend_read_bind(body, &bind) == 0)
        RF_ASSERT(bind.rest_len <= body.left);
    if (frontend_read_execute(body, &execute) == 0)
        RF_ASSERT(strlen(execute.portal) < body.left);
    if (frontend_read_target(body, &target) == 0)
        RF_ASSERT(target.kind == 'S' || target.kind == 'P');
    if (frontend_read_sasl_initial(body, &text, &bytes, &len) == 0)
        RF_ASSERT(bytes == NULL ? len == 0 : len <= body.left);
}

static void read_backend(struct rd body)
{
    struct backend_error error;
    struct backend_key key;
    const char *name, *value;
    uint32_t code;
    struct rd rest;
    if (backend_read_error(body, &error) == 0)
        RF_ASSERT(error.severity != NULL && error.sqlstate != NULL && error.message != NULL);
    if (backend_read_parameter(body, &name, &value) == 0)
        RF_ASSERT(strlen(name) + strlen(value) + 2 == body.left);
    if (backend_read_key(body, &key) == 0)
        RF_ASSERT(key.secret_len <= sizeof(key.secret));
    if (backend_read_auth(body, &code, &rest) == 0)
        RF_ASSERT(rest.left + 4 == body.left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum message_side side = data[0] % 2 == 0 ? MESSAGE_FROM_FRONTEND : MESSAGE_FROM_BACKEND;
    size_t piece = data[1] + (size_t)1;
    data += 2;
    size -= 2;
    struct seen whole = walk_in_pieces(side, data, size, size + 1);
    struct seen cut = walk_in_pieces(side, data, size, piece);
    RF_ASSERT(whole.hash == cut.hash && whole.bad == cut.bad);

    uint8_t *exact = malloc(size > 0 ? size : 1); /* so that a read past the end is seen */
    if (exact == NULL)
        return 0;
    memcpy(exact, data, size);
    read_frontend(rd_of(exact, size));
    read_backend(rd_of(exact, size));
    free(exact);
    return 0;
}
