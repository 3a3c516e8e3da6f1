/* fuzz_verify.c - any bytes as a whole public log: judged, whatever they are.
 *
 * The first byte chooses. Even: the rest are entries (be16 length, bytes), and tiles and a signed
 * checkpoint are made for them, so that the rules between leaves are reached. Odd: the rest are
 * files (u8 length and path, be16 length and bytes). */
#include <stdint.h>
#include <string.h>

#include "../support/logmaker.h"
#include "../support/memlog.h"
#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES_MAX = 600 };

static struct secret_key key;

static void make_log(const uint8_t *data, size_t size, struct memlog *to)
{
    const struct logmaker_options options = { .key = &key, .on_file = memlog_put, .context = to };
    struct logmaker *m = NULL;
    RF_ASSERT(logmaker_new(&options, &m) == 0);
    while (size >= 2 && logmaker_size(m) < ENTRIES_MAX) {
        size_t n = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        RF_ASSERT(logmaker_bytes(m, data, n) == 0);
        data += n;
        size -= n;
    }
    RF_ASSERT(logmaker_publish(m) == 0);
    logmaker_free(m);
}

static void make_files(const uint8_t *data, size_t size, struct memlog *to)
{
    while (size >= 4 && to->count < ENTRIES_MAX) {
        char path[256];
        size_t n = data[0];
        if (n + 3 > size)
            return;
        memcpy(path, data + 1, n);
        path[n] = '\0';
        data += n + 1;
        size -= n + 1;
        n = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        (void)memlog_put(to, path, data, n);
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[KEY_SEED_LEN] = { 1 };
    struct verify_options options = { .key = &key.key };
    struct verify_report *report = NULL;
    struct memlog files = { 0 };
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    if (key.key.name[0] == '\0')
        RF_ASSERT(secret_key_make("log.example.com/us", KEY_ED25519, seed, &key, &err) == 0);
    if (size == 0)
        return 0;
    (data[0] % 2 == 0 ? make_log : make_files)(data + 1, size - 1, &files);
    struct source *source = memlog_source(&files);
    RF_ASSERT(verify_report_new(&report, &err) == 0);
    int rc = verify_log(source, &options, report, &err);
    RF_ASSERT(rc <= 0 && (rc == 0 || err.code == RF_EUNAVAIL || err.code == RF_ENOMEM));
    /* what was made here holds together; only its leaves may not */
    RF_ASSERT(data[0] % 2 != 0 || rc < 0 || report->is_whole || report->findings.tampered > 0);
    for (unsigned i = 0; i < report->findings.count; i++)
        RF_ASSERT(report->findings.list[i].text[0] != '\0');
    verify_report_free(report);
    source_close(source);
    memlog_done(&files);
    return 0;
}
