#include "policy/mistakes.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

enum { MISTAKE_TEXT_MAX = 1000 };

void mistakes_init(struct mistakes *m)
{
    *m = (struct mistakes){ 0 };
}

void mistakes_done(struct mistakes *m)
{
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->list[i].file);
        mem_free(m->list[i].text);
    }
    mem_free(m->list);
    mistakes_init(m);
}

/* Names in a text may be as the file has them; a terminal must not take orders from them. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
            *text = '?';
}

/* Where a mistake of LINE goes, so that those of one file stand in the order of its lines although
   cross checks find theirs last. */
static size_t position(const struct mistakes *m, const char *file, unsigned line)
{
    size_t at = m->count;
    while (at > 0 && strcmp(m->list[at - 1].file, file) == 0 && m->list[at - 1].line > line)
        at--;
    return at;
}

void mistakes_add(struct mistakes *m, const char *file, unsigned line, const char *fmt, ...)
{
    char text[MISTAKE_TEXT_MAX];
    va_list ap;
    if (m->count == MISTAKES_MAX) {
        m->overflowed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_printable(text);
    if (m->list == NULL)
        m->list = mem_zalloc(MISTAKES_MAX, sizeof(*m->list));
    struct mistake new = { .file = mem_strdup(file), .line = line, .text = mem_strdup(text) };
    if (m->list == NULL || new.file == NULL || new.text == NULL) {
        mem_free(new.file);
        mem_free(new.text);
        m->overflowed = true;
        return;
    }
    size_t at = position(m, file, line);
    memmove(m->list + at + 1, m->list + at, (m->count - at) * sizeof(*m->list));
    m->list[at] = new;
    m->count++;
}

bool mistakes_any(const struct mistakes *m)
{
    return m->count > 0 || m->overflowed;
}

void mistakes_print(const struct mistakes *m, FILE *to)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct mistake *one = &m->list[i];
        if (one->line > 0)
            (void)fprintf(to, "%s:%u: %s\n", one->file, one->line, one->text);
        else
            (void)fprintf(to, "%s: %s\n", one->file, one->text);
    }
    if (m->overflowed)
        (void)fputs("there are more mistakes than are listed here\n", to);
}
