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

#define DASH         "\xe2\x80\x94 "
#define LOG_NAME     "log.example.com/ringfence"
#define WITNESS_NAME "witness.example.com/w1"
#define LOG_VKEY     LOG_NAME "+ecf4cc39+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_ids_of_the_vectors),
        cmocka_unit_test(a_note_is_signed_as_in_the_vectors),
        cmocka_unit_test(the_example_of_the_specification_verifies),
        cmocka_unit_test(a_checkpoint_reads_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
