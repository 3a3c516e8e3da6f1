/* proof.h - what a region's database keeps of signed texts, read for policy/evidence.h. */
#ifndef RF_CONTROL_PROOF_H
#define RF_CONTROL_PROOF_H

#include <jansson.h>
#include <libpq-fe.h>

#include "policy/evidence.h"

/* Followed by an array of bigint and ")". */
#define PROOF_SQL                                                                             \
    "SELECT request, state, kind, actor, from_home,"                                          \
    " floor(extract(epoch FROM at) * 1000)::bigint, command, signature, leaf, rule, minors,"  \
    " to_json(keys), to_json(salts), grant_leaf, grant_actor, grant_purpose, grant_classes,"  \
    " to_json(grant_subjects), floor(extract(epoch FROM grant_ends) * 1000)::bigint, lacking" \
    " FROM ringfence.request_evidence("

/* One request with all its votes. Strings live as long as the result, and until proof_done(). */
struct proof {
    struct evidence evidence;
    const char *state, *rule;
    bool has_grant; /* a grant of this number is in the database: */
    const char *grant_leaf;
    struct evidence_grant grant;
    json_t *keys, *salts, *grant_keys, *lacking;
    bool lacks_memory; /* to read a list */
};

/* TEXT is what ringfence.consent_lacking() answers: {"PURPOSE VERSION": of how many persons it is
   lacking}. CONSENTED are those of none, for as long as *RET, which the caller releases in any
   case. -RF_EPROTO: it is something else; -RF_ENOMEM. */
RF_CHECK int proof_read_consents(const char *text, json_t **ret,
                                 const char *consented[CONSENT_PURPOSES_MAX], size_t *ret_count);

/* The request in row *ROW of R, which is moved behind its last vote. -RF_EPROTO: that is none;
   -RF_ENOMEM. Call proof_done() in any case. */
RF_CHECK int proof_read(const PGresult *r, int *row, struct proof *ret, struct err *err);
void proof_done(struct proof *p);

#endif
