/* The startup packet: whatever is read must be whole, bounded, and readable again when written. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_session(const struct startup *s)
{
    static struct startup again;
    struct startup_parameter parameters[STARTUP_PARAMETERS_MAX + 2];
    struct buf b;
    size_t n = 0;
    RF_ASSERT(s->user[0] != '\0' && s->database[0] != '\0');
    RF_ASSERT(s->minor_agreed <= STARTUP_MINOR_MAX && s->minor_agreed <= s->minor);
    parameters[n++] = (struct startup_parameter){ "user", s->user };
    parameters[n++] = (struct startup_parameter){ "database", s->database };
    for (size_t i = 0; i < s->parameter_count; i++) {
        RF_ASSERT(s->parameters[i].name[0] != '\0');
        parameters[n++] = s->parameters[i];
    }
    buf_init(&b, 64 * 1024);
    RF_ASSERT(startup_session_write(&b, s->minor, parameters, n) == 0);
    /* a name that came through `options` may be one that means something in the packet itself */
    if (buf_len(&b) <= STARTUP_LENGTH_MAX &&
        startup_read(buf_at(&b), buf_len(&b), &again, NULL) == 0)
        RF_ASSERT(strcmp(again.user, s->user) == 0);
    buf_clear(&b);
    RF_ASSERT(startup_negotiate_write(&b, s) == 0);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct startup s;
    struct err err = { 0 };
    size_t len;
    if (size >= 4 && startup_length_read(data, &len) == 0)
        RF_ASSERT(len >= STARTUP_LENGTH_MIN && len <= STARTUP_LENGTH_MAX);
    int rc = startup_read(data, size, &s, &err);
    RF_ASSERT(rc == 0 ? err.code == 0 : err.code == -rc);
    if (rc == 0 && s.kind == STARTUP_SESSION)
        check_session(&s);
    if (rc == 0 && s.kind == STARTUP_CANCEL)
        RF_ASSERT(s.cancel_key_len >= STARTUP_CANCEL_KEY_MIN &&
                  s.cancel_key_len <= STARTUP_CANCEL_KEY_MAX);
    return 0;
}
