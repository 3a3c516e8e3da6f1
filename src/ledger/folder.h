/* folder.h - names on disk that survive a power cut: folders and whole small files. */
#ifndef RF_LEDGER_FOLDER_H
#define RF_LEDGER_FOLDER_H

#include <stddef.h>

#include "base/err.h"

/* Flush the names in folder PATH. */
RF_CHECK int folder_sync(const char *path, struct err *err);

/* Flush the name of folder PATH itself. Where we may not read the folder above it, somebody else
   made ours, and nothing is done. */
RF_CHECK int folder_sync_above(const char *path, struct err *err);

/* Make folder PARENT/NAME with mode 0700 unless it is there, and sync PARENT. */
RF_CHECK int folder_make(const char *parent, const char *name, struct err *err);

/* Write N bytes as FRESH (replaced when it is there), sync, rename to PATH, sync FOLDER. Mode 0600.
   The caller knows that PATH is not there: only he writes in FOLDER. */
RF_CHECK int folder_place_file(const char *folder, const char *fresh, const char *path,
                               const void *bytes, size_t n, struct err *err);

#endif
