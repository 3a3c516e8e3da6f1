#include "wire/backend.h"

#include <string.h>

void backend_write_auth(struct wr *w, enum backend_auth code, const void *data, size_t len)
{
    wr_open(w, 'R');
    wr_u32(w, (uint32_t)code);
    wr_bytes(w, data, len);
    wr_close(w);
}

void backend_write_parameter(struct wr *w, const char *name, const char *value)
{
    wr_open(w, 'S');
    wr_cstr(w, name);
    wr_cstr(w, value);
    wr_close(w);
}

void backend_write_key(struct wr *w, const struct backend_key *key)
{
    wr_open(w, 'K');
    wr_u32(w, key->pid);
    wr_bytes(w, key->secret, key->secret_len);
    wr_close(w);
}

void backend_write_ready(struct wr *w, char status)
{
    wr_open(w, 'Z');
    wr_u8(w, (uint8_t)status);
    wr_close(w);
}

void backend_write_negotiate(struct wr *w, uint16_t minor, const char *const *unknown,
                             size_t unknown_count)
{
    wr_open(w, 'v');
    wr_u32(w, (uint32_t)3 << 16 | minor);
    wr_u32(w, (uint32_t)unknown_count);
    for (size_t i = 0; i < unknown_count; i++)
        wr_cstr(w, unknown[i]);
    wr_close(w);
}

static void field(struct wr *w, char code, const char *value)
{
    wr_u8(w, (uint8_t)code);
    wr_cstr(w, value);
}

void backend_write_error(struct wr *w, const char *severity, const struct err *e, uint32_t position)
{
    wr_open(w, 'E');
    field(w, 'S', severity);
    field(w, 'V', severity);
    field(w, 'C', err_state_of(e));
    field(w, 'M', e->line[0] != '\0' ? e->line : err_sentence(e->code));
    if (e->hint[0] != '\0')
        field(w, 'H', e->hint);
    if (position > 0) {
        char digits[12];
        size_t at = sizeof(digits) - 1;
        digits[at] = '\0';
        for (uint32_t v = position; v > 0; v /= 10)
            digits[--at] = (char)('0' + v % 10);
        field(w, 'P', digits + at);
    }
    wr_u8(w, 0);
    wr_close(w);
}

void backend_write_notice(struct wr *w, const char *line)
{
    wr_open(w, 'N');
    field(w, 'S', "NOTICE");
    field(w, 'V', "NOTICE");
    field(w, 'C', "00000");
    field(w, 'M', line);
    wr_u8(w, 0);
    wr_close(w);
}

void backend_write_complete(struct wr *w, const char *tag)
{
    wr_open(w, 'C');
    wr_cstr(w, tag);
    wr_close(w);
}

int backend_read_error(struct rd body, struct backend_error *ret)
{
    struct backend_error e = { "", "", "", "" };
    for (;;) {
        uint8_t code = rd_u8(&body);
        if (code == 0)
            break;
        const char *value = rd_cstr(&body);
        if (code == 'V' || (code == 'S' && e.severity[0] == '\0'))
            e.severity = value;
        else if (code == 'C')
            e.sqlstate = value;
        else if (code == 'M')
            e.message = value;
        else if (code == 'H')
            e.hint = value;
    }
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret = e;
    return 0;
}

int backend_read_parameter(struct rd body, const char **ret_name, const char **ret_value)
{
    const char *name = rd_cstr(&body);
    const char *value = rd_cstr(&body);
    if (!rd_done(&body))
        return -RF_EPROTO;
    *ret_name = name;
    *ret_value = value;
    return 0;
}

int backend_read_key(struct rd body, struct backend_key *ret)
{
    struct backend_key key = { .pid = rd_u32(&body) };
    size_t len = body.left;
    if (body.bad || len < 4 || len > sizeof(key.secret))
        return -RF_EPROTO;
    const uint8_t *secret = rd_bytes(&body, len);
    if (secret == NULL || !rd_done(&body))
        return -RF_EPROTO;
    memcpy(key.secret, secret, len);
    key.secret_len = (uint16_t)len;
    *ret = key;
    return 0;
}

int backend_read_auth(struct rd body, uint32_t *ret_code, struct rd *ret_data)
{
    uint32_t code = rd_u32(&body);
    if (body.bad)
        return -RF_EPROTO;
    *ret_code = code;
    *ret_data = body;
    return 0;
}
