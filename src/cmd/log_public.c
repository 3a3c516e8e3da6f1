/* log_public.c - `ringfence log show|tail|prove|export` on a public log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cmd/logcommand.h"
#include "tlog/bundle.h"
#include "tlog/prooffile.h"

enum { TAIL_LEAVES = 10, FOLLOW_PAUSE_MS = 1000 };

/* ---- show and tail: what the files say, not whether it holds -------------------------------- */

struct reading {
    const struct command_context *context;
    const struct log_arguments *arguments;
    struct source *source;
    struct note *note;
    struct checkpoint checkpoint;
};

static int read_checkpoint(struct reading *r, struct err *err)
{
    static const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct source_file file;
    struct err why;
    int rc = source_read(r->source, &path, &file, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(err, RF_EUNAVAIL, "there is no checkpoint in \"%.200s\"",
                       r->arguments->words[0]);
    err_clear(&why);
    if (file.len > SOURCE_CHECKPOINT_MAX ||
        note_read((const char *)file.bytes, file.len, r->note, &why) < 0 ||
        checkpoint_read(r->note->text, r->note->text_len, &r->checkpoint, &why) < 0)
        return err_set(err, RF_ETAMPER, "checkpoint of \"%.200s\" is none: %.100s",
                       r->arguments->words[0], why.line);
    return 0;
}

static int print_leaf(const struct reading *r, uint64_t index, const struct bundle_entry *e,
                      struct err *err)
{
    struct logleaf leaf;
    const char *type = r->arguments->type;
    if (logleaf_read(e->bytes, e->len, &leaf) < 0)
        return err_set(err, RF_ETAMPER, "leaf %" PRIu64 " is no leaf in canonical form", index);
    if (type != NULL && strcmp(logleaf_type_name(leaf.type), type) != 0)
        return 0;
    (void)printf(r->context->json ? "{\"index\":%" PRIu64 ",\"leaf\":" : "%" PRIu64 "\t", index);
    (void)fwrite(e->bytes, 1, e->len, stdout);
    (void)fputs(r->context->json ? "}\n" : "\n", stdout);
    return 0;
}

static int print_leaves(struct reading *r, uint64_t from, struct err *err)
{
    static struct bundle_entry entries[TLOG_TILE_WIDTH];
    struct source_file file;
    int rc = 0;
    for (uint64_t at = from; rc == 0 && at < r->checkpoint.size;) {
        struct tlog_path path = { .file = TLOG_FILE_ENTRIES, .index = at / TLOG_TILE_WIDTH };
        path.width = tlog_tile_width(r->checkpoint.size, 0, path.index);
        rc = source_read(r->source, &path, &file, err);
        if (rc < 0)
            return rc;
        if (rc == 0 || bundle_read(file.bytes, file.len, file.width, entries) < 0)
            return err_set(err, RF_ETAMPER, "\"%s\" is %s", file.path,
                           rc == 0 ? "not there" : "no bundle of entries");
        uint64_t end = path.index * TLOG_TILE_WIDTH + path.width;
        for (rc = 0; rc == 0 && at < end; at++)
            rc = print_leaf(r, at, &entries[at % TLOG_TILE_WIDTH], err);
    }
    return rc == 0 && fflush(stdout) != 0 ? err_sys(err, "could not write") : rc;
}

static bool is_type(const char *name)
{
    for (int i = LEAF_NONE + 1; i < LEAF_TYPE_COUNT; i++)
        if (name == NULL || strcmp(logleaf_type_name((enum logleaf_type)i), name) == 0)
            return true;
    return false;
}

static int reading_begin(struct reading *r, struct err *err)
{
    if (!is_type(r->arguments->type))
        return err_set(err, RF_EUSAGE, "no type of leaf is called \"%.60s\"", r->arguments->type);
    r->note = mem_zalloc(1, sizeof(*r->note));
    if (r->note == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = source_open(r->arguments->words[0], &r->arguments->access, &r->source, err);
    return rc < 0 ? rc : read_checkpoint(r, err);
}

static int reading_end(struct reading *r, int rc, const struct err *err)
{
    source_close(r->source);
    mem_free(r->note);
    return rc < 0 ? command_fail(r->context, "log", err) : COMMAND_DONE;
}

int log_show_public(const struct command_context *context, const struct log_arguments *a)
{
    struct reading r = { .context = context, .arguments = a };
    struct err err;
    int rc = reading_begin(&r, &err);
    return reading_end(&r, rc < 0 ? rc : print_leaves(&r, a->from, &err), &err);
}

int log_tail_public(const struct command_context *context, const struct log_arguments *a)
{
    static const struct timespec pause = { .tv_sec = FOLLOW_PAUSE_MS / 1000 };
    struct reading r = { .context = context, .arguments = a };
    struct err err;
    int rc = reading_begin(&r, &err);
    uint64_t from = r.checkpoint.size > TAIL_LEAVES ? r.checkpoint.size - TAIL_LEAVES : 0;
    while (rc == 0 && (rc = print_leaves(&r, from, &err)) == 0 && a->follow) {
        from = r.checkpoint.size;
        (void)nanosleep(&pause, NULL);
        rc = read_checkpoint(&r, &err);
        if (rc == 0 && r.checkpoint.size < from)
            rc = err_set(&err, RF_ETAMPER,
                         "the log has shrunk from %" PRIu64 " to %" PRIu64 " leaves", from,
                         r.checkpoint.size);
    }
    return reading_end(&r, rc, &err);
}

/* ---- proofs --------------------------------------------------------------------------------- */

struct proving {
    const struct log_arguments *arguments;
    struct source *source;
    struct note *note;
    struct buf checkpoint, entry, out;
    struct findings findings;
};

static int write_file(const char *path, const void *bytes, size_t n, struct err *err)
{
    FILE *to = fopen(path, "we");
    if (to == NULL)
        return err_sys(err, "could not write \"%.200s\"", path);
    size_t written = fwrite(bytes, 1, n, to);
    if (fclose(to) != 0 || written != n)
        return err_sys(err, "could not write \"%.200s\"", path);
    return 0;
}

static bool read_index(const char *text, uint64_t *ret)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] != '\0' || (n > 1 && text[0] == '0'))
        return false;
    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret = *ret * 10 + (uint64_t)(text[i] - '0');
    return true;
}

static int prove(struct proving *p, struct err *err)
{
    const struct log_arguments *a = p->arguments;
    struct prooffile file = { 0 };
    struct checkpoint c;
    const struct key *key = NULL;
    if (a->word_count != 2 || a->out == NULL || !read_index(a->words[1], &file.index))
        return -RF_EUSAGE;
    int rc = source_open(a->words[0], &a->access, &p->source, err);
    if (rc == 0)
        rc = log_key_for(a, p->source, &key, err);
    if (rc < 0)
        return rc;
    rc = verify_checkpoint(p->source, key, &c, &p->checkpoint, &p->findings, err);
    if (rc == 0 && p->findings.count == 0)
        return err_set(err, RF_EUNAVAIL, "there is no checkpoint in \"%.200s\"", a->words[0]);
    if (rc == 1)
        rc = verify_leaf(p->source, &c, file.index, &p->entry, &file.proof, &p->findings, err);
    if (rc != 1)
        return rc;
    file.checkpoint = (const char *)buf_at(&p->checkpoint);
    file.checkpoint_len = buf_len(&p->checkpoint);
    if (prooffile_write(&p->out, &file) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    rc = write_file(a->out, buf_at(&p->out), buf_len(&p->out), err);
    if (rc == 0 && a->entry != NULL)
        rc = write_file(a->entry, buf_at(&p->entry), buf_len(&p->entry), err);
    return rc;
}

/* The proof in BYTES is of ENTRY: signed, and in the tree. */
static int judge_proof(struct proving *p, const char *bytes, size_t n, const void *entry,
                       size_t entry_len, struct checkpoint *ret_checkpoint, uint64_t *ret_index,
                       struct err *err)
{
    struct prooffile *file = mem_zalloc(1, sizeof(*file));
    struct err why;
    uint8_t hash[TLOG_HASH_LEN];
    bool is_known = false;
    if (file == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = prooffile_read(bytes, n, file, &why);
    if (rc == 0)
        rc = note_read(file->checkpoint, file->checkpoint_len, p->note, &why);
    if (rc == 0)
        rc = checkpoint_read(p->note->text, p->note->text_len, ret_checkpoint, &why);
    for (unsigned i = 0; rc == 0 && !is_known && i < p->arguments->key_count; i++) {
        const struct key *key = &p->arguments->keys[i];
        is_known = strcmp(key->name, ret_checkpoint->origin) == 0 &&
                   note_verify(p->note, key, NULL, &why) == 1;
    }
    tlog_leaf_hash(entry, entry_len, hash);
    if (rc < 0)
        rc = err_set(err, RF_ETAMPER, "\"%.200s\" is no proof: %.150s", p->arguments->check,
                     why.line);
    else if (!is_known)
        rc = err_set(err, RF_ETAMPER, "the checkpoint in \"%.200s\" is not signed by this key",
                     p->arguments->check);
    else if (!proof_inclusion_holds(&file->proof, file->index, ret_checkpoint->size, hash,
                                    ret_checkpoint->root))
        rc = err_set(err, RF_ETAMPER, "\"%.200s\" does not prove this entry", p->arguments->check);
    *ret_index = file->index;
    mem_free(file);
    return rc;
}

static int check_proof(struct proving *p, bool json, struct err *err)
{
    const struct log_arguments *a = p->arguments;
    struct witnessing_options options;
    struct witnessing_report witnesses;
    struct trust *trust = NULL;
    struct checkpoint c;
    char *bytes = NULL, *entry = NULL;
    size_t n = 0, entry_len = 0;
    uint64_t index = 0;
    if (a->word_count != 0 || a->entry == NULL || a->key_count == 0)
        return -RF_EUSAGE;
    int rc = fd_read_file(a->check, PROOFFILE_MAX, &bytes, &n, err);
    if (rc == 0)
        rc = fd_read_file(a->entry, BUNDLE_ENTRY_MAX, &entry, &entry_len, err);
    if (rc == 0)
        rc = judge_proof(p, bytes, n, entry, entry_len, &c, &index, err);
    if (rc == 0)
        rc = log_witnessing(a, &trust, &options, err);
    if (rc == 0) {
        witnessing_judge(p->note, c.origin, &options, &witnesses, &p->findings);
        (void)printf(json ? "{\"origin\":\"%s\",\"index\":%" PRIu64 ",\"size\":%" PRIu64
                            ",\"witnesses\":\"%s\"}\n"
                          : "%s: leaf %" PRIu64 " of %" PRIu64 ", %s\n",
                     c.origin, index, c.size, witnessing_name(witnesses.verdict));
    }
    mem_free(trust);
    mem_free(bytes);
    mem_free(entry);
    return rc;
}

int log_prove(const struct command_context *context, const struct log_arguments *a)
{
    struct err err;
    struct proving *p = mem_zalloc(1, sizeof(*p));
    err_clear(&err);
    int rc = p == NULL ? err_set(&err, RF_ENOMEM, "out of memory") : 0;
    int status = COMMAND_DONE;
    if (rc == 0) {
        p->arguments = a;
        p->note = mem_zalloc(1, sizeof(*p->note));
        buf_init(&p->checkpoint, SOURCE_CHECKPOINT_MAX + 1);
        buf_init(&p->entry, BUNDLE_ENTRY_MAX);
        buf_init(&p->out, PROOFFILE_MAX);
        rc = p->note == NULL    ? err_set(&err, RF_ENOMEM, "out of memory")
             : a->check != NULL ? check_proof(p, context->json, &err)
                                : prove(p, &err);
        log_print_findings(a->check != NULL    ? a->check
                           : a->word_count > 0 ? a->words[0]
                                               : "",
                           &p->findings);
        status = findings_exit_status(&p->findings);
        source_close(p->source);
        buf_done(&p->checkpoint);
        buf_done(&p->entry);
        buf_done(&p->out);
        mem_free(p->note);
    }
    mem_free(p);
    if (rc == -RF_EUSAGE && err.code == RF_OK)
        return command_usage("log");
    return rc < 0 ? command_fail(context, "log", &err) : status;
}

/* ---- copies --------------------------------------------------------------------------------- */

static int export_to(const struct log_arguments *a, struct source *from, const char *out,
                     struct verify_report *report, struct err *err)
{
    struct verify_options options = { .on_progress = log_progress };
    struct source *copy = NULL;
    struct trust *trust = NULL;
    const struct key *key = NULL;
    int rc = log_key_for(a, from, &key, err);
    if (rc == 0)
        rc = log_witnessing(a, &trust, &options.witnessing, err);
    if (rc == 0)
        rc = source_copy_open(from, out, &copy, err);
    if (rc == 0) {
        options.key = key;
        rc = log_verify_one(a, copy, &options, report, err);
        log_progress_end();
    }
    /* The checkpoint comes last: a folder without one is not whole. */
    if (rc == 0 && report->is_whole && report->findings.tampered == 0)
        rc = source_keep(out, "checkpoint", buf_at(&report->note), buf_len(&report->note), err);
    source_close(copy);
    mem_free(trust);
    return rc;
}

int log_export(const struct command_context *context, const struct log_arguments *a)
{
    struct verify_report *report = NULL;
    struct source *from = NULL;
    struct err err;
    if (a->out == NULL)
        return command_usage("log");
    int rc = verify_report_new(&report, &err);
    if (rc == 0)
        rc = source_open(a->words[0], &a->access, &from, &err);
    if (rc == 0)
        rc = export_to(a, from, a->out, report, &err);
    int status = COMMAND_DONE;
    if (rc == 0) {
        status = findings_exit_status(&report->findings);
        log_print_findings(a->words[0], &report->findings);
        if (status != COMMAND_TAMPERED)
            (void)printf(context->json ? "{\"leaves\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n"
                                       : "%" PRIu64 " leaves, %" PRIu64 " bytes\n",
                         report->leaves, report->bytes);
    } else {
        status = command_fail(context, "log", &err);
    }
    source_close(from);
    verify_report_free(report);
    return status;
}
