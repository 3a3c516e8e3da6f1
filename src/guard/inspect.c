#include "guard/inspect.h"

#include <stdio.h>
#include <string.h>

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "base/mem.h"
#include "guard/source.h"
#include "guard/walk.h"

/* All strings of a report, chosen so that a full one still fits GUARD_MESSAGE_MAX. */
enum { ARENA_LEN = 96 * 1024 };

static void too_complex(struct guard_report *r, const char *sentence)
{
    r->status = GUARD_TOO_COMPLEX;
    r->count = 0;
    (void)snprintf(r->message, sizeof(r->message), "%s", sentence);
}

/* "invalid byte sequence for encoding "UTF8": 0xc3 0x28" */
static bool bytes_are_fine(struct guard_report *r, const char *sql, size_t len)
{
    size_t at, count = source_bad_bytes(sql, len, &at);
    if (count == 0)
        return true;
    r->status = GUARD_SYNTAX_ERROR;
    int n =
        snprintf(r->message, sizeof(r->message), "invalid byte sequence for encoding \"UTF8\":");
    for (size_t i = 0; i < count; i++)
        n += snprintf(r->message + n, sizeof(r->message) - (size_t)n, " 0x%02x",
                      (unsigned char)sql[at + i]);
    return false;
}

/* The whole message or, when it quotes a long token, its beginning and "..." at a character's end.
 */
static void message_clip(struct guard_report *r, const char *message)
{
    size_t len = strlen(message), keep = sizeof(r->message) - 1;
    if (len <= keep) {
        memcpy(r->message, message, len + 1);
        return;
    }
    keep -= 3;
    while (keep > 0 && ((unsigned char)message[keep] & 0xc0) == 0x80)
        keep--;
    memcpy(r->message, message, keep);
    memcpy(r->message + keep, "...", 4);
}

static void on_error(struct guard_report *r, const PgQueryError *error)
{
    /* libpg_query's own trouble is not the author's mistake */
    if (strncmp(error->message, "stack depth limit", 17) == 0 ||
        strncmp(error->message, "memory exhausted", 16) == 0 ||
        strncmp(error->message, "out of memory", 13) == 0) {
        too_complex(r, "statement is too complex");
        return;
    }
    r->status = GUARD_SYNTAX_ERROR;
    message_clip(r, error->message);
    r->position = error->cursorpos > 0 ? (uint32_t)error->cursorpos : 0;
}

static uint64_t fingerprint_of(const char *sql, uint32_t len)
{
    char *text = mem_strndup(sql, len); /* libpg_query wants it terminated */
    uint64_t fingerprint = 0;
    if (text == NULL)
        return 0;
    PgQueryFingerprintResult result = pg_query_fingerprint(text);
    if (result.error == NULL)
        fingerprint = result.fingerprint;
    pg_query_free_fingerprint_result(result);
    mem_free(text);
    return fingerprint;
}

/* The message inside a Node, whatever it is. */
static const ProtobufCMessage *node_inside(const PgQuery__Node *node)
{
    for (unsigned i = 0; i < node->base.descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &node->base.descriptor->fields[i];
        const void *at = (const char *)node + field->offset;
        if (field->id == (uint32_t)node->node_case && field->type == PROTOBUF_C_TYPE_MESSAGE)
            return *(const ProtobufCMessage *const *)at;
    }
    return NULL;
}

/* One statement into *S; false when it is too complex for a report. */
static bool statement_look(const PgQuery__RawStmt *raw, const char *sql, size_t len,
                           struct walk_arena *arena, struct guard_statement *s)
{
    struct walk w = { .arena = arena };
    const ProtobufCMessage *root = raw->stmt != NULL ? node_inside(raw->stmt) : NULL;
    size_t at = raw->stmt_location > 0 ? (size_t)raw->stmt_location : 0;
    if (root == NULL || at > len)
        return false;
    size_t left = len - at, told = raw->stmt_len > 0 ? (size_t)raw->stmt_len : left;
    *s = (struct guard_statement){ .offset = (uint32_t)at,
                                   .len = (uint32_t)(told < left ? told : left) };
    source_trim(sql, &s->offset, &s->len);
    walk_statement(&w, root);
    s->kind = root->descriptor->short_name;
    s->refusal = w.refusal;
    s->relations = walk_relations_end(&w);
    s->subject = walk_arena_add(arena, w.subject, strlen(w.subject));
    if (w.too_complex || s->subject == NULL || s->relations == NULL || s->len == 0)
        return false;
    s->fingerprint = fingerprint_of(sql + s->offset, s->len);
    return true;
}

static void tree_look(struct guard_report *r, const PgQuery__ParseResult *tree, const char *sql,
                      size_t len)
{
    struct walk_arena arena = { .at = r->arena, .left = ARENA_LEN };
    if (tree->n_stmts > GUARD_STATEMENTS_MAX) {
        too_complex(r, "too many statements in one text");
        return;
    }
    r->status = GUARD_PARSED;
    for (size_t i = 0; i < tree->n_stmts; i++) {
        if (!statement_look(tree->stmts[i], sql, len, &arena, &r->statements[i])) {
            too_complex(r, "statement is too complex");
            return;
        }
        r->count++;
    }
}

/* Parse TEXT and look at what it says; false for an error, which the caller frees. */
static bool parse_look(struct guard_report *r, const char *text, size_t len,
                       PgQueryProtobufParseResult *ret)
{
    *ret = pg_query_parse_protobuf(text);
    if (ret->error != NULL)
        return false;
    PgQuery__ParseResult *tree =
        pg_query__parse_result__unpack(NULL, ret->parse_tree.len,
                                       (const uint8_t *)ret->parse_tree.data);
    if (tree == NULL)
        too_complex(r, "statement is too complex");
    else
        tree_look(r, tree, text, len);
    pg_query__parse_result__free_unpacked(tree, NULL);
    return true;
}

static bool sets_grant(const struct guard_report *r)
{
    for (uint32_t i = 0; r->status == GUARD_PARSED && i < r->count; i++)
        if (r->statements[i].refusal == GUARD_GRANT)
            return true;
    return false;
}

/* A text that is no SQL but for ringfence.grant (source.h). TEXT is changed. */
static bool look_for_grant(struct guard_report *r, char *text, size_t len)
{
    PgQueryProtobufParseResult parsed;
    if (source_stand_in(text) == 0)
        return false;
    bool found = parse_look(r, text, len, &parsed) && sets_grant(r);
    pg_query_free_protobuf_parse_result(parsed);
    if (!found)
        r->count = 0;
    return found;
}

static void text_look(struct guard_report *r, char *text, size_t len)
{
    PgQueryProtobufParseResult parsed;
    if (!parse_look(r, text, len, &parsed) && !look_for_grant(r, text, len))
        on_error(r, parsed.error);
    pg_query_free_protobuf_parse_result(parsed);
}

void guard_inspect(const char *sql, size_t len, struct guard_report *ret)
{
    *ret = (struct guard_report){ 0 };
    too_complex(ret, "statement is too long");
    if (len > GUARD_SQL_MAX || !bytes_are_fine(ret, sql, len))
        return;
    if (source_operator_run(sql, len) > SOURCE_RUN_MAX) {
        too_complex(ret, "statement has too many operator characters in a row");
        return;
    }
    char *text = mem_strndup(sql, len);
    ret->arena = mem_zalloc(1, ARENA_LEN);
    if (text == NULL || ret->arena == NULL) {
        too_complex(ret, "out of memory");
    } else {
        ret->message[0] = '\0';
        text_look(ret, text, len);
    }
    mem_free(text);
}

void guard_inspect_done(struct guard_report *report)
{
    mem_free(report->arena);
    report->arena = NULL;
    report->count = 0;
}
