/* What may come in, as triggers of the table.
 *
 *   ~ringfence_ingest_insert, _update   BEFORE, row: makes coarse, drops, and takes the location
 * out of rows of children; functions ringfence."ingest_SCHEMA.TABLE" and "change_SCHEMA.TABLE", or
 * the extension's ringfence_native.ingest(), where it is installed and knows the types
 *   ~ringfence_refuse_insert, _update   AFTER, row: refuses; function
 * ringfence."refuse_SCHEMA.TABLE"
 *
 * The first have no WHEN: PostgreSQL parses that of a trigger anew in every statement, 15 us for
 * conditions of this length, while the function compares in one. (It does pay for the second, where
 * each call costs an entry in the queue of events.) UPDATE has no list of columns: a trigger of the
 * application may change a column that the statement does not name.
 *
 * Why refusals come AFTER: an error inside COPY shows the line it was reading, and one of a CHECK
 * the whole row, in the server's log; raised after the row, by us, it shows table and column and no
 * value. (The statement itself is logged as log_min_error_statement says.) And COPY writes many
 * rows at a time only where no BEFORE trigger stands.
 *
 * The functions run with the rights of rf_owner, who may read ringfence.child and move the
 * counters, and without SET search_path, which would cost as much as all the rest: every name in
 * them is qualified.
 *
 * A rule with a consent is for rows of which at least one subject has not given it, as the snapshot
 * of the statement sees ringfence.consent (compile_consent.c); whoever is NULL has given none. The
 * question stands behind all others of the rule, and is asked only of a value that the rule would
 * change. Tables with such a rule are the functions' here, also where the extension is installed.
 *
 * Counters are sequences: nextval() survives the ROLLBACK that a refusal is. A crash may put one
 * ahead by up to 32, never back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "enforce/coarse.h"
#include "enforce/compiler.h"
#include "enforce/subject.h"
#include "policy/consents.h"

#define CHILD_RULE "location of a child"

enum { NAME_SIZE = 256, COLUMNS_SIZE = 400, WHY_SIZE = 240, RULE_SIZE = 160 };

/* One counter: rows of TABLE that met RULE. */
struct counter {
    const struct policy_table *table;
    const char *columns; /* "lat, lon" */
    const char *rule;    /* "multiple of 0.1", "refused", "dropped", "location of a child" */
    char sequence[40];
};

struct ingest {
    struct compiler *k;
    const struct policy_table *table;
    const struct catalog_table *fact;
    const struct policy_table *subjects; /* NULL: nobody can be told to be a child */
    struct counter *counters;            /* of all tables */
    size_t counter_count, counter_cap;
    bool is_update; /* the function in the making is for UPDATE */
};

/* -- counters -- */

static void hash(uint64_t *h, const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        *h = (*h ^ (uint8_t)*at) * 1099511628211U; /* FNV-1a: a short name that stays the same */
    *h = (*h ^ 0xff) * 1099511628211U;
}

static int keep(struct compiler *k, const char *text, const char **ret)
{
    *ret = arena_strndup(&k->script->arena, text, strlen(text));
    return *ret != NULL ? 0 : err_set(k->err, RF_ENOMEM, "out of memory while compiling triggers");
}

static int take_text(struct compiler *k, struct sql *s, const char **ret)
{
    const char *text;
    int rc = sql_text(s, &text, k->err);
    if (rc == 0)
        rc = keep(k, text, ret);
    sql_done(s);
    sql_init(s);
    return rc;
}

static bool sequence_is_there(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->sequence_count; i++)
        if (strcmp(c->sequences[i], name) == 0)
            return true;
    return false;
}

static int make_sequence(struct compiler *k, const char *name)
{
    if (sequence_is_there(k->catalog, name))
        return 0;
    sql_add(&k->sql, "CREATE SEQUENCE %N", SCHEMA_OWN, name);
    int rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "counter %s", name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER SEQUENCE %N OWNER TO %I", SCHEMA_OWN, name, ROLE_NAME_OWNER);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "owner of counter %s", name);
    }
    return rc;
}

static int add_counter(struct ingest *g, const char *columns, const char *rule,
                       const struct counter **ret)
{
    struct compiler *k = g->k;
    uint64_t h = 14695981039346656037U;
    if (g->counter_count == g->counter_cap) {
        size_t cap = g->counter_cap > 0 ? g->counter_cap * 2 : 32;
        struct counter *more = arena_alloc(&k->script->arena, cap, sizeof(*more));
        if (more == NULL)
            return err_set(k->err, RF_ENOMEM, "out of memory while compiling triggers");
        if (g->counter_count > 0)
            memcpy(more, g->counters, g->counter_count * sizeof(*more));
        g->counters = more;
        g->counter_cap = cap;
    }
    for (size_t i = 0; i < g->counter_count; i++) /* INSERT and UPDATE count together */
        if (g->counters[i].table == g->table && strcmp(g->counters[i].columns, columns) == 0 &&
            strcmp(g->counters[i].rule, rule) == 0) {
            *ret = &g->counters[i];
            return 0;
        }
    struct counter *c = &g->counters[g->counter_count];
    *c = (struct counter){ .table = g->table };
    int rc = keep(k, columns, &c->columns);
    if (rc == 0)
        rc = keep(k, rule, &c->rule);
    if (rc < 0)
        return rc;
    hash(&h, g->table->schema);
    hash(&h, g->table->name);
    hash(&h, columns);
    hash(&h, rule);
    (void)snprintf(c->sequence, sizeof(c->sequence), "ingest_%016" PRIx64, h);
    g->counter_count++;
    *ret = c;
    return make_sequence(k, c->sequence);
}

static void add_count(struct sql *s, const struct counter *c)
{
    sql_add(s, " counted := pg_catalog.nextval('ringfence.%S'::pg_catalog.regclass);", c->sequence);
}

/* -- what a table has -- */

static const struct catalog_column *fact_of(const struct ingest *g,
                                            const struct policy_ingest *rule)
{
    return catalog_column_find(g->fact, rule->column);
}

static bool is_changing(const struct policy_ingest *rule)
{
    return rule->rule == INGEST_NULL || (rule->rule != INGEST_REFUSE && !rule->is_finer_refused);
}

static int check_rules(struct ingest *g)
{
    const struct policy_table *t = g->table;
    int rc = 0;
    for (size_t i = 0; i < t->ingest_count && rc == 0; i++) {
        const struct policy_ingest *rule = &t->ingest[i];
        const struct catalog_column *fact = fact_of(g, rule);
        char where[NAME_SIZE];
        (void)snprintf(where, sizeof(where), "%s.%s.%s", t->schema, t->name, rule->column);
        if (fact == NULL)
            return err_set(g->k->err, RF_ECONFIG,
                           "table %s.%s has no column \"%s\", which a rule for what comes in names",
                           t->schema, t->name, rule->column);
        if (rule->rule == INGEST_COARSEN || rule->rule == INGEST_NETWORK)
            rc = coarse_check(rule, fact, where, g->k->err);
        else if (fact->not_null && (rule->consent == NULL || rule->rule == INGEST_NULL))
            rc = err_set(g->k->err, RF_ECONFIG,
                         "column %s is NOT NULL: a rule that lets no value in lets no row in",
                         where);
    }
    return rc;
}

/* A column of class location in a table that leads to a subject who may be a child. */
static bool is_child_location(const struct ingest *g, const struct policy_column *c)
{
    if (g->subjects == NULL || c->class_id != CLASS_LOCATION || g->table->is_view ||
        catalog_column_find(g->fact, c->name) == NULL)
        return false;
    for (size_t i = 0; i < g->fact->column_count; i++)
        if (subject_is_key(g->table, &g->fact->columns[i]))
            return true;
    return g->table == g->subjects;
}

/* " OR " between the conditions of a list. */
static void add_or(struct sql *s, bool *is_first)
{
    sql_add(s, "%S", *is_first ? "" : " OR ");
    *is_first = false;
}

/* -- children -- */

static bool has_child_rule(const struct ingest *g)
{
    for (size_t i = 0; i < g->table->column_count; i++)
        if (is_child_location(g, &g->table->columns[i]))
            return true;
    return false;
}

/* One key leads to a child. Whom the subjects' table does not know is one too, where no foreign key
   says that he is known. */
static void add_child_of_key(struct sql *s, const struct ingest *g,
                             const struct catalog_column *key)
{
    const char *cast = key->kind == KIND_OTHER ? "::pg_catalog.text" : ""; /* its operator may be
                                                                              anywhere */
    sql_add(s,
            "EXISTS (SELECT FROM ringfence.child c WHERE c.subject%S" OP(
                "=") "NEW.%I%S"
                     " AND c.adult_on" OP(">") "CAST((pg_catalog.statement_timestamp()"
                                               " AT TIME ZONE 'UTC') AS pg_catalog.date))",
            cast, key->name, cast);
    if (key->is_subject_key)
        return;
    sql_add(s, " OR (NEW.%I IS NOT NULL AND NOT EXISTS (SELECT FROM %N s WHERE s.%I%S" OP("="),
            key->name, g->subjects->schema, g->subjects->name, g->subjects->subject, cast);
    sql_add(s, "NEW.%I%S))", key->name, cast);
}

/* The row is about a child. */
static void add_is_child(struct sql *s, const struct ingest *g)
{
    bool is_first = true;
    if (g->table == g->subjects) { /* ringfence.child hears of this row only after it is written */
        sql_add(s,
                "(NEW.%I" OP("<=") "CAST((pg_catalog.statement_timestamp() AT TIME ZONE 'UTC')" OP(
                    "-") "interval '%D years' AS pg_catalog.date)) IS NOT TRUE",
                g->subjects->birthdate, (int64_t)g->k->policy->adult_age);
        return;
    }
    for (size_t i = 0; i < g->fact->column_count; i++) {
        if (!subject_is_key(g->table, &g->fact->columns[i]))
            continue;
        add_or(s, &is_first);
        add_child_of_key(s, g, &g->fact->columns[i]);
    }
}

/* The column has the same bytes as before. Not the same text: how numbers and times are written as
   text is the session's choice, and with few digits two places look like one. */
static void add_is_same(struct sql *s, const char *column)
{
    sql_add(s, "ROW(NEW.%I)::pg_catalog.record" OP("*=") "ROW(OLD.%I)::pg_catalog.record", column,
            column);
}

/* An UPDATE that leaves whom and where as they were need not ask again. INSERT has a function of
   its own, which must not pay for preparing these comparisons in each transaction. */
static void add_as_before(struct sql *s, const struct ingest *g)
{
    const struct policy_table *t = g->table;
    bool is_first = true;
    struct sql same;
    const char *text;
    sql_init(&same);
    for (size_t i = 0; i < g->fact->column_count; i++) {
        const struct catalog_column *fact = &g->fact->columns[i];
        const struct policy_column *column = NULL;
        for (size_t j = 0; j < t->column_count; j++)
            if (strcmp(t->columns[j].name, fact->name) == 0)
                column = &t->columns[j];
        bool is_birth = t->birthdate != NULL && strcmp(t->birthdate, fact->name) == 0;
        bool is_place = column != NULL && is_child_location(g, column);
        if (!is_birth && !is_place && !subject_is_key(t, fact))
            continue;
        sql_add(&same, "%S(", is_first ? "" : " AND ");
        add_is_same(&same, fact->name);
        if (is_place)
            sql_add(&same, " OR NEW.%I IS NULL", fact->name);
        sql_add(&same, ")");
        is_first = false;
    }
    if (sql_text(&same, &text, NULL) == 0)
        sql_add(s, " known := %S;", text);
    sql_done(&same);
}

/* "IF … THEN" of a row about a child. One key that is known to exist, which is the usual case, is
   looked up by itself: EXISTS would cost half as much again. */
static void add_find_child(struct sql *s, const struct ingest *g)
{
    const struct catalog_column *only = NULL;
    size_t keys = 0;
    for (size_t i = 0; i < g->fact->column_count; i++)
        if (subject_is_key(g->table, &g->fact->columns[i])) {
            only = &g->fact->columns[i];
            keys++;
        }
    if (g->table == g->subjects || keys != 1 || !only->is_subject_key || only->kind == KIND_OTHER) {
        sql_add(s, " IF ");
        add_is_child(s, g);
    } else {
        sql_add(
            s,
            " PERFORM FROM ringfence.child c WHERE c.subject" OP(
                "=") "NEW.%I; IF FOUND THEN PERFORM"
                     " FROM ringfence.child c WHERE c.subject" OP("=") "NEW.%I AND c.adult_on" OP(
                         ">") "CAST((pg_catalog.statement_timestamp() AT TIME ZONE 'UTC') AS"
                              " pg_catalog.date); END IF; IF FOUND",
            only->name, only->name);
    }
    sql_add(s, " THEN");
}

static int add_child_rule(struct ingest *g, struct sql *s)
{
    const struct policy_table *t = g->table;
    const struct counter *counter;
    char columns[COLUMNS_SIZE] = "";
    bool is_first = true;
    if (!has_child_rule(g))
        return 0;
    sql_add(s, " IF (");
    for (size_t i = 0; i < t->column_count; i++) {
        size_t len = strlen(columns);
        if (!is_child_location(g, &t->columns[i]))
            continue;
        (void)snprintf(columns + len, sizeof(columns) - len, "%s%s", is_first ? "" : ", ",
                       t->columns[i].name);
        add_or(s, &is_first);
        sql_add(s, "NEW.%I IS NOT NULL", t->columns[i].name);
    }
    sql_add(s, ") THEN");
    if (g->is_update)
        add_as_before(s, g);
    int rc = add_counter(g, columns, CHILD_RULE, &counter);
    if (rc < 0)
        return rc;
    if (g->is_update)
        sql_add(s, " IF known IS NOT TRUE THEN");
    add_find_child(s, g);
    for (size_t i = 0; i < t->column_count; i++)
        if (is_child_location(g, &t->columns[i]))
            sql_add(s, " NEW.%I := NULL;", t->columns[i].name);
    add_count(s, counter);
    sql_add(s, " END IF; END IF;%S", g->is_update ? " END IF;" : "");
    return 0;
}

/* -- consents -- */

/* " AND (somebody whom the row is about has not consented)", or nothing. */
static void add_unless_consent(struct sql *s, const struct ingest *g,
                               const struct policy_ingest *rule)
{
    const struct policy_table *t = g->table;
    bool is_first = true;
    if (rule->consent == NULL)
        return;
    sql_add(s, " AND (");
    for (size_t i = 0; i < t->subject_count; i++) {
        add_or(s, &is_first);
        sql_add(s,
                "NOT EXISTS (SELECT FROM ringfence.consent c WHERE c.subject" OP(
                    "=") "NEW.%I::pg_catalog.text AND c.purpose" OP("=") "%L",
                t->subjects[i].column, rule->consent->name);
        sql_add(s,
                " AND c.version" OP("=") "%L AND c.withdrawn IS NULL AND c.until" OP(
                    ">") "pg_catalog.statement_timestamp())",
                rule->consent->version);
    }
    sql_add(s, ")");
}

/* The rule's name in counters; WORDS is what it does. */
static const char *rule_words(const struct policy_ingest *rule, const char *words,
                              char out[RULE_SIZE])
{
    (void)snprintf(out, RULE_SIZE, "%s%s%s", words,
                   rule->consent != NULL ? " without consent to " : "",
                   rule->consent != NULL ? rule->consent->name : "");
    return out;
}

/* -- coarse and dropped -- */

static bool is_same_rule(const struct policy_ingest *a, const struct policy_ingest *b)
{
    return a->rule == b->rule && a->consent == b->consent && a->part == b->part &&
           a->whole == b->whole && a->bits_v4 == b->bits_v4 && a->bits_v6 == b->bits_v6 &&
           a->is_finer_refused == b->is_finer_refused;
}

/* Columns with the same rule count as one: latitude and longitude of a row are one place. */
static bool is_in_group(const struct ingest *g, const struct policy_ingest *first,
                        const struct policy_ingest *other)
{
    return other == first ||
           (is_same_rule(first, other) && !coarse_may_fail(first, fact_of(g, first)) &&
            !coarse_may_fail(other, fact_of(g, other)));
}

static bool starts_group(const struct ingest *g, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (is_in_group(g, &g->table->ingest[i], &g->table->ingest[at]))
            return false;
    return true;
}

static int add_group(struct ingest *g, struct sql *s, size_t first)
{
    const struct policy_table *t = g->table;
    const struct policy_ingest *rule = &t->ingest[first];
    const struct counter *counter;
    char columns[COLUMNS_SIZE] = "", words[COARSE_WORDS_SIZE], name[RULE_SIZE];
    bool is_first = true, is_drop = rule->rule == INGEST_NULL;
    sql_add(s, " IF (");
    for (size_t i = first; i < t->ingest_count; i++) {
        size_t len = strlen(columns);
        if (!is_in_group(g, rule, &t->ingest[i]))
            continue;
        (void)snprintf(columns + len, sizeof(columns) - len, "%s%s", is_first ? "" : ", ",
                       t->ingest[i].column);
        add_or(s, &is_first);
        if (is_drop)
            sql_add(s, "NEW.%I IS NOT NULL", t->ingest[i].column);
        else
            coarse_add_is_finer(s, &t->ingest[i], fact_of(g, &t->ingest[i]));
    }
    const char *done = rule_words(rule, is_drop ? "dropped" : coarse_words(rule, words), name);
    int rc = add_counter(g, columns, done, &counter);
    if (rc < 0)
        return rc;
    sql_add(s, ")");
    add_unless_consent(s, g, rule);
    sql_add(s, " THEN");
    for (size_t i = first; i < t->ingest_count; i++) {
        if (!is_in_group(g, rule, &t->ingest[i]))
            continue;
        sql_add(s, " NEW.%I := ", t->ingest[i].column);
        if (is_drop)
            sql_add(s, "NULL");
        else
            coarse_add_value(s, &t->ingest[i], fact_of(g, &t->ingest[i]));
        sql_add(s, ";");
    }
    add_count(s, counter);
    sql_add(s, " END IF;");
    return 0;
}

/* Texts and JSON: what cannot be read stays as it is, and is refused once the row is whole. */
static int add_readable(struct ingest *g, struct sql *s, const struct policy_ingest *rule)
{
    const struct catalog_column *fact = fact_of(g, rule);
    const struct counter *counter;
    char words[COARSE_WORDS_SIZE], name[RULE_SIZE];
    const char *type = fact->kind == KIND_TEXT ? "text" : "jsonb";
    int rc =
        add_counter(g, rule->column, rule_words(rule, coarse_words(rule, words), name), &counter);
    if (rc < 0)
        return rc;
    sql_add(s, " made_%S := ", type);
    coarse_add_value(s, rule, fact);
    sql_add(s, "; IF made_%S" OP("<>") "NEW.%I::pg_catalog.%S", type, rule->column, type);
    add_unless_consent(s, g, rule);
    sql_add(s, " THEN NEW.%I := made_%S;", rule->column, type);
    add_count(s, counter);
    sql_add(s, " END IF;");
    return 0;
}

static bool has_changes(const struct ingest *g)
{
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (is_changing(&g->table->ingest[i]))
            return true;
    return has_child_rule(g);
}

static int add_change_function(struct ingest *g, struct sql *s, const char *name)
{
    const struct policy_table *t = g->table;
    /* STABLE: it looks at the statement's snapshot instead of taking a new one for each row */
    sql_add(
        s,
        "CREATE OR REPLACE FUNCTION %N() RETURNS trigger LANGUAGE plpgsql STABLE SECURITY DEFINER"
        " AS $ingest$ DECLARE counted bigint; known boolean; made_text pg_catalog.text;"
        " made_jsonb pg_catalog.jsonb; BEGIN",
        SCHEMA_OWN, name);
    int rc = add_child_rule(g, s);
    for (size_t i = 0; i < t->ingest_count && rc == 0; i++) {
        const struct policy_ingest *rule = &t->ingest[i];
        if (!is_changing(rule))
            continue;
        if (coarse_may_fail(rule, fact_of(g, rule)))
            rc = add_readable(g, s, rule);
        else if (starts_group(g, i))
            rc = add_group(g, s, i);
    }
    sql_add(s, " RETURN NEW; END $ingest$");
    return rc;
}

/* WHY a value is refused; returns what to do. */
static const char *refusal_words(const struct policy_ingest *rule, char why[WHY_SIZE])
{
    char words[COARSE_WORDS_SIZE], unless[RULE_SIZE];
    (void)rule_words(rule, "", unless);
    if (rule->rule == INGEST_REFUSE) {
        (void)snprintf(why, WHY_SIZE, "the policy lets no value in%s", unless);
        return rule->consent != NULL
                   ? "record the consent first, leave the column out, or write NULL"
                   : "leave the column out, or write NULL";
    }
    if (rule->is_finer_refused) {
        (void)snprintf(why, WHY_SIZE, "the value is finer than a %s%s", coarse_words(rule, words),
                       unless);
        return "make it coarse before it is written";
    }
    (void)snprintf(why, WHY_SIZE, "the value cannot be read as a place");
    return "write decimal degrees such as 52.5,13.4, WKT, or JSON with keys such as lat and lon";
}

/* -- the same by extension ringfence -- */

/* A key by which the extension can ask ringfence.child: a plain type, and somebody who is known. */
static bool is_native_key(const struct catalog_column *key)
{
    static const char *const types[] = { "smallint", "integer", "bigint", "uuid" };
    for (size_t i = 0; i < RF_COUNT(types); i++)
        if (strcmp(types[i], key->type) == 0)
            return key->is_subject_key;
    return false;
}

static bool has_consent_rule(const struct ingest *g)
{
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (g->table->ingest[i].consent != NULL)
            return true;
    return false;
}

/* All rules of the table, or none. */
static bool is_native(const struct ingest *g)
{
    if (!g->k->catalog->has_native_ingest || has_consent_rule(g) ||
        (has_child_rule(g) && g->table == g->subjects))
        return false;
    for (size_t i = 0; i < g->fact->column_count && has_child_rule(g); i++)
        if (subject_is_key(g->table, &g->fact->columns[i]) && !is_native_key(&g->fact->columns[i]))
            return false;
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (is_changing(&g->table->ingest[i]) &&
            !coarse_is_native(&g->table->ingest[i], fact_of(g, &g->table->ingest[i])))
            return false;
    return true;
}

static bool is_refusing(const struct ingest *g, const struct policy_ingest *rule);

/* Where the extension's trigger stands anyway, it refuses, too, and no AFTER trigger is needed: it
   can keep the line of a COPY out of its error, which plpgsql cannot. */
static bool refuses_natively(const struct ingest *g)
{
    if (!is_native(g) || !has_changes(g))
        return false;
    for (size_t i = 0; i < g->table->ingest_count; i++) {
        const struct policy_ingest *rule = &g->table->ingest[i];
        if (is_refusing(g, rule) &&
            (fact_of(g, rule)->is_generated || !coarse_is_native(rule, fact_of(g, rule))))
            return false;
    }
    return true;
}

static void add_head(struct sql *s, const char *kind, const struct counter *counter, int64_t a,
                     int64_t b)
{
    sql_add(s, "%L, %L, '%D', '%D'", kind, counter->sequence, a, b);
}

static int add_native_child(struct ingest *g, struct sql *s)
{
    const struct policy_table *t = g->table;
    const struct counter *counter;
    char columns[COLUMNS_SIZE] = "";
    struct sql names;
    const char *text;
    int64_t keys = 0, places = 0;
    sql_init(&names);
    for (size_t i = 0; i < g->fact->column_count; i++)
        if (subject_is_key(t, &g->fact->columns[i])) {
            sql_add(&names, ", %L", g->fact->columns[i].name);
            keys++;
        }
    for (size_t i = 0; i < t->column_count; i++) {
        size_t len = strlen(columns);
        if (!is_child_location(g, &t->columns[i]))
            continue;
        (void)snprintf(columns + len, sizeof(columns) - len, "%s%s", places > 0 ? ", " : "",
                       t->columns[i].name);
        sql_add(&names, ", %L", t->columns[i].name);
        places++;
    }
    int rc = add_counter(g, columns, CHILD_RULE, &counter);
    if (rc == 0)
        rc = sql_text(&names, &text, g->k->err);
    if (rc == 0) {
        add_head(s, "child", counter, 0, 0);
        sql_add(s, ", '%D', '%D'%S", keys, places, text);
    }
    sql_done(&names);
    return rc;
}

static int add_native_group(struct ingest *g, struct sql *s, size_t first, bool is_first)
{
    const struct policy_table *t = g->table;
    const struct policy_ingest *rule = &t->ingest[first];
    const struct counter *counter;
    char columns[COLUMNS_SIZE] = "", words[COARSE_WORDS_SIZE];
    bool is_drop = rule->rule == INGEST_NULL, is_network = rule->rule == INGEST_NETWORK;
    int64_t count = 0;
    for (size_t i = first; i < t->ingest_count; i++) {
        size_t len = strlen(columns);
        if (!is_in_group(g, rule, &t->ingest[i]))
            continue;
        (void)snprintf(columns + len, sizeof(columns) - len, "%s%s", count > 0 ? ", " : "",
                       t->ingest[i].column);
        count++;
    }
    int rc = add_counter(g, columns, is_drop ? "dropped" : coarse_words(rule, words), &counter);
    if (rc < 0)
        return rc;
    sql_add(s, "%S", is_first ? "" : ", ");
    add_head(s,
             is_drop      ? "null"
             : is_network ? "network"
                          : "multiple",
             counter, is_network ? rule->bits_v4 : rule->part,
             is_network ? rule->bits_v6 : rule->whole);
    sql_add(s, ", '0', '%D'", count);
    for (size_t i = first; i < t->ingest_count; i++)
        if (is_in_group(g, rule, &t->ingest[i]))
            sql_add(s, ", %L", t->ingest[i].column);
    return 0;
}

static int add_native_refusal(struct ingest *g, struct sql *s, const struct policy_ingest *rule,
                              bool is_first)
{
    const struct policy_table *t = g->table;
    const struct counter *counter;
    char why[WHY_SIZE];
    const char *hint = refusal_words(rule, why);
    bool is_network = rule->rule == INGEST_NETWORK;
    int rc = add_counter(g, rule->column, "refused", &counter);
    if (rc < 0)
        return rc;
    sql_add(s, "%S", is_first ? "" : ", ");
    add_head(s,
             rule->rule == INGEST_REFUSE ? "refuse"
             : is_network                ? "refuse network"
                                         : "refuse multiple",
             counter, is_network ? rule->bits_v4 : rule->part,
             is_network ? rule->bits_v6 : rule->whole);
    sql_add(s, ", '4', '1', %L, %L, %L, %L, %L", t->schema, t->name, why, hint, rule->column);
    return 0;
}

/* What stands behind EXECUTE FUNCTION. */
static int add_native(struct ingest *g, struct sql *s)
{
    bool is_first = !has_child_rule(g);
    sql_add(s, "%N(", SCHEMA_NATIVE, "ingest");
    int rc = is_first ? 0 : add_native_child(g, s);
    for (size_t i = 0; i < g->table->ingest_count && rc == 0; i++) {
        if (!is_changing(&g->table->ingest[i]) || !starts_group(g, i))
            continue;
        rc = add_native_group(g, s, i, is_first);
        is_first = false;
    }
    for (size_t i = 0; i < g->table->ingest_count && rc == 0 && refuses_natively(g); i++) {
        if (!is_refusing(g, &g->table->ingest[i]))
            continue;
        rc = add_native_refusal(g, s, &g->table->ingest[i], is_first);
        is_first = false;
    }
    sql_add(s, ")");
    return rc;
}

/* -- refused -- */

static bool is_refusing(const struct ingest *g, const struct policy_ingest *rule)
{
    return rule->rule == INGEST_REFUSE || rule->is_finer_refused ||
           coarse_may_fail(rule, fact_of(g, rule));
}

static bool has_refusals(const struct ingest *g)
{
    if (refuses_natively(g))
        return false;
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (is_refusing(g, &g->table->ingest[i]))
            return true;
    return false;
}

static int add_refusal(struct ingest *g, struct sql *s, const struct policy_ingest *rule)
{
    const struct policy_table *t = g->table;
    const struct catalog_column *fact = fact_of(g, rule);
    const struct counter *counter;
    char why[WHY_SIZE], name[RULE_SIZE];
    const char *hint = refusal_words(rule, why);
    bool is_whole = rule->rule == INGEST_REFUSE;
    const char *done = is_whole || rule->is_finer_refused ? "refused" : "refused: unreadable";
    int rc = add_counter(g, rule->column, rule_words(rule, done, name), &counter);
    sql_add(s, " IF NEW.%I IS NOT NULL AND (", rule->column);
    add_is_same(s, rule->column);
    sql_add(s, ") IS NOT TRUE");
    if (!is_whole && rule->is_finer_refused) {
        sql_add(s, " AND ");
        coarse_add_is_finer(s, rule, fact);
    } else if (!is_whole) {
        sql_add(s, " AND (");
        coarse_add_value(s, rule, fact);
        sql_add(s, ") IS NULL");
    }
    add_unless_consent(s, g, rule);
    sql_add(s, " THEN");
    if (rc == 0)
        add_count(s, counter);
    sql_add(s, " RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = %L, TABLE = %L, COLUMN = %L,",
            t->schema, t->name, rule->column);
    sql_add(s, " MESSAGE = %L || '.' || %L || ' refuses column \"' || %L || '\": ' || %L,",
            t->schema, t->name, rule->column, why);
    sql_add(s, " HINT = %L; END IF;", hint);
    return rc;
}

static int add_refuse_function(struct ingest *g, struct sql *s, const char *name)
{
    const struct policy_table *t = g->table;
    int rc = 0;
    sql_add(
        s,
        "CREATE OR REPLACE FUNCTION %N() RETURNS trigger LANGUAGE plpgsql STABLE SECURITY DEFINER"
        " AS $ingest$ DECLARE counted bigint; BEGIN",
        SCHEMA_OWN, name);
    for (size_t i = 0; i < t->ingest_count && rc == 0; i++)
        if (is_refusing(g, &t->ingest[i]))
            rc = add_refusal(g, s, &t->ingest[i]);
    sql_add(s, " RETURN NULL; END $ingest$");
    return rc;
}

/* Kept short, because every statement parses it; what is finer or unreadable, the function finds.
 */
static void add_when_refused(struct sql *s, const struct ingest *g)
{
    bool is_first = true;
    for (size_t i = 0; i < g->table->ingest_count; i++) {
        const struct policy_ingest *rule = &g->table->ingest[i];
        if (!is_refusing(g, rule))
            continue;
        add_or(s, &is_first);
        sql_add(s, "NEW.%I IS NOT NULL", rule->column);
    }
}

/* -- one table -- */

typedef int function_fn(struct ingest *g, struct sql *s, const char *name);
typedef void when_fn(struct sql *s, const struct ingest *g); /* NULL: always */

/* The function that does KIND for the table, and *RET_CALL, what stands behind EXECUTE FUNCTION. */
static int compile_call(struct ingest *g, const char *kind, function_fn *function,
                        const char **ret_call)
{
    char name[NAME_SIZE];
    const char *source;
    struct sql s;
    bool made;
    int rc;
    sql_init(&s);
    (void)snprintf(name, sizeof(name), "%s_%s.%s", kind, g->table->schema, g->table->name);
    if (function == NULL) {
        rc = add_native(g, &s);
    } else {
        rc = function(g, &s, name);
        if (rc == 0)
            rc = take_text(g->k, &s, &source);
        if (rc == 0)
            rc = compile_kept_function(g->k, name, "", source, &made);
        sql_add(&s, "%N()", SCHEMA_OWN, name);
    }
    if (rc == 0)
        rc = take_text(g->k, &s, ret_call);
    sql_done(&s);
    return rc;
}

/* FUNCTION NULL: the extension's. KIND_UPDATE: the function for UPDATE has this name, and is
   another one when the name is. */
static int compile_pair(struct ingest *g, const char *kind, const char *kind_update,
                        const char *time, function_fn *function, when_fn *when)
{
    const struct policy_table *t = g->table;
    char trigger[64];
    const char *source, *call = "";
    struct sql s;
    bool made;
    sql_init(&s);
    int rc = 0;
    for (int is_update = 0; is_update < 2 && rc == 0; is_update++) {
        const char *event = is_update ? "update" : "insert";
        g->is_update = is_update != 0;
        if (!g->is_update || kind_update != kind)
            rc = compile_call(g, g->is_update ? kind_update : kind, function, &call);
        if (rc < 0)
            break;
        (void)snprintf(trigger, sizeof(trigger), "~ringfence_%s_%s", kind, event);
        sql_add(&s, "CREATE TRIGGER %I %S %S ON %N FOR EACH ROW", trigger, time, event, t->schema,
                t->name);
        if (when != NULL) {
            sql_add(&s, " WHEN (");
            when(&s, g);
            sql_add(&s, ")");
        }
        sql_add(&s, " EXECUTE FUNCTION %S", call);
        rc = take_text(g->k, &s, &source);
        if (rc == 0)
            rc = compile_trigger(g->k, t, trigger, source, &made);
    }
    sql_done(&s);
    return rc;
}

/* Beyond what it owns, the owner of the functions needs who the subjects are, where no foreign key
   tells, and PostGIS. */
static void want_rights(struct ingest *g)
{
    struct right_set *rights = &g->k->rights;
    char schema[64];
    for (size_t i = 0; i < g->fact->column_count && has_child_rule(g); i++) {
        const struct catalog_column *c = &g->fact->columns[i];
        if (!subject_is_key(g->table, c) || c->is_subject_key || g->table == g->subjects)
            continue;
        right_set_add(rights, ROLE_NAME_OWNER, "USAGE", "SCHEMA", NULL, g->subjects->schema);
        right_set_add(rights, ROLE_NAME_OWNER, "SELECT", "TABLE", g->subjects->schema,
                      g->subjects->name);
    }
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (coarse_postgis_schema(fact_of(g, &g->table->ingest[i]), schema) != NULL)
            right_set_add(rights, ROLE_NAME_OWNER, "USAGE", "SCHEMA", NULL, schema);
}

static bool needs_places(const struct ingest *g)
{
    for (size_t i = 0; i < g->table->ingest_count; i++)
        if (coarse_may_fail(&g->table->ingest[i], fact_of(g, &g->table->ingest[i])))
            return true;
    return false;
}

static int compile_places(struct compiler *k)
{
    static const char step[] = "text, double precision, double precision";
    int rc =
        compile_function(k, "coarse_number", step, ROLE_NAME_OWNER, NULL, coarse_number_source);
    if (rc == 0)
        rc = compile_function(k, "coarse_text", step, ROLE_NAME_OWNER, NULL, coarse_text_source);
    if (rc == 0)
        rc =
            compile_function(k, "coarse_json", "jsonb, boolean, double precision, double precision",
                             ROLE_NAME_OWNER, NULL, coarse_json_source);
    return rc;
}

static int compile_counts(struct ingest *g)
{
    struct sql s;
    const char *source;
    sql_init(&s);
    sql_add(&s, "CREATE FUNCTION ringfence.ingest_counts(OUT relation text, OUT columns text,"
                " OUT rule text, OUT count bigint) RETURNS SETOF record LANGUAGE sql VOLATILE"
                " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $counts$"
                "SELECT v.t, v.c, v.r, coalesce(pg_sequence_last_value(v.s::regclass), 0)"
                " FROM (VALUES (NULL, NULL, NULL, NULL)");
    for (size_t i = 0; i < g->counter_count; i++) {
        const struct counter *c = &g->counters[i];
        sql_add(&s, ", (%L || '.' || %L, %L, %L, 'ringfence.%S')", c->table->schema, c->table->name,
                c->columns, c->rule, c->sequence);
    }
    sql_add(&s, ") v(t, c, r, s) WHERE v.t IS NOT NULL$counts$");
    int rc = take_text(g->k, &s, &source);
    if (rc == 0)
        rc =
            compile_function(g->k, "ingest_counts", "", ROLE_NAME_OWNER, ROLE_NAME_CONTROL, source);
    sql_done(&s);
    return rc;
}

/* Functions of tables that have no rules any more; their triggers are gone by now. */
static int compile_functions_left(struct ingest *g)
{
    static const char *const kinds[] = { "ingest", "change", "refuse" };
    const struct compiler *k = g->k;
    int rc = 0;
    for (size_t i = 0; i < k->catalog->object_count && rc == 0; i++) {
        const struct catalog_object *o = &k->catalog->objects[i];
        char prefix[32], name[NAME_SIZE];
        bool is_ours = false, is_wanted = false;
        for (size_t kind = 0; kind < RF_COUNT(kinds); kind++) {
            (void)snprintf(prefix, sizeof(prefix), "ringfence.%s_", kinds[kind]);
            is_ours |= o->source != NULL && strncmp(o->name, prefix, strlen(prefix)) == 0 &&
                       strchr(o->name + strlen(prefix), '.') != NULL;
            for (size_t t = 0; t < k->policy->table_count; t++) {
                g->table = &k->policy->tables[t];
                g->fact = &k->catalog->tables[t];
                (void)snprintf(name, sizeof(name), "%s%s.%s()", prefix, g->table->schema,
                               g->table->name);
                is_wanted |= strcmp(name, o->name) == 0 &&
                             (kind < 2 ? has_changes(g) && !is_native(g) : has_refusals(g));
            }
        }
        if (!is_ours || is_wanted)
            continue;
        sql_add(&g->k->sql, "DROP %S", o->quoted);
        rc = script_add(k->script, STEP_GUARD, &g->k->sql, k->err, "%s: no longer in the policy",
                        o->name);
    }
    return rc;
}

int compile_ingest(struct compiler *k)
{
    struct ingest g = { .k = k, .subjects = subject_own_table(k->policy) };
    bool has_places = false;
    int rc = 0;
    for (size_t i = 0; i < k->policy->table_count && rc == 0; i++) {
        g.table = &k->policy->tables[i];
        g.fact = &k->catalog->tables[i];
        rc = check_rules(&g);
        if (rc == 0 && has_changes(&g))
            rc = compile_pair(&g, "ingest", "change", "BEFORE",
                              is_native(&g) ? NULL : add_change_function, NULL);
        if (rc == 0 && has_refusals(&g))
            rc = compile_pair(&g, "refuse", "refuse", "AFTER", add_refuse_function,
                              add_when_refused);
        if (rc == 0) {
            want_rights(&g);
            has_places |= needs_places(&g);
        }
    }
    if (rc == 0 && has_places)
        rc = compile_places(k);
    if (rc == 0)
        rc = compile_counts(&g);
    if (rc == 0)
        rc = compile_triggers_left(k);
    return rc == 0 ? compile_functions_left(&g) : rc;
}
