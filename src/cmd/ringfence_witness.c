/* ringfence-witness - a small witness for trials and demonstrations (ringfence-witness(8)). */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "tlog/key.h"
#include "witness/serve.h"

enum { STATUS_USAGE = 2, STATUS_FAILED = 3, OPTION_NEW_KEY = 256 };

static const struct option options[] = {
    { "key", required_argument, NULL, 'k' },
    { "state", required_argument, NULL, 's' },
    { "listen", required_argument, NULL, 'l' },
    { "log", required_argument, NULL, 'o' },
    { "new-key", required_argument, NULL, OPTION_NEW_KEY },
    { "version", no_argument, NULL, 'V' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static const char help[] =
    "usage: ringfence-witness --key FILE --state DIR --listen ADDRESS:PORT --log VKEYFILE...\n"
    "       ringfence-witness --key FILE --new-key NAME\n"
    "\n"
    "  --key FILE      the witness's secret key\n"
    "  --state DIR     folder of what it has cosigned; nobody else may write there\n"
    "  --listen A:P    where to serve HTTP; port 0: any, and it is printed\n"
    "  --log FILE      verifier key of a log that is cosigned; may be repeated\n"
    "  --new-key NAME  make a key in FILE, print its verifier key, and end\n"
    "\n"
    "Exit status: 0 as told, 2 usage, 3 could not start or go on, 4 the state is not its own.\n";

struct arguments {
    const char *key, *state, *listen, *name;
    const char *logs[WITNESS_LOGS_MAX];
    unsigned log_count;
};

static int usage(const char *complaint)
{
    (void)fprintf(stderr, "ringfence-witness: %s\nringfence-witness: try --help\n", complaint);
    return STATUS_USAGE;
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "ringfence-witness: %s\n", err->line);
    return err_exit_status(err->code);
}

static int make_key(const struct arguments *a)
{
    uint8_t seed[KEY_SEED_LEN];
    char vkey[KEY_VKEY_SIZE];
    struct secret_key key = { .seed = { 0 } };
    struct err err = { 0 };
    randombytes_buf(seed, sizeof(seed));
    int rc = secret_key_make(a->name, KEY_COSIGNATURE, seed, &key, &err);
    if (rc == 0)
        rc = secret_key_save(a->key, &key, &err);
    key_write(&key.key, vkey);
    explicit_bzero(seed, sizeof(seed));
    secret_key_wipe(&key);
    if (rc < 0)
        return fail(&err);
    return printf("%s\n", vkey) < 0 ? STATUS_FAILED : 0;
}

static int run(const struct arguments *a)
{
    static struct key logs[WITNESS_LOGS_MAX];
    struct secret_key key = { .seed = { 0 } };
    struct witness *w = NULL;
    struct err err = { 0 };
    int rc = secret_key_load(a->key, KEY_COSIGNATURE, &key, &err);
    for (unsigned i = 0; i < a->log_count && rc == 0; i++)
        rc = key_load(a->logs[i], &logs[i], &err);
    if (rc == 0)
        rc = witness_open(a->state, &key, logs, a->log_count, &w, &err);
    if (rc == 0)
        rc = serve(w, a->listen, &err);
    witness_close(w);
    secret_key_wipe(&key);
    return rc < 0 ? fail(&err) : 0;
}

/* -1: go on; otherwise the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *ret)
{
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (c) {
        case 'k':
            ret->key = optarg;
            break;
        case 's':
            ret->state = optarg;
            break;
        case 'l':
            ret->listen = optarg;
            break;
        case 'o':
            if (ret->log_count == WITNESS_LOGS_MAX)
                return usage("too many logs");
            ret->logs[ret->log_count++] = optarg;
            break;
        case OPTION_NEW_KEY:
            ret->name = optarg;
            break;
        case 'V':
            return printf("ringfence-witness %s\n", RF_VERSION) < 0;
        case 'h':
            return printf("%s", help) < 0;
        default:
            return usage("no such option, or its argument is missing");
        }
    return optind < argc ? usage("there is an argument too many") : -1;
}

int main(int argc, char **argv)
{
    struct arguments a = { .key = NULL };
    struct err err = { 0 };
    int status = read_arguments(argc, argv, &a);
    if (status >= 0)
        return status;
    if (a.key == NULL)
        return usage("--key FILE is missing");
    log_open("witness", LOG_LEVEL_INFO);
    if (sodium_init() < 0 || digest_init(&err) < 0)
        return fail(&err);
    if (a.name != NULL)
        return make_key(&a);
    if (a.state == NULL || a.listen == NULL || a.log_count == 0)
        return usage("--state DIR, --listen ADDRESS:PORT and --log VKEYFILE are needed");
    return run(&a);
}
