/* member CONFIG VKEYFILE - makes a log known to the roster of the gateway of CONFIG, which is not
 * running, as the ledger would: what is due by the clock first, then the leaf. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/clerk.h"
#include "policy/mistakes.h"
#include "policy/policy.h"
#include "tlog/key.h"

static int append(struct journal *journal, struct clerk *clerk, const struct policy *policy,
                  const char *region, const struct key *member, struct err *err)
{
    struct logleaf leaf = { .type = LEAF_MEMBER };
    char vkey[KEY_VKEY_SIZE];
    int64_t now_ms = clock_wall_ms();
    key_write(member, vkey);
    int rc = clerk_replay(clerk, policy, err);
    if (rc == 0)
        rc = clerk_tick(clerk, policy, now_ms, err);
    logleaf_text(&leaf, LEAF_KEY_REGION, region);
    logleaf_text(&leaf, LEAF_KEY_ORIGIN, member->name);
    logleaf_text(&leaf, LEAF_KEY_KEY, vkey);
    if (rc == 0)
        rc = journal_append_leaf(journal, &leaf, "{}", 2, 0, 0, now_ms, err);
    return rc == 0 ? journal_commit(journal, err) : rc;
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct policy *policy = NULL;
    struct journal *journal = NULL;
    struct clerk *clerk = NULL;
    struct journal_found found;
    struct mistakes mistakes;
    struct key member;
    struct err err = { 0 };
    mistakes_init(&mistakes);
    if (argc != 3 || sodium_init() < 0 || digest_init(&err) < 0 ||
        config_load(argv[1], &config, &mistakes) < 0 ||
        policy_load(config->policy_path, &policy, &mistakes) < 0 ||
        config_check_policy(config, policy, &mistakes) < 0) {
        mistakes_print(&mistakes, stderr);
        return 2;
    }
    const struct journal_options options = { .state_dir = config->state_dir, .name = config->name };
    int rc = key_load(argv[2], &member, &err);
    if (rc == 0)
        rc = journal_open(&options, &journal, &found, &err);
    if (rc == 0)
        rc = clerk_new(journal, config, NULL, &clerk, &err);
    if (rc == 0)
        rc = append(journal, clerk, policy, config->databases[0].region, &member, &err);
    if (rc < 0)
        (void)fprintf(stderr, "member: %s %s\n", err.line, err.detail);
    clerk_free(clerk);
    journal_close(journal);
    policy_free(policy);
    config_free(config);
    mistakes_done(&mistakes);
    return rc < 0 ? 1 : 0;
}
