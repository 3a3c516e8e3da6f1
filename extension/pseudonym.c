/* Pseudonyms inside PostgreSQL, for servers where an extension may be installed.
 *
 * A pseudonym of a bigint, integer or uuid is its encryption: a permutation of the type's values
 * under the domain's key, so two values never share a pseudonym, and a look-up by pseudonym becomes
 * a look-up by value. A text's pseudonym is a keyed hash of it, as it has to fit its column.
 *
 *   domain key  = the first 16 bytes of HMAC-SHA-256(master, "ringfence pseudonym 2 " YYYY-MM " "
 *                 domain), with the region's random master key in ringfence.pseudonym_key
 *   permutation = a Feistel network on the two halves of the value (32 and 31 bits of a bigint, 16
 *                 and 15 of an integer, whose sign stays; 64 and 64 of a uuid), whose round
 * function is SipHash-2-4(domain key, round, half)
 *
 * Why this is hard to invert for somebody who knows many pairs, or makes them with accounts of his
 * own: a Feistel network of six rounds with independent random functions is secure against chosen
 * values and chosen pseudonyms up to about 2^(half) of them (Patarin, CRYPTO 2004), which are four
 * thousand million for a bigint, and the round functions are as good as random to whoever lacks the
 * key. We take eight rounds. An integer's halves are so small that all of it could be listed; there
 * are twelve rounds, and who collects a good part of all pairs of a month knows just those.
 *
 * The functions work for whoever reads the views, so PostgreSQL lets him execute them, and
 * value_of() is the very thing that he must not have. Two walls: he has no USAGE on their schema,
 * so he cannot name them; and they work only in an expression that was read from the catalogs,
 * where no place in a statement's text is noted, as it is for everything that a client writes. */
#include "today.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "by_view.h"
#include "siphash.h"

PG_MODULE_MAGIC;

enum {
    MASTER_SIZE = 32,
    ROUNDS = 8,
    ROUNDS_SMALL = 12,
    DIGITS_MAX = 32,
    DOMAIN_MAX = 160,
    DOMAINS = 32
};

enum direction { TO_PSEUDONYM, TO_VALUE };

/* --- keys ----------------------------------------------------------------------------------------
 */

/* The one row of ringfence.pseudonym_key. Rights on it are not asked: it is we who read, on behalf
   of a view, and the key goes no further than this library. */
static void master_read(uint8 ret[MASTER_SIZE])
{
    Oid schema = get_namespace_oid("ringfence", false);
    Oid table = get_relname_relid("pseudonym_key", schema);
    AttrNumber column = OidIsValid(table) ? get_attnum(table, "key") : InvalidAttrNumber;
    Relation relation;
    TableScanDesc scan;
    TupleTableSlot *slot;
    bool is_null = true, is_found = false;

    if (column == InvalidAttrNumber || get_atttype(table, column) != BYTEAOID)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("there is no key for pseudonyms")));
    relation = table_open(table, AccessShareLock);
    scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
    slot = table_slot_create(relation, NULL);
    if (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        Datum key = slot_getattr(slot, column, &is_null);
        if (!is_null) {
            bytea *bytes = DatumGetByteaPP(key);
            is_found = VARSIZE_ANY_EXHDR(bytes) == MASTER_SIZE;
            if (is_found)
                memcpy(ret, VARDATA_ANY(bytes), MASTER_SIZE);
        }
    }
    ExecDropSingleTupleTableSlot(slot);
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    if (!is_found)
        ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND), errmsg("there is no key for pseudonyms")));
}

static TimestampTz month_begins(int month)
{
    return (date2j(month / 12, month % 12 + 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

/* In UTC. */
static int month_of(TimestampTz at)
{
    int year, month, day;

    j2date(day_of_time(at) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    return year * 12 + month - 1;
}

static struct siphash_key derive(const uint8 master[MASTER_SIZE], int month, const char *domain,
                                 size_t len)
{
    struct siphash_key ret;
    char head[48];
    uint8 digest[PG_SHA256_DIGEST_LENGTH];
    pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

    snprintf(head, sizeof(head), "ringfence pseudonym 2 %04d-%02d ", month / 12, month % 12 + 1);
    if (hmac == NULL || pg_hmac_init(hmac, master, MASTER_SIZE) < 0 ||
        pg_hmac_update(hmac, (const uint8 *)head, strlen(head)) < 0 ||
        pg_hmac_update(hmac, (const uint8 *)domain, len) < 0 ||
        pg_hmac_final(hmac, digest, sizeof(digest)) < 0)
        elog(ERROR, "could not compute the key of a domain of pseudonyms");
    pg_hmac_free(hmac);
    memcpy(&ret, digest, sizeof(ret));
    ret.k0 = le64toh(ret.k0);
    ret.k1 = le64toh(ret.k1);
    explicit_bzero(digest, sizeof(digest));
    return ret;
}

/* What this backend has derived for a master key and a month. The master key is read anew after a
   second: replacing it replaces all pseudonyms, and a small statement need not wait for it. */
static struct {
    TimestampTz read; /* 0: never */
    int month;
    TimestampTz month_begins, month_ends;
    uint8 master[MASTER_SIZE];
    int count, next;
    struct {
        struct siphash_key key;
        size_t len;
        char domain[DOMAIN_MAX];
    } domains[DOMAINS];
} derived;

static void derived_refresh(void)
{
    TimestampTz now = GetCurrentStatementStartTimestamp();
    uint8 master[MASTER_SIZE];
    int month;

    if (derived.read != 0 && now >= derived.read && now - derived.read < USECS_PER_SEC &&
        now >= derived.month_begins && now < derived.month_ends)
        return;
    month = month_of(now);
    master_read(master);
    if (month != derived.month || memcmp(master, derived.master, MASTER_SIZE) != 0)
        derived.count = derived.next = 0;
    derived.month = month;
    derived.month_begins = month_begins(month);
    derived.month_ends = month_begins(month + 1);
    memcpy(derived.master, master, MASTER_SIZE);
    derived.read = now;
    explicit_bzero(master, sizeof(master));
}

static struct siphash_key domain_key(const char *domain, size_t len)
{
    struct siphash_key ret;

    derived_refresh();
    for (int i = 0; i < derived.count; i++)
        if (derived.domains[i].len == len && memcmp(derived.domains[i].domain, domain, len) == 0)
            return derived.domains[i].key;
    ret = derive(derived.master, derived.month, domain, len);
    if (len <= DOMAIN_MAX) {
        int at = derived.next;
        derived.domains[at].key = ret;
        derived.domains[at].len = len;
        memcpy(derived.domains[at].domain, domain, len);
        derived.next = (at + 1) % DOMAINS;
        derived.count = Max(derived.count, at + 1);
    }
    return ret;
}

/* The place in a text of the calls of value_of() that we make. The planner guesses how many rows
   meet a condition by computing it, from a copy without a place, and EXPLAIN prints the guess: for
   the parts of a partitioned table it would tell where the key lies. To such a copy a pseudonym is
   its own value. In a worker for parallel plans no place is known any more, nor is anything
   planned. */
enum { PLACE_OF_OURS = -2 };

static bool is_guess(const FmgrInfo *function)
{
    return !IsParallelWorker() && function->fn_expr != NULL && IsA(function->fn_expr, FuncExpr) &&
           ((const FuncExpr *)function->fn_expr)->location == -1;
}

/* A place in a plan, for one execution of it. What was computed is remembered once there is much of
   it, as the rows of a million events are about far fewer people: one slot for all values with the
   same last bits, which numbers that count up fill evenly. */
enum { REMEMBER_AFTER = 4096, REMEMBERED_BITS = 18 };

struct place {
    struct siphash_key key; /* stays while a cursor is open, also when the month turns */
    MemoryContext context;
    uint32 calls;
    struct remembered {
        int64 value, pseudonym; /* value 0: nothing */
    } * remembered;
};

/* The second argument is the domain. */
static struct place *place_of(FunctionCallInfo fcinfo)
{
    FmgrInfo *function = fcinfo->flinfo;
    struct place *place = function->fn_extra;
    text *domain;

    if (likely(place != NULL))
        return place;
    refuse_by_hand(function);
    if (!get_fn_expr_arg_stable(function, 1))
        elog(ERROR, "the domain of a pseudonym is no constant");
    domain = PG_GETARG_TEXT_PP(1);
    place = MemoryContextAlloc(function->fn_mcxt, sizeof(*place));
    place->key = domain_key(VARDATA_ANY(domain), VARSIZE_ANY_EXHDR(domain));
    place->context = function->fn_mcxt;
    place->calls = 0;
    place->remembered = NULL;
    function->fn_extra = place;
    return place;
}

static const struct siphash_key *key_of(FunctionCallInfo fcinfo)
{
    return &place_of(fcinfo)->key;
}

/* --- permutations --------------------------------------------------------------------------------
 */

/* Of the lowest HIGH + LOW bits of VALUE; both at most 32. */
static inline uint64 permute(struct siphash_key key, uint64 value, int high, int low, int rounds,
                             enum direction direction)
{
    uint64 mask[2] = { (UINT64CONST(1) << high) - 1, (UINT64CONST(1) << low) - 1 };
    uint64 half[2] = { value >> low & mask[0], value & mask[1] };

    for (int i = 0; i < rounds; i++) {
        int round = direction == TO_PSEUDONYM ? i : rounds - 1 - i;
        int to = round % 2;
        half[to] ^= siphash_of_one(key, (uint64)round << 32 | half[1 - to]) & mask[to];
    }
    return half[0] << low | half[1];
}

static int64 permute_int8(const struct siphash_key *key, int64 value, enum direction direction)
{
    uint64 sign = (uint64)value & UINT64CONST(1) << 63;
    return (int64)(sign | permute(*key, (uint64)value, 31, 32, ROUNDS, direction));
}

static int32 permute_int4(const struct siphash_key *key, int32 value, enum direction direction)
{
    uint32 sign = (uint32)value & UINT32_C(1) << 31;
    return (int32)(sign | (uint32)permute(*key, (uint32)value, 15, 16, ROUNDS_SMALL, direction));
}

static pg_uuid_t *permute_uuid(const struct siphash_key *key, const pg_uuid_t *value,
                               enum direction direction)
{
    pg_uuid_t *ret = palloc(sizeof(*ret));
    uint64 half[2];

    memcpy(half, value->data, sizeof(half));
    half[0] = be64toh(half[0]);
    half[1] = be64toh(half[1]);
    for (int i = 0; i < ROUNDS; i++) {
        int round = direction == TO_PSEUDONYM ? i : ROUNDS - 1 - i;
        int to = round % 2;
        half[to] ^= siphash_of_two(*key, (uint64)round, half[1 - to]);
    }
    half[0] = htobe64(half[0]);
    half[1] = htobe64(half[1]);
    memcpy(ret->data, half, sizeof(half));
    return ret;
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_int8);
Datum ringfence_pseudonym_int8(PG_FUNCTION_ARGS)
{
    struct place *place = place_of(fcinfo);
    int64 value = PG_GETARG_INT64(0);
    struct remembered *slot;

    if (place->remembered == NULL) {
        if (++place->calls < REMEMBER_AFTER)
            PG_RETURN_INT64(permute_int8(&place->key, value, TO_PSEUDONYM));
        place->remembered =
            MemoryContextAllocZero(place->context, sizeof(*place->remembered) << REMEMBERED_BITS);
    }
    slot = &place->remembered[(uint64)value & ((UINT64CONST(1) << REMEMBERED_BITS) - 1)];
    if (slot->value != value || value == 0) {
        slot->pseudonym = permute_int8(&place->key, value, TO_PSEUDONYM);
        slot->value = value;
    }
    PG_RETURN_INT64(slot->pseudonym);
}

PG_FUNCTION_INFO_V1(ringfence_value_of_int8);
Datum ringfence_value_of_int8(PG_FUNCTION_ARGS)
{
    if (is_guess(fcinfo->flinfo))
        PG_RETURN_DATUM(PG_GETARG_DATUM(0));
    PG_RETURN_INT64(permute_int8(key_of(fcinfo), PG_GETARG_INT64(0), TO_VALUE));
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_int4);
Datum ringfence_pseudonym_int4(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(permute_int4(key_of(fcinfo), PG_GETARG_INT32(0), TO_PSEUDONYM));
}

PG_FUNCTION_INFO_V1(ringfence_value_of_int4);
Datum ringfence_value_of_int4(PG_FUNCTION_ARGS)
{
    if (is_guess(fcinfo->flinfo))
        PG_RETURN_DATUM(PG_GETARG_DATUM(0));
    PG_RETURN_INT32(permute_int4(key_of(fcinfo), PG_GETARG_INT32(0), TO_VALUE));
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_uuid);
Datum ringfence_pseudonym_uuid(PG_FUNCTION_ARGS)
{
    PG_RETURN_UUID_P(permute_uuid(key_of(fcinfo), PG_GETARG_UUID_P(0), TO_PSEUDONYM));
}

PG_FUNCTION_INFO_V1(ringfence_value_of_uuid);
Datum ringfence_value_of_uuid(PG_FUNCTION_ARGS)
{
    if (is_guess(fcinfo->flinfo))
        PG_RETURN_DATUM(PG_GETARG_DATUM(0));
    PG_RETURN_UUID_P(permute_uuid(key_of(fcinfo), PG_GETARG_UUID_P(0), TO_VALUE));
}

/* "p_" and DIGITS hexadecimal ones; without "p_" where that would leave too few. */
PG_FUNCTION_INFO_V1(ringfence_pseudonym_text);
Datum ringfence_pseudonym_text(PG_FUNCTION_ARGS)
{
    const struct siphash_key *key = key_of(fcinfo);
    text *value = PG_GETARG_TEXT_PP(0);
    int32 digits = PG_GETARG_INT32(2);
    uint8 hash[DIGITS_MAX / 2];
    char out[2 + DIGITS_MAX];
    int len = 0;

    if (digits < 1 || digits > DIGITS_MAX)
        elog(ERROR, "pseudonyms have 1 to %d digits", DIGITS_MAX);
    siphash_of_bytes(*key, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), hash);
    if (digits > 4) {
        out[len++] = 'p';
        out[len++] = '_';
    }
    for (int i = 0; i < digits; i++)
        out[len++] = "0123456789abcdef"[i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15];
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out, len));
}

/* --- look-ups ------------------------------------------------------------------------------------
 *
 * A masked view says WHERE … AND seek(t.id). When its reader asks for id = P, PostgreSQL puts
 *
 *     pseudonym(t.id, domain) = P
 *
 * beside it, which no index knows. While the plan is made, seek() looks for such a neighbour and
 * becomes t.id = value_of(P, domain), which follows from it; without a neighbour it becomes true
 * and is gone. The neighbour stays, so the result is the same either way.
 *
 * Each says the same as the other, though, since the two functions undo each other, and a condition
 * that is not there costs nothing. So where the neighbour is looked at after its marker, by the
 * same walk over the same tree, it is itself made t.id = value_of(P, domain), and what the view
 * shows as pseudonym(t.id, domain) is P, for all rows that are left. Markers never reach the
 * executor. */

struct neighbour {
    FuncExpr *marker;    /* seek() */
    Node *key;           /* its argument */
    Oid schema;          /* ours */
    FuncExpr *pseudonym; /* one side of the comparison that was found; NULL: none was */
    Node *other;         /* the other side, as the key's type */
    OpExpr *comparison;
    bool is_later;  /* the comparison comes after the marker */
    bool holds_all; /* they hold for every row of the query, not only for one side of a join */
};

static Oid equality_of(Oid type)
{
    return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* A whole number of a smaller type, as a literal often is, made one of the key's. */
static Node *as_key_type(Oid type, Node *other)
{
    Oid from = exprType(other);

    if (from == type)
        return other;
    if (type != INT8OID || (from != INT4OID && from != INT2OID))
        return NULL;
    return (Node *)makeFuncExpr(from == INT4OID ? F_INT8_INT4 : F_INT8_INT2, INT8OID,
                                list_make1(other), InvalidOid, InvalidOid, COERCE_IMPLICIT_CAST);
}

/* Are A and B "pseudonym(key, domain)" and something that is the same for all rows? */
static bool is_neighbour(struct neighbour *n, Node *a, Node *b)
{
    FuncExpr *call = (FuncExpr *)a;
    char *name;

    if (!IsA(a, FuncExpr) || list_length(call->args) < 2 || !IsA(lsecond(call->args), Const) ||
        !equal(linitial(call->args), n->key) || get_func_namespace(call->funcid) != n->schema)
        return false;
    name = get_func_name(call->funcid);
    if (name == NULL || strcmp(name, "pseudonym") != 0 || checkExprHasSubLink(b) ||
        contain_var_clause(b) || contain_subplans(b) || contain_volatile_functions(b))
        return false;
    n->other = as_key_type(exprType(a), b);
    n->pseudonym = n->other != NULL ? call : NULL;
    return n->other != NULL;
}

static bool is_equality(const OpExpr *op)
{
    TypeCacheEntry *type =
        lookup_type_cache(exprType(linitial(op->args)), TYPECACHE_BTREE_OPFAMILY);
    return get_op_opfamily_strategy(op->opno, type->btree_opf) == BTEqualStrategyNumber;
}

/* The conditions that a row must fulfil all at once: WHERE is one, or "A AND B AND …". */
static List *conjuncts(Node *where)
{
    List *ret = NIL;
    ListCell *at;

    if (where == NULL)
        return NIL;
    if (!IsA(where, List) && !is_andclause(where))
        return list_make1(where);
    foreach(at, IsA(where, List) ? (List *)where : ((BoolExpr *)where)->args) ret =
        list_concat(ret, conjuncts(lfirst(at)));
    return ret;
}

static void find_among(struct neighbour *n, List *conditions)
{
    bool is_later = false;
    ListCell *at;

    if (!list_member(conditions, n->marker))
        return;
    foreach(at, conditions)
    {
        OpExpr *op = lfirst(at);
        is_later |= equal(op, n->marker);
        if (!IsA(op, OpExpr) || list_length(op->args) != 2 || !is_equality(op) ||
            !(is_neighbour(n, linitial(op->args), lsecond(op->args)) ||
              is_neighbour(n, lsecond(op->args), linitial(op->args))))
            continue;
        n->comparison = op;
        n->is_later = is_later;
        return;
    }
}

/* Only next to the marker itself: there both hold for every row, whatever joins are around. */
static void find_neighbour(struct neighbour *n, Node *join)
{
    if (join == NULL || n->pseudonym != NULL)
        return;
    if (IsA(join, FromExpr)) {
        ListCell *at;
        find_among(n, conjuncts(((FromExpr *)join)->quals));
        foreach(at, ((FromExpr *)join)->fromlist) find_neighbour(n, lfirst(at));
    } else if (IsA(join, JoinExpr)) {
        find_neighbour(n, ((JoinExpr *)join)->larg);
        find_neighbour(n, ((JoinExpr *)join)->rarg);
    }
}

static Oid value_of_function(Oid schema, Oid type)
{
    Oid types[2] = { type, TEXTOID };
    return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("value_of"),
                           PointerGetDatum(buildoidvector(types, 2)), ObjectIdGetDatum(schema));
}

/* value_of(other, domain), which the key is equal to. NULL: there is no such function for its type.
 */
static Node *value_of_neighbour(const struct neighbour *n)
{
    Node *key = linitial(n->pseudonym->args);
    Oid function = value_of_function(n->schema, exprType(key));
    List *arguments = list_make2(copyObject(n->other), copyObject(lsecond(n->pseudonym->args)));
    FuncExpr *call;

    if (!OidIsValid(function))
        return NULL;
    call = makeFuncExpr(function, exprType(key), arguments, InvalidOid, InvalidOid,
                        COERCE_EXPLICIT_CALL);
    call->location = PLACE_OF_OURS;
    return (Node *)call;
}

/* Is the column of a partitioned table part of how it is divided, at any level? */
static bool divides(Oid table, AttrNumber column)
{
    HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(table));
    bool ret = false;
    ListCell *at;

    if (!HeapTupleIsValid(tuple))
        return false;
    for (int i = 0; i < ((Form_pg_partitioned_table)GETSTRUCT(tuple))->partnatts; i++) {
        AttrNumber part = ((Form_pg_partitioned_table)GETSTRUCT(tuple))->partattrs.values[i];
        ret |= part == column || part == InvalidAttrNumber; /* an expression: who knows */
    }
    ReleaseSysCache(tuple);
    if (ret)
        return true;
    foreach(at, find_inheritance_children(table, NoLock)) if (get_rel_relkind(lfirst_oid(at)) ==
                                                              RELKIND_PARTITIONED_TABLE)
    {
        AttrNumber same = get_attnum(lfirst_oid(at), get_attname(table, column, false));
        if (divides(lfirst_oid(at), same))
            return true;
    }
    return false;
}

/* Would a condition on the key leave only some partitions? EXPLAIN would name them, and with them
   the range that the real key lies in. */
static bool would_choose_partitions(const PlannerInfo *root, Node *key)
{
    ListCell *at;

    foreach(at, pull_var_clause(key, 0))
    {
        const Var *column = (const Var *)lfirst(at);
        const RangeTblEntry *entry;
        if (column->varlevelsup > 0)
            continue;
        entry = rt_fetch(column->varno, root->parse->rtable);
        if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_PARTITIONED_TABLE &&
            divides(entry->relid, column->varattno))
            return true;
    }
    return false;
}

/* key = ANY (array_append('{}', value)): indexes can answer it, and no partition is chosen by an
   array that is not written out. */
static Node *is_among_values(Node *key, Node *value)
{
    Oid type = exprType(key), array = get_array_type(type);
    ScalarArrayOpExpr *ret = makeNode(ScalarArrayOpExpr);
    Const *none = makeConst(array, -1, InvalidOid, -1, PointerGetDatum(construct_empty_array(type)),
                            false, false);

    ret->opno = equality_of(type);
    ret->opfuncid = get_opcode(ret->opno);
    ret->useOr = true;
    ret->args =
        list_make2(copyObject(key), makeFuncExpr(F_ARRAY_APPEND, array, list_make2(none, value),
                                                 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
    ret->location = -1;
    return (Node *)ret;
}

/* key = value */
static OpExpr *equals_value(const Node *key, Node *value)
{
    OpExpr *ret =
        (OpExpr *)make_opclause(equality_of(exprType(key)), BOOLOID, false, (Expr *)copyObject(key),
                                (Expr *)value, InvalidOid, InvalidOid);

    set_opfuncid(ret);
    return ret;
}

static Node *put_other(Node *node, void *context)
{
    const struct neighbour *n = context;

    if (node == NULL)
        return NULL;
    if (equal(node, n->pseudonym))
        return copyObject(n->other);
    if (IsA(node, Query)) /* another level: it may stay as it is */
        return node;
    return expression_tree_mutator(node, put_other, context);
}

/* The columns of a query are made ready before its conditions, so they are what the plan will use,
   and what is put into them must be ready, too: a constant or a parameter. (A literal of a smaller
   type becomes a constant of the key's: a cast that stayed would be seen in the plan's costs.) */
static void show_other(PlannerInfo *root, struct neighbour *n)
{
    const Node *inner;

    n->other = eval_const_expressions(root, n->other);
    inner = n->other;
    if (IsA(inner, FuncExpr) && list_length(((const FuncExpr *)inner)->args) == 1)
        inner = linitial(((const FuncExpr *)inner)->args);
    if (n->holds_all && (IsA(inner, Const) || IsA(inner, Param)))
        root->parse->targetList = (List *)put_other((Node *)root->parse->targetList, n);
}

static Node *true_for_all(void)
{
    return makeBoolConst(true, false);
}

PG_FUNCTION_INFO_V1(ringfence_seek_support);
Datum ringfence_seek_support(PG_FUNCTION_ARGS)
{
    SupportRequestSimplify *request = (SupportRequestSimplify *)PG_GETARG_POINTER(0);
    struct neighbour n = { 0 };
    Node *value = NULL;
    OpExpr *same;

    if (!IsA(request, SupportRequestSimplify))
        PG_RETURN_POINTER(NULL);
    n.marker = request->fcall;
    n.key = linitial(request->fcall->args);
    n.schema = get_func_namespace(request->fcall->funcid);
    if (request->root != NULL) {
        find_neighbour(&n, (Node *)request->root->parse->jointree);
        n.holds_all = list_member(conjuncts(request->root->parse->jointree->quals), n.marker);
    }
    if (n.pseudonym != NULL)
        value = value_of_neighbour(&n);
    if (value == NULL)
        PG_RETURN_POINTER(true_for_all());
    if (would_choose_partitions(request->root, n.key))
        PG_RETURN_POINTER(is_among_values(n.key, value));
    same = equals_value(n.key, value);
    /* with aliases of joins the planner walks over a copy of the tree that we see */
    if (!n.is_later || request->root->hasJoinRTEs)
        PG_RETURN_POINTER(same);
    show_other(request->root, &n);
    *n.comparison = *same;
    PG_RETURN_POINTER(true_for_all());
}

/* Should a marker be run after all, it says what it would have become. */
PG_FUNCTION_INFO_V1(ringfence_seek);
Datum ringfence_seek(PG_FUNCTION_ARGS)
{
    PG_RETURN_BOOL(true);
}
