/* Who is meant: keys and handles of persons, and how somebody is found without being shown.
 *
 *   ringfence.found(handle, actor, key, salt, at)    what find_subject() has answered
 *
 * find_subject() gives a handle always; on a miss its key is NULL. Whoever asks does not learn
 * whether there is such a person, neither by the answer nor by the time it takes: hit and miss read
 * the same index and write the same row. A handle serves the one who asked, for a day. It is a hash
 * of key and salt (policy/evidence.h), and request_add() keeps both: so what was signed about a
 * handle is about one person for ever, whoever may change rows here.
 *
 * No message names a subject: the caller knows whom he named, the server's log must not. */
#include "enforce/compiler.h"
#include "enforce/granted.h"
#include "policy/grants.h"

#define HANDLE_PATTERN "'^h-[0-9a-f]{32}$'"
#define HANDLE_LIFE    "interval '1 day'"

static int compile_table(struct compiler *k)
{
    static const char found[] =
        "CREATE TABLE ringfence.found (handle text PRIMARY KEY CHECK (handle ~ " HANDLE_PATTERN ")"
        ", actor text NOT NULL, key text, salt text NOT NULL, at timestamptz NOT NULL)";
    bool is_there = catalog_has_own_table(k->catalog, "found");
    int rc = compile_own_table(k, "found", found);
    if (rc == 0 && !is_there)
        rc = compile_plain(k, "CREATE INDEX found_by ON ringfence.found (actor, at)",
                           "how often somebody has looked for somebody");
    return rc;
}

/* Each subject by itself: one that is no key must not hide what the others are. Keys and salts
   stand in the order of the subjects; a key is NULL where there is nobody, a salt '' where the
   subject is the key itself. Without ACTOR nothing is taken for a handle. For the functions here
   alone. */
static int compile_subject_facts(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.subject_facts(actor text, subjects text[], OUT keys text[],"
            " OUT salts text[], OUT missing integer, OUT minors integer)"
            " LANGUAGE plpgsql STABLE" FUNCTION_HEAD "\n#variable_conflict use_variable\n"
            "DECLARE given text; salt text; found_key text; is_minor boolean; BEGIN"
            " keys := '{}'; salts := '{}'; missing := 0; minors := 0;"
            " FOREACH given IN ARRAY subjects LOOP salt := '';"
            "  IF actor IS NOT NULL AND given ~ " HANDLE_PATTERN " THEN"
            "   SELECT f.key, f.salt INTO given, salt FROM ringfence.found f"
            "    WHERE f.handle = given AND f.actor = subject_facts.actor"
            "    AND f.at > statement_timestamp() - " HANDLE_LIFE "; END IF;"
            "  BEGIN SELECT x.key, x.minor INTO found_key, is_minor FROM (");
    int rc = compile_add_lookup(k, "given", LOOKUP_KEY_AND_MINOR);
    sql_add(&k->sql, "%S",
            ") x(key, minor) LIMIT 1;"
            "  EXCEPTION WHEN data_exception THEN found_key := NULL; END;"
            "  keys := keys || found_key; salts := salts || salt;"
            "  IF found_key IS NULL THEN missing := missing + 1;"
            "  ELSIF is_minor THEN minors := minors + 1; END IF;"
            " END LOOP; END $body$");
    if (rc == 0)
        rc = compile_take_text(k, &source);
    return rc == 0
               ? compile_function(k, "subject_facts", "text, text[]", ROLE_NAME_ADMIN, NULL, source)
               : rc;
}

static const char facts_source[] =
    "CREATE FUNCTION ringfence.request_facts(actor text, subjects text[], OUT keys text[],"
    " OUT salts text[], OUT missing integer, OUT minors integer) LANGUAGE plpgsql "
    "STABLE" FUNCTION_HEAD "BEGIN"
    " IF (octet_length(request_facts.actor) BETWEEN 1 AND 56) IS NOT TRUE THEN RAISE EXCEPTION"
    "  'facts of a request need an actor' USING ERRCODE = '22023'; END IF;"
    " IF (cardinality(request_facts.subjects) BETWEEN 1 AND 100) IS NOT TRUE THEN RAISE EXCEPTION"
    "  'a request names between 1 and 100 subjects' USING ERRCODE = '22023'; END IF;"
    " SELECT f.keys, f.salts, f.missing, f.minors INTO request_facts.keys, request_facts.salts,"
    "  request_facts.missing, request_facts.minors FROM ringfence.subject_facts("
    "  request_facts.actor, request_facts.subjects) f; END $body$";

/* " WHEN 'email' THEN SELECT … INTO key, hits …;" Without LIMIT, or a table without an index would
   tell a hit from a miss by the time. */
static int add_finder(struct compiler *k, const struct policy_finder *f)
{
    const struct policy_table *t = policy_table_find(k->policy, f->schema, f->table);
    const struct catalog_column *column =
        t != NULL ? catalog_column_find(&k->catalog->tables[t - k->policy->tables], f->column)
                  : NULL;
    if (column == NULL || t->subject == NULL) {
        int rc = err_set(k->err, RF_ECONFIG,
                         "nobody can be found by %s: %s.%s.%s is no column of a table of the policy"
                         " with a subject",
                         f->by, f->schema, f->table, f->column);
        err_hint(k->err, "%s:%u", k->policy->file != NULL ? k->policy->file : "policy", f->line);
        return rc;
    }
    sql_add(&k->sql,
            " WHEN %L THEN SELECT min(x.key), count(DISTINCT x.key) INTO key, hits"
            " FROM (SELECT CAST(x.%I AS text) FROM %N x WHERE x.%I = ",
            f->by, t->subject, t->schema, t->name, f->column);
    granted_add_key(&k->sql, column, "value");
    sql_add(&k->sql, ") x(key);");
    int rc = compile_want_column(k, ROLE_NAME_ADMIN, t, t->subject);
    return rc == 0 ? compile_want_column(k, ROLE_NAME_ADMIN, t, f->column) : rc;
}

static size_t finder_count(const struct compiler *k)
{
    return k->policy->grants != NULL ? k->policy->grants->finder_count : 0;
}

static void add_finder_check(struct compiler *k)
{
    sql_add(&k->sql, " IF (find_subject.by = ANY (ARRAY[");
    for (size_t i = 0; i < finder_count(k); i++)
        sql_add(&k->sql, "%S%L", i == 0 ? "" : ", ", k->policy->grants->finders[i].by);
    sql_add(&k->sql, "]::text[])) IS NOT TRUE THEN RAISE EXCEPTION 'the policy lets nobody be found"
                     " by this' USING ERRCODE = '22023'; END IF;");
}

static int add_finders(struct compiler *k)
{
    int rc = 0;
    sql_add(&k->sql, " BEGIN CASE find_subject.by");
    for (size_t i = 0; i < finder_count(k) && rc == 0; i++)
        rc = add_finder(k, &k->policy->grants->finders[i]);
    if (finder_count(k) == 0)
        sql_add(&k->sql, " WHEN NULL THEN key := NULL;");
    sql_add(&k->sql, " END CASE; EXCEPTION WHEN data_exception THEN hits := 0; END;");
    return rc;
}

/* One at a time, or two at once would each be the last that per_day allows. More than one person
   with the same e-mail address is nobody: a handle stands for one. */
static int compile_find_subject(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.find_subject(actor text, by text, value text,"
            " per_day integer, OUT handle text, OUT key text) LANGUAGE plpgsql" FUNCTION_HEAD
            "\n#variable_conflict use_variable\n"
            "DECLARE hits bigint := 0; salt text; since timestamptz := statement_timestamp() "
            "- " HANDLE_LIFE "; BEGIN"
            " IF (octet_length(actor) BETWEEN 1 AND 56) IS NOT TRUE THEN RAISE EXCEPTION"
            "  'somebody must be looking' USING ERRCODE = '22023'; END IF;"
            " IF (octet_length(value) BETWEEN 1 AND 512) IS NOT TRUE THEN RAISE EXCEPTION"
            "  'what is looked for has 1 to 512 bytes' USING ERRCODE = '22023'; END IF;"
            " IF (per_day > 0) IS NOT TRUE THEN RAISE EXCEPTION"
            "  'how many may be looked for in a day is a number above zero'"
            "  USING ERRCODE = '22023'; END IF;");
    add_finder_check(k);
    sql_add(&k->sql, "%S",
            " LOCK TABLE ringfence.found IN SHARE ROW EXCLUSIVE MODE;"
            " DELETE FROM ringfence.found f WHERE f.at <= since;"
            " IF (SELECT count(*) FROM ringfence.found f WHERE f.actor = find_subject.actor)"
            "  >= per_day THEN RAISE EXCEPTION 'too many persons were looked for in a day'"
            "  USING ERRCODE = '53400'; END IF;");
    int rc = add_finders(k);
    sql_add(&k->sql, "%S",
            " IF hits IS DISTINCT FROM 1 THEN key := NULL; END IF;"
            " salt := encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex');"
            " handle := 'h-' || substr(encode(sha256(convert_to(concat_ws(E'\\n',"
            "  'ringfence-handle@1', coalesce(key, ''), salt), 'UTF8')), 'hex'), 1, 32);"
            " INSERT INTO ringfence.found (handle, actor, key, salt, at)"
            "  VALUES (handle, actor, key, salt, statement_timestamp()); END $body$");
    if (rc == 0)
        rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, "find_subject", "text, text, text, integer",
                                      ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR, source)
                   : rc;
}

int compile_find(struct compiler *k)
{
    static const char *const rights[] = { "SELECT", "INSERT", "DELETE" };
    int rc = compile_table(k);
    if (rc == 0)
        rc = compile_subject_facts(k);
    if (rc == 0)
        rc = compile_function(k, "request_facts", "text, text[]", ROLE_NAME_ADMIN,
                              ROLE_NAME_REGISTRAR, facts_source);
    if (rc == 0)
        rc = compile_find_subject(k);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i], "TABLE", SCHEMA_OWN, "found");
    return rc;
}
