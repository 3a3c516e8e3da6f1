#include "hub/crowd.h"

#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"

enum { SPARE_SLOTS = 64 };

int crowd_init(struct crowd *c, size_t max, size_t max_per_address, struct err *err)
{
    *c = (struct crowd){ .max = max, .max_per_address = max_per_address };
    c->list = mem_zalloc(max + SPARE_SLOTS, sizeof(*c->list));
    if (c->list == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for %zu connections", max);
    c->slots = max + SPARE_SLOTS;
    return 0;
}

void crowd_done(struct crowd *c)
{
    mem_free(c->list);
    *c = (struct crowd){ 0 };
}

static uint64_t address_of(const struct sockaddr *address)
{
    uint64_t upper = 0;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return UINT64_C(0xffff00000000) | ntohl(in.sin_addr.s_addr);
    }
    if (address->sa_family != AF_INET6)
        return 0;
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof(in6));
    memcpy(&upper, &in6.sin6_addr, sizeof(upper));
    return upper != 0 ? upper : 1; /* ::1 is an address, too */
}

/* Nothing is sent or read any more; whoever serves it sees that and closes it. */
static void end(struct crowd *c, struct visitor *v)
{
    (void)shutdown(v->fd, SHUT_RDWR); /* fails where the other side was quicker */
    v->is_ended = true;
    c->count--;
    c->taking -= v->state == VISITOR_TAKES;
}

static bool waited_longer(const struct visitor *a, const struct visitor *b)
{
    return a->state == VISITOR_ASKS && (b == NULL || a->since_ms < b->since_ms);
}

struct visitor *crowd_enter(struct crowd *c, int fd, const struct sockaddr *address, int64_t now_ms)
{
    uint64_t from = address_of(address);
    struct visitor *free_slot = NULL, *oldest = NULL, *oldest_there = NULL;
    size_t there = 0;
    for (size_t i = 0; i < c->slots; i++) {
        struct visitor *v = &c->list[i];
        if (v->state == VISITOR_NONE && free_slot == NULL)
            free_slot = v;
        if (v->state == VISITOR_NONE || v->is_ended)
            continue;
        if (waited_longer(v, oldest))
            oldest = v;
        if (from == 0 || v->address != from)
            continue;
        there++;
        if (waited_longer(v, oldest_there))
            oldest_there = v;
    }
    bool is_full = c->count >= c->max, is_full_there = there >= c->max_per_address;
    struct visitor *displaced = is_full_there ? oldest_there : is_full ? oldest : NULL;
    if (free_slot == NULL || ((is_full || is_full_there) && displaced == NULL)) {
        c->refused++;
        return NULL;
    }
    if (displaced != NULL) {
        c->displaced++;
        end(c, displaced);
    }
    c->count++;
    *free_slot = (struct visitor){ .state = VISITOR_ASKS,
                                   .fd = fd,
                                   .address = from,
                                   .since_ms = now_ms,
                                   .due_ms = now_ms + CROWD_FIRST_MS };
    return free_slot;
}

void crowd_leave(struct crowd *c, struct visitor *v)
{
    if (!v->is_ended) {
        c->count--;
        c->taking -= v->state == VISITOR_TAKES;
    }
    *v = (struct visitor){ .state = VISITOR_NONE, .fd = -1 };
}

static void enter_state(struct crowd *c, struct visitor *v, enum visitor_state state,
                        int64_t now_ms, int64_t due_ms)
{
    if (!v->is_ended)
        c->taking += (size_t)(state == VISITOR_TAKES) - (size_t)(v->state == VISITOR_TAKES);
    v->state = state;
    v->since_ms = now_ms;
    v->due_ms = due_ms;
}

void crowd_reply(struct crowd *c, struct visitor *v, uint64_t len, int64_t now_ms)
{
    int64_t by_length = (int64_t)(len / CROWD_REPLY_BYTES_PER_MS);
    enter_state(c, v, VISITOR_TAKES, now_ms, now_ms + CROWD_REPLY_MS + by_length);
}

void crowd_taken(struct crowd *c, struct visitor *v, int64_t now_ms)
{
    enter_state(c, v, VISITOR_ASKS, now_ms, now_ms + CROWD_NEXT_MS);
}

/* Has it said all that it will, and waits for nothing? An end of file that came together with the
   last bytes is news to nobody: the library reads no further than it needs. */
static bool is_gone(const struct visitor *v)
{
    char byte;
    return v->state == VISITOR_ASKS && recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void crowd_sweep(struct crowd *c, int64_t now_ms)
{
    if (now_ms < c->sweep_ms)
        return;
    c->sweep_ms = now_ms + CROWD_SWEEP_MS;
    for (size_t i = 0; i < c->slots; i++) {
        struct visitor *v = &c->list[i];
        if (v->state == VISITOR_NONE || v->is_ended)
            continue;
        bool is_slow = now_ms >= v->due_ms;
        c->slow += is_slow;
        if (is_slow || is_gone(v))
            end(c, v);
    }
}
