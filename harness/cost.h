/* What a sweep will cost: tokens and pairs counted cell by cell as the engine will share them, and seconds for them at a speed that is
 * measured on this machine. */
#ifndef HARNESS_COST_H
#define HARNESS_COST_H

#include "harness/plan.h"

/* Work by phase: floating-point operations of the products, attention and head, floats that the rest touches. */
typedef struct {
    double n[N_PHASES];
} Work;

/* Units of work that one core does in a second. */
typedef struct {
    double per_s[N_PHASES];
} EngineSpeed;

/* The work that a model's shape makes of counted tokens. */
Work cost_work(const ModelConfig *config, const ProbeCost *cost);

/* Seconds of one core. */
double cost_seconds(const Work *work, const EngineSpeed *speed);

/* Operations of all phases but the rest. */
double cost_flops(const Work *work);

/* Runs two layers of the model's shape (of a narrower one where it is wide) with random weights for some milliseconds. A guess
 * where the memory for it is not there. */
EngineSpeed cost_measure_speed(const ModelConfig *config, const KernelPath *path);

/* The same for every model of a plan, [n_models]; free with free(). */
EngineSpeed *cost_measure_speeds(const Plan *plan);

/* Counts the cells of a list in the order of the plan, which n_jobs timelines run: out[i] is what cells[i] computes beyond
 * what its timeline holds. Zero for cells that cannot be run. */
void cost_of_cells(const Plan *plan, const size_t *cells, size_t n, int n_jobs, ProbeCost *out);

#endif
