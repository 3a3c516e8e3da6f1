/* ledger_bench - what the ledger and the notary do in a second, without sockets and processes.
 *
 * usage: ledger_bench FOLDER batch SECONDS RECORDS      journal alone, a sync every RECORDS
 *        ledger_bench FOLDER age SECONDS MS KIND        a sync every MS milliseconds, or when the
 *                                                       batch is full; KIND: journal (no public
 *                                                       log), log, mixed (with a log, every tenth
 *                                                       record is a disclosure), disclosures
 *        ledger_bench FOLDER grow ENTRIES               journal, tiles, a start of the ledger with
 * its last snapshot, and one without
 *
 * `age` is the whole path of the ledger's process but the socket: the bytes of a worker's messages
 * are read, become entries, are written with one write and one fdatasync, and are acknowledged.
 * Each case prints one object of JSON; "cpu_us" is processor time of this process, the kernel's
 * share of it included. FOLDER is made anew below the one that is named, and removed. */
#include <ftw.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ledger/desk.h"
#include "ledger/scribe.h"
#include "ledger/vrfkey.h"
#include "policy/grants.h"

#define ORIGIN "log.example.com/bench"
#define REGION "us-virginia"

enum { MESSAGES = 256, SUBJECTS = 1000 };

static const char sql[] =
    "select v.id, v.title, count(*) from videos v join watch_events w on w.video_id = v.id "
    "where w.watched_at > now() - interval '7 days' group by 1, 2 order by 3 desc limit 50";

struct bench {
    struct policy policy;
    struct config config;
    struct config_database database;
    struct journal_found found;
    struct journal *journal;
    struct clerk *clerk;
    struct desk *desk;
    char state[4096], public[4096], key_path[4096], vrf_path[4096];
    struct secret_key key;
    struct err err;
};

static char region_name[] = REGION, entity_name[] = "clipstream-us", origin[] = ORIGIN,
            epoch[] = "month", purpose[] = "support_ticket";
static char *purposes[] = { purpose };
static struct policy_region regions[] = { { .name = region_name } };
static struct policy_entity entities[] = { { .name = entity_name } };
static struct policy_grants grants = { .opened_by = GRANTS_BY_ADMINISTRATOR };

static struct record statement_record(void)
{
    return (struct record){ .kind = RECORD_STATEMENT,
                            .wall_ms = clock_wall_ms(),
                            .session = { 1, 2, 3 },
                            .statement = 7,
                            .region = REGION,
                            .entity = entity_name,
                            .place = "US",
                            .room = "masked",
                            .actor_kind = "person",
                            .actor = "us_analyst",
                            .client = "127.0.0.1:40000",
                            .listener = "127.0.0.1:6432",
                            .database = REGION,
                            .role = "us_analyst.masked",
                            .sql = sql,
                            .sql_len = sizeof(sql) - 1,
                            .statement_kind = "SelectStmt",
                            .fingerprint = 0x1234567890abcdef,
                            .relations = "app.videos,app.watch_events" };
}

/* One subject of a thousand, each time under a grant of its own, so that every one has a leaf. */
static struct record disclosure_record(uint64_t n, char revealed[64])
{
    struct record r = statement_record();
    (void)snprintf(revealed, 64, "%" PRIu64 " identity,contact", 1 + n % SUBJECTS);
    r.kind = RECORD_DISCLOSURE;
    r.room = "granted";
    r.purpose = purpose;
    r.grant = n + 1;
    r.classes = "identity,contact";
    r.subjects = 1;
    r.revealed = revealed;
    r.sql = NULL;
    r.sql_len = 0;
    r.statement_kind = r.relations = NULL;
    r.fingerprint = 0;
    return r;
}

/* ---- a ledger's inside ---------------------------------------------------------------------- */

static int make_keys(struct bench *b)
{
    uint8_t seed[KEY_SEED_LEN] = { 1 }, secret[VRF_SECRET_LEN], public[VRF_PUBLIC_LEN];
    int rc = secret_key_make(ORIGIN, KEY_ED25519, seed, &b->key, &b->err);
    if (rc == 0)
        rc = secret_key_save(b->key_path, &b->key, &b->err);
    if (rc == 0 && (vrf_secret_make(secret) < 0 || vrf_public_of(secret, public) < 0))
        rc = err_set(&b->err, RF_EBUG, "no VRF key");
    return rc == 0 ? vrfkey_save(b->vrf_path, REGION, secret, &b->err) : rc;
}

static int start_clerk(struct bench *b)
{
    static const uint8_t digest[DIGEST_LEN] = { 1 }, session[RECORD_SESSION_ID_LEN] = { 1 };
    const struct clerk_start start = {
        .binary = digest, .libraries = digest, .detail = "start=1", .session = session
    };
    int rc = clerk_new(b->journal, &b->config, NULL, &b->clerk, &b->err);
    if (rc == 0)
        rc = clerk_replay(b->clerk, &b->policy, &b->err);
    return rc == 0 ? clerk_start(b->clerk, &b->policy, &start, clock_wall_ms(), &b->err) : rc;
}

static int open_all(struct bench *b, bool with_log)
{
    const struct journal_options options = { .state_dir = b->state, .name = REGION };
    int rc = journal_open(&options, &b->journal, &b->found, &b->err);
    if (rc == 0 && with_log)
        rc = start_clerk(b);
    return rc == 0 ? desk_new(b->journal, b->clerk, &b->policy, "", &b->desk, &b->err) : rc;
}

static void close_all(struct bench *b)
{
    desk_free(b->desk);
    clerk_free(b->clerk);
    journal_close(b->journal);
    b->desk = NULL;
    b->clerk = NULL;
    b->journal = NULL;
}

static int set_up(struct bench *b, const char *folder)
{
    b->policy = (struct policy){ .regions = regions,
                                 .region_count = 1,
                                 .entities = entities,
                                 .entity_count = 1,
                                 .purposes = purposes,
                                 .purpose_count = 1,
                                 .grants = &grants };
    b->database = (struct config_database){ .region = region_name };
    (void)snprintf(b->state, sizeof(b->state), "%.4000s/state", folder);
    (void)snprintf(b->public, sizeof(b->public), "%.4000s/public", folder);
    (void)snprintf(b->key_path, sizeof(b->key_path), "%.4000s/log.key", folder);
    (void)snprintf(b->vrf_path, sizeof(b->vrf_path), "%.4000s/vrf.key", folder);
    b->config = (struct config){ .state_dir = b->state,
                                 .databases = &b->database,
                                 .database_count = 1,
                                 .ledger = { .origin = origin,
                                             .directory = b->public,
                                             .key_path = b->key_path,
                                             .vrf_path = b->vrf_path,
                                             .epoch = epoch,
                                             .rollup_ms = INT64_C(24) * 3600 * 1000,
                                             .seal_ms = INT64_C(60) * 1000 } };
    int rc = digest_init(&b->err);
    if (rc == 0 && sodium_init() < 0)
        rc = err_set(&b->err, RF_EBUG, "no libsodium");
    return rc == 0 ? make_keys(b) : rc;
}

/* ---- time ----------------------------------------------------------------------------------- */

struct watch {
    double cpu_us;
    int64_t wall_us;
};

static struct watch watch_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (struct watch){ (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3, clock_mono_us() };
}

static struct watch watch_since(struct watch start)
{
    struct watch now = watch_now();
    return (struct watch){ now.cpu_us - start.cpu_us, now.wall_us - start.wall_us };
}

static long peak_kilobytes(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* ---- batches -------------------------------------------------------------------------------- */

static int run_batch(struct bench *b, int seconds, unsigned size)
{
    uint64_t seq = 0, batches = 0, bytes = 0;
    int rc = open_all(b, false);
    struct watch start = watch_now();
    while (rc == 0 && watch_since(start).wall_us < (int64_t)seconds * 1000000) {
        for (unsigned i = 0; rc == 0 && i < size; i++) {
            struct record r = statement_record();
            seq++;
            rc = journal_append(b->journal, &b->policy, &r, 1, seq, r.wall_ms, &b->err);
        }
        bytes += journal_pending(b->journal);
        rc = rc == 0 ? journal_commit(b->journal, &b->err) : rc;
        batches++;
    }
    struct watch took = watch_since(start);
    if (rc == 0)
        (void)printf("{\"records_per_second\":%.0f,\"cpu_us\":%.2f,\"commit_us\":%.1f,"
                     "\"bytes\":%" PRIu64 "}\n",
                     (double)seq * 1e6 / (double)took.wall_us, took.cpu_us / (double)seq,
                     (double)took.wall_us / (double)batches, bytes / seq);
    return rc;
}

/* ---- ages ----------------------------------------------------------------------------------- */

/* What a worker would send: whole messages, whose numbers are put in as they are fed. */
struct feed {
    struct buf messages[MESSAGES];
    uint64_t seq;
    unsigned at;
};

static int feed_make(struct feed *f, const char *kind, struct err *err)
{
    int rc = 0;
    bool only = strcmp(kind, "disclosures") == 0, some = strcmp(kind, "mixed") == 0;
    for (unsigned i = 0; rc == 0 && i < MESSAGES; i++) {
        char revealed[64];
        struct record r =
            only || (some && i % 10 == 0) ? disclosure_record(i, revealed) : statement_record();
        buf_init(&f->messages[i], RECORD_MAX + 4);
        rc = record_write(&f->messages[i], 1, &r);
    }
    return rc < 0 ? err_set(err, RF_EBUG, "no message") : 0;
}

static void feed_done(struct feed *f)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        buf_done(&f->messages[i]);
}

static void put_number(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> (56 - 8 * i));
}

/* The grant's number stands behind the words; it is the one thing that must differ. */
static void number_grant(uint8_t *message, size_t len, uint64_t seq)
{
    static const char before[] = "identity,contact";
    uint8_t *at = memmem(message, len, before, sizeof(before));
    if (message[4 + 1 + 8] == RECORD_DISCLOSURE && at != NULL)
        put_number(at + sizeof(before), seq);
}

/* As much as there is room for. */
static void feed_worker(struct feed *f, struct desk_worker *w)
{
    size_t room;
    for (uint8_t *to = desk_room(w, &room); to != NULL; f->at = (f->at + 1) % MESSAGES) {
        struct buf *m = &f->messages[f->at];
        size_t len = buf_len(m);
        if (len > room)
            return;
        memcpy(to, buf_at(m), len);
        put_number(to + 5, ++f->seq);
        number_grant(to, len, f->seq);
        desk_fed(w, len);
        to += len;
        room -= len;
    }
}

static int run_age(struct bench *b, int seconds, int ms, const char *kind)
{
    static struct feed feed;
    struct buf hello;
    struct desk_worker *w = NULL;
    uint64_t commits = 0;
    size_t room;
    buf_init(&hello, 256);
    int rc = feed_make(&feed, kind, &b->err);
    if (rc == 0)
        rc = open_all(b, strcmp(kind, "journal") != 0);
    if (rc == 0)
        rc = desk_worker_new(b->desk, DESK_WORKER, &w, &b->err);
    if (rc == 0 && record_hello_write(&hello, 77, "bench") == 0) {
        uint8_t *to = desk_room(w, &room);
        memcpy(to, buf_at(&hello), buf_len(&hello));
        desk_fed(w, buf_len(&hello));
    }
    struct watch start = watch_now();
    while (rc == 0 && watch_since(start).wall_us < (int64_t)seconds * 1000000) {
        int64_t until_us = clock_mono_us() + (int64_t)ms * 1000;
        do {
            feed_worker(&feed, w);
            rc = desk_work(w, clock_wall_ms(), &b->err);
        } while (rc == 0 && !desk_is_full(b->desk) && clock_mono_us() < until_us);
        if (rc == 0)
            rc = desk_commit(b->desk, &b->err);
        commits++;
        struct buf *out = desk_answer(w);
        buf_consume(out, buf_len(out));
    }
    struct watch took = watch_since(start);
    double entries = rc == 0 ? (double)journal_next_index(b->journal) : 1;
    if (rc == 0)
        (void)printf("{\"records_per_second\":%.0f,\"cpu_us\":%.2f,\"commit_us\":%.0f,"
                     "\"records_per_commit\":%.0f,\"peak_kilobytes\":%ld}\n",
                     entries * 1e6 / (double)took.wall_us, took.cpu_us / entries,
                     (double)took.wall_us / (double)commits, entries / (double)commits,
                     peak_kilobytes());
    feed_done(&feed);
    buf_done(&hello);
    return rc;
}

/* ---- growth --------------------------------------------------------------------------------- */

static int make_entries(struct bench *b, uint64_t count)
{
    int rc = 0;
    char revealed[64];
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        struct record r = i % 2 == 0 ? disclosure_record(i, revealed) : statement_record();
        rc = clerk_append(b->clerk, b->journal, &b->policy, &r, 1, i + 1, clock_wall_ms(), &b->err);
        if (rc == 0 && journal_pending(b->journal) >= JOURNAL_BATCH_MAX) {
            rc = journal_commit(b->journal, &b->err);
            clerk_committed(b->clerk);
        }
    }
    if (rc == 0)
        rc = journal_commit(b->journal, &b->err);
    clerk_committed(b->clerk);
    return rc;
}

static int advance_all(struct bench *b, uint64_t committed, uint64_t *ret_leaves)
{
    const struct scribe_options options = { .state_dir = b->state,
                                            .directory = b->public,
                                            .key = &b->key };
    struct scribe *s = NULL;
    int rc = scribe_open(&options, &s, &b->err);
    while (rc >= 0 && scribe_next(s) < committed)
        rc = scribe_advance(s, committed, clock_wall_ms(), &b->err);
    if (rc >= 0) {
        rc = scribe_publish(s, NULL, 0, &b->err);
        *ret_leaves = scribe_checkpoint(s)->size;
    }
    scribe_close(s);
    return rc;
}

/* What one checkpoint of one new leaf costs, at the end of the log that is there. */
static int single_checkpoints(struct bench *b, int count, struct watch *ret)
{
    const struct scribe_options options = { .state_dir = b->state,
                                            .directory = b->public,
                                            .key = &b->key };
    struct scribe *s = NULL;
    char revealed[64];
    int rc = scribe_open(&options, &s, &b->err);
    *ret = (struct watch){ 0 };
    for (int i = 0; rc >= 0 && i < count; i++) {
        struct record r = disclosure_record((UINT64_C(1) << 40) + (uint64_t)i, revealed);
        rc = clerk_append(b->clerk, b->journal, &b->policy, &r, 2, (uint64_t)i + 1, clock_wall_ms(),
                          &b->err);
        if (rc == 0)
            rc = journal_commit(b->journal, &b->err);
        clerk_committed(b->clerk);
        struct watch start = watch_now();
        if (rc == 0)
            rc = scribe_advance(s, journal_next_index(b->journal), clock_wall_ms(), &b->err);
        if (rc == 1)
            rc = scribe_publish(s, NULL, 0, &b->err);
        struct watch took = watch_since(start);
        ret->cpu_us += took.cpu_us / count;
        ret->wall_us += took.wall_us / count;
    }
    scribe_close(s);
    return rc < 0 ? rc : 0;
}

static int run_grow(struct bench *b, uint64_t count)
{
    uint64_t leaves = 0;
    struct watch checkpoint = { 0 };
    int rc = open_all(b, true);
    struct watch start = watch_now();
    rc = rc == 0 ? make_entries(b, count) : rc;
    struct watch written = watch_since(start);
    uint64_t entries = rc == 0 ? journal_next_index(b->journal) : 0;
    start = watch_now();
    rc = rc == 0 ? advance_all(b, entries, &leaves) : rc;
    struct watch scribed = watch_since(start);
    rc = rc == 0 ? single_checkpoints(b, 50, &checkpoint) : rc;
    close_all(b); /* as after a crash: a stop would leave a snapshot of the end */
    start = watch_now();
    rc = rc == 0 ? open_all(b, true) : rc;
    struct watch started = watch_since(start);
    long peak = peak_kilobytes();
    close_all(b);
    char snapshot[4200];
    (void)snprintf(snapshot, sizeof(snapshot), "%s/clerk/snapshot", b->state);
    (void)remove(snapshot);
    start = watch_now();
    rc = rc == 0 ? open_all(b, true) : rc;
    struct watch whole = watch_since(start);
    if (rc == 0)
        (void)printf("{\"entries\":%" PRIu64 ",\"leaves\":%" PRIu64
                     ",\"write_cpu_us\":%.2f,\"write_s\":%.2f,\"scribe_cpu_us\":%.2f,"
                     "\"scribe_s\":%.2f,\"checkpoint_cpu_us\":%.0f,\"checkpoint_us\":%" PRId64
                     ",\"start_cpu_s\":%.3f,\"start_s\":%.3f,\"replay_cpu_s\":%.3f,"
                     "\"replay_s\":%.3f,\"peak_kilobytes\":%ld}\n",
                     entries, leaves, written.cpu_us / (double)entries,
                     (double)written.wall_us / 1e6, scribed.cpu_us / (double)leaves,
                     (double)scribed.wall_us / 1e6, checkpoint.cpu_us, checkpoint.wall_us,
                     started.cpu_us / 1e6, (double)started.wall_us / 1e6, whole.cpu_us / 1e6,
                     (double)whole.wall_us / 1e6, peak);
    return rc;
}

/* ---- main ----------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static int run(struct bench *b, int argc, char **argv)
{
    const char *what = argv[2];
    if (strcmp(what, "batch") == 0 && argc == 5)
        return run_batch(b, atoi(argv[3]), (unsigned)atoi(argv[4]));
    if (strcmp(what, "age") == 0 && argc == 6)
        return run_age(b, atoi(argv[3]), atoi(argv[4]), argv[5]);
    if (strcmp(what, "grow") == 0 && argc == 4)
        return run_grow(b, strtoull(argv[3], NULL, 10));
    return err_set(&b->err, RF_EUSAGE, "see the head of ledger_bench.c");
}

int main(int argc, char **argv)
{
    static struct bench b;
    char folder[4000];
    if (argc < 4)
        return 2;
    (void)snprintf(folder, sizeof(folder), "%s/ledger-XXXXXX", argv[1]);
    if (mkdtemp(folder) == NULL) {
        perror(argv[1]);
        return 2;
    }
    err_clear(&b.err);
    int rc = set_up(&b, folder);
    if (rc == 0)
        rc = run(&b, argc, argv);
    close_all(&b);
    if (rc < 0)
        (void)fprintf(stderr, "ledger_bench: %s\n", b.err.line);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc < 0 ? err_exit_status(b.err.code) : 0;
}
