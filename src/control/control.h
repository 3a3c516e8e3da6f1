/* control.h - the process that holds the databases' control login and grants the leases.
 *
 * Every second it asks the server that persons of a region use whether it is a hot standby and how
 * far behind; at its start, after each reload and every hour it runs the self-check and compares
 * the database with the running policy. As long as all is well it renews the region's lease
 * (priv/lease.h); without a lease workers admit no person. */
#ifndef RF_CONTROL_CONTROL_H
#define RF_CONTROL_CONTROL_H

/* The role's main: serves until the supervisor says stop or is gone. Returns an exit status. */
int control_main(int imsg_fd);

#endif
