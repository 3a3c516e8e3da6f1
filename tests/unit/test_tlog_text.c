/* test_tlog_text.c - keys, notes, checkpoints, policies, proof files and witness requests: against
 * vectors made elsewhere, cut at every length, and with every bit flipped. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "tlog/checkpoint.h"
#include "tlog/hash.h"
#include "tlog/prooffile.h"
#include "tlog/trust.h"
#include "tlog/witness_request.h"

#define DASH           "\xe2\x80\x94 "
#define LOG_NAME       "log.example.com/ringfence"
#define WITNESS_NAME   "witness.example.com/w1"
#define LOG_VKEY       LOG_NAME "+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define LOG_VKEY_OTHER "log.example.com/other+90531689+ASVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"
#define LOG_VKEY_RENAMED \
    "log.example.com/renamed+deb75eba+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define WITNESS_VKEY WITNESS_NAME "+969980cf+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
#define WITNESS_TIME 1700000000
#define A8_TEXT      LOG_NAME "\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
#define A8_SIGNATURE                                                                    \
    DASH LOG_NAME " 7PTMOYdcMbWj7fsr2u4vai8AqzBeNgvMOzCfcig6KgcpY9RySn0uf0/lghV3n0fGL/" \
                  "fHBo9zkUUGcaCaalShguruUAU=\n"
#define A8_COSIGNATURE                                                                    \
    DASH WITNESS_NAME " lpmAzwAAAABlU/EArb3DON9bjmDNHmR1yAgBdR3NkBZ+fkaDnWSxlFjmOwiuzxc+" \
                      "hlblRnJ8jUiiLGQdZwwUxtgx1vtow8q7loRMAA==\n"
#define A8          A8_TEXT "\n" A8_SIGNATURE
#define A8_COSIGNED A8 A8_COSIGNATURE

static int start(void **state)
{
    struct err err;
    (void)state;
    return digest_init(&err);
}

/* Seeds of the vectors: FIRST and the numbers after it. */
static struct secret_key secret_of(const char *name, enum key_type type, uint8_t first)
{
    uint8_t seed[KEY_SEED_LEN];
    struct secret_key key;
    struct err err;
    for (unsigned i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)(first + i);
    assert_int_equal(secret_key_make(name, type, seed, &key, &err), 0);
    return key;
}

static struct key key_of(const char *vkey)
{
    struct key key;
    struct err err = { 0 };
    if (key_read(vkey, strlen(vkey), &key, &err) < 0)
        fail_msg("%s: %s", vkey, err.line);
    return key;
}

static void assert_text(struct buf *b, const char *text)
{
    assert_int_equal(buf_len(b), strlen(text));
    assert_memory_equal(buf_at(b), text, strlen(text));
}

/* --- keys --- */

static void keys_have_the_ids_of_the_vectors(void **state)
{
    struct secret_key log = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct secret_key witness = secret_of(WITNESS_NAME, KEY_COSIGNATURE, 0x20);
    struct secret_key mistaken = secret_of(WITNESS_NAME, KEY_ED25519, 0x20);
    char text[KEY_VKEY_SIZE];
    (void)state;
    assert_int_equal(log.key.id, 0xecf4cc39);
    assert_int_equal(witness.key.id, 0x969980cf);
    assert_int_equal(mistaken.key.id, 0x78b3b84c);
    key_write(&log.key, text);
    assert_string_equal(text, LOG_VKEY);
    key_write(&witness.key, text);
    assert_string_equal(text, WITNESS_VKEY);
    struct key read = key_of(LOG_VKEY);
    assert_memory_equal(&read, &log.key, sizeof(read));
    read = key_of(WITNESS_VKEY);
    assert_memory_equal(&read, &witness.key, sizeof(read));
    secret_key_wipe(&log);
    assert_int_equal(log.seed[31], 0);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "+",
        "++",
        LOG_NAME,
        LOG_NAME "+ecf4cc39",
        LOG_NAME "+ecf4cc39+",
        LOG_VKEY "\n",
        " " LOG_VKEY,
        LOG_VKEY "=",
        /* another id, an id in capitals, one that is too short */
        LOG_NAME "+ecf4cc38+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        LOG_NAME "+ECF4CC39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        LOG_NAME "+cf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        /* another name, no name, a blank in it, a letter that is not ASCII */
        "log.example.com/other+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "log example+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "caf\xc3\xa9+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        /* type 02, and a key of 31 bytes */
        LOG_NAME "+ecf4cc39+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        LOG_NAME "+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTE=",
    };
    struct key key;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (key_read(bad[i], strlen(bad[i]), &key, &err) != -RF_EINVAL)
            fail_msg("taken as a key: %s", bad[i]);
    assert_int_equal(key_read(NULL, 0, &key, &err), -RF_EINVAL);
}

/* A copy that ends where memory may not be touched (under ASan), with bit BIT flipped. */
static char *spoilt(const char *text, size_t len, size_t bit)
{
    char *copy = mem_zalloc(1, len + 1);
    assert_non_null(copy);
    char *at = mem_realloc(copy, len > 0 ? len : 1);
    assert_non_null(at);
    memcpy(at, text, len);
    if (bit < 8 * len)
        at[bit / 8] = (char)(at[bit / 8] ^ 1 << bit % 8);
    return at;
}

static void a_spoilt_key_is_refused(void **state)
{
    size_t len = strlen(LOG_VKEY);
    struct key key;
    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        char *text = spoilt(LOG_VKEY, cut, SIZE_MAX);
        assert_int_equal(key_read(text, cut, &key, NULL), -RF_EINVAL);
        mem_free(text);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *text = spoilt(LOG_VKEY, len, bit);
        assert_int_equal(key_read(text, len, &key, NULL), -RF_EINVAL);
        mem_free(text);
    }
}

static void names_of_keys_are_printable_and_short(void **state)
{
    char longest[KEY_NAME_MAX + 1];
    (void)state;
    memset(longest, 'n', sizeof(longest));
    assert_true(key_is_name(longest, KEY_NAME_MAX));
    assert_false(key_is_name(longest, KEY_NAME_MAX + 1));
    assert_false(key_is_name("", 0));
    assert_true(key_is_name("!~", 2));
    assert_false(key_is_name("a b", 3));
    assert_false(key_is_name("a+b", 3));
    assert_false(key_is_name("a\0b", 3));
    assert_false(key_is_name("a\x7f", 2));
    assert_false(key_is_name("a\xc3\xa9", 3));
}

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_tlog.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static char *in_folder(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    turn ^= 1;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static int drop_folder(void **state)
{
    static const char *const names[] = { "key", "other", "link", "vkey" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(names); i++)
        (void)unlink(in_folder(names[i]));
    return rmdir(folder);
}

static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(in_folder(name), mode), 0);
}

static const char key_file[] =
    "ringfence-key@1 " LOG_NAME " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

static void a_secret_key_is_saved_for_its_owner_alone(void **state)
{
    struct secret_key key = secret_of(LOG_NAME, KEY_ED25519, 0), got;
    struct err err;
    struct stat st;
    char text[sizeof(key_file)] = "";
    (void)state;
    assert_int_equal(secret_key_save(in_folder("key"), &key, &err), 0);
    assert_int_equal(stat(in_folder("key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    FILE *file = fopen(in_folder("key"), "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), sizeof(key_file) - 1);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, key_file);
    assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), 0);
    assert_memory_equal(&got, &key, sizeof(key));
    assert_int_equal(secret_key_load(in_folder("key"), KEY_COSIGNATURE, &got, &err), 0);
    assert_int_equal(got.key.type, KEY_COSIGNATURE);
    assert_int_not_equal(got.key.id, key.key.id);
    /* a file that is there stays as it is */
    key.seed[0] ^= 1;
    assert_int_equal(secret_key_save(in_folder("key"), &key, &err), -RF_ESYS);
    assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), 0);
    assert_int_equal(got.seed[0], 0);
}

static void a_secret_that_others_can_reach_is_not_loaded(void **state)
{
    static const mode_t modes[] = { 0640, 0604, 0620, 0660, 0666 };
    struct secret_key got;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(modes); i++) {
        write_file("key", key_file, sizeof(key_file) - 1, modes[i]);
        assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), -RF_ECONFIG);
    }
    write_file("key", key_file, sizeof(key_file) - 1, 0400);
    assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), 0);
    assert_int_equal(symlink("key", in_folder("link")), 0);
    assert_int_equal(secret_key_load(in_folder("link"), KEY_ED25519, &got, &err), -RF_ESYS);
    assert_int_equal(secret_key_save(in_folder("link"), &got, &err), -RF_ESYS);
    assert_int_equal(secret_key_load(folder, KEY_ED25519, &got, &err), -RF_ECONFIG);
}

static void what_is_no_secret_key_file_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "ringfence-key@1 \n",
        "ringfence-key@1  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "ringfence-key@2 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "ringfence-key@1 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "ringfence-key@1 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n",
        "ringfence-key@1 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n",
        "ringfence-key@1 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
        "ringfence-key@1 n AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A\n",
        "ringfence-key@1 n  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "ringfence-key@1 a+b AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "ringfence-key@1 caf\xc3\xa9 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
    };
    struct secret_key got;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        write_file("key", bad[i], strlen(bad[i]), 0600);
        if (secret_key_load(in_folder("key"), KEY_ED25519, &got, &err) != -RF_EINVAL)
            fail_msg("taken as a secret key: %s", bad[i]);
        assert_null(strstr(err.line, "AAEC")); /* no part of a seed in a message */
    }
    for (size_t cut = 0; cut < sizeof(key_file) - 1; cut++) {
        write_file("key", key_file, cut, 0600);
        assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), -RF_EINVAL);
    }
    write_file("key", "ringfence-key@1 a\0b AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 65,
               0600);
    assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), -RF_EINVAL);
    char *large = mem_zalloc(1, 1000);
    assert_non_null(large);
    memset(large, 'x', 1000);
    write_file("key", large, 1000, 0600);
    assert_int_equal(secret_key_load(in_folder("key"), KEY_ED25519, &got, &err), -RF_ETOOBIG);
    mem_free(large);
}

#ifdef RF_FAULTS
static void a_key_that_may_be_gone_tomorrow_is_not_kept(void **state)
{
    static const char *const faults[] = { "key.sync:1", "key.sync_folder:1" };
    struct secret_key key = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(faults); i++) {
        fault_arm(faults[i]);
        assert_int_equal(secret_key_save(in_folder("key"), &key, &err), -RF_ESYS);
        assert_int_equal(access(in_folder("key"), F_OK), -1);
    }
    fault_arm(NULL);
    assert_int_equal(secret_key_save(in_folder("key"), &key, &err), 0);
}
#endif

static void a_public_key_may_end_with_one_line_end(void **state)
{
    struct key got, wanted = key_of(LOG_VKEY);
    struct err err;
    (void)state;
    write_file("vkey", LOG_VKEY, strlen(LOG_VKEY), 0644);
    assert_int_equal(key_load(in_folder("vkey"), &got, &err), 0);
    assert_memory_equal(&got, &wanted, sizeof(got));
    write_file("vkey", LOG_VKEY "\n", strlen(LOG_VKEY) + 1, 0644);
    assert_int_equal(key_load(in_folder("vkey"), &got, &err), 0);
    write_file("vkey", LOG_VKEY "\n\n", strlen(LOG_VKEY) + 2, 0644);
    assert_int_equal(key_load(in_folder("vkey"), &got, &err), -RF_EINVAL);
    assert_non_null(strstr(err.line, in_folder("vkey")));
    write_file("vkey", "", 0, 0644);
    assert_int_equal(key_load(in_folder("vkey"), &got, &err), -RF_EINVAL);
}

static void a_secret_beside_the_wrong_public_key_signs_nothing(void **state)
{
    struct secret_key key = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct err err;
    uint8_t signature[KEY_SIGNATURE_LEN];
    (void)state;
    assert_int_equal(key_sign(&key, "x", 1, signature), 0);
    assert_true(key_verify(&key.key, "x", 1, signature));
    assert_false(key_verify(&key.key, "y", 1, signature));
    assert_false(key_verify(&key.key, "x", 0, signature));
    key.key.public[3] ^= 1;
    assert_false(key_verify(&key.key, "x", 1, signature));
    assert_int_equal(key_sign(&key, "x", 1, signature), -RF_EINVAL);
    assert_int_equal(secret_key_make("a b", KEY_ED25519, key.seed, &key, &err), -RF_EINVAL);
    assert_int_equal(secret_key_make("a", 0x06, key.seed, &key, &err), -RF_EINVAL);
}

/* --- notes --- */

static void a_note_is_signed_as_in_the_vectors(void **state)
{
    struct secret_key log = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct secret_key witness = secret_of(WITNESS_NAME, KEY_COSIGNATURE, 0x20);
    struct note note;
    struct err err;
    struct buf b;
    uint64_t time = 0;
    (void)state;
    buf_init(&b, NOTE_MAX);
    assert_int_equal(note_sign(&b, A8_TEXT, strlen(A8_TEXT), &log, &err), 0);
    assert_text(&b, A8);
    assert_int_equal(note_cosign(&b, A8_TEXT, strlen(A8_TEXT), WITNESS_TIME, &witness, &err), 0);
    assert_text(&b, A8_COSIGNED);
    assert_int_equal(note_read(A8_COSIGNED, strlen(A8_COSIGNED), &note, &err), 0);
    assert_int_equal(note.signature_count, 2);
    assert_int_equal(note.text_len, strlen(A8_TEXT));
    assert_int_equal(note.signatures[1].line_at, strlen(A8));
    assert_int_equal(note.signatures[1].line_len, strlen(A8_COSIGNATURE));
    assert_int_equal(note_verify(&note, &log.key, &time, &err), 1);
    assert_int_equal(time, 0);
    assert_int_equal(note_verify(&note, &witness.key, &time, &err), 1);
    assert_int_equal(time, WITNESS_TIME);
    assert_int_equal(note_verify(&note, &witness.key, NULL, &err), 1);
    buf_done(&b);
}

static void the_example_of_the_specification_verifies(void **state)
{
    static const char example[] =
        "This is an example message.\n\n" DASH
        "example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmR"
        "KuwHjG1Yu72IneyaQM=\n";
    struct key key =
        key_of("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    struct note note;
    struct err err;
    (void)state;
    assert_int_equal(note_read(example, sizeof(example) - 1, &note, &err), 0);
    assert_int_equal(note_verify(&note, &key, NULL, &err), 1);
}

static void what_is_no_note_is_refused(void **state)
{
    static const char line[] = A8_SIGNATURE, nul[] = "text\n\n" DASH "n\0n AAAAAAA=\n";
    static const struct {
        const char *before, *after; /* text, and what stands in place of the signature line */
    } bad[] = {
        { "", "" },
        { "text\n", "" },
        { "text\n\n", "" },
        { "text\n", line },       /* no blank line */
        { "text", line },         /* text without its line end */
        { "te\rxt\n\n", line },   /* controls */
        { "te\txt\n\n", line },   /* */
        { "text\r\n\r\n", line }, /* */
        { "te\xffxt\n\n", line }, /* UTF-8 */
        { "te\xc1\xbfxt\n\n", line },
        { "te\xe0\x80\xafxt\n\n", line },
        { "te\xf0\x8f\xbf\xbfxt\n\n", line },
        { "te\xc0\x80xt\n\n", line },                            /* not the shortest form */
        { "te\xed\xa0\x80xt\n\n", line },                        /* a surrogate */
        { "te\xf4\x90\x80\x80xt\n\n", line },                    /* too high */
        { "te\xe2\x80\n\n", line },                              /* cut short */
        { "text\n\n", "- name AAAAAAA=\n" },                     /* a hyphen for the dash */
        { "text\n\n", "\xe2\x80\x93 name AAAAAAA=\n" },          /* a shorter dash */
        { "text\n\n", "\xe2\x80\x94name AAAAAAA=\n" },           /* no blank behind it */
        { "text\n\n", DASH "name\n" },                           /* no signature */
        { "text\n\n", DASH "name \n" },                          /* an empty one */
        { "text\n\n", DASH " AAAAAAA=\n" },                      /* no name */
        { "text\n\n", DASH "na+me AAAAAAA=\n" },                 /* */
        { "text\n\n", DASH "na\xc2\xa0me AAAAAAA=\n" },          /* Unicode spaces */
        { "text\n\n", DASH "na\xe3\x80\x80me AAAAAAA=\n" },      /* */
        { "text\n\n", DASH "name  AAAAAAA=\n" },                 /* two blanks */
        { "text\n\n", DASH "name AAAAAAA= \n" },                 /* a blank behind */
        { "text\n\n", DASH "name AAAAAA==\n" },                  /* four bytes: an id alone */
        { "text\n\n", DASH "name AAAAAAB=\n" },                  /* spare bits */
        { "text\n\n", DASH "name AAAAAAA\n" },                   /* no padding */
        { "text\n\n", DASH "name AAAAAAA=" },                    /* no line end */
        { "text\n\n", DASH "name AAAAAAA=\nrest\n" },            /* something else behind */
        { "text\n\n", DASH "n AAAAAAA=\n" DASH "n AAAAAAE=\n" }, /* one key twice */
    };
    struct note note;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        char text[600];
        int n = snprintf(text, sizeof(text), "%s%s", bad[i].before, bad[i].after);
        if (note_read(text, (size_t)n, &note, &err) != -RF_EPROTO)
            fail_msg("case %zu is taken as a note: %s", i, text);
    }
    assert_int_equal(note_read(nul, sizeof(nul) - 1, &note, &err), -RF_EPROTO);
    assert_int_equal(note_read(NULL, 0, &note, &err), -RF_EPROTO);
}

static void text_may_have_blank_lines_and_names_other_letters(void **state)
{
    static const char text[] =
        "one\n\n\ntwo\x7f\n\n" DASH "caf\xc3\xa9/\xf0\x9f\x8e\xac AAAAAAA=\n";
    struct note note;
    struct err err;
    (void)state;
    assert_int_equal(note_read(text, sizeof(text) - 1, &note, &err), 0);
    assert_int_equal(note.text_len, 11);
    assert_int_equal(note.signature_count, 1);
    assert_int_equal(note.signatures[0].name_len, 10);
    assert_int_equal(note.signatures[0].id, 0);
    assert_int_equal(note.signatures[0].blob_len, 1);
}

static void notes_have_bounds(void **state)
{
    static const char tail[] = "\n\n" DASH "n AAAAAAA=\n";
    struct note *note = mem_zalloc(1, sizeof(*note));
    struct buf b;
    struct err err;
    char line[64];
    (void)state;
    assert_non_null(note);
    buf_init(&b, 2 * NOTE_MAX);
    assert_int_equal(buf_append(&b, "t\n\n", 3), 0);
    for (unsigned i = 0; i <= NOTE_SIGNATURES_MAX; i++) {
        int n = snprintf(line, sizeof(line), DASH "n%u AAAAAAA=\n", i);
        assert_int_equal(buf_append(&b, line, (size_t)n), 0);
        int rc = note_read((char *)buf_at(&b), buf_len(&b), note, &err);
        assert_int_equal(rc, i < NOTE_SIGNATURES_MAX ? 0 : -RF_EPROTO);
    }
    /* signatures of algorithms that are not ours, up to a length */
    for (size_t n = 8188; n <= 8196; n += 4) {
        buf_clear(&b);
        assert_int_equal(buf_append(&b, "t\n\n" DASH "n ", 9), 0);
        for (size_t i = 0; i < (n + 2) / 3; i++)
            assert_int_equal(buf_append(&b, "AAAA", 4), 0);
        assert_int_equal(buf_append(&b, "\n", 1), 0);
        int rc = note_read((char *)buf_at(&b), buf_len(&b), note, &err);
        assert_int_equal(rc, (n + 2) / 3 * 3 <= NOTE_BLOB_MAX ? 0 : -RF_EPROTO);
    }
    buf_clear(&b);
    for (size_t i = 0; i < NOTE_MAX - (sizeof(tail) - 1) + 1; i++) /* one byte too many */
        assert_int_equal(buf_append(&b, "t", 1), 0);
    assert_int_equal(buf_append(&b, tail, sizeof(tail) - 1), 0);
    assert_int_equal(note_read((char *)buf_at(&b), buf_len(&b), note, &err), -RF_EPROTO);
    buf_consume(&b, 1);
    assert_int_equal(note_read((char *)buf_at(&b), buf_len(&b), note, &err), 0);
    buf_done(&b);
    mem_free(note);
}

static void a_note_cut_anywhere_is_refused(void **state)
{
    struct note note;
    (void)state;
    for (size_t cut = 0; cut < strlen(A8_COSIGNED); cut++) {
        char *text = spoilt(A8_COSIGNED, cut, SIZE_MAX);
        int rc = note_read(text, cut, &note, NULL);
        assert_int_equal(rc, cut == strlen(A8) ? 0 : -RF_EPROTO);
        mem_free(text);
    }
}

/* Of two signatures over one text, a flipped bit leaves at most the one whose line it is not in. */
static void no_flipped_bit_goes_unnoticed(void **state)
{
    struct key log = key_of(LOG_VKEY), witness = key_of(WITNESS_VKEY);
    size_t len = strlen(A8_COSIGNED), text_bits = 8 * strlen(A8_TEXT), read = 0, wrong = 0;
    struct note note;
    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *text = spoilt(A8_COSIGNED, len, bit);
        if (note_read(text, len, &note, NULL) == 0) {
            int by_log = note_verify(&note, &log, NULL, NULL);
            int by_witness = note_verify(&note, &witness, NULL, NULL);
            assert_true(by_log != 1 || by_witness != 1);
            assert_true(bit >= text_bits || (by_log != 1 && by_witness != 1));
            read++;
            wrong += by_log == -RF_ETAMPER || by_witness == -RF_ETAMPER;
        }
        mem_free(text);
    }
    assert_true(read > 500 && wrong > 500);
}

static void a_signature_by_somebody_else_is_none(void **state)
{
    struct secret_key log = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct key witness = key_of(WITNESS_VKEY), other;
    struct note note;
    struct err err;
    (void)state;
    assert_int_equal(note_read(A8, strlen(A8), &note, &err), 0);
    assert_int_equal(note_verify(&note, &witness, NULL, &err), 0);
    other = log.key; /* the same name, another id */
    other.id++;
    assert_int_equal(note_verify(&note, &other, NULL, &err), 0);
    other = log.key; /* the same id, another name: also one that only begins alike */
    other.name[strlen(other.name) - 1] = '\0';
    assert_int_equal(note_verify(&note, &other, NULL, &err), 0);
    other = log.key;
    strcat(other.name, "x");
    assert_int_equal(note_verify(&note, &other, NULL, &err), 0);
    other = log.key; /* name and id collide, the key is another: not merely unknown */
    other.public[0] ^= 1;
    assert_int_equal(note_verify(&note, &other, NULL, &err), -RF_ETAMPER);
    other = log.key; /* a signature of another kind under this name and id */
    other.type = KEY_COSIGNATURE;
    assert_int_equal(note_verify(&note, &other, NULL, &err), -RF_ETAMPER);
}

static void only_text_is_signed_and_only_by_keys_for_it(void **state)
{
    static const char *const bad[] = { "", "text", "te\rxt\n", "te\xffxt\n", "te\txt\n" };
    struct secret_key log = secret_of(LOG_NAME, KEY_ED25519, 0);
    struct secret_key witness = secret_of(WITNESS_NAME, KEY_COSIGNATURE, 0x20);
    struct buf b;
    struct err err;
    (void)state;
    buf_init(&b, NOTE_MAX);
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        size_t len = strlen(bad[i]);
        assert_int_equal(note_sign(&b, bad[i], len, &log, &err), -RF_EINVAL);
        assert_int_equal(note_cosign(&b, bad[i], len, 1, &witness, &err), -RF_EINVAL);
    }
    assert_int_equal(note_sign(&b, "t\n", 2, &witness, &err), -RF_EINVAL);
    assert_int_equal(note_cosign(&b, "t\n", 2, 1, &log, &err), -RF_EINVAL);
    assert_int_equal(note_cosign(&b, "t\n", 2, 0, &witness, &err), -RF_EINVAL);
    assert_int_equal(note_cosign(&b, "t\n", 2, UINT64_MAX, &witness, &err), -RF_EINVAL);
    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(note_cosign(&b, "t\n", 2, INT64_MAX, &witness, &err), 0);
    buf_done(&b);
    buf_init(&b, 100); /* too small: nothing is appended */
    assert_int_equal(note_sign(&b, A8_TEXT, strlen(A8_TEXT), &log, &err), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

static void a_cosignature_without_a_time_does_not_hold(void **state)
{
    struct secret_key witness = secret_of(WITNESS_NAME, KEY_COSIGNATURE, 0x20);
    static const char message[] = "cosignature/v1\ntime 0\n" A8_TEXT;
    struct note note;
    struct err err;
    (void)state;
    assert_int_equal(note_read(A8_COSIGNED, strlen(A8_COSIGNED), &note, &err), 0);
    struct note_signature *s = &note.signatures[1];
    memset(s->blob, 0, 8);
    assert_int_equal(key_sign(&witness, message, sizeof(message) - 1, s->blob + 8), 0);
    assert_int_equal(note_verify(&note, &witness.key, NULL, &err), -RF_ETAMPER);
}

static void one_line_reads_as_in_a_note(void **state)
{
    size_t len = strlen(A8_COSIGNATURE);
    struct note_signature got;
    struct err err;
    (void)state;
    assert_int_equal(note_line_read(A8_COSIGNATURE, len, &got, &err), 0);
    assert_int_equal(got.id, 0x969980cf);
    assert_int_equal(got.line_len, len);
    assert_int_equal(got.blob_len, 72);
    for (size_t cut = 0; cut < len; cut++) {
        char *text = spoilt(A8_COSIGNATURE, cut, SIZE_MAX);
        assert_int_equal(note_line_read(text, cut, &got, &err), -RF_EPROTO);
        mem_free(text);
    }
    assert_int_equal(note_line_read(A8_SIGNATURE A8_COSIGNATURE, strlen(A8_SIGNATURE) + len, &got,
                                    &err),
                     -RF_EPROTO);
    assert_int_equal(note_line_read(A8_SIGNATURE "\n", strlen(A8_SIGNATURE) + 1, &got, &err),
                     -RF_EPROTO);
}

/* --- checkpoints --- */

static void a_checkpoint_reads_as_it_was_written(void **state)
{
    char text[CHECKPOINT_TEXT_SIZE];
    struct checkpoint c;
    struct err err;
    (void)state;
    assert_int_equal(checkpoint_read(A8_TEXT, strlen(A8_TEXT), &c, &err), 0);
    assert_string_equal(c.origin, LOG_NAME);
    assert_int_equal(c.size, 8);
    assert_int_equal(c.root[0], 0x5d);
    assert_int_equal(checkpoint_write(&c, text), strlen(A8_TEXT));
    assert_string_equal(text, A8_TEXT);
    memset(c.origin, 'o', KEY_NAME_MAX);
    c.origin[KEY_NAME_MAX] = '\0';
    c.size = INT64_MAX;
    assert_int_equal(checkpoint_write(&c, text), KEY_NAME_MAX + 1 + 19 + 1 + 44 + 1);
    assert_int_equal(checkpoint_read(text, strlen(text), &c, &err), 0);
    assert_true(c.size == INT64_MAX);
}

#define ROOT  "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
#define EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void what_is_no_checkpoint_is_refused(void **state)
{
    static const char *const good[] = {
        "o\n8\n" ROOT "\n",
        "o\n0\n" EMPTY "\n",
        "o\n9223372036854775807\n" ROOT "\n",
        "o\n8\n" ROOT "\nextension\nanother caf\xc3\xa9\n",
    };
    static const char *const bad[] = {
        "",
        "\n",
        "o\n",
        "o\n8\n",
        "o\n8\n" ROOT,
        "\n8\n" ROOT "\n",
        "o o\n8\n" ROOT "\n",
        "o+o\n8\n" ROOT "\n",
        "o\n\n" ROOT "\n",
        "o\n08\n" ROOT "\n",
        "o\n+8\n" ROOT "\n",
        "o\n-8\n" ROOT "\n",
        "o\n8 \n" ROOT "\n",
        "o\n 8\n" ROOT "\n",
        "o\n0x8\n" ROOT "\n",
        "o\n9223372036854775808\n" ROOT "\n",
        "o\n18446744073709551624\n" ROOT "\n",
        "o\n99999999999999999999999999\n" ROOT "\n",
        "o\n0\n" ROOT "\n",
        "o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyh=\n", /* spare bits */
        "o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg\n",
        "o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQygA\n",
        "o\n8\n" ROOT "=\n",
        "o\n8\n" ROOT " \n",
        "o\n8\n" ROOT "\n\n",
        "o\n8\n" ROOT "\n\nextension\n",
        "o\n8\n" ROOT "\nextension",
        "o\n8\n" ROOT "\next\rension\n",
        "o\n8\n" ROOT "\next\xffnsion\n",
    };
    struct checkpoint c;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(good); i++)
        assert_int_equal(checkpoint_read(good[i], strlen(good[i]), &c, &err), 0);
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (checkpoint_read(bad[i], strlen(bad[i]), &c, &err) != -RF_EPROTO)
            fail_msg("taken as a checkpoint: %s", bad[i]);
    assert_int_equal(checkpoint_read(NULL, 0, &c, &err), -RF_EPROTO);
}

static void a_spoilt_checkpoint_is_refused_or_is_another(void **state)
{
    size_t len = strlen(A8_TEXT);
    struct checkpoint c;
    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        char *text = spoilt(A8_TEXT, cut, SIZE_MAX);
        assert_int_equal(checkpoint_read(text, cut, &c, NULL), -RF_EPROTO);
        mem_free(text);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *text = spoilt(A8_TEXT, len, bit), again[CHECKPOINT_TEXT_SIZE];
        if (checkpoint_read(text, len, &c, NULL) == 0) {
            assert_int_equal(checkpoint_write(&c, again), len);
            assert_memory_equal(again, text, len);
        }
        mem_free(text);
    }
}

/* --- policies --- */

static char *policy_text(unsigned witnesses)
{
    static char text[TRUST_FILE_MAX];
    size_t at = 0;
    for (unsigned i = 0; i < witnesses; i++) {
        char name[16], vkey[KEY_VKEY_SIZE];
        (void)snprintf(name, sizeof(name), "w%u", i);
        struct secret_key key = secret_of(name, KEY_COSIGNATURE, (uint8_t)(i + 1));
        key_write(&key.key, vkey);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "witness %s %s\n", name, vkey);
    }
    text[at] = '\0';
    return text;
}

static struct trust *read_trust(const char *text)
{
    struct trust *t = mem_zalloc(1, sizeof(*t));
    struct err err = { 0 };
    assert_non_null(t);
    if (trust_read(text, strlen(text), t, &err) < 0)
        fail_msg("%s", err.line);
    return t;
}

static bool is_met(const struct trust *t, unsigned long long witnesses)
{
    bool have[TRUST_MAX];
    for (unsigned i = 0; i < TRUST_MAX; i++)
        have[i] = witnesses >> i & 1;
    return trust_is_met(t, have);
}

static void a_policy_says_who_is_enough(void **state)
{
    static char text[TRUST_FILE_MAX + 4096];
    (void)state;
    (void)snprintf(text, sizeof(text),
                   "# whom to believe\n"
                   "\n"
                   " \t # indented\n"
                   "log " LOG_VKEY "\n"
                   "log\t" LOG_VKEY_OTHER " https://logs.example/other \n"
                   "%s"
                   "group X-witnesses 2 w0 w1 w2\n"
                   "group Y-witnesses any w3 w4\n"
                   "group X-and-Y all X-witnesses Y-witnesses\n"
                   "quorum X-and-Y\n"
                   "witness late " WITNESS_VKEY " https://witness.example.com/\n",
                   policy_text(5));
    struct trust *t = read_trust(text);
    assert_int_equal(t->log_count, 2);
    assert_string_equal(t->logs[0].name, LOG_NAME);
    assert_string_equal(t->log_urls[0], "");
    assert_string_equal(t->log_urls[1], "https://logs.example/other");
    assert_int_equal(t->witness_count, 6);
    assert_string_equal(t->witnesses[5].name, "late");
    assert_string_equal(t->witnesses[5].key.name, WITNESS_NAME);
    assert_string_equal(t->witnesses[5].url, "https://witness.example.com/");
    assert_int_equal(t->group_count, 3);
    assert_int_equal(t->quorum, TRUST_MAX + 2);
    for (unsigned have = 0; have < 64; have++) {
        unsigned x = (have & 1) + (have >> 1 & 1) + (have >> 2 & 1);
        assert_true(is_met(t, have) == (x >= 2 && (have & 0x18) != 0));
    }
    mem_free(t);
    t = read_trust("quorum none\n");
    assert_int_equal(t->quorum, -1);
    assert_true(is_met(t, 0));
    mem_free(t);
    t = read_trust("witness w " WITNESS_VKEY "\nquorum w\n");
    assert_int_equal(t->quorum, 0);
    assert_false(is_met(t, 2));
    assert_true(is_met(t, 1));
    mem_free(t);
}

static void a_policy_with_a_mistake_names_its_line(void **state)
{
#define W "witness w " WITNESS_VKEY "\n"
    static const struct {
        unsigned line; /* 0: the file as a whole */
        const char *text;
    } bad[] = {
        { 0, "" },
        { 0, "# nothing\n" },
        { 0, W },
        { 1, "quorum none" },
        { 1, "quorum none none\n" },
        { 1, "quorum\n" },
        { 1, "Quorum none\n" },
        { 1, "quorum w\n" W },
        { 2, "quorum none\nquorum none\n" },
        { 1, "quorum none # comment\n" },
        { 1, "quorum none\r\n" },
        { 1, "# \x01\nquorum none\n" },
        { 1, "# \x7f\nquorum none\n" },
        { 1, "\vquorum none\n" },
        { 1, "log\nquorum none\n" },
        { 1, "log x\nquorum none\n" },
        { 1, "log " LOG_VKEY " url more\nquorum none\n" },
        { 1, "log " WITNESS_VKEY "\nquorum none\n" },
        { 2, "log " LOG_VKEY "\nlog " LOG_VKEY "\nquorum none\n" },
        { 2, "log " LOG_VKEY "\nlog " LOG_VKEY_RENAMED "\nquorum none\n" },
        { 1, "witness w\nquorum none\n" },
        { 1, "witness w " LOG_VKEY "\nquorum none\n" },
        { 1, "witness none " WITNESS_VKEY "\nquorum none\n" },
        { 1, "witness w " WITNESS_VKEY " url more\nquorum none\n" },
        { 2, W W "quorum none\n" },
        { 2, W "witness v " WITNESS_VKEY "\nquorum none\n" },
        { 2, W "group w any w\nquorum none\n" },
        { 2, W "group none any w\nquorum none\n" },
        { 2, W "group g any\nquorum none\n" },
        { 2, W "group g 0 w\nquorum none\n" },
        { 2, W "group g 2 w\nquorum none\n" },
        { 2, W "group g 01 w\nquorum none\n" },
        { 2, W "group g 4294967297 w\nquorum none\n" },
        { 2, W "group g most w\nquorum none\n" },
        { 2, W "group g any g\nquorum none\n" },
        { 2, W "group g any none\nquorum none\n" },
        { 2, W "group g any h\ngroup h any w\nquorum none\n" },
        { 2, W "group g any w w\nquorum none\n" },
        { 3, W "group g any w\ngroup h any w\nquorum none\n" },
        { 4, W "group g any w\ngroup h any g\ngroup i any g\nquorum none\n" },
    };
    struct trust *t = mem_zalloc(1, sizeof(*t));
    (void)state;
    assert_non_null(t);
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct err err = { 0 };
        char where[32];
        if (trust_read(bad[i].text, strlen(bad[i].text), t, &err) != -RF_ECONFIG)
            fail_msg("taken as a policy: %s", bad[i].text);
        (void)snprintf(where, sizeof(where), bad[i].line == 0 ? "policy" : "line %u:", bad[i].line);
        if (strncmp(err.line, where, strlen(where)) != 0)
            fail_msg("\"%s\" for: %s", err.line, bad[i].text);
    }
    assert_int_equal(trust_read("quorum no\0ne\n", 13, t, NULL), -RF_ECONFIG);
    assert_int_equal(trust_read(NULL, 0, t, NULL), -RF_ECONFIG);
    mem_free(t);
#undef W
}

static void a_policy_has_bounds(void **state)
{
    struct trust *t = mem_zalloc(1, sizeof(*t));
    struct err err;
    (void)state;
    assert_non_null(t);
    for (unsigned extra = 0; extra < 2; extra++) {
        char *text = policy_text(TRUST_MAX + extra);
        strcat(text, "group everybody all");
        for (unsigned i = 0; i < TRUST_MAX; i++)
            (void)sprintf(text + strlen(text), " w%u", i);
        strcat(text, "\nquorum everybody\n");
        assert_int_equal(trust_read(text, strlen(text), t, &err), extra == 0 ? 0 : -RF_ECONFIG);
        assert_true(extra == 1 || (is_met(t, UINT64_MAX) && !is_met(t, UINT64_MAX >> 1)));
    }
    for (unsigned extra = 0; extra < 2; extra++) {
        char *text = policy_text(1);
        for (unsigned i = 0; i < TRUST_MAX + extra; i++)
            (void)sprintf(text + strlen(text), "group g%u any %c%u\n", i, i == 0 ? 'w' : 'g',
                          i == 0 ? 0 : i - 1);
        (void)sprintf(text + strlen(text), "quorum g%u\n", TRUST_MAX - 1);
        assert_int_equal(trust_read(text, strlen(text), t, &err), extra == 0 ? 0 : -RF_ECONFIG);
        assert_true(extra == 1 || (is_met(t, 1) && !is_met(t, 2)));
    }
    /* names, URLs, words of a line, bytes of a file */
    for (unsigned extra = 0; extra < 2; extra++) {
        char text[2048], name[300], url[TRUST_URL_MAX + 1];
        memset(name, 'n', sizeof(name));
        memset(url, 'u', sizeof(url));
        int n = snprintf(text, sizeof(text), "witness %.*s " WITNESS_VKEY "\nquorum none\n",
                         TRUST_NAME_MAX + (int)extra, name);
        assert_int_equal(trust_read(text, (size_t)n, t, &err), extra == 0 ? 0 : -RF_ECONFIG);
        n = snprintf(text, sizeof(text), "log " LOG_VKEY " %.*s\nquorum none\n",
                     TRUST_URL_MAX - 1 + (int)extra, url);
        assert_int_equal(trust_read(text, (size_t)n, t, &err), extra == 0 ? 0 : -RF_ECONFIG);
        n = snprintf(text, sizeof(text), "witness w " WITNESS_VKEY " %.*s\nquorum none\n",
                     TRUST_URL_MAX - 1 + (int)extra, url);
        assert_int_equal(trust_read(text, (size_t)n, t, &err), extra == 0 ? 0 : -RF_ECONFIG);
    }
    char *many = policy_text(1);
    strcat(many, "group g any");
    for (unsigned i = 0; i < 200; i++)
        strcat(many, " w");
    strcat(many, "\nquorum none\n");
    assert_int_equal(trust_read(many, strlen(many), t, &err), -RF_ECONFIG);
    many[0] = '#';
    for (char *at = strchr(many, '\n');
         at != NULL && strchr(at + 1, '\n') + 1 < many + strlen(many); at = strchr(at, '\n'))
        *at = ' '; /* a comment may have any number of words */
    assert_int_equal(trust_read(many, strlen(many), t, &err), 0);
    char *large = mem_zalloc(1, TRUST_FILE_MAX + 1);
    assert_non_null(large);
    memset(large, '\n', TRUST_FILE_MAX + 1);
    memcpy(large, "quorum none", 11);
    assert_int_equal(trust_read(large, TRUST_FILE_MAX, t, &err), 0);
    assert_int_equal(trust_read(large, TRUST_FILE_MAX + 1, t, &err), -RF_ECONFIG);
    mem_free(large);
    mem_free(t);
}

static void a_policy_file_is_named_in_its_mistakes(void **state)
{
    struct trust *t = mem_zalloc(1, sizeof(*t));
    struct err err;
    (void)state;
    assert_non_null(t);
    write_file("other", "quorum none\n", 12, 0644);
    assert_int_equal(trust_load(in_folder("other"), t, &err), 0);
    write_file("other", "quorum some\n", 12, 0644);
    assert_int_equal(trust_load(in_folder("other"), t, &err), -RF_ECONFIG);
    assert_non_null(strstr(err.line, in_folder("other")));
    assert_non_null(strstr(err.line, "line 1"));
    assert_int_equal(trust_load(in_folder("none"), t, &err), -RF_ESYS);
    mem_free(t);
}

/* --- proof files and requests --- */

#define PROOF_LINES                                  \
    "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n" \
    "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=\n" \
    "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=\n"
#define MARK "c2sp.org/tlog-proof@v1\n"

static void assert_proof_reads(const char *text, uint64_t index, unsigned count, const char *extra)
{
    struct prooffile p;
    struct err err = { 0 };
    struct buf b;
    if (prooffile_read(text, strlen(text), &p, &err) < 0)
        fail_msg("%s", err.line);
    assert_true(p.index == index);
    assert_int_equal(p.proof.count, count);
    assert_int_equal(p.extra_len, strlen(extra));
    assert_memory_equal(p.extra_len > 0 ? p.extra : "", extra, p.extra_len);
    assert_int_equal(p.checkpoint_len, strlen(A8_COSIGNED));
    buf_init(&b, PROOFFILE_MAX);
    assert_int_equal(prooffile_write(&b, &p), 0);
    assert_text(&b, text);
    buf_done(&b);
}

static void a_proof_file_reads_as_it_was_written(void **state)
{
    struct prooffile p;
    struct key log = key_of(LOG_VKEY);
    struct checkpoint c;
    struct note note;
    struct err err;
    static const uint8_t entry[] = "@ABC";
    static const char text[] = MARK "index 5\n" PROOF_LINES "\n" A8_COSIGNED;
    uint8_t leaf[TLOG_HASH_LEN];
    (void)state;
    assert_proof_reads(text, 5, 3, "");
    assert_proof_reads(MARK "extra b3BlbmluZw==\nindex 5\n" PROOF_LINES "\n" A8_COSIGNED, 5, 3,
                       "b3BlbmluZw==");
    assert_proof_reads(MARK "index 0\n\n" A8_COSIGNED, 0, 0, "");
    assert_proof_reads(MARK "index 9223372036854775807\n\n" A8_COSIGNED, INT64_MAX, 0, "");
    /* and proves what it says: entry 5 of set A is 40414243 */
    assert_int_equal(prooffile_read(text, sizeof(text) - 1, &p, &err), 0);
    assert_int_equal(note_read(p.checkpoint, p.checkpoint_len, &note, &err), 0);
    assert_int_equal(note_verify(&note, &log, NULL, &err), 1);
    assert_int_equal(checkpoint_read(note.text, note.text_len, &c, &err), 0);
    tlog_leaf_hash(entry, 4, leaf);
    assert_true(proof_inclusion_holds(&p.proof, p.index, c.size, leaf, c.root));
}

static void what_is_no_proof_file_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        MARK,
        MARK "index 5\n",
        MARK "index 5\n\n",
        MARK "index 5\n" PROOF_LINES,
        MARK "index 5\n" PROOF_LINES "\n",
        "index 5\n" PROOF_LINES "\n" A8,
        "c2sp.org/tlog-proof@v2\nindex 5\n" PROOF_LINES "\n" A8,
        MARK "index 05\n" PROOF_LINES "\n" A8,
        MARK "index -5\n" PROOF_LINES "\n" A8,
        MARK "index \n" PROOF_LINES "\n" A8,
        MARK "index 9223372036854775808\n" PROOF_LINES "\n" A8,
        MARK "Index 5\n" PROOF_LINES "\n" A8,
        MARK "index 5\n" PROOF_LINES "x\n\n" A8,
        MARK "index 5\r\n" PROOF_LINES "\n" A8,
        MARK "index 5\nvBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnmt=\n\n" A8,
        MARK "index 5\nextra b3BlbmluZw==\n" PROOF_LINES "\n" A8,
        MARK "extra \nindex 5\n" PROOF_LINES "\n" A8,
        MARK "extra b3BlbmluZw=\nindex 5\n" PROOF_LINES "\n" A8,
        MARK "extra b3BlbmluZw==\n",
        MARK "extra b3BlbmluZw==\n" PROOF_LINES "\n" A8,
        MARK "extra b3BlbmluZw==\nextra b3BlbmluZw==\nindex 5\n" PROOF_LINES "\n" A8,
    };
    struct prooffile p;
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (prooffile_read(bad[i], strlen(bad[i]), &p, &err) != -RF_EPROTO)
            fail_msg("taken as a proof: %s", bad[i]);
    assert_int_equal(prooffile_read(NULL, 0, &p, &err), -RF_EPROTO);
}

static void a_spoilt_proof_file_is_refused_or_is_another(void **state)
{
    static const char good[] = MARK "extra b3BlbmluZw==\nindex 5\n" PROOF_LINES "\n" A8;
    size_t len = sizeof(good) - 1, head = len - strlen(A8);
    struct prooffile p;
    struct buf b;
    (void)state;
    buf_init(&b, PROOFFILE_MAX);
    for (size_t cut = 0; cut < len; cut++) {
        char *text = spoilt(good, cut, SIZE_MAX);
        assert_int_equal(prooffile_read(text, cut, &p, NULL), cut <= head ? -RF_EPROTO : 0);
        mem_free(text);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *text = spoilt(good, len, bit);
        if (prooffile_read(text, len, &p, NULL) == 0) {
            assert_int_equal(prooffile_write(&b, &p), 0);
            assert_int_equal(buf_len(&b), len);
            assert_memory_equal(buf_at(&b), text, len);
            buf_clear(&b);
        }
        mem_free(text);
    }
    buf_done(&b);
}

static void a_proof_has_bounds_in_text(void **state)
{
    struct witness_request r = { .old_size = 3, .checkpoint = A8, .checkpoint_len = strlen(A8) };
    struct prooffile p = { .checkpoint = A8, .checkpoint_len = strlen(A8) };
    static const char hash[] = "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n";
    struct witness_request got;
    struct buf b;
    struct err err;
    (void)state;
    buf_init(&b, 2 * PROOFFILE_MAX);
    r.proof.count = PROOF_MAX;
    assert_int_equal(witness_request_write(&b, &r), 0);
    assert_int_equal(witness_request_read((char *)buf_at(&b), buf_len(&b), &got, &err), 0);
    assert_int_equal(got.proof.count, PROOF_MAX);
    buf_clear(&b);
    assert_int_equal(buf_append(&b, "old 3\n", 6), 0);
    for (unsigned i = 0; i <= PROOF_MAX; i++)
        assert_int_equal(buf_append(&b, hash, sizeof(hash) - 1), 0);
    assert_int_equal(buf_append(&b, "\n" A8, 1 + strlen(A8)), 0);
    assert_int_equal(witness_request_read((char *)buf_at(&b), buf_len(&b), &got, &err), -RF_EPROTO);
    buf_clear(&b);
    /* what the writers refuse, they refuse whole */
    r.proof.count = PROOF_MAX + 1;
    assert_int_equal(witness_request_write(&b, &r), -RF_EINVAL);
    r.proof.count = 0;
    r.old_size = UINT64_MAX;
    assert_int_equal(witness_request_write(&b, &r), -RF_EINVAL);
    r.old_size = 3;
    r.checkpoint_len = 0;
    assert_int_equal(witness_request_write(&b, &r), -RF_EINVAL);
    p.index = UINT64_MAX;
    assert_int_equal(prooffile_write(&b, &p), -RF_EINVAL);
    p.index = 0;
    p.extra = "b3Bl bmluZw=";
    p.extra_len = 12;
    assert_int_equal(prooffile_write(&b, &p), -RF_EINVAL);
    char *large = mem_zalloc(1, PROOFFILE_MAX);
    assert_non_null(large);
    memset(large, 'A', PROOFFILE_MAX);
    r.checkpoint = large;
    r.checkpoint_len = WITNESS_REQUEST_MAX - 7;
    assert_int_equal(witness_request_write(&b, &r), 0);
    assert_int_equal(witness_request_read((char *)buf_at(&b), buf_len(&b), &got, &err), 0);
    assert_int_equal(buf_append(&b, "A", 1), 0);
    assert_int_equal(witness_request_read((char *)buf_at(&b), buf_len(&b), &got, &err), -RF_EPROTO);
    buf_clear(&b);
    r.checkpoint_len++;
    assert_int_equal(witness_request_write(&b, &r), -RF_ETOOBIG);
    r.checkpoint_len = SIZE_MAX;
    assert_int_equal(witness_request_write(&b, &r), -RF_ETOOBIG);
    p.extra = large;
    p.extra_len = PROOFFILE_EXTRA_MAX;
    assert_int_equal(prooffile_write(&b, &p), 0);
    buf_clear(&b);
    p.extra_len += 4;
    assert_int_equal(prooffile_write(&b, &p), -RF_EINVAL);
    p.extra_len = 0;
    p.checkpoint = large;
    p.checkpoint_len = PROOFFILE_MAX;
    assert_int_equal(prooffile_write(&b, &p), -RF_ETOOBIG);
    assert_int_equal(prooffile_read(large, PROOFFILE_MAX + 1, &p, &err), -RF_EPROTO);
    assert_int_equal(buf_len(&b), 0);
    mem_free(large);
    buf_done(&b);
}

static void a_request_reads_as_it_was_written(void **state)
{
    static const struct {
        uint64_t old_size;
        unsigned count;
        const char *text;
    } cases[] = {
        { 0, 0, "old 0\n\n" A8 },
        { 8, 0, "old 8\n\n" A8 },
        { 3, 3, "old 3\n" PROOF_LINES "\n" A8 },
        { 0, 3, "old 0\n" PROOF_LINES "\n" A8 }, /* nonsense, of the right form */
        { INT64_MAX, 0, "old 9223372036854775807\n\n" A8 },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct witness_request r;
        struct err err;
        struct buf b;
        assert_int_equal(witness_request_read(cases[i].text, strlen(cases[i].text), &r, &err), 0);
        assert_true(r.old_size == cases[i].old_size);
        assert_int_equal(r.proof.count, cases[i].count);
        assert_int_equal(r.checkpoint_len, strlen(A8));
        assert_memory_equal(r.checkpoint, A8, strlen(A8));
        buf_init(&b, WITNESS_REQUEST_MAX);
        assert_int_equal(witness_request_write(&b, &r), 0);
        assert_text(&b, cases[i].text);
        buf_done(&b);
    }
}

static void a_spoilt_request_is_refused_or_is_another(void **state)
{
    static const char *const bad[] = { "",
                                       "\n",
                                       "old\n\n" A8,
                                       "old \n\n" A8,
                                       "old 08\n\n" A8,
                                       "old 8",
                                       "old 8\n",
                                       "old 8\n\n",
                                       "old 8 \n\n" A8,
                                       "old  8\n\n" A8,
                                       "OLD 8\n\n" A8,
                                       "old 9223372036854775808\n\n" A8,
                                       "old 8\nx\n\n" A8,
                                       "\nold 8\n\n" A8 };
    static const char good[] = "old 3\n" PROOF_LINES "\n" A8;
    size_t len = sizeof(good) - 1, head = len - strlen(A8);
    struct witness_request r;
    struct buf b;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (witness_request_read(bad[i], strlen(bad[i]), &r, NULL) != -RF_EPROTO)
            fail_msg("taken as a request: %s", bad[i]);
    assert_int_equal(witness_request_read(NULL, 0, &r, NULL), -RF_EPROTO);
    for (size_t cut = 0; cut < len; cut++) {
        char *text = spoilt(good, cut, SIZE_MAX);
        assert_int_equal(witness_request_read(text, cut, &r, NULL), cut <= head ? -RF_EPROTO : 0);
        mem_free(text);
    }
    buf_init(&b, WITNESS_REQUEST_MAX);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *text = spoilt(good, len, bit);
        if (witness_request_read(text, len, &r, NULL) == 0) {
            assert_int_equal(witness_request_write(&b, &r), 0);
            assert_int_equal(buf_len(&b), len);
            assert_memory_equal(buf_at(&b), text, len);
            buf_clear(&b);
        }
        mem_free(text);
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_ids_of_the_vectors),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(a_spoilt_key_is_refused),
        cmocka_unit_test(names_of_keys_are_printable_and_short),
        cmocka_unit_test_setup_teardown(a_secret_key_is_saved_for_its_owner_alone, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(a_secret_that_others_can_reach_is_not_loaded, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(what_is_no_secret_key_file_is_refused, make_folder,
                                        drop_folder),
#ifdef RF_FAULTS
        cmocka_unit_test_setup_teardown(a_key_that_may_be_gone_tomorrow_is_not_kept, make_folder,
                                        drop_folder),
#endif
        cmocka_unit_test_setup_teardown(a_public_key_may_end_with_one_line_end, make_folder,
                                        drop_folder),
        cmocka_unit_test(a_secret_beside_the_wrong_public_key_signs_nothing),
        cmocka_unit_test(a_note_is_signed_as_in_the_vectors),
        cmocka_unit_test(the_example_of_the_specification_verifies),
        cmocka_unit_test(what_is_no_note_is_refused),
        cmocka_unit_test(text_may_have_blank_lines_and_names_other_letters),
        cmocka_unit_test(notes_have_bounds),
        cmocka_unit_test(a_note_cut_anywhere_is_refused),
        cmocka_unit_test(no_flipped_bit_goes_unnoticed),
        cmocka_unit_test(a_signature_by_somebody_else_is_none),
        cmocka_unit_test(only_text_is_signed_and_only_by_keys_for_it),
        cmocka_unit_test(a_cosignature_without_a_time_does_not_hold),
        cmocka_unit_test(one_line_reads_as_in_a_note),
        cmocka_unit_test(a_checkpoint_reads_as_it_was_written),
        cmocka_unit_test(what_is_no_checkpoint_is_refused),
        cmocka_unit_test(a_spoilt_checkpoint_is_refused_or_is_another),
        cmocka_unit_test(a_policy_says_who_is_enough),
        cmocka_unit_test(a_policy_with_a_mistake_names_its_line),
        cmocka_unit_test(a_policy_has_bounds),
        cmocka_unit_test_setup_teardown(a_policy_file_is_named_in_its_mistakes, make_folder,
                                        drop_folder),
        cmocka_unit_test(a_proof_file_reads_as_it_was_written),
        cmocka_unit_test(what_is_no_proof_file_is_refused),
        cmocka_unit_test(a_spoilt_proof_file_is_refused_or_is_another),
        cmocka_unit_test(a_proof_has_bounds_in_text),
        cmocka_unit_test(a_request_reads_as_it_was_written),
        cmocka_unit_test(a_spoilt_request_is_refused_or_is_another),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
