/* clock.h - the two clocks: one for intervals, one for records. */
#ifndef RF_BASE_CLOCK_H
#define RF_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void); /* never goes back; arbitrary start */
int64_t clock_mono_us(void);
int64_t clock_boot_ms(void); /* the same, and goes on while the machine sleeps */
int64_t clock_wall_ms(void); /* Unix time; may step */

/* "2026-11-22T10:05:07.123Z" for WALL_MS; OUT has room for 25 bytes. */
void clock_format(int64_t wall_ms, char out[25]);

#endif
