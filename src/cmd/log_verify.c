/* log_verify.c - `ringfence log verify`: one public log, or all logs of a region.
 *
 * Of several logs, those whose keys are given are judged first; the keys of the others are in the
 * leaves of the first log that name them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/log_policies.h"
#include "cmd/logcommand.h"
#include "verify/claim.h"

enum { CLOCKS_APART_MINUTES = 5 }; /* of two gateways, at most, if they are to be believed */

struct judged {
    const char *where;
    struct source *source;
    struct key key;
    bool has_key;
    struct verify_report *report; /* NULL: not judged yet */
};

struct judging {
    const struct command_context *context;
    const struct log_arguments *arguments;
    struct verify_options options;
    struct trust *trust;
    struct claims *claims;
    struct policies *policies;
    struct verify_report *at; /* of the log that is read now */
    struct judged logs[LOG_SOURCES_MAX];
    unsigned count;
    struct findings roster; /* about the logs together */
    unsigned missing;       /* logs that a leaf names and nobody gave */
};

/* ---- which key ------------------------------------------------------------------------------ */

/* The first line of the checkpoint, not yet believed. */
static int origin_of(struct judged *l, char ret[KEY_NAME_MAX + 1], struct err *err)
{
    static const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct source_file file;
    int rc = source_read(l->source, &path, &file, err);
    const char *end = rc == 1 && file.len > 0 ? memchr(file.bytes, '\n', file.len) : NULL;
    size_t n = end != NULL ? (size_t)(end - (const char *)file.bytes) : 0;
    ret[0] = '\0';
    if (n <= KEY_NAME_MAX && n > 0) {
        memcpy(ret, file.bytes, n);
        ret[n] = '\0';
    }
    return rc < 0 ? rc : 0;
}

static void give_key(struct judging *j, const struct key *key)
{
    struct err ignored;
    char origin[KEY_NAME_MAX + 1];
    for (unsigned i = 0; i < j->count; i++) {
        struct judged *l = &j->logs[i];
        if (!l->has_key && origin_of(l, origin, &ignored) == 0 && strcmp(origin, key->name) == 0) {
            l->key = *key;
            l->has_key = true;
        }
    }
}

static void give_named(struct judging *j, const struct rules_log *named)
{
    struct key key;
    struct err ignored;
    if (named->vkey[0] != '\0' && key_read(named->vkey, strlen(named->vkey), &key, &ignored) == 0)
        give_key(j, &key);
}

/* ---- judging -------------------------------------------------------------------------------- */

static int on_leaf(void *context, uint64_t index, const void *bytes, size_t n,
                   const struct logleaf *leaf, struct err *err)
{
    struct judging *j = context;
    (void)bytes, (void)n;
    int rc = j->claims != NULL ? claims_leaf(j->claims, index, leaf, err) : 0;
    return rc == 0 && j->policies != NULL
               ? policies_leaf(j->policies, index, leaf, &j->at->findings, err)
               : rc;
}

static int judge(struct judging *j, struct judged *l, struct err *err)
{
    j->options.key = &l->key;
    if (j->claims != NULL)
        claims_log(j->claims, l->key.name);
    if (j->policies != NULL)
        policies_begin(j->policies);
    int rc = verify_report_new(&l->report, err);
    j->at = l->report;
    if (rc == 0)
        rc = log_verify_one(j->arguments, l->source, &j->options, l->report, err);
    log_progress_end();
    if (rc < 0)
        return rc;
    const struct rules_facts *f = &l->report->facts;
    for (unsigned i = 0; i < f->member_count; i++)
        give_named(j, &f->members[i]);
    if (f->successor.origin[0] != '\0')
        give_named(j, &f->successor);
    return 0;
}

static int judge_all(struct judging *j, struct err *err)
{
    bool goes_on = false;
    for (unsigned i = 0; i < j->arguments->key_count; i++)
        give_key(j, &j->arguments->keys[i]);
    for (unsigned i = 0; i < j->count; i++)
        goes_on = goes_on || j->logs[i].has_key;
    if (!goes_on && j->arguments->key_count == 1) { /* whatever it calls itself */
        j->logs[0].key = j->arguments->keys[0];
        goes_on = j->logs[0].has_key = true;
    }
    while (goes_on) {
        goes_on = false;
        for (unsigned i = 0; i < j->count; i++) {
            if (!j->logs[i].has_key || j->logs[i].report != NULL)
                continue;
            int rc = judge(j, &j->logs[i], err);
            if (rc < 0)
                return rc;
            goes_on = true;
        }
    }
    return 0;
}

/* ---- the roster ----------------------------------------------------------------------------- */

static const struct judged *log_called(const struct judging *j, const char *origin)
{
    for (unsigned i = 0; i < j->count; i++)
        if (j->logs[i].has_key && strcmp(j->logs[i].key.name, origin) == 0)
            return &j->logs[i];
    return NULL;
}

static void judge_named(struct judging *j, const struct judged *by, const struct rules_log *named)
{
    char vkey[KEY_VKEY_SIZE];
    const struct judged *l = log_called(j, named->origin);
    if (l == NULL) {
        j->missing++;
        if (j->count > 1)
            findings_add(&j->roster, FINDING_WANTING, NULL, named->leaf,
                         "\"%.100s\" names log \"%.100s\", which was not given", by->key.name,
                         named->origin);
        return;
    }
    key_write(&l->key, vkey);
    if (named->vkey[0] != '\0' && strcmp(vkey, named->vkey) != 0)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, named->leaf,
                     "\"%.100s\" names another key of log \"%.100s\"", by->key.name, named->origin);
}

/* Who names L; *RET_SUCCEEDS: as the next log. NULL: none of the others. */
static const struct judged *namer_of(const struct judging *j, const struct judged *l,
                                     bool *ret_succeeds)
{
    for (unsigned i = 0; i < j->count; i++) {
        const struct verify_report *r = j->logs[i].report;
        if (r == NULL || &j->logs[i] == l)
            continue;
        *ret_succeeds = strcmp(r->facts.successor.origin, l->key.name) == 0;
        if (*ret_succeeds)
            return &j->logs[i];
        for (unsigned m = 0; m < r->facts.member_count; m++)
            if (strcmp(r->facts.members[m].origin, l->key.name) == 0)
                return &j->logs[i];
    }
    return NULL;
}

/* What the genesis of L says about the log before it is what that one, BY, says; NULL: was not
   given. */
static void judge_succession(struct judging *j, const struct judged *l, const struct judged *by)
{
    const struct rules_log *before = &l->report->facts.predecessor;
    if (by == NULL) {
        if (before->origin[0] != '\0' && j->count > 1)
            findings_add(&j->roster, FINDING_WANTING, NULL, 0,
                         "\"%.100s\" continues \"%.100s\", which was not given", l->key.name,
                         before->origin);
        return;
    }
    const struct rules_log *next = &by->report->facts.successor;
    if (strcmp(before->origin, by->key.name) != 0 || next->leaf != before->leaf)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, 0,
                     "\"%.100s\" is said to continue \"%.100s\", and its genesis says otherwise",
                     l->key.name, by->key.name);
}

/* Logs of one region have its name. They have its VRF key, which only a log that continues another
   may change: a claim file is of one such key (docs/formats/claims.md). */
static void judge_same(struct judging *j, const struct judged *l, const struct judged *by,
                       bool succeeds)
{
    const struct rules_facts *f = &l->report->facts, *other = &by->report->facts;
    if (!l->report->is_whole || !by->report->is_whole)
        return;
    if (strcmp(f->region, other->region) != 0)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, 0,
                     "log \"%.200s\" is of another region than \"%.200s\"", l->key.name,
                     by->key.name);
    if (!succeeds && memcmp(f->vrf, other->vrf, sizeof(f->vrf)) != 0)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, 0,
                     "log \"%.200s\" has another VRF key than \"%.200s\"", l->key.name,
                     by->key.name);
}

/* The place of L in the roster. *FIRST: the one log that nobody names, once it was found. */
static void judge_place(struct judging *j, const struct judged *l, const struct judged **first)
{
    const struct rules_facts *f = &l->report->facts;
    bool succeeds = false;
    const struct judged *by = namer_of(j, l, &succeeds);
    if (by != NULL)
        judge_same(j, l, by, succeeds);
    if (by == NULL || succeeds)
        judge_succession(j, l, by);
    else if (f->predecessor.origin[0] != '\0')
        findings_add(&j->roster, FINDING_TAMPERED, NULL, 0,
                     "\"%.100s\" is a member, and continues \"%.100s\"", l->key.name,
                     f->predecessor.origin);
    if (by == NULL && *first != NULL)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, FINDING_NO_LEAF,
                     "log \"%.200s\" is not in the roster of \"%.200s\"", l->key.name,
                     (*first)->key.name);
    if (by == NULL && *first == NULL)
        *first = l;
}

/* All logs of a region hang on one that nobody names. */
static void judge_roster(struct judging *j)
{
    const struct judged *first = NULL;
    for (unsigned i = 0; i < j->count; i++) {
        const struct judged *l = &j->logs[i];
        if (l->report == NULL) {
            findings_add(&j->roster, FINDING_TAMPERED, NULL, FINDING_NO_LEAF,
                         "\"%.200s\" is in no roster of the logs with a known key", l->where);
            continue;
        }
        const struct rules_facts *f = &l->report->facts;
        for (unsigned m = 0; m < f->member_count; m++)
            judge_named(j, l, &f->members[m]);
        if (f->successor.origin[0] != '\0')
            judge_named(j, l, &f->successor);
        judge_place(j, l, &first);
    }
    if (first == NULL && j->logs[0].report != NULL)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, FINDING_NO_LEAF,
                     "every log is named by another one: none is the first");
}

/* ---- references between logs ---------------------------------------------------------------- */

/* BY is the leaf that refers. What it is about has a number, which is the same. */
static bool is_what_it_should_be(const struct rules_foreign *f, const struct logleaf *by,
                                 const struct logleaf *l)
{
    bool is_same = l->value[LEAF_KEY_GRANT].number == f->grant;
    switch ((int)f->key) {
    case LEAF_KEY_GRANT_REF:
        return l->type == LEAF_GRANT && is_same;
    case LEAF_KEY_REQUEST_REF:
        return is_same &&
               (l->type == LEAF_BREAKGLASS
                    ? by->type != LEAF_APPROVAL && !logleaf_has(by, LEAF_KEY_APPROVAL_REFS)
                    : l->type == LEAF_REQUEST && by->type != LEAF_REVIEW);
    case LEAF_KEY_APPROVAL_REFS:
        return is_same && l->type == LEAF_APPROVAL && logleaf_is(l, LEAF_KEY_VERDICT, "approve");
    case LEAF_KEY_POLICY_REF:
        return l->type == LEAF_START || l->type == LEAF_POLICY;
    default:
        return logleaf_has(l, LEAF_KEY_HELD);
    }
}

/* Leaf INDEX of L into BYTES and *RET, which borrows: 1; 0: there is none. */
static int leaf_of(struct judging *j, const struct judged *l, uint64_t index, struct buf *bytes,
                   struct logleaf *ret, struct err *err)
{
    if (index >= l->report->checkpoint.size)
        return 0;
    int rc = verify_leaf(l->source, &l->report->checkpoint, index, bytes, NULL, &j->roster, err);
    return rc == 1 && logleaf_read(buf_at(bytes), buf_len(bytes), ret) < 0 ? 0 : rc;
}

/* A grant that tells of a request, or of itself, in another log says the same. */
static void judge_same_grant(struct judging *j, const struct judged *by,
                             const struct rules_foreign *f, const struct logleaf *grant,
                             const struct logleaf *other)
{
    if (grant->type != LEAF_GRANT || f->key == LEAF_KEY_APPROVAL_REFS ||
        f->key == LEAF_KEY_POLICY_REF)
        return;
    /* Which rules were read between the two, their minutes do not tell. */
    const char *what = rules_disagree(grant, other, true);
    if (what != NULL)
        findings_add(&j->roster, FINDING_TAMPERED, NULL, f->leaf,
                     "the grant in \"%.80s\" has another %s than leaf %" PRIu64 " of \"%.80s\"",
                     by->key.name, what, f->index, f->origin);
}

static int judge_reference(struct judging *j, const struct judged *by,
                           const struct rules_foreign *f, struct err *err)
{
    const struct judged *there = log_called(j, f->origin);
    struct logleaf leaf, from;
    struct buf bytes, from_bytes;
    if (there == NULL || there->report == NULL || !there->report->is_whole || !by->report->is_whole)
        return 0; /* that it is missing was told by the roster */
    buf_init(&bytes, LOGLEAF_MAX);
    buf_init(&from_bytes, LOGLEAF_MAX);
    int rc = leaf_of(j, by, f->leaf, &from_bytes, &from, err);
    if (rc == 1)
        rc = leaf_of(j, there, f->index, &bytes, &leaf, err);
    if (rc == 0 || (rc == 1 && !is_what_it_should_be(f, &from, &leaf)))
        findings_add(&j->roster, FINDING_TAMPERED, NULL, f->leaf,
                     "%s in \"%.80s\" names leaf %" PRIu64 " of \"%.80s\", which is no such thing",
                     logleaf_key_name(f->key), by->key.name, f->index, f->origin);
    else if (rc == 1)
        judge_same_grant(j, by, f, &from, &leaf);
    if (rc == 1 && from.type == LEAF_REVIEW && leaf.type == LEAF_BREAKGLASS &&
        there->report->facts.unreviewed > 0)
        there->report->facts.unreviewed--;
    bool is_said_first = f->key == LEAF_KEY_REQUEST_REF || f->key == LEAF_KEY_APPROVAL_REFS;
    if (rc == 1 && is_said_first && leaf.minute > from.minute + CLOCKS_APART_MINUTES)
        findings_add(&j->roster, FINDING_WANTING, NULL, f->leaf,
                     "%s in \"%.80s\" names leaf %" PRIu64 " of \"%.80s\", which came later",
                     logleaf_key_name(f->key), by->key.name, f->index, f->origin);
    buf_done(&bytes);
    buf_done(&from_bytes);
    return rc < 0 ? rc : 0;
}

static int judge_references(struct judging *j, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < j->count; i++) {
        const struct verify_report *r = j->logs[i].report;
        for (unsigned k = 0; rc == 0 && r != NULL && k < r->facts.foreign_count; k++)
            rc = judge_reference(j, &j->logs[i], &r->facts.foreign[k], err);
    }
    return rc;
}

/* ---- telling -------------------------------------------------------------------------------- */

static const char *verdict_of(const struct verify_report *r)
{
    return r->findings.tampered > 0 ? "tampered" : r->findings.wanting > 0 ? "wanting" : "holds";
}

static void print_types_json(const struct rules_facts *f)
{
    const char *comma = "";
    (void)fputs("\"types\":{", stdout);
    for (int i = LEAF_NONE + 1; i < LEAF_TYPE_COUNT; i++)
        if (f->of_type[i] > 0) {
            (void)printf("%s\"%s\":%" PRIu64, comma, logleaf_type_name((enum logleaf_type)i),
                         f->of_type[i]);
            comma = ",";
        }
    (void)putchar('}');
}

static void print_neighbour_json(const char *name, const struct rules_log *log)
{
    if (log->origin[0] == '\0')
        return;
    (void)printf("\"%s\":{\"origin\":", name);
    command_print_json(log->origin);
    (void)printf(",\"leaf\":%" PRIu64 "},", log->leaf);
}

static void print_not_given_json(const struct judging *j, const struct rules_facts *f)
{
    const char *comma = "";
    (void)fputs("\"not_given\":[", stdout);
    for (unsigned i = 0; i < f->member_count + 2; i++) {
        const char *origin = i < f->member_count    ? f->members[i].origin
                             : i == f->member_count ? f->predecessor.origin
                                                    : f->successor.origin;
        if (origin[0] == '\0' || log_called(j, origin) != NULL)
            continue;
        (void)fputs(comma, stdout);
        command_print_json(origin);
        comma = ",";
    }
    (void)fputs("],", stdout);
}

static const char *const evidence_names[EVIDENCE_COUNT] = {
    [EVIDENCE_NONE] = "nothing",          [EVIDENCE_SIGNATURES] = "signatures",
    [EVIDENCE_BREAKGLASS] = "breakglass", [EVIDENCE_ADMINISTRATOR] = "administrator",
    [EVIDENCE_ELSEWHERE] = "elsewhere",
};

static void print_grants_json(const struct rules_facts *f)
{
    const char *comma = "";
    (void)fputs(",\"grants_by\":{", stdout);
    for (int i = 0; i < EVIDENCE_COUNT; i++)
        if (f->grants[i] > 0) {
            (void)printf("%s\"%s\":%" PRIu64, comma, evidence_names[i], f->grants[i]);
            comma = ",";
        }
    (void)printf("},\"reviews_missing\":%" PRIu64, f->unreviewed);
}

static void print_grants(const struct rules_facts *f)
{
    static const char *const lines[EVIDENCE_COUNT] = {
        [EVIDENCE_NONE] = "with nothing that makes them true",
        [EVIDENCE_SIGNATURES] = "by signatures",
        [EVIDENCE_BREAKGLASS] = "by breaking the glass",
        [EVIDENCE_ADMINISTRATOR] = "by an administrator",
        [EVIDENCE_ELSEWHERE] = "of which another log tells",
    };
    for (int i = 0; i < EVIDENCE_COUNT; i++)
        if (f->grants[i] > 0)
            (void)printf("  grants     %" PRIu64 " %s\n", f->grants[i], lines[i]);
    if (f->of_type[LEAF_BREAKGLASS] > 0)
        (void)printf("  reviews    %" PRIu64 " missing\n", f->unreviewed);
}

static void print_log_json(const struct judging *j, const struct judged *l)
{
    const struct verify_report *r = l->report;
    const struct witnessing_report *w = &r->witnessing;
    (void)fputs("{\"source\":", stdout);
    command_print_json(l->where);
    (void)fputs(",\"origin\":", stdout);
    command_print_json(l->key.name);
    (void)fputs(",\"region\":", stdout);
    command_print_json(r->facts.region);
    (void)printf(",\"verdict\":\"%s\",\"size\":%" PRIu64 ",\"root\":\"", verdict_of(r),
                 r->checkpoint.size);
    log_hex(r->checkpoint.root);
    (void)printf("\",\"witnesses\":{\"verdict\":\"%s\",\"cosigned\":%u,\"independent\":%u,"
                 "\"newest\":%" PRIu64 "},",
                 witnessing_name(w->verdict), w->cosigned, w->independent, w->newest_s);
    print_types_json(&r->facts);
    print_grants_json(&r->facts);
    (void)printf(",\"disclosures_without_grant\":%" PRIu64 ",\"references_elsewhere\":%" PRIu64 ",",
                 r->facts.orphans, r->facts.elsewhere);
    (void)fputs("\"members\":[", stdout);
    for (unsigned i = 0; i < r->facts.member_count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        command_print_json(r->facts.members[i].origin);
    }
    (void)fputs("],", stdout);
    print_not_given_json(j, &r->facts);
    print_neighbour_json("predecessor", &r->facts.predecessor);
    print_neighbour_json("successor", &r->facts.successor);
    log_print_findings_json(&r->findings);
    (void)putchar('}');
}

/* Leaves speak of it, and nothing here could be compared with it. */
static const char *not_given(const struct judging *j, const char *origin)
{
    return log_called(j, origin) == NULL ? " (not given)" : "";
}

static void print_log(const struct judging *j, const struct judged *l)
{
    const struct verify_report *r = l->report;
    const struct witnessing_report *w = &r->witnessing;
    log_print_findings(l->where, &r->findings);
    (void)printf("%s: %s\n  leaves     %" PRIu64 "\n  root       ", l->key.name, verdict_of(r),
                 r->checkpoint.size);
    log_hex(r->checkpoint.root);
    (void)printf("\n  witnesses  %s", witnessing_name(w->verdict));
    if (w->cosigned > 0) {
        char time[25];
        clock_format((int64_t)w->newest_s * 1000, time);
        (void)printf(", %u cosigned (%u independent), the newest %.19sZ", w->cosigned,
                     w->independent, time);
    }
    (void)putchar('\n');
    for (int i = LEAF_NONE + 1; i < LEAF_TYPE_COUNT; i++)
        if (r->facts.of_type[i] > 0)
            (void)printf("  %-10s %" PRIu64 "\n", logleaf_type_name((enum logleaf_type)i),
                         r->facts.of_type[i]);
    print_grants(&r->facts);
    for (unsigned i = 0; i < r->facts.member_count; i++)
        (void)printf("  member     %s%s\n", r->facts.members[i].origin,
                     not_given(j, r->facts.members[i].origin));
    if (r->facts.predecessor.origin[0] != '\0')
        (void)printf("  continues  %s%s\n", r->facts.predecessor.origin,
                     not_given(j, r->facts.predecessor.origin));
    if (r->facts.successor.origin[0] != '\0')
        (void)printf("  ended      leaf %" PRIu64 ", continued by %s%s\n", r->facts.successor.leaf,
                     r->facts.successor.origin, not_given(j, r->facts.successor.origin));
    if (r->facts.elsewhere > 0)
        (void)printf("  %" PRIu64 " references to leaves of other logs\n", r->facts.elsewhere);
}

static void print_claim_json(const struct judging *j, const struct claim_result *c)
{
    (void)fputs("{\"name\":", stdout);
    command_print_json(c->name);
    (void)fputs(",\"sentence\":", stdout);
    command_print_json(c->sentence);
    (void)fputs(",\"grade\":", stdout);
    command_print_json(c->grade);
    (void)printf(",\"verdict\":\"%s\",\"lower\":%" PRIu64, claim_verdict_name(c->verdict),
                 c->lower);
    if (c->upper != UINT64_MAX)
        (void)printf(",\"upper\":%" PRIu64, c->upper);
    (void)fputs(",\"why\":", stdout);
    command_print_json(c->why);
    (void)fputs(",\"leaves\":[", stdout);
    for (unsigned i = 0; i < c->leaf_count; i++) {
        (void)printf("%s{\"origin\":", i > 0 ? "," : "");
        command_print_json(claims_origin(j->claims, c->leaves[i].log));
        (void)printf(",\"index\":%" PRIu64 ",\"certain\":%s}", c->leaves[i].index,
                     c->leaves[i].is_certain ? "true" : "false");
    }
    (void)fputs("]}", stdout);
}

static void print_claim(const struct judging *j, const struct claim_result *c)
{
    /* What somebody only declared never looks like what a machine has measured. */
    bool is_declared = c->verdict == CLAIM_TRUE && strcmp(c->grade, "declared") == 0;
    (void)printf("%-7s  %s: %s\n         %s%s%s\n",
                 is_declared ? "TRUE (declared)" : claim_verdict_name(c->verdict), c->name,
                 c->sentence, c->why, c->grade[0] != '\0' ? "; " : "", c->grade);
    for (unsigned i = 0; i < c->leaf_count; i++)
        (void)printf("         leaf %" PRIu64 " of %s%s\n", c->leaves[i].index,
                     claims_origin(j->claims, c->leaves[i].log),
                     c->leaves[i].is_certain ? "" : " (perhaps)");
}

/* Over logs that do not hold, or of which one is missing, nothing is TRUE. Returns how many are
   FALSE. */
static unsigned print_claims(const struct judging *j, int status)
{
    struct claim_result c;
    unsigned wrong = 0;
    (void)fputs(j->context->json ? "[" : "", stdout);
    for (size_t i = 0; i < claims_count(j->claims); i++) {
        claims_judge(j->claims, i, &c);
        if (status == COMMAND_TAMPERED || j->roster.wanting > 0 || j->missing > 0) {
            c.verdict = CLAIM_FALSE;
            (void)snprintf(c.why, sizeof(c.why), "%s",
                           status == COMMAND_TAMPERED ? "the log was tampered with"
                                                      : "a log of the roster is missing");
        }
        wrong += c.verdict == CLAIM_FALSE;
        if (!j->context->json) {
            print_claim(j, &c);
            continue;
        }
        (void)fputs(i > 0 ? "," : "", stdout);
        print_claim_json(j, &c);
    }
    (void)fputs(j->context->json ? "]" : "", stdout);
    return wrong;
}

static int print_all(struct judging *j)
{
    int status = findings_exit_status(&j->roster);
    bool is_false = false;
    for (unsigned i = 0; i < j->count; i++)
        if (j->logs[i].report != NULL) {
            int one = findings_exit_status(&j->logs[i].report->findings);
            status = one > status ? one : status;
        }
    if (j->context->json)
        (void)fputs("{\"logs\":[", stdout);
    const char *comma = "";
    for (unsigned i = 0; i < j->count; i++) {
        if (j->logs[i].report == NULL)
            continue;
        if (j->context->json) {
            (void)fputs(comma, stdout);
            print_log_json(j, &j->logs[i]);
            comma = ",";
        } else {
            print_log(j, &j->logs[i]);
        }
    }
    if (j->context->json) {
        (void)fputs("],\"roster\":{", stdout);
        log_print_findings_json(&j->roster);
        (void)fputs("}", stdout);
    } else {
        log_print_findings("roster", &j->roster);
    }
    if (j->claims != NULL) {
        (void)fputs(j->context->json ? ",\"claims\":" : "", stdout);
        is_false = print_claims(j, status) > 0;
    }
    if (j->context->json)
        (void)fputs("}\n", stdout);
    return status == COMMAND_DONE && is_false ? COMMAND_REFUSED : status;
}

/* ---- the verbs ------------------------------------------------------------------------------ */

static int begin(struct judging *j, struct err *err)
{
    const struct log_arguments *a = j->arguments;
    if (a->key_count == 0)
        return err_set(err, RF_EUSAGE, "name the file with the log's key: --key FILE");
    int rc = log_witnessing(a, &j->trust, &j->options.witnessing, err);
    if (rc == 0 && a->claims != NULL)
        rc = claims_load(a->claims, &j->claims, err);
    if (rc == 0 && a->policies != NULL)
        rc = policies_open(a->policies, &j->policies, err);
    if (rc == 0 && (j->claims != NULL || j->policies != NULL)) {
        j->options.on_leaf = on_leaf;
        j->options.context = j;
    }
    j->options.on_progress = log_progress;
    for (; rc == 0 && j->count < a->word_count; j->count++) {
        j->logs[j->count].where = a->words[j->count];
        rc = source_open(a->words[j->count], &a->access, &j->logs[j->count].source, err);
        if (rc < 0)
            break;
    }
    return rc;
}

int log_verify(const struct command_context *context, const struct log_arguments *a)
{
    struct err err;
    struct judging *j = mem_zalloc(1, sizeof(*j));
    int status;
    err_clear(&err);
    int rc = j != NULL ? 0 : err_set(&err, RF_ENOMEM, "out of memory");
    if (rc == 0) {
        j->context = context;
        j->arguments = a;
        rc = begin(j, &err);
    }
    if (rc == 0)
        rc = judge_all(j, &err);
    if (rc == 0) {
        judge_roster(j);
        rc = judge_references(j, &err);
    }
    status = rc < 0 ? command_fail(context, "log", &err) : print_all(j);
    for (unsigned i = 0; j != NULL && i < j->count; i++) {
        source_close(j->logs[i].source);
        verify_report_free(j->logs[i].report);
    }
    if (j != NULL) {
        claims_free(j->claims);
        policies_close(j->policies);
        mem_free(j->trust);
    }
    mem_free(j);
    return status;
}

int log_claims(const struct command_context *context, const struct log_arguments *a)
{
    if (a->claims == NULL)
        return command_usage("log");
    return log_verify(context, a);
}
