#include "enforce/sql.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sql_init(struct sql *s)
{
    *s = (struct sql){ 0 };
    buf_init(&s->text, SQL_TEXT_MAX);
}

void sql_done(struct sql *s)
{
    buf_done(&s->text);
}

static void put(struct sql *s, const char *bytes, size_t n)
{
    if (!s->bad && buf_append(&s->text, bytes, n) < 0)
        s->bad = true;
}

/* MARK around TEXT, each MARK inside doubled. */
static void put_marked(struct sql *s, const char *text, char mark)
{
    put(s, &mark, 1);
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, (char[]){ mark, '\0' });
        put(s, at, n);
        at += n;
        if (*at == mark) {
            put(s, (char[]){ mark, mark }, 2);
            at++;
        }
    }
    put(s, &mark, 1);
}

static void put_name(struct sql *s, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > SQL_NAME_MAX) {
        if (!s->bad)
            (void)snprintf(s->bad_name, sizeof(s->bad_name), "%.70s", len > 0 ? name : "(empty)");
        s->bad = true;
        return;
    }
    put_marked(s, name, '"');
}

/* With a backslash the literal says E'' and doubles it: then it means the same whatever
   standard_conforming_strings says on the server. */
static void put_literal(struct sql *s, const char *value)
{
    if (strchr(value, '\\') == NULL) {
        put_marked(s, value, '\'');
        return;
    }
    put(s, " E'", 3);
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\\' || *at == '\'')
            put(s, at, 1);
        put(s, at, 1);
    }
    put(s, "'", 1);
}

static void put_number(struct sql *s, int64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRId64, number);
    put(s, digits, (size_t)n);
}

void sql_add(struct sql *s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    while (*format != '\0') {
        size_t n = strcspn(format, "%");
        put(s, format, n);
        format += n;
        if (*format == '\0')
            break;
        switch (format[1]) {
        case 'I':
            put_name(s, va_arg(ap, const char *));
            break;
        case 'N':
            put_name(s, va_arg(ap, const char *));
            put(s, ".", 1);
            put_name(s, va_arg(ap, const char *));
            break;
        case 'L':
            put_literal(s, va_arg(ap, const char *));
            break;
        case 'S': {
            const char *text = va_arg(ap, const char *);
            put(s, text, strlen(text));
            break;
        }
        case 'D':
            put_number(s, va_arg(ap, int64_t));
            break;
        default:
            RF_ASSERT(format[1] == '%');
            put(s, "%", 1);
        }
        format += 2;
    }
    va_end(ap);
}

int sql_text(struct sql *s, const char **ret_text, struct err *err)
{
    if (!s->bad) {
        uint8_t *end = buf_reserve(&s->text, 1);
        if (end != NULL) {
            *end = '\0'; /* behind the text, not counted: the next sql_add() writes over it */
            *ret_text = (const char *)buf_at(&s->text);
            return 0;
        }
    }
    if (s->bad_name[0] != '\0')
        return err_set(err, RF_ECONFIG, "name \"%s\" is not between 1 and %d bytes long",
                       s->bad_name, (int)SQL_NAME_MAX);
    return err_set(err, RF_ETOOBIG, "SQL text is larger than %d bytes, or out of memory",
                   (int)SQL_TEXT_MAX);
}
