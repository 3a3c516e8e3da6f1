#include "gate/step.h"

static const uint8_t steps[SESSION_STATE_COUNT][MESSAGE_COUNT] = {
    /* CLOSED, STARTUP, TLS, ADMISSION: no message is legal; startup packets have no type byte, and
       a client that talks before it was greeted is cut off */
    [SESSION_SASL_FIRST] = {
        [MESSAGE_PASSWORD] = STEP_SASL_FIRST,
        [MESSAGE_TERMINATE] = STEP_TERMINATE,
    },
    [SESSION_SASL_NEXT] = {
        [MESSAGE_PASSWORD] = STEP_SASL_NEXT,
        [MESSAGE_TERMINATE] = STEP_TERMINATE,
    },
    [SESSION_SERVICE] = {
        [MESSAGE_QUERY] = STEP_QUERY,
        [MESSAGE_PARSE] = STEP_PARSE,
        [MESSAGE_BIND] = STEP_BIND,
        [MESSAGE_DESCRIBE] = STEP_DESCRIBE,
        [MESSAGE_EXECUTE] = STEP_EXECUTE,
        [MESSAGE_CLOSE] = STEP_CLOSE,
        [MESSAGE_SYNC] = STEP_SYNC,
        [MESSAGE_FLUSH] = STEP_FLUSH,
        [MESSAGE_FUNCTION_CALL] = STEP_CALL,
        [MESSAGE_COPY_DATA] = STEP_COPY,
        [MESSAGE_COPY_DONE] = STEP_COPY,
        [MESSAGE_COPY_FAIL] = STEP_COPY,
        [MESSAGE_TERMINATE] = STEP_TERMINATE,
    },
    [SESSION_PERSON] = {
        [MESSAGE_QUERY] = STEP_QUERY,
        [MESSAGE_PARSE] = STEP_PARSE,
        [MESSAGE_BIND] = STEP_BIND,
        [MESSAGE_DESCRIBE] = STEP_DESCRIBE,
        [MESSAGE_EXECUTE] = STEP_EXECUTE,
        [MESSAGE_CLOSE] = STEP_CLOSE,
        [MESSAGE_SYNC] = STEP_SYNC,
        [MESSAGE_FLUSH] = STEP_FLUSH,
        [MESSAGE_FUNCTION_CALL] = STEP_DENY,
        [MESSAGE_COPY_DATA] = STEP_DROP,
        [MESSAGE_COPY_DONE] = STEP_DROP,
        [MESSAGE_COPY_FAIL] = STEP_DROP,
        [MESSAGE_TERMINATE] = STEP_TERMINATE,
    },
    [SESSION_ENDING] = {
        [MESSAGE_QUERY] = STEP_DROP,     [MESSAGE_PARSE] = STEP_DROP,
        [MESSAGE_BIND] = STEP_DROP,      [MESSAGE_DESCRIBE] = STEP_DROP,
        [MESSAGE_EXECUTE] = STEP_DROP,   [MESSAGE_CLOSE] = STEP_DROP,
        [MESSAGE_SYNC] = STEP_DROP,      [MESSAGE_FLUSH] = STEP_DROP,
        [MESSAGE_FUNCTION_CALL] = STEP_DROP, [MESSAGE_COPY_DATA] = STEP_DROP,
        [MESSAGE_COPY_DONE] = STEP_DROP, [MESSAGE_COPY_FAIL] = STEP_DROP,
        [MESSAGE_PASSWORD] = STEP_DROP,  [MESSAGE_TERMINATE] = STEP_DROP,
    },
};

static const char *const state_names[SESSION_STATE_COUNT] = {
    "closed",    "startup", "tls",    "sasl-first", "sasl-next",
    "admission", "service", "person", "ending",
};

enum step step_of(enum session_state state, enum message message)
{
    return (enum step)steps[state][message];
}

const char *step_state_name(enum session_state state)
{
    return state_names[state];
}
