/* page.h - the front page: which logs are here, and where. */
#ifndef RF_HUB_PAGE_H
#define RF_HUB_PAGE_H

#include "base/buf.h"
#include "hub/logs.h"

/* LOGS is NULL for a reader who is not shown them, and who may know that. */
RF_CHECK int page_write(struct logs *logs, struct buf *to);

/* Its style sheet: a file of its own, since the content security policy forbids styles within. */
extern const char page_style[];

#endif
