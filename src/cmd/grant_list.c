/* grant_list.c - `ringfence grants`, `revoke` and `review`: what there is, and what becomes of it.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cmd/grantcommand.h"

enum { DURATION_SIZE = 80, TIME_SIZE = sizeof("2026-11-30 17:05:00 UTC") };

/* ---- grants --------------------------------------------------------------------------------- */

static const char *text_of(const json_t *one, const char *key)
{
    const char *text = json_string_value(json_object_get(one, key));
    return text != NULL ? text : "-";
}

static json_int_t number_of(const json_t *one, const char *key)
{
    return json_integer_value(json_object_get(one, key));
}

static void print_classes(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        (void)fputs(i > 0 ? "," : "", stdout);
        grant_show(stdout, name != NULL ? name : "-");
    }
}

static void print_time(const char *before, json_int_t seconds)
{
    char text[TIME_SIZE];
    time_t at = (time_t)seconds;
    struct tm tm;
    if (seconds > 0 && gmtime_r(&at, &tm) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
        (void)printf(", %s %s", before, text);
}

/* ", 38 of 50 rows left", or what it will be. */
static void print_budget(const json_t *one)
{
    static const char *const units[] = { "rows", "bytes" };
    const json_t *budget = json_object_get(one, "budget"), *left = json_object_get(one, "left");
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (json_object_get(budget, units[i]) == NULL)
            continue;
        if (left != NULL)
            (void)printf(", %" JSON_INTEGER_FORMAT " of", number_of(left, units[i]));
        else
            (void)fputs(", at most", stdout);
        (void)printf(" %" JSON_INTEGER_FORMAT " %s%s", number_of(budget, units[i]), units[i],
                     left != NULL ? " left" : "");
    }
}

static void print_one(const json_t *one)
{
    char duration[DURATION_SIZE];
    json_int_t subjects = number_of(one, "subjects"), seconds = number_of(one, "seconds");
    (void)printf("%" JSON_INTEGER_FORMAT "\t", number_of(one, "request"));
    grant_show(stdout, text_of(one, "state"));
    (void)putchar('\t');
    grant_show(stdout, text_of(one, "requester"));
    (void)putchar('\t');
    print_classes(json_object_get(one, "classes"));
    (void)printf(" of %" JSON_INTEGER_FORMAT " %s for ", subjects,
                 subjects == 1 ? "person" : "persons");
    grant_show(stdout, text_of(one, "purpose"));
    if (json_object_get(one, "reference") != NULL) {
        (void)fputs(" (", stdout);
        grant_show(stdout, text_of(one, "reference"));
        (void)putchar(')');
    }
    (void)printf(", %s", grant_duration(seconds, duration, sizeof(duration)));
    print_time("until", number_of(one, "until"));
    print_time("notices held until", number_of(one, "held_until"));
    print_time("one of two asks to hold notices until", number_of(one, "hold_asked"));
    print_budget(one);
    (void)puts(json_is_true(json_object_get(one, "wanted")) ? "; you can approve it" : "");
}

/* The whole of what one request says, for whoever asks for it by its number. */
static void print_text(const json_t *one)
{
    static char copy[COMMAND_MAX + 1]; /* large */
    static struct command c;
    const char *text = json_string_value(json_object_get(one, "text"));
    size_t n = text != NULL ? strlen(text) : 0;
    if (n > 0 && n <= COMMAND_MAX && command_read(text, n, copy, &c, NULL) == 0)
        grant_describe(stdout, &c);
}

static void print_suspended(const json_t *suspended)
{
    for (size_t i = 0; i < json_array_size(suspended); i++) {
        const json_t *one = json_array_get(suspended, i);
        grant_show(stdout, text_of(one, "person"));
        (void)fputs(" is suspended (", stdout);
        grant_show(stdout, text_of(one, "reason"));
        (void)printf("); %" JSON_INTEGER_FORMAT " of two have said that it may end\n",
                     number_of(one, "votes"));
    }
}

static void print_alerts(const json_t *alerts)
{
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        const json_t *one = json_array_get(alerts, i);
        json_int_t times = number_of(one, "times"), request = number_of(one, "request");
        (void)printf("alert %" JSON_INTEGER_FORMAT ": ", number_of(one, "alert"));
        grant_show(stdout, text_of(one, "person"));
        (void)fputs(", ", stdout);
        grant_show(stdout, text_of(one, "rule"));
        if (request > 0)
            (void)printf(", request %" JSON_INTEGER_FORMAT, request);
        if (times > 1)
            (void)printf(", %" JSON_INTEGER_FORMAT " times", times);
        (void)putchar('\n');
    }
}

static int list(struct grant_session *s, struct err *err)
{
    struct command c = grant_command(s, COMMAND_GRANTS);
    json_t *answer = NULL;
    c.request = s->arguments.request;
    int rc = grant_send(s, &c, &answer, err);
    if (rc < 0)
        return rc;
    const json_t *requests = json_object_get(answer, "requests");
    if (!json_is_array(requests)) {
        rc = err_set(err, RF_EPROTO, "the hub's answer lacks the list of requests");
    } else if (s->context->json) {
        if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            rc = err_set(err, RF_ENOMEM, "out of memory for a list");
        (void)putchar('\n');
    } else {
        for (size_t i = 0; i < json_array_size(requests); i++) {
            print_one(json_array_get(requests, i));
            print_text(json_array_get(requests, i));
        }
        if (json_array_size(requests) == 0)
            (void)puts("no requests");
        print_suspended(json_object_get(answer, "suspended"));
        print_alerts(json_object_get(answer, "alerts"));
    }
    json_decref(answer);
    return rc;
}

int command_grants(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_GRANTS, argc, argv, list);
}

/* ---- revoke, review ------------------------------------------------------------------------- */

static int end(struct grant_session *s, struct err *err)
{
    struct command c = grant_command(s, s->verb);
    json_t *answer = NULL;
    c.request = s->arguments.request;
    c.reason = s->arguments.reason;
    c.verdict = s->arguments.verdict;
    int rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = grant_print_answer(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_revoke(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_REVOKE, argc, argv, end);
}

int command_review(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_REVIEW, argc, argv, end);
}
