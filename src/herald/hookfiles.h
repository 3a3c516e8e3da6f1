/* hookfiles.h - can the files that hooks name be used? Asked by whoever reads a configuration. */
#ifndef RF_HERALD_HOOKFILES_H
#define RF_HERALD_HOOKFILES_H

#include "policy/config.h"
#include "policy/mistakes.h"

/* Every mistake, under the name FILE of the configuration. 0, -RF_ECONFIG, or another code when
   something could not be read or run. Secrets are read and forgotten. */
RF_CHECK int hookfiles_check(const struct config *c, const char *file, struct mistakes *mistakes);

#endif
