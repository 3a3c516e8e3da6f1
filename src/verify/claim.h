/* claim.h - sentences about a log, in a closed form that a machine can decide.
 *
 * A YAML file (demo/claims.yaml is one):
 *     home: [US]                         countries that are at home
 *     claims:
 *       - name: no-rows-to-cn
 *         sentence: No row has gone to China.
 *         grade: measured                optional; printed with the verdict
 *         leaf: transfer                 a type, or a list of types
 *         where: {place: CN}             KEY: VALUE or KEY: [VALUE, …], all of them; a list of
 *                                        classes has a VALUE when one of its names is it
 *         unless: {purpose: [legal_demand]}   none of them
 *         at_home: no                    place is (yes) or is not (no) in `home`
 *         fewer_approvals_than: 2        its grant (or it, a grant) was approved by fewer
 * signatures with: [grant_ref]              keys that must be there, or `without` sum: rows of a
 * band; without it leaves are counted at_most: 0                     and/or at_least epoch: 2026-11
 * or from: and until: minutes; or all of the log
 *
 * A band stands for its number up to twice it less one, so a sum has a lower and an upper bound;
 * a leaf with `few` has no upper one. What is not certain to belong (a held purpose, an interval
 * half inside the period, a place that is not said, approvals that stand in a log which was not
 * read before) counts in the upper bound alone. The verdict is TRUE or FALSE where both bounds
 * agree, and UNKNOWN otherwise; nothing that is true only so far is TRUE for a period that has not
 * ended. Roll-ups of a period come after it, up to `rollup` minutes and behind the seal of its
 * epoch: for them it has ended with the first other leaf whose minute is not before the end of the
 * last roll-up that can touch it. A log that has ended, or began later, has nothing more to say of
 * a period. */
#ifndef RF_VERIFY_CLAIM_H
#define RF_VERIFY_CLAIM_H

#include <stdbool.h>

#include "ledger/logleaf.h"

enum { CLAIMS_MAX = 200, CLAIMS_FILE_MAX = 256 * 1024, CLAIM_LEAVES_MAX = 10 };

enum claim_verdict { CLAIM_UNKNOWN, CLAIM_TRUE, CLAIM_FALSE };

struct claims;
struct mistakes;

/* Mistakes of the file, with their lines, are in MISTAKES (claims_load() prints them to standard
   error). */
RF_CHECK int claims_read(const char *file, const char *text, size_t len, struct claims **ret,
                         struct mistakes *mistakes);
RF_CHECK int claims_load(const char *path, struct claims **ret, struct err *err);
void claims_free(struct claims *c);

/* Leaves come as in their log, and logs one after another. */
void claims_log(struct claims *c, const char *origin);
RF_CHECK int claims_leaf(struct claims *c, uint64_t index, const struct logleaf *leaf,
                         struct err *err);

/* A verdict of what was seen so far, and in words why. */
struct claim_result {
    const char *name, *sentence, *grade; /* borrowed */
    enum claim_verdict verdict;
    uint64_t lower, upper; /* upper UINT64_MAX: no bound */
    char why[200];
    struct claim_leaf {
        unsigned log; /* as in claims_log(), from 0 */
        uint64_t index;
        bool is_certain;
    } leaves[CLAIM_LEAVES_MAX]; /* the first that count */
    unsigned leaf_count;
};

size_t claims_count(const struct claims *c);
void claims_judge(const struct claims *c, size_t i, struct claim_result *ret);
const char *claims_origin(const struct claims *c, unsigned log);
const char *claim_verdict_name(enum claim_verdict verdict);

#endif
