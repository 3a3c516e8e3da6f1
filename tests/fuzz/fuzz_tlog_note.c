/* fuzz_tlog_note.c - any bytes as a signed note: refused, or text and lines that make up the whole
 * of it, each of which reads the same alone and is written the same. */
#include <stdint.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "tlog/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Signatures of our kinds are written back; of longer ones only the start is kept. */
static void check_line(const char *line, const struct note_signature *s)
{
    uint8_t bytes[4 + sizeof(s->blob)];
    char text[BASE64_LEN(sizeof(bytes)) + 1];
    static const char dash[] = "\xe2\x80\x94 ";
    size_t at = sizeof(dash) - 1;
    RF_ASSERT(s->blob_len > 0 && s->blob_len + 4 <= NOTE_BLOB_MAX && s->name_len > 0);
    if (s->blob_len > sizeof(s->blob))
        return;
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(s->id >> (24 - 8 * i));
    memcpy(bytes + 4, s->blob, s->blob_len);
    size_t n = base64_encode(bytes, 4 + s->blob_len, text);
    RF_ASSERT(s->line_len == at + s->name_len + 1 + n + 1);
    RF_ASSERT(memcmp(line, dash, at) == 0 && memcmp(line + at, s->name, s->name_len) == 0);
    RF_ASSERT(line[at + s->name_len] == ' ' && line[s->line_len - 1] == '\n');
    RF_ASSERT(memcmp(line + at + s->name_len + 1, text, n) == 0);
}

static void check_note(const char *bytes, size_t size, const struct note *note)
{
    RF_ASSERT(note->text == bytes && note->text_len > 0 && note->signature_count > 0);
    RF_ASSERT(bytes[note->text_len - 1] == '\n' && bytes[note->text_len] == '\n');
    size_t at = note->text_len + 1;
    for (unsigned i = 0; i < note->signature_count; i++) {
        const struct note_signature *s = &note->signatures[i];
        struct note_signature alone;
        RF_ASSERT(s->line_at == at);
        check_line(bytes + at, s);
        RF_ASSERT(note_line_read(bytes + at, s->line_len, &alone, NULL) == 0);
        RF_ASSERT(alone.id == s->id && alone.name == s->name && alone.name_len == s->name_len);
        RF_ASSERT(alone.blob_len == s->blob_len &&
                  memcmp(alone.blob, s->blob, sizeof(s->blob)) == 0);
        at += s->line_len;
    }
    RF_ASSERT(at == size);
}

/* The text of a note can be signed again, and then that signature holds. */
static void check_signing(const struct note *note)
{
    static const uint8_t seed[KEY_SEED_LEN] = { 1 };
    static struct secret_key log, witness;
    struct note twice;
    struct buf b;
    uint64_t time;
    if (log.key.id == 0) {
        RF_ASSERT(secret_key_make("a", KEY_ED25519, seed, &log, NULL) == 0);
        RF_ASSERT(secret_key_make("a", KEY_COSIGNATURE, seed, &witness, NULL) == 0);
    }
    buf_init(&b, NOTE_MAX);
    if (note_sign(&b, note->text, note->text_len, &log, NULL) == 0 &&
        note_cosign(&b, note->text, note->text_len, 7, &witness, NULL) == 0) {
        RF_ASSERT(note_read((char *)buf_at(&b), buf_len(&b), &twice, NULL) == 0);
        RF_ASSERT(twice.text_len == note->text_len);
        RF_ASSERT(note_verify(&twice, &log.key, NULL, NULL) == 1);
        RF_ASSERT(note_verify(&twice, &witness.key, &time, NULL) == 1 && time == 7);
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct note note;
    struct note_signature line;
    struct err err;
    const char *bytes = (const char *)data;
    RF_ASSERT(digest_init(&err) == 0);
    if (note_read(bytes, size, &note, &err) == 0) {
        check_note(bytes, size, &note);
        check_signing(&note);
    }
    if (note_line_read(bytes, size, &line, &err) == 0) {
        RF_ASSERT(line.line_len == size);
        check_line(bytes, &line);
    }
    return 0;
}
