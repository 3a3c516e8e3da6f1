/* step.h - what a session in each state does with each message of its client: one table. */
#ifndef RF_GATE_STEP_H
#define RF_GATE_STEP_H

#include "wire/message.h"

enum session_state {
    SESSION_CLOSED,
    SESSION_STARTUP,
    SESSION_TLS,
    SESSION_SASL_FIRST,
    SESSION_SASL_NEXT,
    SESSION_ADMISSION,
    SESSION_SERVICE,
    SESSION_PERSON,
    SESSION_ENDING,
    SESSION_STATE_COUNT
};

enum step {
    STEP_REFUSE, /* protocol violation: the session ends */
    STEP_SASL_FIRST,
    STEP_SASL_NEXT,
    STEP_QUERY,
    STEP_PARSE,
    STEP_BIND,
    STEP_DESCRIBE,
    STEP_EXECUTE,
    STEP_CLOSE,
    STEP_SYNC,
    STEP_FLUSH,
    STEP_CALL, /* FunctionCall: answered with a ReadyForQuery of its own */
    STEP_COPY, /* data of COPY FROM STDIN; ignored by servers outside of it */
    STEP_DENY, /* understood, and not for this kind of session */
    STEP_DROP, /* the session is ending: no longer looked at */
    STEP_TERMINATE,
    STEP_COUNT
};

enum step step_of(enum session_state state, enum message message);
const char *step_state_name(enum session_state state);

#endif
