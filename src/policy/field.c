#include "policy/field.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/arena.h"
#include "policy/mistakes.h"
#include "policy/policy.h"
#include "policy/quantity.h"
#include "policy/suggest.h"

enum { PATH_TEXT_MAX = 300, WORDS_TEXT_MAX = 400 };

/* A name in the file that must be the name of something; looked up when everything is read. */
struct field_reference {
    struct field_reference *next;
    int target;
    unsigned line;
    const char *name;
    const char *where;
    const void **slot; /* NULL: only checked */
};

/* On which line a member or an object was written, for cross checks. */
struct field_line {
    struct field_line *next;
    const void *member;
    unsigned line;
    size_t order;
};

static void out_of_memory(struct field_reader *r)
{
    r->no_memory = true;
}

static size_t path_print(const struct field_at *at, char *out, size_t size)
{
    size_t used = at->up != NULL ? path_print(at->up, out, size) : 0;
    char seen[80];
    int n = 0;
    if (used + 1 >= size)
        return used;
    if (at->key == NULL && at->up != NULL) {
        n = snprintf(out + used, size - used, "[%zu]", at->index);
    } else if (at->key != NULL) {
        bool plain = at->key[0] != '\0' && strspn(at->key, "abcdefghijklmnopqrstuvwxyz"
                                                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                           "0123456789_-.$") == strlen(at->key);
        n = snprintf(out + used, size - used, "%s%s", used > 0 ? "." : "",
                     plain ? at->key : log_quote(seen, sizeof(seen), at->key, strlen(at->key)));
    }
    used += n > 0 ? (size_t)n : 0;
    return used < size ? used : size - 1;
}

void field_wrong(struct field_reader *r, const struct field_at *at, unsigned line, const char *fmt,
                 ...)
{
    char path[PATH_TEXT_MAX] = "", text[500];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->wrong = true;
    if (at != NULL && path_print(at, path, sizeof(path)) > 0)
        mistakes_add(r->mistakes, r->file, line, "%s: %s", path, text);
    else
        mistakes_add(r->mistakes, r->file, line, "%s", text);
}

const char *field_found(const struct yaml_node *node, char out[FIELD_FOUND_MAX])
{
    if (node->kind == YAML_LIST)
        return "a list";
    if (node->kind == YAML_MAP)
        return "a map";
    if (node->text == NULL || node->text[0] == '\0')
        return "nothing";
    return log_quote(out, FIELD_FOUND_MAX, node->text, strlen(node->text));
}

static void expected(struct field_reader *r, const struct field_at *at,
                     const struct yaml_node *node, const char *what)
{
    char found[FIELD_FOUND_MAX];
    field_wrong(r, at, node->line, "expected %s, found %s", what, field_found(node, found));
}

/* -- lines -- */

static void note_line(struct field_reader *r, const void *member, unsigned line)
{
    struct field_line *l = arena_alloc(r->scratch, 1, sizeof(*l));
    if (l == NULL) {
        out_of_memory(r);
        return;
    }
    *l = (struct field_line){ r->lines, member, line, r->line_count++ };
    r->lines = l;
}

static int by_member_then_order(const void *one, const void *other)
{
    const struct field_line *a = *(const struct field_line *const *)one;
    const struct field_line *b = *(const struct field_line *const *)other;
    if (a->member != b->member)
        return (uintptr_t)a->member < (uintptr_t)b->member ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Checks of every actor ask for lines: in a list that would take quadratic time. */
static void sort_lines(struct field_reader *r)
{
    size_t i = 0;
    r->lines_sorted = arena_alloc(r->scratch, r->line_count, sizeof(const struct field_line *));
    if (r->lines_sorted == NULL) {
        out_of_memory(r);
        return;
    }
    for (const struct field_line *l = r->lines; l != NULL; l = l->next)
        r->lines_sorted[i++] = l;
    qsort(r->lines_sorted, r->line_count, sizeof(const struct field_line *), by_member_then_order);
}

unsigned field_line_of(struct field_reader *r, const void *member)
{
    if (r->lines_sorted == NULL && r->line_count > 0)
        sort_lines(r);
    if (r->lines_sorted == NULL)
        return 0;
    size_t low = 0, high = r->line_count; /* find the first line behind those of MEMBER */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)r->lines_sorted[middle]->member <= (uintptr_t)member)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && r->lines_sorted[low - 1]->member == member ? r->lines_sorted[low - 1]->line
                                                                 : 0;
}

/* -- texts and references -- */

static char *keep_in(struct field_reader *r, struct arena *arena, const char *text)
{
    char *copy = arena_strndup(arena, text, strlen(text));
    if (copy == NULL)
        out_of_memory(r);
    return copy;
}

static char *keep(struct field_reader *r, const char *text)
{
    return keep_in(r, r->arena, text);
}

static void refer(struct field_reader *r, const struct field_at *at, int target, unsigned line,
                  const char *name, const void **slot)
{
    char where[PATH_TEXT_MAX] = "";
    struct field_reference *ref = arena_alloc(r->scratch, 1, sizeof(*ref));
    (void)path_print(at, where, sizeof(where));
    char *where_kept = keep_in(r, r->scratch, where), *name_kept = keep_in(r, r->scratch, name);
    if (ref == NULL || where_kept == NULL || name_kept == NULL) {
        out_of_memory(r);
        return;
    }
    *ref = (struct field_reference){ .next = r->references,
                                     .target = target,
                                     .line = line,
                                     .name = name_kept,
                                     .where = where_kept,
                                     .slot = slot };
    r->references = ref;
}

struct named {
    const char *name;
    size_t index;
};

static int by_name(const void *one, const void *other)
{
    const struct named *a = one, *b = other;
    return strcmp(a->name, b->name);
}

static void tell_unknown(struct field_reader *r, const struct field_reference *ref,
                         const char *what, const struct named *sorted, size_t count)
{
    char seen[FIELD_FOUND_MAX];
    struct suggest s;
    suggest_begin(&s, ref->name);
    for (size_t i = 0; i < count; i++)
        suggest_offer(&s, sorted[i].name);
    r->wrong = true;
    mistakes_add(r->mistakes, r->file, ref->line,
                 "%s: expected the name of %s in this file, found %s%s%s%s", ref->where, what,
                 log_quote(seen, sizeof(seen), ref->name, strlen(ref->name)),
                 s.best != NULL ? "; did you mean \"" : "", s.best != NULL ? s.best : "",
                 s.best != NULL ? "\"?" : "");
}

void field_resolve(struct field_reader *r, int target, const char *what, const char *const *names,
                   size_t count, const void *objects, size_t size)
{
    struct named *sorted = mem_zalloc(count + 1, sizeof(*sorted));
    if (sorted == NULL) {
        out_of_memory(r);
        return;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct named){ names[i], i };
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (const struct field_reference *ref = r->references; ref != NULL; ref = ref->next) {
        if (ref->target != target || r->mistakes->overflowed)
            continue;
        struct named key = { ref->name, 0 };
        const struct named *hit = bsearch(&key, sorted, count, sizeof(*sorted), by_name);
        if (hit == NULL)
            tell_unknown(r, ref, what, sorted, count);
        else if (ref->slot != NULL)
            *ref->slot = (const char *)objects + hit->index * size;
    }
    mem_free(sorted);
}

/* -- scalars -- */

/* Integers land in members of any width; the ranges of the tables keep them inside. */
static void store(const struct field *f, void *record, int64_t value)
{
    unsigned char *at = (unsigned char *)record + f->offset;
    uint8_t v1 = (uint8_t)value;
    uint16_t v2 = (uint16_t)value;
    uint32_t v4 = (uint32_t)value;
    switch (f->width) {
    case 1:
        memcpy(at, &v1, sizeof(v1));
        break;
    case 2:
        memcpy(at, &v2, sizeof(v2));
        break;
    case 4:
        memcpy(at, &v4, sizeof(v4));
        break;
    default:
        RF_ASSERT(f->width == sizeof(value));
        memcpy(at, &value, sizeof(value));
    }
}

static void store_text(const struct field *f, void *record, char *text)
{
    RF_ASSERT(f->width == sizeof(text));
    memcpy((unsigned char *)record + f->offset, &text, sizeof(text));
}

static void print_limit(const struct field *f, int64_t value, char *out, size_t size)
{
    static const struct {
        enum field_type type;
        int64_t factor;
        const char *unit;
    } units[] = { { FIELD_DURATION, 86400000, "d" }, { FIELD_DURATION, 3600000, "h" },
                  { FIELD_DURATION, 60000, "min" },  { FIELD_DURATION, 1000, "s" },
                  { FIELD_DURATION, 1, "ms" },       { FIELD_SIZE, 1048576, "MB" },
                  { FIELD_SIZE, 1024, "kB" } };
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (units[i].type == f->type && value != 0 && value % units[i].factor == 0) {
            (void)snprintf(out, size, "%lld%s", (long long)(value / units[i].factor),
                           units[i].unit);
            return;
        }
    }
    (void)snprintf(out, size, "%lld", (long long)value);
}

static void read_number(struct field_reader *r, const struct field_at *at, const struct field *f,
                        const struct yaml_node *node, void *record)
{
    int64_t value = 0;
    bool good = f->type == FIELD_DURATION ? quantity_duration_ms(node->text, &value)
                : f->type == FIELD_SIZE   ? quantity_size(node->text, &value)
                                          : quantity_integer(node->text, &value);
    if (good && value >= f->min && value <= f->max) {
        store(f, record, value);
        return;
    }
    char low[32], high[32], what[160];
    print_limit(f, f->min, low, sizeof(low));
    print_limit(f, f->max, high, sizeof(high));
    (void)snprintf(what, sizeof(what), "%s from %s to %s",
                   f->type == FIELD_DURATION ? "a time such as 250ms, 5s, 10min or 1h,"
                   : f->type == FIELD_SIZE   ? "a size such as 4096, 64kB or 1MB,"
                                             : "a whole number",
                   low, high);
    expected(r, at, node, what);
}

bool field_read_word(struct field_reader *r, const struct field_at *at,
                     const struct field_word *words, const struct yaml_node *node,
                     int64_t *ret_value)
{
    char list[WORDS_TEXT_MAX] = "", found[FIELD_FOUND_MAX];
    size_t used = 0;
    struct suggest s;
    suggest_begin(&s, node->kind == YAML_TEXT ? node->text : "");
    for (const struct field_word *w = words; w->word != NULL; w++) {
        if (node->kind == YAML_TEXT && strcmp(w->word, node->text) == 0) {
            *ret_value = w->value;
            return true;
        }
        suggest_offer(&s, w->word);
        int n = snprintf(list + used, sizeof(list) - used, "%s%s", used > 0 ? ", " : "", w->word);
        used += n > 0 && (size_t)n < sizeof(list) - used ? (size_t)n : 0;
    }
    field_wrong(r, at, node->line, "expected %s%s, found %s%s%s%s",
                words[1].word != NULL ? "one of " : "", list, field_found(node, found),
                s.best != NULL ? "; did you mean \"" : "", s.best != NULL ? s.best : "",
                s.best != NULL ? "\"?" : "");
    return false;
}

/* Bytes below a space and DEL: they would break log lines and connection strings. */
static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static void read_text(struct field_reader *r, const struct field_at *at, const struct field *f,
                      const struct yaml_node *node, void *record)
{
    static const char name[] = "a name (a letter, then letters, digits, - and _; at most 48)";
    static const char sql[] = "an SQL name (letters, digits, _ and $; at most 63)";
    char what[80];
    const char *text = node->text;
    bool good;
    if (f->type == FIELD_NAME || f->type == FIELD_REFERENCE_NAME)
        good = quantity_is_name(text);
    else if (f->type == FIELD_SQL_NAME)
        good = quantity_is_sql_name(text);
    else
        good = text[0] != '\0' && strlen(text) <= (size_t)f->max && is_printable(text);
    if (!good) {
        (void)snprintf(what, sizeof(what), "%s of 1 to %lld printable characters",
                       f->type == FIELD_PATH ? "a path" : "a text", (long long)f->max);
        expected(r, at, node,
                 f->type == FIELD_SQL_NAME                        ? sql
                 : f->type == FIELD_TEXT || f->type == FIELD_PATH ? what
                                                                  : name);
        return;
    }
    char *kept;
    if (f->type == FIELD_PATH && text[0] != '/')
        kept = arena_printf(r->arena, "%s/%s", r->folder, text);
    else
        kept = keep(r, text);
    if (kept == NULL)
        out_of_memory(r);
    else if (f->type == FIELD_PATH && strlen(kept) > (size_t)f->max)
        field_wrong(r, at, node->line, "the absolute path is longer than %lld bytes",
                    (long long)f->max);
    else
        store_text(f, record, kept);
    if (f->type == FIELD_REFERENCE_NAME)
        refer(r, at, f->target, node->line, text, NULL);
}

static void read_place(struct field_reader *r, const struct field_at *at, const struct field *f,
                       const struct yaml_node *node, void *record)
{
    struct place place = { "" };
    bool word = f->type == FIELD_PLACE_OR_IDENTITY && strcmp(node->text, "identity") == 0;
    if (!word && !quantity_place(node->text, &place)) {
        expected(r, at, node,
                 f->type == FIELD_PLACE ? "a country code such as US"
                                        : "a country code such as US, or identity");
        return;
    }
    memcpy((unsigned char *)record + f->offset, &place, sizeof(place));
}

static void read_range(struct field_reader *r, const struct field_at *at, const struct field *f,
                       const struct yaml_node *node, void *record)
{
    struct policy_range range;
    bool single = f->type == FIELD_ADDRESS;
    if ((single && strchr(node->text, '/') != NULL) || !quantity_range(node->text, &range)) {
        expected(r, at, node,
                 single ? "an address such as 192.0.2.1 or 2001:db8::1"
                        : "a range such as 192.0.2.0/24, without bits behind the length");
        return;
    }
    memcpy((unsigned char *)record + f->offset, &range, sizeof(range));
}

static void read_scalar(struct field_reader *r, const struct field_at *at, const struct field *f,
                        const struct yaml_node *node, void *record)
{
    int64_t word;
    if (node->kind != YAML_TEXT) {
        expected(r, at, node, "one value");
        return;
    }
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DURATION:
    case FIELD_SIZE:
        read_number(r, at, f, node, record);
        break;
    case FIELD_WORD:
        if (field_read_word(r, at, f->words, node, &word))
            store(f, record, word);
        break;
    case FIELD_PLACE:
    case FIELD_PLACE_OR_IDENTITY:
        read_place(r, at, f, node, record);
        break;
    case FIELD_RANGE:
    case FIELD_ADDRESS:
        read_range(r, at, f, node, record);
        break;
    case FIELD_REFERENCE:
        refer(r, at, f->target, node->line, node->text,
              (const void **)(void *)((char *)record + f->offset));
        break;
    default:
        read_text(r, at, f, node, record);
    }
}

/* -- maps and lists -- */

static void tell_unknown_key(struct field_reader *r, const struct field_at *at,
                             const struct field_shape *shape, const struct yaml_node *node)
{
    char seen[FIELD_FOUND_MAX];
    struct suggest s;
    suggest_begin(&s, node->key);
    for (size_t i = 0; i < shape->field_count; i++)
        suggest_offer(&s, shape->fields[i].key);
    field_wrong(r, at, node->key_line, "unknown key %s%s%s%s",
                log_quote(seen, sizeof(seen), node->key, strlen(node->key)),
                s.best != NULL ? "; did you mean \"" : "", s.best != NULL ? s.best : "",
                s.best != NULL ? "\"?" : "");
}

/* What must be there and is not. */
static void check_seen(struct field_reader *r, const struct field_at *at,
                       const struct field_shape *shape, unsigned line, uint64_t seen)
{
    char list[WORDS_TEXT_MAX] = "";
    size_t used = 0;
    unsigned given = 0;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        bool there = (seen & UINT64_C(1) << i) != 0;
        if (f->required && !there)
            field_wrong(r, at, line, "\"%s\" is missing", f->key);
        if (!f->one_of)
            continue;
        given += there;
        int n =
            snprintf(list + used, sizeof(list) - used, "%s\"%s\"", used > 0 ? " or " : "", f->key);
        used += n > 0 && (size_t)n < sizeof(list) - used ? (size_t)n : 0;
    }
    if (used > 0 && given != 1)
        field_wrong(r, at, line, "expected %s, found %s", list, given > 1 ? "both" : "neither");
}

static void read_keys(struct field_reader *r, const struct field_at *at,
                      const struct field_shape *shape, const struct yaml_node *map, void *record)
{
    uint64_t seen = 0;
    RF_ASSERT(shape->field_count <= 64);
    for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
        struct field_at here = { .up = at, .key = node->key };
        size_t i = 0;
        while (i < shape->field_count && strcmp(shape->fields[i].key, node->key) != 0)
            i++;
        if (i == shape->field_count) {
            tell_unknown_key(r, at, shape, node);
            continue;
        }
        seen |= UINT64_C(1) << i;
        field_read_value(r, &here, &shape->fields[i], node, record);
    }
    check_seen(r, at, shape, map->line, seen);
}

static void read_record(struct field_reader *r, const struct field_at *at,
                        const struct field_shape *shape, const struct yaml_node *node, void *record)
{
    if (node->kind == YAML_REFUSED)
        return;
    if (node->kind == YAML_MAP && (shape->short_form == NULL || shape->field_count > 1)) {
        read_keys(r, at, shape, node, record);
        return;
    }
    for (size_t i = 0; shape->short_form != NULL && i < shape->field_count; i++) {
        if (strcmp(shape->fields[i].key, shape->short_form) == 0) {
            field_read_value(r, at, &shape->fields[i], node, record);
            return;
        }
    }
    char what[120];
    (void)snprintf(what, sizeof(what), "%s as a map", shape->what);
    expected(r, at, node, what);
}

/* A key is kept even when it is wrong, so that later checks always have a name to show. */
static void store_key(struct field_reader *r, const struct field_at *at,
                      const struct field_shape *shape, const struct yaml_node *node, char *record)
{
    const char *text = node->key, *dot = strchr(text, '.');
    struct field first = { .offset = shape->key_offset, .width = sizeof(char *) };
    struct field second = { .offset = shape->table_offset, .width = sizeof(char *) };
    char *kept = keep(r, text);
    if (kept == NULL)
        return;
    if (shape->key == KEY_REFERENCE) {
        refer(r, at, shape->target, node->key_line, text,
              (const void **)(void *)(record + shape->key_offset));
        return;
    }
    if (shape->key == KEY_TABLE) {
        char *table = keep(r, dot != NULL ? dot + 1 : "");
        if (table == NULL)
            return;
        kept[dot != NULL ? (size_t)(dot - text) : strlen(text)] = '\0';
        store_text(&second, record, table);
        if (!quantity_is_sql_name(kept) || !quantity_is_sql_name(table))
            field_wrong(r, at, node->key_line, "expected SCHEMA.TABLE as the key of %s",
                        shape->what);
        else if (shape->target != 0)
            refer(r, at, shape->target, node->key_line, text, NULL);
    } else if (shape->key == KEY_NAME && !quantity_is_name(text)) {
        field_wrong(
            r, at, node->key_line,
            "expected a letter, then letters, digits, - and _, at most 48, as the name of %s",
            shape->what);
    } else if (shape->key == KEY_SQL_NAME && !quantity_is_sql_name(text)) {
        field_wrong(r, at, node->key_line,
                    "expected letters, digits, _ and $, at most 63, as the name of %s",
                    shape->what);
    }
    store_text(&first, record, kept);
}

static void read_element(struct field_reader *r, const struct field_at *at, const struct field *f,
                         const struct yaml_node *node, char *record)
{
    const struct field_shape *shape = f->shape;
    unsigned line = f->type == FIELD_MAP ? node->key_line : node->line;
    if (shape->initial != NULL)
        memcpy(record, shape->initial, shape->size);
    if (shape->line_offset != FIELD_NO_LINE)
        memcpy(record + shape->line_offset, &line, sizeof(line));
    note_line(r, record, line);
    if (f->type == FIELD_MAP)
        store_key(r, at, shape, node, record);
    read_record(r, at, shape, node, record);
}

static void read_elements(struct field_reader *r, const struct field_at *at, const struct field *f,
                          const struct yaml_node *node, void *record)
{
    char what[120];
    bool map = f->type == FIELD_MAP;
    if (f->may_be_empty && node->kind == (map ? YAML_MAP : YAML_LIST) && node->count == 0)
        return;
    if (node->kind != (map ? YAML_MAP : YAML_LIST) || node->count == 0 ||
        node->count > (size_t)f->max) {
        (void)snprintf(what, sizeof(what), "a %s of 1 to %lld, each %s", map ? "map" : "list",
                       (long long)f->max, f->shape->what);
        if (node->kind == YAML_TEXT || node->kind != (map ? YAML_MAP : YAML_LIST))
            expected(r, at, node, what);
        else
            field_wrong(r, at, node->line, "expected %s, found %zu", what, node->count);
        return;
    }
    char *array = arena_alloc(r->arena, node->count, f->shape->size);
    if (array == NULL) {
        out_of_memory(r);
        return;
    }
    size_t index = 0;
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next, index++) {
        struct field_at here = { .up = at, .key = map ? one->key : NULL, .index = index };
        read_element(r, &here, f, one, array + index * f->shape->size);
    }
    memcpy((char *)record + f->offset, &array, sizeof(array));
    memcpy((char *)record + f->count_offset, &node->count, sizeof(node->count));
}

void field_read_value(struct field_reader *r, const struct field_at *at, const struct field *f,
                      const struct yaml_node *node, void *record)
{
    if (node->kind == YAML_REFUSED)
        return;
    if (f->width != 0) /* sections and `read` functions have no member of their own */
        note_line(r, (const char *)record + f->offset, node->line);
    switch (f->type) {
    case FIELD_SECTION:
        read_record(r, at, f->shape, node, record);
        break;
    case FIELD_LIST:
    case FIELD_MAP:
        read_elements(r, at, f, node, record);
        break;
    case FIELD_OTHER:
        f->read(r, at, node, record);
        break;
    default:
        read_scalar(r, at, f, node, record);
    }
}

void field_read_root(struct field_reader *r, const struct field_shape *shape,
                     const struct yaml_node *root, void *record)
{
    read_record(r, &(struct field_at){ .key = NULL }, shape, root, record);
}
