/* policy_grants_check.c - what is wrong with `grants` although every key is well-formed.
 *
 * A rule that nobody could ever meet is a mistake, because people would find out when somebody is
 * in need. Could anybody? For at least one person who may ask, in at least one region, there must
 * be approvers for every place: persons with a key, based at home, outside his chain of command and
 * department. In a policy where nobody has a key yet, keys are not looked at: it is a draft. */
#include "policy/policy_grants.h"

#include <stdio.h>
#include <string.h>

#include "policy/approval.h"
#include "policy/seats.h"
#include "policy/suggest.h"

/* Of a rule, of a key in it, of a group there. */
enum { RULE_TEXT_MAX = 80, KEY_TEXT_MAX = 120, PLACE_TEXT_MAX = 160, WHY_TEXT_MAX = 300 };

/* -- single keys -- */

static void check_opened_by(struct field_reader *r, const struct policy_grants *g)
{
    const struct {
        const char *key;
        bool is_there;
        const void *member;
    } keys[] = {
        { "rules", g->rule_count > 0, &g->rules },
        { "break_glass", g->has_break_glass, &g->break_glass.purposes },
        { "sensitive", g->sensitive_count > 0, &g->sensitive },
        { "bound", g->bound_count > 0, &g->bound },
        { "honey", g->honey_count > 0, &g->honey },
        { "denials", g->denials_per_day > 0, &g->denials_per_day },
        { "subjects_per_day", g->subjects_per_day > 0, &g->subjects_per_day },
        { "refused_authorities", g->refused_authority_count > 0, &g->refused_authorities },
        { "notices", field_line_of(r, &g->is_silent) > 0, &g->is_silent },
        { "notices", field_line_of(r, &g->hold_ms) > 0, &g->hold_ms },
    };
    for (size_t i = 0; g->opened_by == GRANTS_BY_ADMINISTRATOR && i < RF_COUNT(keys); i++)
        if (keys[i].is_there)
            field_wrong(
                r, NULL, field_line_of(r, keys[i].member),
                "grants.%s: nobody looks at it where grants are opened by an administrator; "
                "say \"opened_by: signatures\", or leave it out",
                keys[i].key);
}

static bool is_finder_word(const char *by, const char **ret_near)
{
    static const char *const words[] = { "email", "phone", "handle" };
    struct suggest s;
    suggest_begin(&s, by);
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        if (strcmp(words[i], by) == 0)
            return true;
        suggest_offer(&s, words[i]);
    }
    *ret_near = s.best;
    return false;
}

static void check_bound(struct field_reader *r, const struct policy *p,
                        const struct policy_bound *b)
{
    struct suggest s;
    if (b->purpose == NULL) /* told already */
        return;
    suggest_begin(&s, b->purpose);
    for (size_t i = 0; i < p->purpose_count; i++) {
        if (strcmp(p->purposes[i], b->purpose) == 0)
            return;
        suggest_offer(&s, p->purposes[i]);
    }
    field_wrong(r, NULL, b->line, "grants.bound: \"%s\" is not a purpose of this policy%s%s%s",
                b->purpose, s.best != NULL ? "; did you mean \"" : "", s.best != NULL ? s.best : "",
                s.best != NULL ? "\"?" : "");
}

static bool has_column(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return true;
    return false;
}

static void check_finder(struct field_reader *r, const struct policy *p,
                         const struct policy_finder *f)
{
    const char *near = NULL;
    if (!is_finder_word(f->by, &near))
        field_wrong(r, NULL, f->line,
                    "grants.find.by: expected email, phone or handle, found \"%s\"%s%s%s", f->by,
                    near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                    near != NULL ? "\"?" : "");
    if (f->column == NULL) /* told already */
        return;
    const struct policy_table *t = policy_table_find(p, f->schema, f->table);
    if (t == NULL)
        field_wrong(r, NULL, f->line, "grants.find.by.%s: %s.%s is not among the tables", f->by,
                    f->schema, f->table);
    else if (!has_column(t, f->column))
        field_wrong(r, NULL, f->line, "grants.find.by.%s: table %s.%s has no column \"%s\"", f->by,
                    f->schema, f->table, f->column);
    else if (t->subject == NULL)
        field_wrong(r, NULL, f->line,
                    "grants.find.by.%s: a row of %s.%s does not say whose it is: \"subject\" is "
                    "missing there",
                    f->by, f->schema, f->table);
}

static void check_people(struct field_reader *r, const struct policy_people *people,
                         const char *place)
{
    for (size_t i = 0; i < people->actor_count; i++)
        if (people->actors[i] != NULL && people->actors[i]->kind == ACTOR_SERVICE)
            field_wrong(r, NULL, field_line_of(r, &people->actors[i]),
                        "%s.actors: \"%s\" is a service; grants are for persons and by persons",
                        place, people->actors[i]->name);
}

static void check_groups(struct field_reader *r, const struct policy_approvers *groups,
                         size_t count, const char *place)
{
    char here[PLACE_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(here, sizeof(here), "%s[%zu]", place, i);
        check_people(r, &groups[i].who, here);
    }
}

static void check_budget(struct field_reader *r, const struct policy_grant_rule *rule,
                         const char *place)
{
    if (rule->budget_line != 0 && rule->budget_rows == 0 && rule->budget_bytes == 0 && !r->wrong)
        field_wrong(r, NULL, rule->budget_line,
                    "%s.budget: expected rows, bytes or both; without a limit leave it out", place);
}

/* A request at the limit of the rule could never open. */
static void check_per_day(struct field_reader *r, const struct policy_grants *g,
                          const struct policy_grant_rule *rule, const char *place)
{
    if (g->subjects_per_day > 0 && rule->subjects > g->subjects_per_day)
        field_wrong(r, NULL, field_line_of(r, &g->subjects_per_day),
                    "grants.subjects_per_day: expected at least %lld, as many as one request may "
                    "name by %s, found %lld",
                    (long long)rule->subjects, place, (long long)g->subjects_per_day);
}

static void check_rule(struct field_reader *r, const struct policy_grant_rule *rule,
                       const char *place, const char *approvers)
{
    char here[KEY_TEXT_MAX];
    (void)snprintf(here, sizeof(here), "%s.ask", place);
    check_people(r, &rule->ask, here);
    (void)snprintf(here, sizeof(here), "%s.%s", place, approvers);
    check_groups(r, rule->approvers, rule->approver_count, here);
    check_budget(r, rule, place);
}

/* Whoever breaks the glass is named, and it is for emergencies only. */
static void check_glass(struct field_reader *r, const struct policy_grant_rule *glass)
{
    const struct policy_people *ask = &glass->ask;
    check_rule(r, glass, "grants.break_glass", "reviewers");
    if (ask->entity_count + ask->department_count + ask->actor_count == 0)
        field_wrong(
            r, NULL, glass->line,
            "grants.break_glass.ask: expected entities, departments or actors: not everybody"
            " may break the glass");
    for (size_t i = 0; i < glass->purpose_count; i++) {
        const char *purpose = glass->purposes[i];
        if (purpose != NULL && strcmp(purpose, "security_incident") != 0 &&
            strcmp(purpose, "child_safety") != 0)
            field_wrong(r, NULL, field_line_of(r, &glass->purposes[i]),
                        "grants.break_glass.purposes: expected security_incident or child_safety, "
                        "found \"%s\"",
                        purpose);
    }
}

static void rule_place(const struct policy_grant_rule *rule, char out[RULE_TEXT_MAX])
{
    (void)snprintf(out, RULE_TEXT_MAX, "grants.rules.%s", rule->name);
}

static void check_rules(struct field_reader *r, const struct policy_grants *g)
{
    char place[RULE_TEXT_MAX];
    for (size_t i = 0; i < g->rule_count; i++) {
        rule_place(&g->rules[i], place);
        if (strcmp(g->rules[i].name, g->break_glass.name) == 0)
            field_wrong(r, NULL, g->rules[i].line, "%s: this name is reserved", place);
        check_rule(r, &g->rules[i], place, "approvers");
        check_per_day(r, g, &g->rules[i], place);
    }
    if (g->has_break_glass) {
        check_glass(r, &g->break_glass);
        check_per_day(r, g, &g->break_glass, "grants.break_glass");
    }
    check_groups(r, g->sensitive_approvers, g->sensitive_approver_count,
                 "grants.sensitive.approvers");
}

/* -- can it be met? -- */

struct staff {
    const struct policy *policy;
    bool has_keys; /* at least one person has */
};

static bool is_home_anywhere(const struct policy *p, const struct policy_actor *a)
{
    for (size_t i = 0; i < p->region_count; i++)
        if (policy_is_home(&p->regions[i], a->place))
            return true;
    return false;
}

static bool can_sign(const struct staff *s, const struct policy_actor *a)
{
    return a->kind == ACTOR_PERSON && !a->suspended && (a->key_count > 0 || !s->has_keys);
}

/* Are there COUNT of PEOPLE, whoever asks? Tells at which question they become too few. */
static bool check_number(struct field_reader *r, const struct staff *s,
                         const struct policy_people *people, int64_t count, bool is_anywhere,
                         unsigned line, const char *place)
{
    static const char *const words[] = {
        "fit it", "who fit it are not suspended", "who fit it have a key",
        "who fit it, with a key, are based in the home of a region"
    };
    int64_t left[RF_COUNT(words)] = { 0 };
    size_t stage = 0;
    for (size_t i = 0; i < s->policy->actor_count; i++) {
        const struct policy_actor *a = &s->policy->actors[i];
        bool fits = a->kind == ACTOR_PERSON && seats_fit(people, a);
        bool signs = fits && can_sign(s, a);
        left[0] += fits;
        left[1] += fits && !a->suspended;
        left[2] += signs;
        left[3] += signs && (is_anywhere || is_home_anywhere(s->policy, a));
    }
    while (stage < RF_COUNT(words) && left[stage] >= count)
        stage++;
    if (stage == RF_COUNT(words))
        return true;
    field_wrong(r, NULL, line, "%s: nobody could ever meet it: %lld needed, and %lld %s", place,
                (long long)count, (long long)left[stage], words[stage]);
    return false;
}

static bool check_numbers(struct field_reader *r, const struct staff *s,
                          const struct policy_approvers *groups, size_t count, const char *place)
{
    char here[PLACE_TEXT_MAX];
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(here, sizeof(here), "%s[%zu]", place, i);
        good = check_number(r, s, &groups[i].who, groups[i].count,
                            s->policy->grants->approvers_anywhere, groups[i].line, here) &&
               good;
    }
    return good;
}

/* The best that could be: who asks where, and the places that are filled then. */
struct trial {
    struct grant_ask ask;
    struct seats seats;
};

static void fill(const struct staff *s, const struct policy_grant_rule *rule, struct trial *t)
{
    seats_add(&t->seats, rule->approvers, rule->approver_count);
    for (size_t i = 0; i < s->policy->actor_count && seats_empty(&t->seats) > 0; i++) {
        struct grant_vote vote = { .actor = &s->policy->actors[i],
                                   .is_from_home = true,
                                   .is_approval = true };
        if (can_sign(s, vote.actor) &&
            approval_may_vote(s->policy, &t->ask, rule, &vote, NULL, 0) == REFUSAL_NONE)
            (void)seats_take(&t->seats, vote.actor);
    }
}

/* Whoever may ask, in every region, until one of them has all his approvers. */
static bool find_trial(const struct staff *s, const struct policy_grant_rule *rule,
                       struct trial *best)
{
    const struct policy *p = s->policy;
    best->ask.actor = NULL;
    for (size_t i = 0; i < p->actor_count * p->region_count; i++) {
        struct trial t = { .ask = { .region = &p->regions[i % p->region_count],
                                    .actor = &p->actors[i / p->region_count] } };
        if (!can_sign(s, t.ask.actor) || !seats_fit(&rule->ask, t.ask.actor) ||
            (!rule->ask.anywhere && !policy_is_home(t.ask.region, t.ask.actor->place)))
            continue;
        fill(s, rule, &t);
        if (best->ask.actor == NULL || seats_empty(&t.seats) < seats_empty(&best->seats))
            *best = t;
        if (seats_empty(&best->seats) == 0)
            return true;
    }
    return false;
}

/* "2 are in his chain of command, 1 sits in another group": about those who fit GROUP. */
static void say_why(const struct staff *s, const struct policy_grant_rule *rule,
                    const struct trial *t, const struct policy_approvers *group,
                    char out[WHY_TEXT_MAX])
{
    static const struct {
        enum grant_refusal refusal;
        const char *words;
    } reasons[] = { { REFUSAL_APPROVER_REQUESTER, "it is himself" },
                    { REFUSAL_APPROVER_ABROAD, "not at home there" },
                    { REFUSAL_APPROVER_CHAIN, "in his chain of command" },
                    { REFUSAL_APPROVER_DEPARTMENT, "of his department or of none" },
                    { REFUSAL_NONE, "taken, here or in another group" } };
    size_t counts[RF_COUNT(reasons)] = { 0 }, used = 0;
    for (size_t i = 0; i < s->policy->actor_count; i++) {
        struct grant_vote vote = { .actor = &s->policy->actors[i],
                                   .is_from_home = true,
                                   .is_approval = true };
        if (!can_sign(s, vote.actor) || !seats_fit(&group->who, vote.actor))
            continue;
        enum grant_refusal why = approval_may_vote(s->policy, &t->ask, rule, &vote, NULL, 0);
        for (size_t k = 0; k < RF_COUNT(reasons); k++)
            counts[k] += reasons[k].refusal == why;
    }
    out[0] = '\0';
    for (size_t k = 0; k < RF_COUNT(reasons); k++)
        if (counts[k] > 0 && used < WHY_TEXT_MAX)
            used += (size_t)snprintf(out + used, WHY_TEXT_MAX - used, "%s%zu %s",
                                     used > 0 ? ", " : "", counts[k], reasons[k].words);
}

static void tell_unmet(struct field_reader *r, const struct staff *s,
                       const struct policy_grant_rule *rule, const struct trial *t,
                       const char *place)
{
    char why[WHY_TEXT_MAX];
    size_t seat = 0;
    while (t->seats.taken[seat] != NULL)
        seat++;
    const struct policy_approvers *group = t->seats.groups[seat];
    RF_ASSERT(group != NULL); /* a seat that is not taken is a group's */
    say_why(s, rule, t, group, why);
    field_wrong(r, NULL, group->line,
                "%s.approvers[%zu]: nobody could ever meet it: when \"%s\" asks in region \"%s\", "
                "not enough approve for anybody; of those who fit this group: %s",
                place, (size_t)(group - rule->approvers), t->ask.actor->name, t->ask.region->name,
                why);
}

static void check_meetable(struct field_reader *r, const struct staff *s,
                           const struct policy_grant_rule *rule)
{
    char place[RULE_TEXT_MAX], here[KEY_TEXT_MAX];
    struct trial best = { .ask = { .actor = NULL } };
    rule_place(rule, place);
    (void)snprintf(here, sizeof(here), "%s.ask", place);
    bool good = check_number(r, s, &rule->ask, 1, rule->ask.anywhere, rule->line, here);
    (void)snprintf(here, sizeof(here), "%s.approvers", place);
    good = check_numbers(r, s, rule->approvers, rule->approver_count, here) && good;
    if (good && !find_trial(s, rule, &best))
        tell_unmet(r, s, rule, &best, place);
}

static void check_all_meetable(struct field_reader *r, const struct policy *p)
{
    const struct policy_grants *g = p->grants;
    struct staff s = { .policy = p };
    for (size_t i = 0; i < p->actor_count; i++)
        s.has_keys = s.has_keys || p->actors[i].key_count > 0;
    for (size_t i = 0; i < g->rule_count; i++)
        check_meetable(r, &s, &g->rules[i]);
    (void)check_numbers(r, &s, g->sensitive_approvers, g->sensitive_approver_count,
                        "grants.sensitive.approvers");
    if (!g->has_break_glass)
        return;
    (void)check_number(r, &s, &g->break_glass.ask, 1, false, g->break_glass.line,
                       "grants.break_glass.ask");
    (void)check_numbers(r, &s, g->break_glass.approvers, g->break_glass.approver_count,
                        "grants.break_glass.reviewers");
}

void policy_grants_check(struct field_reader *r, const struct policy *p)
{
    const struct policy_grants *g = p->grants;
    check_opened_by(r, g);
    for (size_t i = 0; i < g->finder_count; i++)
        check_finder(r, p, &g->finders[i]);
    for (size_t i = 0; i < g->bound_count; i++)
        check_bound(r, p, &g->bound[i]);
    check_rules(r, g);
    if (!r->wrong) /* what is not there because of a mistake is missing in every group */
        check_all_meetable(r, p);
}
