#include "tlog/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "tlog/line.h"

/* Lines of other people's extensions say nothing to us, but they are lines of text. */
static bool are_extensions(struct line rest)
{
    struct line line;
    while (rest.len > 0)
        if (!line_cut(&rest, &line) || line.len == 0 || !line_is_text(line))
            return false;
    return true;
}

int checkpoint_read(const char *text, size_t len, struct checkpoint *ret, struct err *err)
{
    struct line rest = { text, len }, origin, size, root;
    struct checkpoint c = { .size = 0 };
    uint8_t empty[TLOG_HASH_LEN];
    if (!line_cut(&rest, &origin) || !key_is_name(origin.at, origin.len))
        return err_set(err, RF_EPROTO, "checkpoint has no origin that could name a key");
    if (!line_cut(&rest, &size) || !line_number(size, &c.size))
        return err_set(err, RF_EPROTO, "checkpoint has no size in its second line");
    if (!line_cut(&rest, &root) || !line_hash(root, c.root))
        return err_set(err, RF_EPROTO, "checkpoint has no root hash in its third line");
    if (!are_extensions(rest))
        return err_set(err, RF_EPROTO, "checkpoint has a line that is none behind its root hash");
    tlog_empty_root(empty);
    if (c.size == 0 && memcmp(c.root, empty, sizeof(empty)) != 0)
        return err_set(err, RF_EPROTO, "checkpoint of size 0 has another root than the empty one");
    memcpy(c.origin, origin.at, origin.len); /* of zeros */
    *ret = c;
    return 0;
}

size_t checkpoint_write(const struct checkpoint *c, char ret[CHECKPOINT_TEXT_SIZE])
{
    char root[LINE_HASH_LEN + 1];
    RF_ASSERT(c->size <= LINE_NUMBER_MAX && key_is_name(c->origin, strlen(c->origin)));
    (void)base64_encode(c->root, sizeof(c->root), root);
    return (size_t)snprintf(ret, CHECKPOINT_TEXT_SIZE, "%s\n%llu\n%s\n", c->origin,
                            (unsigned long long)c->size, root);
}
