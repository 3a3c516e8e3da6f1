/* backend.h - messages that a server sends: written by the gate for clients, read from databases.
 */
#ifndef RF_WIRE_BACKEND_H
#define RF_WIRE_BACKEND_H

#include "base/err.h"
#include "wire/rd.h"
#include "wire/wr.h"

/* AuthenticationXXX codes (PostgreSQL manual 55.7, "AuthenticationOk" and following). */
enum backend_auth {
    BACKEND_AUTH_OK = 0,
    BACKEND_AUTH_CLEARTEXT = 3,
    BACKEND_AUTH_MD5 = 5,
    BACKEND_AUTH_SASL = 10,
    BACKEND_AUTH_SASL_CONTINUE = 11,
    BACKEND_AUTH_SASL_FINAL = 12
};

/* Key data of a session: 4 bytes of secret in protocol 3.0, up to 256 in 3.2. */
struct backend_key {
    uint32_t pid;
    uint16_t secret_len;
    uint8_t secret[256];
};

/* The fields of ErrorResponse and NoticeResponse that we look at; borrowed, "" when absent. */
struct backend_error {
    const char *severity; /* not localised: 'V' when present, else 'S' */
    const char *sqlstate;
    const char *message;
    const char *hint;
};

void backend_write_auth(struct wr *w, enum backend_auth code, const void *data, size_t len);
void backend_write_parameter(struct wr *w, const char *name, const char *value);
void backend_write_key(struct wr *w, const struct backend_key *key);
void backend_write_ready(struct wr *w, char status);
/* UNKNOWN: the `_pq_.` options that were not recognised. */
void backend_write_negotiate(struct wr *w, uint16_t minor, const char *const *unknown,
                             size_t unknown_count);
/* An ErrorResponse from E (line and hint; never detail). POSITION in characters, 0: none. */
void backend_write_error(struct wr *w, const char *severity, const struct err *e,
                         uint32_t position);

/* A NoticeResponse of severity NOTICE. */
void backend_write_notice(struct wr *w, const char *line);
/* CommandComplete. */
void backend_write_complete(struct wr *w, const char *tag);

RF_CHECK int backend_read_error(struct rd body, struct backend_error *ret);
RF_CHECK int backend_read_parameter(struct rd body, const char **ret_name, const char **ret_value);
RF_CHECK int backend_read_key(struct rd body, struct backend_key *ret);
/* *RET_DATA: what follows the code, borrowed. */
RF_CHECK int backend_read_auth(struct rd body, uint32_t *ret_code, struct rd *ret_data);

#endif
