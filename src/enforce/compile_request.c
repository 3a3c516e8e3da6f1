/* The life of a request, in the region's database, which all gateways of the region share.
 *
 *   ringfence.request(id, actor, rule, …, state, leaf, grant_leaf, end_leaf)
 *   ringfence.approval(request, actor, approves, …, leaf)     a denial is one, too
 *   ringfence.request_step(state, event, next)                a view: what is not in it cannot
 * happen ringfence.review(request, actor, proper, …)               of what was done by breaking the
 * glass ringfence.command_nonce(nonce, expires)                   commands that were used
 *
 *     asked ──logged──▶ waiting ──complete──▶ approved ──open──▶ open ──expire──▶ expired
 *       │                 │  │                   │               ├────revoke──▶ revoked
 *       │                 │  │                   │               └────use_up──▶ used_up
 *       └── from these three: lapse ▶ lapsed, deny ▶ denied, withdraw ▶ withdrawn
 *
 * and for a broken glass asked ──break──▶ approved. What must be true:
 *
 *   state beyond asked, and not ended before it  ⇒  the request's leaf is known   (CHECK of the
 * table) state open, expired, revoked, used_up        ⇔  the grant's leaf is known     (CHECK of
 * the table) complete, open  ⇒  an approval on record, and nobody has denied; a denial counts at
 * once, an approval when it is on record state leaves open  ⇒  the grant is closed in the same
 * transaction a number is one request's or one administrator's grant, never both
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
 * Every argument is checked by (…) IS NOT TRUE, because a comparison with NULL is neither. Messages
 * name the number of a request and no person. SQLSTATE: 22023 an argument is not possible, 02000 no
 * such request or subject, 55000 the state does not allow it, 23505 done before: CONSTRAINT is
 * command_nonce_pkey for a command that was used, else approval_pkey or review_pkey. */
#include "enforce/compiler.h"

#define REFUSE(condition, message)                                                                \
    " IF (" condition ") IS NOT TRUE THEN RAISE EXCEPTION '" message "' USING ERRCODE = '22023';" \
    " END IF;"
/* The name of the function that checks stands before the argument's. */
#define CHECK_ACTOR(f) REFUSE("octet_length(" f ".actor) BETWEEN 1 AND 56", "an actor is needed")
#define CHECK_LEAF(f)  REFUSE("octet_length(" f ".leaf) BETWEEN 1 AND 300", "a leaf is needed")
#define CHECK_SIGNED(f)                                       \
    REFUSE("octet_length(" f ".command) BETWEEN 1 AND 16384", \
           "a signed text has 1 to 16384 bytes")              \
    REFUSE("octet_length(" f ".signature) BETWEEN 1 AND 8192", "a signature has 1 to 8192 bytes")
#define CHECK_GATEWAY(f) \
    REFUSE("octet_length(" f ".gateway) BETWEEN 1 AND 255", "a gateway is needed")
/* Plain text: the number is the caller's own. */
#define NO_SUCH(id) \
    " RAISE EXCEPTION 'there is no request %', " id " USING ERRCODE = '02000'; END IF;"
#define NOT_NOW(id, state)                                                         \
    " RAISE EXCEPTION 'request % is %, which does not allow this', " id ", " state \
    " USING ERRCODE = '55000'; END IF;"

static const char step_source[] =
    "CREATE VIEW ringfence.request_step (state, event, next) AS VALUES"
    " ('asked'::text, 'logged'::text, 'waiting'::text), ('asked', 'break', 'approved'),"
    " ('asked', 'deny', 'denied'), ('asked', 'withdraw', 'withdrawn'), ('asked', 'lapse', "
    "'lapsed'),"
    " ('waiting', 'complete', 'approved'), ('waiting', 'deny', 'denied'),"
    " ('waiting', 'withdraw', 'withdrawn'), ('waiting', 'lapse', 'lapsed'),"
    " ('approved', 'open', 'open'), ('approved', 'deny', 'denied'),"
    " ('approved', 'withdraw', 'withdrawn'), ('approved', 'lapse', 'lapsed'),"
    " ('open', 'expire', 'expired'), ('open', 'revoke', 'revoked'), ('open', 'use_up', 'used_up')";

static int compile_tables(struct compiler *k)
{
    static const struct {
        const char *name, *source, *index;
    } tables[] = {
        { "request",
          "CREATE TABLE ringfence.request (id bigint PRIMARY KEY CHECK (id > 0),"
          " actor text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 56), rule text NOT NULL,"
          " purpose text NOT NULL, classes text[] NOT NULL, subjects text[] NOT NULL,"
          " keys text[] NOT NULL CHECK (cardinality(keys) BETWEEN 1 AND 100),"
          " salts text[] NOT NULL CHECK (cardinality(salts) = cardinality(keys)), seconds bigint NOT "
          "NULL,"
          " is_break_glass boolean NOT NULL, from_home boolean NOT NULL, command text NOT NULL,"
          " signature text NOT NULL, gateway text NOT NULL, at timestamptz NOT NULL,"
          " state text NOT NULL, leaf text, grant_leaf text, end_leaf text,"
          " CHECK (state IN ('asked', 'waiting', 'approved', 'open', 'denied', 'withdrawn', "
          "'lapsed',"
          "  'expired', 'revoked', 'used_up')),"
          " CHECK (leaf IS NOT NULL OR state IN ('asked', 'denied', 'withdrawn', 'lapsed')),"
          " CHECK ((grant_leaf IS NOT NULL) = (state IN ('open', 'expired', 'revoked', "
          "'used_up'))))",
          "CREATE INDEX request_live ON ringfence.request (id)"
          " WHERE state IN ('asked', 'waiting', 'approved', 'open');"
          " CREATE INDEX request_of ON ringfence.request (actor, id)" },
        { "approval",
          "CREATE TABLE ringfence.approval (request bigint REFERENCES ringfence.request, actor "
          "text,"
          " approves boolean NOT NULL, from_home boolean NOT NULL, command text NOT NULL,"
          " signature text NOT NULL, gateway text NOT NULL, at timestamptz NOT NULL, leaf text,"
          " PRIMARY KEY (request, actor))",
          NULL },
        { "review",
          "CREATE TABLE ringfence.review (request bigint REFERENCES ringfence.request, actor text,"
          " proper boolean NOT NULL, command text NOT NULL, signature text NOT NULL,"
          " at timestamptz NOT NULL, PRIMARY KEY (request, actor))",
          NULL },
        { "command_nonce",
          "CREATE TABLE ringfence.command_nonce (nonce text PRIMARY KEY, expires timestamptz NOT "
          "NULL)",
          "CREATE INDEX command_nonce_expires ON ringfence.command_nonce (expires)" },
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

/* Kept for an hour after the command's end, so that a clock which steps back does not let it be
   used again; and no command may end later than an hour from now, or the table would grow. */
static const char use_source[] =
    "CREATE FUNCTION ringfence.command_use(nonce text, expires timestamp with time zone)"
    " RETURNS void LANGUAGE plpgsql" FUNCTION_HEAD
    "BEGIN" REFUSE("command_use.nonce ~ '^[0-9a-f]{32}$'", "a nonce is 32 hexadecimal digits")
        REFUSE(
            "command_use.expires > statement_timestamp() AND command_use.expires <="
            "  statement_timestamp() + interval '1 hour'",
            "a command ends within the next hour") " DELETE FROM ringfence.command_nonce n"
                                                   "  WHERE n.expires < statement_timestamp() - "
                                                   "interval '1 hour';"
                                                   " INSERT INTO ringfence.command_nonce AS n "
                                                   "VALUES (command_use.nonce, command_use.expires)"
                                                   "  ON CONFLICT DO NOTHING;"
                                                   " IF NOT FOUND THEN RAISE EXCEPTION 'this "
                                                   "command was used before'"
                                                   "  USING ERRCODE = '23505', CONSTRAINT = "
                                                   "'command_nonce_pkey'; END IF; END $body$";

/* The state that EVENT leads to; the row stays locked. For the functions below alone. */
static const char next_source[] =
    "CREATE FUNCTION ringfence.request_next(id bigint, event text) RETURNS text"
    " LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE was text; became text; BEGIN"
    " SELECT r.state INTO was FROM ringfence.request r WHERE r.id = request_next.id FOR UPDATE;"
    " IF NOT FOUND THEN" NO_SUCH(
        "request_next.id") " SELECT s.next INTO became FROM ringfence.request_step s WHERE s.state "
                           "= was"
                           "  AND s.event = request_next.event;"
                           " IF became IS NULL THEN" NOT_NOW("request_next.id",
                                                             "was") " RETURN became; END $body$";

/* Somebody has said yes and nobody no. Called with the request's row locked, which is also locked
   when a vote is added. */
static const char agreed_source[] =
    "CREATE FUNCTION ringfence.request_is_agreed(id bigint) RETURNS boolean"
    " LANGUAGE sql VOLATILE" FUNCTION_HEAD
    "SELECT EXISTS (SELECT FROM ringfence.approval a WHERE a.request = $1 AND a.approves"
    "  AND a.leaf IS NOT NULL)"
    " AND NOT EXISTS (SELECT FROM ringfence.approval a WHERE a.request = $1 AND NOT a.approves)"
    " $body$";

static const char move_source[] =
    "CREATE FUNCTION ringfence.request_move(id bigint, event text, leaf text) RETURNS text"
    " LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE became text; BEGIN" REFUSE(
        "request_move.event <> 'open'",
        "request_open() opens a request") " became := ringfence.request_next(request_move.id, "
                                          "request_move.event);"
                                          " IF request_move.event IN ('logged', 'break') "
                                          "THEN" CHECK_LEAF(
                                              "request_move") " END IF;"
                                                              " IF request_move.event = 'break' "
                                                              "AND NOT EXISTS (SELECT FROM "
                                                              "ringfence.request r"
                                                              "   WHERE r.id = request_move.id AND "
                                                              "r.is_break_glass)"
                                                              "  OR request_move.event = "
                                                              "'complete' AND NOT "
                                                              "ringfence.request_is_agreed(request_"
                                                              "move.id)"
                                                              "  OR request_move.event = 'expire' "
                                                              "AND EXISTS (SELECT FROM "
                                                              "ringfence.\"grant\" g"
                                                              "   WHERE g.id = request_move.id AND "
                                                              "g.closed IS NULL AND g.ends > "
                                                              "statement_timestamp())"
                                                              " THEN RAISE EXCEPTION 'request % "
                                                              "does not allow this yet', "
                                                              "request_move.id"
                                                              "  USING ERRCODE = '55000'; END IF;"
                                                              " IF request_move.event IN "
                                                              "('expire', 'revoke', 'use_up') THEN"
                                                              "  PERFORM "
                                                              "ringfence.grant_close(request_move."
                                                              "id); END IF;"
                                                              " UPDATE ringfence.request r SET "
                                                              "state = became, leaf = CASE WHEN "
                                                              "request_move.event IN"
                                                              "   ('logged', 'break') THEN "
                                                              "request_move.leaf ELSE r.leaf END, "
                                                              "end_leaf = CASE WHEN"
                                                              "   became NOT IN ('waiting', "
                                                              "'approved') THEN request_move.leaf "
                                                              "END"
                                                              "  WHERE r.id = request_move.id;"
                                                              " RETURN became; END $body$";

/* clang-format off: one line of SQL is one line of C */
static const char add_vote_source[] =
    "CREATE FUNCTION ringfence.approval_add(request bigint, actor text, approves boolean,"
    " from_home boolean, command text, signature text, nonce text,"
    " expires timestamp with time zone, gateway text) RETURNS timestamp with time zone"
    " LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE it record; at timestamptz; BEGIN"
    CHECK_ACTOR("approval_add")
    REFUSE("approval_add.approves IS NOT NULL AND approval_add.from_home IS NOT NULL",
           "it is said whether he approves, and from home")
    CHECK_SIGNED("approval_add")
    CHECK_GATEWAY("approval_add")
    " SELECT r.state, r.actor INTO it FROM ringfence.request r WHERE r.id = approval_add.request"
    "  FOR UPDATE;"
    " IF NOT FOUND THEN" NO_SUCH("approval_add.request")
    " IF it.state <> 'waiting' THEN" NOT_NOW("approval_add.request", "it.state")
    REFUSE("it.actor <> approval_add.actor", "nobody approves or denies his own request")
    " PERFORM ringfence.command_use(approval_add.nonce, approval_add.expires);"
    " at := clock_timestamp();" /* after whoever held the row */
    /* one that never came on record may be said again */
    " INSERT INTO ringfence.approval AS a VALUES (approval_add.request, approval_add.actor,"
    "  approval_add.approves, approval_add.from_home, approval_add.command,"
    "  approval_add.signature, approval_add.gateway, at, NULL)"
    "  ON CONFLICT ON CONSTRAINT approval_pkey DO UPDATE SET approves = excluded.approves,"
    "   from_home = excluded.from_home, command = excluded.command,"
    "   signature = excluded.signature, gateway = excluded.gateway, at = excluded.at"
    "   WHERE a.leaf IS NULL AND a.approves;"
    " IF NOT FOUND THEN RAISE EXCEPTION 'nobody approves or denies twice'"
    "  USING ERRCODE = '23505', CONSTRAINT = 'approval_pkey'; END IF;"
    " RETURN at; END $body$";
/* clang-format on */

static const char vote_logged_source[] =
    "CREATE FUNCTION ringfence.approval_logged(request bigint, actor text, leaf text)"
    " RETURNS void LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE was text; BEGIN" CHECK_LEAF(
        "approval_logged") " SELECT a.leaf INTO was FROM ringfence.approval a WHERE a.request = "
                           "approval_logged.request"
                           "  AND a.actor = approval_logged.actor FOR UPDATE;"
                           " IF NOT FOUND THEN RAISE EXCEPTION 'request % has no such approval', "
                           "approval_logged.request"
                           "  USING ERRCODE = '02000'; END IF;"
                           " IF was <> approval_logged.leaf THEN RAISE EXCEPTION 'this approval of "
                           "request % is on record"
                           " elsewhere', approval_logged.request USING ERRCODE = '55000'; END IF;"
                           " UPDATE ringfence.approval a SET leaf = approval_logged.leaf"
                           "  WHERE a.request = approval_logged.request AND a.actor = "
                           "approval_logged.actor; END $body$";

/* UTC, because a day of another time zone may have 23 hours, and 31 of them are the longest grant.
 */
static const char open_source[] =
    "CREATE FUNCTION ringfence.request_open(id bigint, leaf text)"
    " RETURNS timestamp with time zone LANGUAGE plpgsql SET timezone = 'UTC'" FUNCTION_HEAD
    "DECLARE it record; ends timestamptz; became text; BEGIN" CHECK_LEAF(
        "request_open") " became := ringfence.request_next(request_open.id, 'open');"
                        " SELECT r.* INTO it FROM ringfence.request r WHERE r.id = request_open.id;"
                        " IF NOT it.is_break_glass AND NOT "
                        "ringfence.request_is_agreed(request_open.id) THEN"
                        "  RAISE EXCEPTION 'request % is not agreed to', request_open.id USING "
                        "ERRCODE = '55000';"
                        " END IF;"
                        " ends := statement_timestamp() + it.seconds * interval '1 second';"
                        " UPDATE ringfence.request r SET state = became, grant_leaf = "
                        "request_open.leaf"
                        "  WHERE r.id = request_open.id;"
                        " PERFORM ringfence.grant_open(request_open.id, it.actor, it.purpose, "
                        "ends, it.keys,"
                        "  it.classes);"
                        " RETURN ends; END $body$";

static const char revoke_source[] =
    "CREATE FUNCTION ringfence.request_revoke(id bigint) RETURNS boolean"
    " LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE became text; was_open boolean; BEGIN"
    " became := ringfence.request_next(request_revoke.id, 'revoke');"
    " was_open := ringfence.grant_close(request_revoke.id);"
    " UPDATE ringfence.request r SET state = became WHERE r.id = request_revoke.id;"
    " RETURN was_open; END $body$";

/* What waited too long lapses, and what is open although its grant was closed (by its end, by an
   administrator) gets the state that is true. */
static const char sweep_source[] =
    "CREATE FUNCTION ringfence.request_sweep(request_age interval, asked_age interval)"
    " RETURNS integer LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE it record; became text;"
    " done integer := 0; BEGIN" REFUSE(
        "request_sweep.request_age > '0' AND request_sweep.asked_age > '0'",
        "ages are above zero") " FOR it IN SELECT r.id, CASE WHEN r.state <> 'open' THEN 'lapse' "
                               "WHEN g.closed < g.ends"
                               "   THEN 'revoke' ELSE 'expire' END AS event FROM ringfence.request "
                               "r"
                               "  LEFT JOIN ringfence.\"grant\" g ON g.id = r.id"
                               "  WHERE r.state IN ('asked', 'waiting', 'approved', 'open') AND "
                               "CASE r.state"
                               "   WHEN 'asked' THEN r.at < statement_timestamp() - "
                               "request_sweep.asked_age"
                               "   WHEN 'open' THEN g.closed IS NOT NULL"
                               "   ELSE r.at < statement_timestamp() - request_sweep.request_age "
                               "END"
                               "  ORDER BY r.id LIMIT 100 FOR UPDATE OF r SKIP LOCKED LOOP"
                               "  became := ringfence.request_next(it.id, it.event);"
                               "  UPDATE ringfence.request r SET state = became WHERE r.id = it.id;"
                               "  done := done + 1; END LOOP;"
                               " RETURN done; END $body$";

/* One row a text that somebody signed. What the grant in the database really is stands beside the
   request: it is compared with the texts by whoever asks, and where somebody has changed it by
   hand, this shows it. */
static const char evidence_source[] =
    "CREATE FUNCTION ringfence.request_evidence(ids bigint[]) RETURNS TABLE(request bigint,"
    " state text, kind text, actor text, from_home boolean, at timestamp with time zone,"
    " command text, signature text, leaf text, rule text, is_break_glass boolean, keys text[],"
    " salts text[], minors integer, grant_leaf text, grant_actor text, grant_purpose text, grant_classes integer,"
    " grant_subjects text[], grant_opened timestamp with time zone,"
    " grant_ends timestamp with time zone) LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT r.id, r.state, 'request', r.actor, r.from_home, r.at, r.command, r.signature, r.leaf,"
    " r.rule, r.is_break_glass, r.keys, r.salts, f.minors, r.grant_leaf, g.actor, g.purpose, g.classes,"
    " CASE WHEN g.id IS NOT NULL THEN ARRAY(SELECT s.subject FROM ringfence.grant_subject s"
    "  WHERE s.role = g.role ORDER BY 1) END, g.opened, g.ends"
    " FROM ringfence.request r LEFT JOIN ringfence.\"grant\" g ON g.id = r.id,"
    " LATERAL ringfence.request_facts(r.actor, r.keys) f WHERE r.id = ANY ($1)"
    " UNION ALL SELECT r.id, r.state, CASE WHEN a.approves THEN 'approve' ELSE 'deny' END, a.actor,"
    " a.from_home, a.at, a.command, a.signature, a.leaf, r.rule, r.is_break_glass, NULL, NULL,"
    " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    " FROM ringfence.approval a JOIN ringfence.request r ON r.id = a.request"
    " WHERE r.id = ANY ($1) ORDER BY 1, 12 NULLS LAST, 6, 4 $body$";

static const char list_source[] =
    "CREATE FUNCTION ringfence.request_list(actor text, is_approver boolean, only_id bigint)"
    " RETURNS TABLE(request bigint, state text, requester text, rule text, purpose text,"
    " classes text[], subject_count integer, seconds bigint, is_break_glass boolean,"
    " at timestamp with time zone, ends timestamp with time zone, approvals integer,"
    " denials integer, has_voted boolean, command text, signature text)"
    " LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT r.id, r.state, r.actor, r.rule, r.purpose, r.classes, cardinality(r.subjects),"
    " r.seconds, r.is_break_glass, r.at, g.ends, v.yes, v.no, coalesce(v.his, false), r.command,"
    " r.signature FROM ringfence.request r LEFT JOIN ringfence.\"grant\" g ON g.id = r.id,"
    " LATERAL (SELECT count(*) FILTER (WHERE a.approves AND a.leaf IS NOT NULL)::integer AS yes,"
    "  count(*) FILTER (WHERE NOT a.approves)::integer AS no, bool_or(a.actor = $1) AS his"
    "  FROM ringfence.approval a WHERE a.request = r.id) v"
    " WHERE (r.actor = $1 OR $2 AND (r.state IN ('waiting', 'approved', 'open') OR v.his))"
    " AND ($3 IS NULL OR r.id = $3) ORDER BY r.id DESC LIMIT 1000 $body$";

static const char add_review_source[] =
    "CREATE FUNCTION ringfence.review_add(request bigint, actor text, proper boolean, command text,"
    " signature text, nonce text, expires timestamp with time zone)"
    " RETURNS timestamp with time zone LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE it record; BEGIN" CHECK_ACTOR("review_add")
        REFUSE("review_add.proper IS NOT NULL", "it is said whether it was proper") CHECK_SIGNED(
            "review_add") " SELECT r.state, r.actor, r.is_break_glass INTO it FROM "
                          "ringfence.request r"
                          "  WHERE r.id = review_add.request FOR UPDATE;"
                          " IF NOT FOUND THEN" NO_SUCH(
                              "review_add.request") " IF NOT it.is_break_glass OR it.state NOT "
                                                    "IN ('open', 'expired', 'revoked', "
                                                    "'used_up') THEN" NOT_NOW("review_add."
                                                                              "request",
                                                                              "it.state")
                                                        REFUSE("it.actor <> review_add.actor",
                                                               "nobody reviews what he did "
                                                               "himself") " PERFORM "
                                                                          "ringfence.command_use("
                                                                          "review_add.nonce, "
                                                                          "review_add.expires);"
                                                                          " INSERT INTO "
                                                                          "ringfence.review "
                                                                          "VALUES "
                                                                          "(review_add.request, "
                                                                          "review_add.actor,"
                                                                          "  review_add.proper, "
                                                                          "review_add.command, "
                                                                          "review_add.signature, "
                                                                          "statement_timestamp())"
                                                                          "  ON CONFLICT DO "
                                                                          "NOTHING;"
                                                                          " IF NOT FOUND THEN "
                                                                          "RAISE EXCEPTION "
                                                                          "'nobody reviews twice'"
                                                                          "  USING ERRCODE = "
                                                                          "'23505', CONSTRAINT = "
                                                                          "'review_pkey'; END IF;"
                                                                          " RETURN "
                                                                          "statement_timestamp(); "
                                                                          "END $body$";

/* How many times this person (NULL: anybody) broke the glass longer ago, and nobody has said
   whether that was proper. */
static const char due_source[] =
    "CREATE FUNCTION ringfence.reviews_due(actor text, age interval) RETURNS integer"
    " LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT count(*)::integer FROM ringfence.request r JOIN ringfence.\"grant\" g ON g.id = r.id"
    " WHERE r.is_break_glass AND ($1 IS NULL OR r.actor = $1) AND ($2 IS NULL OR g.opened <"
    "  statement_timestamp() - $2) AND NOT EXISTS (SELECT FROM ringfence.review v"
    "  WHERE v.request = r.id) $body$";

/* In two parts, each as long as a literal may be. */
static const char add_head[] =
    "CREATE FUNCTION ringfence.request_add(actor text, rule text, purpose text, classes text[],"
    " subjects text[], seconds bigint, is_break_glass boolean, from_home boolean, command text,"
    " signature text, nonce text, expires timestamp with time zone, gateway text, OUT id bigint,"
    " OUT at timestamp with time zone) LANGUAGE plpgsql" FUNCTION_HEAD
    "DECLARE it record; BEGIN" REFUSE(
        "octet_length(request_add.actor) BETWEEN 1 AND 56 AND EXISTS (SELECT FROM pg_roles r"
        "  WHERE r.rolname = request_add.actor || '.masked' AND pg_has_role(r.oid,"
        "  'rf_person', 'USAGE'))",
        "a request needs an actor: a person whom the policy lets see rows of this region")
        REFUSE("octet_length(request_add.rule) BETWEEN 1 AND 64",
               "a request needs a rule") REFUSE("request_add.seconds BETWEEN 60 AND 2678400",
                                                "a request is for 60 to 2678400 seconds")
            REFUSE("request_add.is_break_glass IS NOT NULL AND request_add.from_home IS NOT NULL",
                   "it is said whether glass is broken, and from home") CHECK_SIGNED("request_add")
                CHECK_GATEWAY("request_add");

static const char add_tail[] =
    " PERFORM ringfence.command_use(request_add.nonce, request_add.expires);"
    " SELECT f.keys, f.salts, f.missing INTO it FROM ringfence.request_facts(request_add.actor,"
    "  request_add.subjects) f;"
    " IF it.missing > 0 THEN RAISE EXCEPTION 'a subject of the request does not exist'"
    "  USING ERRCODE = '02000'; END IF;"
    " PERFORM FROM ringfence.grant_counter FOR UPDATE;"
    " SELECT coalesce(max(r.id), 0) + 1 INTO request_add.id FROM ringfence.request r;"
    " WHILE EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.id = request_add.id) LOOP"
    "  request_add.id := request_add.id + 1; END LOOP;"
    " at := statement_timestamp();"
    " INSERT INTO ringfence.request VALUES (request_add.id, request_add.actor, request_add.rule,"
    "  request_add.purpose, request_add.classes, request_add.subjects, it.keys, it.salts,"
    "  request_add.seconds, request_add.is_break_glass, request_add.from_home,"
    "  request_add.command, request_add.signature, request_add.gateway, at, 'asked', NULL, NULL,"
    "  NULL); END $body$";

static int compile_add(struct compiler *k)
{
    const char *source;
    sql_add(&k->sql, "%S IF (request_add.purpose = ANY ", add_head);
    compile_add_purposes(&k->sql, k->policy);
    sql_add(&k->sql, ") IS NOT TRUE THEN RAISE EXCEPTION 'a request needs a purpose of the policy'"
                     " USING ERRCODE = '22023'; END IF; IF (SELECT bool_and(c.bit IS NOT NULL)"
                     " FROM unnest(request_add.classes) u(name) LEFT JOIN (VALUES ");
    compile_add_class_bits(&k->sql);
    sql_add(&k->sql,
            ") c(name, bit) USING (name)) IS NOT TRUE THEN RAISE EXCEPTION"
            " 'a request names classes of the policy' USING ERRCODE = '22023'; END IF;%S",
            add_tail);
    int rc = compile_take_text(k, &source);
    return rc == 0 ? compile_function(
                         k, "request_add",
                         "text, text, text, text[], text[], bigint, boolean, boolean, text,"
                         " text, text, timestamp with time zone, text",
                         ROLE_NAME_ADMIN, ROLE_NAME_REGISTRAR, source)
                   : rc;
}

static int compile_functions(struct compiler *k)
{
    static const char registrar[] = ROLE_NAME_REGISTRAR;
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
        { "command_use", "text, timestamp with time zone", registrar, use_source },
        { "request_next", "bigint, text", NULL, next_source },
        { "request_is_agreed", "bigint", NULL, agreed_source },
        { "request_move", "bigint, text, text", registrar, move_source },
        { "approval_add",
          "bigint, text, boolean, boolean, text, text, text, timestamp with time zone, text",
          registrar, add_vote_source },
        { "approval_logged", "bigint, text, text", registrar, vote_logged_source },
        { "request_open", "bigint, text", registrar, open_source },
        { "request_revoke", "bigint", registrar, revoke_source },
        { "request_sweep", "interval, interval", registrar, sweep_source },
        { "request_evidence", "bigint[]", registrar, evidence_source },
        { "request_list", "text, boolean, bigint", registrar, list_source },
        { "review_add", "bigint, text, boolean, text, text, text, timestamp with time zone",
          registrar, add_review_source },
        { "reviews_due", "text, interval", registrar, due_source },
    };
    int rc = compile_add(k);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    right_set_add_quoted(&k->rights, ROLE_NAME_CONTROL, "EXECUTE",
                         "FUNCTION ringfence.request_evidence(bigint[])");
    return rc;
}

int compile_requests(struct compiler *k)
{
    static const struct {
        const char *privilege, *table;
    } rights[] = {
        { "SELECT", "request" },       { "INSERT", "request" },       { "UPDATE", "request" },
        { "SELECT", "approval" },      { "INSERT", "approval" },      { "UPDATE", "approval" },
        { "SELECT", "review" },        { "INSERT", "review" },        { "SELECT", "command_nonce" },
        { "INSERT", "command_nonce" }, { "DELETE", "command_nonce" },
    };
    int rc = compile_tables(k);
    if (rc == 0)
        rc = compile_steps(k);
    if (rc == 0)
        rc = compile_find(k);
    if (rc == 0)
        rc = compile_functions(k);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i].privilege, "TABLE", SCHEMA_OWN,
                      rights[i].table);
    return rc;
}
