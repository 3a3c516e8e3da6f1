/* log.h - the operator's log: one event a line, key=value, on standard error.
 *
 * The log is for operators; the ledger is evidence; neither replaces the other. No secret and no
 * personal data is ever passed here; what a peer sent goes through log_quote(). Levels: error:
 * somebody must act; warn: we coped; info: life cycle; debug: off by default. */
#ifndef RF_BASE_LOG_H
#define RF_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* ROLE is kept, not copied: "worker-0", "ledger", … */
void log_open(const char *role, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_level(void);

/* FMT is "key=value key=value …"; the time, level, role and event name are put in front. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) RF_PRINTF(3, 4);

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                               \
    do {                                                    \
        if (log_level() >= LOG_LEVEL_DEBUG)                 \
            log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__); \
    } while (0)

/* An error as an event: code, line, detail. */
void log_err(enum log_level level, const char *event, const struct err *e);

/* S (LEN bytes, may hold anything) in double quotes, escaped to printable ASCII, clipped to OUT. */
const char *log_quote(char *out, size_t out_len, const char *s, size_t len);

#endif
