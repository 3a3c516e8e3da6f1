#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pg_query/pg_query.pb-c.h>

#include "guard/guard.h"
#include "guard/inspect.h"
#include "guard/rule.h"
#include "guard/source.h"

static struct guard_report report; /* large */

static void inspect(const char *sql)
{
    guard_inspect(sql, strlen(sql), &report);
}

/* --- One statement each: kind, refusal, subject, relations
 * ----------------------------------------- */

static const struct {
    const char *sql, *kind;
    enum guard_refusal refusal;
    const char *subject, *relations;
} statements[] = {
    { "select 1", "SelectStmt", GUARD_OK, "", "" },
    { "select * from users", "SelectStmt", GUARD_OK, "", "users" },
    { "table users", "SelectStmt", GUARD_OK, "", "users" },
    { "values (1, 2), (3, 4)", "SelectStmt", GUARD_OK, "", "" },
    { "select * from app.users u, users, app.users v", "SelectStmt", GUARD_OK, "",
      "app.users,users" },
    { "select * from a join b using (x) left join c on true cross join lateral (select * from d "
      "where d.x = a.x) q",
      "SelectStmt", GUARD_OK, "", "a,b,c,d" },
    { "select (select max(x) from b where b.y in (select y from c)) from a where exists (select 1 "
      "from d)",
      "SelectStmt", GUARD_OK, "", "b,c,a,d" },
    { "select * from a union select * from b except (select * from c intersect table d)",
      "SelectStmt", GUARD_OK, "", "a,b,c,d" },
    { "with x as (select * from a) select * from x", "SelectStmt", GUARD_OK, "", "a" },
    { "with users as (select * from users) select * from users", "SelectStmt", GUARD_OK, "",
      "users" },
    { "with a as (select 1), b as (select * from a, c) select * from a, b, s.a", "SelectStmt",
      GUARD_OK, "", "c,s.a" },
    { "with b as (select * from a), a as (select 1) select * from a, b", "SelectStmt", GUARD_OK, "",
      "a" },
    { "with recursive b as (select * from a), a as (select 1) select * from a, b", "SelectStmt",
      GUARD_OK, "", "" },
    { "with recursive t(n) as (values (1) union all select n + 1 from t where n < 5) table t",
      "SelectStmt", GUARD_OK, "", "" },
    { "select * from (with x as (table a) table x) q, x", "SelectStmt", GUARD_OK, "", "a,x" },
    { "with x as (table a) select * from b where y in (with z as (table x) table z)", "SelectStmt",
      GUARD_OK, "", "a,b" },
    { "select * from \"Us,ers\", \"s\".\"a.b\", \"q\"\"q\", \"\xc3\xa9\", _x$1", "SelectStmt",
      GUARD_OK, "", "\"Us,ers\",s.\"a.b\",\"q\"\"q\",\"\xc3\xa9\",_x$1" },
    { "select * from app.pg_catalog.pg_class", "SelectStmt", GUARD_OK, "",
      "app.pg_catalog.pg_class" },
    { "select * from only a tablesample system (10)", "SelectStmt", GUARD_OK, "", "a" },
    { "select * from generate_series(1, (select max(x) from a)) g", "SelectStmt", GUARD_OK, "",
      "a" },
    { "select count(*) filter (where x > (select 1 from b)) over (partition by y order by z) from "
      "a "
      "group by rollup (y) having max(z) > (select 1 from c) order by (select 1 from d) limit "
      "(select 1 from e)",
      "SelectStmt", GUARD_OK, "", "b,a,c,d,e" },
    { "select case when x then array[(select 1 from b)] else '{}' end, $1::int from a",
      "SelectStmt", GUARD_OK, "", "b,a" },
    { "select * from users where handle = 'insert into x'", "SelectStmt", GUARD_OK, "", "users" },
    { "select * into y from z", "SelectStmt", GUARD_SELECT_INTO, "SELECT INTO", NULL },
    { "select * from a for update", "SelectStmt", GUARD_ROW_LOCK, "FOR UPDATE", "a" },
    { "select * from (select * from a for share of a nowait) q", "SelectStmt", GUARD_ROW_LOCK,
      "FOR SHARE", "a" },
    { "select * from a for no key update", "SelectStmt", GUARD_ROW_LOCK, "FOR NO KEY UPDATE", "a" },
    { "select * from a for key share", "SelectStmt", GUARD_ROW_LOCK, "FOR KEY SHARE", "a" },
    { "with x as (delete from a returning *) select * from x", "SelectStmt", GUARD_DATA_CHANGE,
      "DELETE", "a" },
    { "with x as (insert into a table b returning 1) select 1", "SelectStmt", GUARD_DATA_CHANGE,
      "INSERT", "a,b" },
    { "select 1 where exists (with x as (update a set b = 1 returning 1) table x)", "SelectStmt",
      GUARD_DATA_CHANGE, "UPDATE", "a" },
    { "select set_config('search_path', 'app', false)", "SelectStmt", GUARD_FUNCTION, "set_config",
      "" },
    { "select 1 from a where pg_catalog.set_config('role', 'x', true) is null", "SelectStmt",
      GUARD_FUNCTION, "set_config", "a" },
    { "select 'a b'::tsvector", "SelectStmt", GUARD_TYPE, "tsvector", "" },
    { "select cast(a as pg_catalog.jsonpath) from a", "SelectStmt", GUARD_TYPE, "jsonpath", "a" },
    { "select null::_xml", "SelectStmt", GUARD_TYPE, "xml", "" },
    { "select null::tsquery[]", "SelectStmt", GUARD_TYPE, "tsquery", "" },
    { "select xmlelement(name a, b) from c", "SelectStmt", GUARD_TYPE, "xml", "c" },
    { "select b is document from c", "SelectStmt", GUARD_TYPE, "xml", "c" },
    { "select * from xmltable('/a' passing b columns c int)", "SelectStmt", GUARD_TYPE, "XMLTABLE",
      "" },
    { "select * from ringfence.token", "SelectStmt", GUARD_SCHEMA, "ringfence", "ringfence.token" },
    { "select ringfence.reveal(1)", "SelectStmt", GUARD_SCHEMA, "ringfence", "" },

    { "insert into a select * from b", "InsertStmt", GUARD_DATA_CHANGE, "INSERT", "a,b" },
    { "update a set x = 1 from b", "UpdateStmt", GUARD_DATA_CHANGE, "UPDATE", "a,b" },
    { "with q as (table c) delete from a using q", "DeleteStmt", GUARD_DATA_CHANGE, "DELETE",
      "c,a" },
    { "merge into a using b on true when matched then delete", "MergeStmt", GUARD_DATA_CHANGE,
      "MERGE", "a,b" },
    { "truncate a, b", "TruncateStmt", GUARD_DATA_CHANGE, "TRUNCATE", "a,b" },

    { "copy a to stdout", "CopyStmt", GUARD_OK, "", "a" },
    { "copy (select * from a join b using (x)) to stdout (format csv, header)", "CopyStmt",
      GUARD_OK, "", "a,b" },
    { "copy (values (1)) to stdout binary", "CopyStmt", GUARD_OK, "", "" },
    { "copy a from stdin", "CopyStmt", GUARD_COPY_IN, "COPY", "a" },
    { "copy a from '/etc/passwd'", "CopyStmt", GUARD_COPY_IN, "COPY", "a" },
    { "copy a to '/tmp/x'", "CopyStmt", GUARD_COPY_FILE, "COPY", "a" },
    { "copy a to program 'cat'", "CopyStmt", GUARD_COPY_FILE, "COPY", "a" },
    { "copy (delete from a returning *) to stdout", "CopyStmt", GUARD_DATA_CHANGE, "DELETE", "a" },
    { "copy (select 1 from a for update) to stdout", "CopyStmt", GUARD_ROW_LOCK, "FOR UPDATE",
      "a" },

    { "declare c cursor for select * from a", "DeclareCursorStmt", GUARD_OK, "", "a" },
    { "declare c binary no scroll cursor without hold for table a", "DeclareCursorStmt", GUARD_OK,
      "", "a" },
    { "declare c cursor with hold for select 1", "DeclareCursorStmt", GUARD_CURSOR_HOLD,
      "DECLARE CURSOR", "" },
    { "declare c cursor for select * from a for update", "DeclareCursorStmt", GUARD_ROW_LOCK,
      "FOR UPDATE", "a" },
    { "fetch forward 10 from c", "FetchStmt", GUARD_OK, "", "" },
    { "move all in c", "FetchStmt", GUARD_OK, "", "" },
    { "close c", "ClosePortalStmt", GUARD_OK, "", "" },
    { "close all", "ClosePortalStmt", GUARD_OK, "", "" },

    { "begin", "TransactionStmt", GUARD_OK, "", "" },
    { "begin isolation level serializable, read only, deferrable", "TransactionStmt", GUARD_OK, "",
      "" },
    { "start transaction read write", "TransactionStmt", GUARD_READ_WRITE, "READ WRITE", "" },
    { "commit and chain", "TransactionStmt", GUARD_OK, "", "" },
    { "end", "TransactionStmt", GUARD_OK, "", "" },
    { "rollback", "TransactionStmt", GUARD_OK, "", "" },
    { "abort", "TransactionStmt", GUARD_OK, "", "" },
    { "savepoint s", "TransactionStmt", GUARD_OK, "", "" },
    { "release s", "TransactionStmt", GUARD_OK, "", "" },
    { "rollback to s", "TransactionStmt", GUARD_OK, "", "" },
    { "prepare transaction 'x'", "TransactionStmt", GUARD_TWO_PHASE, "PREPARE TRANSACTION", "" },
    { "commit prepared 'x'", "TransactionStmt", GUARD_TWO_PHASE, "COMMIT PREPARED", "" },
    { "rollback prepared 'x'", "TransactionStmt", GUARD_TWO_PHASE, "ROLLBACK PREPARED", "" },

    { "set extra_float_digits = 3", "VariableSetStmt", GUARD_OK, "", "" },
    { "set local statement_timeout to '5s'", "VariableSetStmt", GUARD_OK, "", "" },
    { "set datestyle to iso, mdy", "VariableSetStmt", GUARD_OK, "", "" },
    { "set time zone interval '1' hour to minute", "VariableSetStmt", GUARD_OK, "", "" },
    { "set names 'utf-8'", "VariableSetStmt", GUARD_OK, "", "" },
    { "set client_encoding to sql_ascii", "VariableSetStmt", GUARD_OK, "", "" },
    { "set client_encoding = default", "VariableSetStmt", GUARD_OK, "", "" },
    { "set client_encoding to sjis", "VariableSetStmt", GUARD_PARAMETER_VALUE, "client_encoding",
      "" },
    { "set client_encoding to 6", "VariableSetStmt", GUARD_PARAMETER_VALUE, "client_encoding", "" },
    { "reset timezone", "VariableSetStmt", GUARD_OK, "", "" },
    { "reset all", "VariableSetStmt", GUARD_PARAMETER, "ALL", "" },
    { "set search_path = app", "VariableSetStmt", GUARD_PARAMETER, "search_path", "" },
    { "set schema 'app'", "VariableSetStmt", GUARD_PARAMETER, "search_path", "" },
    { "set standard_conforming_strings = off", "VariableSetStmt", GUARD_PARAMETER,
      "standard_conforming_strings", "" },
    { "set role app_owner", "VariableSetStmt", GUARD_PARAMETER, "role", "" },
    { "set session authorization postgres", "VariableSetStmt", GUARD_PARAMETER,
      "session_authorization", "" },
    { "reset role", "VariableSetStmt", GUARD_PARAMETER, "role", "" },
    { "set row_security = off", "VariableSetStmt", GUARD_PARAMETER, "row_security", "" },
    { "set default_transaction_read_only = off", "VariableSetStmt", GUARD_PARAMETER,
      "default_transaction_read_only", "" },
    { "set transaction_read_only = off", "VariableSetStmt", GUARD_PARAMETER,
      "transaction_read_only", "" },
    { "set ringfence.\"grant\" = 31", "VariableSetStmt", GUARD_GRANT, "31", "" },
    { "SET ringfence.grant = 31", "VariableSetStmt", GUARD_GRANT, "31", "" },
    { "set session Ringfence.GRANT to '31'", "VariableSetStmt", GUARD_GRANT, "31", "" },
    { "set ringfence.grant = 9007199254740991", "VariableSetStmt", GUARD_GRANT, "9007199254740991",
      "" },
    { "set ringfence.grant = ''", "VariableSetStmt", GUARD_GRANT, "?", "" },
    { "set ringfence.grant = 1, 2", "VariableSetStmt", GUARD_GRANT, "?", "" },
    { "set ringfence.grant to default", "VariableSetStmt", GUARD_GRANT, "", "" },
    { "reset ringfence.grant", "VariableSetStmt", GUARD_GRANT, "", "" },
    { "set local ringfence.grant = 31", "VariableSetStmt", GUARD_GRANT, "?", "" },
    { "set ringfence.grants = 31", "VariableSetStmt", GUARD_PARAMETER, "ringfence.grants", "" },
    { "set xml option document", "VariableSetStmt", GUARD_PARAMETER, "xmloption", "" },
    { "set transaction isolation level repeatable read", "VariableSetStmt", GUARD_OK, "", "" },
    { "set session characteristics as transaction read only", "VariableSetStmt", GUARD_OK, "", "" },
    { "set session characteristics as transaction read write", "VariableSetStmt", GUARD_READ_WRITE,
      "READ WRITE", "" },
    { "set transaction snapshot 'x'", "VariableSetStmt", GUARD_SNAPSHOT, "TRANSACTION SNAPSHOT",
      "" },
    { "show timezone", "VariableShowStmt", GUARD_OK, "", "" },
    { "show all", "VariableShowStmt", GUARD_OK, "", "" },

    { "explain select * from a", "ExplainStmt", GUARD_OK, "", "a" },
    { "explain (verbose, format json) table a", "ExplainStmt", GUARD_OK, "", "a" },
    { "explain analyze select 1", "ExplainStmt", GUARD_EXPLAIN_ANALYZE, "EXPLAIN", "" },
    { "explain (costs off, analyze) select * from a", "ExplainStmt", GUARD_EXPLAIN_ANALYZE,
      "EXPLAIN", "a" },
    { "explain insert into a values (1)", "ExplainStmt", GUARD_DATA_CHANGE, "INSERT", "a" },
    { "explain create table x as select 1", "ExplainStmt", GUARD_DEFINITION, "CREATE TABLE AS",
      NULL },
    { "explain execute p", "ExplainStmt", GUARD_PREPARE, "EXECUTE", "" },

    { "prepare p as select 1", "PrepareStmt", GUARD_PREPARE, "PREPARE", "" },
    { "execute p(1)", "ExecuteStmt", GUARD_PREPARE, "EXECUTE", "" },
    { "deallocate all", "DeallocateStmt", GUARD_OK, "", "" },
    { "deallocate prepare _pg3_0", "DeallocateStmt", GUARD_OK, "", "" },
    { "listen x", "ListenStmt", GUARD_MESSAGE, "LISTEN", "" },
    { "unlisten *", "UnlistenStmt", GUARD_MESSAGE, "UNLISTEN", "" },
    { "notify x, 'y'", "NotifyStmt", GUARD_MESSAGE, "NOTIFY", "" },
    { "lock table a in access share mode", "LockStmt", GUARD_LOCK, "LOCK", "a" },
    { "do $$ begin end $$", "DoStmt", GUARD_CODE, "DO", "" },
    { "call p()", "CallStmt", GUARD_CODE, "CALL", "" },
    { "load 'x'", "LoadStmt", GUARD_CODE, "LOAD", "" },
    { "discard all", "DiscardStmt", GUARD_DISCARD, "DISCARD", "" },
    { "set constraints all deferred", "ConstraintsSetStmt", GUARD_STATEMENT, "SET CONSTRAINTS",
      "" },
    { "vacuum a", "VacuumStmt", GUARD_MAINTENANCE, "VACUUM or ANALYZE", "a" },
    { "analyze", "VacuumStmt", GUARD_MAINTENANCE, "VACUUM or ANALYZE", "" },
    { "checkpoint", "CheckPointStmt", GUARD_MAINTENANCE, "CHECKPOINT", "" },
    { "create table a (x int)", "CreateStmt", GUARD_DEFINITION, "CREATE TABLE", "a" },
    { "create temp table a as select * from b", "CreateTableAsStmt", GUARD_DEFINITION,
      "CREATE TABLE AS", NULL },
    { "create view v as select * from a", "ViewStmt", GUARD_DEFINITION, "CREATE VIEW", "v,a" },
    { "create function f() returns int language sql as 'select 1'", "CreateFunctionStmt",
      GUARD_DEFINITION, "CREATE FUNCTION", "" },
    { "create rule r as on insert to a do also (select 1; select 2)", "RuleStmt", GUARD_DEFINITION,
      "CREATE RULE", "a" },
    { "drop table a", "DropStmt", GUARD_DEFINITION, "DROP", "" },
    { "alter table a add column b int", "AlterTableStmt", GUARD_DEFINITION, "ALTER TABLE", "a" },
    { "alter role postgres password 'x'", "AlterRoleStmt", GUARD_DEFINITION, "ALTER ROLE", "" },
    { "alter system set x = 1", "AlterSystemStmt", GUARD_DEFINITION, "ALTER SYSTEM", "" },
    { "grant select on a to public", "GrantStmt", GUARD_DEFINITION, "GRANT or REVOKE", "a" },
    { "grant x to y", "GrantRoleStmt", GUARD_DEFINITION, "GRANT or REVOKE", "" },
    { "comment on table a is 'x'", "CommentStmt", GUARD_DEFINITION, "COMMENT", "" },
    { "refresh materialized view a", "RefreshMatViewStmt", GUARD_DATA_CHANGE,
      "REFRESH MATERIALIZED VIEW", "a" },
};

static void each_kind_of_statement_gets_its_answer(void **state)
{
    (void)state;
    assert_true(RF_COUNT(statements) >= 60);
    for (size_t i = 0; i < RF_COUNT(statements); i++) {
        const char *sql = statements[i].sql;
        inspect(sql);
        const struct guard_statement *s = &report.statements[0];
        if (report.status != GUARD_PARSED || report.count != 1)
            fail_msg("%s: status %d, %u statements: %s", sql, report.status, report.count,
                     report.message);
        if (strcmp(s->kind, statements[i].kind) != 0 || s->refusal != statements[i].refusal ||
            strcmp(s->subject, statements[i].subject) != 0)
            fail_msg("%s: %s, refusal %d, \"%s\"", sql, s->kind, s->refusal, s->subject);
        if (statements[i].relations != NULL && strcmp(s->relations, statements[i].relations) != 0)
            fail_msg("%s: relations %s", sql, s->relations);
        assert_int_equal(s->offset, 0);
        assert_int_equal(s->len, strlen(sql));
        assert_true(s->fingerprint != 0);
        guard_inspect_done(&report);
    }
}

static void every_kind_of_postgresql_has_a_row(void **state)
{
    /* never the root of a parsed text, so the row that is not there refuses them well enough */
    static const char *const inner[] = { "RawStmt", "SetOperationStmt", "ReturnStmt",
                                         "PLAssignStmt", "ReplicaIdentityStmt" };
    const ProtobufCMessageDescriptor *node = &pg_query__node__descriptor;
    unsigned seen = 0;
    (void)state;
    for (unsigned i = 0; i < node->n_fields; i++) {
        const ProtobufCMessageDescriptor *d = node->fields[i].descriptor;
        size_t len = strlen(d->short_name);
        bool is_inner = false;
        if (len < 5 || strcmp(d->short_name + len - 4, "Stmt") != 0)
            continue;
        for (size_t k = 0; k < RF_COUNT(inner); k++)
            is_inner |= strcmp(inner[k], d->short_name) == 0;
        if (!is_inner && rule_find(d->short_name) == NULL)
            fail_msg("no row for %s", d->short_name);
        seen++;
    }
    assert_true(seen > 100);
    assert_null(rule_find("SomethingNewStmt"));
}

static void what_only_mentions_the_grant_is_the_error_that_it_was(void **state)
{
    static const char *const texts[] = { "show ringfence.grant", "set ringfence.grant.x = 1",
                                         "select 'ringfence.grant' from" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        inspect(texts[i]);
        if (report.status != GUARD_SYNTAX_ERROR || report.count != 0)
            fail_msg("%s: status %d, %u statements", texts[i], report.status, report.count);
        guard_inspect_done(&report);
    }
    inspect("select 1; set ringfence.grant = 3; select 2");
    assert_int_equal(report.count, 3);
    assert_int_equal(report.statements[1].refusal, GUARD_GRANT);
    assert_int_equal(report.statements[1].offset, 10);
    guard_inspect_done(&report);
}

static void an_unknown_kind_is_refused(void **state)
{
    ProtobufCMessageDescriptor d = pg_query__select_stmt__descriptor;
    struct walk w = { 0 };
    PgQuery__SelectStmt body = PG_QUERY__SELECT_STMT__INIT;
    (void)state;
    d.short_name = "SomethingNewStmt";
    body.base.descriptor = &d;
    rule_apply(&w, &body.base);
    assert_int_equal(w.refusal, GUARD_STATEMENT);
    assert_string_equal(w.subject, "SomethingNewStmt");
}

/* --- Several statements in one text
 * ---------------------------------------------------------------- */

static void statements_are_cut_out_in_bytes(void **state)
{
    static const char sql[] =
        "  -- caf\xc3\xa9; one\n/* t\xc3\xbc /* nested; */ ; */ select '\xe6\x97\xa5;'  ;\n"
        ";; -- nothing\n"
        "select \"\xf0\x9f\x98\x80\" from a /* inside */ where x = $$;$$ -- tail;\n"
        ";/**/begin;/* \xc3\xa9 */\tselect 2 \n";
    static const char *const expected[] = {
        "select '\xe6\x97\xa5;'",
        "select \"\xf0\x9f\x98\x80\" from a /* inside */ where x = $$;$$ -- tail;",
        "begin",
        "select 2",
    };
    (void)state;
    inspect(sql);
    assert_int_equal(report.status, GUARD_PARSED);
    assert_int_equal(report.count, RF_COUNT(expected));
    for (size_t i = 0; i < RF_COUNT(expected); i++) {
        const struct guard_statement *s = &report.statements[i];
        assert_int_equal(s->len, strlen(expected[i]));
        assert_memory_equal(sql + s->offset, expected[i], s->len);
    }
    guard_inspect_done(&report);
}

static void a_text_without_statements_has_none(void **state)
{
    static const char *const texts[] = {
        "", " \n\t", ";", " ; ;; ", "-- x", "/* x */;", "-- x\n;"
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        inspect(texts[i]);
        assert_int_equal(report.status, GUARD_PARSED);
        assert_int_equal(report.count, 0);
        guard_inspect_done(&report);
    }
}

static void a_fingerprint_ignores_constants_and_place(void **state)
{
    (void)state;
    inspect("select * from a where x = 1; SELECT *  FROM a WHERE x = 'two'; select * from b");
    assert_int_equal(report.count, 3);
    assert_true(report.statements[0].fingerprint == report.statements[1].fingerprint);
    assert_true(report.statements[0].fingerprint != report.statements[2].fingerprint);
    guard_inspect_done(&report);
}

/* --- Mistakes: as PostgreSQL 15.20 reported them
 * ---------------------------------------------------- */

static void a_syntax_error_is_told_as_postgresql_does(void **state)
{
    static const struct {
        const char *sql, *message;
        uint32_t position;
    } rows[] = {
        { "selec 1", "syntax error at or near \"selec\"", 1 },
        { "select 1 from", "syntax error at end of input", 14 },
        { "select 'abc", "unterminated quoted string at or near \"'abc\"", 8 },
        { "select \"abc", "unterminated quoted identifier at or near \"\"abc\"", 8 },
        { "select /* x", "unterminated /* comment at or near \"/* x\"", 8 },
        { "select $$abc", "unterminated dollar-quoted string at or near \"$$abc\"", 8 },
        { "select \xc3\xa9 \xc3\xa9 \xc3\xa9", "syntax error at or near \"\xc3\xa9\"", 12 },
        { "select '\xc3\xa9\xc3\xa9\xc3\xa9', foo bar baz", "syntax error at or near \"baz\"", 23 },
        { "select \xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80",
          "syntax error at or near \"\xf0\x9f\x98\x80\"", 12 },
        { "select 1;;select 2 3 4", "syntax error at or near \"3\"", 20 },
        { "-- hi\nselect 1 from from", "syntax error at or near \"from\"", 21 },
        { "select (1", "syntax error at end of input", 10 },
        { "select 1)", "syntax error at or near \")\"", 9 },
        { "select \"\"", "zero-length delimited identifier at or near \"\"\"\"", 8 },
        { "select a from b; select c from d where; select 1", "syntax error at or near \";\"", 39 },
        { "select case when 1 end end", "syntax error at or near \"end\"", 20 },
        { "select 1 limit 1 limit 2", "syntax error at or near \"limit\"", 18 },
        { "select 1 order by 1 order by 2", "syntax error at or near \"order\"", 21 },
        { "select 1 limit 1,2", "LIMIT #,# syntax is not supported", 10 },
        { "begin isolation level foo", "syntax error at or near \"foo\"", 23 },
        { "set x", "syntax error at end of input", 6 },
        { "copy t to", "syntax error at end of input", 10 },
        { "select *, from t", "syntax error at or near \"from\"", 11 },
        { "select :a", "syntax error at or near \":\"", 8 },
        { "drop", "syntax error at end of input", 5 },
        { "select b'12'", "", 0 }, /* no mistake for the grammar */
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        inspect(rows[i].sql);
        if (rows[i].message[0] == '\0') {
            assert_int_equal(report.status, GUARD_PARSED);
        } else if (report.status != GUARD_SYNTAX_ERROR ||
                   strcmp(report.message, rows[i].message) != 0 ||
                   report.position != rows[i].position) {
            fail_msg("%s: %s at %u", rows[i].sql, report.message, report.position);
        } else {
            assert_string_equal(guard_report_sqlstate(&report), "42601");
            assert_int_equal(report.count, 0);
        }
        guard_inspect_done(&report);
    }
}

static void text_that_is_not_utf8_is_told_as_postgresql_does(void **state)
{
    static const struct {
        const char *sql, *bytes;
    } rows[] = {
        { "select '\xff'", "0xff" },
        { "select '\xc3'", "0xc3 0x27" },
        { "select '\xe9t\xe9'", "0xe9 0x74 0xe9" },
        { "select '\xed\xa0\x80'", "0xed 0xa0 0x80" },
        { "select '\xf4\x90\x80\x80'", "0xf4 0x90 0x80 0x80" },
        { "select '\xc0\x80'", "0xc0 0x80" },
        { "select '\x80'", "0x80" },
        { "select '\xf0\x9f", "0xf0 0x9f" },
    };
    char expected[128];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        inspect(rows[i].sql);
        assert_int_equal(report.status, GUARD_SYNTAX_ERROR);
        (void)snprintf(expected, sizeof(expected),
                       "invalid byte sequence for encoding \"UTF8\": %s", rows[i].bytes);
        assert_string_equal(report.message, expected);
        assert_string_equal(guard_report_sqlstate(&report), "22021");
        guard_inspect_done(&report);
    }
}

static void a_long_token_in_a_message_is_clipped(void **state)
{
    char sql[2000] = "select 1 1 ";
    (void)state;
    strcpy(sql, "select a b ");
    for (size_t i = strlen(sql); i + 2 < 1500; i += 2)
        memcpy(sql + i, "\xc3\xa9", 3);
    inspect(sql);
    assert_int_equal(report.status, GUARD_SYNTAX_ERROR);
    assert_true(strlen(report.message) < sizeof(report.message));
    size_t at;
    assert_int_equal(source_bad_bytes(report.message, strlen(report.message), &at), 0);
    assert_string_equal(report.message + strlen(report.message) - 3, "...");
    assert_int_equal(report.position, 12);
    guard_inspect_done(&report);
}

/* --- Ceilings
 * -------------------------------------------------------------------------------------- */

/* HEAD, then N times PART, then TAIL, and looked at. */
static void inspect_repeated(const char *head, size_t n, const char *part, const char *tail)
{
    size_t len = strlen(part), at = strlen(head);
    char *sql = malloc(at + n * len + strlen(tail) + 1);
    assert_non_null(sql);
    strcpy(sql, head);
    for (size_t i = 0; i < n; i++, at += len)
        memcpy(sql + at, part, len);
    strcpy(sql + at, tail);
    inspect(sql);
    free(sql);
}

static void what_is_too_much_is_too_complex(void **state)
{
    (void)state;
    inspect_repeated("", GUARD_STATEMENTS_MAX, "select 1;", "");
    assert_int_equal(report.status, GUARD_PARSED);
    assert_int_equal(report.count, GUARD_STATEMENTS_MAX);
    guard_inspect_done(&report);
    inspect_repeated("", GUARD_STATEMENTS_MAX + 1, "select 1;", "");
    assert_int_equal(report.status, GUARD_TOO_COMPLEX);
    assert_string_equal(guard_report_sqlstate(&report), "54001");
    assert_int_equal(report.count, 0);
    guard_inspect_done(&report);
    inspect_repeated("select 1 --", GUARD_SQL_MAX, "x", "");
    assert_int_equal(report.status, GUARD_TOO_COMPLEX);
    guard_inspect_done(&report);
    inspect_repeated("select 1", 500, "+1", "");
    assert_int_equal(report.status, GUARD_PARSED);
    guard_inspect_done(&report);
    inspect_repeated("select ", SOURCE_RUN_MAX / 2, "+ +", "1");
    assert_int_equal(report.status, GUARD_PARSED);
    guard_inspect_done(&report);
    inspect_repeated("select ", SOURCE_RUN_MAX + 1, "+", "1");
    assert_int_equal(report.status, GUARD_TOO_COMPLEX);
    guard_inspect_done(&report);
    inspect_repeated("select ", SOURCE_RUN_MAX, "/*", "1");
    assert_int_equal(report.status, GUARD_TOO_COMPLEX);
    guard_inspect_done(&report);
}

static void more_relations_than_fit_are_too_complex_not_hidden(void **state)
{
    char sql[4000] = "select 1 from t0";
    (void)state;
    for (int i = 1; i < GUARD_RELATIONS_MAX; i++)
        (void)snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), ", t%d", i);
    inspect(sql);
    assert_int_equal(report.status, GUARD_PARSED);
    assert_non_null(strstr(report.statements[0].relations, "t0,t1,t2"));
    assert_non_null(strstr(report.statements[0].relations, ",t63"));
    guard_inspect_done(&report);
    strcat(sql, ", one_more");
    inspect(sql);
    assert_int_equal(report.status, GUARD_TOO_COMPLEX);
    guard_inspect_done(&report);
}

/* --- Parameters and refusals
 * ----------------------------------------------------------------------- */

static void parameters_are_a_closed_list(void **state)
{
    static const char *const yes[] = {
        "application_name", "DateStyle",          "datestyle",
        "TIMEZONE",         "extra_float_digits", "client_encoding"
    };
    static const char *const no[] = { "",
                                      "search_path",
                                      "role",
                                      "standard_conforming_strings",
                                      "ringfence.grant",
                                      "log_statement",
                                      "work_mem",
                                      "client_min_messages",
                                      "session_preload_libraries",
                                      "application_name " };
    static const char *const encodings[] = { "UTF8", "utf-8", "'utf-8'", "unicode", "SQL_ASCII" };
    static const char *const others[] = { "", "LATIN1", "sjis", "utf16", "utf", "utf88", "auto" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(yes); i++)
        assert_true(guard_parameter_allowed(yes[i]));
    for (size_t i = 0; i < RF_COUNT(no); i++) {
        assert_false(guard_parameter_allowed(no[i]));
        assert_false(guard_parameter_value_allowed(no[i], "UTF8"));
    }
    for (size_t i = 0; i < RF_COUNT(encodings); i++)
        assert_true(guard_parameter_value_allowed("Client_Encoding", encodings[i]));
    for (size_t i = 0; i < RF_COUNT(others); i++)
        assert_false(guard_parameter_value_allowed("client_encoding", others[i]));
    assert_true(guard_parameter_value_allowed("TimeZone", "anything"));
}

static void the_hint_names_every_parameter(void **state)
{
    static const char *const allowed[] = {
#define PARAMETER(name) name,
#include "guard/tbl/parameter.def"
#undef PARAMETER
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(allowed); i++)
        assert_non_null(strstr(guard_refusal_hint(GUARD_PARAMETER), allowed[i]));
    for (int r = 1; r < GUARD_REFUSAL_COUNT; r++)
        assert_true(strlen(guard_refusal_hint((enum guard_refusal)r)) < sizeof(err.hint));
}

static void every_refusal_has_a_state_and_a_sentence(void **state)
{
    (void)state;
    for (int r = 1; r < GUARD_REFUSAL_COUNT; r++) {
        const char *sentence = guard_refusal_sentence((enum guard_refusal)r);
        const char *percent = strchr(sentence, '%');
        assert_int_equal(strlen(guard_refusal_sqlstate((enum guard_refusal)r)), 5);
        assert_true(strlen(sentence) > 10);
        assert_non_null(guard_refusal_hint((enum guard_refusal)r));
        if (percent != NULL) {
            assert_int_equal(percent[1], 's'); /* the gateway prints it with one string */
            assert_null(strchr(percent + 1, '%'));
        }
    }
}

/* --- Messages
 * -------------------------------------------------------------------------------------- */

static struct buf message;

static void message_of(const char *sql)
{
    inspect(sql);
    report.id = 77;
    buf_init(&message, GUARD_MESSAGE_MAX);
    assert_int_equal(guard_report_write(&message, &report), 0);
}

static void a_report_arrives_as_it_was_sent(void **state)
{
    static struct guard_report back;
    (void)state;
    message_of("select * from a, b.c; insert into d values (1); set role x");
    assert_int_equal(guard_report_read(buf_at(&message), buf_len(&message), &back), 0);
    assert_int_equal(back.id, 77);
    assert_int_equal(back.status, GUARD_PARSED);
    assert_int_equal(back.count, 3);
    for (uint32_t i = 0; i < back.count; i++) {
        const struct guard_statement *x = &report.statements[i], *y = &back.statements[i];
        assert_int_equal(x->offset, y->offset);
        assert_int_equal(x->len, y->len);
        assert_string_equal(x->kind, y->kind);
        assert_true(x->fingerprint == y->fingerprint);
        assert_int_equal(x->refusal, y->refusal);
        assert_string_equal(x->subject, y->subject);
        assert_string_equal(x->relations, y->relations);
    }
    assert_null(back.arena);
    guard_inspect_done(&report);
    buf_done(&message);
    message_of("select \xc3\xa9 x y");
    assert_int_equal(guard_report_read(buf_at(&message), buf_len(&message), &back), 0);
    assert_int_equal(back.status, GUARD_SYNTAX_ERROR);
    assert_string_equal(back.message, "syntax error at or near \"y\"");
    assert_int_equal(back.position, 12);
    guard_inspect_done(&report);
    buf_done(&message);
}

static void the_largest_report_fits_a_message(void **state)
{
    char sql[GUARD_SQL_MAX + 1], one[700] = "select 1 from s";
    (void)state;
    /* as many and as long relation names as the text can hold */
    for (int i = 0; i < 9; i++)
        (void)snprintf(one + strlen(one), sizeof(one) - strlen(one), ", \"%061d\"", i);
    strcat(one, ";");
    sql[0] = '\0';
    for (int i = 0; i < GUARD_STATEMENTS_MAX; i++)
        strcat(sql, one);
    assert_true(strlen(sql) > 60000);
    message_of(sql);
    assert_int_equal(report.status, GUARD_PARSED);
    assert_true(buf_len(&message) > 60000);
    guard_inspect_done(&report);
    buf_done(&message);
}

static void a_report_cut_or_flipped_is_never_half_read(void **state)
{
    static struct guard_report back;
    (void)state;
    message_of("select * from a; select 2");
    size_t len = buf_len(&message);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1); /* a sanitizer sees any step over the end */
        assert_non_null(exact);
        memcpy(exact, buf_at(&message), cut);
        assert_int_equal(guard_report_read(exact, cut, &back), -RF_EPROTO);
        free(exact);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        buf_at(&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (guard_report_read(buf_at(&message), len, &back) == 0) {
            assert_true(back.status < GUARD_STATUS_COUNT && back.count <= 2);
            for (uint32_t i = 0; i < back.count; i++)
                assert_true(back.statements[i].refusal < GUARD_REFUSAL_COUNT &&
                            back.statements[i].offset + back.statements[i].len <= GUARD_SQL_MAX);
        }
        buf_at(&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(buf_append(&message, "", 1), 0);
    assert_int_equal(guard_report_read(buf_at(&message), len + 1, &back), -RF_EPROTO);
    guard_inspect_done(&report);
    buf_done(&message);
}

static void a_request_arrives_as_it_was_sent(void **state)
{
    const char *sql;
    uint32_t id;
    size_t len;
    (void)state;
    buf_init(&message, GUARD_MESSAGE_MAX);
    assert_int_equal(guard_request_write(&message, 5, "select 1", 8), 0);
    assert_int_equal(guard_request_read(buf_at(&message), buf_len(&message), &id, &sql, &len), 0);
    assert_int_equal(id, 5);
    assert_int_equal(len, 8);
    assert_memory_equal(sql, "select 1", 8);
    for (size_t cut = 0; cut < buf_len(&message); cut++)
        assert_int_equal(guard_request_read(buf_at(&message), cut, &id, &sql, &len), -RF_EPROTO);
    buf_clear(&message);
    assert_int_equal(guard_request_write(&message, 5, "sel\0ct 1", 8), 0);
    assert_int_equal(guard_request_read(buf_at(&message), buf_len(&message), &id, &sql, &len),
                     -RF_EPROTO);
    buf_clear(&message);
    assert_int_equal(guard_request_write(&message, 5, "", GUARD_SQL_MAX + 1), -RF_ETOOBIG);
    buf_done(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_statement_gets_its_answer),
        cmocka_unit_test(every_kind_of_postgresql_has_a_row),
        cmocka_unit_test(what_only_mentions_the_grant_is_the_error_that_it_was),
        cmocka_unit_test(an_unknown_kind_is_refused),
        cmocka_unit_test(statements_are_cut_out_in_bytes),
        cmocka_unit_test(a_text_without_statements_has_none),
        cmocka_unit_test(a_fingerprint_ignores_constants_and_place),
        cmocka_unit_test(a_syntax_error_is_told_as_postgresql_does),
        cmocka_unit_test(text_that_is_not_utf8_is_told_as_postgresql_does),
        cmocka_unit_test(a_long_token_in_a_message_is_clipped),
        cmocka_unit_test(what_is_too_much_is_too_complex),
        cmocka_unit_test(more_relations_than_fit_are_too_complex_not_hidden),
        cmocka_unit_test(parameters_are_a_closed_list),
        cmocka_unit_test(the_hint_names_every_parameter),
        cmocka_unit_test(every_refusal_has_a_state_and_a_sentence),
        cmocka_unit_test(a_report_arrives_as_it_was_sent),
        cmocka_unit_test(the_largest_report_fits_a_message),
        cmocka_unit_test(a_report_cut_or_flipped_is_never_half_read),
        cmocka_unit_test(a_request_arrives_as_it_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
