/* grantcommand.h - what the commands about grants share: their options, how one is signed and
 * posted, and how what others wrote is shown at a terminal (docs/formats/commands.md). */
#ifndef RF_CMD_GRANTCOMMAND_H
#define RF_CMD_GRANTCOMMAND_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/command.h"
#include "sign/command.h"

/* tbl/grant_option.def; NULL and zero: not given. */
struct grant_arguments {
    const char *region, *actor, *identity, *hub, *ca;
    const char *by, *value, *purpose, *reference, *authority, *reason, *verdict, *person, *until;
    const char *subjects[COMMAND_LIST_MAX];
    size_t subject_count;
    const char *classes[COMMAND_LIST_MAX];
    size_t class_count;
    int64_t seconds;
    const char *version;
    bool is_waiting, is_sure, is_parental;
    uint64_t request;                    /* the number behind the command's name */
    const char *words[COMMAND_LIST_MAX]; /* TRACE: files and values */
    size_t word_count;
    char class_names[COMMAND_VALUE_MAX];
    char value_bytes[COMMAND_VALUE_MAX + 1], subject_bytes[COMMAND_LIST_MAX][COMMAND_VALUE_MAX + 1];
};

/* One run of one command. */
struct grant_session {
    const struct command_context *context;
    enum command_verb verb;
    struct grant_arguments arguments; /* region, actor, hub and ca are set */
    struct config *config;            /* NULL: it was not needed, or is not there */
    char login[64];
    char rule[64]; /* by which a command was refused; "": it was not */
    bool is_away;  /* the hub could not be reached, or could not answer: later it may */
};

/* Settle the arguments and run FN, which returns an exit status, or a negative code with ERR.
   Returns enum command_exit. */
typedef int grant_fn(struct grant_session *s, struct err *err);
int grant_run(const struct command_context *context, enum command_verb verb, int argc, char **argv,
              grant_fn *fn);

/* Options into *RET. -RF_EUSAGE, with a sentence in ERR. */
RF_CHECK int grant_read_arguments(enum command_verb verb, int argc, char **argv,
                                  struct grant_arguments *ret, struct err *err);

/* A command of the session's region and actor. */
struct command grant_command(const struct grant_session *s, enum command_verb verb);

/* Sign C, which lacks nonce and expiry, post it, and read the answer, which the caller owns.
   -RF_EDENIED, -RF_EAUTH: refused, s->rule says by what; -RF_EUNAVAIL and those of
   hubclient_post(). */
RF_CHECK int grant_send(struct grant_session *s, struct command *c, json_t **ret, struct err *err);

/* What is known of request N; *RET borrows from *RET_ANSWER, which the caller owns. */
RF_CHECK int grant_look(struct grant_session *s, uint64_t n, json_t **ret_answer, json_t **ret,
                        struct err *err);

/* Print request and state, as JSON or as a sentence. */
void grant_print_state(const struct grant_session *s, uint64_t request, const char *state);
/* Of an answer to anything but `find` and `grants`. -RF_EPROTO. */
RF_CHECK int grant_print_answer(const struct grant_session *s, const json_t *answer,
                                struct err *err);

/* TEXT on TO, in which nothing moves the terminal's cursor or turns its text around. */
void grant_show(FILE *to, const char *text);
/* The same into OUT, clipped. */
const char *grant_clean(const char *text, char *out, size_t size);

/* "8 hours" */
const char *grant_duration(int64_t seconds, char *out, size_t size);

/* Show in words what C asks for. */
void grant_describe(FILE *to, const struct command *c);

#endif
