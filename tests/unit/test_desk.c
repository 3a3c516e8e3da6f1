#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_house.h"
#include "ledger/desk.h"
#include "policy/alerts.h"
#include "wire/rd.h"

struct counter {
    struct house house;
    struct desk *desk;
};

static void counter_open(struct counter *c)
{
    assert_int_equal(house_open(&c->house), 0);
    assert_int_equal(desk_new(c->house.journal, NULL, house_policy(), NULL, &c->desk,
                              &c->house.err),
                     0);
}

static void counter_close(struct counter *c)
{
    desk_free(c->desk);
    c->desk = NULL;
    house_close(&c->house);
}

static void counter_init(struct counter *c)
{
    *c = (struct counter){ 0 };
    house_init(&c->house);
    counter_open(c);
}

static void counter_done(struct counter *c)
{
    counter_close(c);
    house_done(&c->house);
}

static struct desk_worker *arrive(struct counter *c)
{
    struct desk_worker *w;
    assert_int_equal(desk_worker_new(c->desk, DESK_WORKER, &w, &c->house.err), 0);
    return w;
}

/* Give bytes to the desk, in pieces of at most PIECE. */
static int feed(struct counter *c, struct desk_worker *w, struct buf *b, size_t piece)
{
    int rc = 0;
    while (rc == 0 && buf_len(b) > 0) {
        size_t room;
        uint8_t *to = desk_room(w, &room);
        size_t n = buf_len(b) < piece ? buf_len(b) : piece;
        assert_non_null(to);
        n = n < room ? n : room;
        memcpy(to, buf_at(b), n);
        desk_fed(w, n);
        buf_consume(b, n);
        rc = desk_work(w, NOON, &c->house.err);
    }
    buf_done(b);
    return rc;
}

static int hello(struct counter *c, struct desk_worker *w, uint64_t instance)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(record_hello_write(&b, instance, "worker-0"), 0);
    return feed(c, w, &b, 5);
}

static int send_kind(struct counter *c, struct desk_worker *w, uint64_t seq, enum record_kind kind)
{
    struct record r = house_record(seq);
    struct buf b;
    r.kind = kind;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, seq, &r), 0);
    return feed(c, w, &b, 100);
}

static int send_record(struct counter *c, struct desk_worker *w, uint64_t seq)
{
    return send_kind(c, w, seq, RECORD_STATEMENT);
}

static int send_awaited(struct counter *c, struct desk_worker *w)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(record_awaited_write(&b), 0);
    return feed(c, w, &b, 1);
}

/* The next answer: its type, 0 when there is none. */
static int answer(struct desk_worker *w, uint64_t *ret_seq)
{
    struct buf *out = desk_answer(w);
    if (buf_len(out) == 0)
        return 0;
    struct rd r = rd_of(buf_at(out), buf_len(out));
    size_t len = rd_u32(&r), text;
    int type = rd_u8(&r);
    if (type == RECORD_ANSWER_REFUSED) {
        (void)rd_str32(&r, &text);
        assert_true(text > 0);
        *ret_seq = 0;
    } else {
        *ret_seq = rd_u64(&r);
    }
    assert_false(r.bad);
    buf_consume(out, 4 + len);
    return type;
}

static void expect(struct desk_worker *w, int type, uint64_t seq)
{
    uint64_t got;
    assert_int_equal(answer(w, &got), type);
    assert_int_equal(got, seq);
}

static void a_record_is_acknowledged_after_the_commit_and_not_before(void **state)
{
    struct counter c;
    uint64_t seq;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 0);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(send_record(&c, w, i), 0);
    assert_int_equal(answer(w, &seq), 0);
    assert_int_equal(house_count(&c.house, 0, NULL), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    expect(w, RECORD_ANSWER_ACK, 3); /* one for all three */
    assert_int_equal(answer(w, &seq), 0);
    assert_int_equal(house_count(&c.house, 0, NULL), 3);
    assert_string_equal(desk_worker_name(w), "worker-0");
    counter_done(&c);
}

static void a_record_sent_again_is_not_written_again(void **state)
{
    struct counter c;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 0);
    assert_int_equal(send_record(&c, w, 1), 0);
    assert_int_equal(send_record(&c, w, 2), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    counter_close(&c); /* the acknowledgement never arrived */
    counter_open(&c);
    w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 2);
    assert_int_equal(send_record(&c, w, 2), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    expect(w, RECORD_ANSWER_ACK, 2);
    assert_int_equal(send_record(&c, w, 3), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    expect(w, RECORD_ANSWER_ACK, 3);
    assert_int_equal(house_count(&c.house, 0, NULL), 3);
    counter_done(&c);
}

static void a_reconnect_before_the_commit_writes_once(void **state)
{
    struct counter c;
    (void)state;
    counter_init(&c);
    struct desk_worker *old = arrive(&c), *new;
    assert_int_equal(hello(&c, old, 5), 0);
    assert_int_equal(send_record(&c, old, 1), 0);
    new = arrive(&c);
    assert_int_equal(hello(&c, new, 5), 0);
    expect(new, RECORD_ANSWER_WELCOME, 0); /* appended, not durable */
    assert_int_equal(send_record(&c, new, 1), 0);
    assert_int_equal(send_record(&c, new, 2), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    expect(new, RECORD_ANSWER_ACK, 2);
    assert_int_equal(house_count(&c.house, 0, NULL), 2);
    counter_done(&c);
}

static void a_gap_ends_the_conversation(void **state)
{
    struct counter c;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    assert_int_equal(send_record(&c, w, 1), 0);
    assert_int_equal(send_record(&c, w, 3), -RF_EPROTO);
    desk_worker_free(w);
    w = arrive(
        &c); /* an instance that is not known may begin anywhere: it was acknowledged before */
    assert_int_equal(hello(&c, w, 6), 0);
    assert_int_equal(send_record(&c, w, 100), 0);
    assert_int_equal(send_record(&c, w, 102), -RF_EPROTO);
    counter_done(&c);
}

static void every_message_out_of_place_ends_the_conversation(void **state)
{
    struct counter c;
    struct buf b;
    (void)state;
    counter_init(&c);
    assert_int_equal(send_record(&c, arrive(&c), 1), -RF_EPROTO);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    assert_int_equal(hello(&c, w, 5), -RF_EPROTO);
    assert_int_equal(send_record(&c, w, 1), -RF_EPROTO); /* closed is closed */
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = { { "\0\0\0\0", 4 },         { "\0\0\0\1\0", 5 }, { "\0\0\0\1\4", 5 },
                { "\xff\xff\xff\xff", 4 }, { "\0\0\0\1\1", 5 }, { "\0\0\0\1\xff", 5 } };
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        buf_init(&b, 100);
        assert_int_equal(buf_append(&b, bad[i].bytes, bad[i].n), 0);
        assert_int_equal(feed(&c, arrive(&c), &b, 1), -RF_EPROTO);
    }
    static const enum record_kind own[] = { RECORD_START, RECORD_SERVICE };
    for (size_t i = 0; i < RF_COUNT(own); i++) {
        struct record r = house_record(1);
        r.kind = own[i];
        w = arrive(&c);
        assert_int_equal(hello(&c, w, 10 + i), 0);
        buf_init(&b, RECORD_MAX + 4);
        assert_int_equal(record_write(&b, 1, &r), 0);
        assert_int_equal(feed(&c, w, &b, 1000), -RF_EPROTO);
    }
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    assert_int_equal(house_count(&c.house, 0, NULL), 0);
    counter_done(&c);
}

static void a_full_batch_stops_the_work_until_it_is_committed(void **state)
{
    struct counter c;
    struct record r = house_record(1);
    struct buf b;
    char *sql = mem_zalloc(1, 60000);
    uint64_t sent = 0, committed = 0;
    (void)state;
    assert_non_null(sql);
    memset(sql, 'x', 59999);
    r.sql = sql;
    r.sql_len = 59999;
    counter_init(&c);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 0);
    buf_init(&b, RECORD_MAX + 4);
    while (committed < 40) {
        size_t room;
        uint8_t *to = desk_room(w, &room);
        if (to == NULL || desk_is_full(c.desk)) {
            assert_true(journal_pending(c.house.journal) <
                        JOURNAL_BATCH_MAX + (size_t)FRAME_ENTRY_MAX);
            assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
            assert_int_equal(answer(w, &committed), RECORD_ANSWER_ACK);
            assert_int_equal(desk_work(w, NOON, &c.house.err), 0);
            continue;
        }
        if (buf_len(&b) == 0)
            assert_int_equal(record_write(&b, ++sent, &r), 0);
        size_t n = buf_len(&b) < room ? buf_len(&b) : room;
        memcpy(to, buf_at(&b), n);
        desk_fed(w, n);
        buf_consume(&b, n);
        assert_int_equal(desk_work(w, NOON, &c.house.err), 0);
    }
    assert_int_equal(house_count(&c.house, 0, NULL), committed);
    buf_done(&b);
    mem_free(sql);
    counter_done(&c);
}

/* ---- when a batch is due ---- */

enum { FIRST_MS = 1000 };

static struct desk_worker *greeted(struct counter *c)
{
    struct desk_worker *w = arrive(c);
    assert_int_equal(hello(c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 0);
    return w;
}

static void statements_wait_together_and_not_longer_than_the_oldest_may(void **state)
{
    struct counter c;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = greeted(&c);
    for (uint64_t round = 0; round < 2; round++) {
        int64_t first = FIRST_MS + 100 * (int64_t)round, due = first + DESK_PATIENCE_MS;
        assert_int_equal(send_record(&c, w, 2 * round + 1), 0);
        assert_int_equal(desk_due_ms(c.desk, first), due);
        assert_int_equal(send_record(&c, w, 2 * round + 2), 0);
        assert_int_equal(desk_due_ms(c.desk, first + 1), due); /* the younger one changes nothing */
        assert_int_equal(desk_due_ms(c.desk, due), due);
        assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
        expect(w, RECORD_ANSWER_ACK, 2 * round + 2);
    }
    counter_done(&c);
}

static void whatever_is_no_statement_makes_the_batch_due(void **state)
{
    static const enum record_kind kinds[] = { RECORD_SESSION_OPEN, RECORD_RESULT, RECORD_DENIAL,
                                              RECORD_SESSION_CLOSE, RECORD_DISCLOSURE };
    struct counter c;
    uint64_t seq = 0;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = greeted(&c);
    for (size_t i = 0; i < RF_COUNT(kinds); i++) {
        assert_int_equal(send_record(&c, w, ++seq), 0);
        assert_true(desk_due_ms(c.desk, FIRST_MS) > FIRST_MS);
        assert_int_equal(send_kind(&c, w, ++seq, kinds[i]), 0);
        assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
        assert_int_equal(send_record(&c, w, ++seq), 0); /* nor does one behind it take that back */
        assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
        assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
        expect(w, RECORD_ANSWER_ACK, seq);
    }
    counter_done(&c);
}

static void what_others_append_makes_the_batch_due(void **state)
{
    struct counter c;
    struct record own = house_record(1);
    (void)state;
    counter_init(&c);
    struct desk_worker *w = greeted(&c);
    own.kind = RECORD_SERVICE;
    assert_int_equal(send_record(&c, w, 1), 0);
    assert_true(desk_due_ms(c.desk, FIRST_MS) > FIRST_MS);
    assert_int_equal(journal_append(c.house.journal, house_policy(), &own, 0, 0, NOON,
                                    &c.house.err),
                     0);
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    /* and when they commit for themselves, what comes next is not taken for what was there */
    assert_int_equal(journal_commit(c.house.journal, &c.house.err), 0);
    assert_int_equal(journal_append(c.house.journal, house_policy(), &own, 0, 0, NOON,
                                    &c.house.err),
                     0);
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    counter_done(&c);
}

static void a_statement_that_somebody_waits_for_makes_the_batch_due(void **state)
{
    struct counter c;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = greeted(&c);
    assert_int_equal(send_record(&c, w, 1), 0);
    assert_true(desk_due_ms(c.desk, FIRST_MS) > FIRST_MS);
    assert_int_equal(send_awaited(&c, w), 0);
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    assert_int_equal(desk_commit(c.desk, &c.house.err), 0);
    expect(w, RECORD_ANSWER_ACK, 1);
    assert_int_equal(send_record(&c, w, 2), 0); /* it was said of the one before */
    assert_true(desk_due_ms(c.desk, FIRST_MS) > FIRST_MS);
    assert_int_equal(send_awaited(&c, arrive(&c)), -RF_EPROTO);
    counter_done(&c);
}

static void what_is_empty_full_or_refused_is_due(void **state)
{
    static char sql[60000];
    struct counter c;
    struct record r = house_record(1);
    struct buf b;
    (void)state;
    counter_init(&c);
    struct desk_worker *w = greeted(&c);
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    memset(sql, 'x', sizeof(sql));
    r.sql = sql;
    r.sql_len = sizeof(sql);
    for (uint64_t seq = 1; !desk_is_full(c.desk); seq++) {
        assert_int_equal(desk_due_ms(c.desk, FIRST_MS),
                         seq == 1 ? FIRST_MS : FIRST_MS + DESK_PATIENCE_MS);
        buf_init(&b, RECORD_MAX + 4);
        assert_int_equal(record_write(&b, seq, &r), 0);
        assert_int_equal(feed(&c, w, &b, sizeof(sql)), 0);
    }
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    struct err why;
    (void)err_set(&why, RF_EUNAVAIL, "no more");
    desk_refuse(c.desk, &why);
    assert_int_equal(desk_due_ms(c.desk, FIRST_MS), FIRST_MS);
    counter_done(&c);
}

/* ---- what a registrar asks for ---- */

/* A worker's record about ACTOR: released rows, or a forgery. */
static void send_about(struct counter *c, struct desk_worker *w, uint64_t seq,
                       enum record_kind kind, const char *region, const char *actor)
{
    struct record r = house_record(seq);
    struct buf b;
    r.kind = kind;
    r.region = region;
    r.actor = actor;
    r.rule = kind == RECORD_DENIAL ? "reveal-forged" : NULL;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, seq, &r), 0);
    assert_int_equal(feed(c, w, &b, 100), 0);
}

/* 1 and NEWS, or 0: the desk has none. */
static int ask_news(struct counter *c, struct desk_worker *w, uint64_t taken,
                    struct record_news_copy *copy, struct record_news *news)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(record_news_ask(&b, taken), 0);
    assert_int_equal(feed(c, w, &b, 100), 0);
    struct buf *out = desk_answer(w);
    struct rd r = rd_of(buf_at(out), buf_len(out));
    size_t len = rd_u32(&r);
    assert_int_equal(rd_u8(&r), RECORD_ANSWER_NEWS);
    int rc = record_news_read(buf_at(out) + 5, len - 1, copy, news);
    buf_consume(out, 4 + len);
    return rc;
}

static void only_persons_whom_the_policy_knows_are_passed_on(void **state)
{
    static char us_analyst[] = "us_analyst", app_us[] = "app_us";
    struct policy_actor actors[] = { { .name = us_analyst, .kind = ACTOR_PERSON },
                                     { .name = app_us, .kind = ACTOR_SERVICE } };
    struct policy_alerts alerts = { .rules[ALERT_HABIT] = { .rows = 1 } };
    struct policy policy = *house_policy();
    struct record_news_copy copy;
    struct record_news news;
    struct desk_worker *registrar;
    struct counter c;
    uint64_t seq = 0;
    (void)state;
    policy.actors = actors;
    policy.actor_count = RF_COUNT(actors);
    policy.alerts = &alerts;
    counter_init(&c);
    desk_set_policy(c.desk, &policy);
    struct desk_worker *w = greeted(&c);
    assert_int_equal(desk_worker_new(c.desk, DESK_REGISTRAR, &registrar, &c.house.err), 0);
    assert_int_equal(hello(&c, registrar, 6), 0);
    expect(registrar, RECORD_ANSWER_WELCOME, 0);
    for (int kind = 0; kind < 2; kind++) {
        enum record_kind said = kind == 0 ? RECORD_RESULT : RECORD_DENIAL;
        send_about(&c, w, ++seq, said, NAME, "invented");
        send_about(&c, w, ++seq, said, NAME, app_us);
        send_about(&c, w, ++seq, said, "atlantis", us_analyst);
        send_about(&c, w, ++seq, said, NAME, "us_analys");
    }
    assert_int_equal(ask_news(&c, registrar, 0, &copy, &news), 0);
    send_about(&c, w, ++seq, RECORD_RESULT, NAME, us_analyst);
    assert_int_equal(ask_news(&c, registrar, 0, &copy, &news), 1);
    assert_string_equal(news.actor, us_analyst);
    assert_int_equal(news.kind, RECORD_NEWS_ROWS);
    assert_int_equal(news.count, 5);
    send_about(&c, w, ++seq, RECORD_DENIAL, NAME, us_analyst);
    assert_int_equal(ask_news(&c, registrar, news.number, &copy, &news), 1);
    assert_int_equal(news.kind, RECORD_NEWS_FORGED);
    assert_int_equal(ask_news(&c, registrar, news.number, &copy, &news), 0);
    counter_done(&c);
}

static void a_desk_without_a_journal_refuses_with_the_reason(void **state)
{
    struct counter c = { 0 };
    uint64_t seq;
    (void)state;
    assert_int_equal(desk_new(NULL, NULL, house_policy(), "the disk is full", &c.desk,
                              &c.house.err),
                     0);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    struct buf *out = desk_answer(w);
    assert_int_equal(buf_len(out), 4 + 1 + 4 + 16);
    assert_memory_equal(buf_at(out), "\0\0\0\x15\3\0\0\0\x10the disk is full", 25);
    buf_consume(out, buf_len(out));
    assert_int_equal(send_record(&c, w, 1), 0); /* was on its way */
    assert_int_equal(desk_commit(c.desk, &c.house.err), -RF_EUNAVAIL);
    assert_int_equal(answer(w, &seq), 0);
    desk_free(c.desk);
}

static void a_failed_sync_refuses_everybody_and_acknowledges_nobody(void **state)
{
    (void)state;
#ifdef RF_FAULTS
    struct counter c;
    uint64_t seq;
    counter_init(&c);
    struct desk_worker *w = arrive(&c), *other = arrive(&c), *late;
    assert_int_equal(hello(&c, w, 5), 0);
    expect(w, RECORD_ANSWER_WELCOME, 0);
    assert_int_equal(hello(&c, other, 6), 0);
    expect(other, RECORD_ANSWER_WELCOME, 0);
    assert_int_equal(send_record(&c, w, 1), 0);
    fault_arm("journal.sync");
    assert_int_equal(desk_commit(c.desk, &c.house.err), -RF_ESYS);
    fault_arm(NULL);
    expect(w, RECORD_ANSWER_REFUSED, 0);
    expect(other, RECORD_ANSWER_REFUSED, 0);
    assert_int_equal(send_record(&c, w, 2), 0);
    assert_int_equal(desk_commit(c.desk, &c.house.err), -RF_EUNAVAIL);
    assert_int_equal(answer(w, &seq), 0);
    late = arrive(&c);
    assert_int_equal(hello(&c, late, 7), 0);
    expect(late, RECORD_ANSWER_REFUSED, 0);
    counter_done(&c);
#else
    skip();
#endif
}

static void a_full_batch_that_failed_does_not_keep_newcomers_waiting(void **state)
{
    (void)state;
#ifdef RF_FAULTS
    static char sql[60000];
    struct counter c;
    struct record r = house_record(1);
    counter_init(&c);
    struct desk_worker *w = arrive(&c);
    assert_int_equal(hello(&c, w, 5), 0);
    memset(sql, 'x', sizeof(sql));
    r.sql = sql;
    r.sql_len = sizeof(sql);
    for (uint64_t seq = 1; !desk_is_full(c.desk); seq++) {
        struct buf b;
        buf_init(&b, RECORD_MAX + 4);
        assert_int_equal(record_write(&b, seq, &r), 0);
        assert_int_equal(feed(&c, w, &b, sizeof(sql)), 0);
    }
    fault_arm("journal.sync");
    assert_int_equal(desk_commit(c.desk, &c.house.err), -RF_ESYS);
    fault_arm(NULL);
    assert_false(desk_is_full(c.desk));
    struct desk_worker *late = arrive(&c);
    assert_int_equal(hello(&c, late, 7), 0);
    expect(late, RECORD_ANSWER_REFUSED, 0);
    counter_done(&c);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_acknowledged_after_the_commit_and_not_before),
        cmocka_unit_test(a_record_sent_again_is_not_written_again),
        cmocka_unit_test(a_reconnect_before_the_commit_writes_once),
        cmocka_unit_test(a_gap_ends_the_conversation),
        cmocka_unit_test(every_message_out_of_place_ends_the_conversation),
        cmocka_unit_test(a_full_batch_stops_the_work_until_it_is_committed),
        cmocka_unit_test(statements_wait_together_and_not_longer_than_the_oldest_may),
        cmocka_unit_test(whatever_is_no_statement_makes_the_batch_due),
        cmocka_unit_test(what_others_append_makes_the_batch_due),
        cmocka_unit_test(a_statement_that_somebody_waits_for_makes_the_batch_due),
        cmocka_unit_test(what_is_empty_full_or_refused_is_due),
        cmocka_unit_test(only_persons_whom_the_policy_knows_are_passed_on),
        cmocka_unit_test(a_desk_without_a_journal_refuses_with_the_reason),
        cmocka_unit_test(a_failed_sync_refuses_everybody_and_acknowledges_nobody),
        cmocka_unit_test(a_full_batch_that_failed_does_not_keep_newcomers_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
