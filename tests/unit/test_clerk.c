#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <sodium.h>

#include "base/clock.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"
#include "ledger/desk.h"
#include "log_house.h"
#include "policy/grants.h"
#include "verify/looking.h"
#include "wire/rd.h"

/* ---- what a clerk knows, as text ------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines {
    char *list[5000];
    size_t count;
};

RF_PRINTF(2, 3) static void line_add(struct lines *l, const char *fmt, ...)
{
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    assert_true(l->count < RF_COUNT(l->list));
    l->list[l->count++] = strdup(text);
}

/* Everything that decides what the clerk writes next but repeats, which a start forgets; the order
   of its lists does not. */
static char *knowledge(const struct clerk *c)
{
    struct lines l = { .count = 0 };
    char *text, *at;
    size_t len = 1;
    line_add(&l, "leaves=%" PRIu64 " epoch=%u seal=%u policy=%" PRIu64, c->leaves, c->epoch_minute,
             c->seal_minute, c->policy_leaf);
    line_add(&l, "since interval %" PRIu64 " %" PRIu64 " epoch %" PRIu64 " %" PRIu64,
             c->since_interval.disclosures, c->since_interval.leaves, c->since_epoch.disclosures,
             c->since_epoch.leaves);
    line_add(&l, "tags of %s", tag_book_epoch(c->book));
    if (tag_book_pending(c->book) == 0) {
        uint8_t root[DIGEST_LEN];
        char hex[2 * DIGEST_LEN + 1];
        uint64_t count;
        assert_int_equal(tag_book_seal(c->book, root, &count), 0);
        digest_hex(root, sizeof(root), hex);
        line_add(&l, "tags %" PRIu64 " %s", count, hex);
    }
    for (size_t i = 0; i < c->sum_count; i++) {
        const struct sum *s = &c->sums[i];
        line_add(&l,
                 "sum %d %u %s %s %s %s %s %s %s: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                 " %" PRIu64 " %" PRIu64 " %" PRIu64,
                 s->type, s->from, s->entity, s->place, s->room, s->actor_kind, s->rule, s->purpose,
                 s->version, s->sessions, s->statements, s->rows, s->bytes, s->denials, s->alerts,
                 s->reviewed);
    }
    for (size_t i = 0; i < SUM_SLOTS; i++)
        if (c->slots[i].statements > 0 || c->slots[i].bytes > 0 || c->slots[i].rows > 0)
            line_add(&l, "slot %" PRIu64 " %zu: %" PRIu64 " %" PRIu64 " %" PRIu64, c->slots_start,
                     i, c->slots[i].statements, c->slots[i].rows, c->slots[i].bytes);
    for (unsigned i = 0; i < c->member_count; i++)
        line_add(&l, "member %s", c->members[i]);
    for (size_t i = 0; i < c->grant_count; i++)
        line_add(&l, "grant %" PRIu64 " leaf %" PRIu64 " of \"%s\" until %u for %s: %x",
                 c->grants[i].id, c->grants[i].leaf, c->grants[i].alias, c->grants[i].until,
                 c->grants[i].purpose, c->grants[i].classes);
    for (size_t i = 0; i < c->held_count; i++) {
        char hex[2 * DIGEST_LEN + 1];
        digest_hex(c->held[i].salt, DIGEST_LEN, hex);
        line_add(&l, "held %" PRIu64 " %u %s %s", c->held[i].leaf, c->held[i].minute,
                 c->held[i].purpose, hex);
    }
    qsort(l.list, l.count, sizeof(l.list[0]), by_text);
    for (size_t i = 0; i < l.count; i++)
        len += strlen(l.list[i]) + 1;
    at = text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < l.count; i++) {
        at += sprintf(at, "%s\n", l.list[i]);
        free(l.list[i]);
    }
    return text;
}

/* One that begins with the last snapshot knows the same; TAKES: there is one that fits. */
static void assert_snapshot_is_live(struct log_house *h, bool takes)
{
    struct clerk *other;
    struct clerk_place from = { 0 };
    h->config.state_dir = h->house.state;
    assert_int_equal(clerk_new(h->house.journal, &h->config, h->grants, &other, &h->err), 0);
    assert_int_equal(clerk_snapshot_load(other, &from), takes);
    clerk_forget(other);
    assert_int_equal(clerk_replay(other, h->policy, &h->err), 0);
    assert_int_equal(other->snapshot_index, takes ? from.index : 0);
    char *live = knowledge(h->clerk), *read = knowledge(other);
    if (strcmp(live, read) != 0)
        print_message("live:\n%s\nsnapshot and rest:\n%s\n", live, read);
    assert_string_equal(live, read);
    free(live);
    free(read);
    clerk_free(other);
    h->config.state_dir = NULL;
}

/* A clerk that reads the journal knows what the one that wrote it knows. */
static void assert_replay_is_live(struct log_house *h)
{
    struct clerk *other;
    assert_int_equal(clerk_new(h->house.journal, &h->config, h->grants, &other, &h->err), 0);
    assert_int_equal(clerk_replay(other, h->policy, &h->err), 0);
    char *live = knowledge(h->clerk), *read = knowledge(other);
    if (strcmp(live, read) != 0)
        print_message("live:\n%s\nread:\n%s\n", live, read);
    assert_string_equal(live, read);
    free(live);
    free(read);
    clerk_free(other);
}

/* ---- a random gateway ----------------------------------------------------------------------- */

enum { GRANTS = 6 };

struct gateway {
    uint64_t random;
    uint64_t next_grant, start;
    struct grant_entry grants[GRANTS];
    struct {
        uint64_t statements, rows, bytes;
    } slots[3];
};

static unsigned pick(struct gateway *g, unsigned n)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return (unsigned)(g->random >> 11) % n;
}

static struct record any_record(struct gateway *g, enum record_kind kind)
{
    static const char *const rooms[] = { "masked", "stats", "", "granted" };
    static const char *const places[] = { "US", "SG", "", "DE" };
    static const char *const entities[] = { "clipstream-us", "clipstream-sg", "nobody", "" };
    static const char *const rules[] = { "no_place", "table_not_listed", "" };
    struct record r = log_record(kind);
    r.room = rooms[pick(g, 4)];
    r.place = places[pick(g, 4)];
    r.entity = entities[pick(g, 4)];
    r.rows = pick(g, 5) == 0 ? 0 : pick(g, 3000);
    r.bytes = r.rows * 7;
    if (kind == RECORD_DENIAL || kind == RECORD_ALERT || kind == RECORD_ALERT_REVIEW)
        r.rule = rules[pick(g, 3)];
    return r;
}

static void say_service(struct log_house *h, struct gateway *g)
{
    unsigned slot = pick(g, 3);
    struct record r = any_record(g, RECORD_SERVICE);
    if (pick(g, 10) == 0) { /* the daemon starts again */
        memset(g->slots, 0, sizeof(g->slots));
        g->start++;
    }
    if (pick(g, 4) > 0) { /* else the ledger starts again, and says the same */
        g->slots[slot].statements += pick(g, 4);
        g->slots[slot].rows += pick(g, 100);
        g->slots[slot].bytes += pick(g, 10000);
    }
    r.room = "";
    r.actor_kind = "service";
    r.slot = slot + 1;
    r.start = g->start + 1;
    r.statements = g->slots[slot].statements;
    r.rows = g->slots[slot].rows;
    r.bytes = g->slots[slot].bytes;
    assert_int_equal(clerk_append(h->clerk, h->house.journal, h->policy, &r, 0, 0, h->now_ms,
                                  &h->err),
                     0);
}

static void open_grant(struct log_house *h, struct gateway *g)
{
    unsigned i = pick(g, GRANTS);
    struct grant_entry e =
        log_grant(++g->next_grant, h->now_ms + (1 + (int64_t)pick(g, 120)) * MINUTE);
    if (pick(g, 2) == 0)
        (void)snprintf(e.purpose, sizeof(e.purpose), "abuse_report");
    if (g->grants[i].id != 0) { /* whatever had the place is over */
        g->grants[i].closed = true;
        log_publish_grant(h, &g->grants[i]);
    }
    g->grants[i] = e;
    log_publish_grant(h, &e);
    struct record r = log_record(RECORD_SESSION_OPEN);
    r.room = "granted";
    r.purpose = e.purpose;
    r.grant = e.id;
    log_say(h, &r);
}

static void say_disclosure(struct log_house *h, struct gateway *g)
{
    static const char *const revealed[] = { "1001 identity", "1001 identity 1002 contact",
                                            "a%20b identity,contact 7 identity" };
    const struct grant_entry *e = &g->grants[pick(g, GRANTS)];
    if (e->id == 0 || e->closed || e->ends_wall_ms <= h->now_ms)
        return;
    struct record r = log_disclosure(e->id, e->purpose, revealed[pick(g, 3)]);
    r.classes = pick(g, 2) == 0 ? "identity" : "identity,contact";
    log_say(h, &r);
}

/* All that leads to a grant by signatures, and its first session; or somebody says no. */
static void say_signed(struct log_house *h, struct gateway *g)
{
    static const char *const found[] = { "1001 find", "a%20b find", "" };
    unsigned i = pick(g, GRANTS), votes = 1 + pick(g, 2);
    const char *purpose = pick(g, 2) == 0 ? "abuse_report" : "support_ticket";
    char ref[RECORD_REF_SIZE], one[RECORD_REF_SIZE], all[2 * RECORD_REF_SIZE + 2] = "";
    uint64_t number = ++g->next_grant;
    struct record find = log_asked(RECORD_FIND, 0, NULL);
    bool is_broken = pick(g, 5) == 0;
    struct record asked = log_asked(is_broken ? RECORD_BREAKGLASS : RECORD_REQUEST, number, NULL);
    find.revealed = found[pick(g, 3)];
    find.purpose = asked.purpose = purpose;
    log_say(h, &find);
    log_say(h, &asked);
    log_ref(h, ref);
    for (unsigned k = 0; k < votes && !is_broken; k++) {
        struct record vote = log_asked(RECORD_APPROVAL, number, ref);
        if (pick(g, 6) == 0)
            vote.verdict = "deny";
        log_say(h, &vote);
        if (strcmp(vote.verdict, "deny") == 0)
            return;
        log_ref(h, one);
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", k > 0 ? "," : "", one);
    }
    struct record grant = log_asked(RECORD_GRANT, number, ref);
    struct grant_entry e = log_grant(number, h->now_ms + (1 + (int64_t)pick(g, 120)) * MINUTE);
    grant.approval_refs = all;
    grant.purpose = purpose;
    grant.until = (uint64_t)e.ends_wall_ms;
    log_say(h, &grant);
    if (is_broken && pick(g, 2) == 0) {
        struct record review = log_asked(RECORD_REVIEW, number, ref);
        log_say(h, &review);
    }
    if (pick(g, 4) == 0) /* it is never opened */
        return;
    (void)snprintf(e.purpose, sizeof(e.purpose), "%s", purpose);
    if (g->grants[i].id != 0) {
        g->grants[i].closed = true;
        log_publish_grant(h, &g->grants[i]);
    }
    g->grants[i] = e;
    log_publish_grant(h, &e);
}

static void turn_clock(struct log_house *h, struct gateway *g)
{
    switch (pick(g, 8)) {
    case 0: /* a long night, or a clock that was set right */
        h->now_ms += (int64_t)pick(g, 50) * MINUTE;
        break;
    case 1:
        h->now_ms -= (int64_t)pick(g, 4) * MINUTE;
        break;
    default:
        h->now_ms += pick(g, 100) * INT64_C(1000);
    }
}

static void do_anything(struct log_house *h, struct gateway *g)
{
    static const enum record_kind kinds[] = { RECORD_SESSION_OPEN,  RECORD_STATEMENT,
                                              RECORD_RESULT,        RECORD_DENIAL,
                                              RECORD_SESSION_CLOSE, RECORD_ALERT,
                                              RECORD_ALERT_REVIEW };
    unsigned what = pick(g, 18);
    struct record r = any_record(g, kinds[what % RF_COUNT(kinds)]);
    turn_clock(h, g);
    if (what < 6 || what == 17)
        log_say(h, &r);
    else if (what < 8)
        say_service(h, g);
    else if (what < 11)
        say_disclosure(h, g);
    else if (what < 12)
        open_grant(h, g);
    else if (what < 13)
        assert_int_equal(log_start(h, true), 0);
    else if (what == 16)
        say_signed(h, g);
    else
        log_tick(h);
}

static void gateway_init(struct gateway *g, uint64_t seed)
{
    *g = (struct gateway){ .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .next_grant = 100 };
}

static void what_is_read_after_a_start_is_what_the_last_clerk_knew(void **state)
{
    unsigned signed_grants = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct log_house h;
        struct gateway g;
        gateway_init(&g, seed);
        log_house_init(&h);
        log_open(&h);
        for (int i = 0; i < 120; i++) {
            do_anything(&h, &g);
            assert_int_equal(log_commit(&h), 0);
            assert_replay_is_live(&h);
        }
        struct log_judge j;
        log_judge(&h, &j);
        assert_int_equal(j.findings.wanting, 0);
        assert_true(j.of_type[LEAF_SEAL] > 2 && j.of_type[LEAF_SESSION] > 2);
        signed_grants += j.of_type[LEAF_APPROVAL] > 0 && j.of_type[LEAF_GRANT] > 0;
        log_house_done(&h);
    }
    assert_true(signed_grants > 3);
}

static void take_snapshot(struct log_house *h)
{
    (void)mkdir(log_snapshot_folder(h), 0700);
    (void)snprintf(h->clerk->snapshot_path, sizeof(h->clerk->snapshot_path), "%.4000s/snapshot",
                   log_snapshot_folder(h));
    clerk_snapshot(h->clerk);
    assert_int_equal(h->clerk->snapshot_index, journal_next_index(h->house.journal));
    h->clerk->snapshot_path[0] = '\0';
}

static void a_snapshot_and_the_rest_of_the_journal_are_the_whole_journal(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 16; seed++) {
        struct log_house h;
        struct gateway g;
        bool is_taken = false;
        gateway_init(&g, seed);
        log_house_init(&h);
        log_open(&h);
        for (int i = 0; i < 150; i++) {
            do_anything(&h, &g);
            assert_int_equal(log_commit(&h), 0);
            if (i % 13 == 5) {
                take_snapshot(&h);
                is_taken = true;
            }
            assert_snapshot_is_live(&h, is_taken);
        }
        log_house_done(&h);
    }
}

static void spoil(const char *path, long at, int bits)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ bits, f), byte ^ bits);
    assert_int_equal(fclose(f), 0);
}

static void a_snapshot_that_is_spoilt_torn_or_of_another_journal_is_as_good_as_none(void **state)
{
    struct log_house h, other;
    struct gateway g;
    struct stat st;
    char path[PATH_MAX];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    gateway_init(&g, 21);
    for (int i = 0; i < 60; i++)
        do_anything(&h, &g);
    assert_int_equal(log_commit(&h), 0);
    take_snapshot(&h);
    (void)snprintf(path, sizeof(path), "%.4000s/snapshot", log_snapshot_folder(&h));
    assert_int_equal(stat(path, &st), 0);
    for (long at = 0; at < st.st_size; at += 7) {
        spoil(path, at, 1 << at % 8);
        assert_snapshot_is_live(&h, false);
        spoil(path, at, 1 << at % 8);
    }
    assert_snapshot_is_live(&h, true);
    for (off_t len = 0; len < st.st_size; len += 61) {
        take_snapshot(&h);
        assert_int_equal(truncate(path, len), 0);
        assert_snapshot_is_live(&h, false);
    }
    /* of another journal of the same configuration, and of one that was longer */
    log_house_init(&other);
    memcpy(other.vrf_path, h.vrf_path, sizeof(other.vrf_path));
    log_open(&other);
    take_snapshot(&h);
    char to[PATH_MAX];
    (void)mkdir(log_snapshot_folder(&other), 0700);
    (void)snprintf(to, sizeof(to), "%.4000s/snapshot", log_snapshot_folder(&other));
    assert_int_equal(rename(path, to), 0);
    other.config.state_dir = other.house.state;
    struct clerk *reader;
    assert_int_equal(clerk_new(other.house.journal, &other.config, other.grants, &reader, &h.err),
                     0);
    assert_int_equal(clerk_replay(reader, other.policy, &h.err), 0);
    char *live = knowledge(other.clerk), *read = knowledge(reader);
    assert_string_equal(live, read);
    free(live);
    free(read);
    clerk_free(reader);
    log_house_done(&other);
    log_house_done(&h);
}

/* The journal ends behind entry CUT, as a crash in a batch may leave it; another gateway goes on.
 */
static void go_on_behind(struct log_house *h, const uint8_t *bytes, size_t cut, uint64_t seed)
{
    struct gateway g;
    gateway_init(&g, seed);
    g.next_grant = 100000 + seed * 1000;
    house_store(&h->house, 0, bytes, cut);
    assert_int_equal(log_clerk_open(h), 0);
    h->now_ms = (int64_t)journal_minute(h->house.journal, 0) * MINUTE + pick(&g, 90000);
    assert_int_equal(log_start(h, false), 0);
    for (int i = 0; i < 8; i++)
        do_anything(h, &g);
    assert_int_equal(log_commit(h), 0);
    assert_replay_is_live(h);
    log_judge(h, NULL);
    log_close(h);
}

static void a_log_that_goes_on_behind_any_cut_of_the_journal_keeps_every_rule(void **state)
{
    struct log_house h;
    struct gateway g;
    size_t len, offsets[1200], count = 0;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    gateway_init(&g, 42);
    log_open(&h);
    for (int i = 0; i < 150; i++) {
        do_anything(&h, &g);
        if (pick(&g, 3) == 0)
            assert_int_equal(log_commit(&h), 0);
    }
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    uint8_t *bytes = house_load(&h.house, 0, &len);
    struct frame_header header;
    struct frame_entry entry;
    size_t at;
    assert_int_equal(frame_header_read(bytes, len, &header, &at), 0);
    while (at < len && count < RF_COUNT(offsets)) {
        offsets[count++] = at;
        int64_t n = frame_entry_read(bytes + at, len - at, &entry);
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_true(count > 200);
    for (size_t i = 1; i < count; i++) {
        go_on_behind(&h, bytes, offsets[i], i);
        if (i % 7 == 0) /* and in the middle of one */
            go_on_behind(&h, bytes, offsets[i] + 1 + i % 90, i);
    }
    print_message("# %zu cuts\n", count - 1 + (count - 1) / 7);
    mem_free(bytes);
    log_house_done(&h);
}

/* ---- one thing at a time -------------------------------------------------------------------- */

struct found {
    enum logleaf_type type;
    uint64_t number, index; /* of the leaf wanted: which of that type, from 1; its index */
    uint64_t seen, leaves;
    char text[LOGLEAF_MAX + 1];
};

static void find_entry(void *context, const struct frame_entry *entry, const struct leaf *open,
                       const struct logleaf *leaf)
{
    struct found *f = context;
    (void)open;
    if (leaf == NULL)
        return;
    if (leaf->type == f->type && (f->seen++ == f->number - 1 || f->number == 0)) {
        f->index = f->leaves;
        memcpy(f->text, entry->leaf, entry->leaf_len);
        f->text[entry->leaf_len] = '\0';
    }
    f->leaves++;
}

/* Leaf NUMBER (from 1; 0: the last) of a type, as it stands; "" when there is none. */
static struct found leaf_of(struct log_house *h, enum logleaf_type type, uint64_t number)
{
    struct found f = { .type = type, .number = number };
    assert_int_equal(log_commit(h), 0);
    log_walk(h, find_entry, &f);
    return f;
}

static void assert_says(const char *leaf, const char *what)
{
    if (strstr(leaf, what) == NULL)
        fail_msg("\"%s\" is not in %s", what, leaf);
}

static void assert_says_not(const char *leaf, const char *what)
{
    if (strstr(leaf, what) != NULL)
        fail_msg("\"%s\" is in %s", what, leaf);
}

static void a_log_begins_with_its_genesis_and_a_start(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    struct found f = leaf_of(&h, LEAF_GENESIS, 1);
    assert_int_equal(f.index, 0);
    assert_int_equal(f.seen, 1);
    assert_says(f.text, "\"origin\":\"" ORIGIN "\"");
    assert_says(f.text, "\"epoch\":\"20m\",\"rollup\":5,\"seal\":15");
    assert_int_equal(leaf_of(&h, LEAF_START, 1).index, 1);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void every_start_is_a_leaf_and_the_genesis_stays_the_only_one(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    for (uint64_t i = 1; i <= 3; i++) {
        log_open(&h);
        assert_int_equal(leaf_of(&h, LEAF_START, 0).seen, i);
        assert_int_equal(leaf_of(&h, LEAF_GENESIS, 0).seen, 1);
        log_close(&h);
    }
    log_house_done(&h);
}

static void few_sessions_are_published_without_numbers(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_put(&h, RECORD_SESSION_OPEN);
    log_put(&h, RECORD_SESSION_OPEN);
    log_put(&h, RECORD_RESULT);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_SESSION, 1);
    assert_says(f.text, "\"few\":1");
    assert_says_not(f.text, "\"rows\"");
    assert_says_not(f.text, "\"sessions\"");
    log_house_done(&h);
}

static void sums_of_more_sessions_are_published_in_bands(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (int i = 0; i < 5; i++) {
        log_put(&h, RECORD_SESSION_OPEN);
        log_put(&h, RECORD_STATEMENT);
        log_put(&h, RECORD_RESULT); /* 5 rows, 1234 bytes */
    }
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_SESSION, 1);
    assert_says(f.text, "\"sessions\":4,\"statements\":4,\"rows\":16,\"bytes\":4096");
    assert_says(f.text, "\"from\":\"2026-11-27T12:00Z\",\"until\":\"2026-11-27T12:05Z\"");
    log_house_done(&h);
}

static void rows_released_abroad_are_a_transfer(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_RESULT);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_say(&h, &r); /* at home */
    r.place = "SG";
    r.entity = "clipstream-sg";
    log_say(&h, &r);
    r.kind = RECORD_SESSION_OPEN;
    for (int i = 0; i < 3; i++)
        log_say(&h, &r);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_TRANSFER, 1);
    assert_int_equal(f.seen, 1);
    assert_says(f.text, "\"place\":\"SG\"");
    assert_says(f.text, "\"rows\":4,\"bytes\":1024");
    log_house_done(&h);
}

static void a_transfer_of_few_sessions_has_no_numbers(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_SESSION_OPEN);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    r.place = "SG";
    r.entity = "clipstream-sg";
    log_say(&h, &r);
    r.kind = RECORD_RESULT;
    log_say(&h, &r);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_TRANSFER, 1);
    assert_says(f.text, "\"few\":1");
    assert_says_not(f.text, "\"rows\"");
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void all_refusals_of_an_entity_are_one_sum(void **state)
{
    static const char *const rules[] = { "no_place", "table_not_listed", "", "function" };
    struct log_house h;
    struct record r = log_record(RECORD_DENIAL);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (unsigned i = 0; i < 11; i++) {
        r.rule = rules[i % 4];
        log_say(&h, &r);
    }
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_DENIAL, 1);
    assert_int_equal(f.seen, 1);
    assert_says(f.text, "\"denials\":8");
    assert_says_not(f.text, "rule");
    log_house_done(&h);
}

/* By rule and by nothing else: who raised them, and for whom, is not to be read. */
static void alerts_of_a_rule_are_one_sum_with_those_that_were_reviewed(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_ALERT), review = log_record(RECORD_ALERT_REVIEW);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    r.rule = "habit";
    for (unsigned i = 0; i < 5; i++) {
        r.entity = i % 2 == 0 ? "clipstream-us" : "clipstream-sg";
        r.place = i % 2 == 0 ? "US" : "SG";
        log_say(&h, &r);
    }
    r.rule = "honey";
    log_say(&h, &r);
    review.rule = "habit";
    review.verdict = "proper";
    log_say(&h, &review);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    struct found first = leaf_of(&h, LEAF_ALERT, 1), second = leaf_of(&h, LEAF_ALERT, 2);
    assert_int_equal(second.seen, 2);
    assert_says(first.text, "\"rule\":\"habit\"");
    assert_says(first.text, "\"alerts\":4,\"reviewed\":1,\"d\"");
    assert_says(second.text, "\"rule\":\"honey\"");
    assert_says(second.text, "\"alerts\":1,\"d\"");
    assert_says_not(first.text, "clipstream");
    assert_says_not(first.text, "place");
    review.rule = "honey"; /* in another interval: a review without an alert */
    log_say(&h, &review);
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    log_open(&h);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_ALERT, 3).text, "\"reviewed\":1,\"d\"");
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void say_consents(struct log_house *h, const char *purpose, const char *version,
                         const char *verdict, uint64_t count)
{
    struct record r = { .kind = RECORD_CONSENT,
                        .wall_ms = h->now_ms,
                        .region = "us-virginia",
                        .entity = "clipstream-us",
                        .place = "US",
                        .actor_kind = "person",
                        .purpose = purpose,
                        .rule = version,
                        .verdict = verdict,
                        .subjects = count };
    log_say(h, &r);
}

static void consents_are_sums_of_a_purpose_and_version(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    say_consents(&h, "place", "v2", "given", 9);
    say_consents(&h, "place", "v2", "withdrawn", 1);
    assert_int_equal(log_commit(&h), 0);
    log_close(&h); /* and a start adds what stands in the journal */
    log_open(&h);
    say_consents(&h, "place", "v2", "given", 8);
    say_consents(&h, "place", "v2", "shown", 700); /* to an officer: that is nobody's consent */
    say_consents(&h, "place", "v1", "given", 2);   /* neither version nor purpose is the policy's */
    say_consents(&h, "ads", "v2", "given", 5);
    assert_int_equal(log_commit(&h), 0);
    take_snapshot(&h);
    assert_snapshot_is_live(&h, true);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_CONSENT, 0).seen, 3);
    struct found f = leaf_of(&h, LEAF_CONSENT, 1);
    assert_says(f.text, "\"purpose\":\"place\"");
    assert_says(f.text, "\"version\":\"unlisted\"");
    assert_says(f.text, "\"few\":1"); /* two, of a small cell of three */
    assert_says_not(f.text, "\"given\"");
    f = leaf_of(&h, LEAF_CONSENT, 2);
    assert_says(f.text, "\"version\":\"v2\"");
    assert_says(f.text, "\"given\":16,\"withdrawn\":1");
    assert_says_not(f.text, "entity");
    assert_says(leaf_of(&h, LEAF_CONSENT, 3).text, "\"purpose\":\"unlisted\"");
    log_close(&h); /* a start does not say them again */
    log_open(&h);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_CONSENT, 0).seen, 3);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void what_a_worker_leaves_out_does_not_stop_the_log(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_STATEMENT), denial = log_record(RECORD_DENIAL);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    r.room = r.entity = r.place = r.actor_kind = "";
    log_say(&h, &r);
    denial.rule = "";
    denial.room = "";
    log_say(&h, &denial);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SESSION, 1).text, "\"room\":\"unlisted\"");
    assert_says(leaf_of(&h, LEAF_DENIAL, 1).text, "\"denials\":1");
    log_close(&h);
    log_open(&h);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void a_clock_that_begins_in_1970_does_not_stop_the_log(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    h.now_ms = 2 * MINUTE;
    log_open(&h);
    log_put(&h, RECORD_STATEMENT);
    h.now_ms = 7 * MINUTE; /* nothing yet jumps */
    log_put(&h, RECORD_STATEMENT);
    log_tick(&h);
    h.now_ms = 13 * MINUTE;
    log_tick(&h);
    log_judge(&h, NULL);
    assert_int_equal(leaf_of(&h, LEAF_SESSION, 0).seen, 1);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

static void records_from_before_the_log_are_in_none_of_its_sums(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_STATEMENT);
    (void)state;
    log_house_init(&h);
    assert_int_equal(house_open(&h.house), 0);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(journal_append(h.house.journal, h.policy, &r, 99, ++h.seq,
                                        h.now_ms - 60 * MINUTE, &h.err),
                         0);
    assert_int_equal(journal_commit(h.house.journal, &h.err), 0);
    house_close(&h.house);
    log_open(&h);
    h.now_ms += 10 * MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_SESSION, 0).seen, 0);
    log_judge(&h, NULL);
    log_house_done(&h);
}

/* ---- services ---- */

static void put_service(struct log_house *h, uint64_t start, uint64_t rows)
{
    struct record r = log_record(RECORD_SERVICE);
    r.actor_kind = "service";
    r.room = "";
    r.slot = 1;
    r.start = start;
    r.rows = rows;
    r.bytes = rows * 10;
    r.statements = 0;
    assert_int_equal(clerk_append(h->clerk, h->house.journal, h->policy, &r, 0, 0, h->now_ms,
                                  &h->err),
                     0);
}

static void totals_of_services_count_what_is_new_over_restarts_of_the_ledger(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    put_service(&h, 7, 64);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SERVICE, 1).text, "\"rows\":64");
    log_close(&h);
    log_open(&h);
    put_service(&h, 7, 64); /* a new ledger says what the shared counters hold */
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_SERVICE, 0).seen, 1); /* nothing happened */
    put_service(&h, 7, 64 + 8);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SERVICE, 2).text, "\"rows\":8");
    log_house_done(&h);
}

static void totals_of_services_begin_anew_with_the_daemon(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    put_service(&h, 7, 64);
    assert_int_equal(log_commit(&h), 0);
    h.now_ms += 5 * MINUTE;
    log_close(&h);
    log_open(&h);
    put_service(&h, 8, 128);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SERVICE, 1).text, "\"rows\":64");
    assert_says(leaf_of(&h, LEAF_SERVICE, 2).text, "\"rows\":128");
    log_judge(&h, NULL);
    log_house_done(&h);
}

/* ---- epochs and seals ---- */

static void every_epoch_that_went_by_has_its_seal(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    h.now_ms += 70 * MINUTE; /* 12:00, 12:20, 12:40 are over */
    log_put(&h, RECORD_STATEMENT);
    struct found f = leaf_of(&h, LEAF_SEAL, 3);
    assert_says(f.text, "\"of\":\"epoch\"");
    assert_int_equal(leaf_of(&h, LEAF_SEAL, 0).seen, 4); /* and one of the interval */
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void months_are_epochs(void **state)
{
    static char month[] = "month";
    struct log_house h;
    (void)state;
    log_house_init(&h);
    h.config.ledger.epoch = month;
    log_open(&h);
    h.now_ms +=
        INT64_C(3) * 1440 * MINUTE + 11 * 60 * MINUTE + 59 * MINUTE; /* 30 November, 23:59 */
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_SEAL, 0).seen, 1);
    assert_says_not(leaf_of(&h, LEAF_SEAL, 1).text, "epoch");
    h.now_ms += MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SEAL, 2).text, "\"epoch\":\"2026-11\"");
    h.now_ms += INT64_C(32) * 1440 * MINUTE; /* over the year's end */
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_SEAL, 4).text, "\"epoch\":\"2026-12\"");
    log_judge(&h, NULL);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

/* More than one batch of the journal holds: a gateway that was off for two weeks must start. */
static void after_a_long_stop_all_seals_are_written(void **state)
{
    static char minute[] = "1m";
    struct log_house h;
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    h.config.ledger.epoch = minute;
    log_open(&h);
    log_close(&h);
    h.now_ms += INT64_C(14) * 1440 * MINUTE;
    log_open(&h);
    log_judge(&h, &j);
    assert_int_equal(j.of_type[LEAF_SEAL], 14 * 1440 + 1);
    log_house_done(&h);
}

/* As one worker can: statements of so many places and rooms that there is no room for a group more.
 */
static void say_too_many_groups(struct log_house *h)
{
    static const char *const rooms[] = { "none", "stats", "masked", "granted" };
    for (unsigned i = 0; i < SUM_GROUPS_MAX + 50; i++) {
        struct record r = log_record(RECORD_STATEMENT);
        const unsigned where = i / 2 % 676;
        const char place[3] = { (char)('A' + where / 26), (char)('A' + where % 26), '\0' };
        r.place = place;
        r.actor_kind = i % 2 == 0 ? "person" : "unknown";
        r.room = rooms[i / 1352];
        log_say(h, &r);
        if (journal_pending(h->house.journal) >= JOURNAL_BATCH_MAX)
            assert_int_equal(log_commit(h), 0);
    }
}

static void more_groups_than_a_batch_holds_are_rolled_up(void **state)
{
    struct log_house h;
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    log_open(&h);
    say_too_many_groups(&h);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(log_commit(&h), 0);
    log_judge(&h, &j);
    assert_int_equal(j.of_type[LEAF_SESSION], SUM_GROUPS_MAX + 1); /* the last one is "unlisted" */
    log_house_done(&h);
}

static void say_one_of_each(struct log_house *h, const char *rule)
{
    struct record alert = log_record(RECORD_ALERT);
    alert.rule = rule;
    log_say(h, &alert);
    log_put(h, RECORD_DENIAL);
    say_consents(h, "place", "v2", "given", 9);
    put_service(h, 7, 64);
}

/* Whatever comes past the last group has a leaf that its type allows, and that a start finds again:
   else the log would stand for ever, or say a group twice. */
static void past_the_last_group_each_type_has_a_leaf_of_its_own(void **state)
{
    struct log_house h;
    struct log_judge j;
    struct found f;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    log_open(&h);
    say_too_many_groups(&h);
    say_one_of_each(&h, "forged_token");
    assert_int_equal(log_commit(&h), 0);
    assert_replay_is_live(&h);
    take_snapshot(&h);
    assert_snapshot_is_live(&h, true);
    log_close(&h); /* the groups are made anew, out of the journal */
    log_open(&h);
    say_one_of_each(&h, "honey");
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(log_commit(&h), 0);
    log_close(&h); /* and this start finds each of them done with */
    log_open(&h);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    log_judge(&h, &j);
    assert_int_equal(j.of_type[LEAF_ALERT], 1);
    assert_int_equal(j.of_type[LEAF_DENIAL], 1);
    assert_int_equal(j.of_type[LEAF_CONSENT], 1);
    assert_int_equal(j.of_type[LEAF_SERVICE], 1);
    f = leaf_of(&h, LEAF_ALERT, 1);
    assert_says(f.text, "\"rule\":\"unlisted\"");
    assert_says(f.text, "\"alerts\":2,\"d\"");
    f = leaf_of(&h, LEAF_CONSENT, 1);
    assert_says(f.text, "\"purpose\":\"unlisted\"");
    assert_says(f.text, "\"given\":16,\"d\"");
    assert_says_not(f.text, "version");
    log_house_done(&h);
}

static void a_clock_that_steps_back_leaves_the_order_of_minutes(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_put(&h, RECORD_STATEMENT);
    h.now_ms += 30 * MINUTE;
    log_put(&h, RECORD_STATEMENT);
    h.now_ms -= 29 * MINUTE;
    log_put(&h, RECORD_STATEMENT);
    log_tick(&h);
    h.now_ms += 40 * MINUTE;
    log_tick(&h);
    assert_int_equal(log_commit(&h), 0);
    log_judge(&h, NULL);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

static void what_is_due_next_is_known(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    assert_int_equal(log_clerk_open(&h), 0);
    assert_true(clerk_due_ms(h.clerk) == INT64_MAX);
    assert_int_equal(log_start(&h, false), 0);
    assert_true(clerk_due_ms(h.clerk) == NOON + 15 * MINUTE);
    log_put(&h, RECORD_STATEMENT);
    assert_true(clerk_due_ms(h.clerk) == NOON + 5 * MINUTE);
    log_house_done(&h);
}

/* ---- grants and disclosures ---- */

static void open_session(struct log_house *h, uint64_t grant, const char *alias)
{
    struct record r = log_record(RECORD_SESSION_OPEN);
    r.room = "granted";
    r.grant = grant;
    r.database = alias;
    log_say(h, &r);
}

static void a_grant_has_its_leaf_before_its_first_session_and_once(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    open_session(&h, 7, "us");
    struct found f = leaf_of(&h, LEAF_GRANT, 1);
    assert_int_equal(f.seen, 1);
    assert_says(f.text, "\"grant\":7");
    assert_says(f.text, "\"classes\":\"identity,contact\"");
    assert_says(f.text, "\"subjects\":2");
    assert_says(f.text, "\"policy_ref\":\"1 " ORIGIN "\"");
    struct record r = log_disclosure(7, "support_ticket", "1001 identity");
    log_say(&h, &r);
    assert_says(leaf_of(&h, LEAF_DISCLOSURE, 1).text, "\"grant_ref\":\"2 " ORIGIN "\"");
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void grants_of_two_databases_with_one_number_are_two(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE), other = e;
    unsigned database;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(grant_table_claim(h.control, "other", &database), 0);
    other.classes = 1U << CLASS_LOCATION;
    log_publish_grant(&h, &e);
    assert_int_equal(grant_table_put(h.control, database, &other), 0);
    open_session(&h, 7, "us");
    open_session(&h, 7, "other");
    assert_int_equal(leaf_of(&h, LEAF_GRANT, 0).seen, 2);
    log_close(&h);
    log_open(&h);
    struct record r = log_disclosure(7, "support_ticket", "1001 location");
    r.classes = "location";
    r.database = "other";
    log_say(&h, &r);
    uint64_t leaf = leaf_of(&h, LEAF_GRANT, 2).index;
    char ref[80];
    (void)snprintf(ref, sizeof(ref), "\"grant_ref\":\"%" PRIu64 " " ORIGIN "\"", leaf);
    assert_says(leaf_of(&h, LEAF_DISCLOSURE, 1).text, ref);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void a_closed_grant_is_revoked_when_what_was_under_way_has_come(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    e.closed = true;
    e.classes = 0; /* as the region lists what is closed */
    e.subjects = 0;
    log_publish_grant(&h, &e);
    log_tick(&h);
    struct record r = log_disclosure(7, "support_ticket", "1001 identity");
    h.now_ms += 500;
    log_say(&h, &r); /* was sent while it was open */
    h.now_ms += 5000;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"revoked\",\"grant\":7");
    log_say(&h, &r); /* far too late: no second grant is made up for it */
    assert_int_equal(leaf_of(&h, LEAF_GRANT, 0).seen, 1);
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 1);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

enum { MANY = 100 * 1000 };

/* A hundred thousand grants that are open, in the region's table, too; half of them under a purpose
   that is held. */
static void know_many(struct log_house *h)
{
    for (uint64_t i = 0; i < MANY; i++) {
        struct grant_entry e = log_grant(1000 + i, NOON + 600 * MINUTE);
        struct known_grant g = {
            .id = 1000 + i, .leaf = 10 + i, .until = UINT32_MAX, .classes = 2
        };
        struct held_leaf held = { .leaf = 10 + i, .minute = (uint32_t)(NOON / MINUTE) };
        strcpy(g.alias, "us");
        strcpy(g.purpose, i % 2 == 0 ? "support_ticket" : "abuse_report");
        strcpy(held.purpose, "abuse_report");
        assert_int_equal(grant_table_put(h->control, h->grants_of, &e), 0);
        assert_int_equal(clerk_grant_restore(h->clerk, &g), 0);
        if (i % 2 == 1)
            assert_int_equal(hold_restore(h->clerk, &held), 0);
    }
}

/* How many times as long things take in this build, as tests/support/run.py says. */
static int64_t slowness(void)
{
    const char *said = getenv("RF_SLOW");
    int64_t n = said != NULL ? strtol(said, NULL, 10) : 1;
    return n > 1 ? n : 1;
}

static size_t seen_over(const struct clerk *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->grant_count; i++)
        count += c->grants[i].over_ms != 0;
    return count;
}

/* Every record waits for a tick, so that looks at some of many; and each has its turn. */
static void of_many_open_grants_a_tick_looks_at_some_and_none_is_forgotten(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    know_many(&h);
    int64_t begin_us = clock_mono_us(), longest_us = 0;
    for (int i = 0; i < 20; i++) {
        begin_us = clock_mono_us();
        log_tick(&h);
        longest_us =
            clock_mono_us() - begin_us > longest_us ? clock_mono_us() - begin_us : longest_us;
    }
    print_message("# a tick among %d open grants: at most %" PRId64 " us\n", MANY, longest_us);
    assert_int_equal(seen_over(h.clerk), 0);
    grant_table_begin(h.control, h.grants_of); /* all are gone at once */
    grant_table_end(h.control, h.grants_of);
    grant_table_lease(h.control, h.grants_of, INT64_MAX);
    for (size_t all = 0; all < MANY;) {
        log_tick(&h);
        assert_true(seen_over(h.clerk) - all <= CLERK_A_TICK);
        assert_true(seen_over(h.clerk) > all);
        all = seen_over(h.clerk);
    }
    h.now_ms += 5000;
    uint64_t leaves = h.clerk->leaves;
    for (int i = 0; h.clerk->grant_count > 0; i++) {
        assert_true(i <= MANY / CLERK_A_TICK);
        log_tick(&h);
    }
    assert_int_equal(h.clerk->leaves - leaves, MANY);
    assert_int_equal(log_commit(&h), 0);
    log_house_done(&h);
}

/* Purposes come back out of those that are held: of many grants in no more than a moment. */
static void a_snapshot_of_many_grants_under_held_purposes_takes_a_moment(void **state)
{
    struct log_house h;
    struct clerk *other;
    struct clerk_place from;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    know_many(&h);
    int64_t begin_ms = clock_mono_ms();
    take_snapshot(&h);
    int64_t taken_ms = clock_mono_ms();
    h.config.state_dir = h.house.state;
    assert_int_equal(clerk_new(h.house.journal, &h.config, h.grants, &other, &h.err), 0);
    int64_t new_ms = clock_mono_ms();
    assert_true(clerk_snapshot_load(other, &from));
    print_message("# a snapshot of %d grants, half of them held: written in %" PRId64
                  " ms, read in %" PRId64 " ms\n",
                  MANY, taken_ms - begin_ms, clock_mono_ms() - new_ms);
    assert_true(taken_ms - begin_ms + clock_mono_ms() - new_ms < 5000 * slowness()); /* a minute */
    assert_int_equal(other->grant_count, MANY);
    assert_int_equal(other->held_count, MANY / 2);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(other->grants[i].leaf, h.clerk->grants[i].leaf);
        assert_string_equal(other->grants[i].purpose, h.clerk->grants[i].purpose);
    }
    clerk_free(other);
    h.config.state_dir = NULL;
    log_house_done(&h);
}

static void a_grant_that_runs_out_is_revoked_as_expired(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 3 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    h.now_ms += 3 * MINUTE - 1;
    log_tick(&h);
    h.now_ms += 1;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 0);
    h.now_ms += 5000;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"expired\"");
    log_house_done(&h);
}

static void a_grant_that_ended_while_the_gateway_was_off_is_revoked(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE), f = log_grant(8, NOON + 90 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    log_publish_grant(&h, &f);
    open_session(&h, 7, "us");
    open_session(&h, 8, "us");
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    grant_table_drop(h.control, h.grants_of, 7); /* closed and gone meanwhile */
    log_open(&h);
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 0); /* nobody has said so yet */
    grant_table_lease(h.control, h.grants_of, clock_mono_ms() + 60000);
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 1);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"grant\":7");
    log_house_done(&h);
}

static void without_the_region_a_grant_ends_with_its_time(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    grant_table_retain(h.control, NULL, 0);
    log_open(&h);
    h.now_ms += 50 * MINUTE;
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 0);
    h.now_ms += 15 * MINUTE;
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"expired\"");
    log_house_done(&h);
}

static void numbers_of_a_subject_have_no_gap_over_restarts(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_publish_grant(&h, &e);
    for (int i = 0; i < 5; i++) {
        log_open(&h);
        struct record r = log_disclosure(7, "support_ticket", "1001 identity 1002 identity");
        log_say(&h, &r);
        r.revealed = "1001 identity,contact 1002 identity"; /* something new of one of them */
        log_say(&h, &r);
        assert_int_equal(log_commit(&h), 0);
        r.room = "masked"; /* another leaf */
        log_say(&h, &r);   /* lost with the process: its number is free again */
        log_close(&h);
    }
    log_open(&h);
    h.now_ms += 20 * MINUTE;
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_SEAL, 1);
    assert_says(f.text, "\"tags\":15,"); /* 1002 was not new a second time */
    log_judge(&h, &j);
    assert_int_equal(j.of_type[LEAF_DISCLOSURE], 10);
    log_house_done(&h);
}

/* How many leaves there are after REVEALED was disclosed once more under grant 7. */
static uint64_t disclose(struct log_house *h, const char *revealed, const char *place)
{
    struct record r = log_disclosure(7, "support_ticket", revealed);
    r.place = place;
    log_say(h, &r);
    return leaf_of(h, LEAF_DISCLOSURE, 1).seen;
}

static void an_hour_says_each_class_of_a_subject_once(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_publish_grant(&h, &e);
    log_open(&h);
    const uint64_t entries = journal_next_index(h.house.journal);
    assert_int_equal(disclose(&h, "1001 identity", "US"), 1);
    assert_int_equal(disclose(&h, "1001 identity", "US"), 1);
    assert_int_equal(disclose(&h, "1001 identity,contact", "US"), 2);
    assert_int_equal(disclose(&h, "1001 contact", "US"), 2);
    assert_int_equal(disclose(&h, "1001 contact 1002 contact", "US"), 3);
    assert_int_equal(disclose(&h, "1002 contact 1001 identity", "US"), 3);
    assert_int_equal(disclose(&h, "1001 identity", "SG"), 4); /* from another place */
    assert_int_equal(journal_next_index(h.house.journal),
                     entries + 10); /* the grant, all, and two that were new in part */
    h.now_ms += 20 * MINUTE;        /* another epoch, whose list of accesses is a list of its own */
    assert_int_equal(disclose(&h, "1001 identity", "US"), 5);
    log_close(&h); /* what was said is forgotten: once more is no harm */
    log_open(&h);
    assert_int_equal(disclose(&h, "1001 identity", "US"), 6);
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 0);
    log_house_done(&h);
}

static void an_access_without_an_open_grant_always_has_its_leaf(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(disclose(&h, "1001 identity", "US"), 1);
    assert_int_equal(disclose(&h, "1001 identity", "US"), 2);
    log_house_done(&h);
}

static void a_disclosure_that_cannot_be_read_changes_nothing(void **state)
{
    static const char *const bad[] = { "", "1001", "1001 ", " identity", "1001 identity 7" };
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    assert_int_equal(log_commit(&h), 0);
    char *before = knowledge(h.clerk);
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct record r = log_disclosure(7, "support_ticket", bad[i]);
        assert_true(log_append(&h, &r) < 0);
        assert_int_equal(journal_pending(h.house.journal), 0);
    }
    char *after = knowledge(h.clerk);
    assert_string_equal(before, after);
    free(before);
    free(after);
    log_house_done(&h);
}

/* ---- what must not make an honest log contradict itself ---- */

/* The policy without PURPOSE, read while running. */
static void drop_purpose(struct log_house *h, const char *list)
{
    char text[sizeof(log_policy_text)];
    memcpy(text, log_policy_text, sizeof(text));
    char *purposes = strstr(text, "purposes: [support_ticket, abuse_report]\n");
    assert_non_null(purposes);
    memset(purposes, ' ', strlen("purposes: [support_ticket, abuse_report]"));
    memcpy(purposes, list, strlen(list));
    policy_free(h->policy);
    h->policy = log_policy(text);
    assert_int_equal(log_start(h, true), 0);
}

static void a_disclosure_has_the_purpose_of_its_grant_whatever_the_policy_drops(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    struct log_judge j;
    (void)state;
    for (int is_restart = 0; is_restart < 2; is_restart++) {
        log_house_init(&h);
        log_open(&h);
        log_publish_grant(&h, &e);
        open_session(&h, 7, "us");
        drop_purpose(&h, "purposes: [abuse_report]");
        if (is_restart) {
            assert_int_equal(log_commit(&h), 0);
            log_close(&h);
            log_open(&h);
        }
        assert_int_equal(disclose(&h, "1001 identity", "US"), 1);
        assert_says(leaf_of(&h, LEAF_DISCLOSURE, 1).text, "\"purpose\":\"support_ticket\"");
        struct record r = log_disclosure(7, "abuse_report", "1002 identity");
        log_say(&h, &r); /* or a worker that was taken over */
        assert_says(leaf_of(&h, LEAF_DISCLOSURE, 2).text, "\"purpose\":\"support_ticket\"");
        log_judge(&h, &j);
        assert_int_equal(j.findings.wanting, 0);
        assert_replay_is_live(&h);
        log_house_done(&h);
    }
}

static void classes_that_a_grant_has_not_are_disclosed_without_it(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    struct record r = log_disclosure(7, "support_ticket", "1001 location");
    r.classes = "location";
    log_say(&h, &r);
    r.classes = "no such class";
    r.revealed = "1002 location";
    log_say(&h, &r);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_says(leaf_of(&h, LEAF_DISCLOSURE, i).text, "\"grant\":7");
        assert_says_not(leaf_of(&h, LEAF_DISCLOSURE, i).text, "grant_ref");
    }
    log_judge(&h, &j); /* nothing is tampered with */
    assert_int_equal(j.findings.wanting, 2);
    log_house_done(&h);
}

static void a_number_of_a_grant_that_only_a_worker_says_is_not_public(void **state)
{
    struct log_house h;
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    struct record r = log_disclosure(UINT64_C(0x48656c6c6f21), "support_ticket", "1001 identity");
    log_say(&h, &r);
    r.grant = 0;
    log_say(&h, &r);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_says_not(leaf_of(&h, LEAF_DISCLOSURE, i).text, "\"grant\":");
        assert_says_not(leaf_of(&h, LEAF_DISCLOSURE, i).text, "grant_ref");
    }
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 2);
    log_house_done(&h);
}

static void a_disclosure_that_is_new_in_part_names_the_new_part(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    struct record r = log_disclosure(7, "support_ticket", "a%20b identity 1002 identity");
    log_say(&h, &r);
    const uint64_t entries = journal_next_index(h.house.journal);
    r.classes = "identity,contact";
    r.revealed = "1003 identity,contact a%20b identity,contact 1002 identity";
    log_say(&h, &r); /* all of 1003, contact of the first, nothing of 1002 */
    struct found f = leaf_of(&h, LEAF_DISCLOSURE, 2);
    struct logleaf leaf;
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    assert_int_equal(logleaf_read(f.text, strlen(f.text), &leaf), 0);
    assert_int_equal(logleaf_items(&leaf, items), 2);
    assert_int_equal(journal_next_index(h.house.journal), entries + 2);
    r.classes = "contact";
    r.revealed = "a%20b contact 1002 contact 1003 identity";
    log_say(&h, &r);
    f = leaf_of(&h, LEAF_DISCLOSURE, 3);
    assert_says(f.text, "\"classes\":\"contact\"");
    assert_int_equal(logleaf_read(f.text, strlen(f.text), &leaf), 0);
    assert_int_equal(logleaf_items(&leaf, items), 1);
    assert_replay_is_live(&h);
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 0);
    log_house_done(&h);
}

/* Control closes a grant that ran out as it closes one that was revoked. */
static void a_grant_that_was_closed_because_it_ran_out_expired(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 3 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    h.now_ms += 3 * MINUTE + 100;
    e.closed = true;
    log_publish_grant(&h, &e);
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"expired\"");
    e = log_grant(8, h.now_ms - 1); /* over before anybody came with it */
    log_publish_grant(&h, &e);
    open_session(&h, 8, "us");
    assert_int_equal(leaf_of(&h, LEAF_GRANT, 0).seen, 1);
    log_house_done(&h);
}

/* What the revoke leaf of grant NUMBER says. */
static void assert_ended(struct log_house *h, uint64_t number, const char *as)
{
    char says[100], whose[40];
    uint64_t i = 1, seen = leaf_of(h, LEAF_REVOKE, 0).seen;
    (void)snprintf(whose, sizeof(whose), "\"grant\":%llu,", (unsigned long long)number);
    (void)snprintf(says, sizeof(says), "\"rule\":\"%s\",%s", as, whose);
    while (i < seen && strstr(leaf_of(h, LEAF_REVOKE, i).text, whose) == NULL)
        i++;
    assert_says(leaf_of(h, LEAF_REVOKE, i).text, says);
}

/* A start knows the minute that the leaf names, and the table of one that is open the rest. */
static void what_ran_out_around_a_start_of_the_ledger_expired(void **state)
{
    struct log_house h;
    struct grant_entry e[] = { log_grant(7, NOON + 3 * MINUTE + 500),
                               log_grant(8, NOON + 60 * MINUTE),
                               log_grant(9, NOON + 3 * MINUTE + 30000) };
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (size_t i = 0; i < RF_COUNT(e); i++) {
        log_publish_grant(&h, &e[i]);
        open_session(&h, e[i].id, "us");
    }
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    log_open(&h);
    log_tick(&h); /* 9 is seen open, and closed before its time */
    h.now_ms += 3 * MINUTE + 1000;
    for (size_t i = 0; i < RF_COUNT(e); i++) {
        e[i].closed = true;
        log_publish_grant(&h, &e[i]);
    }
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 3);
    assert_ended(&h, 7, "expired");
    assert_ended(&h, 8, "revoked");
    assert_ended(&h, 9, "revoked");
    log_house_done(&h);
}

static void what_ran_out_while_the_ledger_was_off_expired(void **state)
{
    struct log_house h;
    struct grant_entry e[] = { log_grant(7, NOON + 3 * MINUTE + 500),
                               log_grant(8, NOON + 60 * MINUTE) };
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (size_t i = 0; i < RF_COUNT(e); i++) {
        log_publish_grant(&h, &e[i]);
        open_session(&h, e[i].id, "us");
    }
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    h.now_ms += 3 * MINUTE + 1000;
    for (size_t i = 0; i < RF_COUNT(e); i++) {
        e[i].closed = true;
        log_publish_grant(&h, &e[i]);
    }
    log_open(&h);
    log_tick(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 2);
    assert_ended(&h, 7, "expired");
    assert_ended(&h, 8, "revoked");
    log_house_done(&h);
}

static void after_a_crash_between_two_roll_ups_small_cells_stay_small(void **state)
{
    struct log_house h;
    struct record r = log_record(RECORD_SESSION_OPEN);
    size_t len, at;
    bool is_cut = false;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    log_open(&h);
    r.place = "SG";
    r.entity = "clipstream-sg";
    log_say(&h, &r);
    r.kind = RECORD_RESULT;
    log_say(&h, &r);
    h.now_ms += 5 * MINUTE;
    log_tick(&h);
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    uint8_t *bytes = house_load(&h.house, 0, &len);
    struct frame_header header;
    struct frame_entry entry;
    assert_int_equal(frame_header_read(bytes, len, &header, &at), 0);
    while (at < len && !is_cut) { /* behind the leaf of the sessions */
        int64_t n = frame_entry_read(bytes + at, len - at, &entry);
        assert_true(n > 0);
        at += (size_t)n;
        is_cut = entry.leaf != NULL && entry.leaf_len > 30 &&
                 memmem(entry.leaf, 30, "\"session\"", 9) != NULL &&
                 memmem(entry.leaf, 30, "\"type\"", 6) != NULL;
    }
    assert_true(is_cut && at < len);
    house_store(&h.house, 0, bytes, at);
    mem_free(bytes);
    log_open(&h);
    log_tick(&h);
    struct found f = leaf_of(&h, LEAF_TRANSFER, 1);
    assert_int_equal(f.seen, 1);
    assert_says(f.text, "\"few\":1");
    assert_says_not(f.text, "\"rows\"");
    log_house_done(&h);
}

/* ---- acknowledgements ---- */

static uint64_t hear_signed(struct desk_worker *w)
{
    uint64_t signed_ = 0;
    for (int i = 0; i < 4; i++) { /* one of each, and one more */
        struct buf *out = desk_answer(w);
        while (buf_len(out) >= 5) {
            struct rd r = rd_of(buf_at(out), buf_len(out));
            size_t len = rd_u32(&r);
            if (rd_u8(&r) == RECORD_ANSWER_REACHED)
                signed_ = rd_u64(&r);
            buf_consume(out, 4 + len);
        }
    }
    return signed_;
}

static void hand_in(struct log_house *h, struct desk_worker *w, struct buf *b)
{
    size_t room;
    uint8_t *to = desk_room(w, &room);
    assert_true(to != NULL && room >= buf_len(b));
    memcpy(to, buf_at(b), buf_len(b));
    desk_fed(w, buf_len(b));
    buf_clear(b);
    assert_int_equal(desk_work(w, h->now_ms, &h->err), 0);
}

/* However long the witnesses are away: what is signed is heard of. */
static void while_nothing_is_witnessed_what_is_signed_is_heard_of(void **state)
{
    struct log_house h;
    struct desk *d;
    struct desk_worker *w;
    struct buf b;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(desk_new(h.house.journal, h.clerk, h.policy, NULL, &d, &h.err), 0);
    assert_int_equal(desk_worker_new(d, DESK_WORKER, &w, &h.err), 0);
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_hello_write(&b, 77, "worker-0"), 0);
    hand_in(&h, w, &b);
    (void)hear_signed(w);
    for (uint64_t seq = 1; seq <= 700; seq++) {
        struct record r = log_record(RECORD_STATEMENT);
        uint64_t before = journal_next_index(h.house.journal);
        assert_int_equal(record_write(&b, seq, &r), 0);
        hand_in(&h, w, &b);
        assert_int_equal(desk_commit(d, &h.err), 0);
        desk_reached(d, before, 0); /* all but this one */
        uint64_t heard = hear_signed(w);
        if (heard != 0)
            assert_in_range(heard, seq > 3 ? seq - 3 : 0, seq - 1);
        else
            assert_true(seq < 3);
    }
    buf_done(&b);
    desk_free(d);
    log_house_done(&h);
}

/* ---- what the registrar says ---- */

/* A request, one approval, and the grant, which no table has. */
static void grant_by_signature(struct log_house *h, uint64_t number, int64_t until_ms)
{
    char request[RECORD_REF_SIZE], approval[RECORD_REF_SIZE];
    struct record r = log_asked(RECORD_REQUEST, number, NULL);
    log_say(h, &r);
    log_ref(h, request);
    r = log_asked(RECORD_APPROVAL, number, request);
    log_say(h, &r);
    log_ref(h, approval);
    r = log_asked(RECORD_GRANT, number, request);
    r.approval_refs = approval;
    r.until = (uint64_t)until_ms;
    log_say(h, &r);
}

static void a_grant_by_signatures_names_its_request_and_its_approvals(void **state)
{
    struct log_house h;
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grant_by_signature(&h, 7, NOON + 60 * MINUTE);
    assert_says(leaf_of(&h, LEAF_REQUEST, 1).text, "\"rule\":\"support\",\"grant\":7,\"classes\":"
                                                   "\"identity,contact\",\"subjects\":2,"
                                                   "\"policy_ref\":\"1 " ORIGIN "\"");
    assert_says(leaf_of(&h, LEAF_APPROVAL, 1).text,
                "\"grant\":7,\"request_ref\":\"2 " ORIGIN "\",\"verdict\":\"approve\"");
    assert_says(leaf_of(&h, LEAF_GRANT, 1).text,
                "\"grant\":7,\"request_ref\":\"2 " ORIGIN "\",\"approval_refs\":\"3 " ORIGIN "\"");
    assert_says_not(leaf_of(&h, LEAF_GRANT, 1).text, "\"by\"");
    assert_says_not(leaf_of(&h, LEAF_REQUEST, 1).text, "ringfence-command"); /* nor who asked */
    assert_says_not(leaf_of(&h, LEAF_REQUEST, 1).text, "us_analyst");
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 0);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

static void what_is_disclosed_under_it_refers_to_it_and_no_second_leaf_tells_of_it(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grant_by_signature(&h, 7, NOON + 60 * MINUTE);
    (void)snprintf(e.ref, sizeof(e.ref), "4 %s", ORIGIN);
    log_publish_grant(&h, &e);
    struct record r = log_disclosure(7, "support_ticket", "1001 identity");
    log_say(&h, &r);
    assert_int_equal(leaf_of(&h, LEAF_GRANT, 0).seen, 1);
    assert_says(leaf_of(&h, LEAF_DISCLOSURE, 1).text, "\"grant_ref\":\"4 " ORIGIN "\"");
    log_close(&h);
    log_open(&h); /* it is known behind a start, too */
    log_say(&h, &r);
    assert_int_equal(leaf_of(&h, LEAF_GRANT, 0).seen, 1);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void a_grant_of_another_gateway_refers_to_the_leaf_there(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    (void)snprintf(e.ref, sizeof(e.ref), "12 log.example/us-2");
    log_publish_grant(&h, &e);
    struct record r = log_disclosure(7, "support_ticket", "1001 identity");
    log_say(&h, &r);
    assert_says(leaf_of(&h, LEAF_GRANT, 1).text, "\"grant_ref\":\"12 log.example/us-2\"");
    assert_says_not(leaf_of(&h, LEAF_GRANT, 1).text, "\"by\"");
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void a_grant_that_an_administrator_opened_says_so_or_is_wanting(void **state)
{
    struct policy_grants by_signatures = { .opened_by = GRANTS_BY_SIGNATURES };
    struct policy_grants by_administrator = { .opened_by = GRANTS_BY_ADMINISTRATOR };
    struct log_house h;
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    struct policy_grants *was = h.policy->grants;
    for (uint64_t id = 7; id <= 8; id++) {
        struct grant_entry e = log_grant(id, NOON + 60 * MINUTE);
        h.policy->grants = id == 7 ? &by_administrator : &by_signatures;
        log_publish_grant(&h, &e);
        struct record r = log_disclosure(id, "support_ticket", "1001 identity");
        log_say(&h, &r);
    }
    h.policy->grants = was;
    assert_says(leaf_of(&h, LEAF_GRANT, 1).text, "\"by\":\"administrator\"");
    assert_says_not(leaf_of(&h, LEAF_GRANT, 2).text, "\"by\":\"administrator\"");
    log_judge(&h, &j);
    assert_int_equal(j.findings.wanting, 1);
    log_house_done(&h);
}

static void a_grant_that_no_table_has_yet_is_not_taken_for_a_revoked_one(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grant_table_lease(h.control, h.grants_of, INT64_MAX / 2);
    grant_by_signature(&h, 7, NOON + 60 * MINUTE);
    for (int i = 0; i < 4; i++) { /* the database takes its time */
        log_tick(&h);
        h.now_ms += MINUTE;
    }
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 0);
    log_publish_grant(&h, &e);
    log_tick(&h);
    grant_table_drop(h.control, h.grants_of, 7); /* now it is over, and at once */
    log_tick(&h);
    h.now_ms += 3000;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"revoked\"");
    grant_by_signature(&h, 8, NOON + 600 * MINUTE); /* one that never comes */
    h.now_ms += CLERK_AWAIT_MINUTES * MINUTE;
    log_tick(&h);
    h.now_ms += 3000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_REVOKE, 0).seen, 2);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void a_find_has_a_tag_whether_somebody_was_found_or_not(void **state)
{
    static const char *const revealed[] = { "1001 find", "", "1001 find", NULL };
    struct log_house h;
    struct tag_subject subject = {
        .region = "us-virginia", .key = "1001", .key_len = 4, .epoch = NULL
    };
    uint8_t secret[VRF_SECRET_LEN], k[TAG_KEY_LEN];
    unsigned hers = 0;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (size_t i = 0; i < RF_COUNT(revealed); i++) {
        struct record r = log_asked(RECORD_FIND, 0, NULL);
        r.revealed = revealed[i];
        log_say(&h, &r);
    }
    assert_int_equal(vrfkey_load(h.vrf_path, "us-virginia", secret, &h.err), 0);
    subject.epoch = tag_book_epoch(h.clerk->book);
    assert_int_equal(tag_key_make(&subject, secret, NULL, k), 0);
    for (uint64_t i = 1; i <= RF_COUNT(revealed); i++) {
        struct found f = leaf_of(&h, LEAF_FIND, i);
        struct logleaf l;
        uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN], tag[TAG_LEN];
        assert_int_equal(logleaf_read(f.text, strlen(f.text), &l), 0);
        assert_int_equal(logleaf_items(&l, items), 1);
        tag_of(k, ORIGIN, hers, tag);
        if (memcmp(tag, items[0], TAG_LEN) == 0)
            hers++;
    }
    assert_int_equal(hers, 2);
    assert_replay_is_live(&h);
    log_judge(&h, NULL);
    struct record bad = log_asked(RECORD_FIND, 0, NULL);
    bad.revealed = "1001 find 1002 find";
    assert_int_equal(log_append(&h, &bad), -RF_EPROTO);
    bad.revealed = "1001 identity";
    assert_int_equal(log_append(&h, &bad), -RF_EPROTO);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

/* A claim file for KEY out of the log in its folder, judged. */
static struct claim_result claim_of(struct log_house *h, const char *key, struct buf *to)
{
    struct looking_options o = { .region = "us-virginia",
                                 .subject = key,
                                 .subject_len = strlen(key) };
    struct claim_trust trust = { .keys = &h->key.key, .key_count = 1 };
    struct claim_result result = { 0 };
    struct verify_options options = { .key = &h->key.key, .on_leaf = looking_leaf };
    struct verify_report *report;
    struct source *source;
    struct looking *l;
    assert_int_equal(vrfkey_load(h->vrf_path, "us-virginia", o.secret, &h->err), 0);
    assert_int_equal(looking_new(&o, &l, &h->err), 0);
    assert_int_equal(source_open(h->directory, NULL, &source, &h->err), 0);
    assert_int_equal(looking_log(l, &h->key.key, source, &h->err), 0);
    assert_int_equal(verify_report_new(&report, &h->err), 0);
    options.context = l;
    assert_int_equal(verify_log(source, &options, report, &h->err), 0);
    assert_int_equal(looking_log_end(l, report, &h->err), 0);
    assert_int_equal(looking_settle(l, &h->err), 0);
    for (size_t i = 0; i < looking_access_count(l); i++) /* as when the day was erased */
        assert_int_equal(looking_search(l, i, &h->err), 1);
    buf_clear(to);
    assert_int_equal(looking_write(l, to, &h->err), 0);
    int rc = claim_verify(buf_at(to), buf_len(to), &trust, &result, &h->err);
    if (rc < 0)
        print_message("# %s\n", h->err.line);
    assert_int_equal(rc, 0);
    verify_report_free(report);
    looking_free(l);
    source_close(source);
    return result;
}

static void whoever_was_looked_up_finds_it_in_his_claim_file(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 60 * MINUTE);
    struct buf file;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    struct record r = log_asked(RECORD_FIND, 0, NULL);
    r.wall_ms = h.now_ms + 123;
    log_say(&h, &r); /* nobody */
    r.revealed = "1001 find";
    log_say(&h, &r);
    grant_by_signature(&h, 7, NOON + 60 * MINUTE);
    log_publish_grant(&h, &e);
    r = log_disclosure(7, "support_ticket", "1001 identity");
    r.wall_ms = h.now_ms + 456;
    log_say(&h, &r);
    h.now_ms += 20 * MINUTE; /* the epoch is over */
    log_tick(&h);
    assert_int_equal(log_commit(&h), 0);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    buf_init(&file, CLAIM_MAX);
    struct claim_result hers = claim_of(&h, "1001", &file);
    assert_int_equal(hers.access_count, 2);
    assert_int_equal(hers.find_count, 1);
    assert_non_null(memmem(buf_at(&file), buf_len(&file), "\ngrant ", 7));
    struct claim_result his = claim_of(&h, "1002", &file);
    assert_int_equal(his.access_count, 0);
    assert_null(memmem(buf_at(&file), buf_len(&file), "\ngrant ", 7));
    buf_done(&file);
    log_house_done(&h);
}

static void a_held_request_names_neither_purpose_nor_rule(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    struct record r = log_asked(RECORD_REQUEST, 7, NULL);
    r.purpose = "abuse_report";
    r.rule = "abuse";
    log_say(&h, &r);
    assert_says(leaf_of(&h, LEAF_REQUEST, 1).text, "\"held\":\"");
    assert_says_not(leaf_of(&h, LEAF_REQUEST, 1).text, "abuse");
    h.now_ms += 31 * MINUTE;
    log_tick(&h);
    assert_says(leaf_of(&h, LEAF_OPENED, 1).text, "\"purpose\":\"abuse_report\"");
    log_judge(&h, NULL);
    assert_replay_is_live(&h);
    log_house_done(&h);
}

/* ---- holds ---- */

static void a_held_purpose_is_committed_to_and_opened_later(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    struct log_judge j;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    (void)snprintf(e.purpose, sizeof(e.purpose), "abuse_report");
    log_publish_grant(&h, &e);
    struct record r = log_disclosure(7, "abuse_report", "1001 identity");
    log_say(&h, &r);
    assert_says(leaf_of(&h, LEAF_GRANT, 1).text, "\"held\":\"");
    assert_says_not(leaf_of(&h, LEAF_GRANT, 1).text, "abuse_report");
    assert_says_not(leaf_of(&h, LEAF_DISCLOSURE, 1).text, "abuse_report");
    log_close(&h);
    log_open(&h); /* what is held is remembered */
    assert_replay_is_live(&h);
    h.now_ms += 29 * MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_OPENED, 0).seen, 0);
    h.now_ms += MINUTE;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_OPENED, 0).seen, 2);
    assert_says(leaf_of(&h, LEAF_OPENED, 1).text, "\"purpose\":\"abuse_report\"");
    log_judge(&h, &j); /* whose salts it checks */
    assert_replay_is_live(&h);
    log_house_done(&h);
}

static void a_hold_that_the_policy_gives_up_is_opened_at_once(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    char text[sizeof(log_policy_text)];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    (void)snprintf(e.purpose, sizeof(e.purpose), "abuse_report");
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    memcpy(text, log_policy_text, sizeof(text));
    char *held = strstr(text, ", held: {abuse_report: 30min}");
    memset(held, ' ', strlen(", held: {abuse_report: 30min}"));
    policy_free(h.policy);
    h.policy = log_policy(text);
    assert_int_equal(log_start(&h, true), 0);
    assert_int_equal(leaf_of(&h, LEAF_OPENED, 0).seen, 1);
    assert_int_equal(leaf_of(&h, LEAF_POLICY, 0).seen, 1);
    log_judge(&h, NULL);
    log_house_done(&h);
}

static void of_an_erased_day_nothing_is_opened(void **state)
{
    struct log_house h;
    struct grant_entry e = log_grant(7, NOON + 600 * MINUTE);
    char path[200];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    (void)snprintf(e.purpose, sizeof(e.purpose), "abuse_report");
    log_publish_grant(&h, &e);
    open_session(&h, 7, "us");
    assert_int_equal(log_commit(&h), 0);
    log_close(&h);
    (void)snprintf(path, sizeof(path), "%s/keys/day/2026-11-27.key", h.house.state);
    assert_int_equal(unlink(path), 0);
    h.now_ms += 1440 * MINUTE;
    log_open(&h);
    h.now_ms += 5000;
    log_tick(&h);
    assert_int_equal(leaf_of(&h, LEAF_OPENED, 0).seen, 0);
    assert_says(leaf_of(&h, LEAF_REVOKE, 1).text, "\"rule\":\"expired\""); /* its leaf says until */
    log_judge(&h, NULL);
    log_house_done(&h);
}

/* ---- what does not fit ---- */

static void a_genesis_that_differs_from_the_configuration_is_refused(void **state)
{
    static char epoch[] = "month", origin[] = "log.example/another", region[] = "another";
    static const char *const what[] = { "epoch", "rollup", "seal" };
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_close(&h);
    for (size_t i = 0; i < RF_COUNT(what); i++) {
        const struct config was = h.config;
        if (i == 0)
            h.config.ledger.epoch = epoch;
        else if (i == 1)
            h.config.ledger.rollup_ms = 10 * MINUTE;
        else
            h.config.ledger.seal_ms = 20 * MINUTE;
        assert_int_equal(log_clerk_open(&h), -RF_ECONFIG);
        assert_non_null(strstr(h.err.line, what[i]));
        assert_non_null(strstr(h.err.hint, "key rotate"));
        log_close(&h);
        h.config = was;
    }
    h.config.ledger.origin = origin; /* the key is of the other */
    assert_int_equal(log_clerk_open(&h), -RF_ECONFIG);
    assert_non_null(strstr(h.err.line, "is not of origin"));
    log_close(&h);
    h.config.ledger.origin = (char[]){ ORIGIN };
    h.database.region = region; /* and so is the VRF key */
    assert_int_equal(log_clerk_open(&h), -RF_ECONFIG);
    log_close(&h);
    log_house_done(&h);
}

static void a_vrf_key_that_was_exchanged_is_refused(void **state)
{
    struct log_house h;
    uint8_t vrf[VRF_SECRET_LEN];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_close(&h);
    assert_int_equal(unlink(h.vrf_path), 0);
    assert_int_equal(vrf_secret_make(vrf), 0);
    assert_int_equal(vrfkey_save(h.vrf_path, "us-virginia", vrf, &h.err), 0);
    assert_int_equal(log_clerk_open(&h), -RF_ECONFIG);
    assert_non_null(strstr(h.err.line, "VRF key"));
    log_house_done(&h);
}

/* ---- the end of a log ---- */

static void next_key(const char *name, struct key *ret)
{
    static const uint8_t seed[KEY_SEED_LEN] = { 9 };
    struct secret_key key;
    assert_int_equal(secret_key_make(name, KEY_ED25519, seed, &key, NULL), 0);
    *ret = key.key;
    secret_key_wipe(&key);
}

static int end_log(struct log_house *h, const struct key *next)
{
    return clerk_end_log(h->clerk, h->policy, &h->key, next, h->now_ms, &h->err);
}

static void an_ended_log_takes_nothing_more(void **state)
{
    struct log_house h;
    struct key next, other;
    const struct record r = log_record(RECORD_SESSION_OPEN);
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_put(&h, RECORD_SESSION_OPEN);
    next_key("log.example/next", &next);
    next_key("log.example/other", &other);
    assert_int_equal(end_log(&h, &h.key.key), -RF_EINVAL); /* by itself */
    assert_int_equal(end_log(&h, &next), 0);
    uint64_t leaves = h.clerk->leaves;
    assert_non_null(clerk_ended(h.clerk));
    assert_string_equal(clerk_ended(h.clerk)->origin, "log.example/next");
    assert_int_equal(end_log(&h, &next), 0); /* nothing is left to do */
    assert_int_equal(end_log(&h, &other), -RF_EINVAL);
    assert_int_equal(clerk_member(h.clerk, h.policy, &other, h.now_ms, &h.err), -RF_ECONFIG);
    assert_int_equal(log_append(&h, &r), -RF_ECONFIG);
    assert_int_equal(log_start(&h, true), -RF_ECONFIG);
    h.now_ms += 60 * MINUTE; /* another epoch, and another interval */
    log_tick(&h);
    assert_int_equal(h.clerk->leaves, leaves);
    assert_replay_is_live(&h);
    log_judge(&h, NULL);
    log_house_done(&h);
}

/* The end is one batch, and a crash may leave any part of it: the same command completes it, also
   in the next epoch, and no gateway goes on with the half. */
static void an_end_that_a_crash_cuts_short_is_completed(void **state)
{
    struct log_house h;
    struct key next;
    size_t before, whole;
    unsigned halves = 0;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 1024 * 1024;
    log_open(&h);
    log_put(&h, RECORD_SESSION_OPEN);
    log_put(&h, RECORD_RESULT);
    log_put(&h, RECORD_DENIAL);
    assert_int_equal(log_commit(&h), 0);
    mem_free(house_load(&h.house, 0, &before));
    next_key("log.example/next", &next);
    assert_int_equal(end_log(&h, &next), 0);
    uint64_t leaves = h.clerk->leaves;
    uint8_t *bytes = house_load(&h.house, 0, &whole);
    for (size_t cut = before; cut < whole; cut += cut + 97 < whole || cut + 1 == whole ? 97 : 1) {
        log_close(&h);
        house_store(&h.house, 0, bytes, cut);
        assert_int_equal(log_clerk_open(&h), 0);
        halves += clerk_goes_on(h.clerk, &h.err) < 0;
        h.now_ms += 30 * MINUTE;
        if (clerk_goes_on(h.clerk, &h.err) < 0)
            assert_int_equal(log_start(&h, false), -RF_ECONFIG);
        else
            h.now_ms = NOON;
        assert_int_equal(end_log(&h, &next), 0);
        h.now_ms = NOON;
        assert_int_equal(h.clerk->leaves, leaves);
        assert_replay_is_live(&h);
        log_judge(&h, NULL);
    }
    assert_true(halves > 10);
    mem_free(bytes);
    log_house_done(&h);
}

/* How many leaves the verifier finds wrong. */
static unsigned count_wrong(struct log_house *h)
{
    struct log_judge *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    assert_int_equal(rules_new(&h->key.key, &j->rules, &h->err), 0);
    log_walk(h, log_judge_entry, j);
    unsigned wrong = j->findings.tampered;
    rules_free(j->rules);
    free(j);
    return wrong;
}

/* What only the end of a log may do is wrong in one that goes on. */
static void an_interval_or_epoch_cut_short_without_an_end_is_found(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) { /* 2: neither */
        struct log_house h;
        log_house_init(&h);
        log_open(&h);
        log_put(&h, RECORD_SESSION_OPEN);
        if (what == 0)
            assert_int_equal(clerk_roll_up(h.clerk, h.policy, UINT32_MAX, h.now_ms, &h.err), 0);
        if (what == 1)
            assert_int_equal(clerk_seal_epoch(h.clerk, h.now_ms, &h.err), 0);
        struct logleaf l = { .type = LEAF_POLICY };
        logleaf_text(&l, LEAF_KEY_REGION, "us-virginia");
        logleaf_bytes(&l, LEAF_KEY_POLICY, h.policy->digest, DIGEST_LEN);
        assert_int_equal(clerk_own_leaf(h.clerk, &l, "{}", h.now_ms, &h.err), 0);
        assert_int_equal(log_commit(&h), 0);
        assert_true((count_wrong(&h) > 0) == (what < 2));
        log_house_done(&h);
    }
}

static void a_log_that_continues_another_says_so_in_its_genesis(void **state)
{
    static char predecessor[] = "12 log.example/before";
    static char another[] = "13 log.example/before";
    struct log_house h;
    (void)state;
    log_house_init(&h);
    h.config.ledger.predecessor = predecessor;
    log_open(&h);
    const struct found genesis = leaf_of(&h, LEAF_GENESIS, 0);
    assert_says(genesis.text, "\"predecessor\":\"12 log.example/before\",\"signature\":\"");
    log_judge(&h, NULL); /* the signature holds */
    struct secret_key before;
    assert_int_equal(secret_key_make("log.example/before", KEY_ED25519, (uint8_t[32]){ 9 }, &before,
                                     &h.err),
                     0);
    assert_int_equal(clerk_end_log(h.clerk, h.policy, &h.key, &before.key, h.now_ms, &h.err),
                     -RF_EINVAL); /* in a circle no log would be the first */
    assert_null(clerk_ended(h.clerk));
    secret_key_wipe(&before);
    log_close(&h);
    h.config.ledger.predecessor = another;
    assert_int_equal(log_clerk_open(&h), -RF_ECONFIG);
    log_close(&h);
    h.config.ledger.predecessor = NULL; /* the line may go once it was said */
    assert_int_equal(log_clerk_open(&h), 0);
    log_house_done(&h);
}

#ifdef RF_FAULTS
static void after_a_failed_sync_no_leaf_is_written(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    log_put(&h, RECORD_STATEMENT);
    fault_arm("journal.sync:1");
    assert_true(log_commit(&h) < 0);
    fault_arm(NULL);
    h.now_ms += 60 * MINUTE;
    assert_true(clerk_tick(h.clerk, h.policy, h.now_ms, &h.err) < 0);
    const struct record r = log_record(RECORD_STATEMENT);
    assert_true(log_append(&h, &r) < 0);
    log_house_done(&h);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_begins_with_its_genesis_and_a_start),
        cmocka_unit_test(an_ended_log_takes_nothing_more),
        cmocka_unit_test(an_end_that_a_crash_cuts_short_is_completed),
        cmocka_unit_test(an_interval_or_epoch_cut_short_without_an_end_is_found),
        cmocka_unit_test(a_log_that_continues_another_says_so_in_its_genesis),
        cmocka_unit_test(every_start_is_a_leaf_and_the_genesis_stays_the_only_one),
        cmocka_unit_test(few_sessions_are_published_without_numbers),
        cmocka_unit_test(sums_of_more_sessions_are_published_in_bands),
        cmocka_unit_test(rows_released_abroad_are_a_transfer),
        cmocka_unit_test(a_transfer_of_few_sessions_has_no_numbers),
        cmocka_unit_test(all_refusals_of_an_entity_are_one_sum),
        cmocka_unit_test(consents_are_sums_of_a_purpose_and_version),
        cmocka_unit_test(an_hour_says_each_class_of_a_subject_once),
        cmocka_unit_test(an_access_without_an_open_grant_always_has_its_leaf),
        cmocka_unit_test(alerts_of_a_rule_are_one_sum_with_those_that_were_reviewed),
        cmocka_unit_test(what_a_worker_leaves_out_does_not_stop_the_log),
        cmocka_unit_test(a_clock_that_begins_in_1970_does_not_stop_the_log),
        cmocka_unit_test(records_from_before_the_log_are_in_none_of_its_sums),
        cmocka_unit_test(totals_of_services_count_what_is_new_over_restarts_of_the_ledger),
        cmocka_unit_test(totals_of_services_begin_anew_with_the_daemon),
        cmocka_unit_test(every_epoch_that_went_by_has_its_seal),
        cmocka_unit_test(months_are_epochs),
        cmocka_unit_test(after_a_long_stop_all_seals_are_written),
        cmocka_unit_test(more_groups_than_a_batch_holds_are_rolled_up),
        cmocka_unit_test(past_the_last_group_each_type_has_a_leaf_of_its_own),
        cmocka_unit_test(a_clock_that_steps_back_leaves_the_order_of_minutes),
        cmocka_unit_test(what_is_due_next_is_known),
        cmocka_unit_test(a_grant_has_its_leaf_before_its_first_session_and_once),
        cmocka_unit_test(grants_of_two_databases_with_one_number_are_two),
        cmocka_unit_test(a_closed_grant_is_revoked_when_what_was_under_way_has_come),
        cmocka_unit_test(of_many_open_grants_a_tick_looks_at_some_and_none_is_forgotten),
        cmocka_unit_test(a_snapshot_of_many_grants_under_held_purposes_takes_a_moment),
        cmocka_unit_test(a_grant_that_runs_out_is_revoked_as_expired),
        cmocka_unit_test(a_grant_that_ended_while_the_gateway_was_off_is_revoked),
        cmocka_unit_test(without_the_region_a_grant_ends_with_its_time),
        cmocka_unit_test(numbers_of_a_subject_have_no_gap_over_restarts),
        cmocka_unit_test(a_disclosure_that_cannot_be_read_changes_nothing),
        cmocka_unit_test(a_disclosure_has_the_purpose_of_its_grant_whatever_the_policy_drops),
        cmocka_unit_test(classes_that_a_grant_has_not_are_disclosed_without_it),
        cmocka_unit_test(a_number_of_a_grant_that_only_a_worker_says_is_not_public),
        cmocka_unit_test(a_disclosure_that_is_new_in_part_names_the_new_part),
        cmocka_unit_test(a_grant_that_was_closed_because_it_ran_out_expired),
        cmocka_unit_test(what_ran_out_around_a_start_of_the_ledger_expired),
        cmocka_unit_test(what_ran_out_while_the_ledger_was_off_expired),
        cmocka_unit_test(after_a_crash_between_two_roll_ups_small_cells_stay_small),
        cmocka_unit_test(while_nothing_is_witnessed_what_is_signed_is_heard_of),
        cmocka_unit_test(a_grant_by_signatures_names_its_request_and_its_approvals),
        cmocka_unit_test(what_is_disclosed_under_it_refers_to_it_and_no_second_leaf_tells_of_it),
        cmocka_unit_test(a_grant_of_another_gateway_refers_to_the_leaf_there),
        cmocka_unit_test(a_grant_that_an_administrator_opened_says_so_or_is_wanting),
        cmocka_unit_test(a_grant_that_no_table_has_yet_is_not_taken_for_a_revoked_one),
        cmocka_unit_test(a_find_has_a_tag_whether_somebody_was_found_or_not),
        cmocka_unit_test(whoever_was_looked_up_finds_it_in_his_claim_file),
        cmocka_unit_test(a_held_request_names_neither_purpose_nor_rule),
        cmocka_unit_test(a_held_purpose_is_committed_to_and_opened_later),
        cmocka_unit_test(a_hold_that_the_policy_gives_up_is_opened_at_once),
        cmocka_unit_test(of_an_erased_day_nothing_is_opened),
        cmocka_unit_test(a_genesis_that_differs_from_the_configuration_is_refused),
        cmocka_unit_test(a_vrf_key_that_was_exchanged_is_refused),
        cmocka_unit_test(what_is_read_after_a_start_is_what_the_last_clerk_knew),
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_journal_are_the_whole_journal),
        cmocka_unit_test(a_snapshot_that_is_spoilt_torn_or_of_another_journal_is_as_good_as_none),
        cmocka_unit_test(a_log_that_goes_on_behind_any_cut_of_the_journal_keeps_every_rule),
#ifdef RF_FAULTS
        cmocka_unit_test(after_a_failed_sync_no_leaf_is_written),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
