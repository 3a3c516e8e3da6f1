/* builtin.h - who may call the functions of pg_catalog: what the lists say against what is there.
 *
 * PostgreSQL gives them to everybody (PUBLIC), and a person is part of everybody. So what PUBLIC
 * has is moved to groups: rf_function for all roles that are not persons, rf_everybody, which is
 * part of it, also for what services shall not have, and rf_person for the list of what is harmless
 * (tbl/function.def). Only what PUBLIC has is ever moved: what an administrator, or PostgreSQL
 * itself, keeps closed stays closed. All of it is compared by the server, in one query whose answer
 * is a few lines long, because there are 3,300 such functions. */
#ifndef RF_ENFORCE_BUILTIN_H
#define RF_ENFORCE_BUILTIN_H

#include "enforce/database.h"
#include "enforce/sql.h"
#include "policy/arena.h"

struct builtin_change {
    const char *grantee;  /* NULL: PUBLIC */
    bool is_grant;        /* else REVOKE */
    size_t count;         /* of functions */
    const char *example;  /* one of them: "abs(bigint)" */
    const char *routines; /* all, quoted, with commas between */
};

/* Functions alone: ALLOWED is what the design wants, LISTED only takes the worst away. */
enum builtin_mode { BUILTIN_ALLOWED, BUILTIN_LISTED };

/* What has to change. Strings live in ARENA; the array too. Readable by every role. */
RF_CHECK int builtin_read(struct database *db, enum builtin_mode mode, struct arena *arena,
                          struct builtin_change **ret_changes, size_t *ret_count, struct err *err);

#endif
