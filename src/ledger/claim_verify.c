#include "ledger/claim_verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/claim.h"
#include "ledger/logleaf.h"
#include "ledger/succession.h"
#include "tlog/checkpoint.h"

/* One pass. claim_read() has seen to the order of the lines; here each line is a function, and what
 * the lines before it established stands in struct verifier. Invariants:
 *
 *     a log is in `logs`                => it is the one that was given first, or a leaf names it
 *     i < shown                         => logs[i] has a checkpoint that its key signed, a genesis
 *                                          in that tree, and all its named leaves are in `logs`
 *     an epoch line was taken           => every log of the roster was shown
 *     living < log_count, in an epoch   => logs before it that lived in the epoch are done
 *
 * Nothing is believed because of where it stands: a leaf is read after its proof held. */

struct log {
    struct key key;
    char vkey[KEY_VKEY_SIZE];
    bool continues_first; /* it is the first log, or continues one that does */
    unsigned named_by;    /* which log names it, and at which leaf; not for the first */
    bool succeeds;        /* as its successor */
    uint64_t named_at;
    uint8_t vrf[VRF_PUBLIC_LEN];
    bool is_covered; /* its VRF key is the file's */
    uint64_t size;
    uint8_t root[TLOG_HASH_LEN];
    uint64_t begins, ends; /* numbers of epochs */
    bool ended;
};

struct verifier {
    const struct claim_trust *trust;
    struct claim_result result;
    struct err *err;
    struct claim_line line;
    struct logleaf leaf; /* of that line; borrows from it */
    struct note note;
    char region[KEY_NAME_MAX + 1];
    uint8_t subject[TAG_SUBJECT_MAX];
    size_t subject_len;
    uint8_t vrf[VRF_PUBLIC_LEN];
    struct log logs[CLAIM_LOGS_MAX];
    unsigned log_count, shown;
    struct tag_period period; /* of all logs, once the first was shown */
    uint64_t named_last;      /* index of the log's last named leaf */
    char epoch[TAG_EPOCH_SIZE];
    uint64_t epoch_number;
    uint8_t k[TAG_KEY_LEN];
    unsigned living; /* in an epoch: the log that is being shown, or is to be */
    uint64_t seal_index, seal_tags;
    uint8_t seal_root[TLOG_HASH_LEN];
    uint64_t access_count, access_index; /* in this log and epoch */
    uint64_t *grants;                    /* that are shown there: leaves, ascending */
    size_t grant_count, grant_room;
};

static int RF_PRINTF(2, 3) wrong(const struct verifier *v, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return err_set(v->err, RF_ETAMPER, "line %u: %s", v->line.number, text);
}

/* ---- leaves -------------------------------------------------------------------------------- */

/* The line's leaf is at INDEX of LOG's tree; then read it. */
static int leaf_take(struct verifier *v, const struct log *log, uint64_t index)
{
    uint8_t hash[TLOG_HASH_LEN];
    tlog_leaf_hash(v->line.leaf, v->line.leaf_len, hash);
    if (!proof_inclusion_holds(&v->line.proof, index, log->size, hash, log->root))
        return wrong(v, "leaf %llu is not in the tree of log \"%s\"", (unsigned long long)index,
                     log->key.name);
    if (logleaf_read(v->line.leaf, v->line.leaf_len, &v->leaf) < 0)
        return wrong(v, "leaf %llu of log \"%s\" is malformed", (unsigned long long)index,
                     log->key.name);
    if (!logleaf_is(&v->leaf, LEAF_KEY_REGION, v->region))
        return wrong(v, "leaf %llu is of another region", (unsigned long long)index);
    return 0;
}

/* Text of the leaf, which never has escapes; "" when it is not there or too long. */
static const char *leaf_text(const struct verifier *v, enum logleaf_key key, char *ret, size_t size)
{
    const struct logleaf_value *value = &v->leaf.value[key];
    bool fits = value->text != NULL && value->len < size;
    (void)snprintf(ret, size, "%.*s", fits ? (int)value->len : 0, fits ? value->text : "");
    return ret;
}

/* ---- the roster ---------------------------------------------------------------------------- */

static int on_head(struct verifier *v)
{
    struct log *first = &v->logs[0];
    first->key = v->trust->keys[0];
    first->continues_first = true;
    key_write(&first->key, first->vkey);
    v->log_count = 1;
    return 0;
}

static int on_region(struct verifier *v)
{
    memcpy(v->region, v->line.text, sizeof(v->region));
    return 0;
}

static int on_subject(struct verifier *v)
{
    memcpy(v->subject, v->line.subject, v->line.subject_len);
    v->subject_len = v->line.subject_len;
    return 0;
}

static int on_vrf(struct verifier *v)
{
    memcpy(v->vrf, v->line.key, sizeof(v->vrf));
    return 0;
}

static int on_log(struct verifier *v)
{
    if (v->shown == v->log_count)
        return wrong(v, "log \"%s\" is named nowhere", v->line.text);
    const char *expected = v->logs[v->shown].key.name;
    if (strcmp(v->line.text, expected) != 0)
        return wrong(v, "log \"%s\" stands where \"%s\" should", v->line.text, expected);
    return 0;
}

/* Count the log as unwitnessed unless those who cosigned are enough. */
static int weigh_cosignatures(struct verifier *v)
{
    const struct trust *t = v->trust->witnesses;
    bool have[TRUST_MAX] = { false };
    for (unsigned i = 0; t != NULL && i < t->witness_count; i++) {
        int rc = note_verify(&v->note, &t->witnesses[i].key, NULL, v->err);
        if (rc < 0)
            return rc;
        have[i] = rc == 1;
    }
    if (t != NULL && !trust_is_met(t, have))
        v->result.unwitnessed++;
    return 0;
}

/* Errors of the note's own readers say what is wrong and not where. */
static int in_checkpoint(struct verifier *v, int code, const struct err *inner)
{
    return err_set(v->err, (enum err_code)code, "line %u: checkpoint: %s", v->line.number,
                   inner->line);
}

static int on_checkpoint(struct verifier *v)
{
    struct log *log = &v->logs[v->shown];
    struct checkpoint c;
    struct err inner = { 0 }, *outer = v->err;
    if (note_read((const char *)v->line.checkpoint, v->line.checkpoint_len, &v->note, &inner) < 0)
        return in_checkpoint(v, RF_EPROTO, &inner);
    int rc = note_verify(&v->note, &log->key, NULL, &inner);
    if (rc < 0)
        return in_checkpoint(v, -rc, &inner);
    if (rc == 0)
        return wrong(v, "checkpoint is not signed by the key of log \"%s\"", log->key.name);
    if (checkpoint_read(v->note.text, v->note.text_len, &c, &inner) < 0)
        return in_checkpoint(v, RF_EPROTO, &inner);
    if (strcmp(c.origin, log->key.name) != 0)
        return wrong(v, "checkpoint is one of log \"%s\"", c.origin);
    log->size = c.size;
    memcpy(log->root, c.root, sizeof(log->root));
    v->err = &inner;
    rc = weigh_cosignatures(v);
    v->err = outer;
    return rc < 0 ? in_checkpoint(v, -rc, &inner) : 0;
}

/* What the genesis says about whom it continues is what named it. */
static int check_predecessor(struct verifier *v, const struct log *log)
{
    uint64_t index;
    const char *origin;
    size_t len;
    if (logleaf_has(&v->leaf, LEAF_KEY_PREDECESSOR) != log->succeeds)
        return wrong(v, log->succeeds ? "genesis has no predecessor" : "genesis has a predecessor");
    if (!log->succeeds)
        return 0;
    const struct log *old = &v->logs[log->named_by];
    if (!logleaf_ref(&v->leaf, LEAF_KEY_PREDECESSOR, &index, &origin, &len) ||
        index != log->named_at || len != strlen(old->key.name) ||
        memcmp(origin, old->key.name, len) != 0)
        return wrong(v, "genesis has another predecessor");
    const struct succession s = { old->key.name, &log->key, log->named_at };
    if (!succession_holds(&s, &log->key, &v->leaf))
        return wrong(v, "signature of the new log under its succession does not hold");
    return 0;
}

static int on_genesis(struct verifier *v)
{
    struct log *log = &v->logs[v->shown];
    char period[TAG_EPOCH_SIZE];
    struct tag_period p;
    int rc = leaf_take(v, log, 0);
    if (rc < 0)
        return rc;
    if (v->leaf.type != LEAF_GENESIS || !logleaf_is(&v->leaf, LEAF_KEY_ORIGIN, log->key.name) ||
        !logleaf_is(&v->leaf, LEAF_KEY_KEY, log->vkey))
        return wrong(v, "leaf 0 is not the genesis of log \"%s\" and its key", log->key.name);
    logleaf_hash(&v->leaf, LEAF_KEY_VRF, log->vrf);
    log->is_covered = memcmp(log->vrf, v->vrf, sizeof(log->vrf)) == 0;
    if (v->shown > 0 && !log->succeeds &&
        memcmp(log->vrf, v->logs[log->named_by].vrf, sizeof(log->vrf)) != 0)
        return wrong(v, "genesis of log \"%s\" has another VRF key than the log that names it",
                     log->key.name);
    (void)leaf_text(v, LEAF_KEY_EPOCH, period, sizeof(period));
    if (tag_period_read(period, strlen(period), &p) < 0 ||
        (v->shown > 0 && p.minutes != v->period.minutes))
        return wrong(v, "genesis of log \"%s\" has another kind of epochs", log->key.name);
    v->period = p;
    log->begins = tag_epoch_number(p, v->leaf.minute);
    v->named_last = 0;
    rc = check_predecessor(v, log);
    v->shown++;
    return rc;
}

static struct log *log_find(struct verifier *v, const char *origin)
{
    for (unsigned i = 0; i < v->log_count; i++)
        if (strcmp(v->logs[i].key.name, origin) == 0)
            return &v->logs[i];
    return NULL;
}

/* The log that the leaf names is the next of the roster. */
static int roster_add(struct verifier *v)
{
    char origin[KEY_NAME_MAX + 1], vkey[KEY_VKEY_SIZE];
    struct key key;
    (void)leaf_text(v, LEAF_KEY_ORIGIN, origin, sizeof(origin));
    (void)leaf_text(v, LEAF_KEY_KEY, vkey, sizeof(vkey));
    if (key_read(vkey, strlen(vkey), &key, NULL) < 0 || key.type != KEY_ED25519 ||
        strcmp(key.name, origin) != 0)
        return wrong(v, "leaf names log \"%s\" with a key that is none", origin);
    if (log_find(v, origin) != NULL)
        return wrong(v, "log \"%s\" is named twice", origin);
    if (v->log_count == CLAIM_LOGS_MAX)
        return err_set(v->err, RF_EPROTO, "line %u: more than %d logs", v->line.number,
                       CLAIM_LOGS_MAX);
    struct log *log = &v->logs[v->log_count++];
    log->key = key;
    (void)snprintf(log->vkey, sizeof(log->vkey), "%s", vkey);
    return 0;
}

static int on_named(struct verifier *v)
{
    unsigned at = v->shown - 1;
    struct log *log = &v->logs[at], *new = &v->logs[v->log_count]; /* once it was added */
    uint64_t index = v->line.index;
    int rc = leaf_take(v, log, index);
    if (rc < 0)
        return rc;
    if (index <= v->named_last || log->ended)
        return wrong(v, "named leaves are not in their order");
    v->named_last = index;
    if (v->leaf.type != LEAF_SUCCESSOR && v->leaf.type != LEAF_MEMBER)
        return wrong(v, "leaf %llu names no log", (unsigned long long)index);
    if (v->leaf.type == LEAF_MEMBER && !log->continues_first)
        return wrong(v, "a member is named by log \"%s\", which is one itself", log->key.name);
    rc = roster_add(v);
    if (rc < 0)
        return rc;
    new->named_by = at;
    if (v->leaf.type == LEAF_MEMBER)
        return 0;
    new->succeeds = true;
    new->named_at = index;
    new->continues_first = log->continues_first;
    log->ended = true;
    log->ends = tag_epoch_number(v->period, v->leaf.minute);
    const struct succession s = { log->key.name, &new->key, index };
    if (!succession_holds(&s, &log->key, &v->leaf))
        return wrong(v, "signature of the old log under its succession does not hold");
    return 0;
}

/* ---- epochs -------------------------------------------------------------------------------- */

/* The roster is whole, and the keys that were given belong to it. */
static int check_roster(struct verifier *v)
{
    if (v->shown < v->log_count)
        return wrong(v, "log \"%s\" is missing", v->logs[v->shown].key.name);
    for (size_t i = 0; i < v->trust->key_count; i++) {
        const struct key *key = &v->trust->keys[i];
        const struct log *log = log_find(v, key->name);
        if (log == NULL)
            return wrong(v, "log \"%s\", whose key was given, is not in the roster", key->name);
        if (memcmp(log->key.public, key->public, sizeof(key->public)) != 0)
            return wrong(v, "log \"%s\" has another key than the one that was given", key->name);
    }
    unsigned covered = 0;
    for (unsigned i = 0; i < v->log_count; i++)
        covered += v->logs[i].is_covered;
    v->result.log_count = v->log_count;
    return covered > 0 ? 0
                       : wrong(v, "genesis of log \"%s\" has another VRF key, as all others have",
                               v->logs[0].key.name);
}

static bool lives(const struct verifier *v, const struct log *log)
{
    return v->epoch_number >= log->begins && !(log->ended && v->epoch_number > log->ends);
}

/* Go on to the first log from AT on that lived in the epoch and has the file's VRF key. */
static void living_from(struct verifier *v, unsigned at)
{
    while (at < v->log_count && !(lives(v, &v->logs[at]) && v->logs[at].is_covered))
        at++;
    v->living = at;
}

/* The epoch before, if there was one, has shown all its logs. */
static int check_epoch_end(struct verifier *v)
{
    return v->living < v->log_count ? wrong(v, "log \"%s\" is missing in epoch \"%s\"",
                                            v->logs[v->living].key.name, v->epoch)
                                    : 0;
}

static int on_epoch(struct verifier *v)
{
    uint64_t number;
    int rc = v->result.epoch_count == 0 ? check_roster(v) : check_epoch_end(v);
    if (rc < 0)
        return rc;
    if (tag_epoch_read(v->period, v->line.text, strlen(v->line.text), &number) < 0)
        return wrong(v, "\"%s\" is no epoch of this log", v->line.text);
    if (v->result.epoch_count > 0 && number <= v->epoch_number)
        return wrong(v, "epochs are not in their order");
    v->result.epoch_count++;
    v->epoch_number = number;
    (void)snprintf(v->epoch, sizeof(v->epoch), "%.*s", (int)sizeof(v->epoch) - 1, v->line.text);
    for (unsigned i = 0; i < v->log_count; i++)
        v->result.elsewhere += lives(v, &v->logs[i]) && !v->logs[i].is_covered;
    living_from(v, 0);
    return 0;
}

static int on_k(struct verifier *v)
{
    const struct tag_subject subject = {
        .region = v->region, .epoch = v->epoch, .key = v->subject, .key_len = v->subject_len
    };
    int rc = tag_key_check(&subject, v->vrf, v->line.vrf_proof, v->k);
    if (rc < 0 || memcmp(v->k, v->line.key, sizeof(v->k)) != 0)
        return wrong(v, "K is not the one of this subject and epoch");
    return 0;
}

static int on_in(struct verifier *v)
{
    if (v->living == v->log_count)
        return wrong(v, "log \"%s\" has no place in epoch \"%s\"", v->line.text, v->epoch);
    const char *expected = v->logs[v->living].key.name;
    if (strcmp(v->line.text, expected) != 0)
        return wrong(v, "log \"%s\" stands where \"%s\" should", v->line.text, expected);
    v->access_count = v->access_index = 0;
    return 0;
}

static int on_seal(struct verifier *v)
{
    int rc = leaf_take(v, &v->logs[v->living], v->line.index);
    if (rc < 0)
        return rc;
    if (v->leaf.type != LEAF_SEAL || !logleaf_is(&v->leaf, LEAF_KEY_OF, "epoch") ||
        !logleaf_is(&v->leaf, LEAF_KEY_EPOCH, v->epoch) ||
        !logleaf_has(&v->leaf, LEAF_KEY_TAGS_ROOT))
        return wrong(v, "leaf %llu is not the seal of epoch \"%s\"",
                     (unsigned long long)v->line.index, v->epoch);
    v->seal_index = v->line.index;
    v->grant_count = 0;
    v->seal_tags = v->leaf.value[LEAF_KEY_TAGS].number;
    logleaf_hash(&v->leaf, LEAF_KEY_TAGS_ROOT, v->seal_root);
    return 0;
}

/* Tag and commitment of ACCESS number N, which stand together in the leaf. */
static int check_item(struct verifier *v)
{
    const char *origin = v->logs[v->living].key.name;
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN], item[TAG_ITEM_LEN], salt[TAG_SALT_LEN];
    unsigned count = logleaf_items(&v->leaf, items);
    tag_of(v->k, origin, v->line.n, item);
    tag_salt_of(v->k, origin, v->line.n, salt);
    tag_commitment_of(salt, v->line.access, v->line.access_len, item + TAG_LEN);
    for (unsigned i = 0; i < count; i++)
        if (memcmp(items[i], item, TAG_ITEM_LEN) == 0)
            return 0;
    return wrong(v, "access %llu is not in its leaf", (unsigned long long)v->line.n);
}

/* A grant of accesses that follow. */
static int on_grant(struct verifier *v)
{
    if (v->grant_count > 0 && v->line.index <= v->grants[v->grant_count - 1])
        return wrong(v, "grants are not in the order of their leaves");
    if (v->grant_count == v->grant_room) {
        size_t room = v->grant_room > 0 ? 2 * v->grant_room : 16;
        uint64_t *wider = mem_realloc(v->grants, room * sizeof(*wider));
        if (wider == NULL)
            return err_set(v->err, RF_ENOMEM, "could not check the claim file");
        v->grants = wider;
        v->grant_room = room;
    }
    int rc = leaf_take(v, &v->logs[v->living], v->line.index);
    if (rc < 0)
        return rc;
    if (v->leaf.type != LEAF_GRANT)
        return wrong(v, "leaf %llu is no grant", (unsigned long long)v->line.index);
    v->grants[v->grant_count++] = v->line.index;
    return 0;
}

/* Of the leaf at hand: where it names one of this log. */
static bool is_grant_shown(const struct verifier *v)
{
    const char *origin, *here = v->logs[v->living].key.name;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(&v->leaf, LEAF_KEY_GRANT_REF, &index, &origin, &len) || len != strlen(here) ||
        memcmp(origin, here, len) != 0)
        return true;
    for (size_t i = 0; i < v->grant_count; i++)
        if (v->grants[i] == index)
            return true;
    return false;
}

static int on_access(struct verifier *v)
{
    struct tag_access access;
    if (v->line.n != v->access_count)
        return wrong(v, "access %llu stands where %llu should", (unsigned long long)v->line.n,
                     (unsigned long long)v->access_count);
    if (v->line.index < v->access_index || v->line.index >= v->seal_index)
        return wrong(v, "leaf %llu is not where an access of this epoch may be",
                     (unsigned long long)v->line.index);
    int rc = leaf_take(v, &v->logs[v->living], v->line.index);
    if (rc < 0)
        return rc;
    bool is_find = v->leaf.type == LEAF_FIND;
    if (!logleaf_has_items(v->leaf.type) || !logleaf_is(&v->leaf, LEAF_KEY_EPOCH, v->epoch))
        return wrong(v, "leaf %llu is no find and no disclosure of epoch \"%s\"",
                     (unsigned long long)v->line.index, v->epoch);
    rc = check_item(v);
    if (rc < 0)
        return rc;
    rc = tag_access_read(v->line.access, v->line.access_len, v->subject, v->subject_len, &access);
    if (rc == -RF_ENOMEM)
        return err_set(v->err, RF_ENOMEM, "could not check an access");
    if (rc < 0)
        return wrong(v, rc == -RF_ETAMPER ? "access is one to another subject"
                                          : "access is malformed");
    if (is_find != (access.classes_len == 4 && memcmp(access.classes, "find", 4) == 0))
        return wrong(v, "leaf %llu is a find, and its access is none, or the other way about",
                     (unsigned long long)v->line.index);
    if (v->grant_count > 0 && !is_find && !is_grant_shown(v))
        return wrong(v, "the grant of leaf %llu is not among those that are shown",
                     (unsigned long long)v->line.index);
    v->result.find_count += is_find;
    v->access_index = v->line.index;
    v->access_count++;
    v->result.access_count++;
    return 0;
}

static bool is_in_tags(const struct verifier *v, const struct claim_neighbour *n)
{
    uint8_t hash[TLOG_HASH_LEN];
    tlog_leaf_hash(n->tag, TAG_LEN, hash);
    return proof_inclusion_holds(&n->proof, n->rank, v->seal_tags, hash, v->seal_root);
}

static void log_end(struct verifier *v)
{
    living_from(v, v->living + 1);
}

static int on_absent(struct verifier *v)
{
    const struct claim_neighbour *left = &v->line.left, *right = &v->line.right;
    uint8_t absent[TAG_LEN];
    tag_of(v->k, v->logs[v->living].key.name, v->access_count, absent);
    if (!left->there && !right->there)
        return wrong(v, "absence without a neighbour");
    if ((left->there && !is_in_tags(v, left)) || (right->there && !is_in_tags(v, right)))
        return wrong(v, "neighbour is not among the tags of epoch \"%s\"", v->epoch);
    if ((left->there && memcmp(left->tag, absent, TAG_LEN) >= 0) ||
        (right->there && memcmp(right->tag, absent, TAG_LEN) <= 0))
        return wrong(v, "absent tag does not lie between its neighbours");
    /* Ranks are below `tags`, so that these sums cannot wrap. */
    uint64_t behind_left = left->there ? left->rank + 1 : 0;
    uint64_t at_right = right->there ? right->rank : v->seal_tags;
    if (behind_left != at_right)
        return wrong(v, "neighbours of the absent tag are not side by side");
    log_end(v);
    return 0;
}

static int on_none(struct verifier *v)
{
    uint8_t empty[TLOG_HASH_LEN];
    tlog_empty_root(empty);
    if (v->seal_tags != 0 || memcmp(v->seal_root, empty, sizeof(empty)) != 0)
        return wrong(v, "epoch \"%s\" has tags", v->epoch);
    log_end(v);
    return 0;
}

static int on_end(struct verifier *v)
{
    return check_epoch_end(v);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int (*const on[CLAIM_WORD_COUNT])(struct verifier *v) = {
    [CLAIM_HEAD] = on_head,       [CLAIM_REGION] = on_region,
    [CLAIM_SUBJECT] = on_subject, [CLAIM_VRF] = on_vrf,
    [CLAIM_LOG] = on_log,         [CLAIM_CHECKPOINT] = on_checkpoint,
    [CLAIM_GENESIS] = on_genesis, [CLAIM_NAMED] = on_named,
    [CLAIM_EPOCH] = on_epoch,     [CLAIM_K] = on_k,
    [CLAIM_IN] = on_in,           [CLAIM_SEAL] = on_seal,
    [CLAIM_ACCESS] = on_access,   [CLAIM_GRANT] = on_grant,
    [CLAIM_ABSENT] = on_absent,   [CLAIM_NONE] = on_none,
    [CLAIM_END] = on_end,
};

int claim_verify(const void *bytes, size_t n, const struct claim_trust *trust,
                 struct claim_result *ret, struct err *err)
{
    struct claim_reader reader = claim_read_begin(bytes, n);
    int rc;
    if (trust->key_count == 0 || trust->keys[0].type != KEY_ED25519)
        return err_set(err, RF_EINVAL, "the first log's key is needed to check a claim file");
    struct verifier *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "could not check the claim file");
    v->trust = trust;
    v->err = err;
    while ((rc = claim_read(&reader, &v->line, err)) == 1)
        if ((rc = on[v->line.word](v)) < 0)
            break;
    if (rc == 0)
        *ret = v->result;
    mem_free(v->grants);
    mem_free_secret(v, sizeof(*v)); /* K is the person's own */
    return rc;
}
