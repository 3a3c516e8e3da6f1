#include "base/fault.h"

#include <stdlib.h>
#include <string.h>

#ifdef RF_FAULTS

enum { FAULT_POINTS_MAX = 16, FAULT_NAME_MAX = 48 };

static struct point {
    char name[FAULT_NAME_MAX];
    unsigned long at;
    unsigned long seen;
    bool onwards;
} points[FAULT_POINTS_MAX];
static int point_count = -1; /* -1: the environment has not been read yet */

void fault_arm(const char *spec)
{
    point_count = 0;
    while (spec != NULL && *spec != '\0' && point_count < FAULT_POINTS_MAX) {
        size_t len = strcspn(spec, ",");
        const char *colon = memchr(spec, ':', len);
        size_t name_len = colon != NULL ? (size_t)(colon - spec) : len;
        struct point *p = &points[point_count];
        if (name_len > 0 && name_len < FAULT_NAME_MAX) {
            memcpy(p->name, spec, name_len);
            p->name[name_len] = '\0';
            p->at = colon != NULL ? strtoul(colon + 1, NULL, 10) : 1;
            p->seen = 0;
            p->onwards = len > 0 && spec[len - 1] == '+';
            point_count++;
        }
        spec += len;
        if (*spec == ',')
            spec++;
    }
}

bool fault_hit(const char *name)
{
    if (point_count < 0)
        fault_arm(getenv("RF_FAULT"));
    for (int i = 0; i < point_count; i++) {
        struct point *p = &points[i];
        if (strcmp(p->name, name) != 0)
            continue;
        p->seen++;
        return p->seen == p->at || (p->onwards && p->seen > p->at);
    }
    return false;
}

#else

typedef int fault_is_off; /* ISO C wants a declaration in every file */

#endif
