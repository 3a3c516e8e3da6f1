/* lookmaker.h - a region's logs in which one person was looked at, made of lines of text.
 *
 * The subject is "ann", the VRF key is fixed, and so is all else: the same lines, the same logs.
 *     log                     the next log begins: log.example/0, then /1, …
 *     look CLASSES [+N] [held]
 *                             a disclosure of ann (and of somebody else), N minutes later; what is
 *                             held is shown by "opened ref=LEAF purpose=support_ticket salt=s"
 * Every other line is logmaker's; a genesis gets the VRF key. Lines that mean nothing are left out.
 */
#ifndef RF_TESTS_LOOKMAKER_H
#define RF_TESTS_LOOKMAKER_H

#include "ledger/tag.h"
#include "logmaker.h"
#include "memlog.h"
#include "verify/looking.h"

enum { LOOKMAKER_LOGS = 4, LOOKMAKER_LOOKS = 200, LOOKMAKER_LINE_MAX = 800 };

#define LOOKMAKER_SUBJECT "ann"
#define LOOKMAKER_REGION  "us-virginia"

struct lookmaker_look { /* what is true */
    unsigned log;
    char epoch[TAG_EPOCH_SIZE], classes[64];
    uint64_t leaf, n;
    int64_t time_ms;
};

struct lookmaker {
    uint8_t secret[VRF_SECRET_LEN];
    struct lookmaker_log {
        struct secret_key key;
        struct logmaker_options options;
        struct logmaker *maker;
        struct memlog files;
        struct source *source;
    } logs[LOOKMAKER_LOGS];
    unsigned count;
    struct lookmaker_look looks[LOOKMAKER_LOOKS];
    unsigned look_count;
};

/* digest_init() and sodium_init() were called. M is large: not for the stack. */
void lookmaker_make(struct lookmaker *m, const char *text, size_t n);
void lookmaker_done(struct lookmaker *m);

/* As `who-looked` does it: all logs verified, and what is in them for ann. Negative: refused.
 *RET is the caller's in any case, and NULL when there is none. */
int lookmaker_look(struct lookmaker *m, const char *const *epochs, size_t epoch_count,
                   struct looking **ret, struct err *err);
/* The truth about access I of L; NULL: it is not one of those that were made. */
const struct lookmaker_look *lookmaker_find(const struct lookmaker *m, const struct looking *l,
                                            size_t i);

#endif
