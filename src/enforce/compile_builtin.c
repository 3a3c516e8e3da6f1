/* Functions of pg_catalog, and the groups that stand for "everybody but persons".
 *
 *   rf_everybody ── part of ──▶ rf_function ◀── part of ── rf_service, rf_control, rf_owner, …
 *
 * Every role of the cluster that is nobody's in the policy is put into rf_everybody, so that the
 * owner of the tables, monitoring and replication go on as before. A role made later is not in it:
 * `ringfence plan` says so, `ringfence apply` sets it right; until then it can call nothing. */
#include "enforce/compiler.h"

static int compile_change(struct compiler *k, const struct builtin_change *c)
{
    sql_add(&k->sql, "%S EXECUTE ON ROUTINE %S %S ", c->is_grant ? "GRANT" : "REVOKE", c->routines,
            c->is_grant ? "TO" : "FROM");
    if (c->grantee != NULL)
        sql_add(&k->sql, "%I%S", c->grantee, c->is_grant ? "" : " CASCADE");
    else
        sql_add(&k->sql, "PUBLIC");
    /* too little shows nobody anything */
    return script_add(k->script, c->is_grant ? STEP_ROLE : STEP_GUARD, &k->sql, k->err,
                      "right of %s to call %zu functions of PostgreSQL, as %s: %s",
                      c->grantee != NULL ? c->grantee : "PUBLIC", c->count, c->example,
                      c->is_grant ? "missing" : "too much");
}

int compile_builtins(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->builtin_count && rc == 0; i++)
        rc = compile_change(k, &k->catalog->builtins[i]);
    return rc;
}

int compile_everybody(struct compiler *k)
{
    const struct catalog *c = k->catalog;
    if (c->other_role_count == 0)
        return 0;
    sql_add(&k->sql, "GRANT %I TO ", ROLE_NAME_EVERYBODY);
    for (size_t i = 0; i < c->other_role_count; i++)
        sql_add(&k->sql, "%S%I", i == 0 ? "" : ", ", c->other_roles[i]);
    return script_add(k->script, STEP_ROLE, &k->sql, k->err,
                      "%zu roles outside the policy in group \"%s\", as \"%s\"",
                      c->other_role_count, ROLE_NAME_EVERYBODY, c->other_roles[0]);
}
