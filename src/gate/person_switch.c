/* person_switch.c - a running session enters a grant, or leaves it.
 *
 * A grant is a role of its own, so the session gets a new server connection; what lived in the old
 * one (prepared statements, cursors, settings that servers do not report) is gone. The old one
 * stays until the new one is there: when it cannot be had, the session goes on in its old room.
 *
 *   SET (judged, recorded) -> new link connects -> decided again -> swapped -> room recorded,
 *   NOTICE, CommandComplete, ReadyForQuery, all held until the record is durable
 *
 * Meanwhile the client's messages wait. A grant is left only when the client has taken all that was
 * read under it: what is held must end with its grant, and not pass as the next one's. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gate/grant.h"
#include "gate/login.h"
#include "gate/person_inside.h"
#include "wire/backend.h"

struct person_switch {
    struct link *link; /* NULL: handed over */
    uint64_t id;       /* 0: leaves */
    bool is_ready;     /* connected, and what the old room showed is still on its way */
};

/* This session, as if it asked for grant ID. */
static struct session probe_of(const struct session *s, uint64_t id)
{
    return (struct session){ .snapshot = s->snapshot,
                             .worker = s->worker,
                             .actor = s->actor,
                             .database = s->database,
                             .address = s->address,
                             .local_address = s->local_address,
                             .is_unix = s->is_unix,
                             .grant_id = id };
}

/* May this session enter grant ID, or be without one (0)? *RET_ENTRY is filled when it enters. */
static bool decide(const struct session *s, uint64_t id, struct decision *ret,
                   struct grant_entry *ret_entry, struct err *err)
{
    struct session probe = probe_of(s, id);
    *ret = login_decide(&probe);
    if (ret->verdict == VERDICT_ALLOW && id != 0 &&
        grant_fact(&probe, id, ret_entry) != DECIDE_GRANT_OPEN) {
        ret->verdict = VERDICT_DENY; /* it ended between two lines */
        ret->rule = RULE_GRANT_ENDED;
    }
    if (ret->verdict == VERDICT_ALLOW)
        return true;
    (void)err_set(err, RF_EDENIED, "%s", decide_rule_sentence(ret->rule));
    err_sqlstate(err, decide_rule_sqlstate(ret->rule));
    return false;
}

bool person_switch_may_come(const struct person *p, uint64_t id)
{
    struct decision d;
    struct grant_entry entry;
    struct err e;
    return id != 0 && !decide(p->session, id, &d, &entry, &e) &&
           (d.rule == RULE_GRANT_UNKNOWN || d.rule == RULE_GRANT_MISSING);
}

void person_switch_end(struct person *p)
{
    if (p->change == NULL)
        return;
    person_line_free(p->change->link);
    mem_free(p->change);
    p->change = NULL;
}

/* ---- the answer ---- */

/* What has been written into p->text, and the end of the request. */
static void answer(struct person *p, struct wr *w)
{
    backend_write_ready(w, 'I');
    if (wr_done(w) && release_hold(&p->release, buf_at(&p->text), buf_len(&p->text), false) == 0) {
        release_end_message(&p->release);
        release_kick(&p->release);
    } else {
        person_fail(p, RF_ENOMEM, "out of memory for an answer");
    }
    buf_wipe_done(&p->text);
    if (p->session->state == SESSION_PERSON)
        person_ask(p);
}

static void refuse(struct person *p, const struct err *why)
{
    struct wr w = wr_to(&p->text);
    person_switch_end(p);
    backend_write_error(&w, "ERROR", why, 0);
    answer(p, &w);
}

static void confirm(struct person *p, const struct settings *before)
{
    struct session *s = p->session;
    struct wr w = wr_to(&p->text);
    char sentence[GRANT_SENTENCE_SIZE];
    for (size_t i = 0; i < p->link->parameters.count; i++) {
        const struct setting *now = &p->link->parameters.list[i];
        const char *was = settings_get(before, now->name);
        if (was == NULL || strcmp(was, now->value) != 0)
            backend_write_parameter(&w, now->name, now->value);
    }
    if (s->grant != NULL) {
        grant_describe(&s->grant->entry, sentence);
        backend_write_notice(&w, sentence);
    }
    backend_write_complete(&w, s->grant != NULL ? "SET" : "RESET");
    answer(p, &w);
}

/* ---- the new link ---- */

static int record_room(struct person *p)
{
    struct record r;
    char address[64];
    session_record(p->session, &r, RECORD_SESSION_OPEN, address);
    r.role = p->link->role;
    return release_record(&p->release, &r);
}

/* Nothing of the old room stays: neither its connection nor its names. */
static struct link *swap(struct person *p)
{
    struct link *old = p->link;
    p->link = p->change->link;
    p->change->link = NULL;
    p->link->ops = &person_link_ops;
    stream_resume(&p->link->stream);
    p->server = walk_of(MESSAGE_FROM_BACKEND);
    names_done(&p->prepared);
    names_done(&p->portals);
    reveal_set_clear(&p->release.reveals);
    p->status = 'I';
    person_switch_end(p);
    return old;
}

void person_switch_go(struct person *p)
{
    struct session *s = p->session;
    struct grant_entry entry;
    struct decision d;
    struct err e;
    if (p->change == NULL || !p->change->is_ready || s->state != SESSION_PERSON)
        return;
    if (s->grant != NULL && (!release_is_empty(&p->release) || stream_queued(&s->stream) > 0))
        return;
    uint64_t id = p->change->id;
    if (!decide(s, id, &d, &entry, &e)) {
        refuse(p, &e);
        return;
    }
    if (!walk_at_boundary(&p->server)) { /* the old server is in the middle of saying something */
        person_fail(p, RF_ECONNECT, "the region's database broke the protocol");
        return;
    }
    if (release_disclose(&p->release) < 0)
        return; /* of the old room, under its grant */
    struct link *old = swap(p);
    grant_leave(s);
    s->decision = d;
    if (id != 0 && grant_enter(s, &entry) < 0)
        person_fail(p, RF_ENOMEM, "out of memory for a grant");
    else if (record_room(p) == 0)
        confirm(p, &old->parameters);
    person_line_free(old);
}

static void on_ready(struct link *l)
{
    struct person *p = person_of(l);
    stream_pause(&l->stream); /* until it is the one that is listened to */
    p->change->is_ready = true;
    person_switch_go(p);
}

static void on_failed(struct link *l, const struct err *why)
{
    struct person *p = person_of(l);
    if (p->session->state != SESSION_PERSON)
        return;
    if (p->change->id != 0 && l->role_refused)
        person_ask_again(p, why); /* the database may have heard first of the end of a grant */
    else
        person_switch_failed(p, why);
}

void person_switch_failed(struct person *p, const struct err *why)
{
    struct decision d;
    struct grant_entry entry;
    struct err e, denial;
    bool may = decide(p->session, p->change->id, &d, &entry, &denial);
    e = may ? *why : denial;
    refuse(p, &e);
}

/* Neither is ever called before on_ready(), where others take over. */
static void on_data(struct link *l, const uint8_t *bytes RF_UNUSED, size_t n RF_UNUSED)
{
    person_fail(person_of(l), RF_ECONNECT, "the region's database broke the protocol");
}

static void on_end(struct link *l, const char *why RF_UNUSED)
{
    person_fail(person_of(l), RF_ECONNECT, "the region's database closed the connection");
}

static const struct link_ops switch_link_ops = {
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_data = on_data,
    .on_end = on_end,
};

/* What the old connection was asked for at its start, with what has become of it since, as far as
   servers report that. */
static int wanted_now(const struct person *p, struct settings *to)
{
    const struct settings *asked = &p->link->wanted, *now = &p->link->parameters;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < asked->count; i++)
        rc = settings_put(to, asked->list[i].name, asked->list[i].value);
    for (size_t i = 0; rc == 0 && i < now->count; i++)
        if (settings_is_tracked(now->list[i].name) &&
            guard_parameter_value_allowed(now->list[i].name, now->list[i].value))
            rc = settings_put(to, now->list[i].name, now->list[i].value);
    return rc;
}

bool person_switch_begin(struct person *p, uint64_t id, struct err *ret_denial,
                         const char **ret_rule)
{
    struct session *s = p->session;
    struct settings wanted = { 0 };
    struct grant_entry entry = { .id = 0 };
    struct decision d;
    char role[PERSON_ROLE_SIZE];
    if (!decide(s, id, &d, &entry, ret_denial)) {
        *ret_rule = decide_rule_name(d.rule);
        return false;
    }
    if (id != 0)
        (void)snprintf(role, sizeof(role), "%s", entry.role);
    else
        (void)snprintf(role, sizeof(role), "%s.%s", s->actor->name, policy_room_name(d.room));
    struct person_switch *change = mem_zalloc(1, sizeof(*change));
    int rc = change != NULL ? wanted_now(p, &wanted) : -RF_ENOMEM;
    if (rc == 0)
        change->link = person_line_new(p, role, &switch_link_ops, &wanted);
    settings_done(&wanted);
    if (rc < 0 || change->link == NULL) {
        mem_free(change);
        (void)err_set(ret_denial, RF_ENOMEM, "out of memory for a grant");
        *ret_rule = "session-limits";
        return false;
    }
    change->id = id;
    p->change = change;
    link_connect(change->link);
    return true;
}
