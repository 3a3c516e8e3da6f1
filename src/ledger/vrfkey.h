/* vrfkey.h - the file of a region's secret VRF key: one line, `ringfence-vrf@1 REGION BASE64`, mode
 * 0600. All gateways of a region have the same. */
#ifndef RF_LEDGER_VRFKEY_H
#define RF_LEDGER_VRFKEY_H

#include "base/err.h"
#include "tlog/vrf.h"

/* -RF_ECONFIG: no such key, or of another region than REGION. */
RF_CHECK int vrfkey_load(const char *path, const char *region, uint8_t ret[VRF_SECRET_LEN],
                         struct err *err);
/* Makes a new file, synced; refuses to replace one. */
RF_CHECK int vrfkey_save(const char *path, const char *region, const uint8_t secret[VRF_SECRET_LEN],
                         struct err *err);

#endif
