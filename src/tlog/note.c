#include "tlog/note.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "tlog/line.h"

/* A note is text that ends with a line feed, a blank line, and signature lines:
 *
 *     — NAME BASE64(id (4 bytes, big-endian), signature)
 *
 * The text ends at the last blank line. One malformed line makes the whole note malformed, also
 * where its key is nobody we know: other readers do the same, and a note must not be one thing here
 * and another there. Two lines with one name and id are refused for that reason too. */

static const char dash[] = "\xe2\x80\x94 "; /* U+2014 and a blank */
static const char cosignature_mark[] = "cosignature/v1\n";

enum { COSIGNATURE_LEN = 8 + KEY_SIGNATURE_LEN, ID_LEN = 4 };

/* --- reading --- */

/* Unicode's white space (general category Zs and the controls that count as such). */
static bool is_space(int32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* A name of anybody's key: more is allowed than in our own. */
static bool is_any_name(struct line name)
{
    if (name.len == 0)
        return false;
    while (name.len > 0) {
        size_t len;
        int32_t code = line_code_point(name, &len);
        if (code < 0x20 || code == '+' || is_space(code))
            return false;
        name.at += len;
        name.len -= len;
    }
    return true;
}

static uint64_t number_of(const uint8_t *bytes, size_t n)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* LINE is without its line end. */
static bool signature_read(struct line line, struct note_signature *ret)
{
    uint8_t bytes[NOTE_BLOB_MAX];
    size_t n;
    ret->line_len = line.len + 1;
    if (!line_skip(&line, dash))
        return false;
    const char *blank = line.len == 0 ? NULL : memchr(line.at, ' ', line.len);
    if (blank == NULL)
        return false;
    struct line name = { line.at, (size_t)(blank - line.at) };
    size_t text_len = line.len - name.len - 1;
    if (!is_any_name(name) || text_len > BASE64_LEN(NOTE_BLOB_MAX) ||
        base64_decode(blank + 1, text_len, bytes, sizeof(bytes), &n) < 0 || n <= ID_LEN)
        return false;
    ret->name = name.at;
    ret->name_len = name.len;
    ret->id = (uint32_t)number_of(bytes, ID_LEN);
    ret->blob_len = n - ID_LEN;
    memset(ret->blob, 0, sizeof(ret->blob));
    memcpy(ret->blob, bytes + ID_LEN,
           ret->blob_len < sizeof(ret->blob) ? ret->blob_len : sizeof(ret->blob));
    return true;
}

static bool is_by(const struct note_signature *s, const char *name, size_t name_len, uint32_t id)
{
    return s->id == id && s->name_len == name_len && memcmp(s->name, name, name_len) == 0;
}

static bool is_there(const struct note *note, const struct note_signature *s)
{
    for (unsigned i = 0; i < note->signature_count; i++)
        if (is_by(&note->signatures[i], s->name, s->name_len, s->id))
            return true;
    return false;
}

static int signatures_read(const char *bytes, struct line rest, struct note *ret, struct err *err)
{
    struct line line;
    ret->signature_count = 0;
    while (rest.len > 0) {
        if (ret->signature_count == NOTE_SIGNATURES_MAX)
            return err_set(err, RF_EPROTO, "note has more than %d signatures", NOTE_SIGNATURES_MAX);
        struct note_signature *s = &ret->signatures[ret->signature_count];
        if (!line_cut(&rest, &line) || !signature_read(line, s))
            return err_set(err, RF_EPROTO, "signature line %u of the note is malformed",
                           ret->signature_count + 1);
        if (is_there(ret, s))
            return err_set(err, RF_EPROTO, "note has two signatures by one key");
        s->line_at = (size_t)(line.at - bytes);
        ret->signature_count++;
    }
    return ret->signature_count > 0 ? 0 : err_set(err, RF_EPROTO, "note is not signed");
}

int note_read(const char *bytes, size_t n, struct note *ret, struct err *err)
{
    if (n > NOTE_MAX)
        return err_set(err, RF_EPROTO, "note is larger than %d bytes", NOTE_MAX);
    if (!line_is_text((struct line){ bytes, n }))
        return err_set(err, RF_EPROTO, "note has control characters or is not UTF-8");
    size_t cut = n; /* where the last blank line's own line feed is */
    while (cut > 1 && (bytes[cut - 1] != '\n' || bytes[cut - 2] != '\n'))
        cut--;
    if (cut <= 1)
        return err_set(err, RF_EPROTO, "note has no blank line before its signatures");
    ret->text = bytes;
    ret->text_len = cut - 1;
    return signatures_read(bytes, (struct line){ bytes + cut, n - cut }, ret, err);
}

int note_line_read(const char *line, size_t len, struct note_signature *ret, struct err *err)
{
    struct line rest = { line, len }, cut;
    if (!line_is_text(rest) || !line_cut(&rest, &cut) || rest.len > 0 || !signature_read(cut, ret))
        return err_set(err, RF_EPROTO, "signature line is malformed");
    ret->line_at = 0;
    return 0;
}

/* --- messages --- */

/* What a witness signs: the time and the text. The caller frees MESSAGE in any case. */
static int cosigned(struct buf *message, uint64_t time, const char *text, size_t len)
{
    char head[sizeof(cosignature_mark) + 5 + LINE_NUMBER_SIZE + 1];
    int n =
        snprintf(head, sizeof(head), "%stime %llu\n", cosignature_mark, (unsigned long long)time);
    buf_init(message, NOTE_MAX + sizeof(head));
    int rc = buf_append(message, head, (size_t)n);
    return rc < 0 ? rc : buf_append(message, text, len);
}

static int cosignature_holds(const struct note *note, const struct note_signature *s,
                             const struct key *key, uint64_t *ret_time)
{
    struct buf message;
    uint64_t time = number_of(s->blob, 8);
    if (s->blob_len != COSIGNATURE_LEN || time == 0 || time > LINE_NUMBER_MAX)
        return 0;
    int rc = cosigned(&message, time, note->text, note->text_len);
    if (rc == 0)
        rc = key_verify(key, buf_at(&message), buf_len(&message), s->blob + 8);
    buf_done(&message);
    if (rc == 1 && ret_time != NULL)
        *ret_time = time;
    return rc;
}

int note_verify(const struct note *note, const struct key *key, uint64_t *ret_time, struct err *err)
{
    const struct note_signature *s = NULL;
    for (unsigned i = 0; i < note->signature_count && s == NULL; i++)
        if (is_by(&note->signatures[i], key->name, strlen(key->name), key->id))
            s = &note->signatures[i];
    if (s == NULL)
        return 0;
    int rc = key->type == KEY_COSIGNATURE
                 ? cosignature_holds(note, s, key, ret_time)
                 : s->blob_len == KEY_SIGNATURE_LEN &&
                       key_verify(key, note->text, note->text_len, s->blob);
    if (rc == 0)
        return err_set(err, RF_ETAMPER, "signature by key \"%s\" does not hold", key->name);
    return rc < 0 ? err_set(err, RF_ENOMEM, "could not check the signature by \"%s\"", key->name)
                  : rc;
}

/* --- writing --- */

enum {
    SIGNATURE_LINE_SIZE = sizeof(dash) + KEY_NAME_MAX + 1 + BASE64_LEN(ID_LEN + COSIGNATURE_LEN) + 2
};

static int check_signable(const char *text, size_t len, const struct secret_key *key,
                          enum key_type type, struct err *err)
{
    if (key->key.type != type)
        return err_set(err, RF_EINVAL, "key \"%s\" is of another type than %02x", key->key.name,
                       (unsigned)type);
    if (len == 0 || len > NOTE_MAX - SIGNATURE_LINE_SIZE || text[len - 1] != '\n' ||
        !line_is_text((struct line){ text, len }))
        return err_set(err, RF_EINVAL, "text cannot be signed as a note");
    return 0;
}

/* BLOB of N bytes has four free bytes in front for the id. */
static size_t signature_line(char to[SIGNATURE_LINE_SIZE], const struct key *key, uint8_t *blob,
                             size_t n)
{
    char text[BASE64_LEN(ID_LEN + COSIGNATURE_LEN) + 1];
    for (unsigned i = 0; i < ID_LEN; i++)
        blob[i] = (uint8_t)(key->id >> (24 - 8 * i));
    (void)base64_encode(blob, n, text);
    return (size_t)snprintf(to, SIGNATURE_LINE_SIZE, "%s%s %s\n", dash, key->name, text);
}

static int failed(int rc, const struct secret_key *key, struct err *err)
{
    return rc == 0 ? 0
                   : err_set(err, (enum err_code) - rc, "could not sign with key \"%s\"",
                             key->key.name);
}

int note_sign(struct buf *to, const char *text, size_t len, const struct secret_key *key,
              struct err *err)
{
    uint8_t blob[ID_LEN + KEY_SIGNATURE_LEN];
    char line[SIGNATURE_LINE_SIZE];
    int rc = check_signable(text, len, key, KEY_ED25519, err);
    if (rc < 0)
        return rc;
    rc = key_sign(key, text, len, blob + ID_LEN);
    if (rc < 0)
        return failed(rc, key, err);
    size_t n = signature_line(line, &key->key, blob, sizeof(blob));
    rc = buf_ensure(to, len + 1 + n);
    if (rc == 0)
        rc = buf_append(to, text, len);
    if (rc == 0)
        rc = buf_append(to, "\n", 1);
    if (rc == 0)
        rc = buf_append(to, line, n);
    return failed(rc, key, err);
}

int note_cosign(struct buf *to, const char *text, size_t len, uint64_t time,
                const struct secret_key *key, struct err *err)
{
    uint8_t blob[ID_LEN + COSIGNATURE_LEN];
    char line[SIGNATURE_LINE_SIZE];
    struct buf message;
    int rc = check_signable(text, len, key, KEY_COSIGNATURE, err);
    if (rc < 0)
        return rc;
    if (time == 0 || time > LINE_NUMBER_MAX)
        return err_set(err, RF_EINVAL, "time of a cosignature is out of range");
    for (unsigned i = 0; i < 8; i++)
        blob[ID_LEN + i] = (uint8_t)(time >> (56 - 8 * i));
    rc = cosigned(&message, time, text, len);
    if (rc == 0)
        rc = key_sign(key, buf_at(&message), buf_len(&message), blob + ID_LEN + 8);
    buf_done(&message);
    if (rc == 0)
        rc = buf_append(to, line, signature_line(line, &key->key, blob, sizeof(blob)));
    return failed(rc, key, err);
}
