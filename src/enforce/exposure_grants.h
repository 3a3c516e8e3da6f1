/* exposure_grants.h - who may see somebody by name, as facts for exposure.h. */
#ifndef RF_ENFORCE_EXPOSURE_GRANTS_H
#define RF_ENFORCE_EXPOSURE_GRANTS_H

#include "enforce/exposure.h"

/* Tells ADD every fact, after digest_init(); strings come from ARENA or live as long as P. Those
   that are NULL are for ADD to notice: memory was short. */
void exposure_grants_tell(const struct policy *p, const struct policy_region *region,
                          struct arena *arena, void (*add)(void *context, struct exposure fact),
                          void *context);

#endif
