#include "ledger/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "ledger/segment.h"

/* Bytes that are no entry mean one of three things:
 *
 *   nothing valid behind them in the file, no later segment   => a torn tail, or a writer at work
 *   something valid behind, and they are good when read again => a writer was at work
 *   something valid behind, and they stay bad                 => damage
 *
 * The second case exists because a reader may see half of a write; a writer fills a file from front
 * to back, so whoever sees what is behind sees the whole when looking again. */

enum { CHUNK = 256 * 1024 };

struct scan {
    char folder[PATH_MAX];
    struct scan_state at;
    struct buf buf; /* bytes of the file from at.offset on */
    size_t given;   /* length of the entry that the caller still borrows */
    int fd;
};

static int damage(struct scan *s, struct err *err, const char *what)
{
    (void)err_set(err, RF_ETAMPER,
                  "journal is damaged: \"%.200s\" at offset %" PRIu64 ", entry %" PRIu64 ": %s",
                  s->at.path, s->at.offset, s->at.index, what);
    err_hint(err, "stop the gateway, copy the journal's folder away, run \"ringfence log check\", "
                  "and see \"Opening after a stop or crash\" in docs/formats/journal.md");
    return -RF_ETAMPER;
}

/* Up to N bytes of the file at OFFSET; fewer only at its end. */
static int read_at(struct scan *s, uint64_t offset, void *bytes, size_t n, size_t *ret,
                   struct err *err)
{
    size_t got = 0;
    while (got < n) {
        ssize_t m = pread(s->fd, (uint8_t *)bytes + got, n - got, (off_t)(offset + got));
        if (m < 0 && errno == EINTR)
            continue;
        if (m < 0)
            return err_sys(err, "could not read \"%s\"", s->at.path);
        if (m == 0)
            break;
        got += (size_t)m;
    }
    *ret = got;
    return 0;
}

/* Does the header continue what was read before it? NULL or what is wrong. */
static const char *header_breaks(const struct scan *s, const struct frame_header *h, uint64_t first)
{
    uint8_t chain[DIGEST_LEN];
    if (h->first != first)
        return "file name and first index differ";
    if (s->at.segments > 0) {
        if (memcmp(h->journal_id, s->at.header.journal_id, sizeof(h->journal_id)) != 0)
            return "segment of another journal";
        if (strcmp(h->name, s->at.header.name) != 0)
            return "segment of another gateway";
        return memcmp(h->chain, s->at.chain, sizeof(h->chain)) != 0 ? "chain value of the header"
                                                                    : NULL;
    }
    if (first != 0)
        return NULL; /* reading begins in the middle: the chain is taken as it is here */
    frame_first_chain(h->journal_id, h->name, chain);
    return memcmp(chain, h->chain, sizeof(chain)) != 0 ? "chain value of the header" : NULL;
}

static int open_segment(struct scan *s, uint64_t first, struct err *err)
{
    uint8_t bytes[FRAME_HEADER_MAX];
    struct frame_header header;
    size_t n, len;
    fd_close(&s->fd);
    buf_clear(&s->buf);
    segment_path(s->folder, first, "", s->at.path);
    s->at.offset = 0;
    s->fd = open(s->at.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0)
        return err_sys(err, "could not open \"%s\"", s->at.path);
    int rc = read_at(s, 0, bytes, sizeof(bytes), &n, err);
    if (rc < 0)
        return rc;
    if (frame_header_read(bytes, n, &header, &len) < 0)
        return damage(s, err, "header of the segment");
    const char *broken = header_breaks(s, &header, first);
    if (broken != NULL)
        return damage(s, err, broken);
    s->at.header = header;
    memcpy(s->at.chain, header.chain, sizeof(s->at.chain));
    s->at.index = first;
    s->at.offset = len;
    s->at.segments++;
    return 0;
}

int scan_open(const char *folder, uint64_t from, struct scan **ret, struct err *err)
{
    struct segment_list list;
    struct scan *s = NULL;
    int rc = digest_init(err);
    if (rc < 0)
        return rc;
    rc = segment_list_read(folder, false, &list, err);
    if (rc < 0)
        goto out;
    if (list.count == 0) {
        rc = err_set(err, RF_ENOTFOUND, "there is no journal in \"%s\"", folder);
        goto out;
    }
    if (list.first[0] != 0) {
        rc = err_set(err, RF_ETAMPER,
                     "journal is damaged: \"%s\" begins with entry %" PRIu64
                     ", the segments before are missing",
                     folder, list.first[0]);
        goto out;
    }
    s = mem_zalloc(1, sizeof(*s));
    if (s == NULL) {
        rc = err_set(err, RF_ENOMEM, "out of memory");
        goto out;
    }
    s->fd = -1;
    buf_init(&s->buf, CHUNK + FRAME_ENTRY_MAX);
    (void)snprintf(s->folder, sizeof(s->folder), "%s", folder);
    size_t i = list.count - 1;
    while (i > 0 && list.first[i] > from)
        i--;
    rc = open_segment(s, list.first[i], err);
    if (rc < 0)
        goto out;
    *ret = s;
    s = NULL;
out:
    scan_close(s);
    segment_list_done(&list);
    return rc;
}

void scan_close(struct scan *s)
{
    if (s == NULL)
        return;
    fd_close(&s->fd);
    buf_done(&s->buf);
    mem_free(s);
}

const struct scan_state *scan_state(const struct scan *s)
{
    return &s->at;
}

/* Read on behind what the buffer holds: how much came, 0 at the end of the file. */
static int refill(struct scan *s, size_t *ret, struct err *err)
{
    uint8_t *to = buf_reserve(&s->buf, CHUNK);
    if (to == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = read_at(s, s->at.offset + buf_len(&s->buf), to, CHUNK, ret, err);
    if (rc == 0)
        buf_grew(&s->buf, *ret);
    return rc;
}

/* The length of the entry at at.offset, read into the buffer; 0 none (bytes in the buffer, if any,
   are not one). */
static int64_t peek(struct scan *s, struct frame_entry *ret, struct err *err)
{
    for (;;) {
        size_t n;
        int64_t len = frame_entry_read(s->buf.data != NULL ? buf_at(&s->buf) : (uint8_t *)"",
                                       buf_len(&s->buf), ret);
        if (len > 0)
            return len;
        if (len < 0)
            return 0;
        int rc = refill(s, &n, err);
        if (rc < 0)
            return rc;
        if (n == 0)
            return 0;
    }
}

/* Is a whole entry at OFFSET? 1, 0 or an error. */
static int is_entry_at(struct scan *s, uint64_t offset, struct err *err)
{
    struct frame_entry found;
    size_t n;
    uint8_t *entry = mem_zalloc(1, FRAME_ENTRY_MAX);
    if (entry == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = read_at(s, offset, entry, FRAME_ENTRY_MAX, &n, err);
    if (rc == 0)
        rc = frame_entry_read(entry, n, &found) > 0;
    mem_free(entry);
    return rc;
}

/* Is one anywhere behind at.offset? Markers are looked for, and then the whole entry is judged. */
static int is_entry_behind(struct scan *s, struct err *err)
{
    uint8_t window[16 * 1024];
    uint64_t offset = s->at.offset + 1;
    for (;;) {
        size_t n;
        int rc = read_at(s, offset, window, sizeof(window), &n, err);
        if (rc < 0 || n < 4)
            return rc;
        uint8_t *mark = memmem(window, n, FRAME_MARKER, 4);
        if (mark == NULL) {
            offset += n - 3; /* a marker may lie across two windows */
            continue;
        }
        offset += (uint64_t)(mark - window);
        rc = is_entry_at(s, offset, err);
        if (rc != 0)
            return rc;
        offset++;
    }
}

/* Is there a segment later than the present one? 1, 0 or an error. */
static int is_segment_behind(struct scan *s, struct err *err)
{
    struct segment_list list;
    int rc = segment_list_read(s->folder, false, &list, err);
    if (rc == 0 && list.count > 0 && list.first[list.count - 1] > s->at.header.first)
        rc = 1;
    segment_list_done(&list);
    return rc;
}

/* The file has ended after a good entry: go on in the next one. 1 gone on, 0 there is none. */
static int next_segment(struct scan *s, struct err *err)
{
    char path[PATH_MAX];
    struct frame_entry entry;
    struct stat st;
    int rc = is_segment_behind(s, err);
    if (rc <= 0)
        return rc;
    /* The present one is final now; a writer may have filled it since we saw its end. */
    int64_t len = peek(s, &entry, err);
    if (len != 0 || buf_len(&s->buf) > 0)
        return len < 0 ? (int)len : 1;
    segment_path(s->folder, s->at.index, "", path);
    if (s->at.index == s->at.header.first || lstat(path, &st) < 0)
        return damage(s, err, "the entries that should follow are missing");
    rc = open_segment(s, s->at.index, err);
    return rc < 0 ? rc : 1;
}

/* Bytes at at.offset are no entry: damage, or 0 for a torn tail, or 1 when they are one by now. */
static int judge_tail(struct scan *s, struct err *err)
{
    struct frame_entry entry;
    struct stat st;
    int behind = is_segment_behind(s, err);
    if (behind == 0)
        behind = is_entry_behind(s, err);
    if (behind < 0)
        return behind;
    /* Looked at again in either case: a torn tail that was seen before may have been cut off, and
       whole entries written in its place. */
    buf_clear(&s->buf);
    int64_t len = peek(s, &entry, err);
    if (len != 0)
        return len < 0 ? (int)len : 1;
    if (behind == 1)
        return damage(s, err, "no whole entry, but others behind it");
    if (fstat(s->fd, &st) < 0)
        return err_sys(err, "could not look at \"%s\"", s->at.path);
    s->at.torn = (uint64_t)st.st_size > s->at.offset ? (uint64_t)st.st_size - s->at.offset : 0;
    return 0;
}

int scan_next(struct scan *s, struct frame_entry *ret, uint64_t *ret_offset, struct err *err)
{
    int rc;
    if (s->given > 0)
        buf_consume(&s->buf, s->given);
    s->given = 0;
    s->at.torn = 0;
    do {
        int64_t len = peek(s, ret, err);
        if (len < 0)
            return (int)len;
        if (len > 0) {
            const char *broken =
                frame_entry_breaks(buf_at(&s->buf), ret, s->at.index, s->at.minute, s->at.chain);
            if (broken != NULL)
                return damage(s, err, broken);
            *ret_offset = s->at.offset;
            s->given = (size_t)len;
            s->at.offset += (uint64_t)len;
            s->at.index++;
            s->at.minute = ret->minute;
            memcpy(s->at.chain, ret->chain, sizeof(s->at.chain));
            return 1;
        }
        rc = buf_len(&s->buf) == 0 ? next_segment(s, err) : judge_tail(s, err);
    } while (rc == 1);
    return rc;
}
