/* apply.c - `ringfence plan` and `ringfence apply`: what a region's database lacks, and the doing.
 *
 * The DSN is the database administrator's own; it is used for this run and kept nowhere. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "enforce/apply.h"

struct apply_options {
    const char *dsn, *region;
    bool print; /* apply: show the SQL, change nothing */
    bool check; /* plan: a difference is a finding */
};

static int read_arguments(int argc, char **argv, struct apply_options *ret)
{
    bool is_plan = strcmp(argv[0], "plan") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dsn") == 0 && i + 1 < argc)
            ret->dsn = argv[++i];
        else if (strcmp(argv[i], "--region") == 0 && i + 1 < argc)
            ret->region = argv[++i];
        else if (!is_plan && strcmp(argv[i], "--print") == 0)
            ret->print = true;
        else if (is_plan && strcmp(argv[i], "--check") == 0)
            ret->check = true;
        else
            return -RF_EUSAGE;
    }
    return ret->dsn != NULL ? 0 : -RF_EUSAGE;
}

/* The region that was named, or the only one that this gateway serves. */
static int find_region(const struct command_context *context, const char *name,
                       const struct policy_region **ret, struct err *err)
{
    const struct config *config = context->config;
    for (size_t i = 0; name == NULL && i < config->database_count; i++)
        if (strcmp(config->databases[i].region, config->databases[0].region) != 0)
            return err_set(err, RF_EUSAGE,
                           "this gateway serves several regions: name one with "
                           "--region");
    if (name == NULL && config->database_count > 0)
        name = config->databases[0].region;
    if (name == NULL)
        return err_set(err, RF_EUSAGE, "this gateway serves no region: name one with --region");
    *ret = policy_region_find(context->policy, name);
    if (*ret == NULL)
        return err_set(err, RF_ENOTFOUND, "the policy has no region \"%s\"", name);
    return 0;
}

static void print_changes(const struct command_context *context, const char *region,
                          const struct script *script)
{
    if (context->json) {
        (void)printf("{\"region\":");
        command_print_json(region);
        (void)printf(",\"changes\":[");
        for (size_t i = 0; i < script->count; i++) {
            (void)printf("%s", i > 0 ? "," : "");
            command_print_json(script->steps[i].what);
        }
        (void)printf("]}\n");
        return;
    }
    for (size_t i = 0; i < script->count; i++)
        if (script->steps[i].kind != STEP_ZERO_ROWS)
            (void)printf("%s\n", script->steps[i].what);
    if (script->count == 0)
        (void)printf("%s: the database holds the policy\n", region);
}

static int plan(const struct command_context *context, struct database *db,
                const struct policy_region *region, const struct apply_options *options,
                struct err *err)
{
    struct script script;
    script_init(&script);
    int status = COMMAND_DONE;
    int rc = apply_look(db, context->policy, region, &script, err);
    if (rc == 0 && options->print)
        script_print(&script, stdout);
    else if (rc == 0)
        print_changes(context, region->name, &script);
    if (rc == 0 && options->check && script.count > 0)
        status = COMMAND_REFUSED;
    script_done(&script);
    return rc < 0 ? rc : status;
}

static int apply(const struct command_context *context, struct database *db,
                 const struct policy_region *region, struct err *err)
{
    size_t steps = 0;
    int rc = apply_run(db, context->policy, region, &steps, err);
    if (rc < 0)
        return rc;
    if (context->json) {
        (void)printf("{\"region\":");
        command_print_json(region->name);
        (void)printf(",\"changes\":%zu}\n", steps);
    } else if (steps == 0) {
        (void)printf("%s: nothing to change, the database holds the policy\n", region->name);
    } else {
        (void)printf("%s: applied, %zu changes\n", region->name, steps);
    }
    return COMMAND_DONE;
}

/* Both commands: ARGV[0] tells which. */
int command_apply(const struct command_context *context, int argc, char **argv)
{
    struct apply_options options = { 0 };
    struct database db = { 0 };
    struct err err = { 0 };
    const struct policy_region *region = NULL;
    if (read_arguments(argc, argv, &options) < 0)
        return command_usage(argv[0]);
    bool is_plan = strcmp(argv[0], "plan") == 0;
    int rc = find_region(context, options.region, &region, &err);
    if (rc == 0)
        rc = database_open(&db, options.dsn, APPLY_TIMEOUT_MS, &err);
    if (rc == 0)
        rc = is_plan || options.print ? plan(context, &db, region, &options, &err)
                                      : apply(context, &db, region, &err);
    database_close(&db);
    return rc < 0 ? command_fail(context, argv[0], &err) : rc;
}
