#include "harness/units.h"

#include "base/mem.h"

enum {
    MIN_UNIT_CELLS = 4,
    UNITS_PER_JOB =
        16, /* a timeline that takes the next unit but one of a text still holds what it needs */
};

/* Cells of a server share nothing here, and each is a unit. */
static bool same_unit(const Plan *plan, size_t a, size_t b)
{
    const PlanCell *left = &plan->cells[a], *right = &plan->cells[b];
    return left->model == right->model && !plan->models[left->model].server &&
           left->setting == right->setting && left->probe == right->probe;
}

Unit *units_make(const Plan *plan, const size_t *cells, size_t n, int n_jobs, size_t *n_units)
{
    size_t share = n / (size_t)(n_jobs * UNITS_PER_JOB) + 1;
    size_t most = share > MIN_UNIT_CELLS ? share : MIN_UNIT_CELLS;
    Unit *units = mem_alloc(n + 1, sizeof *units), *last = NULL;
    *n_units = 0;
    for (size_t i = 0; i < n; i++) {
        const PlanCell *cell = &plan->cells[cells[i]];
        bool has_room = last && (last->n < most || plan_is_nested(plan, cell));
        if (has_room && same_unit(plan, cells[last->first], cells[i])) {
            last->n++;
            continue;
        }
        last = &units[(*n_units)++];
        *last = (Unit){.first = i, .n = 1};
    }
    return units;
}
