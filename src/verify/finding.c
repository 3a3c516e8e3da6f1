#include "verify/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tlog/path.h"

static void escape(const char *text, char *to, size_t size)
{
    size_t at = 0;
    for (; *text != '\0' && at + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c <= '~' && c != '\\')
            to[at++] = (char)c;
        else
            at += (size_t)snprintf(to + at, size - at, "\\x%02x", c);
    }
    to[at] = '\0';
}

static void add(struct findings *f, enum finding_grade grade, const char *file, uint64_t leaf,
                const char *fmt, va_list arguments)
{
    *(grade == FINDING_TAMPERED ? &f->tampered : &f->wanting) += 1;
    if (f->count == FINDINGS_MAX)
        return;
    struct finding *one = &f->list[f->count++];
    one->grade = grade;
    one->leaf = leaf;
    escape(file != NULL ? file : "", one->file, sizeof(one->file));
    (void)vsnprintf(one->text, sizeof(one->text), fmt, arguments);
}

void findings_add(struct findings *f, enum finding_grade grade, const char *file, uint64_t leaf,
                  const char *fmt, ...)
{
    va_list arguments;
    va_start(arguments, fmt);
    add(f, grade, file, leaf, fmt, arguments);
    va_end(arguments);
}

void findings_add_leaf(struct findings *f, enum finding_grade grade, uint64_t leaf, const char *fmt,
                       ...)
{
    const struct tlog_path path = { .file = TLOG_FILE_ENTRIES,
                                    .index = leaf / TLOG_TILE_WIDTH,
                                    .width = TLOG_TILE_WIDTH };
    char file[TLOG_PATH_SIZE];
    va_list arguments;
    tlog_path_write(&path, file);
    va_start(arguments, fmt);
    add(f, grade, file, leaf, fmt, arguments);
    va_end(arguments);
}

int findings_exit_status(const struct findings *f)
{
    return f->tampered > 0 ? 4 : f->wanting > 0 ? 1 : 0;
}
