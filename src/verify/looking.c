#include "verify/looking.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "verify/looking_inside.h"

/* While a log is read:
 *
 *     an epoch of it is being read  =>  `next` is the tag that his next access would have
 *     a tag equals `next`           =>  it is his, and `next` becomes the one after it
 *     the epoch's seal is read      =>  `next` is the tag whose absence is proved
 *
 * Numbers of appearances have no gaps and are given in the order of the log, so nothing is missed
 * that way; a log in which it is otherwise has a tag that is not absent, and is refused. */

enum { FIRST_ROOM = 16 };

/* ---- making and freeing --------------------------------------------------------------------- */

int looking_new(const struct looking_options *o, struct looking **ret, struct err *err)
{
    if (o->subject_len == 0 || o->subject_len > TAG_SUBJECT_MAX)
        return err_set(err, RF_EINVAL, "a subject's key has 1 to %d bytes", TAG_SUBJECT_MAX);
    struct looking *l = mem_zalloc(1, sizeof(*l));
    if (l == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    l->o = *o;
    *ret = l;
    return 0;
}

static void log_done(struct looked_log *log)
{
    mem_free(log->note);
    mem_free(log->genesis.bytes);
    for (size_t i = 0; i < log->named_count; i++)
        mem_free(log->named[i].bytes);
    mem_free(log->named);
    mem_free(log->named_origins);
    for (size_t i = 0; i < log->span_count; i++) {
        mem_free(log->spans[i].seal.bytes);
        mem_free(log->spans[i].sides);
    }
    mem_free(log->spans);
}

void looking_free(struct looking *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->log_count; i++)
        log_done(&l->logs[i]);
    for (size_t i = 0; i < l->access_count; i++) {
        mem_free(l->accesses[i].leaf.bytes);
        mem_free_secret(l->accesses[i].opening, l->accesses[i].opening_len);
    }
    mem_free(l->accesses);
    mem_free(l->shown);
    mem_free(l->tags);
    mem_free_secret(l->epochs, l->epoch_room * sizeof(*l->epochs));
    mem_free_secret(l, sizeof(*l));
}

/* Room for one more in a list of COUNT things of SIZE bytes. */
static int grow(void **list, size_t *room, size_t count, size_t size, struct err *err)
{
    if (count < *room)
        return 0;
    size_t wider = *room > 0 ? 2 * *room : FIRST_ROOM;
    void *moved = wider > SIZE_MAX / size ? NULL : mem_realloc(*list, wider * size);
    if (moved == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    *list = moved;
    *room = wider;
    return 0;
}

static int keep(struct kept_leaf *to, uint64_t index, const void *bytes, size_t n, struct err *err)
{
    to->bytes = mem_zalloc(n, 1);
    if (to->bytes == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    memcpy(to->bytes, bytes, n);
    to->index = index;
    to->len = n;
    return 0;
}

/* ---- epochs --------------------------------------------------------------------------------- */

static bool is_wanted(const struct looking *l, const char *epoch)
{
    for (size_t i = 0; i < l->o.epoch_count; i++)
        if (strcmp(l->o.epochs[i], epoch) == 0)
            return true;
    return l->o.epoch_count == 0;
}

/* Where NUMBER is, or would be. */
static size_t epoch_place(const struct looking *l, uint64_t number)
{
    size_t low = 0, high = l->epoch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->epochs[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct looked_epoch *looking_epoch_find(struct looking *l, uint64_t number)
{
    size_t at = epoch_place(l, number);
    return at < l->epoch_count && l->epochs[at].number == number ? &l->epochs[at] : NULL;
}

/* Not realloc(): what is moved are keys. */
static int epoch_room(struct looking *l, struct err *err)
{
    if (l->epoch_count < l->epoch_room)
        return 0;
    size_t wider = l->epoch_room > 0 ? 2 * l->epoch_room : FIRST_ROOM;
    struct looked_epoch *moved = mem_zalloc(wider, sizeof(*moved));
    if (moved == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    if (l->epoch_count > 0)
        memcpy(moved, l->epochs, l->epoch_count * sizeof(*moved));
    mem_free_secret(l->epochs, l->epoch_room * sizeof(*moved));
    l->epochs = moved;
    l->epoch_room = wider;
    return 0;
}

static int epoch_add(struct looking *l, uint64_t number, const char *name,
                     struct looked_epoch **ret, struct err *err)
{
    const struct tag_subject subject = {
        .region = l->o.region, .epoch = name, .key = l->o.subject, .key_len = l->o.subject_len
    };
    struct looked_epoch e = { .number = number };
    int rc = epoch_room(l, err);
    if (rc < 0)
        return rc;
    (void)snprintf(e.name, sizeof(e.name), "%s", name);
    rc = tag_key_make(&subject, l->o.secret, e.proof, e.k);
    if (rc < 0) {
        sodium_memzero(&e, sizeof(e));
        return err_set(err, (enum err_code) - rc, "could not compute the key of epoch \"%s\"",
                       name);
    }
    size_t at = epoch_place(l, number);
    memmove(l->epochs + at + 1, l->epochs + at, (l->epoch_count - at) * sizeof(e));
    l->epochs[at] = e;
    l->epoch_count++;
    sodium_memzero(&e, sizeof(e));
    *ret = &l->epochs[at];
    return 0;
}

/* ---- the log that is being read ------------------------------------------------------------- */

struct looked_log *looking_present(struct looking *l)
{
    return &l->logs[l->log_count - 1];
}

int looking_log(struct looking *l, const struct key *key, struct source *source, struct err *err)
{
    if (l->log_count == CLAIM_LOGS_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d logs", CLAIM_LOGS_MAX);
    struct looked_log *log = &l->logs[l->log_count++];
    log->key = *key;
    log->source = source;
    l->tag_count = 0;
    return 0;
}

/* Spans of one log come in the order of their epochs. */
struct span *looking_span_find(const struct looked_log *log, uint64_t epoch)
{
    size_t low = 0, high = log->span_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->spans[middle].epoch < epoch)
            low = middle + 1;
        else
            high = middle;
    }
    return low < log->span_count && log->spans[low].epoch == epoch ? &log->spans[low] : NULL;
}

static void expect_next(struct looking *l, const struct looked_epoch *e, const struct span *s)
{
    tag_of(e->k, looking_present(l)->key.name, s->accesses, l->next);
}

static void text_of(const struct logleaf *leaf, enum logleaf_key key, char *ret, size_t size)
{
    const struct logleaf_value *v = &leaf->value[key];
    (void)snprintf(ret, size, "%.*s", v->text != NULL ? (int)v->len : 0,
                   v->text != NULL ? v->text : "");
}

/* The epoch that LEAF names, in this log. *RET is NULL for one that nobody asked for. */
static int span_of(struct looking *l, const struct logleaf *leaf, struct looked_epoch **ret_epoch,
                   struct span **ret, struct err *err)
{
    struct looked_log *log = looking_present(l);
    char name[TAG_EPOCH_SIZE];
    uint64_t number;
    *ret = NULL;
    text_of(leaf, LEAF_KEY_EPOCH, name, sizeof(name));
    if (!is_wanted(l, name))
        return 0;
    if (!l->has_period || tag_epoch_read(l->period, name, strlen(name), &number) < 0)
        return err_set(err, RF_ETAMPER, "\"%s\" is no epoch of log \"%.200s\"", name,
                       log->key.name);
    *ret_epoch = looking_epoch_find(l, number);
    int rc = *ret_epoch == NULL ? epoch_add(l, number, name, ret_epoch, err) : 0;
    if (rc < 0)
        return rc;
    *ret = looking_span_find(log, number);
    if (*ret != NULL)
        return 0;
    if (log->span_count > 0 && log->spans[log->span_count - 1].epoch > number)
        return err_set(err, RF_ETAMPER, "epochs of log \"%.200s\" go back", log->key.name);
    rc = grow((void **)&log->spans, &log->span_room, log->span_count, sizeof(**ret), err);
    if (rc < 0)
        return rc;
    *ret = &log->spans[log->span_count++];
    **ret = (struct span){ .epoch = number };
    expect_next(l, *ret_epoch, *ret);
    return 0;
}

static int on_genesis(struct looking *l, const void *bytes, size_t n, const struct logleaf *leaf,
                      struct err *err)
{
    struct looked_log *log = looking_present(l);
    struct tag_period period;
    char text[TAG_EPOCH_SIZE];
    uint8_t vrf[VRF_PUBLIC_LEN], public[VRF_PUBLIC_LEN];
    text_of(leaf, LEAF_KEY_EPOCH, text, sizeof(text));
    logleaf_hash(leaf, LEAF_KEY_VRF, vrf);
    if (tag_period_read(text, strlen(text), &period) < 0 ||
        (l->has_period && l->period.minutes != period.minutes))
        return err_set(err, RF_ETAMPER, "log \"%.200s\" has another kind of epochs", log->key.name);
    if (!logleaf_is(leaf, LEAF_KEY_REGION, l->o.region))
        return err_set(err, RF_EINVAL, "log \"%.200s\" is not of region \"%.60s\"", log->key.name,
                       l->o.region);
    if (vrf_public_of(l->o.secret, public) < 0)
        return err_set(err, RF_ECONFIG, "the VRF key is none");
    log->is_covered = memcmp(vrf, public, sizeof(vrf)) == 0;
    l->period = period;
    l->has_period = true;
    log->begins = tag_epoch_number(period, leaf->minute);
    log->has_predecessor = logleaf_has(leaf, LEAF_KEY_PREDECESSOR);
    return keep(&log->genesis, 0, bytes, n, err);
}

static int on_named(struct looking *l, uint64_t index, const void *bytes, size_t n,
                    const struct logleaf *leaf, struct err *err)
{
    struct looked_log *log = looking_present(l);
    size_t room = log->named_room;
    int rc = grow((void **)&log->named, &room, log->named_count, sizeof(*log->named), err);
    if (rc == 0)
        rc = grow((void **)&log->named_origins, &log->named_room, log->named_count,
                  sizeof(*log->named_origins), err);
    if (rc == 0)
        rc = keep(&log->named[log->named_count], index, bytes, n, err);
    if (rc < 0)
        return rc;
    text_of(leaf, LEAF_KEY_ORIGIN, log->named_origins[log->named_count],
            sizeof(*log->named_origins));
    log->named_count++;
    if (leaf->type == LEAF_SUCCESSOR) {
        log->ended = true;
        log->ends = tag_epoch_number(l->period, leaf->minute);
    }
    return 0;
}

static int access_add(struct looking *l, uint64_t index, const void *bytes, size_t n,
                      const struct logleaf *leaf, const struct span *s, unsigned position,
                      const uint8_t *commitment, struct err *err)
{
    int rc =
        grow((void **)&l->accesses, &l->access_room, l->access_count, sizeof(*l->accesses), err);
    if (rc < 0)
        return rc;
    struct access *a = &l->accesses[l->access_count];
    *a = (struct access){ .log = l->log_count - 1,
                          .epoch = s->epoch,
                          .n = s->accesses,
                          .position = position,
                          .minute = leaf->minute,
                          .is_held = logleaf_has(leaf, LEAF_KEY_HELD) };
    memcpy(a->commitment, commitment, sizeof(a->commitment));
    rc = keep(&a->leaf, index, bytes, n, err);
    if (rc == 0)
        l->access_count++;
    return rc;
}

static int on_items(struct looking *l, uint64_t index, const void *bytes, size_t n,
                    const struct logleaf *leaf, struct err *err)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    struct looked_epoch *e;
    struct span *s;
    int rc = span_of(l, leaf, &e, &s, err);
    unsigned count = rc == 0 && s != NULL ? logleaf_items(leaf, items) : 0;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = grow((void **)&l->tags, &l->tag_room, l->tag_count, sizeof(*l->tags), err);
        if (rc < 0)
            return rc;
        memcpy(l->tags[l->tag_count++], items[i], TAG_LEN);
        if (memcmp(items[i], l->next, TAG_LEN) != 0)
            continue;
        rc = access_add(l, index, bytes, n, leaf, s, i, items[i] + TAG_LEN, err);
        s->accesses++;
        expect_next(l, e, s);
    }
    return rc;
}

static void on_opened(struct looking *l, const struct logleaf *leaf)
{
    const char *origin;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(leaf, LEAF_KEY_REF, &index, &origin, &len))
        return;
    for (size_t i = l->access_count; i-- > 0;)
        if (l->accesses[i].log == l->log_count - 1 && l->accesses[i].leaf.index == index)
            l->accesses[i].is_held = false;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, TAG_LEN);
}

/* His next tag is not among those of the epoch: keep why. */
static int absence(struct looking *l, const struct looked_epoch *e, struct span *s, struct err *err)
{
    struct claim_line *line = mem_zalloc(1, sizeof(*line));
    int rc = line == NULL ? -RF_ENOMEM : 0;
    if (l->tag_count > 0)
        qsort(l->tags, l->tag_count, sizeof(*l->tags), by_bytes);
    if (rc == 0)
        rc = claim_absence_of((const uint8_t(*)[TAG_LEN])l->tags, l->tag_count, l->next, line);
    if (rc == 0 && l->tag_count > 0) {
        s->sides = mem_zalloc(2, sizeof(*s->sides));
        if (s->sides == NULL)
            rc = -RF_ENOMEM;
        else
            memcpy(s->sides, (struct claim_neighbour[]){ line->left, line->right },
                   2 * sizeof(*s->sides));
    }
    mem_free(line);
    if (rc == -RF_EINVAL)
        return err_set(err, RF_ETAMPER,
                       "log \"%.200s\" has appearances of one person out of their order in epoch "
                       "\"%s\"",
                       looking_present(l)->key.name, e->name);
    return rc < 0 ? err_set(err, RF_ENOMEM, "out of memory for the tags of an epoch") : 0;
}

static int on_seal(struct looking *l, uint64_t index, const void *bytes, size_t n,
                   const struct logleaf *leaf, struct err *err)
{
    struct looked_epoch *e;
    struct span *s;
    if (!logleaf_is(leaf, LEAF_KEY_OF, "epoch"))
        return 0;
    int rc = span_of(l, leaf, &e, &s, err);
    if (rc == 0 && s != NULL && s->is_sealed)
        rc = err_set(err, RF_ETAMPER, "log \"%.200s\" has two seals of an epoch",
                     looking_present(l)->key.name);
    if (rc == 0 && s != NULL)
        rc = keep(&s->seal, index, bytes, n, err);
    if (rc == 0 && s != NULL) {
        s->is_sealed = true;
        rc = absence(l, e, s, err);
    }
    l->tag_count = 0;
    return rc;
}

int looking_leaf(void *context, uint64_t index, const void *bytes, size_t n,
                 const struct logleaf *leaf, struct err *err)
{
    struct looking *l = context;
    if ((leaf->type == LEAF_GENESIS) != (index == 0) || (index > 0 && !l->has_period))
        return err_set(err, RF_ETAMPER, "log \"%.200s\" does not begin with its genesis",
                       looking_present(l)->key.name);
    const bool is_covered = looking_present(l)->is_covered;
    switch (leaf->type) {
    case LEAF_GENESIS:
        return on_genesis(l, bytes, n, leaf, err);
    case LEAF_MEMBER:
    case LEAF_SUCCESSOR:
        return on_named(l, index, bytes, n, leaf, err);
    case LEAF_DISCLOSURE:
    case LEAF_FIND:
        return is_covered ? on_items(l, index, bytes, n, leaf, err) : 0;
    case LEAF_OPENED:
        on_opened(l, leaf);
        return 0;
    case LEAF_SEAL:
        return is_covered ? on_seal(l, index, bytes, n, leaf, err) : 0;
    default:
        return 0;
    }
}

int looking_log_end(struct looking *l, const struct verify_report *report, struct err *err)
{
    struct looked_log *log = looking_present(l);
    log->note_len = report->note.end - report->note.off;
    log->note = mem_zalloc(log->note_len + 1, 1);
    if (log->note == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    memcpy(log->note, report->note.data + report->note.off, log->note_len);
    log->checkpoint = report->checkpoint;
    return 0;
}

/* ---- all logs together ---------------------------------------------------------------------- */

static int log_called(const struct looking *l, const char *origin)
{
    for (unsigned i = 0; i < l->log_count; i++)
        if (strcmp(l->logs[i].key.name, origin) == 0)
            return (int)i;
    return -1;
}

static bool is_named(const struct looking *l, const char *origin)
{
    for (unsigned i = 0; i < l->log_count; i++)
        for (size_t k = 0; k < l->logs[i].named_count; k++)
            if (strcmp(l->logs[i].named_origins[k], origin) == 0)
                return true;
    return false;
}

/* The first log is the one that no other names. */
static int find_first(struct looking *l, struct err *err)
{
    unsigned count = 0;
    for (unsigned i = 0; i < l->log_count; i++)
        if (!is_named(l, l->logs[i].key.name)) {
            if (count > 0)
                return err_set(err, RF_ENOTFOUND,
                               "log \"%.150s\" is not in the roster of \"%.150s\"",
                               l->logs[i].key.name, l->logs[l->roster[0]].key.name);
            l->roster[count++] = i;
        }
    if (count == 0)
        return err_set(err, RF_ETAMPER, "the logs name each other in a circle");
    const struct looked_log *first = &l->logs[l->roster[0]];
    if (!first->has_predecessor)
        return 0;
    (void)err_set(err, RF_ENOTFOUND, "log \"%.150s\" continues another one, which was not given",
                  first->key.name);
    err_hint(err, "name the older log with --log");
    return -RF_ENOTFOUND;
}

/* The order of claims.md, section 1: the first, then log by log whom they name. */
static int order_roster(struct looking *l, struct err *err)
{
    unsigned count = 1;
    for (unsigned at = 0; at < count; at++) {
        const struct looked_log *log = &l->logs[l->roster[at]];
        for (size_t k = 0; k < log->named_count; k++) {
            int found = log_called(l, log->named_origins[k]);
            if (found < 0) {
                (void)err_set(err, RF_ENOTFOUND,
                              "log \"%.150s\" is in the roster of \"%.150s\" and was not given",
                              log->named_origins[k], log->key.name);
                err_hint(err, "name each log of the region: --log URL|DIR");
                return -RF_ENOTFOUND;
            }
            if (count == l->log_count)
                return err_set(err, RF_ETAMPER, "log \"%.200s\" is named twice",
                               log->named_origins[k]);
            l->roster[count++] = (unsigned)found;
        }
    }
    return count == l->log_count ? 0 : err_set(err, RF_ETAMPER, "the logs are not one roster");
}

bool looking_shows(const struct looked_log *log, uint64_t epoch)
{
    return log->is_covered && epoch >= log->begins && (!log->ended || epoch <= log->ends);
}

static int judge_cover(const struct looking *l, struct err *err)
{
    for (unsigned i = 0; i < l->log_count; i++)
        if (l->logs[i].is_covered)
            return 0;
    return err_set(err, RF_ECONFIG, "the VRF key is that of none of the logs");
}

static void judge_epoch(struct looking *l, struct looked_epoch *e)
{
    e->accesses = 0;
    for (unsigned at = 0; at < l->log_count; at++) {
        const struct looked_log *log = &l->logs[l->roster[at]];
        const struct span *s = looking_span_find(log, e->number);
        e->accesses += s != NULL ? s->accesses : 0;
        if (e->verdict == LOOKING_SHOWN && looking_shows(log, e->number) &&
            (s == NULL || !s->is_sealed)) {
            e->verdict = LOOKING_OPEN;
            e->because = at;
        }
    }
}

static void judge_holds(struct looking *l)
{
    for (size_t i = 0; i < l->access_count; i++) {
        const struct access *a = &l->accesses[i];
        struct looked_epoch *e = a->is_held ? looking_epoch_find(l, a->epoch) : NULL;
        if (e == NULL)
            continue;
        if (e->verdict == LOOKING_SHOWN)
            e->verdict = LOOKING_HELD;
        if (e->verdict != LOOKING_HELD) /* that it is open is why, and where */
            continue;
        for (unsigned at = 0; at < l->log_count; at++)
            if (l->roster[at] == a->log)
                e->because = at;
        if (a->minute > e->held_from)
            e->held_from = a->minute;
    }
}

static int show_accesses(struct looking *l, struct err *err)
{
    l->shown = mem_zalloc(l->access_count + 1, sizeof(*l->shown));
    if (l->shown == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    /* A log's accesses were found in its order; a pass for each log and epoch would be slow. */
    size_t from[CLAIM_LOGS_MAX] = { 0 };
    for (unsigned i = 0; i < l->log_count; i++)
        while (from[i] < l->access_count && l->accesses[from[i]].log != i)
            from[i]++;
    for (size_t k = 0; k < l->epoch_count; k++)
        for (unsigned at = 0; at < l->log_count; at++) {
            size_t *i = &from[l->roster[at]];
            for (; *i < l->access_count && l->accesses[*i].log == l->roster[at] &&
                   l->accesses[*i].epoch == l->epochs[k].number;
                 (*i)++)
                if (l->epochs[k].verdict == LOOKING_SHOWN)
                    l->shown[l->shown_count++] = *i;
        }
    return 0;
}

int looking_settle(struct looking *l, struct err *err)
{
    int rc = judge_cover(l, err);
    if (rc == 0)
        rc = find_first(l, err);
    if (rc == 0)
        rc = order_roster(l, err);
    for (size_t i = 0; rc == 0 && i < l->epoch_count; i++)
        judge_epoch(l, &l->epochs[i]);
    if (rc < 0)
        return rc;
    judge_holds(l);
    return show_accesses(l, err);
}

/* ---- what came out -------------------------------------------------------------------------- */

static bool is_found(const struct looking *l, const char *name)
{
    for (size_t i = 0; i < l->epoch_count; i++)
        if (strcmp(l->epochs[i].name, name) == 0)
            return true;
    return false;
}

/* Those that were met, and behind them those that were asked for in vain. */
size_t looking_epoch_count(const struct looking *l)
{
    size_t count = l->epoch_count;
    for (size_t i = 0; i < l->o.epoch_count; i++)
        count += !is_found(l, l->o.epochs[i]);
    return count;
}

struct looking_epoch looking_epoch(const struct looking *l, size_t i)
{
    size_t unknown = i - l->epoch_count;
    if (i < l->epoch_count) {
        const struct looked_epoch *e = &l->epochs[i];
        return (struct looking_epoch){ .name = e->name,
                                       .verdict = e->verdict,
                                       .log = l->logs[l->roster[e->because]].key.name,
                                       .held_from = e->held_from,
                                       .accesses = e->accesses };
    }
    for (size_t k = 0; k < l->o.epoch_count; k++)
        if (!is_found(l, l->o.epochs[k]) && unknown-- == 0)
            return (struct looking_epoch){ .name = l->o.epochs[k], .verdict = LOOKING_UNKNOWN };
    return (struct looking_epoch){ .name = "", .verdict = LOOKING_UNKNOWN };
}

size_t looking_log_count(const struct looking *l)
{
    return l->log_count;
}

const struct key *looking_log_key(const struct looking *l, size_t i)
{
    return &l->logs[l->roster[i]].key;
}

size_t looking_access_count(const struct looking *l)
{
    return l->shown_count;
}
