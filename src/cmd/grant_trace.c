/* grant_trace.c - `ringfence trace`: from which grants do these values come?
 *
 * Of a file only what a grant could have marked is looked at, and of that a few at random:
 * different ones, so that the one person of every row does not fill all places. Names, addresses
 * and the rest of the file stay here, and so does the day of a time. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "cmd/grantcommand.h"
#include "policy/watermark.h"

enum { TOKEN_MAX = 64, VALUE_SIZE = 48, TIMES_SENT = 16 };

/* Those of one kind with the smallest keyed hashes. */
struct pool {
    size_t cap, count;
    struct pick {
        uint64_t rank;
        char text[VALUE_SIZE]; /* as it is sent */
    } picks[WATERMARK_VALUES_MAX];
};

struct finds {
    struct pool pools[WATERMARK_KIND_COUNT];
    uint8_t key[crypto_shorthash_KEYBYTES];
    uint64_t values; /* that could be marked, with repetitions */
};

static void pick(struct pool *p, uint64_t rank, const char *text)
{
    size_t at = p->count;
    while (at > 0 && p->picks[at - 1].rank > rank)
        at--;
    if (at == p->cap || (at > 0 && p->picks[at - 1].rank == rank))
        return; /* more than enough, or it is there */
    p->count += p->count < p->cap;
    memmove(&p->picks[at + 1], &p->picks[at], (p->count - 1 - at) * sizeof(p->picks[0]));
    p->picks[at].rank = rank;
    (void)snprintf(p->picks[at].text, VALUE_SIZE, "%s", text);
}

/* One spelling of each: a time without day and hour, which its mark does not depend on. */
static void add_value(struct finds *f, const char *text, size_t len)
{
    struct watermark w;
    char sent[VALUE_SIZE];
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t rank;
    enum watermark_kind kind = watermark_read(text, len, &w);
    if (kind == WATERMARK_NONE || len >= sizeof(sent))
        return;
    if (kind == WATERMARK_TIME)
        (void)snprintf(sent, sizeof(sent), "%02" PRIu32 ":%02" PRIu32 ".%03" PRIu32 "%03" PRIu32,
                       w.ms / 60000, w.ms / 1000 % 60, w.ms % 1000, w.us);
    else
        (void)snprintf(sent, sizeof(sent), "%.*s", (int)len, text);
    (void)crypto_shorthash(hash, (const uint8_t *)sent, strlen(sent), f->key);
    memcpy(&rank, hash, sizeof(rank));
    f->values++;
    pick(&f->pools[kind], rank, sent);
}

/* ---- words of a file ------------------------------------------------------------------------ */

static bool is_part(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == ':' || c == '.' || c == '-';
}

/* A colon in front belongs to what is before: {"id":42} */
static void add_word(struct finds *f, const char *word, size_t len)
{
    for (; len > 0 && word[0] == ':'; len--)
        word++;
    if (len < TOKEN_MAX)
        add_value(f, word, len);
}

static int read_file(struct finds *f, FILE *file, const char *name, struct err *err)
{
    char word[TOKEN_MAX];
    size_t len = 0;
    int c;
    while ((c = getc_unlocked(file)) != EOF) {
        if (is_part(c)) {
            if (len < TOKEN_MAX)
                word[len++] = (char)c;
            continue;
        }
        add_word(f, word, len);
        len = 0;
    }
    add_word(f, word, len);
    return ferror(file) ? err_sys(err, "could not read \"%.200s\"", name) : 0;
}

static int add_argument(struct finds *f, const char *word, struct err *err)
{
    bool is_input = strcmp(word, "-") == 0;
    FILE *file = is_input ? stdin : fopen(word, "re");
    if (file == NULL && errno != ENOENT && errno != ENAMETOOLONG)
        return err_sys(err, "could not open \"%.200s\"", word);
    if (file == NULL) {
        uint64_t before = f->values;
        add_word(f, word, strlen(word));
        return f->values > before
                   ? 0
                   : err_set(err, RF_EUSAGE,
                             "\"%.60s\" is no file, and no value that a grant could have marked: a "
                             "pseudonym, or a time with its microseconds",
                             word);
    }
    int rc = read_file(f, file, word, err);
    if (!is_input)
        (void)fclose(file);
    return rc;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static json_int_t number_of(const json_t *one, const char *key)
{
    return json_integer_value(json_object_get(one, key));
}

static void print_grants(const json_t *answer, const json_t *grants)
{
    (void)printf("%" JSON_INTEGER_FORMAT " pseudonyms and %" JSON_INTEGER_FORMAT
                 " times compared with %" JSON_INTEGER_FORMAT " grants\n",
                 number_of(answer, "pseudonyms"), number_of(answer, "times"),
                 number_of(answer, "tried"));
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *one = json_array_get(grants, i);
        (void)printf("grant %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT
                     " pseudonyms and %" JSON_INTEGER_FORMAT
                     " times fit; by accident once in %" JSON_INTEGER_FORMAT " such traces\n",
                     number_of(one, "request"), number_of(one, "pseudonyms"),
                     number_of(one, "times"), number_of(one, "one_in"));
    }
    if (json_array_size(grants) == 0)
        (void)puts("they are of none of these grants");
}

static int print(const struct grant_session *s, const json_t *answer, struct err *err)
{
    const json_t *grants = json_object_get(answer, "grants");
    if (!json_is_array(grants))
        return err_set(err, RF_EPROTO, "the hub's answer lacks the list of grants");
    if (!s->context->json) {
        print_grants(answer, grants);
        return 0;
    }
    if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
        return err_set(err, RF_ENOMEM, "out of memory for an answer");
    (void)putchar('\n');
    return 0;
}

static int ask(struct grant_session *s, const struct finds *f, struct err *err)
{
    struct command c = grant_command(s, COMMAND_TRACE);
    json_t *answer = NULL;
    for (size_t kind = 0; kind < WATERMARK_KIND_COUNT; kind++)
        for (size_t i = 0; i < f->pools[kind].count; i++)
            c.leaked[c.leaked_count++] = f->pools[kind].picks[i].text;
    c.reason = s->arguments.reason;
    if (c.leaked_count == 0)
        return err_set(
            err, RF_EDENIED,
            "there is nothing to trace: no pseudonym, and no time with its microseconds");
    int rc = grant_send(s, &c, &answer, err);
    if (rc == 0)
        rc = print(s, answer, err);
    json_decref(answer);
    return rc;
}

static int trace(struct grant_session *s, struct err *err)
{
    static struct finds finds; /* large */
    finds.pools[WATERMARK_PSEUDONYM].cap = WATERMARK_VALUES_MAX - TIMES_SENT;
    finds.pools[WATERMARK_TIME].cap = TIMES_SENT;
    crypto_shorthash_keygen(finds.key);
    int rc = s->arguments.reason != NULL
                 ? 0
                 : err_set(err, RF_EUSAGE, "what for? say so with --reason TEXT");
    if (rc == 0 && s->arguments.word_count == 0)
        rc = err_set(err, RF_EUSAGE, "trace what? name a file, or values");
    for (size_t i = 0; rc == 0 && i < s->arguments.word_count; i++)
        rc = add_argument(&finds, s->arguments.words[i], err);
    return rc < 0 ? rc : ask(s, &finds, err);
}

int command_trace(const struct command_context *context, int argc, char **argv)
{
    return grant_run(context, COMMAND_TRACE, argc, argv, trace);
}
