/* What lies under a grid: hits by depth and length for each setting, and loss by position in the window. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/stats.h"
#include "reports/stmt.h"

/* One small map a setting; nothing where the probe has fewer than two depths. */
static bool put_depths_of(Page *page, const Grid *grid, bool *heading, Err *err)
{
    double low;
    double high;
    page_value_range(grid, &low, &high);
    for (size_t row = 0; row < grid->n_rows; row++) {
        Grid depths;
        if (!grid_load_depths(page->store, page->options->run_id, grid, row, &depths, err))
            return false;
        if (depths.n_rows > 1) {
            if (!*heading) {
                page_grid_heading(page, grid);
                buf_puts(page->out, "<div class=\"multiples\">\n");
            }
            *heading = true;
            buf_puts(page->out, "<figure><figcaption>");
            html_text(page->out, grid->rows[row].label);
            buf_puts(page->out, "</figcaption>\n");
            page_heat(page, &depths, low, high, true);
            page_grid_table(page, &depths);
            buf_puts(page->out, "</figure>\n");
        }
        grid_free_depths(&depths);
    }
    return true;
}

bool page_depths(Page *page, Err *err)
{
    for (size_t i = 0; i < page->grids.n; i++) {
        bool heading = false;
        if (page->grids.items[i].place != 0) continue;
        if (!put_depths_of(page, &page->grids.items[i], &heading, err)) return false;
        if (heading) buf_puts(page->out, "</div>\n");
    }
    return true;
}

enum {
    MIN_CURVE = 3, /* points; fewer show no course of the loss */
};

/* Buckets of one cell as the points of a series. */
typedef struct {
    ChartPoint *points;
    char **notes; /* of the points */
    size_t n;
} PositionCurve;

static void free_curve(PositionCurve *curve)
{
    for (size_t i = 0; i < curve->n; i++)
        free(curve->notes[i]);
    free(curve->notes);
    free(curve->points);
}

/* Adds the mean of a bucket, at the geometric middle of its positions. */
static void add_bucket(PositionCurve *curve, const ClusterSum *clusters, size_t n_clusters,
                       const int64_t range[2])
{
    double mean;
    double se;
    stats_clustered_mean(clusters, n_clusters, &mean, &se);
    double half = isnan(se) ? (double)NAN : se * stats_t95((int64_t)n_clusters - 1);
    int64_t n = 0;
    for (size_t i = 0; i < n_clusters; i++)
        n += clusters[i].n;
    char *note =
        isnan(half) ? str_format("positions %lld to %lld: %.4g nats/token, n = %lld",
                                 (long long)range[0], (long long)range[1], mean, (long long)n)
                    : str_format("positions %lld to %lld: %.4g (%.4g to %.4g) nats/token, n = %lld",
                                 (long long)range[0], (long long)range[1], mean, mean - half,
                                 mean + half, (long long)n);
    curve->points = mem_realloc(curve->points, curve->n + 1, sizeof *curve->points);
    curve->notes = mem_realloc(curve->notes, curve->n + 1, sizeof *curve->notes);
    curve->notes[curve->n] = note;
    curve->points[curve->n++] = (ChartPoint){
        .x = sqrt(((double)range[0] + 1.0) * ((double)range[1] + 1.0)),
        .y = mean,
        .low = mean - half,
        .high = mean + half,
        .note = note,
    };
}

/* Reads the buckets of a cell; rows come bucket by bucket, a row a cluster. */
static bool read_curve(Stmt *stmt, PositionCurve *curve, Err *err)
{
    ClusterSum *clusters = NULL;
    size_t n_clusters = 0;
    int64_t bucket = -1;
    int64_t range[2] = {0, 0};
    bool row;
    bool ok;
    while ((ok = stmt_next(stmt, &row, err)) && row) {
        if (n_clusters && stmt_i64(stmt, 0) != bucket) {
            add_bucket(curve, clusters, n_clusters, range);
            n_clusters = 0;
        }
        bucket = stmt_i64(stmt, 0);
        range[0] = stmt_i64(stmt, 1);
        range[1] = stmt_i64(stmt, 2);
        clusters = mem_realloc(clusters, n_clusters + 1, sizeof *clusters);
        clusters[n_clusters++] = (ClusterSum){.sum = stmt_double(stmt, 4),
                                              .n = min_i64(stmt_i64(stmt, 3), (int64_t)1 << 40)};
    }
    if (ok && n_clusters) add_bucket(curve, clusters, n_clusters, range);
    free(clusters);
    return ok;
}

static bool load_curves(Page *page, const Grid *grid, size_t col, PositionCurve *curves, Err *err)
{
    Stmt stmt;
    bool ok =
        stmt_open(store_sqlite(page->store),
                  "SELECT bucket, first, last, n, sum FROM position_nll WHERE cell_id = ? AND n > 0"
                  " ORDER BY bucket, cluster",
                  &stmt, err);
    for (size_t row = 0; ok && row < grid->n_rows; row++) {
        const GridCell *cell = grid_cell(grid, row, col);
        if (cell->status != CELL_DONE || cell->cell_id == 0) continue;
        stmt_reset(&stmt);
        stmt_put_i64(&stmt, cell->cell_id);
        ok = read_curve(&stmt, &curves[row], err);
    }
    stmt_close(&stmt);
    return ok;
}

static void put_curve_table(const Grid *grid, const PositionCurve *curves, Buf *out)
{
    buf_puts(out, "<details><summary>The numbers</summary>\n<ul class=\"numbers\">\n");
    for (size_t row = 0; row < grid->n_rows; row++) {
        if (curves[row].n == 0) continue;
        buf_puts(out, "<li><b>");
        html_text(out, grid->rows[row].label);
        buf_puts(out, "</b><ul>");
        for (size_t i = 0; i < curves[row].n; i++) {
            buf_puts(out, "<li>");
            html_text(out, curves[row].points[i].note);
            buf_puts(out, "</li>");
        }
        buf_puts(out, "</ul></li>\n");
    }
    buf_puts(out, "</ul></details>\n");
}

static void put_curves(Page *page, const Grid *grid, size_t col, const PositionCurve *curves)
{
    ChartLook *looks = mem_zalloc(grid->n_rows + 1, sizeof *looks);
    ChartSeries *series = mem_zalloc(grid->n_rows + 1, sizeof *series);
    size_t n_series = 0;
    page_looks(grid, looks);
    for (size_t row = 0; row < grid->n_rows; row++)
        if (curves[row].n)
            series[n_series++] = (ChartSeries){.name = grid->rows[row].label,
                                               .look = looks[row],
                                               .points = curves[row].points,
                                               .n_points = curves[row].n};
    char *sentence = str_format("Line chart of nll against the position in windows of %lld tokens "
                                "for %zu settings; the table under it holds the same numbers",
                                (long long)grid->n_ctx[col], n_series);
    PageMarks marks;
    page_marks(grid, &marks);
    LineChart chart = {.sentence = sentence,
                       .x_label = "position in the window (tokens)",
                       .y_label = "nll (nats/token)",
                       .unit = "nats/token",
                       .marks = marks.items,
                       .n_marks = COUNT_OF(marks.items),
                       .series = series,
                       .n_series = n_series};
    buf_printf(page->out,
               "<figure class=\"wide\"><figcaption>windows of %lld tokens</figcaption>\n",
               (long long)grid->n_ctx[col]);
    page_lines(page, grid->metric, &chart);
    put_curve_table(grid, curves, page->out);
    buf_puts(page->out, "</figure>\n");
    free(sentence);
    free(series);
    free(looks);
}

/* What a probe has to show by position. */
typedef struct {
    bool drawn; /* the first length has stood; the others are folded away */
    Buf narrow; /* the lengths without a curve, each after ", " */
} Positions;

/* The most points of any curve. */
static size_t longest_curve(const PositionCurve *curves, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (curves[i].n > longest) longest = curves[i].n;
    return longest;
}

/* Draws one length, or notes that it has no curve. */
static bool put_positions_at(Page *page, const Grid *grid, size_t col, Positions *state, Err *err)
{
    PositionCurve *curves = mem_zalloc(grid->n_rows + 1, sizeof *curves);
    bool ok = load_curves(page, grid, col, curves, err);
    size_t n_points = ok ? longest_curve(curves, grid->n_rows) : 0;
    if (n_points > 0 && n_points < MIN_CURVE) {
        buf_printf(&state->narrow, ", %lld", (long long)grid->n_ctx[col]);
    } else if (n_points > 0) {
        if (!state->drawn)
            page_grid_heading(page, grid);
        else
            buf_printf(page->out, "<details><summary>windows of %lld tokens</summary>\n",
                       (long long)grid->n_ctx[col]);
        put_curves(page, grid, col, curves);
        if (state->drawn) buf_puts(page->out, "</details>\n");
        state->drawn = true;
    }
    for (size_t row = 0; row < grid->n_rows; row++)
        free_curve(&curves[row]);
    free(curves);
    return ok;
}

static void put_narrow(Page *page, const Grid *grid, Positions *state)
{
    if (state->narrow.len == 0) return;
    if (!state->drawn) page_grid_heading(page, grid);
    buf_puts(page->out, "<p>");
    html_printf(
        page->out,
        "Windows of %s tokens: every token that is scored stands at the same end of them, and "
        "there is no curve to draw; their loss is that of the length. protocol=truncated "
        "scores every position.",
        buf_text(&state->narrow) + 2);
    buf_puts(page->out, "</p>\n");
}

bool page_positions(Page *page, Err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < page->grids.n; i++) {
        const Grid *grid = &page->grids.items[i];
        Positions state = {0};
        for (size_t col = grid->n_cols; ok && grid->place == 0 && col-- > 0;)
            ok = put_positions_at(page, grid, col, &state, err);
        if (ok) put_narrow(page, grid, &state);
        buf_free(&state.narrow);
    }
    return ok;
}
