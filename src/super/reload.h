/* reload.h - a new configuration for everybody or for nobody.
 *
 *   state     when                                          then      and
 *   IDLE      wanted, nobody starts, the files are good     ASKED     all but the ledger are told
 *   IDLE      wanted, the files have mistakes               IDLE      every mistake is logged
 *   ASKED     all answered READY                            RECORDED  the ledger is told
 *   ASKED     somebody answered FAILED                      UNDONE    they are told the old one
 *   RECORDED  the ledger answered READY                     IDLE      the new one holds
 *   RECORDED  the ledger answered FAILED                    UNDONE    all are told the old one
 *   UNDONE    all answered                                  IDLE      the old one holds
 *
 * The ledger comes last, because it writes down which policy rules: nothing that is undone for want
 * of another child stands in the public log, and neither does that it was undone.
 *
 * A child that dies meanwhile, or is killed for its silence, starts afterwards with what holds
 * then. New listening sockets are opened before anybody is told, so that a bad address is a mistake
 * too; workers get them after their READY; sockets that are no longer listed close at the end. */
#ifndef RF_SUPER_RELOAD_H
#define RF_SUPER_RELOAD_H

#include "super/crew.h"

enum reload_phase { RELOAD_IDLE, RELOAD_ASKED, RELOAD_RECORDED, RELOAD_UNDONE, RELOAD_PHASE_COUNT };
enum reload_event { RELOAD_WAITS, RELOAD_GOES_ON, RELOAD_DONE, RELOAD_REFUSED };

struct reload {
    enum reload_phase phase;
    bool wanted;
    bool is_retry; /* it is wanted by nobody but us, and why it was refused before has been said */
    struct bundle *next;
    struct listeners next_listeners;
};

/* One step; call again on RELOAD_GOES_ON. CREW, *HELD and *LISTENERS hold what is in force; both
   are replaced on RELOAD_DONE. Then it is the caller's to have the ruling kept, when the ledger has
   put it on record. */
enum reload_event reload_tick(struct reload *r, struct crew *crew, struct bundle **held,
                              struct listeners *listeners, int64_t now_ms);
void reload_done(struct reload *r);

/* What became of the policy file of B, where that is not what rules. */
void reload_log_standing(const struct bundle *b);

/* Each mistake as one line of the log. */
void reload_log_mistakes(const struct mistakes *m);

#endif
