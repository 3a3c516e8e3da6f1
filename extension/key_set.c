/* key_set(bigint): an aggregate that collects keys; is_among(key, set) asks for one.
 *
 * The set is a bytea, a table of 8-byte slots of a power of two, at most half full, after a first
 * slot with the number 1 when key 0 is in it: an empty slot is 0. It exists only while a statement
 * runs. A hash join says the same, at three times the cost for each row that passes. */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/supportnodes.h"
#include "utils/memutils.h"

struct key_list {
    MemoryContext context;
    int64 *keys;
    Size count, cap;
};

/* Neighbouring keys far apart (the finaliser of MurmurHash3). Children do not choose their keys, so
   nobody can make a table slow. */
static inline uint64 spread(uint64 key)
{
    key = (key ^ key >> 33) * UINT64CONST(0xff51afd7ed558ccd);
    key = (key ^ key >> 33) * UINT64CONST(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

PG_FUNCTION_INFO_V1(ringfence_key_set_add);
Datum ringfence_key_set_add(PG_FUNCTION_ARGS)
{
    struct key_list *list = PG_ARGISNULL(0) ? NULL : (struct key_list *)PG_GETARG_POINTER(0);
    MemoryContext context;

    if (!AggCheckCallContext(fcinfo, &context))
        elog(ERROR, "key_set_add() works only inside of key_set()");
    if (list == NULL) {
        list = MemoryContextAllocZero(context, sizeof(*list));
        list->context = context;
        list->cap = 1024;
        list->keys = MemoryContextAlloc(context, list->cap * sizeof(int64));
    }
    if (PG_ARGISNULL(1))
        PG_RETURN_POINTER(list);
    if (list->count == list->cap) {
        list->cap *= 2;
        list->keys = repalloc_huge(list->keys, list->cap * sizeof(int64));
    }
    list->keys[list->count++] = PG_GETARG_INT64(1);
    PG_RETURN_POINTER(list);
}

PG_FUNCTION_INFO_V1(ringfence_key_set_end);
Datum ringfence_key_set_end(PG_FUNCTION_ARGS)
{
    const struct key_list *list = PG_ARGISNULL(0) ? NULL : (struct key_list *)PG_GETARG_POINTER(0);
    Size count = list != NULL ? list->count : 0, slots = 8;
    bytea *ret;
    uint64 *table;

    while (slots < 2 * count)
        slots *= 2;
    if (slots >= (MaxAllocSize - VARHDRSZ) / sizeof(uint64))
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many keys in a set")));
    ret = palloc0(VARHDRSZ + 4 + (1 + slots) * sizeof(uint64));
    SET_VARSIZE(ret, VARHDRSZ + 4 + (1 + slots) * sizeof(uint64));
    table = (uint64 *)((char *)ret + 8); /* aligned: the length takes 4 bytes */
    for (Size i = 0; i < count; i++) {
        uint64 key = (uint64)list->keys[i], at = spread(key) & (slots - 1);
        if (key == 0) {
            table[0] = 1;
            continue;
        }
        while (table[1 + at] != 0 && table[1 + at] != key)
            at = (at + 1) & (slots - 1);
        table[1 + at] = key;
    }
    PG_RETURN_BYTEA_P(ret);
}

PG_FUNCTION_INFO_V1(ringfence_is_among);
Datum ringfence_is_among(PG_FUNCTION_ARGS)
{
    uint64 key = (uint64)PG_GETARG_INT64(0), at, mask;
    const struct varlena *set = (const struct varlena *)PG_GETARG_POINTER(1);
    const uint64 *table;

    if (unlikely(VARATT_IS_EXTENDED(set) || VARSIZE(set) < VARHDRSZ + 4 + 9 * sizeof(uint64)))
        elog(ERROR, "not a set of keys");
    table = (const uint64 *)((const char *)set + 8);
    mask = (VARSIZE(set) - VARHDRSZ - 4) / sizeof(uint64) - 2;
    if (key == 0)
        PG_RETURN_BOOL(table[0] == 1);
    for (at = spread(key) & mask; table[1 + at] != 0; at = (at + 1) & mask)
        if (table[1 + at] == key)
            PG_RETURN_BOOL(true);
    PG_RETURN_BOOL(false);
}

/* Children are few: what the planner would believe without this is a third. */
PG_FUNCTION_INFO_V1(ringfence_is_among_support);
Datum ringfence_is_among_support(PG_FUNCTION_ARGS)
{
    Node *request = (Node *)PG_GETARG_POINTER(0);

    if (!IsA(request, SupportRequestSelectivity))
        PG_RETURN_POINTER(NULL);
    ((SupportRequestSelectivity *)request)->selectivity = 0.05;
    PG_RETURN_POINTER(request);
}
