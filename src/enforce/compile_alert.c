/* What somebody should look at: what raises an alert, and which alerts there are.
 *
 *   ringfence.look(actor, entity, department, place, key, is_request, at)
 *                                            whom somebody has found or asked for; NULL: nobody
 *   ringfence.actor_day(actor, day, rows)    how many rows gateways have released to him
 *   ringfence.alert(id, rule, actor, at, …)  reviewed_at NULL: it is open
 *
 * alert_act() enters what somebody has done, and says which rules it has met. Conditions stand in
 * tbl/alert_judge.def, their numbers are the policy's: alert_judge() is one query over both, so a
 * rule is a line in each of two tables. One alert of a rule, actor and day (UTC) is open at most:
 * what comes on top counts in `times`, and is no further record.
 *
 * Looks and rows are kept for as long as a rule asks for them, and not at all where none does. */
#include "enforce/compiler.h"
#include "enforce/granted.h"
#include "policy/alerts.h"

/* Needs the macros of the list; the functions themselves are compile_request.c's. */
#define REQUEST_FUNCTION(name, arguments, who, source)
#include "enforce/tbl/request_function.def"
#undef REQUEST_FUNCTION

static int compile_tables(struct compiler *k)
{
    static const struct {
        const char *name, *source, *index;
    } tables[] = {
        { "look",
          "CREATE TABLE ringfence.look (actor text NOT NULL, entity text NOT NULL,"
          " department text NOT NULL, place text NOT NULL, key text, is_request boolean NOT NULL,"
          " at timestamptz NOT NULL)",
          "CREATE INDEX look_by ON ringfence.look (actor, at);"
          " CREATE INDEX look_in ON ringfence.look (department, at);"
          " CREATE INDEX look_at ON ringfence.look (key, at);"
          " CREATE INDEX look_old ON ringfence.look (at)" },
        { "actor_day",
          "CREATE TABLE ringfence.actor_day (actor text, day date, entity text NOT NULL,"
          " department text NOT NULL, rows bigint NOT NULL, PRIMARY KEY (actor, day))",
          NULL },
        { "alert",
          "CREATE TABLE ringfence.alert (id bigint PRIMARY KEY CHECK (id > 0), rule text NOT NULL,"
          " actor text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 56),"
          " at timestamptz NOT NULL, day date NOT NULL, request bigint,"
          " times integer NOT NULL DEFAULT 1, leaf text NOT NULL, reviewed_by text,"
          " reviewed_at timestamptz, proper boolean, review_command text, review_signature text,"
          " review_leaf text, CHECK (reviewed_by <> actor), CHECK ((reviewed_at IS NULL) ="
          "  (num_nonnulls(reviewed_by, proper, review_command, review_signature, review_leaf) = "
          "0)))",
          "CREATE UNIQUE INDEX alert_open ON ringfence.alert (rule, actor, day)"
          " WHERE reviewed_at IS NULL;"
          " CREATE INDEX alert_of ON ringfence.alert (rule, actor, reviewed_at) WHERE proper" },
    };
    static const char *const rights[] = { "SELECT", "INSERT", "UPDATE", "DELETE" };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(tables) && rc == 0; i++) {
        bool is_there = catalog_has_own_table(k->catalog, tables[i].name);
        rc = compile_own_table(k, tables[i].name, tables[i].source);
        if (rc == 0 && !is_there && tables[i].index != NULL)
            rc = compile_plain(k, tables[i].index, "what is looked for in it");
        for (size_t n = 0; n < RF_COUNT(rights); n++)
            right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[n], "TABLE", SCHEMA_OWN,
                          tables[i].name);
    }
    return rc;
}

/* ---- who is linked with whom ----------------------------------------------------------------- */

/* Rows of T in which both A and B are among the keys. */
static int add_link(struct compiler *k, size_t table, const char *a, const char *b)
{
    const struct policy_table *t = &k->policy->tables[table];
    const char *const columns[] = { a, b };
    sql_add(&k->sql,
            " BEGIN RETURN QUERY SELECT DISTINCT CAST(x.%I AS text), CAST(x.%I AS text) FROM %N x"
            " WHERE x.%I <> x.%I",
            a, b, t->schema, t->name, a, b);
    for (size_t i = 0; i < RF_COUNT(columns); i++) {
        const struct catalog_column *column =
            catalog_column_find(&k->catalog->tables[table], columns[i]);
        if (column == NULL)
            return err_set(k->err, RF_ECONFIG, "table %s.%s has no subject column \"%s\"",
                           t->schema, t->name, columns[i]);
        sql_add(&k->sql, " AND x.%I IN (SELECT ", columns[i]);
        granted_add_key(&k->sql, column, "u.key");
        sql_add(&k->sql, " FROM unnest(alert_links.keys) u(key))");
        int rc = compile_want_column(k, ROLE_NAME_ADMIN, t, columns[i]);
        if (rc < 0)
            return rc;
    }
    sql_add(&k->sql, "; EXCEPTION WHEN data_exception THEN NULL; END;"); /* keys of other types */
    return 0;
}

static int add_links_of(struct compiler *k, size_t table)
{
    const struct policy_table *t = &k->policy->tables[table];
    int rc = 0;
    for (size_t i = 0; i < t->subject_count; i++)
        for (size_t n = i + 1; n < t->subject_count && rc == 0; n++)
            if (t->subjects[i].through == NULL && t->subjects[n].through == NULL)
                rc = add_link(k, table, t->subjects[i].column, t->subjects[n].column);
    return rc;
}

static int compile_links(struct compiler *k)
{
    const char *source;
    int rc = 0;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.alert_links(keys text[]) RETURNS TABLE(a text, b text)"
            " LANGUAGE plpgsql STABLE" FUNCTION_HEAD "BEGIN");
    for (size_t i = 0; i < k->policy->table_count && rc == 0; i++)
        if (alerts_has(k->policy->alerts, ALERT_LINKED_SUBJECTS))
            rc = add_links_of(k, i);
    sql_add(&k->sql, " END $body$");
    if (rc == 0)
        rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, "alert_links", "text[]", ROLE_NAME_ADMIN, NULL, source)
                   : rc;
}

/* ---- the usual hours ------------------------------------------------------------------------- */

static void add_names(struct sql *s, const char *before, const char *name, size_t index)
{
    sql_add(s, "%S%L", index == 0 ? before : ", ", name);
}

/* "(ARRAY[…]::text[], …, from, until, offset, days, suspends)" */
static void add_hours(struct sql *s, const struct policy_hours *h)
{
    sql_add(s, "(");
    for (size_t i = 0; i < h->who.entity_count; i++)
        add_names(s, "ARRAY[", h->who.entities[i]->name, i);
    sql_add(s, "%S", h->who.entity_count > 0 ? "]::text[], " : "'{}'::text[], ");
    for (size_t i = 0; i < h->who.department_count; i++)
        add_names(s, "ARRAY[", h->who.departments[i], i);
    sql_add(s, "%S%D, %D, %D, %D, %S)",
            h->who.department_count > 0 ? "]::text[], " : "'{}'::text[], ", h->from, h->until,
            h->offset, (int64_t)h->days, h->suspends ? "true" : "false");
}

/* One row for each entry that speaks of him. */
static int compile_hours(struct compiler *k)
{
    const struct policy_alerts *a = k->policy->alerts;
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.alert_hours(entity text, department text,"
            " at timestamp with time zone) RETURNS TABLE(is_usual boolean, suspends boolean)"
            " LANGUAGE sql STABLE SET timezone = 'UTC'" FUNCTION_HEAD
            "SELECT (h.days >> (extract(isodow FROM l.at)::integer - 1)) & 1 = 1"
            " AND extract(hour FROM l.at) * 60 + extract(minute FROM l.at) >= h.from_minute"
            " AND extract(hour FROM l.at) * 60 + extract(minute FROM l.at) < h.until_minute,"
            " h.suspends FROM (VALUES ");
    for (size_t i = 0; i < a->hours_count; i++) {
        sql_add(&k->sql, "%S", i > 0 ? ", " : "");
        add_hours(&k->sql, &a->hours[i]);
    }
    if (a->hours_count == 0)
        sql_add(&k->sql, "(NULL::text[], NULL::text[], 0, 0, 0, 0, false)");
    sql_add(&k->sql, "%S",
            ") h(entities, departments, from_minute, until_minute, ahead, days, suspends),"
            " LATERAL (SELECT $3::timestamp + h.ahead * interval '1 minute' AS at) l"
            " WHERE ($1 = ANY (h.entities) OR h.entities = '{}')"
            " AND ($2 = ANY (h.departments) OR h.departments = '{}') $body$");
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, "alert_hours", "text, text, timestamp with time zone",
                                      ROLE_NAME_ADMIN, NULL, source)
                   : rc;
}

/* ---- judging --------------------------------------------------------------------------------- */

static const struct judge {
    enum alert_rule rule;
    const char *event, *condition;
} judges[] = {
#define JUDGE(ID, event, condition) { ALERT_##ID, event, condition },
#include "enforce/tbl/alert_judge.def"
#undef JUDGE
};

/* What the policy says about J; its count is 0 where J is not judged. */
static struct policy_alert rule_of(const struct policy *p, const struct judge *j)
{
    struct policy_alert rule = p->alerts->rules[j->rule];
    bool is_of_rows = j->rule == ALERT_HABIT && j->event[0] == 'r';
    if (j->rule == ALERT_DENIED && rule.count == 0) /* what suspends is an alert, too */
        rule.count = p->grants->denials_per_day;
    else if (is_of_rows)
        rule.count = rule.rows;
    else if (rule.count == 0)
        rule.count = alerts_has(p->alerts, j->rule);
    return rule;
}

static void add_parameters(struct compiler *k)
{
    const char *before = "";
    for (size_t i = 0; i < RF_COUNT(judges); i++) {
        struct policy_alert rule = rule_of(k->policy, &judges[i]);
        if (rule.count == 0)
            continue;
        sql_add(&k->sql, "%S(%L, %L, %S, %D, %D::integer, %D)", before, alerts_name(judges[i].rule),
                judges[i].event, rule.suspends ? "true" : "false", rule.count, rule.days,
                rule.factor);
        before = ", ";
    }
}

static void add_conditions(struct compiler *k)
{
    for (size_t i = 0; i < RF_COUNT(judges); i++)
        if (rule_of(k->policy, &judges[i]).count > 0)
            sql_add(&k->sql, " WHEN p.rule = %L AND p.event = %L THEN %S",
                    alerts_name(judges[i].rule), judges[i].event, judges[i].condition);
}

static int compile_judge(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.alert_judge(event text, actor text, entity text,"
            " department text, based text, place text, keys text[], at timestamp with time zone)"
            " RETURNS TABLE(rule text, suspends boolean) LANGUAGE sql STABLE"
            " SET timezone = 'UTC'" FUNCTION_HEAD
            "SELECT p.rule, CASE p.rule WHEN 'hours' THEN (SELECT bool_or(h.suspends)"
            " FROM ringfence.alert_hours(alert_judge.entity, alert_judge.department,"
            "  alert_judge.at) h) ELSE p.suspends END FROM (VALUES ");
    add_parameters(k);
    sql_add(&k->sql, "%S",
            ") p(rule, event, suspends, bound, days, factor),"
            " LATERAL (SELECT ringfence.alert_cleared(p.rule, alert_judge.actor) AS cleared) c,"
            " LATERAL (SELECT c.cleared, date_trunc('day', alert_judge.at) AS today,"
            "  greatest(alert_judge.at - p.days * interval '1 day', c.cleared) AS since) s"
            " WHERE p.event = alert_judge.event AND CASE");
    add_conditions(k);
    sql_add(&k->sql, " END $body$");
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, "alert_judge",
                                      "text, text, text, text, text, text, text[],"
                                      " timestamp with time zone",
                                      ROLE_NAME_ADMIN, NULL, source)
                   : rc;
}

/* ---- what somebody has done ------------------------------------------------------------------ */

/* For how many days looks are asked for; 0: by no rule. */
static int64_t days_of_looks(const struct policy_alerts *a)
{
    static const enum alert_rule rules[] = { ALERT_REPEATED_SUBJECT, ALERT_LINKED_SUBJECTS,
                                             ALERT_HABIT, ALERT_NEW_PLACE };
    int64_t days = 0;
    for (size_t i = 0; i < RF_COUNT(rules); i++)
        if (alerts_has(a, rules[i]) && a->rules[rules[i]].days > days)
            days = a->rules[rules[i]].days;
    return days;
}

/* Whoever asks for somebody whom he has just found looks at him once. */
static void add_looks(struct compiler *k)
{
    int64_t days = days_of_looks(k->policy->alerts);
    if (days == 0) {
        sql_add(&k->sql, " DELETE FROM ringfence.look;");
        return;
    }
    sql_add(&k->sql,
            " DELETE FROM ringfence.look l WHERE l.at < now - interval '%D days';"
            " IF event IN ('find', 'request') THEN"
            "  DELETE FROM ringfence.look l WHERE event = 'request' AND l.actor = alert_act.actor"
            "   AND NOT l.is_request AND l.key = ANY (keys) AND l.at > now - interval '1 day';"
            "  INSERT INTO ringfence.look (actor, entity, department, place, key, is_request, at)"
            "   SELECT alert_act.actor, alert_act.entity, alert_act.department, alert_act.place,"
            "   u.key, event = 'request', now FROM (SELECT DISTINCT x.key FROM unnest(CASE"
            "    WHEN cardinality(keys) = 0 THEN ARRAY[NULL]::text[] ELSE keys END) x(key)) u;"
            " END IF;",
            days + 1);
}

static void add_rows(struct compiler *k)
{
    const struct policy_alert *habit = &k->policy->alerts->rules[ALERT_HABIT];
    if (habit->rows == 0) {
        sql_add(&k->sql, " DELETE FROM ringfence.actor_day;");
        return;
    }
    sql_add(
        &k->sql,
        " DELETE FROM ringfence.actor_day d WHERE d.day < now::date - %D;"
        " IF event = 'rows' THEN INSERT INTO ringfence.actor_day AS d"
        "   (actor, day, entity, department, rows) VALUES (alert_act.actor, now::date,"
        "   alert_act.entity, alert_act.department, alert_act.rows)"
        "  ON CONFLICT ON CONSTRAINT actor_day_pkey DO UPDATE SET rows = d.rows + excluded.rows;"
        " END IF;",
        habit->days);
}

/* Two at once could each be the one before the bound: whoever acts waits for the others. A find
   that found nobody is judged about somebody whom nobody knows: whoever looks must not learn by the
   time it takes whether there is such a person. */
static int compile_act(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S",
            "CREATE FUNCTION ringfence.alert_act(event text, actor text, entity text,"
            " department text, based text, place text, keys text[], rows bigint)"
            " RETURNS TABLE(rule text, suspends boolean, is_new boolean) LANGUAGE plpgsql"
            " SET timezone = 'UTC'" FUNCTION_HEAD "\n#variable_conflict use_variable\n"
            "DECLARE now timestamptz; it record; BEGIN" CHECK_ACTOR("alert_act") REFUSE(
                "alert_act.event IN ('find', 'request', 'rows', 'refusal', 'forged', 'honey')",
                "this is nothing that raises alerts")
                REFUSE("num_nulls(alert_act.entity, alert_act.department, alert_act.based,"
                       " alert_act.place, alert_act.keys, alert_act.rows) = 0"
                       " AND array_position(alert_act.keys, NULL) IS NULL",
                       "it is said who has done what from where") " LOCK TABLE ringfence.look IN "
                                                                  "SHARE ROW EXCLUSIVE MODE; now "
                                                                  ":= clock_timestamp();");
    add_looks(k);
    add_rows(k);
    sql_add(&k->sql, "%S",
            " FOR it IN SELECT j.rule, j.suspends FROM ringfence.alert_judge(CASE WHEN event IN"
            "   ('find', 'request') THEN 'look' ELSE event END, actor, entity, department, based,"
            "   place, CASE WHEN event = 'find' AND cardinality(keys) = 0"
            "    THEN ARRAY[gen_random_uuid()::text] ELSE keys END, now) j LOOP"
            "  UPDATE ringfence.alert a SET times = a.times + 1 WHERE a.rule = it.rule"
            "   AND a.actor = alert_act.actor AND a.day = now::date AND a.reviewed_at IS NULL;"
            "  is_new := NOT FOUND; rule := it.rule; suspends := it.suspends; RETURN NEXT;"
            " END LOOP; END $body$");
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(k, "alert_act",
                                      "text, text, text, text, text, text, text[], bigint",
                                      ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR, source)
                   : rc;
}

int compile_alerts(struct compiler *k)
{
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
#define ALERT_FUNCTION(name, arguments, who, source) { name, arguments, who, source },
#include "enforce/tbl/alert_function.def"
#undef ALERT_FUNCTION
    };
    static int (*const parts[])(struct compiler *) = { compile_links, compile_hours, compile_judge,
                                                       compile_act };
    int rc = compile_tables(k);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    for (size_t i = 0; i < RF_COUNT(parts) && rc == 0; i++)
        rc = parts[i](k);
    return rc;
}
