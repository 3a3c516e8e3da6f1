#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum err_category category;
    const char *sqlstate;
    int exit_status;
    const char *sentence;
} rows[RF_ERROR_COUNT] = {
    [RF_OK] = { "OK", ERR_CALLER, "00000", 0, "no error" },
#define ERROR(name, category, sqlstate, exit, sentence) \
    [RF_##name] = { #name, ERR_##category, sqlstate, exit, sentence },
#include "base/tbl/error.def"
#undef ERROR
};

static int row_of(int code)
{
    int row = code < 0 ? -code : code;
    return row < RF_ERROR_COUNT ? row : RF_EBUG;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (e != NULL) {
        va_list ap;
        err_clear(e);
        e->code = (int)code;
        va_start(ap, fmt);
        (void)vsnprintf(e->line, sizeof(e->line), fmt, ap);
        va_end(ap);
    }
    return -(int)code;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    enum err_code code = saved == ENOMEM                      ? RF_ENOMEM
                         : saved == ENOSPC || saved == EDQUOT ? RF_EDISKFULL
                                                              : RF_ESYS;
    if (e != NULL) {
        va_list ap;
        err_clear(e);
        e->code = (int)code;
        va_start(ap, fmt);
        int n = vsnprintf(e->line, sizeof(e->line), fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof(e->line))
            (void)snprintf(e->line + n, sizeof(e->line) - (size_t)n, ": %s",
                           strerrordesc_np(saved) != NULL ? strerrordesc_np(saved)
                                                          : "unknown error");
    }
    errno = saved;
    return -(int)code;
}

void err_detail(struct err *e, const char *fmt, ...)
{
    if (e == NULL)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
    va_end(ap);
}

void err_hint(struct err *e, const char *fmt, ...)
{
    if (e == NULL)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
    va_end(ap);
}

void err_sqlstate(struct err *e, const char *sqlstate)
{
    if (e != NULL)
        (void)snprintf(e->sqlstate, sizeof(e->sqlstate), "%.5s", sqlstate);
}

void err_clear(struct err *e)
{
    if (e == NULL)
        return;
    e->code = RF_OK;
    e->sqlstate[0] = e->line[0] = e->detail[0] = e->hint[0] = '\0';
}

const char *err_name(int code)
{
    return rows[row_of(code)].name;
}

const char *err_sentence(int code)
{
    return rows[row_of(code)].sentence;
}

const char *err_state_of(const struct err *e)
{
    return e->sqlstate[0] != '\0' ? e->sqlstate : rows[row_of(e->code)].sqlstate;
}

enum err_category err_category_of(int code)
{
    return rows[row_of(code)].category;
}

int err_exit_status(int code)
{
    return rows[row_of(code)].exit_status;
}
