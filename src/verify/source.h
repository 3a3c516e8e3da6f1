/* source.h - where a log's files come from: a folder, an http(s) address, or whatever gives them.
 *
 * Only the canonical paths of tlog/path.h are ever asked for. That a file is not there is an answer
 * of its own: behind a signed checkpoint it is evidence, while what cannot be read is not. */
#ifndef RF_VERIFY_SOURCE_H
#define RF_VERIFY_SOURCE_H

#include "base/buf.h"
#include "base/err.h"
#include "ledger/logleaf.h"
#include "tlog/note.h"
#include "tlog/path.h"

/* Longest that a file of each kind may be. A bundle holds leaves, and they are short. */
enum {
    SOURCE_TILE_MAX = TLOG_TILE_WIDTH * DIGEST_LEN,
    SOURCE_BUNDLE_MAX = TLOG_TILE_WIDTH * (LOGLEAF_MAX + 2),
    SOURCE_CHECKPOINT_MAX = NOTE_MAX,
    SOURCE_AHEAD_MAX = 16 /* files that are on their way at once */
};

struct source;

/* A name below `tile/`, relative to the log's prefix. A failure ends the listing. */
typedef int source_name_fn(void *context, const char *path, bool is_file);

struct source_ops {
    /* 1: the file's bytes, at most MAX + 1 of them, were appended to TO (one too many says that
       it is longer). 0: it is not there. Negative: it cannot be read. */
    int (*read)(void *context, const char *path, size_t max, struct buf *to, struct err *err);
    void (*ahead)(void *context, const char *path, size_t max); /* soon asked for; may be NULL */
    /* Every name below `tile/` that is no folder; NULL: cannot list. */
    int (*list)(void *context, source_name_fn *on_name, void *name_context, struct err *err);
    void (*close)(void *context); /* may be NULL */
};

/* How to be let in where a log is not for everybody. */
struct source_access {
    const char *token; /* sent to https addresses alone, and never on to where they lead; or NULL */
    const char *ca;    /* PEM file of whom to believe instead of the system's; or NULL */
};

/* A folder's path, or a URL of scheme http or https. ACCESS is borrowed until the end; may be NULL.
 */
RF_CHECK int source_open(const char *where, const struct source_access *access, struct source **ret,
                         struct err *err);
/* CONTEXT is closed with the source, also when this fails. */
RF_CHECK int source_new(const struct source_ops *ops, void *context, struct source **ret,
                        struct err *err);
void source_close(struct source *s);

struct source_file {
    const uint8_t *bytes; /* borrowed until the next read of a file of that kind */
    size_t len;
    unsigned width; /* 256 where a whole tile was there in the place of a partial one */
    char path[TLOG_PATH_SIZE];
};

/* 1, 0 or negative as above. A partial tile that is not there is read from the whole one. */
RF_CHECK int source_read(struct source *s, const struct tlog_path *path, struct source_file *ret,
                         struct err *err);
/* The same, but that very file. */
RF_CHECK int source_read_exact(struct source *s, const struct tlog_path *path,
                               struct source_file *ret, struct err *err);
void source_ahead(struct source *s, const struct tlog_path *path);

bool source_lists(const struct source *s);
RF_CHECK int source_list(struct source *s, source_name_fn *on_name, void *context, struct err *err);

/* The kinds; source_open() chooses. */
RF_CHECK int source_folder_open(const char *folder, struct source **ret, struct err *err);
RF_CHECK int source_http_open(const char *url, const struct source_access *access,
                              struct source **ret, struct err *err);

/* What the functions above do, by the text of a canonical path. */
RF_CHECK int source_fetch(struct source *s, const char *path, size_t max, struct buf *to,
                          struct err *err);
void source_announce(struct source *s, const char *path, size_t max);

/* Reads from FROM, and from FOLDER what is there already; whatever came from FROM is kept in
   FOLDER, except the checkpoint. FROM is borrowed. */
RF_CHECK int source_copy_open(struct source *from, const char *folder, struct source **ret,
                              struct err *err);
/* Put BYTES into FOLDER/PATH, whole or not at all, making folders. */
RF_CHECK int source_keep(const char *folder, const char *path, const void *bytes, size_t n,
                         struct err *err);

#endif
