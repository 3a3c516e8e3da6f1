/* courier.h - the process that talks to witnesses: it has the network and no key. */
#ifndef RF_COURIER_COURIER_H
#define RF_COURIER_COURIER_H

/* Serve until told to stop; returns the exit status. */
int courier_main(int imsg_fd);

#endif
