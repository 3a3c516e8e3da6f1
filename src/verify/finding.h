/* finding.h - what is wrong with a log, each with its exact place. */
#ifndef RF_VERIFY_FINDING_H
#define RF_VERIFY_FINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum finding_grade {
    FINDING_NONE,
    FINDING_WANTING, /* the log holds together, and yet it is not as it should be: exit status 1 */
    FINDING_TAMPERED /* nobody who keeps to the formats makes this: exit status 4 */
};

enum { FINDINGS_MAX = 100 };

#define FINDING_NO_LEAF UINT64_MAX

struct finding {
    enum finding_grade grade;
    char file[300]; /* below the log's prefix; "": the log as a whole */
    uint64_t leaf;  /* FINDING_NO_LEAF: none in particular */
    char text[300];
};

/* Zero to begin with. Past FINDINGS_MAX they are counted and not kept. */
struct findings {
    struct finding list[FINDINGS_MAX];
    unsigned count;
    uint64_t tampered, wanting;
};

/* FILE may hold anything (it is escaped) or be NULL. */
void findings_add(struct findings *f, enum finding_grade grade, const char *file, uint64_t leaf,
                  const char *fmt, ...) RF_PRINTF(5, 6);
/* The bundle that holds LEAF stands as its file. */
void findings_add_leaf(struct findings *f, enum finding_grade grade, uint64_t leaf, const char *fmt,
                       ...) RF_PRINTF(4, 5);

int findings_exit_status(const struct findings *f); /* 0, 1 or 4 */

#endif
