/* prepared.h - named prepared statements of services under transaction pooling.
 *
 * A client's statement may be used on any server connection of its pool. So each distinct text
 * (with its parameter types) has one id for the whole worker, servers know it under the name
 * "rf_<id in hex>", and it is parsed again on a server that does not know it yet. */
#ifndef RF_GATE_PREPARED_H
#define RF_GATE_PREPARED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/frontend.h"

struct backend;

enum { PREPARED_NAME_MAX = 24, PREPARED_PER_CLIENT_MAX = 5000, PREPARED_PER_SERVER_MAX = 1000 };

struct prepared {
    uint64_t id;
    char name[PREPARED_NAME_MAX]; /* at servers */
    uint32_t references;
    uint32_t hash;
    struct prepared *next; /* of the same bucket */
    uint32_t query_len;
    uint16_t type_count;
    uint8_t *types; /* big-endian u32s */
    char query[];
};

struct prepared_table {
    struct prepared **buckets;
    uint32_t bucket_count, count;
    uint64_t last_id;
};

void prepared_table_done(struct prepared_table *t);

/* The entry for this text and these types, made when it is new; the caller holds a reference. */
RF_CHECK int prepared_intern(struct prepared_table *t, const struct frontend_parse *parse,
                             struct prepared **ret);
void prepared_release(struct prepared_table *t, struct prepared *p); /* NULL is welcome */

/* What one client calls its statements. */
struct prepared_names {
    struct prepared_name {
        char *name;
        struct prepared *statement; /* held */
    } * list;
    uint32_t count, cap;
};

void prepared_names_done(struct prepared_names *n, struct prepared_table *t);
struct prepared *prepared_names_find(const struct prepared_names *n, const char *name);
/* Takes over the caller's reference to STATEMENT on success; replaces an older one. */
RF_CHECK int prepared_names_put(struct prepared_names *n, struct prepared_table *t,
                                const char *name, struct prepared *statement);
void prepared_names_drop(struct prepared_names *n, struct prepared_table *t, const char *name);

/* What one server knows. */
bool prepared_is_known(const struct backend *b, uint64_t id);
RF_CHECK int prepared_learn(struct backend *b, uint64_t id);
void prepared_unlearn(struct backend *b, uint64_t id);

#endif
