#include "gate/settings.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

static const char *const tracked[] = {
    "client_encoding", "DateStyle",        "TimeZone",
    "IntervalStyle",   "application_name", "standard_conforming_strings",
};

void settings_done(struct settings *s)
{
    for (size_t i = 0; i < s->count; i++) {
        mem_free(s->list[i].name);
        mem_free(s->list[i].value);
    }
    mem_free(s->list);
    *s = (struct settings){ 0 };
}

static struct setting *find(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcasecmp(s->list[i].name, name) == 0)
            return &s->list[i];
    return NULL;
}

const char *settings_get(const struct settings *s, const char *name)
{
    const struct setting *found = find(s, name);
    return found != NULL ? found->value : NULL;
}

static int grow(struct settings *s)
{
    if (s->count < s->cap)
        return 0;
    if (s->count >= SETTINGS_MAX)
        return -RF_ETOOBIG;
    size_t cap = s->cap > 0 ? (size_t)s->cap * 2 : 4;
    struct setting *list = mem_realloc(s->list, cap * sizeof(*list));
    if (list == NULL)
        return -RF_ENOMEM;
    s->list = list;
    s->cap = (uint16_t)cap;
    return 0;
}

int settings_put(struct settings *s, const char *name, const char *value)
{
    struct setting *found = find(s, name);
    if (found != NULL && strcmp(found->value, value) == 0)
        return 0;
    char *value_copy = mem_strdup(value);
    if (value_copy == NULL)
        return -RF_ENOMEM;
    if (found != NULL) {
        mem_free(found->value);
        found->value = value_copy;
        return 0;
    }
    char *name_copy = mem_strdup(name);
    int rc = name_copy != NULL ? grow(s) : -RF_ENOMEM;
    if (rc < 0) {
        mem_free(name_copy);
        mem_free(value_copy);
        return rc;
    }
    s->list[s->count++] = (struct setting){ .name = name_copy, .value = value_copy };
    return 0;
}

bool settings_is_tracked(const char *name)
{
    for (size_t i = 0; i < RF_COUNT(tracked); i++)
        if (strcasecmp(tracked[i], name) == 0)
            return true;
    return false;
}

bool settings_value_valid(const char *value)
{
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < 0x20 || (unsigned char)*value > 0x7e)
            return false;
    return true;
}

static int append(struct buf *sql, const char *text)
{
    return buf_append(sql, text, strlen(text));
}

/* An E'' literal reads the same whatever standard_conforming_strings says. */
static int append_literal(struct buf *sql, const char *text)
{
    int rc = append(sql, "E'");
    for (; rc == 0 && *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            rc = buf_append(sql, "\\", 1);
        if (rc == 0)
            rc = buf_append(sql, text, 1);
    }
    return rc == 0 ? append(sql, "'") : rc;
}

/* One more call of set_config() and not SET: it reads lists such as search_path as lists. */
static int append_setting(struct buf *sql, int count, const char *name, const char *value)
{
    int rc = append(sql, count == 0 ? "SELECT pg_catalog.set_config(" : ", pg_catalog.set_config(");
    if (rc == 0)
        rc = append_literal(sql, name);
    if (rc == 0)
        rc = append(sql, ", ");
    if (rc == 0)
        rc = append_literal(sql, value);
    return rc == 0 ? append(sql, ", false)") : rc;
}

static bool differs(const struct settings *have, const struct setting *want)
{
    const char *now = settings_get(have, want->name);
    return now == NULL || strcmp(now, want->value) != 0;
}

int settings_write_difference(const struct settings *want, const struct settings *have,
                              const struct settings *defaults, struct buf *sql)
{
    int count = 0, rc = 0;
    for (size_t i = 0; rc == 0 && i < want->count; i++)
        if (differs(have, &want->list[i]))
            rc = append_setting(sql, count++, want->list[i].name, want->list[i].value);
    for (size_t i = 0; rc == 0 && i < defaults->count; i++) {
        const struct setting *d = &defaults->list[i];
        if (settings_is_tracked(d->name) && settings_get(want, d->name) == NULL && differs(have, d))
            rc = append_setting(sql, count++, d->name, d->value);
    }
    return rc < 0 ? rc : count;
}

int settings_adopt(struct settings *want, const struct settings *have)
{
    for (size_t i = 0; i < want->count; i++) {
        const char *now = settings_get(have, want->list[i].name);
        if (now == NULL)
            continue;
        int rc = settings_put(want, want->list[i].name, now);
        if (rc < 0)
            return rc;
    }
    return 0;
}
