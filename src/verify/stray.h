/* stray.h - what lies below `tile/` and should not: names, widths and sizes that no tree has. */
#ifndef RF_VERIFY_STRAY_H
#define RF_VERIFY_STRAY_H

#include "verify/finding.h"
#include "verify/source.h"

/* Judge all names of FROM against a tree of SIZE whose files were verified. Older partial tiles
   have to be the beginnings of what is there now. *RET_BEYOND counts files that a larger tree
   would have: only with TELL_BEYOND they are findings, because a writer makes them before the
   checkpoint. */
RF_CHECK int stray_judge(struct source *from, uint64_t size, bool tell_beyond, struct findings *to,
                         uint64_t *ret_beyond, struct err *err);

#endif
