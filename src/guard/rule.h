/* rule.h - tbl/statement.def: what a person may do with each kind of statement. */
#ifndef RF_GUARD_RULE_H
#define RF_GUARD_RULE_H

#include "guard/walk.h"

enum rule_kind {
    RULE_KIND_REFUSED, /* zero: what is not written down */
    RULE_KIND_PLAIN,
    RULE_KIND_SELECT,
    RULE_KIND_COPY,
    RULE_KIND_DECLARE,
    RULE_KIND_EXPLAIN,
    RULE_KIND_TRANSACTION,
    RULE_KIND_SET
};

struct rule_row {
    const char *node;
    enum rule_kind kind;
    enum guard_refusal refusal;
    const char *words;
};

/* The row of a node; NULL for one without. */
const struct rule_row *rule_find(const char *node);

/* Apply the rule of ROOT, a statement of its own, to its own fields (not to what is inside). */
void rule_apply(struct walk *w, const ProtobufCMessage *root);

#endif
