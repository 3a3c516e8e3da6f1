/* meter.h - counters of services in a mapping that all processes share.
 *
 * A killed worker loses none of them. Each worker owns one partition and is its only writer; the
 * ledger reads all partitions and rolls them up. Values only grow within one start of the daemon.
 */
#ifndef RF_LEDGER_METER_H
#define RF_LEDGER_METER_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

enum { METER_SLOTS_PER_WORKER = 256, METER_NAME_MAX = 64, METER_WORKERS_MAX = 128 };

struct meter_slot {
    _Atomic uint32_t ready; /* set last, after the names */
    char actor[METER_NAME_MAX], region[METER_NAME_MAX], entity[METER_NAME_MAX];
    char place[3];
    _Atomic uint64_t sessions, statements, rows, bytes_out, bytes_in, denials;
};

struct meter; /* the mapping */

/* A new anonymous mapping (memfd) of WORKERS partitions; *RET_FD is handed to the children. */
RF_CHECK int meter_create(unsigned workers, int *ret_fd, struct err *err);
RF_CHECK int meter_map(int fd, struct meter **ret_meter, struct err *err);
void meter_unmap(struct meter *m);

/* The slot of WORKER for these names, made when it is new; the last slot of the partition ("other")
   when the partition is full. Never NULL. Called by that worker alone. */
struct meter_slot *meter_slot_of(struct meter *m, unsigned worker, const char *actor,
                                 const char *region, const char *entity, const char *place);

/* For the reader: slot I of all partitions, or NULL when not ready; count with meter_slot_count().
 */
const struct meter_slot *meter_slot_at(const struct meter *m, unsigned i);
unsigned meter_slot_count(const struct meter *m);

/* Random, made with the mapping: totals of one start never mix with those of another. */
enum { METER_START_ID_LEN = 16 };
const uint8_t *meter_start_id(const struct meter *m);

#endif
