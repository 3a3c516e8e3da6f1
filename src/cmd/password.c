/* password.c - a line for the credentials file, so that nobody has to ask a database for one. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "auth/scram.h"
#include "cmd/command.h"
#include "policy/mistakes.h"

enum { PASSWORD_MAX = 1024 };

/* From a terminal, twice and unseen. OpenSSL's prompt gives the terminal back as it was, also when
   it is interrupted; its buffer is wiped by the caller. */
static int ask_password(char out[PASSWORD_MAX], struct err *err)
{
    if (EVP_read_pw_string_min(out, 1, PASSWORD_MAX - 1, "password: ", 1) != 0)
        return err_set(err, RF_EUSAGE, "no password was given, or not twice the same");
    return 0;
}

/* One line of standard input without its end. */
static int read_password(char out[PASSWORD_MAX], struct err *err)
{
    if (isatty(STDIN_FILENO) != 0)
        return ask_password(out, err);
    char *got = fgets(out, PASSWORD_MAX, stdin);
    size_t len = got != NULL ? strcspn(out, "\r\n") : 0;
    if (len == 0)
        return err_set(err, RF_EUSAGE, "no password on standard input");
    if (out[len] == '\0' && len == PASSWORD_MAX - 1)
        return err_set(err, RF_ETOOBIG, "password is longer than %d bytes", PASSWORD_MAX - 2);
    out[len] = '\0';
    return 0;
}

/* The name as the credentials file takes it: the file's own parser decides. */
static int check_name(const char *name, const char *verifier, struct err *err)
{
    char line[CREDENTIALS_NAME_MAX + SCRAM_VERIFIER_MAX + 8];
    struct credentials *c = NULL;
    struct mistakes mistakes;
    int n = snprintf(line, sizeof(line), "%s:%s\n", name, verifier);
    if (n < 0 || (size_t)n >= sizeof(line))
        return err_set(err, RF_EUSAGE, "name is longer than %d bytes", CREDENTIALS_NAME_MAX);
    mistakes_init(&mistakes);
    int rc = credentials_parse("name", line, (size_t)n, &c, &mistakes);
    if (rc == 0 && credentials_find(c, name) == NULL)
        rc = err_set(err, RF_EUSAGE, "\"%s\" would be a comment in the credentials file", name);
    else if (rc < 0)
        rc = err_set(err, RF_EUSAGE, "%s",
                     mistakes.count > 0 ? mistakes.list[0].text : "not a name for the file");
    mistakes_done(&mistakes);
    credentials_free(c);
    return rc;
}

static void print_line(bool json, const char *name, const char *verifier)
{
    if (!json) {
        (void)printf("%s:%s\n", name, verifier);
        return;
    }
    (void)printf("{\"name\":");
    command_print_json(name);
    (void)printf(",\"verifier\":");
    command_print_json(verifier);
    (void)printf("}\n");
}

int command_password(const struct command_context *context, int argc, char **argv)
{
    char password[PASSWORD_MAX], verifier[SCRAM_VERIFIER_MAX] = "";
    struct err err;
    if (argc != 2)
        return command_usage(argv[0]);
    int rc = read_password(password, &err);
    if (rc == 0)
        rc = scram_verifier_make(password, 0, verifier, &err);
    explicit_bzero(password, sizeof(password));
    if (rc == 0)
        rc = check_name(argv[1], verifier, &err);
    if (rc < 0)
        return command_fail(context, argv[0], &err);
    print_line(context->json, argv[1], verifier);
    return COMMAND_DONE;
}
