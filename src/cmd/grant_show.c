/* What others wrote is shown to whoever signs it: nothing in it may hide another part, so that
 * controls, invisible characters and those that turn text around are written as U+202E. */
#include <inttypes.h>
#include <string.h>

#include "cmd/grantcommand.h"
#include "ledger/json.h"
#include "tlog/line.h"

enum { SHOWN_MAX = COMMAND_VALUE_MAX * 8, DURATION_SIZE = 80, ANSWER_MAX = 4096 };

/* Unicode 15: categories Cc and Cf, the line and paragraph separators, and what is not text. */
static bool is_visible(int32_t code)
{
    static const struct {
        int32_t first, last;
    } hidden[] = { { 0, 0x1f },        { 0x7f, 0x9f },     { 0xad, 0xad },      { 0x600, 0x605 },
                   { 0x61c, 0x61c },   { 0x6dd, 0x6dd },   { 0x70f, 0x70f },    { 0x180e, 0x180e },
                   { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },  { 0xfe00, 0xfe0f },
                   { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff } };
    for (size_t i = 0; i < RF_COUNT(hidden); i++)
        if (code >= hidden[i].first && code <= hidden[i].last)
            return false;
    return true;
}

/* Blanks that a terminal may break a line at, or that only look like one: several would let the end
   of a value begin a line, as if it were another row. */
static bool is_other_blank(int32_t code)
{
    return code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x202f ||
           code == 0x205f || code == 0x2800 || code == 0x3000 || code == 0x3164 || code == 0xffa0 ||
           code == 0x115f || code == 0x1160;
}

const char *grant_clean(const char *text, char *out, size_t size)
{
    struct line rest = { text, strlen(text) };
    size_t at = 0;
    int32_t code = 0;
    out[0] = '\0';
    while (rest.len > 0) {
        size_t n = 1;
        bool is_behind_blank = code == ' ';
        code = line_code_point(rest, &n);
        char piece[16];
        if (code < 0)
            (void)snprintf(piece, sizeof(piece), "?");
        else if (!is_visible(code) || is_other_blank(code) || (is_behind_blank && code == ' '))
            (void)snprintf(piece, sizeof(piece), "U+%04X", (unsigned)code);
        else
            (void)snprintf(piece, sizeof(piece), "%.*s", (int)n, rest.at);
        size_t len = strlen(piece);
        if (at + len >= size)
            break;
        memcpy(out + at, piece, len + 1);
        at += len;
        rest.at += n;
        rest.len -= n;
    }
    return out;
}

void grant_show(FILE *to, const char *text)
{
    char clean[SHOWN_MAX + 1];
    (void)fputs(grant_clean(text, clean, sizeof(clean)), to);
}

const char *grant_duration(int64_t seconds, char *out, size_t size)
{
    static const struct {
        int64_t seconds;
        const char *one, *many;
    } units[] = { { 86400, "day", "days" },
                  { 3600, "hour", "hours" },
                  { 60, "minute", "minutes" },
                  { 1, "second", "seconds" } };
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < RF_COUNT(units) && at < size; i++) {
        int64_t n = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (n > 0)
            at += (size_t)snprintf(out + at, size - at, "%s%" PRId64 " %s", at > 0 ? " " : "", n,
                                   n == 1 ? units[i].one : units[i].many);
    }
    return out;
}

static void row(FILE *to, const char *label, const char *value)
{
    if (value == NULL)
        return;
    (void)fprintf(to, "  %-11s", label);
    grant_show(to, value);
    (void)fputc('\n', to);
}

void grant_describe(FILE *to, const struct command *c)
{
    char duration[DURATION_SIZE];
    for (size_t i = 0; i < c->class_count; i++)
        row(to, i == 0 ? "to see" : "", c->classes[i]);
    for (size_t i = 0; i < c->subject_count; i++)
        row(to, i == 0 ? "of" : "", c->subjects[i]);
    row(to, "for", c->purpose);
    row(to, "reference", c->reference);
    row(to, "authority", c->authority);
    row(to, "during", grant_duration(c->seconds, duration, sizeof(duration)));
    row(to, "because", c->reason);
}

/* ---- states --------------------------------------------------------------------------------- */

static const char *sentence_of(const char *state)
{
    static const char *const sentences[][2] = {
        { "asked", "is being put on record" },
        { "waiting", "waits for approvals" },
        { "approved", "is approved and opens in a moment" },
        { "open", "is open" },
        { "denied", "has been denied" },
        { "lapsed", "has lapsed: it was not approved in time" },
        { "withdrawn", "has been withdrawn" },
        { "expired", "is over: its time has run out" },
        { "revoked", "has been revoked" },
        { "used_up", "is over: it has been used up" },
    };
    for (size_t i = 0; i < RF_COUNT(sentences); i++)
        if (strcmp(state, sentences[i][0]) == 0)
            return sentences[i][1];
    return NULL;
}

/* Whoever asks gets the number for his script, and the sentence for himself. */
static FILE *for_people(const struct grant_session *s, uint64_t request)
{
    if (s->verb != COMMAND_REQUEST && s->verb != COMMAND_BREAK_GLASS)
        return stdout;
    (void)printf("{\"request\":%" PRIu64 "}\n", request);
    (void)fflush(stdout);
    return stderr;
}

void grant_print_state(const struct grant_session *s, uint64_t request, const char *state)
{
    const char *sentence = sentence_of(state);
    char clean[64];
    if (s->context->json) {
        struct buf b;
        buf_init(&b, ANSWER_MAX);
        struct json_writer w = json_begin(&b);
        json_number(&w, "request", request);
        json_text(&w, "state", state, strlen(state));
        if (json_end(&w))
            (void)printf("%.*s\n", (int)buf_len(&b), (const char *)buf_at(&b));
        buf_done(&b);
    } else if (sentence != NULL) {
        (void)fprintf(for_people(s, request), "request %" PRIu64 " %s\n", request, sentence);
    } else {
        (void)fprintf(for_people(s, request), "request %" PRIu64 " is \"%s\"\n", request,
                      grant_clean(state, clean, sizeof(clean)));
    }
}

int grant_print_answer(const struct grant_session *s, const json_t *answer, struct err *err)
{
    json_int_t request = json_integer_value(json_object_get(answer, "request"));
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (request <= 0 || state == NULL)
        return err_set(err, RF_EPROTO, "the hub's answer lacks the request's number or state");
    grant_print_state(s, (uint64_t)request, state);
    return 0;
}
