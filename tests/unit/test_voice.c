#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "ledger/desk.h"
#include "ledger/voice.h"
#include "log_house.h"

/* A voice in this process, and in a child the real desk over a real journal. The child does what a
 * ledger process does; what else may happen to one is in HOW. */
enum how {
    HOW_HONEST,
    HOW_DIES_BEFORE_ANSWERING, /* the record is durable then */
    HOW_DIES_BEFORE_COMMIT,
    HOW_REFUSES,
    HOW_SLEEPS,   /* never answers */
    HOW_HAS_NEWS, /* a worker has said something */
};

struct counter {
    struct log_house house;
    pid_t ledger;
    struct voice *voice;
    int fd;
    bool has_log;
};

static struct record request(uint64_t number)
{
    return log_asked(RECORD_REQUEST, number, NULL);
}

/* One turn: everything that came, and its answers. False: the other side is gone. */
static bool turn(struct desk *d, struct desk_worker *w, int fd, enum how how)
{
    struct err err;
    size_t room;
    uint8_t *to = desk_room(w, &room);
    ssize_t n = recv(fd, to, room, 0);
    if (n <= 0)
        return false;
    desk_fed(w, (size_t)n);
    if (how == HOW_SLEEPS)
        return true;
    if (how == HOW_REFUSES) {
        (void)err_set(&err, RF_EDISKFULL, "the disk is full");
        desk_refuse(d, &err);
    }
    if (desk_work(w, NOON, &err) < 0)
        return false;
    bool has_record = buf_len(desk_answer(w)) == 0;
    if (how == HOW_DIES_BEFORE_COMMIT && has_record)
        return false;
    if (desk_commit(d, &err) < 0 && how != HOW_REFUSES)
        return false;
    if (how == HOW_DIES_BEFORE_ANSWERING && has_record)
        return false;
    for (struct buf *out = desk_answer(w); buf_len(out) > 0; out = desk_answer(w)) {
        n = send(fd, buf_at(out), buf_len(out) > 7 ? 7 : buf_len(out), MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        buf_consume(out, (size_t)n);
    }
    return true;
}

/* What a registrar asks for. */
static void overhear(struct desk *d)
{
    const struct record forged = { .kind = RECORD_DENIAL,
                                   .region = "us-virginia",
                                   .place = "US",
                                   .rule = "reveal-forged",
                                   .actor = "us_analyst" };
    struct desk_worker *w;
    struct buf b;
    struct err err;
    size_t room;
    buf_init(&b, RECORD_MAX);
    if (desk_worker_new(d, DESK_WORKER, &w, &err) < 0 ||
        record_hello_write(&b, (uint64_t)getpid(), "worker-0") < 0 ||
        record_write(&b, 1, &forged) < 0)
        _exit(1);
    uint8_t *to = desk_room(w, &room);
    memcpy(to, buf_at(&b), buf_len(&b));
    desk_fed(w, buf_len(&b));
    if (desk_work(w, NOON, &err) < 0 || desk_commit(d, &err) < 0)
        _exit(1);
    buf_done(&b);
}

static void ledger_run(struct counter *c, int fd, enum how how, enum desk_guest guest)
{
    struct desk *d;
    struct desk_worker *w;
    struct err err;
    int rc = c->has_log ? log_clerk_open(&c->house) : house_open(&c->house.house);
    if (rc == 0 && c->has_log && log_start(&c->house, false) == 0)
        rc = log_commit(&c->house);
    if (rc == 0)
        rc = desk_new(c->house.house.journal, c->house.clerk, c->house.policy, NULL, &d, &err);
    if (rc == 0)
        rc = desk_worker_new(d, guest, &w, &err);
    if (rc == 0 && how == HOW_HAS_NEWS)
        overhear(d);
    while (rc == 0 && turn(d, w, fd, how))
        ;
    journal_close(c->house.house.journal);
    _exit(rc == 0 ? 0 : 1);
}

/* A ledger process, and our end of its stream. */
static int ledger_begin(struct counter *c, enum how how, enum desk_guest guest)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    c->ledger = fork();
    assert_true(c->ledger >= 0);
    if (c->ledger == 0) {
        (void)close(ends[0]);
        if (c->fd >= 0)
            (void)close(c->fd);
        ledger_run(c, ends[1], how, guest);
    }
    (void)close(ends[1]);
    return ends[0];
}

static void ledger_end(struct counter *c)
{
    int status;
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    assert_int_equal(waitpid(c->ledger, &status, 0), c->ledger);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void ledger_next(struct counter *c, enum how how)
{
    ledger_end(c);
    c->fd = ledger_begin(c, how, DESK_REGISTRAR);
    voice_relink(c->voice, c->fd);
}

static void counter_init(struct counter *c, bool has_log, enum how how)
{
    *c = (struct counter){ .fd = -1, .has_log = has_log };
    log_house_init(&c->house);
    c->fd = ledger_begin(c, how, DESK_REGISTRAR);
    assert_int_equal(voice_open(c->fd, 77, "registrar-0", &c->voice, &c->house.err), 0);
}

static void counter_done(struct counter *c)
{
    voice_close(c->voice);
    ledger_end(c);
    log_house_done(&c->house);
}

static int say(struct counter *c, uint64_t number, char ref[RECORD_REF_SIZE])
{
    const struct record r = request(number);
    return voice_say(c->voice, &r, 3000, ref, &c->house.err);
}

struct count {
    unsigned requests;
    uint64_t last;
};

static void count_request(void *context, const struct frame_entry *entry, const struct leaf *open,
                          const struct logleaf *leaf)
{
    struct count *n = context;
    (void)entry;
    n->requests += leaf != NULL ? leaf->type == LEAF_REQUEST : open->kind == RECORD_REQUEST;
    if (leaf != NULL && leaf->type == LEAF_REQUEST)
        n->last = leaf->value[LEAF_KEY_GRANT].number;
}

static unsigned requests_there(struct counter *c)
{
    struct count n = { 0 };
    log_walk(&c->house, count_request, &n);
    return n.requests;
}

static void a_record_is_answered_with_the_ref_of_its_leaf(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    (void)state;
    counter_init(&c, true, HOW_HONEST);
    assert_int_equal(say(&c, 1, ref), 0);
    assert_string_equal(ref, "2 " ORIGIN); /* behind genesis and start */
    struct record approval = log_asked(RECORD_APPROVAL, 1, ref);
    char second[RECORD_REF_SIZE];
    assert_int_equal(voice_say(c.voice, &approval, 3000, second, &c.house.err), 0);
    assert_string_equal(second, "3 " ORIGIN);
    struct record denial = log_record(RECORD_DENIAL);
    assert_int_equal(voice_say(c.voice, &denial, 3000, second, &c.house.err), 0);
    assert_string_equal(second, "4 journal"); /* refusals are summed up, and are no leaves */
    counter_done(&c);
}

static void without_a_public_log_it_is_the_journals_entry(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    (void)state;
    counter_init(&c, false, HOW_HONEST);
    assert_int_equal(say(&c, 1, ref), 0);
    assert_string_equal(ref, "0 journal");
    assert_int_equal(say(&c, 2, ref), 0);
    assert_string_equal(ref, "1 journal");
    counter_done(&c);
}

static void what_a_dying_ledger_had_is_not_said_twice(void **state)
{
    static const struct {
        enum how how;
        const char *ref;
    } rows[] = { { HOW_DIES_BEFORE_ANSWERING, "2 " ORIGIN },
                 { HOW_DIES_BEFORE_COMMIT, "3 " ORIGIN } };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct counter c;
        char ref[RECORD_REF_SIZE];
        counter_init(&c, true, rows[i].how);
        assert_int_equal(say(&c, 1, ref), -RF_EUNAVAIL);
        assert_true(voice_is_pending(c.voice));
        assert_int_equal(voice_settle(c.voice, 100, ref, &c.house.err), -RF_EUNAVAIL);
        ledger_next(&c, HOW_HONEST);
        assert_int_equal(voice_settle(c.voice, 3000, ref, &c.house.err), 0);
        assert_string_equal(ref,
                            rows[i].ref); /* of the new one's `start`, too, where it came first */
        assert_false(voice_is_pending(c.voice));
        assert_int_equal(voice_settle(c.voice, 100, ref, &c.house.err), -RF_ENOTFOUND);
        assert_int_equal(requests_there(&c), 1);
        counter_done(&c);
    }
}

static void what_is_pending_comes_before_what_is_new(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    (void)state;
    counter_init(&c, false, HOW_DIES_BEFORE_COMMIT);
    assert_int_equal(say(&c, 1, ref), -RF_EUNAVAIL);
    ledger_next(&c, HOW_HONEST);
    assert_int_equal(say(&c, 2, ref), 0);
    assert_string_equal(ref, "1 journal");
    assert_int_equal(requests_there(&c), 2);
    counter_done(&c);
}

static void a_refusal_is_told_with_its_reason(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    (void)state;
    counter_init(&c, false, HOW_REFUSES);
    assert_int_equal(say(&c, 1, ref), -RF_EUNAVAIL);
    assert_non_null(strstr(c.house.err.line, "the disk is full"));
    assert_false(voice_is_pending(c.voice)); /* it heard so before it said anything */
    assert_int_equal(say(&c, 1, ref), -RF_EUNAVAIL);
    assert_non_null(strstr(c.house.err.line, "the disk is full"));
    ledger_next(&c, HOW_HONEST);
    assert_int_equal(say(&c, 1, ref), 0);
    assert_int_equal(requests_there(&c), 1);
    counter_done(&c);
}

static void a_silent_ledger_is_waited_for_up_to_the_time_limit(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    const struct record r = request(1);
    (void)state;
    counter_init(&c, false, HOW_SLEEPS);
    int64_t before = clock_mono_ms();
    assert_int_equal(voice_say(c.voice, &r, 80, ref, &c.house.err), -RF_ETIMEOUT);
    int64_t took = clock_mono_ms() - before;
    assert_true(took >= 80 && took < 3000);
    assert_false(voice_is_pending(c.voice)); /* not even WELCOME came */
    counter_done(&c);
}

static void what_is_no_record_is_not_said(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    struct record bad[6];
    (void)state;
    counter_init(&c, false, HOW_HONEST);
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        bad[i] = request(1);
    bad[0].rule = "";
    bad[1].grant = 0;
    bad[2].request_ref = "12";
    bad[3].verdict = "approve";
    bad[4].signature = NULL;
    bad[5].kind = RECORD_GRANT; /* without request_ref */
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        assert_int_equal(voice_say(c.voice, &bad[i], 1000, ref, &c.house.err), -RF_EINVAL);
        assert_false(voice_is_pending(c.voice));
    }
    assert_int_equal(say(&c, 1, ref), 0);
    counter_done(&c);
}

static void a_worker_may_not_say_what_a_registrar_says(void **state)
{
    struct counter c = { .fd = -1 };
    char ref[RECORD_REF_SIZE];
    (void)state;
    log_house_init(&c.house);
    c.fd = ledger_begin(&c, HOW_HONEST, DESK_WORKER);
    assert_int_equal(voice_open(c.fd, 77, "registrar-0", &c.voice, &c.house.err), 0);
    assert_int_equal(say(&c, 1, ref), -RF_EUNAVAIL);
    assert_int_equal(requests_there(&c), 0);
    counter_done(&c);
}

static void a_registrar_may_not_say_what_a_worker_says(void **state)
{
    struct counter c;
    char ref[RECORD_REF_SIZE];
    const struct record statement = log_record(RECORD_STATEMENT);
    (void)state;
    counter_init(&c, false, HOW_HONEST);
    assert_int_equal(voice_say(c.voice, &statement, 3000, ref, &c.house.err), -RF_EUNAVAIL);
    counter_done(&c);
}

static void news_of_workers_is_given_until_it_is_taken(void **state)
{
    struct counter c;
    struct record_news news;
    struct record record = request(7);
    char ref[RECORD_REF_SIZE];
    (void)state;
    counter_init(&c, true, HOW_HAS_NEWS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(voice_news(c.voice, 5000, &news, &c.house.err), 1);
        assert_int_equal(news.kind, RECORD_NEWS_FORGED);
        assert_int_equal(news.count, 1);
        assert_string_equal(news.actor, "us_analyst");
        assert_string_equal(news.place, "US");
        assert_int_equal(voice_say(c.voice, &record, 5000, ref, &c.house.err), 0);
    }
    voice_news_taken(c.voice);
    assert_int_equal(voice_news(c.voice, 5000, &news, &c.house.err), 0);
    ledger_next(&c, HOW_HAS_NEWS); /* another ledger, and its numbers */
    assert_int_equal(voice_news(c.voice, 5000, &news, &c.house.err), 1);
    counter_done(&c);
}

static void who_does_not_hear_of_news_may_ask_again(void **state)
{
    struct counter c;
    struct record_news news;
    (void)state;
    counter_init(&c, true, HOW_SLEEPS);
    assert_int_equal(voice_news(c.voice, 50, &news, &c.house.err), -RF_ETIMEOUT);
    ledger_next(&c, HOW_HONEST);
    assert_int_equal(voice_news(c.voice, 5000, &news, &c.house.err), 0);
    counter_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_of_workers_is_given_until_it_is_taken),
        cmocka_unit_test(who_does_not_hear_of_news_may_ask_again),
        cmocka_unit_test(a_record_is_answered_with_the_ref_of_its_leaf),
        cmocka_unit_test(without_a_public_log_it_is_the_journals_entry),
        cmocka_unit_test(what_a_dying_ledger_had_is_not_said_twice),
        cmocka_unit_test(what_is_pending_comes_before_what_is_new),
        cmocka_unit_test(a_refusal_is_told_with_its_reason),
        cmocka_unit_test(a_silent_ledger_is_waited_for_up_to_the_time_limit),
        cmocka_unit_test(what_is_no_record_is_not_said),
        cmocka_unit_test(a_worker_may_not_say_what_a_registrar_says),
        cmocka_unit_test(a_registrar_may_not_say_what_a_worker_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
