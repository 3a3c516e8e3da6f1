/* grant_hold.c - `ringfence hold`: say that the persons of a grant are to hear of it later; two
 * must. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/grantcommand.h"

enum { TIME_SIZE = sizeof("2026-11-30 17:05:00 UTC") };

/* A day, of which its beginning counts, or a moment; both of UTC, so that two people who sign the
   same words mean the same. */
static int read_until(const char *text, int64_t *ret, struct err *err)
{
    struct tm tm = { 0 };
    char day[TIME_SIZE] = "", moment[TIME_SIZE] = "";
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && *end != '\0')
        end = strptime(end, "T%H:%M:%SZ", &tm);
    if (end == NULL || *end != '\0' || strftime(day, sizeof(day), "%Y-%m-%d", &tm) == 0 ||
        strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 ||
        (strcmp(text, day) != 0 && strcmp(text, moment) != 0))
        return err_set(err, RF_EUSAGE,
                       "--until: expected a day such as 2027-01-31 or a time such as "
                       "2027-01-31T12:00:00Z");
    *ret = (int64_t)timegm(&tm);
    return 0;
}

static int print(const struct grant_session *s, const json_t *answer, struct err *err)
{
    json_int_t request = json_integer_value(json_object_get(answer, "request"));
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (request <= 0 || state == NULL)
        return err_set(err, RF_EPROTO, "the hub's answer lacks the request's number or state");
    if (s->context->json) {
        if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            return err_set(err, RF_ENOMEM, "out of memory for an answer");
        (void)putchar('\n');
        return 0;
    }
    (void)printf("the notices of request %" JSON_INTEGER_FORMAT " %s\n", request,
                 strcmp(state, "held") == 0 ? "are held back"
                                            : "are held back when another person says so, too");
    return 0;
}

static int hold(struct grant_session *s, struct err *err)
{
    struct command c = grant_command(s, COMMAND_HOLD);
    json_t *answer = NULL;
    if (s->arguments.until == NULL || s->arguments.reason == NULL)
        return err_set(err, RF_EUSAGE,
                       "until when, and why? say so with --until TIME and "
                       "--reason TEXT");
    c.request = s->arguments.request;
    c.reason = s->arguments.reason;
    int rc = read_until(s->arguments.until, &c.until_s, err);
    if (rc == 0)
        rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = print(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_hold(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_HOLD, argc, argv, hold);
}
