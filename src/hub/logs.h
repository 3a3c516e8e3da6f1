/* logs.h - the folders of the public logs, and what their checkpoints say.
 *
 * A process that has narrowed its rights cannot widen them: landlock opens the folders that were
 * there then, and no others. So a folder that appears later, or in whose place another one stands,
 * is seen here (looking is not opening) and needs a new process: logs_look() says so. */
#ifndef RF_HUB_LOGS_H
#define RF_HUB_LOGS_H

#include <sys/stat.h>
#include <time.h>

#include "policy/config.h"

enum log_state { LOG_MISSING, LOG_UNREADABLE, LOG_READABLE };

/* Of a checkpoint; its signatures are not verified here: whoever relies on them does that. */
struct log_head {
    enum log_state state;
    uint64_t size;      /* READABLE: entries */
    int64_t written_ms; /* READABLE: the file's time, wall clock */
};

struct log_folder {
    const char *region, *directory; /* borrowed from the configuration */
    dev_t dev;                      /* of the folder that may be opened; ino 0: none was there */
    ino_t ino;
    int fd; /* -1: not there, or not for us */
    struct log_head head;
    struct timespec head_time; /* of the file that `head` was read from, and the next two, too */
    ino_t head_ino;
    off_t head_len;
};

struct logs {
    struct log_folder *list;
    size_t count;
};

/* Before narrowing. What is not there is no failure. The configuration must outlive *RET, or
   logs_replace() be called in time. */
RF_CHECK int logs_open(const struct config_hub *hub, struct logs *ret, struct err *err);
void logs_done(struct logs *l);

/* Another configuration: 0, or -RF_EUNAVAIL when it names a folder that only a new process can
   open; then, and when memory is short, *L is as before. */
RF_CHECK int logs_replace(struct logs *l, const struct config_hub *hub, struct err *err);

/* Is another folder there than the one that may be opened? */
bool logs_look(const struct logs *l);

/* A file of log INDEX as route.h names it: beneath_open()'s answer. */
RF_CHECK int logs_file(const struct logs *l, size_t index, const char *file);

/* Reads the checkpoint when it is another than last time. */
const struct log_head *logs_head(struct logs *l, size_t index);

#endif
