/* powerloss.h - files as a disk may have them when the power goes: what was synced is there, and of
 * the rest anything.
 *
 * The strictest reading of the interfaces: a file's bytes are safe when the file was synced, its
 * name when its folder was, and nothing else says anything about either. */
#ifndef RF_TESTS_POWERLOSS_H
#define RF_TESTS_POWERLOSS_H

#include "disk.h"

struct powerloss;

enum powerloss_disk {
    POWERLOSS_KEPT,    /* everything that was written */
    POWERLOSS_DROPPED, /* nothing that was not synced */
    POWERLOSS_NAMES,   /* all names, no bytes */
    POWERLOSS_BYTES,   /* all bytes, no names */
    POWERLOSS_ORDERED, /* in each folder and file a part from the front; the last write cut */
    POWERLOSS_CHANCE,  /* any of them, in any order */
    POWERLOSS_COUNT
};

const char *powerloss_name(enum powerloss_disk disk);

struct powerloss *powerloss_new(void);
void powerloss_free(struct powerloss *p);
void powerloss_apply(struct powerloss *p, const struct disk_record *event);
/* Make what the disk has in the empty folder TO. */
void powerloss_make(const struct powerloss *p, enum powerloss_disk disk, uint64_t chance,
                    const char *to);

#endif
