/* grant_consent.c - `ringfence consent give|withdraw|show`: what somebody has consented to on
 * paper, signed by whoever writes it down. */
#include <string.h>
#include <time.h>

#include "cmd/grantcommand.h"

enum { TIME_SIZE = sizeof("2026-11-30 17:05:00 UTC") };

static void print_time(const char *before, const json_t *seconds)
{
    char text[TIME_SIZE];
    time_t at = (time_t)json_integer_value(seconds);
    struct tm tm;
    if (at > 0 && gmtime_r(&at, &tm) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
        (void)printf("%s%s", before, text);
}

static void print_text(const json_t *of, const char *key)
{
    const char *text = json_string_value(json_object_get(of, key));
    grant_show(stdout, text != NULL ? text : "-");
}

static void print_one(const json_t *one)
{
    print_text(one, "purpose");
    (void)fputs(" version ", stdout);
    print_text(one, "version");
    print_time(" given ", json_object_get(one, "given"));
    print_time(", until ", json_object_get(one, "until"));
    print_time(", withdrawn ", json_object_get(one, "withdrawn"));
    (void)fputs(json_is_true(json_object_get(one, "parental")) ? ", by a parent, " : ", ", stdout);
    print_text(one, "source");
    (void)puts(json_is_true(json_object_get(one, "current")) ? ": holds" : ": does not hold");
}

static int print(const struct grant_session *s, const json_t *answer, struct err *err)
{
    const json_t *list = json_object_get(answer, "consents");
    bool is_whole = s->verb == COMMAND_CONSENT_SHOW
                        ? json_is_array(list)
                        : json_is_string(json_object_get(answer, "state"));
    if (!is_whole)
        return err_set(err, RF_EPROTO, "the hub's answer lacks what became of the consent");
    if (s->context->json) {
        if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            return err_set(err, RF_ENOMEM, "out of memory for an answer");
        (void)putchar('\n');
        return 0;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        print_one(json_array_get(list, i));
    if (s->verb == COMMAND_CONSENT_SHOW)
        return 0;
    (void)fputs("consent to ", stdout);
    print_text(answer, "purpose");
    (void)putchar(' ');
    print_text(answer, "state");
    print_time(", until ", json_object_get(answer, "until"));
    (void)putchar('\n');
    return 0;
}

static int send_consent(struct grant_session *s, struct err *err)
{
    const struct grant_arguments *a = &s->arguments;
    struct command c = grant_command(s, s->verb);
    json_t *answer = NULL;
    if (a->subject_count != 1)
        return err_set(err, RF_EUSAGE, "whose consent? name one person with --subject KEY");
    c.subjects[0] = a->subjects[0];
    c.subject_count = 1;
    c.purpose = a->purpose;
    c.version = a->version;
    c.reference = a->reference;
    c.parental = a->is_parental ? "yes" : NULL;
    int rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = print(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_consent(const struct command_context *context, int argc, char **argv)
{
    static const struct {
        const char *word;
        enum command_verb verb;
    } words[] = { { "give", COMMAND_CONSENT_GIVE },
                  { "withdraw", COMMAND_CONSENT_WITHDRAW },
                  { "show", COMMAND_CONSENT_SHOW } };
    for (size_t i = 0; argc > 1 && i < RF_COUNT(words); i++)
        if (strcmp(argv[1], words[i].word) == 0)
            return grant_run(context, words[i].verb, argc - 1, argv + 1, send_consent);
    return command_usage("consent");
}
