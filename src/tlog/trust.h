/* trust.h - whom to believe about a log: its key, its witnesses, their quorum (C2SP tlog-policy).
 */
#ifndef RF_TLOG_TRUST_H
#define RF_TLOG_TRUST_H

#include "tlog/note.h"

enum {
    TRUST_MAX = 64,
    TRUST_NAME_MAX = KEY_NAME_MAX,
    TRUST_URL_MAX = 512,
    TRUST_FILE_MAX = 256 * 1024
};

struct trust_witness {
    char name[TRUST_NAME_MAX + 1]; /* in the file; groups refer to it */
    struct key key;
    char url[TRUST_URL_MAX]; /* submission prefix, or "" */
};

struct trust_group {
    char name[TRUST_NAME_MAX + 1];
    unsigned needed;
    unsigned member_count;
    unsigned short members[2 * TRUST_MAX]; /* < TRUST_MAX a witness, else TRUST_MAX + a group */
};

struct trust {
    struct key logs[TRUST_MAX];
    char log_urls[TRUST_MAX][TRUST_URL_MAX];
    unsigned log_count;
    struct trust_witness witnesses[TRUST_MAX];
    unsigned witness_count;
    struct trust_group groups[TRUST_MAX];
    unsigned group_count;
    int quorum; /* as in `members`; -1: none */
};

/* -RF_ECONFIG: ERR names the line, and *RET holds part of the file. Witnesses' keys are Ed25519
   ones (type 04). The struct is large: not on a small stack. */
RF_CHECK int trust_read(const char *text, size_t len, struct trust *ret, struct err *err);
RF_CHECK int trust_load(const char *path, struct trust *ret, struct err *err);

/* Is the quorum reached by the witnesses marked in HAVE (by index)? No quorum: true. */
bool trust_is_met(const struct trust *t, const bool have[TRUST_MAX]);

#endif
