/* fuzz_looking.c - any lines as the logs of a region (lookmaker.h): what is found of one person is
 * what was put there, and a file that is written is one that its reader takes. */
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "../support/lookmaker.h"
#include "base/mem.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_epochs(const struct looking *l)
{
    for (size_t i = 0; i < looking_epoch_count(l); i++) {
        struct looking_epoch e = looking_epoch(l, i);
        RF_ASSERT(e.name[0] != '\0');
        RF_ASSERT(e.verdict != LOOKING_OPEN || e.log[0] != '\0');
        RF_ASSERT((e.verdict == LOOKING_HELD) == (e.held_from > 0));
    }
}

/* All that was made is found where an epoch is shown, and nothing else. */
static bool open_all(struct lookmaker *m, struct looking *l)
{
    struct err err;
    bool all = true;
    for (size_t i = 0; i < looking_access_count(l); i++) {
        const struct lookmaker_look *truth = lookmaker_find(m, l, i);
        struct looking_access a = looking_access(l, i);
        RF_ASSERT(a.position < LOGLEAF_ITEMS_MAX && !a.is_open && a.len > 0);
        if (truth == NULL) { /* a line that repeats a leaf's bytes has its tags, too */
            all = false;
            continue;
        }
        RF_ASSERT(looking_open(l, i, truth->classes, truth->time_ms + 1, &err) == 0);
        all = looking_open(l, i, truth->classes, truth->time_ms, &err) == 1 && all;
    }
    return all;
}

static void write_file(struct lookmaker *m, struct looking *l)
{
    struct claim_trust trust = { .keys = looking_log_key(l, 0), .key_count = 1 };
    struct claim_result result = { 0 };
    struct err err = { 0 };
    struct buf file;
    buf_init(&file, CLAIM_MAX);
    int rc = looking_write(l, &file, &err);
    RF_ASSERT(rc == 0 || err.line[0] != '\0');
    if (rc == 0)
        rc = claim_verify(buf_at(&file), buf_len(&file), &trust, &result, &err);
    /* What several logs say about each other is not judged by lookmaker. */
    RF_ASSERT(rc == 0 || m->count > 1);
    RF_ASSERT(rc < 0 || result.access_count == looking_access_count(l));
    buf_wipe_done(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lookmaker *m;
    struct looking *l = NULL;
    struct err err = { 0 };
    bool shows = false;
    if (m == NULL) {
        m = mem_zalloc(1, sizeof(*m));
        RF_ASSERT(m != NULL && sodium_init() >= 0 && digest_init(&err) == 0);
    }
    lookmaker_make(m, (const char *)data, size);
    int rc = lookmaker_look(m, NULL, 0, &l, &err);
    RF_ASSERT(rc == 0 || err.line[0] != '\0');
    if (rc == 0) {
        look_at_epochs(l);
        for (size_t i = 0; i < looking_epoch_count(l); i++)
            shows = shows || looking_epoch(l, i).verdict == LOOKING_SHOWN;
        if (open_all(m, l) && shows)
            write_file(m, l);
    }
    looking_free(l);
    lookmaker_done(m);
    return 0;
}
