/* `--profile`: where the time went. */
#ifndef HARNESS_PROFILE_H
#define HARNESS_PROFILE_H

#include "models/forward.h"

/* A part of the time beside the engine's. */
typedef struct {
    const char *name;
    double s;
} ProfileRow;

/* Prints seconds and shares of total_s on standard error: the engine's phases, the rows, the rest of the total. */
void profile_print(const Profile *engine, const ProfileRow *rows, size_t n, double total_s);

#endif
