#include "ledger/rollup.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct totals {
    uint64_t sessions, statements, rows, bytes_out, bytes_in, denials;
};

struct rollup {
    const struct meter *meter;
    struct totals *written; /* by slot */
};

int rollup_new(const struct meter *meter, struct rollup **ret, struct err *err)
{
    struct rollup *r = mem_zalloc(1, sizeof(*r));
    struct totals *written = mem_zalloc(meter_slot_count(meter), sizeof(*written));
    if (r == NULL || written == NULL) {
        mem_free(r);
        mem_free(written);
        return err_set(err, RF_ENOMEM, "out of memory");
    }
    *r = (struct rollup){ .meter = meter, .written = written };
    *ret = r;
    return 0;
}

void rollup_free(struct rollup *r)
{
    if (r == NULL)
        return;
    mem_free(r->written);
    mem_free(r);
}

static uint64_t load(const _Atomic uint64_t *value)
{
    uint64_t n = atomic_load_explicit(value, memory_order_relaxed);
    return n > (uint64_t)RECORD_NUMBER_MAX ? (uint64_t)RECORD_NUMBER_MAX : n;
}

static struct totals totals_of(const struct meter_slot *s)
{
    return (struct totals){ .sessions = load(&s->sessions),
                            .statements = load(&s->statements),
                            .rows = load(&s->rows),
                            .bytes_out = load(&s->bytes_out),
                            .bytes_in = load(&s->bytes_in),
                            .denials = load(&s->denials) };
}

/* The mapping belongs to processes that face the network: names are copied with a bound. */
static void name_copy(char to[METER_NAME_MAX], const char from[METER_NAME_MAX])
{
    size_t n = strnlen(from, METER_NAME_MAX - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

static int slot_write(struct journal *journal, struct clerk *clerk, const struct policy *policy,
                      const uint8_t *start_id, unsigned slot, const struct meter_slot *s,
                      const struct totals *t, int64_t now_ms, struct err *err)
{
    char actor[METER_NAME_MAX], region[METER_NAME_MAX], entity[METER_NAME_MAX], detail[160];
    char place[3] = { s->place[0], s->place[1], '\0' };
    name_copy(actor, s->actor);
    name_copy(region, s->region);
    name_copy(entity, s->entity);
    if (place[0] < 'A' || place[0] > 'Z' || place[1] < 'A' || place[1] > 'Z')
        place[0] = '\0';
    (void)snprintf(detail, sizeof(detail), "slot=%u sessions=%llu bytes_in=%llu denials=%llu", slot,
                   (unsigned long long)t->sessions, (unsigned long long)t->bytes_in,
                   (unsigned long long)t->denials);
    struct record record = { .kind = RECORD_SERVICE,
                             .wall_ms = now_ms > 0 ? now_ms : 0,
                             .region = region,
                             .entity = entity,
                             .place = place,
                             .actor_kind = "service",
                             .rows = t->rows,
                             .bytes = t->bytes_out,
                             .statements = t->statements,
                             .actor = actor,
                             .slot = (uint64_t)slot + 1,
                             .detail = detail };
    _Static_assert(sizeof(record.session) == METER_START_ID_LEN, "start id as a session");
    memcpy(record.session, start_id, sizeof(record.session));
    memcpy(&record.start, start_id, sizeof(record.start));
    record.start = (record.start & (uint64_t)RECORD_NUMBER_MAX) | 1;
    return clerk_append(clerk, journal, policy, &record, 0, 0, now_ms, err);
}

static int commit(struct journal *journal, struct clerk *clerk, struct err *err)
{
    int rc = journal_commit(journal, err);
    if (rc == 0)
        clerk_committed(clerk);
    return rc;
}

int rollup_write(struct rollup *r, struct journal *journal, struct clerk *clerk,
                 const struct policy *policy, int64_t now_ms, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < meter_slot_count(r->meter); i++) {
        const struct meter_slot *s = meter_slot_at(r->meter, i);
        if (s == NULL)
            continue;
        struct totals now = totals_of(s);
        if (memcmp(&now, &r->written[i], sizeof(now)) == 0)
            continue;
        rc = slot_write(journal, clerk, policy, meter_start_id(r->meter), i, s, &now, now_ms, err);
        if (rc == 0)
            r->written[i] = now;
        if (rc == 0 && journal_pending(journal) >= JOURNAL_BATCH_MAX)
            rc = commit(journal, clerk, err);
    }
    return rc;
}
