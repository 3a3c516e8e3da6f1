#include "cmd/log_policies.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"
#include "policy/policy_signers.h"
#include "policy/yaml_tree.h"
#include "super/ruling.h"

enum { FILES_MAX = 1000, MINUTE_MS = 60000 };

struct kept { /* one file of the folder */
    struct policy *policy;
    char *text, *sigs;
    size_t len, sigs_len;
};

struct policies {
    struct kept files[FILES_MAX];
    size_t count;
    const struct kept *rules; /* NULL: not known, or none yet */
    uint8_t digest[DIGEST_LEN];
    bool is_begun;
    uint8_t waits[DIGEST_LEN]; /* announced last, in: */
    uint32_t waits_since;      /* minute; 0: none */
};

/* ---- the folder ----------------------------------------------------------------------------- */

static int keep(struct policies *p, const char *path, struct err *err)
{
    struct kept *k = &p->files[p->count];
    struct mistakes mistakes;
    if (p->count == FILES_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d policies", (int)FILES_MAX);
    int rc = fd_read_file(path, YAML_BYTES_MAX, &k->text, &k->len, err);
    if (rc < 0)
        return rc;
    p->count++;
    mistakes_init(&mistakes);
    if (policy_parse(path, k->text, k->len, &k->policy, &mistakes) < 0)
        rc = err_set(err, RF_EIO, "\"%.200s\" is no policy: line %u: %.200s", path,
                     mistakes.count > 0 ? mistakes.list[0].line : 0,
                     mistakes.count > 0 ? mistakes.list[0].text : "out of memory");
    mistakes_done(&mistakes);
    return rc < 0 ? rc : signatures_read(path, &k->sigs, &k->sigs_len, err);
}

static bool is_policy_name(const char *name)
{
    size_t n = strlen(name);
    return name[0] != '.' && (n < 4 || strcmp(name + n - 4, ".sig") != 0);
}

int policies_open(const char *dir, struct policies **ret, struct err *err)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return err_sys(err, "could not open folder \"%.300s\"", dir);
    struct policies *p = mem_zalloc(1, sizeof(*p));
    int rc = p == NULL ? err_set(err, RF_ENOMEM, "out of memory") : 0;
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        int n = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (n < 0 || n >= PATH_MAX)
            rc = err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", dir);
        else if (is_policy_name(entry->d_name))
            rc = keep(p, path, err);
    }
    (void)closedir(folder);
    if (rc < 0)
        policies_close(p);
    else
        *ret = p;
    return rc;
}

void policies_close(struct policies *p)
{
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        policy_free(p->files[i].policy);
        mem_free(p->files[i].text);
        mem_free(p->files[i].sigs);
    }
    mem_free(p);
}

static const struct kept *find(const struct policies *p, const uint8_t digest[DIGEST_LEN])
{
    for (size_t i = 0; i < p->count; i++)
        if (memcmp(p->files[i].policy->digest, digest, DIGEST_LEN) == 0)
            return &p->files[i];
    return NULL;
}

/* ---- judging -------------------------------------------------------------------------------- */

static void judge_signatures(const struct kept *before, const struct kept *now, uint64_t index,
                             struct findings *to)
{
    struct policy_signed count;
    char missing[200];
    policy_count_signatures(before->policy, now->text, now->len, now->sigs, now->sigs_len, &count);
    if (count.valid < before->policy->signers.quorum) {
        policy_signers_names(before->policy, count.signed_by, false, missing, sizeof(missing));
        findings_add_leaf(to, FINDING_WANTING, index,
                          "%u of %" PRId64 " signatures of this policy are valid; not signed: %s",
                          count.valid, before->policy->signers.quorum, missing);
    }
    if (!now->policy->has_follows ||
        memcmp(now->policy->follows, before->policy->digest, DIGEST_LEN) != 0)
        findings_add_leaf(to, FINDING_TAMPERED, index,
                          "this policy does not say that it follows the one that ruled before");
}

/* Was it public for as long as the one before says? Minutes are cut, so the last one counts. */
static int judge_wait(const struct policies *p, const struct kept *now, uint64_t index,
                      uint32_t minute, struct findings *to, struct err *err)
{
    char what[POLICY_CHANGE_SIZE];
    const struct kept *before = p->rules;
    const struct policy_bytes old = { before->policy, before->text, before->len };
    const struct policy_bytes new = { now->policy, now->text, now->len };
    int64_t wait_ms = before->policy->signers.wait_ms;
    int rc = wait_ms > 0 ? widening_find(&old, &new, what, err) : 0;
    if (rc <= 0)
        return rc;
    bool was_public = p->waits_since > 0 &&
                      memcmp(p->waits, now->policy->digest, DIGEST_LEN) == 0 &&
                      ((int64_t)minute - p->waits_since + 1) * MINUTE_MS > wait_ms;
    if (!was_public)
        findings_add_leaf(to, FINDING_WANTING, index,
                          "this policy widens (%.120s) and was not public for the time before that "
                          "the one before demands",
                          what);
    return 0;
}

void policies_begin(struct policies *p)
{
    p->rules = NULL;
    p->is_begun = false;
    p->waits_since = 0;
}

int policies_leaf(struct policies *p, uint64_t index, const struct logleaf *leaf,
                  struct findings *to, struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    int rc = 0;
    if (leaf->type != LEAF_START && leaf->type != LEAF_POLICY)
        return 0;
    logleaf_hash(leaf, LEAF_KEY_POLICY, digest);
    if (logleaf_has(leaf, LEAF_KEY_FROM)) { /* judged when it rules */
        memcpy(p->waits, digest, sizeof(digest));
        p->waits_since = leaf->minute;
        return 0;
    }
    if (p->is_begun && memcmp(digest, p->digest, sizeof(digest)) == 0)
        return 0;
    const struct kept *now = find(p, digest);
    digest_hex(digest, sizeof(digest), hex);
    if (now == NULL)
        findings_add_leaf(to, FINDING_WANTING, index, "there is no file of policy %s", hex);
    else if ((policy_names_signers(now->policy) ? (uint64_t)now->policy->signers.quorum : 0) !=
             leaf->value[LEAF_KEY_QUORUM].number)
        findings_add_leaf(to, FINDING_TAMPERED, index,
                          "the file of this policy demands another quorum than the leaf says");
    if (now != NULL && p->rules != NULL && policy_names_signers(p->rules->policy)) {
        judge_signatures(p->rules, now, index, to);
        rc = judge_wait(p, now, index, leaf->minute, to, err);
    }
    memcpy(p->digest, digest, sizeof(digest));
    p->is_begun = true;
    p->rules = now;
    return rc;
}
