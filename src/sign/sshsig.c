/* What an armored signature holds (OpenSSH's PROTOCOL.sshsig):
 *
 *     "SSHSIG", u32 version 1, string key, string namespace, string reserved, string hash,
 *     string { string algorithm, … }                                    the signature itself
 *
 * and what is signed:
 *
 *     "SSHSIG", string namespace, string reserved, string hash, string HASH(message)
 *
 * A hardware key signs instead (PROTOCOL.u2f), with its flags and counter in the signature:
 *
 *     SHA-256(application), u8 flags, u32 counter, SHA-256(of the above)
 *
 * Everything accepted here is accepted by `ssh-keygen -Y check-novalidate`; the reverse is not so.
 * OpenSSH ignores what stands in `reserved`, blanks in the base64 and text behind the last line,
 * takes numbers with leading zeros and RSA signatures without theirs, and lets keys sign that
 * nobody touched. None of this is written by `ssh-keygen -Y sign`, and all of it is refused. */
#include "sign/sshsig.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "sign/sshkey.h"
#include "wire/rd.h"
#include "wire/wr.h"

enum {
    LINE_MAX_LEN = 76, /* ssh-keygen breaks after 70; others after 64 or 76 */
    VERSION = 1,
    FLAG_TOUCHED = 0x01,
    ED25519_SIGNATURE_LEN = 64,
    ECDSA_DER_MAX = 160, /* of two numbers of 521 bits */
    HASH_MAX = 64,
    SIGNED_MAX = 1024
};

#define MAGIC "SSHSIG"
#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END   "-----END SSH SIGNATURE-----"

/* Borrows from the decoded blob. */
struct sshsig {
    struct sshkey_piece key, name_space, hash, algorithm;
    const char *hash_name; /* OpenSSL's */
    size_t hash_len;
    struct rd rest; /* of the signature, behind its algorithm */
};

/* ---- keys ----------------------------------------------------------------------------------- */

/* The first word of *LINE, which is cut off with the blank behind it. */
static struct sshkey_piece cut_word(const char **line)
{
    size_t len = strcspn(*line, " ");
    struct sshkey_piece word = { .at = (const uint8_t *)*line, .len = len };
    *line += len;
    if (**line == ' ')
        (*line)++;
    return word;
}

int ssh_key_parse(const char *line, struct ssh_key *ret, struct err *err)
{
    struct ssh_key key = { 0 };
    struct sshkey parts;
    EVP_PKEY *public = NULL;
    struct sshkey_piece type = cut_word(&line), text = cut_word(&line);
    if (text.len == 0 || strpbrk(line, "\r\n") != NULL ||
        base64_decode((const char *)text.at, text.len, key.blob, sizeof(key.blob), &key.len) < 0)
        return err_set(err, RF_EPROTO,
                       "this is not a line with a public key of OpenSSH: a type, "
                       "one blank, base64, and a comment if you like");
    int rc = sshkey_open(key.blob, key.len, &parts, &public, err);
    EVP_PKEY_free(public);
    if (rc < 0)
        return rc;
    if (strlen(parts.type->name) != type.len || memcmp(parts.type->name, type.at, type.len) != 0)
        return err_set(err, RF_EPROTO, "the key is of another type than its line says");
    *ret = key;
    return 0;
}

bool ssh_key_equal(const struct ssh_key *a, const struct ssh_key *b)
{
    return a->len == b->len && memcmp(a->blob, b->blob, a->len) == 0;
}

void ssh_key_fingerprint(const struct ssh_key *key, char ret[SSH_KEY_FINGERPRINT_SIZE])
{
    uint8_t digest[DIGEST_LEN];
    char text[BASE64_LEN(DIGEST_LEN) + 1];
    const struct iovec piece = digest_piece(key->blob, key->len);
    digest_pieces(&piece, 1, digest);
    (void)base64_encode(digest, sizeof(digest), text);
    (void)snprintf(ret, SSH_KEY_FINGERPRINT_SIZE, "SHA256:%.43s", text); /* without the padding */
}

/* ---- armor ---------------------------------------------------------------------------------- */

/* Join the lines of base64 before END; what is left of *LEN bytes at *TEXT begins with END. */
static bool join_lines(const char **text, size_t *len, char joined[SSHSIG_MAX], size_t *ret_len)
{
    size_t n = 0;
    while (*len > 0 && **text != '-') {
        const char *end = memchr(*text, '\n', *len);
        size_t line = end != NULL ? (size_t)(end - *text) : 0;
        if (line == 0 || line > LINE_MAX_LEN)
            return false;
        memcpy(joined + n, *text, line); /* fits: JOINED is as long as the whole may be */
        n += line;
        *text += line + 1;
        *len -= line + 1;
    }
    *ret_len = n;
    return n > 0;
}

static bool dearmor(const char *text, size_t len, uint8_t blob[SSHSIG_MAX], size_t *ret_len)
{
    static const size_t begin = sizeof(BEGIN) - 1, end = sizeof(END) - 1;
    char joined[SSHSIG_MAX];
    size_t n;
    if (len > SSHSIG_MAX || len < begin || memcmp(text, BEGIN, begin) != 0)
        return false;
    text += begin;
    len -= begin;
    if (!join_lines(&text, &len, joined, &n) || len < end || memcmp(text, END, end) != 0)
        return false;
    /* a shell's $(…) takes the last line feed away */
    if (len != end && !(len == end + 1 && text[end] == '\n'))
        return false;
    return base64_decode(joined, n, blob, SSHSIG_MAX, ret_len) == 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool set_hash(struct sshsig *s)
{
    if (sshkey_piece_is(s->hash, "sha512")) {
        s->hash_name = "SHA512";
        s->hash_len = 64;
    } else if (sshkey_piece_is(s->hash, "sha256")) {
        s->hash_name = "SHA256";
        s->hash_len = 32;
    }
    return s->hash_name != NULL;
}

static int read_blob(const uint8_t *blob, size_t len, struct sshsig *ret, struct err *err)
{
    struct rd r = rd_of(blob, len);
    struct sshsig s = { 0 };
    const uint8_t *magic = rd_bytes(&r, sizeof(MAGIC) - 1);
    if (magic == NULL || memcmp(magic, MAGIC, sizeof(MAGIC) - 1) != 0 || rd_u32(&r) != VERSION)
        return err_set(err, RF_EPROTO, "this is not a signature of OpenSSH, version 1");
    s.key = sshkey_string(&r);
    s.name_space = sshkey_string(&r);
    struct sshkey_piece reserved = sshkey_string(&r);
    s.hash = sshkey_string(&r);
    struct sshkey_piece inner = sshkey_string(&r);
    if (!rd_done(&r) || reserved.len != 0 || s.key.len > SSH_KEY_BLOB_MAX)
        return err_set(err, RF_EPROTO, "the signature is cut off, too long or not well-formed");
    if (!set_hash(&s))
        return err_set(err, RF_EPROTO,
                       "the signature is over another hash than SHA-512 or SHA-256");
    s.rest = rd_of(inner.at, inner.len);
    s.algorithm = sshkey_string(&s.rest);
    *ret = s;
    return 0;
}

/* ---- what was signed ------------------------------------------------------------------------ */

static void put_string(struct wr *w, const void *bytes, size_t len)
{
    wr_u32(w, (uint32_t)len);
    wr_bytes(w, bytes, len);
}

static bool hash_of(const char *name, const void *bytes, size_t len, uint8_t ret[HASH_MAX])
{
    return EVP_Q_digest(NULL, name, NULL, bytes, len, ret, NULL) == 1;
}

static int write_signed(const struct sshsig *s, const void *message, size_t len, struct buf *to,
                        struct err *err)
{
    uint8_t hash[HASH_MAX];
    struct wr w = wr_to(to);
    bool hashed = hash_of(s->hash_name, message, len, hash);
    wr_bytes(&w, MAGIC, sizeof(MAGIC) - 1);
    put_string(&w, s->name_space.at, s->name_space.len);
    put_string(&w, "", 0);
    put_string(&w, s->hash.at, s->hash.len);
    put_string(&w, hash, s->hash_len);
    return hashed && wr_done(&w) ? 0 : err_set(err, RF_ENOMEM, "out of memory for a signature");
}

/* Put what the hardware signed in the place of what is in SIGNED. */
static int wrap_hardware(const struct sshkey *key, uint8_t flags, uint32_t counter,
                         struct buf *signed_bytes, struct err *err)
{
    uint8_t application[HASH_MAX], message[HASH_MAX];
    bool hashed = hash_of("SHA256", key->application.at, key->application.len, application) &&
                  hash_of("SHA256", buf_at(signed_bytes), buf_len(signed_bytes), message);
    buf_clear(signed_bytes);
    struct wr w = wr_to(signed_bytes);
    wr_bytes(&w, application, DIGEST_LEN);
    wr_u8(&w, flags);
    wr_u32(&w, counter);
    wr_bytes(&w, message, DIGEST_LEN);
    return hashed && wr_done(&w) ? 0 : err_set(err, RF_ENOMEM, "out of memory for a signature");
}

/* ---- verifying ------------------------------------------------------------------------------ */

/* The signature in the form that OpenSSL takes. */
struct openssl_form {
    const uint8_t *at;
    size_t len;
    const char *hash;           /* NULL: the algorithm has its own */
    uint8_t der[ECDSA_DER_MAX]; /* what AT may point at */
};

static bool form_ed25519(struct sshkey_piece bytes, struct openssl_form *ret)
{
    ret->at = bytes.at;
    ret->len = bytes.len;
    return bytes.len == ED25519_SIGNATURE_LEN;
}

static bool form_ecdsa(const struct sshkey *key, struct sshkey_piece bytes,
                       struct openssl_form *ret)
{
    struct rd r = rd_of(bytes.at, bytes.len);
    struct sshkey_piece first = sshkey_positive(&r), second = sshkey_positive(&r);
    size_t most = key->type->point_len / 2;
    uint8_t *to = ret->der;
    int len = 0;
    if (!rd_done(&r) || first.len > most || second.len > most)
        return false;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *a = BN_bin2bn(first.at, (int)first.len, NULL);
    BIGNUM *b = BN_bin2bn(second.at, (int)second.len, NULL);
    if (sig != NULL && a != NULL && b != NULL && ECDSA_SIG_set0(sig, a, b) == 1) {
        a = b = NULL; /* handed over */
        len = i2d_ECDSA_SIG(sig, NULL);
        if (len > 0 && len <= ECDSA_DER_MAX)
            len = i2d_ECDSA_SIG(sig, &to);
        else
            len = 0;
    }
    BN_free(a);
    BN_free(b);
    ECDSA_SIG_free(sig);
    ret->at = ret->der;
    ret->len = len > 0 ? (size_t)len : 0;
    ret->hash = key->type->hash;
    return len > 0;
}

static bool form_rsa(const struct sshsig *s, const struct sshkey *key, struct sshkey_piece bytes,
                     struct openssl_form *ret)
{
    ret->at = bytes.at;
    ret->len = bytes.len;
    ret->hash = sshkey_piece_is(s->algorithm, "rsa-sha2-512")   ? "SHA512"
                : sshkey_piece_is(s->algorithm, "rsa-sha2-256") ? "SHA256"
                                                                : NULL;
    return ret->hash != NULL && bytes.len == key->modulus.len;
}

static bool form_of(const struct sshsig *s, const struct sshkey *key, struct sshkey_piece bytes,
                    struct openssl_form *ret)
{
    if (key->type->algorithm == SSHKEY_RSA)
        return form_rsa(s, key, bytes, ret);
    if (!sshkey_piece_is(s->algorithm, key->type->name))
        return false;
    return key->type->algorithm == SSHKEY_ECDSA ? form_ecdsa(key, bytes, ret)
                                                : form_ed25519(bytes, ret);
}

static int openssl_verify(EVP_PKEY *public, const struct openssl_form *form,
                          const struct buf *signed_bytes, struct err *err)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int rc;
    if (context == NULL ||
        EVP_DigestVerifyInit_ex(context, NULL, form->hash, NULL, NULL, public, NULL) != 1)
        rc = err_set(err, RF_ENOMEM, "out of memory for a signature");
    else if (EVP_DigestVerify(context, form->at, form->len, signed_bytes->data + signed_bytes->off,
                              buf_len(signed_bytes)) != 1)
        rc = err_set(err, RF_EAUTH, "the signature is not of this text by this key");
    else
        rc = 0;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return rc;
}

/* SIGNED_BYTES: what a key in software would have signed. */
static int verify_by(const struct sshsig *s, const struct sshkey *key, EVP_PKEY *public,
                     struct buf *signed_bytes, struct err *err)
{
    struct rd r = s->rest;
    struct openssl_form form = { 0 };
    struct sshkey_piece bytes = sshkey_string(&r);
    uint8_t flags = FLAG_TOUCHED;
    int rc = 0;
    if (key->type->is_hardware) {
        flags = rd_u8(&r);
        rc = wrap_hardware(key, flags, rd_u32(&r), signed_bytes, err);
    }
    if (rc == 0 && (!rd_done(&r) || !form_of(s, key, bytes, &form)))
        rc = err_set(err, RF_EPROTO,
                     "the signature is none of its key's type; RSA signs with "
                     "SHA-512 or SHA-256 here");
    if (rc == 0)
        rc = openssl_verify(public, &form, signed_bytes, err);
    if (rc == 0 && (flags & FLAG_TOUCHED) == 0)
        rc = err_set(err, RF_EAUTH, "the hardware key signed without being touched");
    return rc;
}

static int verify_blob(const struct sshsig *s, const void *message, size_t len, struct err *err)
{
    struct sshkey key;
    EVP_PKEY *public = NULL;
    struct buf signed_bytes;
    buf_init(&signed_bytes, SIGNED_MAX);
    int rc = sshkey_open(s->key.at, s->key.len, &key, &public, err);
    if (rc == 0)
        rc = write_signed(s, message, len, &signed_bytes, err);
    if (rc == 0)
        rc = verify_by(s, &key, public, &signed_bytes, err);
    buf_done(&signed_bytes);
    EVP_PKEY_free(public);
    return rc;
}

static int read_armored(const char *armored, size_t len, uint8_t blob[SSHSIG_MAX],
                        struct sshsig *ret, struct err *err)
{
    size_t n;
    if (!dearmor(armored, len, blob, &n))
        return err_set(err, RF_EPROTO,
                       "this is not the block of a signature as `ssh-keygen -Y "
                       "sign` writes it");
    return read_blob(blob, n, ret, err);
}

static void copy_key(const struct sshsig *s, struct ssh_key *ret)
{
    ret->len = s->key.len; /* read_blob() has seen that it fits */
    memcpy(ret->blob, s->key.at, s->key.len);
}

int sshsig_signer(const char *armored, size_t len, struct ssh_key *ret, struct err *err)
{
    uint8_t blob[SSHSIG_MAX];
    struct sshsig s = { 0 };
    int rc = read_armored(armored, len, blob, &s, err);
    if (rc == 0)
        copy_key(&s, ret);
    return rc;
}

int sshsig_verify(const char *armored, size_t len, const char *name_space, const void *message,
                  size_t message_len, struct ssh_key *ret, struct err *err)
{
    uint8_t blob[SSHSIG_MAX];
    struct sshsig s = { 0 };
    int rc = read_armored(armored, len, blob, &s, err);
    if (rc < 0)
        return rc;
    if (!sshkey_piece_is(s.name_space, name_space))
        return err_set(err, RF_EAUTH, "the signature is for another purpose than \"%s\"",
                       name_space);
    rc = verify_blob(&s, message, message_len, err);
    if (rc < 0)
        return rc;
    copy_key(&s, ret);
    return 0;
}
