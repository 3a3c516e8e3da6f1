/* log_house.h - a house (journal_house.h) with a clerk and a scribe: a whole public log in a
 * folder, with a clock that the test turns. */
#ifndef RF_TESTS_LOG_HOUSE_H
#define RF_TESTS_LOG_HOUSE_H

#include <sodium.h>

#include "journal_house.h"
#include "ledger/clerk.h"
#include "ledger/clerk_inside.h"
#include "ledger/scribe.h"
#include "ledger/vrfkey.h"
#include "policy/mistakes.h"
#include "priv/grant_table.h"
#include "verify/verify.h"

#define ORIGIN "log.example/us-virginia"
#define MINUTE INT64_C(60000)

static const char log_policy_text[] =
    "version: 1\n"
    "company: C\n"
    "jurisdictions: {US: [US]}\n"
    "regions: {us-virginia: {jurisdiction: US, place: US}}\n"
    "entities: {clipstream-us: {country: US}, clipstream-sg: {country: SG}}\n"
    "networks: {n: {range: 10.0.0.0/8, place: US}}\n"
    "purposes: [support_ticket, abuse_report]\n"
    "grants: {opened_by: administrator}\n"
    "publication: {small_cell: 3, held: {abuse_report: 30min}}\n"
    "consents: {signed_by: {actors: [us_analyst]}, purposes: {place: {version: v2, valid: 90d}}}\n"
    "actors:\n"
    "  us_analyst: {kind: person, entity: clipstream-us, place: US}\n"
    "  sg_analyst: {kind: person, entity: clipstream-sg, place: SG}\n"
    "tables:\n"
    "  app.t: {subject: i, residency: r, columns: {i: identity, r: none}}\n";

struct log_house {
    struct house house;
    char directory[80], key_path[96], vrf_path[96];
    struct config config;
    struct config_database database;
    struct secret_key key;
    struct policy *policy;
    int grants_fd;
    struct grant_table *control, *grants; /* the one for writing is control's */
    unsigned grants_of;
    struct clerk *clerk;
    struct scribe *scribe;
    int64_t now_ms;
    uint64_t seq;
    struct err err;
};

static inline struct policy *log_policy(const char *text)
{
    struct mistakes mistakes;
    struct policy *p = NULL;
    mistakes_init(&mistakes);
    int rc = policy_parse("policy.yaml", text, strlen(text), &p, &mistakes);
    if (rc < 0)
        mistakes_print(&mistakes, stdout);
    mistakes_done(&mistakes);
    assert_int_equal(rc, 0);
    return p;
}

static inline void log_house_init_with(struct log_house *h, const char *policy_text)
{
    static char region[] = "us-virginia", alias[] = "us", origin[] = ORIGIN, epoch[] = "20m";
    uint8_t seed[KEY_SEED_LEN] = { 7 }, vrf[VRF_SECRET_LEN];
    *h = (struct log_house){ .now_ms = NOON, .grants_fd = -1 };
    house_init(&h->house);
    assert_true(sodium_init() >= 0);
    assert_int_equal(digest_init(&h->err), 0);
    h->house.segment_max = 64 * 1024;
    (void)snprintf(h->directory, sizeof(h->directory), "%s/public", h->house.state);
    (void)snprintf(h->key_path, sizeof(h->key_path), "%s/log.key", h->house.state);
    (void)snprintf(h->vrf_path, sizeof(h->vrf_path), "%s/vrf.key", h->house.state);
    assert_int_equal(secret_key_make(ORIGIN, KEY_ED25519, seed, &h->key, &h->err), 0);
    assert_int_equal(secret_key_save(h->key_path, &h->key, &h->err), 0);
    assert_int_equal(vrf_secret_make(vrf), 0);
    assert_int_equal(vrfkey_save(h->vrf_path, region, vrf, &h->err), 0);
    h->database = (struct config_database){ .alias = alias, .region = region };
    h->config = (struct config){ .databases = &h->database,
                                 .database_count = 1,
                                 .ledger = { .origin = origin,
                                             .directory = h->directory,
                                             .key_path = h->key_path,
                                             .vrf_path = h->vrf_path,
                                             .epoch = epoch,
                                             .rollup_ms = 5 * MINUTE,
                                             .seal_ms = 15 * MINUTE } };
    h->policy = log_policy(policy_text);
    assert_int_equal(grant_table_create(&h->grants_fd, &h->err), 0);
    assert_int_equal(grant_table_map(h->grants_fd, LEASE_WRITE, &h->control, &h->err), 0);
    assert_int_equal(grant_table_map(h->grants_fd, LEASE_READ, &h->grants, &h->err), 0);
    assert_int_equal(grant_table_claim(h->control, "us", &h->grants_of), 0);
}

static inline void log_house_init(struct log_house *h)
{
    log_house_init_with(h, log_policy_text);
}

/* STATE/clerk, which a clerk makes whose configuration names STATE. Borrowed until the next call.
 */
static inline const char *log_snapshot_folder(const struct log_house *h)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.4000s/clerk", h->house.state);
    return path;
}

static inline int log_clerk_open(struct log_house *h)
{
    int rc = house_open(&h->house);
    if (rc < 0)
        return rc;
    rc = clerk_new(h->house.journal, &h->config, h->grants, &h->clerk, &h->err);
    return rc < 0 ? rc : clerk_replay(h->clerk, h->policy, &h->err);
}

static inline int log_start(struct log_house *h, bool is_reload)
{
    static const uint8_t digest[DIGEST_LEN] = { 1 }, session[RECORD_SESSION_ID_LEN] = { 2 };
    const struct clerk_start start = { .is_reload = is_reload,
                                       .binary = digest,
                                       .libraries = digest,
                                       .detail = "start=1",
                                       .session = session };
    return clerk_start(h->clerk, h->policy, &start, h->now_ms, &h->err);
}

static inline int log_commit(struct log_house *h)
{
    int rc = journal_commit(h->house.journal, &h->err);
    if (rc == 0)
        clerk_committed(h->clerk);
    return rc;
}

/* As the ledger process starts. */
static inline void log_open(struct log_house *h)
{
    assert_int_equal(log_clerk_open(h), 0);
    assert_int_equal(log_start(h, false), 0);
    assert_int_equal(log_commit(h), 0);
}

static inline void log_close(struct log_house *h)
{
    clerk_free(h->clerk);
    h->clerk = NULL;
    house_close(&h->house);
}

static inline void log_house_done(struct log_house *h)
{
    log_close(h);
    scribe_close(h->scribe);
    h->scribe = NULL;
    policy_free(h->policy);
    grant_table_unmap(h->control);
    grant_table_unmap(h->grants);
    fd_close(&h->grants_fd);
    house_done(&h->house);
}

static inline struct record log_record(enum record_kind kind)
{
    struct record r = house_record(1);
    r.kind = kind;
    r.database = "us";
    return r;
}

static inline int log_append(struct log_house *h, const struct record *said)
{
    return clerk_append(h->clerk, h->house.journal, h->policy, said, 99, ++h->seq, h->now_ms,
                        &h->err);
}

static inline void log_say(struct log_house *h, const struct record *said)
{
    int rc = log_append(h, said);
    if (rc < 0)
        print_message("# %s\n", h->err.line);
    assert_int_equal(rc, 0);
}

static inline void log_put(struct log_house *h, enum record_kind kind)
{
    const struct record r = log_record(kind);
    log_say(h, &r);
}

static inline void log_tick(struct log_house *h)
{
    int rc = clerk_tick(h->clerk, h->policy, h->now_ms, &h->err);
    if (rc < 0)
        print_message("# %s\n", h->err.line);
    assert_int_equal(rc, 0);
}

/* ---- grants and disclosures ---- */

static inline struct grant_entry log_grant(uint64_t id, int64_t ends_ms)
{
    struct grant_entry e;
    memset(&e, 0, sizeof(e));
    e.id = id;
    e.ends_wall_ms = ends_ms;
    e.ends_mono_ms = INT64_MAX / 2;
    e.subjects = 2;
    e.classes = 1U << CLASS_IDENTITY | 1U << CLASS_CONTACT;
    (void)snprintf(e.actor, sizeof(e.actor), "us_analyst");
    (void)snprintf(e.role, sizeof(e.role), "rf_g_%016llx", (unsigned long long)id);
    (void)snprintf(e.purpose, sizeof(e.purpose), "support_ticket");
    return e;
}

static inline void log_publish_grant(struct log_house *h, const struct grant_entry *e)
{
    assert_int_equal(grant_table_put(h->control, h->grants_of, e), 0);
}

static inline struct record log_disclosure(uint64_t grant, const char *purpose,
                                           const char *revealed)
{
    struct record r = log_record(RECORD_DISCLOSURE);
    r.room = "granted";
    r.purpose = purpose;
    r.grant = grant;
    r.classes = "identity";
    r.revealed = revealed;
    r.subjects = 1;
    return r;
}

/* What the registrar says of request NUMBER; REF: of the request, for all that follow it. */
static inline struct record log_asked(enum record_kind kind, uint64_t number, const char *ref)
{
    struct record r = log_record(kind);
    bool is_asked = kind == RECORD_REQUEST || kind == RECORD_BREAKGLASS || kind == RECORD_GRANT;
    r.room = NULL;
    r.purpose = is_asked || kind == RECORD_FIND ? "support_ticket" : NULL;
    r.grant = kind == RECORD_FIND ? 0 : number;
    r.classes = is_asked ? "identity,contact" : NULL;
    r.subjects = is_asked ? 2 : 0;
    r.rule = kind == RECORD_REQUEST || kind == RECORD_BREAKGLASS ? "support" : NULL;
    r.request_ref = ref;
    r.verdict = kind == RECORD_APPROVAL ? "approve" : kind == RECORD_REVIEW ? "proper" : NULL;
    r.text = kind == RECORD_GRANT ? NULL : "ringfence-command@1\nregion us-virginia\n";
    r.signature = kind == RECORD_GRANT ? NULL : "-----BEGIN SSH SIGNATURE-----\n";
    return r;
}

/* Where the leaf stands that was appended last. */
static inline void log_ref(const struct log_house *h, char ret[RECORD_REF_SIZE])
{
    clerk_ref_last(h->clerk, h->house.journal, RECORD_REQUEST, ret);
}

/* ---- what came out ---- */

typedef void log_entry_fn(void *context, const struct frame_entry *entry, const struct leaf *open,
                          const struct logleaf *leaf /* NULL: a record */);

static inline void log_walk(struct log_house *h, log_entry_fn *on_entry, void *context)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    int rc;
    assert_int_equal(scan_open(h->house.folder, 0, &scan, &h->err), 0);
    while ((rc = scan_next(scan, &entry, &offset, &h->err)) == 1) {
        struct leaf open;
        struct logleaf leaf;
        assert_int_equal(leaf_read(entry.leaf, entry.leaf_len, &open), 0);
        if (open.type != LEAF_NONE)
            assert_int_equal(logleaf_read(entry.leaf, entry.leaf_len, &leaf), 0);
        on_entry(context, &entry, &open, open.type != LEAF_NONE ? &leaf : NULL);
    }
    assert_int_equal(rc, 0);
    scan_close(scan);
}

struct log_judge {
    struct rules *rules;
    struct findings findings;
    uint64_t leaves, entries;
    uint64_t of_type[LEAF_TYPE_COUNT];
};

static inline void log_judge_entry(void *context, const struct frame_entry *entry,
                                   const struct leaf *open, const struct logleaf *leaf)
{
    struct log_judge *j = context;
    struct err err;
    (void)entry, (void)open;
    j->entries++;
    if (leaf == NULL)
        return;
    j->of_type[leaf->type]++;
    assert_int_equal(rules_leaf(j->rules, j->leaves++, leaf, &j->findings, &err), 0);
}

/* The leaves of the journal keep every rule that a verifier knows. The caller may look at *RET. */
static inline void log_judge(struct log_house *h, struct log_judge *ret)
{
    struct log_judge *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    assert_int_equal(rules_new(&h->key.key, &j->rules, &h->err), 0);
    log_walk(h, log_judge_entry, j);
    for (unsigned i = 0; i < j->findings.count && i < 10; i++)
        print_message("# leaf %llu: %s\n", (unsigned long long)j->findings.list[i].leaf,
                      j->findings.list[i].text);
    assert_int_equal(j->findings.tampered, 0);
    rules_free(j->rules);
    j->rules = NULL;
    if (ret != NULL)
        *ret = *j;
    free(j);
}

/* ---- the scribe ---- */

static inline int log_scribe_open(struct log_house *h)
{
    const struct scribe_options options = { .state_dir = h->house.state,
                                            .directory = h->directory,
                                            .key = &h->key };
    return scribe_open(&options, &h->scribe, &h->err);
}

static inline void log_scribe_close(struct log_house *h)
{
    scribe_close(h->scribe);
    h->scribe = NULL;
}

/* Sign and publish all that there is. */
static inline int log_scribe_go(struct log_house *h)
{
    int64_t entries = house_count(&h->house, 0, NULL);
    assert_true(entries >= 0);
    int rc = 0;
    while (rc >= 0 && scribe_next(h->scribe) < (uint64_t)entries)
        rc = scribe_advance(h->scribe, (uint64_t)entries, INT64_MAX / 2, &h->err);
    size_t len;
    return rc < 0 || scribe_note(h->scribe, &len) == NULL
               ? rc
               : scribe_publish(h->scribe, "", 0, &h->err);
}

/* Everything that `ringfence log verify` looks at: exit status 0, 1 or 4. */
static inline int log_verify(struct log_house *h, uint64_t *ret_leaves)
{
    struct source *source = NULL;
    struct verify_report *report = NULL;
    const struct verify_options options = { .key = &h->key.key };
    assert_int_equal(source_open(h->directory, NULL, &source, &h->err), 0);
    assert_int_equal(verify_report_new(&report, &h->err), 0);
    assert_int_equal(verify_log(source, &options, report, &h->err), 0);
    if (report->findings.tampered > 0)
        print_message("# %s: %s\n", report->findings.list[0].file, report->findings.list[0].text);
    int status = report->findings.tampered > 0 ? 4 : report->findings.wanting > 0 ? 1 : 0;
    if (ret_leaves != NULL)
        *ret_leaves = report->leaves;
    verify_report_free(report);
    source_close(source);
    return status;
}

#endif
