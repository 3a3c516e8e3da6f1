#include "discover/discover.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "enforce/sql.h"
#include "policy/quantity.h"

static const struct {
    enum class_id class_id;
    const char *sentence;
} concepts[CONCEPT_COUNT] = {
#define CONCEPT(name, class_id, sentence) [CONCEPT_##name] = { class_id, sentence },
#include "discover/tbl/word.def"
#undef CONCEPT
};

const char *discover_concept_sentence(enum discover_concept concept)
{
    return concepts[concept].sentence != NULL ? concepts[concept].sentence : "nothing known";
}

enum class_id discover_concept_class(enum discover_concept concept)
{
    return concepts[concept].class_id;
}

/* -- facts -- */

/* Facts are taken as independent: each leaves a part of the doubt. */
double discover_strength(const struct discover_column *c, enum discover_concept concept)
{
    double doubt = 1;
    for (size_t i = 0; i < c->fact_count; i++)
        if (c->facts[i].concept == concept)
            doubt *= 1 - c->facts[i].weight;
    return 1 - doubt;
}

void discover_add_fact(struct discovery *d, struct discover_column *c,
                       enum discover_concept concept, double weight, const char *text, ...)
{
    char line[300];
    va_list ap;
    if (c->fact_count == DISCOVER_FACTS_MAX)
        return;
    va_start(ap, text);
    (void)vsnprintf(line, sizeof(line), text, ap);
    va_end(ap);
    const char *kept = arena_strndup(&d->arena, line, strlen(line));
    if (kept == NULL)
        return;
    c->facts[c->fact_count++] =
        (struct discover_fact){ .concept = concept, .weight = weight, .text = kept };
}

void discover_add_note(struct discovery *d, const char *text, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, text);
    (void)vsnprintf(line, sizeof(line), text, ap);
    va_end(ap);
    if (d->note_count == d->note_cap) {
        size_t cap = d->note_cap > 0 ? d->note_cap * 2 : 16;
        const char **more = arena_alloc(&d->arena, cap, sizeof(*more));
        if (more == NULL)
            return;
        if (d->note_count > 0)
            memcpy(more, d->notes, d->note_count * sizeof(*more));
        d->notes = more;
        d->note_cap = cap;
    }
    const char *kept = arena_strndup(&d->arena, line, strlen(line));
    if (kept != NULL)
        d->notes[d->note_count++] = kept;
}

/* -- names in comments -- */

/* The code point at AT (LEN bytes of it), or the byte itself where it is not UTF-8. */
static unsigned code_point(const char *at, size_t *ret_len)
{
    const unsigned char *b = (const unsigned char *)at;
    size_t more = b[0] >= 0xf0 ? 3 : b[0] >= 0xe0 ? 2 : b[0] >= 0xc2 ? 1 : 0;
    unsigned point = b[0] & (0x3fU >> more);
    *ret_len = 1;
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return b[0];
        point = point << 6 | (b[i] & 0x3fU);
    }
    *ret_len = more + 1;
    return more == 0 ? b[0] : point;
}

/* Latin letters stay; whatever could end a line, turn the direction of writing or be no text at all
   does not get into a file that people review. */
const char *discover_plain_name(struct discovery *d, const char *name)
{
    char out[300];
    size_t len = 0;
    if (quantity_is_sql_name(name))
        return name;
    for (const char *at = name; *at != '\0' && len + 16 < sizeof(out);) {
        size_t bytes;
        unsigned point = code_point(at, &bytes);
        bool shown =
            (bytes == 1 && point >= 0x20 && point < 0x7f && point != '"' && point != '\\') ||
            (bytes == 2 && point >= 0xc0 && point < 0x250);
        if (shown)
            memcpy(out + len, at, bytes);
        else
            len += (size_t)snprintf(out + len, sizeof(out) - len, "\\u{%x}", point);
        len += shown ? bytes : 0;
        at += bytes;
    }
    const char *kept = arena_strndup(&d->arena, out, len);
    return kept != NULL ? kept : "?";
}

/* -- what a policy cannot hold -- */

static void find_unfit(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *t = &d->tables[i];
        if (!quantity_is_sql_name(t->schema) || !quantity_is_sql_name(t->name))
            t->reason = "its name cannot stand in a policy (letters, digits, _ and $)";
        else if (t->column_count == 0)
            t->reason = "it has no columns";
        for (size_t k = 0; k < i && t->reason == NULL; k++)
            if (strcmp(d->tables[k].name, t->name) == 0 && d->tables[k].state != DISCOVER_UNFIT)
                t->reason = arena_printf(&d->arena, "masked.%s would be that of %s.%s as well",
                                         t->name, d->tables[k].schema, d->tables[k].name);
        if (t->reason != NULL)
            t->state = DISCOVER_UNFIT;
    }
}

/* -- running -- */

static int look(struct database *db, const struct discover_options *options, struct discovery *d,
                struct err *err)
{
    int rc = discover_read_catalog(db, options, d, err);
    if (rc < 0)
        return rc;
    discover_names(d);
    find_unfit(d);
    if (options->sample)
        rc = discover_sample(db, d, err);
    if (rc < 0)
        return rc;
    discover_subjects(d);
    discover_classes(d);
    return 0;
}

/* Everything by its full name: nothing in the application's schemas answers to a name of ours. Rows
   that a policy of row security hides are an error and not a smaller sample. */
static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                            " SET LOCAL search_path = pg_catalog;"
                            " SET LOCAL lock_timeout = '1s';"
                            " SET LOCAL statement_timeout = '10s';"
                            " SET LOCAL idle_in_transaction_session_timeout = '5min';"
                            " SET LOCAL row_security = off;"
                            " SET LOCAL bytea_output = hex; SET LOCAL datestyle = ISO;"
                            " SET LOCAL max_parallel_workers_per_gather = 0";

int discover_run(struct database *db, const struct discover_options *options,
                 struct discovery **ret, struct err *err)
{
    struct discovery *d = mem_zalloc(1, sizeof(*d));
    if (d == NULL)
        return err_set(err, RF_ENOMEM, "out of memory while looking at the database");
    arena_init(&d->arena);
    /* what has no encoding cannot be converted: its bytes are looked at as they are */
    const char *encoding = PQparameterStatus(db->conn, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0 &&
        PQsetClientEncoding(db->conn, "SQL_ASCII") < 0)
        encoding = NULL;
    int rc = encoding == NULL
                 ? err_set(err, RF_EDATABASE, "could not agree on an encoding with the database")
                 : database_run(db, begin, err);
    if (rc == 0)
        rc = look(db, options, d, err);
    /* nothing was written: both ends are the same */
    if (db->conn != NULL && database_run(db, "ROLLBACK", rc == 0 ? err : NULL) < 0)
        rc = rc == 0 ? -RF_ECONNECT : rc;
    if (rc < 0) {
        discover_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void discover_free(struct discovery *d)
{
    if (d == NULL)
        return;
    arena_done(&d->arena);
    mem_free(d);
}
