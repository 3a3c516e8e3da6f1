/* sqlite_faults.c - a file layer and an allocator before SQLite's own. */
#include "sqlite_faults.h"

#include <sqlite3.h>
#include <unistd.h>

#include "campaign.h"

/* SQLite gives room for both: ours first, the true one behind it. */
struct file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs *under, over;
static sqlite3_mem_methods memory;
static sqlite3_io_methods methods;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

bool sqlite_faults_kill;

static bool fails(void)
{
    bool is_hit = campaign_hit("sqlite.io");
    if (is_hit && sqlite_faults_kill)
        _exit(0); /* as when the process is killed there; what was written is in the files */
    return is_hit;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int file_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f)); /* what the caller could do nothing about */
}

static int file_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_IOERR_READ : real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int file_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    if (!fails())
        return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
    (void)real_of(f)->pMethods->xWrite(real_of(f), from, n / 2, at); /* half of it got there */
    return SQLITE_FULL;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    return fails() ? SQLITE_IOERR_FSYNC : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return fails() ? SQLITE_IOERR_FSTAT : real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int file_lock(sqlite3_file *f, int how)
{
    return fails() ? SQLITE_IOERR_LOCK : real_of(f)->pMethods->xLock(real_of(f), how);
}

static int file_unlock(sqlite3_file *f, int how)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int file_is_reserved(sqlite3_file *f, int *ret)
{
    return fails() ? SQLITE_IOERR_CHECKRESERVEDLOCK
                   : real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int file_control(sqlite3_file *f, int what, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
    return fails() ? SQLITE_IOERR_SHMMAP
                   : real_of(f)->pMethods->xShmMap(real_of(f), region, size, extend, ret);
}

static int file_map_lock(sqlite3_file *f, int offset, int n, int flags)
{
    bool is_unlock = (flags & SQLITE_SHM_UNLOCK) != 0;
    return !is_unlock && fails() ? SQLITE_IOERR_SHMLOCK
                                 : real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void file_map_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_unmap(sqlite3_file *f, int remove)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_map,
    .xShmLock = file_map_lock,
    .xShmBarrier = file_map_barrier,
    .xShmUnmap = file_unmap,
};

/* ---- names ---------------------------------------------------------------------------------- */

static int name_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret)
{
    struct file *file = (struct file *)f;
    (void)v;
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    if (fails())
        return SQLITE_CANTOPEN;
    int rc = under->xOpen(under, name, file->real, flags, ret);
    if (rc == SQLITE_OK)
        file->base.pMethods = &methods;
    return rc;
}

static int name_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    return fails() ? SQLITE_IOERR_DELETE : under->xDelete(under, name, sync);
}

static int name_access(sqlite3_vfs *v, const char *name, int flags, int *ret)
{
    (void)v;
    return fails() ? SQLITE_IOERR_ACCESS : under->xAccess(under, name, flags, ret);
}

static int name_whole(sqlite3_vfs *v, const char *name, int n, char *ret)
{
    (void)v;
    return fails() ? SQLITE_CANTOPEN : under->xFullPathname(under, name, n, ret);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void *give(int n)
{
    return campaign_hit("sqlite.alloc") ? NULL : memory.xMalloc(n);
}

static void *give_more(void *at, int n)
{
    return campaign_hit("sqlite.alloc") ? NULL : memory.xRealloc(at, n);
}

int sqlite_faults_begin(void)
{
    sqlite3_mem_methods ours;
    int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    ours = memory;
    ours.xMalloc = give;
    ours.xRealloc = give_more;
    if (rc == SQLITE_OK)
        rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
    if (rc == SQLITE_OK)
        rc = sqlite3_initialize();
    under = sqlite3_vfs_find(NULL);
    if (rc != SQLITE_OK || under == NULL)
        return rc != SQLITE_OK ? rc : SQLITE_ERROR;
    over = *under;
    over.pNext = NULL;
    over.zName = "faults";
    over.szOsFile = under->szOsFile + (int)sizeof(struct file);
    over.xOpen = name_open;
    over.xDelete = name_delete;
    over.xAccess = name_access;
    over.xFullPathname = name_whole;
    return sqlite3_vfs_register(&over, 1);
}
