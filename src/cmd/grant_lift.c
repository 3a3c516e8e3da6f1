/* grant_lift.c - `ringfence lift`: say that somebody's suspension may end; two others must. */
#include <string.h>

#include "cmd/grantcommand.h"

static int print(const struct grant_session *s, const json_t *answer, struct err *err)
{
    const char *person = json_string_value(json_object_get(answer, "person"));
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (person == NULL || state == NULL)
        return err_set(err, RF_EPROTO, "the hub's answer lacks the person or the state");
    if (s->context->json) {
        if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            return err_set(err, RF_ENOMEM, "out of memory for an answer");
        (void)putchar('\n');
        return 0;
    }
    grant_show(stdout, person);
    (void)puts(strcmp(state, "lifted") == 0 ? " may act again"
                                            : " is suspended until another person says so, too");
    return 0;
}

static int lift(struct grant_session *s, struct err *err)
{
    struct command c = grant_command(s, COMMAND_LIFT);
    json_t *answer = NULL;
    c.person = s->arguments.person;
    c.reason = s->arguments.reason;
    int rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = print(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_lift(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_LIFT, argc, argv, lift);
}
