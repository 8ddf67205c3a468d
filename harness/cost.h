/* What a sweep will cost: tokens and pairs counted cell by cell as the engine will share them, and seconds for them at a speed of this
 * machine. */
#ifndef HARNESS_COST_H
#define HARNESS_COST_H

#include "harness/eta.h"
#include "harness/speed.h"

/* Work by phase: floating-point operations of the products, attention and head, floats that the rest touches. */
typedef struct {
    double n[N_PHASES];
} Work;

/* The work that a model's shape makes of counted tokens. */
Work cost_work(const ModelConfig *config, const ProbeCost *cost);

/* Seconds of one job in each phase. */
Profile cost_times(const Work *work, const EngineSpeed *speed);

/* Operations of all phases but the rest. */
double cost_flops(const Work *work);

/* Counts the cells of a list in the order of the plan, which n_jobs timelines run: out[i] is what cells[i] computes beyond
 * what its timeline holds. Zero for cells that cannot be run. */
void cost_of_cells(const Plan *plan, const size_t *cells, size_t n, int n_jobs, ProbeCost *out);

typedef struct {
    int64_t n_tokens;
    double flops;
    double seconds; /* of all jobs */
} CostSums;

/* Foretells a list of cells in the order of the plan at speeds that it measures now. The caller frees what it returns with eta_free. */
Eta *cost_foretell(const Plan *plan, const size_t *cells, size_t n, int n_jobs, int n_threads,
                   CostSums *sums);

#endif
