/* grant_alert.c - `ringfence review-alert`: say what is to be thought of what raised an alert. */
#include <string.h>

#include "cmd/grantcommand.h"

static int print(const struct grant_session *s, const json_t *answer, struct err *err)
{
    json_int_t alert = json_integer_value(json_object_get(answer, "alert"));
    const char *verdict = json_string_value(json_object_get(answer, "verdict"));
    if (alert <= 0 || verdict == NULL)
        return err_set(err, RF_EPROTO, "the hub's answer lacks the alert or the verdict");
    if (s->context->json) {
        if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            return err_set(err, RF_ENOMEM, "out of memory for an answer");
        (void)putchar('\n');
        return 0;
    }
    (void)printf("alert %" JSON_INTEGER_FORMAT " is closed: ", alert);
    grant_show(stdout, verdict);
    (void)putchar('\n');
    return 0;
}

static int review(struct grant_session *s, struct err *err)
{
    struct command c = grant_command(s, COMMAND_REVIEW_ALERT);
    json_t *answer = NULL;
    c.alert = s->arguments.request;
    c.verdict = s->arguments.verdict;
    c.reason = s->arguments.reason;
    int rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = print(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_review_alert(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_REVIEW_ALERT, argc, argv, review);
}
