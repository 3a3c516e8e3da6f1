/* fault_units.c - parts that can be run alone, while each fallible call of theirs fails in turn.
 * usage: fault_units POLICY-FILE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/credentials.h"
#include "auth/scram.h"
#include "base/buf.h"
#include "campaign.h"
#include "gate/expect.h"
#include "gate/pool.h"
#include "gate/prepared.h"
#include "gate/settings.h"
#include "gate/snapshot.h"
#include "guard/inspect.h"
#include "io/stream.h"
#include "ledger/desk.h"
#include "ledger/tag_book.h"
#include "policy/config.h"
#include "policy/mistakes.h"
#include "tlog/trust.h"

/* journal_house.h asserts by cmocka, which is not here */
#define assert_non_null(value) RF_ASSERT((value) != NULL)
#define assert_int_equal(a, b) RF_ASSERT((a) == (b))
#define assert_true(value)     RF_ASSERT(value)
#include "journal_house.h"

bool __wrap_fault_hit(const char *name);

bool __wrap_fault_hit(const char *name)
{
    return campaign_hit(name);
}

static const char verifier[] =
    "SCRAM-SHA-256$4096:FbULBZJBAOFD1SOokX8rbg==$L/pxNX7tgadICCHzUcM8GPC4mpKPf0R6wAtp4Cd7Nbg="
    ":oB23NY5SLObqLE3cHDOGzU7w10pXEDKoFYiz3sy15sc=";

/* ---- auth ---- */

static int scram_between(struct scram_server *server, struct scram_client *client)
{
    struct buf to_server, to_client;
    struct err e;
    const char *mechanism = NULL;
    size_t offer_len = 0;
    const char *offer = scram_server_offer(server, &offer_len);
    buf_init(&to_server, SCRAM_MESSAGE_MAX);
    buf_init(&to_client, SCRAM_MESSAGE_MAX);
    enum scram_step theirs =
        scram_client_start(client, (const uint8_t *)offer, offer_len, &mechanism, &to_server, &e);
    enum scram_step ours = SCRAM_CONTINUE;
    while (theirs == SCRAM_CONTINUE && ours == SCRAM_CONTINUE) {
        ours = scram_server_step(server, mechanism, buf_at(&to_server), buf_len(&to_server),
                                 &to_client, &e);
        mechanism = NULL;
        buf_consume(&to_server, buf_len(&to_server));
        if (ours == SCRAM_FAILED)
            break;
        theirs = scram_client_step(client, buf_at(&to_client), buf_len(&to_client), &to_server, &e);
        buf_consume(&to_client, buf_len(&to_client));
    }
    buf_done(&to_server);
    buf_done(&to_client);
    return theirs == SCRAM_DONE && ours == SCRAM_DONE ? 0 : -RF_EAUTH;
}

static int login_by_scram(void *arg)
{
    static struct scram_cache cache;
    static const struct scram_mock mock = { .secret = { 1 }, .iterations = 4096 };
    static const uint8_t binding[32] = { 2 };
    struct scram_server *server = NULL;
    struct scram_client *client = NULL;
    (void)arg;
    int rc = scram_server_new(verifier, "ann", &mock, binding, sizeof(binding), &server);
    if (rc == 0)
        rc = scram_client_new("pencil", binding, sizeof(binding), &cache, &client);
    if (rc == 0)
        rc = scram_between(server, client);
    scram_client_free(client);
    scram_server_free(server);
    return rc;
}

static int read_credentials(void *arg)
{
    char text[2 * sizeof(verifier) + 32];
    struct credentials *c = NULL;
    struct mistakes m;
    (void)arg;
    int n = snprintf(text, sizeof(text), "# staff\nann:%s\nbob:%s\n", verifier, verifier);
    mistakes_init(&m);
    int rc = credentials_parse("credentials", text, (size_t)n, &c, &m);
    RF_ASSERT(rc < 0 || credentials_find(c, "bob") != NULL);
    credentials_free(c);
    mistakes_done(&m);
    return rc;
}

/* ---- policy ---- */

struct text {
    char *at;
    size_t len;
};

static int read_policy(void *arg)
{
    const struct text *t = arg;
    struct policy *p = NULL;
    struct mistakes m;
    mistakes_init(&m);
    int rc = policy_parse("policy.yaml", t->at, t->len, &p, &m);
    RF_ASSERT((rc == 0) == (p != NULL));
    policy_free(p);
    mistakes_done(&m);
    return rc;
}

/* With a mistake in every part, so that messages are made, too. */
static int read_wrong_policy(void *arg)
{
    static const char text[] = "version: 2\nadult_age: x\nregions: {a: {jurisdiction: B}}\n"
                               "actors: {a: {kind: robot, entity: none, place: XXX}}\n"
                               "tables: {t: {subject: 1}}\nnonsense: []\n";
    struct policy *p = NULL;
    struct mistakes m;
    (void)arg;
    mistakes_init(&m);
    RF_ASSERT(policy_parse("policy.yaml", text, sizeof(text) - 1, &p, &m) < 0 && p == NULL);
    mistakes_done(&m);
    return 0;
}

static int make_generation(void *arg)
{
    static const char text[] =
        "name: here\nplace: US\npolicy: p\ncredentials: c\nstate: s\nrun: r\n"
        "listen: [{unix: r/s}]\n"
        "databases:\n"
        "  a: {region: us-virginia, database: app, primary: ['/tmp:5441', '127.0.0.1:5442'],\n"
        "      standby: ['/tmp:5443'], tls: off}\n";
    char credentials[sizeof(verifier) + 8];
    const struct text *t = arg;
    struct config *c = NULL;
    struct policy *p = NULL;
    struct snapshot *s = NULL;
    struct mistakes m;
    struct err e;
    (void)snprintf(credentials, sizeof(credentials), "ann:%s\n", verifier);
    mistakes_init(&m);
    int rc = config_parse("/f/ringfence.yaml", text, sizeof(text) - 1, &c, &m);
    if (rc == 0)
        rc = policy_parse("policy.yaml", t->at, t->len, &p, &m);
    if (rc == 0)
        rc = snapshot_new(c, p, credentials, strlen(credentials), &s, &e);
    if (rc == 0) {
        snapshot_release(s);
    } else {
        config_free(c);
        policy_free(p);
    }
    mistakes_done(&m);
    return rc;
}

/* ---- guard ---- */

static int examine(void *arg)
{
    static const char sql[] = "select a, b from app.users u join x.y on true; set work_mem = 1; "
                              "select pg_read_file('/etc/passwd')";
    static struct guard_report report, back;
    struct buf b;
    uint32_t id = 0;
    const char *text = NULL;
    size_t len = 0;
    (void)arg;
    buf_init(&b, GUARD_MESSAGE_MAX);
    int rc = guard_request_write(&b, 7, sql, sizeof(sql) - 1);
    if (rc == 0)
        rc = guard_request_read(buf_at(&b), buf_len(&b), &id, &text, &len);
    if (rc == 0) {
        guard_inspect(text, len, &report);
        /* out of memory is no reason to let anything through */
        RF_ASSERT(report.status != GUARD_PARSED || report.count == 3);
        if (report.status != GUARD_PARSED)
            rc = -RF_ENOMEM;
        buf_clear(&b);
        if (guard_report_write(&b, &report) < 0)
            rc = -RF_ENOMEM;
        else
            RF_ASSERT(guard_report_read(buf_at(&b), buf_len(&b), &back) == 0 &&
                      back.count == report.count);
        guard_inspect_done(&report);
    }
    buf_done(&b);
    return rc;
}

/* ---- ledger ---- */

static int write_records(void *arg)
{
    struct record r = house_record(1), back;
    struct buf b;
    uint64_t seq = 0;
    (void)arg;
    buf_init(&b, 1 << 20);
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && i <= 50; i++) {
        size_t before = buf_len(&b);
        rc = record_write(&b, i, &r);
        RF_ASSERT(rc == 0 || buf_len(&b) == before);
        if (rc == 0)
            RF_ASSERT(record_read(buf_at(&b) + before + 4, buf_len(&b) - before - 4, &seq, &back) ==
                          0 &&
                      seq == i);
    }
    buf_done(&b);
    return rc;
}

/* What was acknowledged is there when the journal is opened again, and no more than what was sent.
 */
static int keep_journal(void *arg)
{
    struct house h;
    uint64_t durable = 0;
    (void)arg;
    house_init(&h);
    h.segment_max = 4096;
    int rc = house_open(&h);
    for (uint64_t i = 1; rc == 0 && i <= 12; i++) {
        rc = house_put(&h, 77, i);
        if (rc == 0)
            durable = i;
    }
    house_close(&h);
    const char *point = campaign_point;
    campaign_point = ""; /* the next start is a good day */
    RF_ASSERT(house_open(&h) == 0);
    RF_ASSERT(journal_next_index(h.journal) >= durable && journal_next_index(h.journal) <= 12);
    campaign_point = point;
    house_done(&h);
    return rc;
}

/* A number that could not be given is given next time: no gap, and nothing twice. */
static int number_subjects(void *arg)
{
    struct tag_book_options o = { .region = "r", .origin = "o", .secret = { 1 } };
    struct tag_book *book = NULL;
    uint8_t item[TAG_ITEM_LEN], root[DIGEST_LEN];
    uint64_t count = 0;
    struct err e;
    (void)arg;
    int rc = digest_init(&e), failed = 0;
    if (rc == 0)
        rc = tag_book_new(&o, &book, &e);
    if (rc < 0)
        return rc;
    tag_book_enter(book, 29929525);
    for (int i = 0; i < 1000; i++) { /* more than the set begins with room for */
        uint8_t key = (uint8_t)('a' + i % 3);
        rc = tag_book_take(book, &key, 1, "identity", i, item);
        if (rc == 0)
            continue;
        RF_ASSERT(rc == -RF_ENOMEM && tag_book_pending(book) == (size_t)i);
        failed = rc;
        const char *point = campaign_point;
        campaign_point = ""; /* the next attempt is a good one */
        RF_ASSERT(tag_book_take(book, &key, 1, "identity", i, item) == 0);
        campaign_point = point;
    }
    tag_book_commit(book);
    rc = tag_book_seal(book, root, &count);
    RF_ASSERT(rc < 0 || count == 1000);
    tag_book_free(book);
    return failed < 0 ? failed : rc;
}

static int feed_desk(struct desk_worker *w, struct buf *bytes, struct err *err)
{
    size_t room = 0;
    while (buf_len(bytes) > 0) {
        uint8_t *at = desk_room(w, &room);
        if (at == NULL)
            return -RF_ENOMEM;
        size_t n = room < buf_len(bytes) ? room : buf_len(bytes);
        RF_ASSERT(n > 0);
        memcpy(at, buf_at(bytes), n);
        desk_fed(w, n);
        buf_consume(bytes, n);
        int rc = desk_work(w, NOON, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The last number that the desk has acknowledged. */
static uint64_t acknowledged(struct buf *answer)
{
    uint64_t seq = 0;
    const uint8_t *at = buf_at(answer);
    for (size_t i = 0; i + 13 <= buf_len(answer); i += 4 + (size_t)at[i + 3])
        if (at[i + 4] == RECORD_ANSWER_ACK)
            seq = at[i + 12];
    return seq;
}

static int converse(void *arg)
{
    struct house h;
    struct desk *desk = NULL;
    struct desk_worker *w = NULL;
    struct buf b;
    uint64_t said = 0;
    (void)arg;
    house_init(&h);
    buf_init(&b, 1 << 20);
    int rc = house_open(&h);
    if (rc == 0)
        rc = desk_new(h.journal, NULL, house_policy(), NULL, &desk, &h.err);
    if (rc == 0)
        rc = desk_worker_new(desk, DESK_WORKER, &w, &h.err);
    if (rc == 0)
        rc = record_hello_write(&b, 99, "worker-0");
    for (uint64_t i = 1; rc == 0 && i <= 5; i++) {
        struct record r = house_record(i);
        rc = record_write(&b, i, &r);
    }
    if (rc == 0)
        rc = feed_desk(w, &b, &h.err);
    if (w != NULL)
        buf_clear(desk_answer(w)); /* the welcome */
    if (rc == 0)
        rc = desk_commit(desk, &h.err);
    if (w != NULL) {
        said = acknowledged(desk_answer(w));
        RF_ASSERT(said == 0 || rc == 0); /* acknowledged only what is durable */
        RF_ASSERT(said == 5 || rc < 0 || campaign_at > 0);
    }
    desk_free(desk);
    buf_done(&b);
    house_done(&h);
    return rc;
}

/* ---- gate and io ---- */

static int keep_settings(void *arg)
{
    struct settings want = { 0 }, have = { 0 }, defaults = { 0 };
    struct buf sql;
    char name[16];
    int rc = 0;
    (void)arg;
    buf_init(&sql, 65536);
    for (int i = 0; rc == 0 && i < 20; i++) {
        (void)snprintf(name, sizeof(name), "name_%d", i);
        rc = settings_put(&want, name, "value 'quoted' \\ back");
        if (rc == 0)
            rc = settings_put(&have, name, i % 2 == 0 ? "other" : "value");
    }
    if (rc == 0)
        rc = settings_put(&defaults, "TimeZone", "UTC");
    if (rc == 0) {
        int n = settings_write_difference(&want, &have, &defaults, &sql);
        rc = n < 0 ? n : 0;
    }
    if (rc == 0)
        rc = settings_adopt(&want, &have);
    settings_done(&want);
    settings_done(&have);
    settings_done(&defaults);
    buf_done(&sql);
    return rc;
}

static int prepare_one(struct prepared_table *t, struct prepared_names *names, struct backend *b,
                       int i)
{
    char sql[32], name[16];
    static const uint8_t types[] = { 0, 0, 0, 25 };
    struct prepared *p = NULL;
    (void)snprintf(sql, sizeof(sql), "select %d", i % 70);
    (void)snprintf(name, sizeof(name), "s%d", i % 40);
    struct frontend_parse parse = { .name = name,
                                    .query = sql,
                                    .query_len = strlen(sql),
                                    .type_count = (uint16_t)(i % 2),
                                    .types = types };
    int rc = prepared_intern(t, &parse, &p);
    if (rc < 0)
        return rc;
    uint64_t id = p->id;
    rc = prepared_names_put(names, t, name, p);
    if (rc < 0)
        prepared_release(t, p);
    return rc < 0 ? rc : prepared_learn(b, id);
}

static int keep_prepared(void *arg)
{
    struct prepared_table t = { 0 };
    struct prepared_names names = { 0 };
    struct backend b = { 0 };
    int rc = 0;
    (void)arg;
    for (int i = 0; rc == 0 && i < 150; i++)
        rc = prepare_one(&t, &names, &b, i);
    prepared_names_done(&names, &t);
    RF_ASSERT(t.count == 0);
    prepared_table_done(&t);
    free(b.known);
    return rc;
}

static int keep_expectations(void *arg)
{
    struct expect_queue q = { 0 };
    int rc = 0;
    (void)arg;
    for (uint32_t i = 0; rc == 0 && i < 200; i++) {
        rc = expect_push(&q, i % 5 == 4 ? EXPECT_SYNC : EXPECT_EXECUTE, EXPECT_FORWARD, i);
        if (rc == 0 && i % 3 == 0)
            (void)expect_answer(&q, MESSAGE_COMMAND_COMPLETE, NULL, NULL);
    }
    expect_done(&q);
    return rc;
}

struct end {
    struct stream stream;
    size_t got;
    bool ended;
};

static void on_data(struct stream *s, const uint8_t *bytes, size_t n)
{
    struct end *e = RF_OWNER(s, struct end, stream);
    (void)bytes;
    e->got += n;
}

static void on_end(struct stream *s, const char *why)
{
    struct end *e = RF_OWNER(s, struct end, stream);
    (void)why;
    RF_ASSERT(!e->ended);
    e->ended = true;
    stream_close(s);
}

static const struct stream_ops end_ops = { .on_data = on_data, .on_end = on_end };

/* All bytes arrive or the sender's side ends; nothing arrives twice. */
static int pass_bytes(void *arg)
{
    enum { TOTAL = 1 << 20, PIECE = 50000 };
    static uint8_t bytes[PIECE];
    struct loop *loop = NULL;
    struct end a = { .got = 0 }, b = { .got = 0 };
    struct err e;
    int pair[2], rc = loop_new(&loop, &e);
    size_t sent = 0;
    (void)arg;
    if (rc < 0)
        return rc;
    RF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    stream_init(&a.stream, loop, &end_ops);
    stream_init(&b.stream, loop, &end_ops);
    stream_open(&a.stream, pair[0]);
    stream_open(&b.stream, pair[1]);
    for (; rc == 0 && sent < TOTAL; sent += PIECE)
        rc = stream_write(&a.stream, bytes, PIECE);
    for (int i = 0; i < 10000 && !a.ended && !b.ended && b.got < sent; i++)
        RF_ASSERT(loop_turn(loop, &e) == 0);
    RF_ASSERT(b.got <= sent && (rc < 0 || b.got == sent));
    RF_ASSERT(rc == 0 || a.ended);
    stream_close(&a.stream);
    stream_close(&b.stream);
    loop_free(loop);
    return rc;
}

/* ---- tlog ---- */

/* Out of memory is never evidence of tampering, and never a signature that holds. */
static int sign_note(void *arg)
{
    static const char text[] = "a log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    static const uint8_t seed[KEY_SEED_LEN] = { 3 };
    static struct note note;
    struct secret_key log, witness;
    struct buf b;
    struct err e;
    (void)arg;
    int rc = digest_init(&e);
    if (rc == 0)
        rc = secret_key_make("log", KEY_ED25519, seed, &log, &e);
    if (rc == 0)
        rc = secret_key_make("witness", KEY_COSIGNATURE, seed, &witness, &e);
    buf_init(&b, NOTE_MAX);
    if (rc == 0)
        rc = note_sign(&b, text, sizeof(text) - 1, &log, &e);
    if (rc == 0)
        rc = note_cosign(&b, text, sizeof(text) - 1, 1, &witness, &e);
    if (rc == 0)
        rc = note_read((char *)buf_at(&b), buf_len(&b), &note, &e);
    if (rc == 0) {
        rc = note_verify(&note, &witness.key, NULL, &e);
        RF_ASSERT(rc == 1 || rc == -RF_ENOMEM);
        rc = rc == 1 ? 0 : rc;
    }
    buf_done(&b);
    return rc;
}

/* A key is there whole and can be read again, or not at all. */
static int keep_key(void *arg)
{
    static const uint8_t seed[KEY_SEED_LEN] = { 3 };
    char folder[] = "/tmp/fault_units.XXXXXX", path[64], policy[64];
    struct secret_key key, again;
    static struct trust trust;
    struct err e;
    (void)arg;
    RF_ASSERT(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof(path), "%s/key", folder);
    (void)snprintf(policy, sizeof(policy), "%s/policy", folder);
    FILE *file = fopen(policy, "w");
    RF_ASSERT(file != NULL && fputs("quorum none\n", file) >= 0 && fclose(file) == 0);
    int rc = digest_init(&e);
    if (rc == 0)
        rc = secret_key_make("log", KEY_ED25519, seed, &key, &e);
    if (rc == 0)
        rc = secret_key_save(path, &key, &e);
    RF_ASSERT((access(path, F_OK) == 0) == (rc == 0));
    if (rc == 0)
        rc = secret_key_load(path, KEY_ED25519, &again, &e);
    RF_ASSERT(rc < 0 || memcmp(&key, &again, sizeof(key)) == 0);
    if (rc == 0)
        rc = trust_load(policy, &trust, &e);
    (void)unlink(path);
    RF_ASSERT(unlink(policy) == 0 && rmdir(folder) == 0);
    return rc;
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    campaign_fn *fn;
    const char *point;
} campaigns[] = {
    { "a login by scram", login_by_scram, "mem.alloc" },
    { "credentials", read_credentials, "mem.alloc" },
    { "a policy", read_policy, "mem.alloc" },
    { "a policy full of mistakes", read_wrong_policy, "mem.alloc" },
    { "a generation", make_generation, "mem.alloc" },
    { "an examination of SQL", examine, "mem.alloc" },
    { "records", write_records, "mem.alloc" },
    { "a journal", keep_journal, "mem.alloc" },
    { "a journal", keep_journal, "journal.open" },
    { "a journal", keep_journal, "journal.write" },
    { "a journal", keep_journal, "journal.sync" },
    { "a journal", keep_journal, "journal.rotate" },
    { "a journal", keep_journal, "journal.settle" },
    { "a journal", keep_journal, "daykey.create" },
    { "a journal", keep_journal, "folder.sync" },
    { "tags", number_subjects, "mem.alloc" },
    { "a desk", converse, "mem.alloc" },
    { "a desk", converse, "journal.sync" },
    { "settings", keep_settings, "mem.alloc" },
    { "prepared statements", keep_prepared, "mem.alloc" },
    { "expectations", keep_expectations, "mem.alloc" },
    { "a stream", pass_bytes, "mem.alloc" },
    { "a note", sign_note, "mem.alloc" },
    { "a log's key", keep_key, "mem.alloc" },
    { "a log's key", keep_key, "key.sync" },
    { "a log's key", keep_key, "key.sync_folder" },
};

int main(int argc, char **argv)
{
    struct text policy = { 0 };
    struct err e;
    if (argc != 2 || sodium_init() < 0 ||
        fd_read_file(argv[1], 1 << 20, &policy.at, &policy.len, &e) < 0) {
        (void)fprintf(stderr, "usage: %s POLICY-FILE\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < RF_COUNT(campaigns); i++)
        campaign_run(campaigns[i].name, campaigns[i].fn, &policy, campaigns[i].point, 1);
    free(policy.at);
    return campaign_end();
}
