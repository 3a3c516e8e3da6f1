/* inspect.h - libpg_query behind one door. Only the parser process calls this. */
#ifndef RF_GUARD_INSPECT_H
#define RF_GUARD_INSPECT_H

#include "guard/guard.h"

/* Look at SQL (LEN bytes, no NUL inside). *RET's strings live until guard_inspect_done(). Never
   fails: what cannot be parsed or is too complex is a status. May crash on hostile text. */
void guard_inspect(const char *sql, size_t len, struct guard_report *ret);
void guard_inspect_done(struct guard_report *report);

/* The parser process: serves the worker sockets it is handed over IMSG_FD until told to stop. */
int parser_main(int imsg_fd);

#endif
