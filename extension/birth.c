/* born_by(years): (statement_timestamp() AT TIME ZONE 'UTC' - interval 'YEARS years')::date, for a
 * tenth of its cost: it is computed again for every row.
 *
 * is_adult(birth date, years): "birth date <= born_by(years)" as one function, since each function
 * of a statement is a right to be checked, and a call for each row. The planner is told what it
 * would have made of the comparison. */
#include "today.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* operators "<=", which PostgreSQL gives no names */
enum { DATE_LE_DATE = 1096, TIMESTAMP_LE_DATE = 2372 };

static const int days_of[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

DateADT born_by(int years)
{
    static struct {
        DateADT today, born;
        int years;
    } last = { .years = -1 };
    DateADT now = today();
    int year, month, day, end;

    if (last.years == years && last.today == now)
        return last.born;
    j2date(now + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    year -= years;
    end = days_of[month - 1] + (month == 2 && isleap(year) ? 1 : 0);
    last.born = date2j(year, month, Min(day, end)) - POSTGRES_EPOCH_JDATE;
    last.today = now;
    last.years = years;
    return last.born;
}

PG_FUNCTION_INFO_V1(ringfence_born_by);
Datum ringfence_born_by(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATEADT(born_by(PG_GETARG_INT32(0)));
}

PG_FUNCTION_INFO_V1(ringfence_is_adult_date);
Datum ringfence_is_adult_date(PG_FUNCTION_ARGS)
{
    PG_RETURN_BOOL(PG_GETARG_DATEADT(0) <= born_by(PG_GETARG_INT32(1)));
}

PG_FUNCTION_INFO_V1(ringfence_is_adult_timestamp);
Datum ringfence_is_adult_timestamp(PG_FUNCTION_ARGS)
{
    PG_RETURN_BOOL(PG_GETARG_TIMESTAMP(0) <= born_by(PG_GETARG_INT32(1)) * USECS_PER_DAY);
}

PG_FUNCTION_INFO_V1(ringfence_is_adult_support);
Datum ringfence_is_adult_support(PG_FUNCTION_ARGS)
{
    SupportRequestSelectivity *request = (SupportRequestSelectivity *)PG_GETARG_POINTER(0);
    Node *birth, *years;
    Const *born;
    Expr *same;

    if (!IsA(request, SupportRequestSelectivity) || list_length(request->args) != 2)
        PG_RETURN_POINTER(NULL);
    birth = linitial(request->args);
    years = lsecond(request->args);
    if (!IsA(years, Const) || ((Const *)years)->constisnull || request->is_join)
        PG_RETURN_POINTER(NULL);
    born = makeConst(DATEOID, -1, InvalidOid, sizeof(DateADT),
                     DateADTGetDatum(born_by(DatumGetInt32(((Const *)years)->constvalue))), false,
                     true);
    same = make_opclause(exprType(birth) == DATEOID ? DATE_LE_DATE : TIMESTAMP_LE_DATE, BOOLOID,
                         false, (Expr *)birth, (Expr *)born, InvalidOid, InvalidOid);
    set_opfuncid((OpExpr *)same);
    request->selectivity = clause_selectivity(request->root, (Node *)same, request->varRelid,
                                              request->jointype, request->sjinfo);
    PG_RETURN_POINTER(request);
}
