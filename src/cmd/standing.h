/* standing.h - may the policy of a configuration rule, as the gateway's state folder has it? */
#ifndef RF_CMD_STANDING_H
#define RF_CMD_STANDING_H

#include <stdio.h>

#include "cmd/command.h"
#include "super/ruling.h"

/* Of POLICY, which was read from the file that CONFIG names. Fails where the state folder cannot be
   read: it is the gateway's. */
RF_CHECK int command_standing(const struct config *config, const struct policy *policy,
                              struct standing *ret, struct err *err);

/* Lines that begin with PATH; none where there is nothing to say. */
void command_print_standing(FILE *to, const char *path, const struct standing *s);
void command_print_standing_json(const struct standing *s); /* an object */

#endif
