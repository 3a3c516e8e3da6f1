/* grant_table.c
 *
 * Open addressing: grant ID of database D begins its search at slot (ID + D * STRIDE) mod SLOTS and
 * goes on to the next until a slot that was never used. Ids follow each other, so there are hardly
 * any collisions. A slot is EMPTY, USED, or GONE (searches go on over it); GONE ones become EMPTY
 * again from the end of their run, which no search for a living entry crosses.
 *
 *   a bit of `used` is set  <=>  its slot is not EMPTY (bits are looked at first: reading a page of
 *                                the mapping that was never written would make it exist)
 *   an entry's end only moves down, and closed only becomes true
 *   an entry is withheld         <=>  its era is not its database's; eras only grow
 *
 * Words are written with release and read with acquire order between two looks at the sequence
 * number: a reader that saw any word of a change sees its odd number, too (no fences: thread
 * sanitizers do not know them). */
#include "priv/grant_table.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    SLOT_WORDS = 68,
    ALIAS_WORDS = GRANT_ALIAS_SIZE / 8,
    TOKEN_WORDS = GRANT_TOKEN_LEN / 8,
    STRIDE = GRANT_TABLE_SLOTS / GRANT_TABLE_DATABASES,
    TRIES_MAX = 1000 /* a writer needs a microsecond; one that takes longer has stopped */
};

enum slot_state { SLOT_EMPTY, SLOT_USED, SLOT_GONE };

/* What the words of a slot hold. */
struct packed {
    uint64_t place; /* state, and the database above it */
    uint64_t era;   /* in which it was put, and 1; 0: it was withheld */
    struct grant_entry entry;
};
_Static_assert(sizeof(struct packed) <= SLOT_WORDS * 8, "an entry fits its slot");

struct slot {
    _Atomic uint64_t seq;
    _Atomic uint64_t round; /* of the answer that last held it; control's own */
    _Atomic uint64_t words[SLOT_WORDS];
};

struct identity { /* of a database */
    char alias[GRANT_ALIAS_SIZE];
    char token[GRANT_TOKEN_LEN];
};

/* Who is suspended in a region; COUNT beyond the names: everybody. */
struct suspended {
    uint64_t is_known, count;
    char names[GRANT_SUSPENDED_MAX][GRANT_NAME_SIZE];
};

struct database {
    _Atomic uint64_t suspended_seq;
    _Atomic uint64_t suspended[sizeof(struct suspended) / 8];
    _Atomic uint64_t seq;
    _Atomic uint64_t words[ALIAS_WORDS + TOKEN_WORDS];
    _Atomic uint64_t epoch, round, era;
    _Atomic int64_t until_mono_ms;
};

struct grant_table {
    struct database databases[GRANT_TABLE_DATABASES];
    _Atomic uint64_t count;
    _Atomic uint64_t used[GRANT_TABLE_SLOTS / 64];
    struct slot slots[GRANT_TABLE_SLOTS];
};

/* ---- words behind a sequence number ---- */

static void words_write(_Atomic uint64_t *seq, _Atomic uint64_t *words, const void *from, size_t n)
{
    uint64_t s = (atomic_load_explicit(seq, memory_order_relaxed) & ~UINT64_C(1)) + 3;
    atomic_store_explicit(seq, s, memory_order_relaxed); /* odd */
    for (size_t i = 0; i < n / 8; i++) {
        uint64_t word;
        memcpy(&word, (const char *)from + 8 * i, 8);
        atomic_store_explicit(&words[i], word, memory_order_release);
    }
    atomic_store_explicit(seq, s + 1, memory_order_release);
}

/* False: the writer stopped halfway. */
static bool words_read(const _Atomic uint64_t *seq, const _Atomic uint64_t *words, void *to,
                       size_t n)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint64_t before = atomic_load_explicit(seq, memory_order_acquire);
        for (size_t i = 0; i < n / 8; i++) {
            uint64_t word = atomic_load_explicit(&words[i], memory_order_acquire);
            memcpy((char *)to + 8 * i, &word, 8);
        }
        if ((before & 1) == 0 && atomic_load_explicit(seq, memory_order_relaxed) == before)
            return true;
    }
    return false;
}

static bool is_same(const struct packed *a, const struct packed *b)
{
    const struct grant_entry *x = &a->entry, *y = &b->entry;
    return a->place == b->place && a->era == b->era && x->id == y->id &&
           x->ends_wall_ms == y->ends_wall_ms && x->ends_mono_ms == y->ends_mono_ms &&
           x->subjects == y->subjects && x->classes == y->classes && x->closed == y->closed &&
           x->used_up == y->used_up && x->rows == y->rows && x->bytes == y->bytes &&
           strcmp(x->actor, y->actor) == 0 && strcmp(x->role, y->role) == 0 &&
           strcmp(x->purpose, y->purpose) == 0 && strcmp(x->ref, y->ref) == 0;
}

static bool slot_read(const struct slot *s, struct packed *ret)
{
    uint64_t words[SLOT_WORDS];
    if (!words_read(&s->seq, s->words, words, sizeof(words)))
        return false;
    memcpy(ret, words, sizeof(*ret));
    ret->entry.actor[GRANT_NAME_SIZE - 1] = '\0';
    ret->entry.role[GRANT_NAME_SIZE - 1] = '\0';
    ret->entry.purpose[GRANT_NAME_SIZE - 1] = '\0';
    ret->entry.ref[GRANT_REF_SIZE - 1] = '\0';
    return true;
}

static void slot_write(struct slot *s, const struct packed *p)
{
    uint64_t words[SLOT_WORDS] = { 0 };
    memcpy(words, p, sizeof(*p));
    words_write(&s->seq, s->words, words, sizeof(words));
}

static bool identity_read(const struct database *d, struct identity *ret)
{
    if (!words_read(&d->seq, d->words, ret, sizeof(*ret)))
        return false;
    ret->alias[GRANT_ALIAS_SIZE - 1] = '\0';
    return true;
}

static bool suspended_read(const struct database *d, struct suspended *ret)
{
    if (!words_read(&d->suspended_seq, d->suspended, ret, sizeof(*ret)))
        return false;
    for (size_t i = 0; i < GRANT_SUSPENDED_MAX; i++)
        ret->names[i][GRANT_NAME_SIZE - 1] = '\0';
    return true;
}

static void suspended_write(struct database *d, const struct suspended *s)
{
    words_write(&d->suspended_seq, d->suspended, s, sizeof(*s));
}

/* ---- slots ---- */

static uint32_t next(uint32_t at)
{
    return (at + 1) % GRANT_TABLE_SLOTS;
}

static uint32_t first(unsigned database, uint64_t id)
{
    return (uint32_t)((id + (uint64_t)database * STRIDE) % GRANT_TABLE_SLOTS);
}

static uint64_t place(unsigned database, enum slot_state state)
{
    return (uint64_t)database << 8 | state;
}

static bool is_used(const struct grant_table *t, uint32_t at)
{
    uint64_t bits = atomic_load_explicit(&t->used[at / 64], memory_order_acquire);
    return (bits >> (at % 64) & 1) != 0;
}

static void set_used(struct grant_table *t, uint32_t at, bool used)
{
    uint64_t bit = UINT64_C(1) << (at % 64);
    if (used)
        (void)atomic_fetch_or_explicit(&t->used[at / 64], bit, memory_order_release);
    else
        (void)atomic_fetch_and_explicit(&t->used[at / 64], ~bit, memory_order_release);
}

/* The slot of that grant: 1 and *RET_AT, *RET; 0: none; -RF_EUNAVAIL. */
static int find(const struct grant_table *t, unsigned database, uint64_t id, uint32_t *ret_at,
                struct packed *ret)
{
    uint32_t at = first(database, id);
    for (uint32_t n = 0; n < GRANT_TABLE_SLOTS && is_used(t, at); n++, at = next(at)) {
        if (!slot_read(&t->slots[at], ret))
            return -RF_EUNAVAIL;
        if (ret->place == place(database, SLOT_USED) && ret->entry.id == id) {
            *ret_at = at;
            return 1;
        }
    }
    return 0;
}

static void drop(struct grant_table *t, unsigned database, uint32_t at)
{
    static const struct packed gone = { .place = SLOT_GONE };
    struct packed p;
    slot_write(&t->slots[at], &gone);
    atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->databases[database].epoch, 1, memory_order_release);
    if (is_used(t, next(at)))
        return;
    while (is_used(t, at) && slot_read(&t->slots[at], &p) && p.place == SLOT_GONE) {
        set_used(t, at, false);
        at = (at + GRANT_TABLE_SLOTS - 1) % GRANT_TABLE_SLOTS;
    }
}

/* Every slot in use, in order; false at the end. *AT begins with 0 and is moved behind the slot. */
static bool each_used(const struct grant_table *t, uint32_t *at)
{
    while (*at < GRANT_TABLE_SLOTS) {
        uint64_t bits = atomic_load_explicit(&t->used[*at / 64], memory_order_acquire);
        bits >>= *at % 64;
        if (bits == 0) {
            *at = (*at / 64 + 1) * 64;
            continue;
        }
        *at += (uint32_t)__builtin_ctzll(bits) + 1;
        return true;
    }
    return false;
}

/* ---- the mapping ---- */

int grant_table_create(int *ret_fd, struct err *err)
{
    int fd = memfd_create("ringfence-grants", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not create the table of grants");
    if (ftruncate(fd, sizeof(struct grant_table)) < 0) {
        int rc = err_sys(err, "could not size the table of grants");
        fd_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int grant_table_map(int fd, enum lease_use use, struct grant_table **ret, struct err *err)
{
    int rights = use == LEASE_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, sizeof(struct grant_table), rights, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return err_sys(err, "could not map the table of grants");
    *ret = at;
    return 0;
}

void grant_table_unmap(struct grant_table *t)
{
    if (t != NULL)
        (void)munmap(t, sizeof(*t));
}

/* ---- control ---- */

void grant_table_adopt(struct grant_table *t)
{
    static const struct packed gone = { .place = SLOT_GONE };
    static const struct identity nobody;
    static const struct suspended unknown;
    struct suspended suspended;
    struct identity id;
    struct packed p;
    uint64_t count = 0;
    for (uint32_t at = 0; each_used(t, &at);) {
        if (!slot_read(&t->slots[at - 1], &p))
            slot_write(&t->slots[at - 1], &gone);
        else if ((p.place & 0xff) == SLOT_USED)
            count++;
    }
    atomic_store_explicit(&t->count, count, memory_order_relaxed);
    for (unsigned d = 0; d < GRANT_TABLE_DATABASES; d++) {
        atomic_store_explicit(&t->databases[d].until_mono_ms, 0, memory_order_release);
        if (!identity_read(&t->databases[d], &id))
            words_write(&t->databases[d].seq, t->databases[d].words, &nobody, sizeof(nobody));
        if (!suspended_read(&t->databases[d], &suspended))
            suspended_write(&t->databases[d], &unknown);
    }
}

int grant_table_claim(struct grant_table *t, const char *alias, unsigned *ret_database)
{
    struct identity id = { .alias = "" };
    size_t len = strlen(alias);
    if (len == 0 || len >= sizeof(id.alias))
        return -RF_ETOOBIG;
    int had = grant_table_database(t, alias);
    for (unsigned d = 0; had < 0 && d < GRANT_TABLE_DATABASES; d++)
        if (identity_read(&t->databases[d], &id) && id.alias[0] == '\0') {
            memcpy(id.alias, alias, len + 1);
            words_write(&t->databases[d].seq, t->databases[d].words, &id, sizeof(id));
            had = (int)d;
        }
    if (had < 0)
        return -RF_ETOOMANY;
    *ret_database = (unsigned)had;
    return 0;
}

void grant_table_retain(struct grant_table *t, const char *const *aliases, size_t count)
{
    static const struct identity nobody;
    static const struct suspended unknown;
    for (unsigned d = 0; d < GRANT_TABLE_DATABASES; d++) {
        struct identity id;
        bool stays = false;
        if (!identity_read(&t->databases[d], &id) || id.alias[0] == '\0')
            continue;
        for (size_t i = 0; i < count; i++)
            stays = stays || strcmp(aliases[i], id.alias) == 0;
        if (stays)
            continue;
        grant_table_lease(t, d, 0);
        grant_table_begin(t, d);
        grant_table_end(t, d);
        suspended_write(&t->databases[d], &unknown);
        words_write(&t->databases[d].seq, t->databases[d].words, &nobody, sizeof(nobody));
    }
}

/* As entries say it that are put now. */
static uint64_t era_now(const struct database *d)
{
    return atomic_load_explicit(&d->era, memory_order_acquire) + 1;
}

/* The era first: who sees the epoch sees it, too. */
void grant_table_new_era(struct grant_table *t, unsigned database)
{
    atomic_fetch_add_explicit(&t->databases[database].era, 1, memory_order_release);
    atomic_fetch_add_explicit(&t->databases[database].epoch, 1, memory_order_release);
}

void grant_table_new_era_of_all(struct grant_table *t)
{
    for (unsigned d = 0; d < GRANT_TABLE_DATABASES; d++)
        grant_table_new_era(t, d);
}

void grant_table_begin(struct grant_table *t, unsigned database)
{
    atomic_fetch_add_explicit(&t->databases[database].round, 1, memory_order_relaxed);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What is known already stays: an end that was nearer, a closing. */
static void keep_what_is_known(struct grant_entry *e, const struct grant_entry *known)
{
    e->closed = e->closed || known->closed;
    e->used_up = e->used_up || known->used_up;
    e->ends_wall_ms = sooner(e->ends_wall_ms, known->ends_wall_ms);
    e->ends_mono_ms = sooner(e->ends_mono_ms, known->ends_mono_ms);
}

static int put(struct grant_table *t, unsigned database, const struct grant_entry *e, uint64_t era)
{
    struct packed old, fresh;
    uint32_t at = 0;
    int found = find(t, database, e->id, &at, &old);
    if (found < 0)
        return found;
    memset(&fresh, 0, sizeof(fresh));
    fresh.place = place(database, SLOT_USED);
    fresh.era = era;
    fresh.entry = *e;
    fresh.entry.withheld = false; /* the era says it */
    if (found == 1) {
        keep_what_is_known(&fresh.entry, &old.entry);
        if (era == 0)
            memcpy(fresh.entry.ref, old.entry.ref, sizeof(fresh.entry.ref));
    } else {
        if (atomic_load_explicit(&t->count, memory_order_relaxed) >= GRANT_TABLE_SLOTS / 2)
            return -RF_ETOOBIG;
        for (at = first(database, e->id); is_used(t, at); at = next(at))
            if (slot_read(&t->slots[at], &old) && old.place == SLOT_GONE)
                break;
    }
    struct slot *slot = &t->slots[at];
    uint64_t round = atomic_load_explicit(&t->databases[database].round, memory_order_relaxed);
    atomic_store_explicit(&slot->round, round, memory_order_relaxed);
    if (found == 1 && is_same(&old, &fresh))
        return 0;
    slot_write(slot, &fresh);
    set_used(t, at, true);
    if (found == 0)
        atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->databases[database].epoch, 1, memory_order_release);
    return 0;
}

int grant_table_put(struct grant_table *t, unsigned database, const struct grant_entry *e)
{
    return put(t, database, e, era_now(&t->databases[database]));
}

int grant_table_withhold(struct grant_table *t, unsigned database, const struct grant_entry *e)
{
    return put(t, database, e, 0);
}

void grant_table_end(struct grant_table *t, unsigned database)
{
    uint64_t round = atomic_load_explicit(&t->databases[database].round, memory_order_relaxed);
    struct packed p;
    for (uint32_t at = 0; each_used(t, &at);) {
        const struct slot *slot = &t->slots[at - 1];
        if (atomic_load_explicit(&slot->round, memory_order_relaxed) != round &&
            slot_read(slot, &p) && p.place == place(database, SLOT_USED))
            drop(t, database, at - 1);
    }
}

void grant_table_drop(struct grant_table *t, unsigned database, uint64_t id)
{
    struct packed p;
    uint32_t at;
    if (find(t, database, id, &at, &p) == 1)
        drop(t, database, at);
}

void grant_table_set_token(struct grant_table *t, unsigned database, const char *token)
{
    struct identity id, fresh;
    struct database *d = &t->databases[database];
    if (!identity_read(d, &id))
        return; /* grant_table_adopt() has seen to it */
    fresh = id;
    memset(fresh.token, 0, sizeof(fresh.token));
    if (token != NULL && strlen(token) == sizeof(fresh.token))
        memcpy(fresh.token, token, sizeof(fresh.token));
    if (memcmp(&id, &fresh, sizeof(id)) != 0)
        words_write(&d->seq, d->words, &fresh, sizeof(fresh));
    explicit_bzero(&id, sizeof(id));
    explicit_bzero(&fresh, sizeof(fresh));
}

void grant_table_lease(struct grant_table *t, unsigned database, int64_t until_mono_ms)
{
    atomic_store_explicit(&t->databases[database].until_mono_ms, until_mono_ms,
                          memory_order_release);
}

void grant_table_suspend(struct grant_table *t, unsigned database, const char *const *actors,
                         size_t count)
{
    struct database *d = &t->databases[database];
    struct suspended old, fresh = { .is_known = 1, .count = count };
    for (size_t i = 0; i < count && i < GRANT_SUSPENDED_MAX; i++) {
        size_t len = strlen(actors[i]);
        if (len < GRANT_NAME_SIZE)
            memcpy(fresh.names[i], actors[i], len + 1);
        else
            fresh.count = GRANT_SUSPENDED_MAX + 1; /* no name of ours is that long */
    }
    if (!suspended_read(d, &old) || memcmp(&old, &fresh, sizeof(old)) != 0)
        suspended_write(d, &fresh);
}

/* ---- everybody ---- */

enum grant_suspended grant_table_suspended(const struct grant_table *t, unsigned database,
                                           const char *actor)
{
    struct suspended s;
    if (database >= GRANT_TABLE_DATABASES || !suspended_read(&t->databases[database], &s) ||
        s.is_known == 0)
        return GRANT_SUSPENDED_UNKNOWN;
    if (s.count > GRANT_SUSPENDED_MAX)
        return GRANT_SUSPENDED_YES;
    for (size_t i = 0; i < s.count; i++)
        if (strcmp(s.names[i], actor) == 0)
            return GRANT_SUSPENDED_YES;
    return GRANT_SUSPENDED_NO;
}

/* Sequence numbers only grow: so does their sum. */
uint64_t grant_table_suspensions(const struct grant_table *t)
{
    uint64_t sum = 0;
    for (unsigned d = 0; d < GRANT_TABLE_DATABASES; d++)
        sum += atomic_load_explicit(&t->databases[d].suspended_seq, memory_order_acquire);
    return sum;
}

int grant_table_database(const struct grant_table *t, const char *alias)
{
    struct identity id;
    int found = -RF_ENOTFOUND;
    for (unsigned d = 0; found < 0 && d < GRANT_TABLE_DATABASES; d++)
        if (identity_read(&t->databases[d], &id) && id.alias[0] != '\0' &&
            strcmp(id.alias, alias) == 0)
            found = (int)d;
    explicit_bzero(&id, sizeof(id)); /* it holds the token */
    return found;
}

bool grant_table_leased(const struct grant_table *t, unsigned database, int64_t now_mono_ms)
{
    return database < GRANT_TABLE_DATABASES &&
           atomic_load_explicit(&t->databases[database].until_mono_ms, memory_order_acquire) >
               now_mono_ms;
}

uint64_t grant_table_epoch(const struct grant_table *t, unsigned database)
{
    return atomic_load_explicit(&t->databases[database].epoch, memory_order_acquire);
}

int grant_table_look(const struct grant_table *t, unsigned database, uint64_t id,
                     struct grant_entry *ret)
{
    struct packed p;
    uint32_t at;
    int found = database < GRANT_TABLE_DATABASES ? find(t, database, id, &at, &p) : 0;
    if (found != 1)
        return found;
    *ret = p.entry;
    ret->withheld = p.era != era_now(&t->databases[database]);
    return 1;
}

bool grant_table_token_is(const struct grant_table *t, unsigned database,
                          const char token[GRANT_TOKEN_LEN])
{
    struct identity id;
    uint8_t differs = 0, any = 0;
    if (database >= GRANT_TABLE_DATABASES || !identity_read(&t->databases[database], &id))
        return false;
    for (size_t i = 0; i < GRANT_TOKEN_LEN; i++) {
        differs |= (uint8_t)(id.token[i] ^ token[i]);
        any |= (uint8_t)id.token[i];
    }
    explicit_bzero(&id, sizeof(id));
    return differs == 0 && any != 0;
}

bool grant_entry_is_over(const struct grant_entry *e, int64_t now_mono_ms, int64_t now_wall_ms)
{
    return e->closed || now_mono_ms >= e->ends_mono_ms || now_wall_ms >= e->ends_wall_ms;
}
