/* compiler.h - what the parts of the compiler share; nobody else includes it. */
#ifndef RF_ENFORCE_COMPILER_H
#define RF_ENFORCE_COMPILER_H

#include "enforce/compile.h"
#include "enforce/right.h"
#include "enforce/role.h"

/* How a function begins that acts with its owner's rights. */
#define FUNCTION_HEAD " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$"

struct compiler {
    const struct policy *policy;
    const struct policy_region *region;
    const struct catalog *catalog;
    struct script *script;
    struct sql sql;            /* the statement in the making */
    struct right_set rights;   /* wanted */
    struct wanted_role *roles; /* wanted */
    size_t role_count, role_cap;
    const char **remade; /* objects without rights from here on: "masked"."users" */
    size_t remade_count, remade_cap;
    bool *trigger_wanted; /* by its number in the catalog; NULL: none yet */
    struct err *err;
};

enum wanted_kind { WANTED_GROUP, WANTED_PERSON, WANTED_SERVICE, WANTED_CONTROL, WANTED_ADMIN };

struct wanted_role {
    const char *name;
    enum wanted_kind kind;
    const char *groups[2];   /* NULL: none */
    const char *path_sql;    /* of SET search_path = …; NULL: none */
    const char *path_stored; /* the same as the server keeps it */
};

/* A view or function of ours: SOURCE is the text that makes it. */
struct wanted_object {
    char name[256];   /* "masked.users", "ringfence.grant_close(bigint)" */
    const char *kind; /* VIEW, FUNCTION */
    const char *schema, *object;
    const char *arguments; /* of a function: types as PostgreSQL writes them, "bigint, text" */
    const char *owner;
    const char *source;
};

/* Make it, or make it anew when it is not what SOURCE made. Whoever may use it is wanted with
   right_set_add() on k->rights. */
RF_CHECK int compile_object(struct compiler *k, const struct wanted_object *o);

/* For functions: fills in the name. WHO: role that may execute it, NULL: its owner alone. */
RF_CHECK int compile_function(struct compiler *k, const char *object, const char *arguments,
                              const char *owner, const char *who, const char *source);

/* Is view or function NAME there as SOURCE makes it, and OWNER's? */
bool compile_is_same(const struct compiler *k, const char *name, const char *owner,
                     const char *source);

/* Drop all views of ours in SCHEMA, to be made anew by compile_object(). */
/* A function of ours as an earlier version made it, by name and arguments; where it is, it goes. */
RF_CHECK int compile_drop_former(struct compiler *k, const char *name, const char *why);
RF_CHECK int compile_drop_schema(struct compiler *k, const char *schema, const char *why);

/* A table of schema ringfence, made once by CREATE and never altered. */
RF_CHECK int compile_own_table(struct compiler *k, const char *name, const char *create);

/* A function of rf_owner's that triggers or views depend on: SOURCE is CREATE OR REPLACE, so that
   it is replaced in place, with whoever may execute it. *RET_MADE: it was not as SOURCE makes it.
 */
RF_CHECK int compile_kept_function(struct compiler *k, const char *object, const char *arguments,
                                   const char *source, bool *ret_made);

/* A trigger "~ringfence…" of a table of the policy, which fires always, also for replicated rows
   and whatever session_replication_role says. SOURCE: the text from CREATE TRIGGER on. */
RF_CHECK int compile_trigger(struct compiler *k, const struct policy_table *t, const char *name,
                             const char *source, bool *ret_made);

/* Drop those that no part has wanted. */
RF_CHECK int compile_triggers_left(struct compiler *k);

/* Keep the text put together in k->sql, which is empty then. */
RF_CHECK int compile_take_text(struct compiler *k, const char **ret);

/* ROLE may read this one column. */
RF_CHECK int compile_want_column(struct compiler *k, const char *role, const struct policy_table *t,
                                 const char *column);

/* Append to k->sql "SELECT key as its own row writes it[, is it a minor's] FROM … WHERE key = the
   text GIVEN (SQL)", of each table where a subject can be found; rf_admin may read the columns. A
   GIVEN that is no key of that type is a data_exception, or no row. */
enum lookup_what { LOOKUP_KEY, LOOKUP_KEY_AND_MINOR };
RF_CHECK int compile_add_lookup(struct compiler *k, const char *given, enum lookup_what what);

void compile_add_class_bits(struct sql *s);                       /* ('identity', 4), … */
void compile_add_purposes(struct sql *s, const struct policy *p); /* (ARRAY['…', …]::text[]) */

/* SQL as it is; WHAT is the step's name. */
RF_CHECK int compile_plain(struct compiler *k, const char *text, const char *what);

/* Parts, in this order; each appends to the script, to the wanted rights, or both. */
RF_CHECK int compile_role_list(struct compiler *k); /* who is wanted; refuses names in the way */
RF_CHECK int compile_roles(struct compiler *k);     /* create, set right, memberships, settings */
RF_CHECK int compile_objects(struct compiler *k);   /* schemas, our tables, functions, views */
RF_CHECK int compile_child(struct compiler *k);     /* ringfence.child: part of compile_objects() */
RF_CHECK int compile_grants(struct compiler *k);    /* room granted and the functions of grants */
RF_CHECK int compile_budgets(struct compiler *k);   /* part of compile_requests() */
RF_CHECK int compile_consents(struct compiler *k);  /* what persons consent to */
RF_CHECK int compile_requests(struct compiler *k);  /* the life of a request */
RF_CHECK int compile_find(struct compiler *k);      /* who is meant: part of compile_requests() */
RF_CHECK int compile_alerts(struct compiler *k);    /* what raises alerts, and alerts */
RF_CHECK int compile_outbox(struct compiler *k);    /* what is told about them */
RF_CHECK int compile_trace(struct compiler *k);     /* from which grants values come */
RF_CHECK int compile_ingest(struct compiler *k);   /* rules for what comes in; triggers left over */
RF_CHECK int compile_expire(struct compiler *k);   /* deletion of what is kept no longer */
RF_CHECK int compile_rights(struct compiler *k);   /* all wanted rights against those there */
RF_CHECK int compile_builtins(struct compiler *k); /* who may call PostgreSQL's own functions */
RF_CHECK int compile_everybody(struct compiler *k); /* the group of all other roles */
RF_CHECK int compile_retired(struct compiler *k);   /* roles that the policy no longer names */
RF_CHECK int compile_residency(struct compiler *k);

#endif
