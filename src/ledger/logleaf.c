#include "ledger/logleaf.h"

#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/clock.h"
#include "ledger/json.h"

enum form {
    FORM_WORD,
    FORM_NAME,
    FORM_NUMBER,
    FORM_BAND,
    FORM_HASH,
    FORM_TIME,
    FORM_BYTES,
    FORM_ITEMS,
    FORM_REFS
};
enum { WORD_MAX = 63, NAME_MAX_LEN = 320, MINUTE_LEN = 17, HASH_TEXT_LEN = 2 * DIGEST_LEN };

static const struct {
    const char *name;
    enum form form;
} keys[LEAF_KEY_COUNT] = {
#define KEY(NAME, name, form) { #name, FORM_##form },
#include "ledger/tbl/leafkey.def"
#undef KEY
};

#define B(NAME) (UINT64_C(1) << LEAF_KEY_##NAME)
_Static_assert(LEAF_KEY_COUNT < 64, "one bit a key");

static const struct {
    const char *name;
    uint64_t must, may;
} types[LEAF_TYPE_COUNT] = {
    [LEAF_NONE] = { "", 0, 0 },
#define TYPE(NAME, name, must, may) [LEAF_##NAME] = { #name, B(REGION) | must, may },
#include "ledger/tbl/leaftype.def"
#undef TYPE
};

const char *logleaf_type_name(enum logleaf_type type)
{
    return type < LEAF_TYPE_COUNT ? types[type].name : "";
}

const char *logleaf_key_name(enum logleaf_key key)
{
    return key < LEAF_KEY_COUNT ? keys[key].name : "";
}

uint64_t logleaf_band(uint64_t n)
{
    if (n == 0)
        return 0;
    int bit = 63 - __builtin_clzll(n);
    return UINT64_C(1) << (bit > 52 ? 52 : bit);
}

bool logleaf_has(const struct logleaf *l, enum logleaf_key key)
{
    return l->value[key].text != NULL || l->value[key].number != 0;
}

bool logleaf_is(const struct logleaf *l, enum logleaf_key key, const char *text)
{
    const struct logleaf_value *v = &l->value[key];
    return v->text != NULL && v->len == strlen(text) && memcmp(v->text, text, v->len) == 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

void logleaf_text(struct logleaf *l, enum logleaf_key key, const char *text)
{
    bool any = text != NULL && text[0] != '\0';
    l->value[key] =
        (struct logleaf_value){ .text = any ? text : NULL, .len = any ? strlen(text) : 0 };
}

void logleaf_number(struct logleaf *l, enum logleaf_key key, uint64_t number)
{
    l->value[key] = (struct logleaf_value){ .number = number };
}

void logleaf_bytes(struct logleaf *l, enum logleaf_key key, const uint8_t *bytes, size_t n)
{
    l->value[key] = (struct logleaf_value){ .text = n > 0 ? (const char *)bytes : NULL, .len = n };
}

static void minute_text(uint32_t minute, char ret[MINUTE_LEN + 1])
{
    char whole[25];
    clock_format((int64_t)minute * 60000, whole);
    memcpy(ret, whole, 16); /* "2026-11-22T10:05" */
    ret[16] = 'Z';
    ret[MINUTE_LEN] = '\0';
}

static bool is_text(const char *text, size_t len, size_t most)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
            return false;
    return len >= 1 && len <= most;
}

/* One ref of a list: how far it goes. Origins have no blank and may have commas, so a ref ends at
   the last comma before the next blank. */
static size_t ref_len(const char *list, size_t len)
{
    const char *blank = memchr(list, ' ', len);
    size_t first = blank != NULL ? (size_t)(blank - list) + 1 : len;
    const char *next = memchr(list + first, ' ', len - first);
    if (next == NULL)
        return len;
    while (next > list + first && *next != ',')
        next--;
    return (size_t)(next - list);
}

static bool ref_read(const char *text, size_t len, uint64_t *ret_index, const char **ret_origin,
                     size_t *ret_origin_len)
{
    size_t digits = 0;
    uint64_t index = 0;
    while (digits < len && digits < 16 && text[digits] >= '0' && text[digits] <= '9')
        index = index * 10 + (uint64_t)(text[digits++] - '0');
    if (digits == 0 || (digits > 1 && text[0] == '0') || digits + 1 >= len || text[digits] != ' ')
        return false;
    *ret_index = index;
    *ret_origin = text + digits + 1;
    *ret_origin_len = len - digits - 1;
    return true;
}

bool logleaf_refs_next(const struct logleaf *l, size_t *at, uint64_t *ret_index,
                       const char **ret_origin, size_t *ret_origin_len)
{
    const struct logleaf_value *v = &l->value[LEAF_KEY_APPROVAL_REFS];
    if (v->text == NULL || *at >= v->len)
        return false;
    size_t n = ref_len(v->text + *at, v->len - *at);
    bool good = ref_read(v->text + *at, n, ret_index, ret_origin, ret_origin_len);
    *at = good ? *at + n + 1 : v->len;
    return good;
}

bool logleaf_are_refs(const char *list, size_t len)
{
    const char *origin;
    uint64_t index;
    size_t n, origin_len;
    for (size_t at = 0; at < len; at += n + 1) {
        n = ref_len(list + at, len - at);
        if (!ref_read(list + at, n, &index, &origin, &origin_len) ||
            memchr(origin, ' ', origin_len) != NULL)
            return false;
    }
    return is_text(list, len, LOGLEAF_REFS_MAX);
}

static bool value_write(struct json_writer *w, const char *name, enum form form,
                        const struct logleaf_value *v)
{
    char text[BASE64_LEN(LOGLEAF_ITEMS_MAX * LOGLEAF_ITEM_LEN) + 1];
    switch (form) {
    case FORM_WORD:
    case FORM_NAME:
        if (!is_text(v->text, v->len, form == FORM_WORD ? WORD_MAX : NAME_MAX_LEN))
            return false;
        json_text(w, name, v->text, v->len);
        return true;
    case FORM_REFS:
        json_text(w, name, v->text, v->len);
        return v->text != NULL && logleaf_are_refs(v->text, v->len);
    case FORM_BAND:
        json_number(w, name, logleaf_band(v->number));
        return v->text == NULL;
    case FORM_NUMBER:
        json_number(w, name, v->number);
        return v->text == NULL;
    case FORM_HASH:
        json_hex(w, name, (const uint8_t *)v->text, v->len);
        return v->len == DIGEST_LEN;
    case FORM_TIME:
        if (v->text != NULL || v->number > UINT32_MAX)
            return false;
        minute_text((uint32_t)v->number, text);
        json_text(w, name, text, MINUTE_LEN);
        return true;
    case FORM_ITEMS:
        if (v->text == NULL) { /* of a seal: how many */
            json_number(w, name, v->number);
            return true;
        }
        if (v->len % LOGLEAF_ITEM_LEN != 0)
            return false;
        RF_FALLTHROUGH;
    case FORM_BYTES:
        if (v->len > LOGLEAF_ITEMS_MAX * LOGLEAF_ITEM_LEN)
            return false;
        json_text(w, name, text, base64_encode((const uint8_t *)v->text, v->len, text));
        return true;
    }
    return false;
}

/* The keys that are there are those that the type may have, and purposes are said in one way. */
static bool keys_fit(enum logleaf_type type, uint64_t there)
{
    return type > LEAF_NONE && type < LEAF_TYPE_COUNT &&
           (there & types[type].must) == types[type].must &&
           (there & ~(types[type].must | types[type].may)) == 0 &&
           ((types[type].may & B(HELD)) == 0 ||
            ((there & B(HELD)) != 0) != ((there & B(PURPOSE)) != 0));
}

int logleaf_write(struct buf *to, const struct logleaf *leaf)
{
    size_t before = buf_len(to);
    uint64_t there = 0;
    char minute[MINUTE_LEN + 1];
    bool good = true;
    for (int i = 0; i < LEAF_KEY_COUNT; i++)
        if (logleaf_has(leaf, (enum logleaf_key)i))
            there |= UINT64_C(1) << i;
    if (!keys_fit(leaf->type, there) ||
        (leaf->type == LEAF_FIND && leaf->value[LEAF_KEY_TAGS].len != LOGLEAF_ITEM_LEN))
        return -RF_EINVAL;
    minute_text(leaf->minute, minute);
    struct json_writer w = json_begin(to);
    json_number(&w, "v", 1);
    json_text(&w, "type", types[leaf->type].name, strlen(types[leaf->type].name));
    json_text(&w, "minute", minute, MINUTE_LEN);
    json_hex(&w, "id", leaf->id, LOGLEAF_ID_LEN);
    for (int i = 0; i < LEAF_KEY_COUNT; i++)
        if ((there >> i & 1) != 0)
            good = value_write(&w, keys[i].name, keys[i].form, &leaf->value[i]) && good;
    json_hex(&w, "d", leaf->commitment, DIGEST_LEN);
    bool whole = json_end(&w);
    size_t len = buf_len(to) - before;
    if (whole && good && len <= LOGLEAF_MAX)
        return 0;
    to->end = to->off + before; /* as it was */
    return !good ? -RF_EINVAL : whole ? -RF_ETOOBIG : -RF_ENOMEM;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool hex_read(const char *text, size_t len, uint8_t *ret, size_t n)
{
    if (len != 2 * n)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : ret[i / 2] | digit);
    }
    return true;
}

static unsigned two_digits(const char *text)
{
    return (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool minute_read(const char *text, size_t len, uint32_t *ret)
{
    static const char shape[] = "dddd-dd-ddTdd:ddZ";
    static const unsigned days[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (len != MINUTE_LEN)
        return false;
    for (size_t i = 0; i < MINUTE_LEN; i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    unsigned year = two_digits(text) * 100 + two_digits(text + 2), month = two_digits(text + 5);
    unsigned day = two_digits(text + 8), hour = two_digits(text + 11), min = two_digits(text + 14);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
        (month == 2 && day == 29 && !leap) || hour > 23 || min > 59)
        return false;
    int64_t minutes = days_of(year, month, day) * 1440 + hour * 60 + min;
    if (minutes > UINT32_MAX)
        return false;
    *ret = (uint32_t)minutes;
    return true;
}

static bool value_read(const struct json_field *f, enum form form, struct logleaf_value *to)
{
    uint8_t bytes[LOGLEAF_ITEMS_MAX * LOGLEAF_ITEM_LEN];
    uint32_t minute;
    size_t n;
    *to = (struct logleaf_value){ .text = f->is_text ? f->value : NULL,
                                  .len = f->is_text ? f->value_len : 0,
                                  .number = f->is_text ? 0 : f->number };
    switch (form) {
    case FORM_WORD:
    case FORM_NAME:
        return f->is_text &&
               is_text(f->value, f->value_len, form == FORM_WORD ? WORD_MAX : NAME_MAX_LEN);
    case FORM_REFS:
        return f->is_text && logleaf_are_refs(f->value, f->value_len);
    case FORM_NUMBER:
        return !f->is_text && f->number != 0;
    case FORM_BAND:
        return !f->is_text && f->number != 0 && f->number == logleaf_band(f->number);
    case FORM_HASH:
        return f->is_text && hex_read(f->value, f->value_len, bytes, DIGEST_LEN);
    case FORM_TIME:
        if (!f->is_text || !minute_read(f->value, f->value_len, &minute) || minute == 0)
            return false;
        *to = (struct logleaf_value){ .number = minute };
        return true;
    case FORM_BYTES:
        return f->is_text && base64_decode(f->value, f->value_len, bytes, sizeof(bytes), &n) == 0 &&
               n > 0;
    case FORM_ITEMS:
        if (!f->is_text)
            return f->number != 0;
        return base64_decode(f->value, f->value_len, bytes, sizeof(bytes), &n) == 0 && n > 0 &&
               n % LOGLEAF_ITEM_LEN == 0;
    }
    return false;
}

static bool is_field(const struct json_field *f, const char *name)
{
    return f->key_len == strlen(name) && memcmp(f->key, name, f->key_len) == 0;
}

static bool type_read(const struct json_field *f, enum logleaf_type *ret)
{
    for (int i = LEAF_NONE + 1; i < LEAF_TYPE_COUNT; i++)
        if (f->is_text && f->value_len == strlen(types[i].name) &&
            memcmp(f->value, types[i].name, f->value_len) == 0) {
            *ret = (enum logleaf_type)i;
            return true;
        }
    return false;
}

/* The four keys that begin every leaf. */
static bool head_read(struct json_reader *r, struct logleaf *l)
{
    struct json_field f;
    return json_next(r, &f) == 1 && is_field(&f, "v") && !f.is_text && f.number == 1 &&
           json_next(r, &f) == 1 && is_field(&f, "type") && type_read(&f, &l->type) &&
           json_next(r, &f) == 1 && is_field(&f, "minute") && f.is_text &&
           minute_read(f.value, f.value_len, &l->minute) && json_next(r, &f) == 1 &&
           is_field(&f, "id") && f.is_text && hex_read(f.value, f.value_len, l->id, LOGLEAF_ID_LEN);
}

bool logleaf_has_items(enum logleaf_type type)
{
    return type == LEAF_DISCLOSURE || type == LEAF_FIND;
}

/* A disclosure has items, a find one, a seal their number. */
static bool items_fit(const struct logleaf *l)
{
    const struct logleaf_value *tags = &l->value[LEAF_KEY_TAGS];
    if (l->type == LEAF_FIND)
        return tags->text != NULL && tags->len == BASE64_LEN(LOGLEAF_ITEM_LEN);
    return logleaf_has_items(l->type) ? tags->text != NULL : tags->text == NULL;
}

int logleaf_read(const void *bytes, size_t n, struct logleaf *ret)
{
    struct json_reader r;
    struct json_field f;
    uint64_t there = 0;
    int next = 0, rc;
    memset(ret, 0, sizeof(*ret));
    if (n > LOGLEAF_MAX || !json_open(&r, bytes, n) || !head_read(&r, ret))
        return -RF_EPROTO;
    while ((rc = json_next(&r, &f)) == 1 && !is_field(&f, "d")) {
        while (next < LEAF_KEY_COUNT && !is_field(&f, keys[next].name))
            next++;
        if (next == LEAF_KEY_COUNT || !value_read(&f, keys[next].form, &ret->value[next]))
            return -RF_EPROTO;
        there |= UINT64_C(1) << next++;
    }
    if (rc != 1 || !f.is_text || !hex_read(f.value, f.value_len, ret->commitment, DIGEST_LEN) ||
        json_next(&r, &f) != 0 || !keys_fit(ret->type, there) || !items_fit(ret))
        return -RF_EPROTO;
    return 0;
}

void logleaf_hash(const struct logleaf *l, enum logleaf_key key, uint8_t ret[DIGEST_LEN])
{
    const struct logleaf_value *v = &l->value[key];
    if (v->text == NULL || !hex_read(v->text, v->len, ret, DIGEST_LEN))
        memset(ret, 0, DIGEST_LEN);
}

unsigned logleaf_items(const struct logleaf *l, uint8_t ret[LOGLEAF_ITEMS_MAX][LOGLEAF_ITEM_LEN])
{
    const struct logleaf_value *v = &l->value[LEAF_KEY_TAGS];
    size_t n = 0;
    if (v->text == NULL ||
        base64_decode(v->text, v->len, ret[0], LOGLEAF_ITEMS_MAX * LOGLEAF_ITEM_LEN, &n) < 0)
        return 0;
    return (unsigned)(n / LOGLEAF_ITEM_LEN);
}

bool logleaf_ref(const struct logleaf *l, enum logleaf_key key, uint64_t *ret_index,
                 const char **ret_origin, size_t *ret_origin_len)
{
    const struct logleaf_value *v = &l->value[key];
    return v->text != NULL && ref_read(v->text, v->len, ret_index, ret_origin, ret_origin_len);
}
