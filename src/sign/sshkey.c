#include "sign/sshkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <string.h>

#include "wire/rd.h"

enum {
    RSA_BITS_MIN = 3072,
    RSA_BITS_MAX = 16384,   /* of OpenSSH and of OpenSSL */
    RSA_EXPONENT_BYTES = 8, /* OpenSSL takes no larger one with moduli of this size */
    POINT_UNCOMPRESSED = 0x04
};

#define SSHKEY(name, algorithm, is_hardware, curve, group, hash, point_len) \
    { name, SSHKEY_##algorithm, is_hardware, curve, group, hash, point_len },
static const struct sshkey_type types[] = {
#include "sign/tbl/sshkey.def"
};
#undef SSHKEY

/* ---- pieces --------------------------------------------------------------------------------- */

struct sshkey_piece sshkey_string(struct rd *r)
{
    size_t len;
    const char *at = rd_str32(r, &len);
    return (struct sshkey_piece){ .at = (const uint8_t *)at, .len = len };
}

bool sshkey_piece_is(struct sshkey_piece piece, const char *text)
{
    size_t len = strlen(text);
    return piece.len == len && memcmp(piece.at, text, len) == 0;
}

struct sshkey_piece sshkey_positive(struct rd *r)
{
    struct sshkey_piece p = sshkey_string(r);
    bool is_padded = p.len > 0 && p.at[0] == 0;
    if (is_padded) {
        p.at++;
        p.len--;
    }
    if (p.len == 0 || p.at[0] == 0 || is_padded != (p.at[0] >= 0x80)) {
        r->bad = true;
        return (struct sshkey_piece){ .at = (const uint8_t *)"", .len = 0 };
    }
    return p;
}

/* ---- reading -------------------------------------------------------------------------------- */

static const struct sshkey_type *type_find(struct sshkey_piece name)
{
    for (size_t i = 0; i < RF_COUNT(types); i++)
        if (sshkey_piece_is(name, types[i].name))
            return &types[i];
    return NULL;
}

static int read_parts(const uint8_t *blob, size_t len, struct sshkey *ret, struct err *err)
{
    struct rd r = rd_of(blob, len);
    struct sshkey k = { .type = type_find(sshkey_string(&r)) };
    if (k.type == NULL)
        return err_set(err, RF_EPROTO, "the type of the key is none that people sign with here");
    if (k.type->algorithm == SSHKEY_ECDSA && !sshkey_piece_is(sshkey_string(&r), k.type->curve))
        return err_set(err, RF_EPROTO, "the key names another curve than its type");
    if (k.type->algorithm == SSHKEY_RSA) {
        k.exponent = sshkey_positive(&r);
        k.modulus = sshkey_positive(&r);
    } else {
        k.point = sshkey_string(&r);
    }
    if (k.type->is_hardware)
        k.application = sshkey_string(&r);
    if (!rd_done(&r) || k.point.len != k.type->point_len)
        return err_set(err, RF_EPROTO, "the key is cut off, too long or spelled in another way");
    *ret = k;
    return 0;
}

/* ---- making OpenSSL's form ------------------------------------------------------------------ */

static int make_ed25519(const struct sshkey *k, EVP_PKEY **ret, struct err *err)
{
    /* Under a point of small order anybody's signature holds; OpenSSL does not look. */
    if (crypto_core_ed25519_is_valid_point(k->point.at) != 1)
        return err_set(err, RF_EPROTO, "the key is no point of its curve that can sign");
    *ret = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->point.at, k->point.len);
    return *ret != NULL ? 0 : err_set(err, RF_ENOMEM, "out of memory for a key");
}

static EVP_PKEY *make_from(const char *algorithm, const OSSL_PARAM *params)
{
    EVP_PKEY *made = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    union {
        const OSSL_PARAM *in;
        OSSL_PARAM *out; /* OpenSSL only reads them, and does not say so */
    } p = { .in = params };
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &made, EVP_PKEY_PUBLIC_KEY, p.out) != 1)
        made = NULL;
    EVP_PKEY_CTX_free(context);
    return made;
}

static int make_ecdsa(const struct sshkey *k, EVP_PKEY **ret, struct err *err)
{
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (k->point.at[0] == POINT_UNCOMPRESSED && b != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, k->type->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, k->point.at, k->point.len) ==
            1)
        params = OSSL_PARAM_BLD_to_param(b);
    *ret =
        params != NULL ? make_from("EC", params) : NULL; /* which sees whether it is on the curve */
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    return *ret != NULL ? 0 : err_set(err, RF_EPROTO, "the key is no point of its curve");
}

static int check_rsa(const struct sshkey *k, const BIGNUM *modulus, struct err *err)
{
    int bits = BN_num_bits(modulus);
    if (bits < RSA_BITS_MIN)
        return err_set(err, RF_EPROTO, "the RSA key has %d bits, and %d are the least", bits,
                       RSA_BITS_MIN);
    if (bits > RSA_BITS_MAX)
        return err_set(err, RF_EPROTO, "the RSA key has %d bits, and %d are the most", bits,
                       RSA_BITS_MAX);
    uint8_t last = k->exponent.at[k->exponent.len - 1];
    bool is_one = k->exponent.len == 1 && last == 1;
    if (k->exponent.len > RSA_EXPONENT_BYTES || last % 2 == 0 || is_one || BN_is_odd(modulus) != 1)
        return err_set(err, RF_EPROTO, "the numbers of the RSA key are none of an RSA key");
    return 0;
}

static int make_rsa(const struct sshkey *k, EVP_PKEY **ret, struct err *err)
{
    BIGNUM *n = BN_bin2bn(k->modulus.at, (int)k->modulus.len, NULL);
    BIGNUM *e = BN_bin2bn(k->exponent.at, (int)k->exponent.len, NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    int rc = n != NULL && e != NULL && b != NULL
                 ? check_rsa(k, n, err)
                 : err_set(err, RF_ENOMEM, "out of memory for a key");
    if (rc == 0 && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(b);
    *ret = params != NULL ? make_from("RSA", params) : NULL;
    if (rc == 0 && *ret == NULL)
        rc = err_set(err, RF_ENOMEM, "out of memory for a key");
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    BN_free(n);
    BN_free(e);
    return rc;
}

int sshkey_open(const uint8_t *blob, size_t len, struct sshkey *ret, EVP_PKEY **ret_public,
                struct err *err)
{
    static int (*const makers[])(const struct sshkey *, EVP_PKEY **, struct err *) = {
        [SSHKEY_ED25519] = make_ed25519,
        [SSHKEY_ECDSA] = make_ecdsa,
        [SSHKEY_RSA] = make_rsa,
    };
    struct sshkey k;
    EVP_PKEY *made = NULL;
    int rc = read_parts(blob, len, &k, err);
    if (rc < 0)
        return rc;
    rc = makers[k.type->algorithm](&k, &made, err);
    ERR_clear_error(); /* nobody else is to find our peer's mistakes in OpenSSL's queue */
    if (rc < 0)
        return rc;
    *ret = k;
    *ret_public = made;
    return 0;
}
