#include "enforce/exposure.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "enforce/exposure_grants.h"
#include "enforce/role.h"
#include "policy/consents.h"
#include "policy/policy_ingest.h"

enum { LIST_MAX = 12 }; /* objects named in one sentence; the others are counted */

/* How much of a value a mask shows, for "more" and "less". */
static const int64_t levels[MASK_COUNT] = {
    [MASK_NULL] = 10,  [MASK_REDACT] = 20,  [MASK_PSEUDONYM] = 30, [MASK_COARSE] = 50,
    [MASK_YEAR] = 40,  [MASK_DAY] = 60,     [MASK_CLEAR] = 100,    [MASK_CONSTANT] = 20,
    [MASK_MONTH] = 50, [MASK_PARTIAL] = 60, [MASK_NETWORK] = 60,   [MASK_EXPRESSION] = 70,
};

void exposures_init(struct exposures *e)
{
    *e = (struct exposures){ 0 };
    arena_init(&e->arena);
}

void exposures_done(struct exposures *e)
{
    arena_done(&e->arena);
    *e = (struct exposures){ 0 };
}

/* ---- collecting ---- */

struct collector {
    struct exposures *to;
    const struct policy *policy;
    const struct policy_region *region;
    bool no_memory;
};

static int compare_facts(const void *a, const void *b)
{
    const struct exposure *x = a, *y = b;
    int by = strcmp(x->kind, y->kind);
    by = by != 0 ? by : strcmp(x->who, y->who);
    return by != 0 ? by : strcmp(x->object, y->object);
}

static void add(struct collector *c, struct exposure fact)
{
    struct exposures *e = c->to;
    if (e->count == e->cap) {
        size_t cap = e->cap > 0 ? e->cap * 2 : 128;
        struct exposure *more = arena_alloc(&e->arena, cap, sizeof(*more));
        if (more != NULL && e->count > 0)
            memcpy(more, e->list, e->count * sizeof(*more));
        e->list = more != NULL ? more : e->list;
        e->cap = more != NULL ? cap : e->cap;
    }
    c->no_memory |= e->count == e->cap || fact.who == NULL || fact.object == NULL ||
                    fact.shown == NULL || fact.class_id == NULL;
    if (!c->no_memory)
        e->list[e->count++] = fact;
}

/* Sorted; of facts of one name, such as the room of a department's every member, one is kept. */
static int finish(struct collector *c, struct err *err)
{
    struct exposures *e = c->to;
    size_t kept = 0;
    if (c->no_memory)
        return err_set(err, RF_ENOMEM, "out of memory while comparing policies");
    if (e->count > 0)
        qsort(e->list, e->count, sizeof(*e->list), compare_facts);
    for (size_t i = 0; i < e->count; i++)
        if (kept == 0 || compare_facts(&e->list[kept - 1], &e->list[i]) != 0)
            e->list[kept++] = e->list[i];
    e->count = kept;
    return 0;
}

static const char *audience_of(struct collector *c, const struct policy_actor *actor)
{
    return actor->department != NULL
               ? arena_printf(&c->to->arena, "department %s in %s", actor->department,
                              actor->place.code)
               : arena_printf(&c->to->arena, "persons of no department in %s", actor->place.code);
}

static void add_person(struct collector *c, const struct policy_actor *actor)
{
    const char *who = audience_of(c, actor);
    bool any = false;
    for (int room = ROOM_STATS; room <= ROOM_MASKED; room++) {
        if (!role_person_needs(c->policy, c->region, actor, (enum room)room))
            continue;
        any = true;
        add(c,
            (struct exposure){
                .kind = "room",
                .who = who,
                .object = arena_printf(&c->to->arena, "room %s", policy_room_name((enum room)room)),
                .class_id = "",
                .shown = (enum room)room == c->policy->room_abroad ? "" : "from home" });
    }
    if (any)
        add(c,
            (struct exposure){
                .kind = "member", .who = who, .object = actor->name, .class_id = "", .shown = "" });
}

static void add_service_table(struct collector *c, const char *who, const char *table,
                              enum table_access access)
{
    if (access != TABLE_NONE)
        add(c, (struct exposure){ .kind = "service",
                                  .who = who,
                                  .object = table,
                                  .class_id = "",
                                  .shown = access == TABLE_WRITE ? "to write" : "to read",
                                  .level = access });
}

static void add_service(struct collector *c, const struct policy_actor *actor)
{
    const struct policy_service_access *access = role_service_access(actor, c->region);
    struct arena *arena = &c->to->arena;
    if (access == NULL)
        return;
    const char *who = arena_printf(arena, "service %s", actor->name);
    for (size_t i = 0; i < access->from_count; i++)
        add(c, (struct exposure){ .kind = "place",
                                  .who = who,
                                  .object = arena_printf(arena, "%s", access->from[i].code),
                                  .class_id = "",
                                  .shown = "" });
    for (size_t i = 0; i < c->policy->table_count; i++) {
        const struct policy_table *t = &c->policy->tables[i];
        add_service_table(c, who, arena_printf(arena, "%s.%s", t->schema, t->name),
                          access->all_tables);
    }
    for (size_t i = 0; i < access->table_count; i++) {
        const struct policy_service_table *t = &access->tables[i];
        add_service_table(c, who, arena_printf(arena, "%s.%s", t->schema, t->table), t->access);
    }
}

static const char *shown_as(struct collector *c, const struct policy_column *column)
{
    const char *mask = policy_mask_name(column->mask);
    if (column->mask == MASK_PSEUDONYM && column->domain != NULL)
        return arena_printf(&c->to->arena, "%s of domain %s", mask, column->domain);
    if (column->step != 0)
        return arena_printf(&c->to->arena, "%s by %" PRId64, mask, column->step);
    if (column->keep == KEEP_DOMAIN)
        return arena_printf(&c->to->arena, "%s: domain", mask);
    if (column->keep != 0)
        return arena_printf(&c->to->arena, "%s of %" PRId64, mask, column->keep);
    if (column->sql != NULL)
        return arena_printf(&c->to->arena, "%s %s", mask, column->sql);
    return mask;
}

static void add_table(struct collector *c, const struct policy_table *t)
{
    for (size_t i = 0; i < t->column_count; i++) {
        const struct policy_column *column = &t->columns[i];
        if (column->mask == MASK_ABSENT || column->class_id == CLASS_UNSET)
            continue;
        add(c, (struct exposure){ .kind = "column",
                                  .who = "room masked",
                                  .object =
                                      arena_printf(&c->to->arena, "%s.%s", t->name, column->name),
                                  .class_id = policy_class_name(column->class_id),
                                  .shown = shown_as(c, column),
                                  .level = levels[column->mask] });
    }
}

/* A statistic in one line: what is counted, by what, and from which size of a group on. */
static void add_statistic(struct collector *c, const struct policy_statistic *s)
{
    struct arena *arena = &c->to->arena;
    const char *text = arena_printf(arena, "groups of %" PRId64, s->minimum);
    for (size_t i = 0; i < s->dimension_count && text != NULL; i++) {
        const struct policy_dimension *d = &s->dimensions[i];
        const char *cut = d->month ? "month" : policy_mask_name(d->mask);
        text = arena_printf(arena, "%s%s %s %s", text, i == 0 ? " by" : ",", d->column, cut);
    }
    for (size_t i = 0; i < s->measure_count && text != NULL; i++)
        text = arena_printf(arena, "%s%s %s", text, i == 0 ? ":" : ",", s->measures[i].name);
    add(c, (struct exposure){ .kind = "statistic",
                              .who = "room stats",
                              .object = s->name,
                              .class_id = "",
                              .shown = text,
                              .level = -s->minimum });
}

/* A listener or network: from where its sessions act. Any change may let somebody in as at home. */
static void add_doors(struct collector *c, const char *what, const struct policy_network *list,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *place = list[i].place.code;
        char address[INET6_ADDRSTRLEN] = "";
        (void)inet_ntop(AF_INET6, &list[i].range.address, address, sizeof(address));
        add(c, (struct exposure){
                   .kind = "door",
                   .who = "",
                   .object = arena_printf(&c->to->arena, "%s %s", what, list[i].name),
                   .class_id = "",
                   .shown = arena_printf(&c->to->arena, "%s/%u, place %s", address,
                                         list[i].range.prefix_len,
                                         place[0] != '\0' ? place : "of the identity") });
    }
}

/* More days, less held to a rule: more there is to see. */
static void add_writing(struct collector *c, const struct policy_table *t)
{
    static const char *const rules[] = { [INGEST_NONE] = "",
                                         [INGEST_COARSEN] = "coarsen",
                                         [INGEST_NETWORK] = "network",
                                         [INGEST_REFUSE] = "refuse",
                                         [INGEST_NULL] = "null" };
    struct arena *arena = &c->to->arena;
    if (t->retention_column != NULL)
        add(c, (struct exposure){ .kind = "retention",
                                  .who = "",
                                  .object = arena_printf(arena, "%s.%s", t->schema, t->name),
                                  .class_id = "",
                                  .shown = arena_printf(arena, "%s older than %" PRId64 " days",
                                                        t->retention_column, t->retention_days),
                                  .level = t->retention_days });
    for (size_t i = 0; i < t->ingest_count; i++) {
        const struct policy_ingest *r = &t->ingest[i];
        const char *how = rules[r->rule];
        if (r->rule == INGEST_COARSEN)
            how = arena_printf(arena, "coarsen by %" PRId64 "/%" PRId64, r->part, r->whole);
        if (r->rule == INGEST_NETWORK)
            how = arena_printf(arena, "network of %" PRId64 " or %" PRId64 " bits", r->bits_v4,
                               r->bits_v6);
        if (r->consent != NULL)
            how =
                arena_printf(arena, "%s, unless the person consents to %s", how, r->consent->name);
        add(c, (struct exposure){
                   .kind = "ingest",
                   .who = "",
                   .object = arena_printf(arena, "%s.%s.%s", t->schema, t->name, r->column),
                   .class_id = "",
                   .shown = how,
                   .level = r->consent != NULL });
    }
}

static void add_grant_fact(void *context, struct exposure fact)
{
    add(context, fact);
}

int exposures_of_policy(struct exposures *e, const struct policy *p,
                        const struct policy_region *region, struct err *err)
{
    struct collector c = { .to = e, .policy = p, .region = region };
    int rc = digest_init(err); /* for fingerprints of keys */
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < p->actor_count; i++) {
        if (p->actors[i].kind == ACTOR_SERVICE)
            add_service(&c, &p->actors[i]);
        else
            add_person(&c, &p->actors[i]);
    }
    for (size_t i = 0; i < p->table_count; i++) {
        add_table(&c, &p->tables[i]);
        add_writing(&c, &p->tables[i]);
    }
    add_doors(&c, "listener", p->listeners, p->listener_count);
    add_doors(&c, "network", p->networks, p->network_count);
    for (size_t i = 0; i < p->purpose_count; i++)
        add(&c, (struct exposure){ .kind = "purpose",
                                   .who = "",
                                   .object = p->purposes[i],
                                   .class_id = "",
                                   .shown = "" });
    exposure_grants_tell(p, region, &e->arena, add_grant_fact, &c);
    for (size_t i = 0; i < p->statistic_count; i++)
        add_statistic(&c, &p->statistics[i]);
    for (size_t i = 0; i < region->home->country_count; i++)
        add(&c, (struct exposure){ .kind = "home",
                                   .who = "",
                                   .object = region->home->countries[i].code,
                                   .class_id = "",
                                   .shown = "" });
    if (p->profile != PROFILE_PUBLIC) /* so that a policy without a profile is as it always was */
        add(&c, (struct exposure){ .kind = "publication",
                                   .who = "",
                                   .object = "the logs",
                                   .class_id = "",
                                   .shown = policy_profile_name(p->profile),
                                   .level = (int64_t)p->profile });
    add(&c, (struct exposure){ .kind = "age",
                               .who = "",
                               .object = "age",
                               .class_id = "",
                               .shown = arena_printf(&e->arena, "%u years", p->adult_age),
                               .level = -(int64_t)p->adult_age });
    return finish(&c, err);
}

/* ---- in the database ---- */

static const char *kept_value(struct arena *arena, const PGresult *r, int row, int column)
{
    const char *text = database_value(r, row, column);
    return arena_strndup(arena, text, strlen(text));
}

int exposures_read(struct exposures *e, struct database *db, struct err *err)
{
    struct collector c = { .to = e };
    PGresult *r = NULL;
    int rc = database_query(db, "SELECT to_regclass('ringfence.exposure') IS NOT NULL", &r, err);
    bool there = rc == 0 && database_true(r, 0, 0);
    PQclear(r);
    r = NULL;
    if (there)
        rc = database_query(db,
                            "SELECT kind, who, object, class, shown, level FROM ringfence.exposure",
                            &r, err);
    for (int row = 0; there && rc == 0 && row < PQntuples(r); row++)
        add(&c, (struct exposure){ .kind = kept_value(&e->arena, r, row, 0),
                                   .who = kept_value(&e->arena, r, row, 1),
                                   .object = kept_value(&e->arena, r, row, 2),
                                   .class_id = kept_value(&e->arena, r, row, 3),
                                   .shown = kept_value(&e->arena, r, row, 4),
                                   .level = strtoll(database_value(r, row, 5), NULL, 10) });
    PQclear(r);
    return rc < 0 ? rc : finish(&c, err);
}

void exposures_add_delete(struct sql *s)
{
    sql_add(s, "DELETE FROM ringfence.exposure");
}

void exposures_add_insert(struct sql *s, const struct exposures *e)
{
    sql_add(s, "INSERT INTO ringfence.exposure (kind, who, object, class, shown, level) VALUES ");
    for (size_t i = 0; i < e->count; i++) {
        const struct exposure *x = &e->list[i];
        sql_add(s, "%S(%L, %L, %L, %L, %L, %D)", i == 0 ? "" : ", ", x->kind, x->who, x->object,
                x->class_id, x->shown, x->level);
    }
}

/* ---- comparing ---- */

const char *exposure_change_name(enum exposure_change change)
{
    static const char *const names[] = {
        [EXPOSURE_WIDENS] = "widens", [EXPOSURE_CHANGES] = "changes", [EXPOSURE_NARROWS] = "narrows"
    };
    return names[change];
}

enum { SENTENCE_NEW, SENTENCE_GONE, SENTENCE_CHANGED, SENTENCE_COUNT };

static const struct {
    const char *kind;
    const char *sentences[SENTENCE_COUNT];
} kinds[] = {
#define EXPOSURE(kind, new, gone, changed) { #kind, { new, gone, changed } },
#include "enforce/tbl/exposure.def"
#undef EXPOSURE
};

/* One difference: what it is now, or what it was. */
struct difference {
    enum exposure_change change;
    int sentence;
    const struct exposure *fact, *before;
};

static bool has_rule(const struct exposures *of, const char *who)
{
    for (size_t i = 0; i < of->count; i++)
        if (strcmp(of->list[i].kind, "grant_purpose") == 0 && strcmp(of->list[i].who, who) == 0)
            return true;
    return false;
}

/* Rules that take away: with them less is to be seen. Approvers do so in a rule that stays; one
   that came or went as a whole did so with its approvers. */
static bool takes_away(const struct exposures *old, const struct exposures *new,
                       const struct exposure *fact)
{
    static const char *const kinds_that_do[] = {
        "retention",       "ingest",         "publication", "grant_refused", "grant_sensitive",
        "grant_outsiders", "grant_suspends", "grant_marks", "alert"
    };
    static const char *const kinds_of_rules[] = { "grant_approvers", "grant_reviewers",
                                                  "grant_consent" };
    for (size_t i = 0; i < RF_COUNT(kinds_that_do); i++)
        if (strcmp(fact->kind, kinds_that_do[i]) == 0)
            return true;
    for (size_t i = 0; i < RF_COUNT(kinds_of_rules); i++)
        if (strcmp(fact->kind, kinds_of_rules[i]) == 0)
            return has_rule(old, fact->who) && has_rule(new, fact->who);
    return false;
}

static enum exposure_change change_of(const struct exposures *old, const struct exposures *new,
                                      const struct exposure *before, const struct exposure *now)
{
    if (before == NULL)
        return now != NULL && takes_away(old, new, now) ? EXPOSURE_NARROWS : EXPOSURE_WIDENS;
    if (now == NULL)
        return takes_away(old, new, before) ? EXPOSURE_WIDENS : EXPOSURE_NARROWS;
    if (now->level == before->level)
        return EXPOSURE_CHANGES;
    return now->level > before->level ? EXPOSURE_WIDENS : EXPOSURE_NARROWS;
}

/* The sorted lists side by side; OUT has room for all of both. */
static size_t differences(const struct exposures *old, const struct exposures *new,
                          struct difference *out)
{
    size_t count = 0, i = 0, k = 0;
    while (i < old->count || k < new->count) {
        int by = i == old->count   ? 1
                 : k == new->count ? -1
                                   : compare_facts(&old->list[i], &new->list[k]);
        const struct exposure *before = by <= 0 ? &old->list[i++] : NULL;
        const struct exposure *now = by >= 0 ? &new->list[k++] : NULL;
        if (before != NULL && now != NULL && before->level == now->level &&
            strcmp(before->shown, now->shown) == 0 && strcmp(before->class_id, now->class_id) == 0)
            continue;
        out[count++] = (struct difference){ .change = change_of(old, new, before, now),
                                            .sentence = before == NULL ? SENTENCE_NEW
                                                        : now == NULL  ? SENTENCE_GONE
                                                                       : SENTENCE_CHANGED,
                                            .fact = now != NULL ? now : before,
                                            .before = before };
    }
    return count;
}

/* Facts that one sentence can tell together. */
static bool belong_together(const struct difference *a, const struct difference *b)
{
    return a->change == b->change && a->sentence == b->sentence &&
           strcmp(a->fact->kind, b->fact->kind) == 0 && strcmp(a->fact->who, b->fact->who) == 0 &&
           strcmp(a->fact->class_id, b->fact->class_id) == 0;
}

static void add_text(struct buf *b, bool *bad, const char *text)
{
    *bad |= buf_append(b, text, strlen(text)) < 0;
}

/* Who it is about; for a room everybody who may enter it. */
static void add_who(struct buf *b, bool *bad, const struct exposures *of, const char *who)
{
    bool any = false;
    for (size_t i = 0; i < of->count && strncmp(who, "room ", 5) == 0; i++) {
        const struct exposure *x = &of->list[i];
        if (strcmp(x->kind, "room") != 0 || strcmp(x->object, who) != 0)
            continue;
        add_text(b, bad, any ? ", " : "");
        add_text(b, bad, x->who);
        any = true;
    }
    if (!any)
        add_text(b, bad, who);
}

static void add_object(struct buf *b, bool *bad, const struct difference *d)
{
    bool both = d->before != NULL && d->before != d->fact && d->before->shown[0] != '\0';
    add_text(b, bad, strcmp(d->fact->kind, "age") == 0 ? "" : d->fact->object);
    if (d->fact->shown[0] == '\0')
        return;
    add_text(b, bad, strcmp(d->fact->kind, "age") == 0 ? "" : " (");
    if (both) {
        add_text(b, bad, d->before->shown);
        add_text(b, bad, " before, now ");
    }
    add_text(b, bad, d->fact->shown);
    add_text(b, bad, strcmp(d->fact->kind, "age") == 0 ? "" : ")");
}

/* The objects of all differences from AT on that belong to it; marks them as told. */
static void add_objects(struct buf *b, bool *bad, const struct difference *list, size_t count,
                        size_t at, bool *told)
{
    char more[32];
    size_t named = 0, all = 0;
    for (size_t i = at; i < count; i++) {
        if (told[i] || !belong_together(&list[at], &list[i]))
            continue;
        told[i] = true;
        if (all++ >= LIST_MAX)
            continue;
        add_text(b, bad, named++ > 0 ? ", " : "");
        add_object(b, bad, &list[i]);
    }
    (void)snprintf(more, sizeof(more), " and %zu more", all - named);
    add_text(b, bad, all > named ? more : "");
}

static const char *sentence_of(const struct difference *d)
{
    RF_ASSERT(d->fact != NULL); /* of before or of now: one of them is there */
    for (size_t i = 0; i < RF_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, d->fact->kind) == 0)
            return kinds[i].sentences[d->sentence];
    return "%w: %o"; /* written down by another version */
}

static const char *class_in_words(const char *class_id)
{
    return strcmp(class_id, "none") == 0 ? "what is not personal" : class_id;
}

static int tell_one(const struct exposures *new, const struct difference *list, size_t count,
                    size_t at, bool *told, struct buf *text)
{
    bool bad = false;
    RF_ASSERT(list[at].fact != NULL);
    for (const char *s = sentence_of(&list[at]); *s != '\0'; s++) {
        if (s[0] == '%' && s[1] == 'w')
            add_who(text, &bad, new, list[at].fact->who);
        else if (s[0] == '%' && s[1] == 'c')
            add_text(text, &bad, class_in_words(list[at].fact->class_id));
        else if (s[0] == '%' && s[1] == 'o')
            add_objects(text, &bad, list, count, at, told);
        else
            bad |= buf_append(text, s, 1) < 0;
        s += s[0] == '%' ? 1 : 0;
    }
    bad |= buf_append(text, "", 1) < 0;
    return bad ? -RF_ENOMEM : 0;
}

int exposures_compare(const struct exposures *old, const struct exposures *new,
                      void (*tell)(void *context, enum exposure_change change, const char *words),
                      void *context, struct err *err)
{
    struct arena arena;
    struct buf text;
    int rc = 0;
    arena_init(&arena);
    buf_init(&text, SQL_TEXT_MAX);
    size_t room = old->count + new->count + 1;
    struct difference *list = arena_alloc(&arena, room, sizeof(*list));
    bool *told = arena_alloc(&arena, room, sizeof(*told));
    size_t count = list != NULL && told != NULL ? differences(old, new, list) : 0;
    if (list == NULL || told == NULL)
        rc = -RF_ENOMEM;
    for (int change = EXPOSURE_WIDENS; change <= EXPOSURE_NARROWS && rc == 0; change++)
        for (size_t i = 0; i < count && rc == 0; i++) {
            if (told[i] || (int)list[i].change != change)
                continue;
            rc = tell_one(new, list, count, i, told, &text);
            if (rc == 0)
                tell(context, list[i].change, (const char *)buf_at(&text));
            buf_wipe_done(&text);
        }
    arena_done(&arena);
    buf_wipe_done(&text);
    return rc < 0 ? err_set(err, RF_ENOMEM, "out of memory while comparing policies") : 0;
}
