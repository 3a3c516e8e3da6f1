/* lease.h - until when workers may admit persons, one slot a database of the configuration.
 *
 * Control checks each region's standby and publishes how long that answer holds; workers read the
 * slot before they admit a person. No lease, no persons: when control dies, or stops liking what it
 * sees, open sessions go on and new ones wait or are refused once the lease is over. The mapping is
 * a memfd made by the supervisor; times are CLOCK_MONOTONIC, which all processes of a host share.
 *
 * Slot I belongs to config->databases[I]. The mapping always has LEASE_SLOTS slots, so a reload
 * that adds databases needs no new one; control clears all slots when it takes a new configuration.
 */
#ifndef RF_PRIV_LEASE_H
#define RF_PRIV_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { LEASE_SLOTS = 64, LEASE_LENGTH_MS = 10 * 1000 };

/* Why there is a lease, or none; for consoles and messages, not for decisions. */
enum lease_state {
    LEASE_UNKNOWN, /* nobody has looked yet */
    LEASE_GOOD,
    LEASE_UNREACHABLE, /* could not connect, or no answer in time */
    LEASE_NOT_STANDBY, /* the server for persons is not in recovery */
    LEASE_BEHIND,      /* its replay is too far behind */
    LEASE_FAULTS,      /* the self-check found faults: see control's log */
    LEASE_STATE_COUNT
};

struct lease; /* the mapping */

/* A new mapping for DATABASES (at most LEASE_SLOTS, else -RF_ECONFIG), all slots without a lease.
 *RET_FD is the caller's and is handed to control (IMSG_LEASE). */
RF_CHECK int lease_create(unsigned databases, int *ret_fd, struct err *err);

/* Another descriptor of the mapping FD (of leases, or of grants), the caller's too, for the
   workers: what is mapped of it can never be made writable, so that one that was taken over cannot
   grant leases to the others. */
RF_CHECK int lease_open_read(int fd, int *ret_fd, struct err *err);

/* Map FD (stays the caller's). Workers map it read-only and must not publish. */
enum lease_use { LEASE_READ, LEASE_WRITE };
RF_CHECK int lease_map(int fd, enum lease_use use, struct lease **ret_lease, struct err *err);
void lease_unmap(struct lease *l); /* NULL is welcome */

/* Control alone. UNTIL_MONO_MS 0: no lease. */
void lease_publish(struct lease *l, unsigned index, int64_t until_mono_ms, enum lease_state state);

/* An index past the mapping has no lease. */
bool lease_valid(const struct lease *l, unsigned index, int64_t now_mono_ms);
enum lease_state lease_state_of(const struct lease *l, unsigned index);
const char *lease_state_text(enum lease_state state); /* "the standby is behind", … */

#endif
