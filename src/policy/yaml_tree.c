#include "policy/yaml_tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/arena.h"
#include "policy/mistakes.h"

/* One open list or map. */
struct level {
    struct yaml_node *node;
    struct yaml_node *last;
    const char *key; /* in a map: read, its value not yet */
    unsigned key_line;
};

struct builder {
    const char *file;
    struct arena *arena;
    struct mistakes *mistakes;
    struct yaml_node *root;
    struct level levels[YAML_DEPTH_MAX];
    size_t depth, nodes;
    unsigned documents;
    bool wrong; /* a mistake was added */
    int stop;   /* not 0: give up with this code */
};

#define WRONG(b, line, ...)                                        \
    do {                                                           \
        (b)->wrong = true;                                         \
        mistakes_add((b)->mistakes, (b)->file, line, __VA_ARGS__); \
    } while (0)

/* The number of bytes of the UTF-8 character at S (LEN bytes, at least one) and the character, or
   0. RFC 3629: shortest form, no surrogates, nothing above U+10FFFF. */
static size_t character(const unsigned char *s, size_t len, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (n == 0 || n > len || s[0] >= 0xf8)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return n;
}

/* Bidirectional controls can show a reviewer another text than the one that rules. */
static bool turns_direction(uint32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f || c == 0x061c;
}

/* What ends a line for the parser and not for editors, diffs and terminals: behind it a comment is
   a rule. NEXT is the byte behind the character, 0 at the end. */
static bool ends_line_unseen(uint32_t c, unsigned char next)
{
    return (c == '\r' && next != '\n') || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static void check_bytes(struct builder *b, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned line = 1;
    if (len > YAML_BYTES_MAX) {
        WRONG(b, 0, "the file is larger than %d bytes", YAML_BYTES_MAX);
        b->stop = -RF_ECONFIG;
        return;
    }
    for (size_t at = 0, n; at < len; at += n) {
        uint32_t c = 0;
        n = character(s + at, len - at, &c);
        bool unseen = n > 0 && ends_line_unseen(c, at + n < len ? s[at + n] : 0);
        if (n == 0 || c == 0 || unseen || turns_direction(c)) {
            WRONG(b, line, "%s",
                  n == 0   ? "expected UTF-8, found bytes that are not"
                  : c == 0 ? "found a NUL byte"
                  : unseen ? "found a character that ends the line unseen"
                           : "found a character that changes the direction of writing");
            b->stop = -RF_ECONFIG;
            return;
        }
        if (c == '\n')
            line++;
    }
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, unsigned line)
{
    if (++b->nodes > YAML_NODES_MAX) {
        WRONG(b, line, "the file has more than %d values", YAML_NODES_MAX);
        b->stop = -RF_ECONFIG;
        return NULL;
    }
    struct yaml_node *node = arena_alloc(b->arena, 1, sizeof(*node));
    if (node == NULL) {
        b->stop = -RF_ENOMEM;
        return NULL;
    }
    node->kind = kind;
    node->line = line;
    return node;
}

/* The list or map that is open now, or NULL: nothing is. */
static struct level *innermost(struct builder *b)
{
    if (b->depth == 0)
        return NULL;
    struct level *l = &b->levels[b->depth - 1];
    RF_ASSERT(l->node != NULL);
    return l;
}

/* Put NODE where the file has it: as the root, in the list, or under the key that is waiting. */
static void attach(struct builder *b, struct yaml_node *node)
{
    struct level *l = innermost(b);
    if (l == NULL) {
        b->root = node;
        return;
    }
    if (l->node->kind == YAML_MAP) {
        node->key = l->key;
        node->key_line = l->key_line;
        l->key = NULL;
    }
    if (l->last != NULL)
        l->last->next = node;
    else
        l->node->first = node;
    l->last = node;
    l->node->count++;
}

/* The open map whose next scalar is a key, or NULL. */
static struct level *key_expected(struct builder *b)
{
    struct level *l = innermost(b);
    return l != NULL && l->node->kind == YAML_MAP && l->key == NULL ? l : NULL;
}

static void on_scalar(struct builder *b, const yaml_event_t *e, unsigned line)
{
    const char *value = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (memchr(value, '\0', len) != NULL) {
        WRONG(b, line, "found an escaped NUL character");
        len = strlen(value);
    }
    char *text = arena_strndup(b->arena, value, len);
    if (text == NULL) {
        b->stop = -RF_ENOMEM;
        return;
    }
    struct level *map = key_expected(b);
    if (map != NULL) {
        map->key = text;
        map->key_line = line;
        return;
    }
    struct yaml_node *node = new_node(b, YAML_TEXT, line);
    if (node == NULL)
        return;
    node->text = text;
    attach(b, node);
}

static void on_start(struct builder *b, enum yaml_kind kind, unsigned line)
{
    if (key_expected(b) != NULL) {
        WRONG(b, line, "expected a key, found a %s", kind == YAML_LIST ? "list" : "map");
        b->stop = -RF_ECONFIG;
        return;
    }
    if (b->depth == YAML_DEPTH_MAX) {
        WRONG(b, line, "the file is nested deeper than %d levels", YAML_DEPTH_MAX);
        b->stop = -RF_ECONFIG;
        return;
    }
    struct yaml_node *node = new_node(b, kind, line);
    if (node == NULL)
        return;
    attach(b, node);
    b->levels[b->depth++] = (struct level){ .node = node };
}

static int by_key_then_order(const void *one, const void *other)
{
    const struct yaml_node *const *a = one, *const *z = other;
    int order = strcmp((*a)->key, (*z)->key);
    return order != 0 ? order
                      : ((*a)->key_line > (*z)->key_line) - ((*a)->key_line < (*z)->key_line);
}

/* Sorted, not each against each: a hostile file of one large map must not take quadratic time. */
static void check_keys(struct builder *b, const struct yaml_node *map)
{
    char seen[80];
    if (map->count < 2)
        return;
    const struct yaml_node **sorted = mem_zalloc(map->count, sizeof(*sorted)), *node = map->first;
    if (sorted == NULL) {
        b->stop = -RF_ENOMEM;
        return;
    }
    for (size_t i = 0; i < map->count; i++, node = node->next)
        sorted[i] = node;
    qsort(sorted, map->count, sizeof(const struct yaml_node *), by_key_then_order);
    for (size_t i = 1; i < map->count; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            WRONG(b, sorted[i]->key_line, "key %s is given twice, first on line %u",
                  log_quote(seen, sizeof(seen), sorted[i]->key, strlen(sorted[i]->key)),
                  sorted[i - 1]->key_line);
    mem_free(sorted);
}

static void on_end(struct builder *b)
{
    const struct level *l = innermost(b);
    RF_ASSERT(l != NULL); /* libyaml ends only what it began */
    b->depth--;
    if (l->node->kind == YAML_MAP)
        check_keys(b, l->node);
}

static void on_alias(struct builder *b, unsigned line)
{
    WRONG(b, line, "aliases are not allowed; write the value again");
    if (key_expected(b) != NULL) {
        b->stop = -RF_ECONFIG;
        return;
    }
    struct yaml_node *node = new_node(b, YAML_REFUSED, line);
    if (node != NULL)
        attach(b, node);
}

static void refuse_properties(struct builder *b, const void *anchor, const void *tag, unsigned line)
{
    if (anchor != NULL)
        WRONG(b, line, "anchors are not allowed");
    if (tag != NULL)
        WRONG(b, line, "tags are not allowed");
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
    unsigned line = (unsigned)e->start_mark.line + 1;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++b->documents > 1) {
            WRONG(b, line, "expected one document, found a second one");
            b->stop = -RF_ECONFIG;
        }
        break;
    case YAML_SCALAR_EVENT:
        refuse_properties(b, e->data.scalar.anchor, e->data.scalar.tag, line);
        on_scalar(b, e, line);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_properties(b, e->data.sequence_start.anchor, e->data.sequence_start.tag, line);
        on_start(b, YAML_LIST, line);
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_properties(b, e->data.mapping_start.anchor, e->data.mapping_start.tag, line);
        on_start(b, YAML_MAP, line);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_end(b);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, line);
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

static void tell_syntax(struct builder *b, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        b->stop = -RF_ENOMEM;
        return;
    }
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    const char *problem = parser->problem != NULL ? parser->problem : "unknown problem";
    if (parser->context != NULL)
        WRONG(b, line, "cannot be read as YAML: %s, %s", parser->context, problem);
    else
        WRONG(b, line, "cannot be read as YAML: %s", problem);
    b->stop = -RF_ECONFIG;
}

static void read_events(struct builder *b, const char *text, size_t len)
{
    yaml_parser_t parser;
    bool end = false;
    if (yaml_parser_initialize(&parser) == 0) {
        b->stop = -RF_ENOMEM;
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (!end && b->stop == 0) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            tell_syntax(b, &parser);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

int yaml_tree_read(const char *file, const char *text, size_t len, struct arena *arena,
                   const struct yaml_node **ret_root, struct mistakes *mistakes)
{
    struct builder b = { .file = file, .arena = arena, .mistakes = mistakes };
    *ret_root = NULL;
    check_bytes(&b, text, len);
    if (b.stop == 0)
        read_events(&b, text, len);
    if (b.stop != 0)
        return b.stop; /* what was not read would only be told as missing */
    if (b.root == NULL)
        WRONG(&b, 1, "expected a YAML map, found an empty file");
    *ret_root = b.root;
    return b.wrong ? -RF_ECONFIG : 0;
}
