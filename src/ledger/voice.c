/*   NEW ──HELLO──▶ GREETING ──WELCOME──▶ READY ──record──▶ SAYING ──ACK, LEAF──▶ READY
 *    │                                     READY ──NEWS────▶ ASKING ──NEWS───────▶ READY
 *    ▲                 │                   │                 │
 *    │                 └── REFUSED, end of file, anything that may not come ──▶ GONE
 *    └────────────────────────────── voice_relink() ──────────────────────────────┘
 *
 * A record keeps its number until its LEAF has come, so that the ledger knows it again. */
#include "ledger/voice.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wire/rd.h"

enum voice_state { VOICE_GONE, VOICE_NEW, VOICE_GREETING, VOICE_READY, VOICE_SAYING, VOICE_ASKING };

enum { ANSWER_MAX = 2048, HELLO_MAX = 128, IN_MAX = 4 * (ANSWER_MAX + 4) };

struct voice {
    int fd; /* borrowed; -1: none */
    enum voice_state state;
    uint64_t instance;
    char name[RECORD_WORD_MAX + 1];
    uint64_t seq;    /* of the last record that was settled or is pending */
    struct buf said; /* the pending one, as it is sent; empty: none */
    size_t sent;     /* of it, on this stream */
    bool is_out;     /* some of it was sent, on whatever stream */
    bool is_durable; /* its ACK has come */
    struct buf hello, in;
    bool wants_news;     /* a question for news is due, or under way */
    struct buf question; /* what is left to send of it */
    int heard;           /* the answer: 1, 0 */
    uint64_t taken;      /* of this ledger's news, the last one; 0: none */
    struct record_news news;
    struct record_news_copy news_copy;
    char ref[RECORD_REF_SIZE];
    char why[sizeof(((struct err *)0)->line)]; /* GONE: the ledger's reason, or "" */
};

int voice_open(int fd, uint64_t instance, const char *name, struct voice **ret, struct err *err)
{
    struct voice *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    v->instance = instance;
    buf_init(&v->said, RECORD_MAX + 4);
    buf_init(&v->hello, HELLO_MAX);
    buf_init(&v->in, IN_MAX);
    buf_init(&v->question, HELLO_MAX);
    int rc = record_hello_write(&v->hello, instance, name);
    if (rc < 0) {
        voice_close(v);
        return err_set(err, (enum err_code) - rc, "cannot greet the ledger as \"%.63s\"", name);
    }
    buf_clear(&v->hello);
    (void)snprintf(v->name, sizeof(v->name), "%s", name);
    voice_relink(v, fd);
    *ret = v;
    return 0;
}

void voice_close(struct voice *v)
{
    if (v == NULL)
        return;
    buf_wipe_done(&v->said); /* who asked for whom */
    buf_done(&v->hello);
    buf_done(&v->in);
    buf_done(&v->question);
    mem_free(v);
}

void voice_relink(struct voice *v, int fd)
{
    v->fd = fd;
    v->state = fd >= 0 ? VOICE_NEW : VOICE_GONE;
    v->sent = 0;
    v->is_durable = false;
    v->why[0] = '\0';
    buf_clear(&v->hello);
    buf_clear(&v->in);
    buf_clear(&v->question);
    v->wants_news = false;
    v->taken = 0; /* the other ledger counts anew */
}

bool voice_is_pending(const struct voice *v)
{
    return buf_len(&v->said) > 0;
}

static void forget(struct voice *v)
{
    explicit_bzero(buf_at(&v->said), buf_len(&v->said));
    buf_clear(&v->said);
}

/* No byte of it has left: there never was such a record. */
static void take_back(struct voice *v)
{
    forget(v);
    v->seq--;
    if (v->state == VOICE_SAYING)
        v->state = VOICE_READY;
}

/* ---- the end of a conversation -------------------------------------------------------------- */

static int gone(struct voice *v, struct err *err)
{
    v->state = VOICE_GONE;
    return v->why[0] != '\0'
               ? err_set(err, RF_EUNAVAIL, "the ledger records nothing: %.300s", v->why)
               : err_set(err, RF_EUNAVAIL, "the ledger is not there");
}

static int nonsense(struct voice *v, struct err *err)
{
    v->state = VOICE_GONE;
    return err_set(err, RF_EUNAVAIL, "the ledger answers what nobody asked");
}

/* ---- answers -------------------------------------------------------------------------------- */

static int on_welcome(struct voice *v, struct rd *r, struct err *err)
{
    (void)rd_u64(r); /* what it has already it will say again, record by record */
    if (v->state != VOICE_GREETING || !rd_done(r))
        return nonsense(v, err);
    v->state = VOICE_READY;
    return 0;
}

static int on_ack(struct voice *v, struct rd *r, struct err *err)
{
    uint64_t seq = rd_u64(r);
    if (v->state != VOICE_SAYING || !rd_done(r) || seq != v->seq)
        return nonsense(v, err);
    v->is_durable = true;
    return 0;
}

static int on_refused(struct voice *v, struct rd *r, struct err *err)
{
    size_t len;
    const char *why = rd_str32(r, &len);
    if (!rd_done(r))
        return nonsense(v, err);
    (void)snprintf(v->why, sizeof(v->why), "%.*s", len > 300 ? 300 : (int)len, why);
    return gone(v, err);
}

static int on_leaf(struct voice *v, struct rd *r, struct err *err)
{
    size_t len;
    uint64_t seq = rd_u64(r);
    const char *ref = rd_str32(r, &len);
    if (v->state != VOICE_SAYING || !rd_done(r) || seq != v->seq || !v->is_durable || len == 0 ||
        len >= sizeof(v->ref))
        return nonsense(v, err);
    memcpy(v->ref, ref, len);
    v->ref[len] = '\0';
    forget(v);
    v->state = VOICE_READY;
    return 0;
}

/* How far the log is signed and witnessed is nothing that a registrar waits for. */
static int on_reached(struct voice *v, struct rd *r, struct err *err)
{
    (void)rd_u64(r);
    (void)rd_u64(r);
    return rd_done(r) ? 0 : nonsense(v, err);
}

static int on_news(struct voice *v, struct rd *r, struct err *err)
{
    v->heard = v->state == VOICE_ASKING ? record_news_read(r->at, r->left, &v->news_copy, &v->news)
                                        : -RF_EPROTO;
    if (v->heard < 0)
        return nonsense(v, err);
    v->wants_news = false;
    v->state = VOICE_READY;
    return 0;
}

typedef int answer_fn(struct voice *v, struct rd *r, struct err *err);

static answer_fn *const answers[] = {
    [RECORD_ANSWER_WELCOME] = on_welcome, [RECORD_ANSWER_ACK] = on_ack,
    [RECORD_ANSWER_REFUSED] = on_refused, [RECORD_ANSWER_REACHED] = on_reached,
    [RECORD_ANSWER_LEAF] = on_leaf,       [RECORD_ANSWER_NEWS] = on_news,
};

/* All whole answers that are there. */
static int take_answers(struct voice *v, struct err *err)
{
    while (buf_len(&v->in) >= 4) {
        struct rd r = rd_of(buf_at(&v->in), buf_len(&v->in));
        size_t len = rd_u32(&r);
        if (len == 0 || len > ANSWER_MAX)
            return nonsense(v, err);
        if (buf_len(&v->in) < 4 + len)
            return 0;
        struct rd answer = rd_of(buf_at(&v->in) + 4, len);
        unsigned type = rd_u8(&answer);
        if (type >= RF_COUNT(answers) || answers[type] == NULL)
            return nonsense(v, err);
        int rc = answers[type](v, &answer, err);
        if (rc < 0)
            return rc;
        buf_consume(&v->in, 4 + len);
    }
    return 0;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static int hear(struct voice *v, struct err *err)
{
    uint8_t *to = buf_reserve(&v->in, ANSWER_MAX);
    if (to == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    ssize_t n = recv(v->fd, to, ANSWER_MAX, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0)
        return gone(v, err);
    buf_grew(&v->in, (size_t)n);
    return take_answers(v, err);
}

static int speak(struct voice *v, const uint8_t *bytes, size_t len, size_t *ret_sent,
                 struct err *err)
{
    ssize_t n = send(v->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        /* Why it went may still wait to be read. */
        int rc = hear(v, err);
        return rc < 0 ? rc : gone(v, err);
    }
    *ret_sent = n > 0 ? (size_t)n : 0;
    return 0;
}

/* What is to be sent now, if anything. */
static int send_some(struct voice *v, struct err *err)
{
    size_t n = 0;
    int rc = 0;
    if (v->state == VOICE_NEW) {
        rc = record_hello_write(&v->hello, v->instance, v->name);
        if (rc < 0)
            return err_set(err, (enum err_code) - rc, "cannot greet the ledger");
        v->state = VOICE_GREETING;
    }
    if (v->state == VOICE_READY && v->wants_news)
        v->state = VOICE_ASKING;
    else if (v->state == VOICE_READY && voice_is_pending(v))
        v->state = VOICE_SAYING;
    if (buf_len(&v->hello) > 0) {
        rc = speak(v, buf_at(&v->hello), buf_len(&v->hello), &n, err);
        buf_consume(&v->hello, n);
    } else if (v->state == VOICE_ASKING && buf_len(&v->question) > 0) {
        rc = speak(v, buf_at(&v->question), buf_len(&v->question), &n, err);
        buf_consume(&v->question, n);
    } else if (v->state == VOICE_SAYING && v->sent < buf_len(&v->said)) {
        rc = speak(v, buf_at(&v->said) + v->sent, buf_len(&v->said) - v->sent, &n, err);
        v->sent += n;
        v->is_out = v->is_out || n > 0;
    }
    return rc;
}

static bool wants_to_send(const struct voice *v)
{
    return buf_len(&v->hello) > 0 || (v->state == VOICE_ASKING && buf_len(&v->question) > 0) ||
           (v->state == VOICE_SAYING && v->sent < buf_len(&v->said));
}

/* Until nothing is pending and no answer is due: a question that was given up is settled first. */
static int settle(struct voice *v, int64_t until_ms, struct err *err)
{
    int rc = v->state == VOICE_GONE ? gone(v, err) : 0;
    while (rc == 0 && (voice_is_pending(v) || v->wants_news)) {
        rc = send_some(v, err);
        if (rc < 0)
            break;
        int64_t left = until_ms - clock_mono_ms();
        struct pollfd p = { .fd = v->fd,
                            .events = (short)(POLLIN | (wants_to_send(v) ? POLLOUT : 0)) };
        int n = left <= 0 ? 0 : poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n < 0 && errno != EINTR)
            return err_sys(err, "could not wait for the ledger");
        if (n == 0 && clock_mono_ms() >= until_ms)
            return err_set(err, RF_ETIMEOUT, "the ledger does not answer in time");
        if (n > 0 && (p.revents & ~POLLOUT) != 0)
            rc = hear(v, err);
    }
    return rc;
}

/* ---- saying --------------------------------------------------------------------------------- */

int voice_settle(struct voice *v, int timeout_ms, char ret_ref[RECORD_REF_SIZE], struct err *err)
{
    if (!voice_is_pending(v))
        return err_set(err, RF_ENOTFOUND, "nothing waits for the ledger");
    int rc = settle(v, clock_mono_ms() + timeout_ms, err);
    if (rc == 0)
        memcpy(ret_ref, v->ref, sizeof(v->ref));
    return rc;
}

int voice_say(struct voice *v, const struct record *record, int timeout_ms,
              char ret_ref[RECORD_REF_SIZE], struct err *err)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    int rc = voice_is_pending(v)      ? settle(v, until_ms, err)
             : v->state == VOICE_GONE ? gone(v, err)
                                      : 0;
    if (rc < 0)
        return rc;
    rc = record_write(&v->said, v->seq + 1, record);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "the ledger takes no such record: %s",
                       record_kind_name(record->kind));
    v->seq++;
    v->sent = 0;
    v->is_out = v->is_durable = false;
    rc = settle(v, until_ms, err);
    if (rc == 0)
        memcpy(ret_ref, v->ref, sizeof(v->ref));
    else if (!v->is_out)
        take_back(v);
    return rc;
}

int voice_news(struct voice *v, int timeout_ms, struct record_news *ret, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    int rc = settle(v, until_ms, err);
    if (rc < 0)
        return rc;
    buf_clear(&v->question);
    rc = record_news_ask(&v->question, v->taken);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "out of memory");
    v->wants_news = true;
    rc = settle(v, until_ms, err);
    if (rc < 0)
        return rc;
    *ret = v->news;
    return v->heard;
}

void voice_news_taken(struct voice *v)
{
    v->taken = v->news.number;
}
