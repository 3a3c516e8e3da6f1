/* checkpoint.h - the text of a signed tree head (C2SP tlog-checkpoint). */
#ifndef RF_TLOG_CHECKPOINT_H
#define RF_TLOG_CHECKPOINT_H

#include "tlog/hash.h"
#include "tlog/key.h"

enum { CHECKPOINT_TEXT_SIZE = KEY_NAME_MAX + 1 + 20 + 1 + 44 + 1 + 1 };

struct checkpoint {
    char origin[KEY_NAME_MAX + 1];
    uint64_t size;
    uint8_t root[TLOG_HASH_LEN];
};

/* The text of a note: extension lines are accepted and ignored. Size 0 has the empty root. */
RF_CHECK int checkpoint_read(const char *text, size_t len, struct checkpoint *ret, struct err *err);
size_t checkpoint_write(const struct checkpoint *c, char ret[CHECKPOINT_TEXT_SIZE]);

#endif
