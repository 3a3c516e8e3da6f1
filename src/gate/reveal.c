#include "gate/reveal.h"

#include <string.h>

#include "base/mem.h"

struct reveal_item {
    uint32_t hash, classes, recorded; /* bits 1 << enum class_id */
    char subject[REVEAL_SUBJECT_MAX + 1];
};

static enum class_id class_of(const char *name, size_t len)
{
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++) {
        const char *known = policy_class_name((enum class_id)i);
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return (enum class_id)i;
    }
    return CLASS_UNSET;
}

static bool is_hex(const char *text, size_t len, const char *digits)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || strchr(digits, text[i]) == NULL)
            return false;
    return true;
}

/* Printable, and each `%` the beginning of one byte that is not or stands for itself. */
static bool is_subject(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
        if (text[i] != '%')
            continue;
        if (len - i < 3 || !is_hex(text + i + 1, 2, "0123456789ABCDEF"))
            return false;
        i += 2;
    }
    return len > 0 && len <= REVEAL_SUBJECT_MAX;
}

int reveal_read(const char *text, struct reveal *ret)
{
    struct reveal r;
    if (!is_hex(text, REVEAL_TOKEN_LEN, "0123456789abcdef") || text[REVEAL_TOKEN_LEN] != ' ')
        return -RF_EPROTO;
    memcpy(r.token, text, REVEAL_TOKEN_LEN);
    text += REVEAL_TOKEN_LEN + 1;
    size_t class_len = strcspn(text, " ");
    r.class_id = class_of(text, class_len);
    if (r.class_id == CLASS_UNSET || text[class_len] != ' ')
        return -RF_EPROTO;
    text += class_len + 1;
    size_t len = strlen(text);
    if (!is_subject(text, len))
        return -RF_EPROTO;
    memcpy(r.subject, text, len + 1);
    *ret = r;
    return 0;
}

void reveal_set_done(struct reveal_set *s)
{
    if (s->list != NULL)
        mem_free_secret(s->list, REVEAL_SET_MAX * sizeof(*s->list));
    *s = (struct reveal_set){ 0 };
}

/* FNV-1a: only so that most strings need not be compared. */
static uint32_t hash_of(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text != '\0'; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

static struct reveal_item *find(struct reveal_set *s, const char *subject, uint32_t hash)
{
    for (unsigned i = 0; i < s->count; i++) {
        unsigned at = (s->last + i) % s->count;
        if (s->list[at].hash == hash && strcmp(s->list[at].subject, subject) == 0) {
            s->last = at;
            return &s->list[at];
        }
    }
    return NULL;
}

int reveal_set_add(struct reveal_set *s, enum class_id class_id, const char *subject)
{
    uint32_t hash = hash_of(subject), bit = 1u << class_id;
    size_t len = strlen(subject);
    struct reveal_item *item = find(s, subject, hash);
    if (len > REVEAL_SUBJECT_MAX)
        return -RF_EPROTO;
    if (item == NULL && s->list == NULL) {
        s->list = mem_zalloc(REVEAL_SET_MAX, sizeof(*s->list));
        if (s->list == NULL)
            return -RF_ENOMEM;
    }
    if (item == NULL) {
        if (s->count == REVEAL_SET_MAX)
            return -RF_ETOOBIG;
        s->last = s->count++;
        item = &s->list[s->last];
        *item = (struct reveal_item){ .hash = hash };
        memcpy(item->subject, subject, len + 1);
    }
    item->classes |= bit;
    s->pending = s->pending || (item->recorded & bit) == 0;
    return 0;
}

/* Names of the classes in BITS at TO, commas between; how many characters. All of them are
   REVEAL_CLASSES_SIZE - 2 characters long. */
static size_t put_classes(char *to, uint32_t bits)
{
    size_t n = 0;
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++) {
        const char *name = policy_class_name((enum class_id)i);
        size_t len = strlen(name);
        if ((bits & 1u << i) == 0)
            continue;
        RF_ASSERT(n + len + 2 <= REVEAL_CLASSES_SIZE);
        if (n > 0)
            to[n++] = ',';
        memcpy(to + n, name, len);
        n += len;
    }
    to[n] = '\0';
    return n;
}

unsigned reveal_set_take(struct reveal_set *s, char classes[REVEAL_CLASSES_SIZE],
                         char text[REVEAL_TEXT_SIZE], uint32_t *ret_classes)
{
    uint32_t all = 0;
    unsigned subjects = 0;
    size_t n = 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct reveal_item *item = &s->list[i];
        uint32_t fresh = item->classes & ~item->recorded;
        size_t len = strlen(item->subject);
        if (fresh == 0)
            continue;
        if (subjects++ > 0)
            text[n++] = ' ';
        memcpy(text + n, item->subject, len);
        n += len;
        text[n++] = ' ';
        n += put_classes(text + n, fresh);
        all |= fresh;
        item->recorded = item->classes;
    }
    text[n] = '\0';
    (void)put_classes(classes, all);
    *ret_classes = all;
    s->pending = false;
    return subjects;
}

void reveal_set_clear(struct reveal_set *s)
{
    if (s->count > 0)
        explicit_bzero(s->list, s->count * sizeof(*s->list));
    s->count = s->last = 0;
    s->pending = false;
}
