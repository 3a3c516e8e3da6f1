/* hub.h - the process that serves the public files, read-only. */
#ifndef RF_HUB_HUB_H
#define RF_HUB_HUB_H

/* Serve until told to stop; returns the exit status. */
int hub_main(int imsg_fd);

#endif
