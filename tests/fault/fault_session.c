/* fault_session.c - whole sessions (tests/fuzz/session_world.h) while memory runs out once, at each
 * allocation of the gate in turn: no crash, no leak, no row without its record, no session that
 * stays. usage: fault_session FOLDER [STEP]
 *
 * RF_LEAN=N in the environment makes the steps N times as long: under valgrind a session takes so
 * long that fewer failures have to do. Every session still goes through at least one. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "campaign.h"
#include "session_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPT_MAX = 8192 };

struct script {
    uint8_t bytes[SCRIPT_MAX];
    size_t len;
};

static int play(void *arg)
{
    const struct script *s = arg;
    world_fail_first = campaign_at;
    (void)LLVMFuzzerTestOneInput(s->bytes, s->len); /* asserts what must hold; always 0 */
    campaign_passes = world.passed;
    return 0;
}

static bool script_load(const char *folder, const char *name, struct script *ret)
{
    char path[4096];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    ret->len = fread(ret->bytes, 1, sizeof(ret->bytes), file);
    (void)fclose(file);
    return true;
}

/* From one failing allocation to the next; 0: not a number. */
static unsigned long pace_of(const char *argument)
{
    const char *lean = getenv("RF_LEAN");
    unsigned long step = argument != NULL ? strtoul(argument, NULL, 10) : 1;
    return lean != NULL ? step * strtoul(lean, NULL, 10) : step;
}

int main(int argc, char **argv)
{
    static struct script script;
    struct dirent **entries = NULL;
    unsigned long step = pace_of(argc > 2 ? argv[2] : NULL);
    int count = argc > 1 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
    if (count <= 0 || step == 0) {
        (void)fprintf(stderr, "usage: %s FOLDER [STEP]\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        if (script_load(argv[1], entries[i]->d_name, &script))
            campaign_run(entries[i]->d_name, play, &script, "mem.alloc", step);
        free(entries[i]);
    }
    free(entries);
    return campaign_end();
}
