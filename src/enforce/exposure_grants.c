/* exposure_grants.c - the policy's `grants` and `alerts` as facts.
 *
 * A rule is told in pieces, so that each change reads as what it is: a class or a purpose more, an
 * audience more, a longer time, a group of approvers fewer. Two steps lead to persons: the rule
 * names audiences, and "staff" who belongs to them. */
#include "enforce/exposure_grants.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "policy/alerts.h"
#include "policy/consents.h"
#include "policy/seats.h"
#include "sign/sshsig.h"

enum { DIGEST_SHOWN = 6 };

struct teller {
    const struct policy *policy;
    const struct policy_region *region;
    struct arena *arena;
    void (*add)(void *context, struct exposure fact);
    void *context;
};

static void tell(struct teller *t, const char *kind, const char *who, const char *object,
                 const char *shown, int64_t level)
{
    t->add(t->context, (struct exposure){ .kind = kind,
                                          .who = who,
                                          .object = object,
                                          .class_id = "",
                                          .shown = shown,
                                          .level = level });
}

static const char *time_in_words(struct teller *t, int64_t ms)
{
    int64_t minutes = ms / 60000;
    if (minutes % (24 * 60) == 0)
        return arena_printf(t->arena, "%" PRId64 " d", minutes / (24 * 60));
    if (minutes % 60 == 0)
        return arena_printf(t->arena, "%" PRId64 " h", minutes / 60);
    return arena_printf(t->arena, "%" PRId64 " min", minutes);
}

/* -- people -- */

static const char *add_name(struct teller *t, const char *text, const char *before,
                            const char *name)
{
    return text != NULL ? arena_printf(t->arena, "%s%s%s", text, before, name) : NULL;
}

/* "entity clipstream-us, department privacy or security": as the policy has it. */
static const char *people_in_words(struct teller *t, const struct policy_people *people)
{
    const char *text = "";
    for (size_t i = 0; i < people->entity_count; i++)
        text = add_name(t, text, i > 0 ? " or " : "entity ", people->entities[i]->name);
    for (size_t i = 0; i < people->department_count; i++)
        text = add_name(t, text,
                        i > 0                      ? " or "
                        : people->entity_count > 0 ? ", department "
                                                   : "department ",
                        people->departments[i]);
    for (size_t i = 0; i < people->actor_count; i++)
        text = add_name(t, text,
                        i > 0                                                 ? " or "
                        : people->entity_count + people->department_count > 0 ? ", "
                                                                              : "",
                        people->actors[i]->name);
    return text != NULL && text[0] == '\0' ? "anybody" : text;
}

/* To whom a rule speaks: himself where it names persons, else all of his department there. */
static const char *audience_of(struct teller *t, const struct policy_people *people,
                               const struct policy_actor *actor)
{
    if (people->actor_count > 0)
        return actor->name;
    return arena_printf(t->arena, "%s of %s in %s",
                        actor->department != NULL ? actor->department : "no department",
                        actor->entity->name, actor->place.code);
}

/* Facts of one name count once, so every person may tell about his audience. */
static void tell_askers(struct teller *t, const char *who, const struct policy_people *people)
{
    for (size_t i = 0; i < t->policy->actor_count; i++) {
        const struct policy_actor *a = &t->policy->actors[i];
        if (a->kind != ACTOR_PERSON || !seats_fit(people, a) ||
            (!people->anywhere && !policy_is_home(t->region, a->place)))
            continue;
        const char *audience = audience_of(t, people, a);
        tell(t, "grant_ask", who, audience, people->anywhere ? "from anywhere" : "",
             people->anywhere);
        if (people->actor_count == 0)
            tell(t, "grant_staff", audience, a->name, "", 0);
    }
}

static void tell_groups(struct teller *t, const char *kind, const char *who,
                        const struct policy_approvers *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *people = people_in_words(t, &groups[i].who);
        size_t same = 0; /* two groups of the same people are two facts */
        for (size_t k = 0; people != NULL && k < i; k++) {
            const char *other = people_in_words(t, &groups[k].who);
            same += other != NULL && strcmp(people, other) == 0;
        }
        if (same > 0 && people != NULL)
            people = arena_printf(t->arena, "%s (group %zu of them)", people, same + 1);
        tell(t, kind, who, people, arena_printf(t->arena, "%" PRId64, groups[i].count),
             -groups[i].count);
    }
}

/* -- rules -- */

/* Told also where there is none: so that one that comes or goes reads as what it is. */
static void tell_budget(struct teller *t, const char *who, const char *what, int64_t limit)
{
    tell(t, "grant_limit", who, what,
         limit > 0 ? arena_printf(t->arena, "%" PRId64, limit) : "unlimited",
         limit > 0 ? limit : INT64_MAX);
}

static void tell_rule(struct teller *t, const struct policy_grant_rule *rule, const char *who)
{
    for (size_t i = 0; i < rule->purpose_count; i++)
        tell(t, "grant_purpose", who, rule->purposes[i], "", 0);
    for (unsigned i = CLASS_IDENTITY; i < CLASS_COUNT; i++)
        if ((rule->classes & 1U << i) != 0)
            tell(t, "grant_class", who, policy_class_name((enum class_id)i), "", 0);
    tell_askers(t, who, &rule->ask);
    tell(t, "grant_limit", who, "persons at once",
         arena_printf(t->arena, "%" PRId64, rule->subjects), rule->subjects);
    tell(t, "grant_limit", who, "time", time_in_words(t, rule->duration_ms), rule->duration_ms);
    tell_budget(t, who, "rows of a grant", rule->budget_rows);
    tell_budget(t, who, "bytes of a grant", rule->budget_bytes);
    if (rule->minors_allowed)
        tell(t, "grant_freedom", who, "minors may be seen", "", 0);
    if (rule->reference_optional)
        tell(t, "grant_freedom", who, "no reference is needed", "", 0);
}

static void tell_rules(struct teller *t, const struct policy_grants *g)
{
    for (size_t i = 0; i < g->rule_count; i++) {
        const char *who = arena_printf(t->arena, "rule %s", g->rules[i].name);
        tell_rule(t, &g->rules[i], who);
        tell_groups(t, "grant_approvers", who, g->rules[i].approvers, g->rules[i].approver_count);
        if (g->rules[i].consent != NULL)
            tell(t, "grant_consent", who, g->rules[i].consent->name, "", 0);
    }
    if (!g->has_break_glass)
        return;
    tell_rule(t, &g->break_glass, "break-glass");
    tell_groups(t, "grant_reviewers", "break-glass", g->break_glass.approvers,
                g->break_glass.approver_count);
    tell(t, "grant_limit", "break-glass", "time until the review", time_in_words(t, g->review_ms),
         g->review_ms);
}

/* Only what departs from the default, so that each new fact is a widening. */
static void tell_freedoms(struct teller *t, const struct policy_grants *g)
{
    static const char who[] = "grants";
    if (g->opened_by == GRANTS_BY_ADMINISTRATOR)
        tell(t, "grant_freedom", who, "an administrator opens them, without signatures", "", 0);
    if (g->approvers_anywhere)
        tell(t, "grant_freedom", who, "approvers may be abroad", "", 0);
    if (g->chain_allowed)
        tell(t, "grant_freedom", who, "the requester's chain of command may approve", "", 0);
    if (g->department_any)
        tell(t, "grant_freedom", who, "the requester's department may approve", "", 0);
    if (g->is_silent)
        tell(t, "grant_freedom", who, "persons are not told who looked at them", "", 0);
    if (!g->is_silent && (g->rule_count > 0 || g->has_break_glass))
        tell(t, "grant_limit", who, "time that notices to persons may be held back",
             time_in_words(t, g->hold_ms), g->hold_ms);
    if (g->rule_count > 0) {
        tell(t, "grant_limit", who, "age of requests", time_in_words(t, g->request_age_ms),
             g->request_age_ms);
        tell(t, "grant_limit", who, "age of approvals", time_in_words(t, g->approval_age_ms),
             g->approval_age_ms);
    }
}

/* -- keys, looking up, registers -- */

static void tell_keys(struct teller *t)
{
    char fingerprint[SSH_KEY_FINGERPRINT_SIZE];
    for (size_t i = 0; i < t->policy->actor_count; i++) {
        const struct policy_actor *a = &t->policy->actors[i];
        for (size_t k = 0; k < a->key_count; k++) {
            ssh_key_fingerprint(&a->keys[k], fingerprint);
            tell(t, "grant_key", a->name, arena_printf(t->arena, "%s", fingerprint), "", 0);
        }
    }
}

static void tell_finders(struct teller *t, const struct policy_grants *g)
{
    for (size_t i = 0; i < g->finder_count; i++) {
        const struct policy_finder *f = &g->finders[i];
        tell(t, "grant_find", "", f->by,
             arena_printf(t->arena, "%s.%s.%s", f->schema, f->table, f->column), 0);
    }
    if (g->finder_count > 0)
        tell(t, "grant_limit", "grants", "searches of a person and day",
             arena_printf(t->arena, "%" PRId64, g->finds_per_day), g->finds_per_day);
    if (g->rule_count > 0)
        tell(t, "grant_limit", "grants", "traces of a person and day",
             arena_printf(t->arena, "%" PRId64, g->traces_per_day), g->traces_per_day);
}

/* The hashes stay in the policy: keys of persons are few enough to be guessed from them. */
static const char *register_in_words(struct teller *t, char *const *hashes, size_t count)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *text = NULL;
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(md, hashes[i], strlen(hashes[i])) == 1;
    good = good && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    if (good)
        text = arena_printf(t->arena, "%zu in list", count);
    for (size_t i = 0; i < DIGEST_SHOWN && text != NULL; i++)
        text = arena_printf(t->arena, "%s%s%02x", text, i == 0 ? " " : "", digest[i]);
    EVP_MD_CTX_free(md);
    return text;
}

static void tell_day(struct teller *t, const struct policy_grants *g)
{
    if (g->rule_count > 0 || g->has_break_glass)
        tell_budget(t, "grants", "persons that one may name in a day", g->subjects_per_day);
}

static void tell_registers(struct teller *t, const struct policy_grants *g)
{
    for (size_t i = 0; i < g->refused_authority_count; i++)
        tell(t, "grant_refused", "", g->refused_authorities[i], "", 0);
    if (g->honey_count > 0)
        tell(t, "grant_suspends", "", "a touch of a honey subject",
             register_in_words(t, g->honey, g->honey_count), 0);
    if (g->denials_per_day > 0)
        tell(t, "grant_suspends", "", "too many refusals in a day",
             arena_printf(t->arena, "%" PRId64, g->denials_per_day), 0);
    if (g->marks_times)
        tell(t, "grant_marks", "", "clear times under grants", "", 0);
    if (g->sensitive_count == 0)
        return;
    tell(t, "grant_sensitive", "", "sensitive persons",
         register_in_words(t, g->sensitive, g->sensitive_count), 0);
    tell_groups(t, "grant_outsiders", "whatever shows sensitive persons", g->sensitive_approvers,
                g->sensitive_approver_count);
}

/* -- alerts -- */

/* "Mon Tue 07:00-20:00 -05:00" */
static const char *hours_in_words(struct teller *t, const struct policy_hours *h)
{
    static const char *const days[ALERTS_WEEK] = {
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"
    };
    int64_t ahead = h->offset < 0 ? -h->offset : h->offset;
    const char *text = "";
    for (size_t i = 0; i < ALERTS_WEEK && text != NULL; i++)
        if ((h->days >> i & 1) != 0)
            text = arena_printf(t->arena, "%s%s ", text, days[i]);
    return text == NULL
               ? NULL
               : arena_printf(t->arena,
                              "%s%02" PRId64 ":%02" PRId64 "-%02" PRId64 ":%02" PRId64
                              " %c%02" PRId64 ":%02" PRId64,
                              text, h->from / 60, h->from % 60, h->until / 60, h->until % 60,
                              h->offset < 0 ? '-' : '+', ahead / 60, ahead % 60);
}

/* "20 in 28 d, 4 times the median, 1000 rows": what the rule has of these. */
static const char *rule_in_words(struct teller *t, const struct policy_alert *rule)
{
    const struct {
        int64_t number;
        const char *before, *behind;
    } parts[] = { { rule->count, "", "" },
                  { rule->days, "within ", " d" },
                  { rule->factor, "", " times the median" },
                  { rule->rows, "", " rows" } };
    const char *text = "";
    for (size_t i = 0; i < RF_COUNT(parts) && text != NULL; i++)
        if (parts[i].number > 0)
            text = arena_printf(t->arena, "%s%s%s%" PRId64 "%s", text, text[0] != '\0' ? ", " : "",
                                parts[i].before, parts[i].number, parts[i].behind);
    return text;
}

static void tell_suspends(struct teller *t, bool suspends, const char *what)
{
    if (suspends)
        tell(t, "grant_suspends", "", what, "", 0);
}

/* All entries are one fact: another one more leaves less that is unusual. */
static void tell_hours(struct teller *t, const struct policy_alerts *a)
{
    const char *text = "";
    bool suspends = false;
    for (size_t i = 0; i < a->hours_count && text != NULL; i++) {
        const struct policy_hours *h = &a->hours[i];
        const char *people = people_in_words(t, &h->who), *hours = hours_in_words(t, h);
        text = people == NULL || hours == NULL
                   ? NULL
                   : arena_printf(t->arena, "%s%s%s: %s%s", text, i > 0 ? "; " : "", people, hours,
                                  h->suspends ? ", suspends" : "");
        suspends = suspends || h->suspends;
    }
    if (a->hours_count > 0)
        tell(t, "alert", "", alerts_words(ALERT_HOURS), text, 0);
    tell_suspends(t, suspends, alerts_words(ALERT_HOURS));
}

static void tell_alerts(struct teller *t, const struct policy_alerts *a)
{
    for (int i = ALERT_NONE + 1; i < ALERT_RULE_COUNT; i++) {
        const struct policy_alert *rule = &a->rules[i];
        if (i == ALERT_HOURS || i == ALERT_HONEY || !alerts_has(a, (enum alert_rule)i))
            continue; /* a honey subject is told among the registers */
        if (i != ALERT_FORGED_TOKEN)
            tell(t, "alert", "", alerts_words((enum alert_rule)i), rule_in_words(t, rule), 0);
        tell_suspends(t, rule->suspends, alerts_words((enum alert_rule)i));
    }
    tell_hours(t, a);
}

void exposure_grants_tell(const struct policy *p, const struct policy_region *region,
                          struct arena *arena, void (*add)(void *context, struct exposure fact),
                          void *context)
{
    struct teller t = {
        .policy = p, .region = region, .arena = arena, .add = add, .context = context
    };
    tell_rules(&t, p->grants);
    tell_freedoms(&t, p->grants);
    tell_keys(&t);
    tell_finders(&t, p->grants);
    tell_day(&t, p->grants);
    tell_registers(&t, p->grants);
    tell_alerts(&t, p->alerts);
}
