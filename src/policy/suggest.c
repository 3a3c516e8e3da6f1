#include "policy/suggest.h"

#include <stddef.h>
#include <string.h>

enum { SUGGEST_MAX = 64, FAR = SUGGEST_MAX };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) that make A into B: the restricted
   Damerau-Levenshtein distance, by rows. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][SUGGEST_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > SUGGEST_MAX || b_len > SUGGEST_MAX)
        return FAR;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = rows[i % 3], *up = rows[(i - 1) % 3], *above = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void suggest_begin(struct suggest *s, const char *typed)
{
    *s = (struct suggest){ .typed = typed, .distance = FAR };
}

void suggest_offer(struct suggest *s, const char *word)
{
    unsigned d = distance(s->typed, word);
    if (d < s->distance && d <= 2 && d * 2 < strlen(word)) {
        s->best = word;
        s->distance = d;
    }
}
