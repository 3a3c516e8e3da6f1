#include "guard/guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wire/rd.h"
#include "wire/wr.h"

/* --- Refusals
 * -------------------------------------------------------------------------------------- */

static const struct {
    const char *sqlstate, *sentence, *hint;
} refusals[GUARD_REFUSAL_COUNT] = {
    [GUARD_OK] = { "00000", "", "" },
#define REFUSAL(name, sqlstate, sentence, hint) [GUARD_##name] = { sqlstate, sentence, hint },
#include "guard/tbl/refusal.def"
#undef REFUSAL
};

const char *guard_refusal_sqlstate(enum guard_refusal r)
{
    RF_ASSERT(r < GUARD_REFUSAL_COUNT);
    return refusals[r].sqlstate;
}

const char *guard_refusal_sentence(enum guard_refusal r)
{
    RF_ASSERT(r < GUARD_REFUSAL_COUNT);
    return refusals[r].sentence;
}

const char *guard_refusal_hint(enum guard_refusal r)
{
    RF_ASSERT(r < GUARD_REFUSAL_COUNT);
    return refusals[r].hint;
}

const char *guard_report_sqlstate(const struct guard_report *report)
{
    static const char bad_bytes[] = "invalid byte sequence for encoding";
    if (report->status == GUARD_TOO_COMPLEX)
        return "54001";
    return strncmp(report->message, bad_bytes, sizeof(bad_bytes) - 1) == 0 ? "22021" : "42601";
}

/* --- Parameters
 * ------------------------------------------------------------------------------------ */

bool guard_parameter_allowed(const char *name)
{
    static const char *const allowed[] = {
#define PARAMETER(name) name,
#include "guard/tbl/parameter.def"
#undef PARAMETER
    };
    for (size_t i = 0; i < RF_COUNT(allowed); i++) {
        if (strcasecmp(name, allowed[i]) == 0)
            return true;
    }
    return false;
}

/* The server looks encodings up by their letters and digits alone, without case. */
static bool encoding_is(const char *value, const char *letters)
{
    for (; *value != '\0'; value++) {
        char c = *value;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
            continue;
        if (c != *letters++) /* the NUL at its end differs from every letter */
            return false;
    }
    return *letters == '\0';
}

bool guard_parameter_value_allowed(const char *name, const char *value)
{
    if (!guard_parameter_allowed(name))
        return false;
    if (strcasecmp(name, "client_encoding") != 0)
        return true;
    return encoding_is(value, "utf8") || encoding_is(value, "unicode") ||
           encoding_is(value, "sqlascii");
}

/* --- Messages
 * -------------------------------------------------------------------------------------- */

static int written(const struct wr *w)
{
    return wr_done(w) ? 0 : -RF_ETOOBIG;
}

int guard_request_write(struct buf *to, uint32_t id, const char *sql, size_t len)
{
    struct wr w = wr_to(to);
    if (len > GUARD_SQL_MAX)
        return -RF_ETOOBIG;
    wr_u32(&w, id);
    wr_str32(&w, sql, len);
    return written(&w);
}

int guard_request_read(const void *bytes, size_t n, uint32_t *ret_id, const char **ret_sql,
                       size_t *ret_len)
{
    struct rd in = rd_of(bytes, n);
    size_t len;
    uint32_t id = rd_u32(&in);
    const char *sql = rd_str32(&in, &len);
    if (!rd_done(&in) || len > GUARD_SQL_MAX || (len > 0 && memchr(sql, 0, len) != NULL))
        return -RF_EPROTO;
    *ret_id = id;
    *ret_sql = sql;
    *ret_len = len;
    return 0;
}

/* u32 id, u8 status, message, u32 position, u32 count, then for each statement: u32 offset, u32
   len, u64 fingerprint, u8 refusal, kind, subject, relations; strings end with a NUL. */
int guard_report_write(struct buf *to, const struct guard_report *report)
{
    struct wr w = wr_to(to);
    if (report->count > GUARD_STATEMENTS_MAX)
        return -RF_ETOOBIG;
    wr_u32(&w, report->id);
    wr_u8(&w, (uint8_t)report->status);
    wr_cstr(&w, report->message);
    wr_u32(&w, report->position);
    wr_u32(&w, report->count);
    for (uint32_t i = 0; i < report->count; i++) {
        const struct guard_statement *s = &report->statements[i];
        wr_u32(&w, s->offset);
        wr_u32(&w, s->len);
        wr_u64(&w, s->fingerprint);
        wr_u8(&w, (uint8_t)s->refusal);
        wr_cstr(&w, s->kind);
        wr_cstr(&w, s->subject);
        wr_cstr(&w, s->relations);
    }
    return written(&w);
}

/* FLOOR: where the previous statement ended. */
static bool statement_read(struct rd *in, uint32_t floor, struct guard_statement *ret)
{
    struct guard_statement s = { 0 };
    s.offset = rd_u32(in);
    s.len = rd_u32(in);
    s.fingerprint = rd_u64(in);
    s.refusal = (enum guard_refusal)rd_u8(in);
    s.kind = rd_cstr(in);
    s.subject = rd_cstr(in);
    s.relations = rd_cstr(in);
    if (in->bad || s.refusal >= GUARD_REFUSAL_COUNT || s.kind[0] == '\0' || s.len == 0 ||
        s.offset < floor || s.offset > GUARD_SQL_MAX || s.len > GUARD_SQL_MAX - s.offset)
        return false;
    *ret = s;
    return true;
}

int guard_report_read(const void *bytes, size_t n, struct guard_report *ret)
{
    struct rd in = rd_of(bytes, n);
    ret->arena = NULL;
    ret->id = rd_u32(&in);
    uint8_t status = rd_u8(&in);
    const char *message = rd_cstr(&in);
    ret->position = rd_u32(&in);
    ret->count = rd_u32(&in);
    if (in.bad || status >= GUARD_STATUS_COUNT || strlen(message) >= sizeof(ret->message) ||
        ret->count > GUARD_STATEMENTS_MAX || (status != GUARD_PARSED && ret->count > 0))
        return -RF_EPROTO;
    ret->status = (enum guard_status)status;
    (void)snprintf(ret->message, sizeof(ret->message), "%s", message);
    uint32_t floor = 0;
    for (uint32_t i = 0; i < ret->count; i++) {
        struct guard_statement *s = &ret->statements[i];
        if (!statement_read(&in, floor, s))
            return -RF_EPROTO;
        floor = s->offset + s->len;
    }
    return rd_done(&in) ? 0 : -RF_EPROTO;
}
