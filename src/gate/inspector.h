/* inspector.h - a worker's line to the parser process.
 *
 * One question at a time, so that when the parser dies over a text it is known which one: that one
 * is answered "too complex", the others are asked again of the next parser. */
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

/* Ask about SQL (copied). on_report follows, never from inside. -RF_ETOOBIG, -RF_ENOMEM. */
RF_CHECK int inspector_ask(struct inspector *i, struct inspection *q, const char *sql, size_t len);
void inspector_forget(struct inspector *i, struct inspection *q);

#endif
