/* All jobs run at once, since cores that share a cache or a socket are slower together. What runs on the machine besides shows in the
 * wall time by the processor's: where it does, they run for some rounds more, until the scheduler has moved them about.
 *
 * The best run of each phase says how the phases stand to each other, as one interruption falls into one of them; all runs together
 * say how much slower than that it goes. */
#include "harness/speed.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "harness/cost.h"
#include "harness/load.h"

enum {
    SPEED_N_CTX = 1024,
    SPEED_SCORED = 128,
    SPEED_WIDTH = 1024, /* wider layers run at the same speed */
    SPEED_D_FF = 3072,
    SPEED_VOCAB = 2048,
    MEMORY_PART = 8, /* of what is free, that the timelines may take */
    MOST_ROUNDS = 4,
};
#define ROUND_S   0.2
#define BUSY_PART 0.95 /* of a job's time on a processor; below, it waits for one */

/* Where nothing can be measured: a core with AVX2. */
static const EngineSpeed nominal = {
    {[PHASE_LINEAR] = 60e9, [PHASE_ATTENTION] = 40e9, [PHASE_HEAD] = 40e9, [PHASE_REST] = 1e9}
};

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

/* One timeline on a thread of its own. */
typedef struct {
    Session *session;
    int vocab_size;
    pthread_t thread;
    int n_runs;    /* that count */
    double wall_s; /* of all of them */
    double cpu_s;
    double spent_s; /* in the phases */
    Profile best;   /* of each phase */
} Job;

/* Scores the last tokens of a prompt that starts with `first`. */
static bool run_once(const Job *job, int32_t first)
{
    Err unused;
    int32_t tokens[SPEED_N_CTX];
    uint8_t want[SPEED_N_CTX] = {0};
    TokenScore scores[SPEED_N_CTX];
    for (int i = 0; i < SPEED_N_CTX; i++)
        tokens[i] = (int32_t)((first + (int64_t)i * 7919) % job->vocab_size);
    for (int i = 0; i < SPEED_SCORED; i++)
        want[SPEED_N_CTX - 2 - i] = 1;
    return session_score(job->session, tokens, SPEED_N_CTX, want, scores, &unused);
}

/* Counts a run that began with this profile. */
static void count_run(Job *job, const Profile *before)
{
    Profile now = session_profile(job->session);
    for (int phase = 0; phase < N_PHASES; phase++) {
        double seconds = now.s[phase] - before->s[phase];
        job->best.s[phase] = job->n_runs ? fmin(job->best.s[phase], seconds) : seconds;
        job->spent_s += seconds;
    }
    job->n_runs++;
}

/* A round. Its first run, which touches the memory, does not count. */
static void *run_job(void *context)
{
    Job *job = context;
    bool ok = run_once(job, 0);
    double start = clock_monotonic_s(), cpu_start = clock_thread_cpu_s();
    while (ok && clock_monotonic_s() < start + ROUND_S) {
        Profile before = session_profile(job->session);
        ok = run_once(job, job->n_runs + 1);
        if (ok) count_run(job, &before);
    }
    job->wall_s += clock_monotonic_s() - start;
    job->cpu_s += clock_thread_cpu_s() - cpu_start;
    return NULL;
}

static bool make_table(const ModelConfig *config, RopeTable *table)
{
    Err unused;
    RopeSpec spec = config->rope;
    return rope_spec_resolve(&spec, SPEED_N_CTX, &unused) &&
           rope_table_make(&spec, SPEED_N_CTX, table, &unused);
}

/* Opens timelines as the memory allows; returns their number. */
static int open_jobs(const Model *model, const RopeTable *table, int n_threads, Job *jobs, int n)
{
    Err unused;
    const SessionOptions options = {.n_threads = n_threads};
    size_t bytes = session_bytes(&model->config, SPEED_N_CTX, table);
    size_t most = mem_available() / MEMORY_PART / bytes + 1;
    if ((size_t)n > most) n = (int)most;
    for (int i = 0; i < n; i++) {
        jobs[i] = (Job){.vocab_size = model->config.vocab_size};
        jobs[i].session = session_open(model, SPEED_N_CTX, &options, &unused);
        if (jobs[i].session && session_set_rope(jobs[i].session, table, &unused)) continue;
        session_close(jobs[i].session);
        return i;
    }
    return n;
}

/* Runs the jobs side by side for a round; false when one of them could not be. */
static bool run_round(Job *jobs, int n)
{
    int n_started = 0;
    bool ok = n > 0;
    while (n_started < n &&
           pthread_create(&jobs[n_started].thread, NULL, run_job, &jobs[n_started]) == 0)
        n_started++;
    for (int i = 0; i < n_started; i++)
        pthread_join(jobs[i].thread, NULL);
    for (int i = 0; i < n; i++)
        ok = ok && i < n_started && jobs[i].n_runs > 0;
    return ok;
}

static bool waits_for_processors(const Job *jobs, int n)
{
    double wall_s = 0.0, cpu_s = 0.0;
    for (int i = 0; i < n; i++) {
        wall_s += jobs[i].wall_s;
        cpu_s += jobs[i].cpu_s;
    }
    return cpu_s < BUSY_PART * wall_s;
}

static bool run_rounds(Job *jobs, int n)
{
    bool ok = run_round(jobs, n);
    for (int round = 1; ok && round < MOST_ROUNDS && waits_for_processors(jobs, n); round++)
        ok = run_round(jobs, n);
    return ok;
}

static EngineSpeed speed_of(const ModelConfig *config, const Job *jobs, int n)
{
    const ProbeCost cost = {.n_tokens = SPEED_N_CTX - 1,
                            .n_pairs = (double)SPEED_N_CTX * SPEED_N_CTX / 2.0,
                            .n_scored = SPEED_SCORED,
                            .n_passes = 1};
    Work work = cost_work(config, &cost);
    EngineSpeed speed = {0};
    double best_s = 0.0, spent_s = 0.0, n_runs = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++) {
        double best = jobs[0].best.s[phase];
        for (int i = 1; i < n; i++)
            best = fmin(best, jobs[i].best.s[phase]);
        speed.per_s[phase] = work.n[phase] / fmax(best, 1e-9);
        best_s += best;
    }
    for (int i = 0; i < n; i++) {
        n_runs += jobs[i].n_runs;
        spent_s += jobs[i].spent_s;
    }
    for (int phase = 0; phase < N_PHASES; phase++)
        speed.per_s[phase] *= n_runs * best_s / spent_s;
    return speed;
}

EngineSpeed speed_measure(const ModelConfig *config, const KernelPath *path, int n_jobs,
                          int n_threads)
{
    Err unused;
    RopeTable table;
    ModelConfig narrow = measured_config(config);
    Model *model = model_random_for(&narrow, path, 0, &unused);
    Job *jobs = mem_zalloc((size_t)n_jobs, sizeof *jobs);
    int n_open = model && make_table(&narrow, &table)
                     ? open_jobs(model, &table, n_threads, jobs, n_jobs)
                     : 0;
    EngineSpeed speed = run_rounds(jobs, n_open) ? speed_of(&narrow, jobs, n_open) : nominal;
    for (int i = 0; i < n_open; i++)
        session_close(jobs[i].session);
    free(jobs);
    model_free(model);
    return speed;
}

EngineSpeed *speed_measure_plan(const Plan *plan, int n_jobs, int n_threads)
{
    Err unused;
    const KernelPath *path = NULL;
    bool ok = load_kernels(plan->options, &path, &unused);
    EngineSpeed *speeds = mem_alloc(plan->n_models + 1, sizeof *speeds);
    for (size_t i = 0; i < plan->n_models; i++)
        speeds[i] = ok && !plan->models[i].server
                        ? speed_measure(&plan->models[i].config, path, n_jobs, n_threads)
                        : nominal;
    return speeds;
}
