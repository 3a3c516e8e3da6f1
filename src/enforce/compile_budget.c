/* What the grants of a region have used of their budgets.
 *
 *   ringfence.grant_budget(grant_id, rows_taken, bytes_taken)   no row: nothing was taken
 *
 * How large a budget is says the policy, whose word each gateway's control brings along: a row that
 * somebody edits here makes no budget larger than that. What is taken is leased to a gateway, which
 * gives back what it does not use; a gateway that dies takes with it what it had.
 *
 * Whoever takes has locked the row: of two gateways that want the last rows one gets them. Several
 * rows are locked in the order of their numbers. Rows are locked in this order: request,
 * grant_counter, grant, grant_budget. */
#include "enforce/compiler.h"

/* A sixteenth of what is left goes along, so that many small answers do not ask each time, and
   less and less of it stands about with somebody when the budget comes to its end. All or nothing:
   what is not enough for this one may do for another. NULL: there is no such limit. A grant that is
   closed takes nothing. */
static const char take_source[] =
    "CREATE FUNCTION ringfence.grant_budget_take(id bigint, row_limit bigint, byte_limit bigint,"
    " row_need bigint, byte_need bigint) RETURNS TABLE(rows bigint, bytes bigint,"
    " rows_left bigint, bytes_left bigint) LANGUAGE plpgsql" FUNCTION_HEAD
    "#variable_conflict use_variable\n"
    "DECLARE it record; BEGIN"
    " IF (row_need >= 0 AND byte_need >= 0 AND coalesce(row_limit >= 0, true)"
    "   AND coalesce(byte_limit >= 0, true)) IS NOT TRUE THEN RAISE EXCEPTION"
    "  'a part of a budget is not below zero' USING ERRCODE = '22023'; END IF;"
    " IF NOT EXISTS (SELECT FROM ringfence.\"grant\" g WHERE g.id = grant_budget_take.id"
    "  AND g.closed IS NULL AND g.ends > statement_timestamp()) THEN RETURN; END IF;"
    " INSERT INTO ringfence.grant_budget AS b (grant_id) VALUES (grant_budget_take.id)"
    "  ON CONFLICT DO NOTHING;"
    " SELECT b.rows_taken, b.bytes_taken INTO it FROM ringfence.grant_budget b"
    "  WHERE b.grant_id = grant_budget_take.id FOR UPDATE;"
    /* greatest() passes NULL by */
    " rows_left := CASE WHEN row_limit > it.rows_taken THEN row_limit - it.rows_taken"
    "  WHEN row_limit IS NOT NULL THEN 0 END;"
    " bytes_left := CASE WHEN byte_limit > it.bytes_taken THEN byte_limit - it.bytes_taken"
    "  WHEN byte_limit IS NOT NULL THEN 0 END;"
    " rows := 0; bytes := 0;"
    " IF coalesce(rows_left >= row_need, true) AND coalesce(bytes_left >= byte_need, true) THEN"
    "  IF row_need > 0 THEN rows := row_need + coalesce((rows_left - row_need) / 16, 0); END IF;"
    "  IF byte_need > 0 THEN bytes := byte_need + coalesce((bytes_left - byte_need) / 16, 0);"
    "   END IF;"
    "  UPDATE ringfence.grant_budget b SET rows_taken = b.rows_taken + rows,"
    "   bytes_taken = b.bytes_taken + bytes WHERE b.grant_id = grant_budget_take.id;"
    "  rows_left := rows_left - rows; bytes_left := bytes_left - bytes;"
    " END IF;"
    " RETURN NEXT; END $body$";

static const char return_source[] =
    "CREATE FUNCTION ringfence.grant_budget_return(id bigint, rows bigint, bytes bigint)"
    " RETURNS void LANGUAGE plpgsql" FUNCTION_HEAD "BEGIN"
    " IF (grant_budget_return.rows >= 0 AND grant_budget_return.bytes >= 0) IS NOT TRUE THEN"
    "  RAISE EXCEPTION 'a part of a budget is not below zero' USING ERRCODE = '22023'; END IF;"
    " UPDATE ringfence.grant_budget b"
    "  SET rows_taken = greatest(b.rows_taken - grant_budget_return.rows, 0),"
    "  bytes_taken = greatest(b.bytes_taken - grant_budget_return.bytes, 0)"
    "  WHERE b.grant_id = grant_budget_return.id; END $body$";

/* The request is locked before the grant, as everywhere. It has the state at once, where it can;
   otherwise request_sweep() gives it that. */
static const char use_up_source[] =
    "CREATE FUNCTION ringfence.grant_use_up(id bigint) RETURNS boolean"
    " LANGUAGE plpgsql" FUNCTION_HEAD "DECLARE was text; became text; BEGIN"
    " SELECT r.state INTO was FROM ringfence.request r WHERE r.id = grant_use_up.id FOR UPDATE;"
    " IF NOT ringfence.grant_close(grant_use_up.id) THEN RETURN false; END IF;"
    " UPDATE ringfence.\"grant\" g SET used_up = true WHERE g.id = grant_use_up.id;"
    " IF was = 'open' THEN"
    "  became := ringfence.request_next(grant_use_up.id, 'use_up');"
    "  UPDATE ringfence.request r SET state = became WHERE r.id = grant_use_up.id;"
    "  PERFORM ringfence.outbox_step(grant_use_up.id); END IF;"
    " RETURN true; END $body$";

static const char read_source[] =
    "CREATE FUNCTION ringfence.grant_budget_read(ids bigint[]) RETURNS TABLE(id bigint,"
    " rows_taken bigint, bytes_taken bigint) LANGUAGE sql STABLE" FUNCTION_HEAD
    "SELECT b.grant_id, b.rows_taken, b.bytes_taken FROM ringfence.grant_budget b"
    " WHERE b.grant_id = ANY ($1) ORDER BY 1 $body$";

int compile_budgets(struct compiler *k)
{
    static const char table[] = "CREATE TABLE ringfence.grant_budget (grant_id bigint PRIMARY KEY,"
                                " rows_taken bigint NOT NULL DEFAULT 0 CHECK (rows_taken >= 0),"
                                " bytes_taken bigint NOT NULL DEFAULT 0 CHECK (bytes_taken >= 0))";
    static const struct {
        const char *name, *arguments, *who, *source;
    } functions[] = {
        { "grant_budget_take", "bigint, bigint, bigint, bigint, bigint", ROLE_NAME_CONTROL,
          take_source },
        { "grant_budget_return", "bigint, bigint, bigint", ROLE_NAME_CONTROL, return_source },
        { "grant_use_up", "bigint", ROLE_NAME_CONTROL, use_up_source },
        { "grant_budget_read", "bigint[]", ROLE_NAME_REGISTRAR, read_source },
    };
    static const char *const rights[] = { "SELECT", "INSERT", "UPDATE" };
    int rc = compile_own_table(k, "grant_budget", table);
    for (size_t i = 0; i < RF_COUNT(functions) && rc == 0; i++)
        rc = compile_function(k, functions[i].name, functions[i].arguments, ROLE_NAME_ADMIN,
                              functions[i].who, functions[i].source);
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, ROLE_NAME_ADMIN, rights[i], "TABLE", SCHEMA_OWN, "grant_budget");
    return rc;
}
