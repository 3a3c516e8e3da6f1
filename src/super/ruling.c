#include "super/ruling.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "policy/mistakes.h"
#include "policy/yaml_tree.h"

enum { ANNOUNCED_MAX = 200, HEX_SIZE = 65 };

/* ---- the state folder ----------------------------------------------------------------------- */

static int path_in(const char *state_dir, const char *name, char ret[PATH_MAX], struct err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/policy%s%s", state_dir, name[0] != '\0' ? "/" : "", name);
    return n < 0 || n >= PATH_MAX
               ? err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir)
               : 0;
}

/* 0 with *RET NULL: there is no such file. */
static int read_if_there(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    *ret = NULL;
    *ret_len = 0;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return fd_read_file(path, max, ret, ret_len, err);
}

static int policy_read(const char *state_dir, const char *file, const char *name,
                       struct ruling *ret, struct err *err)
{
    char path[PATH_MAX];
    struct mistakes mistakes;
    *ret = (struct ruling){ 0 };
    int rc = path_in(state_dir, file, path, err);
    if (rc == 0)
        rc = read_if_there(path, YAML_BYTES_MAX, &ret->text, &ret->len, err);
    if (rc < 0 || ret->text == NULL)
        return rc;
    mistakes_init(&mistakes);
    if (policy_parse(name, ret->text, ret->len, &ret->policy, &mistakes) < 0) {
        rc = err_set(err, RF_ECONFIG,
                     "cannot understand the policy that rules%s, \"%.200s\": %.150s",
                     strcmp(file, "ruling") == 0 ? "" : "d before", path,
                     mistakes.count > 0 ? mistakes.list[0].text : "out of memory");
        err_hint(err, "the program that it ruled with understood it: use that one, or restore the "
                      "file from a backup");
        ruling_done(ret);
    }
    mistakes_done(&mistakes);
    return rc;
}

int ruling_read(const char *state_dir, const char *name, struct ruling *ret, struct err *err)
{
    return policy_read(state_dir, "ruling", name, ret, err);
}

void ruling_done(struct ruling *r)
{
    policy_free(r->policy);
    mem_free(r->text);
    *r = (struct ruling){ 0 };
}

static bool hex_read(const char *text, uint8_t ret[32])
{
    for (size_t i = 0; i < 32; i++) {
        char pair[3] = { text[2 * i], text[2 * i + 1], '\0' }, *end;
        ret[i] = (uint8_t)strtoul(pair, &end, 16);
        if (*end != '\0' || strspn(pair, "0123456789abcdef") != 2)
            return false;
    }
    return true;
}

int announced_read(const char *state_dir, struct announced *ret, struct err *err)
{
    char path[PATH_MAX], hex[HEX_SIZE], *text = NULL;
    size_t len;
    int64_t from_ms;
    *ret = (struct announced){ 0 };
    int rc = path_in(state_dir, "announced", path, err);
    if (rc == 0)
        rc = read_if_there(path, ANNOUNCED_MAX, &text, &len, err);
    if (rc == 0 && text != NULL && sscanf(text, "%64s %" SCNd64, hex, &from_ms) == 2 &&
        strlen(hex) == HEX_SIZE - 1 && from_ms > 0 && hex_read(hex, ret->digest))
        ret->from_ms = from_ms;
    mem_free(text);
    return rc;
}

int signatures_read(const char *path, char **ret, size_t *ret_len, struct err *err)
{
    char beside[PATH_MAX];
    int n = snprintf(beside, sizeof(beside), "%s.sig", path);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", path);
    return read_if_there(beside, SIGNATURES_BYTES_MAX, ret, ret_len, err);
}

static int place(const char *state_dir, const char *name, const void *bytes, size_t len,
                 struct err *err)
{
    char folder[PATH_MAX], fresh[PATH_MAX], path[PATH_MAX];
    int rc = path_in(state_dir, "", folder, err);
    if (rc == 0)
        rc = path_in(state_dir, "new", fresh, err);
    if (rc == 0)
        rc = path_in(state_dir, name, path, err);
    return rc < 0 ? rc : folder_place_file(folder, fresh, path, bytes, len, err);
}

int ruling_prepare(const char *state_dir, const struct policy_bytes *next, const char *sigs,
                   size_t sigs_len, struct err *err)
{
    int rc = folder_make(state_dir, "policy", err);
    if (rc == 0)
        rc = place(state_dir, "next.sig", sigs != NULL ? sigs : "", sigs_len, err);
    return rc < 0 ? rc : place(state_dir, "next", next->text, next->len, err);
}

static int move(const char *state_dir, const char *from, const char *to, struct err *err)
{
    char old[PATH_MAX], new[PATH_MAX];
    int rc = path_in(state_dir, from, old, err);
    if (rc == 0)
        rc = path_in(state_dir, to, new, err);
    if (rc < 0)
        return rc;
    return rename(old, new) < 0 ? err_sys(err, "could not rename file \"%s\"", old) : 0;
}

/* A copy: there is a `ruling` at any time. */
static int keep_before(const char *state_dir, struct err *err)
{
    char path[PATH_MAX], *text = NULL;
    size_t len;
    int rc = path_in(state_dir, "ruling", path, err);
    if (rc == 0)
        rc = read_if_there(path, YAML_BYTES_MAX, &text, &len, err);
    if (rc == 0 && text != NULL)
        rc = place(state_dir, "before", text, len, err);
    mem_free(text);
    return rc;
}

/* The policy before and the signatures first: after a crash on the way, the old policy rules, and
   the new one is judged again by what lies beside its file. */
int ruling_commit(const char *state_dir, struct err *err)
{
    char folder[PATH_MAX];
    int rc = path_in(state_dir, "", folder, err);
    if (rc == 0)
        rc = keep_before(state_dir, err);
    if (rc == 0)
        rc = move(state_dir, "next.sig", "ruling.sig", err);
    if (rc == 0)
        rc = move(state_dir, "next", "ruling", err);
    return rc < 0 ? rc : folder_sync(folder, err);
}

int ruling_announce(const char *state_dir, const struct announced *which, struct err *err)
{
    char path[PATH_MAX], text[ANNOUNCED_MAX], hex[HEX_SIZE];
    int rc = path_in(state_dir, "announced", path, err);
    if (rc < 0)
        return rc;
    if (which->from_ms == 0)
        return unlink(path) < 0 && errno != ENOENT
                   ? err_sys(err, "could not remove file \"%s\"", path)
                   : 0;
    digest_hex(which->digest, sizeof(which->digest), hex);
    int n = snprintf(text, sizeof(text), "%s %" PRId64 "\n", hex, which->from_ms);
    rc = folder_make(state_dir, "policy", err);
    return rc < 0 ? rc : place(state_dir, "announced", text, (size_t)n, err);
}

/* ---- judging -------------------------------------------------------------------------------- */

static const char how_to_sign[] =
    "each signs with: ssh-keygen -Y sign -n " POLICY_NAMESPACE " -f KEY < POLICY >> POLICY.sig";

RF_PRINTF(2, 3) static void refuse(struct standing *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(s->why, sizeof(s->why), fmt, args);
    va_end(args);
    s->kind = STANDING_REFUSED;
}

/* Does NEXT say what it comes after, as far as it has to? */
static bool is_in_order(const struct policy_bytes *ruling, const struct policy_bytes *next,
                        struct standing *s)
{
    char rules[HEX_SIZE], says[HEX_SIZE];
    if (ruling->policy == NULL)
        return true;
    digest_hex(ruling->policy->digest, sizeof(ruling->policy->digest), rules);
    digest_hex(next->policy->follows, sizeof(next->policy->follows), says);
    if (!next->policy->has_follows && s->is_counted)
        refuse(s, "it does not say which policy it follows, so that its signatures could be used "
                  "again later");
    else if (next->policy->has_follows && strcmp(rules, says) != 0)
        refuse(s, "it follows policy %s, which does not rule here", says);
    else
        return true;
    (void)snprintf(s->hint, sizeof(s->hint), "write `follows: %s` into it, and have it signed",
                   rules);
    return false;
}

/* Have enough of those whom BY names signed NEXT? */
static bool is_signed(const struct policy *by, const struct policy_bytes *next, const char *sigs,
                      size_t sigs_len, struct standing *s)
{
    struct policy_signed count;
    policy_count_signatures(by, next->text, next->len, sigs, sigs_len, &count);
    s->quorum = by->signers.quorum;
    s->valid = count.valid;
    policy_signers_names(by, count.signed_by, true, s->signed_by, sizeof(s->signed_by));
    policy_signers_names(by, count.signed_by, false, s->missing, sizeof(s->missing));
    if (count.valid >= s->quorum)
        return true;
    (void)snprintf(s->hint, sizeof(s->hint), "%s", how_to_sign);
    if (count.is_malformed)
        refuse(s, "the file beside it with its signatures is not made of signatures alone");
    else
        refuse(s, "%u of %" PRId64 " signatures are valid; not signed: %.250s%s%s", count.valid,
               s->quorum, s->missing, count.others > 0 ? "; others than the signers have" : "",
               count.spoiled > 0 ? "; some are not of these bytes" : "");
    return false;
}

static int judge_wait(const struct policy_bytes *ruling, const struct policy_bytes *next,
                      const struct announced *announced, int64_t now_ms, struct standing *s,
                      struct err *err)
{
    char what[POLICY_CHANGE_SIZE];
    int64_t wait_ms = ruling->policy->signers.wait_ms;
    int rc = wait_ms > 0 ? widening_find(ruling, next, what, err) : 0;
    if (rc <= 0)
        return rc;
    (void)snprintf(s->why, sizeof(s->why), "%s", what);
    s->is_announced =
        announced->from_ms > 0 && memcmp(announced->digest, s->digest, sizeof(s->digest)) == 0;
    s->from_ms = s->is_announced ? announced->from_ms : now_ms + wait_ms;
    s->kind = s->from_ms <= now_ms ? STANDING_ACCEPTED : STANDING_WAITS;
    return 0;
}

int standing_judge(const struct policy_bytes *ruling, const struct policy_bytes *next,
                   const char *sigs, size_t sigs_len, const struct announced *announced,
                   int64_t now_ms, struct standing *ret, struct err *err)
{
    bool is_first = ruling->policy == NULL;
    *ret = (struct standing){ .kind = STANDING_ACCEPTED };
    memcpy(ret->digest, next->policy->digest, sizeof(ret->digest));
    if (!is_first && ruling->len == next->len && memcmp(ruling->text, next->text, next->len) == 0) {
        ret->kind = STANDING_RULES;
        return 0;
    }
    ret->is_counted = !is_first && policy_names_signers(ruling->policy);
    if (ret->is_counted)
        memcpy(ret->by, ruling->policy->digest, sizeof(ret->by));
    const struct policy *by = ret->is_counted ? ruling->policy : next->policy;
    if (!is_in_order(ruling, next, ret) ||
        (policy_names_signers(by) && !is_signed(by, next, sigs, sigs_len, ret)))
        return 0;
    if (is_first || !ret->is_counted)
        return 0;
    return judge_wait(ruling, next, announced, now_ms, ret, err);
}

int standing_recall(const char *state_dir, const char *name, const struct policy_bytes *ruling,
                    struct standing *standing, char **ret_sigs, size_t *ret_len, struct err *err)
{
    struct ruling before;
    char path[PATH_MAX];
    *ret_sigs = NULL;
    *ret_len = 0;
    int rc = policy_read(state_dir, "before", name, &before, err);
    if (rc < 0 || before.policy == NULL || !policy_names_signers(before.policy))
        goto out;
    rc = path_in(state_dir, "ruling.sig", path, err);
    if (rc == 0)
        rc = read_if_there(path, SIGNATURES_BYTES_MAX, ret_sigs, ret_len, err);
    if (rc < 0 || *ret_sigs == NULL)
        goto out;
    standing->is_counted = true;
    memcpy(standing->by, before.policy->digest, sizeof(standing->by));
    struct standing counted = { .kind = standing->kind };
    (void)is_signed(before.policy, ruling, *ret_sigs, *ret_len, &counted);
    standing->valid = counted.valid;
    standing->quorum = counted.quorum;
out:
    ruling_done(&before);
    return rc;
}
