/* name.h - names of columns and tables as words, and what the words speak for. */
#ifndef RF_DISCOVER_NAME_H
#define RF_DISCOVER_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_WORDS_MAX = 12, NAME_WORD_SIZE = 72 };

/* A name cut at underscores, capitals, digits and whatever is no letter; lower case, without
   accents (ae for a-umlaut). More words than fit are left out. */
struct name_words {
    char word[NAME_WORDS_MAX][NAME_WORD_SIZE];
    size_t count;
};

void name_split(struct name_words *ret, const char *name);

/* Words FIRST to LAST written together. */
const char *name_join(const struct name_words *n, size_t first, size_t last,
                      char out[2 * NAME_WORD_SIZE]);

/* Do the '|'-separated WORDS hold TEXT (length LEN), letter for letter or by a leading '*'? */
enum name_match { NAME_DIFFERS, NAME_ENDS, NAME_IS };
enum name_match name_in(const char *words, const char *text);

/* The stem by which user, users, Kunde and Kunden are told to be the same: OUT has room for
   NAME_WORD_SIZE bytes. */
const char *name_stem(const char *word, char out[NAME_WORD_SIZE]);

/* Is WORD one of a '|'-separated list? */
bool name_is_one_of(const char *words, const char *word);

#endif
