#include "enforce/apply.h"

#include <stdio.h>
#include <string.h>

#include "enforce/role.h"
#include "enforce/selfcheck.h"

/* Default privileges of the database (ALTER DEFAULT PRIVILEGES) can put rights on what was just
   made: a second pass takes them away. More than that means that something works against us. */
enum { APPLY_PASSES = 3 };

int apply_plan(struct database *db, const struct policy *p, const struct policy_region *region,
               struct script *script, struct err *err)
{
    struct catalog *c = NULL;
    int rc = catalog_read(db, p, region, &c, err);
    if (rc == 0)
        rc = compile_region(p, region, c, script, err);
    catalog_free(c);
    return rc;
}

int apply_look(struct database *db, const struct policy *p, const struct policy_region *region,
               struct script *script, struct err *err)
{
    int rc = database_run(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == 0)
        rc = apply_plan(db, p, region, script, err);
    if (rc == 0)
        return database_run(db, "COMMIT", err);
    if (database_run(db, "ROLLBACK", NULL) < 0)
        database_close(db);
    return rc;
}

int apply_check_rights(struct database *db, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db,
                            "SELECT rolsuper, pg_is_in_recovery() FROM pg_roles"
                            " WHERE rolname = current_user",
                            &r, err);
    if (rc < 0)
        return rc;
    if (database_true(r, 0, 1))
        rc = err_set(err, RF_EDATABASE, "this server is a standby: apply to the primary");
    else if (!database_true(r, 0, 0))
        rc = err_set(err, RF_EPRIV, "apply needs a superuser of the database");
    PQclear(r);
    return rc;
}

static int begin(struct database *db, struct err *err)
{
    int rc = database_run(db,
                          "BEGIN READ WRITE; SET LOCAL lock_timeout = '10s';"
                          " SET LOCAL statement_timeout = '9min';"
                          " SET LOCAL check_function_bodies = on;"
                          " SET LOCAL search_path = pg_catalog;"
                          " SELECT pg_advisory_xact_lock(" APPLY_LOCK ");"
                          " SET LOCAL lock_timeout = '5s'",
                          err);
    if (rc == -RF_ETIMEOUT && err != NULL && strcmp(err->sqlstate, "55P03") == 0) {
        rc =
            err_set(err, RF_ETIMEOUT, "another apply is at work on this database (SQLSTATE 55P03)");
        err_sqlstate(err, "55P03");
    }
    return rc;
}

static int run_step(struct database *db, const struct step *step, struct err *err)
{
    PGresult *r = NULL;
    struct err why = { 0 };
    int rc = database_query(db, step->sql, &r, &why);
    if (rc < 0) {
        rc = err_set(err, (enum err_code)why.code, "could not apply %.150s: %.230s", step->what,
                     why.line);
        err_sqlstate(err, why.sqlstate);
        err_hint(err, "%s",
                 strcmp(why.sqlstate, "55P03") == 0
                     ? "nothing was changed; somebody holds a lock on a table of the policy: see"
                       " pg_locks, and apply again"
                     : why.hint);
    } else if (step->kind == STEP_ZERO_ROWS && strcmp(database_value(r, 0, 0), "0") != 0) {
        rc = err_set(err, RF_EDENIED, "%s %.300s (SQLSTATE 23514)", database_value(r, 0, 0),
                     step->what);
        err_sqlstate(err, "23514");
        err_hint(err, "move or remove these rows, then apply again; nothing was changed");
    }
    PQclear(r);
    return rc;
}

static int run_pass(struct database *db, const struct policy *p, const struct policy_region *region,
                    size_t *ret_steps, struct err *err)
{
    struct script script;
    script_init(&script);
    int rc = apply_plan(db, p, region, &script, err);
    for (size_t i = 0; rc == 0 && i < script.count; i++)
        rc = run_step(db, &script.steps[i], err);
    *ret_steps = script.count;
    script_done(&script);
    return rc;
}

static void note_first_fault(void *context, const char *check, const char *object)
{
    char *first = context;
    if (first[0] == '\0')
        (void)snprintf(first, 300, "%s: %s", check, object);
}

static int check_result(struct database *db, struct err *err)
{
    char first[300] = "";
    size_t faults = 0;
    int rc = selfcheck_run(db, note_first_fault, first, &faults, err);
    if (rc == 0 && faults > 0) {
        rc = err_set(err, RF_EDENIED, "the database would not hold the policy: %s (%zu faults)",
                     first, faults);
        err_hint(err, "take away these rights, then apply again; nothing was changed");
    }
    return rc;
}

/* A view's functions are checked against whoever reads it, so every view is read as a person reads
   it: a mask that calls what persons may not call would break in their hands. The role is made for
   this and gone before anybody else sees it. */
static int add_readings(struct database *db, struct sql *s, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db,
                            "SELECT n.nspname, c.relname, 'rf_' || n.nspname FROM pg_class c"
                            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v'"
                            " AND n.nspname IN ('masked', 'stats', 'granted') ORDER BY 1, 2",
                            &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        if (i == 0 || strcmp(database_value(r, i, 0), database_value(r, i - 1, 0)) != 0)
            sql_add(s, "%SCREATE ROLE rf_probe IN ROLE %I, %I; SET LOCAL ROLE rf_probe; ",
                    i > 0 ? "RESET ROLE; DROP ROLE rf_probe; " : "", ROLE_NAME_PERSON,
                    database_value(r, i, 2));
        sql_add(s, "SELECT * FROM %N LIMIT 0; ", database_value(r, i, 0), database_value(r, i, 1));
    }
    if (rc == 0)
        sql_add(s, PQntuples(r) > 0 ? "RESET ROLE; DROP ROLE rf_probe" : "SELECT");
    PQclear(r);
    return rc;
}

static int check_views(struct database *db, struct err *err)
{
    struct sql s;
    const char *text;
    struct err why = { 0 };
    sql_init(&s);
    int rc = add_readings(db, &s, err);
    if (rc == 0)
        rc = sql_text(&s, &text, err);
    if (rc == 0 && database_run(db, text, &why) < 0) {
        rc = err_set(err, (enum err_code)why.code, "a person could not read a view: %.300s",
                     why.line);
        err_sqlstate(err, why.sqlstate);
        err_hint(err, "persons may call the functions of src/enforce/tbl/function.def; nothing was"
                      " changed");
    }
    sql_done(&s);
    return rc;
}

int apply_run(struct database *db, const struct policy *p, const struct policy_region *region,
              size_t *ret_steps, struct err *err)
{
    size_t steps = 1, done = 0;
    int rc = apply_check_rights(db, err);
    if (rc == 0)
        rc = begin(db, err);
    for (int pass = 0; rc == 0 && steps > 0 && pass < APPLY_PASSES; pass++) {
        rc = run_pass(db, p, region, &steps, err);
        done += steps;
    }
    if (rc == 0 && steps > 0)
        rc = err_set(err, RF_EDATABASE, "the database does not keep what was applied");
    if (rc == 0 && done > 0)
        rc = check_views(db, err);
    if (rc == 0)
        rc = check_result(db, err);
    if (rc == 0)
        rc = database_run(db, "COMMIT", err);
    if (rc < 0) {
        /* the first error is the one to tell; a lost connection rolls back by itself */
        if (database_run(db, "ROLLBACK", NULL) < 0)
            database_close(db);
        return rc;
    }
    *ret_steps = done;
    return 0;
}
