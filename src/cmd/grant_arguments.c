#include <string.h>

#include "cmd/grantcommand.h"
#include "tlog/line.h"

enum kind { KIND_TEXT, KIND_VALUE, KIND_SUBJECTS, KIND_CLASSES, KIND_DURATION, KIND_FLAG };

enum { SECONDS_MIN = 60, SECONDS_MAX = 31 * 24 * 60 * 60 };

#define VERB(id) (1u << COMMAND_##id)
static const struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t verbs;
} options[] = {
#define OPTION(name, kind, member, verbs) \
    { name, KIND_##kind, offsetof(struct grant_arguments, member), verbs },
#include "cmd/tbl/grant_option.def"
#undef OPTION
};

/* Commands that take the number of a request, or of an alert: must they have it? */
static const uint32_t numbered =
    VERB(APPROVE) | VERB(DENY) | VERB(REVOKE) | VERB(REVIEW) | VERB(REVIEW_ALERT) | VERB(HOLD);
static const uint32_t may_be_numbered = VERB(APPROVE) | VERB(DENY) | VERB(REVOKE) | VERB(REVIEW) |
                                        VERB(REVIEW_ALERT) | VERB(GRANTS) | VERB(HOLD);

/* Where the walk over the arguments is. */
struct walk {
    int argc, at;
    char **argv;
    struct grant_arguments *to;
    struct err *err;
};

static const struct option *option_find(const char *name, enum command_verb verb)
{
    for (size_t i = 0; i < RF_COUNT(options); i++)
        if (strcmp(options[i].name, name) == 0 && (options[i].verbs & 1u << verb) != 0)
            return &options[i];
    return NULL;
}

static char *next(struct walk *w)
{
    return w->at < w->argc ? w->argv[w->at++] : NULL;
}

/* Everybody on this machine can read the arguments of a process. */
static int take_secretly(struct walk *w, const struct option *o, char *from,
                         char to[COMMAND_VALUE_MAX + 1])
{
    size_t n = strlen(from);
    if (n > COMMAND_VALUE_MAX)
        return err_set(w->err, RF_EUSAGE, "%s: longer than %d bytes", o->name, COMMAND_VALUE_MAX);
    memcpy(to, from, n + 1);
    memset(from, '*', n);
    return 0;
}

static int read_from_input(struct walk *w, const struct option *o, char to[COMMAND_VALUE_MAX + 1])
{
    size_t n = fgets(to, COMMAND_VALUE_MAX + 1, stdin) != NULL ? strlen(to) : 0;
    if (n == 0 || to[n - 1] != '\n')
        return err_set(w->err, RF_EUSAGE,
                       "%s: expected one line of at most %d bytes on standard input", o->name,
                       COMMAND_VALUE_MAX - 1);
    to[n - 1] = '\0';
    return 0;
}

static int take_subjects(struct walk *w, const struct option *o)
{
    struct grant_arguments *a = w->to;
    size_t before = a->subject_count;
    while (w->at < w->argc && strncmp(w->argv[w->at], "--", 2) != 0) {
        if (a->subject_count == COMMAND_LIST_MAX)
            return err_set(w->err, RF_EUSAGE, "%s: at most %d persons at once", o->name,
                           COMMAND_LIST_MAX);
        char *to = a->subject_bytes[a->subject_count];
        int rc = take_secretly(w, o, w->argv[w->at++], to);
        if (rc < 0)
            return rc;
        a->subjects[a->subject_count++] = to;
    }
    return a->subject_count > before
               ? 0
               : err_set(w->err, RF_EUSAGE, "%s: expected keys of persons or handles", o->name);
}

static void add_class(struct grant_arguments *a, const char *name)
{
    if (a->class_count < COMMAND_LIST_MAX)
        a->classes[a->class_count++] = name;
}

/* In the policy's order; what it does not know goes behind, for the registrar to refuse. */
static int take_classes(struct walk *w, const struct option *o, const char *list)
{
    struct grant_arguments *a = w->to;
    const char *given[COMMAND_LIST_MAX];
    size_t count = 0;
    char *rest = NULL;
    int n = snprintf(a->class_names, sizeof(a->class_names), "%s", list);
    if (n < 0 || (size_t)n >= sizeof(a->class_names) || a->class_count > 0)
        return err_set(w->err, RF_EUSAGE, "%s: expected one list of classes, with commas between",
                       o->name);
    for (char *name = strtok_r(a->class_names, ",", &rest);
         name != NULL && count < COMMAND_LIST_MAX; name = strtok_r(NULL, ",", &rest))
        given[count++] = name;
    for (int id = CLASS_IDENTITY; id < CLASS_COUNT; id++)
        for (size_t i = 0; i < count; i++)
            if (given[i] != NULL && strcmp(given[i], policy_class_name((enum class_id)id)) == 0) {
                add_class(a, given[i]);
                given[i] = NULL;
            }
    for (size_t i = 0; i < count; i++)
        if (given[i] != NULL)
            add_class(a, given[i]);
    return 0;
}

static int take_duration(struct walk *w, const struct option *o, const char *text, int64_t *ret)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (strcmp(text + digits, units[i].name) != 0 ||
            !line_number((struct line){ text, digits }, &number) || number > SECONDS_MAX)
            continue;
        *ret = (int64_t)number * units[i].seconds;
        if (*ret >= SECONDS_MIN && *ret <= SECONDS_MAX)
            return 0;
    }
    return err_set(w->err, RF_EUSAGE,
                   "%s: expected a time such as 30m, 8h or 2d, from one minute "
                   "to 31 days",
                   o->name);
}

static int take_option(struct walk *w, const struct option *o)
{
    char *member = (char *)w->to + o->offset;
    if (o->kind == KIND_FLAG) {
        *(bool *)(void *)member = true;
        return 0;
    }
    if (o->kind == KIND_SUBJECTS)
        return take_subjects(w, o);
    char *value = next(w);
    if (value == NULL || strncmp(value, "--", 2) == 0) /* the next option stands in its place */
        return err_set(w->err, RF_EUSAGE, "%s: its value is missing", o->name);
    if (o->kind == KIND_CLASSES)
        return take_classes(w, o, value);
    if (o->kind == KIND_DURATION)
        return take_duration(w, o, value, (int64_t *)(void *)member);
    const char **text = (const char **)(void *)member;
    if (*text != NULL)
        return err_set(w->err, RF_EUSAGE, "%s: given twice", o->name);
    *text = value;
    if (o->kind != KIND_VALUE)
        return 0;
    *text = w->to->value_bytes;
    return strcmp(value, "-") == 0 ? read_from_input(w, o, w->to->value_bytes)
                                   : take_secretly(w, o, value, w->to->value_bytes);
}

static int take_number(struct walk *w, enum command_verb verb, const char *text)
{
    if ((may_be_numbered & 1u << verb) == 0 || w->to->request != 0)
        return err_set(w->err, RF_EUSAGE, "unexpected argument \"%.60s\"", text);
    if (!line_number((struct line){ text, strlen(text) }, &w->to->request) || w->to->request == 0)
        return err_set(w->err, RF_EUSAGE, "\"%.60s\" is no number of %s", text,
                       verb == COMMAND_REVIEW_ALERT ? "an alert" : "a request");
    return 0;
}

static int take_word(struct walk *w, const char *text)
{
    if (w->to->word_count == COMMAND_LIST_MAX)
        return err_set(w->err, RF_EUSAGE, "at most %d files and values at once", COMMAND_LIST_MAX);
    w->to->words[w->to->word_count++] = text;
    return 0;
}

int grant_read_arguments(enum command_verb verb, int argc, char **argv, struct grant_arguments *ret,
                         struct err *err)
{
    struct walk w = { .argc = argc, .at = 1, .argv = argv, .to = ret, .err = err };
    int rc = 0;
    for (char *word; rc == 0 && (word = next(&w)) != NULL;) {
        const struct option *o = option_find(word, verb);
        if (o != NULL)
            rc = take_option(&w, o);
        else if (verb == COMMAND_TRACE && (word[0] != '-' || word[1] == '\0'))
            rc = take_word(&w, word);
        else if (word[0] == '-')
            rc = err_set(err, RF_EUSAGE, "there is no option \"%.60s\" here", word);
        else
            rc = take_number(&w, verb, word);
    }
    if (rc == 0 && (numbered & 1u << verb) != 0 && ret->request == 0)
        rc = err_set(err, RF_EUSAGE, "which %s? give its number",
                     verb == COMMAND_REVIEW_ALERT ? "alert" : "request");
    return rc;
}
