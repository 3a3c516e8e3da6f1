#include "guard/rule.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <pg_query/pg_query.pb-c.h>

#include "guard/source.h"

enum { CURSOR_WITH_HOLD = 0x20 }; /* CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h */

static const struct rule_row rows[] = {
#define STATEMENT(node, rule, refusal, words) { #node, RULE_KIND_##rule, GUARD_##refusal, words },
#include "guard/tbl/statement.def"
#undef STATEMENT
};

const struct rule_row *rule_find(const char *node)
{
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        if (strcmp(rows[i].node, node) == 0)
            return &rows[i];
    }
    return NULL;
}

/* The option of that name in a list of DefElem, or NULL. */
static const PgQuery__DefElem *option_find(PgQuery__Node *const *list, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM &&
            strcmp(list[i]->def_elem->defname, name) == 0)
            return list[i]->def_elem;
    }
    return NULL;
}

/* The text of a string constant, or NULL. */
static const char *string_of(const PgQuery__Node *node)
{
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return NULL;
    return node->a_const->sval->sval;
}

static void on_copy(struct walk *w, const PgQuery__CopyStmt *copy)
{
    if (copy->is_from)
        walk_refuse(w, GUARD_COPY_IN, "COPY");
    else if (copy->is_program || copy->filename[0] != '\0')
        walk_refuse(w, GUARD_COPY_FILE, "COPY");
}

static void on_declare(struct walk *w, const PgQuery__DeclareCursorStmt *declare)
{
    if ((declare->options & CURSOR_WITH_HOLD) != 0)
        walk_refuse(w, GUARD_CURSOR_HOLD, "DECLARE CURSOR");
}

static void on_explain(struct walk *w, const PgQuery__ExplainStmt *explain)
{
    if (option_find(explain->options, explain->n_options, "analyze") != NULL)
        walk_refuse(w, GUARD_EXPLAIN_ANALYZE, "EXPLAIN");
}

/* Modes of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS: any isolation level, READ ONLY,
   DEFERRABLE. READ ONLY is the integer constant 1. */
static void transaction_modes(struct walk *w, PgQuery__Node *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *mode =
            list[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? list[i]->def_elem : NULL;
        if (mode == NULL) {
            walk_refuse(w, GUARD_STATEMENT, "this transaction mode");
        } else if (strcmp(mode->defname, "transaction_read_only") == 0) {
            const PgQuery__Node *arg = mode->arg;
            if (arg == NULL || arg->node_case != PG_QUERY__NODE__NODE_A_CONST ||
                arg->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL ||
                arg->a_const->ival->ival != 1)
                walk_refuse(w, GUARD_READ_WRITE, "READ WRITE");
        } else if (strcmp(mode->defname, "transaction_isolation") != 0 &&
                   strcmp(mode->defname, "transaction_deferrable") != 0) {
            walk_refuse(w, GUARD_STATEMENT, mode->defname);
        }
    }
}

static void on_transaction(struct walk *w, const PgQuery__TransactionStmt *transaction)
{
    switch (transaction->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
        transaction_modes(w, transaction->options, transaction->n_options);
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
        walk_refuse(w, GUARD_TWO_PHASE, "PREPARE TRANSACTION");
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
        walk_refuse(w, GUARD_TWO_PHASE, "COMMIT PREPARED");
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
        walk_refuse(w, GUARD_TWO_PHASE, "ROLLBACK PREPARED");
        break;
    default:
        walk_refuse(w, GUARD_STATEMENT, "this transaction command");
    }
}

/* SET ringfence.grant is the gateway's own and reaches no server: refused here with the value as
   its subject ("" to leave the grant), for the gate to take up where it stands alone. */
static void on_set_grant(struct walk *w, const PgQuery__VariableSetStmt *set)
{
    const char *value = set->n_args == 1 ? string_of(set->args[0]) : NULL;
    char digits[16];
    if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
        set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT) {
        walk_refuse(w, GUARD_GRANT, "");
        return;
    }
    const PgQuery__Node *arg = set->n_args == 1 ? set->args[0] : NULL;
    if (arg != NULL && arg->node_case == PG_QUERY__NODE__NODE_A_CONST) {
        if (arg->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL) {
            (void)snprintf(digits, sizeof(digits), "%d", arg->a_const->ival->ival);
            value = digits;
        } else if (arg->a_const->val_case == PG_QUERY__A__CONST__VAL_FVAL) {
            value = arg->a_const->fval->fval; /* an integer past 31 bits is one of these */
        }
    }
    bool whole = !set->is_local && set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE;
    /* "?" is no number; an empty value must not read as RESET */
    walk_refuse(w, GUARD_GRANT, whole && value != NULL && value[0] != '\0' ? value : "?");
}

static void on_set_value(struct walk *w, const PgQuery__VariableSetStmt *set)
{
    if (!guard_parameter_allowed(set->name)) {
        walk_refuse(w, GUARD_PARAMETER, set->name);
        return;
    }
    const char *value = set->n_args == 1 ? string_of(set->args[0]) : NULL;
    /* A value that is not a string cannot be an encoding; for all others the server judges it. */
    if (!guard_parameter_value_allowed(set->name, value != NULL ? value : ""))
        walk_refuse(w, GUARD_PARAMETER_VALUE, set->name);
}

static void on_set(struct walk *w, const PgQuery__VariableSetStmt *set)
{
    if (strcasecmp(set->name, SOURCE_GRANT) == 0 || strcmp(set->name, SOURCE_GRANT_STAND_IN) == 0) {
        on_set_grant(w, set);
        return;
    }
    switch (set->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
        on_set_value(w, set);
        break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
        if (!guard_parameter_allowed(set->name))
            walk_refuse(w, GUARD_PARAMETER, set->name);
        break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
        if (strcmp(set->name, "TRANSACTION SNAPSHOT") == 0)
            walk_refuse(w, GUARD_SNAPSHOT, set->name);
        else if (strcmp(set->name, "TRANSACTION") == 0 ||
                 strcmp(set->name, "SESSION CHARACTERISTICS") == 0)
            transaction_modes(w, set->args, set->n_args);
        else
            walk_refuse(w, GUARD_PARAMETER, set->name);
        break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
        /* would also reset what the gateway has set */
        walk_refuse(w, GUARD_PARAMETER, "ALL");
        break;
    default:
        walk_refuse(w, GUARD_STATEMENT, "this form of SET");
    }
}

void rule_apply(struct walk *w, const ProtobufCMessage *root)
{
    const char *node = root->descriptor->short_name;
    const struct rule_row *row = rule_find(node);
    const void *statement = root;
    switch (row != NULL ? row->kind : RULE_KIND_REFUSED) {
    case RULE_KIND_PLAIN:
    case RULE_KIND_SELECT:
        break;
    case RULE_KIND_COPY:
        on_copy(w, statement);
        break;
    case RULE_KIND_DECLARE:
        on_declare(w, statement);
        break;
    case RULE_KIND_EXPLAIN:
        on_explain(w, statement);
        break;
    case RULE_KIND_TRANSACTION:
        on_transaction(w, statement);
        break;
    case RULE_KIND_SET:
        on_set(w, statement);
        break;
    case RULE_KIND_REFUSED:
        walk_refuse(w, row != NULL ? row->refusal : GUARD_STATEMENT,
                    row != NULL ? row->words : node);
        break;
    }
}
