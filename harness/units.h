/* Stretches of a plan that one timeline runs. */
#ifndef HARNESS_UNITS_H
#define HARNESS_UNITS_H

#include "harness/plan.h"

typedef struct {
    size_t first; /* in the list of cells */
    size_t n;
} Unit;

/* Cuts n cells, in the order of the plan, into units within one model, setting and probe: long enough that the prefixes which the
 * plan's order makes long are shared, short enough that n_jobs timelines end together. Cells that the first of a unit answers stay with
 * it, as they cost nothing there. Free with free(). */
Unit *units_make(const Plan *plan, const size_t *cells, size_t n, int n_jobs, size_t *n_units);

#endif
