/* cancel.h - pass a cancel request on to the server that runs the statement. */
#ifndef RF_GATE_CANCEL_H
#define RF_GATE_CANCEL_H

#include "gate/link.h"

struct backend;

/* Deliver a cancel request for TARGET's server by a connection of its own. A pooled BACKEND (or
   NULL) is not lent to anybody else until that is over. */
void cancel_send(struct link *target, struct backend *backend);

#endif
