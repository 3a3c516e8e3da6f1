#include "discover/name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "discover/discover.h"

/* -- words of a name -- */

/* What stands for the letter U+00C0 to U+00FF, whose second byte in UTF-8 is 80 to BF. Capitals and
   small letters differ by 20. */
static const char *plain_letter(unsigned char second)
{
    static const char *const letters[32] = {
        "a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",
        "d", "n", "o", "o", "o",  "o", "oe", "",  "o", "u", "u", "u", "ue", "y", "th", "ss",
    };
    return letters[second & 0x1f];
}

static void add_letters(struct name_words *n, const char *letters)
{
    char *word = n->word[n->count];
    size_t len = strlen(word);
    (void)snprintf(word + len, NAME_WORD_SIZE - len, "%s", letters);
}

static void end_word(struct name_words *n)
{
    if (n->word[n->count][0] != '\0' && n->count + 1 < NAME_WORDS_MAX)
        n->count++;
    n->word[n->count][0] = '\0';
}

/* Does a new word begin at AT? userId, HTTPServer, line2 */
static bool is_seam(const char *name, const char *at)
{
    if (at == name)
        return false;
    unsigned char before = (unsigned char)at[-1], here = (unsigned char)at[0];
    if (isdigit(here) != 0 && isdigit(before) == 0)
        return true;
    if (isdigit(before) != 0 && isdigit(here) == 0)
        return true;
    if (isupper(here) == 0)
        return false;
    return islower(before) != 0 || before >= 0x80 ||
           (isupper(before) != 0 && islower((unsigned char)at[1]) != 0);
}

void name_split(struct name_words *ret, const char *name)
{
    *ret = (struct name_words){ 0 };
    for (const char *at = name; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (is_seam(name, at))
            end_word(ret);
        if (c == 0xc3 && ((unsigned char)at[1] & 0xc0) == 0x80) {
            add_letters(ret, plain_letter((unsigned char)*++at));
        } else if (isalnum(c) != 0 || c >= 0x80) {
            char letter[2] = { (char)tolower(c), '\0' };
            add_letters(ret, letter);
        } else {
            end_word(ret);
        }
    }
    end_word(ret);
}

const char *name_join(const struct name_words *n, size_t first, size_t last,
                      char out[2 * NAME_WORD_SIZE])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = first; i <= last && i < n->count; i++) {
        int more = snprintf(out + len, 2 * NAME_WORD_SIZE - len, "%s", n->word[i]);
        len += more > 0 ? (size_t)more : 0;
        if (len >= 2 * NAME_WORD_SIZE)
            break;
    }
    return out;
}

enum name_match name_in(const char *words, const char *text)
{
    size_t len = strlen(text);
    enum name_match best = NAME_DIFFERS;
    for (const char *at = words; *at != '\0';) {
        size_t word_len = strcspn(at, "|");
        if (word_len == len && strncmp(at, text, len) == 0)
            return NAME_IS;
        if (*at == '*' && word_len > 1 && len >= word_len &&
            strncmp(at + 1, text + len - (word_len - 1), word_len - 1) == 0)
            best = NAME_ENDS;
        at += word_len;
        if (*at == '|')
            at++;
    }
    return best;
}

bool name_is_one_of(const char *words, const char *word)
{
    return name_in(words, word) == NAME_IS;
}

const char *name_stem(const char *word, char out[NAME_WORD_SIZE])
{
    (void)snprintf(out, NAME_WORD_SIZE, "%s", word);
    size_t len = strlen(out);
    if (len > 4 && strcmp(out + len - 3, "ies") == 0) {
        (void)snprintf(out + len - 3, 4, "y");
        return out;
    }
    if (len > 4 && strcmp(out + len - 4, "sses") == 0)
        out[len -= 2] = '\0';
    else if (len > 3 && out[len - 1] == 's' && out[len - 2] != 's')
        out[--len] = '\0';
    if (len > 4 && out[len - 1] == 'n')
        out[--len] = '\0';
    if (len > 4 && out[len - 1] == 'e')
        out[--len] = '\0';
    return out;
}

/* -- what names and types of columns speak for -- */

struct name_rule {
    enum discover_concept concept;
    int weight;
    const char *types, *words;
};

static const struct name_rule rules[] = {
#define NAME(concept, weight, types, words) { CONCEPT_##concept, weight, types, words },
#include "discover/tbl/word.def"
#undef NAME
};

static bool fits_type(const char *types, const struct discover_column *c)
{
    static const char letters[] = {
        [DISCOVER_OTHER] = 't',     [DISCOVER_TEXT] = 't',   [DISCOVER_INTEGER] = 'n',
        [DISCOVER_NUMERIC] = 'n',   [DISCOVER_BOOL] = 'b',   [DISCOVER_DATE] = 'd',
        [DISCOVER_TIMESTAMP] = 'd', [DISCOVER_TIME] = 'd',   [DISCOVER_UUID] = 'u',
        [DISCOVER_NETWORK] = 'i',   [DISCOVER_DEVICE] = 't', [DISCOVER_GEOMETRY] = 'g',
        [DISCOVER_JSON] = 'j',      [DISCOVER_BYTES] = 'x',  [DISCOVER_ENUM] = 'e',
    };
    return strchr(types, 'a') != NULL || strchr(types, letters[c->kind]) != NULL;
}

/* Where in the name a rule matches best. */
struct name_hit {
    size_t span; /* words it covers; 0: none */
    bool at_end, is_whole;
    double factor;
};

static struct name_hit match_rule(const struct name_rule *rule, const struct name_words *n,
                                  size_t first_word, size_t end)
{
    struct name_hit best = { 0 };
    for (size_t first = first_word; first < end; first++)
        for (size_t last = first; last < end; last++) {
            char text[2 * NAME_WORD_SIZE];
            enum name_match match = name_in(rule->words, name_join(n, first, last, text));
            if (match == NAME_DIFFERS)
                continue;
            struct name_hit hit = { .span = last - first + 1,
                                    .at_end = last + 1 == end,
                                    .is_whole = last + 1 == end && first == first_word,
                                    .factor = match == NAME_IS ? 1.0 : 0.85 };
            if (hit.at_end > best.at_end || (hit.at_end == best.at_end && hit.span > best.span))
                best = hit;
        }
    return best;
}

/* Of two rules that match at the end of a name the one that covers more of it is right: a "mac
   address" is no address. */
static void look_at_name(struct discovery *d, struct discover_column *c, const char *prefix)
{
    struct name_words n;
    struct name_hit hits[RF_COUNT(rules)] = { 0 };
    size_t longest = 0;
    name_split(&n, c->name);
    size_t end = n.count, first = 0;
    while (end > 1 && isdigit((unsigned char)n.word[end - 1][0]) != 0 &&
           strlen(n.word[end - 1]) < 3)
        end--; /* address_line_1 */
    if (prefix != NULL && end > 1 && strcmp(n.word[0], prefix) == 0)
        first = 1;
    for (int pass = 0; pass < 2 && longest == 0; pass++) {
        for (size_t i = 0; i < RF_COUNT(rules); i++) {
            hits[i] = match_rule(&rules[i], &n, first, end);
            if (hits[i].at_end && hits[i].span > longest)
                longest = hits[i].span;
        }
        end = n.count; /* "last4": the digits belong to it after all */
    }
    double best[CONCEPT_COUNT] = { 0 }; /* several rules of one concept are one fact */
    for (size_t i = 0; i < RF_COUNT(rules); i++) {
        double weight = rules[i].weight / 100.0 * hits[i].factor * (hits[i].at_end ? 1 : 0.55);
        if (hits[i].span > 0 && fits_type(rules[i].types, c) &&
            (!hits[i].at_end || hits[i].span == longest) && weight > best[rules[i].concept])
            best[rules[i].concept] = weight;
    }
    for (int i = 0; i < CONCEPT_COUNT; i++)
        if (best[i] > 0)
            discover_add_fact(d, c, (enum discover_concept)i, best[i], "name \"%s\"",
                              discover_plain_name(d, c->name));
    char words[2 * NAME_WORD_SIZE];
    (void)name_join(&n, first, n.count > 0 ? n.count - 1 : 0, words);
    c->words = arena_strndup(&d->arena, words, strlen(words));
}

static void look_at_type(struct discovery *d, struct discover_column *c)
{
    static const struct {
        enum discover_concept concept;
        int weight;
        const char *type;
    } types[] = {
#define TYPE(concept, weight, type) { CONCEPT_##concept, weight, type },
#include "discover/tbl/word.def"
#undef TYPE
    };
    for (size_t i = 0; i < RF_COUNT(types); i++)
        if (strcmp(c->base, types[i].type) == 0)
            discover_add_fact(d, c, types[i].concept, types[i].weight / 100.0, "type %s",
                              types[i].type);
}

/* The word with which nearly all columns of a table begin (kun_name, kun_email), or NULL. */
static const char *prefix_of(const struct discover_table *t, struct name_words *n)
{
    size_t same = 0;
    if (t->column_count < 3)
        return NULL;
    name_split(n, t->columns[0].name);
    for (size_t i = 0; i < t->column_count && n->count > 1; i++) {
        struct name_words other;
        name_split(&other, t->columns[i].name);
        same += other.count > 1 && strcmp(other.word[0], n->word[0]) == 0;
    }
    return same + 1 >= t->column_count && n->count > 1 ? n->word[0] : NULL;
}

/* -- tables -- */

/* How much the head of the name (its last word that says something) is one of persons. */
static double word_of_table(const char *name, bool *ret_staff)
{
    static const struct {
        int weight;
        const char *words;
    } words[] = {
#define TABLE(weight, words) { weight, words },
#include "discover/tbl/word.def"
#undef TABLE
    };
    static const char staff[] =
#define STAFF(words) words
#include "discover/tbl/word.def"
#undef STAFF
        ;
    static const char hollow[] = "table|tab|tbl|t|stamm|stammdaten|master|data|daten|list|liste|"
                                 "info|base|all|main|record|records|new|old|v|tabelle";
    struct name_words n;
    name_split(&n, name);
    while (n.count > 1 && (name_is_one_of(hollow, n.word[n.count - 1]) ||
                           isdigit((unsigned char)n.word[n.count - 1][0]) != 0))
        n.count--;
    for (size_t first = 0; first < n.count; first++) /* the longest compound first */
        for (size_t i = 0; i < RF_COUNT(words); i++) {
            char text[2 * NAME_WORD_SIZE];
            if (!name_is_one_of(words[i].words, name_join(&n, first, n.count - 1, text)))
                continue;
            *ret_staff = name_is_one_of(staff, text);
            return words[i].weight / 100.0;
        }
    return 0;
}

/* -- references that only a name tells of -- */

/* Cut what says "key of" from the end of the words: user_id, kundennr; false when nothing does. */
static bool cut_key_word(struct name_words *n)
{
    static const char keys[] = "id|uuid|guid|nr|no|key|fk|ref|nummer|number|pk";
    static const char *const ends[] = { "id", "nr", "nummer" };
    if (n->count > 1 && name_is_one_of(keys, n->word[n->count - 1])) {
        n->count--;
        return true;
    }
    char *last = n->count == 1 ? n->word[0] : NULL;
    for (size_t i = 0; i < RF_COUNT(ends) && last != NULL; i++) {
        size_t len = strlen(last), end = strlen(ends[i]);
        if (len > end + 2 && strcmp(last + len - end, ends[i]) == 0) {
            last[len - end] = '\0';
            return true;
        }
    }
    return false;
}

enum { STEMS_MAX = 4 };

/* Stems of the ends of a name: of order_items "orderitem" and "item". */
struct stems {
    char stem[STEMS_MAX][NAME_WORD_SIZE];
    size_t count;
};

static void find_stems(const struct name_words *n, struct stems *ret)
{
    char text[2 * NAME_WORD_SIZE];
    ret->count = 0;
    for (size_t first = 0; first < n->count && ret->count < STEMS_MAX; first++)
        (void)name_stem(name_join(n, first, n->count - 1, text), ret->stem[ret->count++]);
}

static bool share_stem(const struct stems *a, const struct stems *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (strcmp(a->stem[i], b->stem[k]) == 0)
                return true;
    return false;
}

static bool same_kind(const struct discover_column *a, const struct discover_column *b)
{
    return a->kind == b->kind && !a->is_array && !b->is_array;
}

/* TABLES: the stems of the tables' names, in their order. */
static void imply_reference(struct discovery *d, const struct stems *tables,
                            struct discover_table *t, struct discover_column *c)
{
    struct name_words n;
    struct stems mine;
    name_split(&n, c->name);
    if (c->to_table != NULL || c == t->key || !cut_key_word(&n))
        return;
    find_stems(&n, &mine);
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *other = &d->tables[i];
        if (other == t || other->key == NULL || !same_kind(c, other->key) ||
            !share_stem(&mine, &tables[i]))
            continue;
        c->to_table = other;
        c->to_column = other->key;
        c->is_implied = true;
        return;
    }
}

void discover_names(struct discovery *d)
{
    /* without memory for it no reference is implied: less is known, and less is shown */
    struct stems *stems = arena_alloc(&d->arena, d->table_count + 1, sizeof(*stems));
    for (size_t i = 0; stems != NULL && i < d->table_count; i++) {
        struct name_words n;
        name_split(&n, d->tables[i].name);
        find_stems(&n, &stems[i]);
    }
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *t = &d->tables[i];
        struct name_words n = { 0 };
        const char *prefix = prefix_of(t, &n);
        t->word = word_of_table(t->name, &t->is_staff);
        for (size_t k = 0; k < t->column_count; k++) {
            look_at_name(d, &t->columns[k], prefix);
            look_at_type(d, &t->columns[k]);
            if (stems != NULL)
                imply_reference(d, stems, t, &t->columns[k]);
        }
    }
}
