/* fuzz_vault.c - the private store's file as somebody else wrote it, beside a journal that is
 * whole.
 *
 * The first byte chooses. `s`: the rest is SQL that he ran in an honest store. `p`: patches of an
 * honest store's bytes (be24 place, u8 length, bytes). Otherwise the rest is the file.
 *
 * Who writes that file has no keys, and who reads it has them. A reader tells the truth or that
 * there is none, also when the journal has to decide; a writer makes it whole again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* vault_house.h asserts by cmocka, which is not here */
#define assert_non_null(value) RF_ASSERT((value) != NULL)
#define assert_int_equal(a, b) RF_ASSERT((a) == (b))
#define assert_true(value)     RF_ASSERT(value)
#include "../unit/vault_house.h"
#include "ledger/reopen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vault_house house;
static char *honest;
static size_t honest_len;

static void end(void)
{
    mem_free(honest);
    vault_house_done(&house);
}

static void begin(void)
{
    vault_house_init(&house);
    house_days(&house, 1);
    RF_ASSERT(atexit(end) == 0 && vault_go(&house) == 0);
    RF_ASSERT(fd_read_file(house.path, 1 << 20, &honest, &honest_len, &house.house.err) == 0);
}

static int on_leaf(void *context, uint64_t leaf, const struct frame_entry *entry,
                   const void *private_part, size_t n, struct err *err)
{
    unsigned *told = context;
    (void)err;
    RF_ASSERT(entry->index == house.entry_of[leaf]);
    RF_ASSERT(private_part != NULL && strlen(house.text[leaf]) == n);
    RF_ASSERT(memcmp(private_part, house.text[leaf], n) == 0);
    ++*told;
    return 0;
}

static void read_all(void)
{
    struct reopen_wanted wanted[HOUSE_LEAVES];
    struct frame_entry e;
    struct vault *v = NULL;
    struct err err;
    unsigned told = 0;
    if (vault_look(house.house.state, &v, &err) == 0) {
        for (uint64_t leaf = 0; leaf <= house.leaves; leaf++)
            if (vault_read(v, leaf, &e, &err) == 1)
                RF_ASSERT(e.leaf_len <= LEAF_MAX && e.sealed_len <= FRAME_LENGTH_MAX);
        vault_close(v);
    }
    for (uint64_t leaf = 0; leaf < house.leaves; leaf++)
        wanted[leaf] = (struct reopen_wanted){ leaf, house.leaf_bytes[leaf], house.leaf_len[leaf] };
    RF_ASSERT(reopen_leaves(house.house.state, wanted, house.leaves, on_leaf, &told, &err) == 0);
    RF_ASSERT(told == house.leaves);
}

static void put_file(const void *data, size_t size)
{
    vault_file(&house, "none", 0);
    int fd = open(house.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    RF_ASSERT(fd >= 0 && fd_write_all(fd, data, size) == 0);
    fd_close(&fd);
}

static void put_patched(const uint8_t *data, size_t size)
{
    char *bytes = mem_zalloc(honest_len, 1);
    RF_ASSERT(bytes != NULL);
    memcpy(bytes, honest, honest_len);
    while (size > 4) {
        size_t at = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % honest_len;
        size_t n = data[3];
        data += 4;
        size -= 4;
        n = n < size ? n : size;
        n = n < honest_len - at ? n : honest_len - at;
        memcpy(bytes + at, data, n);
        data += n;
        size -= n;
    }
    put_file(bytes, honest_len);
    mem_free(bytes);
}

/* Nothing outside this file, and nothing without an end. */
static int may_do(void *context, int action, const char *a, const char *b, const char *c,
                  const char *d)
{
    (void)context, (void)a, (void)b, (void)c, (void)d;
    return action == SQLITE_ATTACH || action == SQLITE_PRAGMA ? SQLITE_DENY : SQLITE_OK;
}

static int is_long_enough(void *context)
{
    return ++*(int *)context > 100;
}

static void put_after_sql(const uint8_t *data, size_t size)
{
    char *sql = mem_strndup((const char *)data, size);
    int steps = 0;
    RF_ASSERT(sql != NULL);
    put_file(honest, honest_len);
    sqlite3 *db = vault_database(&house);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
    (void)sqlite3_set_authorizer(db, may_do, NULL);
    sqlite3_progress_handler(db, 1000, is_long_enough, &steps);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
    (void)sqlite3_close(db);
    mem_free(sql);
}

static void put(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 's')
        put_after_sql(data + 1, size - 1);
    else if (size > 0 && data[0] == 'p')
        put_patched(data + 1, size - 1);
    else
        put_file(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault *v = NULL;
    struct err err;
    uint64_t rows;
    if (house.path[0] == '\0')
        begin();
    put(data, size);
    read_all();
    if (vault_look(house.house.state, &v, &err) == 0) {
        int rc = vault_erase(v, house.first_minute, house.first_minute + HOUSE_DAY, &rows, &err);
        RF_ASSERT(rc == 0 || err.line[0] != '\0');
        vault_close(v);
    }
    put(data, size);
    for (int i = 0; i < 3 && vault_go(&house) < 0; i++) /* what is damaged is begun anew */
        RF_ASSERT(i < 2);
    read_all();
    return 0;
}
