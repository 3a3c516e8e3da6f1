/* grant_ask.c - `ringfence find`, `request` and `break-glass`. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/grantcommand.h"
#include "ledger/json.h"

enum {
    LOOK_MS = 2000,         /* between two looks while somebody waits */
    LOOK_SELDOM_MS = 10000, /* when he has waited for a minute */
    PATIENT_AFTER_MS = 60000,
    AWAY_MS = 120000, /* how long a hub may be away meanwhile */
    ANSWER_MAX = 1024
};

/* ---- find ----------------------------------------------------------------------------------- */

static int print_handle(const struct grant_session *s, const char *handle, struct err *err)
{
    char clean[100];
    struct buf b;
    int rc = 0;
    if (!s->context->json) {
        (void)printf("%s\n", grant_clean(handle, clean, sizeof(clean)));
        return 0;
    }
    buf_init(&b, ANSWER_MAX);
    struct json_writer w = json_begin(&b);
    json_text(&w, "handle", handle, strlen(handle));
    if (json_end(&w))
        (void)printf("%.*s\n", (int)buf_len(&b), (const char *)buf_at(&b));
    else
        rc = err_set(err, RF_EPROTO, "the hub's answer is too long for a handle");
    buf_done(&b);
    return rc;
}

static int find(struct grant_session *s, struct err *err)
{
    const struct grant_arguments *a = &s->arguments;
    struct command c = grant_command(s, COMMAND_FIND);
    json_t *answer = NULL;
    c.by = a->by;
    c.value = a->value;
    c.purpose = a->purpose;
    c.reference = a->reference;
    int rc = grant_send(s, &c, &answer, err);
    if (rc < 0)
        return rc;
    const char *handle = json_string_value(json_object_get(answer, "handle"));
    rc = handle != NULL ? print_handle(s, handle, err)
                        : err_set(err, RF_EPROTO, "the hub's answer lacks the handle");
    json_decref(answer);
    return rc;
}

int command_find_person(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_FIND, argc, argv, find);
}

/* ---- request, break-glass ------------------------------------------------------------------- */

static bool is_undecided(const char *state)
{
    return strcmp(state, "asked") == 0 || strcmp(state, "waiting") == 0 ||
           strcmp(state, "approved") == 0;
}

static void pause_ms(int64_t ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    (void)nanosleep(&t,
                    NULL); /* an interrupt ends the program; any other signal a look too early */
}

/* The state of request N when it is decided, in STATE. Each look is signed, too. */
static int wait_for(struct grant_session *s, uint64_t n, char *state, size_t size, struct err *err)
{
    int64_t began = clock_mono_ms(), heard = began;
    (void)fprintf(stderr,
                  "ringfence %s: request %llu waits for approvals; stop waiting with "
                  "Control-C, the request stays\n",
                  command_verb_name(s->verb), (unsigned long long)n);
    while (is_undecided(state)) {
        json_t *answer, *one;
        pause_ms(clock_mono_ms() - began < PATIENT_AFTER_MS ? LOOK_MS : LOOK_SELDOM_MS);
        int rc = grant_look(s, n, &answer, &one, err);
        if (rc < 0 && (!s->is_away || clock_mono_ms() - heard > AWAY_MS))
            return rc;
        if (rc < 0)
            continue;
        const char *now = json_string_value(json_object_get(one, "state"));
        heard = clock_mono_ms();
        (void)snprintf(state, size, "%s", now != NULL ? now : "");
        json_decref(answer);
    }
    return 0;
}

/* What was answered, and then what has become of it. An exit status. */
static int follow(struct grant_session *s, const json_t *answer, struct err *err)
{
    char state[64];
    json_int_t n = json_integer_value(json_object_get(answer, "request"));
    const char *first = json_string_value(json_object_get(answer, "state"));
    if (n <= 0 || first == NULL)
        return err_set(err, RF_EPROTO, "the hub's answer lacks the request's number or state");
    (void)snprintf(state, sizeof(state), "%s", first);
    int rc = s->arguments.is_waiting && is_undecided(state)
                 ? wait_for(s, (uint64_t)n, state, sizeof(state), err)
                 : 0;
    if (rc < 0)
        return rc;
    grant_print_state(s, (uint64_t)n, state);
    return !s->arguments.is_waiting || strcmp(state, "open") == 0 ? COMMAND_DONE : COMMAND_REFUSED;
}

static int ask(struct grant_session *s, struct err *err)
{
    const struct grant_arguments *a = &s->arguments;
    struct command c = grant_command(s, s->verb);
    json_t *answer = NULL;
    memcpy(c.subjects, a->subjects, sizeof(c.subjects));
    memcpy(c.classes, a->classes, sizeof(c.classes));
    c.subject_count = a->subject_count;
    c.class_count = a->class_count;
    c.purpose = a->purpose;
    c.reference = a->reference;
    c.authority = a->authority;
    c.seconds = a->seconds;
    c.reason = a->reason;
    int rc = grant_send(s, &c, &answer, err);
    if (rc < 0)
        return rc;
    rc = follow(s, answer, err);
    json_decref(answer);
    return rc;
}

int command_request(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_REQUEST, argc, argv, ask);
}

int command_break_glass(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_BREAK_GLASS, argc, argv, ask);
}
