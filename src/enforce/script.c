#include "enforce/script.h"

#include <stdarg.h>
#include <string.h>

enum { SCRIPT_WHAT_MAX = 300 };

void script_init(struct script *s)
{
    *s = (struct script){ 0 };
    arena_init(&s->arena);
    mistakes_init(&s->mistakes);
}

void script_done(struct script *s)
{
    arena_done(&s->arena);
    mistakes_done(&s->mistakes);
    *s = (struct script){ 0 };
}

/* The list moves to twice the room in the arena; what it leaves behind goes with the arena. */
static bool has_room(struct script *s)
{
    if (s->count < s->cap)
        return true;
    size_t cap = s->cap > 0 ? s->cap * 2 : 64;
    struct step *more = arena_alloc(&s->arena, cap, sizeof(*more));
    if (more == NULL)
        return false;
    if (s->count > 0)
        memcpy(more, s->steps, s->count * sizeof(*more));
    s->steps = more;
    s->cap = cap;
    return true;
}

int script_add(struct script *s, enum step_kind kind, struct sql *sql, struct err *err,
               const char *what, ...)
{
    char said[SCRIPT_WHAT_MAX];
    const char *text;
    int rc = sql_text(sql, &text, err);
    if (rc < 0)
        return rc;
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(said, sizeof(said), what, ap);
    va_end(ap);
    struct step step = { .kind = kind,
                         .what = arena_strndup(&s->arena, said, strlen(said)),
                         .sql = arena_strndup(&s->arena, text, strlen(text)) };
    if (step.what == NULL || step.sql == NULL || !has_room(s))
        return err_set(err, RF_ENOMEM, "out of memory while compiling the policy");
    s->steps[s->count++] = step;
    sql_done(sql);
    sql_init(sql);
    return 0;
}

bool script_has(const struct script *s, enum step_kind kind)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->steps[i].kind == kind)
            return true;
    return false;
}

void script_print(const struct script *s, FILE *to)
{
    if (s->count == 0) {
        (void)fprintf(to, "-- nothing to change\n");
        return;
    }
    (void)fprintf(to, "BEGIN;\nSET LOCAL search_path = pg_catalog;\n");
    for (size_t i = 0; i < s->count; i++) {
        const struct step *step = &s->steps[i];
        (void)fputs("\n-- ", to);
        for (const char *at = step->what; *at != '\0'; at++) /* a name may hold a line break */
            (void)fputc(*at == '\n' || *at == '\r' ? ' ' : *at, to);
        if (step->kind == STEP_ZERO_ROWS)
            (void)fputs(" (must be 0)", to);
        (void)fprintf(to, "\n%s;\n", step->sql);
    }
    (void)fprintf(to, "\nCOMMIT;\n");
}
