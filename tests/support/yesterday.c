/* yesterday CONFIG KEY TEXT - what the ledger of a gateway that is not running would have written
 * yesterday at noon (UTC): a start, a grant, and a disclosure of subject KEY under it, with TEXT as
 * the statement. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/clerk_inside.h"
#include "policy/mistakes.h"
#include "policy/policy.h"

enum { GRANT = 900001, DAY_MS = 24 * 60 * 60 * 1000 };

struct run {
    struct journal *journal;
    struct clerk *clerk;
    const struct config *config;
    const struct policy *policy;
    int64_t now_ms;
    struct err err;
};

static int start(struct run *r)
{
    static const uint8_t digest[DIGEST_LEN] = { 1 }, session[RECORD_SESSION_ID_LEN] = { 2 };
    const struct clerk_start what = {
        .binary = digest, .libraries = digest, .detail = "start=1", .session = session
    };
    int rc = clerk_replay(r->clerk, r->policy, &r->err);
    return rc < 0 ? rc : clerk_start(r->clerk, r->policy, &what, r->now_ms, &r->err);
}

static int grant(struct run *r, const char *detail)
{
    struct logleaf l = { .type = LEAF_GRANT };
    char ref[KEY_NAME_MAX + 24];
    (void)snprintf(ref, sizeof(ref), "%" PRIu64 " %s", r->clerk->policy_leaf,
                   r->config->ledger.origin);
    logleaf_text(&l, LEAF_KEY_REGION, r->config->databases[0].region);
    logleaf_text(&l, LEAF_KEY_ENTITY, "clipstream-us");
    logleaf_text(&l, LEAF_KEY_PLACE, "US");
    logleaf_text(&l, LEAF_KEY_PURPOSE, "support_ticket");
    logleaf_number(&l, LEAF_KEY_GRANT, GRANT);
    logleaf_text(&l, LEAF_KEY_CLASSES, "identity");
    logleaf_number(&l, LEAF_KEY_SUBJECTS, 1);
    logleaf_number(&l, LEAF_KEY_UNTIL, (uint64_t)(r->now_ms / FRAME_MINUTE_MS + 60));
    logleaf_text(&l, LEAF_KEY_POLICY_REF, ref);
    logleaf_text(&l, LEAF_KEY_BY, "administrator");
    int rc = journal_append_leaf(r->journal, &l, detail, strlen(detail), 0, 0, r->now_ms, &r->err);
    return rc < 0 ? rc : clerk_note(r->clerk, &l, &r->err);
}

static int disclose(struct run *r, const char *key, const char *text)
{
    char revealed[200];
    struct record said = { .kind = RECORD_DISCLOSURE,
                           .wall_ms = r->now_ms + 77,
                           .statement = 1,
                           .region = r->config->databases[0].region,
                           .entity = "clipstream-us",
                           .place = "US",
                           .room = "granted",
                           .purpose = "support_ticket",
                           .actor_kind = "person",
                           .classes = "identity",
                           .grant = GRANT,
                           .subjects = 1,
                           .actor = "us_privacy_officer",
                           .sql = text,
                           .sql_len = strlen(text),
                           .revealed = revealed };
    (void)snprintf(revealed, sizeof(revealed), "%s identity", key);
    return clerk_append(r->clerk, r->journal, r->policy, &said, 0, 0, r->now_ms, &r->err);
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct policy *policy = NULL;
    struct journal_found found;
    struct mistakes mistakes;
    struct run r = { .now_ms = clock_wall_ms() / DAY_MS * DAY_MS - DAY_MS / 2 };
    char detail[300];
    mistakes_init(&mistakes);
    if (argc != 4 || sodium_init() < 0 || digest_init(&r.err) < 0 ||
        config_load(argv[1], &config, &mistakes) < 0 ||
        policy_load(config->policy_path, &policy, &mistakes) < 0 ||
        config_check_policy(config, policy, &mistakes) < 0) {
        mistakes_print(&mistakes, stderr);
        return 2;
    }
    r.config = config;
    r.policy = policy;
    (void)snprintf(detail, sizeof(detail), "{\"actor\":\"%.200s\"}", argv[3]);
    const struct journal_options options = { .state_dir = config->state_dir, .name = config->name };
    int rc = journal_open(&options, &r.journal, &found, &r.err);
    if (rc == 0)
        rc = clerk_new(r.journal, config, NULL, &r.clerk, &r.err);
    if (rc == 0)
        rc = start(&r);
    if (rc == 0)
        rc = grant(&r, detail);
    if (rc == 0)
        rc = disclose(&r, argv[2], argv[3]);
    if (rc == 0)
        rc = journal_commit(r.journal, &r.err);
    if (rc < 0)
        (void)fprintf(stderr, "yesterday: %s %s\n", r.err.line, r.err.detail);
    clerk_free(r.clerk);
    journal_close(r.journal);
    policy_free(policy);
    config_free(config);
    mistakes_done(&mistakes);
    return rc < 0 ? 1 : 0;
}
