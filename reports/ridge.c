#include "reports/ridge.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/yardstick.h"

static const double level = 0.05;

/* The settings of plain NTK scaling at one length. */
typedef struct {
    size_t *settings; /* of those that are measured */
    double *lambdas;
    size_t n;
} Rungs;

double ridge_formula(double stretch, int64_t n_rot)
{
    double d = (double)n_rot;
    if (n_rot <= 2 || !isfinite(stretch)) return (double)NAN;
    return pow(fmax(1.0, stretch), d / (d - 2.0));
}

double ridge_lambda(const SeriesSetting *setting)
{
    if (str_equal(setting->method, "none")) return 1.0;
    return str_equal(setting->method, "ntk") ? setting->lambda : (double)NAN;
}

static Rungs find_rungs(const SeriesList *list, const Series *series, int64_t n_ctx)
{
    Rungs rungs = {.settings = mem_alloc(list->n_settings + 1, sizeof *rungs.settings),
                   .lambdas = mem_alloc(list->n_settings + 1, sizeof *rungs.lambdas)};
    for (size_t s = 0; s < list->n_settings; s++) {
        double lambda = ridge_lambda(&list->settings[s]);
        if (!(lambda > 0.0) || isnan(series_mean(series_cell(series, s, n_ctx)))) continue;
        rungs.settings[rungs.n] = s;
        rungs.lambdas[rungs.n++] = lambda;
    }
    return rungs;
}

static void free_rungs(Rungs *rungs)
{
    free(rungs->settings);
    free(rungs->lambdas);
}

/* Index of the best rung. */
static size_t find_best(const Series *series, const Rungs *rungs, int64_t n_ctx)
{
    double sign = series->is_hits ? -1.0 : 1.0;
    double least = (double)INFINITY;
    size_t best = 0;
    for (size_t i = 0; i < rungs->n; i++) {
        double loss = sign * series_mean(series_cell(series, rungs->settings[i], n_ctx));
        if (loss > least || (loss == least && rungs->lambdas[i] >= rungs->lambdas[best])) continue;
        least = loss;
        best = i;
    }
    return best;
}

/* Sets the least and largest λ that are not told from the best. */
static void set_range(const Series *series, const Rungs *rungs, size_t best, RidgePoint *point)
{
    double *p = mem_alloc(rungs->n, sizeof *p);
    const MixPart part = {point->n_ctx, 1.0};
    for (size_t i = 0; i < rungs->n; i++)
        p[i] = i == best ? (double)NAN
                         : yardstick_difference(series, rungs->settings[i], rungs->settings[best],
                                                &(Mix){&part, 1})
                               .p;
    stats_holm(p, rungs->n);
    point->low = point->high = point->best;
    for (size_t i = 0; i < rungs->n; i++) {
        /* A difference without a p-value cannot rule a λ out. */
        if (p[i] <= level) continue;
        point->low = fmin(point->low, rungs->lambdas[i]);
        point->high = fmax(point->high, rungs->lambdas[i]);
    }
    free(p);
}

/* False where the length has no best. */
static bool make_point(const SeriesList *list, const Series *series, bool compared,
                       RidgePoint *point)
{
    Rungs rungs = find_rungs(list, series, point->n_ctx);
    bool ok = rungs.n > 1;
    if (ok) {
        size_t best = find_best(series, &rungs, point->n_ctx);
        point->best = rungs.lambdas[best];
        point->value = series_mean(series_cell(series, rungs.settings[best], point->n_ctx));
        point->low = point->high = (double)NAN;
        point->n_lambdas = rungs.n;
        point->is_largest = true;
        for (size_t i = 0; i < rungs.n; i++)
            point->is_largest = point->is_largest && rungs.lambdas[i] <= point->best;
        ok = !series->is_hits || point->value > 0.0;
        if (ok && compared) set_range(series, &rungs, best, point);
    }
    free_rungs(&rungs);
    return ok;
}

/* Cells of plain scaling: as many comparisons are to be made. */
static size_t count_cells(const SeriesList *list, const Series *series)
{
    size_t n = 0;
    for (size_t i = 0; i < series->n_cells; i++)
        n += ridge_lambda(&list->settings[series->cells[i].setting]) > 0.0;
    return n;
}

/* The least length above another; INT64_MAX: none. */
static int64_t next_length(const Series *series, int64_t above)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < series->n_cells; i++)
        if (series->cells[i].n_ctx > above) next = min_i64(next, series->cells[i].n_ctx);
    return next;
}

Ridge ridge_make(const SeriesList *list, const Series *series)
{
    Ridge ridge = {0};
    bool compared = count_cells(list, series) <= RIDGE_MAX_COMPARED;
    for (int64_t n_ctx = next_length(series, 0); n_ctx < INT64_MAX;
         n_ctx = next_length(series, n_ctx)) {
        RidgePoint point = {.n_ctx = n_ctx};
        if (!make_point(list, series, compared, &point)) continue;
        ridge.points = mem_realloc(ridge.points, ridge.n + 1, sizeof *ridge.points);
        ridge.points[ridge.n++] = point;
    }
    return ridge;
}

void ridge_free(Ridge *ridge)
{
    free(ridge->points);
    *ridge = (Ridge){0};
}
