/* `sweep`: plans, shows what the plan costs (--dry-run), or runs it and prints the tables.
 *
 * Running the same command again is the resume: cells that the database holds are not run again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/profile.h"
#include "harness/progress.h"
#include "harness/settings.h"
#include "harness/signals.h"
#include "harness/sweep.h"
#include "harness/table.h"
#include "harness/terminal.h"
#include "harness/version.h"
#include "models/kernels.h"
#include "models/model.h"

enum {
    SMALL_MODEL_PARAMS = 200000000, /* below, timelines side by side are faster than shared tiles */
    TINY_MODEL_PARAMS = 20000000,   /* below, tiles are too small to share at all */
    EXIT_SIGNAL = 128,
};

static bool check_options(const Options *options, Err *err)
{
    if (options->model.n == 0)
        return err_set(err, ERR_USAGE, "sweep needs a model: give --model PATH");
    if (!options->db && !options->dry_run)
        return err_set(err, ERR_USAGE,
                       "sweep keeps its results in a database: give --db FILE, or --dry-run");
    return true;
}

static Plan *make_plan(const Options *options, Err *err)
{
    if (!check_options(options, err)) return NULL;
    Plan *plan = plan_new(options, err);
    bool ok = plan != NULL;
    for (size_t i = 0; ok && i < options->model.n; i++)
        ok = plan_add_model(plan, options->model.items[i], options->dry_run, err);
    if (ok && plan_lay_out(plan, err)) return plan;
    plan_free(plan);
    return NULL;
}

typedef struct {
    int n_jobs;
    int n_threads; /* of each job */
} Split;

/* How the cores are shared out; the numbers of the sweep do not depend on it. */
static Split split_cores(const Plan *plan)
{
    const Options *options = plan->options;
    Options any = *options;
    any.threads = 0;
    int n_cores = load_n_threads(&any);
    int64_t n_params = 0;
    for (size_t i = 0; i < plan->n_models; i++)
        n_params = max_i64(n_params, plan->models[i].n_params);
    int64_t jobs = options->jobs;
    if (jobs == 0 && options->threads > 0) jobs = max_i64(1, n_cores / options->threads);
    if (jobs == 0) jobs = n_params < SMALL_MODEL_PARAMS ? n_cores : 1;
    int64_t threads = options->threads;
    if (threads == 0) threads = n_params < TINY_MODEL_PARAMS ? 1 : max_i64(1, n_cores / jobs);
    return (Split){.n_jobs = (int)jobs, .n_threads = (int)threads};
}

/* Lines that a person should see before the numbers: settings that are one, lambda below 1. */
static void print_notes(const Plan *plan)
{
    if (plan->options->quiet) return;
    for (size_t m = 0; m < plan->n_models; m++) {
        const PlanModel *model = &plan->models[m];
        for (size_t s = 0; s < model->n_settings; s++) {
            const PlanSetting *setting = &model->settings[s];
            if (setting->same)
                fprintf(stderr, "note: %s: the same tables as %s at every length, run once\n",
                        setting->same, setting->label);
            if (setting_raises_frequencies(&setting->spec, plan->n_ctx[0]))
                fprintf(stderr,
                        "note: %s: lambda below 1 raises the frequencies and shortens the reach\n",
                        setting->label);
        }
    }
}

typedef struct {
    size_t n_by_status[CELL_STATUS_COUNT]; /* PENDING: can be run */
    int64_t n_tokens;
    double seconds; /* at the nominal speed, on one job */
} PlanSums;

static PlanSums sum_plan(const Plan *plan)
{
    PlanSums sums = {0};
    for (size_t i = 0; i < plan->n_cells; i++) {
        const PlanCell *cell = &plan->cells[i];
        sums.n_by_status[plan_check(plan, cell)->status]++;
        sums.n_tokens += plan_cost(plan, cell).n_tokens;
        sums.seconds += plan_seconds(plan, cell);
    }
    return sums;
}

/* Bytes of a timeline of n_ctx tokens under the setting that takes most. */
static size_t largest_session(const PlanModel *model, int64_t n_ctx)
{
    size_t largest = 0;
    for (size_t s = 0; s < model->n_settings; s++) {
        RopeTable table;
        Err unused;
        if (!rope_table_make(&model->settings[s].spec, n_ctx, &table, &unused)) continue;
        size_t bytes = session_bytes(&model->config, n_ctx, &table);
        if (bytes > largest) largest = bytes;
    }
    return largest;
}

/* Bytes of the largest model with its timelines. */
static double memory_peak(const Plan *plan, int n_jobs)
{
    double peak = 0.0;
    for (size_t m = 0; m < plan->n_models; m++) {
        const PlanModel *model = &plan->models[m];
        double bytes =
            (double)model->owned_bytes +
            (double)n_jobs * (double)largest_session(model, plan->n_ctx[plan->n_lengths - 1]);
        if (bytes > peak) peak = bytes;
    }
    return peak;
}

static void print_settings(const Plan *plan)
{
    for (size_t m = 0; m < plan->n_models; m++) {
        fputs("model    ", stdout);
        terminal_print(plan->models[m].name, strlen(plan->models[m].name));
        putchar(':');
        for (size_t s = 0; s < plan->models[m].n_settings; s++)
            printf(" %s", plan->models[m].settings[s].label);
        printf("\n");
    }
    printf("n_ctx   ");
    for (size_t i = 0; i < plan->n_lengths; i++)
        printf(" %lld", (long long)plan->n_ctx[i]);
    printf("\n");
    for (size_t p = 0; p < plan->n_probes; p++) {
        Buf text = {0};
        probe_spec_text(&plan->probes[p], &text);
        printf("probe    %s:%s\n", plan->probes[p].probe->name, buf_text(&text));
        buf_free(&text);
    }
}

/* The first length of each probe that cannot be run, and why. */
static void print_unrunnable(const Plan *plan)
{
    for (size_t p = 0; p < plan->n_probes; p++) {
        for (size_t i = 0; i < plan->n_lengths; i++) {
            const PlanCell cell = {.probe = (uint32_t)p, .length = (uint32_t)i};
            const PlanCheck *check = plan_check(plan, &cell);
            if (check->status == CELL_PENDING) continue;
            printf("%s at n_ctx %lld is %s: %s\n", plan->probes[p].probe->name,
                   (long long)plan->n_ctx[i], cell_status_name(check->status), check->why);
        }
    }
}

static int print_dry_run(const Plan *plan)
{
    Split split = split_cores(plan);
    PlanSums sums = sum_plan(plan);
    char time[PROGRESS_TEXT_SIZE];
    progress_time_text(sums.seconds / split.n_jobs / split.n_threads, time);
    print_settings(plan);
    printf("cells    %zu, of which %zu can be run\n", plan->n_cells,
           sums.n_by_status[CELL_PENDING]);
    printf("tokens   %lld\n", (long long)sums.n_tokens);
    printf("memory   %.2f GB at the peak, weights included (%d jobs)\n",
           memory_peak(plan, split.n_jobs) / 1e9, split.n_jobs);
    printf("time     about %s at %.0f GFLOP/s a core\n", time, PLAN_NOMINAL_FLOPS / 1e9);
    print_unrunnable(plan);
    return EXIT_OK;
}

/* The engine as a source of backends. */
typedef struct {
    const Plan *plan;
    Model *model; /* the one that is loaded */
} EngineSource;

static bool engine_load(void *context, size_t index, Err *err)
{
    EngineSource *source = context;
    const PlanModel *planned = &source->plan->models[index];
    if (planned->owned_bytes > mem_available())
        return err_set(err, ERR_NOMEM, "%s: the weights take %.1f GB, %.1f GB are free",
                       planned->path, (double)planned->owned_bytes / 1e9,
                       (double)mem_available() / 1e9);
    source->model = load_model(source->plan->options, planned->path, err);
    if (!source->model) return false;
    if (str_equal(source->model->hash, planned->hash)) return true;
    model_free(source->model);
    source->model = NULL;
    return err_set(err, ERR_INPUT, "%s changed while the sweep was planned; run it again",
                   planned->path);
}

static void engine_unload(void *context, size_t index)
{
    (void)index;
    EngineSource *source = context;
    model_free(source->model);
    source->model = NULL;
}

static bool engine_open(void *context, size_t index, int64_t n_ctx_max,
                        const SessionOptions *options, Backend *backend, Err *err)
{
    (void)index;
    EngineSource *source = context;
    return backend_open_engine(backend, source->model, n_ctx_max, options, err);
}

static size_t engine_bytes(void *context, size_t index, int64_t n_ctx_max)
{
    EngineSource *source = context;
    return largest_session(&source->plan->models[index], n_ctx_max);
}

/* "host, Linux 6.1 x86_64, 2 cores". */
static char *machine_text(int n_cores)
{
    struct utsname name;
    if (uname(&name) != 0) return str_format("unknown, %d cores", n_cores);
    return str_format("%s, %s %s %s, %d cores", name.nodename, name.sysname, name.release,
                      name.machine, n_cores);
}

/* One line of counts: "36 done, 4 invalid". */
static void print_counts(const SweepOutcome *outcome)
{
    const char *comma = "";
    for (int status = 0; status < CELL_STATUS_COUNT; status++) {
        if (outcome->counts[status] == 0) continue;
        printf("%s%lld %s", comma, (long long)outcome->counts[status],
               cell_status_name((CellStatus)status));
        comma = ", ";
    }
    printf("\n");
}

static int status_of_outcome(const Plan *plan, const SweepOutcome *outcome)
{
    bool all = outcome->counts[CELL_DONE] == (int64_t)plan->n_cells;
    return all ? EXIT_OK : EXIT_NOT_DONE;
}

/* Says what a signal left and how to go on; the results so far are in the database. */
static int report_stop(const Plan *plan, const SweepOutcome *outcome)
{
    fprintf(stderr, "stopped: %zu of %zu cells ended, their results are kept; to go on:\n%s\n",
            outcome->n_ended, outcome->n_pending, plan->options->command_line);
    return EXIT_SIGNAL + signals_caught();
}

static int finish(const Plan *plan, Store *store, const SweepOutcome *outcome, Err *err)
{
    if (!table_print(store, outcome->run_id, err)) return cli_exit_status(err->code);
    if (outcome->n_other_kernels && !plan->options->quiet)
        fprintf(
            stderr,
            "note: %lld cells were measured by other kernels than this run's; such numbers agree within "
            "1e-5 nats (--fresh runs them again)\n",
            (long long)outcome->n_other_kernels);
    if (!plan->options->quiet) {
        printf("\n");
        print_counts(outcome);
        printf("%zu cells were run, results in %s\n", outcome->n_pending, plan->options->db);
    }
    return status_of_outcome(plan, outcome);
}

static void print_profile(const SweepOutcome *outcome)
{
    double engine_s = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        engine_s += outcome->engine.s[phase];
    profile_print(&outcome->engine, "prompts, tokenizer, statistics", outcome->cells_s - engine_s,
                  outcome->jobs_s);
    fprintf(stderr, "beside the jobs, %.3f s in the database\n", outcome->store_s);
}

static int run_sweep(const Plan *plan, Store *store, const RunRow *run, Split split, Err *err)
{
    EngineSource source = {.plan = plan};
    Progress *progress = progress_open(plan, plan->options->quiet);
    SweepConfig config = {
        .plan = plan,
        .store = store,
        .run = run,
        .source = {engine_load, engine_unload, engine_open, engine_bytes, &source},
        .n_jobs = split.n_jobs,
        .n_threads = split.n_threads,
        .fresh = plan->options->fresh,
        .keep_going = signals_keep_going,
        .on_start = progress_start,
        .on_cell = progress_cell,
        .context = progress,
    };
    SweepOutcome outcome;
    bool ok = sweep_run(&config, &outcome, err);
    progress_close(progress);
    if (ok && plan->options->profile) print_profile(&outcome);
    if (ok) return finish(plan, store, &outcome, err);
    if (err->code == ERR_CANCELLED && signals_caught()) return report_stop(plan, &outcome);
    return cli_exit_status(err->code);
}

static int run_plan(const Command *command, const Plan *plan, Err *err)
{
    const KernelPath *kernels;
    if (!load_kernels(plan->options, &kernels, err)) return cli_exit_status(err->code);
    Split split = split_cores(plan);
    Buf spec = {0};
    cli_write_spec(command, plan->options, &spec);
    char *version = version_line();
    char *machine = machine_text(split.n_jobs * split.n_threads);
    char *blas = str_format("%s; %s %s", kernels->name, kernels_blas_config(), kernels_blas_core());
    const RunRow run = {
        .command = plan->options->command_line,
        .spec = buf_text(&spec),
        .version = version,
        .machine = machine,
        .blas = blas,
        .n_threads = split.n_threads,
        .n_jobs = split.n_jobs,
        .limited = plan->options->limit > 0,
    };
    Store *store = store_open(plan->options->db, err);
    int status = store ? run_sweep(plan, store, &run, split, err) : cli_exit_status(err->code);
    store_close(store);
    buf_free(&spec);
    free(version);
    free(machine);
    free(blas);
    return status;
}

int cmd_sweep(const Command *command, const Options *options, Err *err)
{
    Plan *plan = make_plan(options, err);
    if (!plan) return cli_exit_status(err->code);
    print_notes(plan);
    int status = options->dry_run ? print_dry_run(plan) : run_plan(command, plan, err);
    plan_free(plan);
    return status;
}
