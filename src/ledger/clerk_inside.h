/* clerk_inside.h - shared by the files of the clerk only. */
#ifndef RF_LEDGER_CLERK_INSIDE_H
#define RF_LEDGER_CLERK_INSIDE_H

#include <limits.h>

#include "ledger/clerk.h"
#include "ledger/frame.h"
#include "ledger/leaf.h"
#include "ledger/meter.h"
#include "ledger/repeat.h"
#include "ledger/tag_book.h"
#include "priv/grant_table.h"
#include "tlog/key.h"

enum {
    SUM_GROUPS_MAX =
        4096, /* words of the policy bound it; past it the group "unlisted" takes all */
    SUM_BUCKETS = 1024,
    SUM_GROUPS_OTHER = 64, /* "unlisted": of each type, room and interval */
    GRANT_BUCKETS = 1 << 14,
    CLERK_A_TICK = 8192, /* grants, and held purposes, that a tick looks at: a part of a ms each */
    SUM_SLOTS = METER_WORKERS_MAX * METER_SLOTS_PER_WORKER,
    DETAIL_MAX = 64 * 1024,
};

/* One roll-up in the making: everything but the numbers is the group. Purpose and version are those
   of consents alone, whose statements are those given and whose rows those withdrawn. */
struct sum {
    enum logleaf_type type;
    uint32_t from; /* minute its interval begins with */
    char entity[RECORD_WORD_MAX + 1], place[3], room[RECORD_WORD_MAX + 1];
    char actor_kind[RECORD_WORD_MAX + 1], rule[RECORD_WORD_MAX + 1];
    char purpose[RECORD_WORD_MAX + 1], version[RECORD_WORD_MAX + 1];
    uint32_t next; /* in its chain: a place in the array, from 1 */
    uint64_t sessions, statements, rows, bytes, denials, alerts, reviewed;
};

struct totals { /* of one slot, as its last record said them */
    uint64_t statements, rows, bytes;
};

struct known_grant {
    uint64_t id, leaf;            /* index of its leaf in the log */
    char alias[GRANT_ALIAS_SIZE]; /* of its database; "": the day that knew it was erased */
    uint32_t until;               /* minute, as its leaf says */
    uint32_t awaited; /* it may be in no table yet, up to this minute; 0: it was in one */
    uint32_t classes; /* bits, as its leaf says; 0: "unlisted" */
    char
        purpose[RECORD_WORD_MAX + 1]; /* of its leaf, or that it holds; "": nobody knows any more */
    int64_t ends_ms;                  /* wall clock, as control published it; 0: not known */
    int64_t over_ms; /* wall clock: when it was first seen to be over; 0: not yet */
    uint32_t next;   /* in its chain: a place in the array, from 1 */
    bool used_up;    /* seen to be over for that reason */
};

struct held_leaf {
    uint64_t leaf;
    uint32_t minute;
    char purpose[RECORD_WORD_MAX + 1];
    uint8_t salt[DIGEST_LEN];
};

struct since { /* the last seal of a kind */
    uint64_t disclosures, leaves;
};

/* A grant that the registrar put on record is in no table before the database has opened it: it is
   not looked for so long. Whoever opens it later puts it on record anew. */
enum { CLERK_AWAIT_MINUTES = 5 };
enum { CLERK_REF_SIZE = KEY_NAME_MAX + 24 };
enum { MEMBERS_MAX = 64 }; /* as many logs as a reader of the roster takes */

struct clerk {
    struct journal *journal;
    const struct grant_table *grants_table;
    char origin[KEY_NAME_MAX + 1], region_name[RECORD_WORD_MAX + 1], epoch_spec[16];
    char vkey[KEY_VKEY_SIZE];
    uint8_t vrf_public[VRF_PUBLIC_LEN];
    char predecessor[CLERK_REF_SIZE];            /* `INDEX ORIGIN`, or "" */
    uint8_t continues[KEY_SIGNATURE_LEN];        /* our signature under it */
    char members[MEMBERS_MAX][KEY_NAME_MAX + 1]; /* origins that `member` leaves name */
    unsigned member_count;
    struct clerk_end end;  /* origin "": there is no `successor` */
    bool is_ending;        /* a roll-up of an interval that had not ended, and no `successor` */
    uint32_t rollup, seal; /* minutes */
    struct tag_period period;
    struct tag_book *book;
    uint64_t leaves;       /* index of the next leaf */
    uint32_t epoch_minute; /* a minute in the present epoch; 0: before genesis */
    uint32_t seal_minute;  /* the next interval seal is due then */
    struct since since_interval, since_epoch;
    uint64_t policy_leaf;
    uint8_t policy_digest[DIGEST_LEN]; /* as that leaf says, like the next */
    uint64_t policy_quorum;            /* 0: that policy names no signers */
    struct sum *sums;
    size_t sum_count, sum_room;
    uint32_t sum_heads[SUM_BUCKETS]; /* chains of groups */
    uint32_t sum_oldest;             /* begin of the oldest interval, while there are groups */
    uint64_t slots_start;
    struct totals *slots;
    struct known_grant *grants;
    size_t grant_count, grant_room;
    size_t grant_at;                     /* those from here on have been looked at in this round */
    uint32_t grant_heads[GRANT_BUCKETS]; /* chains of grants */
    struct repeat_set repeats;
    struct held_leaf *held;
    size_t held_count, held_room, held_at; /* the same */
    uint8_t held_hash[DIGEST_LEN];
    struct buf detail;
    char snapshot_path[PATH_MAX]; /* "": none is kept */
    uint64_t snapshot_index;      /* of the entry that comes next after the last snapshot */
    struct buf fresh;             /* of a disclosure: what no leaf of the hour has said */
};

enum { CLERK_SIZE_OF_SNAPSHOT = 92968 }; /* of the structs that clerk_snapshot.c writes and reads */

/* ---- snapshots (clerk_snapshot.c) ---- */

struct clerk_place { /* of the journal: chain value before the entry of INDEX */
    uint64_t index;
    uint8_t chain[DIGEST_LEN];
};

bool clerk_snapshot_is_due(const struct clerk *c);
/* Take everything from the snapshot: false, and as before, when there is none that fits. Whether it
   is of this journal is for the caller to see. C knows nothing yet. */
bool clerk_snapshot_load(struct clerk *c, struct clerk_place *ret);
/* Know nothing again. */
void clerk_forget(struct clerk *c);
RF_CHECK int sum_restore(struct clerk *c, const struct sum *s);                     /* -RF_ENOMEM */
RF_CHECK int clerk_grant_restore(struct clerk *c, const struct known_grant *grant); /* likewise */
RF_CHECK int hold_restore(struct clerk *c, const struct held_leaf *h);              /* likewise */

/* ---- sums (clerk_sum.c) ---- */

enum { SUM_GROUPS_A_RECORD = 2 };

/* Room for what one record may add. -RF_ENOMEM. */
RF_CHECK int sum_reserve(struct clerk *c);
/* What a record adds, in the room that was reserved. Words borrow and need no NUL. */
void sum_record(struct clerk *c, const struct policy_region *region, const struct leaf *record);
/* A roll-up was written: its group is done with. */
void sum_forget(struct clerk *c, const struct logleaf *leaf);
/* Sort the groups whose interval ended by MINUTE to the front: how many. */
size_t sum_due(struct clerk *c, uint32_t minute);
void sum_leaf(const struct clerk *c, const struct sum *s, int64_t small_cell, struct logleaf *ret);
void sum_drop_first(struct clerk *c, size_t count);

/* ---- state that leaves carry (clerk_replay.c) ---- */

/* LEAF stands in the journal: it has the next index. Everything that the clerk knows of leaves
   comes through here, live and after a start. */
RF_CHECK int clerk_note(struct clerk *c, const struct logleaf *leaf, struct err *err);
/* Everything that a leaf of MINUTE comes after. */
RF_CHECK int clerk_boundaries(struct clerk *c, const struct policy *policy, uint32_t minute,
                              int64_t now_ms, struct err *err);
RF_CHECK int clerk_roll_up(struct clerk *c, const struct policy *policy, uint32_t minute,
                           int64_t now_ms, struct err *err);
RF_CHECK int clerk_seal_epoch(struct clerk *c, int64_t now_ms, struct err *err);
RF_CHECK int clerk_seal_interval(struct clerk *c, int64_t now_ms, struct err *err);
/* LEAF into the journal's batch; DETAIL is its private part. */
RF_CHECK int clerk_own_leaf(struct clerk *c, struct logleaf *leaf, const char *detail,
                            int64_t now_ms, struct err *err);
/* The same with the private part of what was SAID, as message SEQ of INSTANCE; what hold_put() put
   down for it is settled. */
RF_CHECK int clerk_detailed_leaf(struct clerk *c, struct logleaf *leaf, const struct record *said,
                                 const struct record *published, uint64_t instance, uint64_t seq,
                                 int64_t now_ms, struct err *err);
void clerk_ref(const struct clerk *c, uint64_t leaf, char ret[CLERK_REF_SIZE]); /* of this log */
/* A record of the registrar becomes its leaf (clerk_asked.c). */
RF_CHECK int clerk_asked(struct clerk *c, const struct policy *policy, const struct record *said,
                         uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err);
/* So that clerk_note() and sum_record() cannot fail behind an entry that was made: what is live
   would differ from what a start reads. -RF_ENOMEM. */
RF_CHECK int clerk_reserve(struct clerk *c, struct err *err);
uint32_t clerk_next_epoch(struct tag_period period, uint32_t minute); /* its first minute */
/* Bits of the classes in LIST (commas between); 0: one of them is none. */
uint32_t clerk_class_bits(const char *list);
/* Numbers are those of a database: ALIAS (NULL: any). NULL: not known. */
struct known_grant *clerk_grant(struct clerk *c, uint64_t id, const char *alias);

/* ---- held purposes (clerk_hold.c) ---- */

enum { HOLD_DETAIL_SIZE = 160 };

const struct policy_hold *hold_of(const struct policy *policy,
                                  const char *purpose); /* NULL: none */
/* Set PURPOSE in LEAF, the next one, or a commitment to it: then DETAIL is not empty and belongs
   into the private part. hold_settle() says what became of that leaf. */
RF_CHECK int hold_put(struct clerk *c, const struct policy *policy, const char *purpose,
                      struct logleaf *leaf, char detail[HOLD_DETAIL_SIZE]);
void hold_settle(struct clerk *c, uint64_t leaf, uint32_t minute, bool is_written);
void hold_forget(struct clerk *c, const struct logleaf *opened);
/* Is its time over by MINUTE? */
bool hold_is_due(const struct held_leaf *h, const struct policy *policy, uint32_t minute);
/* After a start: the next leaf, of MINUTE, has `held`, and this is its private part. -RF_ENOMEM. */
RF_CHECK int hold_replay(struct clerk *c, uint32_t minute, const void *private_part, size_t n);

#endif
