#include "ledger/errand.h"

#include "wire/rd.h"
#include "wire/wr.h"

/* Layout, big-endian:
     post    u8 1, u32 witness, u32 key id, u64 ticket, u32 limit in ms, str32 body
     fetch   the same with u8 3; the body is a path
     answer  u8 2, u32 witness, u64 ticket, u16 status, u8 failure, u8 is_size, str32 body */
enum {
    POST = 1,
    ANSWER = 2,
    FETCH = 3,
    POST_HEAD = 1 + 4 + 4 + 8 + 4 + 4,
    ANSWER_HEAD = 1 + 4 + 8 + 2 + 3 + 4
};

static const char *const failure_names[ERRAND_FAILURE_COUNT] = {
    [ERRAND_REACHED] = "reached",     [ERRAND_UNREACHED] = "unreached",
    [ERRAND_TIMEOUT] = "timeout",     [ERRAND_TOO_LARGE] = "too-large",
    [ERRAND_REFUSED] = "not-carried",
};

const char *errand_failure_name(enum errand_failure failure)
{
    return failure_names[failure < ERRAND_FAILURE_COUNT ? failure : ERRAND_UNREACHED];
}

/* Characters that need no escape in a URL and cannot lead out of the prefix. */
static bool is_path(const uint8_t *path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (path[i] != '/' && path[i] != '-' && (path[i] < '0' || path[i] > '9') &&
            (path[i] < 'a' || path[i] > 'z'))
            return false;
    return n >= 1 && n <= ERRAND_PATH_MAX && path[0] == '/';
}

static bool post_is_valid(const struct errand_post *p)
{
    if (p->is_fetch && !is_path(p->body, p->body_len))
        return false;
    return p->witness < TRUST_MAX && p->ticket != 0 && p->limit_ms >= 1 &&
           p->limit_ms <= ERRAND_LIMIT_MAX_MS && p->body_len >= 1 && p->body_len <= ERRAND_BODY_MAX;
}

/* With a status there is no failure; without one there is, and nothing else. */
static bool answer_is_valid(const struct errand_answer *a)
{
    if (a->witness >= TRUST_MAX || a->ticket == 0 || a->failure >= ERRAND_FAILURE_COUNT ||
        a->body_len > ERRAND_BODY_MAX)
        return false;
    if (a->failure == ERRAND_REACHED)
        return a->status >= 100 && a->status <= 599;
    return a->status == 0 && !a->is_size && a->body_len == 0;
}

/* Room for all of it at once: from then on nothing can fail. */
static int make_room(struct buf *to, size_t n)
{
    if (n > to->max - buf_len(to))
        return -RF_ETOOBIG;
    return buf_reserve(to, n) == NULL ? -RF_ENOMEM : 0;
}

int errand_post_write(struct buf *to, const struct errand_post *p)
{
    if (!post_is_valid(p))
        return -RF_EINVAL;
    int rc = make_room(to, POST_HEAD + p->body_len);
    if (rc < 0)
        return rc;
    struct wr w = wr_to(to);
    wr_u8(&w, p->is_fetch ? FETCH : POST);
    wr_u32(&w, p->witness);
    wr_u32(&w, p->key_id);
    wr_u64(&w, p->ticket);
    wr_u32(&w, p->limit_ms);
    wr_u32(&w, (uint32_t)p->body_len);
    wr_bytes(&w, p->body, p->body_len);
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int errand_post_read(const void *packet, size_t n, struct errand_post *ret)
{
    struct rd r = rd_of(packet, n);
    struct errand_post p = { 0 };
    uint8_t type = rd_u8(&r);
    p.is_fetch = type == FETCH;
    p.witness = rd_u32(&r);
    p.key_id = rd_u32(&r);
    p.ticket = rd_u64(&r);
    p.limit_ms = rd_u32(&r);
    p.body_len = rd_u32(&r);
    p.body = rd_bytes(&r, p.body_len);
    if (!rd_done(&r) || (type != POST && type != FETCH) || !post_is_valid(&p))
        return -RF_EPROTO;
    *ret = p;
    return 0;
}

int errand_answer_write(struct buf *to, const struct errand_answer *a)
{
    if (!answer_is_valid(a))
        return -RF_EINVAL;
    int rc = make_room(to, ANSWER_HEAD + a->body_len);
    if (rc < 0)
        return rc;
    struct wr w = wr_to(to);
    wr_u8(&w, ANSWER);
    wr_u32(&w, a->witness);
    wr_u64(&w, a->ticket);
    wr_u16(&w, (uint16_t)a->status);
    wr_u8(&w, (uint8_t)a->failure);
    wr_u8(&w, a->is_size);
    wr_u32(&w, (uint32_t)a->body_len);
    wr_bytes(&w, a->body, a->body_len);
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int errand_answer_read(const void *packet, size_t n, struct errand_answer *ret)
{
    struct rd r = rd_of(packet, n);
    struct errand_answer a = { 0 };
    bool is_answer = rd_u8(&r) == ANSWER;
    a.witness = rd_u32(&r);
    a.ticket = rd_u64(&r);
    a.status = rd_u16(&r);
    a.failure = (enum errand_failure)rd_u8(&r);
    uint8_t is_size = rd_u8(&r);
    a.is_size = is_size == 1;
    a.body_len = rd_u32(&r);
    a.body = rd_bytes(&r, a.body_len);
    if (!rd_done(&r) || !is_answer || is_size > 1 || !answer_is_valid(&a))
        return -RF_EPROTO;
    *ret = a;
    return 0;
}
