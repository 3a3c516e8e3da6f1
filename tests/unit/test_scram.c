#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/scram.h"
#include "auth/scram_keys.h"
#include "base/base64.h"

/* RFC 7677 section 3: user "user", password "pencil" */
#define RFC_NONCE        "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_FIRST_BARE   "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_FINAL_BARE   "c=biws,r=" RFC_NONCE
#define RFC_PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SIGNATURE    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define RFC_MESSAGE      RFC_FIRST_BARE "," RFC_SERVER_FIRST "," RFC_FINAL_BARE

/* CREATE ROLE alice PASSWORD 'pencil' on PostgreSQL 15.20; rolpassword */
#define POSTGRES_VERIFIER                                                                      \
    "SCRAM-SHA-256$4096:FbULBZJBAOFD1SOokX8rbg==$L/pxNX7tgadICCHzUcM8GPC4mpKPf0R6wAtp4Cd7Nbg=" \
    ":oB23NY5SLObqLE3cHDOGzU7w10pXEDKoFYiz3sy15sc="

static const struct scram_mock mock = { .secret = { 1, 2, 3 }, .iterations = 4096 };
static const uint8_t binding[32] = { 0xde, 0xad, 0xbe, 0xef };

/* One whole exchange; every message is kept for the tests that mistreat it. */
struct exchange {
    struct scram_server *server;
    struct scram_client *client;
    const char *mechanism;
    struct buf first, challenge, proof, final;
    struct err server_err, client_err;
    enum scram_step server_step, client_step;
};

static void exchange_open(struct exchange *x, const char *verifier, const char *password,
                          size_t server_binding, size_t client_binding, struct scram_cache *cache)
{
    size_t len;
    memset(x, 0, sizeof(*x));
    buf_init(&x->first, 4096);
    buf_init(&x->challenge, 4096);
    buf_init(&x->proof, 4096);
    buf_init(&x->final, 4096);
    assert_int_equal(scram_server_new(verifier, "alice", &mock, binding, server_binding,
                                      &x->server),
                     0);
    assert_int_equal(scram_client_new(password, binding, client_binding, cache, &x->client), 0);
    const char *offer = scram_server_offer(x->server, &len);
    x->client_step = scram_client_start(x->client, (const uint8_t *)offer, len, &x->mechanism,
                                        &x->first, &x->client_err);
    assert_int_equal(x->client_step, SCRAM_CONTINUE);
}

static void exchange_challenge(struct exchange *x)
{
    x->server_step = scram_server_step(x->server, x->mechanism, buf_at(&x->first),
                                       buf_len(&x->first), &x->challenge, &x->server_err);
}

static void exchange_proof(struct exchange *x)
{
    x->client_step = scram_client_step(x->client, buf_at(&x->challenge), buf_len(&x->challenge),
                                       &x->proof, &x->client_err);
}

static void exchange_final(struct exchange *x)
{
    x->server_step = scram_server_step(x->server, NULL, buf_at(&x->proof), buf_len(&x->proof),
                                       &x->final, &x->server_err);
}

static void exchange_close(struct exchange *x)
{
    scram_server_free(x->server);
    scram_client_free(x->client);
    buf_done(&x->first);
    buf_done(&x->challenge);
    buf_done(&x->proof);
    buf_done(&x->final);
}

static void exchange_run(struct exchange *x, const char *verifier, const char *password,
                         size_t server_binding, size_t client_binding, struct scram_cache *cache)
{
    exchange_open(x, verifier, password, server_binding, client_binding, cache);
    exchange_challenge(x);
    assert_int_equal(x->server_step, SCRAM_CONTINUE);
    exchange_proof(x);
    assert_int_equal(x->client_step, SCRAM_CONTINUE);
    exchange_final(x);
    if (x->server_step == SCRAM_DONE)
        x->client_step = scram_client_step(x->client, buf_at(&x->final), buf_len(&x->final),
                                           &x->proof, &x->client_err);
}

static void the_vector_of_rfc_7677_comes_out(void **state)
{
    uint8_t salt[SCRAM_SALT_MAX], client[SCRAM_KEY_LEN], server[SCRAM_KEY_LEN];
    uint8_t stored[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN], proof[SCRAM_KEY_LEN];
    char text[BASE64_LEN(SCRAM_KEY_LEN) + 1];
    size_t salt_len;
    (void)state;
    assert_int_equal(base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==", 24, salt, sizeof(salt), &salt_len),
                     0);
    assert_int_equal(scram_keys_derive("pencil", salt, salt_len, 4096, client, server), 0);
    assert_int_equal(scram_keys_hash(client, stored), 0);
    assert_int_equal(scram_keys_hmac(stored, sizeof(stored), RFC_MESSAGE, strlen(RFC_MESSAGE),
                                     signature),
                     0);
    scram_keys_xor(client, signature, proof);
    (void)base64_encode(proof, sizeof(proof), text);
    assert_string_equal(text, RFC_PROOF);
    assert_int_equal(scram_keys_hmac(server, sizeof(server), RFC_MESSAGE, strlen(RFC_MESSAGE),
                                     signature),
                     0);
    (void)base64_encode(signature, sizeof(signature), text);
    assert_string_equal(text, RFC_SIGNATURE);
}

static void a_verifier_made_by_postgresql_lets_its_password_in(void **state)
{
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    assert_string_equal(x.mechanism, SCRAM_MECHANISM);
    assert_int_equal(x.server_step, SCRAM_DONE);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
}

static void a_wrong_password_is_refused(void **state)
{
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil ", 0, 0, NULL);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    assert_int_equal(x.server_err.code, RF_EAUTH);
    assert_string_equal(err_state_of(&x.server_err), "28P01");
    assert_int_equal(buf_len(&x.final), 0);
    exchange_close(&x);
}

static void a_made_verifier_works_with_its_password_alone(void **state)
{
    char text[SCRAM_VERIFIER_MAX], again[SCRAM_VERIFIER_MAX];
    struct scram_verifier v;
    struct exchange x;
    (void)state;
    assert_int_equal(scram_verifier_make("p\xc3\xa4ss,w=rd", 1000, text, NULL), 0);
    assert_int_equal(scram_verifier_make("p\xc3\xa4ss,w=rd", 1000, again, NULL), 0);
    assert_string_not_equal(text, again); /* fresh salt */
    assert_int_equal(scram_verifier_parse(text, strlen(text), &v), 0);
    assert_int_equal(v.iterations, 1000);
    exchange_run(&x, text, "p\xc3\xa4ss,w=rd", 0, 0, NULL);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
    exchange_run(&x, text, "pass,w=rd", 0, 0, NULL);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    exchange_close(&x);
}

static void with_tls_on_both_sides_the_channel_is_bound(void **state)
{
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), NULL);
    assert_string_equal(x.mechanism, SCRAM_MECHANISM_PLUS);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
}

static void another_certificate_on_the_way_is_noticed(void **state)
{
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding) - 1, NULL);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    assert_int_equal(x.server_err.code, RF_EAUTH);
    exchange_close(&x);
}

static void a_client_that_cannot_bind_gets_in_without(void **state)
{
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), 0, NULL);
    assert_string_equal(x.mechanism, SCRAM_MECHANISM);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
}

static void a_removed_offer_of_binding_is_noticed(void **state)
{
    static const uint8_t cut[] = SCRAM_MECHANISM "\0";
    struct exchange x;
    struct scram_client *client;
    (void)state;
    exchange_open(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), NULL);
    buf_clear(&x.first);
    assert_int_equal(scram_client_new("pencil", binding, sizeof(binding), NULL, &client), 0);
    assert_int_equal(scram_client_start(client, cut, sizeof(cut), &x.mechanism, &x.first, NULL),
                     SCRAM_CONTINUE);
    assert_memory_equal(buf_at(&x.first), "y,,", 3);
    exchange_challenge(&x);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    assert_int_equal(x.server_err.code, RF_EPROTO);
    scram_client_free(client);
    exchange_close(&x);
}

/* The server's answer to one client-first-message. */
static enum scram_step first_step(size_t binding_len, const char *mechanism, const char *message,
                                  int *ret_code)
{
    struct scram_server *s;
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, 4096);
    assert_int_equal(scram_server_new(POSTGRES_VERIFIER, "alice", &mock, binding, binding_len, &s),
                     0);
    enum scram_step step =
        scram_server_step(s, mechanism, (const uint8_t *)message, strlen(message), &out, &err);
    assert_int_equal(buf_len(&out) > 0, step == SCRAM_CONTINUE);
    assert_int_equal(err.code == 0, step == SCRAM_CONTINUE);
    *ret_code = err.code;
    buf_done(&out);
    scram_server_free(s);
    return step;
}

static void every_first_message_gets_its_answer(void **state)
{
    static const struct {
        size_t binding_len;
        const char *mechanism, *message;
        int code;
    } rows[] = {
        { 0, SCRAM_MECHANISM, "n,,n=,r=abc", 0 },
        { 0, SCRAM_MECHANISM, "y,,n=,r=abc", 0 },
        { 0, SCRAM_MECHANISM, "n,,n=somebody else,r=abc,x=extension", 0 },
        { 32, SCRAM_MECHANISM, "n,,n=,r=abc", 0 },
        { 32, SCRAM_MECHANISM_PLUS, "p=tls-server-end-point,,n=,r=abc", 0 },
        { 32, SCRAM_MECHANISM, "y,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM_PLUS, "n,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM_PLUS, "y,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM, "p=tls-server-end-point,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM_PLUS, "p=tls-unique,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM_PLUS, "p=tls-server-end-poin,,n=,r=abc", RF_EPROTO },
        { 32, SCRAM_MECHANISM_PLUS, "p=,,n=,r=abc", RF_EPROTO },
        { 0, SCRAM_MECHANISM_PLUS, "p=tls-server-end-point,,n=,r=abc", RF_EPROTO },
        { 0, "SCRAM-SHA-1", "n,,n=,r=abc", RF_EPROTO },
        { 0, "", "n,,n=,r=abc", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,a=root,n=,r=abc", RF_EUNSUPP },
        { 0, SCRAM_MECHANISM, "n,,m=x,n=,r=abc", RF_EUNSUPP },
        { 0, SCRAM_MECHANISM, "n,x,n=,r=abc", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "x,,n=,r=abc", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,r=abc", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=a\x01", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=a\xc3\xa9", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=abc,", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=abc,x", RF_EPROTO },
        { 0, SCRAM_MECHANISM, "n,,n=,r=abc,5=x", RF_EPROTO },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        int code;
        enum scram_step step =
            first_step(rows[i].binding_len, rows[i].mechanism, rows[i].message, &code);
        if (code != rows[i].code)
            fail_msg("\"%s\" with %s: %d", rows[i].message, rows[i].mechanism, code);
        assert_int_equal(step, code == 0 ? SCRAM_CONTINUE : SCRAM_FAILED);
    }
}

static void an_unknown_user_walks_the_same_path(void **state)
{
    struct exchange a, b;
    (void)state;
    exchange_run(&a, NULL, "pencil", 0, 0, NULL);
    exchange_run(&b, NULL, "other", 0, 0, NULL);
    assert_int_equal(a.server_step, SCRAM_FAILED);
    assert_int_equal(a.server_err.code, RF_EAUTH);
    assert_string_equal(a.server_err.line, "password authentication failed");
    /* after the nonce of 2 + 24 + 24 characters the challenge is the same at every try */
    assert_int_equal(buf_len(&a.challenge), buf_len(&b.challenge));
    assert_memory_equal(buf_at(&a.challenge) + 50, buf_at(&b.challenge) + 50,
                        buf_len(&a.challenge) - 50);
    assert_memory_not_equal(buf_at(&a.challenge), buf_at(&b.challenge), 50);
    exchange_close(&b);
    /* and has the shape of a known user's */
    exchange_run(&b, POSTGRES_VERIFIER, "other", 0, 0, NULL);
    assert_int_equal(buf_len(&a.challenge), buf_len(&b.challenge));
    assert_string_equal(a.server_err.line, b.server_err.line);
    exchange_close(&a);
    exchange_close(&b);
}

static void messages_out_of_order_end_the_exchange(void **state)
{
    struct exchange x;
    (void)state;
    exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    x.mechanism = NULL; /* a response before the initial one */
    exchange_challenge(&x);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    x.mechanism = SCRAM_MECHANISM; /* and there is no second chance */
    exchange_challenge(&x);
    assert_int_equal(x.server_step, SCRAM_FAILED);
    exchange_close(&x);

    exchange_run(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_final(&x); /* a proof again, after the end */
    assert_int_equal(x.server_step, SCRAM_FAILED);
    exchange_proof(&x);
    assert_int_equal(x.client_step, SCRAM_FAILED);
    exchange_close(&x);

    exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    exchange_challenge(&x);
    x.server_step = scram_server_step(x.server, SCRAM_MECHANISM, buf_at(&x.first),
                                      buf_len(&x.first), &x.final, NULL);
    assert_int_equal(x.server_step, SCRAM_FAILED); /* a second initial response */
    exchange_close(&x);
}

static void an_absent_initial_response_gets_an_empty_challenge(void **state)
{
    struct exchange x;
    (void)state;
    exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    assert_int_equal(scram_server_step(x.server, SCRAM_MECHANISM, NULL, 0, &x.challenge, NULL),
                     SCRAM_CONTINUE);
    assert_int_equal(buf_len(&x.challenge), 0);
    x.mechanism = NULL;
    exchange_challenge(&x);
    assert_int_equal(x.server_step, SCRAM_CONTINUE);
    exchange_proof(&x);
    exchange_final(&x);
    assert_int_equal(x.server_step, SCRAM_DONE);
    exchange_close(&x);
}

/* N bytes that end at an unreadable page. */
static uint8_t *fenced(const void *bytes, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_true(n <= page);
    assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
    memcpy(map + page - n, bytes, n);
    return map + page - n;
}

static void unfence(uint8_t *bytes, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(munmap(bytes + n - page, 2 * page), 0);
}

static void a_message_cut_at_any_length_proves_nothing(void **state)
{
    struct scram_cache cache = { 0 };
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), &cache);
    size_t challenge_len = buf_len(&x.challenge), proof_len = buf_len(&x.proof);
    size_t final_len = buf_len(&x.final);
    exchange_close(&x);
    for (size_t cut = 0; cut < proof_len; cut++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), &cache);
        exchange_challenge(&x);
        exchange_proof(&x);
        uint8_t *bytes = fenced(buf_at(&x.proof), cut);
        assert_int_equal(scram_server_step(x.server, NULL, bytes, cut, &x.final, NULL),
                         SCRAM_FAILED);
        assert_int_equal(buf_len(&x.final), 0);
        unfence(bytes, cut);
        exchange_close(&x);
    }
    for (size_t cut = 0; cut < final_len; cut++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), &cache);
        exchange_challenge(&x);
        exchange_proof(&x);
        exchange_final(&x);
        uint8_t *bytes = fenced(buf_at(&x.final), cut);
        assert_int_equal(scram_client_step(x.client, bytes, cut, &x.proof, NULL), SCRAM_FAILED);
        unfence(bytes, cut);
        exchange_close(&x);
    }
    for (size_t cut = 0; cut < challenge_len; cut++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", sizeof(binding), sizeof(binding), &cache);
        exchange_challenge(&x);
        uint8_t *bytes = fenced(buf_at(&x.challenge), cut);
        /* only the digits of the count can be shortened unseen: the proof is then a wrong one */
        enum scram_step step = scram_client_step(x.client, bytes, cut, &x.proof, NULL);
        unfence(bytes, cut);
        if (step == SCRAM_CONTINUE) {
            assert_true(cut + 4 > challenge_len);
            exchange_final(&x);
            assert_int_equal(x.server_step, SCRAM_FAILED);
        }
        exchange_close(&x);
    }
    scram_cache_done(&cache);
}

static void no_flipped_bit_of_a_proof_gets_in(void **state)
{
    struct scram_cache cache = { 0 };
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", 0, 0, &cache);
    size_t bits = buf_len(&x.proof) * 8, final_bits = buf_len(&x.final) * 8;
    exchange_close(&x);
    for (size_t bit = 0; bit < bits; bit++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, &cache);
        exchange_challenge(&x);
        exchange_proof(&x);
        buf_at(&x.proof)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        exchange_final(&x);
        if (x.server_step != SCRAM_FAILED)
            fail_msg("bit %zu", bit);
        exchange_close(&x);
    }
    for (size_t bit = 0; bit < final_bits; bit++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, &cache);
        exchange_challenge(&x);
        exchange_proof(&x);
        exchange_final(&x);
        buf_at(&x.final)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(scram_client_step(x.client, buf_at(&x.final), buf_len(&x.final), &x.proof,
                                           NULL),
                         SCRAM_FAILED);
        exchange_close(&x);
    }
    scram_cache_done(&cache);
}

static void a_server_that_is_not_the_server_is_refused(void **state)
{
    static const char *const after_nonce[] = {
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=",
        ",s=W22ZaJ0SNY7soEsUEjb6gQ==",
        ",s=,i=4096",
        ",s=W22ZaJ0SNY7soEsUEjb6g,i=4096",
        ",i=4096",
        "",
    };
    struct exchange x;
    char message[256];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(after_nonce); i++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
        /* gs2 "n,," + "n=,r=" + 24 */
        int n = snprintf(message, sizeof(message), "r=%.24sxyz%s",
                         (const char *)buf_at(&x.first) + 8, after_nonce[i]);
        assert_int_equal(scram_client_step(x.client, (const uint8_t *)message, (size_t)n, &x.proof,
                                           &x.client_err),
                         SCRAM_FAILED);
        assert_int_equal(x.client_err.code, RF_EPROTO);
        exchange_close(&x);
    }
    static const char *const nonces[] = { "", "abc", "aaaaaaaaaaaaaaaaaaaaaaaaxyz" };
    for (size_t i = 0; i < RF_COUNT(nonces); i++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
        int n =
            snprintf(message, sizeof(message), "r=%s,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", nonces[i]);
        assert_int_equal(scram_client_step(x.client, (const uint8_t *)message, (size_t)n, &x.proof,
                                           NULL),
                         SCRAM_FAILED);
        exchange_close(&x);
    }
    /* the client's own nonce given back without anything of the server's */
    exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
    int n = snprintf(message, sizeof(message), "r=%.24s,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                     (const char *)buf_at(&x.first) + 8);
    assert_int_equal(scram_client_step(x.client, (const uint8_t *)message, (size_t)n, &x.proof,
                                       NULL),
                     SCRAM_FAILED);
    exchange_close(&x);
    /* no knowledge of the password: a well-formed signature of zeros, or an error */
    static const char *const finals[] = { "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                          "e=other-error", "v=", "v=AAAA", "" };
    for (size_t i = 0; i < RF_COUNT(finals); i++) {
        exchange_open(&x, POSTGRES_VERIFIER, "pencil", 0, 0, NULL);
        exchange_challenge(&x);
        exchange_proof(&x);
        assert_int_equal(scram_client_step(x.client, (const uint8_t *)finals[i], strlen(finals[i]),
                                           &x.proof, NULL),
                         SCRAM_FAILED);
        exchange_close(&x);
    }
}

static void only_known_mechanisms_are_chosen(void **state)
{
    static const uint8_t others[] = "SCRAM-SHA-512\0OAUTHBEARER\0", unended[] = "SCRAM-SHA-256";
    struct scram_client *client;
    const char *mechanism;
    struct buf out;
    struct err err;
    (void)state;
    buf_init(&out, 100);
    assert_int_equal(scram_client_new("x", NULL, 0, NULL, &client), 0);
    assert_int_equal(scram_client_start(client, others, sizeof(others), &mechanism, &out, &err),
                     SCRAM_FAILED);
    assert_int_equal(err.code, RF_EUNSUPP);
    scram_client_free(client);
    assert_int_equal(scram_client_new("x", NULL, 0, NULL, &client), 0);
    assert_int_equal(scram_client_start(client, unended, sizeof(unended), &mechanism, &out, &err),
                     SCRAM_FAILED);
    assert_int_equal(err.code, RF_EPROTO);
    scram_client_free(client);
    buf_done(&out);
}

static void a_cache_answers_for_the_same_salt_only(void **state)
{
    struct scram_cache cache = { 0 };
    char other[SCRAM_VERIFIER_MAX];
    struct exchange x;
    (void)state;
    exchange_run(&x, POSTGRES_VERIFIER, "pencil", 0, 0, &cache);
    assert_int_equal(cache.iterations, 4096);
    exchange_close(&x);
    /* what is in the cache is used: another password makes no difference now */
    exchange_run(&x, POSTGRES_VERIFIER, "not it", 0, 0, &cache);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
    assert_int_equal(scram_verifier_make("pencil", 0, other, NULL), 0);
    exchange_run(&x, other, "pencil", 0, 0, &cache);
    assert_int_equal(x.client_step, SCRAM_DONE);
    exchange_close(&x);
    scram_cache_done(&cache);
    assert_int_equal(cache.iterations, 0);
}

static void only_well_formed_verifiers_are_believed(void **state)
{
    static const char *const bad[] = {
        "",
        "pencil",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$4096:FbULBZJBAOFD1SOokX8rbg==",
        "SCRAM-SHA-256$0:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$04096:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$9999999:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$4096:$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$4096:AAAA$AAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$4096:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "SCRAM-SHA-256$4096:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* spare bits set */
    };
    struct scram_verifier v;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        assert_int_equal(scram_verifier_parse(bad[i], strlen(bad[i]), &v), -RF_EINVAL);
    for (size_t cut = 0; cut < strlen(POSTGRES_VERIFIER); cut++)
        assert_int_equal(scram_verifier_parse(POSTGRES_VERIFIER, cut, &v), -RF_EINVAL);
    assert_int_equal(scram_verifier_parse(POSTGRES_VERIFIER, strlen(POSTGRES_VERIFIER), &v), 0);
    assert_int_equal(v.salt_len, 16);
}

static void base64_has_one_text_for_each_value(void **state)
{
    static const char *const bad[] = { "A",        "AA",       "AAA",  "A===", "AA=A",
                                       "AB==",     "AAB=",     "====", "AAA ", "AAA\n",
                                       "AA==AAAA", "AAAA=AAA", "AA-_" };
    uint8_t bytes[40], back[40];
    char text[BASE64_LEN(40) + 1];
    size_t n;
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        size_t text_len = base64_encode(bytes, len, text);
        assert_int_equal(text_len, BASE64_LEN(len));
        assert_int_equal(base64_decode(text, text_len, back, len, &n), 0);
        assert_int_equal(n, len);
        assert_memory_equal(bytes, back, len);
        if (len > 0)
            assert_int_equal(base64_decode(text, text_len, back, len - 1, &n), -RF_EINVAL);
    }
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        assert_int_equal(base64_decode(bad[i], strlen(bad[i]), back, sizeof(back), &n), -RF_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_rfc_7677_comes_out),
        cmocka_unit_test(a_verifier_made_by_postgresql_lets_its_password_in),
        cmocka_unit_test(a_wrong_password_is_refused),
        cmocka_unit_test(a_made_verifier_works_with_its_password_alone),
        cmocka_unit_test(with_tls_on_both_sides_the_channel_is_bound),
        cmocka_unit_test(another_certificate_on_the_way_is_noticed),
        cmocka_unit_test(a_client_that_cannot_bind_gets_in_without),
        cmocka_unit_test(a_removed_offer_of_binding_is_noticed),
        cmocka_unit_test(every_first_message_gets_its_answer),
        cmocka_unit_test(an_unknown_user_walks_the_same_path),
        cmocka_unit_test(messages_out_of_order_end_the_exchange),
        cmocka_unit_test(an_absent_initial_response_gets_an_empty_challenge),
        cmocka_unit_test(a_message_cut_at_any_length_proves_nothing),
        cmocka_unit_test(no_flipped_bit_of_a_proof_gets_in),
        cmocka_unit_test(a_server_that_is_not_the_server_is_refused),
        cmocka_unit_test(only_known_mechanisms_are_chosen),
        cmocka_unit_test(a_cache_answers_for_the_same_salt_only),
        cmocka_unit_test(only_well_formed_verifiers_are_believed),
        cmocka_unit_test(base64_has_one_text_for_each_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
