/* grant_table.h - the grants of every region as control last saw them, for workers to look up.
 *
 * Control asks each region's servers a few times a second which grants are open and publishes the
 * answer here; workers map it read-only and look before they let a session in, before they release
 * a byte, and a few times a second. Three things say that a grant is over, and the first one
 * counts: the entry is closed or gone; its time has passed by CLOCK_MONOTONIC (set once from what
 * the server said remains, and only ever moved down, so that no clock that steps back lengthens
 * it); or it has passed by the wall clock. A region's lease says how old the answer may be: without
 * one, workers release nothing more under a grant.
 *
 * An entry counts under the era of its database in which it was put. A new era begins when other
 * rules do, or others are suspended: from that moment on every entry is withheld, which one store
 * brings about, until control has proven it anew and puts it again. Workers hold the bytes of a
 * session whose grant is withheld, and end it when that takes longer than their patience.
 *
 * Beside the grants stands who is suspended in each region. A region of which control has not said
 * so yet lets no person in.
 *
 * The mapping is a memfd of the supervisor's, sparse: entries of following ids lie side by side, so
 * memory is used by the grants there are. Each entry has a sequence number that is odd while it is
 * being written. Entries outlive control: a new one takes over what the old one left, so that
 * sessions survive a restart of control that is shorter than their patience. */
#ifndef RF_PRIV_GRANT_TABLE_H
#define RF_PRIV_GRANT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "priv/lease.h"

enum {
    GRANT_TABLE_SLOTS = 1 << 18, /* at most half are used: chains stay short */
    GRANT_TABLE_DATABASES = LEASE_SLOTS,
    GRANT_LEASE_MS = 1000,
    GRANT_NAME_SIZE = 64,
    GRANT_ALIAS_SIZE = 128,
    GRANT_REF_SIZE = 280, /* `INDEX ORIGIN`: a number, a blank, 255 characters */
    GRANT_TOKEN_LEN = 32,
    GRANT_SUSPENDED_MAX = 256 /* in a region; of more, everybody is */
};

struct grant_entry {
    uint64_t id;
    int64_t ends_wall_ms, ends_mono_ms;
    uint64_t subjects;
    uint32_t classes; /* bit 1 << enum class_id */
    bool closed;
    bool
        withheld; /* as it was looked up: nobody has said yet that it is good under the new rules */
    bool used_up; /* and closed: nothing of its budget was left */
    uint64_t rows, bytes; /* its budget, or BUDGET_UNLIMITED (priv/budget_table.h) */
    char actor[GRANT_NAME_SIZE], role[GRANT_NAME_SIZE], purpose[GRANT_NAME_SIZE];
    char ref[GRANT_REF_SIZE]; /* of the leaf that the registrar put on record; "": none */
};

struct grant_table; /* the mapping */

/* A new, empty mapping; *RET_FD is the caller's. lease_open_read() makes the workers' one. */
RF_CHECK int grant_table_create(int *ret_fd, struct err *err);

/* Map FD (stays the caller's). */
RF_CHECK int grant_table_map(int fd, enum lease_use use, struct grant_table **ret, struct err *err);
void grant_table_unmap(struct grant_table *t); /* NULL is welcome */

/* ---- control alone ---- */

/* Set right what a control that was killed left half-written. Once, before everything else. */
void grant_table_adopt(struct grant_table *t);

/* The place of a database, by its alias: the one it had, or a new one. -RF_ETOOBIG for an alias
   that is too long, -RF_ETOOMANY. */
RF_CHECK int grant_table_claim(struct grant_table *t, const char *alias, unsigned *ret_database);

/* Forget every database whose alias is not among ALIASES (COUNT). */
void grant_table_retain(struct grant_table *t, const char *const *aliases, size_t count);

/* Whatever is there, of that database or of all of them, is withheld until it is put again. */
void grant_table_new_era(struct grant_table *t, unsigned database);
void grant_table_new_era_of_all(struct grant_table *t);

/* One answer of a database: begin, put every grant, end. What was not put is gone afterwards.
   -RF_ETOOBIG: there are too many grants, this one was left out. */
void grant_table_begin(struct grant_table *t, unsigned database);
RF_CHECK int grant_table_put(struct grant_table *t, unsigned database, const struct grant_entry *e);
/* Like put, of one that is not known to be good: it is there, and withheld. The ref of its leaf
   stays what it was. */
RF_CHECK int grant_table_withhold(struct grant_table *t, unsigned database,
                                  const struct grant_entry *e);
void grant_table_end(struct grant_table *t, unsigned database);

/* Between answers, put and withhold change one grant, too; drop takes one away. */
void grant_table_drop(struct grant_table *t, unsigned database, uint64_t id);

/* The token of RF001 messages; NULL: none, no message is believed. */
void grant_table_set_token(struct grant_table *t, unsigned database, const char *token);

void grant_table_lease(struct grant_table *t, unsigned database, int64_t until_mono_ms);

/* Who is suspended there, all of them. */
void grant_table_suspend(struct grant_table *t, unsigned database, const char *const *actors,
                         size_t count);

/* ---- everybody ---- */

/* UNKNOWN: control has not said it yet, or is about to. */
enum grant_suspended { GRANT_SUSPENDED_UNKNOWN, GRANT_SUSPENDED_NO, GRANT_SUSPENDED_YES };
enum grant_suspended grant_table_suspended(const struct grant_table *t, unsigned database,
                                           const char *actor);

/* Changes whenever somebody is suspended in any region, or may act again. */
uint64_t grant_table_suspensions(const struct grant_table *t);

/* The place of a database; negative when control has not claimed one. */
RF_CHECK int grant_table_database(const struct grant_table *t, const char *alias);

bool grant_table_leased(const struct grant_table *t, unsigned database, int64_t now_mono_ms);

/* Changes whenever an entry of that database changes or goes. */
uint64_t grant_table_epoch(const struct grant_table *t, unsigned database);

/* 1 and *RET, 0: there is no such grant, -RF_EUNAVAIL: it is being written and its writer does not
   go on. */
RF_CHECK int grant_table_look(const struct grant_table *t, unsigned database, uint64_t id,
                              struct grant_entry *ret);

/* Is this the token? Takes the same time whatever the answer. */
bool grant_table_token_is(const struct grant_table *t, unsigned database,
                          const char token[GRANT_TOKEN_LEN]);

bool grant_entry_is_over(const struct grant_entry *e, int64_t now_mono_ms, int64_t now_wall_ms);

#endif
