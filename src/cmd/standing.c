/* standing.c - what `ringfence check` and `ringfence plan` say about the signatures of the policy:
 * whether the gateway of this configuration would let it rule. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cmd/standing.h"
#include "policy/yaml_tree.h"

int command_standing(const struct config *config, const struct policy *policy, struct standing *ret,
                     struct err *err)
{
    struct ruling ruling = { 0 };
    struct announced announced;
    char *text = NULL, *sigs = NULL;
    size_t len = 0, sigs_len = 0;
    int rc = ruling_read(config->state_dir, config->policy_path, &ruling, err);
    if (rc == 0)
        rc = announced_read(config->state_dir, &announced, err);
    if (rc == 0)
        rc = fd_read_file(config->policy_path, YAML_BYTES_MAX, &text, &len, err);
    if (rc == 0)
        rc = signatures_read(config->policy_path, &sigs, &sigs_len, err);
    if (rc == 0) {
        const struct policy_bytes old = { ruling.policy, ruling.text, ruling.len };
        const struct policy_bytes next = { policy, text, len };
        rc = standing_judge(&old, &next, sigs, sigs_len, &announced, clock_wall_ms(), ret, err);
    }
    mem_free(text);
    mem_free(sigs);
    ruling_done(&ruling);
    return rc;
}

static const char *const words[] = { [STANDING_RULES] = "rules",
                                     [STANDING_ACCEPTED] = "accepted",
                                     [STANDING_WAITS] = "waits",
                                     [STANDING_REFUSED] = "refused" };

void command_print_standing(FILE *to, const char *path, const struct standing *s)
{
    char when[25];
    if (s->quorum > 0)
        (void)fprintf(to, "%s: signatures %u of %lld: %s\n", path, s->valid, (long long)s->quorum,
                      s->signed_by);
    if (s->kind == STANDING_REFUSED) {
        (void)fprintf(to, "%s: would be refused: %s; %s\n", path, s->why, s->hint);
    } else if (s->kind == STANDING_WAITS) {
        clock_format(s->from_ms, when);
        (void)fprintf(to, "%s: %s %.19sZ, because it widens: %s\n", path,
                      s->is_announced ? "waits until" : "would wait, now until", when, s->why);
    }
}

void command_print_standing_json(const struct standing *s)
{
    char when[25];
    (void)printf("{\"standing\":\"%s\"", words[s->kind]);
    if (s->quorum > 0) {
        (void)printf(",\"signatures\":%u,\"quorum\":%lld,\"signed_by\":", s->valid,
                     (long long)s->quorum);
        command_print_json(s->signed_by);
        (void)fputs(",\"not_signed_by\":", stdout);
        command_print_json(s->missing);
    }
    if (s->kind == STANDING_WAITS) {
        clock_format(s->from_ms, when);
        (void)printf(",\"until\":\"%.19sZ\",\"announced\":%s", when,
                     s->is_announced ? "true" : "false");
    }
    if (s->why[0] != '\0') {
        (void)fputs(",\"why\":", stdout);
        command_print_json(s->why);
    }
    (void)putchar('}');
}
