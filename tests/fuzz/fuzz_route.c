/* A request's target: wherever it leads, the file is one that a log may have, and named by us. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hub/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ends_with(const uint8_t *data, size_t size, const char *end)
{
    size_t len = strlen(end);
    return size >= len && memcmp(data + size - len, end, len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char us[] = "us-virginia", tile[] = "tile", nowhere[] = "/nonexistent";
    static struct config_hub_log logs[] = { { us, nowhere }, { tile, nowhere } };
    static const struct config_hub hub = { .logs = logs, .log_count = 2 };
    struct tlog_path path;
    struct route r;
    route_of((const char *)data, size, &hub, &r);
    RF_ASSERT(r.kind < ROUTE_COUNT && r.log < hub.log_count);
    bool is_file = r.kind >= ROUTE_CHECKPOINT;
    RF_ASSERT(is_file == (r.file[0] != '\0'));
    if (is_file) {
        RF_ASSERT(strstr(r.file, "..") == NULL && r.file[0] != '/');
        RF_ASSERT(tlog_path_read(r.file, strlen(r.file), &path) == 0);
        RF_ASSERT(ends_with(data, size, r.file)); /* one spelling, nothing unescaped */
    }
    return 0;
}
