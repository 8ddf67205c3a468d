/* The spectrum of θ′: how many tokens each pair takes for a turn under every setting of a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/stmt.h"

enum { MAX_PAIRS = 1 << 12 };

typedef struct {
    ChartPoint *points; /* [n_rows][MAX_PAIRS at most] */
    size_t n;
} Spectrum;

static bool read_spectrum(Stmt *stmt, const Grid *grid, size_t row, Spectrum *out, Err *err)
{
    const double two_pi = 6.283185307179586476925;
    bool any;
    bool ok;
    stmt_reset(stmt);
    stmt_put_text(stmt, grid->rows[row].key);
    stmt_put_i64(stmt, grid->n_ctx[grid->n_cols - 1]);
    while ((ok = stmt_next(stmt, &any, err)) && any && out->n < MAX_PAIRS) {
        double scaled = stmt_double(stmt, 1);
        out->points = mem_realloc(out->points, out->n + 1, sizeof *out->points);
        out->points[out->n++] = (ChartPoint){.x = (double)stmt_i64(stmt, 0),
                                             .y = scaled > 0.0 ? two_pi / scaled : (double)NAN,
                                             .low = (double)NAN,
                                             .high = (double)NAN};
    }
    return ok;
}

static bool load_spectra(Page *page, const Grid *grid, Spectrum *spectra, Err *err)
{
    Stmt stmt;
    bool ok = stmt_open(store_sqlite(page->store),
                        "SELECT pair, theta_scaled FROM setting_pair WHERE setting_key = ?"
                        " AND n_ctx IN (0, ?) ORDER BY pair",
                        &stmt, err);
    for (size_t row = 0; ok && row < grid->n_rows; row++)
        ok = read_spectrum(&stmt, grid, row, &spectra[row], err);
    stmt_close(&stmt);
    return ok;
}

/* Pairs that turned fully when the model was trained; -1 where it is not stored. */
static bool load_n_turning(Page *page, const Grid *grid, int64_t *out, Err *err)
{
    Stmt stmt;
    bool any = false;
    bool ok =
        stmt_open(store_sqlite(page->store),
                  "SELECT value FROM prediction WHERE model_hash = ? AND quantity = 'pairs_turning'"
                  " ORDER BY setting_key, n_ctx LIMIT 1",
                  &stmt, err);
    if (ok) {
        stmt_put_text(&stmt, grid->model_hash);
        ok = stmt_next(&stmt, &any, err);
    }
    *out = ok && any ? stmt_i64(&stmt, 0) : -1;
    stmt_close(&stmt);
    return ok;
}

static void put_spectra(Page *page, const Grid *grid, const Spectrum *spectra, int64_t n_turning)
{
    ChartLook *looks = mem_zalloc(grid->n_rows + 1, sizeof *looks);
    ChartSeries *series = mem_zalloc(grid->n_rows + 1, sizeof *series);
    page_looks(grid, looks);
    for (size_t row = 0; row < grid->n_rows; row++)
        series[row] = (ChartSeries){.name = grid->rows[row].label,
                                    .look = looks[row],
                                    .points = spectra[row].points,
                                    .n_points = spectra[row].n};
    int64_t longest = grid->n_ctx[grid->n_cols - 1];
    char turned[64];
    char labels[2][48];
    snprintf(turned, sizeof turned, "left: turned fully in training (%lld)", (long long)n_turning);
    snprintf(labels[0], sizeof labels[0], "%s trained length: %lld", page_origin(grid),
             (long long)grid->n_ctx_orig);
    snprintf(labels[1], sizeof labels[1], "longest measured: %lld", (long long)longest);
    const ChartMark mark = {n_turning >= 0 ? (double)n_turning - 0.5 : (double)NAN, turned};
    const ChartMark lengths[] = {
        {grid->n_ctx_orig > 0 ? (double)grid->n_ctx_orig : (double)NAN, labels[0]},
        {longest == grid->n_ctx_orig ? (double)NAN : (double)longest,   labels[1]},
    };
    LineChart chart = {.sentence =
                           "Line chart of the wavelength of every pair under each setting; the "
                           "tables of angles hold the same numbers",
                       .x_label = "pair",
                       .y_label = "tokens a turn",
                       .unit = "tokens",
                       .x_linear = true,
                       .x_whole = true,
                       .marks = &mark,
                       .n_marks = 1,
                       .y_marks = lengths,
                       .n_y_marks = COUNT_OF(lengths),
                       .series = series,
                       .n_series = grid->n_rows};
    buf_puts(page->out, "<figure class=\"wide\">\n");
    page_lines(page, "wavelength", &chart);
    buf_puts(page->out, "</figure>\n");
    free(series);
    free(looks);
}

static bool put_model(Page *page, const Grid *grid, Err *err)
{
    Spectrum *spectra = mem_zalloc(grid->n_rows + 1, sizeof *spectra);
    int64_t n_turning = -1;
    bool any = false;
    bool ok = load_spectra(page, grid, spectra, err) && load_n_turning(page, grid, &n_turning, err);
    for (size_t row = 0; row < grid->n_rows; row++)
        any = any || spectra[row].n > 0;
    if (ok && any) {
        if (page->out->len == 0)
            buf_puts(
                page->out,
                "<p>A pair whose wavelength is longer than the trained length never made a full turn in training: "
                "beyond it, such pairs meet angles that are new to the model unless θ′ slows them down. Methods that "
                "treat near and far keys differently are shown as near keys see them.</p>\n");
        buf_puts(page->out, "<h3>");
        html_text(page->out, grid->model);
        buf_puts(page->out, "</h3>\n");
        put_spectra(page, grid, spectra, n_turning);
    }
    for (size_t row = 0; row < grid->n_rows; row++)
        free(spectra[row].points);
    free(spectra);
    return ok;
}

bool page_spectrum(Page *page, Err *err)
{
    const GridList *grids = &page->grids;
    size_t end;
    for (size_t first = 0; first < grids->n; first = end) {
        size_t most = first;
        for (end = first; end < grids->n &&
                          str_equal(grids->items[end].model_hash, grids->items[first].model_hash);
             end++)
            if (grids->items[end].n_rows > grids->items[most].n_rows) most = end;
        if (grids->items[most].n_cols > 0 && !put_model(page, &grids->items[most], err))
            return false;
    }
    return true;
}
