/* succession.h - what the old key and the new one sign when a log continues another
 * (docs/formats/log.md, section 8). Pure. */
#ifndef RF_LEDGER_SUCCESSION_H
#define RF_LEDGER_SUCCESSION_H

#include "ledger/logleaf.h"
#include "tlog/key.h"

struct succession {
    const char *old_origin;
    const struct key *next; /* its name is the new origin */
    uint64_t at;            /* index of the `successor` leaf in the old log */
};

RF_CHECK int succession_sign(const struct succession *s, const struct secret_key *by,
                             uint8_t ret[KEY_SIGNATURE_LEN]);
/* Is the `signature` of LEAF (after reading) BY's under it? */
bool succession_holds(const struct succession *s, const struct key *by, const struct logleaf *leaf);

/* `INDEX ORIGIN`, as `predecessor` has it. False: it is no such text. */
bool succession_ref_read(const char *text, uint64_t *ret_at, const char **ret_origin);

#endif
