/* ringfence.c - the command line: find the command, load what it needs, let it run (ringfence(1)).
 *
 * Commands are rows of tbl/command.def; this file has only those that are about commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/command.h"
#include "policy/mistakes.h"
#include "policy/suggest.h"

#define INSTALLED_CONFIG "/etc/ringfence/ringfence.yaml"

/* A row of the table. */
struct row {
    const char *name;
    int (*run)(const struct command_context *context, int argc, char **argv);
    enum command_needs needs;
    enum command_authority authority;
    const char *arguments; /* "[--dsn DSN]", for the usage line */
    const char *help;      /* one line, lower case, no full stop */
};

#define COMMAND(name, function, needs, authority, arguments, help) \
    { name, function, COMMAND_NEEDS_##needs, AUTHORITY_##authority, arguments, help },
static const struct row commands[] = {
#include "cmd/tbl/command.def"
};
#undef COMMAND

#define COMMAND(name, function, needs, authority, arguments, help) \
    _Static_assert(AUTHORITY_##authority != AUTHORITY_UNSET, name " says who may run it");
#include "cmd/tbl/command.def"
#undef COMMAND

static const char *const authority_names[] = {
    [AUTHORITY_UNSET] = "nobody",
    [AUTHORITY_ANYBODY] = "anybody",
    [AUTHORITY_SIGNER] = "whoever signs with a key of the policy",
    [AUTHORITY_OPERATOR] = "operator",
    [AUTHORITY_DBA] = "database administrator",
};

static const struct row *command_find(const char *name)
{
    for (size_t i = 0; i < RF_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* -- for all commands -- */

void command_print_json(const char *s)
{
    (void)putchar('"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            (void)printf("\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            (void)printf("\\u%04x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('"');
}

int command_fail(const struct command_context *context, const char *name, const struct err *err)
{
    (void)fprintf(stderr, "ringfence %s: %s\n", name, err->line);
    if (err->detail[0] != '\0')
        (void)fprintf(stderr, "  %s\n", err->detail);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
    if (context->json) {
        (void)printf("{\"error\":{\"code\":\"%s\",\"line\":", err_name(err->code));
        command_print_json(err->line);
        (void)printf(",\"hint\":");
        command_print_json(err->hint);
        (void)printf("}}\n");
    }
    return err_exit_status(err->code);
}

int command_usage(const char *name)
{
    const struct row *c = command_find(name);
    RF_ASSERT(c != NULL);
    (void)fprintf(stderr, "usage: ringfence [-c FILE] [--json] %s%s%s\n", c->name,
                  c->arguments[0] != '\0' ? " " : "", c->arguments);
    return COMMAND_USAGE;
}

/* -- help and version -- */

static void print_usage(FILE *to)
{
    (void)fputs("usage: ringfence [-c FILE] [--json] COMMAND [ARGUMENT ...]\n\n", to);
    for (size_t i = 0; i < RF_COUNT(commands); i++)
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    (void)fputs("\nFILE is $RF_CONFIG, or " INSTALLED_CONFIG ", unless -c says otherwise.\n", to);
}

static void print_help_json(void)
{
    (void)fputs("{\"commands\":[", stdout);
    for (size_t i = 0; i < RF_COUNT(commands); i++) {
        (void)printf("%s{\"name\":", i > 0 ? "," : "");
        command_print_json(commands[i].name);
        (void)fputs(",\"arguments\":", stdout);
        command_print_json(commands[i].arguments);
        (void)fputs(",\"authority\":", stdout);
        command_print_json(authority_names[commands[i].authority]);
        (void)fputs(",\"help\":", stdout);
        command_print_json(commands[i].help);
        (void)putchar('}');
    }
    (void)fputs("]}\n", stdout);
}

/* Says which command was not found, and the nearest there is. */
static int unknown_command(const char *name)
{
    struct suggest s;
    suggest_begin(&s, name);
    for (size_t i = 0; i < RF_COUNT(commands); i++)
        suggest_offer(&s, commands[i].name);
    (void)fprintf(stderr, "ringfence: unknown command \"%s\"", name);
    if (s.best != NULL)
        (void)fprintf(stderr, "; did you mean \"%s\"?", s.best);
    (void)fputs("\nTry: ringfence help\n", stderr);
    return COMMAND_USAGE;
}

int command_help(const struct command_context *context, int argc, char **argv)
{
    if (argc > 2)
        return command_usage(argv[0]);
    if (argc == 2) {
        const struct row *c = command_find(argv[1]);
        if (c == NULL)
            return unknown_command(argv[1]);
        (void)printf("usage: ringfence [-c FILE] [--json] %s%s%s\n\n%s (for: %s)\n", c->name,
                     c->arguments[0] != '\0' ? " " : "", c->arguments, c->help,
                     authority_names[c->authority]);
        return COMMAND_DONE;
    }
    if (context->json)
        print_help_json();
    else
        print_usage(stdout);
    return COMMAND_DONE;
}

int command_version(const struct command_context *context, int argc, char **argv)
{
    if (argc > 1)
        return command_usage(argv[0]);
    (void)printf(context->json ? "{\"version\":\"%s\"}\n" : "ringfence %s\n", RF_VERSION);
    return COMMAND_DONE;
}

/* -- main -- */

static int with_mistakes(const struct command_context *context, const char *name, int rc,
                         const struct mistakes *mistakes)
{
    struct err err;
    mistakes_print(mistakes, stderr);
    (void)err_set(&err, (enum err_code) - rc, "the files of the gateway cannot be used");
    err_hint(&err, "run: ringfence -c %s check", context->config_path);
    return command_fail(context, name, &err);
}

static int run(const struct row *c, struct command_context *context, int argc, char **argv)
{
    struct config *config = NULL;
    struct policy *policy = NULL;
    struct mistakes mistakes;
    int rc = 0, status;
    mistakes_init(&mistakes);
    if (c->needs >= COMMAND_NEEDS_CONFIG)
        rc = config_load(context->config_path, &config, &mistakes);
    if (rc == 0 && c->needs >= COMMAND_NEEDS_POLICY)
        rc = policy_load(config->policy_path, &policy, &mistakes);
    if (rc == 0 && policy != NULL)
        rc = config_check_policy(config, policy, &mistakes);
    if (rc < 0) {
        status = with_mistakes(context, c->name, rc, &mistakes);
    } else {
        context->config = config;
        context->policy = policy;
        status = c->run(context, argc, argv);
    }
    mistakes_done(&mistakes);
    policy_free(policy);
    config_free(config);
    return status;
}

/* Take --json out of the arguments before "--"; the number that is left. */
static int take_json(int argc, char **argv, bool *ret_json)
{
    int kept = 0;
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            options = false;
        if (options && i > 0 && strcmp(argv[i], "--json") == 0)
            *ret_json = true;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

/* Options in front of the command; the index of the command, or -1 for wrong usage. --help and
   --version are the commands of those names. */
static int read_options(int argc, char **argv, struct command_context *context)
{
    static char help[] = "help", version[] = "version";
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            argv[i] = help;
            return i;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            argv[i] = version;
            return i;
        }
        if (strcmp(argv[i], "--json") == 0)
            context->json = true;
        else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            context->config_path = argv[++i];
        else
            return -1;
    }
    return -1;
}

int main(int argc, char **argv)
{
    const char *from_environment = getenv("RF_CONFIG");
    struct command_context context = {
        .config_path = from_environment != NULL && from_environment[0] != '\0' ? from_environment
                                                                               : INSTALLED_CONFIG,
    };
    int first = read_options(argc, argv, &context);
    if (first < 0) {
        print_usage(stderr);
        return COMMAND_USAGE;
    }
    const struct row *c = command_find(argv[first]);
    if (c == NULL)
        return unknown_command(argv[first]);
    argc = take_json(argc - first, argv + first, &context.json);
    int status = run(c, &context, argc, argv + first);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fputs("ringfence: could not write to standard output\n", stderr);
        return status == COMMAND_DONE ? COMMAND_UNREADABLE : status;
    }
    return status;
}
