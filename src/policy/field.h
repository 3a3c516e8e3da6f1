/* field.h - from a YAML tree into C structs, by tables of fields.
 *
 * A shape describes one kind of map: which keys it knows, what each means, its range, whether it
 * must be there, and where it goes in the struct. One walker reads every shape of every file, so
 * each mistake is told in the same words: where it stands, what was expected, what was found. After
 * a mistake the walk goes on. Strings and arrays come from the reader's arena. */
#ifndef RF_POLICY_FIELD_H
#define RF_POLICY_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/yaml_tree.h"

struct arena;
struct mistakes;
struct field_reader;
struct field_at;

enum field_type {
    FIELD_NONE,
    FIELD_TEXT,              /* char *, printable, 1..max bytes */
    FIELD_NAME,              /* char *, quantity_is_name() */
    FIELD_SQL_NAME,          /* char *, quantity_is_sql_name() */
    FIELD_PATH,              /* char *, made absolute from the file's folder, at most max bytes */
    FIELD_PLACE,             /* struct place */
    FIELD_PLACE_OR_IDENTITY, /* struct place; empty for the word `identity` */
    FIELD_RANGE,             /* struct policy_range, with /LENGTH */
    FIELD_ADDRESS,           /* struct policy_range of one address */
    FIELD_INTEGER,           /* min..max, as wide as the member */
    FIELD_DURATION,          /* in ms, min..max */
    FIELD_SIZE,              /* in bytes, min..max */
    FIELD_WORD,              /* one of `words`, stored as its value */
    FIELD_REFERENCE,         /* pointer to an object of kind `target`, set by field_resolve() */
    FIELD_REFERENCE_NAME,    /* char *, checked by field_resolve() */
    FIELD_SECTION,           /* a map whose fields (of `shape`) go into this same struct */
    FIELD_LIST,              /* array of `shape`, count at `count_offset`; at most `max` */
    FIELD_MAP,  /* the same from a map: each element's key is stored as its shape says */
    FIELD_OTHER /* `read` does it */
};

struct field_word {
    const char *word; /* NULL ends the list */
    int64_t value;
};

typedef void field_read_fn(struct field_reader *r, const struct field_at *at,
                           const struct yaml_node *node, void *record);

struct field_shape;

struct field {
    const char *key;
    enum field_type type;
    bool required;
    bool one_of;          /* of the fields of a shape that say so, exactly one must be there */
    bool may_be_empty;    /* FIELD_LIST, FIELD_MAP: without elements it says nothing */
    size_t offset, width; /* of the member in the struct */
    size_t count_offset;
    int64_t min, max;
    const struct field_word *words;
    const struct field_shape *shape;
    int target;
    field_read_fn *read;
};

/* How the key of a map's element is kept. */
enum field_key {
    KEY_NAME,
    KEY_SQL_NAME,
    KEY_TABLE /* SCHEMA.TABLE, in two members */,
    KEY_REFERENCE
};

struct field_shape {
    const char *what; /* "an actor", for "expected …" */
    size_t size;
    const struct field *fields;
    size_t field_count;
    const char *short_form; /* a node that is no map stands for {short_form: node}; when it is
                               the only field, a map does too */
    const void *initial;    /* defaults of a new struct, or NULL: zero */
    enum field_key key;
    size_t key_offset, table_offset;
    size_t line_offset; /* of an `unsigned line`, or FIELD_NO_LINE */
    int target;         /* KEY_REFERENCE */
};

#define FIELD_NO_LINE ((size_t)-1)

/* The member that a row describes: `FIELD_AT(struct policy, company)`. */
#define FIELD_AT(type, member) \
    .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)

struct field_reference;
struct field_line;

struct field_reader {
    const char *file;
    const char *folder; /* of the file, absolute; for FIELD_PATH; may be NULL without such fields */
    struct arena *arena;   /* of what is read */
    struct arena *scratch; /* of what is needed until the last check; the tree's will do */
    struct mistakes *mistakes;
    struct field_reference *references;
    struct field_line *lines;
    size_t line_count;
    const struct field_line **lines_sorted; /* made when the first line is asked for */
    bool wrong;                             /* at least one mistake was added */
    bool no_memory;                         /* sticky: what was read is not whole */
};

/* Where the walk is: "actors.us_analyst.place". */
struct field_at {
    const struct field_at *up;
    const char *key; /* NULL: an element of a list */
    size_t index;
};

/* Read the root of a file into RECORD (already zeroed, or with its defaults). */
void field_read_root(struct field_reader *r, const struct field_shape *shape,
                     const struct yaml_node *root, void *record);

/* For `read` functions: one value as FIELD says, or all elements of a map or list. */
void field_read_value(struct field_reader *r, const struct field_at *at, const struct field *field,
                      const struct yaml_node *node, void *record);

/* For `read` functions: the value of NODE among WORDS. False after a mistake. */
bool field_read_word(struct field_reader *r, const struct field_at *at,
                     const struct field_word *words, const struct yaml_node *node,
                     int64_t *ret_value);

/* Objects that references may name: NAMES[i] belongs to the i-th object of SIZE bytes at OBJECTS.
   Sets the pointers of every reference to TARGET and tells which name nothing; WHAT is "an entity".
 */
void field_resolve(struct field_reader *r, int target, const char *what, const char *const *names,
                   size_t count, const void *objects, size_t size);

/* Tell a mistake; FMT follows the place of the walk: "place: FMT…". Cross checks pass no place (AT
   is NULL) and the line where the value of a member, or an object, was read (0: it was not). */
void field_wrong(struct field_reader *r, const struct field_at *at, unsigned line, const char *fmt,
                 ...) RF_PRINTF(4, 5);
unsigned field_line_of(struct field_reader *r, const void *member);

/* "found …" about NODE, escaped and clipped, in OUT. */
enum { FIELD_FOUND_MAX = 100 };
const char *field_found(const struct yaml_node *node, char out[FIELD_FOUND_MAX]);

#endif
