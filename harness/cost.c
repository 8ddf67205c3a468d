/* A cell's seconds are a sum over the engine's phases of counted work, each at a measured speed. Two things decide whether that holds:
 *
 * - What is shared. The first cell of a setting computes its prompts from the start on, and the others only what is behind the needle; so
 *   cells are counted in their order and by timelines, cut into the sweep's own units.
 * - What a pair costs. A row's last block of keys is computed whole and the register tile filled anew for every row, so a row counts half
 *   a block of keys more than it has.
 *
 * Counts are right to some per cent. Speeds are not to that: another length or another load of the machine moves them all alike,
 * and so one factor, seconds measured by seconds foretold, puts them right once a cell has ended. */
#include "harness/cost.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "harness/load.h"
#include "harness/units.h"

enum {
    SPEED_N_CTX = 1024,
    SPEED_RUNS = 3, /* the best counts */
    SPEED_SCORED = 128,
    SPEED_WIDTH = 1024, /* wider layers run at the same speed */
    SPEED_D_FF = 3072,
    SPEED_VOCAB = 2048,
};

/* Where nothing can be measured: a core with AVX2. */
static const EngineSpeed nominal = {
    {[PHASE_LINEAR] = 60e9, [PHASE_ATTENTION] = 40e9, [PHASE_HEAD] = 40e9, [PHASE_REST] = 1e9}
};

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
    double mean_keys = n > 0.0 ? cost->n_pairs / n + KERNEL_BLOCK / 2.0 : 0.0;
    double width = 6.0 * config->d_model + 3.0 * config->d_ff +
                   2.0 * config->head_dim * (config->n_heads + 2.0 * config->n_kv_heads);
    return (Work){
        {
         [PHASE_LINEAR] =
                rows * (key_flops(config) + other_flops(config)) + (n - scored) * key_flops(config),
         [PHASE_ATTENTION] = 4.0 * config->n_heads * config->head_dim * rows * mean_keys,
         [PHASE_HEAD] = 2.0 * scored * config->d_model * config->vocab_size,
         [PHASE_REST] = rows * width,
         }
    };
}

double cost_seconds(const Work *work, const EngineSpeed *speed)
{
    double sum = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        if (work->n[phase] > 0.0) sum += work->n[phase] / speed->per_s[phase];
    return sum;
}

double cost_flops(const Work *work)
{
    return work->n[PHASE_LINEAR] + work->n[PHASE_ATTENTION] + work->n[PHASE_HEAD];
}

/* Two layers of the shape, no wider than the speed of products needs. */
static ModelConfig measured_config(const ModelConfig *config)
{
    ModelConfig out = *config;
    out.n_layers = 2;
    out.vocab_size = config->vocab_size < SPEED_VOCAB ? config->vocab_size : SPEED_VOCAB;
    if (out.d_model > SPEED_WIDTH) out.d_model = SPEED_WIDTH;
    if (out.d_ff > SPEED_D_FF) out.d_ff = SPEED_D_FF;
    while (out.n_heads * out.head_dim > SPEED_WIDTH && out.n_heads % 2 == 0 &&
           out.n_kv_heads % 2 == 0) {
        out.n_heads /= 2;
        out.n_kv_heads /= 2;
    }
    return out;
}

/* Seconds by phase of scoring the last tokens of a prompt that starts with `first`. */
static bool run_once(Session *session, int vocab_size, int32_t first, Profile *out, Err *err)
{
    int32_t tokens[SPEED_N_CTX];
    uint8_t want[SPEED_N_CTX] = {0};
    TokenScore scores[SPEED_N_CTX];
    for (int i = 0; i < SPEED_N_CTX; i++)
        tokens[i] = (int32_t)((first + (int64_t)i * 7919) % vocab_size);
    for (int i = 0; i < SPEED_SCORED; i++)
        want[SPEED_N_CTX - 2 - i] = 1;
    Profile before = session_profile(session);
    if (!session_score(session, tokens, SPEED_N_CTX, want, scores, err)) return false;
    *out = session_profile(session);
    for (int phase = 0; phase < N_PHASES; phase++)
        out->s[phase] -= before.s[phase];
    return true;
}

static bool run_measured(Session *session, const ModelConfig *config, EngineSpeed *out, Err *err)
{
    RopeSpec spec = config->rope;
    RopeTable table;
    if (!rope_spec_resolve(&spec, SPEED_N_CTX, err) ||
        !rope_table_make(&spec, SPEED_N_CTX, &table, err) ||
        !session_set_rope(session, &table, err))
        return false;
    const ProbeCost cost = {.n_tokens = SPEED_N_CTX - 1,
                            .n_pairs = (double)SPEED_N_CTX * SPEED_N_CTX / 2.0,
                            .n_scored = SPEED_SCORED};
    Work work = cost_work(config, &cost);
    *out = (EngineSpeed){0};
    for (int run = 0; run < SPEED_RUNS; run++) {
        Profile profile;
        if (!run_once(session, config->vocab_size, run, &profile, err)) return false;
        for (int phase = 0; phase < N_PHASES; phase++)
            out->per_s[phase] =
                fmax(out->per_s[phase], work.n[phase] / fmax(profile.s[phase], 1e-9));
    }
    return true;
}

EngineSpeed cost_measure_speed(const ModelConfig *config, const KernelPath *path)
{
    Err unused;
    ModelConfig narrow = measured_config(config);
    const SessionOptions options = {.n_threads = 1};
    EngineSpeed speed;
    Model *model = model_random_for(&narrow, path, 0, &unused);
    Session *session = model ? session_open(model, SPEED_N_CTX, &options, &unused) : NULL;
    if (!session || !run_measured(session, &narrow, &speed, &unused)) speed = nominal;
    session_close(session);
    model_free(model);
    return speed;
}

EngineSpeed *cost_measure_speeds(const Plan *plan)
{
    Err unused;
    const KernelPath *path = NULL;
    bool ok = load_kernels(plan->options, &path, &unused);
    EngineSpeed *speeds = mem_alloc(plan->n_models + 1, sizeof *speeds);
    for (size_t i = 0; i < plan->n_models; i++)
        speeds[i] = ok && !plan->models[i].server
                        ? cost_measure_speed(&plan->models[i].config, path)
                        : nominal;
    return speeds;
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
