#include "enforce/selfcheck.h"

#include "enforce/sql.h"

int selfcheck_run(struct database *db, selfcheck_fault_fn *on_fault, void *context,
                  size_t *ret_faults, struct err *err)
{
    static const struct {
        const char *name, *query;
    } checks[] = {
#define CHECK(name, query) { name, query },
#include "enforce/tbl/check.def"
#undef CHECK
    };
    struct sql sql;
    const char *text;
    PGresult *r = NULL;
    sql_init(&sql);
    for (size_t i = 0; i < RF_COUNT(checks); i++)
        sql_add(&sql, "%SSELECT %L, x.o FROM (%S) x(o)", i == 0 ? "" : " UNION ALL ",
                checks[i].name, checks[i].query);
    int rc = sql_text(&sql, &text, err);
    if (rc == 0)
        rc = database_query(db, text, &r, err);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++)
        on_fault(context, database_value(r, row, 0), database_value(r, row, 1));
    if (rc == 0)
        *ret_faults = (size_t)PQntuples(r);
    PQclear(r);
    sql_done(&sql);
    return rc;
}
