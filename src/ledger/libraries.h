/* libraries.h - what this process runs besides its own file: the shared libraries it has loaded.
 *
 * The list has a line a library, `SHA256  NAME` (hex, two blanks, file name without folder),
 * sorted; its digest stands in `start` leaves (docs/formats/log.md). `ringfenced --libraries`
 * prints it. */
#ifndef RF_LEDGER_LIBRARIES_H
#define RF_LEDGER_LIBRARIES_H

#include "base/buf.h"
#include "base/digest.h"

enum { LIBRARIES_LIST_MAX = 256 * 1024 }; /* bytes */

RF_CHECK int libraries_list(struct buf *to, struct err *err);
RF_CHECK int libraries_digest(uint8_t ret[DIGEST_LEN], struct err *err);

#endif
