/* ledger_bench - durable records a second, and what one costs, by batch size.
 *
 * usage: ledger_bench [FOLDER [SECONDS]]
 *
 * Appends records like those of a person's statement to a journal in FOLDER (a fresh folder below
 * /tmp otherwise), committing every 1, 16, 256 and 1024 of them with one write and one fdatasync.
 * "cpu" is the processor time of this process, system calls included; "wall" has the disk in it.
 * The line "decode" is the worker's message read back, without a journal. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ledger/journal.h"
#include "policy/policy.h"

static const char sql[] =
    "select v.id, v.title, count(*) from videos v join watch_events w on w.video_id = v.id "
    "where w.watched_at > now() - interval '7 days' group by 1, 2 order by 3 desc limit 50";

static struct record sample(uint64_t statement)
{
    return (struct record){ .kind = RECORD_STATEMENT,
                            .wall_ms = clock_wall_ms(),
                            .session = { 1, 2, 3 },
                            .statement = statement,
                            .region = "us-virginia",
                            .entity = "clipstream-us",
                            .place = "US",
                            .room = "masked",
                            .actor_kind = "person",
                            .actor = "us_analyst",
                            .client = "127.0.0.1:40000",
                            .listener = "127.0.0.1:6432",
                            .database = "us-virginia",
                            .role = "us_analyst.masked",
                            .sql = sql,
                            .sql_len = sizeof(sql) - 1,
                            .statement_kind = "SelectStmt",
                            .fingerprint = 0x1234567890abcdef,
                            .relations = "app.videos,app.watch_events" };
}

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "ledger_bench: %s\n", err->line);
    return err_exit_status(err->code);
}

/* Batches of SIZE records for SECONDS. */
static int run(struct journal *j, const struct policy *policy, unsigned size, int seconds,
               uint64_t *seq)
{
    struct err err;
    uint64_t records = 0, batches = 0, bytes = 0;
    double cpu = cpu_us();
    int64_t start = clock_mono_us(), now = start;
    while (now - start < (int64_t)seconds * 1000000) {
        for (unsigned i = 0; i < size; i++) {
            struct record r = sample(++*seq);
            if (journal_append(j, policy, &r, 1, *seq, r.wall_ms, &err) < 0)
                return fail(&err);
        }
        bytes += journal_pending(j);
        if (journal_commit(j, &err) < 0)
            return fail(&err);
        records += size;
        batches++;
        now = clock_mono_us();
    }
    double wall = (double)(now - start);
    (void)printf("batch %4u: %9.0f records/s  %7.2f us cpu/record  %8.1f us wall/commit  %4llu B\n",
                 size, (double)records * 1e6 / wall, (cpu_us() - cpu) / (double)records,
                 wall / (double)batches, (unsigned long long)(bytes / records));
    return 0;
}

static int decode(int seconds)
{
    struct record r = sample(1), got;
    struct buf b;
    uint64_t count = 0, seq;
    buf_init(&b, RECORD_MAX + 4);
    if (record_write(&b, 1, &r) < 0)
        return 3;
    int64_t start = clock_mono_us(), now = start;
    while (now - start < (int64_t)seconds * 1000000) {
        for (int i = 0; i < 1000; i++)
            if (record_read(buf_at(&b) + 4, buf_len(&b) - 4, &seq, &got) < 0)
                return 3;
        count += 1000;
        now = clock_mono_us();
    }
    (void)printf("decode:     %9.0f records/s\n", (double)count * 1e6 / (double)(now - start));
    buf_done(&b);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    static char region[] = "us-virginia", entity[] = "clipstream-us";
    struct policy_region regions[] = { { .name = region } };
    struct policy_entity entities[] = { { .name = entity } };
    const struct policy policy = {
        .regions = regions, .region_count = 1, .entities = entities, .entity_count = 1
    };
    static const unsigned sizes[] = { 1, 16, 256, 1024 };
    char fresh[] = "/tmp/ringfence-bench-XXXXXX";
    const char *folder = argc > 1 ? argv[1] : mkdtemp(fresh);
    int seconds = argc > 2 ? atoi(argv[2]) : 2;
    struct journal_found found;
    struct journal *j;
    struct err err;
    uint64_t seq = 0;
    if (folder == NULL || seconds < 1)
        return 2;
    const struct journal_options options = { .state_dir = folder, .name = "us-virginia" };
    if (journal_open(&options, &j, &found, &err) < 0)
        return fail(&err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < RF_COUNT(sizes); i++)
        rc = run(j, &policy, sizes[i], seconds, &seq);
    journal_close(j);
    if (rc == 0)
        rc = decode(1);
    if (argc < 2)
        (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return rc;
}
