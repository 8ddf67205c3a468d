/* Running the same plan again is the resume: cells that the database holds are not run again. */
#include "harness/plan_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "harness/commands.h"
#include "harness/cost.h"
#include "harness/engine.h"
#include "harness/profile.h"
#include "harness/progress.h"
#include "harness/server.h"
#include "harness/settings.h"
#include "harness/signals.h"
#include "harness/terminal.h"

enum { EXIT_SIGNAL = 128 };

static bool any_server(const Options *options)
{
    for (size_t i = 0; i < options->model.n; i++)
        if (openai_is_address(options->model.items[i])) return true;
    return false;
}

static bool check_options(const Command *command, const Options *options, Err *err)
{
    if (options->model.n == 0)
        return err_set(err, ERR_USAGE, "%s needs a model: give --model PATH", command->name);
    if (!options->db && !options->dry_run)
        return err_set(err, ERR_USAGE,
                       "%s keeps its results in a database: give --db FILE, or --dry-run",
                       command->name);
    if ((options->as_served || options->server_cmd) && !any_server(options))
        return err_set(err, ERR_USAGE,
                       "--as-served and --server-cmd are for a model behind a server: give --model "
                       "http://HOST:PORT#NAME");
    return true;
}

Plan *plan_make(const Command *command, const Options *options, Err *err)
{
    if (!check_options(command, options, err)) return NULL;
    Plan *plan = plan_new(options, err);
    bool ok = plan != NULL;
    for (size_t i = 0; ok && i < options->model.n; i++)
        ok = plan_add_model(plan, options->model.items[i], options->dry_run, err);
    if (ok && plan_lay_out(plan, err)) return plan;
    plan_free(plan);
    return NULL;
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

static size_t count_runnable(const Plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_cells; i++)
        n += plan_check(plan, &plan->cells[i])->status == CELL_PENDING;
    return n;
}

/* Seconds of the wall clock for all cells of the plan. */
static double foretell(const Plan *plan, EngineSplit split, CostSums *sums)
{
    size_t *cells = mem_alloc(plan->n_cells + 1, sizeof *cells);
    for (size_t i = 0; i < plan->n_cells; i++)
        cells[i] = i;
    Eta *eta = cost_foretell(plan, cells, plan->n_cells, split.n_jobs, split.n_threads, sums);
    double seconds = eta_left_s(eta, 0.0);
    eta_free(eta);
    free(cells);
    return seconds;
}

/* Bytes of the largest model with its timelines. */
static double memory_peak(const Plan *plan, int n_jobs)
{
    double peak = 0.0;
    for (size_t m = 0; m < plan->n_models; m++) {
        const PlanModel *model = &plan->models[m];
        if (model->server) continue;
        double bytes = (double)model->owned_bytes +
                       (double)n_jobs *
                           (double)engine_session_bytes(plan, m, plan->n_ctx[plan->n_lengths - 1]);
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
    EngineSplit split = engine_split(plan);
    CostSums sums;
    char time[PROGRESS_TEXT_SIZE];
    progress_time_text(foretell(plan, split, &sums), time);
    print_settings(plan);
    printf("cells    %zu, of which %zu can be run\n", plan->n_cells, count_runnable(plan));
    printf("tokens   %lld\n", (long long)sums.n_tokens);
    printf("memory   %.2f GB at the peak, weights included (%d jobs)\n",
           memory_peak(plan, split.n_jobs) / 1e9, split.n_jobs);
    printf("time     about %s at %.0f GFLOP/s a core, as measured now\n", time,
           1e-9 * sums.flops / fmax(sums.seconds, 1e-9) / split.n_threads);
    print_unrunnable(plan);
    return EXIT_OK;
}

/* Says what a signal left and how to go on; the results so far are in the database. */
static int report_stop(const Plan *plan, const SweepOutcome *outcome)
{
    fprintf(stderr, "stopped: %zu of %zu cells ended, their results are kept; to go on:\n%s\n",
            outcome->n_ended, outcome->n_pending, plan->options->command_line);
    return EXIT_SIGNAL + signals_caught();
}

/* With one job the total is the wall time; of more, each brings its own. */
static void print_profile(const SweepOutcome *outcome)
{
    double engine_s = 0.0;
    for (int phase = 0; phase < N_PHASES; phase++)
        engine_s += outcome->engine.s[phase];
    const ProfileRow rows[] = {
        {"prompts, statistics",                 outcome->cells_s - engine_s},
        {"database, before and after the jobs", outcome->store_alone_s     },
    };
    profile_print(&outcome->engine, rows, COUNT_OF(rows), outcome->jobs_s + outcome->alone_s);
    fprintf(stderr, "beside the jobs, %.3f s in the database\n", outcome->store_s);
}

static void print_other_kernels(const Plan *plan, const SweepOutcome *outcome)
{
    if (outcome->n_other_kernels == 0 || plan->options->quiet) return;
    fprintf(
        stderr,
        "note: %lld cells were measured by other kernels than this run's; such numbers agree within "
        "1e-5 nats (--fresh runs them again)\n",
        (long long)outcome->n_other_kernels);
}

static bool print_other_precision(const Plan *plan, Store *store, int64_t run_id, Err *err)
{
    int64_t n;
    if (!store_count_other_precision(store, run_id, &n, err)) return false;
    if (n > 0 && !plan->options->quiet)
        fprintf(
            stderr,
            "note: %lld cells are in the database at another precision than this run's, too; the two are kept "
            "and drawn apart\n",
            (long long)n);
    return true;
}

/* What is to be run where, and who reports it. */
typedef struct {
    const Plan *plan;
    Store *store;
    EngineSplit split;
    const PlanReport *report;
} Running;

static int run_sweep(const Running *running, const RunRow *run, Err *err)
{
    const Plan *plan = running->plan;
    SweepOutcome outcome;
    ServerSource source = {
        .engine = {.plan = plan, .store = running->store, .run_id = &outcome.run_id}
    };
    Progress *progress = progress_open(plan, running->split, plan->options->quiet);
    SweepConfig config = {
        .plan = plan,
        .store = running->store,
        .run = run,
        .source = server_source(&source),
        .n_jobs = running->split.n_jobs,
        .n_threads = running->split.n_threads,
        .fresh = plan->options->fresh,
        .keep_going = signals_keep_going,
        .on_start = progress_start,
        .on_cell = progress_cell,
        .context = progress,
    };
    bool ok = sweep_run(&config, &outcome, err);
    progress_close(progress);
    ok = ok && print_other_precision(plan, running->store, outcome.run_id, err);
    if (ok && plan->options->profile) print_profile(&outcome);
    if (ok) {
        print_other_kernels(plan, &outcome);
        return running->report->print(plan, running->store, &outcome, running->report->context,
                                      err);
    }
    if (err->code == ERR_CANCELLED && signals_caught()) return report_stop(plan, &outcome);
    return cli_exit_status(err->code);
}

static int run_plan(const Plan *plan, const PlanReport *report, Err *err)
{
    EngineRun run;
    if (!engine_describe(cli_find_command("sweep"), plan, &run, err))
        return cli_exit_status(err->code);
    Store *store = store_open(plan->options->db, err);
    const Running running = {plan, store, run.split, report};
    int status = store ? run_sweep(&running, &run.row, err) : cli_exit_status(err->code);
    store_close(store);
    engine_describe_free(&run);
    return status;
}

int plan_execute(const Plan *plan, const PlanReport *report, Err *err)
{
    print_notes(plan);
    return plan->options->dry_run ? print_dry_run(plan) : run_plan(plan, report, err);
}
