/* inspector.h - a worker's line to the parser process.
 *
 * One question at a time, so that when the parser dies over a text it is known which one: that one
 * is answered "too complex", the others are asked again of the next parser. A parser that talks
 * nonsense, or hangs up and is not replaced, is complained of until there is another one. */
#ifndef RF_GATE_INSPECTOR_H
#define RF_GATE_INSPECTOR_H

#include "guard/guard.h"
#include "io/loop.h"

struct inspector;

/* One question; lives in its owner. */
struct inspection {
    /* REPORT is valid during the call only. */
    void (*on_report)(struct inspection *q, const struct guard_report *report);
    struct inspection *next;
    char *sql;
    size_t len;
    bool waiting;
};

RF_CHECK int inspector_new(struct loop *l, struct inspector **ret, struct err *err);
void inspector_free(struct inspector *i);
void inspector_connect(struct inspector *i, int fd); /* a (new) socket to the parser */

/* ON_BAD asks for another parser. It is called at once for a malformed answer, and every
   INSPECTOR_PATIENCE_MS as long as there is no parser: one that died is replaced much sooner. */
enum { INSPECTOR_PATIENCE_MS = 2000 };
void inspector_complain_to(struct inspector *i, void (*on_bad)(void *arg), void *arg);

/* Ask about SQL (copied). on_report follows, never from inside. -RF_ETOOBIG, -RF_ENOMEM. */
RF_CHECK int inspector_ask(struct inspector *i, struct inspection *q, const char *sql, size_t len);
void inspector_forget(struct inspector *i, struct inspection *q);

#endif
