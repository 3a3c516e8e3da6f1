/* text.h - words into a buffer, as they are or escaped. */
#ifndef RF_HUB_TEXT_H
#define RF_HUB_TEXT_H

#include "base/buf.h"

/* 0, or the buffer's failure; the text is whole or absent. At most 1000 bytes at a time. */
RF_CHECK int text_add(struct buf *to, const char *fmt, ...) RF_PRINTF(2, 3);

/* For HTML, between tags and in double quotes. */
RF_CHECK int text_add_html(struct buf *to, const char *words);

#endif
