/* Grids as figures: for the first metric of each probe a line chart, a heat map and a table of the same numbers; the other
 * metrics as heat maps that open on demand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/chart.h"
#include "reports/knee.h"
#include "reports/page.h"

/* Methods stand together, and get hues in the order in which they appear; within a method the tone rises with the row, and so with
 * lambda or factor. No scaling is neutral. */
static void method_looks(const char *const *methods, size_t n, ChartLook *looks)
{
    int hue = -1;
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        bool new_method = i == 0 || !str_equal(methods[i], methods[i - 1]);
        bool neutral = str_equal(methods[i], "none");
        if (new_method) first = i;
        if (new_method && !neutral) hue++;
        size_t end = i + 1;
        while (end < n && str_equal(methods[end], methods[i]))
            end++;
        double n_steps = (double)(end - first - 1);
        looks[i] = (ChartLook){.hue = neutral ? -1 : hue,
                               .tone = n_steps > 0 ? (double)(i - first) / n_steps : 0.7};
    }
}

void page_setting_looks(const SeriesList *list, ChartLook *looks)
{
    const char **methods = mem_alloc(list->n_settings + 1, sizeof *methods);
    for (size_t i = 0; i < list->n_settings; i++)
        methods[i] = list->settings[i].method;
    method_looks(methods, list->n_settings, looks);
    free(methods);
}

void page_looks(const Grid *grid, ChartLook *looks)
{
    const char **methods = mem_alloc(grid->n_rows + 1, sizeof *methods);
    for (size_t row = 0; row < grid->n_rows; row++)
        methods[row] = grid->rows[row].method;
    method_looks(methods, grid->n_rows, looks);
    free(methods);
}

static char *chart_sentence(const char *kind, const Grid *grid)
{
    return str_format("%s of %s (%s) for %zu settings at %zu lengths; the table under it holds the "
                      "same numbers",
                      kind, *grid->metric ? grid->metric : grid->probe, grid->unit, grid->n_rows,
                      grid->n_cols);
}

/* Notes of all cells, row by row; each is to be freed, then the array. */
static char **make_notes(const Grid *grid)
{
    char **notes = mem_zalloc(grid->n_rows * grid->n_cols + 1, sizeof *notes);
    for (size_t row = 0; row < grid->n_rows; row++)
        for (size_t col = 0; col < grid->n_cols; col++)
            notes[row * grid->n_cols + col] = page_cell_note(
                grid, grid_cell(grid, row, col), grid->n_ctx[col], grid->rows[row].label);
    return notes;
}

static void free_notes(const Grid *grid, char **notes)
{
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++)
        free(notes[i]);
    free(notes);
}

static ChartPoint *make_points(const Grid *grid, char **notes)
{
    ChartPoint *points = mem_zalloc(grid->n_rows * grid->n_cols + 1, sizeof *points);
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++) {
        const GridCell *cell = &grid->cells[i];
        bool done = cell->planned && cell->status == CELL_DONE;
        points[i] = (ChartPoint){.x = (double)grid->n_ctx[i % grid->n_cols],
                                 .y = done ? cell->value : (double)NAN,
                                 .low = done ? cell->ci_low : (double)NAN,
                                 .high = done ? cell->ci_high : (double)NAN,
                                 .note = notes[i]};
    }
    return points;
}

const char *page_origin(const Grid *grid)
{
    return grid->n_ctx_orig == grid->n_ctx_claimed ? "claimed" : "given";
}

void page_marks(const Grid *grid, PageMarks *out)
{
    Knee knee = {.knee = (double)NAN};
    *out = (PageMarks){0};
    if (!knee_of_plain(grid, &knee)) knee.knee = (double)NAN;
    snprintf(out->labels[0], sizeof out->labels[0], "%s: %lld", page_origin(grid),
             (long long)grid->n_ctx_orig);
    snprintf(out->labels[1], sizeof out->labels[1], "measured knee: %.0f", knee.knee);
    out->items[0] =
        (ChartMark){grid->n_ctx_orig > 0 ? (double)grid->n_ctx_orig : (double)NAN, out->labels[0]};
    out->items[1] = (ChartMark){knee.knee, out->labels[1]};
}

static void put_lines(Page *page, const Grid *grid, char **notes)
{
    ChartLook *looks = mem_zalloc(grid->n_rows + 1, sizeof *looks);
    ChartSeries *series = mem_zalloc(grid->n_rows + 1, sizeof *series);
    ChartPoint *points = make_points(grid, notes);
    page_looks(grid, looks);
    for (size_t row = 0; row < grid->n_rows; row++)
        series[row] = (ChartSeries){.name = grid->rows[row].label,
                                    .look = looks[row],
                                    .points = points + row * grid->n_cols,
                                    .n_points = grid->n_cols};
    char *sentence = chart_sentence("Line chart", grid);
    PageMarks marks;
    page_marks(grid, &marks);
    LineChart chart = {.sentence = sentence,
                       .x_label = "n_ctx (tokens)",
                       .y_label = *grid->metric ? grid->metric : grid->probe,
                       .unit = grid->unit,
                       .marks = marks.items,
                       .n_marks = COUNT_OF(marks.items),
                       .series = series,
                       .n_series = grid->n_rows};
    buf_puts(page->out, "<figure>\n");
    page_lines(page, grid->metric, &chart);
    buf_puts(page->out, "</figure>\n");
    free(sentence);
    free(points);
    free(series);
    free(looks);
}

/* Range of the done cells; a fraction's is 0 to 1. */
void page_value_range(const Grid *grid, double *low, double *high)
{
    *low = 0.0;
    *high = 1.0;
    if (str_equal(grid->unit, "fraction")) return;
    bool first = true;
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++) {
        const GridCell *cell = &grid->cells[i];
        if (!cell->planned || cell->status != CELL_DONE || !isfinite(cell->value)) continue;
        *low = first ? cell->value : fmin(*low, cell->value);
        *high = first ? cell->value : fmax(*high, cell->value);
        first = false;
    }
}

/* What a cell shows that is not done: short enough for the cell, the note has the rest. */
static const char *short_status(CellStatus status)
{
    static const char *const names[CELL_STATUS_COUNT] = {
        [CELL_PENDING] = "pending",
        [CELL_DONE] = "",
        [CELL_INVALID] = "invalid",
        [CELL_UNSUPPORTED] = "unsupp.",
        [CELL_NONFINITE] = "nonfinite",
        [CELL_SKIPPED_MEMORY] = "memory",
        [CELL_SKIPPED_SHORT_TEXT] = "short text",
        [CELL_OVER_LIMIT] = "over limit",
        [CELL_TRUNCATED] = "truncated",
        [CELL_FAILED] = "failed",
    };
    return names[status];
}

typedef char ValueText[GRID_TEXT_SIZE];

static HeatCell *make_heat_cells(const Grid *grid, char **notes, ValueText *texts)
{
    HeatCell *cells = mem_zalloc(grid->n_rows * grid->n_cols + 1, sizeof *cells);
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++) {
        const GridCell *cell = &grid->cells[i];
        bool done = cell->status == CELL_DONE;
        if (!cell->planned) continue;
        grid_value_text(cell->value, grid->unit, texts[i]);
        cells[i] = (HeatCell){.value = done ? cell->value : (double)NAN,
                              .text = done ? texts[i] : short_status(cell->status),
                              .note = notes[i],
                              .hatched = !done,
                              .ringed = cell->is_best};
    }
    return cells;
}

/* Lengths within the trained one. */
static size_t count_inside(const Grid *grid)
{
    size_t n = 0;
    while (n < grid->n_cols && grid->n_ctx[n] <= grid->n_ctx_orig)
        n++;
    return n;
}

/* Column labels: the length and, unless compact, the formula's lambda. */
static HeatLabel *make_column_labels(const Grid *grid, ValueText *lengths, ValueText *lambdas)
{
    HeatLabel *labels = mem_zalloc(grid->n_cols + 1, sizeof *labels);
    for (size_t col = 0; col < grid->n_cols; col++) {
        snprintf(lengths[col], GRID_TEXT_SIZE, "%lld", (long long)grid->n_ctx[col]);
        grid_value_text(grid->formula_lambda[col], "", lambdas[col]);
        labels[col] = (HeatLabel){.label = lengths[col], .sub = lambdas[col]};
    }
    return labels;
}

void page_heat(Page *page, const Grid *grid, double low, double high, bool compact)
{
    size_t n_cells = grid->n_rows * grid->n_cols;
    char **notes = make_notes(grid);
    ValueText *texts = mem_zalloc(n_cells + 1, sizeof *texts);
    ValueText *lengths = mem_zalloc(grid->n_cols + 1, sizeof *lengths);
    ValueText *lambdas = mem_zalloc(grid->n_cols + 1, sizeof *lambdas);
    HeatLabel *rows = mem_zalloc(grid->n_rows + 1, sizeof *rows);
    HeatLabel *cols = make_column_labels(grid, lengths, lambdas);
    HeatCell *cells = make_heat_cells(grid, notes, texts);
    for (size_t row = 0; row < grid->n_rows; row++)
        rows[row].label = grid->rows[row].label;
    char *sentence = chart_sentence("Heat map", grid);
    FormulaMarks marks = {0};
    if (!compact) marks = page_formula_marks(grid);
    HeatMap map = {.sentence = sentence,
                   .sub_name = compact ? NULL : "λ by formula",
                   .rows = rows,
                   .cols = cols,
                   .n_rows = grid->n_rows,
                   .n_cols = grid->n_cols,
                   .cells = cells,
                   .low = low,
                   .high = high,
                   .direction = grid->direction,
                   .n_inside = count_inside(grid),
                   .compact = compact,
                   .marks = marks.items,
                   .n_marks = marks.n,
                   .mark_name = "by formula"};
    page_heat_map(page, *grid->metric ? grid->metric : grid->probe, &map);
    if (!compact && *grid->metric) {
        ValueText ends[2];
        grid_value_text(low, grid->unit, ends[0]);
        grid_value_text(high, grid->unit, ends[1]);
        chart_heat_key(&map, ends[0], ends[1], page->out);
    }
    page_free_formula_marks(&marks);
    free(sentence);
    free(cells);
    free(cols);
    free(rows);
    free(lambdas);
    free(lengths);
    free(texts);
    free_notes(grid, notes);
}

static void put_heat_figure(Page *page, const Grid *grid)
{
    double low;
    double high;
    page_value_range(grid, &low, &high);
    buf_puts(page->out, "<figure class=\"scroll\">\n");
    page_heat(page, grid, low, high, false);
    buf_puts(page->out, "</figure>\n");
}

static void put_table_cell(const Grid *grid, const GridCell *cell, Buf *out)
{
    char value[GRID_TEXT_SIZE];
    char low[GRID_TEXT_SIZE];
    char high[GRID_TEXT_SIZE];
    if (!cell->planned) {
        buf_puts(out, "<td></td>");
        return;
    }
    if (cell->status != CELL_DONE) {
        buf_printf(out, "<td class=\"status\">%s</td>", cell_status_name(cell->status));
        return;
    }
    grid_value_text(cell->value, grid->unit, value);
    grid_value_text(cell->ci_low, grid->unit, low);
    grid_value_text(cell->ci_high, grid->unit, high);
    buf_printf(out, cell->is_best ? "<td><b>%s</b>" : "<td>%s", value);
    if (*low && *high) buf_printf(out, " <small>%s to %s</small>", low, high);
    buf_printf(out, " <small>n %lld</small></td>", (long long)cell->n);
}

void page_grid_table(Page *page, const Grid *grid)
{
    Buf *out = page->out;
    buf_puts(
        out,
        "<details><summary>The numbers, with intervals and n</summary>\n<div class=\"scroll\"><table>\n"
        "<thead><tr><th scope=\"col\">setting</th>");
    for (size_t col = 0; col < grid->n_cols; col++)
        buf_printf(out, "<th scope=\"col\">%lld</th>", (long long)grid->n_ctx[col]);
    buf_puts(out, "</tr></thead>\n<tbody>\n");
    for (size_t row = 0; row < grid->n_rows; row++) {
        buf_puts(out, "<tr><th scope=\"row\">");
        html_text(out, grid->rows[row].label);
        buf_puts(out, "</th>");
        for (size_t col = 0; col < grid->n_cols; col++)
            put_table_cell(grid, grid_cell(grid, row, col), out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</tbody></table></div></details>\n");
}

/* Claim and measurement of the trained length. */
static void put_knee(const Grid *grid, Buf *out)
{
    Knee knee;
    Buf text = {0};
    if (!knee_of_plain(grid, &knee)) return;
    KneeVerdict verdict = knee_against_claim(&knee, grid->n_ctx_claimed);
    bool disagree = verdict == KNEE_LONGER || verdict == KNEE_SHORTER;
    knee_text(&knee, grid->n_ctx_claimed, &text);
    buf_puts(out, disagree ? "<p class=\"warn\">" : "<p>");
    html_text(out, buf_text(&text));
    buf_puts(out, "</p>\n");
    buf_free(&text);
}

/* A grid without a metric has no cell that is done: its map tells why, and there is nothing else to show. */
static void put_main_grid(Page *page, const Grid *grid)
{
    page_grid_heading(page, grid);
    put_knee(grid, page->out);
    buf_puts(page->out, "<div class=\"pair\">\n");
    put_heat_figure(page, grid);
    if (*grid->metric) {
        char **notes = make_notes(grid);
        put_lines(page, grid, notes);
        free_notes(grid, notes);
    }
    buf_puts(page->out, "</div>\n");
    page_grid_table(page, grid);
}

static void put_other_grid(Page *page, const Grid *grid)
{
    buf_puts(page->out, "<details><summary>");
    html_printf(page->out, "%s (%s%s%s)", grid->metric, grid->unit, grid->direction ? ", " : "",
                page_direction(grid->direction));
    buf_puts(page->out, "</summary>\n");
    put_heat_figure(page, grid);
    page_grid_table(page, grid);
    buf_puts(page->out, "</details>\n");
}

bool page_grids(Page *page, Err *err)
{
    (void)err;
    for (size_t i = 0; i < page->grids.n; i++) {
        const Grid *grid = &page->grids.items[i];
        if (grid->place == 0)
            put_main_grid(page, grid);
        else
            put_other_grid(page, grid);
    }
    return true;
}
