/* The reader takes lines apart by the table of keys and believes nothing: it writes the text again
 * from what it read and compares. So every rule of the format stands once, in the writer, and a
 * text with another order, spelling or a line too many is refused because it is not that text. */
#include "sign/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "tlog/line.h"

enum {
    REQUEST_BITS = 53, /* readers of JSON round larger numbers */
    SECONDS_MIN = 60,
    SECONDS_MAX = 2678400,
    TIME_SIZE = sizeof("2026-11-30T17:05:00Z"),
    NONCE_LEN = COMMAND_NONCE_SIZE - 1,
    DIGEST_HEX_LEN = 2 * DIGEST_LEN
};

#define REQUEST_MAX ((UINT64_C(1) << REQUEST_BITS) - 1)
#define YEAR_10000  INT64_C(253402300800)

/* ---- the tables ----------------------------------------------------------------------------- */

enum key_type {
    TYPE_TEXT,
    TYPE_LIST,
    TYPE_VERB,
    TYPE_BY,
    TYPE_VERDICT,
    TYPE_YES,
    TYPE_NUMBER,
    TYPE_SECONDS,
    TYPE_DIGEST,
    TYPE_NONCE,
    TYPE_TIME
};

enum key_id {
#define KEY(id, name, type, member) KEY_##id,
#include "sign/tbl/command_key.def"
#undef KEY
    KEY_COUNT
};

static const struct key_row {
    const char *name;
    enum key_type type;
    size_t offset; /* of the member of struct command */
} keys[] = {
#define KEY(id, name, type, member) { name, TYPE_##type, offsetof(struct command, member) },
#include "sign/tbl/command_key.def"
#undef KEY
};

#define HAS(id) (1u << KEY_##id)
#define ALWAYS  (HAS(REGION) | HAS(ACTOR) | HAS(VERB) | HAS(NONCE) | HAS(EXPIRES))

static const struct verb_row {
    const char *name, *name_space;
    uint32_t must, may;
} verbs[COMMAND_VERB_COUNT] = {
    [COMMAND_NONE] = { "", "", 0, 0 },
#define VERB(id, name, name_space, must, may) \
    [COMMAND_##id] = { name, name_space, (must) | ALWAYS, (must) | (may) | ALWAYS },
#include "sign/tbl/command_verb.def"
#undef VERB
};

/* ---- members of a command ------------------------------------------------------------------- */

static const void *member_of(const struct command *c, enum key_id id)
{
    return (const char *)c + keys[id].offset;
}

static const char *text_of(const struct command *c, enum key_id id)
{
    return *(const char *const *)member_of(c, id);
}

static uint64_t number_of(const struct command *c, enum key_id id)
{
    return *(const uint64_t *)member_of(c, id);
}

static int64_t time_of(const struct command *c, enum key_id id)
{
    return *(const int64_t *)member_of(c, id);
}

/* Of a list: how many there are. */
static size_t count_of(const struct command *c, enum key_id id)
{
    return id == KEY_SUBJECT ? c->subject_count
           : id == KEY_CLASS ? c->class_count
                             : c->leaked_count;
}

static bool is_said(const struct command *c, enum key_id id)
{
    switch (keys[id].type) {
    case TYPE_LIST:
        return count_of(c, id) > 0;
    case TYPE_VERB:
        return c->verb != COMMAND_NONE;
    case TYPE_NUMBER:
        return number_of(c, id) != 0;
    case TYPE_SECONDS:
        return c->seconds != 0;
    case TYPE_TIME:
        return time_of(c, id) != 0;
    default:
        return text_of(c, id) != NULL;
    }
}

/* ---- values --------------------------------------------------------------------------------- */

/* Unicode's control characters: C0, DEL, C1. */
static bool is_text(const char *value, size_t len)
{
    struct line rest = { value, len };
    while (rest.len > 0) {
        size_t n;
        int32_t code = line_code_point(rest, &n);
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
        rest.at += n;
        rest.len -= n;
    }
    return true;
}

static bool is_value(const char *value)
{
    size_t len = strlen(value);
    return len > 0 && len <= COMMAND_VALUE_MAX && value[0] != ' ' && value[len - 1] != ' ' &&
           is_text(value, len);
}

static bool is_hex(const char *value, size_t len)
{
    return strlen(value) == len && strspn(value, "0123456789abcdef") == len;
}

static bool is_one_of(const char *value, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(value, *words) == 0)
            return true;
    return false;
}

static bool is_list(const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == NULL || !is_value(values[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(values[i], values[k]) == 0)
                return false;
    }
    return count <= COMMAND_LIST_MAX;
}

/* Is the value of key ID, which is said, well-formed? */
static bool is_well_formed(const struct command *c, enum key_id id)
{
    static const char *const bys[] = { "email", "phone", "handle", NULL };
    static const char *const verdicts[] = { "proper", "improper", NULL };
    switch (keys[id].type) {
    case TYPE_TEXT:
        return is_value(text_of(c, id));
    case TYPE_LIST:
        return is_list(member_of(c, id), count_of(c, id));
    case TYPE_VERB:
        return true; /* its row was found */
    case TYPE_BY:
        return is_one_of(text_of(c, id), bys);
    case TYPE_VERDICT:
        return is_one_of(text_of(c, id), verdicts);
    case TYPE_YES:
        return strcmp(text_of(c, id), "yes") == 0;
    case TYPE_NUMBER:
        return number_of(c, id) <= REQUEST_MAX;
    case TYPE_SECONDS:
        return c->seconds >= SECONDS_MIN && c->seconds <= SECONDS_MAX;
    case TYPE_DIGEST:
        return is_hex(text_of(c, id), DIGEST_HEX_LEN);
    case TYPE_NONCE:
        return is_hex(text_of(c, id), NONCE_LEN);
    case TYPE_TIME:
        return time_of(c, id) > 0 && time_of(c, id) < YEAR_10000;
    }
    return false;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int check(const struct command *c, struct err *err)
{
    if (c->verb <= COMMAND_NONE || c->verb >= COMMAND_VERB_COUNT)
        return err_set(err, RF_EINVAL, "the verb is none of a signed command");
    const struct verb_row *verb = &verbs[c->verb];
    for (enum key_id id = 0; id < KEY_COUNT; id++) {
        bool said = is_said(c, id);
        if (!said && (verb->must & 1u << id) != 0)
            return err_set(err, RF_EINVAL, "\"%s\" lacks its line \"%s\"", verb->name,
                           keys[id].name);
        if (said && (verb->may & 1u << id) == 0)
            return err_set(err, RF_EINVAL, "\"%s\" has no line \"%s\"", verb->name, keys[id].name);
        if (said && !is_well_formed(c, id))
            return err_set(err, RF_EINVAL, "the value of \"%s\" is not well-formed", keys[id].name);
    }
    return 0;
}

struct text {
    char bytes[COMMAND_MAX];
    size_t len;
    bool is_too_long;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    if (n > sizeof(t->bytes) - t->len) {
        t->is_too_long = true;
        return;
    }
    memcpy(t->bytes + t->len, s, n);
    t->len += n;
}

static void put_line(struct text *t, const char *key, const char *value)
{
    put(t, key);
    put(t, " ");
    put(t, value);
    put(t, "\n");
}

static void put_time(struct text *t, const char *key, int64_t s)
{
    char value[TIME_SIZE];
    time_t at = (time_t)s;
    struct tm tm;
    RF_ASSERT(gmtime_r(&at, &tm) != NULL); /* four digits of a year: see check() */
    RF_ASSERT(strftime(value, sizeof(value), "%Y-%m-%dT%H:%M:%SZ", &tm) == TIME_SIZE - 1);
    put_line(t, key, value);
}

static void put_key(struct text *t, const struct command *c, enum key_id id)
{
    const char *key = keys[id].name;
    char number[24];
    switch (keys[id].type) {
    case TYPE_LIST:
        for (size_t i = 0; i < count_of(c, id); i++)
            put_line(t, key, ((const char *const *)member_of(c, id))[i]);
        return;
    case TYPE_VERB:
        put_line(t, key, verbs[c->verb].name);
        return;
    case TYPE_NUMBER:
        (void)snprintf(number, sizeof(number), "%" PRIu64, number_of(c, id));
        put_line(t, key, number);
        return;
    case TYPE_SECONDS:
        (void)snprintf(number, sizeof(number), "%" PRId64, c->seconds);
        put_line(t, key, number);
        return;
    case TYPE_TIME:
        put_time(t, key, time_of(c, id));
        return;
    default:
        put_line(t, key, text_of(c, id));
    }
}

static int render(const struct command *c, struct text *t, struct err *err)
{
    int rc = check(c, err);
    if (rc < 0)
        return rc;
    t->len = 0;
    t->is_too_long = false;
    put(t, verbs[c->verb].name_space);
    put(t, "\n");
    for (enum key_id id = 0; id < KEY_COUNT; id++)
        if (is_said(c, id))
            put_key(t, c, id);
    return t->is_too_long ? err_set(err, RF_ETOOBIG,
                                    "the text of the command is longer than %d bytes", COMMAND_MAX)
                          : 0;
}

int command_write(struct buf *to, const struct command *c, struct err *err)
{
    struct text t;
    int rc = render(c, &t, err);
    if (rc < 0)
        return rc;
    rc = buf_append(to, t.bytes, t.len);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "cannot keep the text of the command") : 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum key_id key_find(const char *name)
{
    enum key_id id = 0;
    while (id < KEY_COUNT && strcmp(keys[id].name, name) != 0)
        id++;
    return id;
}

static enum command_verb verb_find(const char *name)
{
    enum command_verb verb = COMMAND_VERB_COUNT - 1;
    while (verb > COMMAND_NONE && strcmp(verbs[verb].name, name) != 0)
        verb--;
    return verb;
}

static bool read_number(const char *value, uint64_t *ret)
{
    return line_number((struct line){ value, strlen(value) }, ret);
}

/* What it makes of another spelling does not matter: that is written otherwise. */
static bool read_time(const char *value, int64_t *ret)
{
    struct tm tm = { 0 };
    const char *end = strptime(value, "%Y-%m-%dT%H:%M:%SZ", &tm);
    *ret = end != NULL && *end == '\0' ? (int64_t)timegm(&tm) : 0;
    return *ret > 0;
}

static bool read_list(const char *value, const char **values, size_t *count)
{
    if (*count == COMMAND_LIST_MAX)
        return false;
    values[(*count)++] = value;
    return true;
}

static bool read_value(struct command *c, enum key_id id, const char *value)
{
    uint64_t number = 0;
    switch (keys[id].type) {
    case TYPE_LIST:
        return id == KEY_SUBJECT ? read_list(value, c->subjects, &c->subject_count)
               : id == KEY_CLASS ? read_list(value, c->classes, &c->class_count)
                                 : read_list(value, c->leaked, &c->leaked_count);
    case TYPE_VERB:
        c->verb = verb_find(value);
        return c->verb != COMMAND_NONE;
    case TYPE_NUMBER:
        return read_number(value, (uint64_t *)(void *)((char *)c + keys[id].offset));
    case TYPE_SECONDS:
        if (!read_number(value, &number))
            return false;
        c->seconds = (int64_t)number; /* LINE_NUMBER_MAX fits */
        return true;
    case TYPE_TIME:
        return read_time(value, (int64_t *)(void *)((char *)c + keys[id].offset));
    default:
        *(const char **)(void *)((char *)c + keys[id].offset) = value;
        return true;
    }
}

static int read_line(struct command *c, char *line, struct err *err)
{
    char *blank = strchr(line, ' ');
    if (blank == NULL)
        return err_set(err, RF_EPROTO, "a line of the command has no value");
    *blank = '\0';
    enum key_id id = key_find(line);
    if (id == KEY_COUNT)
        return err_set(err, RF_EPROTO, "a line of the command has a key that there is not");
    if (!read_value(c, id, blank + 1))
        return err_set(err, RF_EPROTO, "the value of \"%s\" is not well-formed", keys[id].name);
    return 0;
}

/* COPY holds N bytes and a NUL, and becomes the values. */
static int read_lines(char *copy, size_t n, struct command *ret, struct err *err)
{
    char *at = memchr(copy, '\n', n), *end = copy + n;
    int rc = 0;
    if (at == NULL || copy[n - 1] != '\n')
        return err_set(err, RF_EPROTO, "the text of the command does not end in a line feed");
    for (at++; rc == 0 && at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        *stop = '\0'; /* there is one: the last byte */
        rc = read_line(ret, at, err);
        at = stop + 1;
    }
    return rc;
}

int command_read(const char *text, size_t n, char *copy, struct command *ret, struct err *err)
{
    struct command c = { 0 };
    struct text again;
    if (n == 0 || n > COMMAND_MAX)
        return err_set(err, RF_EPROTO, "the text of a command has 1 to %d bytes", COMMAND_MAX);
    memcpy(copy, text, n);
    copy[n] = '\0';
    int rc = read_lines(copy, n, &c, err);
    if (rc == 0 && render(&c, &again, err) < 0)
        rc = -RF_EPROTO;
    if (rc < 0) {
        if (err != NULL)
            err->code = RF_EPROTO;
        return rc;
    }
    if (again.len != n || memcmp(again.bytes, text, n) != 0)
        return err_set(err, RF_EPROTO,
                       "the text of the command has its lines in another order, "
                       "twice or in another spelling than the format");
    *ret = c;
    return 0;
}

/* ---- approvals ------------------------------------------------------------------------------ */

void command_answer(const struct command *of, const char *text, size_t n, enum command_verb verb,
                    const char *actor, char digest[65], struct command *ret)
{
    uint8_t hash[DIGEST_LEN];
    const struct iovec piece = digest_piece(text, n);
    digest_pieces(&piece, 1, hash);
    digest_hex(hash, sizeof(hash), digest);
    struct command a = {
        .verb = verb,
        .region = of->region,
        .actor = actor,
        .requester = of->actor,
        .subject_count = of->subject_count,
        .class_count = of->class_count,
        .purpose = of->purpose,
        .reference = of->reference,
        .authority = of->authority,
        .seconds = of->seconds,
        .digest = digest,
    };
    memcpy(a.subjects, of->subjects, sizeof(a.subjects));
    memcpy(a.classes, of->classes, sizeof(a.classes));
    *ret = a;
}

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool are_same(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = is_same(a[i], b[i]);
    return same;
}

bool command_is_about(const struct command *a, const struct command *of, const char *digest)
{
    return (a->verb == COMMAND_APPROVE || a->verb == COMMAND_DENY) &&
           (of->verb == COMMAND_REQUEST || of->verb == COMMAND_BREAK_GLASS) && a->digest != NULL &&
           is_same(a->digest, digest) && is_same(a->region, of->region) &&
           is_same(a->requester, of->actor) &&
           are_same(a->subjects, a->subject_count, of->subjects, of->subject_count) &&
           are_same(a->classes, a->class_count, of->classes, of->class_count) &&
           is_same(a->purpose, of->purpose) && is_same(a->reference, of->reference) &&
           is_same(a->authority, of->authority) && a->seconds == of->seconds;
}

const char *command_verb_name(enum command_verb verb)
{
    return verbs[verb].name;
}

const char *command_namespace(enum command_verb verb)
{
    return verbs[verb].name_space;
}
