/* runner.h - the process that runs the programs of hooks (docs/decisions/0025).
 *
 * It is started before the supervisor narrows itself, because what a narrowed process starts is
 * narrowed, too: it would be a program of the operator's that dies of its first unusual system
 * call. So it does little: it takes the list of programs once, from the supervisor, and from then
 * on runs those and nothing else, with what the herald says on standard input. It has no database,
 * no key, opens no connection, and is not started again while the supervisor runs. */
#ifndef RF_HERALD_RUNNER_H
#define RF_HERALD_RUNNER_H

enum { RUNNER_LIMIT_MS = 30 * 1000 };

/* The role's main: FD is its socket, over which first IMSG_CONFIG comes, then orders (order.h).
   Returns an exit status. */
int runner_main(int fd);

#endif
