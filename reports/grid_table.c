/* Grids as text: first a matrix of finished strings, then one pass for the widths and one to print, so that the
 * terminal's table and the Markdown one differ in their separators alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/grid.h"
#include "reports/knee.h"
#include "reports/report_internal.h"

typedef struct {
    char **texts; /* [n_rows][n_cols]; NULL: empty */
    size_t n_rows;
    size_t n_cols;
    size_t *widths; /* in characters */
} Table;

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

static size_t width_of(const char *text)
{
    size_t width = 0;
    size_t left = strlen(text);
    while (left > 0) {
        int n = str_utf8_char(text, left, NULL);
        text += n ? n : 1;
        left -= n ? (size_t)n : 1;
        width++;
    }
    return width;
}

static void set_text(Table *table, size_t row, size_t col, char *text)
{
    table->texts[row * table->n_cols + col] = text;
    table->widths[col] = (size_t)max_i64((int64_t)table->widths[col], (int64_t)width_of(text));
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

static Table make_table(const Grid *grid, GridStyle style)
{
    Table table = {.n_rows = grid->n_rows + 2, .n_cols = grid->n_cols + 1};
    table.texts = mem_zalloc(table.n_rows * table.n_cols, sizeof *table.texts);
    table.widths = mem_zalloc(table.n_cols, sizeof *table.widths);
    set_text(&table, 0, 0, str_dup("n_ctx"));
    set_text(&table, table.n_rows - 1, 0, str_dup("lambda by formula"));
    for (size_t row = 0; row < grid->n_rows; row++)
        set_text(&table, row + 1, 0, safe_text(grid->rows[row].label, style));
    for (size_t col = 0; col < grid->n_cols; col++) {
        set_text(&table, 0, col + 1, str_format("%lld", (long long)grid->n_ctx[col]));
        for (size_t row = 0; row < grid->n_rows; row++)
            set_text(&table, row + 1, col + 1, cell_text(grid, grid_cell(grid, row, col), style));
        char lambda[GRID_TEXT_SIZE];
        grid_value_text(grid->formula_lambda[col], "", lambda);
        set_text(&table, table.n_rows - 1, col + 1, str_dup(lambda));
    }
    return table;
}

static void free_table(Table *table)
{
    for (size_t i = 0; i < table->n_rows * table->n_cols; i++)
        free(table->texts[i]);
    free(table->texts);
    free(table->widths);
}

static void pad(Buf *out, char with, size_t n)
{
    while (n-- > 0)
        buf_putc(out, with);
}

/* Labels stand left, numbers right. */
static void put_row(const Table *table, size_t row, GridStyle style, Buf *out)
{
    if (style == GRID_MARKDOWN) buf_puts(out, "| ");
    for (size_t col = 0; col < table->n_cols; col++) {
        const char *text = table->texts[row * table->n_cols + col];
        size_t gap = table->widths[col] - width_of(text);
        if (col > 0) buf_puts(out, style == GRID_MARKDOWN ? " | " : "  ");
        if (col > 0) pad(out, ' ', gap);
        buf_puts(out, text);
        if (col == 0) pad(out, ' ', gap);
    }
    buf_puts(out, style == GRID_MARKDOWN ? " |\n" : "\n");
}

static void put_rule(const Table *table, Buf *out)
{
    for (size_t col = 0; col < table->n_cols; col++) {
        buf_puts(out, col == 0 ? "|:" : "|");
        pad(out, '-', table->widths[col] + 1);
        if (col > 0) buf_putc(out, ':');
    }
    buf_puts(out, "|\n");
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
    Table table = make_table(grid, style);
    for (size_t row = 0; row < table.n_rows; row++) {
        put_row(&table, row, style, out);
        if (row == 0 && style == GRID_MARKDOWN) put_rule(&table, out);
    }
    free_table(&table);
    put_footing(grid, style, out);
    put_knee(grid, style, out);
}
