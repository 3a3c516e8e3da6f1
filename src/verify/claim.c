#include "verify/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "verify/claim_inside.h"

#define NO_BOUND UINT64_MAX

enum match { MATCH_NO, MATCH_MAYBE, MATCH_YES };

void claims_log(struct claims *c, const char *origin)
{
    if (c->log_count < CLAIM_LOGS_MAX)
        (void)snprintf(c->origins[c->log_count++], sizeof(c->origins[0]), "%s", origin);
    if (c->approvals[c->log_count - 1].record_len == 0)
        indexmap_init(&c->approvals[c->log_count - 1], sizeof(uint64_t));
    c->period[0] = '\0';
    c->rollup = 0;
    for (size_t i = 0; i < c->count; i++)
        c->list[i].has_epoch_number = false;
}

size_t claims_count(const struct claims *c)
{
    return c->count;
}

const char *claims_origin(const struct claims *c, unsigned log)
{
    return log < c->log_count ? c->origins[log] : "";
}

const char *claim_verdict_name(enum claim_verdict verdict)
{
    return verdict == CLAIM_TRUE ? "TRUE" : verdict == CLAIM_FALSE ? "FALSE" : "UNKNOWN";
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > NO_BOUND - b ? NO_BOUND : a + b;
}

/* ---- does a leaf belong? -------------------------------------------------------------------- */

static bool is_value(const struct logleaf_value *v, enum logleaf_key key, const char *value)
{
    char number[24];
    if (v->text == NULL) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, v->number);
        return strcmp(number, value) == 0;
    }
    size_t want = strlen(value), n;
    if (key != LEAF_KEY_CLASSES)
        return v->len == want && memcmp(v->text, value, want) == 0;
    for (size_t at = 0; at < v->len; at += n + 1) {
        const char *comma = memchr(v->text + at, ',', v->len - at);
        n = comma != NULL ? (size_t)(comma - v->text) - at : v->len - at;
        if (n == want && memcmp(v->text + at, value, want) == 0)
            return true;
    }
    return false;
}

static enum match filter_match(const struct claim_filter *f, const struct logleaf *l)
{
    if (f->key == LEAF_KEY_PURPOSE && logleaf_has(l, LEAF_KEY_HELD))
        return MATCH_MAYBE;
    for (size_t i = 0; logleaf_has(l, f->key) && i < f->count; i++)
        if (is_value(&l->value[f->key], f->key, f->values[i]))
            return f->is_not ? MATCH_NO : MATCH_YES;
    return f->is_not ? MATCH_YES : MATCH_NO;
}

static enum match home_match(const struct claims *c, const struct claim *claim,
                             const struct logleaf *l)
{
    bool is_home = false;
    if (claim->home == CLAIM_HOME_ANY)
        return MATCH_YES;
    if (!logleaf_has(l, LEAF_KEY_PLACE))
        return MATCH_MAYBE;
    for (size_t i = 0; i < c->home_count; i++)
        is_home = is_home || logleaf_is(l, LEAF_KEY_PLACE, c->home[i]);
    return is_home == (claim->home == CLAIM_HOME_YES) ? MATCH_YES : MATCH_NO;
}

/* The minutes that a leaf speaks of: of a roll-up its interval, else its own. */
static enum match period_match(const struct claims *c, const struct claim *claim,
                               const struct logleaf *l)
{
    bool is_rollup = logleaf_has(l, LEAF_KEY_FROM) && logleaf_has(l, LEAF_KEY_UNTIL);
    uint64_t first = is_rollup ? l->value[LEAF_KEY_FROM].number : l->minute;
    uint64_t last = is_rollup ? l->value[LEAF_KEY_UNTIL].number - 1 : l->minute;
    char a[RULES_EPOCH_SIZE], b[RULES_EPOCH_SIZE];
    bool begins = true, ends = true;
    if (claim->epoch != NULL) {
        begins = rules_epoch(c->period, strlen(c->period), (uint32_t)first, a) &&
                 strcmp(a, claim->epoch) == 0;
        ends = rules_epoch(c->period, strlen(c->period), (uint32_t)last, b) &&
               strcmp(b, claim->epoch) == 0;
    } else if (claim->has_interval) {
        begins = first >= claim->from && first < claim->until;
        ends = last >= claim->from && last < claim->until;
        if (first < claim->from && last >= claim->until)
            return MATCH_MAYBE;
    }
    return begins && ends ? MATCH_YES : begins || ends ? MATCH_MAYBE : MATCH_NO;
}

/* ---- approvals ------------------------------------------------------------------------------ */

static uint64_t refs_of(const struct logleaf *grant)
{
    const char *origin;
    uint64_t index, count = 0;
    size_t at = 0, len;
    while (logleaf_refs_next(grant, &at, &index, &origin, &len))
        count++;
    return count;
}

/* Of the grant that L names by its grant_ref: 1 and how many, 0: nobody knows. */
static bool approvals_there(const struct claims *c, const struct logleaf *l, uint64_t *ret)
{
    const char *origin;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(l, LEAF_KEY_GRANT_REF, &index, &origin, &len))
        return false;
    for (unsigned i = 0; i < c->log_count; i++) {
        const uint64_t *known =
            strlen(c->origins[i]) == len && memcmp(c->origins[i], origin, len) == 0
                ? indexmap_find(&c->approvals[i], index)
                : NULL;
        if (known != NULL)
            *ret = *known;
        if (known != NULL)
            return true;
    }
    return false;
}

static enum match approvals_match(const struct claims *c, const struct claim *claim,
                                  const struct logleaf *l)
{
    uint64_t count = 0;
    if (claim->fewer_approvals == 0)
        return MATCH_YES;
    if (logleaf_has(l, LEAF_KEY_GRANT_REF)) {
        if (!approvals_there(c, l, &count))
            return MATCH_MAYBE;
    } else if (l->type == LEAF_GRANT) {
        count = refs_of(l);
    }
    return count < claim->fewer_approvals ? MATCH_YES : MATCH_NO;
}

/* For those who will name it. */
static int keep_approvals(struct claims *c, uint64_t index, const struct logleaf *l)
{
    uint64_t count = refs_of(l), *known;
    if (!c->wants_approvals || l->type != LEAF_GRANT || c->log_count == 0 ||
        (logleaf_has(l, LEAF_KEY_GRANT_REF) && !approvals_there(c, l, &count)))
        return 0;
    known = indexmap_put(&c->approvals[c->log_count - 1], index);
    if (known != NULL)
        *known = count;
    return known != NULL ? 0 : -RF_ENOMEM;
}

/* *RET_HELD: nothing but a held purpose is in doubt. */
static enum match claim_match(const struct claims *c, const struct claim *claim,
                              const struct logleaf *l, bool *ret_held)
{
    uint64_t there = 0;
    *ret_held = false;
    if ((claim->types >> l->type & 1) == 0)
        return MATCH_NO;
    for (int k = 0; k < LEAF_KEY_COUNT; k++)
        there |= (uint64_t)logleaf_has(l, (enum logleaf_key)k) << k;
    if ((there & claim->with) != claim->with || (there & claim->without) != 0)
        return MATCH_NO;
    enum match home = home_match(c, claim, l), period = period_match(c, claim, l);
    enum match all = home < period ? home : period;
    enum match approvals = all != MATCH_NO ? approvals_match(c, claim, l) : MATCH_NO;
    all = approvals < all ? approvals : all;
    bool is_certain = all == MATCH_YES;
    for (size_t i = 0; all != MATCH_NO && i < claim->filter_count; i++) {
        enum match one = filter_match(&claim->filters[i], l);
        *ret_held = *ret_held || one == MATCH_MAYBE;
        all = one < all ? one : all;
    }
    *ret_held = *ret_held && is_certain;
    return all;
}

/* ---- counting ------------------------------------------------------------------------------- */

static void amount_of(const struct claim *claim, const struct logleaf *l, uint64_t *ret_least,
                      uint64_t *ret_most)
{
    uint64_t band = claim->sums ? l->value[claim->of].number : 1;
    *ret_least = band;
    *ret_most = band;
    if (claim->sums && logleaf_has(l, LEAF_KEY_FEW))
        *ret_most = NO_BOUND;
    else if (claim->sums && band > 0)
        *ret_most = 2 * band - 1;
    if (claim->sums && band == UINT64_C(1) << 52)
        *ret_most = NO_BOUND;
}

static void keep_leaf(const struct claims *c, struct claim *claim, uint64_t index, bool is_certain)
{
    if (claim->leaf_count < CLAIM_LEAVES_MAX)
        claim->leaves[claim->leaf_count++] = (struct claim_leaf){
            .log = c->log_count > 0 ? c->log_count - 1 : 0,
            .index = index,
            .is_certain = is_certain,
        };
}

static int keep_held(const struct claims *c, struct claim *claim, uint64_t index, uint64_t least,
                     uint64_t most)
{
    if (claim->held == NULL)
        claim->held = mem_zalloc(CLAIM_HELD_MAX, sizeof(*claim->held));
    if (claim->held == NULL)
        return -RF_ENOMEM;
    if (claim->held_count < CLAIM_HELD_MAX) /* else it stays in doubt */
        claim->held[claim->held_count++] = (struct claim_held){ c->log_count, index, least, most };
    return 0;
}

/* A hold has ended: what was in doubt is certain, or does not belong. */
static void open_held(const struct claims *c, struct claim *claim, const struct logleaf *l)
{
    uint64_t index;
    const char *origin;
    size_t len;
    enum match match = MATCH_YES;
    if (!logleaf_ref(l, LEAF_KEY_REF, &index, &origin, &len))
        return;
    for (size_t i = 0; i < claim->filter_count; i++)
        if (claim->filters[i].key == LEAF_KEY_PURPOSE &&
            filter_match(&claim->filters[i], l) == MATCH_NO)
            match = MATCH_NO;
    for (unsigned i = 0; i < claim->held_count; i++) {
        struct claim_held *h = &claim->held[i];
        if (h->index != index || h->log != c->log_count)
            continue;
        if (match == MATCH_YES)
            claim->lower = sum(claim->lower, h->least);
        else if (claim->upper != NO_BOUND)
            claim->upper -= h->most;
        for (unsigned k = 0; k < claim->leaf_count; k++)
            if (claim->leaves[k].index == index && claim->leaves[k].log + 1 == h->log)
                claim->leaves[k].is_certain = match == MATCH_YES;
        *h = claim->held[--claim->held_count];
        return;
    }
}

#define ROLLUP_TYPES                                                                            \
    (UINT64_C(1) << LEAF_SESSION | UINT64_C(1) << LEAF_TRANSFER | UINT64_C(1) << LEAF_SERVICE | \
     UINT64_C(1) << LEAF_DENIAL | UINT64_C(1) << LEAF_ALERT | UINT64_C(1) << LEAF_CONSENT)

/* Is L behind everything that its log will ever say of the claim's period? */
static bool is_behind(const struct claims *c, const struct claim *claim, const struct logleaf *l)
{
    bool of_rollups = (claim->types & ROLLUP_TYPES) != 0;
    bool is_epoch_seal = l->type == LEAF_SEAL && logleaf_is(l, LEAF_KEY_OF, "epoch");
    uint64_t minute = l->minute;
    if (l->type == LEAF_SUCCESSOR)
        return true;
    if (claim->epoch != NULL && is_epoch_seal && logleaf_is(l, LEAF_KEY_EPOCH, claim->epoch) &&
        !of_rollups)
        return true;
    /* Roll-ups of an interval stand behind its end, and behind the epoch's seal. */
    if (of_rollups && ((ROLLUP_TYPES >> l->type & 1) != 0 || is_epoch_seal || c->rollup == 0))
        return false;
    if (of_rollups) /* the end of the last interval that is over */
        minute -= minute % c->rollup;
    if (claim->epoch != NULL)
        return claim->has_epoch_number &&
               tag_epoch_number(c->tag_period, (uint32_t)minute) > claim->epoch_number;
    return claim->has_interval && minute >= claim->until;
}

static int claim_leaf(const struct claims *c, struct claim *claim, uint64_t index,
                      const struct logleaf *l)
{
    uint64_t least, most, log = c->log_count > 0 ? c->log_count - 1 : 0;
    bool is_held;
    if ((claim->sealed >> log & 1) == 0 && is_behind(c, claim, l))
        claim->sealed |= UINT64_C(1) << log;
    if (l->type == LEAF_OPENED && claim->held_count > 0)
        open_held(c, claim, l);
    enum match match = claim_match(c, claim, l, &is_held);
    if (match == MATCH_NO)
        return 0;
    amount_of(claim, l, &least, &most);
    if (most == 0)
        return 0;
    claim->upper = sum(claim->upper, most);
    if (match == MATCH_YES)
        claim->lower = sum(claim->lower, least);
    keep_leaf(c, claim, index, match == MATCH_YES);
    return match == MATCH_MAYBE && is_held ? keep_held(c, claim, index, least, most) : 0;
}

/* What the log that begins with L calls its epochs, and when its roll-ups come. */
static void begin_log(struct claims *c, const struct logleaf *l)
{
    (void)snprintf(c->period, sizeof(c->period), "%.*s", (int)l->value[LEAF_KEY_EPOCH].len,
                   l->value[LEAF_KEY_EPOCH].text);
    bool is_period = tag_period_read(c->period, strlen(c->period), &c->tag_period) == 0;
    c->rollup = l->value[LEAF_KEY_ROLLUP].number;
    for (size_t i = 0; i < c->count; i++) {
        struct claim *claim = &c->list[i];
        claim->has_epoch_number = claim->epoch != NULL && is_period &&
                                  tag_epoch_read(c->tag_period, claim->epoch, strlen(claim->epoch),
                                                 &claim->epoch_number) == 0;
    }
}

int claims_leaf(struct claims *c, uint64_t index, const struct logleaf *leaf, struct err *err)
{
    if (leaf->type == LEAF_GENESIS)
        begin_log(c, leaf);
    if (keep_approvals(c, index, leaf) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    for (size_t i = 0; i < c->count; i++) {
        int rc = claim_leaf(c, &c->list[i], index, leaf);
        if (rc < 0)
            return err_set(err, RF_ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- judging -------------------------------------------------------------------------------- */

static enum claim_verdict worse(enum claim_verdict a, enum claim_verdict b)
{
    return a == CLAIM_FALSE || b == CLAIM_FALSE       ? CLAIM_FALSE
           : a == CLAIM_UNKNOWN || b == CLAIM_UNKNOWN ? CLAIM_UNKNOWN
                                                      : CLAIM_TRUE;
}

void claims_judge(const struct claims *c, size_t i, struct claim_result *ret)
{
    const struct claim *claim = &c->list[i];
    uint64_t all = c->log_count >= 64 ? UINT64_MAX : (UINT64_C(1) << c->log_count) - 1;
    bool is_over = (claim->epoch == NULL && !claim->has_interval) || claim->sealed == all;
    enum claim_verdict verdict = CLAIM_TRUE;
    memset(ret, 0, sizeof(*ret));
    if (claim->has_most) {
        verdict = claim->lower > claim->most               ? CLAIM_FALSE
                  : claim->upper <= claim->most && is_over ? CLAIM_TRUE
                                                           : CLAIM_UNKNOWN;
    }
    if (claim->has_least) {
        verdict = worse(verdict, claim->lower >= claim->least             ? CLAIM_TRUE
                                 : claim->upper < claim->least && is_over ? CLAIM_FALSE
                                                                          : CLAIM_UNKNOWN);
    }
    *ret = (struct claim_result){ .name = claim->name,
                                  .sentence = claim->sentence,
                                  .grade = claim->grade,
                                  .verdict = verdict,
                                  .lower = claim->lower,
                                  .upper = claim->upper,
                                  .leaf_count = claim->leaf_count };
    memcpy(ret->leaves, claim->leaves, sizeof(ret->leaves));
    const char *what = claim->sums ? logleaf_key_name(claim->of) : "leaves";
    if (claim->upper == NO_BOUND)
        (void)snprintf(ret->why, sizeof(ret->why), "at least %" PRIu64 " %s, and some not counted",
                       claim->lower, what);
    else if (claim->lower == claim->upper)
        (void)snprintf(ret->why, sizeof(ret->why), "%" PRIu64 " %s", claim->lower, what);
    else
        (void)snprintf(ret->why, sizeof(ret->why), "%" PRIu64 " to %" PRIu64 " %s", claim->lower,
                       claim->upper, what);
    if (!is_over) {
        size_t n = strlen(ret->why);
        (void)snprintf(ret->why + n, sizeof(ret->why) - n, " so far: the period has not ended");
    }
}

void claims_free(struct claims *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->list[i].held);
    for (unsigned i = 0; i < CLAIM_LOGS_MAX; i++)
        if (c->approvals[i].record_len > 0)
            indexmap_done(&c->approvals[i]);
    arena_done(&c->arena);
    mem_free(c);
}
