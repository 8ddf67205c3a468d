/* How long the cells that are left will take: what was foretold for each, put right by those that ended, shared out between the jobs as the
 * sweep does it. Knows no clock: the caller tells the time. */
#ifndef HARNESS_ETA_H
#define HARNESS_ETA_H

#include "harness/units.h"

typedef struct Eta Eta;

/* times[i]: foretold seconds of a job in each phase for cell i of a list, which these units cover and n_jobs jobs run. Takes the times and
 * frees them; copies the units. */
Eta *eta_new(Profile *times, const Unit *units, size_t n_units, int n_jobs);
void eta_free(Eta *eta);

/* Cell i of the list ended at `now` after so many seconds, of which these were the engine's by phase (zeros: not known). The cells of a unit
 * end in their order. */
void eta_end_cell(Eta *eta, size_t i, double seconds, const Profile *engine, double now);

/* Seconds of the wall clock until all have ended. */
double eta_left_s(const Eta *eta, double now);

#endif
