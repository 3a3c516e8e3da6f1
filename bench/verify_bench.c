/* verify_bench - how fast a public log is verified, and in how much memory.
 *
 * usage: verify_bench FOLDER LEAVES
 *
 * Makes a log of LEAVES leaves below FOLDER (about 450 bytes a leaf), as a busy gateway writes
 * them: of twenty, twelve roll-ups, six disclosures with three tags each, a grant and its end; a
 * seal every five minutes, an epoch every day. Verifies it twice from the page cache, hashes alone
 * and with every rule, and prints one object of JSON: rates by processor time of the one thread. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "logmaker.h"
#include "verify/verify.h"

enum { LINE_SIZE = 512, MINUTES_SEAL = 5 };

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct making {
    struct logmaker *m;
    uint64_t round, grant_at;
    uint32_t minute;
};

static int say(struct making *k, const char *line, struct err *err)
{
    return logmaker_line(k->m, line, err);
}

/* Five minutes of a gateway. */
static int make_round(struct making *k, struct err *err)
{
    char line[LINE_SIZE];
    unsigned long long number = k->round + 1;
    uint32_t before = k->minute;
    int rc = 0;
    k->round++;
    k->minute += MINUTES_SEAL;
    if (before / 1440 != k->minute / 1440) {
        (void)snprintf(line, sizeof(line), "seal of=epoch minute=%u", k->minute);
        rc = say(k, line, err);
    }
    for (int i = 0; rc == 0 && i < 12; i++) {
        (void)
            snprintf(line, sizeof(line),
                     "session minute=%u from=%u until=%u room=masked entity=clipstream-us place=US "
                     "actor_kind=person sessions=2 statements=%d rows=512 bytes=65536 "
                     "region=us-virginia",
                     k->minute, before, k->minute, i + 1);
        char *word = strstr(line, "entity=clipstream-us");
        memcpy(word, "entity=clipstream-", 18);
        word[18] = (char)('a' + i); /* twelve groups */
        rc = say(k, line, err);
    }
    rc = rc == 0 ? say(k, "seal of=interval", err) : rc;
    k->grant_at = logmaker_size(k->m);
    (void)snprintf(line, sizeof(line),
                   "grant grant=%llu entity=clipstream-us place=US purpose=abuse_report "
                   "classes=identity,contact subjects=4 until=%u policy_ref=1",
                   number, k->minute + 30);
    rc = rc == 0 ? say(k, line, err) : rc;
    (void)
        snprintf(line, sizeof(line),
                 "disclosure room=granted grant=%llu grant_ref=%llu entity=clipstream-us place=US "
                 "purpose=abuse_report classes=identity tags=3",
                 number, (unsigned long long)k->grant_at);
    for (int i = 0; rc == 0 && i < 6; i++)
        rc = say(k, line, err);
    (void)snprintf(line, sizeof(line), "revoke grant=%llu grant_ref=%llu rule=expired", number,
                   (unsigned long long)k->grant_at);
    return rc == 0 ? say(k, line, err) : rc;
}

static int make(struct logmaker_options *options, uint64_t leaves, struct err *err)
{
    struct making k = { .minute = 29922480 };
    char line[LINE_SIZE];
    options->minute = k.minute;
    int rc = logmaker_new(options, &k.m);
    (void)snprintf(line, sizeof(line), "genesis epoch=1440m rollup=5 seal=5 minute=%u", k.minute);
    rc = rc == 0 ? say(&k, line, err) : rc;
    rc = rc == 0 ? say(&k, "start", err) : rc;
    while (rc == 0 && logmaker_size(k.m) < leaves)
        rc = make_round(&k, err);
    rc = rc == 0 ? logmaker_publish(k.m) : rc;
    logmaker_free(k.m);
    return rc;
}

static int verify(const char *folder, const struct key *key, bool hashes_only,
                  struct verify_report *report, double *ret_seconds, struct err *err)
{
    const struct verify_options options = { .key = key, .hashes_only = hashes_only };
    struct source *source = NULL;
    int rc = source_open(folder, NULL, &source, err);
    double start = cpu_s();
    if (rc == 0)
        rc = verify_log(source, &options, report, err);
    *ret_seconds = cpu_s() - start;
    source_close(source);
    if (rc == 0 && (!report->is_whole || report->findings.count > 0))
        rc = err_set(err, RF_EBUG, "leaf %lld: %s", (long long)report->findings.list[0].leaf,
                     report->findings.list[0].text);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    static struct secret_key key;
    static const uint8_t seed[KEY_SEED_LEN] = { 1 };
    char folder[4096];
    struct verify_report *reports[2] = { NULL, NULL };
    struct rusage usage;
    struct err err;
    double seconds[2] = { 0 };
    if (argc != 3)
        return 2;
    (void)snprintf(folder, sizeof(folder), "%s/log", argv[1]);
    struct logmaker_options options = { .key = &key,
                                        .on_file = logmaker_write_file,
                                        .context = folder };
    err_clear(&err);
    int rc = digest_init(&err);
    if (rc == 0)
        rc = secret_key_make("log.example.com/bench", KEY_ED25519, seed, &key, &err);
    if (rc == 0)
        rc = make(&options, strtoull(argv[2], NULL, 10), &err);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = verify_report_new(&reports[i], &err);
        if (rc == 0)
            rc = verify(folder, &key.key, i == 0, reports[i], &seconds[i], &err);
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    if (rc == 0)
        (void)printf("{\"leaves\":%llu,\"megabytes\":%.1f,\"hashes_per_second\":%.0f,"
                     "\"rules_per_second\":%.0f,\"peak_kilobytes\":%ld,\"open_tags\":%llu}\n",
                     (unsigned long long)reports[1]->leaves, (double)reports[1]->bytes / 1e6,
                     (double)reports[0]->leaves / seconds[0],
                     (double)reports[1]->leaves / seconds[1], usage.ru_maxrss,
                     (unsigned long long)reports[1]->facts.tags);
    else
        (void)fprintf(stderr, "verify_bench: %s\n", err.line);
    for (int i = 0; i < 2; i++)
        verify_report_free(reports[i]);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc < 0 ? err_exit_status(err.code) : 0;
}
