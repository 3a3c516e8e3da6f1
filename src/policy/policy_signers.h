/* policy_signers.h - the keys `signers` and `follows` of a policy file: who signs the policy that
 * comes next, and what this one comes after (docs/decisions/0022-a-policy-rules-when-signed.md).
 *
 * Signatures lie beside the policy: blocks of `ssh-keygen -Y sign -n ringfence-policy@1`, one after
 * another, over the policy file's bytes. Pure. */
#ifndef RF_POLICY_POLICY_SIGNERS_H
#define RF_POLICY_POLICY_SIGNERS_H

#include "policy/field.h"
#include "policy/policy.h"

#define POLICY_NAMESPACE "ringfence-policy@1"

enum { SIGNERS_MAX = 32, SIGNATURES_MAX = 64, SIGNATURES_BYTES_MAX = 128 * 1024 };

extern const struct field_shape policy_signers_shape;
void policy_follows_read(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record);

/* After the walk and policy_keys_check(): signers are different persons with keys, and those who
   are not suspended are as many as the quorum. */
void policy_signers_check(struct field_reader *r, const struct policy *p);

/* Does another policy need signatures to follow P? */
static inline bool policy_names_signers(const struct policy *p)
{
    return p->signers.actor_count > 0;
}

/* Who signed. Bit I of SIGNED is P->signers.actors[I], who has a valid signature and may sign. */
struct policy_signed {
    uint32_t signed_by;
    unsigned valid;   /* how many of these: nobody counts twice */
    unsigned others;  /* good signatures by keys of nobody who may sign */
    unsigned spoiled; /* blocks that are no signature of these bytes */
    bool
        is_malformed; /* the file is not only blocks, has too many, or is too long: nobody counts */
};

/* Count the signatures in SIGS over the bytes of a policy at TEXT, of the signers that BY names
   with the keys that BY lists. */
void policy_count_signatures(const struct policy *by, const void *text, size_t len,
                             const char *sigs, size_t sigs_len, struct policy_signed *ret);

/* The next block of SIGS from *AT on: 1; 0: there is none left; -RF_EPROTO: what stands there is no
   block. */
RF_CHECK int policy_signature_next(const char *sigs, size_t len, size_t *at, const char **ret_block,
                                   size_t *ret_len);

/* Names of the signers whose bit in SET is IS_SET, commas between; "nobody". */
void policy_signers_names(const struct policy *p, uint32_t set, bool is_set, char *ret, size_t n);

#endif
