#include "ledger/claim.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"

/* Two tables: which fields a line has, and behind which lines it may stand. Everything else is the
 * reading and writing of one field. A field never holds a blank, so that blanks part them. */

enum field {
    FIELD_END,
    FIELD_TEXT,
    FIELD_SUBJECT,
    FIELD_KEY,
    FIELD_VRF_PROOF,
    FIELD_CHECKPOINT,
    FIELD_N,
    FIELD_INDEX,
    FIELD_PROOF,
    FIELD_LEAF,
    FIELD_ACCESS,
    FIELD_LEFT,
    FIELD_RIGHT
};

enum { FIELDS_MAX = 6 };

#define AFTER(word) (1U << CLAIM_##word)

static const struct {
    const char *word;
    unsigned after; /* bits of enum claim_word */
    enum field fields[FIELDS_MAX];
} forms[CLAIM_WORD_COUNT] = {
    [CLAIM_HEAD] = { "ringfence-claim@1", AFTER(NOTHING), { FIELD_END } },
    [CLAIM_REGION] = { "region", AFTER(HEAD), { FIELD_TEXT } },
    [CLAIM_SUBJECT] = { "subject", AFTER(REGION), { FIELD_SUBJECT } },
    [CLAIM_VRF] = { "vrf", AFTER(SUBJECT), { FIELD_KEY } },
    [CLAIM_LOG] = { "log", AFTER(VRF) | AFTER(GENESIS) | AFTER(NAMED), { FIELD_TEXT } },
    [CLAIM_CHECKPOINT] = { "checkpoint", AFTER(LOG), { FIELD_CHECKPOINT } },
    [CLAIM_GENESIS] = { "genesis", AFTER(CHECKPOINT), { FIELD_PROOF, FIELD_LEAF } },
    [CLAIM_NAMED] = { "named",
                      AFTER(GENESIS) | AFTER(NAMED),
                      { FIELD_INDEX, FIELD_PROOF, FIELD_LEAF } },
    [CLAIM_EPOCH] = { "epoch",
                      AFTER(GENESIS) | AFTER(NAMED) | AFTER(ABSENT) | AFTER(NONE),
                      { FIELD_TEXT } },
    [CLAIM_K] = { "k", AFTER(EPOCH), { FIELD_KEY, FIELD_VRF_PROOF } },
    [CLAIM_IN] = { "in", AFTER(K) | AFTER(ABSENT) | AFTER(NONE), { FIELD_TEXT } },
    [CLAIM_SEAL] = { "seal", AFTER(IN), { FIELD_INDEX, FIELD_PROOF, FIELD_LEAF } },
    [CLAIM_GRANT] = { "grant",
                      AFTER(SEAL) | AFTER(GRANT),
                      { FIELD_INDEX, FIELD_PROOF, FIELD_LEAF } },
    [CLAIM_ACCESS] = { "access",
                       AFTER(SEAL) | AFTER(GRANT) | AFTER(ACCESS),
                       { FIELD_N, FIELD_INDEX, FIELD_PROOF, FIELD_LEAF, FIELD_ACCESS } },
    [CLAIM_ABSENT] = { "absent",
                       AFTER(SEAL) | AFTER(GRANT) | AFTER(ACCESS),
                       { FIELD_LEFT, FIELD_RIGHT } },
    [CLAIM_NONE] = { "none", AFTER(SEAL) | AFTER(GRANT), { FIELD_END } },
    [CLAIM_END] = { "end", AFTER(ABSENT) | AFTER(NONE), { FIELD_END } },
};

static bool may_follow(enum claim_word word, enum claim_word last)
{
    return (forms[word].after & 1U << last) != 0;
}

/* ---- reading a field ----------------------------------------------------------------------- */

/* REST up to SEPARATOR, which is dropped, or all of it. */
static struct line cut_at(struct line *rest, char separator)
{
    const char *at = rest->len > 0 ? memchr(rest->at, separator, rest->len) : NULL;
    struct line piece = { rest->at, at != NULL ? (size_t)(at - rest->at) : rest->len };
    size_t drop = at != NULL ? piece.len + 1 : piece.len;
    rest->at += drop;
    rest->len -= drop;
    return piece;
}

static bool text_read(struct line text, char ret[KEY_NAME_MAX + 1])
{
    if (text.len == 0 || text.len > KEY_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    memcpy(ret, text.at, text.len);
    ret[text.len] = '\0';
    return true;
}

/* At least one byte, at most MAX. */
static bool bytes_read(struct line text, uint8_t *ret, size_t max, size_t *ret_len)
{
    return text.len <= BASE64_LEN(max) &&
           base64_decode(text.at, text.len, ret, max, ret_len) == 0 && *ret_len > 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(struct line text, uint8_t *ret, size_t n)
{
    if (text.len != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text.at[2 * i]), low = hex_digit(text.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool proof_read(struct line text, struct proof *ret)
{
    ret->count = 0;
    if (line_is(text, "-"))
        return true;
    for (bool more = true; more; ret->count++) {
        more = memchr(text.at, ',', text.len) != NULL;
        struct line hash = cut_at(&text, ',');
        if (ret->count == PROOF_MAX || !line_hash(hash, ret->hash[ret->count]))
            return false;
        if (more && text.len == 0)
            return false;
    }
    return true;
}

static bool neighbour_read(struct line text, struct claim_neighbour *ret)
{
    ret->there = !line_is(text, "-");
    if (!ret->there)
        return true;
    struct line rank = cut_at(&text, ':'), tag = cut_at(&text, ':');
    return line_number(rank, &ret->rank) && hex_read(tag, ret->tag, TAG_LEN) && text.len > 0 &&
           proof_read(text, &ret->proof);
}

static bool field_read(enum field field, struct line text, struct claim_line *to)
{
    switch (field) {
    case FIELD_TEXT:
        return text_read(text, to->text);
    case FIELD_SUBJECT:
        return bytes_read(text, to->subject, sizeof(to->subject), &to->subject_len);
    case FIELD_KEY:
        return hex_read(text, to->key, sizeof(to->key));
    case FIELD_VRF_PROOF:
        return hex_read(text, to->vrf_proof, sizeof(to->vrf_proof));
    case FIELD_CHECKPOINT:
        return bytes_read(text, to->checkpoint, sizeof(to->checkpoint), &to->checkpoint_len);
    case FIELD_N:
        return line_number(text, &to->n);
    case FIELD_INDEX:
        return line_number(text, &to->index);
    case FIELD_PROOF:
        return text.len > 0 && proof_read(text, &to->proof);
    case FIELD_LEAF:
        return bytes_read(text, to->leaf, sizeof(to->leaf), &to->leaf_len);
    case FIELD_ACCESS:
        return bytes_read(text, to->access, sizeof(to->access), &to->access_len);
    case FIELD_LEFT:
        return text.len > 0 && neighbour_read(text, &to->left);
    case FIELD_RIGHT:
        return text.len > 0 && neighbour_read(text, &to->right);
    case FIELD_END:
        break;
    }
    return false;
}

/* ---- reading lines ------------------------------------------------------------------------- */

struct claim_reader claim_read_begin(const void *bytes, size_t n)
{
    return (struct claim_reader){ .rest = { bytes, n } };
}

static enum claim_word word_of(struct line text)
{
    for (int i = CLAIM_NOTHING + 1; i < CLAIM_WORD_COUNT; i++)
        if (line_is(text, forms[i].word))
            return (enum claim_word)i;
    return CLAIM_NOTHING;
}

/* LINE is what stands behind the word and a blank; MORE: there was a blank. */
static int fields_read(struct line line, bool more, struct claim_line *ret, struct err *err)
{
    const enum field *fields = forms[ret->word].fields;
    const char *word = forms[ret->word].word;
    for (int i = 0; i < FIELDS_MAX && fields[i] != FIELD_END; i++) {
        if (!more)
            return err_set(err, RF_EPROTO, "line %u: \"%s\" has too few fields", ret->number, word);
        more = line.len > 0 && memchr(line.at, ' ', line.len) != NULL;
        if (!field_read(fields[i], cut_at(&line, ' '), ret))
            return err_set(err, RF_EPROTO, "line %u: field %d of \"%s\" is malformed", ret->number,
                           i + 1, word);
    }
    return more ? err_set(err, RF_EPROTO, "line %u: \"%s\" has too many fields", ret->number, word)
                : 0;
}

int claim_read(struct claim_reader *r, struct claim_line *ret, struct err *err)
{
    struct line line;
    if (r->last == CLAIM_END)
        return r->rest.len == 0
                   ? 0
                   : err_set(err, RF_EPROTO, "line %u: something stands behind \"end\"",
                             r->number + 1);
    if (r->number == 0 && r->rest.len > CLAIM_MAX)
        return err_set(err, RF_EPROTO, "claim file is larger than %d bytes", CLAIM_MAX);
    ret->number = ++r->number;
    if (!line_cut(&r->rest, &line))
        return err_set(err, RF_EPROTO, "line %u: the file ends early", ret->number);
    bool more = line.len > 0 && memchr(line.at, ' ', line.len) != NULL;
    ret->word = word_of(cut_at(&line, ' '));
    if (ret->word == CLAIM_NOTHING && r->last == CLAIM_NOTHING)
        return err_set(err, RF_EPROTO, "not a claim file");
    if (ret->word == CLAIM_NOTHING)
        return err_set(err, RF_EPROTO, "line %u: no word of a claim file", ret->number);
    if (!may_follow(ret->word, r->last))
        return err_set(err, RF_EPROTO, "line %u: \"%s\" may not stand here", ret->number,
                       forms[ret->word].word);
    int rc = fields_read(line, more, ret, err);
    if (rc < 0)
        return rc;
    r->last = ret->word;
    return 1;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int put(struct buf *to, const char *text)
{
    return buf_append(to, text, strlen(text));
}

static int text_write(struct buf *to, const char *text)
{
    char again[KEY_NAME_MAX + 1];
    return text_read((struct line){ text, strlen(text) }, again) ? put(to, text) : -RF_EINVAL;
}

static int bytes_write(struct buf *to, const uint8_t *bytes, size_t n, size_t max)
{
    if (n == 0 || n > max)
        return -RF_EINVAL;
    int rc = buf_ensure(to, BASE64_LEN(n) + 1); /* and its NUL */
    uint8_t *at = rc == 0 ? buf_reserve(to, BASE64_LEN(n) + 1) : NULL;
    if (at == NULL)
        return rc < 0 ? rc : -RF_ENOMEM;
    buf_grew(to, base64_encode(bytes, n, (char *)at));
    return 0;
}

static int hex_write(struct buf *to, const uint8_t *bytes, size_t n)
{
    char text[2 * VRF_PROOF_LEN + 1];
    RF_ASSERT(n <= VRF_PROOF_LEN);
    digest_hex(bytes, n, text);
    return put(to, text);
}

static int number_write(struct buf *to, uint64_t number)
{
    char text[24];
    if (number > LINE_NUMBER_MAX)
        return -RF_EINVAL;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return put(to, text);
}

static int proof_write(struct buf *to, const struct proof *proof)
{
    int rc = proof->count > PROOF_MAX ? -RF_EINVAL : proof->count == 0 ? put(to, "-") : 0;
    for (unsigned i = 0; rc == 0 && i < proof->count; i++) {
        if (i > 0)
            rc = put(to, ",");
        if (rc == 0)
            rc = bytes_write(to, proof->hash[i], TLOG_HASH_LEN, TLOG_HASH_LEN);
    }
    return rc;
}

static int neighbour_write(struct buf *to, const struct claim_neighbour *neighbour)
{
    if (!neighbour->there)
        return put(to, "-");
    int rc = number_write(to, neighbour->rank);
    if (rc == 0)
        rc = put(to, ":");
    if (rc == 0)
        rc = hex_write(to, neighbour->tag, TAG_LEN);
    if (rc == 0)
        rc = put(to, ":");
    return rc == 0 ? proof_write(to, &neighbour->proof) : rc;
}

static int field_write(struct buf *to, enum field field, const struct claim_line *from)
{
    switch (field) {
    case FIELD_TEXT:
        return text_write(to, from->text);
    case FIELD_SUBJECT:
        return bytes_write(to, from->subject, from->subject_len, sizeof(from->subject));
    case FIELD_KEY:
        return hex_write(to, from->key, sizeof(from->key));
    case FIELD_VRF_PROOF:
        return hex_write(to, from->vrf_proof, sizeof(from->vrf_proof));
    case FIELD_CHECKPOINT:
        return bytes_write(to, from->checkpoint, from->checkpoint_len, sizeof(from->checkpoint));
    case FIELD_N:
        return number_write(to, from->n);
    case FIELD_INDEX:
        return number_write(to, from->index);
    case FIELD_PROOF:
        return proof_write(to, &from->proof);
    case FIELD_LEAF:
        return bytes_write(to, from->leaf, from->leaf_len, sizeof(from->leaf));
    case FIELD_ACCESS:
        return bytes_write(to, from->access, from->access_len, sizeof(from->access));
    case FIELD_LEFT:
        return neighbour_write(to, &from->left);
    case FIELD_RIGHT:
        return neighbour_write(to, &from->right);
    case FIELD_END:
        break;
    }
    return -RF_EINVAL;
}

struct claim_writer claim_write_begin(struct buf *to)
{
    return (struct claim_writer){ .to = to };
}

int claim_write(struct claim_writer *w, const struct claim_line *line)
{
    size_t end = w->to->end;
    if (line->word <= CLAIM_NOTHING || line->word >= CLAIM_WORD_COUNT ||
        !may_follow(line->word, w->last))
        return -RF_EINVAL;
    const enum field *fields = forms[line->word].fields;
    int rc = put(w->to, forms[line->word].word);
    for (int i = 0; rc == 0 && i < FIELDS_MAX && fields[i] != FIELD_END; i++) {
        rc = put(w->to, " ");
        if (rc == 0)
            rc = field_write(w->to, fields[i], line);
    }
    if (rc == 0)
        rc = put(w->to, "\n");
    if (rc == 0)
        w->last = line->word;
    else
        w->to->end = end;
    return rc;
}

/* ---- absence ------------------------------------------------------------------------------- */

static int neighbour_of(const uint8_t (*sorted)[TAG_LEN], size_t count, size_t rank,
                        const uint8_t (*hashes)[TLOG_HASH_LEN], struct claim_neighbour *ret)
{
    ret->there = true;
    ret->rank = rank;
    memcpy(ret->tag, sorted[rank], TAG_LEN);
    return proof_inclusion_of(hashes, count, rank, &ret->proof);
}

int claim_absence_of(const uint8_t (*sorted)[TAG_LEN], size_t count, const uint8_t absent[TAG_LEN],
                     struct claim_line *ret)
{
    size_t low = 0, high = count; /* all below LOW are smaller, none from HIGH on is */
    int rc = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(sorted[middle], absent, TAG_LEN) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < count && memcmp(sorted[low], absent, TAG_LEN) == 0)
        return -RF_EINVAL;
    ret->word = count > 0 ? CLAIM_ABSENT : CLAIM_NONE;
    ret->left.there = ret->right.there = false;
    if (count == 0)
        return 0;
    uint8_t(*hashes)[TLOG_HASH_LEN] = mem_zalloc(count, TLOG_HASH_LEN);
    if (hashes == NULL)
        return -RF_ENOMEM;
    for (size_t i = 0; i < count; i++)
        tlog_leaf_hash(sorted[i], TAG_LEN, hashes[i]);
    const uint8_t(*borrowed)[TLOG_HASH_LEN] = (const uint8_t(*)[TLOG_HASH_LEN])hashes;
    if (low > 0)
        rc = neighbour_of(sorted, count, low - 1, borrowed, &ret->left);
    if (rc == 0 && low < count)
        rc = neighbour_of(sorted, count, low, borrowed, &ret->right);
    mem_free(hashes);
    return rc;
}
