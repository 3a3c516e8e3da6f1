#include "tlog/key.h"

bool key_is_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return false;
    return len >= 1 && len <= KEY_NAME_MAX;
}
