#include "guard/walk.h"

#include <stdio.h>
#include <string.h>

#include <pg_query/pg_query.pb-c.h>

#include "guard/rule.h"

/* --- Strings
 * --------------------------------------------------------------------------------------- */

char *walk_arena_add(struct walk_arena *a, const char *s, size_t len)
{
    if (len >= a->left)
        return NULL;
    char *copy = a->at;
    memcpy(copy, s, len);
    copy[len] = '\0';
    a->at += len + 1;
    a->left -= len + 1;
    return copy;
}

void walk_refuse(struct walk *w, enum guard_refusal refusal, const char *subject)
{
    if (w->refusal != GUARD_OK)
        return;
    w->refusal = refusal;
    (void)snprintf(w->subject, sizeof(w->subject), "%s", subject);
}

/* --- Relations
 * ------------------------------------------------------------------------------------- */

static bool is_plain_name(const char *name)
{
    if (!((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_'))
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_$")] == '\0';
}

/* NAME as SQL would write it, so that commas and dots inside cannot be mistaken. A name is at most
   63 bytes for the server, but here it is as long as the text has it; a long one is too complex. */
static size_t name_print(char *out, size_t room, const char *name)
{
    bool plain = is_plain_name(name);
    size_t n = 0;
    if (!plain && n < room)
        out[n++] = '"';
    for (; *name != '\0' && n + 3 < room; name++) {
        if (!plain && *name == '"')
            out[n++] = '"';
        out[n++] = *name;
    }
    if (*name != '\0' || n + 2 > room)
        return room; /* no room: the caller sees it */
    if (!plain)
        out[n++] = '"';
    return n;
}

static void relation_add(struct walk *w, const char *text, size_t len)
{
    struct walk_arena *arena = w->arena;
    size_t comma = w->relation_count > 0;
    for (size_t i = 0; i < w->relation_count; i++) {
        if (w->relations[i].len == len && memcmp(w->relations[i].text, text, len) == 0)
            return;
    }
    if (w->relation_count == GUARD_RELATIONS_MAX || comma + len >= arena->left) {
        w->too_complex = true;
        return;
    }
    if (comma > 0)
        arena->at[0] = ',';
    memcpy(arena->at + comma, text, len);
    w->relations[w->relation_count++] =
        (struct walk_relation){ .text = arena->at + comma, .len = len };
    arena->at += comma + len;
    arena->left -= comma + len;
}

const char *walk_relations_end(struct walk *w)
{
    const char *end = walk_arena_add(w->arena, "", 0);
    return end != NULL && w->relation_count > 0 ? w->relations[0].text : end;
}

static bool is_with_query(const struct walk *w, const char *name)
{
    for (size_t i = 0; i < w->name_count; i++) {
        if (strcmp(w->names[i], name) == 0)
            return true;
    }
    return false;
}

static void on_range_var(struct walk *w, const PgQuery__RangeVar *r)
{
    const char *const parts[] = { r->catalogname, r->schemaname, r->relname };
    char text[512];
    size_t n = 0;
    if (strcmp(r->schemaname, "ringfence") == 0)
        walk_refuse(w, GUARD_SCHEMA, r->schemaname);
    if (r->schemaname[0] == '\0' && is_with_query(w, r->relname))
        return;
    for (size_t i = 0; i < RF_COUNT(parts) && n < sizeof(text); i++) {
        if (parts[i][0] == '\0')
            continue;
        if (n > 0)
            text[n++] = '.';
        n += name_print(text + n, sizeof(text) - n, parts[i]);
    }
    if (n >= sizeof(text))
        w->too_complex = true;
    else
        relation_add(w, text, n);
}

/* --- Other nodes
 * ----------------------------------------------------------------------------------- */

static void on_func_call(struct walk *w, const PgQuery__FuncCall *call)
{
    static const char *const refused[] = {
#define FUNCTION(name) name,
#include "guard/tbl/function.def"
#undef FUNCTION
    };
    const char *schema = "", *name = "";
    for (size_t i = 0; i < call->n_funcname; i++) {
        if (call->funcname[i]->node_case != PG_QUERY__NODE__NODE_STRING)
            continue;
        schema = name;
        name = call->funcname[i]->string->sval;
    }
    if (strcmp(schema, "ringfence") == 0)
        walk_refuse(w, GUARD_SCHEMA, schema);
    for (size_t i = 0; i < RF_COUNT(refused); i++) {
        if (strcmp(name, refused[i]) == 0)
            walk_refuse(w, GUARD_FUNCTION, name);
    }
}

/* What PostgreSQL asks no privilege for: expressions of XML, and text that is read as a type. */
static void on_type_name(struct walk *w, const PgQuery__TypeName *type)
{
    static const char *const refused[] = {
#define TYPE(name) name,
#include "guard/tbl/type.def"
#undef TYPE
    };
    const PgQuery__Node *last = type->n_names > 0 ? type->names[type->n_names - 1] : NULL;
    const char *name =
        last != NULL && last->node_case == PG_QUERY__NODE__NODE_STRING ? last->string->sval : "";
    if (name[0] == '_') /* the array of a type, by its own name */
        name++;
    for (size_t i = 0; i < RF_COUNT(refused); i++) {
        if (strcmp(name, refused[i]) == 0)
            walk_refuse(w, GUARD_TYPE, refused[i]);
    }
}

static void on_locking(struct walk *w, const PgQuery__LockingClause *locking)
{
    static const char *const words[] = {
        [PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORKEYSHARE] = "FOR KEY SHARE",
        [PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORSHARE] = "FOR SHARE",
        [PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE] = "FOR NO KEY UPDATE",
        [PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORUPDATE] = "FOR UPDATE",
    };
    size_t i = (size_t)locking->strength;
    const char *said = i < RF_COUNT(words) ? words[i] : NULL;
    walk_refuse(w, GUARD_ROW_LOCK, said != NULL ? said : "this clause");
}

/* A statement inside another: only queries may be there. */
static void on_nested(struct walk *w, const char *node)
{
    const struct rule_row *row = rule_find(node);
    if (row == NULL)
        walk_refuse(w, GUARD_STATEMENT, node);
    else if (row->kind == RULE_KIND_REFUSED)
        walk_refuse(w, row->refusal, row->words);
    else if (row->kind != RULE_KIND_SELECT)
        walk_refuse(w, GUARD_STATEMENT, row->words);
}

static bool is_statement(const char *node)
{
    size_t len = strlen(node);
    return len > 4 && strcmp(node + len - 4, "Stmt") == 0;
}

static void on_node(struct walk *w, const ProtobufCMessage *m)
{
    const char *node = m->descriptor->short_name;
    const void *body = m;
    if (strcmp(node, "RangeVar") == 0)
        on_range_var(w, body);
    else if (strcmp(node, "FuncCall") == 0)
        on_func_call(w, body);
    else if (strcmp(node, "TypeName") == 0)
        on_type_name(w, body);
    else if (strcmp(node, "XmlExpr") == 0 || strcmp(node, "XmlSerialize") == 0)
        walk_refuse(w, GUARD_TYPE, "xml");
    else if (strcmp(node, "RangeTableFunc") == 0)
        walk_refuse(w, GUARD_TYPE, "XMLTABLE");
    else if (strcmp(node, "LockingClause") == 0)
        on_locking(w, body);
    else if (strcmp(node, "IntoClause") == 0)
        walk_refuse(w, GUARD_SELECT_INTO, "SELECT INTO");
    else if (w->depth > 1 && is_statement(node))
        on_nested(w, node);
}

/* --- The walk
 * -------------------------------------------------------------------------------------- */

static void walk_message(struct walk *w, const ProtobufCMessage *m);

static void walk_field(struct walk *w, const ProtobufCMessage *m,
                       const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)m;
    const void *at = base + field->offset;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        ProtobufCMessage *const *list = *(ProtobufCMessage *const *const *)at;
        for (size_t i = 0; i < count; i++)
            walk_message(w, list[i]);
        return;
    }
    /* The members of a union share one place: only the one that is set may be looked at. */
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
        return;
    const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)at;
    if (inner != NULL)
        walk_message(w, inner);
}

static void name_push(struct walk *w, const PgQuery__Node *node)
{
    if (node->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR)
        return;
    if (w->name_count == WALK_NAMES_MAX)
        w->too_complex = true;
    else
        w->names[w->name_count++] = node->common_table_expr->ctename;
}

/* A name is in scope in what follows its query, with RECURSIVE in all of the list: the inner
   "users" of WITH users AS (SELECT * FROM users) is the table. */
static void walk_with(struct walk *w, const PgQuery__WithClause *with)
{
    for (size_t i = 0; with->recursive && i < with->n_ctes; i++)
        name_push(w, with->ctes[i]);
    for (size_t i = 0; i < with->n_ctes; i++) {
        walk_message(w, &with->ctes[i]->base);
        if (!with->recursive)
            name_push(w, with->ctes[i]);
    }
}

static const ProtobufCFieldDescriptor *with_field(const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *field =
        is_statement(m->descriptor->short_name)
            ? protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "with_clause")
            : NULL;
    return field;
}

static void walk_message(struct walk *w, const ProtobufCMessage *m)
{
    if (w->too_complex || w->depth >= WALK_DEPTH_MAX) {
        w->too_complex = true;
        return;
    }
    size_t outer_names = w->name_count;
    const ProtobufCFieldDescriptor *with = with_field(m);
    w->depth++;
    on_node(w, m);
    if (with != NULL) {
        const void *at = (const char *)m + with->offset;
        const PgQuery__WithClause *clause = *(const PgQuery__WithClause *const *)at;
        if (clause != NULL)
            walk_with(w, clause);
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        if (field != with)
            walk_field(w, m, field);
    }
    w->depth--;
    w->name_count = outer_names;
}

void walk_statement(struct walk *w, const ProtobufCMessage *root)
{
    rule_apply(w, root);
    walk_message(w, root);
}
