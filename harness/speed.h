/* How fast this machine runs a model's shape now, with as many jobs as a sweep will have. */
#ifndef HARNESS_SPEED_H
#define HARNESS_SPEED_H

#include "harness/plan.h"

/* Units of work (harness/cost.h) that one job does in a second, by phase. */
typedef struct {
    double per_s[N_PHASES];
} EngineSpeed;

/* Runs two layers of the model's shape (of a narrower one where it is wide) with random weights in n_jobs timelines at once, of n_threads
 * each, for a fifth of a second or a pass, and up to four times as long where other work takes the processors. A guess where the memory for
 * it is not there. */
EngineSpeed speed_measure(const ModelConfig *config, const KernelPath *path, int n_jobs,
                          int n_threads);

/* The same for every model of a plan, [n_models]; free with free(). */
EngineSpeed *speed_measure_plan(const Plan *plan, int n_jobs, int n_threads);

#endif
