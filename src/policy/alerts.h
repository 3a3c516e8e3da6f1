/* alerts.h - what the policy says about when somebody should look at what others do: `alerts`.
 *
 *   alerts:                       # each rule by itself; one that is not there raises nothing
 *     repeated_subject: {looks: 3, days: 7}       # the same person, by anybody
 *     linked_subjects: {persons: 3, days: 7}      # by one actor; `subjects` of tables link them
 *     habit: {factor: 4, least: 20, days: 28, least_rows: 100000}
 *                                 # persons (and, with least_rows, rows) of a day
 *     hours: [{entities: [clipstream-us], departments: [], from: "07:00", until: "20:00",
 *              offset: "-05:00", days: mon-fri}]  # one of those that speak of him must hold
 *     new_place: {days: 28}
 *     denied: {per_day: 20, suspend: on}
 *     forged_token: {suspend: on}
 *
 * Each may say `suspend: on`. A forged token and a honey subject raise an alert whatever stands
 * here, and a honey subject suspends. */
#ifndef RF_POLICY_ALERTS_H
#define RF_POLICY_ALERTS_H

#include "policy/grants.h"

enum alert_rule {
    ALERT_NONE,
#define ALERT(ID, name, words) ALERT_##ID,
#include "policy/tbl/alert.def"
#undef ALERT
    ALERT_RULE_COUNT
};

enum { ALERTS_DAYS_MAX = 90, ALERTS_MINUTES_A_DAY = 24 * 60, ALERTS_WEEK = 7 };

struct policy_alert {
    int64_t count;  /* looks, persons, the habit's floor, refusals; 0: the rule is not there */
    int64_t days;   /* before the moment that is judged; new_place: 0: the rule is not there */
    int64_t factor; /* habit: times the median */
    int64_t rows;   /* habit: its floor for rows; 0: they are not looked at */
    bool suspends;
};

/* When those whom it speaks of usually look. */
struct policy_hours {
    struct policy_people who; /* entities and departments; no actors */
    int64_t from, until;      /* minutes of the day, `until` not in it */
    int64_t offset;           /* minutes ahead of UTC */
    uint32_t days;            /* bits 1 << 0, Monday, to 1 << 6 */
    bool suspends;
    unsigned line;
};

struct policy_alerts {
    struct policy_alert rules[ALERT_RULE_COUNT];
    struct policy_hours *hours;
    size_t hours_count;
    unsigned line; /* 0: there is no such key */
};

/* Does P say when RULE raises an alert? Of a forged token and a honey subject always. */
bool alerts_has(const struct policy_alerts *a, enum alert_rule rule);

const char *alerts_name(enum alert_rule rule);  /* "repeated_subject" */
const char *alerts_words(enum alert_rule rule); /* "one person looked at again and again" */

/* Of a table's subjects, those that are columns with a person's key. Two of them link persons. */
size_t alerts_keys_of(const struct policy_table *t);

#endif
