#include "tlog/trust.h"

#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tlog/line.h"

/* A file of lines: `log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME all|any|K MEMBER…`,
 * `quorum NAME|none`, and comments. A line may name only what stands before it, so groups cannot
 * hold themselves; and a name is in at most one group, so no witness counts twice. */

enum { WORDS_MAX = 3 + 2 * TRUST_MAX };

struct words {
    struct line word[WORDS_MAX];
    unsigned count;
};

/* What a line is read with. */
struct reader {
    struct trust *trust;
    unsigned line;
    bool grouped[2 * TRUST_MAX]; /* by member number: is in a group already */
    bool have_quorum;
    struct err *err;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* False: too many. */
static bool words_of(struct line line, struct words *ret)
{
    ret->count = 0;
    for (;;) {
        while (line.len > 0 && is_blank(line.at[0])) {
            line.at++;
            line.len--;
        }
        if (line.len == 0)
            return true;
        if (ret->count == WORDS_MAX)
            return false;
        struct line *word = &ret->word[ret->count++];
        word->at = line.at;
        while (line.len > 0 && !is_blank(line.at[0])) {
            line.at++;
            line.len--;
        }
        word->len = (size_t)(line.at - word->at);
    }
}

static int mistake(const struct reader *r, const char *what)
{
    return err_set(r->err, RF_ECONFIG, "line %u: %s", r->line, what);
}

static int mistake_at(const struct reader *r, const char *what, struct line word)
{
    return err_set(r->err, RF_ECONFIG, "line %u: %s \"%.*s\"", r->line, what,
                   (int)(word.len < 100 ? word.len : 100), word.at);
}

/* Into a zeroed array of SIZE. */
static bool copy_word(struct line word, char *ret, size_t size)
{
    if (word.len >= size)
        return false;
    memcpy(ret, word.at, word.len);
    return true;
}

/* Number of a member, or -1. */
static int member_named(const struct trust *t, struct line name)
{
    for (unsigned i = 0; i < t->witness_count; i++)
        if (line_is(name, t->witnesses[i].name))
            return (int)i;
    for (unsigned i = 0; i < t->group_count; i++)
        if (line_is(name, t->groups[i].name))
            return (int)(TRUST_MAX + i);
    return -1;
}

static int read_name(const struct reader *r, struct line name, char ret[TRUST_NAME_MAX + 1])
{
    if (line_is(name, "none"))
        return mistake(r, "\"none\" names no witness and no group");
    if (member_named(r->trust, name) >= 0)
        return mistake_at(r, "there is already something named", name);
    return copy_word(name, ret, TRUST_NAME_MAX + 1) ? 0 : mistake_at(r, "name is too long:", name);
}

static int read_key(const struct reader *r, struct line vkey, enum key_type type, struct key *ret)
{
    struct err why = { 0 };
    if (key_read(vkey.at, vkey.len, ret, &why) < 0)
        return mistake(r, why.line);
    if (ret->type != type)
        return mistake(r, type == KEY_ED25519 ? "key of a log is not of type 01"
                                              : "key of a witness is not of type 04");
    return 0;
}

static bool is_same_key(const struct key *a, const struct key *b)
{
    return memcmp(a->public, b->public, sizeof(a->public)) == 0;
}

static int read_log(struct reader *r, const struct words *w)
{
    struct trust *t = r->trust;
    if (w->count != 2 && w->count != 3)
        return mistake(r, "expected: log VKEY [URL]");
    if (t->log_count == TRUST_MAX)
        return mistake(r, "too many logs");
    struct key *key = &t->logs[t->log_count];
    int rc = read_key(r, w->word[1], KEY_ED25519, key);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < t->log_count; i++)
        if (is_same_key(key, &t->logs[i]))
            return mistake(r, "this log's key stands on a line before");
    if (w->count == 3 && !copy_word(w->word[2], t->log_urls[t->log_count], TRUST_URL_MAX))
        return mistake(r, "URL is too long");
    t->log_count++;
    return 0;
}

static int read_witness(struct reader *r, const struct words *w)
{
    struct trust *t = r->trust;
    if (w->count != 3 && w->count != 4)
        return mistake(r, "expected: witness NAME VKEY [URL]");
    if (t->witness_count == TRUST_MAX)
        return mistake(r, "too many witnesses");
    struct trust_witness *witness = &t->witnesses[t->witness_count];
    int rc = read_name(r, w->word[1], witness->name);
    if (rc == 0)
        rc = read_key(r, w->word[2], KEY_COSIGNATURE, &witness->key);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < t->witness_count; i++)
        if (is_same_key(&witness->key, &t->witnesses[i].key))
            return mistake(r, "this witness's key stands on a line before");
    if (w->count == 4 && !copy_word(w->word[3], witness->url, TRUST_URL_MAX))
        return mistake(r, "URL is too long");
    t->witness_count++;
    return 0;
}

static bool read_needed(struct line word, unsigned members, unsigned *ret)
{
    uint64_t needed;
    if (line_is(word, "all"))
        needed = members;
    else if (line_is(word, "any"))
        needed = 1;
    else if (!line_number(word, &needed))
        return false;
    *ret = (unsigned)needed;
    return needed >= 1 && needed <= members;
}

static int read_group(struct reader *r, const struct words *w)
{
    struct trust *t = r->trust;
    if (w->count < 4)
        return mistake(r, "expected: group NAME all|any|NUMBER MEMBER…");
    if (t->group_count == TRUST_MAX)
        return mistake(r, "too many groups");
    struct trust_group *group = &t->groups[t->group_count];
    int rc = read_name(r, w->word[1], group->name);
    if (rc < 0)
        return rc;
    group->member_count = w->count - 3;
    if (!read_needed(w->word[2], group->member_count, &group->needed))
        return mistake_at(r, "a group of that size cannot need", w->word[2]);
    for (unsigned i = 0; i < group->member_count; i++) {
        int member = member_named(t, w->word[3 + i]);
        if (member < 0)
            return mistake_at(r, "nothing before this line is named", w->word[3 + i]);
        if (r->grouped[member])
            return mistake_at(r, "there is already a group with member", w->word[3 + i]);
        r->grouped[member] = true;
        group->members[i] = (unsigned short)member;
    }
    t->group_count++;
    return 0;
}

static int read_quorum(struct reader *r, const struct words *w)
{
    if (w->count != 2)
        return mistake(r, "expected: quorum NAME|none");
    if (r->have_quorum)
        return mistake(r, "there is already a quorum");
    r->have_quorum = true;
    if (line_is(w->word[1], "none"))
        return 0;
    r->trust->quorum = member_named(r->trust, w->word[1]);
    return r->trust->quorum >= 0 ? 0
                                 : mistake_at(r, "nothing before this line is named", w->word[1]);
}

static int read_line(struct reader *r, struct line line)
{
    static const struct {
        const char *keyword;
        int (*read)(struct reader *r, const struct words *w);
    } kinds[] = {
        { "log", read_log },
        { "witness", read_witness },
        { "group", read_group },
        { "quorum", read_quorum },
    };
    struct words w;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return mistake(r, "there is a control character");
    }
    bool fits = words_of(line, &w);
    if (w.count == 0 || w.word[0].at[0] == '#')
        return 0;
    if (!fits)
        return mistake(r, "there are too many words");
    for (size_t i = 0; i < RF_COUNT(kinds); i++)
        if (line_is(w.word[0], kinds[i].keyword))
            return kinds[i].read(r, &w);
    return mistake_at(r, "expected log, witness, group or quorum, not", w.word[0]);
}

int trust_read(const char *text, size_t len, struct trust *ret, struct err *err)
{
    struct line rest = { text, len }, line;
    struct reader r = { .trust = ret, .line = 0, .err = err };
    memset(ret, 0, sizeof(*ret));
    ret->quorum = -1;
    if (len > TRUST_FILE_MAX)
        return err_set(err, RF_ECONFIG, "policy is larger than %d bytes", TRUST_FILE_MAX);
    while (rest.len > 0) {
        r.line++;
        if (!line_cut(&rest, &line))
            return mistake(&r, "the last line has no line end");
        int rc = read_line(&r, line);
        if (rc < 0)
            return rc;
    }
    return r.have_quorum ? 0 : err_set(err, RF_ECONFIG, "policy has no line \"quorum\"");
}

int trust_load(const char *path, struct trust *ret, struct err *err)
{
    struct err why = { 0 };
    char *text;
    size_t len;
    int rc = fd_read_file(path, TRUST_FILE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    rc = trust_read(text, len, ret, &why);
    if (rc < 0)
        rc = err_set(err, RF_ECONFIG, "policy file \"%s\": %s", path, why.line);
    mem_free(text);
    return rc;
}

bool trust_is_met(const struct trust *t, const bool have[TRUST_MAX])
{
    bool met[2 * TRUST_MAX] = { false };
    if (t->quorum < 0)
        return true;
    for (unsigned i = 0; i < t->witness_count; i++)
        met[i] = have[i];
    for (unsigned i = 0; i < t->group_count; i++) { /* members stand before their group */
        unsigned count = 0;
        for (unsigned k = 0; k < t->groups[i].member_count; k++)
            count += met[t->groups[i].members[k]];
        met[TRUST_MAX + i] = count >= t->groups[i].needed;
    }
    return met[t->quorum];
}
