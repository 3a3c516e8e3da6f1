#include "control/proof.h"

#include <stdlib.h>
#include <string.h>

#include "enforce/database.h"

/* The columns of PROOF_SQL. */
enum {
    AT_REQUEST,
    AT_STATE,
    AT_KIND,
    AT_ACTOR,
    AT_FROM_HOME,
    AT_TIME,
    AT_TEXT,
    AT_SIGNATURE,
    AT_LEAF,
    AT_RULE,
    AT_MINORS,
    AT_KEYS,
    AT_SALTS,
    AT_GRANT_LEAF,
    AT_GRANT_ACTOR,
    AT_GRANT_PURPOSE,
    AT_GRANT_CLASSES,
    AT_GRANT_KEYS,
    AT_GRANT_ENDS,
    AT_LACKING
};

static int64_t number(const PGresult *r, int row, int column)
{
    return strtoll(database_value(r, row, column), NULL, 10);
}

static const char *or_null(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

static struct evidence_text text_of(const PGresult *r, int row)
{
    return (struct evidence_text){ .actor = database_value(r, row, AT_ACTOR),
                                   .text = database_value(r, row, AT_TEXT),
                                   .signature = database_value(r, row, AT_SIGNATURE),
                                   .is_from_home = database_true(r, row, AT_FROM_HOME),
                                   .at_ms = number(r, row, AT_TIME),
                                   .leaf = or_null(r, row, AT_LEAF) };
}

static json_t *load(const char *text, size_t flags, bool *lacks_memory)
{
    json_error_t why = { .line = 0 };
    json_t *root = json_loads(text, flags, &why);
    if (root == NULL && (json_error_code(&why) == json_error_out_of_memory ||
                         json_error_code(&why) == json_error_unknown)) /* before it read */
        *lacks_memory = true;
    return root;
}

/* A list of texts, in *RET_LIST, which is P's, for as long as they are used. */
static bool read_list(struct proof *p, const PGresult *r, int row, int column, json_t **ret_list,
                      const char *to[COMMAND_LIST_MAX], size_t *ret_count)
{
    const char *text = database_value(r, row, column);
    *ret_list = load(text, JSON_DECODE_ANY, &p->lacks_memory);
    *ret_count = json_array_size(*ret_list);
    if (!json_is_array(*ret_list) || *ret_count > COMMAND_LIST_MAX)
        return false;
    for (size_t i = 0; i < *ret_count; i++) {
        to[i] = json_string_value(json_array_get(*ret_list, i));
        if (to[i] == NULL)
            return false;
    }
    return true;
}

static bool read_grant(const PGresult *r, int row, struct proof *p)
{
    p->has_grant = !PQgetisnull(r, row, AT_GRANT_ACTOR);
    p->grant_leaf = or_null(r, row, AT_GRANT_LEAF);
    p->grant.actor = database_value(r, row, AT_GRANT_ACTOR);
    p->grant.purpose = database_value(r, row, AT_GRANT_PURPOSE);
    p->grant.classes = (uint32_t)number(r, row, AT_GRANT_CLASSES);
    p->grant.ends_ms = number(r, row, AT_GRANT_ENDS);
    return !p->has_grant ||
           read_list(p, r, row, AT_GRANT_KEYS, &p->grant_keys, p->grant.keys, &p->grant.key_count);
}

int proof_read_consents(const char *text, json_t **ret, const char *consented[CONSENT_PURPOSES_MAX],
                        size_t *ret_count)
{
    bool lacks_memory = false;
    *ret_count = 0;
    *ret = load(text, 0, &lacks_memory);
    if (!json_is_object(*ret) || json_object_size(*ret) > CONSENT_PURPOSES_MAX)
        return lacks_memory ? -RF_ENOMEM : -RF_EPROTO;
    for (void *at = json_object_iter(*ret); at != NULL; at = json_object_iter_next(*ret, at)) {
        const json_t *lacking = json_object_iter_value(at);
        if (json_is_integer(lacking) && json_integer_value(lacking) == 0)
            consented[(*ret_count)++] = json_object_iter_key(at);
    }
    return 0;
}

static bool read_consents(const PGresult *r, int row, struct proof *p)
{
    int rc = proof_read_consents(database_value(r, row, AT_LACKING), &p->lacking,
                                 p->evidence.consented, &p->evidence.consented_count);
    p->lacks_memory = p->lacks_memory || rc == -RF_ENOMEM;
    return rc == 0;
}

static bool read_request(const PGresult *r, int row, struct proof *p)
{
    struct evidence *e = &p->evidence;
    size_t salts;
    e->request = (uint64_t)number(r, row, AT_REQUEST);
    e->asked = text_of(r, row);
    e->minor_count = (size_t)number(r, row, AT_MINORS);
    p->state = database_value(r, row, AT_STATE);
    p->rule = database_value(r, row, AT_RULE);
    return strcmp(database_value(r, row, AT_KIND), "request") == 0 &&
           read_list(p, r, row, AT_KEYS, &p->keys, e->keys, &e->key_count) &&
           read_list(p, r, row, AT_SALTS, &p->salts, e->salts, &salts) && salts == e->key_count &&
           read_consents(r, row, p) && read_grant(r, row, p);
}

int proof_read(const PGresult *r, int *row, struct proof *p, struct err *err)
{
    *p = (struct proof){ .keys = NULL };
    bool is_good = *row < PQntuples(r) && read_request(r, *row, p);
    for ((*row)++; *row < PQntuples(r); (*row)++) {
        if (strcmp(database_value(r, *row, AT_KIND), "request") == 0)
            break;
        is_good = is_good && (uint64_t)number(r, *row, AT_REQUEST) == p->evidence.request &&
                  p->evidence.vote_count < APPROVAL_VOTES_MAX;
        if (is_good)
            p->evidence.votes[p->evidence.vote_count++] = text_of(r, *row);
    }
    if (p->lacks_memory)
        return err_set(err, RF_ENOMEM, "out of memory for the texts of a request");
    return is_good ? 0 : err_set(err, RF_EPROTO, "the database answers nonsense about a request");
}

void proof_done(struct proof *p)
{
    json_decref(p->keys);
    json_decref(p->salts);
    json_decref(p->grant_keys);
    json_decref(p->lacking);
}
