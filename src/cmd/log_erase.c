/* log_erase.c - `ringfence log erase --day DAY`: the private parts of one day, gone for everybody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/logcommand.h"
#include "ledger/erasure.h"

static void print(const struct command_context *context, const char *day, const struct erasure *e)
{
    if (context->json) {
        (void)printf("{\"day\":\"%s\",\"entries\":%" PRIu64 ",\"key\":\"%s\",\"rows\":%" PRIu64
                     "}\n",
                     day, e->entries, e->had_key ? "destroyed" : "gone before", e->rows);
        return;
    }
    (void)printf("%s: the private parts of %" PRIu64 " entries are sealed for ever%s\n", day,
                 e->entries, e->had_key ? "" : "; their key was gone before");
    (void)printf("%" PRIu64 " of them were taken out of the private store; the journal and the log "
                 "stay valid\ncopies of %s.key in backups must go, too\n",
                 e->rows, day);
}

int log_erase(const struct command_context *context, int argc, char **argv)
{
    const char *day = NULL, *named = NULL;
    char state_dir[PATH_MAX];
    struct erasure done = { 0 };
    struct err err;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--day") == 0)
            day = argv[i + 1];
        else if (strcmp(argv[i], "--state") == 0)
            named = argv[i + 1];
        else
            return command_usage(argv[0]);
    }
    if (day == NULL || argc % 2 != 0)
        return command_usage(argv[0]);
    err_clear(&err);
    int rc = log_find_state(context, named, state_dir, &err);
    if (rc == 0)
        rc = erasure_run(state_dir, day, clock_wall_ms(), &done, &err);
    if (rc < 0)
        return command_fail(context, argv[0], &err);
    print(context, day, &done);
    return COMMAND_DONE;
}
