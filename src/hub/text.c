#include "hub/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int text_add(struct buf *to, const char *fmt, ...)
{
    char line[1001];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line))
        return -RF_ETOOBIG;
    return buf_append(to, line, (size_t)len);
}

int text_add_html(struct buf *to, const char *words)
{
    static const struct {
        char sign;
        const char *entity;
    } escapes[] = {
        { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" }
    };
    int rc = 0;
    for (; *words != '\0' && rc == 0; words++) {
        const char *entity = NULL;
        for (size_t i = 0; i < RF_COUNT(escapes); i++)
            if (*words == escapes[i].sign)
                entity = escapes[i].entity;
        rc = entity != NULL ? buf_append(to, entity, strlen(entity)) : buf_append(to, words, 1);
    }
    return rc;
}
