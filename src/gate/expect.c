#include "gate/expect.h"

#include "base/mem.h"

/* Which message completes which kind. */
static const uint8_t completes[MESSAGE_COUNT][EXPECT_KIND_COUNT] = {
    [MESSAGE_PARSE_COMPLETE] = { [EXPECT_PARSE] = 1 },
    [MESSAGE_BIND_COMPLETE] = { [EXPECT_BIND] = 1 },
    [MESSAGE_ROW_DESCRIPTION] = { [EXPECT_DESCRIBE] = 1 },
    [MESSAGE_NO_DATA] = { [EXPECT_DESCRIBE] = 1 },
    [MESSAGE_CLOSE_COMPLETE] = { [EXPECT_CLOSE] = 1 },
    [MESSAGE_COMMAND_COMPLETE] = { [EXPECT_EXECUTE] = 1 },
    [MESSAGE_EMPTY_QUERY] = { [EXPECT_EXECUTE] = 1 },
    [MESSAGE_PORTAL_SUSPENDED] = { [EXPECT_EXECUTE] = 1 },
};

void expect_done(struct expect_queue *q)
{
    mem_free(q->list);
    *q = (struct expect_queue){ 0 };
}

static int grow(struct expect_queue *q)
{
    uint32_t cap = q->cap > 0 ? q->cap * 2 : 8;
    if (q->count >= EXPECT_QUEUE_MAX)
        return -RF_ETOOBIG;
    struct expect *list = mem_zalloc(cap, sizeof(*list));
    if (list == NULL)
        return -RF_ENOMEM;
    for (uint32_t i = 0; i < q->count; i++)
        list[i] = q->list[(q->first + i) % q->cap];
    mem_free(q->list);
    q->list = list;
    q->first = 0;
    q->cap = cap;
    return 0;
}

int expect_push(struct expect_queue *q, enum expect_kind kind, enum expect_action action,
                uint32_t reference)
{
    if (q->count == q->cap) {
        int rc = grow(q);
        if (rc < 0)
            return rc;
    }
    q->list[(q->first + q->count++) % q->cap] =
        (struct expect){ .kind = (uint8_t)kind, .action = (uint8_t)action, .reference = reference };
    return 0;
}

struct expect *expect_front(struct expect_queue *q)
{
    return q->count > 0 ? &q->list[q->first] : NULL;
}

static struct expect take(struct expect_queue *q)
{
    struct expect e = q->list[q->first];
    q->first = (q->first + 1) % q->cap;
    q->count--;
    return e;
}

struct expect expect_answer(struct expect_queue *q, enum message m,
                            void (*on_skipped)(const struct expect *e, void *arg), void *arg)
{
    static const struct expect none;
    if (m == MESSAGE_READY_FOR_QUERY) {
        bool skipping =
            q->count > 0 && q->list[q->first].failed && q->list[q->first].kind != EXPECT_QUERY;
        while (q->count > 0) {
            struct expect e = take(q);
            if (e.kind == EXPECT_SYNC || (e.kind == EXPECT_QUERY && !skipping))
                return e;
            if (on_skipped != NULL)
                on_skipped(&e, arg);
        }
        return none;
    }
    struct expect *front = expect_front(q);
    if (front == NULL)
        return none;
    if (m == MESSAGE_ERROR_RESPONSE) {
        front->failed = true;
        return *front;
    }
    return completes[m][front->kind] ? take(q) : none;
}
