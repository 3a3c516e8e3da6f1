/* The server's side of SCRAM (RFC 5802 section 5).
 *
 *   INITIAL --SASLInitialResponse, no data--> FIRST     (an empty challenge goes out)
 *   INITIAL, FIRST --client-first-message---> PROOF     (server-first-message goes out)
 *   PROOF --client-final-message, proven----> OVER      (server-final-message goes out)
 *   any --anything else---------------------> OVER
 *
 * Until OVER is reached through SCRAM_DONE nothing that the client said may be trusted.
 *
 * A stranger must not learn which names exist. An unknown user gets a salt that is computed from
 * the name, the count that real users have, a full verification against keys nobody has, and the
 * refusal of a wrong password. Both ways do the same computations: the mock salt is computed for
 * known users too and a well-formed verifier is parsed for unknown ones. */
#include "auth/scram.h"

#include <stdio.h>
#include <string.h>

#include "auth/scram_keys.h"
#include "base/base64.h"
#include "base/mem.h"

enum server_state { SERVER_OVER, SERVER_INITIAL, SERVER_FIRST, SERVER_PROOF };

struct scram_server {
    enum server_state state;
    bool is_mock;
    bool is_plus; /* the mechanism the client selected */
    char flag;    /* 'n', 'y', 'p' of the GS2 header */
    struct scram_verifier verifier;
    uint8_t binding[SCRAM_BINDING_MAX];
    size_t binding_len; /* 0: none, PLUS is not offered */
    char server_nonce[SCRAM_NONCE_LEN + 1];
    struct buf nonce; /* the client's and ours, one after the other */
    struct buf said;  /* AuthMessage as far as it has come */
};

static const char binding_type[] = "tls-server-end-point";

/* Well-formed, of nobody: what is parsed where there is no verifier, so that the work is equal. */
static const char nobody[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static int verifier_choose(struct scram_server *s, const char *text, const char *user,
                           const struct scram_mock *mock)
{
    struct scram_verifier made = { .iterations = mock->iterations, .salt_len = SCRAM_SALT_LEN };
    uint8_t salt[SCRAM_KEY_LEN];
    int rc = scram_keys_hmac(mock->secret, sizeof(mock->secret), user, strlen(user), salt);
    if (rc == 0)
        rc = scram_keys_hmac(salt, sizeof(salt), "stored", 6, made.stored_key);
    if (rc == 0)
        rc = scram_keys_hmac(salt, sizeof(salt), "server", 6, made.server_key);
    if (rc < 0)
        return rc;
    memcpy(made.salt, salt, SCRAM_SALT_LEN);
    s->is_mock = text == NULL;
    if (s->is_mock)
        text = nobody;
    rc = scram_verifier_parse(text, strlen(text), &s->verifier);
    if (s->is_mock)
        s->verifier = made;
    return rc;
}

int scram_server_new(const char *verifier, const char *user, const struct scram_mock *mock,
                     const uint8_t *binding, size_t binding_len, struct scram_server **ret_server)
{
    if (binding_len > SCRAM_BINDING_MAX)
        return -RF_EINVAL;
    struct scram_server *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL)
        return -RF_ENOMEM;
    buf_init(&s->nonce, SCRAM_MESSAGE_MAX + SCRAM_NONCE_LEN);
    buf_init(&s->said, (size_t)4 * SCRAM_MESSAGE_MAX);
    if (binding_len > 0)
        memcpy(s->binding, binding, binding_len);
    s->binding_len = binding_len;
    int rc = verifier_choose(s, verifier, user, mock);
    if (rc == 0)
        rc = scram_keys_nonce(s->server_nonce);
    if (rc < 0) {
        scram_server_free(s);
        return rc;
    }
    s->state = SERVER_INITIAL;
    *ret_server = s;
    return 0;
}

void scram_server_free(struct scram_server *s)
{
    if (s == NULL)
        return;
    buf_done(&s->nonce);
    buf_wipe_done(&s->said);
    mem_free_secret(s, sizeof(*s));
}

const char *scram_server_offer(const struct scram_server *s, size_t *ret_len)
{
    static const char both[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
    static const char plain[] = SCRAM_MECHANISM "\0";
    *ret_len = s->binding_len > 0 ? sizeof(both) : sizeof(plain);
    return s->binding_len > 0 ? both : plain;
}

static int malformed(struct err *err, const char *detail)
{
    int rc = err_set(err, RF_EPROTO, "malformed SCRAM message");
    err_detail(err, "%s", detail);
    return rc;
}

/* PostgreSQL manual, "SASL Authentication": the three flags, each against the mechanism selected
   and against what we offered. TYPE is that of 'p'. */
static int check_flag(const struct scram_server *s, const char *type, size_t len, struct err *err)
{
    switch (s->flag) {
    case 'p':
        if (!s->is_plus)
            return malformed(err, "channel binding data without the mechanism for it");
        if (len != strlen(binding_type) || memcmp(type, binding_type, len) != 0)
            return err_set(err, RF_EPROTO, "unsupported SCRAM channel-binding type");
        return 0;
    case 'y':
        if (s->is_plus)
            return malformed(err, "the mechanism with channel binding without its data");
        if (s->binding_len > 0) {
            int rc = err_set(err, RF_EPROTO, "SCRAM channel binding negotiation error");
            err_detail(err, "client can bind and believes that the server cannot: downgraded");
            return rc;
        }
        return 0;
    case 'n':
        return s->is_plus ? malformed(err, "the mechanism with channel binding without its data")
                          : 0;
    default:
        return malformed(err, "unexpected channel-binding flag");
    }
}

/* gs2-header = gs2-cbind-flag "," [authzid] "," */
static int read_gs2(struct scram_server *s, struct rd *in, struct err *err)
{
    struct rd whole = *in;
    const char *type = "";
    size_t len = 0;
    s->flag = (char)rd_u8(in);
    if (s->flag == 'p') {
        *in = whole;
        (void)scram_keys_attribute(in, &type, &len); /* and its comma; failure is sticky */
    } else if (rd_u8(in) != ',') {
        return malformed(err, "no comma after the channel-binding flag");
    }
    int rc = check_flag(s, type, len, err);
    if (rc < 0)
        return rc;
    if (in->left > 0 && in->at[0] == 'a')
        return err_set(err, RF_EUNSUPP,
                       "client uses authorization identity, but it is not supported");
    if (rd_u8(in) != ',')
        return malformed(err, "no comma after the authorization identity");
    return 0;
}

/* printable = %x21-2B / %x2D-7E */
static bool is_printable(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 0x21 || s[i] > 0x7e || s[i] == ',')
            return false;
    }
    return len > 0;
}

/* client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions] */
static int read_bare(struct scram_server *s, struct rd in, struct err *err)
{
    const char *value;
    size_t len;
    char name = scram_keys_attribute(&in, &value, &len);
    if (name == 'm')
        return err_set(err, RF_EUNSUPP, "client requires an unsupported SCRAM extension");
    if (name != 'n')
        return malformed(err, "no user name where it is due");
    if (scram_keys_attribute(&in, &value, &len) != 'r' || !is_printable(value, len))
        return malformed(err, "no printable nonce where it is due");
    const char *nonce = value;
    size_t nonce_len = len;
    while (!in.bad && in.left > 0)
        (void)scram_keys_attribute(&in, &value, &len); /* optional extensions are ignored */
    if (!rd_done(&in))
        return malformed(err, "malformed attribute");
    buf_clear(&s->nonce);
    if (buf_append(&s->nonce, nonce, nonce_len) < 0 ||
        buf_append(&s->nonce, s->server_nonce, SCRAM_NONCE_LEN) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    return 0;
}

static int on_first(struct scram_server *s, struct rd in, struct buf *out, struct err *err)
{
    char salt[BASE64_LEN(SCRAM_SALT_MAX) + 1], tail[sizeof(salt) + 32];
    int rc = read_gs2(s, &in, err);
    if (rc == 0)
        rc = read_bare(s, in, err);
    if (rc < 0)
        return rc;
    (void)base64_encode(s->verifier.salt, s->verifier.salt_len, salt);
    int tail_len = snprintf(tail, sizeof(tail), ",s=%s,i=%u", salt, s->verifier.iterations);
    size_t first_at = in.left + 1; /* where server-first-message begins in `said` */
    if (buf_append(&s->said, in.at, in.left) < 0 || buf_append(&s->said, ",r=", 3) < 0 ||
        buf_append(&s->said, buf_at(&s->nonce), buf_len(&s->nonce)) < 0 ||
        buf_append(&s->said, tail, (size_t)tail_len) < 0 ||
        buf_append(out, buf_at(&s->said) + first_at, buf_len(&s->said) - first_at) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    s->state = SERVER_PROOF;
    return SCRAM_CONTINUE;
}

/* client-final-message = channel-binding "," nonce ["," extensions] "," proof; IN is left at the
   end. *RET_BARE_LEN is the length without ",p=…". */
static int read_final(const struct scram_server *s, struct rd in, uint8_t ret_proof[SCRAM_KEY_LEN],
                      size_t *ret_bare_len, struct err *err)
{
    char expected[SCRAM_BINDING_TEXT], name;
    const char *value;
    size_t len, n = 0, total = in.left;
    scram_keys_binding(s->flag, s->binding, s->binding_len, expected);
    if (scram_keys_attribute(&in, &value, &len) != 'c')
        return malformed(err, "no channel binding where it is due");
    if (len != strlen(expected) || memcmp(value, expected, len) != 0)
        return s->flag == 'p' ? err_set(err, RF_EAUTH, "SCRAM channel binding check failed")
                              : malformed(err, "unexpected channel-binding attribute");
    if (scram_keys_attribute(&in, &value, &len) != 'r')
        return malformed(err, "no nonce where it is due");
    if (len != s->nonce.end - s->nonce.off ||
        memcmp(value, s->nonce.data + s->nonce.off, len) != 0) {
        int rc = err_set(err, RF_EPROTO, "invalid SCRAM response");
        err_detail(err, "nonce does not match");
        return rc;
    }
    do {
        *ret_bare_len = total - in.left - 1;
        name = scram_keys_attribute(&in, &value, &len);
    } while (name != 0 && name != 'p');
    if (name != 'p' || !rd_done(&in))
        return malformed(err, "no proof at the end");
    if (base64_decode(value, len, ret_proof, SCRAM_KEY_LEN, &n) < 0 || n != SCRAM_KEY_LEN)
        return malformed(err, "malformed proof");
    return 0;
}

/* Is PROOF that of somebody who knows the password? Always the whole computation. */
static int check_proof(const struct scram_server *s, const uint8_t proof[SCRAM_KEY_LEN],
                       const void *said, size_t said_len, bool *ret_proven)
{
    uint8_t signature[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN], stored[SCRAM_KEY_LEN];
    int rc = scram_keys_hmac(s->verifier.stored_key, SCRAM_KEY_LEN, said, said_len, signature);
    if (rc == 0) {
        scram_keys_xor(proof, signature, client_key);
        rc = scram_keys_hash(client_key, stored);
    }
    bool equal = rc == 0 && scram_keys_equal(stored, s->verifier.stored_key);
    *ret_proven = equal && !s->is_mock;
    explicit_bzero(client_key, sizeof(client_key));
    return rc;
}

static int on_final(struct scram_server *s, struct rd in, struct buf *out, struct err *err)
{
    uint8_t proof[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
    char final[2 + BASE64_LEN(SCRAM_KEY_LEN) + 1] = "v=";
    bool proven = false;
    size_t bare_len = 0;
    int rc = read_final(s, in, proof, &bare_len, err);
    if (rc < 0)
        return rc;
    if (buf_append(&s->said, ",", 1) < 0 || buf_append(&s->said, in.at, bare_len) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    const void *said = buf_at(&s->said);
    size_t said_len = buf_len(&s->said);
    if (check_proof(s, proof, said, said_len, &proven) < 0 ||
        scram_keys_hmac(s->verifier.server_key, SCRAM_KEY_LEN, said, said_len, signature) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    if (!proven)
        return err_set(err, RF_EAUTH, "password authentication failed");
    size_t n = 2 + base64_encode(signature, sizeof(signature), final + 2);
    if (buf_append(out, final, n) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    return SCRAM_DONE;
}

static int on_initial(struct scram_server *s, const char *mechanism, const uint8_t *in, size_t len,
                      struct buf *out, struct err *err)
{
    s->is_plus = strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0 && s->binding_len > 0;
    if (!s->is_plus && strcmp(mechanism, SCRAM_MECHANISM) != 0)
        return err_set(err, RF_EPROTO, "client selected an invalid SASL authentication mechanism");
    if (in != NULL)
        return on_first(s, rd_of(in, len), out, err);
    s->state = SERVER_FIRST;
    return SCRAM_CONTINUE;
}

enum scram_step scram_server_step(struct scram_server *s, const char *mechanism, const uint8_t *in,
                                  size_t len, struct buf *out, struct err *err)
{
    enum server_state state = s->state;
    int rc;
    s->state = SERVER_OVER; /* until a step says otherwise */
    if (state == SERVER_OVER || (mechanism != NULL) != (state == SERVER_INITIAL))
        rc = err_set(err, RF_EPROTO, "SASL message out of order");
    else if (len > SCRAM_MESSAGE_MAX || (len > 0 && memchr(in, 0, len) != NULL))
        rc = malformed(err, "too long, or with a zero byte inside");
    else if (state == SERVER_INITIAL)
        rc = on_initial(s, mechanism, in, len, out, err);
    else if (state == SERVER_FIRST)
        rc = on_first(s, rd_of(in, len), out, err);
    else
        rc = on_final(s, rd_of(in, len), out, err);
    if (rc < 0)
        s->state = SERVER_OVER;
    return rc < 0 ? SCRAM_FAILED : (enum scram_step)rc;
}
