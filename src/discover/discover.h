/* discover.h - a proposal for the policy's tables, from the catalog of a live database.
 *
 * Names, types, keys and, where allowed, a few sampled values speak for what a column holds
 * (tbl/word.def); foreign keys say whose it is. Everything is read in one READ ONLY transaction
 * with time limits, and of a table's rows only a sample. Values are looked at and forgotten: the
 * result holds names, counts and sentences, never a value or a part of one. What nothing is known
 * of stays unproposed, which a policy takes as "not visible". */
#ifndef RF_DISCOVER_H
#define RF_DISCOVER_H

#include <stdbool.h>

#include "enforce/database.h"
#include "policy/arena.h"
#include "policy/policy.h"

enum {
    DISCOVER_TIMEOUT_MS = 60 * 1000, /* any one query */
    DISCOVER_SAMPLE_ROWS = 200,      /* of a table */
    DISCOVER_TABLES_MAX = 5000,
    DISCOVER_SUBJECTS_MAX = 8, /* of a table */
    DISCOVER_FACTS_MAX = 10    /* that speak for a column */
};

struct discover_options {
    bool sample;               /* values may be looked at */
    const char *const *schema; /* only these; none: all but the system's and ringfence's */
    size_t schema_count;
};

/* What a column may hold, whatever it is classed as afterwards. */
enum discover_concept {
    CONCEPT_NONE,
#define CONCEPT(name, class_id, sentence) CONCEPT_##name,
#include "discover/tbl/word.def"
#undef CONCEPT
    CONCEPT_COUNT
};

/* What a type lets a column be. */
enum discover_type {
    DISCOVER_OTHER,
    DISCOVER_TEXT,
    DISCOVER_INTEGER,
    DISCOVER_NUMERIC, /* with decimals */
    DISCOVER_BOOL,
    DISCOVER_DATE,
    DISCOVER_TIMESTAMP,
    DISCOVER_TIME, /* of day, intervals */
    DISCOVER_UUID,
    DISCOVER_NETWORK, /* inet, cidr */
    DISCOVER_DEVICE,  /* macaddr */
    DISCOVER_GEOMETRY,
    DISCOVER_JSON,
    DISCOVER_BYTES,
    DISCOVER_ENUM
};

/* One thing that speaks for a concept. */
struct discover_fact {
    enum discover_concept concept;
    double weight; /* 0..1 */
    const char *text;
};

struct discover_table;

struct discover_column {
    const char *name;
    const char *words; /* of the name, written together, without the table's prefix; may be NULL */
    const char *type;  /* as the server writes it */
    enum discover_type kind;
    const char *base; /* name of the base type, for what only single types can */
    int number;       /* attnum */
    int width;        /* characters of varchar(n); 0: no limit */
    bool is_array, not_null, refuses_null;
    bool is_readable; /* its output function is the server's own */
    bool is_key;      /* alone the primary key, or alone unique where there is none */
    bool in_key;      /* part of the primary key */
    bool is_unique;   /* alone */
    bool is_nameable; /* a policy can hold its name */

    struct discover_table *to_table; /* foreign key; NULL: none */
    struct discover_column *to_column;
    bool is_implied;    /* no foreign key, but its name says so */
    bool is_referenced; /* a pseudonym elsewhere has to join with it */

    struct discover_fact facts[DISCOVER_FACTS_MAX];
    size_t fact_count;
    unsigned seen, longest_seen; /* sampled values; the bytes of the longest */
    bool seen_as_person, seen_as_prose, seen_as_country;

    /* the proposal; CLASS_UNSET: not visible */
    enum class_id class_id;
    enum mask_id mask; /* MASK_UNSET: the class's usual one */
    int step;
    const char *domain; /* NULL: the usual one */
    double confidence;
    const char *reason; /* one line, also of what is not visible */
};

enum discover_table_state {
    DISCOVER_PLAIN,    /* leads to no person */
    DISCOVER_PERSONS,  /* a row a person */
    DISCOVER_PERSONAL, /* leads to a person by a key of its own */
    DISCOVER_THROUGH,  /* leads to such a table */
    DISCOVER_UNFIT     /* cannot stand in a policy; REASON says why */
};

struct discover_table {
    const char *schema, *name;
    unsigned oid;
    bool may_read;
    long long blocks; /* of 8 kB, with partitions, as the last ANALYZE knew it */
    struct discover_column *columns;
    size_t column_count;
    enum discover_table_state state;
    struct discover_column *key; /* alone the key; of persons: the subject's. NULL: none */
    struct discover_column *subjects[DISCOVER_SUBJECTS_MAX];
    size_t subject_count;
    struct discover_table *persons; /* whose data */
    struct discover_table *through; /* of DISCOVER_THROUGH */
    struct discover_column *link;   /* the column that leads there */
    struct discover_column *residency, *birthdate;
    double confidence; /* of its state */
    const char *reason;
    size_t sampled;    /* rows looked at */
    size_t leading;    /* other tables that lead to it */
    double word;       /* how much its name is one of persons; below 0: of companies or places */
    bool is_staff;     /* … of persons who work there */
    unsigned own;      /* kinds of its columns that persons have */
    bool is_candidate; /* could be a table of persons */
};

struct discovery {
    struct arena arena;
    const char *database;
    bool is_utf8;
    struct discover_table *tables; /* by schema and name */
    size_t table_count;
    struct discover_table *main; /* the table of persons to which most lead; NULL: none */
    const char **notes;          /* what could not be looked at, a sentence each */
    size_t note_count, note_cap;
};

/* Look at the database of DB, which is in no transaction and is left in none. The caller owns *RET,
   also to discover_free(). Errors: those of database_query(); -RF_ENOTFOUND for a schema that does
   not exist. Tables that cannot be read are notes, not errors. */
RF_CHECK int discover_run(struct database *db, const struct discover_options *options,
                          struct discovery **ret, struct err *err);
void discover_free(struct discovery *d); /* NULL is welcome */

/* "an e-mail address" */
const char *discover_concept_sentence(enum discover_concept concept);
enum class_id discover_concept_class(enum discover_concept concept);

/* Does a country that is missing have to be added to this table? Persons have one, and so has what
   no checked foreign key ties to somebody's country. */
bool discover_lacks_residency(const struct discover_table *t);

/* Do the columns of T hold the persons' keys for themselves, or only on the way through the table
   of persons, whose country counts? */
bool discover_has_own_subject(const struct discover_table *t);

/* How much all that is known by now speaks for a concept, 0 to 1. */
double discover_strength(const struct discover_column *c, enum discover_concept concept);

/* Add a fact about a column; TEXT is a format and holds no value. Without room or memory the fact
   is dropped: less is known, and less is shown. */
void discover_add_fact(struct discovery *d, struct discover_column *c,
                       enum discover_concept concept, double weight, const char *text, ...)
    RF_PRINTF(5, 6);
void discover_add_note(struct discovery *d, const char *text, ...) RF_PRINTF(2, 3);

/* NAME as it can stand in a comment: what is not plain letters is written as \u{…}. */
const char *discover_plain_name(struct discovery *d, const char *name);

/* The parts, in this order. */
RF_CHECK int discover_read_catalog(struct database *db, const struct discover_options *options,
                                   struct discovery *d, struct err *err);
void discover_names(struct discovery *d); /* facts of names and types; implied references */
RF_CHECK int discover_sample(struct database *db, struct discovery *d, struct err *err);
void discover_subjects(struct discovery *d); /* state, subjects, residency, birth date */
void discover_classes(struct discovery *d);  /* the proposal for each column */

#endif
