#include "base/clock.h"

#include <time.h>

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_monotonic_s(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double clock_thread_cpu_s(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void clock_utc(char out[CLOCK_UTC_SIZE])
{
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(out, CLOCK_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
