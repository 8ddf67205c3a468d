/* The time left is a cost model's (harness/cost.c), which gives each cell seconds at the speed measured at the start, put right by the
 * cells that ended (harness/eta.c). Counting cells instead would be wrong by the square of the lengths. */
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
    EngineSplit split;
    size_t n;
    size_t n_ended;
    size_t *places; /* [n_cells]: of cells in the list of those that will be run */
    Eta *eta;
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

Progress *progress_open(const Plan *plan, EngineSplit split, bool quiet)
{
    Progress *progress = mem_zalloc(1, sizeof *progress);
    progress->plan = plan;
    progress->split = split;
    progress->line = progress_line_open(quiet);
    return progress;
}

void progress_close(Progress *progress)
{
    if (!progress) return;
    progress_line_clear(&progress->line);
    eta_free(progress->eta);
    free(progress->places);
    free(progress);
}

void progress_start(void *context, const size_t *pending, size_t n)
{
    Progress *progress = context;
    progress->n = n;
    if (!progress->line.shown) return;
    CostSums unused;
    progress->eta = cost_foretell(progress->plan, pending, n, progress->split.n_jobs,
                                  progress->split.n_threads, &unused);
    progress->places = mem_zalloc(progress->plan->n_cells + 1, sizeof *progress->places);
    for (size_t i = 0; i < n; i++)
        progress->places[pending[i]] = i;
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

static void draw(Progress *progress, const PlanCell *cell)
{
    char left[PROGRESS_TEXT_SIZE];
    if (!progress_line_is_due(&progress->line) && progress->n_ended < progress->n) return;
    progress_time_text(eta_left_s(progress->eta, clock_monotonic_s()), left);
    char *line = str_format("%zu of %zu cells, %s left: %s %s at %lld", progress->n_ended,
                            progress->n, left, progress->plan->probes[cell->probe].probe->name,
                            plan_setting(progress->plan, cell)->label,
                            (long long)plan_n_ctx(progress->plan, cell));
    progress_line_draw(&progress->line, line);
    free(line);
}

void progress_cell(void *context, size_t cell, const CellResult *result, const Profile *engine)
{
    Progress *progress = context;
    progress->n_ended++;
    if (!progress->line.shown) return;
    eta_end_cell(progress->eta, progress->places[cell], result->seconds, engine,
                 clock_monotonic_s());
    draw(progress, &progress->plan->cells[cell]);
}
