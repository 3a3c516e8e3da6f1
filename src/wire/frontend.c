#include "wire/frontend.h"

#include <string.h>

#include "base/err.h"

int frontend_read_query(struct rd body, const char **ret_sql, size_t *ret_len)
{
    size_t len = body.left;
    const char *sql = rd_cstr(&body);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret_sql = sql;
    *ret_len = len - 1;
    return 0;
}

int frontend_read_parse(struct rd body, struct frontend_parse *ret)
{
    struct frontend_parse p = { 0 };
    p.name = rd_cstr(&body);
    size_t before = body.left;
    p.query = rd_cstr(&body);
    p.query_len = before - body.left - (body.bad ? 0 : 1);
    p.type_count = rd_u16(&body);
    p.types = rd_bytes(&body, (size_t)p.type_count * 4);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret = p;
    return 0;
}

int frontend_read_bind(struct rd body, struct frontend_bind *ret)
{
    struct frontend_bind b = { 0 };
    b.portal = rd_cstr(&body);
    b.statement = rd_cstr(&body);
    b.rest_len = body.left;
    b.rest = rd_bytes(&body, body.left);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret = b;
    return 0;
}

int frontend_read_execute(struct rd body, struct frontend_execute *ret)
{
    struct frontend_execute e = { 0 };
    e.portal = rd_cstr(&body);
    e.row_limit = rd_u32(&body);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret = e;
    return 0;
}

int frontend_read_target(struct rd body, struct frontend_target *ret)
{
    struct frontend_target t = { 0 };
    t.kind = (char)rd_u8(&body);
    t.name = rd_cstr(&body);
    if (!rd_done(&body) || (t.kind != 'S' && t.kind != 'P'))
        return -RF_EPROTO;
    *ret = t;
    return 0;
}

int frontend_read_sasl_initial(struct rd body, const char **ret_mechanism, const uint8_t **ret_data,
                               size_t *ret_len)
{
    const char *mechanism = rd_cstr(&body);
    uint32_t len = rd_u32(&body);
    const uint8_t *data = len == UINT32_MAX ? NULL : rd_bytes(&body, len);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret_mechanism = mechanism;
    *ret_data = data;
    *ret_len = data != NULL ? len : 0;
    return 0;
}

void frontend_write_query(struct wr *w, const char *sql)
{
    wr_open(w, 'Q');
    wr_cstr(w, sql);
    wr_close(w);
}

void frontend_write_parse(struct wr *w, const char *name, const char *query, size_t query_len,
                          const uint8_t *types, uint16_t type_count)
{
    wr_open(w, 'P');
    wr_cstr(w, name);
    wr_cstr_len(w, query, query_len);
    wr_u16(w, type_count);
    wr_bytes(w, types, (size_t)type_count * 4);
    wr_close(w);
}

void frontend_write_bind(struct wr *w, const char *portal, const char *statement,
                         const uint8_t *rest, size_t rest_len)
{
    wr_open(w, 'B');
    wr_cstr(w, portal);
    wr_cstr(w, statement);
    wr_bytes(w, rest, rest_len);
    wr_close(w);
}

void frontend_write_bind_plain(struct wr *w, const char *portal, const char *statement)
{
    static const uint8_t none[6]; /* no parameter formats, no parameters, no result formats */
    frontend_write_bind(w, portal, statement, none, sizeof(none));
}

void frontend_write_execute(struct wr *w, const char *portal, uint32_t row_limit)
{
    wr_open(w, 'E');
    wr_cstr(w, portal);
    wr_u32(w, row_limit);
    wr_close(w);
}

void frontend_write_target(struct wr *w, char message_type, char kind, const char *name)
{
    wr_open(w, message_type);
    wr_u8(w, (uint8_t)kind);
    wr_cstr(w, name);
    wr_close(w);
}

void frontend_write_bare(struct wr *w, char message_type)
{
    wr_open(w, message_type);
    wr_close(w);
}

void frontend_write_sasl_initial(struct wr *w, const char *mechanism, const uint8_t *data,
                                 size_t len)
{
    wr_open(w, 'p');
    wr_cstr(w, mechanism);
    wr_u32(w, (uint32_t)len);
    wr_bytes(w, data, len);
    wr_close(w);
}

void frontend_write_password(struct wr *w, const uint8_t *data, size_t len)
{
    wr_open(w, 'p');
    wr_bytes(w, data, len);
    wr_close(w);
}
