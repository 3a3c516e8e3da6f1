#include "ledger/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

/* The mapping is written by processes that face the network. A reader therefore believes nothing in
   it but the numbers: the count of partitions comes from the mapping's size, and names are copied
   out with a bound by whoever uses them (ledger/rollup.c). */

static const char mapping_magic[8] = "RFMETER1";

struct mapping {
    char magic[8];
    uint8_t start_id[METER_START_ID_LEN];
    uint8_t unused[40]; /* the slots begin on a cache line of their own */
    struct meter_slot slots[];
};

struct meter {
    struct mapping *at;
    size_t len;
    unsigned workers;
    uint8_t start_id[METER_START_ID_LEN]; /* as it was when mapped */
};

static size_t mapping_len(unsigned workers)
{
    return sizeof(struct mapping) +
           (size_t)workers * METER_SLOTS_PER_WORKER * sizeof(struct meter_slot);
}

int meter_create(unsigned workers, int *ret_fd, struct err *err)
{
    struct mapping head = { 0 };
    int rc = 0, fd = -1;
    if (workers == 0 || workers > METER_WORKERS_MAX)
        return err_set(err, RF_EINVAL, "counters for %u workers cannot be made", workers);
    if (sodium_init() < 0)
        return err_set(err, RF_EBUG, "cannot initialise libsodium");
    fd = memfd_create("ringfence-meter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)mapping_len(workers)) < 0) {
        rc = err_sys(err, "could not make the counters' memory file");
        goto out;
    }
    memcpy(head.magic, mapping_magic, sizeof(head.magic));
    randombytes_buf(head.start_id, sizeof(head.start_id));
    if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        rc = err_sys(err, "could not write the counters' memory file");
        goto out;
    }
    /* A size that cannot change: no reader can be made to touch pages that are gone. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        rc = err_sys(err, "could not seal the counters' memory file");
        goto out;
    }
    *ret_fd = fd;
    fd = -1;
out:
    fd_close(&fd);
    return rc;
}

int meter_map(int fd, struct meter **ret_meter, struct err *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &st) < 0)
        return err_sys(err, "could not look at the counters' memory file");
    size_t len = (size_t)st.st_size, one = mapping_len(1) - mapping_len(0);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || len < mapping_len(1) ||
        (len - mapping_len(0)) % one != 0)
        return err_set(err, RF_EPROTO, "this is not the counters' memory file");
    struct meter *m = mem_zalloc(1, sizeof(*m));
    if (m == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    m->at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m->at == MAP_FAILED) {
        int rc = err_sys(err, "could not map the counters");
        mem_free(m);
        return rc;
    }
    m->len = len;
    m->workers = (unsigned)((len - mapping_len(0)) / one);
    memcpy(m->start_id, m->at->start_id, sizeof(m->start_id));
    if (memcmp(m->at->magic, mapping_magic, sizeof(mapping_magic)) != 0 ||
        m->workers > METER_WORKERS_MAX) {
        meter_unmap(m);
        return err_set(err, RF_EPROTO, "this is not the counters' memory file");
    }
    *ret_meter = m;
    return 0;
}

void meter_unmap(struct meter *m)
{
    if (m == NULL)
        return;
    (void)munmap(m->at, m->len);
    mem_free(m);
}

static void copy_name(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from, size - 1);
    memcpy(to, from, n);
    memset(to + n, 0, size - n);
}

static bool is_named(const struct meter_slot *s, const char *actor, const char *region,
                     const char *entity, const char *place)
{
    return strncmp(s->actor, actor, METER_NAME_MAX - 1) == 0 &&
           strncmp(s->region, region, METER_NAME_MAX - 1) == 0 &&
           strncmp(s->entity, entity, METER_NAME_MAX - 1) == 0 &&
           strncmp(s->place, place, sizeof(s->place) - 1) == 0;
}

struct meter_slot *meter_slot_of(struct meter *m, unsigned worker, const char *actor,
                                 const char *region, const char *entity, const char *place)
{
    RF_ASSERT(worker < m->workers);
    struct meter_slot *first = m->at->slots + (size_t)worker * METER_SLOTS_PER_WORKER;
    for (unsigned i = 0; i < METER_SLOTS_PER_WORKER; i++) {
        struct meter_slot *s = &first[i];
        bool is_other = i == METER_SLOTS_PER_WORKER - 1;
        if (atomic_load_explicit(&s->ready, memory_order_acquire) != 0) {
            if (is_other || is_named(s, actor, region, entity, place))
                return s;
            continue;
        }
        copy_name(s->actor, sizeof(s->actor), is_other ? "other" : actor);
        copy_name(s->region, sizeof(s->region), is_other ? "" : region);
        copy_name(s->entity, sizeof(s->entity), is_other ? "" : entity);
        copy_name(s->place, sizeof(s->place), is_other ? "" : place);
        atomic_store_explicit(&s->ready, 1, memory_order_release);
        return s;
    }
    return &first[METER_SLOTS_PER_WORKER - 1]; /* the loop always returns; compilers do not know */
}

const struct meter_slot *meter_slot_at(const struct meter *m, unsigned i)
{
    if (i >= meter_slot_count(m))
        return NULL;
    const struct meter_slot *s = &m->at->slots[i];
    return atomic_load_explicit(&s->ready, memory_order_acquire) != 0 ? s : NULL;
}

unsigned meter_slot_count(const struct meter *m)
{
    return m->workers * METER_SLOTS_PER_WORKER;
}

const uint8_t *meter_start_id(const struct meter *m)
{
    return m->start_id;
}
