/* `--profile`: where the time went. */
#ifndef HARNESS_PROFILE_H
#define HARNESS_PROFILE_H

#include "models/forward.h"

/* Prints seconds and shares of total_s on standard error: the engine's phases, then `what` with the seconds beside them that are
 * named, then the rest of the total. */
void profile_print(const Profile *engine, const char *what, double what_s, double total_s);

#endif
