/* Grants: their tables, the functions that open and end them, and reveal().
 *
 *   ringfence."grant"(id, actor, role, role_id, purpose, opened, ends, closed, gone, subjects,
 *                     classes, changed, watermark, used_up)
 *                                                  gone: its role is dropped; used_up: closed for
 *                                                  that reason
 *   ringfence.grant_counter(n)                    how many changes of grants there have been
 *   ringfence.grant_subject(role, subject, classes, ends, label, token, secret, watermark)
 *                                                  what the views of room granted read; label is
 * the subject as the messages of reveal() write it, token a copy of the one below, secret random,
 * watermark a copy of the grant's: what was shown under it can be traced to it later, and with the
 * secret goes, at its end, what its pseudonyms could be undone with
 *   ringfence.reveal_token(token)                  what makes a message of reveal() true
 *
 * A grant is a database role of its own. Its name is random and its row in "grant" stays for ever,
 * so neither a number nor a name comes back, and a stale session cannot wake up in somebody else's
 * grant. The functions belong to rf_admin, which may make roles, has no login and no members;
 * control may end grants by them and nothing more. grant_open() is nobody's: requests come to it
 * through request_open() (compile_request.c), administrators by their own rights. Roles of the form
 * rf_g_… stand in "grant", where nobody else writes.
 *
 * Changes are numbered: each one takes the next number from the row of grant_counter, which stays
 * locked until it is committed, and leaves it in `changed`. So numbers become visible in their
 * order, on the standby too, and who has read the counter and then asks for what changed after it
 * misses nothing. grant_close() takes the number before anything else is locked; grant_open() at
 * its end, so that no long list of subjects keeps a grant from being closed.
 *
 * Every argument is checked by (…) IS NOT TRUE, because a comparison with NULL is neither.
 *
 * Ending: grant_close() takes the rows and the login in one transaction; what still runs
 * goes on with the snapshot it has, so grant_signal() ends the sessions in a second one, when
 * nobody can log in again. It goes by the role's number: also where the role is dropped already. */
#include <stdio.h>
#include <string.h>

#include "enforce/compiler.h"
#include "enforce/granted.h"

enum { GRANT_SUBJECTS_MAX = 100000, GRANT_DAYS_MAX = 31 };

/* The longest subject that a message may name (gate/reveal.h). */
#define LABEL_MAX "512"
/* The next number for a change, into the variable `at`. */
#define COUNT_CHANGE " UPDATE ringfence.grant_counter c SET n = c.n + 1 RETURNING c.n INTO at;"
#define PATTERN      "'" ROLE_PATTERN_GRANT "'"

static int compile_tables(struct compiler *k)
{
    static const char grant[] =
        "CREATE TABLE ringfence.\"grant\" (id bigint PRIMARY KEY, actor text NOT NULL,"
        " role name NOT NULL UNIQUE CHECK (role ~ " PATTERN "), role_id oid NOT NULL,"
        " purpose text NOT NULL, opened timestamptz NOT NULL, ends timestamptz NOT NULL,"
        " closed timestamptz, gone boolean NOT NULL DEFAULT false,"
        " subjects bigint NOT NULL DEFAULT 0, classes integer NOT NULL DEFAULT 0,"
        " changed bigint NOT NULL DEFAULT 0, watermark bytea NOT NULL,"
        " used_up boolean NOT NULL DEFAULT false)";
    static const char counter[] =
        "CREATE TABLE ringfence.grant_counter (only_row boolean PRIMARY KEY DEFAULT true"
        " CHECK (only_row), n bigint NOT NULL)";
    static const char subject[] =
        "CREATE TABLE ringfence.grant_subject (role name, subject text, classes integer NOT NULL,"
        " ends timestamptz NOT NULL, label text NOT NULL, token text NOT NULL,"
        " secret bytea NOT NULL, watermark bytea NOT NULL, PRIMARY KEY (role, subject))";
    static const char token[] = "CREATE TABLE ringfence.reveal_token ("
                                " only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),"
                                " token text NOT NULL CHECK (token ~ '^[0-9a-f]{32}$'))";
    static const char token_row[] =
        "INSERT INTO ringfence.reveal_token (token) SELECT substr(encode(sha256("
        "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex'), 1, 32)";
    bool has_grant = catalog_has_own_table(k->catalog, "grant");
    bool has_counter = catalog_has_own_table(k->catalog, "grant_counter");
    bool has_token = catalog_has_own_table(k->catalog, "reveal_token");
    int rc = compile_own_table(k, "grant", grant);
    if (rc == 0 && !has_grant)
        rc = compile_plain(k,
                           "CREATE INDEX grant_open_ends ON ringfence.\"grant\" (ends)"
                           " WHERE closed IS NULL",
                           "which grants are open");
    if (rc == 0 && !has_grant)
        rc = compile_plain(k, "CREATE INDEX grant_changed ON ringfence.\"grant\" (changed)",
                           "which grants have changed");
    if (rc == 0 && !has_grant)
        rc = compile_plain(k, "CREATE INDEX grant_there ON ringfence.\"grant\" (id) WHERE NOT gone",
                           "which grants have a role");
    if (rc == 0)
        rc = compile_own_table(k, "grant_counter", counter);
    if (rc == 0 && !has_counter)
        rc = compile_plain(k, "INSERT INTO ringfence.grant_counter (n) VALUES (0)",
                           "no grant has changed yet");
    if (rc == 0)
        rc = compile_own_table(k, "grant_subject", subject);
    if (rc == 0)
        rc = compile_own_table(k, "reveal_token", token);
    if (rc == 0 && !has_token)
        rc = compile_plain(k, token_row, "a random token for reveals");
    return rc;
}

int compile_take_text(struct compiler *k, const char **ret)
{
    const char *text;
    int rc = sql_text(&k->sql, &text, k->err);
    if (rc == 0 && (*ret = arena_strndup(&k->script->arena, text, strlen(text))) == NULL)
        rc = err_set(k->err, RF_ENOMEM, "out of memory while compiling functions");
    sql_done(&k->sql);
    sql_init(&k->sql);
    return rc;
}

/* Where a subject must be found that a grant is to name: the subjects' own table, or where the
   policy has none, any table with a subject. */
static bool holds_subjects(const struct compiler *k, size_t table)
{
    const struct policy *p = k->policy;
    bool has_own = false;
    for (size_t i = 0; i < p->table_count; i++)
        has_own |= p->tables[i].birthdate != NULL && p->tables[i].subject != NULL;
    const struct policy_table *t = &p->tables[table];
    return t->subject != NULL && !t->is_view && (!has_own || t->birthdate != NULL);
}

int compile_want_column(struct compiler *k, const char *role, const struct policy_table *t,
                        const char *column)
{
    struct sql quoted;
    const char *text = NULL;
    sql_init(&quoted);
    sql_add(&quoted, "SELECT (%I)", column);
    int rc = sql_text(&quoted, &text, k->err);
    const char *privilege = rc == 0 ? arena_strndup(&k->script->arena, text, strlen(text)) : NULL;
    sql_done(&quoted);
    if (rc < 0)
        return rc;
    if (privilege == NULL)
        return err_set(k->err, RF_ENOMEM, "out of memory while compiling rights");
    right_set_add(&k->rights, role, "USAGE", "SCHEMA", NULL, t->schema);
    right_set_add(&k->rights, role, privilege, "TABLE", t->schema, t->name);
    return 0;
}

int compile_add_lookup(struct compiler *k, const char *given, enum lookup_what what)
{
    const char *before = "";
    for (size_t i = 0; i < k->policy->table_count; i++) {
        const struct policy_table *t = &k->policy->tables[i];
        if (!holds_subjects(k, i))
            continue;
        const struct catalog_column *key = catalog_column_find(&k->catalog->tables[i], t->subject);
        if (key == NULL)
            return err_set(k->err, RF_ECONFIG, "table %s.%s has no subject column \"%s\"",
                           t->schema, t->name, t->subject);
        sql_add(&k->sql, "%SSELECT CAST(x.%I AS text)", before, t->subject);
        if (what == LOOKUP_KEY_AND_MINOR && t->birthdate != NULL)
            sql_add(&k->sql,
                    ", (x.%I <= CAST((statement_timestamp() AT TIME ZONE 'UTC')"
                    " - interval '%D years' AS date)) IS NOT TRUE",
                    t->birthdate, (int64_t)k->policy->adult_age);
        else if (what == LOOKUP_KEY_AND_MINOR)
            sql_add(&k->sql, ", false");
        sql_add(&k->sql, " FROM %N x WHERE x.%I = ", t->schema, t->name, t->subject);
        granted_add_key(&k->sql, key, given);
        before = " UNION ALL ";
        int rc = compile_want_column(k, ROLE_NAME_ADMIN, t, t->subject);
        if (rc == 0 && what == LOOKUP_KEY_AND_MINOR && t->birthdate != NULL)
            rc = compile_want_column(k, ROLE_NAME_ADMIN, t, t->birthdate);
        if (rc < 0)
            return rc;
    }
    if (before[0] == '\0')
        sql_add(&k->sql, "SELECT %S%S WHERE false", given,
                what == LOOKUP_KEY_AND_MINOR ? ", false" : "");
    return 0;
}

void compile_add_class_bits(struct sql *s)
{
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++)
        sql_add(s, "%S(%L, %D)", i == CLASS_NOTHING + 1 ? "" : ", ",
                policy_class_name((enum class_id)i), (int64_t)1 << i);
}

/* Refusals name no subject: the caller knows whom he named, the server's log must not. */
static const char open_checks[] =
    " IF (grant_open.id > 0) IS NOT TRUE THEN RAISE EXCEPTION"
    "  'a grant needs a number above zero' USING ERRCODE = '22023'; END IF;"
    " IF EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.id = grant_open.id) THEN"
    "  RAISE EXCEPTION 'grant % was opened before', grant_open.id USING ERRCODE = '23505'; END IF;"
    " IF (octet_length(grant_open.actor) BETWEEN 1 AND 56 AND EXISTS (SELECT FROM pg_roles r"
    "   WHERE r.rolname = grant_open.actor || '.masked' AND pg_has_role(r.oid, 'rf_person',"
    "   'USAGE'))) IS NOT TRUE THEN RAISE EXCEPTION"
    "  'a grant needs an actor: a person whom the policy lets see rows of this region'"
    "  USING ERRCODE = '22023'; END IF;";

/* Where it lists none, there is nothing to see anybody for. */
void compile_add_purposes(struct sql *s, const struct policy *p)
{
    sql_add(s, "(ARRAY[");
    for (size_t i = 0; i < p->purpose_count; i++)
        sql_add(s, "%S%L", i == 0 ? "" : ", ", p->purposes[i]);
    sql_add(s, "]::text[])");
}

static int add_open_arguments(struct compiler *k)
{
    struct sql *s = &k->sql;
    sql_add(s,
            "%S IF (grant_open.ends > statement_timestamp() AND grant_open.ends <="
            "  statement_timestamp() + interval '%D days') IS NOT TRUE THEN RAISE EXCEPTION"
            "  'a grant must end within the next %D days' USING ERRCODE = '22023'; END IF;"
            " IF (cardinality(grant_open.subjects) BETWEEN 1 AND %D) IS NOT TRUE THEN"
            "  RAISE EXCEPTION 'a grant names between 1 and %D subjects'"
            "  USING ERRCODE = '22023'; END IF;"
            " SELECT CASE WHEN bool_and(c.bit IS NOT NULL) THEN bit_or(c.bit) END INTO bits"
            " FROM unnest(grant_open.classes) u(name) LEFT JOIN (VALUES ",
            open_checks, (int64_t)GRANT_DAYS_MAX, (int64_t)GRANT_DAYS_MAX,
            (int64_t)GRANT_SUBJECTS_MAX, (int64_t)GRANT_SUBJECTS_MAX);
    compile_add_class_bits(s);
    sql_add(s, ") c(name, bit) USING (name); IF (grant_open.purpose = ANY ");
    compile_add_purposes(s, k->policy);
    sql_add(s, ") IS NOT TRUE THEN RAISE EXCEPTION"
               " 'a grant needs a purpose of the policy' USING ERRCODE = '22023'; END IF;"
               " IF (bits > 0) IS NOT TRUE THEN RAISE EXCEPTION"
               "  'a grant names classes of the policy' USING ERRCODE = '22023'; END IF;"
               " BEGIN SELECT array_agg(DISTINCT f.key), bool_and(f.key IS NOT NULL)"
               "  INTO keys, all_there FROM unnest(grant_open.subjects) u(given)"
               "  LEFT JOIN LATERAL (SELECT x.key FROM (");
    int rc = compile_add_lookup(k, "u.given", LOOKUP_KEY);
    sql_add(s, ") x(key) LIMIT 1) f ON true;"
               " EXCEPTION WHEN data_exception THEN all_there := false; END;"
               " IF all_there IS NOT TRUE THEN RAISE EXCEPTION"
               "  'a subject of the grant does not exist' USING ERRCODE = '02000'; END IF;");
    return rc;
}

static int compile_open(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql,
            "CREATE FUNCTION ringfence.grant_open(id bigint, actor text, purpose text,"
            " ends timestamp with time zone, subjects text[], classes text[]) RETURNS name"
            " LANGUAGE plpgsql%S\n#variable_conflict use_variable\n"
            "DECLARE made name; bits integer; keys text[]; all_there boolean; at bigint;"
            " secret bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));"
            " watermark bytea := sha256(uuid_send(gen_random_uuid()) ||"
            "  uuid_send(gen_random_uuid()));"
            " BEGIN",
            FUNCTION_HEAD);
    int rc = add_open_arguments(k);
    sql_add(
        &k->sql, "%S",
        " LOOP made := 'rf_g_' || substr(encode(sha256(uuid_send(gen_random_uuid()) ||"
        "   uuid_send(gen_random_uuid())), 'hex'), 1, 16);"
        "  EXIT WHEN NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = made)"
        "   AND NOT EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.role = made);"
        " END LOOP;"
        " EXECUTE format('CREATE ROLE %I LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE"
        " NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 4 IN ROLE rf_person, rf_granted', made);"
        " EXECUTE format('ALTER ROLE %I SET search_path = granted', made);"
        " EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', made);"
        " EXECUTE format('ALTER ROLE %I SET jit = off', made);"
        " INSERT INTO ringfence.\"grant\" (id, actor, role, role_id, purpose, opened, ends,"
        "   subjects, classes, watermark)"
        "  SELECT grant_open.id, grant_open.actor, r.rolname, r.oid, grant_open.purpose,"
        "   statement_timestamp(), grant_open.ends, cardinality(keys), bits, watermark"
        "   FROM pg_roles r WHERE r.rolname = made;"
        " INSERT INTO ringfence.grant_subject (role, subject, classes, ends, label, token, secret,"
        "   watermark) SELECT made, u.key, bits, grant_open.ends, CASE WHEN u.key ~ "
        "'^[0-9A-Za-z_-]+$' THEN "
        "u.key ELSE"
        "   (SELECT string_agg(CASE WHEN b.byte BETWEEN 33 AND 126 AND b.byte <> 37"
        "     THEN chr(b.byte) ELSE '%' || lpad(upper(to_hex(b.byte)), 2, '0') END, ''"
        "     ORDER BY b.at) FROM (SELECT n AS at, get_byte(convert_to(u.key, 'UTF8'), n)"
        "      AS byte FROM generate_series(0, octet_length(u.key) - 1) n) b) END,"
        "   ringfence.reveal_token_read(), secret, watermark FROM unnest(keys) u(key);"
        " IF EXISTS (SELECT FROM ringfence.grant_subject s WHERE s.role = made"
        "  AND length(s.label) > " LABEL_MAX ") THEN RAISE EXCEPTION"
        "  'the key of a subject is too long' USING ERRCODE = '22023'; END IF;"
        " IF cardinality(keys) > 100 THEN PERFORM ringfence.grant_analyze(); END IF;" COUNT_CHANGE
        " UPDATE ringfence.\"grant\" g SET changed = at WHERE g.id = grant_open.id;"
        /* the counter is locked, as it is when a request gets its number */
        " IF EXISTS (SELECT FROM ringfence.request r WHERE r.id = grant_open.id"
        "  AND r.state <> 'open') THEN RAISE EXCEPTION 'number % is taken by a request',"
        "  grant_open.id USING ERRCODE = '23505'; END IF;"
        " RETURN made; END $body$");
    if (rc == 0)
        rc = compile_take_text(k, &source);
    return rc == 0
               ? compile_function(k, "grant_open",
                                  "bigint, text, text, timestamp with time zone, text[], text[]",
                                  ROLE_NAME_ADMIN, NULL, source)
               : rc;
}

/* Without figures the planner takes a grant of many subjects for one of few, and reads a big table
   once for each. Only the table's owner may gather them. */
static const char analyze_source[] =
    "CREATE FUNCTION ringfence.grant_analyze() RETURNS void LANGUAGE plpgsql" FUNCTION_HEAD
    "BEGIN ANALYZE ringfence.grant_subject; END $body$";

static const char close_source[] =
    "CREATE FUNCTION ringfence.grant_close(id bigint) RETURNS boolean LANGUAGE "
    "plpgsql" FUNCTION_HEAD "DECLARE gone name; gone_id oid; at bigint; BEGIN"
    " IF NOT EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.id = grant_close.id"
    "  AND g.closed IS NULL) THEN RETURN false; END IF;" COUNT_CHANGE
    " UPDATE ringfence.\"grant\" g SET closed = statement_timestamp(), changed = at"
    "  WHERE g.id = grant_close.id AND g.closed IS NULL RETURNING g.role, g.role_id INTO gone, "
    "gone_id;"
    " IF NOT FOUND THEN RETURN false; END IF;"
    " PERFORM ringfence.outbox_notices(grant_close.id);"
    " DELETE FROM ringfence.grant_subject s WHERE s.role = gone;"
    " IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = gone AND r.oid = gone_id) THEN"
    "  EXECUTE format('ALTER ROLE %I NOLOGIN', gone); END IF;"
    " RETURN true; END $body$";

static const char signal_source[] =
    "CREATE FUNCTION ringfence.grant_signal(id bigint) RETURNS integer LANGUAGE sql "
    "VOLATILE" FUNCTION_HEAD
    "SELECT count(pg_terminate_backend(a.pid))::integer FROM ringfence.\"grant\" g"
    " JOIN pg_stat_activity a ON a.usesysid = g.role_id"
    " WHERE g.id = $1 AND (a.usename = g.role OR a.usename IS NULL) $body$";

/* Few at a time: DROP ROLE keeps locks until the commit, and many in one transaction use up all
   there are. Closing and dropping are never done in one call: between them is the commit after
   which nobody logs in. The change is numbered when all is dropped: a DROP may have to wait, and no
   closing must wait with it. What depends on a role, against all rules, must not keep the others
   from being dropped. */
static const char reap_source[] =
    "CREATE FUNCTION ringfence.grant_reap() RETURNS integer LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE done integer := 0; it record; at bigint; dropped bigint[] := '{}'; BEGIN"
    " IF EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.closed IS NULL"
    "   AND g.ends <= statement_timestamp()) THEN"
    /* before any grant is locked: grant_close() does it in this order, too */
    "  PERFORM FROM ringfence.grant_counter FOR UPDATE;"
    "  FOR it IN SELECT g.id FROM ringfence.\"grant\" g WHERE g.closed IS NULL"
    "    AND g.ends <= statement_timestamp() ORDER BY g.ends LIMIT 20 LOOP"
    "   IF ringfence.grant_close(it.id) THEN done := done + 1; END IF; END LOOP;"
    " END IF;"
    " IF done > 0 THEN RETURN done; END IF;"
    " FOR it IN SELECT g.id, g.role, r.oid IS NOT NULL AS has_role FROM ringfence.\"grant\" g"
    "   LEFT JOIN pg_roles r ON r.rolname = g.role AND r.oid = g.role_id"
    "   WHERE g.closed IS NOT NULL AND NOT g.gone"
    /* why it ended is to be seen by every gateway, which looks five times a second */
    "   AND NOT (g.used_up AND g.closed > statement_timestamp() - interval '2 s')"
    "   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = g.role_id)"
    "   FOR UPDATE OF g SKIP LOCKED LOOP"
    "  BEGIN IF it.has_role THEN EXECUTE format('DROP ROLE %I', it.role); END IF;"
    "   dropped := dropped || it.id;"
    "  EXCEPTION WHEN dependent_objects_still_exist THEN"
    "   RAISE WARNING 'role % of a closed grant cannot be dropped', it.role; END;"
    "  EXIT WHEN cardinality(dropped) >= 20; END LOOP;"
    " IF cardinality(dropped) = 0 THEN RETURN 0; END IF;" COUNT_CHANGE
    " UPDATE ringfence.\"grant\" g SET gone = true, changed = at WHERE g.id = ANY (dropped);"
    " RETURN cardinality(dropped); END $body$";

#define GRANT_COLUMNS                                                  \
    " g.id, g.actor, g.role, g.purpose, g.ends, g.closed IS NOT NULL," \
    " CASE WHEN g.closed IS NULL THEN g.subjects ELSE 0 END,"          \
    " CASE WHEN g.closed IS NULL THEN g.classes ELSE 0 END, g.used_up"
#define GRANT_RESULT                                                                 \
    "id bigint, actor text, role name, purpose text, ends timestamp with time zone," \
    " closed boolean, subjects bigint, classes integer, used_up boolean"

static const char grants_source[] = "CREATE FUNCTION ringfence.grants() RETURNS TABLE(" GRANT_RESULT
                                    ") LANGUAGE sql STABLE" FUNCTION_HEAD "SELECT" GRANT_COLUMNS
                                    " FROM ringfence.\"grant\" g WHERE NOT g.gone"
                                    " ORDER BY g.id $body$";

static const char changes_source[] =
    "CREATE FUNCTION ringfence.grant_changes(since bigint) RETURNS TABLE(" GRANT_RESULT
    ", gone boolean) LANGUAGE sql STABLE" FUNCTION_HEAD "SELECT" GRANT_COLUMNS
    ", g.gone FROM ringfence.\"grant\" g WHERE g.changed > $1 ORDER BY g.id $body$";

static const char counter_source[] =
    "CREATE FUNCTION ringfence.grant_counter_read() RETURNS bigint LANGUAGE sql "
    "STABLE" FUNCTION_HEAD "SELECT c.n FROM ringfence.grant_counter c $body$";

static const char token_source[] =
    "CREATE FUNCTION ringfence.reveal_token_read() RETURNS text LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT t.token FROM ringfence.reveal_token t $body$";

/* For the self-check, which control runs without a right on the tables. */
static const char faults_source[] =
    "CREATE FUNCTION ringfence.grant_faults() RETURNS SETOF text LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT r.rolname || ': no grant has this role' FROM pg_roles r WHERE r.rolname LIKE"
    " 'rf\\_g\\_%' AND NOT EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.role = r.rolname"
    "  AND g.role_id = r.oid)"
    " UNION ALL SELECT r.rolname || ': can log in after the end of its grant' FROM pg_roles r"
    " JOIN ringfence.\"grant\" g ON g.role = r.rolname WHERE g.closed IS NOT NULL AND r.rolcanlogin"
    " UNION ALL SELECT 'grant ' || g.id || ': its role is gone' FROM ringfence.\"grant\" g"
    " WHERE g.closed IS NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = g.role"
    "  AND r.oid = g.role_id)"
    " UNION ALL SELECT DISTINCT s.role || f.text FROM ringfence.grant_subject s"
    " LEFT JOIN ringfence.\"grant\" g ON g.role = s.role AND g.closed IS NULL"
    " CROSS JOIN ringfence.reveal_token_read() t(token), LATERAL (VALUES"
    "  (g.id IS NULL, ': names subjects without an open grant'),"
    "  (g.ends < s.ends, ': names subjects beyond the end of its grant'),"
    "  (s.token IS DISTINCT FROM t.token,"
    "   ': reveals with a token that is not the present one')) f(is_so, text)"
    " WHERE (g.id IS NULL OR g.ends < s.ends OR s.token IS DISTINCT FROM t.token)"
    " AND f.is_so $body$";

/* Marks what is about to be shown: an INFO message, which no setting of the client keeps back, sent
   before the function returns. STABLE, or no condition could be moved into a view and no unused
   column left out; COST puts it behind every other condition; STRICT shows nothing when the token
   is lost; RESTRICTED because what a parallel worker says may arrive after its rows. */
static const char reveal_source[] =
    "CREATE FUNCTION ringfence.reveal(token text, class text, subject text, value anyelement)"
    " RETURNS anyelement LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 100"
    " AS $body$BEGIN RAISE INFO SQLSTATE 'RF001' USING MESSAGE = token || ' ' || class || ' ' ||"
    " subject; RETURN value; END $body$";

static int compile_functions(struct compiler *k)
{
    static const struct {
        const char *name, *arguments, *owner, *who, *source;
    } functions[] = {
        { "reveal_token_read", "", ROLE_NAME_OWNER, ROLE_NAME_CONTROL, token_source },
        { "grant_analyze", "", ROLE_NAME_OWNER, ROLE_NAME_ADMIN, analyze_source },
        { "grant_close", "bigint", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, close_source },
        { "grant_signal", "bigint", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, signal_source },
        { "grant_reap", "", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, reap_source },
        { "grants", "", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, grants_source },
        { "grant_changes", "bigint", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, changes_source },
        { "grant_counter_read", "", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, counter_source },
        { "grant_faults", "", ROLE_NAME_ADMIN, ROLE_NAME_CONTROL, faults_source },
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, functions[i].owner,
                              functions[i].who, functions[i].source);
    return rc == 0 ? compile_open(k) : rc;
}

/* The views call reveal(), so it cannot be made anew under them. */
static int compile_reveal(struct compiler *k)
{
    static const char arguments[] = "text, text, text, anyelement";
    int rc = 0;
    if (!compile_is_same(k, "ringfence.reveal(text, text, text, anyelement)", ROLE_NAME_OWNER,
                         reveal_source))
        rc = compile_drop_schema(k, SCHEMA_GRANTED, "reveal() is made anew");
    return rc == 0 ? compile_function(k, "reveal", arguments, ROLE_NAME_OWNER, ROLE_NAME_GRANTED,
                                      reveal_source)
                   : rc;
}

static int compile_granted_view(struct compiler *k, size_t table)
{
    struct wanted_object o = { .kind = "VIEW",
                               .schema = SCHEMA_GRANTED,
                               .object = k->policy->tables[table].name,
                               .owner = ROLE_NAME_VIEW };
    int rc = granted_add_view(&k->sql, k->policy, k->catalog, table, k->err);
    if (rc == 0)
        rc = compile_take_text(k, &o.source);
    if (rc < 0)
        return rc;
    (void)snprintf(o.name, sizeof(o.name), "%s.%s", o.schema, o.object);
    right_set_add(&k->rights, ROLE_NAME_GRANTED, "SELECT", "TABLE", o.schema, o.object);
    return compile_object(k, &o);
}

static void want_rights(struct compiler *k)
{
    static const struct {
        const char *role, *privilege, *kind, *schema, *name;
    } rights[] = {
        { ROLE_NAME_VIEW, "SELECT", "TABLE", SCHEMA_OWN, "grant_subject" },
        { ROLE_NAME_ADMIN, "USAGE", "SCHEMA", NULL, SCHEMA_OWN },
        { ROLE_NAME_ADMIN, "SELECT", "TABLE", SCHEMA_OWN, "grant" },
        { ROLE_NAME_ADMIN, "INSERT", "TABLE", SCHEMA_OWN, "grant" },
        { ROLE_NAME_ADMIN, "UPDATE", "TABLE", SCHEMA_OWN, "grant" },
        { ROLE_NAME_ADMIN, "SELECT", "TABLE", SCHEMA_OWN, "grant_counter" },
        { ROLE_NAME_ADMIN, "UPDATE", "TABLE", SCHEMA_OWN, "grant_counter" },
        { ROLE_NAME_ADMIN, "SELECT", "TABLE", SCHEMA_OWN, "grant_subject" },
        { ROLE_NAME_ADMIN, "INSERT", "TABLE", SCHEMA_OWN, "grant_subject" },
        { ROLE_NAME_ADMIN, "DELETE", "TABLE", SCHEMA_OWN, "grant_subject" },
        { ROLE_NAME_ADMIN, "SELECT", "TABLE", "pg_catalog", "pg_stat_activity" },
        { ROLE_NAME_GRANTED, "USAGE", "SCHEMA", NULL, SCHEMA_GRANTED },
        { ROLE_NAME_GRANTED, "USAGE", "SCHEMA", NULL, SCHEMA_STATS },
    };
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, rights[i].role, rights[i].privilege, rights[i].kind,
                      rights[i].schema, rights[i].name);
    right_set_add_quoted(&k->rights, ROLE_NAME_ADMIN, "EXECUTE",
                         "FUNCTION ringfence.reveal_token_read()");
    right_set_add_quoted(&k->rights, ROLE_NAME_ADMIN, "EXECUTE",
                         "FUNCTION pg_terminate_backend(integer,bigint)");
    for (size_t i = 0; i < k->policy->statistic_count; i++)
        right_set_add(&k->rights, ROLE_NAME_GRANTED, "SELECT", "TABLE", SCHEMA_STATS,
                      k->policy->statistics[i].name);
}

int compile_grants(struct compiler *k)
{
    int rc = compile_tables(k);
    if (rc == 0)
        rc = compile_functions(k);
    if (rc == 0)
        rc = compile_reveal(k);
    for (size_t i = 0; i < k->policy->table_count && rc == 0; i++)
        if (granted_has_view(&k->policy->tables[i]))
            rc = compile_granted_view(k, i);
    if (rc == 0)
        want_rights(k);
    return rc;
}
