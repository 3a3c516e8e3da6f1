/* yaml_tree.h - a YAML file as a small tree of texts, lists and maps, each with its line.
 *
 * The one place that knows libyaml. What makes two readers of a reviewed file see different things
 * is refused, with its line: anchors and aliases, tags, keys given twice, keys that are not text,
 * more than one document, bytes that are not UTF-8, NUL, and characters that turn the direction of
 * writing. Scalars have no types here: "no", "null" and "1" are texts, and what they mean is for
 * the field they stand in. Size, depth and number of nodes are limited. */
#ifndef RF_POLICY_YAML_TREE_H
#define RF_POLICY_YAML_TREE_H

#include "base/err.h"

struct arena;
struct mistakes;

enum { YAML_BYTES_MAX = 1024 * 1024, YAML_DEPTH_MAX = 16, YAML_NODES_MAX = 100 * 1000 };

enum yaml_kind {
    YAML_REFUSED, /* already told as a mistake: say nothing more about it */
    YAML_TEXT,
    YAML_LIST,
    YAML_MAP
};

struct yaml_node {
    enum yaml_kind kind;
    unsigned line;   /* from 1 */
    const char *key; /* in a map; ends in NUL */
    unsigned key_line;
    const char *text;        /* YAML_TEXT: ends in NUL and holds no other */
    struct yaml_node *first; /* YAML_LIST, YAML_MAP: in the order of the file */
    struct yaml_node *next;
    size_t count;
};

/* Read LEN bytes at TEXT, called FILE in mistakes, into a tree that lives in ARENA. 0 when there
   was no mistake; -RF_ECONFIG with at least one added, and then *RET_ROOT is NULL or the part that
   makes sense, so that more mistakes can be found in it; -RF_ENOMEM. */
RF_CHECK int yaml_tree_read(const char *file, const char *text, size_t len, struct arena *arena,
                            const struct yaml_node **ret_root, struct mistakes *mistakes);

#endif
