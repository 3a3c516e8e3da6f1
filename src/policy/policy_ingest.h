/* policy_ingest.h - what may come into a table: rules for single columns, on every write.
 *
 * They are compiled into triggers of the table (enforce/ingest.h), so they bind whoever writes and
 * however: services, COPY, MERGE, replicated rows. */
#ifndef RF_POLICY_POLICY_INGEST_H
#define RF_POLICY_POLICY_INGEST_H

#include "policy/policy.h"

struct field_reader;
struct field_shape;

enum ingest_id {
    INGEST_NONE,
    INGEST_COARSEN, /* numbers and places to multiples of `part / whole` */
    INGEST_NETWORK, /* addresses to their network */
    INGEST_REFUSE,  /* a value is an error */
    INGEST_NULL     /* a value is dropped */
};

struct policy_ingest {
    char *column;
    enum ingest_id rule;
    bool is_finer_refused; /* COARSEN, NETWORK: a finer value is an error; else it is made coarse */
    int64_t part, whole;   /* COARSEN: the step in lowest terms; 0.25 is 1 / 4, 20 is 20 / 1 */
    int64_t bits_v4, bits_v6;             /* NETWORK */
    const struct policy_consent *consent; /* consents.h: the rule is for rows of those who have not
                                             given it; NULL: for all */
    unsigned line;
};

extern const struct field_shape policy_ingest_shape;

/* After the walk: tell what no single key shows to be wrong. */
void policy_check_ingest(struct field_reader *r, const struct policy *p);

#endif
