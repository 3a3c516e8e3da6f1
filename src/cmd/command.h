/* command.h - the commands of the ringfence program: rows of tbl/command.def, each a function.
 *
 * ringfence.c reads the global options, loads what the row needs, and calls the function. A
 * function prints facts to standard output, complaints to standard error, and returns an exit
 * status. */
#ifndef RF_CMD_COMMAND_H
#define RF_CMD_COMMAND_H

#include <stdbool.h>

#include "policy/config.h"
#include "policy/policy.h"

/* DESIGN 12. err_exit_status() gives the same numbers for an error code. */
enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_REFUSED = 1,    /* refused or found wanting */
    COMMAND_USAGE = 2,      /* wrong usage, or files with mistakes */
    COMMAND_UNREADABLE = 3, /* could not reach or read */
    COMMAND_TAMPERED = 4
};

/* What is loaded before the function runs; with mistakes in it the function does not run. */
enum command_needs { COMMAND_NEEDS_NOTHING, COMMAND_NEEDS_CONFIG, COMMAND_NEEDS_POLICY };

/* Who may do it; the zero value is no authority at all, and such a row does not compile. */
enum command_authority {
    AUTHORITY_UNSET,
    AUTHORITY_ANYBODY, /* prints what is public or in the program itself */
    AUTHORITY_SIGNER,  /* whoever has a key that the policy lists: what he asks for is decided there
                        */
    AUTHORITY_OPERATOR, /* whoever can read the gateway's files */
    AUTHORITY_DBA       /* whoever holds the DSN of a database administrator */
};

struct command_context {
    const char *config_path;     /* -c, else $RF_CONFIG, else the installed path; never NULL */
    const struct config *config; /* NULL unless the row needs CONFIG or POLICY */
    const struct policy *policy; /* NULL unless the row needs POLICY */
    bool json;                   /* --json, before or after the command's name */
};

/* Print "ringfence NAME: LINE", the detail and the hint on standard error, and with --json also
   {"error":{"code":…,"line":…,"hint":…}} on standard output; returns the exit status of the error.
 */
struct err;
int command_fail(const struct command_context *context, const char *name, const struct err *err);

/* Print "usage: ringfence NAME ARGUMENTS" of that row on standard error; returns COMMAND_USAGE. */
int command_usage(const char *name);

/* S as a JSON string, with its quotes, on standard output. */
void command_print_json(const char *s);

/* The region that was named, or with NULL the only one that this gateway serves. */
struct policy_region;
int command_region(const struct command_context *context, const char *name,
                   const struct policy_region **ret, struct err *err);

/* Each function: ARGV[0] is the command's name; --json has been taken out. Returns enum
   command_exit. */
#define COMMAND(name, function, needs, authority, arguments, help) \
    int function(const struct command_context *context, int argc, char **argv);
#include "cmd/tbl/command.def"
#undef COMMAND

#endif
