/* discover.c - `ringfence discover`: the policy's tables, proposed from a live database.
 *
 * What is printed is YAML that `ringfence check` takes when it stands in a policy, each line with
 * how sure it is and why. It is for a person to review; nothing acts on it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/command.h"
#include "discover/discover.h"

enum { SCHEMAS_MAX = 100 };

static int read_arguments(int argc, char **argv, const char **ret_dsn, const char **schemas,
                          struct discover_options *ret)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dsn") == 0 && i + 1 < argc)
            *ret_dsn = argv[++i];
        else if (strcmp(argv[i], "--sample") == 0)
            ret->sample = true;
        else if (strcmp(argv[i], "--schema") == 0 && i + 1 < argc &&
                 ret->schema_count < SCHEMAS_MAX)
            schemas[ret->schema_count++] = argv[++i];
        else
            return -RF_EUSAGE;
    }
    ret->schema = schemas;
    return *ret_dsn != NULL ? 0 : -RF_EUSAGE;
}

/* -- YAML -- */

/* A name that a reader of YAML could take for a truth value or a number stands in quotes. */
static void print_name(const char *name)
{
    static const char *const words[] = {
        "y", "n", "yes", "no", "on", "off", "true", "false", "null"
    };
    bool quote = strspn(name, "0123456789") > 0;
    for (size_t i = 0; i < RF_COUNT(words) && !quote; i++)
        quote = strcasecmp(name, words[i]) == 0;
    (void)printf(quote ? "\"%s\"" : "%s", name);
}

static void print_quoted_or_plain(struct discovery *d, const char *name)
{
    const char *plain = discover_plain_name(d, name);
    (void)printf(plain == name ? "%s" : "\"%s\"", plain);
}

static void print_column(const struct discover_column *c)
{
    (void)fputs("      ", stdout);
    print_name(c->name);
    (void)fputs(": ", stdout);
    const char *class = policy_class_name(c->class_id);
    if (c->mask == MASK_UNSET) {
        (void)fputs(class, stdout);
    } else {
        (void)printf("{class: %s, mask: %s", class, policy_mask_name(c->mask));
        if (c->domain != NULL)
            (void)printf(", domain: %s", c->domain);
        if (c->mask == MASK_COARSE)
            (void)printf(", step: %d", c->step);
        (void)putchar('}');
    }
    (void)printf("  # %.2f: %s\n", c->confidence, c->reason);
}

/* The way from a row to COLUMN's person, through table THROUGH. */
static void print_path(const struct discover_column *column, const struct discover_table *through)
{
    (void)fputs("{column: ", stdout);
    print_name(column->name);
    (void)printf(", through: %s.%s", through->schema, through->name);
    if (column->is_implied) {
        (void)fputs(", key: ", stdout);
        print_name(column->to_column->name);
    }
    (void)putchar('}');
}

static void print_subjects(const struct discover_table *t)
{
    bool several = t->subject_count > 1;
    if (t->state == DISCOVER_THROUGH) {
        (void)fputs("    subject: ", stdout);
        print_path(t->link, t->through);
        (void)putchar('\n');
        return;
    }
    (void)fputs(several ? "    subjects: [" : "    subject: ", stdout);
    for (size_t i = 0; i < t->subject_count; i++) {
        (void)fputs(i > 0 ? ", " : "", stdout);
        if (!discover_has_own_subject(t))
            print_path(t->subjects[i], t->persons);
        else
            print_name(t->subjects[i]->name);
    }
    (void)puts(several ? "]" : "");
}

static void print_keys(const struct discovery *d, const struct discover_table *t)
{
    print_subjects(t);
    if (discover_lacks_residency(t)) {
        (void)puts("    # MISSING: nothing says in which country the row's person lives. `ringfence"
                   " apply` refuses until the table has such a column.");
        (void)puts("    residency: residency");
    } else if (t->residency != NULL) {
        (void)fputs("    residency: ", stdout);
        print_name(t->residency->name);
        (void)putchar('\n');
    }
    if (t->birthdate != NULL && t == d->main) {
        (void)fputs("    birthdate: ", stdout);
        print_name(t->birthdate->name);
        (void)putchar('\n');
    }
}

static void print_table(struct discovery *d, const struct discover_table *t)
{
    size_t proposed = 0;
    for (size_t i = 0; i < t->column_count; i++)
        proposed += t->columns[i].class_id != CLASS_UNSET;
    if (t->state == DISCOVER_UNFIT || proposed == 0) {
        (void)fputs("  # not proposed: ", stdout);
        print_quoted_or_plain(d, t->schema);
        (void)putchar('.');
        print_quoted_or_plain(d, t->name);
        (void)printf(": %s\n", t->reason != NULL ? t->reason : "nothing in it can be shown");
    } else {
        (void)printf("  %s.%s:\n", t->schema, t->name);
        if (t->state == DISCOVER_PLAIN)
            (void)printf("    # leads to no person%s%s\n", t->reason != NULL ? ": " : "",
                         t->reason != NULL ? t->reason : "");
        else
            (void)printf("    # %.2f: %s\n", t->confidence, t->reason);
        if (t->state == DISCOVER_PERSONS && t != d->main)
            (void)printf("    # persons of another kind than those of %s.%s, by whose birth dates"
                         " rows are left out\n",
                         d->main->schema, d->main->name);
        if (t->state != DISCOVER_PLAIN)
            print_keys(d, t);
        (void)puts("    columns:");
        if (discover_lacks_residency(t))
            (void)puts("      residency: none  # MISSING: add it, and fill it with country codes");
        for (size_t i = 0; i < t->column_count; i++)
            if (t->columns[i].class_id != CLASS_UNSET)
                print_column(&t->columns[i]);
    }
    for (size_t i = 0; i < t->column_count; i++) {
        const struct discover_column *c = &t->columns[i];
        if (t->state == DISCOVER_UNFIT || c->class_id != CLASS_UNSET)
            continue;
        (void)fputs("      # not visible: ", stdout);
        print_quoted_or_plain(d, c->name);
        (void)printf(": %s\n", c->reason != NULL ? c->reason : "nothing is known of it");
    }
}

static void print_proposal(struct discovery *d, bool sampled)
{
    size_t any = 0;
    (void)printf("# Proposed by ringfence discover from database \"%s\"%s: review every line.\n",
                 discover_plain_name(d, d->database),
                 sampled ? ", with a sample of the values" : ", without looking at values");
    (void)puts("# The number is how sure it is. What has no line of its own is not visible to"
               " persons.");
    if (!d->is_utf8)
        (void)puts("# The database is not encoded in UTF8: `ringfence apply` will refuse it.");
    for (size_t i = 0; i < d->note_count; i++)
        (void)printf("# %s\n", d->notes[i]);
    for (size_t i = 0; i < d->table_count; i++)
        any += d->tables[i].state != DISCOVER_UNFIT;
    (void)puts(any > 0 ? "tables:" : "tables: {}");
    for (size_t i = 0; i < d->table_count; i++)
        print_table(d, &d->tables[i]);
}

/* -- JSON -- */

static void print_json_key(const char *key, const char *value)
{
    (void)printf(",\"%s\":", key);
    if (value != NULL)
        command_print_json(value);
    else
        (void)fputs("null", stdout);
}

static void print_json_column(struct discovery *d, const struct discover_column *c)
{
    (void)fputs("{\"name\":", stdout);
    command_print_json(discover_plain_name(d, c->name));
    print_json_key("type", discover_plain_name(d, c->type));
    print_json_key("class", c->class_id != CLASS_UNSET ? policy_class_name(c->class_id) : NULL);
    print_json_key("mask", c->mask != MASK_UNSET ? policy_mask_name(c->mask) : NULL);
    print_json_key("domain", c->domain);
    (void)printf(",\"confidence\":%.2f", c->confidence);
    print_json_key("reason", c->reason);
    (void)putchar('}');
}

static void print_json_subject(const struct discover_table *t, const struct discover_column *c,
                               const struct discover_table *through)
{
    (void)fputs("{\"column\":", stdout);
    command_print_json(c->name);
    char name[160] = "";
    if (through != NULL)
        (void)snprintf(name, sizeof(name), "%s.%s", through->schema, through->name);
    print_json_key("through", through != NULL ? name : NULL);
    (void)printf(",\"foreign_key\":%s}",
                 t->state != DISCOVER_PERSONS && !c->is_implied ? "true" : "false");
}

static void print_json_table(struct discovery *d, const struct discover_table *t)
{
    static const char *const states[] = { [DISCOVER_PLAIN] = "nobody",
                                          [DISCOVER_PERSONS] = "persons",
                                          [DISCOVER_PERSONAL] = "personal",
                                          [DISCOVER_THROUGH] = "personal",
                                          [DISCOVER_UNFIT] = "unfit" };
    (void)fputs("{\"schema\":", stdout);
    command_print_json(discover_plain_name(d, t->schema));
    print_json_key("table", discover_plain_name(d, t->name));
    print_json_key("is", states[t->state]);
    (void)printf(",\"confidence\":%.2f", t->confidence);
    print_json_key("reason", t->reason);
    (void)fputs(",\"subjects\":[", stdout);
    for (size_t i = 0; i < t->subject_count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        print_json_subject(t, t->subjects[i], discover_has_own_subject(t) ? NULL : t->persons);
    }
    if (t->state == DISCOVER_THROUGH)
        print_json_subject(t, t->link, t->through);
    (void)putchar(']');
    print_json_key("residency", t->residency != NULL ? t->residency->name : NULL);
    (void)printf(",\"residency_missing\":%s", discover_lacks_residency(t) ? "true" : "false");
    print_json_key("birthdate", t == d->main && t->birthdate != NULL ? t->birthdate->name : NULL);
    (void)printf(",\"sampled_rows\":%zu,\"columns\":[", t->sampled);
    for (size_t i = 0; i < t->column_count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        print_json_column(d, &t->columns[i]);
    }
    (void)fputs("]}", stdout);
}

static void print_json(struct discovery *d, bool sampled)
{
    (void)fputs("{\"database\":", stdout);
    command_print_json(discover_plain_name(d, d->database));
    (void)printf(",\"sampled\":%s,\"utf8\":%s,\"notes\":[", sampled ? "true" : "false",
                 d->is_utf8 ? "true" : "false");
    for (size_t i = 0; i < d->note_count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        command_print_json(d->notes[i]);
    }
    (void)fputs("],\"tables\":[", stdout);
    for (size_t i = 0; i < d->table_count; i++) {
        (void)fputs(i > 0 ? ",\n" : "\n", stdout);
        print_json_table(d, &d->tables[i]);
    }
    (void)puts("]}");
}

int command_discover(const struct command_context *context, int argc, char **argv)
{
    const char *dsn = NULL, *schemas[SCHEMAS_MAX];
    struct discover_options options = { 0 };
    struct discovery *d = NULL;
    struct database db = { 0 };
    struct err err = { 0 };
    if (read_arguments(argc, argv, &dsn, schemas, &options) < 0)
        return command_usage(argv[0]);
    int rc = database_open(&db, dsn, DISCOVER_TIMEOUT_MS, &err);
    if (rc == 0)
        rc = discover_run(&db, &options, &d, &err);
    database_close(&db);
    if (rc < 0)
        return command_fail(context, argv[0], &err);
    RF_ASSERT(d != NULL);
    for (size_t i = 0; i < d->note_count; i++)
        (void)fprintf(stderr, "ringfence discover: %s\n", d->notes[i]);
    if (context->json)
        print_json(d, options.sample);
    else
        print_proposal(d, options.sample);
    discover_free(d);
    return COMMAND_DONE;
}
