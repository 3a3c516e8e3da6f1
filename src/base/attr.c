#include "base/attr.h"

#include <stdio.h>
#include <stdlib.h>

void attr_assert_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "level=error event=assertion file=%s line=%d condition=\"%s\"\n", file,
                  line, cond);
    abort();
}
