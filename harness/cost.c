/* A cell's seconds are a sum over the engine's phases of counted work, each at a measured speed. Three things decide whether that holds:
 *
 * - What is shared. The first cell of a setting computes its prompts from the start on, and the others only what is behind the needle; so
 *   cells are counted in their order and by timelines, cut into the sweep's own units.
 * - What a pair costs. A row's last panel of keys is computed whole and the register tile filled anew for every row, so a row counts a
 *   panel of keys more than it has.
 * - What a pass costs. Behind a long prefix it has few rows, and reads all weights and keys for them.
 *
 * Counts are right to some per cent. Speeds are not to that: harness/eta.c puts them right by what cells took. */
#include "harness/cost.h"

#include <stdlib.h>

#include "base/mem.h"
#include "harness/units.h"

/* Rows whose computing takes as long as reading all weights and keys once. */
enum { PASS_ROWS = 30 };

/* Flops of a layer's products for a row: keys and values, and the others. */
static double key_flops(const ModelConfig *config)
{
    return 4.0 * config->d_model * config->n_kv_heads * config->head_dim;
}

static double other_flops(const ModelConfig *config)
{
    double n_ffn = config->features & MODEL_UNGATED ? 2.0 : 3.0;
    return 2.0 * config->d_model *
           (2.0 * config->n_heads * config->head_dim + n_ffn * config->d_ff);
}

Work cost_work(const ModelConfig *config, const ProbeCost *cost)
{
    double n = (double)cost->n_tokens, scored = (double)cost->n_scored;
    double whole = config->n_layers - 1.0; /* the last layer is whole for scored rows alone */
    double rows = whole * n + scored;
    double read = PASS_ROWS * (double)cost->n_passes * config->n_layers;
    double mean_keys = n > 0.0 ? cost->n_pairs / n + KERNEL_KEYS : 0.0;
    double width = 6.0 * config->d_model + 3.0 * config->d_ff +
                   2.0 * config->head_dim * (config->n_heads + 2.0 * config->n_kv_heads);
    return (Work){
        {
         [PHASE_LINEAR] = (rows + read) * (key_flops(config) + other_flops(config)) +
                             (n - scored) * key_flops(config),
         [PHASE_ATTENTION] =
                4.0 * config->n_heads * config->head_dim * (rows + read) * mean_keys,
         [PHASE_HEAD] = 2.0 * scored * config->d_model * config->vocab_size,
         [PHASE_REST] = rows * width,
         }
    };
}

Profile cost_times(const Work *work, const EngineSpeed *speed)
{
    Profile times = {0};
    for (int phase = 0; phase < N_PHASES; phase++)
        if (work->n[phase] > 0.0) times.s[phase] = work->n[phase] / speed->per_s[phase];
    return times;
}

double cost_flops(const Work *work)
{
    return work->n[PHASE_LINEAR] + work->n[PHASE_ATTENTION] + work->n[PHASE_HEAD];
}

static bool same_table(const Plan *plan, const PlanCell *a, const PlanCell *b)
{
    const RopeSpec *left = &plan_setting(plan, a)->spec, *right = &plan_setting(plan, b)->spec;
    if (a->setting == b->setting && (a->length == b->length || !rope_spec_depends_on_n_ctx(right)))
        return true;
    RopeTable of_a, of_b;
    Err unused;
    return rope_table_make(left, plan_n_ctx(plan, a), &of_a, &unused) &&
           rope_table_make(right, plan_n_ctx(plan, b), &of_b, &unused) &&
           rope_table_equal(&of_a, &of_b);
}

/* Whether two cells in a row can share anything: the same text under the same table. */
static bool can_share(const Plan *plan, const PlanCell *a, const PlanCell *b)
{
    return a->model == b->model && a->probe == b->probe && same_table(plan, a, b);
}

void cost_of_cells(const Plan *plan, const size_t *cells, size_t n, int n_jobs, ProbeCost *out)
{
    size_t n_units;
    Unit *units = units_make(plan, cells, n, n_jobs, &n_units);
    int n_taken = 0; /* units in a row that one text and table would do for, this one included */
    for (size_t u = 0; u < n_units; u++) {
        const PlanCell *before = u > 0 ? &plan->cells[cells[units[u].first - 1]] : NULL;
        for (size_t i = units[u].first; i < units[u].first + units[u].n; i++) {
            const PlanCell *cell = &plan->cells[cells[i]];
            bool shares = before && can_share(plan, before, cell);
            if (i == units[u].first) n_taken = shares ? n_taken + 1 : 1;
            /* each timeline begins the text once */
            bool is_cold = !shares || (i == units[u].first && n_taken <= n_jobs);
            out[i] = plan_cost(plan, cell, is_cold ? NULL : before);
            before = cell;
        }
    }
    free(units);
}

Eta *cost_foretell(const Plan *plan, const size_t *cells, size_t n, int n_jobs, int n_threads,
                   CostSums *sums)
{
    EngineSpeed *speeds = speed_measure_plan(plan, n_jobs, n_threads);
    ProbeCost *costs = mem_zalloc(n + 1, sizeof *costs);
    Profile *times = mem_zalloc(n + 1, sizeof *times);
    size_t n_units;
    Unit *units = units_make(plan, cells, n, n_jobs, &n_units);
    cost_of_cells(plan, cells, n, n_jobs, costs);
    *sums = (CostSums){0};
    for (size_t i = 0; i < n; i++) {
        uint32_t model = plan->cells[cells[i]].model;
        Work work = cost_work(&plan->models[model].config, &costs[i]);
        times[i] = cost_times(&work, &speeds[model]);
        sums->n_tokens += costs[i].n_tokens;
        sums->flops += cost_flops(&work);
        for (int phase = 0; phase < N_PHASES; phase++)
            sums->seconds += times[i].s[phase];
    }
    Eta *eta = eta_new(times, units, n_units, n_jobs);
    free(speeds);
    free(costs);
    free(units);
    return eta;
}
