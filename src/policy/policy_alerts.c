#include "policy/policy_alerts.h"

#include <stdio.h>
#include <string.h>

#include "policy/policy_check.h"
#include "policy/policy_grants.h"

enum {
    COUNT_MAX = 10000,
    ROWS_MAX = 1000000000,
    HABIT_DAYS = 28,
    HOURS_MAX = 200,
    PEOPLE_MAX = 300
};
enum { OFFSET_MAX = 14 * 60 }; /* minutes; no place on Earth is further from UTC */

#define ARRAY_AT(type, member, count) FIELD_AT(type, member), .count_offset = offsetof(type, count)
#define FIELDS(table)                 .fields = table, .field_count = RF_COUNT(table)
#define RULE_AT(ID, member)           FIELD_AT(struct policy_alerts, rules[ALERT_##ID].member)

const struct policy_alerts policy_alerts_initial = {
    .rules = { [ALERT_HABIT] = { .days = HABIT_DAYS }, [ALERT_HONEY] = { .suspends = true } },
};

static const struct {
    const char *name, *words;
} names[ALERT_RULE_COUNT] = {
    [ALERT_NONE] = { "", "" },
#define ALERT(ID, name, words) [ALERT_##ID] = { #name, words },
#include "policy/tbl/alert.def"
#undef ALERT
};

const char *alerts_name(enum alert_rule rule)
{
    return names[rule].name;
}

const char *alerts_words(enum alert_rule rule)
{
    return names[rule].words;
}

bool alerts_has(const struct policy_alerts *a, enum alert_rule rule)
{
    switch (rule) {
    case ALERT_FORGED_TOKEN:
    case ALERT_HONEY:
        return true;
    case ALERT_HOURS:
        return a->hours_count > 0;
    case ALERT_NEW_PLACE:
        return a->rules[rule].days > 0;
    default:
        return a->rules[rule].count > 0;
    }
}

size_t alerts_keys_of(const struct policy_table *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->subject_count; i++)
        count += t->subjects[i].through == NULL;
    return count;
}

/* -- one rule each -- */

static const struct field_word switch_words[] = { { "on", 1 }, { "off", 0 }, { NULL, 0 } };

#define SUSPEND(ID)                                                         \
    {                                                                       \
        "suspend", FIELD_WORD, RULE_AT(ID, suspends), .words = switch_words \
    }
#define NUMBER(key, ID, member, least, most)                                                 \
    {                                                                                        \
        key, FIELD_INTEGER, .required = true, RULE_AT(ID, member), .min = least, .max = most \
    }

static const struct field repeated_fields[] = {
    NUMBER("looks", REPEATED_SUBJECT, count, 2, COUNT_MAX),
    NUMBER("days", REPEATED_SUBJECT, days, 1, ALERTS_DAYS_MAX),
    SUSPEND(REPEATED_SUBJECT),
};
static const struct field_shape repeated_shape = { .what = "how often a person is looked at",
                                                   FIELDS(repeated_fields) };

static const struct field linked_fields[] = {
    NUMBER("persons", LINKED_SUBJECTS, count, 2, COUNT_MAX),
    NUMBER("days", LINKED_SUBJECTS, days, 1, ALERTS_DAYS_MAX),
    SUSPEND(LINKED_SUBJECTS),
};
static const struct field_shape linked_shape = { .what = "how many linked persons are looked at",
                                                 FIELDS(linked_fields) };

static const struct field habit_fields[] = {
    NUMBER("factor", HABIT, factor, 2, COUNT_MAX),
    NUMBER("least", HABIT, count, 1, COUNT_MAX),
    { "least_rows", FIELD_INTEGER, RULE_AT(HABIT, rows), .min = 1, .max = ROWS_MAX },
    { "days", FIELD_INTEGER, RULE_AT(HABIT, days), .min = 7, .max = ALERTS_DAYS_MAX },
    SUSPEND(HABIT),
};
static const struct field_shape habit_shape = { .what = "how much more than usual is too much",
                                                FIELDS(habit_fields) };

static const struct field place_fields[] = {
    NUMBER("days", NEW_PLACE, days, 1, ALERTS_DAYS_MAX),
    SUSPEND(NEW_PLACE),
};
static const struct field_shape place_shape = { .what = "for how long a place is known",
                                                FIELDS(place_fields) };

static const struct field denied_fields[] = {
    NUMBER("per_day", DENIED, count, 1, COUNT_MAX),
    SUSPEND(DENIED),
};
static const struct field_shape denied_shape = { .what = "how many refusals are too many",
                                                 FIELDS(denied_fields) };

static const struct field forged_fields[] = {
    { "suspend", FIELD_WORD, .required = true, RULE_AT(FORGED_TOKEN, suspends),
      .words = switch_words },
};
static const struct field_shape forged_shape = { .what = "what becomes of a forger",
                                                 FIELDS(forged_fields) };

/* -- hours -- */

static bool two_digits(const char *text, int64_t *ret)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *ret = (text[0] - '0') * 10 + (text[1] - '0');
    return true;
}

/* HH:MM and nothing behind it, in minutes. */
static bool clock_read(const char *text, int64_t *ret)
{
    int64_t hours, minutes;
    if (strlen(text) != 5 || text[2] != ':' || !two_digits(text, &hours) ||
        !two_digits(text + 3, &minutes) || minutes > 59)
        return false;
    *ret = hours * 60 + minutes;
    return true;
}

static void read_clock(struct field_reader *r, const struct field_at *at,
                       const struct yaml_node *node, int64_t *ret)
{
    char found[FIELD_FOUND_MAX];
    if (node->kind != YAML_TEXT || !clock_read(node->text, ret) || *ret > ALERTS_MINUTES_A_DAY)
        field_wrong(r, at, node->line, "expected a time from 00:00 to 24:00, found %s",
                    field_found(node, found));
}

static void read_from(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    read_clock(r, at, node, &((struct policy_hours *)record)->from);
}

static void read_until(struct field_reader *r, const struct field_at *at,
                       const struct yaml_node *node, void *record)
{
    read_clock(r, at, node, &((struct policy_hours *)record)->until);
}

static void read_offset(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct policy_hours *h = record;
    char found[FIELD_FOUND_MAX];
    const char *text = node->kind == YAML_TEXT ? node->text : "";
    int64_t minutes = 0;
    if ((text[0] == '+' || text[0] == '-') && clock_read(text + 1, &minutes) &&
        minutes <= OFFSET_MAX)
        h->offset = text[0] == '-' ? -minutes : minutes;
    else
        field_wrong(r, at, node->line,
                    "expected what local time is ahead of UTC, such as \"-05:00\", found %s",
                    field_found(node, found));
}

/* The day that TEXT begins with, from Monday, 0; -1: none. */
static int day_of(const char *text)
{
    static const char *const days[ALERTS_WEEK] = {
        "mon", "tue", "wed", "thu", "fri", "sat", "sun"
    };
    for (int i = 0; i < ALERTS_WEEK; i++)
        if (strncmp(days[i], text, 3) == 0)
            return i;
    return -1;
}

/* "mon-fri", "sun-thu", "mon,wed,sat-sun". 0: it is none of these. */
static uint32_t days_of(const char *text)
{
    uint32_t days = 0;
    for (;;) {
        int first = day_of(text), last = first;
        text += first >= 0 ? 3 : 0;
        if (first >= 0 && *text == '-') {
            last = day_of(++text);
            text += last >= 0 ? 3 : 0;
        }
        if (first < 0 || last < 0 || (*text != ',' && *text != '\0'))
            return 0;
        for (int day = first;; day = (day + 1) % ALERTS_WEEK) {
            days |= UINT32_C(1) << day;
            if (day == last)
                break;
        }
        if (*text++ == '\0')
            return days;
    }
}

static void read_days(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    struct policy_hours *h = record;
    char found[FIELD_FOUND_MAX];
    h->days = node->kind == YAML_TEXT ? days_of(node->text) : 0;
    if (h->days == 0)
        field_wrong(r, at, node->line, "expected days such as mon-fri or mon,wed,sat-sun, found %s",
                    field_found(node, found));
}

static const struct field hours_fields[] = {
    { "entities", FIELD_LIST, ARRAY_AT(struct policy_hours, who.entities, who.entity_count),
      .may_be_empty = true, .max = PEOPLE_MAX, .shape = &policy_entity_name_shape },
    { "departments", FIELD_LIST,
      ARRAY_AT(struct policy_hours, who.departments, who.department_count), .may_be_empty = true,
      .max = PEOPLE_MAX, .shape = &policy_department_name_shape },
    { "from", FIELD_OTHER, .required = true, .read = read_from },
    { "until", FIELD_OTHER, .required = true, .read = read_until },
    { "offset", FIELD_OTHER, .required = true, .read = read_offset },
    { "days", FIELD_OTHER, .required = true, .read = read_days },
    { "suspend", FIELD_WORD, FIELD_AT(struct policy_hours, suspends), .words = switch_words },
};
static const struct field_shape hours_shape = {
    .what = "when somebody usually looks",
    .size = sizeof(struct policy_hours),
    FIELDS(hours_fields),
    .line_offset = offsetof(struct policy_hours, line),
};

/* -- the whole -- */

static const struct field alerts_fields[] = {
    { "repeated_subject", FIELD_SECTION, .shape = &repeated_shape },
    { "linked_subjects", FIELD_SECTION, .shape = &linked_shape },
    { "habit", FIELD_SECTION, .shape = &habit_shape },
    { "hours", FIELD_LIST, ARRAY_AT(struct policy_alerts, hours, hours_count), .max = HOURS_MAX,
      .shape = &hours_shape },
    { "new_place", FIELD_SECTION, .shape = &place_shape },
    { "denied", FIELD_SECTION, .shape = &denied_shape },
    { "forged_token", FIELD_SECTION, .shape = &forged_shape },
};
static const struct field_shape alerts_shape = { .what = "what raises an alert",
                                                 FIELDS(alerts_fields) };
static const struct field alerts_field = { "alerts", FIELD_SECTION, .shape = &alerts_shape };

void policy_alerts_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct policy *p = record;
    p->alerts->line = node->line;
    field_read_value(r, at, &alerts_field, node, p->alerts);
}

static void check_links(struct field_reader *r, const struct policy *p)
{
    size_t tables = 0;
    for (size_t i = 0; i < p->table_count; i++)
        tables += alerts_keys_of(&p->tables[i]) > 1;
    if (alerts_has(p->alerts, ALERT_LINKED_SUBJECTS) && tables == 0)
        field_wrong(r, NULL, field_line_of(r, &p->alerts->rules[ALERT_LINKED_SUBJECTS].count),
                    "alerts.linked_subjects: no table has two persons' keys in a row, so nobody is "
                    "linked with anybody; name them in \"subjects\" of a table, or leave it out");
}

void policy_alerts_check(struct field_reader *r, const struct policy *p)
{
    const struct policy_alerts *a = p->alerts;
    if (a->line > 0 && p->grants->opened_by == GRANTS_BY_ADMINISTRATOR)
        field_wrong(r, NULL, a->line,
                    "alerts: nobody raises them where grants are opened by an administrator; say "
                    "\"grants: {opened_by: signatures}\", or leave it out");
    for (size_t i = 0; i < a->hours_count; i++)
        if (a->hours[i].days != 0 && a->hours[i].until <= a->hours[i].from)
            field_wrong(r, NULL, a->hours[i].line,
                        "alerts.hours[%zu]: \"until\" is not later than \"from\"; a night is two "
                        "entries, one until 24:00 and one from 00:00",
                        i);
    check_links(r, p);
}
