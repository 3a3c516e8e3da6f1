/* today.h - what day it is in UTC when a statement begins, and whose birthday it is. */
#ifndef RINGFENCE_TODAY_H
#define RINGFENCE_TODAY_H

#include "postgres.h"

#include "access/xact.h"
#include "datatype/timestamp.h"
#include "utils/date.h"

static inline DateADT day_of_time(TimestampTz at)
{
    return (DateADT)(at / USECS_PER_DAY - (at % USECS_PER_DAY < 0 ? 1 : 0));
}

static inline DateADT today(void)
{
    return day_of_time(GetCurrentStatementStartTimestamp());
}

/* The day on which those were born who are YEARS old today. */
DateADT born_by(int years);

#endif
