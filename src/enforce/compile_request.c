/* The life of a request, in the region's database, which all gateways of the region share.
 *
 *   ringfence.request(id, actor, rule, …, state, leaf, grant_leaf, end_leaf)
 *   ringfence.approval(request, actor, approves, …, leaf)  a denial is one, too
 *   ringfence.request_step(state, event, next)  a view: what is not in it cannot happen
 *   ringfence.review(request, actor, proper, …)  of what was done by breaking the glass
 *   ringfence.command_nonce(nonce, expires)  commands that were used
 *   ringfence.suspension(actor, since, reason, leaf, lifted_at)  lifted_at NULL: he may do nothing
 *   ringfence.suspension_vote(actor, since, voter, …)  who says that he may again; two are needed
 *   ringfence.refusal_day(actor, day, count)  commands that were refused to somebody
 *
 *     asked ──logged──▶ waiting ──complete──▶ approved ──open──▶ open ──expire──▶ expired
 *       │                 │  │                   │               ├────revoke──▶ revoked
 *       │                 │  │                   │               └────use_up──▶ used_up
 *       └── from these three: lapse ▶ lapsed, deny ▶ denied, withdraw ▶ withdrawn
 *
 * and for a broken glass asked ──break──▶ approved. What must be true:
 *
 *   state waiting, approved, open or behind it ⇒ the request's leaf is known: a CHECK
 *   state open or behind it ⇔ the grant's leaf is known: a CHECK
 *   complete, open ⇒ an approval is on record and no denial is, but of somebody who is suspended
 *   state leaves open ⇒ the grant is closed in the same transaction
 *   whoever is suspended opens nothing: request_open()
 *   a number is one request's or one administrator's grant, never both
 *   a person's broken glass that nobody has reviewed ≤ what the policy allows: request_add()
 *
 * Whether approvals are enough is for registrar and control, who read the signed texts
 * (docs/decisions/0021); nothing here takes the place of that.
 *
 * Whoever changes a request has locked its row before he looks at it, so of two that cannot both
 * happen the second finds the state that the first one left. Rows are locked in this order:
 * request, grant_counter, grant. request_add() locks the counter, too: whoever takes a number for a
 * grant (grant_open()) or a request holds it, so that each sees the numbers of the other.
 * request_sweep() passes by what others have locked.
 *
 * SQLSTATE: 22023 an argument is not possible, 02000 no such request or subject, 55000 the state
 * does not allow it, 53400 too many (CONSTRAINT break_glass_unreviewed: until somebody reviews),
 * 23505 done before: CONSTRAINT is command_nonce_pkey for a command that was used, else
 * approval_pkey or review_pkey. */
#include "enforce/compiler.h"

/* clang-format off */
static const char step_source[] =
    "CREATE VIEW ringfence.request_step (state, event, next) AS VALUES"
    " ('asked'::text, 'logged'::text, 'waiting'::text),"
    " ('asked', 'break', 'approved'),"
    " ('asked', 'deny', 'denied'), ('asked', 'withdraw', 'withdrawn'), ('asked', 'lapse', 'lapsed'),"
    " ('waiting', 'complete', 'approved'),"
    " ('waiting', 'deny', 'denied'), ('waiting', 'withdraw', 'withdrawn'), ('waiting', 'lapse', 'lapsed'),"
    " ('approved', 'open', 'open'),"
    " ('approved', 'deny', 'denied'), ('approved', 'withdraw', 'withdrawn'), ('approved', 'lapse', 'lapsed'),"
    " ('open', 'expire', 'expired'), ('open', 'revoke', 'revoked'), ('open', 'use_up', 'used_up')";
/* clang-format on */

static int compile_tables(struct compiler *k)
{
    static const struct {
        const char *name, *source, *index;
    } tables[] = {
        { "request",
          "CREATE TABLE ringfence.request (id bigint PRIMARY KEY CHECK (id > 0),"
          " actor text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 56), rule text NOT NULL,"
          " purpose text NOT NULL, classes text[] NOT NULL, subjects text[] NOT NULL,"
          " keys text[] NOT NULL, salts text[] NOT NULL, seconds bigint NOT NULL,"
          " is_break_glass boolean NOT NULL, from_home boolean NOT NULL, command text NOT NULL,"
          " signature text NOT NULL, gateway text NOT NULL, at timestamptz NOT NULL,"
          " state text NOT NULL, leaf text, grant_leaf text, end_leaf text,"
          " CHECK (cardinality(keys) BETWEEN 1 AND 100 AND cardinality(salts) = cardinality(keys)),"
          " CHECK (state IN ('asked', 'waiting', 'approved', 'open', 'expired', 'revoked',"
          "  'used_up', 'denied', 'withdrawn', 'lapsed')),"
          " CHECK (leaf IS NOT NULL OR state IN ('asked', 'denied', 'withdrawn', 'lapsed')),"
          " CHECK ((grant_leaf IS NOT NULL) ="
          "  (state IN ('open', 'expired', 'revoked', 'used_up'))))",
          "CREATE INDEX request_live ON ringfence.request (id)"
          " WHERE state IN ('asked', 'waiting', 'approved', 'open');"
          " CREATE INDEX request_approved ON ringfence.request (id) WHERE state = 'approved';"
          " CREATE INDEX request_of ON ringfence.request (actor, id)" },
        { "approval",
          "CREATE TABLE ringfence.approval (request bigint REFERENCES ringfence.request,"
          " actor text,"
          " approves boolean NOT NULL, from_home boolean NOT NULL, command text NOT NULL,"
          " signature text NOT NULL, gateway text NOT NULL, at timestamptz NOT NULL, leaf text,"
          " PRIMARY KEY (request, actor, approves))",
          NULL },
        { "review",
          "CREATE TABLE ringfence.review (request bigint REFERENCES ringfence.request, actor text,"
          " proper boolean NOT NULL, command text NOT NULL, signature text NOT NULL,"
          " at timestamptz NOT NULL, PRIMARY KEY (request, actor))",
          NULL },
        { "command_nonce",
          "CREATE TABLE ringfence.command_nonce (nonce text PRIMARY KEY,"
          " expires timestamptz NOT NULL)",
          "CREATE INDEX command_nonce_expires ON ringfence.command_nonce (expires)" },
        { "suspension",
          "CREATE TABLE ringfence.suspension (actor text CHECK (octet_length(actor) BETWEEN 1 AND "
          "56),"
          " since timestamptz, reason text NOT NULL CHECK (reason ~ '^[a-z_]{1,32}$'),"
          " leaf text NOT NULL, lifted_at timestamptz, PRIMARY KEY (actor, since))",
          "CREATE UNIQUE INDEX suspension_live ON ringfence.suspension (actor)"
          " WHERE lifted_at IS NULL" },
        { "suspension_vote",
          "CREATE TABLE ringfence.suspension_vote (actor text, since timestamptz, voter text,"
          " command text NOT NULL, signature text NOT NULL, at timestamptz NOT NULL,"
          " leaf text NOT NULL, PRIMARY KEY (actor, since, voter), CHECK (voter <> actor),"
          " FOREIGN KEY (actor, since) REFERENCES ringfence.suspension)",
          NULL },
        { "refusal_day",
          "CREATE TABLE ringfence.refusal_day (actor text, day date, count integer NOT NULL,"
          " PRIMARY KEY (actor, day))",
          NULL },
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(tables) && rc == 0; i++) {
        bool is_there = catalog_has_own_table(k->catalog, tables[i].name);
        rc = compile_own_table(k, tables[i].name, tables[i].source);
        if (rc == 0 && !is_there && tables[i].index != NULL)
            rc = compile_plain(k, tables[i].index, "what is looked for in it");
    }
    return rc;
}

static int compile_steps(struct compiler *k)
{
    struct wanted_object o = { .name = SCHEMA_OWN ".request_step",
                               .kind = "VIEW",
                               .schema = SCHEMA_OWN,
                               .object = "request_step",
                               .owner = ROLE_NAME_OWNER,
                               .source = step_source };
    right_set_add(&k->rights, ROLE_NAME_ADMIN, "SELECT", "TABLE", SCHEMA_OWN, "request_step");
    return compile_object(k, &o);
}

/* Needs the macros of the list; the functions themselves are below. */
#define REQUEST_FUNCTION(name, arguments, who, source)
#include "enforce/tbl/request_function.def"
#undef REQUEST_FUNCTION

static int compile_add(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S IF (request_add.purpose = ANY ", REQUEST_ADD_HEAD);
    compile_add_purposes(&k->sql, k->policy);
    sql_add(&k->sql, ") IS NOT TRUE THEN RAISE EXCEPTION 'a request needs a purpose of the policy'"
                     " USING ERRCODE = '22023'; END IF; IF (SELECT bool_and(c.bit IS NOT NULL)"
                     " FROM unnest(request_add.classes) u(name) LEFT JOIN (VALUES ");
    compile_add_class_bits(&k->sql);
    sql_add(&k->sql,
            ") c(name, bit) USING (name)) IS NOT TRUE THEN RAISE EXCEPTION"
            " 'a request names classes of the policy' USING ERRCODE = '22023'; END IF;%S",
            REQUEST_ADD_TAIL);
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(
                         k, "request_add",
                         "text, text, text, text[], text[], bigint, boolean, boolean, text,"
                         " text, text, bigint",
                         ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR, source)
                   : rc;
}

static int compile_functions(struct compiler *k)
{
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
#define REQUEST_FUNCTION(name, arguments, who, source) { name, arguments, who, source },
#include "enforce/tbl/request_function.def"
#undef REQUEST_FUNCTION
    };
    int rc = compile_add(k);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    right_set_add_quoted(&k->rights, ROLE_NAME_CONTROL, "EXECUTE",
                         "FUNCTION ringfence.request_evidence(bigint[])");
    right_set_add_quoted(&k->rights, ROLE_NAME_CONTROL, "EXECUTE",
                         "FUNCTION ringfence.suspensions()");
    return rc;
}

/* Each of them used the nonce of its command, by arguments that they have no more. */
static int compile_former(struct compiler *k)
{
    static const char *const former[] = {
        "ringfence.request_add(text, text, text, text[], text[], bigint, boolean, boolean, text,"
        " text, text, timestamp with time zone, text)",
        "ringfence.approval_add(bigint, text, boolean, boolean, text, text, text,"
        " timestamp with time zone, text)",
        "ringfence.lift_add(text, text, text, text, text, timestamp with time zone, text)",
    };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(former) && rc == 0; i++)
        rc = compile_drop_former(k, former[i], "commands are used elsewhere");
    return rc;
}

int compile_requests(struct compiler *k)
{
    static const struct {
        const char *privilege, *table;
    } rights[] = {
        { "SELECT", "request" },         { "INSERT", "request" },
        { "UPDATE", "request" },         { "SELECT", "approval" },
        { "INSERT", "approval" },        { "UPDATE", "approval" },
        { "SELECT", "review" },          { "INSERT", "review" },
        { "SELECT", "command_nonce" },   { "INSERT", "command_nonce" },
        { "DELETE", "command_nonce" },   { "SELECT", "suspension" },
        { "INSERT", "suspension" },      { "UPDATE", "suspension" },
        { "SELECT", "suspension_vote" }, { "INSERT", "suspension_vote" },
        { "SELECT", "refusal_day" },     { "INSERT", "refusal_day" },
        { "UPDATE", "refusal_day" },     { "DELETE", "refusal_day" },
    };
    int rc = compile_former(k);
    if (rc == 0)
        rc = compile_tables(k);
    if (rc == 0)
        rc = compile_steps(k);
    if (rc == 0)
        rc = compile_find(k);
    if (rc == 0)
        rc = compile_functions(k);
    if (rc == 0)
        rc = compile_budgets(k);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i].privilege, "TABLE", SCHEMA_OWN,
                      rights[i].table);
    return rc;
}
