#include "reports/knee.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

/* Factor between knee and claim that is no disagreement: plain RoPE holds a little beyond the length it was trained at. */
static const double close_factor = 1.5;

static bool usable(double perplexity)
{
    return isfinite(perplexity) && perplexity > 0.0;
}

/* Where the straight line through two points, in logarithms, reaches a level between them. */
static double crossing(double x0, double y0, double x1, double y1, double level)
{
    double part = log(level / y0) / log(y1 / y0);
    return exp(log(x0) + part * log(x1 / x0));
}

bool knee_find(const int64_t *n_ctx, const double *perplexity, size_t n, Knee *out)
{
    size_t n_usable = 0;
    size_t lowest = n;
    for (size_t i = 0; i < n; i++) {
        if (!usable(perplexity[i])) continue;
        n_usable++;
        if (lowest == n || perplexity[i] < perplexity[lowest]) lowest = i;
    }
    if (n_usable < 2) return false;
    double limit = (1.0 + KNEE_RISE) * perplexity[lowest];
    size_t last = lowest;
    *out = (Knee){.minimum = perplexity[lowest], .min_n_ctx = n_ctx[lowest], .knee = (double)NAN};
    for (size_t i = lowest + 1; i < n && out->first_beyond == 0; i++) {
        if (!usable(perplexity[i])) continue;
        if (perplexity[i] > limit) {
            out->first_beyond = n_ctx[i];
            out->knee = crossing((double)n_ctx[last], perplexity[last], (double)n_ctx[i],
                                 perplexity[i], limit);
        } else {
            last = i;
        }
    }
    out->last_within = n_ctx[last];
    return true;
}

/* NaN for a cell that is not done. */
static double perplexity_of(const GridCell *cell, bool is_nll)
{
    if (!cell->planned || cell->status != CELL_DONE) return (double)NAN;
    return is_nll ? exp(cell->value) : cell->value;
}

bool knee_of_row(const Grid *grid, size_t row, Knee *out)
{
    bool is_nll = str_equal(grid->metric, "nll");
    if (!is_nll && !str_equal(grid->metric, "perplexity")) return false;
    double *values = mem_alloc(grid->n_cols + 1, sizeof *values);
    for (size_t col = 0; col < grid->n_cols; col++)
        values[col] = perplexity_of(grid_cell(grid, row, col), is_nll);
    bool found = knee_find(grid->n_ctx, values, grid->n_cols, out);
    free(values);
    return found;
}

size_t knee_plain_row(const Grid *grid)
{
    size_t row = 0;
    while (row < grid->n_rows && !str_equal(grid->rows[row].label, "none") &&
           !str_equal(grid->rows[row].label, "ntk:lambda=1"))
        row++;
    return row;
}

bool knee_of_plain(const Grid *grid, Knee *out)
{
    size_t row = knee_plain_row(grid);
    return row < grid->n_rows && knee_of_row(grid, row, out);
}

KneeVerdict knee_against_claim(const Knee *knee, int64_t claimed)
{
    double claim = (double)claimed;
    if (claimed <= 0) return KNEE_OPEN;
    if (knee->first_beyond == 0)
        return (double)knee->last_within > close_factor * claim ? KNEE_LONGER : KNEE_OPEN;
    if (knee->last_within <= claimed && claimed < knee->first_beyond) return KNEE_AGREES;
    if (knee->knee <= close_factor * claim && claim <= close_factor * knee->knee)
        return KNEE_AGREES;
    return knee->knee > claim ? KNEE_LONGER : KNEE_SHORTER;
}

static void put_measured(const Knee *knee, Buf *out)
{
    if (knee->first_beyond)
        buf_printf(out, "%.0f tokens", knee->knee);
    else
        buf_printf(out, "not reached at %lld tokens", (long long)knee->last_within);
    buf_printf(out, " (first +%.0f %% over the lowest perplexity, %.4g at %lld", 100.0 * KNEE_RISE,
               knee->minimum, (long long)knee->min_n_ctx);
    if (knee->first_beyond)
        buf_printf(out, "; interpolated in log n_ctx and log perplexity between %lld and %lld",
                   (long long)knee->last_within, (long long)knee->first_beyond);
    buf_putc(out, ')');
}

void knee_text(const Knee *knee, int64_t claimed, Buf *out)
{
    static const char *const verdicts[] = {
        [KNEE_OPEN] = "",
        [KNEE_AGREES] = ": they agree",
        [KNEE_LONGER] = ": they disagree, plain RoPE holds for longer than claimed",
        [KNEE_SHORTER] = ": they disagree, plain RoPE fails within the claimed length",
    };
    buf_puts(out, "trained length: ");
    if (claimed > 0)
        buf_printf(out, "%lld claimed, ", (long long)claimed);
    else
        buf_puts(out, "none claimed, ");
    buf_puts(out, "measured knee of plain RoPE ");
    put_measured(knee, out);
    buf_puts(out, verdicts[knee_against_claim(knee, claimed)]);
}
