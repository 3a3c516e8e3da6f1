/* fault_vault.c - the private store and the erasing of a day, while each fallible call of theirs
 * fails in turn: also SQLite's own (sqlite_faults.h).
 * usage: fault_vault [STEP] */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "campaign.h"
#include "ledger/erasure.h"
#include "sqlite_faults.h"

/* vault_house.h asserts by cmocka, which is not here */
#define assert_non_null(value) RF_ASSERT((value) != NULL)
#define assert_int_equal(a, b) RF_ASSERT((a) == (b))
#define assert_true(value)     RF_ASSERT(value)
#include "vault_house.h"

bool __wrap_fault_hit(const char *name);

bool __wrap_fault_hit(const char *name)
{
    bool is_hit = campaign_hit(name);
    if (is_hit && sqlite_faults_kill)
        _exit(0);
    return is_hit;
}

enum { DAYS = 3 };

/* One journal for all runs: only the store and the first day's key change, and are put back. */
static struct vault_house house;
static uint8_t key[SEAL_KEY_LEN];
static char key_path[PATH_MAX], day[20];

static void begin(void)
{
    char *bytes;
    size_t n;
    vault_house_init(&house);
    house_days(&house, DAYS);
    leaf_minute_format(house.first_minute, day);
    day[10] = '\0';
    (void)snprintf(key_path, sizeof(key_path), "%s/keys/day/%s.key", house.house.state, day);
    RF_ASSERT(fd_read_file(key_path, sizeof(key), &bytes, &n, &house.house.err) == 0);
    memcpy(key, bytes, sizeof(key));
    mem_free(bytes);
}

static void put_back_key(void)
{
    int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    RF_ASSERT(fd >= 0 && fd_write_all(fd, key, sizeof(key)) == 0);
    fd_close(&fd);
}

static void no_store(void)
{
    vault_file(&house, "none", 0);
    RF_ASSERT(unlink(house.path) == 0);
}

/* From here on nothing fails; the point is to be given back. */
static const char *good_times(void)
{
    const char *point = campaign_point;
    campaign_point = "";
    return point;
}

/* ---- the store ------------------------------------------------------------------------------ */

/* Whatever it tells is true. */
static int tell_all(struct vault *v)
{
    struct frame_entry e;
    int rc = 0;
    for (uint64_t leaf = 0; rc >= 0 && leaf < house.leaves; leaf++) {
        rc = vault_read(v, leaf, &e, &house.house.err);
        if (rc != 1)
            continue;
        RF_ASSERT(e.index == house.entry_of[leaf] && e.minute == house.minute_of[leaf]);
        RF_ASSERT(e.leaf_len == house.leaf_len[leaf] && e.sealed_len == house.sealed_len[leaf]);
        RF_ASSERT(memcmp(e.leaf, house.leaf_bytes[leaf], e.leaf_len) == 0);
        RF_ASSERT(memcmp(e.sealed, house.sealed[leaf], e.sealed_len) == 0);
    }
    return rc < 0 ? rc : 0;
}

/* Is a byte of the first day left, and is all of the others there? */
static bool is_first_day_gone(void)
{
    bool gone = true;
    for (uint64_t leaf = 0; leaf < house.leaves; leaf++) {
        bool is_first = house.minute_of[leaf] < house.first_minute + HOUSE_DAY;
        bool is_there = vault_has_bytes(&house, leaf);
        RF_ASSERT(is_first || is_there);
        gone = gone && !(is_first && is_there);
    }
    return gone;
}

static int look_and_erase(void)
{
    struct vault *v = NULL;
    uint64_t rows;
    int rc = vault_look(house.house.state, &v, &house.house.err);
    if (rc == 0)
        rc = tell_all(v);
    if (rc == 0)
        rc = vault_erase(v, house.first_minute, house.first_minute + HOUSE_DAY, &rows,
                         &house.house.err);
    RF_ASSERT(rc < 0 || rows == house.leaves / DAYS);
    vault_close(v);
    if (rc == 0) {
        const char *point = good_times();
        RF_ASSERT(is_first_day_gone());
        campaign_point = point;
    }
    return rc;
}

static int keep_store(void *arg)
{
    struct vault *v = NULL;
    (void)arg;
    long long before = sqlite3_memory_used();
    int rc = vault_go(&house);
    if (rc == 0)
        rc = look_and_erase();
    const char *point = good_times();
    RF_ASSERT(sqlite3_memory_used() == before);
    no_store(); /* what a failure left: the good day below must cope with it, too, when it can */
    vault_fill(&house);
    RF_ASSERT(vault_look(house.house.state, &v, &house.house.err) == 0 && tell_all(v) == 0);
    vault_close(v);
    RF_ASSERT(vault_rows(&house) == house.leaves);
    no_store();
    campaign_point = point;
    return rc;
}

/* The same, but the store that a failure left is gone on with. */
static int mend_store(void *arg)
{
    struct vault *v = NULL;
    (void)arg;
    int rc = vault_go(&house);
    const char *point = good_times();
    vault_fill(&house);
    RF_ASSERT(vault_look(house.house.state, &v, &house.house.err) == 0 && tell_all(v) == 0);
    vault_close(v);
    RF_ASSERT(vault_rows(&house) == house.leaves);
    no_store();
    campaign_point = point;
    return rc;
}

/* ---- erasing -------------------------------------------------------------------------------- */

/* Is the key anywhere below the folder of keys? */
static bool has_key(void)
{
    char *bytes = NULL;
    size_t n = 0;
    struct err err;
    bool found = access(key_path, F_OK) == 0 &&
                 fd_read_file(key_path, 4096, &bytes, &n, &err) == 0 && n == sizeof(key) &&
                 memcmp(bytes, key, n) == 0;
    mem_free(bytes);
    return found;
}

static void begin_erasing(void)
{
    const char *point = good_times();
    put_back_key();
    vault_fill(&house);
    campaign_point = point;
}

static int erase(struct err *err)
{
    const int64_t later_ms = NOON + INT64_C(30) * HOUSE_DAY * FRAME_MINUTE_MS;
    struct erasure done;
    return erasure_run(house.house.state, day, later_ms, &done, err);
}

/* Nothing of the store goes before the key; and the same again completes it, from wherever it
   stopped. */
static void finish_erasing(struct vault *notary)
{
    struct err err;
    const char *point = good_times();
    RF_ASSERT(!has_key() || !is_first_day_gone());
    RF_ASSERT(erase(&err) == 0);
    RF_ASSERT(access(key_path, F_OK) < 0 && is_first_day_gone());
    vault_close(notary);
    no_store();
    campaign_point = point;
}

static int erase_day(void *arg)
{
    struct err err = { 0 };
    struct vault *notary = NULL;
    (void)arg;
    begin_erasing();
    const char *point = good_times();
    /* whoever closes the last connection would clear what the erasing had to clear */
    RF_ASSERT(vault_open(house.house.state, &notary, &house.house.err) == 0);
    campaign_point = point;
    int rc = erase(&err);
    point = good_times();
    RF_ASSERT(rc == 0 || err.line[0] != '\0');
    RF_ASSERT(rc < 0 || (access(key_path, F_OK) < 0 && is_first_day_gone()));
    campaign_point = point;
    finish_erasing(notary);
    return rc;
}

/* FN in a process that is killed at the call that is to fail. */
static void run_until_killed(int (*fn)(struct err *err))
{
    struct err err;
    int status;
    pid_t child = fork();
    RF_ASSERT(child >= 0);
    if (child == 0) {
        sqlite_faults_kill = true;
        _exit(fn(&err) < 0 || campaign_passes >= campaign_at ? 1 : 0);
    }
    RF_ASSERT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    campaign_passes = campaign_at;
}

static int erase_day_killed(void *arg)
{
    struct err err;
    (void)arg;
    begin_erasing();
    int rc = 0;
    if (campaign_at == 0)
        rc = erase(&err);
    else
        run_until_killed(erase);
    finish_erasing(NULL);
    return rc;
}

static int go(struct err *err)
{
    (void)err;
    return vault_go(&house);
}

static int keep_store_killed(void *arg)
{
    struct vault *v = NULL;
    struct err err;
    (void)arg;
    int rc = 0;
    put_back_key();
    if (campaign_at == 0)
        rc = go(&err);
    else
        run_until_killed(go);
    const char *point = good_times();
    vault_fill(&house);
    RF_ASSERT(vault_look(house.house.state, &v, &house.house.err) == 0 && tell_all(v) == 0);
    vault_close(v);
    RF_ASSERT(vault_rows(&house) == house.leaves);
    no_store();
    campaign_point = point;
    return rc;
}

static const struct {
    const char *name;
    campaign_fn *fn;
    const char *point;
    bool is_many; /* of them every STEP-th */
} campaigns[] = {
    { "a private store", keep_store, "mem.alloc", false },
    { "a private store", keep_store, "sqlite.io", false },
    { "a private store", keep_store, "sqlite.alloc", true },
    { "a private store gone on with", mend_store, "sqlite.io", false },
    { "a private store gone on with", mend_store, "sqlite.alloc", true },
    { "an erased day", erase_day, "mem.alloc", false },
    { "an erased day", erase_day, "daykey.destroy", false },
    { "an erased day", erase_day, "folder.sync", false },
    { "an erased day", erase_day, "sqlite.io", false },
    { "an erased day", erase_day, "sqlite.alloc", true },
    { "a private store whose writer is killed", keep_store_killed, "sqlite.io", false },
    { "a day whose erasing is killed", erase_day_killed, "daykey.destroy", false },
    { "a day whose erasing is killed", erase_day_killed, "folder.sync", false },
    { "a day whose erasing is killed", erase_day_killed, "sqlite.io", false },
};

int main(int argc, char **argv)
{
    unsigned long step = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    if (argc > 2 || step == 0 || sodium_init() < 0 || sqlite_faults_begin() != SQLITE_OK) {
        (void)fprintf(stderr, "usage: %s [STEP]\n", argv[0]);
        return 2;
    }
    begin();
    for (size_t i = 0; i < RF_COUNT(campaigns); i++)
        campaign_run(campaigns[i].name, campaigns[i].fn, NULL, campaigns[i].point,
                     campaigns[i].is_many ? step : 1);
    vault_house_done(&house);
    return campaign_end();
}
