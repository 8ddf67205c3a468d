/* Clocks: monotonic for durations, CPU for costs, UTC for records. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

/* Seconds of a clock that never jumps. */
double clock_monotonic_s(void);

/* CPU seconds of the calling thread. */
double clock_thread_cpu_s(void);

enum { CLOCK_UTC_SIZE = 21 }; /* 2026-01-31T23:59:59Z and a terminator */

/* Now, as UTC in ISO 8601. */
void clock_utc(char out[CLOCK_UTC_SIZE]);

#endif
