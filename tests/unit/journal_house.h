/* journal_house.h - a state folder, a small policy, and records to put into a journal. */
#ifndef RF_TESTS_JOURNAL_HOUSE_H
#define RF_TESTS_JOURNAL_HOUSE_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/journal.h"
#include "ledger/opening.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "policy/grants.h"

#define NAME "us-virginia"
#define NOON INT64_C(1795780800000) /* 2026-11-27T12:00Z */

struct house {
    char state[64], folder[PATH_MAX];
    struct journal *journal;
    struct journal_found found;
    uint64_t segment_max;
    const char *copy; /* folder of the journal's copy; NULL: none */
    struct err err;
};

static inline const struct policy *house_policy(void)
{
    static char region[] = "us-virginia", entity[] = "clipstream-us", purpose[] = "support_ticket";
    static struct policy_region regions[] = { { .name = region } };
    static struct policy_entity entities[] = { { .name = entity } };
    static char *purposes[] = { purpose };
    static struct policy_grants grants = { .opened_by = GRANTS_BY_ADMINISTRATOR };
    static const struct policy policy = { .regions = regions,
                                          .region_count = 1,
                                          .entities = entities,
                                          .entity_count = 1,
                                          .purposes = purposes,
                                          .purpose_count = 1,
                                          .grants = &grants };
    return &policy;
}

static inline struct record house_record(uint64_t statement)
{
    return (struct record){ .kind = RECORD_STATEMENT,
                            .wall_ms = NOON + 7123,
                            .session = { 1, 2, 3 },
                            .statement = statement,
                            .region = "us-virginia",
                            .entity = "clipstream-us",
                            .place = "US",
                            .room = "masked",
                            .actor_kind = "person",
                            .rows = 5,
                            .bytes = 1234,
                            .actor = "us_analyst",
                            .client = "192.0.2.77:40000",
                            .sql = "select 1",
                            .sql_len = 8,
                            .outcome = "SELECT 1" };
}

static inline void house_init(struct house *h)
{
    *h = (struct house){ 0 };
    /* In memory where that is possible: thousands of syncs of a disk would only test the disk. */
    strcpy(h->state, "/dev/shm/ringfence-journal-XXXXXX");
    if (mkdtemp(h->state) == NULL) {
        strcpy(h->state, "/tmp/ringfence-journal-XXXXXX");
        assert_non_null(mkdtemp(h->state));
    }
    assert_int_equal(segment_folder(h->state, h->folder, &h->err), 0);
}

static inline int house_open(struct house *h)
{
    const struct journal_options options = {
        .state_dir = h->state, .name = NAME, .copy_dir = h->copy, .segment_max = h->segment_max
    };
    return journal_open(&options, &h->journal, &h->found, &h->err);
}

static inline void house_close(struct house *h)
{
    journal_close(h->journal);
    h->journal = NULL;
}

static inline int house_remove_one(const char *path, const struct stat *st, int flag,
                                   struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static inline void house_done(struct house *h)
{
    house_close(h);
    assert_int_equal(nftw(h->state, house_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* One record, alone in its batch. */
static inline int house_put(struct house *h, uint64_t instance, uint64_t seq)
{
    struct record r = house_record(seq);
    int rc = journal_append(h->journal, house_policy(), &r, instance, seq, NOON, &h->err);
    return rc < 0 ? rc : journal_commit(h->journal, &h->err);
}

/* How many entries a reader finds, or the error that ends it; *RET_TORN bytes are none. */
static inline int64_t house_count(struct house *h, uint64_t from, uint64_t *ret_torn)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    int64_t count = 0;
    int rc = scan_open(h->folder, from, &scan, &h->err);
    if (rc < 0)
        return rc;
    while ((rc = scan_next(scan, &entry, &offset, &h->err)) == 1)
        count++;
    if (ret_torn != NULL)
        *ret_torn = scan_state(scan)->torn;
    scan_close(scan);
    return rc < 0 ? rc : count;
}

static inline void house_path(const struct house *h, uint64_t first, char ret[PATH_MAX])
{
    segment_path(h->folder, first, "", ret);
}

/* A segment's bytes; the caller frees. */
static inline uint8_t *house_load(const struct house *h, uint64_t first, size_t *ret_len)
{
    char path[PATH_MAX], *bytes;
    struct err err;
    house_path(h, first, path);
    assert_int_equal(fd_read_file(path, 256 << 20, &bytes, ret_len, &err), 0);
    return (uint8_t *)bytes;
}

static inline void house_store(const struct house *h, uint64_t first, const void *bytes, size_t n)
{
    char path[PATH_MAX];
    house_path(h, first, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, bytes, n), 0);
    fd_close(&fd);
}

#endif
