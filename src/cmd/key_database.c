#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "cmd/keycommand.h"
#include "control/logsize.h"

/* Until the question at hand is answered, or is over otherwise. */
static void wait_turn(struct logsize *l)
{
    struct pollfd p = { .fd = logsize_fd(l), .events = l->events };
    int64_t left = logsize_due_ms(l) - clock_mono_ms();
    int n = poll(&p, 1, left <= 0 ? 0 : left < INT_MAX ? (int)left : INT_MAX);
    logsize_turn(l, n > 0 && p.revents != 0);
}

int key_database_ask(const struct config *config, const struct sight *ours, struct sight *ret,
                     struct err *err)
{
    struct logsize l = { .signed_ = *ours }; /* which logsize_init() leaves */
    size_t servers = config->databases[0].primary_count;
    logsize_init(&l, config);
    for (size_t i = 0; i < servers && !l.seen.is_answered; i++) {
        l.is_news = false;
        logsize_ask(&l); /* the next server, and at once */
        while (!l.is_news || l.state != LOGSIZE_REST)
            wait_turn(&l);
    }
    logsize_done(&l);
    *ret = l.seen;
    if (ret->is_answered)
        return 0;
    (void)err_set(err, RF_EUNAVAIL,
                  "the primary of database \"%.100s\" does not say how large the log was",
                  config->databases[0].alias);
    err_hint(err, "if folders of this gateway were rolled back, nobody else may know: run it again "
                  "when the primary answers, or say --without-database if none were");
    return -RF_EUNAVAIL;
}
