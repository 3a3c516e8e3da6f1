/* ingest(): the row trigger that makes coarse, drops, and takes the location out of children's
 * rows, as the functions of src/enforce/ingest.c do it in plpgsql, for a third of the time. What it
 * shall do stands in the trigger's arguments, one rule after the other:
 *
 *     KIND COUNTER A B KEYS COLUMNS key… column…
 *
 * child     the columns are locations: NULL when a key stands in ringfence.child as a child's
 * multiple  numbers: the nearest multiple of A / B; whole numbers are cut towards zero
 * network   addresses: at most A bits of IPv4, B bits of IPv6
 * null      the columns are dropped
 * refuse, "refuse multiple", "refuse network"
 *           a value, or a finer one, is an error; instead of keys: schema, table, reason, hint
 *
 * COUNTER is a sequence of schema ringfence, moved once for a row that met the rule. Names are
 * looked up once a statement, so partitions may number their columns as they like, and nothing that
 * is kept can be out of date: a table is not altered while a statement writes to it.
 *
 * No role is taken on, because nothing here asks for rights or runs anybody else's code: rows of
 * ringfence.child are read by its primary key, and operators are those of PostgreSQL's own types.
 */
#include "postgres.h"

#include <sys/socket.h> /* AF_INET, which inet.h means */

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/geo_decls.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

enum rule_kind {
    RULE_CHILD,
    RULE_MULTIPLE,
    RULE_NETWORK,
    RULE_NULL,
    RULE_REFUSE,
    RULE_REFUSE_MULTIPLE,
    RULE_REFUSE_NETWORK
};

enum { HEAD = 6, TEXTS = 4 }; /* arguments before the names; those of a refusal */

struct rule {
    enum rule_kind kind;
    Oid counter;
    int64 a, b;
    int key_count, column_count;
    AttrNumber *keys, *columns;
    ScanKeyData *scan_keys; /* of RULE_CHILD, one a key */
    char *const *texts;     /* of refusals: schema, table, reason, hint; the trigger's own */
};

struct plan {
    int rule_count;
    struct rule *rules;
    Oid child, child_index; /* invalid: no rule asks */
    AttrNumber adult_on;
    TupleTableSlot *slot; /* of ringfence.child */
};

/* A row on its way in. */
struct row {
    const struct plan *plan;
    TupleDesc shape;
    HeapTuple made;   /* as it is now */
    HeapTuple before; /* of an UPDATE; else NULL */
};

/* --- the rules, once a statement
 * ------------------------------------------------------------------
 */

static int64 number_of(const char *text)
{
    return pg_strtoint64(text);
}

static AttrNumber column_of(Relation relation, const char *name)
{
    AttrNumber ret = get_attnum(RelationGetRelid(relation), name);

    if (ret <= 0)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                        errmsg("column \"%s\" of table \"%s\" is gone, which a rule for what comes"
                               " in names",
                               name, RelationGetRelationName(relation)),
                        errhint("call ringfence apply")));
    return ret;
}

static Oid relation_of(const char *name)
{
    Oid ret = get_relname_relid(name, get_namespace_oid("ringfence", false));

    if (!OidIsValid(ret))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("relation \"ringfence.%s\" is gone", name),
                        errhint("call ringfence apply")));
    return ret;
}

static bool is_type_of(enum rule_kind kind, Oid type)
{
    switch (kind) {
    case RULE_MULTIPLE:
    case RULE_REFUSE_MULTIPLE:
        return type == FLOAT8OID || type == FLOAT4OID || type == NUMERICOID || type == INT2OID ||
               type == INT4OID || type == INT8OID || type == POINTOID;
    case RULE_NETWORK:
    case RULE_REFUSE_NETWORK:
        return type == INETOID || type == CIDROID;
    default:
        return true;
    }
}

static AttrNumber *columns_of(Relation relation, enum rule_kind kind, char **names, int count)
{
    AttrNumber *ret = palloc(sizeof(*ret) * Max(count, 1));

    for (int i = 0; i < count; i++) {
        ret[i] = column_of(relation, names[i]);
        if (!is_type_of(kind, TupleDescAttr(RelationGetDescr(relation), ret[i] - 1)->atttypid))
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH),
                     errmsg("column \"%s\" has another type than when its rule was made", names[i]),
                     errhint("call ringfence apply")));
    }
    return ret;
}

static void child_open(struct plan *plan)
{
    Relation child;

    plan->child = relation_of("child");
    plan->adult_on = get_attnum(plan->child, "adult_on");
    child = table_open(plan->child, AccessShareLock);
    plan->child_index = RelationGetPrimaryKeyIndex(child);
    if (!OidIsValid(plan->child_index) || get_atttype(plan->child, plan->adult_on) != DATEOID)
        elog(ERROR, "table ringfence.child is not as it was made");
    /* a copy of the shape belongs to nobody but us, and needs no giving back */
    plan->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(child)),
                                          table_slot_callbacks(child));
    table_close(child, NoLock);
}

/* The keys' types may differ from that of the subjects' own key, as foreign keys allow. */
static ScanKeyData *scan_keys_of(const struct plan *plan, Relation relation,
                                 const struct rule *rule)
{
    ScanKeyData *ret = palloc0(sizeof(*ret) * Max(rule->key_count, 1));
    Relation index = index_open(plan->child_index, AccessShareLock);

    for (int i = 0; i < rule->key_count; i++) {
        Oid type = TupleDescAttr(RelationGetDescr(relation), rule->keys[i] - 1)->atttypid;
        Oid same = get_opfamily_member(index->rd_opfamily[0], index->rd_opcintype[0], type,
                                       BTEqualStrategyNumber);
        if (!OidIsValid(same))
            elog(ERROR, "a key has another type than when its rule was made");
        ScanKeyEntryInitialize(&ret[i], 0, 1, BTEqualStrategyNumber, type,
                               index->rd_indcollation[0], get_opcode(same), (Datum)0);
    }
    index_close(index, NoLock);
    return ret;
}

static enum rule_kind kind_of(const char *name)
{
    static const char *const names[] = { "child",  "multiple",        "network",       "null",
                                         "refuse", "refuse multiple", "refuse network" };

    for (int i = 0; i < (int)lengthof(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum rule_kind)i;
    elog(ERROR, "a rule for what comes in cannot be read");
    return RULE_NULL;
}

/* Returns how many arguments the rule took. */
static int rule_read(struct plan *plan, Relation relation, char **arguments, int left,
                     struct rule *ret)
{
    int64 keys = left >= HEAD ? number_of(arguments[4]) : -1;
    int64 columns = left >= HEAD ? number_of(arguments[5]) : -1;

    if (keys < 0 || keys > left || columns < 1 || columns > MaxTupleAttributeNumber ||
        HEAD + keys + columns > left)
        elog(ERROR, "a rule for what comes in cannot be read");
    ret->kind = kind_of(arguments[0]);
    ret->counter = relation_of(arguments[1]);
    ret->a = number_of(arguments[2]);
    ret->b = number_of(arguments[3]);
    if ((ret->kind == RULE_MULTIPLE || ret->kind == RULE_REFUSE_MULTIPLE) &&
        (ret->a < 1 || ret->b < 1))
        elog(ERROR, "a rule for what comes in has no step");
    ret->key_count = (int)keys;
    ret->column_count = (int)columns;
    if (ret->kind < RULE_REFUSE)
        ret->keys = columns_of(relation, RULE_NULL, arguments + HEAD, ret->key_count);
    else if (keys != TEXTS)
        elog(ERROR, "a rule for what comes in cannot be read");
    ret->texts = arguments + HEAD;
    ret->columns =
        columns_of(relation, ret->kind, arguments + HEAD + ret->key_count, ret->column_count);
    if (ret->kind == RULE_CHILD) {
        if (!OidIsValid(plan->child))
            child_open(plan);
        ret->scan_keys = scan_keys_of(plan, relation, ret);
    }
    return HEAD + ret->key_count + ret->column_count;
}

static struct plan *plan_make(const TriggerData *data)
{
    const Trigger *trigger = data->tg_trigger;
    struct plan *plan = palloc0(sizeof(*plan));
    int at = 0;

    plan->rules = palloc0(sizeof(*plan->rules) * (trigger->tgnargs / HEAD + 1));
    while (at < trigger->tgnargs)
        at += rule_read(plan, data->tg_relation, trigger->tgargs + at, trigger->tgnargs - at,
                        &plan->rules[plan->rule_count++]);
    return plan;
}

/* --- children ------------------------------------------------------------------------------------
 */

/* Seen with what other transactions have not committed yet, and with what this statement itself has
   done: whoever is being made a child at this moment is one. When that is rolled back, a location
   is lost that could have stayed. */
static bool is_child(const struct plan *plan, ScanKeyData *key, DateADT today)
{
    Relation child = table_open(plan->child, AccessShareLock);
    Relation index = index_open(plan->child_index, AccessShareLock);
    SnapshotData snapshot;
    IndexScanDesc scan;
    bool ret = false;

    InitDirtySnapshot(snapshot);
    scan = index_beginscan(child, index, &snapshot, 1, 0);
    index_rescan(scan, key, 1, NULL, 0);
    while (!ret && index_getnext_slot(scan, ForwardScanDirection, plan->slot)) {
        bool is_null;
        Datum adult_on = slot_getattr(plan->slot, plan->adult_on, &is_null);
        ret = is_null || DatumGetDateADT(adult_on) > today;
        CHECK_FOR_INTERRUPTS();
    }
    ExecClearTuple(plan->slot);
    index_endscan(scan);
    index_close(index, NoLock);
    table_close(child, NoLock);
    return ret;
}

/* In UTC. */
static DateADT today_of(TimestampTz now)
{
    return (DateADT)(now / USECS_PER_DAY - (now % USECS_PER_DAY < 0 ? 1 : 0));
}

static bool is_same(const struct row *row, AttrNumber column)
{
    Form_pg_attribute fact = TupleDescAttr(row->shape, column - 1);
    bool is_null, was_null;
    Datum now = heap_getattr(row->made, column, row->shape, &is_null);
    Datum then = heap_getattr(row->before, column, row->shape, &was_null);

    return !is_null && !was_null && datum_image_eq(now, then, fact->attbyval, fact->attlen);
}

/* An UPDATE that leaves whom and where as they were need not ask again. */
static bool is_as_before(const struct row *row, const struct rule *rule)
{
    if (row->before == NULL)
        return false;
    for (int i = 0; i < rule->key_count; i++)
        if (!is_same(row, rule->keys[i]))
            return false;
    for (int i = 0; i < rule->column_count; i++)
        if (!heap_attisnull(row->made, rule->columns[i], row->shape) &&
            !is_same(row, rule->columns[i]))
            return false;
    return true;
}

static bool has_value(const struct row *row, const struct rule *rule)
{
    for (int i = 0; i < rule->column_count; i++)
        if (!heap_attisnull(row->made, rule->columns[i], row->shape))
            return true;
    return false;
}

static bool is_about_child(const struct row *row, const struct rule *rule)
{
    DateADT today;

    if (!has_value(row, rule) || is_as_before(row, rule))
        return false;
    today = today_of(GetCurrentStatementStartTimestamp());
    for (int i = 0; i < rule->key_count; i++) {
        bool is_null;
        rule->scan_keys[i].sk_argument =
            heap_getattr(row->made, rule->keys[i], row->shape, &is_null);
        if (!is_null && is_child(row->plan, &rule->scan_keys[i], today))
            return true;
    }
    return false;
}

/* --- coarse values: each says whether the value was finer, and makes *VALUE coarse
 * ----------------
 */

/* The same operations in the same order as in SQL: the multiple of a decimal step is the double
   that everybody writes. */
static float8 coarse_double(float8 value, const struct rule *rule)
{
    if (rule->b != 1)
        value = float8_mul(value, (float8)rule->b);
    if (rule->a != 1)
        value = float8_div(value, (float8)rule->a);
    value = rint(value);
    if (rule->a != 1)
        value = float8_mul(value, (float8)rule->a);
    return rule->b != 1 ? float8_div(value, (float8)rule->b) : value;
}

static bool coarsen_float(Datum *value, Oid type, const struct rule *rule)
{
    if (type == FLOAT8OID) {
        float8 old = DatumGetFloat8(*value), made = coarse_double(old, rule);
        *value = Float8GetDatum(made);
        return float8_ne(old, made);
    }
    float4 old = DatumGetFloat4(*value);
    float4 made =
        DatumGetFloat4(DirectFunctionCall1(dtof, Float8GetDatum(coarse_double((float8)old, rule))));
    *value = Float4GetDatum(made);
    return float4_ne(old, made);
}

static bool coarsen_numeric(Datum *value, int32 typmod, const struct rule *rule)
{
    Datum a = NumericGetDatum(int64_to_numeric(rule->a)), made = *value, old = *value;
    Datum b = NumericGetDatum(int64_to_numeric(rule->b));

    if (rule->b != 1)
        made = DirectFunctionCall2(numeric_mul, made, b);
    if (rule->a != 1)
        made = DirectFunctionCall2(numeric_div, made, a);
    made = DirectFunctionCall2(numeric_round, made, Int32GetDatum(0));
    if (rule->a != 1)
        made = DirectFunctionCall2(numeric_mul, made, a);
    if (rule->b != 1)
        made = DirectFunctionCall2(numeric_div, made, b);
    made = DirectFunctionCall1(numeric_trim_scale, made);
    *value = DirectFunctionCall2(numeric, made, Int32GetDatum(typmod));
    return DatumGetBool(DirectFunctionCall2(numeric_ne, old, made));
}

static bool coarsen_whole(Datum *value, Oid type, const struct rule *rule)
{
    int64 old = type == INT2OID   ? DatumGetInt16(*value)
                : type == INT4OID ? DatumGetInt32(*value)
                                  : DatumGetInt64(*value);
    int64 made = old - old % rule->a;

    *value = type == INT2OID   ? Int16GetDatum((int16)made)
             : type == INT4OID ? Int32GetDatum((int32)made)
                               : Int64GetDatum(made);
    return made != old;
}

static bool coarsen_point(Datum *value, const struct rule *rule)
{
    const Point *old = DatumGetPointP(*value);
    Point *made = palloc(sizeof(*made));

    made->x = coarse_double(old->x, rule);
    made->y = coarse_double(old->y, rule);
    *value = PointPGetDatum(made);
    return float8_ne(old->x, made->x) || float8_ne(old->y, made->y);
}

/* Also an address whose mask is short enough, but which has more behind it: 198.51.100.77/16. */
static bool coarsen_network(Datum *value, const struct rule *rule)
{
    const inet *old = DatumGetInetPP(*value);
    int most = ip_family(old) == PGSQL_AF_INET ? (int)rule->a : (int)rule->b;
    int bits = Min((int)ip_bits(old), most);
    bool is_finer = ip_bits(old) > bits;
    inet *made;

    for (int i = bits / 8; i < ip_addrsize(old) && !is_finer; i++)
        is_finer = (ip_addr(old)[i] & (i == bits / 8 ? 0xff >> bits % 8 : 0xff)) != 0;
    if (!is_finer)
        return false;
    made = palloc0(sizeof(*made));
    ip_family(made) = ip_family(old);
    ip_bits(made) = (unsigned char)bits;
    for (int i = 0; i < ip_addrsize(old) && i <= bits / 8; i++)
        ip_addr(made)[i] = ip_addr(old)[i] & (i < bits / 8 ? 0xff : ~(0xff >> bits % 8) & 0xff);
    SET_INET_VARSIZE(made);
    *value = InetPGetDatum(made);
    return true;
}

static bool coarsen(Datum *value, Form_pg_attribute fact, const struct rule *rule)
{
    switch (fact->atttypid) {
    case FLOAT4OID:
    case FLOAT8OID:
        return coarsen_float(value, fact->atttypid, rule);
    case NUMERICOID:
        return coarsen_numeric(value, fact->atttypmod, rule);
    case POINTOID:
        return coarsen_point(value, rule);
    case INETOID:
    case CIDROID:
        return coarsen_network(value, rule);
    default:
        return coarsen_whole(value, fact->atttypid, rule);
    }
}

/* --- the row -------------------------------------------------------------------------------------
 */

/* All columns of the rule get the values; null where IS_NULL says so. */
static void row_set(struct row *row, const struct rule *rule, Datum *values, bool *are_null)
{
    int columns[MaxTupleAttributeNumber];

    for (int i = 0; i < rule->column_count; i++)
        columns[i] = rule->columns[i];
    row->made = heap_modify_tuple_by_cols(row->made, row->shape, rule->column_count, columns,
                                          values, are_null);
    nextval_internal(rule->counter, false);
}

/* The error says nothing of who was reading what: the line of a COPY holds the value. */
static void refuse(const struct row *row, const struct rule *rule, AttrNumber column)
{
    const char *name = NameStr(TupleDescAttr(row->shape, column - 1)->attname);

    nextval_internal(rule->counter, false);
    error_context_stack = NULL;
    ereport(ERROR,
            (errcode(ERRCODE_CHECK_VIOLATION),
             errmsg("%s.%s refuses column \"%s\": %s", rule->texts[0], rule->texts[1], name,
                    rule->texts[2]),
             errhint("%s", rule->texts[3]), err_generic_string(PG_DIAG_SCHEMA_NAME, rule->texts[0]),
             err_generic_string(PG_DIAG_TABLE_NAME, rule->texts[1]),
             err_generic_string(PG_DIAG_COLUMN_NAME, name)));
}

/* What was there before may be written again. */
static void rule_refuse(const struct row *row, const struct rule *rule)
{
    for (int i = 0; i < rule->column_count; i++) {
        AttrNumber column = rule->columns[i];
        bool is_null;
        Datum value = heap_getattr(row->made, column, row->shape, &is_null);
        if (!is_null && !(row->before != NULL && is_same(row, column)) &&
            (rule->kind == RULE_REFUSE ||
             coarsen(&value, TupleDescAttr(row->shape, column - 1), rule)))
            refuse(row, rule, column);
    }
}

static void rule_obey(struct row *row, const struct rule *rule)
{
    Datum values[MaxTupleAttributeNumber];
    bool are_null[MaxTupleAttributeNumber];
    bool is_met = rule->kind == RULE_CHILD  ? is_about_child(row, rule)
                  : rule->kind == RULE_NULL ? has_value(row, rule)
                                            : false;

    if (!is_met && (rule->kind == RULE_CHILD || rule->kind == RULE_NULL))
        return;
    for (int i = 0; i < rule->column_count; i++) {
        values[i] = (Datum)0;
        are_null[i] = true;
        if (rule->kind == RULE_CHILD || rule->kind == RULE_NULL)
            continue;
        values[i] = heap_getattr(row->made, rule->columns[i], row->shape, &are_null[i]);
        if (!are_null[i])
            is_met |= coarsen(&values[i], TupleDescAttr(row->shape, rule->columns[i] - 1), rule);
    }
    if (is_met)
        row_set(row, rule, values, are_null);
}

PG_FUNCTION_INFO_V1(ringfence_ingest);
Datum ringfence_ingest(PG_FUNCTION_ARGS)
{
    TriggerData *data = (TriggerData *)fcinfo->context;
    struct row row = { 0 };

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
        !TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("this function is for triggers before a row is written")));
    if (fcinfo->flinfo->fn_extra == NULL) {
        MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
        fcinfo->flinfo->fn_extra = plan_make(data);
        MemoryContextSwitchTo(old);
    }
    row.plan = fcinfo->flinfo->fn_extra;
    row.shape = RelationGetDescr(data->tg_relation);
    row.made = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
    row.before = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_trigtuple : NULL;
    for (int i = 0; i < row.plan->rule_count; i++)
        if (row.plan->rules[i].kind < RULE_REFUSE)
            rule_obey(&row, &row.plan->rules[i]);
        else
            rule_refuse(&row, &row.plan->rules[i]);
    return PointerGetDatum(row.made);
}
