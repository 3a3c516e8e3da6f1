/* looking_open.c - what an access was: told by a private part, or found by trying. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/record.h"
#include "verify/looking_inside.h"

enum {
    CLASSES_MAX = 8, /* the policy has no more; each doubles the work */
    /* A worker's clock says when it was, the ledger's which minute: the record came a little
       later. Minutes are tried from the leaf's own on, back, and then one ahead. */
    MINUTES_BACK = 3,
    MINUTE_MS = 60000
};

static const struct looked_epoch *epoch_of(const struct looking *l, const struct access *a)
{
    for (size_t low = 0, high = l->epoch_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (l->epochs[middle].number == a->epoch)
            return &l->epochs[middle];
        if (l->epochs[middle].number < a->epoch)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct looking_access looking_access(const struct looking *l, size_t i)
{
    const struct access *a = &l->accesses[l->shown[i]];
    return (struct looking_access){ .origin = l->logs[a->log].key.name,
                                    .epoch = epoch_of(l, a)->name,
                                    .leaf = a->leaf.index,
                                    .bytes = a->leaf.bytes,
                                    .len = a->leaf.len,
                                    .position = a->position,
                                    .minute = a->minute,
                                    .is_open = a->opening != NULL };
}

static void salt_of(const struct looking *l, const struct access *a, uint8_t ret[TAG_SALT_LEN])
{
    tag_salt_of(epoch_of(l, a)->k, l->logs[a->log].key.name, a->n, ret);
}

static bool answers(const struct access *a, const uint8_t salt[TAG_SALT_LEN], const void *text,
                    size_t n)
{
    uint8_t commitment[TAG_COMMITMENT_LEN];
    tag_commitment_of(salt, text, n, commitment);
    return memcmp(commitment, a->commitment, sizeof(commitment)) == 0;
}

static int keep_opening(struct access *a, const void *text, size_t n, struct err *err)
{
    mem_free_secret(a->opening, a->opening_len);
    a->opening = mem_zalloc(n, 1);
    a->opening_len = n;
    if (a->opening == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    memcpy(a->opening, text, n);
    return 1;
}

int looking_open(struct looking *l, size_t i, const char *classes, int64_t time_ms, struct err *err)
{
    struct access *a = &l->accesses[l->shown[i]];
    uint8_t salt[TAG_SALT_LEN];
    struct buf text;
    buf_init(&text, TAG_ACCESS_MAX);
    int rc = tag_access_write(&text, l->o.subject, l->o.subject_len, classes, time_ms);
    salt_of(l, a, salt);
    if (rc == 0 && answers(a, salt, buf_at(&text), buf_len(&text)))
        rc = keep_opening(a, buf_at(&text), buf_len(&text), err);
    buf_wipe_done(&text);
    sodium_memzero(salt, sizeof(salt)); /* opens the commitment */
    if (rc == -RF_ENOMEM)
        return err_set(err, RF_ENOMEM, "out of memory");
    return rc == 1 ? 1 : 0; /* classes or a time that no access has answer to nothing */
}

/* ---- trying --------------------------------------------------------------------------------- */

static void digits(char *at, unsigned n, unsigned value)
{
    while (n-- > 0) {
        at[n] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* All milliseconds of MINUTE with these classes: the text is written once, and of its end
   `SS.mmmZ"}` the digits are counted. */
static int try_minute(struct looking *l, struct access *a, const uint8_t salt[TAG_SALT_LEN],
                      const char *classes, int64_t minute, struct err *err)
{
    struct buf text;
    int found = 0;
    if (minute < 0)
        return 0;
    buf_init(&text, TAG_ACCESS_MAX);
    int rc = tag_access_write(&text, l->o.subject, l->o.subject_len, classes, minute * MINUTE_MS);
    char *end = rc == 0 ? (char *)buf_at(&text) + buf_len(&text) : NULL;
    for (unsigned ms = 0; rc == 0 && found == 0 && ms < MINUTE_MS; ms++) {
        digits(end - 9, 2, ms / 1000);
        digits(end - 6, 3, ms % 1000);
        if (answers(a, salt, buf_at(&text), buf_len(&text)))
            found = keep_opening(a, buf_at(&text), buf_len(&text), err);
    }
    buf_wipe_done(&text);
    return rc == -RF_ENOMEM ? err_set(err, RF_ENOMEM, "out of memory") : found;
}

/* Those of NAMES whose bit is in SET, as they stand in an access. */
static void join(const struct logleaf_value *names, unsigned set, char ret[RECORD_WORD_MAX + 1])
{
    size_t len = 0, at = 0;
    for (unsigned bit = 0; at < names->len; bit++) {
        const char *comma = memchr(names->text + at, ',', names->len - at);
        size_t n = comma != NULL ? (size_t)(comma - names->text) - at : names->len - at;
        if ((set >> bit & 1) != 0 && len + 1 + n <= RECORD_WORD_MAX)
            len += (size_t)snprintf(ret + len, RECORD_WORD_MAX + 1 - len, "%s%.*s",
                                    len > 0 ? "," : "", (int)n, names->text + at);
        at += n + 1;
    }
    ret[len] = '\0';
}

/* All sets of the leaf's classes, the whole one first. */
static int try_sets(struct looking *l, struct access *a, const uint8_t salt[TAG_SALT_LEN],
                    const struct logleaf_value *names, int64_t minute, struct err *err)
{
    char classes[RECORD_WORD_MAX + 1];
    unsigned count = 1;
    int rc = 0;
    for (size_t i = 0; i < names->len; i++)
        count += names->text[i] == ',';
    if (names->len == 0 || count > CLASSES_MAX)
        return 0;
    for (unsigned set = (1U << count) - 1; rc == 0 && set > 0; set--) {
        join(names, set, classes);
        rc = try_minute(l, a, salt, classes, minute, err);
    }
    return rc;
}

int looking_search(struct looking *l, size_t i, struct err *err)
{
    struct access *a = &l->accesses[l->shown[i]];
    uint8_t salt[TAG_SALT_LEN];
    struct logleaf leaf;
    int rc = 0;
    if (logleaf_read(a->leaf.bytes, a->leaf.len, &leaf) < 0)
        return err_set(err, RF_EBUG, "a leaf that was read before is none");
    if (leaf.type == LEAF_FIND) /* no classes: that he was looked for is all */
        logleaf_text(&leaf, LEAF_KEY_CLASSES, "find");
    salt_of(l, a, salt);
    for (int back = 0; rc == 0 && back <= MINUTES_BACK; back++)
        rc = try_sets(l, a, salt, &leaf.value[LEAF_KEY_CLASSES], (int64_t)a->minute - back, err);
    if (rc == 0)
        rc = try_sets(l, a, salt, &leaf.value[LEAF_KEY_CLASSES], (int64_t)a->minute + 1, err);
    sodium_memzero(salt, sizeof(salt));
    return rc;
}
