/* person.h - sessions of persons: a server connection of their own, every statement recorded, every
 * answering byte held until its record is durable.
 *
 *   client message -> parser process -> record -> server
 *   server bytes   -> held -> record of rows and bytes -> durable -> client
 *
 * A simple query is sent on as one extended statement each, so that the server never splits text
 * that was judged as one. A refused statement is replaced by one that fails, in its place in line,
 * and the failure's text by ours: the server itself keeps order and transaction state. */
#ifndef RF_GATE_PERSON_H
#define RF_GATE_PERSON_H

#include <stdbool.h>

#include "gate/session.h"

RF_CHECK int person_begin(struct session *s, struct err *err);

/* The database role that S runs as: its grant's, or NAME.ROOM. */
enum { PERSON_ROLE_SIZE = 160 };
const char *person_role(const struct session *s, char out[PERSON_ROLE_SIZE]);

void person_on_data(struct session *s); /* bytes have been put into s->in */
void person_on_drained(struct session *s);
void person_cancel(struct session *s);

bool person_refuse(struct session *s); /* release_refuse() */

/* The statement of S ends with E here, whatever its server goes on to say: that is cancelled, and
   not let through any more. IS_READY: the end of a request was on its way to the client. */
void person_say(struct session *s, const struct err *e, bool is_ready);

bool person_is_mid_message(const struct session *s); /* the client has had part of a message */
bool person_is_idle(const struct session *s);
void person_end(struct session *s); /* records the end, frees s->person */

#endif
