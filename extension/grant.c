/* Room granted: who is named by the session's own grant, and the marks of what is about to be
 * shown.
 *
 * The rows of ringfence.grant_subject that bear the name of session_user, which no session can
 * change, are read once for each execution of a plan, with its snapshot, and shared by all places
 * in it. (In SQL each view of a statement scans that table again, and each place is a right to be
 * checked.) What belongs to an execution goes with its memory. The end of a grant is compared with
 * the running statement's time whenever a place asks.
 *
 *   subjects()                 the keys that are named, as rows
 *   subject_keys()             the same as an array, for look-ups through an index
 *   has_class(key, class)      does the grant name this class for it?
 *   mark(key, class, name)     the same, after saying that clear values of the class will be shown
 *   mark_all(class, name)      marks all who are named with it: true where there is anybody
 *   pseudonym_under(value, domain)   the grant's own pseudonyms, as src/enforce/pseudonym.c makes
 * them, with its watermark
 *   time_under(at)             a clear time with the watermark, likewise
 *
 * A mark is said once for a subject, a class and an execution, however many views and turns of
 * loops ask for it: what follows in a cursor's later rows was said with its first, as it is for one
 * scan in SQL. It is the message that ringfence.reveal() sends in PL/pgSQL, for a thirtieth of the
 * cost. It goes into the buffer of what is sent to the client, and not to the client at once:
 * nothing that is computed from the value (a row, an error) can be put into that buffer before it.
 * The buffer is sent on when it is full, when the statement has ended, by an error, and by a
 * termination. A server process that is killed outright may take a mark with it, and then no row
 * has left either.
 */
#include "today.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/supportnodes.h"
#include "port/pg_bswap.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "by_view.h"
#include "sha256.h"

/* Hexadecimal digits of a pseudonym; of those with DIGITS_MARKED and more the last WATERMARK_DIGITS,
   or one more, are the watermark of the bytes before. */
enum { DIGITS_MAX = 32, DIGITS_MARKED = 16, WATERMARK_DIGITS = 6 };

/* --- whom the grant names ------------------------------------------------------------------------
 */

/* Where ringfence.grant_subject is, looked for again when anything about it has changed. */
enum { ROLE, SUBJECT, CLASSES, ENDS, LABEL, TOKEN, SECRET, WATERMARK, COLUMNS };

static struct {
    bool is_known, is_watched;
    Oid table, index;
    AttrNumber columns[COLUMNS];
} named;

struct subject {
    int64 key;
    int32 classes, said; /* said: marked in this execution */
    TimestampTz ends;
    text *label, *token;
    bytea *secret, *watermark;
};

/* For one execution of a plan, which is who its memory belongs to. */
struct run {
    struct run *next;
    MemoryContext context;
    int count, cap;
    struct subject *subjects; /* by key */
    ArrayType *keys;          /* made when it is asked for */
};

static struct run *runs;

static void named_forget(Datum nothing, Oid relation)
{
    (void)nothing;
    if (relation == named.table || relation == InvalidOid)
        named.is_known = false;
}

static pg_noinline void named_find(void)
{
    static const struct {
        const char *name;
        Oid type;
    } wanted[COLUMNS] = {
        [ROLE] = { "role", NAMEOID },       [SUBJECT] = { "subject", TEXTOID },
        [CLASSES] = { "classes", INT4OID }, [ENDS] = { "ends", TIMESTAMPTZOID },
        [LABEL] = { "label", TEXTOID },     [TOKEN] = { "token", TEXTOID },
        [SECRET] = { "secret", BYTEAOID },   [WATERMARK] = { "watermark", BYTEAOID },
    };
    Relation table;

    if (!named.is_watched)
        CacheRegisterRelcacheCallback(named_forget, (Datum)0);
    named.is_watched = true;
    named.table = get_relname_relid("grant_subject", get_namespace_oid("ringfence", false));
    for (int i = 0; i < COLUMNS; i++) {
        named.columns[i] =
            OidIsValid(named.table) ? get_attnum(named.table, wanted[i].name) : InvalidAttrNumber;
        if (named.columns[i] <= 0 || get_atttype(named.table, named.columns[i]) != wanted[i].type)
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                            errmsg("table ringfence.grant_subject is not as it was made"),
                            errhint("call ringfence apply")));
    }
    table = table_open(named.table, AccessShareLock);
    named.index = RelationGetPrimaryKeyIndex(table);
    named.is_known = true; /* unless we hear otherwise */
    table_close(table, NoLock);
    if (!OidIsValid(named.index))
        elog(ERROR, "table ringfence.grant_subject has another key than it was made with");
}

static void subject_read(struct subject *ret, TupleTableSlot *slot)
{
    Datum values[COLUMNS];

    for (int i = 0; i < COLUMNS; i++) {
        bool is_null;
        values[i] = slot_getattr(slot, named.columns[i], &is_null);
        if (is_null)
            elog(ERROR, "a subject of a grant is not as it was written");
    }
    ret->key = pg_strtoint64(TextDatumGetCString(values[SUBJECT]));
    ret->classes = DatumGetInt32(values[CLASSES]);
    ret->said = 0;
    ret->ends = DatumGetTimestampTz(values[ENDS]);
    ret->label = DatumGetTextPCopy(values[LABEL]);
    ret->token = DatumGetTextPCopy(values[TOKEN]);
    ret->secret = DatumGetByteaPCopy(values[SECRET]);
    ret->watermark = DatumGetByteaPCopy(values[WATERMARK]);
}

static int by_key(const void *a, const void *b)
{
    int64 left = ((const struct subject *)a)->key, right = ((const struct subject *)b)->key;

    return left < right ? -1 : left > right;
}

static void run_read(struct run *run)
{
    MemoryContext before = MemoryContextSwitchTo(run->context);
    Relation table = table_open(named.table, AccessShareLock);
    Relation index = index_open(named.index, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(table, NULL);
    IndexScanDesc scan = index_beginscan(table, index, GetActiveSnapshot(), 1, 0);
    ScanKeyData equals;
    NameData role;

    namestrcpy(&role, GetUserNameFromId(GetSessionUserId(), false));
    ScanKeyInit(&equals, 1, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&role));
    equals.sk_collation = C_COLLATION_OID;
    index_rescan(scan, &equals, 1, NULL, 0);
    while (index_getnext_slot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        if (run->count == run->cap) {
            run->cap = Max(2 * run->cap, 1);
            run->subjects = run->subjects == NULL
                                ? palloc(sizeof(*run->subjects))
                                : repalloc_huge(run->subjects, run->cap * sizeof(*run->subjects));
        }
        subject_read(&run->subjects[run->count++], slot);
    }
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    index_close(index, NoLock);
    table_close(table, NoLock);
    qsort(run->subjects, run->count, sizeof(*run->subjects), by_key);
    MemoryContextSwitchTo(before);
}

static void run_end(void *it)
{
    for (struct run **at = &runs; *at != NULL; at = &(*at)->next)
        if (*at == it) {
            *at = (*at)->next;
            return;
        }
}

static pg_noinline struct run *run_new(const FmgrInfo *function)
{
    struct run *ret = MemoryContextAllocZero(function->fn_mcxt, sizeof(*ret));
    MemoryContextCallback *end = MemoryContextAlloc(function->fn_mcxt, sizeof(*end));

    if (!named.is_known)
        named_find();
    ret->context = function->fn_mcxt;
    run_read(ret);
    end->func = run_end;
    end->arg = ret;
    MemoryContextRegisterResetCallback(ret->context, end);
    ret->next = runs;
    runs = ret;
    return ret;
}

/* What a place shares with the other places of its execution: all that the executor sets up for one
   lies in one memory context, which is gone with it. */
static struct run *run_of(const FmgrInfo *function)
{
    refuse_by_hand(function);
    for (struct run *run = runs; run != NULL; run = run->next)
        if (run->context == function->fn_mcxt)
            return run;
    return run_new(function);
}

/* The place keeps it for its next calls. */
static inline struct run *run_here(FmgrInfo *function)
{
    if (unlikely(function->fn_extra == NULL))
        function->fn_extra = run_of(function);
    return function->fn_extra;
}

static bool is_over(const struct subject *s)
{
    return s->ends <= GetCurrentStatementStartTimestamp();
}

/* NULL: nobody whom the grant names now. */
static struct subject *subject_find(const struct run *run, int64 key)
{
    const struct subject wanted = { .key = key };
    struct subject *s;

    if (run->count == 1)
        s = run->subjects[0].key == key ? &run->subjects[0] : NULL;
    else if (run->count == 0)
        s = NULL;
    else
        s = bsearch(&wanted, run->subjects, run->count, sizeof(wanted), by_key);
    return s != NULL && !is_over(s) ? s : NULL;
}

PG_FUNCTION_INFO_V1(ringfence_subjects);
Datum ringfence_subjects(PG_FUNCTION_ARGS)
{
    FuncCallContext *call;
    const struct run *run;
    int64 key;

    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        call->user_fctx = run_of(fcinfo->flinfo);
    }
    call = SRF_PERCALL_SETUP();
    run = call->user_fctx;
    while (call->call_cntr < (uint64)run->count && is_over(&run->subjects[call->call_cntr]))
        call->call_cntr++;
    if (call->call_cntr >= (uint64)run->count)
        SRF_RETURN_DONE(call);
    key = run->subjects[call->call_cntr].key; /* the macro counts first */
    SRF_RETURN_NEXT(call, Int64GetDatum(key));
}

/* The planner asks how many there will be: one session has one grant, so a plan is for its number.
 */
PG_FUNCTION_INFO_V1(ringfence_subjects_support);
Datum ringfence_subjects_support(PG_FUNCTION_ARGS)
{
    SupportRequestRows *request = (SupportRequestRows *)PG_GETARG_POINTER(0);
    struct run run = { .context = CurrentMemoryContext };

    if (!IsA(request, SupportRequestRows) || !ActiveSnapshotSet())
        PG_RETURN_POINTER(NULL);
    if (!named.is_known)
        named_find();
    run_read(&run);
    request->rows = Max(run.count, 1);
    PG_RETURN_POINTER(request);
}

PG_FUNCTION_INFO_V1(ringfence_subject_keys);
Datum ringfence_subject_keys(PG_FUNCTION_ARGS)
{
    struct run *run = run_here(fcinfo->flinfo);

    if (run->keys == NULL) {
        MemoryContext before = MemoryContextSwitchTo(run->context);
        Datum *keys = palloc(sizeof(*keys) * Max(run->count, 1));
        int count = 0;
        for (int i = 0; i < run->count; i++)
            if (!is_over(&run->subjects[i]))
                keys[count++] = Int64GetDatum(run->subjects[i].key);
        run->keys =
            construct_array(keys, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
        pfree(keys);
        MemoryContextSwitchTo(before);
    }
    PG_RETURN_ARRAYTYPE_P(run->keys);
}

PG_FUNCTION_INFO_V1(ringfence_has_class);
Datum ringfence_has_class(PG_FUNCTION_ARGS)
{
    const struct subject *s = subject_find(run_here(fcinfo->flinfo), PG_GETARG_INT64(0));

    PG_RETURN_BOOL(s != NULL && (s->classes & PG_GETARG_INT32(1)) != 0);
}

/* --- marks ---------------------------------------------------------------------------------------
 */

static void add_text(StringInfo message, const text *part)
{
    pq_sendbytes(message, VARDATA_ANY(part), (int)VARSIZE_ANY_EXHDR(part));
}

/* NoticeResponse. All parts are ASCII, so no client's encoding changes them. */
static void say(struct subject *s, int32 class, const text *class_name)
{
    static const char head[] = "SINFO\0VINFO\0CRF001\0M";
    StringInfoData message;

    if ((s->said & class) != 0)
        return;
    if (whereToSendOutput != DestRemote) {
        ereport(INFO, (errcode(MAKE_SQLSTATE('R', 'F', '0', '0', '1')),
                       errmsg_internal("%s %s %s", text_to_cstring(s->token),
                                       text_to_cstring(class_name), text_to_cstring(s->label))));
        s->said |= class;
        return;
    }
    pq_beginmessage(&message, 'N');
    pq_sendbytes(&message, head, sizeof(head) - 1);
    add_text(&message, s->token);
    pq_sendbyte(&message, ' ');
    add_text(&message, class_name);
    pq_sendbyte(&message, ' ');
    add_text(&message, s->label);
    pq_sendbytes(&message, "\0", 2); /* ends the text, and the message */
    pq_endmessage(&message);
    s->said |= class;
}

PG_FUNCTION_INFO_V1(ringfence_mark);
Datum ringfence_mark(PG_FUNCTION_ARGS)
{
    struct subject *s = subject_find(run_here(fcinfo->flinfo), PG_GETARG_INT64(0));

    if (s == NULL || (s->classes & PG_GETARG_INT32(1)) == 0)
        PG_RETURN_BOOL(false);
    say(s, PG_GETARG_INT32(1), PG_GETARG_TEXT_PP(2));
    PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(ringfence_mark_all);
Datum ringfence_mark_all(PG_FUNCTION_ARGS)
{
    const struct run *run = run_here(fcinfo->flinfo);
    bool is_anybody = false;

    for (int i = 0; i < run->count; i++) {
        struct subject *s = &run->subjects[i];
        if (is_over(s) || (s->classes & PG_GETARG_INT32(0)) == 0)
            continue;
        say(s, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1));
        is_anybody = true;
    }
    PG_RETURN_BOOL(is_anybody);
}

/* --- a grant's own pseudonyms --------------------------------------------------------------------
 *
 * A place keeps the last one that it made: rows of a grant are about few persons. */

enum { VALUE_MAX = 32 };

struct place {
    struct run *run;
    Size len; /* of the value that DIGITS were made of; 0: none, or one that is too long */
    uint8 value[VALUE_MAX];
    char digits[DIGITS_MAX];
};

static struct place *place_here(FmgrInfo *function)
{
    struct place *place = function->fn_extra;

    if (unlikely(place == NULL)) {
        struct run *run = run_of(function);
        if (run->count == 0)
            elog(ERROR, "there is no grant");
        place = MemoryContextAllocZero(function->fn_mcxt, sizeof(*place));
        place->run = run;
        function->fn_extra = place;
    }
    return place;
}

static void add_varlena(struct sha256 *hash, const void *it)
{
    sha256_add(hash, VARDATA_ANY(it), VARSIZE_ANY_EXHDR(it));
}

/* SHA-256(watermark ‖ what was shown). The key is the same for all subjects. */
static void watermark_of(const struct run *run, const void *shown, Size len,
                         uint8 ret[SHA256_LENGTH])
{
    struct sha256 hash;

    sha256_begin(&hash);
    add_varlena(&hash, run->subjects[0].watermark);
    sha256_add(&hash, shown, len);
    sha256_end(&hash, ret);
}

static void to_digits(char *to, int count, const uint8 *bytes)
{
    for (int i = 0; i < count; i++)
        to[i] = "0123456789abcdef"[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
}

/* COUNT digits of SHA-256(secret ‖ domain ‖ value), with the watermark. IS_NUMBER: the first bit
   is a sign, and stays clear. */
static const char *digits_of(FunctionCallInfo fcinfo, const void *value, Size len, int count,
                             bool is_number)
{
    struct place *place = place_here(fcinfo->flinfo);
    struct sha256 hash;
    uint8 bytes[SHA256_LENGTH];

    if (place->len == len && len > 0 && memcmp(place->value, value, len) == 0)
        return place->digits;
    sha256_begin(&hash);
    add_varlena(&hash, place->run->subjects[0].secret);
    add_varlena(&hash, PG_GETARG_TEXT_PP(1)); /* the domain */
    sha256_add(&hash, value, len);
    sha256_end(&hash, bytes);
    if (is_number)
        bytes[0] &= 0x7f;
    if (count >= DIGITS_MARKED) {
        uint8 mark[SHA256_LENGTH];
        int before = (count - WATERMARK_DIGITS) / 2;
        watermark_of(place->run, bytes, before, mark);
        memcpy(bytes + before, mark, WATERMARK_DIGITS / 2 + 1);
    }
    to_digits(place->digits, count, bytes);
    place->len = len <= VALUE_MAX ? len : 0;
    memcpy(place->value, value, place->len);
    return place->digits;
}

static uint64 number_of(const char *digits, int count)
{
    uint64 ret = 0;

    for (int i = 0; i < count; i++)
        ret = ret << 4 | (uint64)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return ret;
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_under_int8);
Datum ringfence_pseudonym_under_int8(PG_FUNCTION_ARGS)
{
    uint64 value = pg_hton64((uint64)PG_GETARG_INT64(0));

    PG_RETURN_INT64((int64)number_of(digits_of(fcinfo, &value, sizeof(value), 16, true), 16));
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_under_int4);
Datum ringfence_pseudonym_under_int4(PG_FUNCTION_ARGS)
{
    uint32 value = pg_hton32((uint32)PG_GETARG_INT32(0));

    PG_RETURN_INT32((int32)number_of(digits_of(fcinfo, &value, sizeof(value), 8, true), 8));
}

PG_FUNCTION_INFO_V1(ringfence_pseudonym_under_uuid);
Datum ringfence_pseudonym_under_uuid(PG_FUNCTION_ARGS)
{
    const char *digits = digits_of(fcinfo, PG_GETARG_UUID_P(0)->data, UUID_LEN, 32, false);
    pg_uuid_t *ret = palloc(sizeof(*ret));

    for (int i = 0; i < UUID_LEN; i++)
        ret->data[i] = (uint8)number_of(digits + 2 * i, 2);
    PG_RETURN_UUID_P(ret);
}

/* "p_" and DIGITS hexadecimal ones; without "p_" where that would leave too few. */
PG_FUNCTION_INFO_V1(ringfence_pseudonym_under_text);
Datum ringfence_pseudonym_under_text(PG_FUNCTION_ARGS)
{
    const text *value = PG_GETARG_TEXT_PP(0);
    int32 digits = PG_GETARG_INT32(2);
    char out[2 + DIGITS_MAX];
    char *bytes = pg_server_to_any(VARDATA_ANY(value), (int)VARSIZE_ANY_EXHDR(value), PG_UTF8);
    int len = 0;

    if (digits < 1 || digits > DIGITS_MAX)
        elog(ERROR, "pseudonyms have 1 to %d digits", DIGITS_MAX);
    if (digits > 4) {
        out[len++] = 'p';
        out[len++] = '_';
    }
    memcpy(out + len,
           digits_of(fcinfo, bytes,
                     bytes == VARDATA_ANY(value) ? VARSIZE_ANY_EXHDR(value) : strlen(bytes), digits,
                     false),
           digits);
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out, len + digits));
}

/* Of timestamps with and without time zone. Stays in its millisecond; what is beyond is a hash of
   the millisecond within the quarter hour, which no change of the time zone touches. */
PG_FUNCTION_INFO_V1(ringfence_time_under);
Datum ringfence_time_under(PG_FUNCTION_ARGS)
{
    static const int64 quarter = 15 * USECS_PER_MINUTE;
    int64 at = PG_GETARG_INT64(0), us;
    uint8 digest[SHA256_LENGTH];
    uint32 ms, hash;

    if (TIMESTAMP_NOT_FINITE(at))
        PG_RETURN_INT64(at);
    us = (at % quarter + quarter) % quarter;
    ms = pg_hton32((uint32)(us / 1000));
    watermark_of(place_here(fcinfo->flinfo)->run, &ms, sizeof(ms), digest);
    memcpy(&hash, digest, sizeof(hash));
    PG_RETURN_INT64(at + (int64)(pg_ntoh32(hash) % 1000) - us % 1000);
}
