#include "verify/witnessing.h"

#include <string.h>

/* The last two labels of the host that NAME begins with. */
static const char *domain_of(const char *name, size_t *ret_len)
{
    size_t host = strcspn(name, "/:"), at = host;
    for (int dots = 0; at > 0; at--)
        if (name[at - 1] == '.' && ++dots == 2)
            break;
    *ret_len = host - at;
    return name + at;
}

bool witnessing_is_own(const char *origin, const struct trust_witness *w,
                       const struct witnessing_options *options)
{
    size_t log_len, witness_len;
    const char *log = domain_of(origin, &log_len), *witness = domain_of(w->key.name, &witness_len);
    for (unsigned i = 0; i < options->own_count; i++)
        if (strcmp(options->own[i], w->name) == 0 || strcmp(options->own[i], w->key.name) == 0)
            return true;
    return log_len == witness_len && strncasecmp(log, witness, log_len) == 0;
}

const char *witnessing_name(enum witnessing verdict)
{
    static const char *const names[] = { [WITNESSING_NONE] = "unwitnessed",
                                         [WITNESSING_NOT_INDEPENDENT] = "not independent",
                                         [WITNESSING_STALE] = "stale",
                                         [WITNESSING_GOOD] = "witnessed" };
    return names[verdict];
}

struct have {
    bool any[TRUST_MAX], independent[TRUST_MAX];
};

static void collect(const struct note *note, const char *origin,
                    const struct witnessing_options *options, struct have *have,
                    struct witnessing_report *ret, struct findings *to)
{
    const struct trust *t = options->trust;
    for (unsigned i = 0; i < t->witness_count; i++) {
        struct err err;
        uint64_t time = 0;
        int rc = note_verify(note, &t->witnesses[i].key, &time, &err);
        if (rc < 0)
            findings_add(to, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                         "the cosignature of \"%.100s\" does not hold", t->witnesses[i].key.name);
        if (rc != 1)
            continue;
        have->any[i] = true;
        ret->cosigned++;
        have->independent[i] = !witnessing_is_own(origin, &t->witnesses[i], options);
        ret->independent += have->independent[i];
        /* a time to come says nothing about now */
        if (time <= options->now_s + WITNESSING_SKEW_S && time > ret->newest_s)
            ret->newest_s = time;
    }
}

void witnessing_judge(const struct note *note, const char *origin,
                      const struct witnessing_options *options, struct witnessing_report *ret,
                      struct findings *to)
{
    static struct have have;
    memset(&have, 0, sizeof(have));
    memset(ret, 0, sizeof(*ret));
    if (options->trust == NULL)
        return;
    collect(note, origin, options, &have, ret, to);
    if (!trust_is_met(options->trust, have.any)) {
        findings_add(to, FINDING_WANTING, "checkpoint", FINDING_NO_LEAF,
                     "unwitnessed: %u cosignatures do not reach the quorum", ret->cosigned);
        return;
    }
    if (ret->cosigned == 0) /* a policy that asks for nothing */
        return;
    if (options->max_age_s > 0 && ret->newest_s + options->max_age_s < options->now_s) {
        findings_add(to, FINDING_WANTING, "checkpoint", FINDING_NO_LEAF,
                     "stale: the newest cosignature is %llu s old",
                     (unsigned long long)(options->now_s - ret->newest_s));
        ret->verdict = WITNESSING_STALE;
        return;
    }
    bool is_independent = ret->independent > 0 && trust_is_met(options->trust, have.independent);
    ret->verdict = is_independent ? WITNESSING_GOOD : WITNESSING_NOT_INDEPENDENT;
}
