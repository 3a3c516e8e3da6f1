#include "ledger/record.h"

#include <string.h>

#include "ledger/logleaf.h"
#include "wire/rd.h"
#include "wire/wr.h"

/* Layout: docs/formats/journal.md, section 6. Reader and writer name the fields in the same order;
   the table below keeps the two from drifting apart where there are many. */

static const char *const kind_names[RECORD_KIND_COUNT] = {
    [RECORD_NONE] = "none",
    [RECORD_START] = "start",
    [RECORD_SESSION_OPEN] = "session_open",
    [RECORD_STATEMENT] = "statement",
    [RECORD_RESULT] = "result",
    [RECORD_DENIAL] = "denial",
    [RECORD_SESSION_CLOSE] = "session_close",
    [RECORD_SERVICE] = "service",
    [RECORD_DISCLOSURE] = "disclosure",
    [RECORD_FIND] = "find",
    [RECORD_REQUEST] = "request",
    [RECORD_APPROVAL] = "approval",
    [RECORD_GRANT] = "grant",
    [RECORD_BREAKGLASS] = "breakglass",
    [RECORD_REVIEW] = "review",
    [RECORD_SUSPENSION] = "suspension",
    [RECORD_LIFTING] = "lifting",
    [RECORD_ALERT] = "alert",
    [RECORD_ALERT_REVIEW] = "alert_review",
    [RECORD_HOLD] = "hold",
    [RECORD_TRACE] = "trace",
    [RECORD_CONSENT] = "consent",
};

/* The public words in the order of the message. */
static const size_t public_words[] = {
    offsetof(struct record, region),     offsetof(struct record, entity),
    offsetof(struct record, place),      offsetof(struct record, room),
    offsetof(struct record, purpose),    offsetof(struct record, rule),
    offsetof(struct record, actor_kind), offsetof(struct record, classes),
    offsetof(struct record, verdict),
};
/* Then the public refs. */
static const size_t refs[] = { offsetof(struct record, request_ref),
                               offsetof(struct record, approval_refs) };

/* The numbers behind them, likewise. */
static const size_t numbers[] = {
    offsetof(struct record, grant),    offsetof(struct record, rows),
    offsetof(struct record, bytes),    offsetof(struct record, statements),
    offsetof(struct record, subjects), offsetof(struct record, until),
};

static const size_t private_texts[] = {
    offsetof(struct record, actor),    offsetof(struct record, client),
    offsetof(struct record, listener), offsetof(struct record, database),
    offsetof(struct record, role),
};

static const size_t last_texts[] = {
    offsetof(struct record, relations), offsetof(struct record, revealed),
    offsetof(struct record, outcome),   offsetof(struct record, detail),
    offsetof(struct record, text),      offsetof(struct record, signature),
};

/* What a record of the registrar has, or its leaf could not be written: whoever sends something
   else hears so before it is sent. */
#define NEEDS_REQUEST                                                       \
    {                                                                       \
        offsetof(struct record, purpose), offsetof(struct record, classes), \
            offsetof(struct record, rule), offsetof(struct record, text),   \
            offsetof(struct record, signature)                              \
    }
enum { NEEDS_MAX = 5 };
static const struct {
    size_t texts[NEEDS_MAX]; /* 0: none (it is the kind's place) */
    size_t numbers[NEEDS_MAX];
} needs[RECORD_KIND_COUNT] = {
    [RECORD_FIND] = { { offsetof(struct record, purpose), offsetof(struct record, text),
                        offsetof(struct record, signature) },
                      { 0 } },
    [RECORD_REQUEST] = { NEEDS_REQUEST,
                         { offsetof(struct record, grant), offsetof(struct record, subjects) } },
    [RECORD_BREAKGLASS] = { NEEDS_REQUEST,
                            { offsetof(struct record, grant), offsetof(struct record, subjects) } },
    [RECORD_APPROVAL] = { { offsetof(struct record, verdict), offsetof(struct record, request_ref),
                            offsetof(struct record, text), offsetof(struct record, signature) },
                          { offsetof(struct record, grant) } },
    [RECORD_REVIEW] = { { offsetof(struct record, verdict), offsetof(struct record, request_ref),
                          offsetof(struct record, text), offsetof(struct record, signature) },
                        { offsetof(struct record, grant) } },
    [RECORD_GRANT] = { { offsetof(struct record, purpose), offsetof(struct record, classes),
                         offsetof(struct record, request_ref), offsetof(struct record, database) },
                       { offsetof(struct record, grant), offsetof(struct record, subjects),
                         offsetof(struct record, until) } },
    [RECORD_SUSPENSION] = { { offsetof(struct record, actor), offsetof(struct record, rule) },
                            { 0 } },
    [RECORD_LIFTING] = { { offsetof(struct record, actor), offsetof(struct record, detail),
                           offsetof(struct record, text), offsetof(struct record, signature) },
                         { 0 } },
    [RECORD_ALERT] = { { offsetof(struct record, actor), offsetof(struct record, rule) }, { 0 } },
    [RECORD_ALERT_REVIEW] = { { offsetof(struct record, rule), offsetof(struct record, verdict),
                                offsetof(struct record, detail), offsetof(struct record, text),
                                offsetof(struct record, signature) },
                              { 0 } },
    [RECORD_HOLD] = { { offsetof(struct record, actor), offsetof(struct record, text),
                        offsetof(struct record, signature) },
                      { offsetof(struct record, grant), offsetof(struct record, until) } },
    [RECORD_TRACE] = { { offsetof(struct record, actor), offsetof(struct record, detail),
                         offsetof(struct record, text), offsetof(struct record, signature) },
                       { 0 } },
    [RECORD_CONSENT] = { { offsetof(struct record, verdict) },
                         { offsetof(struct record, subjects) } },
};
#undef NEEDS_REQUEST

static const char *text_at(const struct record *r, size_t offset)
{
    const char *s;
    memcpy(&s, (const char *)r + offset, sizeof(s));
    return s != NULL ? s : "";
}

static void set_text(struct record *r, size_t offset, const char *s)
{
    memcpy((char *)r + offset, &s, sizeof(s));
}

static uint64_t number_at(const struct record *r, size_t offset)
{
    uint64_t n;
    memcpy(&n, (const char *)r + offset, sizeof(n));
    return n;
}

/* A word: short printable ASCII that needs no escape in JSON. */
static bool is_word(const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0'; n++)
        if (n == RECORD_WORD_MAX || s[n] < 0x20 || s[n] > 0x7e || s[n] == '"' || s[n] == '\\')
            return false;
    return true;
}

static bool is_country(const char *s)
{
    if (s[0] == '\0')
        return true;
    return s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z' && s[2] == '\0';
}

static bool is_verdict(enum record_kind kind, const char *verdict)
{
    switch ((int)kind) {
    case RECORD_APPROVAL:
        return strcmp(verdict, "approve") == 0 || strcmp(verdict, "deny") == 0;
    case RECORD_REVIEW:
    case RECORD_ALERT_REVIEW:
        return strcmp(verdict, "proper") == 0 || strcmp(verdict, "improper") == 0;
    case RECORD_CONSENT:
        return strcmp(verdict, "given") == 0 || strcmp(verdict, "withdrawn") == 0 ||
               strcmp(verdict, "shown") == 0;
    default:
        return verdict[0] == '\0';
    }
}

static bool are_refs(const struct record *r)
{
    const char *request = text_at(r, offsetof(struct record, request_ref));
    const char *approvals = text_at(r, offsetof(struct record, approval_refs));
    return (request[0] == '\0' ||
            (strlen(request) < RECORD_REF_SIZE && logleaf_are_refs(request, strlen(request)))) &&
           (approvals[0] == '\0' || logleaf_are_refs(approvals, strlen(approvals)));
}

static bool has_what_it_needs(const struct record *r)
{
    for (size_t i = 0; i < NEEDS_MAX; i++) {
        size_t text = needs[r->kind].texts[i], number = needs[r->kind].numbers[i];
        if ((text != 0 && text_at(r, text)[0] == '\0') ||
            (number != 0 && number_at(r, number) == 0))
            return false;
    }
    return true;
}

static bool is_valid(const struct record *r)
{
    for (size_t i = 0; i < RF_COUNT(public_words); i++)
        if (!is_word(text_at(r, public_words[i])))
            return false;
    for (size_t i = 0; i < RF_COUNT(numbers); i++)
        if (number_at(r, numbers[i]) > (uint64_t)RECORD_NUMBER_MAX)
            return false;
    return r->kind > RECORD_NONE && r->kind < RECORD_KIND_COUNT && are_refs(r) &&
           is_verdict(r->kind, text_at(r, offsetof(struct record, verdict))) &&
           has_what_it_needs(r) && is_country(text_at(r, offsetof(struct record, place))) &&
           r->wall_ms >= 0 && r->wall_ms <= RECORD_NUMBER_MAX && r->statement <= RECORD_NUMBER_MAX;
}

/* What record_write() will need after the length word. */
static size_t message_size(const struct record *r)
{
    size_t n =
        1 + 8 + 1 + 8 + RECORD_SESSION_ID_LEN + 8 + RF_COUNT(numbers) * 8 + 4 + r->sql_len + 1 + 8;
    for (size_t i = 0; i < RF_COUNT(public_words); i++)
        n += strlen(text_at(r, public_words[i])) + 1;
    for (size_t i = 0; i < RF_COUNT(refs); i++)
        n += strlen(text_at(r, refs[i])) + 1;
    for (size_t i = 0; i < RF_COUNT(private_texts); i++)
        n += strlen(text_at(r, private_texts[i])) + 1;
    for (size_t i = 0; i < RF_COUNT(last_texts); i++)
        n += strlen(text_at(r, last_texts[i])) + 1;
    return n + strlen(text_at(r, offsetof(struct record, statement_kind))) + 1;
}

static void write_texts(struct wr *w, const struct record *r, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wr_cstr(w, text_at(r, offsets[i]));
}

int record_write(struct buf *to, uint64_t seq, const struct record *record)
{
    if (!is_valid(record) || seq == 0 || seq > RECORD_NUMBER_MAX)
        return -RF_EINVAL;
    if (record->sql_len > RECORD_MAX)
        return -RF_ETOOBIG;
    size_t n = message_size(record);
    if (n > RECORD_MAX || n + 4 > to->max - buf_len(to))
        return -RF_ETOOBIG;
    if (buf_reserve(to, n + 4) == NULL) /* from here on nothing can fail */
        return -RF_ENOMEM;
    struct wr w = wr_to(to);
    wr_u32(&w, (uint32_t)n);
    wr_u8(&w, RECORD_MSG_RECORD);
    wr_u64(&w, seq);
    wr_u8(&w, (uint8_t)record->kind);
    wr_u64(&w, (uint64_t)record->wall_ms);
    wr_bytes(&w, record->session, sizeof(record->session));
    wr_u64(&w, record->statement);
    write_texts(&w, record, public_words, RF_COUNT(public_words));
    write_texts(&w, record, refs, RF_COUNT(refs));
    for (size_t i = 0; i < RF_COUNT(numbers); i++)
        wr_u64(&w, number_at(record, numbers[i]));
    write_texts(&w, record, private_texts, RF_COUNT(private_texts));
    wr_str32(&w, record->sql != NULL ? record->sql : "", record->sql_len);
    wr_u8(&w, 0);
    wr_cstr(&w, text_at(record, offsetof(struct record, statement_kind)));
    wr_u64(&w, record->fingerprint);
    write_texts(&w, record, last_texts, RF_COUNT(last_texts));
    return wr_done(&w) ? 0 : -RF_EBUG;
}

static void read_texts(struct rd *r, struct record *to, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        set_text(to, offsets[i], rd_cstr(r));
}

int record_read(const void *bytes, size_t n, uint64_t *ret_seq, struct record *ret)
{
    struct rd r = rd_of(bytes, n);
    struct record m = { 0 };
    if (n > RECORD_MAX || rd_u8(&r) != RECORD_MSG_RECORD)
        return -RF_EPROTO;
    uint64_t seq = rd_u64(&r);
    m.kind = (enum record_kind)rd_u8(&r);
    uint64_t wall_ms = rd_u64(&r);
    const uint8_t *session = rd_bytes(&r, sizeof(m.session));
    if (session != NULL)
        memcpy(m.session, session, sizeof(m.session));
    m.statement = rd_u64(&r);
    read_texts(&r, &m, public_words, RF_COUNT(public_words));
    read_texts(&r, &m, refs, RF_COUNT(refs));
    for (size_t i = 0; i < RF_COUNT(numbers); i++) {
        uint64_t value = rd_u64(&r);
        memcpy((char *)&m + numbers[i], &value, sizeof(value));
    }
    read_texts(&r, &m, private_texts, RF_COUNT(private_texts));
    m.sql = rd_str32(&r, &m.sql_len);
    bool sql_ends = rd_u8(&r) == 0;
    m.statement_kind = rd_cstr(&r);
    m.fingerprint = rd_u64(&r);
    read_texts(&r, &m, last_texts, RF_COUNT(last_texts));
    if (!rd_done(&r) || !sql_ends || wall_ms > RECORD_NUMBER_MAX)
        return -RF_EPROTO;
    m.wall_ms = (int64_t)wall_ms;
    if (seq == 0 || seq > RECORD_NUMBER_MAX || !is_valid(&m))
        return -RF_EPROTO;
    *ret_seq = seq;
    *ret = m;
    return 0;
}

int record_hello_write(struct buf *to, uint64_t instance, const char *name)
{
    size_t len = strlen(name);
    size_t n = 1 + 8 + 4 + len;
    if (instance == 0 || len == 0 || !is_word(name))
        return -RF_EINVAL;
    if (n + 4 > to->max - buf_len(to))
        return -RF_ETOOBIG;
    if (buf_reserve(to, n + 4) == NULL)
        return -RF_ENOMEM;
    struct wr w = wr_to(to);
    wr_u32(&w, (uint32_t)n);
    wr_u8(&w, RECORD_MSG_HELLO);
    wr_u64(&w, instance);
    wr_str32(&w, name, len);
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int record_hello_read(const void *bytes, size_t n, uint64_t *ret_instance,
                      char ret_name[RECORD_WORD_MAX + 1])
{
    struct rd r = rd_of(bytes, n);
    char name[RECORD_WORD_MAX + 1] = "";
    size_t len;
    bool is_hello = rd_u8(&r) == RECORD_MSG_HELLO;
    uint64_t instance = rd_u64(&r);
    const char *said = rd_str32(&r, &len);
    if (!is_hello || !rd_done(&r) || instance == 0 || len == 0 || len > RECORD_WORD_MAX)
        return -RF_EPROTO;
    memcpy(name, said, len);
    if (strlen(name) != len || !is_word(name))
        return -RF_EPROTO;
    *ret_instance = instance;
    memcpy(ret_name, name, sizeof(name));
    return 0;
}

int record_awaited_write(struct buf *to)
{
    if (buf_reserve(to, 4 + 1) == NULL)
        return -RF_ENOMEM;
    struct wr w = wr_to(to);
    wr_u32(&w, 1);
    wr_u8(&w, RECORD_MSG_AWAITED);
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int record_news_ask(struct buf *to, uint64_t taken)
{
    if (buf_reserve(to, 4 + 1 + 8) == NULL)
        return -RF_ENOMEM;
    struct wr w = wr_to(to);
    wr_u32(&w, 1 + 8);
    wr_u8(&w, RECORD_MSG_NEWS);
    wr_u64(&w, taken);
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int record_news_asked(const void *bytes, size_t n, uint64_t *ret_taken)
{
    struct rd r = rd_of(bytes, n);
    bool is_news = rd_u8(&r) == RECORD_MSG_NEWS;
    *ret_taken = rd_u64(&r);
    return is_news && rd_done(&r) ? 0 : -RF_EPROTO;
}

int record_news_write(struct buf *to, const struct record_news *news)
{
    static const struct record_news none = { .region = "", .actor = "", .place = "" };
    const struct record_news *m = news != NULL ? news : &none;
    const char *const texts[] = { m->region, m->actor, m->place };
    size_t n = 1 + 8 + 1 + 8;
    for (size_t i = 0; i < RF_COUNT(texts); i++)
        n += 4 + strlen(texts[i]);
    if (buf_reserve(to, 4 + n) == NULL)
        return -RF_ENOMEM;
    struct wr w = wr_to(to);
    wr_u32(&w, (uint32_t)n);
    wr_u8(&w, RECORD_ANSWER_NEWS);
    wr_u64(&w, m->number);
    wr_u8(&w, (uint8_t)m->kind);
    wr_u64(&w, m->count);
    for (size_t i = 0; i < RF_COUNT(texts); i++)
        wr_str32(&w, texts[i], strlen(texts[i]));
    return wr_done(&w) ? 0 : -RF_EBUG;
}

static bool read_word(struct rd *r, char to[RECORD_WORD_MAX + 1])
{
    size_t len;
    const char *text = rd_str32(r, &len);
    to[0] = '\0';
    if (r->bad || len > RECORD_WORD_MAX)
        return false;
    memcpy(to, text, len);
    to[len] = '\0';
    return strlen(to) == len && is_word(to);
}

int record_news_read(const void *body, size_t n, struct record_news_copy *copy,
                     struct record_news *ret)
{
    struct rd r = rd_of(body, n);
    struct record_news m = { .number = rd_u64(&r) };
    unsigned kind = rd_u8(&r);
    m.count = rd_u64(&r);
    bool good = read_word(&r, copy->region) && read_word(&r, copy->actor) &&
                read_word(&r, copy->place) && rd_done(&r) && is_country(copy->place) &&
                kind < RECORD_NEWS_KIND_COUNT && (m.number != 0) == (kind != RECORD_NEWS_NONE);
    if (!good)
        return -RF_EPROTO;
    m.kind = (enum record_news_kind)kind;
    m.region = copy->region;
    m.actor = copy->actor;
    m.place = copy->place;
    *ret = m;
    return m.number != 0;
}

bool record_is_patient(enum record_kind kind)
{
    return kind == RECORD_STATEMENT;
}

const char *record_kind_name(enum record_kind kind)
{
    return kind > RECORD_NONE && kind < RECORD_KIND_COUNT ? kind_names[kind]
                                                          : kind_names[RECORD_NONE];
}

bool record_is_of_registrar(enum record_kind kind)
{
    return kind >= RECORD_FIND && kind < RECORD_KIND_COUNT;
}

bool record_is_leaf(enum record_kind kind)
{
    return kind >= RECORD_FIND && kind <= RECORD_REVIEW;
}
