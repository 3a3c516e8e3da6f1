#include "herald/hookfiles.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "herald/webhook.h"

/* A file that could not be read weighs more than one with mistakes. */
static void note(int *worst, int code)
{
    if (*worst == 0 || code != -RF_ECONFIG)
        *worst = code;
}

static void check_access(const struct config_hook *h, size_t index, const char *key,
                         const char *path, int how, const char *file, struct mistakes *mistakes,
                         int *worst)
{
    if (path == NULL || access(path, how) == 0)
        return;
    mistakes_add(mistakes, file, h->line, "hooks[%zu].%s: could not %s \"%s\": %s", index, key,
                 how == X_OK ? "run" : "read", path, strerrordesc_np(errno));
    note(worst, -RF_ESYS);
}

static void check_key(const struct config_hook *h, size_t index, const char *file,
                      struct mistakes *mistakes, int *worst)
{
    struct webhook_key key;
    struct err err = { 0 };
    if (h->key_path == NULL)
        return;
    int rc = webhook_key_read(h->key_path, &key, &err);
    if (rc < 0) {
        mistakes_add(mistakes, file, h->line, "hooks[%zu].key: %s%s%s", index, err.line,
                     err.hint[0] != '\0' ? "; " : "", err.hint);
        note(worst, rc);
    }
    explicit_bzero(&key, sizeof(key));
}

int hookfiles_check(const struct config *c, const char *file, struct mistakes *mistakes)
{
    int worst = 0;
    for (size_t i = 0; i < c->hook_count; i++) {
        const struct config_hook *h = &c->hooks[i];
        check_key(h, i, file, mistakes, &worst);
        check_access(h, i, "ca", h->ca_path, R_OK, file, mistakes, &worst);
        if (h->command_count > 0)
            check_access(h, i, "command", h->command[0], X_OK, file, mistakes, &worst);
    }
    return worst;
}
