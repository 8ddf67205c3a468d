#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/grid.h"
#include "reports/knee.h"
#include "reports/report_internal.h"
#include "reports/text_table.h"

void grid_value_text(double value, const char *unit, char out[GRID_TEXT_SIZE])
{
    if (isnan(value))
        out[0] = '\0';
    else if (str_equal(unit, "fraction"))
        snprintf(out, GRID_TEXT_SIZE, "%.3g%%", 100.0 * value);
    else if (fabs(value) >= 1000.0 && fabs(value) < 1e7)
        snprintf(out, GRID_TEXT_SIZE, "%.0f", value);
    else
        snprintf(out, GRID_TEXT_SIZE, "%.4g", value);
}

/* Text from the database, safe to print. */
static char *safe_text(const char *text, GridStyle style)
{
    if (style == GRID_MARKDOWN) {
        Buf buf = {0};
        markdown_text(text, &buf);
        return buf_steal(&buf);
    }
    char plain[512];
    str_escape(text, strlen(text), plain, sizeof plain);
    return str_dup(plain);
}

static char *cell_text(const Grid *grid, const GridCell *cell, GridStyle style)
{
    char value[GRID_TEXT_SIZE];
    char low[GRID_TEXT_SIZE];
    char high[GRID_TEXT_SIZE];
    if (!cell->planned) return str_dup("");
    if (cell->status != CELL_DONE) return safe_text(cell_status_name(cell->status), style);
    grid_value_text(cell->value, grid->unit, value);
    grid_value_text(cell->ci_low, grid->unit, low);
    grid_value_text(cell->ci_high, grid->unit, high);
    if (style == GRID_PLAIN) return str_format("%s%s", cell->is_best ? "*" : "", value);
    const char *mark = cell->is_best ? "**" : "";
    if (!*low) return str_format("%s%s%s", mark, value, mark);
    return str_format("%s%s%s (%s to %s)", mark, value, mark, low, high);
}

static TextTable make_table(const Grid *grid, GridStyle style)
{
    TextTable table = text_table_new(grid->n_rows + 2, grid->n_cols + 1);
    text_table_set(&table, 0, 0, str_dup("n_ctx"));
    text_table_set(&table, table.n_rows - 1, 0, str_dup("lambda by formula"));
    for (size_t row = 0; row < grid->n_rows; row++)
        text_table_set(&table, row + 1, 0, safe_text(grid->rows[row].label, style));
    for (size_t col = 0; col < grid->n_cols; col++) {
        text_table_set(&table, 0, col + 1, str_format("%lld", (long long)grid->n_ctx[col]));
        for (size_t row = 0; row < grid->n_rows; row++)
            text_table_set(&table, row + 1, col + 1,
                           cell_text(grid, grid_cell(grid, row, col), style));
        char lambda[GRID_TEXT_SIZE];
        grid_value_text(grid->formula_lambda[col], "", lambda);
        text_table_set(&table, table.n_rows - 1, col + 1, str_dup(lambda));
    }
    return table;
}

static void put_heading(const Grid *grid, GridStyle style, Buf *out)
{
    static const char *const better[] = {", lower is better", "", ", higher is better"};
    char *parts[] = {safe_text(grid->model, style),  safe_text(grid->metric, style),
                     safe_text(grid->unit, style),   safe_text(grid->probe, style),
                     safe_text(grid->params, style), safe_text(grid->precision, style)};
    int direction = (grid->direction > 0) - (grid->direction < 0);
    buf_puts(out, style == GRID_MARKDOWN ? "### " : "");
    buf_printf(out, "%s: %s", parts[0], *parts[1] ? parts[1] : parts[3]);
    if (*parts[2]) buf_printf(out, " (%s%s)", parts[2], better[direction + 1]);
    buf_printf(out, "\n%s%s, %s, seed %lld, %s%s\n", style == GRID_MARKDOWN ? "\n" : "", parts[3],
               parts[4], (long long)grid->seed, parts[5],
               grid->limited ? "; limited: not to be quoted" : "");
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        free(parts[i]);
    if (style == GRID_MARKDOWN) buf_putc(out, '\n');
}

/* Says what a cell is a mean of and how its interval was made; the first done cell speaks for the grid where all agree. */
static void put_footing(const Grid *grid, GridStyle style, Buf *out)
{
    int64_t least = INT64_MAX;
    int64_t most = 0;
    const char *ci_method = NULL;
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++) {
        const GridCell *cell = &grid->cells[i];
        if (!cell->planned || cell->status != CELL_DONE) continue;
        least = min_i64(least, cell->n);
        most = max_i64(most, cell->n);
        if (!ci_method) ci_method = cell->ci_method;
    }
    if (style == GRID_MARKDOWN) buf_putc(out, '\n');
    if (most == 0) {
        buf_puts(out, "no cell is done\n");
        return;
    }
    char *method = safe_text(ci_method ? ci_method : "none", style);
    buf_printf(out, "%s best of its length, ties to the smallest lambda; n = %lld",
               style == GRID_MARKDOWN ? "Bold:" : "*", (long long)least);
    if (most != least) buf_printf(out, " to %lld", (long long)most);
    buf_printf(out, "; interval: %s\n", method);
    free(method);
}

/* What a grid of perplexities says of the trained length. */
static void put_knee(const Grid *grid, GridStyle style, Buf *out)
{
    Knee knee;
    if (grid->place != 0 || !knee_of_plain(grid, &knee)) return;
    if (style == GRID_MARKDOWN) buf_putc(out, '\n');
    knee_text(&knee, grid->n_ctx_claimed, out);
    buf_putc(out, '\n');
}

void grid_table(const Grid *grid, GridStyle style, Buf *out)
{
    put_heading(grid, style, out);
    TextTable table = make_table(grid, style);
    text_table_put(&table, style == GRID_MARKDOWN, out);
    text_table_free(&table);
    put_footing(grid, style, out);
    put_knee(grid, style, out);
}
