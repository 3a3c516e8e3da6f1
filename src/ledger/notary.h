/* notary.h - the process that makes the public log out of the journal, and signs it. */
#ifndef RF_LEDGER_NOTARY_H
#define RF_LEDGER_NOTARY_H

/* Serve until told to stop; returns the exit status. */
int notary_main(int imsg_fd);

#endif
