#include "auth/lines.h"

#include <string.h>

struct lines lines_of(char *text, size_t len)
{
    return (struct lines){ .at = len > 0 ? text : NULL, .end = text + len };
}

char *lines_next(struct lines *l, size_t *ret_len)
{
    char *line = l->at;
    if (line == NULL)
        return NULL;
    size_t left = (size_t)(l->end - line);
    char *newline = memchr(line, '\n', left);
    size_t len = newline != NULL ? (size_t)(newline - line) : left;
    l->at = newline != NULL && newline + 1 < l->end ? newline + 1 : NULL;
    l->number++;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    line[len] = '\0'; /* over the newline, or the text's own NUL */
    *ret_len = len;
    return line;
}

bool lines_is_comment(const char *line)
{
    return line[0] == '#' || line[strspn(line, " \t")] == '\0';
}
