#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *log_role = "ringfence";
static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_open(const char *role, enum log_level level)
{
    log_role = role;
    log_threshold = level;
}

void log_set_level(enum log_level level)
{
    log_threshold = level;
}

enum log_level log_level(void)
{
    return log_threshold;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    if (level > log_threshold)
        return;
    char line[2048], when[25];
    clock_format(clock_wall_ms(), when);
    int n = snprintf(line, sizeof(line), "%s level=%s role=%s event=%s ", when, level_names[level],
                     log_role, event);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    size_t len = (size_t)n + (m > 0 ? (size_t)m : 0);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' '; /* one event is one line, whatever went into it */
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len); /* one write, so that roles do not mix */
    (void)written;                                     /* nowhere left to complain to */
}

void log_err(enum log_level level, const char *event, const struct err *e)
{
    char line[500], detail[700], hint[500];
    log_event(level, event, "code=%s message=%s detail=%s%s%s", err_name(e->code),
              log_quote(line, sizeof(line), e->line, strlen(e->line)),
              log_quote(detail, sizeof(detail), e->detail, strlen(e->detail)),
              e->hint[0] != '\0' ? " hint=" : "",
              e->hint[0] != '\0' ? log_quote(hint, sizeof(hint), e->hint, strlen(e->hint)) : "");
}

const char *log_quote(char *out, size_t out_len, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t o = 0;
    RF_ASSERT(out_len >= 8);
    out[o++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (o + 8 > out_len) { /* room for an escape, the mark, the quote and the NUL */
            memcpy(out + o, "..", 2);
            o += 2;
            break;
        }
        if (c == '"' || c == '\\') {
            out[o++] = '\\';
            out[o++] = (char)c;
        } else if (c < 0x20 || c >= 0x7f) {
            out[o++] = '\\';
            out[o++] = 'x';
            out[o++] = hex[c >> 4];
            out[o++] = hex[c & 15];
        } else {
            out[o++] = (char)c;
        }
    }
    out[o++] = '"';
    out[o] = '\0';
    return out;
}
