/* service.h - sessions of services: pooled server connections, bytes passed on, rows counted.
 *
 * Session pooling lends a connection at login until logout. Transaction pooling lends one from a
 * client's first message until the server is idle and owes nothing; named prepared statements and
 * reported parameters follow the client (prepared.h, settings.h). Bodies are never copied whole,
 * except messages that carry the name of a prepared statement under transaction pooling. */
#ifndef RF_GATE_SERVICE_H
#define RF_GATE_SERVICE_H

#include <stdbool.h>

#include "gate/session.h"

/* SESSION has been admitted by policy: find it a connection, then greet it. Its login's parameters
   are looked at now. */
RF_CHECK int service_begin(struct session *s, struct err *err);
void service_on_data(struct session *s, const uint8_t *bytes, size_t n);
void service_resume(struct session *s);               /* look again at what is in s->in */
bool service_is_mid_message(const struct session *s); /* the client has had part of a message */
void service_on_drained(struct session *s);
void service_cancel(struct session *s);
bool service_is_idle(const struct session *s);
void service_end(struct session *s); /* frees s->service */

#endif
