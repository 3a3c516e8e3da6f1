/* What an operator does to a log while no gateway writes it: name another log, or end this one.
 *
 * The end cuts an interval and an epoch short. What was counted in the interval stands right before
 * `successor`, because nothing but seals may come behind it; the epoch's seal stands right behind
 * it, because nothing can come into the epoch any more. So a log is whole the moment it ends, and
 * its key need not be kept for a last seal.
 *
 * All of it is one batch, but a crash may leave a part of a batch. Then the log is neither going on
 * nor whole: no gateway writes to it, and ending it again takes up where that stopped, at the
 * minute at which it stopped. */
#include <inttypes.h>
#include <string.h>

#include "ledger/clerk_inside.h"
#include "ledger/succession.h"

const struct clerk_end *clerk_ended(const struct clerk *c)
{
    return c->end.origin[0] != '\0' ? &c->end : NULL;
}

uint64_t clerk_leaves(const struct clerk *c)
{
    return c->leaves;
}

size_t clerk_held(const struct clerk *c)
{
    return c->held_count;
}

int clerk_goes_on(const struct clerk *c, struct err *err)
{
    if (c->end.origin[0] == '\0' && !c->is_ending)
        return 0;
    if (c->is_ending) {
        (void)err_set(err, RF_ECONFIG, "the end of log \"%.100s\" was begun, and not finished",
                      c->origin);
        err_hint(err, "run the same \"ringfence key rotate\" again");
        return -RF_ECONFIG;
    }
    (void)err_set(err, RF_ECONFIG,
                  "log \"%.100s\" has ended with leaf %" PRIu64
                  ": \"%.100s\" continues it, and is not yet in the configuration",
                  c->origin, c->end.leaf, c->end.origin);
    err_hint(err, "put what \"ringfence key rotate\" printed into the configuration: state, and of "
                  "the ledger origin, directory, key and predecessor");
    return -RF_ECONFIG;
}

/* KEY as a log of its own beside this one. */
static int check_other(const struct clerk *c, const struct key *key, struct err *err)
{
    if (key->type != KEY_ED25519)
        return err_set(err, RF_EINVAL, "\"%.100s\" is not the key of a log", key->name);
    const char *before;
    uint64_t at;
    bool is_known = strcmp(key->name, c->origin) == 0 ||
                    (succession_ref_read(c->predecessor, &at, &before) &&
                     strcmp(key->name, before) == 0); /* an origin is a log's for ever */
    for (unsigned i = 0; i < c->member_count; i++)
        is_known = is_known || strcmp(c->members[i], key->name) == 0;
    if (is_known)
        return err_set(err, RF_EINVAL, "log \"%.100s\" is in the roster already", key->name);
    return 0;
}

static int commit(struct clerk *c, struct err *err)
{
    int rc = journal_commit(c->journal, err);
    if (rc == 0)
        clerk_committed(c);
    return rc;
}

/* What a leaf of now comes after, in a log that has begun. */
static int begin(struct clerk *c, const struct policy *policy, int64_t now_ms, struct err *err)
{
    if (c->leaves == 0)
        return err_set(err, RF_ENOTFOUND, "log \"%.100s\" has not begun", c->origin);
    int rc = clerk_goes_on(c, err);
    size_t rounds = c->held_count / CLERK_A_TICK + 1; /* nobody opens a purpose behind the end */
    while (rc == 0 && rounds-- > 0)
        rc = clerk_tick(c, policy, now_ms, err);
    return rc;
}

static void name_other(const struct clerk *c, enum logleaf_type type, const struct key *key,
                       char vkey[KEY_VKEY_SIZE], struct logleaf *ret)
{
    *ret = (struct logleaf){ .type = type };
    key_write(key, vkey);
    logleaf_text(ret, LEAF_KEY_REGION, c->region_name);
    logleaf_text(ret, LEAF_KEY_ORIGIN, key->name);
    logleaf_text(ret, LEAF_KEY_KEY, vkey);
}

int clerk_member(struct clerk *c, const struct policy *policy, const struct key *member,
                 int64_t now_ms, struct err *err)
{
    struct logleaf l;
    char vkey[KEY_VKEY_SIZE];
    int rc = check_other(c, member, err);
    if (rc == 0 && c->member_count == MEMBERS_MAX)
        rc = err_set(err, RF_ETOOBIG, "more than %d members", MEMBERS_MAX);
    if (rc == 0)
        rc = begin(c, policy, now_ms, err);
    if (rc < 0)
        return rc;
    name_other(c, LEAF_MEMBER, member, vkey, &l);
    rc = clerk_own_leaf(c, &l, "{}", now_ms, err);
    return rc < 0 ? rc : commit(c, err);
}

static int successor(struct clerk *c, const struct secret_key *key, const struct key *next,
                     int64_t now_ms, struct err *err)
{
    const struct succession s = { .old_origin = c->origin, .next = next, .at = c->leaves };
    struct logleaf l;
    char vkey[KEY_VKEY_SIZE];
    uint8_t signature[KEY_SIGNATURE_LEN];
    int rc = succession_sign(&s, key, signature);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not sign the succession");
    name_other(c, LEAF_SUCCESSOR, next, vkey, &l);
    logleaf_bytes(&l, LEAF_KEY_SIGNATURE, signature, sizeof(signature));
    return clerk_own_leaf(c, &l, "{}", now_ms, err);
}

static int end(struct clerk *c, const struct policy *policy, const struct secret_key *key,
               const struct key *next, int64_t now_ms, struct err *err)
{
    int rc = clerk_roll_up(c, policy, UINT32_MAX, now_ms, err);
    if (rc == 0 && c->end.origin[0] == '\0')
        rc = successor(c, key, next, now_ms, err);
    if (rc == 0 && !c->end.has_epoch_seal)
        rc = clerk_seal_epoch(c, now_ms, err);
    if (rc == 0 && !c->end.has_interval_seal)
        rc = clerk_seal_interval(c, now_ms, err);
    return rc < 0 ? rc : commit(c, err);
}

int clerk_end_log(struct clerk *c, const struct policy *policy, const struct secret_key *key,
                  const struct key *next, int64_t now_ms, struct err *err)
{
    char vkey[KEY_VKEY_SIZE];
    if (c->end.origin[0] != '\0') {
        key_write(next, vkey);
        if (strcmp(c->end.vkey, vkey) != 0)
            return err_set(err, RF_EINVAL,
                           "log \"%.100s\" has ended already: \"%.100s\" continues it", c->origin,
                           c->end.vkey);
        return c->end.has_epoch_seal && c->end.has_interval_seal
                   ? 0
                   : end(c, policy, key, next, 0, err);
    }
    int rc = check_other(c, next, err);
    if (rc == 0 && !c->is_ending)
        rc = begin(c, policy, now_ms, err);
    return rc < 0 ? rc : end(c, policy, key, next, c->is_ending ? 0 : now_ms, err);
}
