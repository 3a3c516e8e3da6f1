/* fuzz_config.c - any bytes as a configuration file: all of it is right, or mistakes are told. */
#include <stdint.h>

#include "policy/config.h"
#include "policy/mistakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct config *c)
{
    RF_ASSERT(c->listen_count > 0 && c->database_count > 0);
    RF_ASSERT(c->policy_path[0] == '/' && c->state_dir[0] == '/');
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listen[i];
        RF_ASSERT((l->address != NULL) != (l->unix_path != NULL));
        RF_ASSERT((l->address != NULL) == (l->port != 0));
        RF_ASSERT(!l->tls_offered || (c->tls_certificate != NULL && c->tls_key != NULL));
    }
    for (size_t i = 0; i < c->database_count; i++) {
        const struct config_database *d = &c->databases[i];
        RF_ASSERT(config_database_find(c, d->alias) != NULL && d->primary_count > 0);
        RF_ASSERT(d->tls != SERVER_TLS_VERIFY_FULL || d->tls_ca != NULL);
        for (size_t j = 0; j < d->primary_count; j++)
            RF_ASSERT(d->primary[j].host[0] != '\0' && d->primary[j].port != 0);
    }
#define LIMIT(key, member, type, least, most, default, reloadable, sentence) \
    RF_ASSERT(c->member >= least && c->member <= most);
#include "policy/tbl/config.def"
#undef LIMIT
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mistakes mistakes;
    struct config *config = NULL;
    mistakes_init(&mistakes);
    int rc = config_parse("/fuzz", (const char *)data, size, &config, &mistakes);
    RF_ASSERT((rc == 0) == (config != NULL) && (rc == 0) == !mistakes_any(&mistakes));
    if (config != NULL)
        use(config);
    config_free(config);
    mistakes_done(&mistakes);
    return 0;
}
