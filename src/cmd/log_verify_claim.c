/* log_verify_claim.c - `ringfence log verify-claim`: a claim file, read to the person it is about.
 *
 * Needs the file and the keys of the region's logs, and nothing else: no network, no gateway. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cmd/logcommand.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"

/* A grant of the accesses that follow. */
struct told_grant {
    uint64_t leaf;
    unsigned approvals;
    char by[24]; /* "signatures", "breakglass", "administrator", "" */
};

struct telling {
    bool json;
    struct claim_result result;
    struct claim_line line;
    char epoch[TAG_EPOCH_SIZE], origin[KEY_NAME_MAX + 1];
    uint8_t subject[TAG_SUBJECT_MAX];
    size_t subject_len;
    uint64_t number;   /* accesses told */
    int failed;        /* one could not be told */
    const char *comma; /* before the next of a list */
    struct told_grant *grants;
    size_t grant_count, grant_room;
    bool no_memory;
};

static void value(const struct logleaf *leaf, enum logleaf_key key, const char *otherwise,
                  char ret[RECORD_WORD_MAX + 1])
{
    const struct logleaf_value *v = &leaf->value[key];
    if (v->text == NULL)
        (void)snprintf(ret, RECORD_WORD_MAX + 1, "%s", otherwise);
    else
        (void)snprintf(ret, RECORD_WORD_MAX + 1, "%.*s", (int)v->len, v->text);
}

static void pair(const char *name, const char *text)
{
    (void)printf(",\"%s\":", name);
    command_print_json(text);
}

static void keep_grant(struct telling *t)
{
    struct logleaf leaf;
    const char *origin;
    uint64_t index;
    size_t at = 0, len;
    if (logleaf_read(t->line.leaf, t->line.leaf_len, &leaf) < 0)
        return;
    if (t->grant_count == t->grant_room) {
        size_t room = t->grant_room > 0 ? 2 * t->grant_room : 16;
        struct told_grant *wider = mem_realloc(t->grants, room * sizeof(*wider));
        if (wider == NULL) {
            t->no_memory = true;
            return;
        }
        t->grants = wider;
        t->grant_room = room;
    }
    struct told_grant *g = &t->grants[t->grant_count++];
    *g = (struct told_grant){ .leaf = t->line.index };
    while (logleaf_refs_next(&leaf, &at, &index, &origin, &len))
        g->approvals++;
    (void)snprintf(g->by, sizeof(g->by), "%s",
                   g->approvals > 0                           ? "signatures"
                   : logleaf_has(&leaf, LEAF_KEY_REQUEST_REF) ? "breakglass"
                   : logleaf_has(&leaf, LEAF_KEY_BY)          ? "administrator"
                                                              : "");
}

/* The grant of LEAF, where the file shows it. */
static const struct told_grant *grant_of(const struct telling *t, const struct logleaf *leaf)
{
    const char *origin;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(leaf, LEAF_KEY_GRANT_REF, &index, &origin, &len) || len != strlen(t->origin) ||
        memcmp(origin, t->origin, len) != 0)
        return NULL;
    for (size_t i = 0; i < t->grant_count; i++)
        if (t->grants[i].leaf == index)
            return &t->grants[i];
    return NULL;
}

static void tell_grant(const struct told_grant *g, bool json)
{
    if (json && g != NULL) {
        pair("granted_by", g->by);
        (void)printf(",\"approvals\":%u", g->approvals);
    }
    if (json || g == NULL)
        return;
    if (g->approvals > 0)
        (void)printf("      approved by: %u, with their signatures\n", g->approvals);
    else if (strcmp(g->by, "breakglass") == 0)
        (void)fputs("      approved by: nobody; the glass was broken\n", stdout);
    else if (strcmp(g->by, "administrator") == 0)
        (void)fputs("      approved by: an administrator, without signatures\n", stdout);
}

/* Everything here was judged before: the leaf is in its log, the opening is what it commits to. */
static void tell_access(struct telling *t)
{
    char entity[RECORD_WORD_MAX + 1], place[RECORD_WORD_MAX + 1], purpose[RECORD_WORD_MAX + 1];
    char classes[RECORD_WORD_MAX + 1], time[25];
    struct logleaf leaf;
    struct tag_access access = { 0 };
    int rc = logleaf_read(t->line.leaf, t->line.leaf_len, &leaf);
    if (rc == 0)
        rc = tag_access_read(t->line.access, t->line.access_len, t->subject, t->subject_len,
                             &access);
    if (rc < 0) { /* only memory can fail by now: a list with a gap would be a lie */
        t->failed = rc;
        return;
    }
    bool is_held = logleaf_has(&leaf, LEAF_KEY_HELD);
    value(&leaf, LEAF_KEY_ENTITY, "", entity);
    value(&leaf, LEAF_KEY_PLACE, "", place);
    value(&leaf, LEAF_KEY_PURPOSE, "", purpose);
    (void)snprintf(classes, sizeof(classes), "%.*s", (int)access.classes_len, access.classes);
    clock_format(access.time_ms, time);
    if (t->json) {
        (void)printf("%s{\"time\":\"%s\",\"epoch\":\"%s\"", t->comma, time, t->epoch);
        pair("origin", t->origin);
        (void)printf(",\"leaf\":%" PRIu64, t->line.index);
        pair("entity", entity);
        pair("place", place);
        pair("purpose", purpose);
        (void)printf(",\"held\":%s", is_held ? "true" : "false");
        pair("classes", classes);
        pair("kind", leaf.type == LEAF_FIND ? "find" : "disclosure");
        tell_grant(grant_of(t, &leaf), true);
        (void)putchar('}');
        t->comma = ",";
        return;
    }
    bool is_find = leaf.type == LEAF_FIND;
    (void)printf("%4" PRIu64 ". %.10s %.8s UTC: %s, from %s, %s%s\n      purpose: %s\n",
                 ++t->number, time, time + 11, entity[0] != '\0' ? entity : "somebody unnamed",
                 place[0] != '\0' ? place : "an unknown country",
                 is_find ? "looked you up" : "saw your data of class ", is_find ? "" : classes,
                 is_held ? "was held back; if the log shows it by now, its leaf \"opened\" names "
                           "the leaf below"
                 : purpose[0] != '\0' ? purpose
                                      : "none was given");
    tell_grant(grant_of(t, &leaf), false);
    (void)printf("      proof: leaf %" PRIu64 " of %s\n", t->line.index, t->origin);
}

static void tell_epoch(struct telling *t)
{
    if (t->json)
        (void)printf("%s\"%s\"", t->comma, t->epoch);
    else
        (void)printf("%s%s", t->comma, t->epoch);
    t->comma = t->json ? "," : ", ";
}

/* Read the file once more and call TELL for each line with WORD. */
static int walk(struct telling *t, const char *bytes, size_t n, enum claim_word word,
                void (*tell)(struct telling *t), struct err *err)
{
    struct claim_reader r = claim_read_begin(bytes, n);
    int rc;
    while ((rc = claim_read(&r, &t->line, err)) == 1) {
        if (t->line.word == CLAIM_SUBJECT) {
            memcpy(t->subject, t->line.subject, t->line.subject_len);
            t->subject_len = t->line.subject_len;
        } else if (t->line.word == CLAIM_EPOCH) {
            (void)snprintf(t->epoch, sizeof(t->epoch), "%.*s", (int)sizeof(t->epoch) - 1,
                           t->line.text);
        } else if (t->line.word == CLAIM_IN || t->line.word == CLAIM_LOG) {
            (void)snprintf(t->origin, sizeof(t->origin), "%s", t->line.text);
        }
        if (t->line.word == CLAIM_SEAL)
            t->grant_count = 0;
        if (t->line.word == CLAIM_GRANT)
            keep_grant(t);
        if (t->line.word == word)
            tell(t);
        if (t->failed < 0)
            return err_set(err, (enum err_code) - t->failed, "could not tell line %u",
                           t->line.number);
    }
    return rc == 0 && t->no_memory ? err_set(err, RF_ENOMEM, "out of memory") : rc;
}

static void tell_origin(struct telling *t)
{
    (void)fputs(t->comma, stdout);
    if (t->json)
        command_print_json(t->origin);
    else
        (void)fputs(t->origin, stdout);
    t->comma = t->json ? "," : ", ";
}

static int print_json(struct telling *t, const char *bytes, size_t n,
                      const struct claim_trust *trust, struct err *err)
{
    const struct claim_result *c = &t->result;
    (void)printf("{\"verdict\":\"%s\",\"witnessed\":%s,\"unwitnessed\":%u,\"elsewhere\":%u,"
                 "\"access_count\":%" PRIu64 ",\"find_count\":%" PRIu64 ",\"logs\":[",
                 c->unwitnessed > 0 ? "unwitnessed"
                 : c->elsewhere > 0 ? "partial"
                                    : "holds",
                 trust->witnesses != NULL && c->unwitnessed == 0 ? "true" : "false", c->unwitnessed,
                 c->elsewhere, c->access_count, c->find_count);
    t->comma = "";
    int rc = walk(t, bytes, n, CLAIM_LOG, tell_origin, err);
    (void)fputs("],\"epochs\":[", stdout);
    t->comma = "";
    if (rc == 0)
        rc = walk(t, bytes, n, CLAIM_EPOCH, tell_epoch, err);
    (void)fputs("],\"accesses\":[", stdout);
    t->comma = "";
    if (rc == 0)
        rc = walk(t, bytes, n, CLAIM_ACCESS, tell_access, err);
    (void)fputs("]}\n", stdout);
    return rc;
}

static void print_witnesses(const struct claim_trust *trust, const struct claim_result *c)
{
    if (trust->witnesses == NULL)
        (void)printf("Unwitnessed: that everybody is shown the same log is the operator's word; "
                     "name witnesses\nwith --witnesses.\n");
    else if (c->unwitnessed > 0)
        (void)printf("Unwitnessed: %u of the logs have not the cosignatures that you ask for.\n",
                     c->unwitnessed);
    else
        (void)printf("Witnessed: each log's checkpoint has the cosignatures that you ask for.\n");
}

static int print(struct telling *t, const char *bytes, size_t n, const struct claim_trust *trust,
                 struct err *err)
{
    const struct claim_result *c = &t->result;
    if (c->access_count == 0)
        (void)fputs("Nobody looked at your data in clear. Nobody looked you up.\n", stdout);
    else
        (void)printf("Your data was looked at in clear, %" PRIu64 " entries; %" PRIu64
                     " of them say that you were looked up:\n\n",
                     c->access_count, c->find_count);
    int rc = walk(t, bytes, n, CLAIM_ACCESS, tell_access, err);
    (void)printf(
        "\nA line stands for the hour that it falls in: who looks again within it, under the same "
        "grant, is not\nlisted twice. The list is true, and %s for these epochs: ",
        c->elsewhere > 0 ? "NOT COMPLETE" : "complete");
    t->comma = "";
    if (rc == 0)
        rc = walk(t, bytes, n, CLAIM_EPOCH, tell_epoch, err);
    (void)printf("\nover these logs, which are all of the region: ");
    t->comma = "";
    if (rc == 0)
        rc = walk(t, bytes, n, CLAIM_LOG, tell_origin, err);
    (void)printf("\n");
    if (c->elsewhere > 0)
        (void)
            printf("Not complete alone: in %u cases a log of another VRF key lived in one of these "
                   "epochs; ask for\nthe file of that key, too.\n",
                   c->elsewhere);
    print_witnesses(trust, c);
    (void)printf(
        "It rests on logs that hold as a whole: anybody can check them with \"ringfence log "
        "verify\".\n");
    return rc;
}

static int judge(const struct log_arguments *a, struct telling *t, struct err *err)
{
    struct claim_trust trust = { .keys = a->keys, .key_count = a->key_count };
    struct claim_result *result = &t->result;
    struct trust *witnesses = NULL;
    char *bytes = NULL;
    size_t n = 0;
    int rc = fd_read_file(a->words[0], CLAIM_MAX, &bytes, &n, err);
    if (rc == -RF_ETOOBIG)
        rc = err_set(err, RF_EPROTO, "\"%.200s\" is too large for a claim file", a->words[0]);
    if (rc == 0 && a->witnesses != NULL) {
        witnesses = mem_zalloc(1, sizeof(*witnesses));
        rc = witnesses == NULL ? err_set(err, RF_ENOMEM, "out of memory")
                               : trust_load(a->witnesses, witnesses, err);
        trust.witnesses = witnesses;
    }
    if (rc == 0)
        rc = claim_verify(bytes, n, &trust, result, err);
    if (rc == 0)
        rc = (t->json ? print_json : print)(t, bytes, n, &trust, err);
    mem_free_secret(bytes, n);
    mem_free(witnesses);
    mem_free(t->grants);
    return rc < 0 ? rc : result->unwitnessed > 0 || result->elsewhere > 0 ? 1 : 0;
}

int log_verify_claim(const struct command_context *context, const struct log_arguments *a)
{
    struct err err;
    if (a->key_count == 0)
        return command_usage("log");
    struct telling *t = mem_zalloc(1, sizeof(*t));
    int rc = t == NULL           ? err_set(&err, RF_ENOMEM, "out of memory")
             : sodium_init() < 0 ? err_set(&err, RF_EBUG, "cannot initialise libsodium")
                                 : 0;
    if (rc == 0) {
        t->json = context->json;
        t->comma = "";
        rc = judge(a, t, &err);
    }
    mem_free_secret(t, sizeof(*t));
    return rc < 0 ? command_fail(context, "log", &err) : rc == 1 ? COMMAND_REFUSED : COMMAND_DONE;
}
