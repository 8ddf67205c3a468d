/* Where the formula's answer for each length lies among the rows that were measured: λ(m) among the settings of ntk, m/m_l among those of
 * linear and pi. Between two rows it lies as far as its logarithm does; 1 is no scaling. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/knee.h"
#include "reports/page.h"

/* Rows first … end - 1 are one method's, by rising parameter. */
typedef struct {
    size_t first;
    size_t end;
    bool by_lambda;
} Ladder;

static double rung(const Grid *grid, const Ladder *ladder, size_t row)
{
    return ladder->by_lambda ? grid->rows[row].lambda : grid->rows[row].factor;
}

/* The ladder that begins at a row; false when none does. */
static bool ladder_at(const Grid *grid, size_t row, Ladder *out)
{
    const char *method = grid->rows[row].method;
    *out = (Ladder){.first = row, .end = row, .by_lambda = str_equal(method, "ntk")};
    if (!out->by_lambda && !str_equal(method, "linear") && !str_equal(method, "pi")) return false;
    while (out->end < grid->n_rows && str_equal(grid->rows[out->end].method, method) &&
           rung(grid, out, out->end) > 0.0)
        out->end++;
    return out->end > row;
}

/* What the formula answers for a column; NaN where the trained length is not known. */
static double answer(const Grid *grid, const Ladder *ladder, size_t col)
{
    if (ladder->by_lambda) return grid->formula_lambda[col];
    if (grid->n_ctx_orig <= 0) return (double)NAN;
    return fmax(1.0, (double)grid->n_ctx[col] / (double)grid->n_ctx_orig);
}

/* The place of a value on a ladder; NaN where it lies beyond its ends. */
static double place_on(const Grid *grid, const Ladder *ladder, double value)
{
    const double rounding = 1e-9;
    size_t plain = knee_plain_row(grid);
    if (value == 1.0 && plain < grid->n_rows) return (double)plain;
    for (size_t row = ladder->first; row < ladder->end; row++) {
        double here = rung(grid, ladder, row);
        if (fabs(value / here - 1.0) < rounding) return (double)row;
        if (row + 1 == ladder->end) break;
        double next = rung(grid, ladder, row + 1);
        if (here < value && value < next) return (double)row + log(value / here) / log(next / here);
    }
    return (double)NAN;
}

/* Adds a mark unless another method's stands there. */
static void add_mark(FormulaMarks *marks, const Grid *grid, const Ladder *ladder, size_t col)
{
    double value = answer(grid, ladder, col);
    double row = place_on(grid, ladder, value);
    if (isnan(row)) return;
    for (size_t i = 0; i < marks->n; i++)
        if (marks->items[i].col == col && marks->items[i].row == row) return;
    marks->items = mem_realloc(marks->items, marks->n + 1, sizeof *marks->items);
    marks->notes = mem_realloc(marks->notes, marks->n + 1, sizeof *marks->notes);
    marks->notes[marks->n] =
        str_format("%s by formula for %lld tokens: %.4g", ladder->by_lambda ? "λ" : "factor",
                   (long long)grid->n_ctx[col], value);
    marks->items[marks->n] = (HeatMark){.col = col, .row = row, .note = marks->notes[marks->n]};
    marks->n++;
}

FormulaMarks page_formula_marks(const Grid *grid)
{
    FormulaMarks marks = {0};
    for (size_t row = 0; row < grid->n_rows;) {
        Ladder ladder;
        bool found = ladder_at(grid, row, &ladder);
        for (size_t col = 0; found && col < grid->n_cols; col++)
            add_mark(&marks, grid, &ladder, col);
        row = found ? ladder.end : row + 1;
    }
    return marks;
}

void page_free_formula_marks(FormulaMarks *marks)
{
    for (size_t i = 0; i < marks->n; i++)
        free(marks->notes[i]);
    free(marks->notes);
    free(marks->items);
}
