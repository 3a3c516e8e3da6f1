/* frontend.h - messages that a client sends: read by the gate, written towards databases. */
#ifndef RF_WIRE_FRONTEND_H
#define RF_WIRE_FRONTEND_H

#include "wire/rd.h"
#include "wire/wr.h"

struct frontend_parse {
    const char *name, *query;
    size_t query_len;
    uint16_t type_count;
    const uint8_t *types; /* TYPE_COUNT big-endian u32 */
};

struct frontend_bind {
    const char *portal, *statement;
    const uint8_t *rest; /* formats and values, unread */
    size_t rest_len;
};

struct frontend_execute {
    const char *portal;
    uint32_t row_limit;
};

/* Describe and Close: KIND is 'S' (statement) or 'P' (portal). */
struct frontend_target {
    char kind;
    const char *name;
};

RF_CHECK int frontend_read_query(struct rd body, const char **ret_sql, size_t *ret_len);
RF_CHECK int frontend_read_parse(struct rd body, struct frontend_parse *ret);
RF_CHECK int frontend_read_bind(struct rd body, struct frontend_bind *ret);
RF_CHECK int frontend_read_execute(struct rd body, struct frontend_execute *ret);
RF_CHECK int frontend_read_target(struct rd body, struct frontend_target *ret);

/* SASLInitialResponse: *RET_DATA NULL when the client sent none. */
RF_CHECK int frontend_read_sasl_initial(struct rd body, const char **ret_mechanism,
                                        const uint8_t **ret_data, size_t *ret_len);

void frontend_write_query(struct wr *w, const char *sql);
void frontend_write_parse(struct wr *w, const char *name, const char *query, size_t query_len,
                          const uint8_t *types, uint16_t type_count);
void frontend_write_bind(struct wr *w, const char *portal, const char *statement,
                         const uint8_t *rest, size_t rest_len);
/* Bind of a statement without parameters, all results in text. */
void frontend_write_bind_plain(struct wr *w, const char *portal, const char *statement);
void frontend_write_execute(struct wr *w, const char *portal, uint32_t row_limit);
void frontend_write_target(struct wr *w, char message_type, char kind, const char *name);
void frontend_write_bare(struct wr *w, char message_type); /* Sync, Flush, Terminate */
void frontend_write_sasl_initial(struct wr *w, const char *mechanism, const uint8_t *data,
                                 size_t len);
void frontend_write_password(struct wr *w, const uint8_t *data, size_t len);

#endif
