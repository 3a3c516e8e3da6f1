/* The client's side of SCRAM (RFC 5802 section 5), towards the database.
 *
 *   START --scram_client_start()------> FIRST   (client-first-message goes out)
 *   FIRST --server-first-message------> FINAL   (client-final-message goes out)
 *   FINAL --server-final, verified----> OVER
 *   any --anything else---------------> OVER
 *
 * Only SCRAM_DONE means that the server knew the password; a server that merely says
 * AuthenticationOk has proven nothing. */
#include "auth/scram.h"

#include <stdio.h>
#include <string.h>

#include "auth/scram_keys.h"
#include "base/base64.h"
#include "base/mem.h"

enum client_state { CLIENT_OVER, CLIENT_START, CLIENT_FIRST, CLIENT_FINAL };

struct scram_client {
    enum client_state state;
    char flag; /* 'n', 'y', 'p' */
    char *password;
    struct scram_cache *cache; /* the caller's, or &own */
    struct scram_cache own;
    uint8_t binding[SCRAM_BINDING_MAX];
    size_t binding_len;
    char nonce[SCRAM_NONCE_LEN + 1];
    struct buf said; /* AuthMessage as far as it has come */
};

int scram_client_new(const char *password, const uint8_t *binding, size_t binding_len,
                     struct scram_cache *cache, struct scram_client **ret_client)
{
    if (binding_len > SCRAM_BINDING_MAX)
        return -RF_EINVAL;
    struct scram_client *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return -RF_ENOMEM;
    buf_init(&c->said, (size_t)4 * SCRAM_MESSAGE_MAX);
    c->cache = cache != NULL ? cache : &c->own;
    if (binding_len > 0)
        memcpy(c->binding, binding, binding_len);
    c->binding_len = binding_len;
    c->password = mem_strdup(password);
    int rc = c->password == NULL ? -RF_ENOMEM : scram_keys_nonce(c->nonce);
    if (rc < 0) {
        scram_client_free(c);
        return rc;
    }
    c->state = CLIENT_START;
    *ret_client = c;
    return 0;
}

void scram_client_free(struct scram_client *c)
{
    if (c == NULL)
        return;
    mem_free_secret_str(c->password);
    buf_wipe_done(&c->said);
    mem_free_secret(c, sizeof(*c));
}

/* Does the list (strings, then an empty one) hold both mechanisms, either, none? */
static int read_offer(const uint8_t *offer, size_t len, bool *ret_plain, bool *ret_plus)
{
    struct rd in = rd_of(offer, len);
    *ret_plain = *ret_plus = false;
    for (;;) {
        const char *name = rd_cstr(&in);
        if (name[0] == '\0')
            break;
        *ret_plain |= strcmp(name, SCRAM_MECHANISM) == 0;
        *ret_plus |= strcmp(name, SCRAM_MECHANISM_PLUS) == 0;
    }
    return rd_done(&in) ? 0 : -RF_EPROTO;
}

static int choose(struct scram_client *c, const uint8_t *offer, size_t len,
                  const char **ret_mechanism, struct err *err)
{
    bool plain, plus;
    if (read_offer(offer, len, &plain, &plus) < 0)
        return err_set(err, RF_EPROTO, "malformed list of SASL mechanisms");
    bool can_bind = c->binding_len > 0;
    if (can_bind && plus) {
        c->flag = 'p';
        *ret_mechanism = SCRAM_MECHANISM_PLUS;
        return 0;
    }
    if (!plain)
        return err_set(err, RF_EUNSUPP, "server offers no SASL mechanism that we know");
    c->flag = can_bind ? 'y' : 'n';
    *ret_mechanism = SCRAM_MECHANISM;
    return 0;
}

enum scram_step scram_client_start(struct scram_client *c, const uint8_t *offer, size_t offer_len,
                                   const char **ret_mechanism, struct buf *out, struct err *err)
{
    char bare[8 + SCRAM_NONCE_LEN], whole[32 + sizeof(bare)];
    enum client_state state = c->state;
    c->state = CLIENT_OVER;
    if (state != CLIENT_START) {
        (void)err_set(err, RF_EPROTO, "SASL message out of order");
        return SCRAM_FAILED;
    }
    if (choose(c, offer, offer_len, ret_mechanism, err) < 0)
        return SCRAM_FAILED;
    int bare_len = snprintf(bare, sizeof(bare), "n=,r=%s", c->nonce);
    int whole_len = snprintf(whole, sizeof(whole), "%s%s", scram_keys_gs2(c->flag), bare);
    if (buf_append(&c->said, bare, (size_t)bare_len) < 0 ||
        buf_append(out, whole, (size_t)whole_len) < 0) {
        (void)err_set(err, RF_ENOMEM, "out of memory");
        return SCRAM_FAILED;
    }
    c->state = CLIENT_FIRST;
    return SCRAM_CONTINUE;
}

struct server_first {
    const char *nonce;
    size_t nonce_len;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_len;
    uint32_t iterations;
};

static bool read_iterations(const char *text, size_t len, uint32_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || n > SCRAM_ITERATIONS_MAX)
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = (uint32_t)n;
    return n > 0 && n <= SCRAM_ITERATIONS_MAX;
}

/* server-first-message = nonce "," salt "," iteration-count ["," extensions] */
static int read_first(const struct scram_client *c, struct rd in, struct server_first *ret,
                      struct err *err)
{
    const char *value;
    size_t len;
    if (scram_keys_attribute(&in, &ret->nonce, &ret->nonce_len) != 'r')
        return err_set(err, RF_EPROTO, "malformed SCRAM message: no nonce where it is due");
    if (ret->nonce_len <= SCRAM_NONCE_LEN || memcmp(ret->nonce, c->nonce, SCRAM_NONCE_LEN) != 0)
        return err_set(err, RF_EPROTO, "invalid SCRAM response: nonce mismatch");
    if (scram_keys_attribute(&in, &value, &len) != 's' ||
        base64_decode(value, len, ret->salt, sizeof(ret->salt), &ret->salt_len) < 0 ||
        ret->salt_len == 0)
        return err_set(err, RF_EPROTO, "malformed SCRAM message: invalid salt");
    if (scram_keys_attribute(&in, &value, &len) != 'i' ||
        !read_iterations(value, len, &ret->iterations))
        return err_set(err, RF_EPROTO, "malformed SCRAM message: iteration count not in 1 to %d",
                       SCRAM_ITERATIONS_MAX);
    while (!in.bad && in.left > 0)
        (void)scram_keys_attribute(&in, &value, &len);
    return rd_done(&in) ? 0 : err_set(err, RF_EPROTO, "malformed SCRAM message: bad attribute");
}

/* The keys for this salt and count, from the cache when it has them. */
static int keys_ready(struct scram_client *c, const struct server_first *first)
{
    struct scram_cache *cache = c->cache;
    if (cache->iterations == first->iterations && cache->salt_len == first->salt_len &&
        memcmp(cache->salt, first->salt, first->salt_len) == 0)
        return 0;
    cache->iterations = 0; /* empty while it is half written */
    int rc = scram_keys_derive(c->password, first->salt, first->salt_len, first->iterations,
                               cache->client_key, cache->server_key);
    if (rc < 0)
        return rc;
    memcpy(cache->salt, first->salt, first->salt_len);
    cache->salt_len = first->salt_len;
    cache->iterations = first->iterations;
    return 0;
}

static int proof_make(const struct scram_client *c, char ret[BASE64_LEN(SCRAM_KEY_LEN) + 1])
{
    uint8_t stored[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN], proof[SCRAM_KEY_LEN];
    int rc = scram_keys_hash(c->cache->client_key, stored);
    if (rc == 0)
        rc = scram_keys_hmac(stored, sizeof(stored), c->said.data + c->said.off,
                             c->said.end - c->said.off, signature);
    if (rc < 0)
        return rc;
    scram_keys_xor(c->cache->client_key, signature, proof);
    (void)base64_encode(proof, sizeof(proof), ret);
    return 0;
}

static int on_first(struct scram_client *c, const uint8_t *in, size_t len, struct buf *out,
                    struct err *err)
{
    struct server_first first;
    char binding[SCRAM_BINDING_TEXT], proof[BASE64_LEN(SCRAM_KEY_LEN) + 1];
    struct buf final;
    int rc = read_first(c, rd_of(in, len), &first, err);
    if (rc < 0)
        return rc;
    scram_keys_binding(c->flag, c->binding, c->binding_len, binding);
    buf_init(&final, SCRAM_MESSAGE_MAX + 256);
    rc = err_set(err, RF_ENOMEM, "out of memory");
    if (buf_append(&final, "c=", 2) < 0 || buf_append(&final, binding, strlen(binding)) < 0 ||
        buf_append(&final, ",r=", 3) < 0 || buf_append(&final, first.nonce, first.nonce_len) < 0)
        goto out;
    if (buf_append(&c->said, ",", 1) < 0 || buf_append(&c->said, in, len) < 0 ||
        buf_append(&c->said, ",", 1) < 0 ||
        buf_append(&c->said, buf_at(&final), buf_len(&final)) < 0)
        goto out;
    if (keys_ready(c, &first) < 0 || proof_make(c, proof) < 0)
        goto out;
    if (buf_append(&final, ",p=", 3) < 0 || buf_append(&final, proof, strlen(proof)) < 0 ||
        buf_append(out, buf_at(&final), buf_len(&final)) < 0)
        goto out;
    err_clear(err);
    c->state = CLIENT_FINAL;
    rc = SCRAM_CONTINUE;
out:
    buf_done(&final);
    return rc;
}

/* server-final-message = (server-error / verifier) ["," extensions] */
static int on_final(struct scram_client *c, const uint8_t *in, size_t len, struct err *err)
{
    uint8_t told[SCRAM_KEY_LEN], computed[SCRAM_KEY_LEN];
    const char *value;
    size_t value_len, n = 0;
    struct rd message = rd_of(in, len);
    char name = scram_keys_attribute(&message, &value, &value_len);
    if (name == 'e')
        return err_set(err, RF_EAUTH, "server refused the SCRAM exchange");
    if (name != 'v' || base64_decode(value, value_len, told, sizeof(told), &n) < 0 ||
        n != sizeof(told))
        return err_set(err, RF_EPROTO, "malformed SCRAM message: no server signature");
    while (!message.bad && message.left > 0)
        (void)scram_keys_attribute(&message, &value, &value_len);
    if (!rd_done(&message))
        return err_set(err, RF_EPROTO, "malformed SCRAM message: bad attribute");
    if (scram_keys_hmac(c->cache->server_key, SCRAM_KEY_LEN, buf_at(&c->said), buf_len(&c->said),
                        computed) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    if (!scram_keys_equal(told, computed))
        return err_set(err, RF_EAUTH, "server does not know the password: wrong SCRAM signature");
    return SCRAM_DONE;
}

enum scram_step scram_client_step(struct scram_client *c, const uint8_t *in, size_t len,
                                  struct buf *out, struct err *err)
{
    enum client_state state = c->state;
    int rc;
    c->state = CLIENT_OVER; /* until a step says otherwise */
    if (state != CLIENT_FIRST && state != CLIENT_FINAL)
        rc = err_set(err, RF_EPROTO, "SASL message out of order");
    else if (len > SCRAM_MESSAGE_MAX || (len > 0 && memchr(in, 0, len) != NULL))
        rc = err_set(err, RF_EPROTO, "malformed SCRAM message: too long, or with a zero byte");
    else if (state == CLIENT_FIRST)
        rc = on_first(c, in, len, out, err);
    else
        rc = on_final(c, in, len, err);
    return rc < 0 ? SCRAM_FAILED : (enum scram_step)rc;
}
