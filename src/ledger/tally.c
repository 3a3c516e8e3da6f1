#include "ledger/tally.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { TALLY_BUCKETS = 1024 };

struct tally_entry {
    char region[RECORD_WORD_MAX + 1], actor[RECORD_WORD_MAX + 1];
    char place[3]; /* of the last one */
    enum record_news_kind kind;
    uint64_t count; /* 0: all of it was taken, and the entry is free */
    uint32_t next;  /* in its chain, or of the free: a place in the array, from 1 */
};

struct tally {
    struct tally_entry *entries; /* of TALLY_MAX */
    uint32_t used, at;           /* AT: the one that is looked at next */
    uint32_t free;               /* the first that may be used again */
    uint32_t heads[TALLY_BUCKETS];
    uint64_t given, given_count; /* number of the last one that was given; 0: none */
    uint32_t given_at;
    uint64_t number;
    bool is_full;
};

int tally_new(struct tally **ret, struct err *err)
{
    struct tally *t = mem_zalloc(1, sizeof(*t));
    struct tally_entry *entries = mem_zalloc(TALLY_MAX, sizeof(*entries));
    if (t == NULL || entries == NULL) {
        mem_free(t);
        mem_free(entries);
        return err_set(err, RF_ENOMEM, "out of memory");
    }
    t->entries = entries;
    *ret = t;
    return 0;
}

void tally_free(struct tally *t)
{
    if (t == NULL)
        return;
    mem_free(t->entries);
    mem_free(t);
}

static bool copy(char to[RECORD_WORD_MAX + 1], const char *from)
{
    size_t len = from != NULL ? strlen(from) : 0;
    if (len == 0 || len > RECORD_WORD_MAX)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

static uint32_t *head_of(struct tally *t, const struct tally_entry *e)
{
    uint32_t hash = 2166136261U ^ (uint32_t)e->kind; /* FNV-1a; names are the policy's own */
    for (const char *at = e->actor; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619U;
    return &t->heads[hash % TALLY_BUCKETS];
}

static struct tally_entry *entry_of(struct tally *t, const struct tally_entry *wanted)
{
    uint32_t *head = head_of(t, wanted);
    for (uint32_t at = *head; at != 0; at = t->entries[at - 1].next) {
        struct tally_entry *e = &t->entries[at - 1];
        if (e->kind == wanted->kind && strcmp(e->actor, wanted->actor) == 0 &&
            strcmp(e->region, wanted->region) == 0)
            return e;
    }
    uint32_t place = t->free != 0 ? t->free : t->used < TALLY_MAX ? t->used + 1 : 0;
    if (place == 0) {
        if (!t->is_full)
            log_warn("tally-full", "actors=%d reason=\"rows of others are not summed up\"",
                     (int)TALLY_MAX);
        t->is_full = true;
        return NULL;
    }
    struct tally_entry *e = &t->entries[place - 1];
    if (t->free != 0)
        t->free = e->next;
    else
        t->used++;
    *e = *wanted;
    e->next = *head;
    *head = place;
    return e;
}

/* Nothing of E is left: whoever comes next may have its place. */
static void release(struct tally *t, struct tally_entry *e)
{
    uint32_t place = (uint32_t)(e - t->entries) + 1;
    uint32_t *at = head_of(t, e);
    while (*at != place)
        at = &t->entries[*at - 1].next;
    *at = e->next;
    e->next = t->free;
    t->free = place;
}

/* By the rule that the worker names in its refusal (src/gate/person_answer.c). */
static enum record_news_kind kind_of(const struct record *r)
{
    if (r->kind == RECORD_RESULT && r->rows > 0)
        return RECORD_NEWS_ROWS;
    if (r->kind == RECORD_DENIAL && r->rule != NULL && strcmp(r->rule, "reveal-forged") == 0)
        return RECORD_NEWS_FORGED;
    return RECORD_NEWS_NONE;
}

void tally_note(struct tally *t, const struct record *record)
{
    struct tally_entry wanted = { .kind = kind_of(record) };
    if (wanted.kind == RECORD_NEWS_NONE || !copy(wanted.region, record->region) ||
        !copy(wanted.actor, record->actor))
        return;
    struct tally_entry *e = entry_of(t, &wanted);
    if (e == NULL)
        return;
    if (record->place != NULL && strlen(record->place) == 2)
        memcpy(e->place, record->place, 3);
    e->count += record->kind == RECORD_RESULT ? record->rows : 1;
    if (e->count > (uint64_t)RECORD_NUMBER_MAX)
        e->count = (uint64_t)RECORD_NUMBER_MAX;
}

/* The next entry that has something, round and round. */
static bool find_next(struct tally *t)
{
    for (uint32_t i = 0; i < t->used; i++) {
        t->at = (t->at + 1) % t->used;
        if (t->entries[t->at].count > 0)
            return true;
    }
    return false;
}

bool tally_next(struct tally *t, uint64_t taken, struct record_news *ret)
{
    if (t->given != 0 && taken == t->given) {
        struct tally_entry *done = &t->entries[t->given_at];
        done->count -= t->given_count;
        if (done->count == 0)
            release(t, done);
    }
    /* What was not taken keeps its count and has its turn again: nobody waits for it. */
    t->given = 0;
    if (!find_next(t))
        return false;
    t->given = ++t->number;
    t->given_at = t->at;
    t->given_count = t->entries[t->at].count;
    const struct tally_entry *e = &t->entries[t->given_at];
    *ret = (struct record_news){ .number = t->given,
                                 .kind = e->kind,
                                 .count = t->given_count,
                                 .region = e->region,
                                 .actor = e->actor,
                                 .place = e->place };
    return true;
}
