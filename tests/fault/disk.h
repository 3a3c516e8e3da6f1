/* disk.h - stands between the writers of journal and log and the system, by the linker's --wrap:
 * every call of theirs that looks up, changes or syncs files below one folder is counted, can be
 * made to fail, and can be written down to be replayed on a disk that forgets (powerloss.c).
 *
 * What is wrapped is every such function that the libraries of the writers call at all:
 * tests/integration/test_log_writer.py compares the list with their symbols. */
#ifndef RF_TESTS_DISK_H
#define RF_TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_fault {
    DISK_NONE,
    DISK_EIO,         /* call N fails */
    DISK_FULL,        /* call N, and every later one that needs room, fails with ENOSPC */
    DISK_SHORT,       /* a write writes its first half, and says so; other calls: nothing happens */
    DISK_KILL_BEFORE, /* the process ends in the place of the call, */
    DISK_KILL_HALF,   /* after half of what is written, */
    DISK_KILL_AFTER,  /* or when it was done */
    DISK_FAULT_COUNT
};

const char *disk_fault_name(enum disk_fault fault);

/* Count calls below FOLDER (borrowed) from now on, and do FAULT at call AT (0: never). */
void disk_arm(const char *folder, enum disk_fault fault, unsigned long at);
void disk_disarm(void);
unsigned long disk_calls(void);
const char *disk_hit(void); /* the function that was met last by a fault; "" none */

/* ---- the trace ---- */

enum disk_event {
    DISK_CREATE,   /* path, inode */
    DISK_MKDIR,    /* path, inode */
    DISK_WRITE,    /* inode, offset, bytes */
    DISK_TRUNCATE, /* inode, offset: its new length */
    DISK_SYNC,     /* inode */
    DISK_RENAME,   /* path, second path: in one folder */
    DISK_UNLINK,   /* path */
    DISK_MARK      /* inode: what the test made of it */
};

struct disk_record {
    enum disk_event event;
    int inode; /* 0 is the folder itself */
    uint64_t offset;
    const uint8_t *bytes; /* of the trace, which lives on */
    size_t len;
    char path[120], second[120]; /* below the folder */
};

/* LIES: a disk that says it has synced and has not. */
void disk_trace_begin(const char *folder, bool lies);
void disk_mark(int what);
size_t disk_trace_end(const struct disk_record **ret);

#endif
