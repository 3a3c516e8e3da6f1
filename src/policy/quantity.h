/* quantity.h - the texts of configuration values: numbers, times, sizes, places, addresses.
 *
 * Each function reads the whole of TEXT or answers false and leaves *RET alone. */
#ifndef RF_POLICY_QUANTITY_H
#define RF_POLICY_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

/* Decimal digits, no sign, no leading zero but "0". */
bool quantity_integer(const char *text, int64_t *ret);

/* "250ms", "5s", "10min", "1h", "7d", or "0". */
bool quantity_duration_ms(const char *text, int64_t *ret);

/* Bytes: "4096", "64kB", "8MB"; a kB is 1024, as in postgresql.conf. */
bool quantity_size(const char *text, int64_t *ret);

/* An ISO 3166-1 alpha-2 code in capitals, or XK, which is user-assigned but in general use. Others
   that look like one ("UK", "EU") are refused: a rule about them would rule nothing. */
bool quantity_place(const char *text, struct place *ret);

/* An IPv4 or IPv6 address with an optional /LENGTH; false also when bits are set behind LENGTH. */
bool quantity_range(const char *text, struct policy_range *ret);

/* "HOST:PORT", "[V6]:PORT" or "/FOLDER:PORT". HOST is borrowed from TEXT: *RET_HOST, *RET_LEN. */
bool quantity_host_port(const char *text, const char **ret_host, size_t *ret_len,
                        uint16_t *ret_port);

/* A name of ours: a letter, then letters, digits, '-' and '_'; at most 48 bytes, so that a database
   role NAME.ROOM fits into PostgreSQL's 63. */
bool quantity_is_name(const char *text);

/* A name in SQL that needs no look at encodings: letters, digits, '_' and '$', at most 63 bytes. */
bool quantity_is_sql_name(const char *text);

#endif
