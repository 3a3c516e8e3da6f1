/* grant_answer.c - `ringfence approve` and `deny`: what is signed is made here, out of the text
 * that the requester signed, and nobody signs what he has not been shown. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cmd/grantcommand.h"
#include "sign/sshsig.h"

/* What a request says, and who signed it. */
struct asked {
    struct command command; /* borrows from `copy` */
    char copy[COMMAND_MAX + 1];
    const char *text; /* borrowed from the answer */
    struct ssh_key key;
};

/* The hub is not believed: only what the requester signed is. */
static int read_request(const struct grant_session *s, const json_t *one, struct asked *ret,
                        struct err *err)
{
    const char *signature = json_string_value(json_object_get(one, "signature"));
    struct err why = { 0 };
    ret->text = json_string_value(json_object_get(one, "text"));
    if (ret->text == NULL || signature == NULL)
        return err_set(err, RF_EPROTO, "the hub does not show what the requester signed");
    size_t n = strlen(ret->text);
    int rc = n <= COMMAND_MAX ? command_read(ret->text, n, ret->copy, &ret->command, &why)
                              : err_set(&why, RF_EPROTO, "it is longer than a command");
    if (rc == 0)
        rc = sshsig_verify(signature, strlen(signature), command_namespace(ret->command.verb),
                           ret->text, n, &ret->key, &why);
    if (rc < 0)
        return err_set(err, RF_EAUTH, "what the hub shows is not what a requester signed: %.250s",
                       why.line);
    if (ret->command.verb != COMMAND_REQUEST && ret->command.verb != COMMAND_BREAK_GLASS)
        return err_set(err, RF_EAUTH, "what the hub shows is no request, but \"%s\"",
                       command_verb_name(ret->command.verb));
    if (strcmp(ret->command.region, s->arguments.region) != 0)
        return err_set(err, RF_EAUTH, "what the hub shows is a request in another region");
    return 0;
}

static void show(const struct grant_session *s, const struct asked *asked, const json_t *one)
{
    const struct grant_arguments *a = &s->arguments;
    const char *state = json_string_value(json_object_get(one, "state"));
    char print[SSH_KEY_FINGERPRINT_SIZE];
    ssh_key_fingerprint(&asked->key, print);
    (void)fprintf(stderr, "Request %" PRIu64 " in ", a->request);
    grant_show(stderr, asked->command.region);
    (void)fputs(asked->command.verb == COMMAND_BREAK_GLASS ? ", by breaking the glass, of "
                                                           : ", of ",
                stderr);
    grant_show(stderr, asked->command.actor);
    (void)fprintf(stderr, ",\nsigned with the key %s, now ", print);
    grant_show(stderr, state != NULL ? state : "in no state");
    (void)fputs(":\n", stderr);
    grant_describe(stderr, &asked->command);
    (void)fputs("You, ", stderr);
    grant_show(stderr, a->actor);
    (void)fprintf(stderr, ", %s this", s->verb == COMMAND_APPROVE ? "approve" : "deny");
    if (a->reason != NULL) {
        (void)fputs(": ", stderr);
        grant_show(stderr, a->reason);
    }
    (void)fputs(".\n", stderr);
}

static int confirm(const struct grant_session *s, struct err *err)
{
    char answer[16] = "";
    if (s->arguments.is_sure)
        return 0;
    if (isatty(STDIN_FILENO) == 0)
        return err_set(err, RF_EUSAGE, "nobody is at the terminal to be asked: say --yes");
    (void)fputs("Sign it? [y/N] ", stderr);
    if (fgets(answer, sizeof(answer), stdin) != NULL &&
        (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
        return 0;
    return err_set(err, RF_EDENIED, "nothing was signed");
}

static int sign(struct grant_session *s, const json_t *one, struct err *err)
{
    static struct asked asked; /* large */
    char digest[65];
    struct command c;
    json_t *answer = NULL;
    int rc = read_request(s, one, &asked, err);
    if (rc < 0)
        return rc;
    show(s, &asked, one);
    rc = confirm(s, err);
    if (rc < 0)
        return rc;
    command_answer(&asked.command, asked.text, strlen(asked.text), s->verb, s->arguments.actor,
                   digest, &c);
    c.request = s->arguments.request;
    c.reason = s->arguments.reason;
    rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = grant_print_answer(s, answer, err);
    json_decref(answer);
    return rc;
}

static int vote(struct grant_session *s, struct err *err)
{
    json_t *answer = NULL, *one = NULL;
    if (s->verb == COMMAND_DENY && s->arguments.reason == NULL)
        return err_set(err, RF_EUSAGE, "why? say so with --reason TEXT");
    if (!s->arguments.is_sure && isatty(STDIN_FILENO) == 0) /* before anything is signed */
        return confirm(s, err);
    int rc = grant_look(s, s->arguments.request, &answer, &one, err);
    if (rc == 0)
        rc = sign(s, one, err);
    json_decref(answer);
    return rc;
}

int command_approve(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_APPROVE, argc, argv, vote);
}

int command_deny(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_DENY, argc, argv, vote);
}
