/* segment.h - the list of a journal's segment files, and how they are called. */
#ifndef RF_LEDGER_SEGMENT_H
#define RF_LEDGER_SEGMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { SEGMENT_NAME_LEN = 28 /* 20 digits, ".journal" */, SEGMENT_COUNT_MAX = 1000000 };

struct segment_list {
    uint64_t *first; /* ascending */
    size_t count;
};

/* STATE_DIR/journal, and the file of the segment that begins with FIRST. */
RF_CHECK int segment_folder(const char *state_dir, char ret[PATH_MAX], struct err *err);
void segment_path(const char *folder, uint64_t first, const char *ending, char ret[PATH_MAX]);

/* What lies in FOLDER. Anything but segments, the lock and unfinished ".new" files is refused
   (RF_ETAMPER). With REMOVE_UNFINISHED the latter are removed. The caller frees with
   segment_list_done(), also after a failure. */
RF_CHECK int segment_list_read(const char *folder, bool remove_unfinished, struct segment_list *ret,
                               struct err *err);
void segment_list_done(struct segment_list *list);

#endif
