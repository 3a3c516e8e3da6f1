/* registrar.h - the process that takes signed commands and moves grants through their states.
 *
 * It hears from the hub (priv/relay.h), verifies, puts on record (ledger/voice.h), and moves the
 * region's database as rf_registrar, one command after another and waiting for each step: a crash
 * at any place leaves a step that is not on record, and counts for nothing, or one that is, and
 * goes on by itself. It decides nothing that control does not verify again before a grant is used.
 */
#ifndef RF_REGISTRAR_REGISTRAR_H
#define RF_REGISTRAR_REGISTRAR_H

/* The role's main: serves until the supervisor says stop or is gone. Returns an exit status. */
int registrar_main(int imsg_fd);

#endif
