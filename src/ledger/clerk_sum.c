#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/clerk_inside.h"

/* Group "other" of every word: what is left when there are more groups than the words of a policy
   can make. */
static const char other[] = "unlisted";
static const struct leaf_word unlisted = { other, sizeof(other) - 1 };

static void word_copy(char to[RECORD_WORD_MAX + 1], const struct leaf_word *from)
{
    size_t n = from->len <= RECORD_WORD_MAX ? from->len : RECORD_WORD_MAX;
    if (n > 0)
        memcpy(to, from->text, n);
    to[n] = '\0';
}

static int group_compare(const struct sum *a, const struct sum *b)
{
    int order = a->from < b->from ? -1 : a->from > b->from;
    if (order == 0)
        order = (int)a->type - (int)b->type;
    if (order == 0)
        order = strcmp(a->entity, b->entity);
    if (order == 0)
        order = strcmp(a->place, b->place);
    if (order == 0)
        order = strcmp(a->room, b->room);
    if (order == 0)
        order = strcmp(a->actor_kind, b->actor_kind);
    if (order == 0)
        order = strcmp(a->rule, b->rule);
    if (order == 0)
        order = strcmp(a->purpose, b->purpose);
    return order != 0 ? order : strcmp(a->version, b->version);
}

static int compare(const void *a, const void *b)
{
    return group_compare(a, b);
}

int sum_reserve(struct clerk *c)
{
    if (c->sum_room - c->sum_count >= SUM_GROUPS_A_RECORD)
        return 0;
    size_t room = c->sum_room == 0 ? 64 : 2 * c->sum_room;
    struct sum *sums = mem_realloc(c->sums, room * sizeof(*sums));
    if (sums == NULL)
        return -RF_ENOMEM;
    c->sums = sums;
    c->sum_room = room;
    return 0;
}

/* ---- finding a group: chains through the array, since every record asks ---------------------- */

static void hash_word(uint32_t *hash, const char *word)
{
    for (; *word != '\0'; word++)
        *hash = (*hash ^ (uint8_t)*word) * 16777619U; /* FNV-1a; the words are the policy's own */
    *hash = (*hash ^ '\n') * 16777619U;
}

static size_t bucket_of(const struct sum *s)
{
    uint32_t hash = 2166136261U ^ s->from ^ (uint32_t)s->type << 24;
    hash_word(&hash, s->entity);
    hash_word(&hash, s->place);
    hash_word(&hash, s->room);
    hash_word(&hash, s->actor_kind);
    hash_word(&hash, s->rule);
    hash_word(&hash, s->purpose);
    hash_word(&hash, s->version);
    return hash % SUM_BUCKETS;
}

static struct sum *group_find(const struct clerk *c, const struct sum *key)
{
    for (uint32_t at = c->sum_heads[bucket_of(key)]; at != 0; at = c->sums[at - 1].next)
        if (group_compare(&c->sums[at - 1], key) == 0)
            return &c->sums[at - 1];
    return NULL;
}

/* Groups moved: chains and the oldest interval anew. */
static void reindex(struct clerk *c)
{
    memset(c->sum_heads, 0, sizeof(c->sum_heads));
    c->sum_oldest = UINT32_MAX;
    for (size_t i = 0; i < c->sum_count; i++) {
        struct sum *s = &c->sums[i];
        uint32_t *head = &c->sum_heads[bucket_of(s)];
        s->next = *head;
        *head = (uint32_t)i + 1;
        if (s->from < c->sum_oldest)
            c->sum_oldest = s->from;
    }
}

/* The group that takes what KEY has no room for. It says "unlisted" where its type has a word: a
   leaf that holds another type's word cannot be written, and one that lacks a word of its group is
   not found again after a start. */
static void become_other(struct sum *key)
{
    char *word = key->entity;
    if (key->type == LEAF_ALERT)
        word = key->rule;
    else if (key->type == LEAF_CONSENT)
        word = key->purpose;
    key->place[0] = key->actor_kind[0] = key->version[0] = '\0';
    memcpy(word, other, sizeof(other));
}

/* The group of WANTED, made when it is new. */
static struct sum *group(struct clerk *c, const struct sum *wanted)
{
    struct sum key = *wanted, *found = group_find(c, &key);
    if (found == NULL && c->sum_count >= SUM_GROUPS_MAX) {
        become_other(&key);
        found = group_find(c, &key);
    }
    if (found != NULL)
        return found;
    RF_ASSERT(c->sum_count < c->sum_room); /* sum_reserve() came first */
    uint32_t *head = &c->sum_heads[bucket_of(&key)];
    key.next = *head;
    if (c->sum_count == 0 || key.from < c->sum_oldest)
        c->sum_oldest = key.from;
    c->sums[c->sum_count] = key;
    *head = (uint32_t)++c->sum_count;
    return &c->sums[c->sum_count - 1];
}

int sum_restore(struct clerk *c, const struct sum *s)
{
    if (sum_reserve(c) < 0)
        return -RF_ENOMEM;
    struct sum *to = group(c, s);
    const uint32_t next = to->next;
    *to = *s;
    to->next = next;
    return 0;
}

/* What a leaf must have is there, whatever a worker left out: a group that cannot be written would
   stop everything behind it for ever. */
static struct sum group_of(const struct clerk *c, enum logleaf_type type, const struct leaf *r)
{
    struct sum s = { .type = type, .from = r->minute / c->rollup * c->rollup };
    if (type == LEAF_ALERT) { /* by rule, and not by who: that says what is watched, not whom */
        word_copy(s.rule, r->rule.len > 0 ? &r->rule : &unlisted);
        return s;
    }
    word_copy(s.entity, &r->entity);
    if (type == LEAF_DENIAL) /* all rules: whoever is refused chooses by which one */
        return s;
    if (type == LEAF_CONSENT) { /* whoever wrote them down */
        s.entity[0] = '\0';
        word_copy(s.purpose, r->purpose.len > 0 ? &r->purpose : &unlisted);
        word_copy(s.version, &r->rule);
        return s;
    }
    if (r->place.len == 2)
        memcpy(s.place, r->place.text, 2);
    if (type != LEAF_SERVICE) {
        word_copy(s.room, r->room.len > 0 ? &r->room : &unlisted);
        word_copy(s.actor_kind, &r->actor_kind);
    }
    return s;
}

static struct sum *wanted_group(struct clerk *c, enum logleaf_type type, const struct leaf *r)
{
    const struct sum wanted = group_of(c, type, r);
    return wanted.from == 0 ? NULL
                            : group(c, &wanted); /* at 1970 a clock stands: no leaf says so */
}

static bool is_abroad(const struct policy_region *region, const struct leaf *r)
{
    struct place place = { "" };
    if (r->place.len != 2 || region == NULL)
        return r->place.len == 2;
    memcpy(place.code, r->place.text, 2);
    return !policy_is_home(region, place);
}

static void add(struct clerk *c, enum logleaf_type type, const struct leaf *r,
                const struct totals *more, uint64_t sessions, uint64_t denials)
{
    struct sum *s = wanted_group(c, type, r);
    if (s == NULL)
        return;
    s->sessions += sessions;
    s->denials += denials;
    s->statements += more->statements;
    s->rows += more->rows;
    s->bytes += more->bytes;
}

/* Running totals of a slot become what was added since its last record. */
static struct totals service_news(struct clerk *c, const struct leaf *r)
{
    struct totals now = { r->statements, r->rows, r->bytes }, news = now;
    if (r->start != c->slots_start) {
        memset(c->slots, 0, SUM_SLOTS * sizeof(*c->slots));
        c->slots_start = r->start;
    }
    if (r->slot == 0 || r->slot > SUM_SLOTS)
        return news;
    struct totals *last = &c->slots[r->slot - 1];
    if (now.statements >= last->statements && now.rows >= last->rows && now.bytes >= last->bytes)
        news = (struct totals){ now.statements - last->statements, now.rows - last->rows,
                                now.bytes - last->bytes };
    *last = now;
    return news;
}

static void add_alert(struct clerk *c, const struct leaf *r)
{
    struct sum *s = wanted_group(c, LEAF_ALERT, r);
    if (s == NULL)
        return;
    s->alerts += r->kind == RECORD_ALERT;
    s->reviewed += r->kind == RECORD_ALERT_REVIEW;
}

static bool is_word(const struct leaf_word *a, const struct leaf_word *b)
{
    return a->len == b->len && memcmp(a->text, b->text, b->len) == 0;
}

static void add_released(struct clerk *c, const struct policy_region *region, const struct leaf *r,
                         enum logleaf_type type, const struct totals *more)
{
    add(c, type, r, more, 0, 0);
    if ((more->rows > 0 || more->bytes > 0) && is_abroad(region, r)) {
        const struct totals released = { .rows = more->rows, .bytes = more->bytes };
        add(c, LEAF_TRANSFER, r, &released, 0, 0);
    }
}

static void add_consents(struct clerk *c, const struct leaf *r)
{
    const struct leaf_word given = { "given", 5 }, withdrawn = { "withdrawn", 9 };
    const struct totals more = { .statements = is_word(&r->verdict, &given) ? r->subjects : 0,
                                 .rows = is_word(&r->verdict, &withdrawn) ? r->subjects : 0 };
    if (more.statements > 0 || more.rows > 0) /* else somebody looked at them */
        add(c, LEAF_CONSENT, r, &more, 0, 0);
}

void sum_record(struct clerk *c, const struct policy_region *region, const struct leaf *r)
{
    struct totals more = { 0 };
    switch (r->kind) {
    case RECORD_SESSION_OPEN:
        add(c, LEAF_SESSION, r, &more, 1, 0);
        return;
    case RECORD_STATEMENT:
        more.statements = 1;
        add(c, LEAF_SESSION, r, &more, 0, 0);
        return;
    case RECORD_RESULT:
        more.rows = r->rows;
        more.bytes = r->bytes;
        add_released(c, region, r, LEAF_SESSION, &more);
        return;
    case RECORD_DENIAL:
        add(c, LEAF_DENIAL, r, &more, 0, 1);
        return;
    case RECORD_ALERT:
    case RECORD_ALERT_REVIEW:
        add_alert(c, r);
        return;
    case RECORD_SERVICE: /* a restarted ledger says the same totals again: that is no news */
        more = service_news(c, r);
        if (more.statements > 0 || more.rows > 0 || more.bytes > 0)
            add_released(c, region, r, LEAF_SERVICE, &more);
        return;
    case RECORD_CONSENT:
        add_consents(c, r);
        return;
    default:
        return;
    }
}

static void value_copy(char to[RECORD_WORD_MAX + 1], const struct logleaf_value *v)
{
    const struct leaf_word word = { v->text, v->len };
    word_copy(to, &word);
}

void sum_forget(struct clerk *c, const struct logleaf *l)
{
    struct sum done = { .type = l->type, .from = (uint32_t)l->value[LEAF_KEY_FROM].number };
    value_copy(done.entity, &l->value[LEAF_KEY_ENTITY]);
    value_copy(done.room, &l->value[LEAF_KEY_ROOM]);
    value_copy(done.actor_kind, &l->value[LEAF_KEY_ACTOR_KIND]);
    value_copy(done.rule, &l->value[LEAF_KEY_RULE]);
    value_copy(done.purpose, &l->value[LEAF_KEY_PURPOSE]);
    value_copy(done.version, &l->value[LEAF_KEY_VERSION]);
    if (l->value[LEAF_KEY_PLACE].len == 2)
        memcpy(done.place, l->value[LEAF_KEY_PLACE].text, 2);
    struct sum *found = group_find(c, &done);
    if (found == NULL)
        return;
    *found = c->sums[--c->sum_count];
    reindex(c);
}

size_t sum_due(struct clerk *c, uint32_t minute)
{
    size_t due = 0;
    if (c->sum_count == 0 || c->sum_oldest + c->rollup > minute)
        return 0;
    qsort(c->sums, c->sum_count, sizeof(*c->sums), compare);
    reindex(c);
    while (due < c->sum_count && c->sums[due].from + c->rollup <= minute)
        due++;
    return due;
}

void sum_drop_first(struct clerk *c, size_t count)
{
    c->sum_count -= count;
    if (c->sum_count > 0) /* before the first sum there is no list, and NULL is undefined here */
        memmove(c->sums, c->sums + count, c->sum_count * sizeof(*c->sums));
    reindex(c);
}

/* Fewer sessions than a small cell. Rows that went abroad are those of the same sessions. */
static bool is_few(const struct clerk *c, const struct sum *s, int64_t small_cell)
{
    struct sum key = *s;
    key.type = LEAF_SESSION;
    const struct sum *sessions = s->type == LEAF_TRANSFER ? group_find(c, &key) : s;
    /* Of persons' rows the sessions may be out already: a start after a crash between the two. */
    bool is_of_persons = s->type == LEAF_SESSION ||
                         (s->type == LEAF_TRANSFER && strcmp(s->actor_kind, "service") != 0);
    return small_cell > 0 && is_of_persons &&
           (sessions == NULL || sessions->sessions < (uint64_t)small_cell);
}

static void consent_leaf(const struct clerk *c, const struct sum *s, int64_t small_cell,
                         struct logleaf *ret)
{
    *ret = (struct logleaf){ .type = s->type };
    logleaf_text(ret, LEAF_KEY_REGION, c->region_name);
    logleaf_text(ret, LEAF_KEY_PURPOSE, s->purpose);
    logleaf_text(ret, LEAF_KEY_VERSION, s->version);
    logleaf_number(ret, LEAF_KEY_FROM, s->from);
    logleaf_number(ret, LEAF_KEY_UNTIL, s->from + c->rollup);
    if (small_cell > 0 && s->statements + s->rows < (uint64_t)small_cell) {
        logleaf_number(ret, LEAF_KEY_FEW, 1);
        return;
    }
    logleaf_number(ret, LEAF_KEY_GIVEN, s->statements);
    logleaf_number(ret, LEAF_KEY_WITHDRAWN, s->rows);
}

void sum_leaf(const struct clerk *c, const struct sum *s, int64_t small_cell, struct logleaf *ret)
{
    if (s->type == LEAF_CONSENT) {
        consent_leaf(c, s, small_cell, ret);
        return;
    }
    *ret = (struct logleaf){ .type = s->type };
    logleaf_text(ret, LEAF_KEY_REGION, c->region_name);
    logleaf_text(ret, LEAF_KEY_ENTITY, s->entity);
    logleaf_text(ret, LEAF_KEY_PLACE, s->place);
    logleaf_text(ret, LEAF_KEY_ROOM, s->room);
    logleaf_text(ret, LEAF_KEY_ACTOR_KIND, s->actor_kind);
    logleaf_text(ret, LEAF_KEY_RULE, s->rule);
    logleaf_number(ret, LEAF_KEY_FROM, s->from);
    logleaf_number(ret, LEAF_KEY_UNTIL, s->from + c->rollup);
    if (is_few(c, s, small_cell)) {
        logleaf_number(ret, LEAF_KEY_FEW, 1);
        return;
    }
    logleaf_number(ret, LEAF_KEY_SESSIONS, s->sessions);
    logleaf_number(ret, LEAF_KEY_STATEMENTS, s->statements);
    logleaf_number(ret, LEAF_KEY_ROWS, s->rows);
    logleaf_number(ret, LEAF_KEY_BYTES, s->bytes);
    logleaf_number(ret, LEAF_KEY_DENIALS, s->denials);
    logleaf_number(ret, LEAF_KEY_ALERTS, s->alerts);
    logleaf_number(ret, LEAF_KEY_REVIEWED, s->reviewed);
}
