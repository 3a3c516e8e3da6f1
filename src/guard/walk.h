/* walk.h - what stands in a parsed statement: relations, and what a person may not have.
 *
 * The tree is walked by reflection over protobuf-c's descriptors, so that a node kind that nobody
 * here has heard of is still looked into. */
#ifndef RF_GUARD_WALK_H
#define RF_GUARD_WALK_H

#include <protobuf-c/protobuf-c.h>

#include "guard/guard.h"

enum { WALK_DEPTH_MAX = 10000, WALK_NAMES_MAX = 512, WALK_SUBJECT_MAX = 128 };

/* Strings of one report, one after the other. */
struct walk_arena {
    char *at;
    size_t left;
};

struct walk {
    enum guard_refusal refusal; /* the first one met */
    char subject[WALK_SUBJECT_MAX];
    bool too_complex;

    struct walk_arena *arena; /* nobody else adds to it during the walk */
    struct walk_relation {
        const char *text;
        size_t len;
    } relations[GUARD_RELATIONS_MAX]; /* one after the other in the arena, commas between */
    size_t relation_count;
    unsigned depth;
    const char *names[WALK_NAMES_MAX]; /* of WITH queries in scope, innermost last */
    size_t name_count;
};

/* A string in the arena, or NULL when it is full. */
char *walk_arena_add(struct walk_arena *a, const char *s, size_t len);

void walk_refuse(struct walk *w, enum guard_refusal refusal, const char *subject);

/* Look at ROOT, the statement itself: its rule (tbl/statement.def), then everything inside. */
void walk_statement(struct walk *w, const ProtobufCMessage *root);

/* After the walk: "a,b.c" in the arena; NULL when it is full. */
const char *walk_relations_end(struct walk *w);

#endif
