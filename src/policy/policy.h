/* policy.h - the rules: who is who, where each may act, what each table discloses.
 *
 * One reviewed YAML file (docs/man/ringfence-policy.5), parsed whole into this plain, read-only
 * value; strings and arrays live as long as the policy. Arrays are in file order. Anything the file
 * does not say is refused, not guessed. No I/O except in policy_load(). */
#ifndef RF_POLICY_POLICY_H
#define RF_POLICY_POLICY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct mistakes;
struct policy_grants;   /* grants.h */
struct policy_alerts;   /* alerts.h */
struct ssh_key;         /* sign/sshsig.h */
struct policy_consents; /* consents.h */

/* ISO 3166-1 alpha-2 in capitals; empty: this source names no place. */
struct place {
    char code[3];
};

struct policy_jurisdiction {
    char *name;
    struct place *countries;
    size_t country_count;
};

struct policy_region {
    char *name;
    const struct policy_jurisdiction *home;
    struct place place;      /* where its servers stand */
    bool persons_on_primary; /* `persons_on_primary: accept`: no standby, residuals accepted */
    bool functions_listed;   /* `functions: listed`: only the worst functions are taken away */
};

struct policy_entity {
    char *name;
    struct place country;
};

/* An address range, IPv4 or IPv6 (IPv4 is held as ::ffff:a.b.c.d; ::/0 holds no IPv4 address). */
struct policy_range {
    struct in6_addr address;
    unsigned prefix_len; /* 0..128 */
};

/* What a listener or a network says about the place of who comes through it. An empty place means
   `identity`: it says nothing of its own. */
struct policy_network {
    char *name;
    struct policy_range range;
    struct place place;
};

enum actor_kind { ACTOR_NONE, ACTOR_PERSON, ACTOR_SERVICE };

/* In which rows a session moves (DESIGN 4). GRANTED is entered by a grant and never by the policy
   alone; CLEAR is for services. */
enum room { ROOM_NONE, ROOM_STATS, ROOM_MASKED, ROOM_GRANTED, ROOM_CLEAR, ROOM_COUNT };

enum table_access { TABLE_NONE, TABLE_READ, TABLE_WRITE };

/* What one service may do in one region. */
struct policy_service_access {
    const struct policy_region *region;
    struct place *from; /* places it may act from; never empty */
    size_t from_count;
    enum table_access all_tables; /* TABLE_NONE: only the named ones */
    struct policy_service_table {
        char *schema, *table;
        enum table_access access;
    } * tables;
    size_t table_count;
};

struct policy_actor {
    char *name; /* also the database role's name (persons: NAME.ROOM) */
    enum actor_kind kind;
    const struct policy_entity *entity;
    struct place place;                  /* where the identity is based */
    char *department;                    /* persons; may be NULL */
    char *manager;                       /* persons; name of another actor, may be NULL */
    const struct policy_actor *superior; /* the same, found; chains of them end */
    char *certificate_cn;                /* may be NULL: no login by client certificate */
    bool suspended;
    struct ssh_key *keys; /* persons: those with which they sign commands; at most 8 */
    size_t key_count;
    struct policy_service_access *access; /* services */
    size_t access_count;
};

/* DESIGN 2. A column without a class is not visible; CLASS_NOTHING is `none`. */
enum class_id {
    CLASS_UNSET,
    CLASS_NOTHING,
    CLASS_IDENTITY,
    CLASS_CONTACT,
    CLASS_LOCATION,
    CLASS_ACTIVITY,
    CLASS_GRAPH,
    CLASS_CONTENT,
    CLASS_PAYMENT,
    CLASS_CHILD,
    CLASS_COUNT
};

enum mask_id {
    MASK_UNSET,
    MASK_CLEAR,     /* as it is; only for class none */
    MASK_PSEUDONYM, /* keyed, same type, one key a region and month */
    MASK_REDACT,    /* a constant of the same type */
    MASK_DAY,       /* time cut to the day (UTC) */
    MASK_YEAR,      /* date or time cut to the year */
    MASK_COARSE,    /* number rounded down to a multiple of `step` */
    MASK_NULL,
    MASK_ABSENT,     /* the column is not in the masked view */
    MASK_MONTH,      /* time cut to the month */
    MASK_PARTIAL,    /* the first `keep` characters, or the domain of a public mail provider */
    MASK_NETWORK,    /* an address cut to `keep` bits (IPv6: twice as many) */
    MASK_CONSTANT,   /* `value` in place of every value; NULL stays NULL */
    MASK_EXPRESSION, /* `sql`, over columns of the same row: enforce/expression.h */
    MASK_COUNT
};

struct policy_column {
    char *name;
    enum class_id class_id;
    enum mask_id mask; /* the class's default unless the column says so */
    char *domain;      /* pseudonym: columns that join share it (default: "subject" for subject
                          keys and foreign subjects, else SCHEMA.TABLE.COLUMN) */
    int64_t step;      /* coarse */
    int64_t keep;      /* partial: characters, KEEP_DOMAIN; network: bits of IPv4 */
    char *value;       /* constant, as the file has it */
    char *sql;         /* expression */
    const struct policy_table *table; /* whose column it is */
    unsigned line;
};

enum { KEEP_DOMAIN = -1 }; /* partial: what follows the @ of an e-mail address */

/* One way from a row to the person whose data it is. */
struct policy_subject {
    char *column;                       /* of the row */
    const struct policy_table *through; /* NULL: the column is the person's key; else it leads to a
                                           row of this table, and that row's subjects are meant */
    char *key; /* the column of `through` that it is equal to; NULL: as the foreign key says */
    unsigned line;
};

struct policy_ingest; /* policy_ingest.h */

struct policy_table {
    char *schema, *name;
    bool is_view;  /* `kind: view`: the application's own, materialised or not: read only, never
                      deleted from, no residency */
    char *subject; /* the first column that is itself a subject's key; NULL: there is none, but
                      see subject_count */
    struct policy_subject *subjects; /* all of them; a row is about each */
    size_t subject_count;            /* 0: no personal data */
    char *residency; /* column with the country; NULL without subject, in views, and where every
                        subject is reached through another table */
    char *birthdate; /* column that tells children, on one table: the subjects' own */
    char *retention_column; /* rows whose time is NULL or longer ago are absent; NULL: kept */
    int64_t retention_days; /* of 24 hours each, counted in UTC; 0: kept */
    struct policy_column *columns;
    size_t column_count;
    struct policy_ingest *ingest; /* what may come in, by column */
    size_t ingest_count;
    unsigned line;
};

/* One aggregate view in `stats`: SELECT dimensions, measures GROUP BY dimensions, groups of fewer
   than minimum distinct subjects left out. */
struct policy_statistic {
    char *name;
    const struct policy_table *table;
    struct policy_dimension {
        char *column;
        char *name;        /* of the output column */
        enum mask_id mask; /* MASK_CLEAR, MASK_DAY, MASK_YEAR, MASK_COARSE */
        int64_t step;
        bool month; /* time cut to the month */
    } * dimensions;
    size_t dimension_count;
    struct policy_measure {
        enum measure { MEASURE_COUNT_ROWS, MEASURE_COUNT_SUBJECTS, MEASURE_SUM, MEASURE_AVG } what;
        char *column; /* SUM, AVG */
        char *name;
    } * measures;
    size_t measure_count;
    int64_t minimum; /* at least 5 */
    unsigned line;
};

/* How a class is put on record before it is released. */
enum release_mode { RELEASE_DURABLE, RELEASE_CHECKPOINTED, RELEASE_WITNESSED };

/* Who may read the logs; more is higher. */
enum publication_profile { PROFILE_INTERNAL, PROFILE_AUDITORS, PROFILE_PUBLIC };

/* A purpose that the public log keeps to itself for a while. */
struct policy_hold {
    char *purpose;
    int64_t hold_ms;
    unsigned line;
};

/* Who signs the policy that comes after this one (policy_signers.h); nobody: none is asked. */
struct policy_signers {
    const struct policy_actor **actors;
    size_t actor_count;
    int64_t quorum;  /* how many of them */
    int64_t wait_ms; /* how long what widens is public before it rules; default a day */
};

struct policy {
    char *company;
    char *file;         /* its name, for messages about its lines */
    uint8_t digest[32]; /* SHA-256 of the file's bytes */
    unsigned adult_age; /* years; default 18 */
    struct policy_jurisdiction *jurisdictions;
    size_t jurisdiction_count;
    struct policy_region *regions;
    size_t region_count;
    struct policy_entity *entities;
    size_t entity_count;
    struct policy_network *listeners; /* by local address */
    size_t listener_count;
    struct policy_network *networks; /* by client address; the longest prefix wins */
    size_t network_count;
    enum room room_home, room_abroad; /* persons; default masked, stats */
    char **purposes;
    size_t purpose_count;
    struct policy_actor *actors;
    size_t actor_count;
    struct policy_table *tables;
    size_t table_count;
    struct policy_statistic *statistics;
    size_t statistic_count;
    enum publication_profile profile; /* default public */
    int64_t small_cell; /* groups of fewer sessions are published without numbers; 0: none */
    int64_t publication_delay_ms; /* how old a leaf is before the log has it */
    struct policy_hold *holds;
    size_t hold_count;
    enum release_mode release[CLASS_COUNT];
    struct policy_grants *grants;     /* who may see somebody by name; never NULL */
    struct policy_alerts *alerts;     /* what raises alerts; never NULL */
    struct policy_consents *consents; /* what persons may consent to; never NULL */
    struct policy_signers signers;
    uint8_t follows[32]; /* digest of the policy that it comes after */
    bool has_follows;
};

/* Parse LEN bytes of YAML called NAME in messages. On 0 the caller owns *RET; otherwise it is
   untouched and MISTAKES holds every mistake found. */
RF_CHECK int policy_parse(const char *name, const char *text, size_t len,
                          struct policy **ret_policy, struct mistakes *mistakes);
RF_CHECK int policy_load(const char *path, struct policy **ret_policy, struct mistakes *mistakes);
void policy_free(struct policy *p); /* NULL is welcome */

/* Look-ups; NULL when there is none. Names compare whole and byte by byte. */
const struct policy_actor *policy_actor_find(const struct policy *p, const char *name);
const struct policy_actor *policy_actor_by_cn(const struct policy *p, const char *cn);
const struct policy_region *policy_region_find(const struct policy *p, const char *name);
bool policy_has_purpose(const struct policy *p, const char *name);
const struct policy_table *policy_table_find(const struct policy *p, const char *schema,
                                             const char *name);
bool policy_is_home(const struct policy_region *region, struct place place);

/* The network or listener that ADDRESS falls into (longest prefix), or NULL. */
const struct policy_network *policy_network_of(const struct policy_network *list, size_t count,
                                               const struct in6_addr *address);

const char *policy_room_name(enum room room); /* "none", "stats", "masked", "granted", "clear" */
const char *policy_profile_name(enum publication_profile profile); /* "auditors", … */
const char *policy_class_name(enum class_id class_id);
const char *policy_mask_name(enum mask_id mask);

#endif
