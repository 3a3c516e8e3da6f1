/* born_by(years): (statement_timestamp() AT TIME ZONE 'UTC' - interval 'YEARS years')::date, for a
 * tenth of its cost: it is computed again for every row. */
#include "postgres.h"

#include "access/xact.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/date.h"
#include "utils/datetime.h"

static const int days_of[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

PG_FUNCTION_INFO_V1(ringfence_born_by);
Datum ringfence_born_by(PG_FUNCTION_ARGS)
{
    int64 now = GetCurrentStatementStartTimestamp();
    int today = (int)(now / USECS_PER_DAY) - (now % USECS_PER_DAY < 0 ? 1 : 0);
    int year, month, day, last;

    j2date(today + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    year -= PG_GETARG_INT32(0);
    last = days_of[month - 1] + (month == 2 && isleap(year) ? 1 : 0);
    PG_RETURN_DATEADT(date2j(year, month, Min(day, last)) - POSTGRES_EPOCH_JDATE);
}
