/* The time left is a cost model's (harness/cost.c), which gives each cell seconds at the speed measured at the start; how far that is from the
 * truth is the ratio of seconds measured to seconds foretold over the cells that ended. Counting cells instead would be wrong by the
 * square of the lengths. */
#include "harness/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/cost.h"

enum { LINE_WIDTH = 78 };

struct Progress {
    const Plan *plan;
    ProgressLine line;
    size_t n;
    size_t n_ended;
    int n_jobs;
    double *foretold;      /* [n_cells] nominal seconds, of those that will be run */
    double foretold_left;  /* nominal seconds of what is left */
    double foretold_ended; /* … of what ended */
    double measured;       /* seconds of what ended */
};

ProgressLine progress_line_open(bool quiet)
{
    const char *terminal = getenv("TERM");
    bool can_move = terminal && !str_equal(terminal, "dumb");
    return (ProgressLine){.shown = !quiet && can_move && isatty(STDERR_FILENO)};
}

bool progress_line_is_due(const ProgressLine *line)
{
    return line->shown && clock_monotonic_s() - line->last_drawn >= 0.1;
}

void progress_line_draw(ProgressLine *line, const char *text)
{
    if (!line->shown) return;
    line->last_drawn = clock_monotonic_s();
    fprintf(stderr, "\r\033[K%.*s", LINE_WIDTH, text);
    fflush(stderr);
}

void progress_line_clear(const ProgressLine *line)
{
    if (line->shown) fprintf(stderr, "\r\033[K");
}

Progress *progress_open(const Plan *plan, bool quiet)
{
    Progress *progress = mem_zalloc(1, sizeof *progress);
    progress->plan = plan;
    progress->line = progress_line_open(quiet);
    return progress;
}

void progress_close(Progress *progress)
{
    if (!progress) return;
    progress_line_clear(&progress->line);
    free(progress->foretold);
    free(progress);
}

static void foretell(Progress *progress, const size_t *pending)
{
    const Plan *plan = progress->plan;
    EngineSpeed *speeds = cost_measure_speeds(plan);
    ProbeCost *costs = mem_zalloc(progress->n + 1, sizeof *costs);
    cost_of_cells(plan, pending, progress->n, progress->n_jobs, costs);
    progress->foretold = mem_zalloc(plan->n_cells + 1, sizeof *progress->foretold);
    for (size_t i = 0; i < progress->n; i++) {
        uint32_t model = plan->cells[pending[i]].model;
        Work work = cost_work(&plan->models[model].config, &costs[i]);
        progress->foretold[pending[i]] = cost_seconds(&work, &speeds[model]);
        progress->foretold_left += progress->foretold[pending[i]];
    }
    free(costs);
    free(speeds);
}

void progress_start(void *context, const size_t *pending, size_t n, int n_jobs)
{
    Progress *progress = context;
    progress->n = n;
    progress->n_jobs = n_jobs;
    if (progress->line.shown) foretell(progress, pending);
}

void progress_time_text(double seconds, char out[PROGRESS_TEXT_SIZE])
{
    long long s = llround(fmin(seconds, 1e9));
    if (s < 60)
        snprintf(out, PROGRESS_TEXT_SIZE, "%lld s", s);
    else if (s < 3600)
        snprintf(out, PROGRESS_TEXT_SIZE, "%lld min %lld s", s / 60, s % 60);
    else
        snprintf(out, PROGRESS_TEXT_SIZE, "%lld h %lld min", s / 3600, s % 3600 / 60);
}

static double seconds_left(const Progress *progress)
{
    double speed =
        progress->foretold_ended > 0.0 ? progress->measured / progress->foretold_ended : 1.0;
    return speed * progress->foretold_left / progress->n_jobs;
}

static void draw(Progress *progress, const PlanCell *cell)
{
    char left[PROGRESS_TEXT_SIZE];
    if (!progress_line_is_due(&progress->line) && progress->n_ended < progress->n) return;
    progress_time_text(seconds_left(progress), left);
    char *line = str_format("%zu of %zu cells, %s left: %s %s at %lld", progress->n_ended,
                            progress->n, left, progress->plan->probes[cell->probe].probe->name,
                            plan_setting(progress->plan, cell)->label,
                            (long long)plan_n_ctx(progress->plan, cell));
    progress_line_draw(&progress->line, line);
    free(line);
}

void progress_cell(void *context, size_t cell, const CellResult *result)
{
    Progress *progress = context;
    progress->n_ended++;
    if (!progress->line.shown) return;
    double foretold = progress->foretold[cell];
    progress->foretold_left -= foretold;
    progress->foretold_ended += foretold;
    progress->measured += result->seconds;
    draw(progress, &progress->plan->cells[cell]);
}
