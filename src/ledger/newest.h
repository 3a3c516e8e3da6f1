/* newest.h - news between two processes of which only the newest counts: packets of one length over
 * a SOCK_SEQPACKET pair that neither waits for.
 *
 * Each call is bounded: whoever is at the other end, and says more than anybody can hear, must not
 * keep a process from its own work. What is left is heard the next time. */
#ifndef RF_LEDGER_NEWEST_H
#define RF_LEDGER_NEWEST_H

#include <stddef.h>

#include "base/err.h"

enum { NEWEST_LEN_MAX = 128, NEWEST_A_CALL = 64 };

/* 1: PACKET (room for LEN bytes, at most NEWEST_LEN_MAX) is the newest of at most NEWEST_A_CALL
   that waited; 0: none waits. -RF_EPROTO: one has another length; -RF_EUNAVAIL: the other side is
   gone, and its last word was heard before. PACKET holds nothing then. */
RF_CHECK int newest_hear(int fd, void *packet, size_t len);
/* 0; -RF_EUNAVAIL: the other side is gone; -RF_ETIMEOUT: it does not read now, tell it later. */
RF_CHECK int newest_tell(int fd, const void *packet, size_t len);

#endif
