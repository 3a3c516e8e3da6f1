/* suggest.h - "did you mean": the nearest of some words to one that was mistyped. */
#ifndef RF_POLICY_SUGGEST_H
#define RF_POLICY_SUGGEST_H

struct suggest {
    const char *typed;
    const char *best; /* NULL: nothing is near */
    unsigned distance;
};

/* Ask for TYPED (borrowed), offer each word (borrowed) in any order, then look at `best`. */
void suggest_begin(struct suggest *s, const char *typed);
void suggest_offer(struct suggest *s, const char *word);

#endif
