#include "priv/lease.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

/* One 64-bit word carries the decision, so a reader never sees half of a change. */
struct lease {
    struct lease_slot {
        _Atomic int64_t until_mono_ms;
        _Atomic uint32_t state;
    } slots[LEASE_SLOTS];
};

int lease_create(unsigned databases, int *ret_fd, struct err *err)
{
    if (databases > LEASE_SLOTS)
        return err_set(err, RF_ECONFIG, "%u databases are more than the %d a gateway can serve",
                       databases, (int)LEASE_SLOTS);
    int fd = memfd_create("ringfence-lease", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not create the lease mapping");
    if (ftruncate(fd, sizeof(struct lease)) < 0) {
        int rc = err_sys(err, "could not size the lease mapping");
        fd_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int lease_open_read(int fd, int *ret_fd, struct err *err)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        return err_sys(err, "could not open a mapping for reading");
    *ret_fd = again;
    return 0;
}

int lease_map(int fd, enum lease_use use, struct lease **ret_lease, struct err *err)
{
    int rights = use == LEASE_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, sizeof(struct lease), rights, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return err_sys(err, "could not map the leases");
    *ret_lease = at;
    return 0;
}

void lease_unmap(struct lease *l)
{
    if (l != NULL)
        (void)munmap(l, sizeof(*l));
}

void lease_publish(struct lease *l, unsigned index, int64_t until_mono_ms, enum lease_state state)
{
    if (index >= LEASE_SLOTS)
        return;
    atomic_store_explicit(&l->slots[index].state, (uint32_t)state, memory_order_relaxed);
    atomic_store_explicit(&l->slots[index].until_mono_ms, until_mono_ms, memory_order_release);
}

bool lease_valid(const struct lease *l, unsigned index, int64_t now_mono_ms)
{
    return index < LEASE_SLOTS &&
           atomic_load_explicit(&l->slots[index].until_mono_ms, memory_order_acquire) > now_mono_ms;
}

enum lease_state lease_state_of(const struct lease *l, unsigned index)
{
    if (index >= LEASE_SLOTS)
        return LEASE_UNKNOWN;
    uint32_t state = atomic_load_explicit(&l->slots[index].state, memory_order_relaxed);
    return state < LEASE_STATE_COUNT ? (enum lease_state)state : LEASE_UNKNOWN;
}

const char *lease_state_text(enum lease_state state)
{
    static const char *const texts[LEASE_STATE_COUNT] = {
        [LEASE_UNKNOWN] = "the region's database was not checked yet",
        [LEASE_GOOD] = "the region's database is in order",
        [LEASE_UNREACHABLE] = "the database for persons could not be reached",
        [LEASE_NOT_STANDBY] = "the database for persons is not a hot standby",
        [LEASE_BEHIND] = "the standby is too far behind",
        [LEASE_FAULTS] = "the self-check of the database found faults",
    };
    return state < LEASE_STATE_COUNT ? texts[state] : texts[LEASE_UNKNOWN];
}
