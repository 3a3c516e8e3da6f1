#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/logcommand.h"
#include "verify/remember.h"

enum { SETTLE_MS = 2000, PROGRESS_MS = 250, PROGRESS_AFTER_MS = 1000 };

int log_witnessing(const struct log_arguments *a, struct trust **ret_trust,
                   struct witnessing_options *ret, struct err *err)
{
    *ret = (struct witnessing_options){ .own = a->own,
                                        .own_count = a->own_count,
                                        .now_s = (uint64_t)(clock_wall_ms() / 1000),
                                        .max_age_s = a->max_age_s };
    *ret_trust = NULL;
    if (a->witnesses == NULL)
        return 0;
    *ret_trust = mem_zalloc(1, sizeof(**ret_trust));
    if (*ret_trust == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    ret->trust = *ret_trust;
    return trust_load(a->witnesses, *ret_trust, err);
}

int log_verify_one(const struct log_arguments *a, struct source *from,
                   struct verify_options *options, struct verify_report *report, struct err *err)
{
    struct checkpoint before;
    char own[PATH_MAX];
    const char *folder = a->remember;
    int rc = 0;
    if (folder == NULL && remember_folder(own, err) == 0) /* else nothing is remembered */
        folder = own;
    if (folder != NULL && a->forget)
        rc = remember_forget(folder, options->key, err);
    if (folder != NULL && rc == 0)
        rc = remember_read(folder, options->key, &before, err);
    if (rc < 0)
        return rc;
    options->remembered = rc == 1 ? &before : NULL;
    options->settle_ms = SETTLE_MS;
    rc = verify_log(from, options, report, err);
    options->remembered = NULL;
    if (rc == 0 && folder != NULL && report->is_whole && report->findings.tampered == 0)
        rc = remember_write(folder, options->key, buf_at(&report->note), buf_len(&report->note),
                            err);
    return rc;
}

/* ---- findings ------------------------------------------------------------------------------- */

void log_print_findings(const char *where, const struct findings *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct finding *one = &f->list[i];
        (void)fprintf(stderr, "%s: %s", one->grade == FINDING_TAMPERED ? "tampering" : "wanting",
                      where);
        if (one->file[0] != '\0')
            (void)fprintf(stderr, "/%s", one->file);
        if (one->leaf != FINDING_NO_LEAF)
            (void)fprintf(stderr, ", leaf %" PRIu64, one->leaf);
        (void)fprintf(stderr, ": %s\n", one->text);
    }
    if (f->tampered + f->wanting > f->count)
        (void)fprintf(stderr, "… and %" PRIu64 " more findings\n",
                      f->tampered + f->wanting - f->count);
}

void log_print_findings_json(const struct findings *f)
{
    (void)fputs("\"findings\":[", stdout);
    for (unsigned i = 0; i < f->count; i++) {
        const struct finding *one = &f->list[i];
        (void)printf("%s{\"grade\":\"%s\",\"file\":", i > 0 ? "," : "",
                     one->grade == FINDING_TAMPERED ? "tampered" : "wanting");
        command_print_json(one->file);
        if (one->leaf != FINDING_NO_LEAF)
            (void)printf(",\"leaf\":%" PRIu64, one->leaf);
        (void)fputs(",\"text\":", stdout);
        command_print_json(one->text);
        (void)putchar('}');
    }
    (void)printf("],\"more\":%" PRIu64, f->tampered + f->wanting - f->count);
}

void log_hex(const uint8_t digest[DIGEST_LEN])
{
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(digest, DIGEST_LEN, hex);
    (void)fputs(hex, stdout);
}

/* ---- progress ------------------------------------------------------------------------------- */

static struct {
    int64_t start, last;
    bool shown;
} progress;

void log_progress(void *context, uint64_t done, uint64_t size)
{
    int64_t now = clock_mono_ms();
    (void)context;
    if (progress.start == 0)
        progress.start = now;
    if (now - progress.start < PROGRESS_AFTER_MS || now - progress.last < PROGRESS_MS ||
        isatty(STDERR_FILENO) == 0)
        return;
    uint64_t rate = done * 1000 / (uint64_t)(now - progress.start);
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " leaves, %" PRIu64 "/s, %" PRIu64 " s left ",
                  done, size, rate, rate > 0 ? (size - done) / rate : 0);
    (void)fflush(stderr);
    progress.last = now;
    progress.shown = true;
}

void log_progress_end(void)
{
    if (progress.shown)
        (void)fputs("\r\033[K", stderr);
    memset(&progress, 0, sizeof(progress));
}

/* ---- keys ----------------------------------------------------------------------------------- */

int log_key_for(const struct log_arguments *a, struct source *from, const struct key **ret,
                struct err *err)
{
    static const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct source_file file;
    if (a->key_count == 0)
        return err_set(err, RF_EUSAGE, "name the file with the log's key: --key FILE");
    *ret = &a->keys[0];
    if (a->key_count == 1)
        return 0;
    int rc = source_read(from, &path, &file, err);
    for (unsigned i = 0; rc == 1 && i < a->key_count; i++) {
        size_t n = strlen(a->keys[i].name);
        if (file.len > n && memcmp(file.bytes, a->keys[i].name, n) == 0 && file.bytes[n] == '\n')
            *ret = &a->keys[i];
    }
    return rc < 0 ? rc : 0;
}
