#include "ledger/leaf.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ledger/json.h"
#include "policy/consents.h"

static const char unlisted[] = "unlisted";

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

static bool has_entity(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->entity_count; i++)
        if (strcmp(policy->entities[i].name, name) == 0)
            return true;
    return false;
}

static bool is_room(const char *name)
{
    for (int i = 0; i < ROOM_COUNT; i++)
        if (strcmp(policy_room_name((enum room)i), name) == 0)
            return true;
    return false;
}

static bool is_actor_kind(const char *name)
{
    return strcmp(name, "person") == 0 || strcmp(name, "service") == 0 ||
           strcmp(name, "unknown") == 0;
}

/* Names of classes in the policy's order, commas between. */
static bool is_class_list(const char *list)
{
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++) {
        const char *name = policy_class_name((enum class_id)i);
        size_t len = strlen(name);
        if (strncmp(list, name, len) != 0 || (list[len] != ',' && list[len] != '\0'))
            continue;
        if (list[len] == '\0')
            return true;
        list += len + 1;
    }
    return false;
}

/* Purposes of consent are a list of their own, and a version is one that the policy names. */
static void publish_consent(const struct policy *policy, const struct record *said,
                            struct record *ret)
{
    const char *purpose = or_empty(said->purpose), *version = or_empty(said->rule);
    const struct policy_consent *c = policy_consent_find(policy, purpose);
    ret->purpose = purpose[0] == '\0' || c != NULL ? purpose : unlisted;
    ret->rule =
        version[0] == '\0' || (c != NULL && strcmp(c->version, version) == 0) ? version : unlisted;
}

void leaf_publish(const struct policy *policy, const struct record *said, struct record *ret)
{
    const char *region = or_empty(said->region), *entity = or_empty(said->entity);
    const char *room = or_empty(said->room), *purpose = or_empty(said->purpose);
    const char *actor_kind = or_empty(said->actor_kind), *classes = or_empty(said->classes);
    *ret = *said;
    ret->region =
        region[0] == '\0' || policy_region_find(policy, region) != NULL ? region : unlisted;
    ret->entity = entity[0] == '\0' || has_entity(policy, entity) ? entity : unlisted;
    ret->room = room[0] == '\0' || is_room(room) ? room : unlisted;
    ret->purpose = purpose[0] == '\0' || policy_has_purpose(policy, purpose) ? purpose : unlisted;
    ret->actor_kind = actor_kind[0] == '\0' || is_actor_kind(actor_kind) ? actor_kind : unlisted;
    ret->classes = classes[0] == '\0' || is_class_list(classes) ? classes : unlisted;
    if (said->kind == RECORD_CONSENT)
        publish_consent(policy, said, ret);
}

void leaf_minute_format(uint32_t minute, char ret[18])
{
    char whole[25];
    clock_format((int64_t)minute * 60000, whole);
    memcpy(ret, whole, 16); /* "2026-11-22T10:05" */
    ret[16] = 'Z';
    ret[17] = '\0';
}

static void put(struct json_writer *w, const char *key, const char *text)
{
    if (text != NULL)
        json_text(w, key, text, strlen(text));
}

int leaf_write(struct buf *to, const struct record *published, uint32_t minute,
               const uint8_t id[LEAF_ID_LEN], const uint8_t commitment[DIGEST_LEN])
{
    char when[18];
    leaf_minute_format(minute, when);
    struct json_writer w = json_begin(to);
    json_number(&w, "v", 1);
    put(&w, "kind", record_kind_name(published->kind));
    put(&w, "minute", when);
    json_hex(&w, "id", id, LEAF_ID_LEN);
    put(&w, "region", published->region);
    put(&w, "entity", published->entity);
    put(&w, "place", published->place);
    put(&w, "room", published->room);
    put(&w, "purpose", published->purpose);
    put(&w, "rule", published->rule);
    put(&w, "actor_kind", published->actor_kind);
    json_number(&w, "grant", published->grant);
    put(&w, "classes", published->classes);
    put(&w, "verdict", published->verdict);
    put(&w, "request_ref", published->request_ref);
    put(&w, "approval_refs", published->approval_refs);
    json_number(&w, "rows", published->rows);
    json_number(&w, "bytes", published->bytes);
    json_number(&w, "statements", published->statements);
    json_number(&w, "subjects", published->subjects);
    json_number(&w, "until", published->until);
    json_number(&w, "slot", published->slot);
    json_number(&w, "start", published->start);
    json_hex(&w, "d", commitment, DIGEST_LEN);
    return json_end(&w) ? 0 : -RF_ENOMEM;
}

int leaf_detail_write(struct buf *to, const struct record *said, const struct record *published)
{
    static const uint8_t no_session[RECORD_SESSION_ID_LEN];
    char when[25], fingerprint[17] = "";
    clock_format(said->wall_ms, when);
    if (said->fingerprint != 0)
        (void)snprintf(fingerprint, sizeof(fingerprint), "%016llx",
                       (unsigned long long)said->fingerprint);
    struct json_writer w = json_begin(to);
    put(&w, "time", when);
    if (memcmp(said->session, no_session, sizeof(no_session)) != 0)
        json_hex(&w, "session", said->session, sizeof(said->session));
    json_number(&w, "statement", said->statement);
    put(&w, "actor", said->actor);
    put(&w, "client", said->client);
    put(&w, "listener", said->listener);
    put(&w, "database", said->database);
    put(&w, "role", said->role);
    put(&w, "statement_kind", said->statement_kind);
    put(&w, "fingerprint", fingerprint);
    put(&w, "relations", said->relations);
    json_text(&w, "sql", or_empty(said->sql), said->sql_len);
    json_number(&w, "rows", said->rows);
    json_number(&w, "bytes", said->bytes);
    json_number(&w, "statements", said->statements);
    json_number(&w, "subjects", said->subjects);
    put(&w, "revealed", said->revealed);
    put(&w, "outcome", said->outcome);
    put(&w, "detail", said->detail);
    put(&w, "text", said->text);
    put(&w, "signature", said->signature);
    put(&w, "said_region", published->region == unlisted ? said->region : NULL);
    put(&w, "said_entity", published->entity == unlisted ? said->entity : NULL);
    put(&w, "said_room", published->room == unlisted ? said->room : NULL);
    put(&w, "said_purpose", published->purpose == unlisted ? said->purpose : NULL);
    put(&w, "said_actor_kind", published->actor_kind == unlisted ? said->actor_kind : NULL);
    put(&w, "said_classes", published->classes == unlisted ? said->classes : NULL);
    return json_end(&w) ? 0 : -RF_ENOMEM;
}

/* Reading: every key in its place, with the form of its value, and where it goes. */
enum form {
    FORM_ONE,
    FORM_KIND,
    FORM_MINUTE,
    FORM_ID,
    FORM_WORD,
    FORM_REFS,
    FORM_NUMBER,
    FORM_DIGEST
};

#define TO(member) offsetof(struct leaf, member)
static const struct {
    const char *key;
    enum form form;
    bool always;
    size_t to; /* FORM_WORD, FORM_NUMBER: 0 nowhere */
} keys[] = {
    { "v", FORM_ONE, true, 0 },
    { "kind", FORM_KIND, true, 0 },
    { "minute", FORM_MINUTE, true, 0 },
    { "id", FORM_ID, true, 0 },
    { "region", FORM_WORD, false, TO(region) },
    { "entity", FORM_WORD, false, TO(entity) },
    { "place", FORM_WORD, false, TO(place) },
    { "room", FORM_WORD, false, TO(room) },
    { "purpose", FORM_WORD, false, TO(purpose) },
    { "rule", FORM_WORD, false, TO(rule) },
    { "actor_kind", FORM_WORD, false, TO(actor_kind) },
    { "grant", FORM_NUMBER, false, TO(grant) },
    { "classes", FORM_WORD, false, 0 },
    { "verdict", FORM_WORD, false, TO(verdict) },
    { "request_ref", FORM_REFS, false, 0 },
    { "approval_refs", FORM_REFS, false, 0 },
    { "rows", FORM_NUMBER, false, TO(rows) },
    { "bytes", FORM_NUMBER, false, TO(bytes) },
    { "statements", FORM_NUMBER, false, TO(statements) },
    { "subjects", FORM_NUMBER, false, TO(subjects) },
    { "until", FORM_NUMBER, false, 0 },
    { "slot", FORM_NUMBER, false, TO(slot) },
    { "start", FORM_NUMBER, false, TO(start) },
    { "d", FORM_DIGEST, true, 0 },
};
#undef TO

static bool hex_read(const struct json_field *f, uint8_t *ret, size_t n)
{
    if (!f->is_text || f->value_len != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++) {
        char c = f->value[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : ret[i / 2] | digit);
    }
    return true;
}

static bool minute_read(const struct json_field *f, uint32_t *ret)
{
    struct tm tm = { 0 };
    char text[18], again[18];
    if (!f->is_text || f->value_len != 17)
        return false;
    memcpy(text, f->value, 17);
    text[17] = '\0';
    if (strptime(text, "%Y-%m-%dT%H:%MZ", &tm) == NULL)
        return false;
    int64_t seconds = timegm(&tm);
    if (seconds < 0 || seconds / 60 > UINT32_MAX)
        return false;
    *ret = (uint32_t)(seconds / 60);
    leaf_minute_format(*ret, again); /* strptime() is generous: only our own writing counts */
    return strcmp(text, again) == 0;
}

static bool kind_read(const struct json_field *f, enum record_kind *ret)
{
    for (int i = RECORD_NONE + 1; i < RECORD_KIND_COUNT; i++) {
        const char *name = record_kind_name((enum record_kind)i);
        if (f->is_text && f->value_len == strlen(name) &&
            memcmp(f->value, name, f->value_len) == 0) {
            *ret = (enum record_kind)i;
            return true;
        }
    }
    return false;
}

static bool is_public_word(const struct json_field *f)
{
    if (!f->is_text || f->value_len > RECORD_WORD_MAX)
        return false;
    for (size_t i = 0; i < f->value_len; i++)
        if (f->value[i] < 0x20 || f->value[i] > 0x7e || f->value[i] == '\\')
            return false;
    return true;
}

static bool field_read(const struct json_field *f, enum form form, size_t where, struct leaf *to)
{
    uint8_t id[LEAF_ID_LEN];
    void *at = (char *)to + where;
    switch (form) {
    case FORM_ONE:
        return !f->is_text && f->number == 1;
    case FORM_KIND:
        return kind_read(f, &to->kind);
    case FORM_MINUTE:
        return minute_read(f, &to->minute);
    case FORM_ID:
        return hex_read(f, id, sizeof(id));
    case FORM_WORD:
        if (where != 0)
            *(struct leaf_word *)at = (struct leaf_word){ f->value, f->value_len };
        return is_public_word(f);
    case FORM_REFS:
        return f->is_text && logleaf_are_refs(f->value, f->value_len);
    case FORM_NUMBER:
        if (where != 0)
            *(uint64_t *)at = f->number;
        return !f->is_text;
    case FORM_DIGEST:
        return hex_read(f, to->commitment, sizeof(to->commitment));
    }
    return false;
}

/* A leaf of the public log, judged by its own reader. */
static int public_read(const void *bytes, size_t n, struct leaf *ret)
{
    struct logleaf l;
    int rc = logleaf_read(bytes, n, &l);
    if (rc == 0) {
        *ret = (struct leaf){ .type = l.type, .minute = l.minute };
        memcpy(ret->commitment, l.commitment, sizeof(ret->commitment));
    }
    return rc;
}

static const char public_start[] = "{\"v\":1,\"type\":";

int leaf_read(const void *bytes, size_t n, struct leaf *ret)
{
    struct json_reader r;
    struct json_field f;
    struct leaf leaf = { 0 };
    size_t next = 0;
    int rc;
    if (n >= sizeof(public_start) - 1 && memcmp(bytes, public_start, sizeof(public_start) - 1) == 0)
        return public_read(bytes, n, ret);
    if (n > LEAF_MAX || !json_open(&r, bytes, n))
        return -RF_EPROTO;
    while ((rc = json_next(&r, &f)) == 1) {
        while (next < RF_COUNT(keys) && (strlen(keys[next].key) != f.key_len ||
                                         memcmp(keys[next].key, f.key, f.key_len) != 0)) {
            if (keys[next++].always)
                return -RF_EPROTO;
        }
        if (next == RF_COUNT(keys) || !field_read(&f, keys[next].form, keys[next].to, &leaf))
            return -RF_EPROTO;
        next++;
    }
    if (rc < 0 || next < RF_COUNT(keys)) /* the last key is always there */
        return -RF_EPROTO;
    *ret = leaf;
    return 0;
}
