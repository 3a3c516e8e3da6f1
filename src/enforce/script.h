/* script.h - what has to change in a database, in order: one statement a step, each with a name. */
#ifndef RF_ENFORCE_SCRIPT_H
#define RF_ENFORCE_SCRIPT_H

#include <stdbool.h>
#include <stdio.h>

#include "enforce/sql.h"
#include "policy/arena.h"
#include "policy/mistakes.h"

enum step_kind {
    STEP_ROLE,      /* a role that is missing or too many: nobody sees more meanwhile */
    STEP_GUARD,     /* rights, views, constraints: without it the policy does not hold */
    STEP_ZERO_ROWS, /* a question: its one number must be zero, else WHAT is the complaint */
    STEP_RECORD     /* writes down what was done */
};

struct step {
    enum step_kind kind;
    const char *what; /* "masked view \"users\"", for messages */
    const char *sql;  /* without the semicolon */
};

struct script {
    struct arena arena;
    struct step *steps;
    size_t count, cap;
    struct mistakes mistakes; /* of the policy, when compiling it failed with -RF_ECONFIG */
};

void script_init(struct script *s);
void script_done(struct script *s);

/* Take SQL's text as one more step (SQL is emptied for the next one). WHAT is a format. */
RF_CHECK int script_add(struct script *s, enum step_kind kind, struct sql *sql, struct err *err,
                        const char *what, ...) RF_PRINTF(5, 6);

bool script_has(const struct script *s, enum step_kind kind);

/* As a file for psql, in one transaction. */
void script_print(const struct script *s, FILE *to);

#endif
