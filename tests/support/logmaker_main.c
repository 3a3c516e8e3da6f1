/* logmaker - writes the folder of a log whose leaves stand on standard input (logmaker.h).
 *
 * usage: logmaker --out DIR --key KEYFILE [--witness KEYFILE[@TIME] ...] [--minute N] <lines
 *        logmaker key NAME SEED KEYFILE VKEYFILE [cosignature]
 *
 * The second form makes a key out of a word, the same each time. The log is published after the
 * last line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "logmaker.h"

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "logmaker: %s\n", err->line);
    return 1;
}

static int make_key(int argc, char **argv)
{
    struct secret_key key;
    uint8_t seed[DIGEST_LEN];
    char vkey[KEY_VKEY_SIZE];
    struct err err;
    if (argc < 6)
        return 2;
    const struct iovec word = digest_piece(argv[3], strlen(argv[3]));
    digest_pieces(&word, 1, seed);
    if (secret_key_make(argv[2], argc > 6 ? KEY_COSIGNATURE : KEY_ED25519, seed, &key, &err) < 0)
        return fail(&err);
    (void)remove(argv[4]);
    if (secret_key_save(argv[4], &key, &err) < 0)
        return fail(&err);
    key_write(&key.key, vkey);
    FILE *to = fopen(argv[5], "w");
    if (to == NULL || fprintf(to, "%s\n", vkey) < 0 || fclose(to) != 0)
        return 1;
    return 0;
}

static int add_witness(struct logmaker_options *o, char *file, struct err *err)
{
    char *at = strrchr(file, '@');
    unsigned i = o->witness_count++;
    if (i == LOGMAKER_WITNESSES_MAX)
        return err_set(err, RF_EINVAL, "too many witnesses");
    if (at != NULL) {
        *at = '\0';
        o->witness_times[i] = strtoull(at + 1, NULL, 10);
    }
    return secret_key_load(file, KEY_COSIGNATURE, &o->witnesses[i], err);
}

static int run(struct logmaker *m, struct err *err)
{
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &room, stdin) > 0)
        rc = logmaker_line(m, line, err);
    free(line);
    return rc < 0 ? rc : logmaker_publish(m);
}

int main(int argc, char **argv)
{
    static struct logmaker_options o = { .on_file = logmaker_write_file };
    static struct secret_key key;
    struct logmaker *m = NULL;
    struct err err;
    err_clear(&err);
    if (digest_init(&err) < 0)
        return fail(&err);
    if (argc > 1 && strcmp(argv[1], "key") == 0)
        return make_key(argc, argv);
    for (int i = 1; i + 1 < argc; i += 2) {
        int rc = 0;
        if (strcmp(argv[i], "--out") == 0)
            o.context = argv[i + 1];
        else if (strcmp(argv[i], "--key") == 0) {
            rc = secret_key_load(argv[i + 1], KEY_ED25519, &key, &err);
            o.key = &key;
        } else if (strcmp(argv[i], "--witness") == 0)
            rc = add_witness(&o, argv[i + 1], &err);
        else if (strcmp(argv[i], "--minute") == 0)
            o.minute = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (rc < 0)
            return fail(&err);
    }
    if (o.key == NULL || o.context == NULL)
        return 2;
    (void)mkdir(o.context, 0777);
    int rc = logmaker_new(&o, &m);
    if (rc == 0)
        rc = run(m, &err);
    logmaker_free(m);
    return rc < 0 ? fail(&err) : 0;
}
