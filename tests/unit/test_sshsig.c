#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "sign/sshsig.h"
#include "wire/wr.h"

#define COMMAND_SPACE  "ringfence-command@1"
#define APPROVAL_SPACE "ringfence-approval@1"
#define ED25519        "ssh-ed25519"
#define SK_ED25519     "sk-ssh-ed25519@openssh.com"
#define P256           "ecdsa-sha2-nistp256"
#define SK_P256        "sk-ecdsa-sha2-nistp256@openssh.com"

static char message[1024];
static size_t message_len;
static EVP_PKEY *ed25519, *other_ed25519, *p256, *p521, *rsa3072, *rsa2048;

/* ---- files ---------------------------------------------------------------------------------- */

static size_t vector(const char *name, const char *ending, char *to, size_t size)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/sshsig/%s%s", getenv("RF_VECTORS"), name, ending);
    FILE *from = fopen(path, "r");
    assert_non_null(from);
    size_t n = fread(to, 1, size - 1, from);
    (void)fclose(from);
    to[n] = '\0';
    return n;
}

static void vector_key(const char *name, char *line, size_t size)
{
    size_t n = vector(name, ".pub", line, size);
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
}

/* ---- signatures of our own ------------------------------------------------------------------ */

/* What `ssh-keygen -Y sign` and a hardware key would do, with every part in the test's hands. */
struct forge {
    EVP_PKEY *signer, *shown; /* the second NULL: the first */
    const char *type, *algorithm, *curve, *application;
    const char *name_space, *reserved, *hash, *md;
    const char *key_tail, *inner_tail, *tail;
    uint32_t version;
    uint8_t flags;
    uint32_t counter;
    /* of the raw signature, before it is packed */
    void (*change)(uint8_t *bytes, size_t *len);
};

static struct forge forge_of(const char *type, EVP_PKEY *signer)
{
    return (struct forge){ .signer = signer,
                           .type = type,
                           .algorithm = type,
                           .curve = strstr(type, "nistp256") != NULL ? "nistp256" : "nistp521",
                           .name_space = COMMAND_SPACE,
                           .reserved = "",
                           .hash = "sha512",
                           .md = strstr(type, "nistp256") != NULL ? "SHA256" : "SHA512",
                           .key_tail = "",
                           .inner_tail = "",
                           .tail = "",
                           .version = 1,
                           .application = strncmp(type, "sk-", 3) == 0 ? "ssh:" : NULL,
                           .flags = 1,
                           .counter = 7 };
}

static void put(struct wr *w, const void *bytes, size_t n)
{
    wr_u32(w, (uint32_t)n);
    wr_bytes(w, bytes, n);
}

static void put_text(struct wr *w, const char *s)
{
    put(w, s, strlen(s));
}

static void put_number(struct wr *w, const BIGNUM *n)
{
    uint8_t bytes[2049] = { 0 };
    int len = BN_bn2bin(n, bytes + 1);
    bool padded = len > 0 && bytes[1] >= 0x80;
    put(w, bytes + (padded ? 0 : 1), (size_t)len + (padded ? 1 : 0));
}

static void put_public(struct wr *w, const struct forge *f)
{
    EVP_PKEY *key = f->shown != NULL ? f->shown : f->signer;
    uint8_t bytes[200];
    size_t n = sizeof(bytes);
    put_text(w, f->type);
    if (EVP_PKEY_is_a(key, "RSA")) {
        BIGNUM *e = NULL, *m = NULL;
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e), 1);
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &m), 1);
        put_number(w, e);
        put_number(w, m);
        BN_free(e);
        BN_free(m);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        put_text(w, f->curve);
        assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, bytes,
                                                         sizeof(bytes), &n),
                         1);
        put(w, bytes, n);
    } else {
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, bytes, &n), 1);
        put(w, bytes, n);
    }
    if (f->application != NULL)
        put_text(w, f->application);
    wr_bytes(w, f->key_tail, strlen(f->key_tail));
}

static void put_hash(struct wr *w, const char *md, const void *bytes, size_t n)
{
    uint8_t hash[64];
    size_t len = strcmp(md, "SHA512") == 0 ? 64 : strcmp(md, "SHA1") == 0 ? 20 : 32;
    assert_int_equal(EVP_Q_digest(NULL, md, NULL, bytes, n, hash, NULL), 1);
    wr_bytes(w, hash, len);
}

static void put_signed(struct buf *to, const struct forge *f)
{
    struct buf plain;
    buf_init(&plain, 4096);
    struct wr w = wr_to(&plain);
    wr_bytes(&w, "SSHSIG", 6);
    put_text(&w, f->name_space);
    put_text(&w, f->reserved);
    put_text(&w, f->hash);
    wr_u32(&w, strcmp(f->hash, "sha512") == 0 ? 64 : strcmp(f->hash, "sha1") == 0 ? 20 : 32);
    put_hash(&w,
             strcmp(f->hash, "sha512") == 0 ? "SHA512"
             : strcmp(f->hash, "sha1") == 0 ? "SHA1"
                                            : "SHA256",
             message, message_len);
    struct wr out = wr_to(to);
    if (f->application != NULL) {
        put_hash(&out, "SHA256", f->application, strlen(f->application));
        wr_u8(&out, f->flags);
        wr_u32(&out, f->counter);
        put_hash(&out, "SHA256", buf_at(&plain), buf_len(&plain));
    } else {
        wr_bytes(&out, buf_at(&plain), buf_len(&plain));
    }
    assert_true(wr_done(&w) && wr_done(&out));
    buf_done(&plain);
}

static void put_raw(struct wr *w, const struct forge *f, uint8_t *raw, size_t len)
{
    struct buf numbers;
    if (!EVP_PKEY_is_a(f->signer, "EC")) {
        if (f->change != NULL)
            f->change(raw, &len);
        put(w, raw, len);
        return;
    }
    const uint8_t *at = raw;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    assert_non_null(sig);
    buf_init(&numbers, 1024);
    struct wr n = wr_to(&numbers);
    put_number(&n, ECDSA_SIG_get0_r(sig));
    put_number(&n, ECDSA_SIG_get0_s(sig));
    assert_true(wr_done(&n));
    len = buf_len(&numbers);
    memcpy(raw, buf_at(&numbers), len);
    if (f->change != NULL)
        f->change(raw, &len);
    put(w, raw, len);
    ECDSA_SIG_free(sig);
    buf_done(&numbers);
}

static void put_signature(struct wr *w, const struct forge *f)
{
    uint8_t raw[2100];
    size_t len = sizeof(raw) - 100;
    struct buf text;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const char *md = EVP_PKEY_is_a(f->signer, "ED25519") ? NULL : f->md;
    buf_init(&text, 4096);
    put_signed(&text, f);
    assert_int_equal(EVP_DigestSignInit_ex(context, NULL, md, NULL, NULL, f->signer, NULL), 1);
    assert_int_equal(EVP_DigestSign(context, raw, &len, buf_at(&text), buf_len(&text)), 1);
    put_text(w, f->algorithm);
    put_raw(w, f, raw, len);
    if (f->application != NULL) {
        wr_u8(w, f->flags);
        wr_u32(w, f->counter);
    }
    wr_bytes(w, f->inner_tail, strlen(f->inner_tail));
    EVP_MD_CTX_free(context);
    buf_done(&text);
}

static size_t armor(const uint8_t *blob, size_t n, char text[2 * SSHSIG_MAX])
{
    char joined[2 * SSHSIG_MAX];
    size_t len = base64_encode(blob, n, joined);
    size_t at = (size_t)sprintf(text, "-----BEGIN SSH SIGNATURE-----\n");
    for (size_t i = 0; i < len; i += 70)
        at += (size_t)sprintf(text + at, "%.70s\n", joined + i);
    return at + (size_t)sprintf(text + at, "-----END SSH SIGNATURE-----\n");
}

/* The parts of a blob that F makes; the caller frees it. */
static void forge_blob(const struct forge *f, struct buf *to)
{
    struct buf key, inner;
    buf_init(to, 8192);
    buf_init(&key, 4096);
    buf_init(&inner, 4096);
    struct wr k = wr_to(&key), i = wr_to(&inner), w = wr_to(to);
    put_public(&k, f);
    put_signature(&i, f);
    wr_bytes(&w, "SSHSIG", 6);
    wr_u32(&w, f->version);
    put(&w, buf_at(&key), buf_len(&key));
    put_text(&w, f->name_space);
    put_text(&w, f->reserved);
    put_text(&w, f->hash);
    put(&w, buf_at(&inner), buf_len(&inner));
    wr_bytes(&w, f->tail, strlen(f->tail));
    assert_true(wr_done(&w) && wr_done(&k) && wr_done(&i));
    buf_done(&key);
    buf_done(&inner);
}

/* ---- asking --------------------------------------------------------------------------------- */

/* At the end of its own memory, for a sanitizer to see a step too far. */
static int verify_text(const char *text, size_t len)
{
    struct ssh_key key = { .len = 77 };
    struct err err = { 0 };
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    int rc = sshsig_verify(exact, len, COMMAND_SPACE, message, message_len, &key, &err);
    free(exact);
    assert_true(rc == 0 || rc == -RF_EPROTO || rc == -RF_EAUTH);
    if (rc < 0) {
        assert_int_equal(key.len, 77);
        assert_int_equal(err.code, -rc);
        assert_true(strlen(err.line) > 10);
    }
    return rc;
}

static int verify_blob(const uint8_t *blob, size_t n)
{
    char text[2 * SSHSIG_MAX];
    return verify_text(text, armor(blob, n, text));
}

static int verify_forge(const struct forge *f)
{
    struct buf blob;
    forge_blob(f, &blob);
    int rc = verify_blob(buf_at(&blob), buf_len(&blob));
    buf_done(&blob);
    return rc;
}

static int parse_forge(const struct forge *f)
{
    struct buf blob;
    char line[4096];
    struct ssh_key key;
    buf_init(&blob, 4096);
    struct wr w = wr_to(&blob);
    put_public(&w, f);
    assert_true(wr_done(&w));
    size_t at = (size_t)sprintf(line, "%s ", f->type);
    (void)base64_encode(buf_at(&blob), buf_len(&blob), line + at);
    buf_done(&blob);
    return ssh_key_parse(line, &key, NULL);
}

/* ---- tests: what ssh-keygen makes ----------------------------------------------------------- */

static void signatures_of_ssh_keygen_hold(void **state)
{
    static const char *const names[][2] = {
        { "ed25519", "ed25519" },   { "ed25519", "ed25519-sha256" }, { "ecdsa256", "ecdsa256" },
        { "ecdsa384", "ecdsa384" }, { "ecdsa521", "ecdsa521" },      { "rsa3072", "rsa3072" },
        { "rsa4096", "rsa4096" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        char line[4096], armored[SSHSIG_MAX], wanted[100], print[SSH_KEY_FINGERPRINT_SIZE];
        struct ssh_key listed, signer;
        vector_key(names[i][0], line, sizeof(line));
        size_t n = vector(names[i][1], ".sig", armored, sizeof(armored));
        assert_int_equal(ssh_key_parse(line, &listed, NULL), 0);
        assert_int_equal(sshsig_verify(armored, n, COMMAND_SPACE, message, message_len, &signer,
                                       NULL),
                         0);
        assert_true(ssh_key_equal(&listed, &signer));
        (void)vector(names[i][0], ".fingerprint", wanted, sizeof(wanted));
        ssh_key_fingerprint(&signer, print);
        assert_string_equal(print, wanted);
        signer.blob[signer.len - 1] ^= 1;
        assert_false(ssh_key_equal(&listed, &signer));
    }
}

static void another_text_purpose_or_key_is_seen(void **state)
{
    char armored[SSHSIG_MAX];
    struct ssh_key key;
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    size_t n = vector("ed25519", ".sig", armored, sizeof(armored));
    for (size_t i = 0; i < message_len; i++) {
        message[i] ^= 1;
        assert_int_equal(verify_text(armored, n), -RF_EAUTH);
        message[i] ^= 1;
    }
    assert_int_equal(sshsig_verify(armored, n, COMMAND_SPACE, message, message_len - 1, &key, NULL),
                     -RF_EAUTH);
    assert_int_equal(sshsig_verify(armored, n, COMMAND_SPACE, "", 0, &key, NULL), -RF_EAUTH);
    assert_int_equal(sshsig_verify(armored, n, APPROVAL_SPACE, message, message_len, &key, NULL),
                     -RF_EAUTH);
    assert_int_equal(sshsig_verify(armored, n, "ringfence-command@", message, message_len, &key,
                                   NULL),
                     -RF_EAUTH);
    n = vector("ed25519-approval", ".sig", armored, sizeof(armored));
    assert_int_equal(verify_text(armored, n), -RF_EAUTH);
    assert_int_equal(sshsig_verify(armored, n, APPROVAL_SPACE, message, message_len, &key, NULL),
                     0);
    f.shown = other_ed25519;
    assert_int_equal(verify_forge(&f), -RF_EAUTH);
}

static void weak_rsa_is_no_key_and_signs_nothing(void **state)
{
    char line[4096], armored[SSHSIG_MAX];
    struct ssh_key key;
    struct err err = { 0 };
    (void)state;
    vector_key("rsa2048", line, sizeof(line));
    assert_int_equal(ssh_key_parse(line, &key, &err), -RF_EPROTO);
    assert_non_null(strstr(err.line, "2048"));
    assert_int_equal(verify_text(armored, vector("rsa2048", ".sig", armored, sizeof(armored))),
                     -RF_EPROTO);
}

/* ---- tests: armor --------------------------------------------------------------------------- */

static void any_cut_of_the_armor_is_refused(void **state)
{
    char armored[SSHSIG_MAX];
    (void)state;
    size_t n = vector("ecdsa521", ".sig", armored, sizeof(armored));
    for (size_t cut = 0; cut < n - 1; cut++)
        assert_int_equal(verify_text(armored, cut), -RF_EPROTO);
    assert_int_equal(verify_text(armored, n - 1), 0); /* a shell took the last line feed */
    assert_int_equal(verify_text(armored, n), 0);
}

/* TEXT with the first FROM replaced by TO. */
static int verify_replaced(const char *text, const char *from, const char *to)
{
    char changed[3 * SSHSIG_MAX];
    const char *at = strstr(text, from);
    assert_non_null(at);
    int n = snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to,
                     at + strlen(from));
    return verify_text(changed, (size_t)n);
}

static void other_armor_is_refused(void **state)
{
    char armored[SSHSIG_MAX];
    (void)state;
    (void)vector("rsa3072", ".sig", armored, sizeof(armored));
    assert_int_equal(verify_replaced(armored, "-----BEGIN", "\n-----BEGIN"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "SSH SIG", "PGP SIG"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "-----\n", "-----\r\n"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "-----\n", "-----\n\n"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "-----\n", "-----\n "), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "U1NI", "U1N I"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "U1NI", "U1\tNI"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "U1NI", "U1N="), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "U1NI", "U1-I"), -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "END SSH SIGNATURE-----\n",
                                     "END SSH SIGNATURE-----\n\n"),
                     -RF_EPROTO);
    assert_int_equal(verify_replaced(armored, "END SSH SIGNATURE-----\n",
                                     "END SSH SIGNATURE-----\nx"),
                     -RF_EPROTO);
    assert_int_equal(verify_text("", 0), -RF_EPROTO);
}

/* The blob of F in lines of WIDTH. */
static int verify_in_lines(const struct forge *f, size_t width)
{
    struct buf blob;
    char joined[2 * SSHSIG_MAX], text[3 * SSHSIG_MAX];
    forge_blob(f, &blob);
    size_t len = base64_encode(buf_at(&blob), buf_len(&blob), joined);
    size_t at = (size_t)sprintf(text, "-----BEGIN SSH SIGNATURE-----\n");
    for (size_t i = 0; i < len; i += width)
        at += (size_t)sprintf(text + at, "%.*s\n", (int)width, joined + i);
    at += (size_t)sprintf(text + at, "-----END SSH SIGNATURE-----\n");
    buf_done(&blob);
    return verify_text(text, at);
}

static void lines_have_other_lengths_elsewhere(void **state)
{
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    assert_int_equal(verify_in_lines(&f, 1), 0);
    assert_int_equal(verify_in_lines(&f, 64), 0);
    assert_int_equal(verify_in_lines(&f, 76), 0);
    assert_int_equal(verify_in_lines(&f, 77), -RF_EPROTO);
    assert_int_equal(verify_in_lines(&f, 4000), -RF_EPROTO);
}

static void base64_has_one_spelling(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char *const applications[] = { "ssh:", "ssh:1", "ssh:12" };
    unsigned padded = 0;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(applications); i++) {
        struct buf blob;
        struct forge f = forge_of(SK_ED25519, ed25519);
        char text[2 * SSHSIG_MAX];
        f.application = applications[i];
        forge_blob(&f, &blob);
        size_t n = armor(buf_at(&blob), buf_len(&blob), text);
        buf_done(&blob);
        char *pad = memchr(text, '=', n);
        assert_int_equal(verify_text(text, n), 0);
        if (pad == NULL)
            continue;
        padded++;
        pad[-1] = strchr(digits, pad[-1])[1]; /* a spare bit is set */
        assert_int_equal(verify_text(text, n), -RF_EPROTO);
    }
    assert_int_equal(padded, 2); /* else nothing was tested */
}

static void an_armor_that_is_too_long_is_refused(void **state)
{
    static char text[2 * SSHSIG_MAX];
    uint8_t blob[SSHSIG_MAX] = { 0 };
    (void)state;
    assert_int_equal(verify_text(text, armor(blob, 5900, text)), -RF_EPROTO);
    assert_int_equal(verify_text(text, armor(blob, 8000, text)), -RF_EPROTO);
}

/* ---- tests: the blob ------------------------------------------------------------------------ */

static void what_our_test_signs_holds(void **state)
{
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    assert_int_equal(verify_forge(&f), 0);
    f = forge_of(P256, p256);
    assert_int_equal(verify_forge(&f), 0);
    f.hash = "sha256";
    assert_int_equal(verify_forge(&f), 0);
    f = forge_of("ecdsa-sha2-nistp521", p521);
    assert_int_equal(verify_forge(&f), 0);
    f = forge_of("ssh-rsa", rsa3072);
    f.algorithm = "rsa-sha2-256";
    f.md = "SHA256";
    assert_int_equal(verify_forge(&f), 0);
    f.algorithm = "rsa-sha2-512";
    assert_int_equal(verify_forge(&f), -RF_EAUTH);
    f.md = "SHA512";
    assert_int_equal(verify_forge(&f), 0);
}

static void every_cut_and_every_flipped_bit_is_refused(void **state)
{
    const struct forge forges[] = { forge_of(ED25519, ed25519), forge_of(SK_P256, p256) };
    (void)state;
    for (size_t k = 0; k < RF_COUNT(forges); k++) {
        struct buf blob;
        forge_blob(&forges[k], &blob);
        uint8_t *at = buf_at(&blob);
        for (size_t i = 0; i < buf_len(&blob); i++) {
            assert_int_equal(verify_blob(at, i), -RF_EPROTO);
            for (unsigned bit = 0; bit < 8; bit++) {
                at[i] ^= (uint8_t)(1u << bit);
                assert_true(verify_blob(at, buf_len(&blob)) < 0);
                at[i] ^= (uint8_t)(1u << bit);
            }
        }
        assert_int_equal(verify_blob(at, buf_len(&blob)), 0);
        buf_done(&blob);
    }
}

static void huge_lengths_are_refused(void **state)
{
    static const uint32_t lengths[] = { 0xffffffff, 0x80000000, 0x7fffffff, 0xffff, 0 };
    struct forge f = forge_of(SK_ED25519, ed25519);
    struct buf blob;
    (void)state;
    forge_blob(&f, &blob);
    for (size_t i = 6; i + 4 <= buf_len(&blob); i++)
        for (size_t k = 0; k < RF_COUNT(lengths); k++) {
            uint8_t before[4], *at = buf_at(&blob) + i;
            memcpy(before, at, 4);
            for (unsigned b = 0; b < 4; b++)
                at[b] = (uint8_t)(lengths[k] >> (24 - 8 * b));
            assert_true(memcmp(before, at, 4) == 0 ||
                        verify_blob(buf_at(&blob), buf_len(&blob)) < 0);
            memcpy(at, before, 4);
        }
    buf_done(&blob);
}

static void nothing_may_follow_anything(void **state)
{
    const char *const types[] = { ED25519, SK_ED25519 };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(types); i++) {
        struct forge f = forge_of(types[i], ed25519);
        f.tail = "x";
        assert_int_equal(verify_forge(&f), -RF_EPROTO);
        f = forge_of(types[i], ed25519);
        f.inner_tail = "x";
        assert_int_equal(verify_forge(&f), -RF_EPROTO);
        f = forge_of(types[i], ed25519);
        f.key_tail = "x";
        assert_int_equal(verify_forge(&f), -RF_EPROTO);
        assert_int_equal(parse_forge(&f), -RF_EPROTO);
    }
}

static void another_version_reserved_word_or_hash_is_refused(void **state)
{
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    f.version = 2;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f = forge_of(ED25519, ed25519);
    f.reserved = "x"; /* OpenSSH would ignore it */
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f = forge_of(ED25519, ed25519);
    f.hash = "sha1";
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.hash = "sha384";
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
}

/* ---- tests: RSA ----------------------------------------------------------------------------- */

static void cut_first(uint8_t *bytes, size_t *len)
{
    memmove(bytes, bytes + 1, --*len);
}

static void pad_first(uint8_t *bytes, size_t *len)
{
    memmove(bytes + 1, bytes, (*len)++);
    bytes[0] = 0;
}

static void rsa_signs_with_sha2_and_its_full_length(void **state)
{
    struct forge f = forge_of("ssh-rsa", rsa3072);
    (void)state;
    f.md = "SHA1"; /* as `ssh-rsa` says */
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.algorithm = "rsa-sha2-512";
    assert_int_equal(verify_forge(&f), -RF_EAUTH);
    f.algorithm = "rsa-sha2-1";
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.algorithm = "rsa-sha2-512";
    f.md = "SHA512";
    f.change = cut_first;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.change = pad_first;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.change = NULL;
    f.signer = rsa2048;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
}

static int parse_rsa(const uint8_t *e, size_t e_len, const uint8_t *n, size_t n_len)
{
    struct buf blob;
    char line[8192] = "ssh-rsa ";
    struct ssh_key key;
    buf_init(&blob, 4096);
    struct wr w = wr_to(&blob);
    put_text(&w, "ssh-rsa");
    put(&w, e, e_len);
    put(&w, n, n_len);
    assert_true(wr_done(&w));
    (void)base64_encode(buf_at(&blob), buf_len(&blob), line + 8);
    buf_done(&blob);
    return ssh_key_parse(line, &key, NULL);
}

static void numbers_that_are_no_rsa_key_are_refused(void **state)
{
    static const uint8_t usual[] = { 1, 0, 1 }, one[] = { 1 }, even[] = { 2 }, padded[] = { 0, 3 },
                         three[] = { 3 }, negative[] = { 0x81 },
                         long_one[] = { 1, 0, 0, 0, 0, 0, 0, 0, 1 };
    uint8_t n[2050];
    (void)state;
    memset(n, 0xff, sizeof(n));
    n[0] = 0;
    assert_int_equal(parse_rsa(usual, 3, n, 385), 0);
    assert_int_equal(parse_rsa(three, 1, n, 385), 0);
    assert_int_equal(parse_rsa(usual, 3, n, 2049), 0);
    assert_int_equal(parse_rsa(one, 1, n, 385), -RF_EPROTO); /* everything would be a signature */
    assert_int_equal(parse_rsa(even, 1, n, 385), -RF_EPROTO);
    assert_int_equal(parse_rsa(padded, 2, n, 385), -RF_EPROTO);
    assert_int_equal(parse_rsa(negative, 1, n, 385), -RF_EPROTO);
    assert_int_equal(parse_rsa(long_one, 9, n, 385), -RF_EPROTO);
    assert_int_equal(parse_rsa(usual, 0, n, 385), -RF_EPROTO);
    assert_int_equal(parse_rsa(usual, 3, n, 0), -RF_EPROTO);
    assert_int_equal(parse_rsa(usual, 3, n, 1), -RF_EPROTO);
    assert_int_equal(parse_rsa(usual, 3, n + 1, 384), -RF_EPROTO); /* negative */
    assert_int_equal(parse_rsa(usual, 3, n, 384), -RF_EPROTO);     /* 3064 bits */
    assert_int_equal(parse_rsa(usual, 3, n, 2050), -RF_EPROTO);    /* 16392 bits */
    n[1] = 0x7f;
    assert_int_equal(parse_rsa(usual, 3, n, 385), -RF_EPROTO);     /* a zero too many */
    assert_int_equal(parse_rsa(usual, 3, n + 1, 384), -RF_EPROTO); /* 3071 bits */
    n[1] = 0xff;
    n[384] = 0xfe;
    assert_int_equal(parse_rsa(usual, 3, n, 385), -RF_EPROTO); /* even */
}

/* ---- tests: ECDSA --------------------------------------------------------------------------- */

static int parse_point(const char *type, const char *curve, const uint8_t *point, size_t len)
{
    struct buf blob;
    char line[1024];
    struct ssh_key key;
    buf_init(&blob, 4096);
    struct wr w = wr_to(&blob);
    put_text(&w, type);
    if (curve != NULL)
        put_text(&w, curve);
    put(&w, point, len);
    assert_true(wr_done(&w));
    size_t at = (size_t)sprintf(line, "%s ", type);
    (void)base64_encode(buf_at(&blob), buf_len(&blob), line + at);
    buf_done(&blob);
    return ssh_key_parse(line, &key, NULL);
}

static void points_off_their_curve_are_refused(void **state)
{
    uint8_t point[133], zero[65] = { 4 };
    size_t n;
    (void)state;
    assert_int_equal(EVP_PKEY_get_octet_string_param(p256, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                     sizeof(point), &n),
                     1);
    assert_int_equal(n, 65);
    assert_int_equal(parse_point(P256, "nistp256", point, 65), 0);
    assert_int_equal(parse_point(P256, "nistp384", point, 65), -RF_EPROTO);
    assert_int_equal(parse_point("ecdsa-sha2-nistp384", "nistp384", point, 65), -RF_EPROTO);
    assert_int_equal(parse_point(P256, "nistp256", point, 64), -RF_EPROTO);
    assert_int_equal(parse_point(P256, "nistp256", zero, 65), -RF_EPROTO);
    zero[0] = 0; /* infinity */
    assert_int_equal(parse_point(P256, "nistp256", zero, 1), -RF_EPROTO);
    assert_int_equal(parse_point(P256, "nistp256", zero, 65), -RF_EPROTO);
    point[64] ^= 1;
    assert_int_equal(parse_point(P256, "nistp256", point, 65), -RF_EPROTO);
    point[64] ^= 1;
    point[0] = (uint8_t)(2 + (point[64] & 1)); /* compressed, and hybrid below */
    assert_int_equal(parse_point(P256, "nistp256", point, 33), -RF_EPROTO);
    point[0] = (uint8_t)(6 + (point[64] & 1));
    assert_int_equal(parse_point(P256, "nistp256", point, 65), -RF_EPROTO);
}

/* The numbers, each u32 length and bytes, are written again by hand. */
static void zero_before_first(uint8_t *bytes, size_t *len)
{
    memmove(bytes + 5, bytes + 4, *len - 4);
    bytes[3]++;
    bytes[4] = 0;
    (*len)++;
}

static void first_is_nothing(uint8_t *bytes, size_t *len)
{
    size_t n = bytes[3];
    memmove(bytes + 4, bytes + 4 + n, *len - 4 - n);
    bytes[3] = 0;
    *len -= n;
}

static void first_is_negative(uint8_t *bytes, size_t *len)
{
    if (bytes[4] == 0) { /* take the zero that keeps it positive away */
        memmove(bytes + 4, bytes + 5, *len - 5);
        bytes[3]--;
        (*len)--;
    }
    bytes[4] |= 0x80;
}

static void first_is_huge(uint8_t *bytes, size_t *len)
{
    memmove(bytes + 44, bytes + 4, *len - 4);
    memset(bytes + 4, 1, 40);
    bytes[3] = (uint8_t)(bytes[3] + 40);
    *len += 40;
}

static void byte_behind_the_second(uint8_t *bytes, size_t *len)
{
    bytes[(*len)++] = 0;
}

/* s becomes order - s. */
static void second_is_the_other(uint8_t *bytes, size_t *len)
{
    size_t at = 4 + (size_t)bytes[3];
    BIGNUM *s = BN_bin2bn(bytes + at + 4, (int)(*len - at - 4), NULL), *order = NULL;
    struct buf b;
    assert_true(BN_hex2bn(&order, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC6"
                                  "32551") > 0);
    assert_int_equal(BN_sub(s, order, s), 1);
    buf_init(&b, 100);
    struct wr w = wr_to(&b);
    put_number(&w, s);
    assert_true(wr_done(&w));
    memcpy(bytes + at, buf_at(&b), buf_len(&b));
    *len = at + buf_len(&b);
    buf_done(&b);
    BN_free(s);
    BN_free(order);
}

static void numbers_of_ecdsa_have_one_spelling(void **state)
{
    void (*const changes[])(uint8_t *, size_t *) = {
        zero_before_first, first_is_nothing, first_is_negative,     first_is_huge,
        cut_first,         pad_first,        byte_behind_the_second
    };
    struct forge f = forge_of(P256, p256);
    (void)state;
    for (unsigned times = 0; times < 8; times++) /* numbers of both kinds come up */
        for (size_t i = 0; i < RF_COUNT(changes); i++) {
            f.change = changes[i];
            assert_int_equal(verify_forge(&f), -RF_EPROTO);
        }
    /* Half of all that OpenSSH signs has the larger s. What a command does once rests on its nonce,
       never on a signature having one form. */
    f.change = second_is_the_other;
    assert_int_equal(verify_forge(&f), 0);
    f.change = NULL;
    f.algorithm = "ecdsa-sha2-nistp384";
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
}

/* ---- tests: Ed25519 ------------------------------------------------------------------------- */

/* S becomes S + L, the same scalar. */
static void scalar_plus_order(uint8_t *bytes, size_t *len)
{
    static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                       0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                       0,    0,    0,    0,    0,    0,    0,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0x10 };
    unsigned carry = 0;
    assert_int_equal(*len, 64);
    for (size_t i = 0; i < 32; i++) {
        carry += bytes[32 + i] + (unsigned)order[i];
        bytes[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void ed25519_has_one_scalar_and_length(void **state)
{
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    f.change = scalar_plus_order;
    assert_int_equal(verify_forge(&f), -RF_EAUTH);
    f.change = cut_first;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f.change = pad_first;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
}

static void points_that_everybody_signs_for_are_no_keys(void **state)
{
    uint8_t point[32] = { 1 }; /* the neutral element */
    (void)state;
    assert_int_equal(parse_point(ED25519, NULL, point, 32), -RF_EPROTO);
    point[0] = 0; /* order 4 */
    assert_int_equal(parse_point(ED25519, NULL, point, 32), -RF_EPROTO);
    memset(point, 0xff, 32); /* not below the prime */
    assert_int_equal(parse_point(ED25519, NULL, point, 32), -RF_EPROTO);
    size_t n = 32;
    assert_int_equal(EVP_PKEY_get_raw_public_key(ed25519, point, &n), 1);
    assert_int_equal(parse_point(ED25519, NULL, point, 32), 0);
    assert_int_equal(parse_point(ED25519, NULL, point, 31), -RF_EPROTO);
}

/* ---- tests: hardware ------------------------------------------------------------------------ */

static void hardware_keys_sign_when_they_are_touched(void **state)
{
    const struct forge forges[] = { forge_of(SK_ED25519, ed25519), forge_of(SK_P256, p256) };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(forges); i++) {
        struct forge f = forges[i];
        assert_int_equal(parse_forge(&f), 0);
        assert_int_equal(verify_forge(&f), 0);
        f.flags = 5; /* and a PIN */
        f.counter = 0xffffffff;
        f.application = "ssh:work";
        f.hash = "sha256";
        assert_int_equal(verify_forge(&f), 0);
        f.flags = 4;
        assert_int_equal(verify_forge(&f), -RF_EAUTH);
        f.flags = 0;
        assert_int_equal(verify_forge(&f), -RF_EAUTH);
    }
}

static void flags_and_counter_are_signed(void **state)
{
    struct forge f = forge_of(SK_ED25519, ed25519);
    struct buf blob;
    (void)state;
    f.flags = 0;
    forge_blob(&f, &blob);
    uint8_t *end = buf_at(&blob) + buf_len(&blob);
    end[-5] = 1; /* "but he did touch it" */
    assert_int_equal(verify_blob(buf_at(&blob), buf_len(&blob)), -RF_EAUTH);
    buf_done(&blob);
    f.flags = 1;
    forge_blob(&f, &blob);
    assert_int_equal(verify_blob(buf_at(&blob), buf_len(&blob)), 0);
    end = buf_at(&blob) + buf_len(&blob);
    end[-1]++;
    assert_int_equal(verify_blob(buf_at(&blob), buf_len(&blob)), -RF_EAUTH);
    buf_done(&blob);
}

static void software_does_not_pass_for_hardware(void **state)
{
    struct forge f = forge_of(ED25519, ed25519);
    (void)state;
    f.algorithm = SK_ED25519;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f = forge_of(SK_ED25519, ed25519);
    f.algorithm = ED25519;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
    f = forge_of(SK_ED25519, ed25519);
    f.application = NULL;
    assert_int_equal(verify_forge(&f), -RF_EPROTO);
}

/* ---- tests: lines with keys ----------------------------------------------------------------- */

static void lines_with_keys_have_one_form(void **state)
{
    char line[4096], changed[8192];
    struct ssh_key key = { .len = 77 };
    (void)state;
    vector_key("ed25519", line, sizeof(line));
    char *base64 = strchr(line, ' ') + 1, *comment = strchr(base64, ' ');
    (void)snprintf(changed, sizeof(changed), "%s", line);
    changed[comment - line] = '\0';
    assert_int_equal(ssh_key_parse(changed, &key, NULL), 0);
    static const char *const forms[] = {
        "",       "ssh-ed25519", "ssh-ed25519 ", " %s",          "%s\n",
        "%s\r\n", "# %s",        "no-pty %s",    "ssh-rsa %3$s", "ssh-ed25519  %3$s",
    };
    for (size_t i = 0; i < RF_COUNT(forms); i++) {
        const char *cut = strstr(forms[i], "%3$s");
        key.len = 77;
        if (cut != NULL)
            (void)snprintf(changed, sizeof(changed), "%.*s%s", (int)(cut - forms[i]), forms[i],
                           base64);
        else if ((cut = strstr(forms[i], "%s")) != NULL)
            (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(cut - forms[i]), forms[i],
                           line, cut + 2);
        else
            (void)snprintf(changed, sizeof(changed), "%s", forms[i]);
        assert_int_equal(ssh_key_parse(changed, &key, NULL), -RF_EPROTO);
        assert_int_equal(key.len, 77);
    }
    for (size_t n = 0; n < (size_t)(comment - line); n++) {
        (void)snprintf(changed, sizeof(changed), "%.*s", (int)n, line);
        assert_int_equal(ssh_key_parse(changed, &key, NULL), -RF_EPROTO);
    }
    memset(changed, 'A', sizeof(changed) - 1);
    memcpy(changed, "ssh-rsa ", 8);
    changed[sizeof(changed) - 1] = '\0';
    assert_int_equal(ssh_key_parse(changed, &key, NULL), -RF_EPROTO);
}

/* ---- main ----------------------------------------------------------------------------------- */

static int load(void **state)
{
    struct err err;
    (void)state;
    message_len = vector("message", "", message, sizeof(message));
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    other_ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    rsa3072 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    rsa2048 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    return digest_init(&err);
}

static int unload(void **state)
{
    (void)state;
    EVP_PKEY_free(ed25519);
    EVP_PKEY_free(other_ed25519);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p521);
    EVP_PKEY_free(rsa3072);
    EVP_PKEY_free(rsa2048);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_ssh_keygen_hold),
        cmocka_unit_test(another_text_purpose_or_key_is_seen),
        cmocka_unit_test(weak_rsa_is_no_key_and_signs_nothing),
        cmocka_unit_test(any_cut_of_the_armor_is_refused),
        cmocka_unit_test(other_armor_is_refused),
        cmocka_unit_test(lines_have_other_lengths_elsewhere),
        cmocka_unit_test(base64_has_one_spelling),
        cmocka_unit_test(an_armor_that_is_too_long_is_refused),
        cmocka_unit_test(what_our_test_signs_holds),
        cmocka_unit_test(every_cut_and_every_flipped_bit_is_refused),
        cmocka_unit_test(huge_lengths_are_refused),
        cmocka_unit_test(nothing_may_follow_anything),
        cmocka_unit_test(another_version_reserved_word_or_hash_is_refused),
        cmocka_unit_test(rsa_signs_with_sha2_and_its_full_length),
        cmocka_unit_test(numbers_that_are_no_rsa_key_are_refused),
        cmocka_unit_test(points_off_their_curve_are_refused),
        cmocka_unit_test(numbers_of_ecdsa_have_one_spelling),
        cmocka_unit_test(ed25519_has_one_scalar_and_length),
        cmocka_unit_test(points_that_everybody_signs_for_are_no_keys),
        cmocka_unit_test(hardware_keys_sign_when_they_are_touched),
        cmocka_unit_test(flags_and_counter_are_signed),
        cmocka_unit_test(software_does_not_pass_for_hardware),
        cmocka_unit_test(lines_with_keys_have_one_form),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
