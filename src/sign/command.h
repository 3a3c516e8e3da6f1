/* command.h - the text that a person signs to make Ringfence do something
 * (docs/formats/commands.md).
 *
 * One table of keys and one of verbs (tbl/command_key.def, tbl/command_verb.def) serve writer,
 * reader and checks. Pure. */
#ifndef RF_SIGN_COMMAND_H
#define RF_SIGN_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

enum {
    COMMAND_MAX = 16384,
    COMMAND_VALUE_MAX = 512,
    COMMAND_LIST_MAX = 100,
    COMMAND_NONCE_SIZE = 32 + 1,
    COMMAND_AHEAD_S = 600 /* how far `expires` may be ahead */
};

enum command_verb {
    COMMAND_NONE,
    COMMAND_FIND,
    COMMAND_REQUEST,
    COMMAND_BREAK_GLASS,
    COMMAND_APPROVE,
    COMMAND_DENY,
    COMMAND_REVOKE,
    COMMAND_REVIEW,
    COMMAND_GRANTS,
    COMMAND_LIFT,
    COMMAND_REVIEW_ALERT,
    COMMAND_HOLD,
    COMMAND_TRACE,
    COMMAND_CONSENT_GIVE,
    COMMAND_CONSENT_WITHDRAW,
    COMMAND_CONSENT_SHOW,
    COMMAND_VERB_COUNT
};

/* NULL, zero: not said. Strings end in NUL. */
struct command {
    enum command_verb verb;
    const char *region, *actor;
    uint64_t request, alert;
    const char *requester;
    const char *person;
    const char *by, *value;
    const char *subjects[COMMAND_LIST_MAX];
    size_t subject_count;
    const char *classes[COMMAND_LIST_MAX];
    size_t class_count;
    const char *leaked[COMMAND_LIST_MAX];
    size_t leaked_count;
    const char *purpose, *reference, *authority;
    int64_t seconds;
    int64_t until_s; /* since 1970 */
    const char *verdict, *reason;
    const char *version, *parental;
    const char *digest; /* key `command` */
    const char *nonce;
    int64_t expires_s; /* since 1970 */
};

/* Append the text. -RF_EINVAL with a reason that names the key: a verb lacks it or may not have it,
   or its value is not well-formed; -RF_ETOOBIG; -RF_ENOMEM. */
RF_CHECK int command_write(struct buf *to, const struct command *c, struct err *err);

/* Strings of *RET borrow from COPY, which has room for n + 1 bytes and gets the text. -RF_EPROTO
   with a reason for anything that command_write() would not have written. */
RF_CHECK int command_read(const char *text, size_t n, char *copy, struct command *ret,
                          struct err *err);

/* What an approver signs about the request of TEXT (n bytes, read into OF): everything but reason,
   nonce, expires and the request's number is set. Borrows from OF and DIGEST, which is filled. */
void command_answer(const struct command *of, const char *text, size_t n, enum command_verb verb,
                    const char *actor, char digest[65], struct command *ret);

/* Does the approval or denial A speak of just the request OF, whose text has DIGEST (hex)? */
bool command_is_about(const struct command *a, const struct command *of, const char *digest);

const char *command_verb_name(enum command_verb verb);
const char *command_namespace(enum command_verb verb); /* "ringfence-command@1", … */

#endif
