/* bundle.h - entry bundles: up to 256 entries, each be16 length and bytes (C2SP tlog-tiles). */
#ifndef RF_TLOG_BUNDLE_H
#define RF_TLOG_BUNDLE_H

#include "base/buf.h"
#include "base/err.h"
#include "tlog/path.h"

enum { BUNDLE_ENTRY_MAX = 65535, BUNDLE_MAX = TLOG_TILE_WIDTH * (BUNDLE_ENTRY_MAX + 2) };

struct bundle_entry {
    const uint8_t *bytes; /* borrowed */
    size_t len;
};

RF_CHECK int bundle_entry_write(struct buf *to, const void *entry, size_t len); /* appends */
/* Exactly COUNT entries and nothing behind them, or -RF_EPROTO. */
RF_CHECK int bundle_read(const void *bytes, size_t n, unsigned count,
                         struct bundle_entry ret[TLOG_TILE_WIDTH]);

#endif
