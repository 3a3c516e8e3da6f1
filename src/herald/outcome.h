/* outcome.h - what became of one delivery. */
#ifndef RF_HERALD_OUTCOME_H
#define RF_HERALD_OUTCOME_H

#include <stdbool.h>

enum { OUTCOME_WORD_SIZE = 41 };

struct outcome {
    bool is_done;
    bool is_refused; /* the receiver does not want this one: those behind it may pass */
    char word[OUTCOME_WORD_SIZE]; /* of [a-z0-9-]: why it failed, for the operator */
};

#endif
