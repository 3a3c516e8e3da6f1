#include "enforce/selfcheck.h"

#include "enforce/role.h"
#include "enforce/sql.h"

struct check {
    const char *name, *query;
};

/* Roles that have the same groups, own nothing and have no right of their own can do the same: one
   stands for all of them. Every right and every possession of a role is in pg_shdepend. The roles
   of grants may be 100,000: that they have no groups but their own is a line of check.def, so here
   one of them is enough, and those that own something or have a right. */
static const char tables[] =
    "WITH " LASTING_ROLES ","
    " person AS MATERIALIZED (SELECT r.oid, r.rolname FROM pg_roles r WHERE NOT r.rolsuper"
    "  AND (r.rolname IN ('rf_person', 'rf_masked', 'rf_stats', 'rf_granted')"
    "   OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid"
    "    AND m.roleid = to_regrole('rf_person')))),"
    " own AS MATERIALIZED (SELECT DISTINCT d.refobjid FROM pg_shdepend d"
    "  WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('a', 'o')),"
    " plain AS MATERIALIZED (SELECT oid, rolname FROM person"
    "  WHERE oid IN (SELECT oid FROM lasting) AND oid NOT IN (SELECT refobjid FROM own)),"
    " kind AS MATERIALIZED (SELECT oid, rolname FROM person WHERE oid IN (SELECT refobjid FROM own)"
    "  OR rolname IN ('rf_person', 'rf_masked', 'rf_stats', 'rf_granted')"
    "  UNION (SELECT oid, rolname FROM person WHERE " IS_OF_GRANT(
        "oid") " LIMIT 1)"
               "  UNION SELECT x.oid, x.rolname FROM (SELECT DISTINCT ON (array_agg(m.roleid ORDER "
               "BY"
               "   m.roleid)) p.oid, p.rolname FROM plain p JOIN pg_auth_members m ON m.member = "
               "p.oid"
               "   GROUP BY p.oid, p.rolname) x) ";

static int ask(struct database *db, const struct check *checks, size_t count,
               selfcheck_fault_fn *on_finding, void *context, size_t *ret_findings, struct err *err)
{
    struct sql sql;
    const char *text;
    PGresult *r = NULL;
    sql_init(&sql);
    sql_add(&sql, "%S", tables);
    for (size_t i = 0; i < count; i++)
        sql_add(&sql, "%SSELECT %L, x.o FROM (%S) x(o)", i == 0 ? "" : " UNION ALL ",
                checks[i].name, checks[i].query);
    int rc = sql_text(&sql, &text, err);
    if (rc == 0) /* with 100,000 roles the planner would compile it, which takes longer than all */
        rc = database_query(db, "SET jit = off", &r, err);
    PQclear(r);
    r = NULL;
    if (rc == 0)
        rc = database_query(db, text, &r, err);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++)
        on_finding(context, database_value(r, row, 0), database_value(r, row, 1));
    if (rc == 0)
        *ret_findings = (size_t)PQntuples(r);
    PQclear(r);
    sql_done(&sql);
    return rc;
}

int selfcheck_run(struct database *db, selfcheck_fault_fn *on_fault, void *context,
                  size_t *ret_faults, struct err *err)
{
    static const struct check checks[] = {
#define CHECK(name, query) { name, query },
#define WARNING(name, query)
#include "enforce/tbl/check.def"
#undef WARNING
#undef CHECK
    };
    return ask(db, checks, RF_COUNT(checks), on_fault, context, ret_faults, err);
}

int selfcheck_warn(struct database *db, selfcheck_fault_fn *on_warning, void *context,
                   size_t *ret_warnings, struct err *err)
{
    static const struct check checks[] = {
#define CHECK(name, query)
#define WARNING(name, query) { name, query },
#include "enforce/tbl/check.def"
#undef WARNING
#undef CHECK
    };
    return ask(db, checks, RF_COUNT(checks), on_warning, context, ret_warnings, err);
}
