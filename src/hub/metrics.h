/* metrics.h - what the hub counts, and the text that Prometheus reads (exposition format 0.0.4).
 *
 * The page is as public as all others: it has sums, and nothing of single readers. */
#ifndef RF_HUB_METRICS_H
#define RF_HUB_METRICS_H

#include "base/buf.h"
#include "hub/crowd.h"
#include "hub/logs.h"
#include "hub/route.h"

enum { METRICS_STATUSES = 13 };

struct metrics {
    int64_t started_ms; /* wall clock */
    uint64_t requests[ROUTE_COUNT][METRICS_STATUSES];
    uint64_t sent_bytes; /* bodies of replies that went out whole */
};

void metrics_request(struct metrics *m, enum route_kind kind, unsigned status);

RF_CHECK int metrics_write(const struct metrics *m, const struct crowd *crowd, struct logs *logs,
                           int64_t wall_ms, struct buf *to);

#endif
