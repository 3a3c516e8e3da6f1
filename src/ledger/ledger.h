/* ledger.h - the ledger process: the only writer of the journal. */
#ifndef RF_LEDGER_LEDGER_H
#define RF_LEDGER_LEDGER_H

/* Serve the worker sockets that are handed over IMSG_FD until told to stop; returns the exit
   status. A journal that cannot be opened or written does not end the process: workers are told
   why, so that logins can be refused with the reason. */
int ledger_main(int imsg_fd);

#endif
