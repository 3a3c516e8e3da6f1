/* compiler.h - what the parts of the compiler share; nobody else includes it. */
#ifndef RF_ENFORCE_COMPILER_H
#define RF_ENFORCE_COMPILER_H

#include "enforce/compile.h"
#include "enforce/right.h"
#include "enforce/role.h"

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
    struct err *err;
};

enum wanted_kind { WANTED_GROUP, WANTED_PERSON, WANTED_SERVICE, WANTED_CONTROL };

struct wanted_role {
    const char *name;
    enum wanted_kind kind;
    const char *groups[2];   /* NULL: none */
    const char *path_sql;    /* of SET search_path = …; NULL: none */
    const char *path_stored; /* the same as the server keeps it */
};

/* Parts, in this order; each appends to the script, to the wanted rights, or both. */
RF_CHECK int compile_role_list(struct compiler *k); /* who is wanted; refuses names in the way */
RF_CHECK int compile_roles(struct compiler *k);     /* create, set right, memberships, settings */
RF_CHECK int compile_objects(struct compiler *k);   /* schemas, our tables, functions, views */
RF_CHECK int compile_rights(struct compiler *k);    /* all wanted rights against those there */
RF_CHECK int compile_retired(struct compiler *k);   /* roles that the policy no longer names */
RF_CHECK int compile_residency(struct compiler *k);

#endif
