/* parameters.h - the parameter values of a Bind message as text, for the sealed part of a record.
 */
#ifndef RF_GATE_PARAMETERS_H
#define RF_GATE_PARAMETERS_H

#include <stddef.h>
#include <stdint.h>

/* BYTES (N): a Bind's body after the two names (PostgreSQL manual 55.7, "Bind"). Text values stand
   in quotes, binary ones in hex, as in `$1='abc', $2=\x0102, $3=NULL`; what does not fit is counted
   at the end. Malformed bytes print as what could be read: the server will refuse them. */
void parameters_print(char *out, size_t out_len, const uint8_t *bytes, size_t n);

#endif
