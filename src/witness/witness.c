/* The order of the checks is the specification's, and matters: whoever is refused learns the first
 * thing that is wrong, and 409 may be said about an authentic checkpoint only.
 *
 *     malformed                                     400
 *     origin unknown                                404
 *     not signed by the log's key                   403
 *     old > size                                    400
 *     old is not the size we cosigned last          409, and that size
 *     the history differs, or cannot be compared    422
 *     otherwise: sign, store, answer                200
 *
 * Invariant: a signature that left this process is on disk; so after a crash at any place the size
 * on disk is at least the largest that anybody has a signature of. */
#include "witness/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "tlog/checkpoint.h"
#include "tlog/line.h"
#include "tlog/note.h"
#include "tlog/witness_request.h"

struct log {
    struct key key;
    char hex[WITNESS_HEX_LEN + 1];
    uint64_t size; /* 0 with an empty note: nothing cosigned yet */
    uint8_t root[TLOG_HASH_LEN];
    struct buf note;
};

struct witness {
    char state[PATH_MAX];
    const struct secret_key *key;
    int lock_fd;
    unsigned log_count;
    struct log logs[WITNESS_LOGS_MAX];
};

/* ---- the state folder ----------------------------------------------------------------------- */

static int path_of(const struct witness *w, const char *name, const char *suffix,
                   char ret[PATH_MAX], struct err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/%s%s", w->state, name, suffix);
    return n > 0 && n < PATH_MAX ? 0 : err_set(err, RF_ETOOBIG, "path of the state is too long");
}

static int lock(struct witness *w, struct err *err)
{
    char path[PATH_MAX];
    int rc = path_of(w, "lock", "", path, err);
    if (rc < 0)
        return rc;
    w->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->lock_fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    if (flock(w->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK
               ? err_set(err, RF_EUNAVAIL, "another witness uses the folder \"%s\"", w->state)
               : err_sys(err, "could not lock \"%s\"", path);
}

/* What a file of ours says, or what is wrong with it. */
static int take_state(const struct witness *w, struct log *log, const char *text, size_t len,
                      struct err *err)
{
    struct note note;
    struct checkpoint c;
    if (note_read(text, len, &note, err) < 0 ||
        checkpoint_read(note.text, note.text_len, &c, err) < 0)
        return -RF_ETAMPER;
    if (strcmp(c.origin, log->key.name) != 0 || note_verify(&note, &log->key, NULL, NULL) != 1 ||
        note_verify(&note, &w->key->key, NULL, NULL) != 1)
        return err_set(err, RF_ETAMPER, "it is not signed by this log and this witness");
    log->size = c.size;
    memcpy(log->root, c.root, sizeof(log->root));
    return buf_append(&log->note, text, len) < 0 ? err_set(err, RF_ENOMEM, "out of memory") : 0;
}

static int load(const struct witness *w, struct log *log, struct err *err)
{
    char path[PATH_MAX], *text = NULL;
    size_t len;
    struct err why = { 0 };
    int rc = path_of(w, log->hex, "", path, err);
    if (rc < 0)
        return rc;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0; /* nothing yet */
    rc = fd_read_file(path, WITNESS_NOTE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    rc = take_state(w, log, text, len, &why);
    if (rc < 0)
        rc = err_set(err, (enum err_code) - rc, "file \"%s\": %s", path, why.line);
    mem_free(text);
    return rc;
}

static int add_log(struct witness *w, const struct key *key, struct err *err)
{
    struct log *log = &w->logs[w->log_count];
    const struct iovec name = digest_piece(key->name, strlen(key->name));
    uint8_t digest[DIGEST_LEN];
    for (unsigned i = 0; i < w->log_count; i++)
        if (strcmp(w->logs[i].key.name, key->name) == 0)
            return err_set(err, RF_EINVAL, "log \"%s\" is given twice", key->name);
    if (key->type != KEY_ED25519)
        return err_set(err, RF_EINVAL, "key \"%s\" is not a log's", key->name);
    log->key = *key;
    digest_pieces(&name, 1, digest);
    digest_hex(digest, sizeof(digest), log->hex);
    buf_init(&log->note, WITNESS_NOTE_MAX);
    w->log_count++;
    return load(w, log, err);
}

int witness_open(const char *state, const struct secret_key *key, const struct key *logs,
                 unsigned log_count, struct witness **ret, struct err *err)
{
    struct witness *w = mem_zalloc(1, sizeof(*w));
    int rc = 0;
    if (w == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the witness");
    w->key = key;
    w->lock_fd = -1;
    if (strlen(state) >= sizeof(w->state) - WITNESS_HEX_LEN - 8)
        rc = err_set(err, RF_ETOOBIG, "path of the state is too long");
    else
        memcpy(w->state, state, strlen(state) + 1);
    if (rc == 0)
        rc = lock(w, err);
    for (unsigned i = 0; i < log_count && rc == 0; i++)
        rc = i < WITNESS_LOGS_MAX ? add_log(w, &logs[i], err)
                                  : err_set(err, RF_ETOOBIG, "more than %d logs", WITNESS_LOGS_MAX);
    if (rc < 0) {
        witness_close(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void witness_close(struct witness *w)
{
    if (w == NULL)
        return;
    for (unsigned i = 0; i < w->log_count; i++)
        buf_done(&w->logs[i].note);
    fd_close(&w->lock_fd); /* and so unlocks */
    mem_free(w);
}

const struct buf *witness_checkpoint(const struct witness *w, const char hex[WITNESS_HEX_LEN])
{
    for (unsigned i = 0; i < w->log_count; i++)
        if (memcmp(w->logs[i].hex, hex, WITNESS_HEX_LEN) == 0)
            return buf_len(&w->logs[i].note) > 0 ? &w->logs[i].note : NULL;
    return NULL;
}

/* ---- deciding ------------------------------------------------------------------------------- */

void witness_answer_init(struct witness_answer *a)
{
    *a = (struct witness_answer){ .status = 0 };
    buf_init(&a->body, WITNESS_NOTE_MAX);
}

void witness_answer_done(struct witness_answer *a)
{
    buf_done(&a->body);
}

static int say(struct witness_answer *a, unsigned status, const char *text)
{
    a->status = status;
    return buf_append(&a->body, text, strlen(text));
}

static int say_size(struct witness_answer *a, uint64_t size)
{
    char text[LINE_NUMBER_SIZE + 1];
    (void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)size);
    a->is_size = true;
    return say(a, 409, text);
}

/* As checkpoint_read(), but the false root of an empty tree is a matter of its own: 422, not 400.
 */
static int read_text(const struct note *note, struct checkpoint *ret, bool *ret_is_false_empty)
{
    struct line rest = { note->text, note->text_len }, origin, line;
    struct checkpoint c = { .size = 0 };
    *ret_is_false_empty = false;
    if (checkpoint_read(note->text, note->text_len, ret, NULL) == 0)
        return 0;
    if (!line_cut(&rest, &origin) || !key_is_name(origin.at, origin.len) ||
        !line_cut(&rest, &line) || !line_is(line, "0") || !line_cut(&rest, &line) ||
        !line_hash(line, c.root))
        return -RF_EPROTO;
    memcpy(c.origin, origin.at, origin.len); /* of zeros */
    *ret = c;
    *ret_is_false_empty = true;
    return 0;
}

static struct log *log_of(struct witness *w, const char *origin)
{
    for (unsigned i = 0; i < w->log_count; i++)
        if (strcmp(w->logs[i].key.name, origin) == 0)
            return &w->logs[i];
    return NULL;
}

/* The history that OLD_SIZE (which is ours) and the proof claim. */
static bool continues(const struct log *log, const struct witness_request *r,
                      const struct checkpoint *c)
{
    if (r->old_size == 0)
        return r->proof.count == 0;
    if (r->old_size == c->size)
        return r->proof.count == 0 && memcmp(log->root, c->root, sizeof(log->root)) == 0;
    return proof_consistency_holds(&r->proof, r->old_size, c->size, log->root, c->root);
}

/* The checkpoint with the log's own line and ours, which is RET_LINE too. */
static int cosigned(const struct witness *w, const struct log *log, const struct note *note,
                    uint64_t now_s, struct buf *ret_note, struct buf *ret_line, struct err *err)
{
    const char *bytes = note->text;
    int rc = note_cosign(ret_line, bytes, note->text_len, now_s, w->key, err);
    if (rc < 0)
        return rc;
    rc = buf_append(ret_note, bytes, note->text_len + 1); /* with the blank line */
    for (unsigned i = 0; i < note->signature_count && rc == 0; i++) {
        const struct note_signature *s = &note->signatures[i];
        if (s->id == log->key.id && s->name_len == strlen(log->key.name) &&
            memcmp(s->name, log->key.name, s->name_len) == 0)
            rc = buf_append(ret_note, bytes + s->line_at, s->line_len);
    }
    if (rc == 0)
        rc = buf_append(ret_note, buf_at(ret_line), buf_len(ret_line));
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not write the checkpoint") : 0;
}

static int store(const struct witness *w, const struct log *log, struct buf *note, struct err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int rc = path_of(w, log->hex, "", path, err);
    if (rc == 0)
        rc = path_of(w, log->hex, ".new", fresh, err);
    if (rc == 0)
        rc = folder_place_file(w->state, fresh, path, buf_at(note), buf_len(note), err);
    if (rc == 0 && FAULT("witness.stored"))
        (void)raise(SIGKILL); /* stored, and nobody was told */
    return rc;
}

static int sign_and_store(struct witness *w, struct log *log, const struct note *note,
                          const struct checkpoint *c, uint64_t now_s, struct witness_answer *ret,
                          struct err *err)
{
    struct buf stored;
    buf_init(&stored, WITNESS_NOTE_MAX);
    int rc = cosigned(w, log, note, now_s, &stored, &ret->body, err);
    if (rc == 0)
        rc = store(w, log, &stored, err);
    if (rc < 0) {
        buf_done(&stored);
        return rc;
    }
    buf_done(&log->note);
    log->note = stored;
    log->size = c->size;
    memcpy(log->root, c->root, sizeof(log->root));
    ret->status = 200;
    return 0;
}

int witness_add_checkpoint(struct witness *w, const void *request, size_t n, uint64_t now_s,
                           struct witness_answer *ret, struct err *err)
{
    struct witness_request r;
    struct note note;
    struct checkpoint c;
    struct err why = { 0 };
    bool is_false_empty;
    if (witness_request_read(request, n, &r, &why) < 0 ||
        note_read(r.checkpoint, r.checkpoint_len, &note, &why) < 0)
        return say(ret, 400, "malformed request\n");
    if (read_text(&note, &c, &is_false_empty) < 0 || note.text_len > WITNESS_NOTE_MAX / 2)
        return say(ret, 400, "malformed checkpoint\n");
    struct log *log = log_of(w, c.origin);
    if (log == NULL)
        return say(ret, 404, "unknown origin\n");
    if (note_verify(&note, &log->key, NULL, NULL) != 1)
        return say(ret, 403, "not signed by the log\n");
    if (r.old_size > c.size)
        return say(ret, 400, "old size is larger than the new one\n");
    if (r.old_size != log->size)
        return say_size(ret, log->size);
    if (is_false_empty || !continues(log, &r, &c))
        return say(ret, 422, "the checkpoint does not continue the last one\n");
    return sign_and_store(w, log, &note, &c, now_s, ret, err);
}
