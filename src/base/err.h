/* err.h - what failed, for whom: a line for the client, a detail for the operator, a hint.
 *
 * Fallible functions return 0 or a negative RF_E… code and fill a caller-owned struct err, which
 * may be NULL where the caller wants the code only. Wording follows PostgreSQL's error style guide:
 * lower case, no full stop, the thing named and quoted, "could not" when trying again may help and
 * "cannot" when it will not. Nothing secret or personal goes into any of the three texts. */
#ifndef RF_BASE_ERR_H
#define RF_BASE_ERR_H

#include "base/attr.h"

enum err_code {
    RF_OK = 0,
#define ERROR(name, category, sqlstate, exit, sentence) RF_##name,
#include "base/tbl/error.def"
#undef ERROR
    RF_ERROR_COUNT
};

enum err_category { ERR_CALLER, ERR_PEER, ERR_POLICY, ERR_SYSTEM, ERR_LIMIT };

struct err {
    int code;         /* RF_OK or a positive enum err_code */
    char sqlstate[6]; /* empty: the code's own */
    char line[400];   /* for the client and the operator */
    char detail[600]; /* for the operator's log only */
    char hint[300];   /* what to do about it */
};

/* Fill E (may be NULL) and return -CODE, so that callers can write `return err_set(…)`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) RF_PRINTF(3, 4);

/* The same for a failed system call: appends ": " and the text of errno; ENOMEM, ENOSPC and EDQUOT
   choose their own codes, everything else is RF_ESYS. */
int err_sys(struct err *e, const char *fmt, ...) RF_PRINTF(2, 3);

/* Add to an error that is already set; both tolerate NULL. */
void err_detail(struct err *e, const char *fmt, ...) RF_PRINTF(2, 3);
void err_hint(struct err *e, const char *fmt, ...) RF_PRINTF(2, 3);
void err_sqlstate(struct err *e, const char *sqlstate);

void err_clear(struct err *e);

/* Facts of the table. CODE may be given positive or negative. */
const char *err_name(int code);
const char *err_sentence(int code);
const char *err_state_of(const struct err *e); /* five characters, never NULL */
enum err_category err_category_of(int code);
int err_exit_status(int code);

#endif
