#include "wire/startup.h"

#include <string.h>
#include <strings.h>

#include "wire/rd.h"
#include "wire/wr.h"

enum {
    MAJOR = 3,
    MAJOR_SPECIAL = 1234, /* "a number that no protocol will have" */
    MINOR_CANCEL = 5678,
    MINOR_SSL = 5679,
    MINOR_GSS = 5680
};

int startup_length_read(const uint8_t head[4], size_t *ret_len)
{
    struct rd in = rd_of(head, 4);
    uint32_t len = rd_u32(&in);
    if (len < STARTUP_LENGTH_MIN || len > STARTUP_LENGTH_MAX)
        return -RF_EPROTO;
    *ret_len = len;
    return 0;
}

/* --- Values --------------------------------------------------------------------------------------
 */

/* PostgreSQL's parse_bool(): any case, any unambiguous beginning of a word. 1, 0 or -1. */
static int truth_of(const char *value)
{
    static const struct {
        const char *word;
        size_t shortest;
        int truth;
    } words[] = {
        { "true", 1, 1 }, { "false", 1, 0 }, { "yes", 1, 1 }, { "no", 1, 0 },
        { "on", 2, 1 },   { "off", 2, 0 },   { "1", 1, 1 },   { "0", 1, 0 },
    };
    size_t len = strlen(value);
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        if (len >= words[i].shortest && len <= strlen(words[i].word) &&
            strncasecmp(value, words[i].word, len) == 0)
            return words[i].truth;
    }
    return -1;
}

static int replication_read(struct startup *s, const char *value, struct err *err)
{
    int truth = strcmp(value, "database") == 0 ? 1 : truth_of(value);
    if (truth < 0) {
        int rc = err_set(err, RF_EPROTO, "invalid value for parameter \"replication\"");
        err_sqlstate(err, "22023");
        err_hint(err, "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
        return rc;
    }
    s->replication = truth == 1;
    return 0;
}

/* Append, and let it replace an earlier one of the same name: the last one counts, as it would if
   the server were to set them one after the other. */
static int parameter_add(struct startup *s, const char *name, const char *value, struct err *err)
{
    for (size_t i = 0; i < s->parameter_count; i++) {
        if (strcasecmp(s->parameters[i].name, name) == 0) {
            s->parameters[i].value = value;
            return 0;
        }
    }
    if (s->parameter_count == STARTUP_PARAMETERS_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d parameters in startup packet",
                       STARTUP_PARAMETERS_MAX);
    s->parameters[s->parameter_count++] =
        (struct startup_parameter){ .name = name, .value = value };
    return 0;
}

/* --- options
 * --------------------------------------------------------------------------------------
 *
 * The server splits this string at white space into words, where a backslash keeps the next
 * character (pg_split_opts), and reads the words as its command line. Of that command line only
 * settings are for clients: -c NAME=VALUE, -cNAME=VALUE, --NAME=VALUE. Dashes in a name mean
 * underscores. Whatever else the server would take (-e, -S 10, …) is refused by name. */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Copy the next word of *AT to *TO, unescaped and terminated; NULL when none is left. A word is
   never longer than its source, so the copy fits. */
static char *word_next(const char **at, char **to)
{
    const char *p = *at;
    char *word = *to, *end = word;
    while (is_space(*p))
        p++;
    if (*p == '\0')
        return NULL;
    for (; *p != '\0' && !is_space(*p); p++) {
        if (*p == '\\' && *++p == '\0')
            break; /* a lone backslash at the end means nothing */
        *end++ = *p;
    }
    *end++ = '\0';
    *at = p;
    *to = end;
    return word;
}

/* NAME=VALUE in place. */
static int setting_read(struct startup *s, char *setting, struct err *err)
{
    char *equals = strchr(setting, '=');
    if (equals == NULL || equals == setting) {
        int rc = err_set(err, RF_EPROTO, "a setting in \"options\" requires a name and a value");
        err_sqlstate(err, "42601");
        return rc;
    }
    *equals = '\0';
    for (char *c = setting; *c != '\0'; c++) {
        if (*c == '-')
            *c = '_';
    }
    return parameter_add(s, setting, equals + 1, err);
}

static int options_read(struct startup *s, const char *options, struct err *err)
{
    char *to = s->text, *word;
    while ((word = word_next(&options, &to)) != NULL) {
        int rc = -RF_EPROTO;
        if (strncmp(word, "--", 2) == 0 && word[2] != '\0') {
            rc = setting_read(s, word + 2, err);
        } else if (strncmp(word, "-c", 2) == 0) {
            char *setting = word[2] != '\0' ? word + 2 : word_next(&options, &to);
            char nothing[1] = "";
            rc = setting_read(s, setting != NULL ? setting : nothing, err);
        } else {
            rc = err_set(err, RF_EPROTO, "\"options\" may hold settings only");
            err_sqlstate(err, "42601");
            err_hint(err, "Use -c name=value or --name=value.");
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- StartupMessage
 * -------------------------------------------------------------------------------- */

struct fields {
    const char *user, *database, *options, *replication;
};

static int once(const char **field, const char *name, const char *value, struct err *err)
{
    if (*field != NULL)
        return err_set(err, RF_EPROTO, "parameter \"%s\" comes twice in startup packet", name);
    *field = value;
    return 0;
}

static int protocol_option_add(struct startup *s, const char *name, struct err *err)
{
    if (s->protocol_option_count == STARTUP_PROTOCOL_OPTIONS_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d protocol options in startup packet",
                       STARTUP_PROTOCOL_OPTIONS_MAX);
    s->protocol_options[s->protocol_option_count++] = name;
    return 0;
}

/* Sort out one NAME; parameters proper wait for the second pass. */
static int field_read(struct startup *s, struct fields *f, const char *name, const char *value,
                      struct err *err)
{
    if (strcmp(name, "user") == 0)
        return once(&f->user, name, value, err);
    if (strcmp(name, "database") == 0)
        return once(&f->database, name, value, err);
    if (strcmp(name, "options") == 0)
        return once(&f->options, name, value, err);
    if (strcmp(name, "replication") == 0)
        return once(&f->replication, name, value, err);
    if (strncmp(name, "_pq_.", 5) == 0)
        return protocol_option_add(s, name, err);
    return 0;
}

static bool is_parameter(const char *name)
{
    return strcmp(name, "user") != 0 && strcmp(name, "database") != 0 &&
           strcmp(name, "options") != 0 && strcmp(name, "replication") != 0 &&
           strncmp(name, "_pq_.", 5) != 0;
}

static int fields_read(struct startup *s, struct fields *f, struct rd in, struct err *err)
{
    for (;;) {
        const char *name = rd_cstr(&in);
        if (name[0] == '\0')
            break;
        const char *value = rd_cstr(&in);
        if (in.bad)
            break;
        int rc = field_read(s, f, name, value, err);
        if (rc < 0)
            return rc;
    }
    if (!rd_done(&in))
        return err_set(err, RF_EPROTO,
                       "invalid startup packet layout: expected terminator as last byte");
    return 0;
}

/* The second pass: `options` come first in the list, whatever their place in the packet, because
   that is the order in which the server applies them. */
static int parameters_read(struct startup *s, const struct fields *f, struct rd in, struct err *err)
{
    int rc = f->options != NULL ? options_read(s, f->options, err) : 0;
    while (rc == 0) {
        const char *name = rd_cstr(&in);
        if (name[0] == '\0')
            break;
        const char *value = rd_cstr(&in);
        if (is_parameter(name))
            rc = parameter_add(s, name, value, err);
    }
    return rc;
}

static void application_name_find(struct startup *s)
{
    s->application_name = "";
    for (size_t i = 0; i < s->parameter_count; i++) {
        if (strcasecmp(s->parameters[i].name, "application_name") == 0)
            s->application_name = s->parameters[i].value;
    }
}

static int session_read(struct startup *s, uint16_t minor, struct rd in, struct err *err)
{
    struct fields f = { 0 };
    s->kind = STARTUP_SESSION;
    s->minor = minor;
    s->minor_agreed = minor < STARTUP_MINOR_MAX ? minor : STARTUP_MINOR_MAX;
    int rc = fields_read(s, &f, in, err);
    if (rc == 0)
        rc = parameters_read(s, &f, in, err);
    if (rc == 0 && f.replication != NULL)
        rc = replication_read(s, f.replication, err);
    if (rc < 0)
        return rc;
    if (f.user == NULL || f.user[0] == '\0') {
        rc = err_set(err, RF_EPROTO, "no PostgreSQL user name specified in startup packet");
        err_sqlstate(err, "28000");
        return rc;
    }
    s->user = f.user;
    s->database = f.database != NULL && f.database[0] != '\0' ? f.database : f.user;
    s->negotiate = minor > STARTUP_MINOR_MAX || s->protocol_option_count > 0;
    application_name_find(s);
    return 0;
}

static int cancel_read(struct startup *s, struct rd in, struct err *err)
{
    s->kind = STARTUP_CANCEL;
    s->cancel_pid = rd_u32(&in);
    s->cancel_key_len = in.left;
    s->cancel_key = rd_bytes(&in, in.left);
    if (!rd_done(&in) || s->cancel_key_len < STARTUP_CANCEL_KEY_MIN ||
        s->cancel_key_len > STARTUP_CANCEL_KEY_MAX)
        return err_set(err, RF_EPROTO, "invalid length of cancel request packet");
    return 0;
}

static int special_read(struct startup *s, uint16_t minor, struct rd in, struct err *err)
{
    if (minor == MINOR_CANCEL)
        return cancel_read(s, in, err);
    s->kind = minor == MINOR_SSL ? STARTUP_SSL : STARTUP_GSS;
    if (!rd_done(&in))
        return err_set(err, RF_EPROTO, "invalid length of encryption request packet");
    return 0;
}

int startup_read(const void *packet, size_t len, struct startup *ret, struct err *err)
{
    struct rd in = rd_of(packet, len);
    size_t told = rd_u32(&in);
    uint16_t major = rd_u16(&in), minor = rd_u16(&in);
    memset(ret, 0, offsetof(struct startup, text));
    if (in.bad || told != len || len > STARTUP_LENGTH_MAX)
        return err_set(err, RF_EPROTO, "invalid length of startup packet");
    if (major == MAJOR)
        return session_read(ret, minor, in, err);
    if (major == MAJOR_SPECIAL && minor >= MINOR_CANCEL && minor <= MINOR_GSS)
        return special_read(ret, minor, in, err);
    return err_set(err, RF_EUNSUPP,
                   "unsupported frontend protocol %u.%u: server supports %d.0 to %d.%d", major,
                   minor, MAJOR, MAJOR, STARTUP_MINOR_MAX);
}

/* --- Writing
 * --------------------------------------------------------------------------------------- */

static int written(const struct wr *w)
{
    return wr_done(w) ? 0 : -RF_ETOOBIG;
}

/* The manual says "newest minor protocol version" and servers and libpq mean the whole version
   number, major and minor; a bare 2 would make libpq end the connection. */
int startup_negotiate_write(struct buf *to, const struct startup *s)
{
    struct wr w = wr_to(to);
    wr_open(&w, 'v');
    wr_u16(&w, MAJOR);
    wr_u16(&w, s->minor_agreed);
    wr_u32(&w, (uint32_t)s->protocol_option_count);
    for (size_t i = 0; i < s->protocol_option_count; i++)
        wr_cstr(&w, s->protocol_options[i]);
    wr_close(&w);
    return written(&w);
}

int startup_session_write(struct buf *to, uint16_t minor,
                          const struct startup_parameter *parameters, size_t count)
{
    struct wr w = wr_to(to);
    wr_open(&w, 0);
    wr_u16(&w, MAJOR);
    wr_u16(&w, minor);
    for (size_t i = 0; i < count; i++) {
        wr_cstr(&w, parameters[i].name);
        wr_cstr(&w, parameters[i].value);
    }
    wr_u8(&w, 0);
    wr_close(&w);
    return written(&w);
}

static void special_open(struct wr *w, uint16_t minor)
{
    wr_open(w, 0);
    wr_u16(w, MAJOR_SPECIAL);
    wr_u16(w, minor);
}

int startup_ssl_write(struct buf *to)
{
    struct wr w = wr_to(to);
    special_open(&w, MINOR_SSL);
    wr_close(&w);
    return written(&w);
}

int startup_gss_write(struct buf *to)
{
    struct wr w = wr_to(to);
    special_open(&w, MINOR_GSS);
    wr_close(&w);
    return written(&w);
}

int startup_cancel_write(struct buf *to, uint32_t pid, const uint8_t *key, size_t key_len)
{
    struct wr w = wr_to(to);
    special_open(&w, MINOR_CANCEL);
    wr_u32(&w, pid);
    wr_bytes(&w, key, key_len);
    wr_close(&w);
    return written(&w);
}
