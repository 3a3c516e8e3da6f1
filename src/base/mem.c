#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

void *mem_zalloc(size_t count, size_t size)
{
    if (FAULT("mem.alloc"))
        return NULL;
    return calloc(count, size);
}

void *mem_realloc(void *ptr, size_t size)
{
    if (FAULT("mem.alloc"))
        return NULL;
    return realloc(ptr, size);
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_zalloc(len + 1, 1);
    if (copy != NULL && len > 0)
        memcpy(copy, s, len);
    return copy;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_free_secret(void *ptr, size_t len)
{
    if (ptr != NULL)
        explicit_bzero(ptr, len);
    free(ptr);
}

void mem_free_secret_str(char *s)
{
    mem_free_secret(s, s != NULL ? strlen(s) : 0);
}
