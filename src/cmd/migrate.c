/* migrate.c - `ringfence migrate -- COMMAND`: an application's migration, with ringfence's views
 * out of its way and back afterwards.
 *
 * Once the views are gone, no signal ends this program before it has tried to bring them back: the
 * command gets the signal, and its end is what is waited for. Only SIGKILL, or the machine, can
 * come between; then persons stay out until `ringfence apply` (enforce/migrate.h). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "enforce/apply.h"
#include "enforce/migrate.h"

enum { EXIT_CANNOT_RUN = 127, EXIT_BY_SIGNAL = 128, PATH_SIZE = 4096, STANDBYS_MAX = 16 };

struct migrate_options {
    const char *dsn, *region, *standbys[STANDBYS_MAX];
    size_t standby_count;
    bool lift_ingest;
    char **command; /* ends with NULL */
};

static volatile sig_atomic_t child_pid, terminated;

static void on_terminate(int number)
{
    terminated = 1;
    if (child_pid > 0)
        (void)kill((pid_t)child_pid, number);
}

static int read_arguments(int argc, char **argv, struct migrate_options *ret)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            ret->command = &argv[i + 1];
            break;
        }
        if (strcmp(argv[i], "--dsn") == 0 && i + 1 < argc)
            ret->dsn = argv[++i];
        else if (strcmp(argv[i], "--region") == 0 && i + 1 < argc)
            ret->region = argv[++i];
        else if (strcmp(argv[i], "--standby") == 0 && i + 1 < argc &&
                 ret->standby_count < STANDBYS_MAX)
            ret->standbys[ret->standby_count++] = argv[++i];
        else if (strcmp(argv[i], "--lift-ingest") == 0)
            ret->lift_ingest = true;
        else
            return -RF_EUSAGE;
    }
    return ret->dsn != NULL && ret->command != NULL && ret->command[0] != NULL ? 0 : -RF_EUSAGE;
}

/* -- the command -- */

/* Interrupts from the terminal reach the command anyway; SIGTERM is passed on. */
static void hold_signals(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sigaction pass_on = { .sa_handler = on_terminate };
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGQUIT, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
    (void)sigaction(SIGTERM, &pass_on, NULL);
}

static void become(char **command, pid_t parent)
{
    static const int signals[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM };
    struct sigaction usual = { .sa_handler = SIG_DFL };
    for (size_t i = 0; i < RF_COUNT(signals); i++)
        (void)sigaction(signals[i], &usual, NULL);
    /* Without us nobody holds the lock: the command must not go on beside the next migrate. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_CANNOT_RUN);
    (void)execvp(command[0], command);
    (void)fprintf(stderr, "ringfence migrate: could not run %s: %s\n", command[0], strerror(errno));
    _exit(EXIT_CANNOT_RUN);
}

/* The status that a shell would give. */
static int run_command(char **command)
{
    int status = 0;
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        (void)fprintf(stderr, "ringfence migrate: could not start %s: %s\n", command[0],
                      strerror(errno));
        return EXIT_CANNOT_RUN;
    }
    if (pid == 0)
        become(command, parent);
    child_pid = pid;
    if (terminated) /* it came between the two */
        (void)kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    child_pid = 0;
    return WIFSIGNALED(status) ? EXIT_BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Before anything is taken away: is there such a program? */
static int find_program(const char *name, struct err *err)
{
    const char *path = getenv("PATH");
    char file[PATH_SIZE];
    if (strchr(name, '/') != NULL && access(name, X_OK) == 0)
        return 0;
    for (const char *at = path; strchr(name, '/') == NULL && at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ":");
        int n = snprintf(file, sizeof(file), "%.*s/%s", (int)len, at, name);
        if (n > 0 && (size_t)n < sizeof(file) && access(file, X_OK) == 0)
            return 0;
        at += len + (at[len] == ':');
    }
    return err_set(err, RF_EUSAGE, "there is no program \"%s\"", name);
}

/* -- bringing everything back -- */

/* The connection may have been lost in the long time that a migration can take. */
static int reconnect(struct database *db, const char *dsn, struct err *err)
{
    if (db->conn != NULL && database_run(db, "SELECT", NULL) == 0)
        return 0;
    database_close(db);
    int rc = database_open(db, dsn, APPLY_TIMEOUT_MS, err);
    return rc == 0 ? migrate_lock(db, err) : rc;
}

static void tell_mistakes(const struct command_context *context, struct database *db,
                          const struct policy_region *region)
{
    struct script script;
    script_init(&script);
    if (db->conn != NULL && apply_look(db, context->policy, region, &script, NULL) == -RF_ECONFIG)
        mistakes_print(&script.mistakes, stderr);
    script_done(&script);
}

/* 0, or the exit status of the error, told. */
static int bring_back(const struct command_context *context, struct database *db,
                      const struct policy_region *region, const struct migrate_options *options)
{
    struct err err = { 0 };
    size_t steps = 0;
    int rc = reconnect(db, options->dsn, &err);
    if (rc == 0)
        rc = apply_run(db, context->policy, region, &steps, &err);
    if (rc == 0) {
        if (!context->json)
            (void)printf("%s: applied, %zu changes\n", region->name, steps);
        return 0;
    }
    int status = command_fail(context, "migrate", &err);
    if (rc == -RF_ECONFIG)
        tell_mistakes(context, db, region);
    (void)fprintf(stderr,
                  "ringfence migrate: the views are not back, and persons stay out. Correct the"
                  " policy or the\n  database, then run: ringfence apply --region %s --dsn ...\n",
                  region->name);
    return status;
}

/* Sessions that are open on standbys have lost their views already. */
static int close_standbys(const struct migrate_options *options, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < options->standby_count && rc == 0; i++) {
        struct database standby = { 0 };
        rc = database_open(&standby, options->standbys[i], APPLY_TIMEOUT_MS, err);
        if (rc == 0)
            rc = migrate_end_sessions(&standby, err);
        database_close(&standby);
    }
    return rc;
}

static int migrate(const struct command_context *context, struct database *db,
                   const struct policy_region *region, const struct migrate_options *options,
                   struct err *err)
{
    size_t taken = 0;
    int status = 0;
    int rc = apply_check_rights(db, err);
    if (rc == 0)
        rc = migrate_lock(db, err);
    hold_signals();
    if (rc == 0)
        rc = migrate_clear(db, options->lift_ingest, &taken, err);
    if (rc < 0)
        return rc;
    struct err late = { 0 };
    if (migrate_await_persons(db, &late) < 0 || close_standbys(options, &late) < 0)
        status = command_fail(context, "migrate", &late);
    else if (terminated)
        status = EXIT_BY_SIGNAL + SIGTERM;
    else
        status = run_command(options->command);
    int applied = bring_back(context, db, region, options);
    if (context->json)
        (void)
            printf("{\"region\":\"%s\",\"taken_away\":%zu,\"command_status\":%d,\"applied\":%s}\n",
                   region->name, taken, status, applied == 0 ? "true" : "false");
    return status != 0 ? status : applied;
}

int command_migrate(const struct command_context *context, int argc, char **argv)
{
    struct migrate_options options = { 0 };
    struct database db = { 0 };
    struct err err = { 0 };
    const struct policy_region *region = NULL;
    if (read_arguments(argc, argv, &options) < 0)
        return command_usage(argv[0]);
    int rc = command_region(context, options.region, &region, &err);
    if (rc == 0)
        rc = find_program(options.command[0], &err);
    if (rc == 0)
        rc = database_open(&db, options.dsn, APPLY_TIMEOUT_MS, &err);
    if (rc == 0)
        rc = migrate(context, &db, region, &options, &err);
    database_close(&db);
    return rc < 0 ? command_fail(context, argv[0], &err) : rc;
}
