/* note.h - signed notes (C2SP signed-note) and cosignatures (C2SP tlog-cosignature, type 0x04). */
#ifndef RF_TLOG_NOTE_H
#define RF_TLOG_NOTE_H

#include "base/buf.h"
#include "tlog/key.h"

enum { NOTE_MAX = 128 * 1024, NOTE_SIGNATURES_MAX = 100, NOTE_BLOB_MAX = 8192 };

struct note_signature { /* borrowed from the note */
    const char *name;
    size_t name_len;
    uint32_t id;
    size_t line_at, line_len;            /* with its line end */
    uint8_t blob[8 + KEY_SIGNATURE_LEN]; /* after the id; longer ones are of other algorithms */
    size_t blob_len;
};

struct note {
    const char *text; /* ends with the newline before the blank line; borrowed */
    size_t text_len;
    struct note_signature signatures[NOTE_SIGNATURES_MAX];
    unsigned signature_count;
};

/* Strictly; -RF_EPROTO says in ERR what is wrong. Two lines of one name and id are refused. */
RF_CHECK int note_read(const char *bytes, size_t n, struct note *ret, struct err *err);

/* 1: signed by KEY and the signature holds. 0: KEY has not signed. -RF_ETAMPER: a signature of that
   name and id that does not hold. For a cosignature *RET_TIME (may be NULL) is its POSIX time. */
RF_CHECK int note_verify(const struct note *note, const struct key *key, uint64_t *ret_time,
                         struct err *err);

/* Append TEXT, a blank line and KEY's signature line; or nothing. -RF_EINVAL for a key of another
   type, and for a text that is none: it ends with a line feed and is UTF-8 without controls. */
RF_CHECK int note_sign(struct buf *to, const char *text, size_t len, const struct secret_key *key,
                       struct err *err);
/* Append a witness's line over the text of a note: KEY is of type KEY_COSIGNATURE. */
RF_CHECK int note_cosign(struct buf *to, const char *text, size_t len, uint64_t time,
                         const struct secret_key *key, struct err *err);
/* One signature line at LINE (with its line end) into *RET; what a witness answers. */
RF_CHECK int note_line_read(const char *line, size_t len, struct note_signature *ret,
                            struct err *err);

#endif
