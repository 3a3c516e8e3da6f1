/* is_child(key): is the subject with this key in ringfence.child, and not an adult today?
 *
 * The first keys are looked up through the table's index, which is what a statement about one
 * person needs. A statement that goes on asking has the keys of all children collected, which costs
 * as much as some look-ups: as a set of bits where the keys lie close together, as numbers that
 * count up do, else as a hash table. What was found lasts as long as the execution of the plan,
 * which sees one snapshot throughout. Who turns adult while a cursor is open stays a child in it.
 *
 * The table is read without asking for rights: it is we who read, on behalf of a view, and all that
 * gets out is whether a row may be shown. */
#include "today.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/supportnodes.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "by_view.h"

enum { LOOKUPS_FIRST = 16, LOOKUPS_SHARE = 10 };

/* Where ringfence.child is, looked for again when anything about it has changed. */
static struct {
    bool is_known, is_watched;
    Oid table, index;
    AttrNumber subject, adult_on;
    RegProcedure equality;
    Oid key_type;
    int64 expected; /* rows */
} child;

struct children {
    MemoryContext context;
    int64 lookups, lookups_max; /* done; before all are collected */
    bool has_last, last_is_child, is_complete, is_dense;
    int64 last;
    int64 least;   /* dense: the key of the first bit */
    uint64 size;   /* dense: how many bits; else slots, a power of two */
    uint64 *slots; /* dense: bits; else keys, 0: none */
    bool has_zero; /* not dense: key 0 is in it */
};

static void child_forget(Datum nothing, Oid relation)
{
    (void)nothing;
    if (relation == child.table || relation == InvalidOid)
        child.is_known = false;
}

static pg_noinline void child_find(void)
{
    Oid schema = get_namespace_oid("ringfence", false);
    Relation table;

    if (!child.is_watched)
        CacheRegisterRelcacheCallback(child_forget, (Datum)0);
    child.is_watched = true;
    child.table = get_relname_relid("child", schema);
    child.subject = OidIsValid(child.table) ? get_attnum(child.table, "subject") : 0;
    child.adult_on = OidIsValid(child.table) ? get_attnum(child.table, "adult_on") : 0;
    if (child.subject <= 0 || child.adult_on <= 0 ||
        get_atttype(child.table, child.adult_on) != DATEOID)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("table ringfence.child is not as it was made"),
                        errhint("call ringfence apply")));
    child.key_type = get_atttype(child.table, child.subject);
    child.equality = child.key_type == INT8OID   ? F_INT8EQ
                     : child.key_type == INT4OID ? F_INT48EQ
                     : child.key_type == INT2OID ? F_INT28EQ
                                                 : InvalidOid;
    table = table_open(child.table, AccessShareLock);
    child.index = RelationGetPrimaryKeyIndex(table);
    child.expected = (int64)Max(table->rd_rel->reltuples, 0);
    child.is_known = true; /* unless we hear otherwise */
    table_close(table, NoLock);
    if (!OidIsValid(child.index) || !OidIsValid(child.equality))
        elog(ERROR, "table ringfence.child has another key than it was made with");
}

static int64 key_of_slot(TupleTableSlot *slot)
{
    bool is_null;
    Datum key = slot_getattr(slot, child.subject, &is_null); /* the primary key */

    return child.key_type == INT8OID   ? DatumGetInt64(key)
           : child.key_type == INT4OID ? DatumGetInt32(key)
                                       : DatumGetInt16(key);
}

static bool is_child_slot(TupleTableSlot *slot)
{
    bool is_null;
    Datum adult_on = slot_getattr(slot, child.adult_on, &is_null);

    return is_null || DatumGetDateADT(adult_on) > today();
}

static bool look_up(int64 key)
{
    Relation table = table_open(child.table, AccessShareLock);
    Relation index = index_open(child.index, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(table, NULL);
    IndexScanDesc scan = index_beginscan(table, index, GetActiveSnapshot(), 1, 0);
    ScanKeyData equals;
    bool ret = false;

    ScanKeyEntryInitialize(&equals, 0, 1, BTEqualStrategyNumber, INT8OID, InvalidOid,
                           child.equality, Int64GetDatum(key));
    index_rescan(scan, &equals, 1, NULL, 0);
    if (index_getnext_slot(scan, ForwardScanDirection, slot))
        ret = is_child_slot(slot);
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    index_close(index, NoLock);
    table_close(table, NoLock);
    return ret;
}

/* --- all of them ---------------------------------------------------------------------------------
 */

struct keys {
    int64 *keys;
    uint64 count, cap;
    int64 least, most;
};

static void keys_read(const struct children *c, struct keys *ret)
{
    Relation table = table_open(child.table, AccessShareLock);
    TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
    TupleTableSlot *slot = table_slot_create(table, NULL);

    *ret = (struct keys){ .cap = 1024, .least = PG_INT64_MAX, .most = PG_INT64_MIN };
    ret->keys = MemoryContextAlloc(c->context, ret->cap * sizeof(*ret->keys));
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        int64 key;
        CHECK_FOR_INTERRUPTS();
        if (!is_child_slot(slot))
            continue;
        if (ret->count == ret->cap) {
            ret->cap *= 2;
            ret->keys = repalloc_huge(ret->keys, ret->cap * sizeof(*ret->keys));
        }
        ret->keys[ret->count++] = key = key_of_slot(slot);
        ret->least = Min(ret->least, key);
        ret->most = Max(ret->most, key);
    }
    ExecDropSingleTupleTableSlot(slot);
    table_endscan(scan);
    table_close(table, NoLock);
}

static uint64 *slots_new(const struct children *c, uint64 count)
{
    return MemoryContextAllocExtended(c->context, count * sizeof(uint64),
                                      MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Neighbouring keys far apart (the finaliser of MurmurHash3). Children do not choose their keys, so
   nobody can make a table slow. */
static inline uint64 spread(uint64 key)
{
    key = (key ^ key >> 33) * UINT64CONST(0xff51afd7ed558ccd);
    key = (key ^ key >> 33) * UINT64CONST(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

static void collect_hashed(struct children *c, const struct keys *keys)
{
    c->size = 8;
    while (c->size < 2 * keys->count)
        c->size *= 2;
    c->slots = slots_new(c, c->size);
    for (uint64 i = 0; i < keys->count; i++) {
        uint64 key = (uint64)keys->keys[i], at = spread(key) & (c->size - 1);
        if (key == 0) {
            c->has_zero = true;
            continue;
        }
        while (c->slots[at] != 0)
            at = (at + 1) & (c->size - 1);
        c->slots[at] = key;
    }
}

static void collect(struct children *c)
{
    struct keys keys;
    uint64 range;

    keys_read(c, &keys);
    range = keys.count == 0 ? 0 : (uint64)keys.most - (uint64)keys.least;
    c->is_dense = range / 64 <= 2 * keys.count + 64; /* no more memory than hashed */
    if (c->is_dense) {
        c->least = keys.count == 0 ? 0 : keys.least;
        c->size = keys.count == 0 ? 0 : range + 1;
        c->slots = slots_new(c, c->size / 64 + 1);
        for (uint64 i = 0; i < keys.count; i++) {
            uint64 bit = (uint64)keys.keys[i] - (uint64)c->least;
            c->slots[bit / 64] |= UINT64CONST(1) << bit % 64;
        }
    } else {
        collect_hashed(c, &keys);
    }
    pfree(keys.keys);
    c->is_complete = true;
}

static inline bool is_among(const struct children *c, int64 key)
{
    if (likely(c->is_dense)) {
        uint64 bit = (uint64)key - (uint64)c->least;
        return bit < c->size && (c->slots[bit / 64] >> bit % 64 & 1) != 0;
    }
    if (key == 0)
        return c->has_zero;
    for (uint64 at = spread((uint64)key) & (c->size - 1); c->slots[at] != 0;
         at = (at + 1) & (c->size - 1))
        if (c->slots[at] == (uint64)key)
            return true;
    return false;
}

static pg_noinline struct children *children_new(FmgrInfo *function)
{
    struct children *ret;

    refuse_by_hand(function);
    ret = MemoryContextAllocZero(function->fn_mcxt, sizeof(*ret));
    ret->context = function->fn_mcxt;
    if (!child.is_known)
        child_find();
    ret->lookups_max = LOOKUPS_FIRST + child.expected / LOOKUPS_SHARE;
    function->fn_extra = ret;
    return ret;
}

static pg_noinline bool ask(struct children *c, int64 key)
{
    if (c->has_last && c->last == key)
        return c->last_is_child;
    if (c->lookups++ >= c->lookups_max) {
        collect(c);
        return is_among(c, key);
    }
    c->has_last = false;
    c->last_is_child = look_up(key);
    c->last = key;
    c->has_last = true;
    return c->last_is_child;
}

/* Not strict: nobody is no child, and a test for NULL here is cheaper than one before. */
PG_FUNCTION_INFO_V1(ringfence_is_child);
Datum ringfence_is_child(PG_FUNCTION_ARGS)
{
    struct children *c = fcinfo->flinfo->fn_extra;

    if (PG_ARGISNULL(0))
        PG_RETURN_BOOL(false);
    if (unlikely(c == NULL))
        c = children_new(fcinfo->flinfo);
    PG_RETURN_BOOL(likely(c->is_complete) ? is_among(c, PG_GETARG_INT64(0))
                                          : ask(c, PG_GETARG_INT64(0)));
}

/* Children are few: what the planner would believe without this is a third. */
PG_FUNCTION_INFO_V1(ringfence_is_child_support);
Datum ringfence_is_child_support(PG_FUNCTION_ARGS)
{
    Node *request = (Node *)PG_GETARG_POINTER(0);

    if (!IsA(request, SupportRequestSelectivity))
        PG_RETURN_POINTER(NULL);
    ((SupportRequestSelectivity *)request)->selectivity = 0.05;
    PG_RETURN_POINTER(request);
}
