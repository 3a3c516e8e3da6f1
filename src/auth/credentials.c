#include "auth/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "auth/lines.h"
#include "auth/scram_keys.h"
#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"

struct credential {
    const char *name, *verifier; /* in `text` */
    uint32_t iterations;
    unsigned line;
};

struct credentials {
    char *text;
    size_t text_len;
    struct credential *list; /* sorted by name */
    size_t count, room;
    struct scram_mock mock;
};

static int by_name(const void *a, const void *b)
{
    const struct credential *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int by_iterations(const void *a, const void *b)
{
    const struct credential *x = a, *y = b;
    return (x->iterations > y->iterations) - (x->iterations < y->iterations);
}

static bool name_is_fine(const char *name, size_t len)
{
    if (len == 0 || len > CREDENTIALS_NAME_MAX || name[0] == ' ' || name[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    }
    return true;
}

static int add(struct credentials *c, struct credential one)
{
    if (c->count == c->room) {
        size_t room = c->room > 0 ? c->room * 2 : 64;
        struct credential *grown = mem_realloc(c->list, room * sizeof(*grown));
        if (grown == NULL)
            return -RF_ENOMEM;
        c->list = grown;
        c->room = room;
    }
    c->list[c->count++] = one;
    return 0;
}

/* What is wrong with a verifier, without quoting it. */
static const char *complaint_of(const char *verifier)
{
    if (strncmp(verifier, "md5", 3) == 0)
        return "an md5 password cannot be used";
    if (strncmp(verifier, SCRAM_MECHANISM "$", strlen(SCRAM_MECHANISM "$")) != 0)
        return "this is not a verifier; a password in clear does not belong here";
    return "malformed verifier";
}

static int line_read(struct credentials *c, const char *file, char *line, size_t len,
                     unsigned number, struct mistakes *mistakes)
{
    struct scram_verifier v;
    if (strlen(line) == len && lines_is_comment(line))
        return 0;
    char *colon = strchr(line, ':');
    if (colon == NULL || strlen(line) != len) {
        mistakes_add(mistakes, file, number,
                     "expected NAME:SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey");
        return 0;
    }
    *colon = '\0';
    if (!name_is_fine(line, (size_t)(colon - line))) {
        mistakes_add(mistakes, file, number,
                     "expected a name of 1 to %d bytes without blanks around it before ':'",
                     CREDENTIALS_NAME_MAX);
        return 0;
    }
    if (scram_verifier_parse(colon + 1, len - (size_t)(colon + 1 - line), &v) < 0) {
        mistakes_add(mistakes, file, number,
                     "\"%s\": %s; expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", line,
                     complaint_of(colon + 1));
        return 0;
    }
    struct credential one = {
        .name = line, .verifier = colon + 1, .iterations = v.iterations, .line = number
    };
    explicit_bzero(&v, sizeof(v));
    return add(c, one);
}

static void duplicates_find(const struct credentials *c, const char *file,
                            struct mistakes *mistakes)
{
    for (size_t i = 1; i < c->count; i++) {
        if (strcmp(c->list[i - 1].name, c->list[i].name) == 0)
            mistakes_add(mistakes, file, c->list[i].line, "\"%s\" is already in line %u",
                         c->list[i].name, c->list[i - 1].line);
    }
}

/* The count that most users have; the smaller of two equally frequent ones. */
static int mock_iterations(struct credentials *c)
{
    struct credential *sorted = mem_zalloc(c->count + 1, sizeof(*sorted));
    size_t best = 0, run = 0;
    if (sorted == NULL)
        return -RF_ENOMEM;
    if (c->count > 0)
        memcpy(sorted, c->list, c->count * sizeof(*sorted));
    qsort(sorted, c->count, sizeof(*sorted), by_iterations);
    c->mock.iterations = SCRAM_ITERATIONS;
    for (size_t i = 0; i < c->count; i++) {
        run = i > 0 && sorted[i].iterations == sorted[i - 1].iterations ? run + 1 : 1;
        if (run > best) {
            best = run;
            c->mock.iterations = sorted[i].iterations;
        }
    }
    mem_free(sorted);
    return 0;
}

/* The mock secret must be a secret, the same in every worker and after every restart without a file
   of its own, and it should survive edits: if all mock salts moved when a user is added, whoever
   asks twice would see which names kept theirs and so exist. So it is not a hash of the whole file
   but the least of the keyed hashes of its verifiers: one edit among n users moves it once in n
   times, order and comments never. An empty file has no names to hide. */
static int mock_secret(struct credentials *c)
{
    static const uint8_t label[] = "ringfence mock salt v1";
    uint8_t digest[SCRAM_KEY_LEN];
    memset(c->mock.secret, 0xff, sizeof(c->mock.secret));
    for (size_t i = 0; i < c->count; i++) {
        const char *verifier = c->list[i].verifier;
        int rc = scram_keys_hmac(label, sizeof(label) - 1, verifier, strlen(verifier), digest);
        if (rc < 0)
            return rc;
        if (memcmp(digest, c->mock.secret, sizeof(digest)) < 0)
            memcpy(c->mock.secret, digest, sizeof(digest));
    }
    return 0;
}

static int text_read(struct credentials *c, const char *file, struct mistakes *mistakes)
{
    struct lines lines = lines_of(c->text, c->text_len);
    size_t len;
    char *line;
    int rc = 0;
    while (rc == 0 && (line = lines_next(&lines, &len)) != NULL)
        rc = line_read(c, file, line, len, lines.number, mistakes);
    if (rc == 0 && c->count > 0)
        qsort(c->list, c->count, sizeof(*c->list), by_name);
    if (rc == 0)
        duplicates_find(c, file, mistakes);
    if (rc == 0)
        rc = mock_iterations(c);
    if (rc == 0)
        rc = mock_secret(c);
    return rc;
}

int credentials_parse(const char *name, const char *text, size_t len,
                      struct credentials **ret_credentials, struct mistakes *mistakes)
{
    size_t before = mistakes->count;
    int rc = -RF_ENOMEM;
    struct credentials *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        goto out;
    c->text = mem_strndup(text, len);
    if (c->text == NULL)
        goto out;
    c->text_len = len;
    rc = text_read(c, name, mistakes);
    if (rc == 0 && (mistakes->count > before || mistakes->overflowed))
        rc = -RF_ECONFIG;
    if (rc < 0)
        goto out;
    *ret_credentials = c;
    c = NULL;
out:
    if (rc == -RF_ENOMEM)
        mistakes_add(mistakes, name, 0, "out of memory");
    credentials_free(c);
    return rc;
}

int credentials_load(const char *path, struct credentials **ret_credentials,
                     struct mistakes *mistakes)
{
    char *text = NULL;
    size_t len = 0;
    struct err err = { 0 };
    int rc = fd_read_secret(path, CREDENTIALS_BYTES_MAX, &text, &len, &err);
    if (rc < 0) {
        mistakes_add(mistakes, path, 0, "%s", err.line);
        return rc;
    }
    rc = credentials_parse(path, text, len, ret_credentials, mistakes);
    mem_free_secret(text, len);
    return rc;
}

void credentials_free(struct credentials *c)
{
    if (c == NULL)
        return;
    mem_free_secret(c->text, c->text_len);
    mem_free(c->list);
    mem_free_secret(c, sizeof(*c));
}

const char *credentials_find(const struct credentials *c, const char *user)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(user, c->list[middle].name);
        if (order == 0)
            return c->list[middle].verifier;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t credentials_count(const struct credentials *c)
{
    return c->count;
}

const struct scram_mock *credentials_mock(const struct credentials *c)
{
    return &c->mock;
}
