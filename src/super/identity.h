/* identity.h - who this program runs as. Never as root. */
#ifndef RF_SUPER_IDENTITY_H
#define RF_SUPER_IDENTITY_H

#include "policy/config.h"

/* Started as root: make the state and run folders if they are missing, owned by config->user, then
   become that user for good (verified). Started as anybody else: `user`, when set, must be that
   user. -RF_ECONFIG when root has nobody to become. */
RF_CHECK int identity_settle(const struct config *config, struct err *err);

#endif
