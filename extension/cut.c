/* Masks of times and whole numbers as one function each. In SQL they are five calls and more, and
 * each function of a statement is a right to be checked, an expression to be set up, and a call for
 * each row. What they make is what src/enforce/mask.c makes in SQL: times are cut in UTC; what
 * cannot be cut to its month or year, because it lies near the ends of its type, is infinity. */
#include "today.h"

#include "fmgr.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

enum unit { TO_MONTH, TO_YEAR };

/* '4700-01-01 BC' and '290000-01-01' as days since 2000: the years of a calendar that counts 1 BC
   as year 0. */
static bool can_be_cut(DateADT day)
{
    static DateADT least, most;

    if (most == 0) {
        least = date2j(-4699, 1, 1) - POSTGRES_EPOCH_JDATE;
        most = date2j(290000, 1, 1) - POSTGRES_EPOCH_JDATE;
    }
    return day >= least && day < most;
}

static DateADT cut_day(DateADT day, enum unit unit)
{
    int year, month, unused;

    if (!can_be_cut(day))
        return DATEVAL_NOEND;
    j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &unused);
    return date2j(year, unit == TO_YEAR ? 1 : month, 1) - POSTGRES_EPOCH_JDATE;
}

static Timestamp cut_time(Timestamp at, enum unit unit)
{
    DateADT day;

    if (TIMESTAMP_NOT_FINITE(at))
        return DT_NOEND;
    day = cut_day(day_of_time(at), unit);
    return DATE_NOT_FINITE(day) ? DT_NOEND : day * USECS_PER_DAY;
}

/* Of timestamps with and without time zone: both count from the same moment, the one in UTC. */
PG_FUNCTION_INFO_V1(ringfence_day_of);
Datum ringfence_day_of(PG_FUNCTION_ARGS)
{
    Timestamp at = PG_GETARG_TIMESTAMP(0);

    PG_RETURN_TIMESTAMP(TIMESTAMP_NOT_FINITE(at) ? at : day_of_time(at) * USECS_PER_DAY);
}

PG_FUNCTION_INFO_V1(ringfence_month_of);
Datum ringfence_month_of(PG_FUNCTION_ARGS)
{
    PG_RETURN_TIMESTAMP(cut_time(PG_GETARG_TIMESTAMP(0), TO_MONTH));
}

PG_FUNCTION_INFO_V1(ringfence_year_of);
Datum ringfence_year_of(PG_FUNCTION_ARGS)
{
    PG_RETURN_TIMESTAMP(cut_time(PG_GETARG_TIMESTAMP(0), TO_YEAR));
}

PG_FUNCTION_INFO_V1(ringfence_month_of_date);
Datum ringfence_month_of_date(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATEADT(cut_day(PG_GETARG_DATEADT(0), TO_MONTH));
}

PG_FUNCTION_INFO_V1(ringfence_year_of_date);
Datum ringfence_year_of_date(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATEADT(cut_day(PG_GETARG_DATEADT(0), TO_YEAR));
}

/* The multiple of STEP at or below VALUE; near the type's end LEAST + STEP, which is the smallest
   number that can be made so. STEP is positive and at most half the type's range. */
static int64 multiple(int64 value, int64 step, int64 least)
{
    int64 rest;

    if (value < least + step)
        return least + step;
    rest = value % step;
    return value - (rest < 0 ? rest + step : rest);
}

PG_FUNCTION_INFO_V1(ringfence_coarse_int8);
Datum ringfence_coarse_int8(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT64(multiple(PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_INT64_MIN));
}

PG_FUNCTION_INFO_V1(ringfence_coarse_int4);
Datum ringfence_coarse_int4(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32((int32)multiple(PG_GETARG_INT32(0), PG_GETARG_INT32(1), PG_INT32_MIN));
}

PG_FUNCTION_INFO_V1(ringfence_coarse_int2);
Datum ringfence_coarse_int2(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT16((int16)multiple(PG_GETARG_INT16(0), PG_GETARG_INT16(1), PG_INT16_MIN));
}
