#include "policy/evidence.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "sign/sshsig.h"

enum { CLOCK_SLACK_MS = 60 * 1000 };

/* ---- one text ------------------------------------------------------------------------------- */

static bool has_key(const struct policy_actor *actor, const struct ssh_key *key)
{
    for (size_t i = 0; i < actor->key_count; i++)
        if (ssh_key_equal(&actor->keys[i], key))
            return true;
    return false;
}

int evidence_read_text(const struct policy *p, const struct policy_region *region, const char *text,
                       size_t n, const char *signature, size_t signature_len, char *copy,
                       struct command *ret, struct err *err)
{
    struct ssh_key key;
    int rc = command_read(text, n, copy, ret, err);
    if (rc < 0)
        return rc;
    if (strcmp(ret->region, region->name) != 0)
        return err_set(err, RF_EPROTO, "the command is for another region");
    const struct policy_actor *actor = policy_actor_find(p, ret->actor);
    rc = sshsig_signer(signature, signature_len, &key, err);
    if (rc < 0)
        return rc;
    if (actor == NULL || !has_key(actor, &key))
        return err_set(err, RF_ENOTFOUND, "the policy does not list this key for whoever acts");
    return sshsig_verify(signature, signature_len, command_namespace(ret->verb), text, n, &key,
                         err);
}

/* One that the database kept. What it adds must fit: the time lies within the command's life. */
static int read_kept(const struct policy *p, const struct policy_region *region,
                     const struct evidence_text *t, char *copy, struct command *ret,
                     struct err *err)
{
    int rc = evidence_read_text(p, region, t->text, strlen(t->text), t->signature,
                                strlen(t->signature), copy, ret, err);
    if (rc < 0)
        return rc;
    int64_t until_ms = ret->expires_s * 1000 + CLOCK_SLACK_MS;
    int64_t from_ms = until_ms - COMMAND_AHEAD_S * 1000 - 2 * CLOCK_SLACK_MS;
    if (strcmp(ret->actor, t->actor) != 0)
        return err_set(err, RF_EAUTH, "a text is kept under another name than that of its signer");
    if (t->at_ms < from_ms || t->at_ms > until_ms)
        return err_set(err, RF_EAUTH,
                       "a text is kept under another time than that of its signature");
    return 0;
}

/* ---- persons -------------------------------------------------------------------------------- */

void evidence_handle(const char *key, const char *salt, char ret[EVIDENCE_HANDLE_SIZE])
{
    static const char domain[] = "ringfence-handle@1\n";
    uint8_t digest[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    const struct iovec pieces[] = { digest_piece(domain, sizeof(domain) - 1),
                                    digest_piece(key, strlen(key)), digest_piece("\n", 1),
                                    digest_piece(salt, strlen(salt)) };
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    digest_hex(digest, DIGEST_LEN, hex);
    (void)snprintf(ret, EVIDENCE_HANDLE_SIZE, "h-%.32s", hex);
}

/* Each name that was signed leads to the key beside it. */
static int check_keys(const struct evidence *e, const struct command *c, struct err *err)
{
    char handle[EVIDENCE_HANDLE_SIZE];
    if (e->key_count != c->subject_count)
        return err_set(err, RF_EAUTH, "other persons than those that were named");
    for (size_t i = 0; i < e->key_count; i++) {
        const char *name = e->keys[i];
        if (strchr(e->salts[i], '\n') != NULL) /* a handle would have a second reading */
            return err_set(err, RF_EAUTH, "a handle was made in another way");
        if (e->salts[i][0] != '\0') {
            evidence_handle(e->keys[i], e->salts[i], handle);
            name = handle;
        }
        if (strcmp(name, c->subjects[i]) != 0)
            return err_set(err, RF_EAUTH, "another person than the one that was named");
    }
    return 0;
}

uint32_t evidence_classes(const struct command *c)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < c->class_count; i++) {
        uint32_t bit = approval_class_bit(c->classes[i]);
        if (bit <= bits) /* unknown, or behind one that comes later */
            return 0;
        bits |= bit;
    }
    return bits;
}

static bool is_suspended(const struct evidence *e, const char *actor)
{
    for (size_t i = 0; i < e->suspended_count; i++)
        if (strcmp(e->suspended[i], actor) == 0)
            return true;
    return false;
}

static void fill_ask(const struct policy *p, const struct policy_region *region,
                     const struct evidence *e, struct evidence_case *c)
{
    c->ask = (struct grant_ask){ .region = region,
                                 .actor = policy_actor_find(p, c->command.actor),
                                 .is_from_home = e->asked.is_from_home,
                                 .is_suspended = is_suspended(e, c->command.actor),
                                 .is_break_glass = c->command.verb == COMMAND_BREAK_GLASS,
                                 .classes = evidence_classes(&c->command),
                                 .purpose = c->command.purpose,
                                 .reference = c->command.reference,
                                 .authority = c->command.authority,
                                 .subject_count = c->command.subject_count,
                                 .minor_count = e->minor_count,
                                 .seconds = c->command.seconds,
                                 .consented = e->consented,
                                 .consented_count = e->consented_count };
    for (size_t i = 0; i < e->key_count; i++) {
        c->ask.sensitive_count += approval_is_sensitive(p, region, e->keys[i]);
        c->ask.honey_count += approval_is_honey(p, region, e->keys[i]);
        c->ask.unbound_count += !approval_is_bound(p, region, c->command.purpose, e->keys[i]);
    }
}

/* ---- the case ------------------------------------------------------------------------------- */

static int read_vote(const struct policy *p, const struct policy_region *region,
                     const struct evidence *e, const struct evidence_text *t,
                     struct evidence_case *c, struct err *err)
{
    struct command vote = { .verb = COMMAND_NONE };
    if (t->leaf == NULL)
        return 0;
    int rc = read_kept(p, region, t, c->vote_copy, &vote, err);
    if (rc == -RF_ENOTFOUND && vote.verb == COMMAND_APPROVE)
        return 0; /* he is gone, or his key is: the others' stand */
    if (rc < 0)
        return rc;
    if ((vote.verb != COMMAND_APPROVE && vote.verb != COMMAND_DENY) || vote.request != e->request ||
        !command_is_about(&vote, &c->command, c->digest))
        return err_set(err, RF_EAUTH, "an approval is about another request");
    c->vote_leaves[c->vote_count] = t->leaf;
    c->votes[c->vote_count++] = (struct grant_vote){ .actor = policy_actor_find(p, vote.actor),
                                                     .is_from_home = t->is_from_home,
                                                     .is_suspended = is_suspended(e, vote.actor),
                                                     .is_approval = vote.verb == COMMAND_APPROVE,
                                                     .at_ms = t->at_ms };
    return 0;
}

enum grant_refusal evidence_judge(const struct policy *p, const struct policy_region *region,
                                  const struct evidence *e, struct evidence_case *c,
                                  struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    c->vote_count = 0;
    c->rule = NULL;
    if (e->asked.leaf == NULL) {
        (void)err_set(err, RF_EAUTH, "the request is not on record");
        return REFUSAL_COUNT;
    }
    if (read_kept(p, region, &e->asked, c->copy, &c->command, err) < 0)
        return REFUSAL_COUNT;
    if (c->command.verb != COMMAND_REQUEST && c->command.verb != COMMAND_BREAK_GLASS) {
        (void)err_set(err, RF_EAUTH, "what was signed is no request");
        return REFUSAL_COUNT;
    }
    if (check_keys(e, &c->command, err) < 0)
        return REFUSAL_COUNT;
    const struct iovec text = digest_piece(e->asked.text, strlen(e->asked.text));
    digest_pieces(&text, 1, digest);
    digest_hex(digest, DIGEST_LEN, c->digest);
    fill_ask(p, region, e, c);
    enum grant_refusal refusal = approval_may_ask(p, &c->ask, &c->rule);
    for (size_t i = 0; i < e->vote_count && refusal == REFUSAL_NONE; i++)
        if (read_vote(p, region, e, &e->votes[i], c, err) < 0)
            return REFUSAL_COUNT;
    return refusal;
}

enum grant_refusal evidence_is_enough(const struct policy *p, const struct evidence_case *c,
                                      int64_t now_ms, size_t *ret_missing)
{
    if (c->ask.is_break_glass) /* who may is in its rule; somebody else reviews it behind */
        return REFUSAL_NONE;
    return approval_is_enough(p, &c->ask, c->rule, c->votes, c->vote_count, now_ms, ret_missing);
}

static bool is_among(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* When must a grant have opened that ends then? One that was lengthened seems to have opened later,
   when its approvals were too old. */
int64_t evidence_opened_ms(const struct evidence_case *c, const struct evidence_grant *grant)
{
    return grant->ends_ms - c->command.seconds * 1000;
}

static bool is_in_time(const struct evidence_case *c, const struct evidence *e,
                       const struct evidence_grant *grant)
{
    int64_t after_ms = evidence_opened_ms(c, grant) - e->asked.at_ms;
    int64_t most_ms = c->ask.is_break_glass ? COMMAND_AHEAD_S * 1000 : INT64_MAX;
    return after_ms >= -CLOCK_SLACK_MS && after_ms <= most_ms;
}

int evidence_covers(const struct evidence_case *c, const struct evidence *e,
                    const struct evidence_grant *grant, struct err *err)
{
    if (!is_in_time(c, e, grant))
        return err_set(err, RF_ETAMPER, "the grant is longer than what was asked for");
    if (strcmp(grant->actor, c->command.actor) != 0)
        return err_set(err, RF_ETAMPER, "the grant is another person's than the request");
    if (strcmp(grant->purpose, c->command.purpose) != 0)
        return err_set(err, RF_ETAMPER, "the grant has another purpose than the request");
    if (grant->classes == 0 || (grant->classes & ~c->ask.classes) != 0)
        return err_set(err, RF_ETAMPER, "the grant has other classes than the request");
    for (size_t i = 0; i < grant->key_count; i++)
        if (!is_among(grant->keys[i], e->keys, e->key_count))
            return err_set(err, RF_ETAMPER, "the grant names other persons than the request");
    return 0;
}
