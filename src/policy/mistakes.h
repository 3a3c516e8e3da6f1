/* mistakes.h - every mistake of a file, each with its line, what was seen and what was expected. */
#ifndef RF_POLICY_MISTAKES_H
#define RF_POLICY_MISTAKES_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct mistake {
    char *file;
    unsigned line; /* from 1; 0: the file as a whole */
    char *text;    /* "place: expected a country code such as US, found \"usa\"" */
};

struct mistakes {
    struct mistake *list;
    size_t count;
    bool overflowed; /* more than MISTAKES_MAX, or out of memory: the rest was dropped */
};

enum { MISTAKES_MAX = 100 };

void mistakes_init(struct mistakes *m);
void mistakes_done(struct mistakes *m);
void mistakes_add(struct mistakes *m, const char *file, unsigned line, const char *fmt, ...)
    RF_PRINTF(4, 5);
bool mistakes_any(const struct mistakes *m);

/* "FILE:LINE: TEXT" a line. */
void mistakes_print(const struct mistakes *m, FILE *to);

#endif
