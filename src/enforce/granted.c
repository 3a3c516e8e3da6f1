/* Room granted: the rows of the subjects that one grant names, and no other row. What follows is
 * the form in SQL; with the extension (extension/grant.c), and keys that are whole numbers, the
 * views are the same in shape, but ask functions in C whom the grant names and to mark them.
 *
 * A view is driven from the rows of ringfence.grant_subject that bear the name of the session's own
 * role; session_user cannot be changed by the session. The subject's text is cast to the type of
 * the table's key, on the grant's side, so the table's own index finds the rows. Whatever a person
 * adds to the statement comes after that: the views have security_barrier, which costs nothing over
 * so few rows.
 *
 * Marks. A column whose class the grant names is clear where the subject has a mark of that class:
 *
 *     (SELECT …, CASE WHEN g.classes & 4 <> 0 THEN ringfence.reveal(token, 'identity', g.label,
 *      true) ELSE false END AS m2 FROM … OFFSET 0) g0 JOIN app.users t ON t.id = g0.key
 *     CASE WHEN g0.m2 THEN t.handle ELSE mask END AS handle
 *
 * OFFSET 0 keeps the planner from pulling the marks up, so reveal() speaks once for a subject,
 * class and scan and not once for a value. No clear value can be had before its mark, because the
 * expression needs the mark: nor by a condition, a cast that fails, or a sort. A class of which no
 * column is used is not marked, because the planner drops what nobody reads. What is marked is
 * therefore more than what is returned, and only what was granted.
 *
 * Rows about several people are shown when one of them is named. Their columns are clear only where
 * all of them are marked, a person's own key where he is. An OR over the keys, each compared with
 * the grant's subjects as an array, uses the indexes of all keys; a union would keep the planner
 * from dropping unused columns, and mark them all.
 *
 * Masks are those of room masked, but pseudonyms are keyed with a secret of the grant's own: with a
 * known person's pseudonym of room masked one could follow him there, and two who compare what they
 * were granted must not find the same stranger in it. They also bear the grant's watermark, and so
 * do clear times where the policy says it (policy/watermark.h): what is found elsewhere can be
 * traced to its grant.
 *
 * In C, rows about several people need no join: marks of all whom the grant names come from a row
 * of their own, (SELECT mark_all(4, 'identity') AS m2, … OFFSET 0) g, and a column is clear where
 * g.m2 AND has_class(key, 4).
 *
 * Children: a row is absent when it is about a child, unless the grant names that child and class
 * `child`. Whoever is not named must be an adult. */
#include "enforce/granted.h"

#include <stdio.h>
#include <string.h>

#include "enforce/pseudonym.h"
#include "enforce/role.h"
#include "enforce/subject.h"
#include "enforce/view.h"
#include "policy/grants.h"

enum { LEAVES_MAX = 16, HOPS_MAX = 8 };

/* One way from a row to a person: over the rows of other tables to a key. */
struct leaf {
    struct hop {
        const struct policy_table *table;
        const char *column; /* of the row before */
        const char *key;    /* of this table */
    } hops[HOPS_MAX];
    size_t hop_count;
    const struct policy_table *last; /* table that holds the key */
    const struct catalog_column *key;
};

struct view {
    struct sql *sql;
    const struct policy *policy;
    const struct catalog *catalog;
    size_t table;
    const struct policy_table *subjects; /* the ones with birth dates; NULL: none */
    struct leaf leaves[LEAVES_MAX];
    size_t leaf_count;
    bool is_native;         /* the extension knows whom the grant names */
    bool used[CLASS_COUNT]; /* classes of the table's columns */
    char secret[32 * LEAVES_MAX], watermark[32 * LEAVES_MAX]; /* SQL: of this grant */
    struct pseudonym_key key;                                 /* the two */
    struct err *err;
};

/* One way to persons: the grant's subjects come first. */
static bool is_driven(const struct view *v)
{
    return v->leaf_count == 1;
}

static const struct policy_column *column_of(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static bool is_visible(const struct policy_column *column)
{
    return column != NULL && column->class_id != CLASS_UNSET &&
           (column->class_id != CLASS_NOTHING || column->mask != MASK_ABSENT);
}

bool granted_has_view(const struct policy_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (is_visible(&t->columns[i]))
            return true;
    return false;
}

static bool is_whole_number(const struct catalog_column *key)
{
    return key->kind == KIND_INT2 || key->kind == KIND_INT4 || key->kind == KIND_INT8;
}

void granted_add_key(struct sql *s, const struct catalog_column *key, const char *value)
{
    /* whole numbers of all sizes compare by one index, and none is too large for bigint */
    sql_add(s, "CAST(%S AS %S)", value, is_whole_number(key) ? "bigint" : key->type);
    if (key->collation != NULL)
        sql_add(s, " COLLATE %S", key->collation);
}

/* --- ways to persons ----------------------------------------------------------------------------
 */

static int add_leaf(struct view *v, const struct leaf *way, const struct policy_table *last,
                    const struct catalog_column *key)
{
    if (v->leaf_count == LEAVES_MAX)
        return err_set(v->err, RF_ECONFIG, "table %s.%s leads to persons in more than %d ways",
                       v->policy->tables[v->table].schema, v->policy->tables[v->table].name,
                       (int)LEAVES_MAX);
    struct leaf *leaf = &v->leaves[v->leaf_count++];
    *leaf = *way;
    leaf->last = last;
    leaf->key = key;
    return 0;
}

/* Every way from rows of T, which WAY has come to. The policy has no circles. */
static int find_leaves(struct view *v, const struct policy_table *t, const struct leaf *way)
{
    const struct catalog_table *fact = &v->catalog->tables[t - v->policy->tables];
    int rc = 0;
    for (size_t i = 0; i < fact->column_count && rc == 0; i++)
        if (subject_is_key(t, &fact->columns[i]))
            rc = add_leaf(v, way, t, &fact->columns[i]);
    for (size_t i = 0; i < t->subject_count && rc == 0; i++) {
        const struct policy_subject *s = &t->subjects[i];
        struct leaf next = *way;
        bool is_proven;
        if (s->through == NULL)
            continue;
        const char *key = subject_through_key(v->policy, v->catalog, t, s, &is_proven);
        if (key == NULL || next.hop_count == HOPS_MAX)
            return err_set(v->err, RF_ECONFIG, "table %s.%s: no way to the subject by \"%s\"",
                           t->schema, t->name, s->column);
        next.hops[next.hop_count++] =
            (struct hop){ .table = s->through, .column = s->column, .key = key };
        rc = find_leaves(v, s->through, &next);
    }
    return rc;
}

/* The rows that hop HOP of leaf LEAF starts from or, for hop_count, that hold the key: "t", "h1_2".
 */
enum { ROW_NAME_SIZE = 48 };

static const char *row_name(char out[ROW_NAME_SIZE], size_t leaf, size_t hop)
{
    if (hop == 0)
        (void)snprintf(out, ROW_NAME_SIZE, "t");
    else
        (void)snprintf(out, ROW_NAME_SIZE, "h%zu_%zu", leaf, hop);
    return out;
}

/* "h1_2.author": the key that leads to the person. */
static void add_leaf_key(struct view *v, size_t leaf)
{
    char row[ROW_NAME_SIZE];
    const struct leaf *l = &v->leaves[leaf];
    sql_add(v->sql, "%S.%I", row_name(row, leaf, l->hop_count), l->key->name);
}

/* --- marks ---------------------------------------------------------------------------------------
 */

static void add_own_subjects(struct view *v)
{
    sql_add(v->sql, " g.role = session_user AND g.ends > statement_timestamp()");
}

static void add_adult(struct view *v, const char *row)
{
    subject_add_adult(v->sql, v->policy, v->catalog, row, v->subjects->birthdate);
}

static void add_mark(struct view *v, enum class_id c)
{
    int64_t bit = (int64_t)1 << c;
    const char *name = policy_class_name(c);
    if (!v->is_native)
        sql_add(v->sql,
                "CASE WHEN g.classes & %D <> 0 THEN ringfence.reveal(g.token, %L, g.label, true)"
                " ELSE false END",
                bit, name);
    else if (is_driven(v))
        sql_add(v->sql, SCHEMA_NATIVE ".mark(g.key, %D, %L)", bit, name);
    else
        sql_add(v->sql, SCHEMA_NATIVE ".mark_all(%D, %L)", bit, name);
}

/* ", MARK AS m2, MARK AS m3": one for each class. */
static void add_all_marks(struct view *v, const char *before)
{
    for (int c = CLASS_NOTHING + 1; c < CLASS_COUNT; c++) {
        if (!v->used[c])
            continue;
        sql_add(v->sql, "%S", before);
        add_mark(v, (enum class_id)c);
        sql_add(v->sql, " AS m%D", (int64_t)c);
        before = ", ";
    }
}

/* "(g.classes & … <> 0 OR the person with this key is an adult)". The aggregate stands for EXISTS,
   which the planner might answer by reading all persons there are. */
static void add_adult_or_child(struct view *v, const char *alias)
{
    sql_add(v->sql, "(%S.classes & %D <> 0 OR (SELECT bool_and(", alias, (int64_t)1 << CLASS_CHILD);
    add_adult(v, "s");
    sql_add(v->sql, ") FROM %N s WHERE s.%I = ", v->subjects->schema, v->subjects->name,
            v->subjects->subject);
}

/* " AND …": the person with this key, of a type that the extension knows, is an adult, or named
   together with class `child`. */
static void add_native_adult_or_child(struct view *v, size_t leaf, const char *before,
                                      const char *alias, const char *name)
{
    sql_add(v->sql, "%S(", before);
    if (v->leaves[leaf].key->is_subject_key) {
        if (!is_driven(v) &&
            v->leaves[leaf].hop_count > 0) /* a row that leads nowhere is not shown */
            sql_add(v->sql, "%S.%I IS NOT NULL AND ", alias, name);
        sql_add(v->sql, "NOT " SCHEMA_NATIVE ".is_child(%S.%I::bigint)", alias, name);
    } else {
        sql_add(v->sql, "(SELECT bool_and(");
        add_adult(v, "s");
        sql_add(v->sql, ") FROM %N s WHERE s.%I = %S.%I)", v->subjects->schema, v->subjects->name,
                v->subjects->subject, alias, name);
    }
    sql_add(v->sql, " OR " SCHEMA_NATIVE ".has_class(%S.%I::bigint, %D))", alias, name,
            (int64_t)1 << CLASS_CHILD);
}

/* The grant's subjects with their marks, as "g0", from the extension. */
static void add_native_marks(struct view *v)
{
    sql_add(v->sql, "(SELECT g.key");
    add_all_marks(v, ", ");
    sql_add(v->sql, " FROM " SCHEMA_NATIVE ".subjects() g(key)");
    if (v->subjects != NULL && v->subjects != &v->policy->tables[v->table])
        add_native_adult_or_child(v, 0, " WHERE ", "g", "key");
    sql_add(v->sql, " OFFSET 0) g0");
}

/* The grant's subjects with their marks, as "g0". */
static void add_marks(struct view *v, size_t leaf)
{
    const struct catalog_column *key = v->leaves[leaf].key;
    if (v->is_native) {
        add_native_marks(v);
        return;
    }
    sql_add(v->sql, "(SELECT g.classes, g.secret, g.watermark, ");
    granted_add_key(v->sql, key, "g.subject");
    sql_add(v->sql, " AS key");
    add_all_marks(v, ", ");
    sql_add(v->sql, " FROM ringfence.grant_subject g WHERE");
    add_own_subjects(v);
    if (is_driven(v) && v->subjects != NULL && v->subjects != &v->policy->tables[v->table]) {
        sql_add(v->sql, " AND ");
        add_adult_or_child(v, "g");
        granted_add_key(v->sql, key, "g.subject");
        sql_add(v->sql, "))");
    }
    sql_add(v->sql, " OFFSET 0) g%D", (int64_t)leaf);
}

/* "t.id = ANY (…)": the row leads this way to somebody whom the grant names. */
static void add_is_named(struct view *v, size_t leaf)
{
    const struct leaf *l = &v->leaves[leaf];
    char row[ROW_NAME_SIZE], next[ROW_NAME_SIZE];
    for (size_t i = 0; i < l->hop_count; i++) {
        (void)snprintf(next, sizeof(next), "n%zu_%zu", leaf, i + 1);
        sql_add(v->sql, "%S.%I = ANY (ARRAY(SELECT %S.%I FROM %N %S WHERE ", i == 0 ? "t" : row,
                l->hops[i].column, next, l->hops[i].key, l->hops[i].table->schema,
                l->hops[i].table->name, next);
        memcpy(row, next, sizeof(row));
    }
    sql_add(v->sql, "%S.%I = ANY (", l->hop_count == 0 ? "t" : row, l->key->name);
    if (v->is_native) {
        sql_add(v->sql, SCHEMA_NATIVE ".subject_keys()");
    } else {
        sql_add(v->sql, "ARRAY(SELECT ");
        granted_add_key(v->sql, l->key, "g.subject");
        sql_add(v->sql, " FROM ringfence.grant_subject g WHERE");
        add_own_subjects(v);
        sql_add(v->sql, ")");
    }
    sql_add(v->sql, ")");
    for (size_t i = 0; i < l->hop_count; i++)
        sql_add(v->sql, "))");
}

/* --- columns -------------------------------------------------------------------------------------
 */

/* The way to a person that begins and ends with this column; v->leaf_count: it is nobody's key. */
static size_t own_leaf(const struct view *v, const struct policy_column *column)
{
    for (size_t i = 0; i < v->leaf_count; i++)
        if (v->leaves[i].hop_count == 0 && strcmp(v->leaves[i].key->name, column->name) == 0)
            return i;
    return v->leaf_count;
}

/* The person at the end of way LEAF has a mark of this class. */
static void add_leaf_is_marked(struct view *v, size_t leaf, enum class_id c)
{
    if (!v->is_native || is_driven(v)) {
        sql_add(v->sql, "g%D.m%D", (int64_t)leaf, (int64_t)c);
        return;
    }
    sql_add(v->sql, "g.m%D AND " SCHEMA_NATIVE ".has_class(", (int64_t)c);
    add_leaf_key(v, leaf);
    sql_add(v->sql, "::bigint, %D)", (int64_t)1 << c);
}

/* The condition under which COLUMN is clear. */
static void add_is_marked(struct view *v, const struct policy_column *column)
{
    const char *before = "";
    size_t own = own_leaf(v, column);
    for (size_t i = 0; i < v->leaf_count; i++) {
        if (own < v->leaf_count && own != i)
            continue;
        sql_add(v->sql, "%S", before);
        if (v->leaf_count > 1 && own != i && v->leaves[i].hop_count == 0) {
            sql_add(v->sql,
                    "("); /* where nobody is named by the row, nobody need be by the grant */
            add_leaf_key(v, i);
            sql_add(v->sql, " IS NULL OR ");
            add_leaf_is_marked(v, i, column->class_id);
            sql_add(v->sql, ")");
        } else {
            add_leaf_is_marked(v, i, column->class_id);
        }
        before = " AND ";
    }
}

static int add_masked(struct view *v, const struct policy_column *column,
                      const struct catalog_column *fact)
{
    if (column->mask != MASK_ABSENT)
        return view_add_mask(v->sql, v->policy, v->catalog, v->table, column, fact,
                             v->leaf_count > 0 ? &v->key : NULL, v->err);
    sql_add(v->sql, "CAST(NULL AS %S)", fact->type);
    if (fact->collation != NULL)
        sql_add(v->sql, " COLLATE %S", fact->collation);
    return 0;
}

/* The key of somebody who is not named, where it says with whom a named person has to do: that it
   is the same stranger again may be seen, who it is may not. */
static int add_stranger(struct view *v, const struct policy_column *column,
                        const struct catalog_column *fact)
{
    const char *before = " WHEN ";
    struct policy_column copy = *column;
    copy.mask = MASK_PSEUDONYM;
    if (pseudonym_family(fact->kind) == NULL || v->leaf_count < 2)
        return 0;
    for (size_t i = 0; i < v->leaf_count; i++) {
        if (i == own_leaf(v, column))
            continue;
        sql_add(v->sql, "%S", before);
        add_leaf_is_marked(v, i, column->class_id);
        before = " OR ";
    }
    sql_add(v->sql, " THEN ");
    return add_masked(v, &copy, fact);
}

/* Its value as it is, or with the watermark where that is wanted and there is room. */
static void add_clear(struct view *v, const struct catalog_column *fact)
{
    if (v->policy->grants->marks_times && pseudonym_has_time(fact))
        pseudonym_add_time(v->sql, fact, &v->key);
    else
        sql_add(v->sql, "t.%I", fact->name);
}

static int add_column(struct view *v, const struct policy_column *column,
                      const struct catalog_column *fact)
{
    int rc = 0;
    if (column->class_id == CLASS_NOTHING || v->leaf_count == 0)
        return add_masked(v, column, fact);
    if (column->mask == MASK_ABSENT && fact->refuses_null) {
        sql_add(v->sql, "(SELECT ");
        add_clear(v, fact);
        sql_add(v->sql, " WHERE "); /* no row: NULL, unasked */
        add_is_marked(v, column);
        sql_add(v->sql, ")");
        return 0;
    }
    sql_add(v->sql, "CASE WHEN ");
    add_is_marked(v, column);
    sql_add(v->sql, " THEN ");
    add_clear(v, fact);
    if (column->mask == MASK_ABSENT && own_leaf(v, column) < v->leaf_count)
        rc = add_stranger(v, column, fact);
    sql_add(v->sql, " ELSE ");
    if (rc == 0)
        rc = add_masked(v, column, fact);
    sql_add(v->sql, " END");
    return rc;
}

static int add_columns(struct view *v)
{
    const struct policy_table *t = &v->policy->tables[v->table];
    const struct catalog_table *fact = &v->catalog->tables[v->table];
    const char *before = "";
    int rc = 0;
    for (size_t i = 0; i < t->column_count; i++)
        if (catalog_column_find(fact, t->columns[i].name) == NULL)
            return err_set(v->err, RF_ECONFIG,
                           "table %s.%s has no column \"%s\", which the policy names", t->schema,
                           t->name, t->columns[i].name);
    for (size_t i = 0; i < fact->column_count && rc == 0; i++) {
        const struct policy_column *column = column_of(t, fact->columns[i].name);
        if (!is_visible(column) || (v->leaf_count == 0 && column->mask == MASK_ABSENT))
            continue;
        sql_add(v->sql, "%S", before);
        rc = add_column(v, column, &fact->columns[i]);
        sql_add(v->sql, " AS %I", column->name);
        before = ", ";
    }
    return rc;
}

/* --- rows ----------------------------------------------------------------------------------------
 */

/* " AND …" for each way: the person at its end is an adult, or named together with class `child`.
   Where the rows are driven from the grant's subjects, these were asked already. */
static void add_no_children(struct view *v)
{
    if (v->subjects == NULL)
        return;
    if (is_driven(v)) {
        if (v->subjects != &v->policy->tables[v->table])
            return;
        if (v->is_native) {
            sql_add(v->sql, " AND (");
            add_adult(v, "t");
            sql_add(v->sql, " OR " SCHEMA_NATIVE ".has_class(g0.key, %D))",
                    (int64_t)1 << CLASS_CHILD);
            return;
        }
        sql_add(v->sql, " AND (g0.classes & %D <> 0 OR ", (int64_t)1 << CLASS_CHILD);
        add_adult(v, "t");
        sql_add(v->sql, ")");
        return;
    }
    for (size_t i = 0; i < v->leaf_count; i++) {
        char alias[ROW_NAME_SIZE];
        if (v->is_native) { /* NULL is no child where a foreign key says who else it could be */
            add_native_adult_or_child(v, i, " AND ", row_name(alias, i, v->leaves[i].hop_count),
                                      v->leaves[i].key->name);
            continue;
        }
        (void)snprintf(alias, sizeof(alias), "g%zu", i);
        sql_add(v->sql, " AND ");
        if (v->leaves[i].hop_count == 0 && v->leaves[i].key->is_subject_key) {
            sql_add(v->sql, "("); /* nobody is no child */
            add_leaf_key(v, i);
            sql_add(v->sql, " IS NULL OR ");
        }
        add_adult_or_child(v, alias);
        add_leaf_key(v, i);
        sql_add(v->sql,
                v->leaves[i].hop_count == 0 && v->leaves[i].key->is_subject_key ? ")))" : "))");
    }
}

/* One way to persons: from the grant's subjects to the rows. */
static int add_rows_driven(struct view *v)
{
    const struct policy_table *t = &v->policy->tables[v->table];
    const struct leaf *l = &v->leaves[0];
    char row[ROW_NAME_SIZE], before[ROW_NAME_SIZE];
    sql_add(v->sql, " FROM ");
    add_marks(v, 0);
    sql_add(v->sql, " JOIN %N %S ON ", l->last->schema, l->last->name,
            row_name(row, 0, l->hop_count));
    add_leaf_key(v, 0);
    sql_add(v->sql, " = g0.key");
    for (size_t i = l->hop_count; i > 0; i--) {
        const struct policy_table *to = i == 1 ? t : l->hops[i - 2].table;
        sql_add(v->sql, " JOIN %N %S ON %S.%I = %S.%I", to->schema, to->name,
                row_name(before, 0, i - 1), before, l->hops[i - 1].column, row_name(row, 0, i),
                l->hops[i - 1].key);
    }
    sql_add(v->sql, " WHERE true");
    return 0;
}

static bool has_marks(const struct view *v)
{
    bool any = false;
    for (int c = CLASS_NOTHING + 1; c < CLASS_COUNT; c++)
        any |= v->used[c];
    return any;
}

/* Several ways: from the rows to all persons they are about. */
static int add_rows_of_several(struct view *v)
{
    const struct policy_table *t = &v->policy->tables[v->table];
    char row[ROW_NAME_SIZE], next[ROW_NAME_SIZE];
    sql_add(v->sql, " FROM ");
    if (v->is_native && has_marks(v)) {
        sql_add(v->sql, "(SELECT ");
        add_all_marks(v, "");
        sql_add(v->sql, " OFFSET 0) g CROSS JOIN ");
    }
    sql_add(v->sql, "%N t", t->schema, t->name);
    for (size_t i = 0; i < v->leaf_count; i++) {
        const struct leaf *l = &v->leaves[i];
        for (size_t h = 0; h < l->hop_count; h++)
            sql_add(v->sql, " LEFT JOIN %N %S ON %S.%I = %S.%I", l->hops[h].table->schema,
                    l->hops[h].table->name, row_name(next, i, h + 1), next, l->hops[h].key,
                    row_name(row, i, h), l->hops[h].column);
        if (v->is_native)
            continue;
        sql_add(v->sql, " LEFT JOIN ");
        add_marks(v, i);
        sql_add(v->sql, " ON g%D.key = ", (int64_t)i);
        add_leaf_key(v, i);
    }
    sql_add(v->sql, " WHERE (");
    for (size_t i = 0; i < v->leaf_count; i++) {
        sql_add(v->sql, "%S", i == 0 ? "" : " OR ");
        add_is_named(v, i);
    }
    sql_add(v->sql, ")");
    return 0;
}

/* "coalesce(g0.secret, g1.secret)". It is the same in all rows of a grant; where rows are about
   several, one of them is named. */
static void name_one(const struct view *v, const char *what, char *to, size_t size)
{
    size_t len = 0;
    if (is_driven(v)) {
        (void)snprintf(to, size, "g0.%s", what);
        return;
    }
    for (size_t i = 0; i < v->leaf_count; i++)
        len += (size_t)snprintf(to + len, size - len, "%sg%zu.%s%s", i == 0 ? "coalesce(" : "", i,
                                what, i + 1 < v->leaf_count ? ", " : ")");
}

static void name_key(struct view *v)
{
    v->key = (struct pseudonym_key){ v->secret, v->watermark };
    if (v->is_native) /* it knows that, too */
        return;
    name_one(v, "secret", v->secret, sizeof(v->secret));
    name_one(v, "watermark", v->watermark, sizeof(v->watermark));
}

int granted_add_view(struct sql *s, const struct policy *p, const struct catalog *c, size_t table,
                     struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    const struct leaf start = { 0 };
    struct view v = { .sql = s, .policy = p, .catalog = c, .table = table, .err = err };
    v.subjects = subject_own_table(p);
    for (size_t i = 0; i < t->column_count; i++)
        v.used[t->columns[i].class_id] = true;
    v.used[CLASS_UNSET] = v.used[CLASS_NOTHING] = false;
    int rc = find_leaves(&v, t, &start);
    if (rc < 0)
        return rc;
    v.is_native = c->has_native && v.leaf_count > 0;
    for (size_t i = 0; i < v.leaf_count; i++)
        v.is_native &= is_whole_number(v.leaves[i].key);
    name_key(&v);
    sql_add(s, "CREATE VIEW %N WITH (security_barrier) AS SELECT ", SCHEMA_GRANTED, t->name);
    rc = add_columns(&v);
    if (rc < 0)
        return rc;
    if (v.leaf_count == 0) {
        sql_add(s, " FROM %N t", t->schema, t->name);
        return subject_add_condition(s, p, c, table, err);
    }
    rc = is_driven(&v) ? add_rows_driven(&v) : add_rows_of_several(&v);
    add_no_children(&v);
    if (rc == 0 && t->retention_column != NULL) {
        sql_add(s, " AND ");
        rc = subject_add_retention(s, t, &c->tables[table], err);
    }
    return rc < 0 ? rc : 0;
}
