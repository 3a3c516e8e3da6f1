/* log_audit.c - `ringfence log audit`: leaves that chance picked, opened in the gateway's journal.
 *
 * For an auditor beside the operator: the log's files are public, the journal and its keys are in
 * the state folder. Checked are, of every leaf, that the journal makes the log (same bytes, same
 * root, and the chain value that each seal of an interval shows); of the picked ones, that they are
 * in the checkpoint's tree and that their private part opens and answers to its commitment; and
 * with the region's VRF key, that the tags of picked disclosures are those of the subjects that the
 * private part names; and of requests, votes, finds and reviews, that somebody signed what they
 * say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/audit_signed.h"
#include "cmd/audit_tags.h"
#include "cmd/logcommand.h"
#include "ledger/opening.h"
#include "ledger/scan.h"
#include "ledger/seal.h"
#include "ledger/segment.h"
#include "policy/config.h"
#include "policy/mistakes.h"
#include "policy/policy.h"
#include "tlog/bundle.h"
#include "tlog/tree.h"
#include "verify/sample.h"

struct audit {
    const struct log_arguments *arguments;
    struct source *source;
    struct scan *scan;
    struct daykey_store *keys;
    struct buf note, leaf, plain;
    struct checkpoint checkpoint;
    struct tree_edge edge;
    uint64_t *picked;
    size_t count, next; /* NEXT of them is awaited in the journal */
    uint64_t opened, sealed, seals;
    struct audit_tags tags;
    struct audit_signed said;
    struct policy *policy; /* NULL: none was found */
    struct config *config; /* NULL: the state folder was named */
    struct findings findings;
};

static void wrong(struct audit *a, uint64_t leaf, const char *what)
{
    findings_add_leaf(&a->findings, FINDING_TAMPERED, leaf, "%s", what);
}

/* ---- one entry of the journal --------------------------------------------------------------- */

static int judge_tags(struct audit *a, uint64_t index, const struct logleaf *leaf, struct err *err)
{
    char why[200];
    if (!logleaf_has_items(leaf->type))
        return 0;
    int rc = audit_tags_judge(&a->tags, leaf, buf_at(&a->plain) + SEAL_SALT_LEN,
                              buf_len(&a->plain) - SEAL_SALT_LEN, why, err);
    if (rc == 1)
        wrong(a, index, why);
    return rc < 0 ? rc : 0;
}

static int judge_signed(struct audit *a, uint64_t index, const struct logleaf *leaf,
                        struct err *err)
{
    char why[200];
    int rc = audit_signed_judge(&a->said, leaf, buf_at(&a->plain) + SEAL_SALT_LEN,
                                buf_len(&a->plain) - SEAL_SALT_LEN, why, err);
    if (rc == 1)
        wrong(a, index, why);
    return rc < 0 ? rc : 0;
}

/* Why entry ENTRY could not be judged, which is no finding. */
static int failed_at(const struct frame_entry *entry, int rc, const struct err *why,
                     struct err *err)
{
    (void)err_set(err, (enum err_code) - rc, "entry %" PRIu64 " of the journal: %.300s",
                  entry->index, why->line);
    err_hint(err, "%s", why->hint);
    return rc;
}

static int judge_picked(struct audit *a, const struct frame_entry *entry, const struct leaf *leaf,
                        const struct logleaf *public_part, struct err *err)
{
    uint64_t index = a->picked[a->next++], opened = a->opened;
    struct err why;
    int rc = verify_leaf(a->source, &a->checkpoint, index, &a->leaf, NULL, &a->findings, err);
    if (rc <= 0)
        return rc;
    if (buf_len(&a->leaf) != entry->leaf_len ||
        memcmp(buf_at(&a->leaf), entry->leaf, entry->leaf_len) != 0) {
        wrong(a, index, "is another one in the journal");
        return 0;
    }
    err_clear(&why);
    rc = opening_private(a->keys, scan_state(a->scan)->header.name, entry, leaf, &a->plain, &why);
    if (rc == -RF_ETAMPER)
        wrong(a, index, why.line);
    else if (rc == 0)
        a->sealed++;
    else if (rc == 1)
        a->opened++;
    else
        return failed_at(entry, rc, &why, err);
    if (rc == 1)
        rc = judge_tags(a, index, public_part, err);
    return rc == 0 && a->opened > opened ? judge_signed(a, index, public_part, err) : rc;
}

static void judge_chain(struct audit *a, const struct logleaf *l, const uint8_t before[DIGEST_LEN])
{
    uint8_t said[DIGEST_LEN];
    if (l->type != LEAF_SEAL || !logleaf_has(l, LEAF_KEY_CHAIN))
        return;
    logleaf_hash(l, LEAF_KEY_CHAIN, said);
    a->seals++;
    if (memcmp(said, before, sizeof(said)) != 0)
        wrong(a, a->edge.size, "shows another chain value than the journal has there");
}

static int judge_entry(struct audit *a, const struct frame_entry *entry,
                       const uint8_t before[DIGEST_LEN], struct err *err)
{
    struct leaf leaf;
    struct logleaf public_part;
    uint8_t hash[TLOG_HASH_LEN];
    struct err why;
    int rc = opening_leaf(entry, &leaf, &why);
    if (rc < 0)
        return failed_at(entry, rc, &why, err);
    if (leaf.type == LEAF_NONE)
        return 0;
    rc = logleaf_read(entry->leaf, entry->leaf_len, &public_part);
    RF_ASSERT(rc == 0); /* opening_leaf() read it, too */
    judge_chain(a, &public_part, before);
    rc = audit_tags_leaf(&a->tags, &public_part, err);
    if (rc == 0 && a->next < a->count && a->picked[a->next] == a->edge.size)
        rc = judge_picked(a, entry, &leaf, &public_part, err);
    if (rc < 0)
        return rc;
    tlog_leaf_hash(entry->leaf, entry->leaf_len, hash);
    return tree_edge_add(&a->edge, hash, NULL, NULL) < 0
               ? err_set(err, RF_ETOOBIG, "the journal has too many leaves")
               : 0;
}

static int judge_journal(struct audit *a, struct err *err)
{
    struct frame_entry entry;
    uint8_t before[DIGEST_LEN], root[TLOG_HASH_LEN];
    uint64_t offset;
    int rc = 0;
    while (a->edge.size < a->checkpoint.size &&
           (rc = scan_next(a->scan, &entry, &offset, err)) == 1) {
        if (entry.index == 0)
            memcpy(before, scan_state(a->scan)->header.chain, sizeof(before));
        rc = judge_entry(a, &entry, before, err);
        if (rc < 0)
            return rc;
        memcpy(before, entry.chain, sizeof(before));
    }
    if (rc < 0)
        return rc;
    tree_edge_root(&a->edge, root);
    if (a->edge.size < a->checkpoint.size)
        findings_add(&a->findings, FINDING_TAMPERED, NULL, a->edge.size,
                     "the journal ends, and the checkpoint has %" PRIu64 " leaves",
                     a->checkpoint.size);
    else if (memcmp(root, a->checkpoint.root, sizeof(root)) != 0)
        findings_add(&a->findings, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     "has another root than the journal's leaves");
    return 0;
}

/* ---- the verb ------------------------------------------------------------------------------- */

/* The VRF key: named, or the configuration's where that names the state folder, too. Nobody has to
   have it: then tags are not checked, and that is told. */
static void find_vrf(struct audit *a, const struct command_context *context)
{
    struct mistakes mistakes;
    const char *path = a->arguments->vrf;
    mistakes_init(&mistakes);
    if (path == NULL && a->arguments->state_dir == NULL &&
        config_load(context->config_path, &a->config, &mistakes) == 0)
        path = a->config->ledger.vrf_path;
    if (a->config != NULL && policy_load(a->config->policy_path, &a->policy, &mistakes) == 0)
        a->said.policy = a->policy;
    mistakes_done(&mistakes);
    audit_tags_init(&a->tags, path);
}

static int begin(struct audit *a, const struct command_context *context, struct err *err)
{
    char state[PATH_MAX], folder[PATH_MAX];
    const struct log_arguments *args = a->arguments;
    const struct key *key = NULL;
    find_vrf(a, context);
    int rc = log_find_state(context, args->state_dir, state, err);
    if (rc == 0)
        rc = segment_folder(state, folder, err);
    if (rc == 0)
        rc = daykey_open(state, &a->keys, err);
    if (rc == 0)
        rc = scan_open(folder, 0, &a->scan, err);
    if (rc == 0)
        rc = source_open(args->words[0], &args->access, &a->source, err);
    if (rc == 0)
        rc = log_key_for(args, a->source, &key, err);
    if (rc == 0)
        rc = verify_checkpoint(a->source, key, &a->checkpoint, &a->note, &a->findings, err);
    if (rc == 0 && a->findings.count == 0)
        rc = err_set(err, RF_EUNAVAIL, "there is no checkpoint in \"%.200s\"", args->words[0]);
    return rc;
}

static int run(struct audit *a, struct err *err)
{
    a->picked = mem_zalloc(a->arguments->count, sizeof(*a->picked));
    if (a->picked == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    a->count = sample_pick(&a->checkpoint, a->arguments->seed, a->arguments->count, a->picked);
    return judge_journal(a, err);
}

static void print(const struct audit *a, bool json)
{
    (void)printf(json ? "{\"size\":%" PRIu64 ",\"root\":\"" : "size     %" PRIu64 "\nroot     ",
                 a->checkpoint.size);
    log_hex(a->checkpoint.root);
    (void)printf(json ? "\",\"picked\":[" : "\npicked  ");
    for (size_t i = 0; i < a->count; i++)
        (void)printf("%s%" PRIu64, !json ? " " : i > 0 ? "," : "", a->picked[i]);
    (void)printf(json ? "],\"opened\":%" PRIu64 ",\"sealed\":%" PRIu64 ",\"seals\":%" PRIu64 ","
                      : "\nopened   %" PRIu64 "\nsealed   %" PRIu64 "\nseals    %" PRIu64 "\n",
                 a->opened, a->sealed, a->seals);
    (void)printf(json ? "\"signatures_checked\":%" PRIu64 ",\"signatures_unlisted\":%" PRIu64 ","
                      : "signed   %" PRIu64 " checked, %" PRIu64 " by keys that the policy lacks\n",
                 a->said.checked, a->said.unlisted);
    if (a->tags.has_key)
        (void)printf(json ? "\"tags_checked\":%" PRIu64 "," : "tags     %" PRIu64 " checked\n",
                     a->tags.checked);
    else if (json)
        (void)fputs("\"tags_checked\":null,", stdout);
    else
        (void)fputs("tags     not checked: no VRF key is named\n", stdout);
    if (json) {
        log_print_findings_json(&a->findings);
        (void)fputs("}\n", stdout);
    }
}

int log_audit(const struct command_context *context, const struct log_arguments *arguments)
{
    struct err err;
    if (arguments->seed == NULL || arguments->key_count == 0 || arguments->count > SAMPLE_MAX ||
        strlen(arguments->seed) > SAMPLE_SEED_MAX)
        return command_usage("log");
    struct audit *a = mem_zalloc(1, sizeof(*a));
    int rc = a == NULL ? err_set(&err, RF_ENOMEM, "out of memory") : 0;
    int status = COMMAND_DONE;
    if (rc == 0) {
        a->arguments = arguments;
        buf_init(&a->note, SOURCE_CHECKPOINT_MAX + 1);
        buf_init(&a->leaf, BUNDLE_ENTRY_MAX);
        buf_init(&a->plain, FRAME_LENGTH_MAX);
        tree_edge_init(&a->edge);
        rc = begin(a, context, &err);
        if (rc == 1)
            rc = run(a, &err);
        if (rc == 0) {
            log_print_findings(arguments->words[0], &a->findings);
            print(a, context->json);
            status = findings_exit_status(&a->findings);
        }
        audit_tags_done(&a->tags);
        policy_free(a->policy);
        config_free(a->config);
        scan_close(a->scan);
        daykey_close(a->keys);
        source_close(a->source);
        buf_done(&a->note);
        buf_done(&a->leaf);
        buf_wipe_done(&a->plain);
        mem_free(a->picked);
    }
    mem_free(a);
    return rc < 0 ? command_fail(context, "log", &err) : status;
}
