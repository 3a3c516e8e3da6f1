/* ruling.h - which policy rules, and whether another one may follow it
 * (docs/decisions/0022-a-policy-rules-when-signed.md).
 *
 * STATE/policy/ruling       bytes of the policy that rules; not there: none has ruled here
 *              ruling.sig   signatures that it came with
 *              before       bytes of the policy that ruled before it, whose signers those are
 *              next[.sig]   of one that is being taken over; nothing when found at a start
 *              announced    "DIGEST MS\n": which one waits, and from when on it rules
 *
 * What is in `ruling` is decided by one rename. */
#ifndef RF_SUPER_RULING_H
#define RF_SUPER_RULING_H

#include "enforce/widening.h"
#include "policy/policy_signers.h"

struct ruling {            /* owned */
    struct policy *policy; /* NULL: none has ruled here */
    char *text;
    size_t len;
};

/* NAME: how messages call the policy file. A file that is there and cannot be read or understood is
   an error, not a policy that never was. */
RF_CHECK int ruling_read(const char *state_dir, const char *name, struct ruling *ret,
                         struct err *err);
void ruling_done(struct ruling *r);

struct announced {
    uint8_t digest[32];
    int64_t from_ms; /* wall clock; 0: none waits */
};
/* One that cannot be understood is none: then it is announced anew. */
RF_CHECK int announced_read(const char *state_dir, struct announced *ret, struct err *err);

enum standing_kind {
    STANDING_RULES,    /* these are the bytes that rule */
    STANDING_ACCEPTED, /* they may follow */
    STANDING_WAITS,    /* they may, when their time has come */
    STANDING_REFUSED
};

enum { STANDING_TEXT_SIZE = 500 };

struct standing {
    enum standing_kind kind;
    uint8_t digest[32]; /* of the policy that is judged */
    bool is_counted;    /* the policy before names signers: VALID of QUORUM have signed */
    uint8_t by[32];     /* is_counted: digest of that policy */
    unsigned valid;
    int64_t quorum;    /* 0: nobody had to sign */
    int64_t from_ms;   /* WAITS: until then; wall clock */
    bool is_announced; /* WAITS: that was known already */
    char signed_by[STANDING_TEXT_SIZE], missing[STANDING_TEXT_SIZE]; /* names; QUORUM > 0 */
    char why[STANDING_TEXT_SIZE]; /* REFUSED: a sentence; WAITS: what widens first */
    char hint[STANDING_TEXT_SIZE];
};

/* May NEXT, beside which SIGS lie, follow RULING (policy NULL: none rules)? Fails for want of
   memory alone. */
RF_CHECK int standing_judge(const struct policy_bytes *ruling, const struct policy_bytes *next,
                            const char *sigs, size_t sigs_len, const struct announced *announced,
                            int64_t now_ms, struct standing *ret, struct err *err);

/* The policy of RULING rules: by whose signatures, as far as the state folder still knows. A log
   that has not heard of it asks for them. STANDING is left as it is where nothing is known;
   *RET_SIGS is the caller's, NULL: none. NAME as in ruling_read(). */
RF_CHECK int standing_recall(const char *state_dir, const char *name,
                             const struct policy_bytes *ruling, struct standing *standing,
                             char **ret_sigs, size_t *ret_len, struct err *err);

/* The signatures beside the policy file at PATH: none when there is no such file. */
RF_CHECK int signatures_read(const char *path, char **ret, size_t *ret_len, struct err *err);

/* Put a policy down that will rule; ruling_commit() makes it the one that does. */
RF_CHECK int ruling_prepare(const char *state_dir, const struct policy_bytes *next,
                            const char *sigs, size_t sigs_len, struct err *err);
RF_CHECK int ruling_commit(const char *state_dir, struct err *err);

/* Remember that WHICH waits; from_ms 0: none does any more. */
RF_CHECK int ruling_announce(const char *state_dir, const struct announced *which, struct err *err);

#endif
