/* tlog_tool.c - src/tlog at the command line, for tests that are written in other languages: one
 * question a call, the answer on standard output; see `tools` at the end. Bytes are hex. A set of
 * leaves is `B` (leaf i is `leaf-i`) or hex with a comma behind each leaf. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tlog/bundle.h"
#include "tlog/checkpoint.h"
#include "tlog/note.h"
#include "tlog/proof.h"
#include "tlog/prooffile.h"
#include "tlog/tree.h"
#include "tlog/trust.h"
#include "tlog/witness_request.h"

typedef uint8_t hash_of[TLOG_HASH_LEN];

static struct err err;

RF_NORETURN static void die(const char *what)
{
    fprintf(stderr, "tlog_tool: %s: %s\n", what, err.line);
    exit(3);
}

/* --- arguments and answers --- */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0')
        die(text);
    return n;
}

static size_t unhex(const char *text, size_t len, uint8_t *to, size_t max)
{
    if (len % 2 != 0 || len / 2 > max)
        die("hex");
    for (size_t i = 0; i < len / 2; i++) {
        char two[3] = { text[2 * i], text[2 * i + 1], '\0' }, *end;
        to[i] = (uint8_t)strtoul(two, &end, 16);
        if (*end != '\0')
            die("hex");
    }
    return len / 2;
}

static void unhex_hash(const char *text, hash_of ret)
{
    if (unhex(text, strlen(text), ret, TLOG_HASH_LEN) != TLOG_HASH_LEN)
        die("hash");
}

static void say_hash(const hash_of hash)
{
    char text[2 * TLOG_HASH_LEN + 1];
    digest_hex(hash, TLOG_HASH_LEN, text);
    puts(text);
}

static int say_refused(void)
{
    printf("refused: %s\n", err.line);
    return 0;
}

static void say_bytes(struct buf *b)
{
    (void)fwrite(buf_at(b), 1, buf_len(b), stdout);
    buf_done(b);
}

static char *input;

static void free_input(void)
{
    mem_free(input);
}

/* All of it; asked for once. */
static char *standard_input(size_t *ret_len)
{
    size_t max = BUNDLE_MAX + 1, len = 0, n;
    char *bytes = mem_zalloc(1, max);
    if (bytes == NULL)
        die("memory");
    while ((n = fread(bytes + len, 1, max - len, stdin)) > 0)
        len += n;
    /* ends where it ends, so that a sanitizer sees a reader that leaves it */
    input = mem_realloc(bytes, len > 0 ? len : 1);
    if (input == NULL)
        die("memory");
    *ret_len = len;
    return input;
}

static struct secret_key secret_of(const char *name, enum key_type type, const char *seed)
{
    uint8_t bytes[KEY_SEED_LEN];
    struct secret_key key;
    if (unhex(seed, strlen(seed), bytes, sizeof(bytes)) != sizeof(bytes) ||
        secret_key_make(name, type, bytes, &key, &err) < 0)
        die(name);
    return key;
}

/* --- leaves, and tiles over them --- */

static size_t entry_of(const char *set, uint64_t index, uint8_t *to, size_t max)
{
    if (strcmp(set, "B") == 0)
        return (size_t)snprintf((char *)to, max, "leaf-%" PRIu64, index);
    for (; index > 0; index--) {
        set = strchr(set, ',');
        if (set++ == NULL)
            die("set");
    }
    return unhex(set, strcspn(set, ","), to, max);
}

static hash_of *leaves_of(const char *set, uint64_t size)
{
    hash_of *leaves = mem_zalloc(size + 1, sizeof(*leaves));
    if (leaves == NULL)
        die("memory");
    for (uint64_t i = 0; i < size; i++) {
        uint8_t entry[64];
        tlog_leaf_hash(entry, entry_of(set, i, entry, sizeof(entry)), leaves[i]);
    }
    return leaves;
}

struct forest {
    hash_of *leaves;
    uint64_t size;
};

static int tile_of_forest(void *context, unsigned level, uint64_t index, unsigned width,
                          uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *e)
{
    struct forest *f = context;
    uint64_t span = UINT64_C(1) << (TLOG_TILE_HEIGHT * level);
    if (width != tlog_tile_width(f->size, level, index))
        return err_set(e, RF_EBUG, "tile of another width");
    for (unsigned i = 0; i < width; i++)
        tree_root_of((const hash_of *)f->leaves + (index * TLOG_TILE_WIDTH + i) * span, span,
                     ret[i]);
    return 0;
}

static int say_root(char **argv)
{
    struct forest f = { .size = number(argv[1]) };
    const struct tile_source tiles = { tile_of_forest, &f };
    struct tree_edge *edge = mem_zalloc(1, sizeof(*edge));
    hash_of grown, at_once, from_tiles;
    f.leaves = leaves_of(argv[0], f.size);
    if (edge == NULL)
        die("memory");
    tree_edge_init(edge);
    for (uint64_t i = 0; i < f.size; i++)
        if (tree_edge_add(edge, f.leaves[i], NULL, NULL) < 0)
            die("edge");
    tree_edge_root(edge, grown);
    tree_root_of((const hash_of *)f.leaves, f.size, at_once);
    if (proof_root(&tiles, f.size, f.size, from_tiles, &err) < 0 ||
        memcmp(grown, at_once, sizeof(grown)) != 0 || memcmp(grown, from_tiles, sizeof(grown)) != 0)
        die("three roots differ");
    say_hash(grown);
    mem_free(edge);
    mem_free(f.leaves);
    return 0;
}

static void say_proof(const struct proof *p, const struct proof *same)
{
    if (p->count != same->count || memcmp(p->hash, same->hash, p->count * TLOG_HASH_LEN) != 0)
        die("two proofs differ");
    for (unsigned i = 0; i < p->count; i++)
        say_hash(p->hash[i]);
}

static int say_inclusion(char **argv)
{
    struct forest f = { .size = number(argv[2]) };
    const struct tile_source tiles = { tile_of_forest, &f };
    struct proof p, same;
    f.leaves = leaves_of(argv[0], f.size);
    if (proof_inclusion(&tiles, number(argv[1]), f.size, &p, &err) < 0 ||
        proof_inclusion_of((const hash_of *)f.leaves, f.size, number(argv[1]), &same) < 0)
        die("inclusion");
    say_proof(&p, &same);
    mem_free(f.leaves);
    return 0;
}

static int say_consistency(char **argv)
{
    struct forest f = { .size = number(argv[2]) };
    const struct tile_source tiles = { tile_of_forest, &f };
    struct proof p, same;
    f.leaves = leaves_of(argv[0], f.size);
    if (proof_consistency(&tiles, number(argv[1]), f.size, &p, &err) < 0 ||
        proof_consistency_of((const hash_of *)f.leaves, f.size, number(argv[1]), &same) < 0)
        die("consistency");
    say_proof(&p, &same);
    mem_free(f.leaves);
    return 0;
}

static struct proof proof_of(char **hashes)
{
    struct proof p = { .count = 0 };
    for (; *hashes != NULL; hashes++) {
        if (p.count == PROOF_MAX)
            die("proof");
        unhex_hash(*hashes, p.hash[p.count++]);
    }
    return p;
}

/* Each line of standard input: `inclusion INDEX SIZE LEAF ROOT HASH…`, or `consistency OLD SIZE
   OLDROOT ROOT HASH…`. */
static int say_what_holds(char **argv)
{
    char line[PROOF_MAX * (2 * TLOG_HASH_LEN + 1) + 512];
    (void)argv;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *words[5 + PROOF_MAX + 2] = { strtok(line, " \n") };
        for (size_t i = 1; i + 1 < RF_COUNT(words) && words[i - 1] != NULL; i++)
            words[i] = strtok(NULL, " \n");
        struct proof p = proof_of(words + 5);
        hash_of one, root;
        unhex_hash(words[3], one);
        unhex_hash(words[4], root);
        bool inclusion = strcmp(words[0], "inclusion") == 0;
        puts((inclusion ? proof_inclusion_holds : proof_consistency_holds)(&p, number(words[1]),
                                                                           number(words[2]), one,
                                                                           root)
                 ? "yes"
                 : "no");
    }
    return 0;
}

static int say_leaf(char **argv)
{
    static uint8_t entry[BUNDLE_ENTRY_MAX];
    hash_of hash;
    tlog_leaf_hash(entry, unhex(argv[0], strlen(argv[0]), entry, sizeof(entry)), hash);
    say_hash(hash);
    return 0;
}

static int say_node(char **argv)
{
    hash_of left, right;
    unhex_hash(argv[0], left);
    unhex_hash(argv[1], right);
    tlog_node_hash(left, right, left);
    say_hash(left);
    return 0;
}

/* --- files --- */

static int say_path(char **argv)
{
    struct tlog_path path;
    char again[TLOG_PATH_SIZE];
    if (tlog_path_read(argv[0], strlen(argv[0]), &path) < 0)
        return say_refused();
    tlog_path_write(&path, again);
    if (strcmp(again, argv[0]) != 0)
        die("path is written otherwise");
    printf("%d %u %" PRIu64 " %u\n", path.file, path.level, path.index, path.width);
    return 0;
}

static int say_path_of(char **argv)
{
    struct tlog_path path = { (enum tlog_file)number(argv[0]), (unsigned)number(argv[1]),
                              number(argv[2]), (unsigned)number(argv[3]) };
    char text[TLOG_PATH_SIZE];
    tlog_path_write(&path, text);
    puts(text);
    return 0;
}

static int say_bundle_of(char **argv)
{
    static uint8_t entry[BUNDLE_ENTRY_MAX];
    struct buf b;
    buf_init(&b, BUNDLE_MAX);
    for (; *argv != NULL; argv++) {
        /* HEX, or N*HEX: arguments have a limit */
        char *star = strchr(*argv, '*');
        size_t len = 0, times = star == NULL ? 1 : strtoul(*argv, NULL, 10);
        const char *hex = star == NULL ? *argv : star + 1;
        for (; times > 0; times--)
            len += unhex(hex, strlen(hex), entry + len, sizeof(entry) - len);
        if (bundle_entry_write(&b, entry, len) < 0)
            die("bundle");
    }
    say_bytes(&b);
    return 0;
}

static int say_bundle(char **argv)
{
    struct bundle_entry entries[TLOG_TILE_WIDTH];
    size_t len;
    char *bytes = standard_input(&len);
    unsigned count = (unsigned)number(argv[0]);
    if (bundle_read(bytes, len, count, entries) < 0)
        say_refused();
    else
        for (unsigned i = 0; i < count; i++) {
            hash_of hash;
            tlog_leaf_hash(entries[i].bytes, entries[i].len, hash);
            say_hash(hash);
        }
    return 0;
}

/* --- whole logs of set B, as a writer makes them --- */

struct log {
    const char *folder;
    uint64_t from, size;
    struct tree_edge edge;
    struct buf bundle;
};

/* Below the folder; says its name. Not synced: only tests look at it. */
static void write_file(const struct log *log, const struct tlog_path *path, const void *bytes,
                       size_t n)
{
    char name[TLOG_PATH_SIZE], whole[4096];
    tlog_path_write(path, name);
    (void)snprintf(whole, sizeof(whole), "%s/%s", log->folder, name);
    for (char *at = whole + strlen(log->folder); (at = strchr(at + 1, '/')) != NULL; *at = '/') {
        *at = '\0';
        (void)mkdir(whole, 0755);
    }
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || fd_write_all(fd, bytes, n) < 0)
        die(whole);
    fd_close(&fd);
    puts(name);
}

static int on_tile(void *context, unsigned level, uint64_t index,
                   const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN])
{
    struct log *log = context;
    const struct tlog_path path = { TLOG_FILE_TILE, level, index, TLOG_TILE_WIDTH };
    if (log->edge.size > log->from)
        write_file(log, &path, hashes, (size_t)TLOG_TILE_WIDTH * TLOG_HASH_LEN);
    return 0;
}

static void add_entry(struct log *log)
{
    uint8_t entry[64];
    hash_of hash;
    size_t len = entry_of("B", log->edge.size, entry, sizeof(entry));
    tlog_leaf_hash(entry, len, hash);
    if (bundle_entry_write(&log->bundle, entry, len) < 0 ||
        tree_edge_add(&log->edge, hash, on_tile, log) < 0)
        die("edge");
    if (log->edge.width[0] > 0)
        return;
    const struct tlog_path path = { TLOG_FILE_ENTRIES, 0, log->edge.size / TLOG_TILE_WIDTH - 1,
                                    TLOG_TILE_WIDTH };
    if (log->edge.size > log->from)
        write_file(log, &path, buf_at(&log->bundle), buf_len(&log->bundle));
    buf_clear(&log->bundle);
}

static void write_partials(const struct log *log)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        struct tlog_path path = { TLOG_FILE_TILE, level,
                                  tlog_level_count(log->size, level) / TLOG_TILE_WIDTH,
                                  log->edge.width[level] };
        if (path.width == 0 ||
            tlog_level_count(log->from, level) == tlog_level_count(log->size, level))
            continue;
        write_file(log, &path, log->edge.hash[level], (size_t)path.width * TLOG_HASH_LEN);
        path.file = TLOG_FILE_ENTRIES;
        if (level == 0)
            write_file(log, &path, log->bundle.data + log->bundle.off, buf_len(&log->bundle));
    }
}

/* FOLDER NAME SEED FROM TO: what a log of FROM entries writes when it grows to TO, and its signed
   checkpoint with a cosignature by the key of the same seed. */
static int grow(char **argv)
{
    struct log *log = mem_zalloc(1, sizeof(*log));
    struct secret_key key = secret_of(argv[1], KEY_ED25519, argv[2]);
    struct secret_key witness = secret_of("witness.example.com/w1", KEY_COSIGNATURE, argv[2]);
    const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct checkpoint c;
    char text[CHECKPOINT_TEXT_SIZE];
    struct buf note;
    if (log == NULL)
        die("memory");
    log->folder = argv[0];
    log->from = number(argv[3]);
    c.size = log->size = number(argv[4]);
    buf_init(&log->bundle, BUNDLE_MAX);
    tree_edge_init(&log->edge);
    while (log->edge.size < log->size)
        add_entry(log);
    write_partials(log);
    tree_edge_root(&log->edge, c.root);
    strcpy(c.origin, key.key.name);
    size_t len = checkpoint_write(&c, text);
    buf_init(&note, NOTE_MAX);
    if (note_sign(&note, text, len, &key, &err) < 0 ||
        note_cosign(&note, text, len, 1700000000, &witness, &err) < 0)
        die("note");
    write_file(log, &path, buf_at(&note), buf_len(&note));
    buf_done(&note);
    buf_done(&log->bundle);
    mem_free(log);
    return 0;
}

static int tile_of_folder(void *context, unsigned level, uint64_t index, unsigned width,
                          uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *e)
{
    const struct log *log = context;
    const struct tlog_path path = { TLOG_FILE_TILE, level, index, width };
    char name[TLOG_PATH_SIZE], whole[4096], *bytes;
    size_t len, wanted = (size_t)width * TLOG_HASH_LEN;
    tlog_path_write(&path, name);
    (void)snprintf(whole, sizeof(whole), "%s/%s", log->folder, name);
    int rc = fd_read_file(whole, wanted, &bytes, &len, e);
    if (rc < 0)
        return rc;
    memcpy(ret, bytes, len);
    mem_free(bytes);
    return len == wanted ? 0 : err_set(e, RF_EPROTO, "tile \"%s\" is short", name);
}

/* FOLDER SIZE KIND FIRST…: inclusion of an index in, or consistency of an old size with SIZE, each
   on a line. */
static int prove(char **argv)
{
    struct log log = { .folder = argv[0], .size = number(argv[1]) };
    const struct tile_source tiles = { tile_of_folder, &log };
    bool inclusion = strcmp(argv[2], "inclusion") == 0;
    for (char **at = argv + 3; *at != NULL; at++) {
        struct proof p;
        int rc = inclusion ? proof_inclusion(&tiles, number(*at), log.size, &p, &err)
                           : proof_consistency(&tiles, number(*at), log.size, &p, &err);
        if (rc < 0)
            die(argv[2]);
        printf("%s %s", argv[2], *at);
        for (unsigned i = 0; i < p.count; i++) {
            char text[2 * TLOG_HASH_LEN + 1];
            digest_hex(p.hash[i], TLOG_HASH_LEN, text);
            printf(" %s", text);
        }
        puts("");
    }
    return 0;
}

/* --- keys and notes --- */

static int say_key(char **argv)
{
    struct secret_key key = secret_of(argv[0], (enum key_type)number(argv[1]), argv[2]);
    char text[KEY_VKEY_SIZE];
    key_write(&key.key, text);
    puts(text);
    return 0;
}

static int say_vkey(char **argv)
{
    struct key key;
    char again[KEY_VKEY_SIZE];
    if (key_read(argv[0], strlen(argv[0]), &key, &err) < 0)
        return say_refused();
    key_write(&key, again);
    if (strcmp(again, argv[0]) != 0)
        die("vkey is written otherwise");
    printf("%s %d %08x ", key.name, key.type, key.id);
    say_hash(key.public);
    return 0;
}

/* NAME SEED [TIME] */
static int say_signed(char **argv)
{
    size_t len;
    char *text = standard_input(&len);
    struct secret_key key =
        secret_of(argv[0], argv[2] == NULL ? KEY_ED25519 : KEY_COSIGNATURE, argv[1]);
    struct buf b;
    buf_init(&b, NOTE_MAX);
    int rc = argv[2] == NULL ? note_sign(&b, text, len, &key, &err)
                             : note_cosign(&b, text, len, number(argv[2]), &key, &err);
    if (rc < 0)
        say_refused();
    else
        say_bytes(&b);
    return 0;
}

/* VKEY…: the verdict on each, with the time of a cosignature; then the text. */
static int say_note(char **argv)
{
    size_t len;
    char *bytes = standard_input(&len);
    struct note note;
    if (note_read(bytes, len, &note, &err) < 0)
        return say_refused();
    for (; *argv != NULL; argv++) {
        struct key key;
        uint64_t time = 0;
        if (key_read(*argv, strlen(*argv), &key, &err) < 0)
            die(*argv);
        int rc = note_verify(&note, &key, &time, &err);
        printf("%s %" PRIu64 "\n", rc == 1 ? "holds" : rc == 0 ? "none" : err_name(rc), time);
    }
    (void)fwrite(note.text, 1, note.text_len, stdout);
    return 0;
}

static int say_checkpoint(char **argv)
{
    size_t len;
    char *text = standard_input(&len), again[CHECKPOINT_TEXT_SIZE];
    struct checkpoint c;
    (void)argv;
    if (checkpoint_read(text, len, &c, &err) < 0)
        return say_refused();
    if (checkpoint_write(&c, again) != len || memcmp(again, text, len) != 0)
        die("checkpoint is written otherwise");
    printf("%s %" PRIu64 " ", c.origin, c.size);
    say_hash(c.root);
    return 0;
}

static void say_lines(struct buf *b, const char *bytes, size_t len)
{
    if (buf_len(b) != len || memcmp(buf_at(b), bytes, len) != 0)
        die("it is written otherwise");
    buf_done(b);
}

/* Index, extra data, hashes; then the checkpoint. */
static int say_prooffile(char **argv)
{
    size_t len;
    char *bytes = standard_input(&len);
    struct prooffile p;
    struct buf b;
    (void)argv;
    if (prooffile_read(bytes, len, &p, &err) < 0)
        return say_refused();
    buf_init(&b, PROOFFILE_MAX);
    if (prooffile_write(&b, &p) < 0)
        die("proof file");
    say_lines(&b, bytes, len);
    printf("%" PRIu64 " %.*s\n", p.index, (int)p.extra_len, p.extra == NULL ? "" : p.extra);
    for (unsigned i = 0; i < p.proof.count; i++)
        say_hash(p.proof.hash[i]);
    (void)fwrite(p.checkpoint, 1, p.checkpoint_len, stdout);
    return 0;
}

static int say_request(char **argv)
{
    size_t len;
    char *bytes = standard_input(&len);
    struct witness_request r;
    struct buf b;
    (void)argv;
    if (witness_request_read(bytes, len, &r, &err) < 0)
        return say_refused();
    buf_init(&b, WITNESS_REQUEST_MAX);
    if (witness_request_write(&b, &r) < 0)
        die("request");
    say_lines(&b, bytes, len);
    printf("%" PRIu64 "\n", r.old_size);
    for (unsigned i = 0; i < r.proof.count; i++)
        say_hash(r.proof.hash[i]);
    (void)fwrite(r.checkpoint, 1, r.checkpoint_len, stdout);
    return 0;
}

static const struct {
    const char *name;
    int arguments; /* at least */
    int (*run)(char **argv);
} tools[] = {
    { "leaf", 1, say_leaf },               /* HEX */
    { "node", 2, say_node },               /* HASH HASH */
    { "root", 2, say_root },               /* SET SIZE */
    { "inclusion", 3, say_inclusion },     /* SET INDEX SIZE */
    { "consistency", 3, say_consistency }, /* SET OLD SIZE */
    { "holds", 0, say_what_holds },        /* questions at standard input */
    { "path", 1, say_path },               /* TEXT */
    { "path-of", 4, say_path_of },         /* KIND LEVEL INDEX WIDTH */
    { "bundle", 1, say_bundle },           /* COUNT, bytes at standard input */
    { "bundle-of", 0, say_bundle_of },     /* HEX or N*HEX … */
    { "grow", 5, grow },                   /* FOLDER NAME SEED FROM TO */
    { "prove", 4, prove },                 /* FOLDER SIZE KIND NUMBER… */
    { "key", 3, say_key },                 /* NAME TYPE SEED */
    { "vkey", 1, say_vkey },               /* VKEY */
    { "sign", 2, say_signed },             /* NAME SEED [TIME], text */
    { "note", 0, say_note },               /* VKEY…, note */
    { "checkpoint", 0, say_checkpoint },   /* text of one */
    { "prooffile", 0, say_prooffile },     /* bytes of one */
    { "request", 0, say_request },         /* bytes of one */
};

int main(int argc, char **argv)
{
    if (digest_init(&err) < 0 || atexit(free_input) != 0)
        die("start");
    for (size_t i = 0; argc >= 2 && i < RF_COUNT(tools); i++)
        if (strcmp(argv[1], tools[i].name) == 0 && argc - 2 >= tools[i].arguments)
            return tools[i].run(argv + 2);
    die("wrong usage");
}
