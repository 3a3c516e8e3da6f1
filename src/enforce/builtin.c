/* The query, from bottom to top:
 *
 *   listed   the rows of function.def and mask_function.def, with how strict they are
 *   f        the functions of pg_catalog (and dblink's, wherever they are)
 *   holder   who may call them now
 *   fit      which rows they fit, or that they are operators, casts, input or output of ordinary
 * types wanted   for each the strictest of these, and whether it is ours to move at all goal
 * function × grantee: shall have it, has it
 *
 * pg_init_privs holds the rights as initdb or CREATE EXTENSION left them, where these differ from
 * the default: a function that is not open there was opened by somebody later, and is taken from
 * PUBLIC without being handed on. */
#include "enforce/builtin.h"

#include <stdlib.h>
#include <string.h>

#include "enforce/role.h"

enum level { LEVEL_REST, LEVEL_PERSON, LEVEL_SERVICE, LEVEL_NOBODY };

static void add_listed(struct sql *s)
{
    static const struct {
        const char *pattern;
        enum level level;
    } rows[] = {
#define FUNCTION(pattern, who, why) { pattern, LEVEL_##who },
#include "enforce/tbl/function.def"
#undef FUNCTION
#define MASK_FUNCTION(pattern, why) { pattern, LEVEL_PERSON },
#include "enforce/tbl/mask_function.def"
#undef MASK_FUNCTION
    };
    sql_add(s, "listed(pattern, level) AS (VALUES ");
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        sql_add(s, "%S(%L, %D)", i == 0 ? "" : ", ", rows[i].pattern, (int64_t)rows[i].level);
    sql_add(s, "), ");
}

static void add_ordinary(struct sql *s)
{
    static const char *const names[] = {
#define TYPE(name) name,
#include "enforce/tbl/ordinary_type.def"
#undef TYPE
    };
    sql_add(s, "ordinary AS (SELECT t.oid FROM pg_type t"
               " WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN (");
    for (size_t i = 0; i < RF_COUNT(names); i++)
        sql_add(s, "%S%L", i == 0 ? "" : ", ", names[i]);
    sql_add(s, ")), ");
}

/* An oid below 16384 came with the server: what was added to pg_catalog later is never a person's.
 */
static const char functions_part[] =
    "f AS MATERIALIZED (SELECT p.oid, p.proname, p.proargtypes,"
    "  coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,"
    "  i.objoid IS NULL OR EXISTS (SELECT FROM aclexplode(i.initprivs) x WHERE x.grantee = 0)"
    "   AS was_open"
    " FROM pg_proc p LEFT JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass"
    "  AND i.objoid = p.oid AND i.objsubid = 0"
    " WHERE p.pronamespace = 'pg_catalog'::regnamespace OR p.proname LIKE 'dblink%'), "
    "holder AS MATERIALIZED (SELECT DISTINCT f.oid, x.grantee FROM f, aclexplode(f.acl) x), "
    "fit(oid, level) AS ("
    " SELECT f.oid, l.level FROM listed l JOIN f ON f.proname = split_part(l.pattern, '(', 1)::name"
    "  WHERE l.pattern NOT LIKE '%\\%%' AND (l.pattern NOT LIKE '%(%'"
    "   OR l.pattern = f.proname || '(' || oidvectortypes(f.proargtypes) || ')')"
    /* two letters first, as something to hash: else it is every pattern with every name */
    " UNION ALL SELECT f.oid, l.level FROM listed l JOIN f ON f.proname LIKE l.pattern"
    "  AND left(f.proname, 2) = left(l.pattern, 2) WHERE l.pattern LIKE '%\\%%'"
    " UNION ALL SELECT o.oprcode, 1 FROM pg_operator o WHERE o.oid < 16384"
    "  AND (o.oprleft = 0 OR o.oprleft IN (TABLE ordinary)) AND o.oprright IN (TABLE ordinary)"
    " UNION ALL SELECT c.castfunc, 1 FROM pg_cast c WHERE c.oid < 16384"
    "  AND c.castsource IN (TABLE ordinary) AND c.casttarget IN (TABLE ordinary)"
    /* a cast by text is checked when it is folded, and only then */
    " UNION ALL SELECT u.oid, 1 FROM pg_type t, unnest(ARRAY[t.typinput, t.typoutput]) u(oid)"
    "  WHERE t.oid IN (TABLE ordinary)), ";

/* Roles that do not inherit from their groups get what they need by themselves. */
static const char grantees_part[] =
    "grantee(name, oid) AS (VALUES (NULL, 0::oid)"
    " UNION ALL SELECT v.name, r.oid FROM (VALUES ('" ROLE_NAME_FUNCTION
    "'), ('" ROLE_NAME_EVERYBODY "'), ('" ROLE_NAME_PERSON "')) v(name)"
    "  LEFT JOIN pg_roles r ON r.rolname = v.name"
    " UNION ALL SELECT r.rolname, r.oid FROM pg_roles r WHERE NOT r.rolsuper AND NOT r.rolinherit"
    "  AND r.rolname !~ '^(pg|rf)_' AND NOT EXISTS (SELECT FROM pg_auth_members m"
    "   WHERE m.member = r.oid AND m.roleid IN (to_regrole('" ROLE_NAME_PERSON
    "'), to_regrole('" ROLE_NAME_SERVICE "')))), ";

/* rf_service held some of them itself, before there was rf_function. */
static const char wanted_part[] =
    "wanted AS (SELECT f.oid, f.was_open AND f.oid IN (SELECT h.oid FROM holder h"
    "   WHERE h.grantee IN (SELECT 0::oid UNION ALL SELECT r.oid FROM pg_roles r WHERE r.rolname IN"
    "    ('" ROLE_NAME_FUNCTION "', '" ROLE_NAME_EVERYBODY "', '" ROLE_NAME_SERVICE
    "'))) AS is_ours,"
    "  CASE WHEN l.level = 1 AND f.oid >= 16384 THEN 0 ELSE coalesce(l.level, 0) END AS level"
    " FROM f LEFT JOIN (SELECT oid, max(level) AS level FROM fit GROUP BY oid) l ON l.oid = "
    "f.oid), ";

static const char goal_allowed[] = "CASE g.name WHEN '" ROLE_NAME_FUNCTION "' THEN w.level < 3"
                                   " WHEN '" ROLE_NAME_EVERYBODY "' THEN w.level = 3"
                                   " WHEN '" ROLE_NAME_PERSON "' THEN w.level = 1"
                                   " ELSE g.name IS NOT NULL END";
static const char goal_listed[] = "CASE g.name WHEN '" ROLE_NAME_FUNCTION "' THEN w.level = 2"
                                  " WHEN '" ROLE_NAME_EVERYBODY "' THEN w.level = 3"
                                  " WHEN '" ROLE_NAME_PERSON "' THEN false"
                                  " ELSE (w.level < 2) = (g.name IS NULL) END";

static const char changes_part[] =
    "change AS (SELECT goal.name, NOT goal.has AS is_grant, goal.oid FROM goal"
    " WHERE goal.has IS DISTINCT FROM goal.want) "
    "SELECT c.name, c.is_grant, count(*), min(c.routine),"
    " string_agg(c.routine, ', ' ORDER BY c.routine)"
    " FROM (SELECT name, is_grant, oid::regprocedure::text AS routine FROM change) c"
    " GROUP BY c.name, c.is_grant ORDER BY c.is_grant DESC, c.name";

static int keep(PGresult *r, struct arena *arena, struct builtin_change **ret_changes,
                size_t *ret_count, struct err *err)
{
    size_t count = (size_t)PQntuples(r);
    struct builtin_change *changes = arena_alloc(arena, count > 0 ? count : 1, sizeof(*changes));
    for (size_t i = 0; changes != NULL && i < count; i++) {
        const char *text[] = { database_value(r, (int)i, 0), database_value(r, (int)i, 3),
                               database_value(r, (int)i, 4) };
        const char *copies[RF_COUNT(text)];
        for (size_t t = 0; t < RF_COUNT(text); t++) {
            copies[t] = arena_strndup(arena, text[t], strlen(text[t]));
            if (copies[t] == NULL)
                return err_set(err, RF_ENOMEM, "out of memory while reading the functions");
        }
        changes[i] = (struct builtin_change){
            .grantee = PQgetisnull(r, (int)i, 0) ? NULL : copies[0],
            .is_grant = database_true(r, (int)i, 1),
            .count = (size_t)strtoul(database_value(r, (int)i, 2), NULL, 10),
            .example = copies[1],
            .routines = copies[2],
        };
    }
    if (changes == NULL)
        return err_set(err, RF_ENOMEM, "out of memory while reading the functions");
    *ret_changes = changes;
    *ret_count = count;
    return 0;
}

int builtin_read(struct database *db, enum builtin_mode mode, struct arena *arena,
                 struct builtin_change **ret_changes, size_t *ret_count, struct err *err)
{
    struct sql s;
    const char *text;
    PGresult *r = NULL;
    sql_init(&s);
    sql_add(&s, "WITH ");
    add_listed(&s);
    add_ordinary(&s);
    sql_add(&s, "%S%S%S", functions_part, grantees_part, wanted_part);
    sql_add(&s,
            "goal AS (SELECT g.name, w.oid, w.is_ours AND %S AS want, h.oid IS NOT NULL AS has"
            " FROM grantee g CROSS JOIN wanted w LEFT JOIN holder h ON h.oid = w.oid"
            "  AND h.grantee = g.oid"
            " WHERE g.name IS NULL OR w.is_ours OR g.name IN (%L, %L, %L)), ",
            mode == BUILTIN_ALLOWED ? goal_allowed : goal_listed, ROLE_NAME_FUNCTION,
            ROLE_NAME_EVERYBODY, ROLE_NAME_PERSON);
    sql_add(&s, "%S", changes_part);
    int rc = sql_text(&s, &text, err);
    if (rc == 0)
        rc = database_query(db, text, &r, err);
    if (rc == 0)
        rc = keep(r, arena, ret_changes, ret_count, err);
    PQclear(r);
    sql_done(&s);
    return rc;
}
