/* catalog.h - what is in a region's database now, as far as the policy is concerned.
 *
 * Read in one go over libpq, from catalogs that every role may read, so that control can compare
 * without rights of its own; then a plain value for the compiler, which needs no database to be
 * tested. Text called "quoted" is SQL that the server itself quoted. */
#ifndef RF_ENFORCE_CATALOG_H
#define RF_ENFORCE_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "enforce/builtin.h"
#include "enforce/database.h"
#include "policy/arena.h"
#include "policy/policy.h"

/* The base type, as far as masks tell types apart. */
enum column_kind {
    KIND_OTHER,
    KIND_INT2,
    KIND_INT4,
    KIND_INT8,
    KIND_FLOAT4,
    KIND_FLOAT8,
    KIND_NUMERIC,
    KIND_TEXT, /* text, varchar(n), char(n): see width */
    KIND_UUID,
    KIND_BOOL,
    KIND_DATE,
    KIND_TIMESTAMP,
    KIND_TIMESTAMPTZ,
    KIND_INTERVAL,
    KIND_TIME,
    KIND_INET,
    KIND_CIDR,
    KIND_BYTEA,
    KIND_JSON,
    KIND_JSONB,
    KIND_ARRAY
};

struct catalog_table;

struct catalog_column {
    const char *name;
    const char *type;      /* quoted, with its modifier: "character varying(20)" */
    const char *collation; /* quoted; NULL: the type's own */
    enum column_kind kind;
    int width; /* characters of varchar(n), char(n); 0: no limit */
    bool not_null;
    bool refuses_null;   /* a domain that does */
    bool is_subject_key; /* foreign key to the subjects' table, checked by the database */
    bool has_native;     /* as struct catalog says, for who sees the column alone */
    bool is_unique;      /* alone, in every row of the table, by an index */
    bool is_generated;   /* computed from others when the row is whole */
    bool is_checked;     /* a domain with a CHECK, which a made-up value may not pass */
    const struct catalog_table *table; /* whose column it is */
};

/* A foreign key of one column to a table of the policy, checked by the database. */
struct catalog_reference {
    const char *column, *key;
    size_t table; /* of the key, in the policy's list */
};

struct catalog_table { /* one per table of the policy, in its order */
    bool found;
    bool is_table;          /* ordinary or partitioned */
    bool is_view;           /* materialised or not */
    const char *obstacle;   /* of a view: why masks cannot stand in front of it; NULL: they can */
    const char *definition; /* of a view that is not materialised, and those it reads: a digest */
    struct catalog_reference *references;
    size_t reference_count;
    const char *schema_quoted;  /* quoted only where needed, as in a stored search_path */
    const char *residency_rule; /* comment of its ringfence_residency constraint, NULL: no such */
    bool residency_valid;       /* for all rows, and still the definition of its making */
    struct catalog_column *columns;
    size_t column_count;
    const char **sequences; /* names in the table's schema that its columns draw from */
    size_t sequence_count;
};

struct catalog_role {
    const char *name;
    bool can_login, inherits;
    bool has_power; /* superuser, createdb, replication or bypassrls */
    bool makes_roles;
    bool is_super;
    bool has_password; /* only known to superusers; else false */
    int connection_limit;
    const char *owns; /* something that it owns, quoted; NULL: nothing */
};

struct catalog_setting {     /* ALTER ROLE … SET */
    const char *role, *text; /* "search_path=masked" */
    bool in_database;        /* … IN DATABASE this one */
};

struct catalog_member {
    const char *member, *group;
};

/* Rights of our roles, and those of PUBLIC (grantee NULL) where they would undo ours. */
struct catalog_right {
    const char *grantee;
    const char *object;    /* as in GRANT … ON: TABLE "app"."users" */
    const char *privilege; /* SELECT, or SELECT ("column") */
    bool may_pass_on;
};

struct catalog_schema {
    const char *name, *owner;
};

/* What is in our schemas: views, functions, and what does not belong there. */
struct catalog_object {
    const char *name;   /* "masked.users", "ringfence.grant_close(bigint)" */
    const char *quoted; /* VIEW "masked"."users" */
    const char *owner;
    const char *source; /* what it was last made from; NULL: not by us */
    bool unchanged;     /* its definition is the one of that making */
};

struct catalog_trigger { /* those named "~ringfence…", in whatever table; not clones in partitions
                          */
    const char *schema, *table, *name;
    const char *source; /* what it was last made from; NULL: not by us */
    bool unchanged;     /* still that, and fires always, in every partition too */
};

struct catalog {
    struct arena arena;
    const char *database;
    int server_version; /* 150020 */
    bool is_super;      /* the reading role */
    bool is_standby;
    bool is_utf8;
    bool has_native;         /* extension ringfence is there: extension/ */
    bool has_native_ingest;  /* and its trigger for what comes in, as it was installed */
    const char **own_tables; /* names of the tables in schema ringfence */
    size_t own_table_count;
    const char *applied_digest, *applied_region; /* NULL: never applied */
    const char *child_key; /* quoted type of ringfence.child.subject; NULL: no such table */
    struct catalog_table *tables;
    struct catalog_schema *schemas;
    size_t schema_count;
    struct catalog_role *roles;
    size_t role_count;
    struct catalog_setting *settings;
    size_t setting_count;
    struct catalog_member *members;
    size_t member_count;
    struct catalog_right *rights;
    size_t right_count;
    struct catalog_object *objects;
    size_t object_count;
    struct builtin_change *builtins; /* what PostgreSQL's own functions lack, against the policy */
    size_t builtin_count;
    const char **other_roles; /* nobody's in the policy, and not in rf_everybody yet */
    size_t other_role_count;
    struct catalog_trigger *triggers;
    size_t trigger_count;
    const char **sequences; /* names of the sequences in schema ringfence */
    size_t sequence_count;
};

/* Read everything about POLICY's tables, and about roles that are ours or bear the policy's names.
   Use inside a transaction that sees one state. The caller owns *RET, also to catalog_free(). */
RF_CHECK int catalog_read(struct database *db, const struct policy *policy,
                          const struct policy_region *region, struct catalog **ret,
                          struct err *err);
void catalog_free(struct catalog *c); /* NULL is welcome */

bool catalog_has_own_table(const struct catalog *c, const char *name);
const struct catalog_role *catalog_role_find(const struct catalog *c, const char *name);
const struct catalog_column *catalog_column_find(const struct catalog_table *t, const char *name);

#endif
