/* Who has consented to what, in the region's database alone.
 *
 *   ringfence.consent(subject, purpose, version, given, until, withdrawn, parental, source,
 *                     withdrawn_by, leaf)    one row each time; a withdrawal fills in its two
 *                                            columns once, and nothing else ever changes
 *   ringfence.consent_event(purpose, version, is_given)   what services wrote down and no log has
 *   ringfence.consent_sum(id, gateway, taken, …)          the same, added up, on its way to a log
 *   ringfence.consent_ended(subject, purpose, at, seen)   withdrawals for which grants are looked
 * at
 *
 * A consent is current while it is not withdrawn, not over, and of the version that the policy
 * names now: `ringfence apply` of another version ends all those before it. Whether somebody is a
 * minor is asked when he consents, by the birth date; a parent's consent goes on when he is of age,
 * until it is over.
 *
 * There is no foreign key to the application's table: whoever erases a person must be able to. Rows
 * about him stay as the evidence of what was done while he was there; his key is all they say.
 *
 * consent_give() and consent_withdraw() are the services' that the policy names: they write as
 * rf_admin, and the row says which login it was. The registrar has functions of its own, to which
 * it says who signed.
 *
 * What a withdrawal ends: nobody waits for the service's transaction, so it locks no grant. It puts
 * the person into consent_ended, and consent_sweep(), once a second by the registrar, revokes the
 * open grants whose rule asks for this consent. It looks at each row again for a minute, because a
 * grant that was being opened at the same time may be committed behind it. Whatever it misses,
 * control finds when it proves the grant anew (policy/evidence.h).
 *
 * SQLSTATE: 22023 an argument is not possible, 02000 no such person. No message names a person. */

#include "enforce/compiler.h"
#include "policy/consents.h"

#define REFUSE(condition, message)                                       \
    " IF (" condition ") IS NOT TRUE THEN RAISE EXCEPTION '" message "'" \
    " USING ERRCODE = '22023'; END IF;"

static int compile_tables(struct compiler *k)
{
    static const struct {
        const char *name, *source, *index;
    } tables[] = {
        { "consent",
          "CREATE TABLE ringfence.consent (subject text, purpose text, version text NOT NULL,"
          " given timestamptz, until timestamptz NOT NULL, withdrawn timestamptz,"
          " parental boolean NOT NULL, source text NOT NULL, withdrawn_by text, leaf text,"
          " PRIMARY KEY (subject, purpose, given), CHECK (until > given),"
          " CHECK (withdrawn >= given), CHECK ((withdrawn IS NULL) = (withdrawn_by IS NULL)))",
          "CREATE INDEX consent_live ON ringfence.consent (subject, purpose)"
          " WHERE withdrawn IS NULL;"
          " CREATE INDEX consent_until ON ringfence.consent (purpose, until)"
          " WHERE withdrawn IS NULL" },
        { "consent_event",
          "CREATE TABLE ringfence.consent_event (purpose text NOT NULL, version text NOT NULL,"
          " is_given boolean NOT NULL)",
          NULL },
        { "consent_sum",
          "CREATE TABLE ringfence.consent_sum (id uuid PRIMARY KEY, gateway text NOT NULL,"
          " taken timestamptz NOT NULL, purpose text NOT NULL, version text NOT NULL,"
          " is_given boolean NOT NULL, count bigint NOT NULL)",
          NULL },
        { "consent_ended",
          "CREATE TABLE ringfence.consent_ended (subject text NOT NULL, purpose text NOT NULL,"
          " at timestamptz NOT NULL, seen timestamptz)",
          NULL },
    };
    static const struct {
        const char *privilege, *table;
    } rights[] = {
        { "SELECT", "consent" },       { "INSERT", "consent" },       { "UPDATE", "consent" },
        { "SELECT", "consent_event" }, { "INSERT", "consent_event" }, { "DELETE", "consent_event" },
        { "SELECT", "consent_sum" },   { "INSERT", "consent_sum" },   { "UPDATE", "consent_sum" },
        { "DELETE", "consent_sum" },   { "SELECT", "consent_ended" }, { "INSERT", "consent_ended" },
        { "UPDATE", "consent_ended" }, { "DELETE", "consent_ended" },
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(tables) && rc == 0; i++) {
        bool is_there = catalog_has_own_table(k->catalog, tables[i].name);
        rc = compile_own_table(k, tables[i].name, tables[i].source);
        if (rc == 0 && !is_there && tables[i].index != NULL)
            rc = compile_plain(k, tables[i].index, "whose consent is asked for");
    }
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i].privilege, "TABLE", SCHEMA_OWN,
                      rights[i].table);
    return rc;
}

/* ---- what the policy says, as rows ----------------------------------------------------------- */

/* "(VALUES …) v(name, version, seconds, is_parental)" */
static void add_purposes(struct sql *s, const struct policy *p)
{
    sql_add(s, "(VALUES (NULL::text, NULL::text, NULL::bigint, NULL::boolean)");
    for (size_t i = 0; i < p->consents->purpose_count; i++) {
        const struct policy_consent *c = &p->consents->purposes[i];
        sql_add(s, ", (%L, %L, %D, %S)", c->name, c->version, c->valid_ms / 1000,
                c->is_parental ? "true" : "false");
    }
    sql_add(s, ") v(name, version, seconds, is_parental)");
}

/* "(VALUES …) n(rule, purpose)": rules for grants that ask for a consent. */
static void add_rules(struct sql *s, const struct policy *p)
{
    const struct policy_grants *g = p->grants;
    sql_add(s, "(VALUES (NULL::text, NULL::text)");
    for (size_t i = 0; i < g->rule_count; i++)
        if (g->rules[i].consent != NULL)
            sql_add(s, ", (%L, %L)", g->rules[i].name, g->rules[i].consent->name);
    sql_add(s, ") n(rule, purpose)");
}

static int make(struct compiler *k, const char *name, const char *arguments, const char *owner,
                const char *who)
{
    const char *source;
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, name, arguments, owner, who, source) : rc;
}

/* ---- is it current? -------------------------------------------------------------------------- */

static int compile_is_current(struct compiler *k)
{
    sql_add(&k->sql,
            "CREATE FUNCTION ringfence.consent_is_current(subject text, purpose text)"
            " RETURNS boolean LANGUAGE sql STABLE%SSELECT EXISTS (SELECT FROM ringfence.consent c"
            " JOIN ",
            FUNCTION_HEAD);
    add_purposes(&k->sql, k->policy);
    sql_add(&k->sql, " ON v.name = c.purpose AND v.version = c.version WHERE c.subject = $1"
                     " AND c.purpose = $2 AND c.withdrawn IS NULL"
                     " AND c.until > statement_timestamp()) $body$");
    return make(k, "consent_is_current", "text, text", ROLE_NAME_OWNER, ROLE_NAME_ADMIN);
}

/* {"purpose version": how many of the persons have not given it}, for all that rules for grants
   name. A reader who looks for another purpose or version than this database knows finds none. */
static int compile_lacking(struct compiler *k)
{
    sql_add(&k->sql,
            "CREATE FUNCTION ringfence.consent_lacking(keys text[]) RETURNS json"
            " LANGUAGE sql STABLE%SSELECT coalesce(json_object_agg(v.name || ' ' || v.version,"
            " (SELECT count(*) FROM unnest($1) u(key)"
            "  WHERE ringfence.consent_is_current(u.key, v.name) IS NOT TRUE)), '{}') FROM ",
            FUNCTION_HEAD);
    add_purposes(&k->sql, k->policy);
    sql_add(&k->sql, " WHERE v.name IN (SELECT n.purpose FROM ");
    add_rules(&k->sql, k->policy);
    sql_add(&k->sql, ") $body$");
    int rc = make(k, "consent_lacking", "text[]", ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR);
    if (rc < 0)
        return rc;
    sql_add(&k->sql,
            "CREATE FUNCTION ringfence.consent_is_missing(rule text, keys text[])"
            " RETURNS boolean LANGUAGE sql STABLE%SSELECT EXISTS (SELECT FROM ",
            FUNCTION_HEAD);
    add_rules(&k->sql, k->policy);
    sql_add(&k->sql, ", unnest($2) u(key) WHERE n.rule = $1"
                     " AND ringfence.consent_is_current(u.key, n.purpose) IS NOT TRUE) $body$");
    return make(k, "consent_is_missing", "text, text[]", ROLE_NAME_ADMIN, NULL);
}

/* ---- giving ---------------------------------------------------------------------------------- */

/* clang-format off */
static const char check_head[] =
    "CREATE FUNCTION ringfence.consent_check(subject text, purpose text, version text,"
    " parental boolean, OUT key text, OUT seconds bigint) LANGUAGE plpgsql STABLE"
    FUNCTION_HEAD "\n#variable_conflict use_variable\n"
    "DECLARE it record; is_minor boolean; BEGIN"
    REFUSE("octet_length(subject) BETWEEN 1 AND 512", "a consent is somebody''s")
    REFUSE("parental IS NOT NULL", "it is said whether a parent consents")
    " SELECT v.version, v.seconds, v.is_parental INTO it FROM ";
/* clang-format on */

/* May it be given? The person's key as the database writes it, and how long it holds. */
static int compile_check(struct compiler *k)
{
    sql_add(&k->sql, "%S", check_head);
    add_purposes(&k->sql, k->policy);
    sql_add(&k->sql, "%S",
            " WHERE v.name = consent_check.purpose;"
            " IF NOT FOUND THEN RAISE EXCEPTION 'the policy knows no such purpose of consent'"
            "  USING ERRCODE = '22023'; END IF;"
            " IF it.version IS DISTINCT FROM consent_check.version THEN RAISE EXCEPTION"
            "  'a consent is to the present version of the text, \"%\"', it.version"
            "  USING ERRCODE = '22023'; END IF;"
            " BEGIN SELECT x.key, x.minor INTO key, is_minor FROM (");
    int rc = compile_add_lookup(k, "subject", LOOKUP_KEY_AND_MINOR);
    sql_add(&k->sql, "%S",
            ") x(key, minor) LIMIT 1; EXCEPTION WHEN data_exception THEN key := NULL; END;"
            " IF key IS NULL THEN RAISE EXCEPTION 'there is no such person here'"
            "  USING ERRCODE = '02000'; END IF;"
            " IF is_minor AND NOT it.is_parental THEN RAISE EXCEPTION"
            "  'nobody can consent to this for a minor' USING ERRCODE = '22023'; END IF;"
            " IF is_minor AND NOT parental THEN RAISE EXCEPTION"
            "  'for a minor a parent consents' USING ERRCODE = '22023'; END IF;"
            " IF parental AND NOT is_minor THEN RAISE EXCEPTION"
            "  'a parent consents for a minor alone' USING ERRCODE = '22023'; END IF;"
            " seconds := it.seconds; END $body$");
    return rc == 0 ? make(k, "consent_check", "text, text, text, boolean", ROLE_NAME_ADMIN,
                          ROLE_NAME_REGISTRAR)
                   : rc;
}

/* clock_timestamp(): twice in a transaction is two rows. */
static const char add_source[] =
    "CREATE FUNCTION ringfence.consent_add(subject text, purpose text, version text,"
    " parental boolean, source text, leaf text) RETURNS timestamp with time zone"
    " LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE it record; at timestamptz := clock_timestamp(); BEGIN"
    " SELECT c.key, c.seconds INTO it FROM ringfence.consent_check(consent_add.subject,"
    "  consent_add.purpose, consent_add.version, consent_add.parental) c;"
    " INSERT INTO ringfence.consent (subject, purpose, version, given, until, parental, source, "
    "leaf)"
    "  VALUES (it.key, consent_add.purpose, consent_add.version, at,"
    "  at + it.seconds * interval '1 second', consent_add.parental, consent_add.source,"
    "  consent_add.leaf);"
    " RETURN at + it.seconds * interval '1 second'; END $body$";

static const char give_source[] =
    "CREATE FUNCTION ringfence.consent_give(subject text, purpose text, version text,"
    " parental boolean) RETURNS timestamp with time zone LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE until timestamptz; BEGIN"
    " until := ringfence.consent_add(consent_give.subject, consent_give.purpose,"
    "  consent_give.version, consent_give.parental, 'service ' || session_user, NULL);"
    " INSERT INTO ringfence.consent_event VALUES (consent_give.purpose, consent_give.version, "
    "true);"
    " RETURN until; END $body$";

/* ---- withdrawing ----------------------------------------------------------------------------- */

/* clang-format off */
static const char end_head[] =
    "CREATE FUNCTION ringfence.consent_end(subject text, purpose text, source text)"
    " RETURNS text[] LANGUAGE plpgsql" FUNCTION_HEAD "\n#variable_conflict use_variable\n"
    "DECLARE key text; versions text[]; at timestamptz := clock_timestamp(); BEGIN"
    REFUSE("octet_length(subject) BETWEEN 1 AND 512", "a consent is somebody''s")
    REFUSE("octet_length(purpose) BETWEEN 1 AND 63", "a consent is to something")
    " BEGIN SELECT x.key INTO key FROM (";
/* clang-format on */

/* The versions that ended by it. The person need not be there any more, nor the purpose be the
   policy's still. */
static int compile_end(struct compiler *k)
{
    sql_add(&k->sql, "%S", end_head);
    int rc = compile_add_lookup(k, "subject", LOOKUP_KEY);
    sql_add(&k->sql, "%S",
            ") x(key) LIMIT 1; EXCEPTION WHEN data_exception THEN key := NULL; END;"
            " key := coalesce(key, subject);"
            " WITH ended AS (UPDATE ringfence.consent c SET withdrawn = greatest(at, c.given),"
            "   withdrawn_by = source WHERE c.subject = key AND c.purpose = consent_end.purpose"
            "   AND c.withdrawn IS NULL AND c.until > at RETURNING c.version)"
            "  SELECT array_agg(e.version) INTO versions FROM ended e;"
            " IF versions IS NOT NULL AND consent_end.purpose IN (SELECT n.purpose FROM ");
    add_rules(&k->sql, k->policy);
    sql_add(&k->sql, ") THEN INSERT INTO ringfence.consent_ended"
                     "  VALUES (key, consent_end.purpose, at, NULL); END IF;"
                     " RETURN coalesce(versions, '{}'); END $body$");
    return rc == 0
               ? make(k, "consent_end", "text, text, text", ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR)
               : rc;
}

static const char withdraw_source[] =
    "CREATE FUNCTION ringfence.consent_withdraw(subject text, purpose text) RETURNS boolean"
    " LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE versions text[]; BEGIN"
    " versions := ringfence.consent_end(consent_withdraw.subject, consent_withdraw.purpose,"
    "  'service ' || session_user);"
    " INSERT INTO ringfence.consent_event SELECT consent_withdraw.purpose, u.version, false"
    "  FROM unnest(versions) u(version);"
    " RETURN cardinality(versions) > 0; END $body$";

/* Open grants that lost a consent, by withdrawal or because its time is over, are revoked: how
   many. Rows are locked in the order of compile_request.c. */
static int compile_sweep(struct compiler *k)
{
    sql_add(
        &k->sql, "%S",
        "CREATE FUNCTION ringfence.consent_sweep() RETURNS integer LANGUAGE plpgsql" FUNCTION_HEAD
        "DECLARE it record; done integer := 0; BEGIN"
        " FOR it IN WITH gone AS MATERIALIZED (SELECT e.subject, e.purpose"
        "   FROM ringfence.consent_ended e"
        "  UNION SELECT c.subject, c.purpose FROM (SELECT DISTINCT n.purpose FROM ");
    add_rules(&k->sql, k->policy);
    sql_add(&k->sql, "%S",
            ") n JOIN ringfence.consent c ON c.purpose = n.purpose"
            "   WHERE c.withdrawn IS NULL AND c.until <= statement_timestamp()"
            "   AND c.until > statement_timestamp() - interval '1 minute')"
            "  SELECT r.id FROM ringfence.request r JOIN ");
    add_rules(&k->sql, k->policy);
    sql_add(&k->sql, "%S",
            " ON n.rule = r.rule WHERE EXISTS (SELECT FROM gone)"
            "   AND r.state = 'open'"
            "   AND EXISTS (SELECT FROM gone e WHERE e.purpose = n.purpose"
            "    AND e.subject = ANY (r.keys))"
            "   AND ringfence.consent_is_missing(r.rule, r.keys)"
            "  ORDER BY r.id LIMIT 100 FOR UPDATE OF r SKIP LOCKED LOOP"
            "  PERFORM ringfence.request_revoke(it.id); done := done + 1; END LOOP;"
            " IF done = 0 THEN"
            "  DELETE FROM ringfence.consent_ended e"
            "   WHERE e.seen < statement_timestamp() - interval '1 minute';"
            "  UPDATE ringfence.consent_ended e SET seen = statement_timestamp()"
            "   WHERE e.seen IS NULL; END IF;"
            " RETURN done; END $body$");
    return make(k, "consent_sweep", "", ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR);
}

/* ---- on the way to a log --------------------------------------------------------------------- */

/* clang-format off */
/* What GATEWAY is to put on record: what it took before and has not said yet, or what another took
   and has not said for long; else all that came since. */
static const char sums_source[] =
    "CREATE FUNCTION ringfence.consent_sums(gateway text) RETURNS TABLE(id uuid, purpose text,"
    " version text, is_given boolean, count bigint) LANGUAGE plpgsql" FUNCTION_HEAD
    "\n#variable_conflict use_column\n"
    "BEGIN"
    REFUSE("octet_length(consent_sums.gateway) BETWEEN 1 AND 255", "a gateway is needed")
    " UPDATE ringfence.consent_sum s SET gateway = consent_sums.gateway,"
    "   taken = statement_timestamp() WHERE s.gateway <> consent_sums.gateway"
    "  AND s.taken < statement_timestamp() - interval '10 minutes';"
    " IF NOT EXISTS (SELECT FROM ringfence.consent_sum s"
    "   WHERE s.gateway = consent_sums.gateway) THEN"
    "  WITH e AS (DELETE FROM ringfence.consent_event RETURNING purpose, version, is_given)"
    "  INSERT INTO ringfence.consent_sum (id, gateway, taken, purpose, version, is_given, count)"
    "   SELECT gen_random_uuid(), consent_sums.gateway, statement_timestamp(), e.purpose, e.version,"
    "   e.is_given, count(*) FROM e GROUP BY e.purpose, e.version, e.is_given; END IF;"
    " RETURN QUERY SELECT s.id, s.purpose, s.version, s.is_given, s.count"
    "  FROM ringfence.consent_sum s WHERE s.gateway = consent_sums.gateway"
    "  ORDER BY s.purpose, s.version, s.is_given LIMIT 64; END $body$";
/* clang-format on */

static const char said_source[] =
    "CREATE FUNCTION ringfence.consent_said(id uuid) RETURNS void LANGUAGE sql "
    "VOLATILE" FUNCTION_HEAD "DELETE FROM ringfence.consent_sum s WHERE s.id = $1 $body$";

/* The latest 200; but of no purpose do so many hide what holds of another one. */
static const char history_source[] =
    "CREATE FUNCTION ringfence.consent_history(subject text) RETURNS TABLE(purpose text,"
    " version text, given timestamp with time zone, until timestamp with time zone,"
    " withdrawn timestamp with time zone, parental boolean, source text, is_current boolean)"
    " LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT x.purpose, x.version, x.given, x.until, x.withdrawn, x.parental, x.source, x.is_current"
    " FROM (SELECT l.*, row_number() OVER (PARTITION BY l.purpose"
    "   ORDER BY l.is_current DESC, l.given DESC) AS n FROM (SELECT c.*, c.withdrawn IS NULL"
    "    AND c.until > statement_timestamp() AS is_current FROM ringfence.consent c"
    "    WHERE c.subject = $1) l ORDER BY n, l.given DESC LIMIT 200) x"
    " ORDER BY x.given DESC, x.purpose $body$";

/* ---- the whole ------------------------------------------------------------------------------- */

/* Whoever may write no row of this region's tables writes down no consents here either. */
static bool writes_here(const struct policy_actor *service, const struct policy_region *region)
{
    const struct policy_service_access *access = role_service_access(service, region);
    bool writes = access != NULL && access->all_tables == TABLE_WRITE;
    for (size_t i = 0; access != NULL && i < access->table_count; i++)
        writes = writes || access->tables[i].access == TABLE_WRITE;
    return writes;
}

static void want_service_rights(struct compiler *k)
{
    static const char *const functions[] = {
        "FUNCTION ringfence.consent_give(text,text,text,boolean)",
        "FUNCTION ringfence.consent_withdraw(text,text)",
        "FUNCTION ringfence.consent_is_current(text,text)",
    };
    const struct policy_consents *c = k->policy->consents;
    for (size_t i = 0; i < c->recorder_count; i++) {
        if (!writes_here(c->recorders[i], k->region))
            continue;
        right_set_add(&k->rights, c->recorders[i]->name, "USAGE", "SCHEMA", NULL, SCHEMA_OWN);
        for (size_t f = 0; f < RF_COUNT(functions); f++)
            right_set_add_quoted(&k->rights, c->recorders[i]->name, "EXECUTE", functions[f]);
    }
}

int compile_consents(struct compiler *k)
{
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
        { "consent_add", "text, text, text, boolean, text, text", ROLE_NAME_REGISTRAR, add_source },
        { "consent_give", "text, text, text, boolean", NULL, give_source },
        { "consent_withdraw", "text, text", NULL, withdraw_source },
        { "consent_sums", "text", ROLE_NAME_REGISTRAR, sums_source },
        { "consent_said", "uuid", ROLE_NAME_REGISTRAR, said_source },
        { "consent_history", "text", ROLE_NAME_REGISTRAR, history_source },
    };
    static int (*const made[])(struct compiler *) = {
        compile_tables, compile_is_current, compile_lacking,
        compile_check,  compile_end,        compile_sweep,
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(made) && rc == 0; i++)
        rc = made[i](k);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    if (rc == 0)
        want_service_rights(k);
    return rc;
}
