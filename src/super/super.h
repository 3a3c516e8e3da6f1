/* super.h - the supervisor: owns the listening sockets, starts the children, ends last. */
#ifndef RF_SUPER_SUPER_H
#define RF_SUPER_SUPER_H

#include "base/err.h"

/* Run the gateway of the configuration at CONFIG_PATH until SIGTERM or SIGINT. Returns the exit
   status: 0 ended as told, 2 mistakes in the files, 3 something could not be reached or started. */
RF_CHECK int super_main(const char *config_path);

/* Read and validate the files and print every mistake on standard error: 0, 2 or 3. */
RF_CHECK int super_test(const char *config_path);

#endif
