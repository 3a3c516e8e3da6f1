#include "registrar/day.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "enforce/database.h"
#include "registrar/office.h"

int day_has_room(const struct policy_grants *g, struct line *line, const char *actor,
                 const char *const *keys, size_t count, bool *ret, struct err *err)
{
    PGresult *r;
    *ret = true;
    if (g->subjects_per_day == 0)
        return 0;
    char *list = matter_array(keys, count);
    if (list == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a list of persons");
    const char *const values[] = { actor, list };
    int rc = line_ask(line, "SELECT ringfence.subjects_of_day($1, $2::text[])", 2, values, &r, err);
    mem_free_secret(list, strlen(list));
    if (rc < 0)
        return rc;
    *ret = strtoll(database_value(r, 0, 0), NULL, 10) <= g->subjects_per_day;
    PQclear(r);
    return 0;
}
