/* apply.c - `ringfence plan` and `ringfence apply`: what a region's database lacks, and the doing.
 *
 * The DSN is the database administrator's own; it is used for this run and kept nowhere. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/standing.h"
#include "enforce/apply.h"
#include "enforce/exposure.h"
#include "enforce/selfcheck.h"

enum { TARGETS_MAX = 64 };

struct target {
    const char *dsn, *region_name; /* NULL: the only region of this gateway */
    const struct policy_region *region;
    struct database db;
};

struct apply_options {
    struct target targets[TARGETS_MAX];
    size_t count;
    bool print; /* apply: show the SQL, change nothing */
    bool check; /* plan: a difference is a finding */
};

/* "--region R --dsn D", as often as there are regions; one may go without its name. */
static int read_arguments(int argc, char **argv, struct apply_options *ret)
{
    bool is_plan = strcmp(argv[0], "plan") == 0;
    const char *region = NULL;
    size_t named = 0;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--dsn") == 0 && has_value && ret->count < TARGETS_MAX) {
            ret->targets[ret->count++] = (struct target){ .dsn = argv[++i], .region_name = region };
            named += region != NULL;
            region = NULL;
        } else if (strcmp(argv[i], "--region") == 0 && has_value && region == NULL) {
            region = argv[++i];
        } else if (!is_plan && strcmp(argv[i], "--print") == 0) {
            ret->print = true;
        } else if (is_plan && strcmp(argv[i], "--check") == 0) {
            ret->check = true;
        } else {
            return -RF_EUSAGE;
        }
    }
    if (region != NULL && ret->count == 1 && named == 0) { /* the name may stand behind */
        ret->targets[0].region_name = region;
        region = NULL;
    }
    bool clear = ret->count == 1 || named == ret->count;
    return ret->count > 0 && clear && region == NULL ? 0 : -RF_EUSAGE;
}

int command_region(const struct command_context *context, const char *name,
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

static int find_regions(const struct command_context *context, struct apply_options *options,
                        struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->count; i++) {
        struct target *t = &options->targets[i];
        rc = command_region(context, t->region_name, &t->region, err);
        for (size_t k = 0; rc == 0 && k < i; k++)
            if (options->targets[k].region == t->region)
                rc = err_set(err, RF_EUSAGE, "region \"%s\" is named twice", t->region->name);
    }
    return rc;
}

static int open_all(struct apply_options *options, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->count; i++)
        rc = database_open(&options->targets[i].db, options->targets[i].dsn, APPLY_TIMEOUT_MS, err);
    return rc;
}

/* ---- plan ---- */

struct words {
    bool json, any;
};

static void tell(void *context, enum exposure_change change, const char *text)
{
    struct words *words = context;
    if (!words->json) {
        (void)printf("%s: %s\n", exposure_change_name(change), text);
        return;
    }
    (void)printf("%s{\"change\":\"%s\",\"words\":", words->any ? "," : "",
                 exposure_change_name(change));
    command_print_json(text);
    (void)printf("}");
    words->any = true;
}

/* What the policy shows to whom, against what the last apply wrote down. */
static int print_exposures(const struct command_context *context, struct target *t, struct err *err)
{
    struct exposures old, new;
    struct words words = { .json = context->json };
    exposures_init(&old);
    exposures_init(&new);
    int rc = exposures_read(&old, &t->db, err);
    if (rc == 0)
        rc = exposures_of_policy(&new, context->policy, t->region, err);
    if (rc == 0)
        rc = exposures_compare(&old, &new, tell, &words, err);
    exposures_done(&old);
    exposures_done(&new);
    return rc;
}

static void print_steps(const struct command_context *context, const char *region,
                        const struct script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        if (context->json) {
            (void)printf("%s", i > 0 ? "," : "");
            command_print_json(script->steps[i].what);
        } else if (script->steps[i].kind != STEP_ZERO_ROWS) {
            (void)printf("%s\n", script->steps[i].what);
        }
    }
    if (!context->json && script->count == 0)
        (void)printf("%s: the database holds the policy\n", region);
}

static int print_changes(const struct command_context *context, struct target *t,
                         const struct script *script, struct err *err)
{
    if (context->json) {
        (void)printf("{\"region\":");
        command_print_json(t->region->name);
        (void)printf(",\"exposure\":[");
    }
    int rc = print_exposures(context, t, err);
    if (context->json)
        (void)printf("],\"changes\":[");
    print_steps(context, t->region->name, script);
    if (context->json)
        (void)printf("]}\n");
    return rc;
}

static void print_fault(void *context, const char *check, const char *object)
{
    const struct target *t = context;
    (void)fprintf(stderr, "%s: fault: %s: %s\n", t->region->name, check, object);
}

static void print_warning(void *context, const char *check, const char *object)
{
    const struct target *t = context;
    (void)fprintf(stderr, "%s: warning: %s: %s\n", t->region->name, check, object);
}

/* Ways round the policy, on stderr: no reason to stop, and somebody should know. */
static int print_warnings(struct target *t, struct err *err)
{
    size_t count;
    return selfcheck_warn(&t->db, print_warning, t, &count, err);
}

/* Where the policy was applied once: what would undo it and is not of its making. */
static int print_faults(struct target *t, bool *ret_differs, struct err *err)
{
    PGresult *r = NULL;
    size_t count = 0;
    int rc =
        database_query(&t->db, "SELECT to_regprocedure('ringfence.grant_faults()') IS NOT NULL", &r,
                       err);
    if (rc == 0 && database_true(r, 0, 0))
        rc = selfcheck_run(&t->db, print_fault, t, &count, err);
    PQclear(r);
    *ret_differs |= count > 0;
    return rc;
}

static int plan_one(const struct command_context *context, struct target *t,
                    const struct apply_options *options, bool *ret_differs, struct err *err)
{
    struct script script;
    script_init(&script);
    int rc = apply_look(&t->db, context->policy, t->region, &script, err);
    if (rc == 0 && options->print)
        script_print(&script, stdout);
    else if (rc == 0)
        rc = print_changes(context, t, &script, err);
    if (rc == 0 && options->check)
        rc = print_faults(t, ret_differs, err);
    if (rc == 0 && !options->print)
        rc = print_warnings(t, err);
    *ret_differs |= script.count > 0;
    script_done(&script);
    return rc;
}

/* A database administrator often may not read the gateway's state folder: then nothing is said. On
   standard error with --json, whose lines are the regions'. */
static void print_standing(const struct command_context *context)
{
    struct standing standing;
    struct err ignored = { 0 };
    if (command_standing(context->config, context->policy, &standing, &ignored) == 0)
        command_print_standing(context->json ? stderr : stdout, context->config->policy_path,
                               &standing);
}

static int plan(const struct command_context *context, struct apply_options *options,
                struct err *err)
{
    bool differs = false;
    int rc = 0;
    if (!options->print)
        print_standing(context);
    for (size_t i = 0; rc == 0 && i < options->count; i++) {
        if (options->count > 1 && !context->json)
            (void)printf("%s== %s\n", i > 0 ? "\n" : "", options->targets[i].region->name);
        rc = plan_one(context, &options->targets[i], options, &differs, err);
    }
    if (rc < 0)
        return rc;
    return differs && options->check ? COMMAND_REFUSED : COMMAND_DONE;
}

/* ---- apply ---- */

static int apply_one(const struct command_context *context, struct target *t, struct err *err)
{
    size_t steps = 0;
    int rc = apply_run(&t->db, context->policy, t->region, &steps, err);
    if (rc < 0)
        return rc;
    if (context->json) {
        (void)printf("{\"region\":");
        command_print_json(t->region->name);
        (void)printf(",\"changes\":%zu}\n", steps);
    } else if (steps == 0) {
        (void)printf("%s: nothing to change, the database holds the policy\n", t->region->name);
    } else {
        (void)printf("%s: applied, %zu changes\n", t->region->name, steps);
    }
    (void)fflush(stdout); /* an interrupted run has said how far it came */
    return print_warnings(t, err);
}

/* Each region in a transaction of its own. What no region can hold is found before anything is
   written; after a failure on the way, the same command goes on where it stopped. */
static int apply(const struct command_context *context, struct apply_options *options,
                 struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->count && options->count > 1; i++) {
        struct script script;
        script_init(&script);
        rc = apply_look(&options->targets[i].db, context->policy, options->targets[i].region,
                        &script, err);
        script_done(&script);
    }
    for (size_t i = 0; rc == 0 && i < options->count; i++)
        rc = apply_one(context, &options->targets[i], err);
    return rc < 0 ? rc : COMMAND_DONE;
}

/* Every mistake that a database shows in the policy, behind the error that told of the first. */
static void tell_mistakes(const struct command_context *context, struct apply_options *options)
{
    for (size_t i = 0; i < options->count; i++) {
        struct target *t = &options->targets[i];
        struct script script;
        if (t->region == NULL || t->db.conn == NULL)
            continue;
        script_init(&script);
        if (apply_look(&t->db, context->policy, t->region, &script, NULL) == -RF_ECONFIG)
            mistakes_print(&script.mistakes, stderr);
        script_done(&script);
    }
}

/* Both commands: ARGV[0] tells which. */
int command_apply(const struct command_context *context, int argc, char **argv)
{
    struct apply_options options = { 0 };
    struct err err = { 0 };
    if (read_arguments(argc, argv, &options) < 0)
        return command_usage(argv[0]);
    bool is_plan = strcmp(argv[0], "plan") == 0;
    int rc = find_regions(context, &options, &err);
    if (rc == 0)
        rc = open_all(&options, &err);
    if (rc == 0)
        rc = is_plan || options.print ? plan(context, &options, &err)
                                      : apply(context, &options, &err);
    if (rc < 0) {
        bool is_the_policys = rc == -RF_ECONFIG;
        rc = command_fail(context, argv[0], &err);
        if (is_the_policys)
            tell_mistakes(context, &options);
    }
    for (size_t i = 0; i < options.count; i++)
        database_close(&options.targets[i].db);
    return rc;
}
