#include "lookmaker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static void log_begin(struct lookmaker *m)
{
    struct lookmaker_log *log = &m->logs[m->count];
    const uint8_t seed[KEY_SEED_LEN] = { 1, (uint8_t)m->count };
    char name[32];
    if (m->count == LOOKMAKER_LOGS)
        return;
    (void)snprintf(name, sizeof(name), "log.example/%u", m->count++);
    RF_ASSERT(secret_key_make(name, KEY_ED25519, seed, &log->key, NULL) == 0);
    log->options = (struct logmaker_options){ .key = &log->key,
                                              .on_file = memlog_put,
                                              .context = &log->files };
    RF_ASSERT(logmaker_new(&log->options, &log->maker) == 0);
}

/* Tag and commitment of one more access of ann. */
static void item_of(struct lookmaker *m, struct lookmaker_look *look, uint8_t ret[TAG_ITEM_LEN])
{
    const struct tag_subject s = { .region = LOOKMAKER_REGION,
                                   .epoch = look->epoch,
                                   .key = LOOKMAKER_SUBJECT,
                                   .key_len = strlen(LOOKMAKER_SUBJECT) };
    const char *origin = m->logs[look->log].key.key.name;
    uint8_t k[TAG_KEY_LEN], salt[TAG_SALT_LEN];
    struct buf access;
    buf_init(&access, TAG_ACCESS_MAX);
    RF_ASSERT(tag_key_make(&s, m->secret, NULL, k) == 0);
    tag_of(k, origin, look->n, ret);
    tag_salt_of(k, origin, look->n, salt);
    RF_ASSERT(tag_access_write(&access, s.key, s.key_len, look->classes, look->time_ms) == 0);
    tag_commitment_of(salt, buf_at(&access), buf_len(&access), ret + TAG_LEN);
    buf_done(&access);
}

static void disclose(struct lookmaker *m, const struct lookmaker_look *look, uint32_t minute,
                     bool is_held, const uint8_t *items, size_t n)
{
    uint8_t salt[TAG_SALT_LEN], held[DIGEST_LEN];
    struct logleaf leaf = { .type = LEAF_DISCLOSURE, .minute = minute };
    logleaf_text(&leaf, LEAF_KEY_ENTITY, "clipstream-us");
    logleaf_text(&leaf, LEAF_KEY_PLACE, "US");
    logleaf_text(&leaf, LEAF_KEY_ROOM, "granted");
    digest_pieces(&(struct iovec){ "s", 1 }, 1, salt);
    tag_held_of(salt, "support_ticket", held);
    if (is_held)
        logleaf_bytes(&leaf, LEAF_KEY_HELD, held, sizeof(held));
    else
        logleaf_text(&leaf, LEAF_KEY_PURPOSE, "support_ticket");
    logleaf_text(&leaf, LEAF_KEY_CLASSES, look->classes);
    logleaf_text(&leaf, LEAF_KEY_EPOCH, look->epoch);
    logleaf_bytes(&leaf, LEAF_KEY_TAGS, items, n);
    RF_ASSERT(logmaker_leaf(m->logs[look->log].maker, &leaf) == 0);
}

/* WORDS: CLASSES [+N] [held]. */
static void look(struct lookmaker *m, char *words)
{
    struct lookmaker_look *l = &m->looks[m->look_count];
    uint8_t items[2][TAG_ITEM_LEN] = { { 0 } };
    char *rest = NULL, *word = strtok_r(words, " ", &rest);
    bool is_held = false;
    uint32_t later = 0;
    if (m->look_count == LOOKMAKER_LOOKS || m->count == 0 || word == NULL)
        return;
    *l = (struct lookmaker_look){ .log = m->count - 1 };
    (void)snprintf(l->classes, sizeof(l->classes), "%s", word);
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        is_held = is_held || strcmp(word, "held") == 0;
        later = word[0] == '+' ? (uint32_t)strtoul(word + 1, NULL, 10) % 100000 : later;
    }
    struct logmaker *maker = m->logs[l->log].maker;
    uint32_t minute = logmaker_epoch(maker, later, l->epoch);
    l->time_ms = (int64_t)minute * 60000 + 123;
    l->leaf = logmaker_size(maker);
    for (unsigned i = 0; i < m->look_count; i++)
        l->n += m->looks[i].log == l->log && strcmp(m->looks[i].epoch, l->epoch) == 0;
    struct buf access;
    buf_init(&access, TAG_ACCESS_MAX);
    bool is_good = tag_access_write(&access, "a", 1, l->classes, l->time_ms) == 0;
    buf_done(&access);
    if (!is_good) /* no such classes, or no such time */
        return;
    item_of(m, l, items[0]);
    digest_pieces(&(struct iovec){ l, sizeof(*l) }, 1, items[1]); /* somebody else */
    disclose(m, l, minute, is_held, items[0], sizeof(items));
    m->look_count++;
}

/* The maker of logs takes no more than its drafts have room for, and this is less. */
static bool fits(const char *line)
{
    const char *tags = strstr(line, "tags=");
    return tags == NULL || strstr(tags + 1, "tags=") == NULL;
}

static void take_line(struct lookmaker *m, char *line)
{
    char text[LOOKMAKER_LINE_MAX + 2 * VRF_PUBLIC_LEN + 8], hex[2 * VRF_PUBLIC_LEN + 1];
    uint8_t public[VRF_PUBLIC_LEN];
    struct err err;
    if (strcmp(line, "log") == 0 || m->count == 0)
        log_begin(m);
    if (strncmp(line, "look ", 5) == 0) {
        look(m, line + 5);
        return;
    }
    if (strcmp(line, "log") == 0 || !fits(line))
        return;
    RF_ASSERT(vrf_public_of(m->secret, public) == 0);
    digest_hex(public, sizeof(public), hex);
    bool is_genesis = strncmp(line, "genesis", 7) == 0 && strstr(line, " vrf=") == NULL;
    (void)snprintf(text, sizeof(text), "%s%s%s", line, is_genesis ? " vrf=" : "",
                   is_genesis ? hex : "");
    if (logmaker_line(m->logs[m->count - 1].maker, text, &err) < 0)
        return; /* means nothing */
}

void lookmaker_make(struct lookmaker *m, const char *text, size_t n)
{
    char line[LOOKMAKER_LINE_MAX + 1];
    memset(m, 0, sizeof(*m));
    m->secret[0] = 42;
    for (size_t at = 0, len; at < n; at += len + 1) {
        const char *end = memchr(text + at, '\n', n - at);
        len = end != NULL ? (size_t)(end - text) - at : n - at;
        if (len > LOOKMAKER_LINE_MAX)
            continue;
        memcpy(line, text + at, len);
        line[len] = '\0';
        take_line(m, line);
    }
    for (unsigned i = 0; i < m->count; i++) {
        RF_ASSERT(logmaker_publish(m->logs[i].maker) == 0);
        m->logs[i].source = memlog_source(&m->logs[i].files);
    }
}

void lookmaker_done(struct lookmaker *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        source_close(m->logs[i].source);
        logmaker_free(m->logs[i].maker);
        memlog_done(&m->logs[i].files);
    }
}

static int read_log(struct lookmaker_log *log, struct looking *l, struct err *err)
{
    struct verify_options options = { .key = &log->key.key, .on_leaf = looking_leaf, .context = l };
    struct verify_report *report = NULL;
    int rc = looking_log(l, &log->key.key, log->source, err);
    if (rc == 0)
        rc = verify_report_new(&report, err);
    if (rc == 0)
        rc = verify_log(log->source, &options, report, err);
    if (rc == 0 && (report->findings.tampered > 0 || !report->is_whole))
        rc = err_set(err, RF_ETAMPER, "%.200s",
                     report->findings.count > 0 ? report->findings.list[0].text : "not whole");
    if (rc == 0)
        rc = looking_log_end(l, report, err);
    verify_report_free(report);
    return rc;
}

int lookmaker_look(struct lookmaker *m, const char *const *epochs, size_t epoch_count,
                   struct looking **ret, struct err *err)
{
    struct looking_options options = { .region = LOOKMAKER_REGION,
                                       .subject = LOOKMAKER_SUBJECT,
                                       .subject_len = strlen(LOOKMAKER_SUBJECT),
                                       .epochs = epochs,
                                       .epoch_count = epoch_count };
    memcpy(options.secret, m->secret, sizeof(options.secret));
    *ret = NULL;
    int rc = looking_new(&options, ret, err);
    for (unsigned i = 0; rc == 0 && i < m->count; i++)
        rc = read_log(&m->logs[i], *ret, err);
    return rc == 0 ? looking_settle(*ret, err) : rc;
}

const struct lookmaker_look *lookmaker_find(const struct lookmaker *m, const struct looking *l,
                                            size_t i)
{
    struct looking_access a = looking_access(l, i);
    for (unsigned k = 0; k < m->look_count; k++)
        if (m->looks[k].leaf == a.leaf && strcmp(m->looks[k].epoch, a.epoch) == 0 &&
            strcmp(m->logs[m->looks[k].log].key.key.name, a.origin) == 0)
            return &m->looks[k];
    return NULL;
}
