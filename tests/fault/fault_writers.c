/* fault_writers.c - the writers of journal and public log on a disk that fails, fills up, and
 * forgets what was not synced; and processes that are killed at any call.
 * usage: fault_writers calls|power|alarm|copy-calls|copy-power [STRIDE [SECONDS]]
 *
 * One run is a gateway's life: start, records, disclosures, checkpoints; stop, a torn tail, start
 * again, more of it. `calls` meets each call of it with each fault, in a process of its own; then a
 * gateway without faults goes on in the folder. `power` writes down what one run did to its files,
 * and for every prefix of that makes the folders that a disk could have after the power went, and
 * lets a gateway go on in each. In all of them the same must hold:
 *
 *   every record that was acknowledged is in the journal
 *   every checkpoint that left the process is a prefix of the log that there is in the end
 *   every leaf of the journal is in the log, `log verify` finds nothing, and the rules of leaves
 * hold
 *
 * `alarm` is `power` on a disk that lies about every sync: that must be noticed.
 *
 * With `copy-` the journal has its synchronous copy.
 *
 * With STRIDE only every STRIDE-th is tried, beginning with one by chance; after SECONDS no more
 * than it takes to have tried every fault and every kind of disk once, and to have noticed in
 * `alarm`: a slow machine tries less, and never nothing. For lost power STRIDE has no factor with
 * the number of kinds of disk: it would never come to some.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "disk.h"

/* log_house.h asserts by cmocka, which is not here */
#define assert_true(value)           RF_ASSERT(value)
#define assert_non_null(value)       RF_ASSERT((value) != NULL)
#define assert_int_equal(a, b)       RF_ASSERT((a) == (b))
#define assert_memory_equal(a, b, n) RF_ASSERT(memcmp(a, b, n) == 0)
#define print_message                printf

#include "ledger/treehead.h"
#include "log_house.h"
#include "powerloss.h"

enum { NOTES_MAX = 128, SEQS_MAX = 256, ROUNDS = 5, MARK_NOTE = 1000000 };

/* What somebody outside knows: it outlives the process that dies. */
static struct outside {
    bool acked[SEQS_MAX]; /* by the record's seq */
    unsigned note_count;
    struct {
        uint64_t size;
        uint8_t root[DIGEST_LEN];
    } notes[NOTES_MAX];
    unsigned long calls;
    char hit[32];
} * outside;

static void left_the_process(struct log_house *h)
{
    size_t len;
    if (scribe_note(h->scribe, &len) == NULL)
        return;
    const struct checkpoint *c = scribe_checkpoint(h->scribe);
    unsigned n = outside->note_count;
    if (n > 0 && outside->notes[n - 1].size == c->size)
        return;
    assert_true(n < NOTES_MAX);
    outside->notes[n].size = c->size;
    memcpy(outside->notes[n].root, c->root, DIGEST_LEN);
    outside->note_count = n + 1;
    disk_mark((int)n + MARK_NOTE);
}

static unsigned stride = 1;
static int64_t limit_ms = INT64_MAX, until_ms;
static bool with_copy;

/* ---- a gateway's life ----------------------------------------------------------------------- */

static void journal_round(struct log_house *h, unsigned round)
{
    struct grant_entry e = log_grant(7 + round, h->now_ms + 60 * MINUTE);
    int rc = 0;
    const uint64_t first = h->seq + 1;
    if (round % 2 == 0)
        (void)snprintf(e.purpose, sizeof(e.purpose), "abuse_report");
    log_publish_grant(h, &e);
    for (int i = 0; rc == 0 && i < 3; i++) {
        const struct record records[] = {
            log_record(RECORD_SESSION_OPEN), log_record(RECORD_STATEMENT),
            log_record(RECORD_DENIAL), log_disclosure(e.id, e.purpose, "1001 identity 7 identity")
        };
        rc = log_append(h, &records[i == 2 ? 3 : i]);
    }
    for (int i = 0; rc == 0 && i < (round == 2 ? 240 : 3); i++) /* over a tile's edge */
        rc = log_start(h, true);
    if (rc == 0)
        rc = log_commit(h);
    for (uint64_t seq = first; rc == 0 && seq <= h->seq && seq < SEQS_MAX; seq++)
        outside->acked[seq] = true;
    if (rc == 0)
        disk_mark((int)h->seq);
    h->now_ms += 4 * MINUTE;
    if (rc == 0 && clerk_tick(h->clerk, h->policy, h->now_ms, &h->err) == 0 && log_commit(h) == 0)
        return;
    log_close(h); /* its process goes on and refuses everybody: nothing more is written */
}

static void log_round(struct log_house *h, uint64_t committed)
{
    int rc = scribe_advance(h->scribe, committed, INT64_MAX / 2, &h->err);
    if (rc >= 0)
        left_the_process(h);
    size_t len;
    if (rc >= 0 && scribe_note(h->scribe, &len) != NULL)
        rc = scribe_publish(h->scribe, "", 0, &h->err);
    if (rc < 0)
        log_scribe_close(h);
    else
        scribe_collect(h->scribe, INT64_MAX / 2);
}

static void one_start(struct log_house *h, unsigned rounds)
{
    uint64_t committed = 0;
    if (log_clerk_open(h) < 0 || log_start(h, false) < 0 || log_commit(h) < 0)
        log_close(h);
    if (log_scribe_open(h) < 0)
        log_scribe_close(h);
    for (unsigned i = 0; i < rounds && (h->clerk != NULL || h->scribe != NULL); i++) {
        if (h->clerk != NULL)
            journal_round(h, i);
        if (h->clerk != NULL)
            committed = journal_next_index(h->house.journal);
        if (h->scribe != NULL && committed > 0)
            log_round(h, committed);
    }
    log_close(h);
    log_scribe_close(h);
}

/* Half of an entry, as a killed writer leaves it. */
static void tear_tail(struct log_house *h)
{
    struct segment_list list;
    char path[PATH_MAX];
    if (segment_list_read(h->house.folder, false, &list, &h->err) == 0 && list.count > 0) {
        segment_path(h->house.folder, list.first[list.count - 1], "", path);
        int fd = open(path, O_WRONLY | O_APPEND);
        if (fd >= 0)
            (void)!write(fd, "RfJe\0\0\2\0half of an entry", 24);
        fd_close(&fd);
    }
    segment_list_done(&list);
}

static void life(struct log_house *h)
{
    one_start(h, ROUNDS);
    tear_tail(h);
    one_start(h, 2);
}

/* ---- what must hold ------------------------------------------------------------------------- */

struct inquest {
    struct treehead head;
    uint64_t leaves, notes_met;
    bool seen[SEQS_MAX];
};

static void inquire(void *context, const struct frame_entry *entry, const struct leaf *open,
                    const struct logleaf *leaf)
{
    struct inquest *q = context;
    (void)open;
    if (entry->instance == 99 && entry->seq < SEQS_MAX) {
        assert_true(!q->seen[entry->seq]);
        q->seen[entry->seq] = true;
    }
    if (leaf == NULL)
        return;
    treehead_add(&q->head, entry->leaf, entry->leaf_len);
    q->leaves++;
    for (unsigned i = 0; i < outside->note_count; i++) {
        uint8_t root[DIGEST_LEN];
        if (outside->notes[i].size != q->leaves)
            continue;
        treehead_root(&q->head, root);
        assert_memory_equal(root, outside->notes[i].root, sizeof(root));
        q->notes_met++;
    }
}

static void go_on_and_judge(struct log_house *h)
{
    struct inquest q = { .leaves = 0 };
    uint64_t leaves;
    treehead_init(&q.head);
    h->now_ms += 60 * MINUTE;
    h->seq = 1000000; /* another worker */
    log_open(h);
    log_put(h, RECORD_STATEMENT);
    assert_int_equal(log_commit(h), 0);
    int rc = log_scribe_open(h);
    if (rc < 0)
        print_message("# %s\n", h->err.line);
    assert_int_equal(rc, 0);
    rc = log_scribe_go(h);
    if (rc < 0)
        print_message("# %s\n", h->err.line);
    assert_int_equal(rc, 0);
    log_walk(h, inquire, &q);
    for (unsigned seq = 0; seq < SEQS_MAX; seq++)
        assert_true(q.seen[seq] || !outside->acked[seq]);
    assert_int_equal(q.notes_met, outside->note_count);
    log_judge(h, NULL);
    assert_int_equal(log_verify(h, &leaves), 0);
    assert_int_equal(leaves, q.leaves);
    log_close(h);
    log_scribe_close(h);
}

/* ---- running them --------------------------------------------------------------------------- */

typedef void part_fn(struct log_house *h, void *context);

/* In a process of its own: true when it came to its end. */
static bool apart(struct log_house *h, part_fn *what, void *context)
{
    int status;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        what(h, context);
        outside->calls = disk_calls();
        (void)snprintf(outside->hit, sizeof(outside->hit), "%s", disk_hit());
        (void)fflush(NULL);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct trial {
    enum disk_fault fault;
    unsigned long at;
};

static void live_with(struct log_house *h, void *context)
{
    const struct trial *t = context;
    disk_arm(h->house.state, t->fault, t->at);
    life(h);
}

static void judge_apart(struct log_house *h, void *context)
{
    (void)context;
    disk_disarm();
    go_on_and_judge(h);
}

static void outside_clear(void)
{
    memset(outside, 0, sizeof(*outside));
}

/* Beside the journal, so that all of it is below one folder. */
static void copy_to(struct log_house *h, const char *state, char ret[96])
{
    (void)snprintf(ret, 96, "%s/copy", state);
    h->house.copy = ret;
}

static bool try_call(const struct trial *t, bool *ret_end)
{
    struct log_house h;
    char copy[96];
    outside_clear();
    log_house_init(&h);
    if (with_copy)
        copy_to(&h, h.house.state, copy);
    h.house.segment_max = 16 * 1024;
    bool good = apart(&h, live_with, (void *)(uintptr_t)t);
    if (!good)
        print_message("# died under %s at call %lu\n", disk_fault_name(t->fault), t->at);
    *ret_end = outside->calls > 0 && outside->calls < t->at;
    if (good && !apart(&h, judge_apart, NULL)) {
        print_message("# after %s at call %lu (%s)\n", disk_fault_name(t->fault), t->at,
                      outside->hit);
        good = false;
    }
    if (getenv("RF_KEEP") != NULL && !good) {
        print_message("# left in %s\n", h.house.state);
        return good;
    }
    log_house_done(&h);
    return good;
}

static void time_begins(void)
{
    until_ms = limit_ms == INT64_MAX ? INT64_MAX : clock_mono_ms() + limit_ms;
}

static bool every_call(void)
{
    unsigned all = 0, bad = 0, test = 0;
    bool is_good = true;
    printf("1..%d\n", DISK_FAULT_COUNT - 1);
    time_begins();
    for (enum disk_fault f = DISK_NONE + 1; f < DISK_FAULT_COUNT; f++) {
        unsigned before = bad, tried = 0;
        bool is_end = false;
        int64_t now = clock_mono_ms();
        int64_t share = until_ms == INT64_MAX
                            ? INT64_MAX
                            : now + (until_ms - now) / (DISK_FAULT_COUNT - (int64_t)f);
        struct trial t = { .fault = f, .at = 1 + (unsigned long)now % stride };
        for (; !is_end && (tried == 0 || clock_mono_ms() < share); t.at += stride) {
            bad += !try_call(&t, &is_end);
            tried += !is_end;
        }
        bool is_survived = bad == before && tried > 0;
        is_good = is_good && is_survived;
        printf("%sok %u - a process survives \"%s\" at %u of its calls, up to number %lu\n",
               is_survived ? "" : "not ", ++test, disk_fault_name(f), tried, t.at - stride);
        all += tried;
    }
    printf("# %u positions, %u bad\n", all, bad);
    return is_good;
}

/* ---- power ---------------------------------------------------------------------------------- */

static void mark_outside(const struct outside *all, int what)
{
    for (int seq = 1; what < MARK_NOTE && seq <= what; seq++)
        outside->acked[seq] = all->acked[seq];
    if (what >= MARK_NOTE)
        outside->note_count = (unsigned)(what - MARK_NOTE) + 1;
    memcpy(outside->notes, all->notes, sizeof(outside->notes));
}

static bool try_disk(struct log_house *h, const struct powerloss *p, enum powerloss_disk disk,
                     uint64_t chance)
{
    char state[64], was[64], directory[80], copy[96];
    const char *copy_was = h->house.copy;
    strcpy(state, "/dev/shm/ringfence-power-XXXXXX");
    assert_non_null(mkdtemp(state));
    powerloss_make(p, disk, chance, state);
    memcpy(was, h->house.state, sizeof(was));
    memcpy(directory, h->directory, sizeof(directory));
    memcpy(h->house.state, state, sizeof(state));
    (void)snprintf(h->directory, sizeof(h->directory), "%s/public", state);
    assert_int_equal(segment_folder(state, h->house.folder, &h->err), 0);
    if (with_copy)
        copy_to(h, state, copy);
    bool good = apart(h, judge_apart, NULL);
    if (getenv("RF_KEEP") == NULL || good)
        assert_int_equal(nftw(state, house_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    else
        print_message("# left in %s\n", state);
    h->house.copy = copy_was;
    memcpy(h->house.state, was, sizeof(was));
    memcpy(h->directory, directory, sizeof(directory));
    assert_int_equal(segment_folder(was, h->house.folder, &h->err), 0);
    return good;
}

struct tally {
    unsigned tried, bad;
};

/* Is there something that would be said, and was not looked at yet? */
static bool is_owed(const struct tally by_disk[POWERLOSS_COUNT], bool is_alarm)
{
    if (is_alarm)
        return by_disk[POWERLOSS_DROPPED].bad == 0;
    for (enum powerloss_disk d = 0; d < POWERLOSS_COUNT; d++)
        if (by_disk[d].tried == 0)
            return true;
    return false;
}

static bool say_power(const struct tally by_disk[POWERLOSS_COUNT], bool is_alarm)
{
    bool is_good = true;
    if (is_alarm) {
        printf("1..1\n%sok 1 - a disk that lies about syncs is noticed\n",
               is_owed(by_disk, true) ? "not " : "");
        return !is_owed(by_disk, true);
    }
    printf("1..%d\n", POWERLOSS_COUNT);
    for (enum powerloss_disk d = 0; d < POWERLOSS_COUNT; d++) {
        bool is_held = by_disk[d].bad == 0 && by_disk[d].tried > 0;
        is_good = is_good && is_held;
        printf("%sok %d - %s, %u times\n", is_held ? "" : "not ", (int)d + 1, powerloss_name(d),
               by_disk[d].tried);
    }
    return is_good;
}

static bool every_power_loss(bool is_alarm)
{
    struct log_house h;
    char copy[96];
    struct outside all;
    const struct disk_record *records;
    unsigned disks = 0;
    struct tally by_disk[POWERLOSS_COUNT] = { 0 };
    outside_clear();
    log_house_init(&h);
    if (with_copy)
        copy_to(&h, h.house.state, copy);
    h.house.segment_max = 16 * 1024;
    disk_trace_begin(h.house.state, is_alarm);
    life(&h);
    size_t count = disk_trace_end(&records);
    all = *outside;
    outside_clear();
    struct powerloss *p = powerloss_new();
    size_t done = 0;
    uint64_t first = (uint64_t)clock_mono_ms() % stride;
    time_begins();
    for (; done < count && (is_owed(by_disk, is_alarm) || clock_mono_ms() < until_ms); done++) {
        if (records[done].event == DISK_MARK)
            mark_outside(&all, records[done].inode);
        else
            powerloss_apply(p, &records[done]);
        for (enum powerloss_disk d = 0; d < POWERLOSS_COUNT; d++) {
            if ((done * POWERLOSS_COUNT + d + first) % stride != 0)
                continue;
            disks++;
            by_disk[d].tried++;
            if (try_disk(&h, p, d, done))
                continue;
            by_disk[d].bad++;
            if (!is_alarm)
                print_message("# after event %zu of %zu, %s\n", done, count, powerloss_name(d));
        }
    }
    bool is_good = say_power(by_disk, is_alarm);
    printf("# %zu of %zu prefixes, %u disks, %u checkpoints\n", done, count, disks, all.note_count);
    powerloss_free(p);
    log_house_done(&h);
    return is_good;
}

/* With a stride that has a factor with the kinds of disk some of them are never met. */
static bool meets_all_disks(unsigned step)
{
    unsigned a = step, b = POWERLOSS_COUNT;
    while (b != 0) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a == 1;
}

int main(int argc, char **argv)
{
    outside =
        mmap(NULL, sizeof(*outside), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc < 2 || outside == MAP_FAILED)
        return 2;
    if (argc > 2)
        stride = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        limit_ms = strtol(argv[3], NULL, 10) * 1000;
    const char *what = argv[1];
    with_copy = strncmp(what, "copy-", 5) == 0;
    what += with_copy ? 5 : 0;
    bool is_calls = strcmp(what, "calls") == 0;
    if (stride == 0 || (!is_calls && !meets_all_disks(stride))) {
        (void)fprintf(stderr, "STRIDE is above 0, and for lost power without a factor of %d\n",
                      (int)POWERLOSS_COUNT);
        return 2;
    }
    return (is_calls ? every_call() : every_power_loss(strcmp(what, "alarm") == 0)) ? 0 : 1;
}
