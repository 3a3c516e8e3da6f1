/* lines.h - the lines of a text that is edited in place. */
#ifndef RF_AUTH_LINES_H
#define RF_AUTH_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* Walks a NUL-terminated private copy of a file; every line handed out is cut out of it with a NUL
   where its end was. */
struct lines {
    char *at;        /* the next line; NULL after the last */
    char *end;       /* of the text */
    unsigned number; /* of the line handed out last, from 1 */
};

struct lines lines_of(char *text, size_t len);

/* The next line without its "\n" or "\r\n", its length in *RET_LEN (it may hold NULs), or NULL. */
char *lines_next(struct lines *l, size_t *ret_len);

/* Nothing but blanks, or '#' first? */
bool lines_is_comment(const char *line);

#endif
