/* What is told to the company's own programs, and through them to the persons: one outbox in the
 * region's database, which all gateways of the region share (docs/decisions/0025).
 *
 *   ringfence.outbox(id, key, kind, request, body, at, due, gone)   due: not before; gone: dropped
 * then ringfence.outbox_hook(gateway, hook, kinds, seen)    who takes what
 *   ringfence.outbox_send(id, hook, tries, due, taken, error, since, aside, done)   due: the next
 * try ringfence.request_fact(request, entity, place, authority, people, is_told)
 *   ringfence.hold(request, until)   what the persons of that grant are to hear waits
 *   ringfence.hold_vote(request, until, voter, …)   who says so; two are needed
 *
 * Whatever changes the state of a request calls outbox_step() in that transaction, and what closes
 * a grant outbox_notices(): there is no end of a grant without its notices, whoever ends it. What
 * nobody takes lies there for 30 days. */
#include "enforce/compiler.h"

/* Its macros; the functions are made elsewhere. */
#define REQUEST_FUNCTION(name, arguments, who, source)
#include "enforce/tbl/request_function.def"
#undef REQUEST_FUNCTION

static int compile_tables(struct compiler *k)
{
    static const struct {
        const char *name, *source, *index;
    } tables[] = {
        { "request_fact",
          "CREATE TABLE ringfence.request_fact (request bigint PRIMARY KEY REFERENCES"
          " ringfence.request, entity text NOT NULL, place text NOT NULL, authority text,"
          " people text[] NOT NULL, is_told boolean NOT NULL)",
          NULL },
        { "hold",
          "CREATE TABLE ringfence.hold (request bigint PRIMARY KEY REFERENCES ringfence.request,"
          " until timestamptz NOT NULL)",
          NULL },
        { "hold_vote",
          "CREATE TABLE ringfence.hold_vote (request bigint REFERENCES ringfence.request,"
          " until timestamptz, voter text, command text NOT NULL, signature text NOT NULL,"
          " at timestamptz NOT NULL, leaf text NOT NULL, PRIMARY KEY (request, until, voter))",
          NULL },
        { "outbox",
          "CREATE TABLE ringfence.outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
          " key text NOT NULL UNIQUE, kind text NOT NULL CHECK (kind IN ('request', 'denied',"
          " 'opened', 'ended', 'broken_glass', 'suspended', 'notice')), request bigint,"
          " body json NOT NULL, at timestamptz NOT NULL, due timestamptz NOT NULL,"
          " gone timestamptz NOT NULL)",
          "CREATE INDEX outbox_gone ON ringfence.outbox (gone);"
          " CREATE INDEX outbox_notice ON ringfence.outbox (request) WHERE kind = 'notice'" },
        { "outbox_hook",
          "CREATE TABLE ringfence.outbox_hook (gateway text, hook text, kinds text[] NOT NULL,"
          " seen timestamptz NOT NULL, PRIMARY KEY (gateway, hook))",
          NULL },
        { "outbox_send",
          "CREATE TABLE ringfence.outbox_send (id bigint REFERENCES ringfence.outbox"
          " ON DELETE CASCADE, hook text, tries integer NOT NULL DEFAULT 0,"
          " due timestamptz NOT NULL, taken text, error text, since timestamptz,"
          " aside boolean NOT NULL DEFAULT false, done boolean NOT NULL DEFAULT false,"
          " PRIMARY KEY (id, hook))",
          "CREATE INDEX outbox_send_left ON ringfence.outbox_send (hook, id) WHERE NOT done" },
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

/* One more event, for every hook that takes its kind. The key stays the same however often it is
   tried, so that a receiver knows what it has had. */
static int compile_put(struct compiler *k)
{
    const char *source;
    sql_add(
        &k->sql,
        "CREATE FUNCTION ringfence.outbox_put(kind text, request bigint, data json,"
        " due timestamp with time zone) RETURNS void LANGUAGE plpgsql%S"
        "DECLARE made bigint; BEGIN"
        " INSERT INTO ringfence.outbox (key, kind, request, body, at, due, gone) VALUES ("
        "  'msg_' || replace(gen_random_uuid()::text, '-', ''), outbox_put.kind,"
        "  outbox_put.request, json_build_object('type', outbox_put.kind, 'timestamp',"
        "  to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        "  'region', %L, 'data', outbox_put.data), statement_timestamp(), outbox_put.due,"
        "  outbox_put.due + interval '30 days') RETURNING id INTO made;"
        /* due is when it is tried again; the row's own due, which a hold moves, keeps it back */
        " INSERT INTO ringfence.outbox_send (id, hook, due) SELECT DISTINCT made, h.hook,"
        "  statement_timestamp() FROM ringfence.outbox_hook h"
        "  WHERE outbox_put.kind = ANY (h.kinds);"
        " END $body$",
        FUNCTION_HEAD, k->region->name);
    int rc = compile_take_text(k, &source);
    return rc == 0
               ? compile_function(k, "outbox_put", "text, bigint, json, timestamp with time zone",
                                  ROLE_NAME_ADMIN, NULL, source)
               : rc;
}

int compile_outbox(struct compiler *k)
{
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
#define OUTBOX_FUNCTION(name, arguments, who, source) { name, arguments, who, source },
#include "enforce/tbl/outbox_function.def"
#undef OUTBOX_FUNCTION
    };
    static const struct {
        const char *table, *privileges[4];
    } rights[] = {
        { "request_fact", { "SELECT", "INSERT", "UPDATE" } },
        { "hold", { "SELECT", "INSERT", "UPDATE" } },
        { "hold_vote", { "SELECT", "INSERT", "UPDATE" } },
        { "outbox", { "SELECT", "INSERT", "UPDATE", "DELETE" } },
        { "outbox_hook", { "SELECT", "INSERT", "UPDATE", "DELETE" } },
        { "outbox_send", { "SELECT", "INSERT", "UPDATE", "DELETE" } },
    };
    int rc = compile_tables(k);
    if (rc == 0)
        rc = compile_put(k);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        for (size_t p = 0; p < RF_COUNT(rights[i].privileges); p++)
            if (rights[i].privileges[p] != NULL)
                right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i].privileges[p], "TABLE",
                              SCHEMA_OWN, rights[i].table);
    return rc;
}
