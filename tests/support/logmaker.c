#include "logmaker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tlog/bundle.h"
#include "tlog/checkpoint.h"
#include "tlog/note.h"
#include "tlog/tree.h"

enum { MINUTE_FIRST = 29922360 /* 2026-11-22T10:00Z */, EPOCH_SIZE = 32, TEXT_SIZE = 8192 };

struct counted {
    uint64_t leaves, disclosures;
};

struct logmaker {
    const struct logmaker_options *options;
    struct tree_edge edge;
    struct buf bundle, scratch;
    uint32_t minute;
    char region[64], period[64], epoch[EPOCH_SIZE];
    struct counted interval, in_epoch;
    uint8_t (*tags)[LOGLEAF_TAG_LEN];
    size_t tag_count, tag_room;
    uint64_t fresh; /* random bytes are hashes of a counter: the same log each time */
};

int logmaker_new(const struct logmaker_options *options, struct logmaker **ret)
{
    struct err err;
    struct logmaker *m = calloc(1, sizeof(*m));
    if (m == NULL || digest_init(&err) < 0) {
        free(m);
        return -RF_ENOMEM;
    }
    m->options = options;
    m->minute = options->minute != 0 ? options->minute : MINUTE_FIRST;
    tree_edge_init(&m->edge);
    buf_init(&m->bundle, BUNDLE_MAX);
    buf_init(&m->scratch, BUNDLE_MAX);
    *ret = m;
    return 0;
}

void logmaker_free(struct logmaker *m)
{
    if (m == NULL)
        return;
    buf_done(&m->bundle);
    buf_done(&m->scratch);
    free(m->tags);
    free(m);
}

uint64_t logmaker_size(const struct logmaker *m)
{
    return m->edge.size;
}

static void hash_word(const void *word, size_t n, uint8_t ret[DIGEST_LEN])
{
    const struct iovec piece = digest_piece(word, n);
    digest_pieces(&piece, 1, ret);
}

static void fresh(struct logmaker *m, uint8_t ret[DIGEST_LEN])
{
    m->fresh++;
    hash_word(&m->fresh, sizeof(m->fresh), ret);
}

/* ---- files ---------------------------------------------------------------------------------- */

int logmaker_write_file(void *context, const char *path, const void *bytes, size_t n)
{
    char name[4096];
    (void)snprintf(name, sizeof(name), "%s/%s", (const char *)context, path);
    for (char *at = strchr(name + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(name, 0777) < 0 && errno != EEXIST)
            return -RF_ESYS;
        *at = '/';
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = fd < 0 ? -RF_ESYS : fd_write_all(fd, bytes, n);
    fd_close(&fd);
    return rc;
}

static int emit(const struct logmaker *m, const struct tlog_path *path, const void *bytes, size_t n)
{
    char name[TLOG_PATH_SIZE];
    tlog_path_write(path, name);
    return m->options->on_file(m->options->context, name, bytes, n);
}

static int on_tile(void *context, unsigned level, uint64_t index,
                   const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN])
{
    struct logmaker *m = context;
    struct tlog_path path = {
        .file = TLOG_FILE_TILE, .level = level, .index = index, .width = TLOG_TILE_WIDTH
    };
    int rc = emit(m, &path, hashes, (size_t)TLOG_TILE_WIDTH * TLOG_HASH_LEN);
    if (rc == 0 && level == 0) {
        path.file = TLOG_FILE_ENTRIES;
        rc = emit(m, &path, buf_at(&m->bundle), buf_len(&m->bundle));
        buf_clear(&m->bundle);
    }
    return rc;
}

int logmaker_publish(struct logmaker *m)
{
    const struct logmaker_options *o = m->options;
    struct checkpoint c = { .size = m->edge.size };
    char text[CHECKPOINT_TEXT_SIZE];
    struct err err;
    int rc = 0;
    for (unsigned level = 0; rc == 0 && level < TREE_LEVELS; level++) {
        struct tlog_path path = { .file = TLOG_FILE_TILE,
                                  .level = level,
                                  .index = tlog_level_count(m->edge.size, level) / TLOG_TILE_WIDTH,
                                  .width = m->edge.width[level] };
        if (path.width == 0)
            continue;
        rc = emit(m, &path, m->edge.hash[level], (size_t)path.width * TLOG_HASH_LEN);
        path.file = TLOG_FILE_ENTRIES;
        if (rc == 0 && level == 0)
            rc = emit(m, &path, buf_at(&m->bundle), buf_len(&m->bundle));
    }
    (void)snprintf(c.origin, sizeof(c.origin), "%s", o->key->key.name);
    tree_edge_root(&m->edge, c.root);
    size_t n = checkpoint_write(&c, text);
    buf_clear(&m->scratch);
    if (rc == 0)
        rc = note_sign(&m->scratch, text, n, o->key, &err);
    for (unsigned i = 0; rc == 0 && i < o->witness_count; i++)
        rc = note_cosign(&m->scratch, text, n,
                         o->witness_times[i] != 0 ? o->witness_times[i]
                                                  : (uint64_t)(clock_wall_ms() / 1000),
                         &o->witnesses[i], &err);
    return rc == 0 ? o->on_file(o->context, "checkpoint", buf_at(&m->scratch), buf_len(&m->scratch))
                   : rc;
}

/* ---- what seals sum up ---------------------------------------------------------------------- */

uint32_t logmaker_epoch(const struct logmaker *m, uint32_t later, char ret[24])
{
    uint32_t minute = m->minute + later;
    char time[25];
    unsigned n = (unsigned)strtoul(m->period, NULL, 10);
    clock_format((int64_t)minute * 60000, time);
    if (n > 0)
        (void)snprintf(ret, 24, "%um-%u", n, minute / n);
    else
        (void)snprintf(ret, 24, "%.7s", time);
    return minute;
}

static void epoch_of(const struct logmaker *m, char ret[EPOCH_SIZE])
{
    (void)logmaker_epoch(m, 0, ret);
}

static int keep_tag(struct logmaker *m, const uint8_t tag[LOGLEAF_TAG_LEN])
{
    if (m->tag_count == m->tag_room) {
        size_t room = m->tag_room > 0 ? 2 * m->tag_room : 64;
        void *wider = realloc(m->tags, room * LOGLEAF_TAG_LEN);
        if (wider == NULL)
            return -RF_ENOMEM;
        m->tags = wider;
        m->tag_room = room;
    }
    memcpy(m->tags[m->tag_count++], tag, LOGLEAF_TAG_LEN);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, LOGLEAF_TAG_LEN);
}

static int tags_root(struct logmaker *m, uint8_t ret[DIGEST_LEN])
{
    uint8_t(*leaves)[TLOG_HASH_LEN] = calloc(m->tag_count + 1, sizeof(*leaves));
    if (leaves == NULL)
        return -RF_ENOMEM;
    if (m->tag_count > 0)
        qsort(m->tags, m->tag_count, LOGLEAF_TAG_LEN, by_bytes);
    for (size_t i = 0; i < m->tag_count; i++)
        tlog_leaf_hash(m->tags[i], LOGLEAF_TAG_LEN, leaves[i]);
    tree_root_of(leaves, m->tag_count, ret);
    free(leaves);
    return 0;
}

/* What the leaf that was written means for seals to come. */
static int count(struct logmaker *m, const struct logleaf *l)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN];
    bool of_epoch = l->type == LEAF_SEAL && logleaf_is(l, LEAF_KEY_OF, "epoch");
    int rc = 0;
    m->minute = l->minute;
    if (l->type == LEAF_GENESIS) {
        (void)snprintf(m->period, sizeof(m->period), "%.*s", (int)l->value[LEAF_KEY_EPOCH].len,
                       l->value[LEAF_KEY_EPOCH].text);
        (void)snprintf(m->region, sizeof(m->region), "%.*s", (int)l->value[LEAF_KEY_REGION].len,
                       l->value[LEAF_KEY_REGION].text);
    }
    unsigned n = logleaf_has_items(l->type) ? logleaf_items(l, items) : 0;
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = keep_tag(m, items[i]);
    if (of_epoch)
        m->in_epoch = (struct counted){ 0 };
    else if (l->type == LEAF_SEAL)
        m->interval = (struct counted){ 0 };
    m->in_epoch.leaves += of_epoch ? 0 : 1;
    m->interval.leaves += of_epoch || l->type != LEAF_SEAL ? 1 : 0;
    m->in_epoch.disclosures += l->type == LEAF_DISCLOSURE;
    m->interval.disclosures += l->type == LEAF_DISCLOSURE;
    if (of_epoch) {
        m->tag_count = 0;
        m->epoch[0] = '\0';
    } else {
        epoch_of(m, m->epoch);
    }
    return rc;
}

int logmaker_bytes(struct logmaker *m, const void *bytes, size_t n)
{
    uint8_t hash[TLOG_HASH_LEN];
    struct logleaf leaf;
    int rc = bundle_entry_write(&m->bundle, bytes, n);
    if (rc == 0) {
        tlog_leaf_hash(bytes, n, hash);
        rc = tree_edge_add(&m->edge, hash, on_tile, m);
    }
    if (rc == 0 && logleaf_read(bytes, n, &leaf) == 0)
        return count(m, &leaf);
    m->interval.leaves++;
    m->in_epoch.leaves++;
    return rc;
}

int logmaker_leaf(struct logmaker *m, struct logleaf *leaf)
{
    static const uint8_t none[DIGEST_LEN];
    uint8_t random[DIGEST_LEN];
    if (leaf->minute == 0)
        leaf->minute = m->minute;
    if (memcmp(leaf->id, none, sizeof(leaf->id)) == 0) {
        fresh(m, random);
        memcpy(leaf->id, random, sizeof(leaf->id));
    }
    if (memcmp(leaf->commitment, none, sizeof(none)) == 0)
        fresh(m, leaf->commitment);
    if (!logleaf_has(leaf, LEAF_KEY_REGION))
        logleaf_text(leaf, LEAF_KEY_REGION, m->region[0] != '\0' ? m->region : "us-virginia");
    buf_clear(&m->scratch);
    int rc = logleaf_write(&m->scratch, leaf);
    return rc < 0 ? rc : logmaker_bytes(m, buf_at(&m->scratch), buf_len(&m->scratch));
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* A leaf on its way from a line: where its values' bytes live. */
struct draft {
    struct logleaf leaf;
    char text[TEXT_SIZE];
    size_t used;
    uint64_t given; /* keys that the line says */
};

static void *draft_room(struct draft *d, size_t n)
{
    RF_ASSERT(n <= sizeof(d->text) - d->used);
    d->used += n;
    return d->text + d->used - n;
}

static void put_text(struct draft *d, enum logleaf_key key, const char *text)
{
    size_t n = strlen(text) + 1;
    logleaf_text(&d->leaf, key, memcpy(draft_room(d, n), text, n));
}

static void put_bytes(struct draft *d, enum logleaf_key key, const void *bytes, size_t n)
{
    logleaf_bytes(&d->leaf, key, memcpy(draft_room(d, n), bytes, n), n);
}

static bool unhex(const char *hex, uint8_t *ret, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        if (strspn(hex + 2 * i, "0123456789abcdef") < 2 || sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        ret[i] = (uint8_t)byte;
    }
    return true;
}

static void put_hash(struct draft *d, enum logleaf_key key, const char *value)
{
    uint8_t hash[DIGEST_LEN];
    if (strlen(value) != 2 * DIGEST_LEN || !unhex(value, hash, sizeof(hash)))
        hash_word(value, strlen(value), hash);
    put_bytes(d, key, hash, sizeof(hash));
}

static void put_tags(struct logmaker *m, struct draft *d, char *value)
{
    uint8_t items[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN], random[DIGEST_LEN];
    unsigned n = 0, fresh_count = value[0] == '@' ? 0 : (unsigned)strtoul(value, NULL, 10);
    char *rest = NULL;
    const char *word = fresh_count > 0 ? NULL : strtok_r(value, ",", &rest);
    while (n < LOGLEAF_ITEMS_MAX && (n < fresh_count || word != NULL)) {
        if (word != NULL)
            hash_word(word, strlen(word), random);
        else
            fresh(m, random);
        memcpy(items[n], random, LOGLEAF_TAG_LEN);
        fresh(m, random);
        memcpy(items[n++] + LOGLEAF_TAG_LEN, random, DIGEST_LEN);
        word = word != NULL ? strtok_r(NULL, ",", &rest) : NULL;
    }
    put_bytes(d, LEAF_KEY_TAGS, items, (size_t)n * LOGLEAF_ITEM_LEN);
}

static void put_reference(const struct logmaker *m, struct draft *d, enum logleaf_key key,
                          const char *value)
{
    char text[512];
    (void)snprintf(text, sizeof(text), strchr(value, ' ') != NULL ? "%s" : "%s %s", value,
                   m->options->key->key.name);
    put_text(d, key, text);
}

/* `3,4` as well as whole refs. */
static void put_references(const struct logmaker *m, struct draft *d, enum logleaf_key key,
                           char *value)
{
    char text[LOGLEAF_REFS_MAX + 512] = "";
    char *rest = NULL;
    size_t n = 0;
    for (const char *one = strtok_r(value, ",", &rest); one != NULL && n < LOGLEAF_REFS_MAX;
         one = strtok_r(NULL, ",", &rest))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", n > 0 ? "," : "", one,
                              strchr(one, ' ') != NULL ? "" : " ",
                              strchr(one, ' ') != NULL ? "" : m->options->key->key.name);
    put_text(d, key, text);
}

static bool put_value(struct logmaker *m, struct draft *d, enum logleaf_key key, char *value)
{
    static const enum {
        F_WORD,
        F_NAME,
        F_NUMBER,
        F_BAND,
        F_HASH,
        F_TIME,
        F_BYTES,
        F_ITEMS,
        F_REFS
    } forms[LEAF_KEY_COUNT] = {
#define KEY(NAME, name, form) [LEAF_KEY_##NAME] = F_##form,
#include "ledger/tbl/leafkey.def"
#undef KEY
    };
    uint8_t bytes[256];
    d->given |= UINT64_C(1) << key;
    switch (forms[key]) {
    case F_WORD:
    case F_NAME:
        if (strstr(logleaf_key_name(key), "ref") != NULL || key == LEAF_KEY_PREDECESSOR)
            put_reference(m, d, key, value);
        else
            put_text(d, key, value);
        return true;
    case F_REFS:
        put_references(m, d, key, value);
        return true;
    case F_HASH:
        put_hash(d, key, value);
        return true;
    case F_BYTES:
        if (strlen(value) % 2 != 0 || strlen(value) > 2 * sizeof(bytes) ||
            !unhex(value, bytes, strlen(value) / 2))
            return false;
        put_bytes(d, key, bytes, strlen(value) / 2);
        return true;
    case F_ITEMS:
        if (logleaf_has_items(d->leaf.type)) {
            put_tags(m, d, value);
            return true;
        }
        RF_FALLTHROUGH;
    case F_NUMBER:
    case F_BAND:
    case F_TIME:
        logleaf_number(&d->leaf, key, strtoull(value, NULL, 10));
        return true;
    }
    return false;
}

static bool has_not(const struct draft *d, enum logleaf_key key)
{
    return (d->given >> key & 1) == 0;
}

/* docs/formats/log.md, section 8. */
static void sign_succession(const struct logmaker *m, struct draft *d, const char *old_origin,
                            const char *new_origin, const char *vkey, uint64_t size)
{
    uint8_t message[1024], signature[KEY_SIGNATURE_LEN];
    if (old_origin == NULL || new_origin == NULL || vkey == NULL || strlen(old_origin) > 250 ||
        strlen(new_origin) + strlen(vkey) > 250)
        return; /* nothing that could be signed */
    int n = snprintf((char *)message, sizeof(message), "ringfence-successor@1\n");
    n += snprintf((char *)message + n + 2, 256, "%s", old_origin) + 2;
    message[22] = (uint8_t)(strlen(old_origin) >> 8);
    message[23] = (uint8_t)strlen(old_origin);
    int second = n;
    n += snprintf((char *)message + n + 2, 256, "%s%s\n", new_origin, vkey) + 2;
    message[second] = (uint8_t)(strlen(new_origin) >> 8);
    message[second + 1] = (uint8_t)strlen(new_origin);
    for (int shift = 56; shift >= 0; shift -= 8)
        message[n++] = (uint8_t)(size >> shift);
    if (key_sign(m->options->key, message, (size_t)n, signature) == 0)
        put_bytes(d, LEAF_KEY_SIGNATURE, signature, sizeof(signature));
}

static void fill_genesis(const struct logmaker *m, struct draft *d)
{
    const char *name = m->options->key->key.name;
    char vkey[KEY_VKEY_SIZE];
    key_write(&m->options->key->key, vkey);
    if (has_not(d, LEAF_KEY_ORIGIN))
        put_text(d, LEAF_KEY_ORIGIN, name);
    if (has_not(d, LEAF_KEY_KEY))
        put_text(d, LEAF_KEY_KEY, vkey);
    if (has_not(d, LEAF_KEY_VRF))
        put_hash(d, LEAF_KEY_VRF, "vrf");
    if (has_not(d, LEAF_KEY_EPOCH))
        put_text(d, LEAF_KEY_EPOCH, "month");
    if (has_not(d, LEAF_KEY_ROLLUP))
        logleaf_number(&d->leaf, LEAF_KEY_ROLLUP, 60);
    if (has_not(d, LEAF_KEY_SEAL))
        logleaf_number(&d->leaf, LEAF_KEY_SEAL, 60);
    if (!has_not(d, LEAF_KEY_PREDECESSOR) && has_not(d, LEAF_KEY_SIGNATURE)) {
        const char *before = d->leaf.value[LEAF_KEY_PREDECESSOR].text;
        const char *blank = before != NULL ? strchr(before, ' ') : NULL;
        if (blank != NULL)
            sign_succession(m, d, blank + 1, name, vkey, strtoull(before, NULL, 10));
    }
}

static int fill_seal(struct logmaker *m, struct draft *d)
{
    bool of_epoch = strcmp(d->leaf.value[LEAF_KEY_OF].text, "epoch") == 0;
    const struct counted *c = of_epoch ? &m->in_epoch : &m->interval;
    uint8_t root[DIGEST_LEN];
    if (has_not(d, LEAF_KEY_LEAVES))
        logleaf_number(&d->leaf, LEAF_KEY_LEAVES, c->leaves);
    if (has_not(d, LEAF_KEY_DISCLOSURES))
        logleaf_number(&d->leaf, LEAF_KEY_DISCLOSURES, c->disclosures);
    if (!of_epoch) {
        if (has_not(d, LEAF_KEY_CHAIN))
            put_hash(d, LEAF_KEY_CHAIN, "chain");
        return 0;
    }
    if (has_not(d, LEAF_KEY_EPOCH))
        put_text(d, LEAF_KEY_EPOCH, m->epoch);
    if (has_not(d, LEAF_KEY_TAGS))
        logleaf_number(&d->leaf, LEAF_KEY_TAGS, m->tag_count);
    int rc = tags_root(m, root);
    if (has_not(d, LEAF_KEY_TAGS_ROOT))
        put_bytes(d, LEAF_KEY_TAGS_ROOT, root, sizeof(root));
    return rc;
}

static int fill(struct logmaker *m, struct draft *d)
{
    char epoch[EPOCH_SIZE], one[] = "1";
    switch ((int)d->leaf.type) {
    case LEAF_GENESIS:
        fill_genesis(m, d);
        return 0;
    case LEAF_START:
        if (has_not(d, LEAF_KEY_BINARY))
            put_hash(d, LEAF_KEY_BINARY, "binary");
        if (has_not(d, LEAF_KEY_LIBRARIES))
            put_hash(d, LEAF_KEY_LIBRARIES, "libraries");
        RF_FALLTHROUGH;
    case LEAF_POLICY:
        if (has_not(d, LEAF_KEY_POLICY))
            put_hash(d, LEAF_KEY_POLICY, "policy");
        return 0;
    case LEAF_GRANT:
        if (has_not(d, LEAF_KEY_REQUEST_REF) && has_not(d, LEAF_KEY_GRANT_REF) &&
            has_not(d, LEAF_KEY_BY))
            put_text(d, LEAF_KEY_BY, "administrator");
        return 0;
    case LEAF_FIND:
        if (has_not(d, LEAF_KEY_TAGS))
            put_tags(m, d, one);
        RF_FALLTHROUGH;
    case LEAF_DISCLOSURE:
        m->minute = d->leaf.minute;
        epoch_of(m, epoch);
        if (has_not(d, LEAF_KEY_EPOCH))
            put_text(d, LEAF_KEY_EPOCH, epoch);
        return 0;
    case LEAF_SUCCESSOR:
        if (has_not(d, LEAF_KEY_SIGNATURE))
            sign_succession(m, d, m->options->key->key.name, d->leaf.value[LEAF_KEY_ORIGIN].text,
                            d->leaf.value[LEAF_KEY_KEY].text, m->edge.size);
        return 0;
    case LEAF_SEAL:
        return d->leaf.value[LEAF_KEY_OF].text != NULL ? fill_seal(m, d) : 0;
    default:
        return 0;
    }
}

static void decode_percent(char *text)
{
    char *to = text;
    uint8_t byte;
    for (; *text != '\0'; text++)
        if (*text == '%' && unhex(text + 1, &byte, 1)) {
            *to++ = (char)byte;
            text += 2;
        } else {
            *to++ = *text;
        }
    *to = '\0';
}

static bool read_pair(struct logmaker *m, struct draft *d, char *pair)
{
    char *value = strchr(pair, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    decode_percent(value);
    if (strcmp(pair, "minute") == 0) {
        d->leaf.minute = (uint32_t)strtoul(value, NULL, 10) + (value[0] == '+' ? m->minute : 0);
        return true;
    }
    if (strcmp(pair, "d") == 0 || strcmp(pair, "id") == 0) {
        uint8_t hash[DIGEST_LEN];
        hash_word(value, strlen(value), hash);
        memcpy(pair[0] == 'd' ? d->leaf.commitment : d->leaf.id, hash,
               pair[0] == 'd' ? sizeof(d->leaf.commitment) : sizeof(d->leaf.id));
        return true;
    }
    for (int i = 0; i < LEAF_KEY_COUNT; i++)
        if (strcmp(logleaf_key_name((enum logleaf_key)i), pair) == 0)
            return put_value(m, d, (enum logleaf_key)i, value);
    return false;
}

static int read_leaf(struct logmaker *m, char *line, struct err *err)
{
    struct draft d = { .leaf = { .minute = m->minute } };
    char *rest = NULL;
    const char *type = strtok_r(line, " ", &rest);
    for (int i = LEAF_NONE + 1; type != NULL && i < LEAF_TYPE_COUNT; i++)
        if (strcmp(logleaf_type_name((enum logleaf_type)i), type) == 0)
            d.leaf.type = (enum logleaf_type)i;
    for (char *pair; (pair = strtok_r(NULL, " ", &rest)) != NULL;)
        if (!read_pair(m, &d, pair))
            return err_set(err, RF_EINVAL, "cannot read \"%s\"", pair);
    int rc = fill(m, &d);
    if (rc == 0)
        rc = logmaker_leaf(m, &d.leaf);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "cannot make a leaf \"%s\"", type) : 0;
}

int logmaker_line(struct logmaker *m, const char *line, struct err *err)
{
    char text[TEXT_SIZE];
    size_t n = strcspn(line, "\n");
    if (n >= sizeof(text))
        return err_set(err, RF_ETOOBIG, "line is too long");
    memcpy(text, line, n);
    text[n] = '\0';
    if (n == 0 || text[0] == '#')
        return 0;
    if (strcmp(text, "publish") == 0)
        return logmaker_publish(m);
    return text[0] == '{' ? logmaker_bytes(m, text, n) : read_leaf(m, text, err);
}
