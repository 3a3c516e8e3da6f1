/* logcommand.h - the verbs of `ringfence log`, and what those that read public logs share. */
#ifndef RF_CMD_LOGCOMMAND_H
#define RF_CMD_LOGCOMMAND_H

#include <limits.h>

#include "auth/auditors.h"
#include "cmd/command.h"
#include "tlog/trust.h"
#include "verify/verify.h"

enum { LOG_SOURCES_MAX = 16, LOG_NAMES_MAX = 32 };

/* Everything that a verb on a public log may be told. Strings are the command line's. */
struct log_arguments {
    const char *verb;
    const char *words[LOG_SOURCES_MAX]; /* what is no option: URL|DIR …, INDEX */
    unsigned word_count;
    struct key keys[LOG_SOURCES_MAX];
    unsigned key_count;
    const char *witnesses, *claims, *policies, *out, *entry, *check, *type, *seed, *state_dir, *vrf;
    const char *token_file;
    char token[AUDITORS_TOKEN_MAX + 1]; /* its content */
    struct source_access access;
    const char *own[LOG_NAMES_MAX];
    unsigned own_count;
    const char *remember; /* NULL: the user's state folder */
    bool forget, follow;
    uint64_t max_age_s, from, count;
    bool has_from, has_count;
};

/* One verb; ARGV[0] is "log". Returns enum command_exit. */
typedef int log_verb_fn(const struct command_context *context, const struct log_arguments *a);
log_verb_fn log_verify, log_show_public, log_tail_public, log_prove, log_export, log_claims,
    log_audit, log_verify_claim;

/* The journal's verbs (log_journal.c), with arguments of their own. */
int log_journal(const struct command_context *context, int argc, char **argv);
int log_erase(const struct command_context *context, int argc, char **argv);
/* The state folder that was named, or the configuration's. */
RF_CHECK int log_find_state(const struct command_context *context, const char *state_dir,
                            char ret[PATH_MAX], struct err *err);

/* ---- shared (log_shared.c) ---- */

/* The policy of trust and what else says who witnesses; *RET_TRUST is freed with mem_free(). */
RF_CHECK int log_witnessing(const struct log_arguments *a, struct trust **ret_trust,
                            struct witnessing_options *ret, struct err *err);
/* Verify one log: remembers and forgets as told. */
RF_CHECK int log_verify_one(const struct log_arguments *a, struct source *from,
                            struct verify_options *options, struct verify_report *report,
                            struct err *err);
/* Findings on standard error, a line each: "WHERE/FILE, leaf N: TEXT". */
void log_print_findings(const char *where, const struct findings *f);
/* `"findings":[…]` on standard output. */
void log_print_findings_json(const struct findings *f);
/* A line that replaces itself on a terminal, none elsewhere. */
verify_progress_fn log_progress;
void log_progress_end(void);
/* The key among A's that WHERE's checkpoint names, or the only one. */
RF_CHECK int log_key_for(const struct log_arguments *a, struct source *from, const struct key **ret,
                         struct err *err);
void log_hex(const uint8_t digest[DIGEST_LEN]);

#endif
