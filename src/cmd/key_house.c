#include <sodium.h>
#include <stdio.h>

#include "base/digest.h"
#include "cmd/keycommand.h"
#include "policy/mistakes.h"
#include "super/identity.h"

int key_house_find(const struct command_context *context, struct key_house *ret, struct err *err)
{
    struct mistakes mistakes;
    *ret = (struct key_house){ 0 };
    mistakes_init(&mistakes);
    int rc = config_load(context->config_path, &ret->config, &mistakes);
    if (rc == 0)
        rc = policy_load(ret->config->policy_path, &ret->policy, &mistakes);
    if (rc == 0)
        rc = config_check_policy(ret->config, ret->policy, &mistakes);
    if (rc < 0) {
        mistakes_print(&mistakes, stderr);
        (void)err_set(err, (enum err_code) - rc, "the files of the gateway cannot be used");
    } else if (ret->config->ledger.origin == NULL) {
        rc = err_set(err, RF_ECONFIG, "the gateway of \"%.200s\" has no public log",
                     context->config_path);
    }
    mistakes_done(&mistakes);
    return rc;
}

int key_house_enter(struct key_house *h, struct err *err)
{
    struct journal_found found;
    const struct journal_options options = { .state_dir = h->config->state_dir,
                                             .name = h->config->name,
                                             .copy_dir = h->config->ledger.copy_path };
    int rc =
        sodium_init() < 0 ? err_set(err, RF_EBUG, "cannot initialise libsodium") : digest_init(err);
    if (rc == 0)
        rc = identity_settle(h->config, err);
    if (rc == 0)
        rc = journal_open(&options, &h->journal, &found, err);
    if (rc == -RF_EUNAVAIL)
        err_hint(err, "stop the gateway first: nobody else may write to its log meanwhile");
    if (rc == 0)
        rc = clerk_new(h->journal, h->config, NULL, &h->clerk, err);
    return rc < 0 ? rc : clerk_replay(h->clerk, h->policy, err);
}

void key_house_close(struct key_house *h)
{
    clerk_free(h->clerk);
    journal_close(h->journal);
    policy_free(h->policy);
    config_free(h->config);
    *h = (struct key_house){ 0 };
}
