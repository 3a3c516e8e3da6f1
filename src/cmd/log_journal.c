/* log_journal.c - `ringfence log show|tail|check` without a log's place: the journal as lines, and
 * whether it holds together (docs/formats/journal.md, section 7). Reads only, also while the
 * gateway writes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/fd.h"
#include "cmd/logcommand.h"
#include "ledger/opening.h"
#include "ledger/reopen.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "ledger/treehead.h"
#include "policy/mistakes.h"

enum { TAIL_ENTRIES = 10, FOLLOW_PAUSE_MS = 200, SETTLE_PAUSE_MS = 50, SETTLE_TRIES = 20 };

struct log_options {
    const char *verb;      /* "show", "tail", "check" */
    const char *state_dir; /* NULL: the configuration's */
    uint64_t from, leaf;
    bool has_leaf; /* show: that leaf of the public log, and nothing else */
    bool sealed;   /* do not open private parts */
    bool follow;
};

struct log_run {
    const struct command_context *context;
    struct log_options options;
    char state_dir[PATH_MAX], folder[PATH_MAX];
    struct scan *scan;
    struct daykey_store *keys;
    struct buf plain; /* salt and private part of one entry */
    struct treehead tree;
    uint64_t opened, closed;
};

static bool read_index(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i > 17)
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = value;
    return text[0] != '\0';
}

static int read_arguments(int argc, char **argv, struct log_options *ret)
{
    if (argc < 2)
        return -RF_EUSAGE;
    ret->verb = argv[1];
    bool is_show = strcmp(ret->verb, "show") == 0, is_tail = strcmp(ret->verb, "tail") == 0;
    if (!is_show && !is_tail && strcmp(ret->verb, "check") != 0)
        return -RF_EUSAGE;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--state") == 0 && i + 1 < argc)
            ret->state_dir = argv[++i];
        else if (is_show && strcmp(argv[i], "--from") == 0 && i + 1 < argc &&
                 read_index(argv[i + 1], &ret->from))
            i++;
        else if (is_show && strcmp(argv[i], "--leaf") == 0 && i + 1 < argc &&
                 read_index(argv[i + 1], &ret->leaf))
            ret->has_leaf = ++i > 0;
        else if (is_show && strcmp(argv[i], "--sealed") == 0)
            ret->sealed = true;
        else if (is_tail && strcmp(argv[i], "-f") == 0)
            ret->follow = true;
        else
            return -RF_EUSAGE;
    }
    return 0;
}

int log_find_state(const struct command_context *context, const char *state_dir, char ret[PATH_MAX],
                   struct err *err)
{
    struct mistakes mistakes;
    struct config *config = NULL;
    int rc = 0;
    mistakes_init(&mistakes);
    if (state_dir == NULL && config_load(context->config_path, &config, &mistakes) < 0) {
        mistakes_print(&mistakes, stderr);
        rc = err_set(err, RF_ECONFIG, "cannot find the state folder without the configuration");
        err_hint(err, "name the folder with --state");
    }
    if (config != NULL)
        state_dir = config->state_dir;
    if (rc == 0 && (size_t)snprintf(ret, PATH_MAX, "%s", state_dir) >= PATH_MAX)
        rc = err_set(err, RF_ETOOBIG, "path of the state folder is too long");
    config_free(config);
    mistakes_done(&mistakes);
    return rc;
}

static int damage(const struct log_run *r, uint64_t offset, uint64_t index, struct err *err)
{
    struct err why = *err;
    (void)err_set(err, RF_ETAMPER,
                  "journal is damaged: \"%.200s\" at offset %" PRIu64 ", entry %" PRIu64 ": %s",
                  scan_state(r->scan)->path, offset, index, why.line);
    return -RF_ETAMPER;
}

/* Judge one entry and open it if it can be: *RET_PRIVATE is NULL when it stays sealed. */
static int entry_open(struct log_run *r, const struct frame_entry *entry, uint64_t offset,
                      struct leaf *ret_leaf, const uint8_t **ret_private, size_t *ret_len,
                      struct err *err)
{
    *ret_private = NULL;
    *ret_len = 0;
    int rc = opening_leaf(entry, ret_leaf, err);
    if (rc < 0)
        return damage(r, offset, entry->index, err);
    if (r->options.sealed)
        return 0;
    rc =
        opening_private(r->keys, scan_state(r->scan)->header.name, entry, ret_leaf, &r->plain, err);
    if (rc == -RF_ETAMPER)
        return damage(r, offset, entry->index, err);
    if (rc == -RF_ENOMEM)
        return rc;
    if (rc == 1) { /* else the key is gone, or not for us to read */
        *ret_private = buf_at(&r->plain) + SEAL_SALT_LEN;
        *ret_len = buf_len(&r->plain) - SEAL_SALT_LEN;
    }
    return 0;
}

static void entry_print(const struct log_run *r, const struct frame_entry *entry,
                        const uint8_t *private_part, size_t private_len)
{
    bool json = r->context->json;
    (void)printf(json ? "{\"index\":%" PRIu64 ",\"public\":" : "%" PRIu64 "\t", entry->index);
    (void)fwrite(entry->leaf, 1, entry->leaf_len, stdout);
    (void)fputs(json ? ",\"private\":" : "\t", stdout);
    if (private_part != NULL)
        (void)fwrite(private_part, 1, private_len, stdout);
    else
        (void)fputs(json ? "null" : "sealed", stdout);
    (void)fputs(json ? "}\n" : "\n", stdout);
}

/* Print what is there from entry FROM on. */
static int print_entries(struct log_run *r, uint64_t from, struct err *err)
{
    struct frame_entry entry;
    struct leaf leaf;
    const uint8_t *private_part;
    uint64_t offset;
    size_t len;
    int rc;
    while ((rc = scan_next(r->scan, &entry, &offset, err)) == 1) {
        if (entry.index < from)
            continue;
        rc = entry_open(r, &entry, offset, &leaf, &private_part, &len, err);
        if (rc < 0)
            break;
        entry_print(r, &entry, private_part, len);
    }
    if (fflush(stdout) != 0 && rc >= 0)
        return err_sys(err, "could not write");
    return rc;
}

static void pause_ms(long ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    (void)nanosleep(&t, NULL);
}

static int on_leaf(void *context, uint64_t leaf, const struct frame_entry *entry,
                   const void *private_part, size_t n, struct err *err)
{
    struct log_run *r = context;
    (void)leaf, (void)err;
    r->opened++;
    entry_print(r, entry, r->options.sealed ? NULL : private_part, n);
    return 0;
}

/* Out of the private store, or where that has it not, out of the journal. */
static int show_leaf(struct log_run *r, struct err *err)
{
    const struct reopen_wanted wanted = { .leaf = r->options.leaf };
    int rc = reopen_leaves(r->state_dir, &wanted, 1, on_leaf, r, err);
    if (rc == 0 && r->opened == 0)
        rc = err_set(err, RF_ENOTFOUND, "the journal has no leaf %" PRIu64 " of a public log",
                     r->options.leaf);
    return rc;
}

static int show(struct log_run *r, struct err *err)
{
    if (r->options.has_leaf)
        return show_leaf(r, err);
    int rc = scan_open(r->folder, r->options.from, &r->scan, err);
    return rc < 0 ? rc : print_entries(r, r->options.from, err);
}

static int tail(struct log_run *r, struct err *err)
{
    struct frame_entry entry;
    uint64_t offset;
    int rc = scan_open(r->folder, UINT64_MAX, &r->scan, err);
    while (rc >= 0 && (rc = scan_next(r->scan, &entry, &offset, err)) == 1)
        continue;
    if (rc < 0)
        return rc;
    uint64_t end = scan_state(r->scan)->index;
    uint64_t from = end > TAIL_ENTRIES ? end - TAIL_ENTRIES : 0;
    scan_close(r->scan);
    r->scan = NULL;
    rc = scan_open(r->folder, from, &r->scan, err);
    if (rc < 0)
        return rc;
    while ((rc = print_entries(r, from, err)) == 0 && r->options.follow)
        pause_ms(FOLLOW_PAUSE_MS);
    return rc;
}

/* Is a writer at work? It holds the lock for life. */
static bool has_writer(const struct log_run *r)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/lock", r->folder);
    int fd = n < PATH_MAX ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool is_held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    fd_close(&fd);
    return is_held;
}

static int check_entries(struct log_run *r, struct err *err)
{
    struct frame_entry entry;
    struct leaf leaf;
    const uint8_t *private_part;
    uint64_t offset;
    size_t len;
    int rc;
    while ((rc = scan_next(r->scan, &entry, &offset, err)) == 1) {
        rc = entry_open(r, &entry, offset, &leaf, &private_part, &len, err);
        if (rc < 0)
            return rc;
        if (leaf.type != LEAF_NONE)
            treehead_add(&r->tree, entry.leaf, entry.leaf_len);
        *(private_part != NULL ? &r->opened : &r->closed) += 1;
    }
    return rc;
}

static void check_print(const struct log_run *r)
{
    const struct scan_state *at = scan_state(r->scan);
    char chain[2 * DIGEST_LEN + 1], root[2 * DIGEST_LEN + 1];
    uint8_t digest[DIGEST_LEN];
    treehead_root(&r->tree, digest);
    digest_hex(digest, sizeof(digest), root);
    digest_hex(at->chain, sizeof(at->chain), chain);
    (void)printf(r->context->json ? "{\"entries\":%" PRIu64 ",\"leaves\":%" PRIu64
                                    ",\"opened\":%" PRIu64 ",\"sealed\":%" PRIu64
                                    ",\"segments\":%zu,\"torn_bytes\":%" PRIu64
                                    ",\"chain\":\"%s\",\"root\":\"%s\"}\n"
                                  : "entries  %" PRIu64 "\nleaves   %" PRIu64 "\nopened   %" PRIu64
                                    "\nsealed   %" PRIu64 "\nsegments %zu\ntorn     %" PRIu64
                                    " bytes\nchain    %s\nroot     %s\n",
                 at->index, r->tree.size, r->opened, r->closed, at->segments, at->torn, chain,
                 root);
}

/* A torn end is what a writer at work leaves for a moment, and a crash until the next start. With a
   writer that lives and does not mend it, it is neither. */
static int check(struct log_run *r, struct err *err)
{
    const struct scan_state *at;
    uint64_t torn_at = 0;
    int rc = scan_open(r->folder, 0, &r->scan, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < SETTLE_TRIES; i++) {
        rc = check_entries(r, err);
        at = scan_state(r->scan);
        if (rc < 0 || at->torn == 0 || !has_writer(r))
            break;
        if (at->offset != torn_at) /* it moves: somebody writes */
            i = 0;
        torn_at = at->offset;
        pause_ms(SETTLE_PAUSE_MS);
    }
    if (rc < 0)
        return rc;
    at = scan_state(r->scan);
    if (at->torn > 0 && has_writer(r)) {
        (void)err_set(err, RF_ETAMPER, "last entry is damaged while the gateway runs");
        return damage(r, at->offset, at->index, err);
    }
    check_print(r);
    if (at->torn == 0)
        return 0;
    return err_set(err, RF_ENOTFOUND,
                   "the last %" PRIu64 " bytes of \"%.200s\", from offset %" PRIu64
                   " on, are no whole entry: a crash, or damage to the very last one",
                   at->torn, at->path, at->offset);
}

int log_journal(const struct command_context *context, int argc, char **argv)
{
    struct log_run r = { .context = context };
    struct err err;
    if (read_arguments(argc, argv, &r.options) < 0)
        return command_usage(argv[0]);
    buf_init(&r.plain, FRAME_LENGTH_MAX);
    treehead_init(&r.tree);
    int rc = log_find_state(context, r.options.state_dir, r.state_dir, &err);
    if (rc == 0)
        rc = segment_folder(r.state_dir, r.folder, &err);
    if (rc == 0)
        rc = daykey_open(r.state_dir, &r.keys, &err);
    if (rc == 0)
        rc = strcmp(r.options.verb, "show") == 0   ? show(&r, &err)
             : strcmp(r.options.verb, "tail") == 0 ? tail(&r, &err)
                                                   : check(&r, &err);
    scan_close(r.scan);
    daykey_close(r.keys);
    buf_wipe_done(&r.plain);
    return rc < 0 ? command_fail(context, argv[0], &err) : COMMAND_DONE;
}
