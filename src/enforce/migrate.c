#include "enforce/migrate.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "enforce/apply.h"
#include "enforce/role.h"
#include "enforce/sql.h"

enum { LOOK_AGAIN_MS = 100 };

static void pause_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) < 0)
        continue;
}

int migrate_lock(struct database *db, struct err *err)
{
    int rc = database_run(db,
                          "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 60;"
                          " SET lock_timeout = '5s'; SET search_path = pg_catalog;"
                          " SELECT pg_advisory_lock(" APPLY_LOCK ")",
                          err);
    if (rc == -RF_ETIMEOUT && err != NULL && strcmp(err->sqlstate, "55P03") == 0) {
        rc = err_set(err, RF_ETIMEOUT,
                     "another apply or migrate is at work on this database (SQLSTATE 55P03)");
        err_sqlstate(err, "55P03");
    }
    return rc;
}

/* Run the statement that the query NAMES yields in its only field; nothing where that is NULL.
 *RET_COUNT grows by its second field. */
static int run_named(struct database *db, const char *names, size_t *ret_count, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db, names, &r, err);
    if (rc == 0 && PQntuples(r) == 1 && !PQgetisnull(r, 0, 0)) {
        rc = database_run(db, database_value(r, 0, 0), err);
        for (const char *at = database_value(r, 0, 1); rc == 0 && *at != '\0'; at++)
            *ret_count += *at == '.';
    }
    PQclear(r);
    return rc;
}

/* Views of ours: in our schemas, written down in ringfence.object. One statement, because some may
   depend on others; without CASCADE, because what is not ours is not ours to drop. The second field
   has a dot for each. */
static const char drop_views[] =
    "SELECT 'DROP VIEW ' || string_agg(format('%I.%I', n.nspname, c.relname), ', '),"
    " string_agg('.', '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'v' AND n.nspname IN ('masked', 'stats', 'granted')"
    " AND EXISTS (SELECT FROM ringfence.object o WHERE o.name = n.nspname || '.' || c.relname)";

/* Triggers of ours, which have conditions on columns. */
static const char drop_triggers[] =
    "SELECT string_agg(format('DROP TRIGGER %%I ON %%I.%%I', t.tgname, n.nspname, c.relname), ';"
    " '), string_agg('.', '') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE p.pronamespace IN (to_regnamespace('ringfence'), to_regnamespace('ringfence_native'))"
    " AND NOT t.tgisinternal"
    " AND t.tgparentid = 0 AND t.tgname LIKE '~ringfence\\_%%' AND (%S)";

/* What lets persons in, and what tells gateways that they may be let in. */
static const char close_doors[] =
    "SELECT format('REVOKE CONNECT ON DATABASE %I FROM " ROLE_NAME_PERSON "', current_database())"
    " || CASE WHEN to_regprocedure('ringfence.standby()') IS NOT NULL"
    " THEN '; DROP FUNCTION ringfence.standby()' ELSE '' END, ''"
    " WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = '" ROLE_NAME_PERSON "')";

static int clear(struct database *db, bool lift_ingest, size_t *ret_count, struct err *err)
{
    struct sql s;
    const char *triggers = NULL;
    sql_init(&s);
    sql_add(&s, drop_triggers, lift_ingest ? "true" : "t.tgname LIKE '~ringfence\\_child%'");
    int rc = sql_text(&s, &triggers, err);
    if (rc == 0)
        rc = run_named(db, drop_views, ret_count, err);
    if (rc == 0)
        rc = run_named(db, triggers, ret_count, err);
    if (rc == 0)
        rc = run_named(db, close_doors, ret_count, err);
    sql_done(&s);
    return rc;
}

static int was_applied(struct database *db, bool *ret, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db, "SELECT to_regclass('ringfence.object') IS NOT NULL", &r, err);
    if (rc == 0)
        *ret = database_true(r, 0, 0);
    PQclear(r);
    return rc;
}

int migrate_clear(struct database *db, bool lift_ingest, size_t *ret_count, struct err *err)
{
    bool applied = false;
    *ret_count = 0;
    int rc = database_run(db,
                          "BEGIN READ WRITE; SET LOCAL lock_timeout = '5s';"
                          " SET LOCAL statement_timeout = '1min'",
                          err);
    if (rc == 0)
        rc = was_applied(db, &applied, err);
    if (rc == 0 && applied)
        rc = clear(db, lift_ingest, ret_count, err);
    if (rc == 0)
        return database_run(db, "COMMIT", err);
    if (err != NULL && strcmp(err->sqlstate, "2BP01") == 0) {
        (void)err_set(err, RF_EDATABASE,
                      "something else depends on ringfence's views (SQLSTATE 2BP01)");
        err_hint(err, "find it with: DROP VIEW in psql, and drop it first; nothing was changed");
    } else if (rc == -RF_ETIMEOUT) {
        err_hint(err, "somebody holds ringfence's views or the application's tables; nothing was"
                      " changed");
    }
    if (database_run(db, "ROLLBACK", NULL) < 0)
        database_close(db);
    return rc;
}

/* Is the answer, a number, another than 0? */
static int ask_any(struct database *db, const char *question, bool *ret, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db, question, &r, err);
    *ret = rc == 0 && PQntuples(r) == 1 && strcmp(database_value(r, 0, 0), "0") != 0;
    PQclear(r);
    return rc;
}

/* Ask until the answer is 0. */
static int await_none(struct database *db, const char *question, const char *what, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + MIGRATE_REPLAY_MS;
    for (;;) {
        bool left = false;
        int rc = ask_any(db, question, &left, err);
        if (rc < 0 || !left)
            return rc;
        if (clock_mono_ms() >= deadline_ms)
            return err_set(err, RF_ETIMEOUT, "%s within %d s", what, MIGRATE_REPLAY_MS / 1000);
        pause_ms(LOOK_AGAIN_MS);
    }
}

int migrate_end_sessions(struct database *db, struct err *err)
{
    static const char sessions[] =
        "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
        " JOIN pg_auth_members m ON m.member = a.usesysid WHERE a.datname = current_database()"
        " AND m.roleid = (SELECT oid FROM pg_roles WHERE rolname = '" ROLE_NAME_PERSON "')";
    return await_none(db, sessions, "the sessions of persons did not end", err);
}

int migrate_await_persons(struct database *db, struct err *err)
{
    static const char standbys[] = "SELECT count(*) FROM pg_stat_replication"
                                   " WHERE state = 'streaming'";
    bool any = false;
    struct sql s;
    const char *behind;
    PGresult *r = NULL;
    sql_init(&s);
    int rc = migrate_end_sessions(db, err);
    if (rc == 0)
        rc = ask_any(db, standbys, &any, err);
    if (rc == 0 && any)
        rc = database_query(db, "SELECT pg_current_wal_lsn()", &r, err);
    if (rc == 0 && any) {
        sql_add(&s,
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
                " AND replay_lsn IS NOT NULL AND replay_lsn < %L::pg_lsn",
                database_value(r, 0, 0));
        rc = sql_text(&s, &behind, err);
        if (rc == 0)
            rc = await_none(db, behind, "a standby has not replayed that persons are out", err);
        if (rc == 0)
            pause_ms(MIGRATE_LEASE_MS);
    }
    PQclear(r);
    sql_done(&s);
    return rc;
}
