/* The page: one self-contained file without script. A section is a row here and a function in a page_*.c; it writes into a buffer of
 * its own, so that one with nothing to say leaves no heading behind. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/report_internal.h"

static const struct {
    const char *id;
    const char *title;
    bool (*write)(Page *page, Err *err);
} sections[] = {
    {"answer",       "The answer",                    page_answer     },
    {"result",       "Result",                        page_summary    },
    {"measurements", "By setting and length",         page_grids      },
    {"ridge",        "Best λ by length",             page_ridge      },
    {"depths",       "By depth of the needle",        page_depths     },
    {"distances",    "By distance and by position",   page_distances  },
    {"positions",    "Loss by position",              page_positions  },
    {"predictions",  "Predicted and measured",        page_predictions},
    {"engineers",    "Engineer A against Engineer B", page_engineers  },
    {"spectrum",     "Wavelength of every pair",      page_spectrum   },
    {"cells",        "Every cell",                    page_cells      },
    {"angles",       "The angles of every setting",   page_settings   },
    {"provenance",   "Where the numbers come from",   page_provenance },
};

const char *page_direction(int direction)
{
    if (direction > 0) return "higher is better";
    return direction < 0 ? "lower is better" : "";
}

void page_grid_heading(Page *page, const Grid *grid)
{
    Buf *out = page->out;
    buf_puts(out, "<h3>");
    html_text(out, *grid->metric ? grid->metric : grid->probe);
    buf_puts(out, " <span class=\"dim\">");
    html_text(out, grid->model);
    buf_puts(out, "</span></h3>\n<p class=\"dim protocol\">");
    html_printf(out, "%s: %s", grid->probe, grid->params);
    if (grid->corpus) html_printf(out, " · corpus %s", grid->corpus);
    html_printf(out, " · seed %lld · %s", (long long)grid->seed, grid->precision);
    if (*grid->unit) html_printf(out, " · unit: %s", grid->unit);
    if (grid->direction) html_printf(out, ", %s", page_direction(grid->direction));
    buf_puts(out, grid->limited
                      ? " · <strong class=\"warn\">limited: not to be quoted</strong></p>\n"
                      : "</p>\n");
}

char *page_cell_note(const Grid *grid, const GridCell *cell, int64_t n_ctx, const char *label)
{
    char value[GRID_TEXT_SIZE];
    char low[GRID_TEXT_SIZE];
    char high[GRID_TEXT_SIZE];
    if (cell->status != CELL_DONE)
        return str_format("%s at %lld: %s%s%s", label, (long long)n_ctx,
                          cell_status_name(cell->status), cell->message ? ": " : "",
                          cell->message ? cell->message : "");
    grid_value_text(cell->value, grid->unit, value);
    grid_value_text(cell->ci_low, grid->unit, low);
    grid_value_text(cell->ci_high, grid->unit, high);
    const char *method = cell->ci_method ? cell->ci_method : "no interval";
    if (!*low || !*high)
        return str_format("%s at %lld: %s, n = %lld, %s", label, (long long)n_ctx, value,
                          (long long)cell->n, method);
    return str_format("%s at %lld: %s (%s to %s), n = %lld, %s", label, (long long)n_ctx, value,
                      low, high, (long long)cell->n, method);
}

/* The longest length that any setting has a best at, or n_cols. */
static size_t longest_column(const Grid *grid)
{
    for (size_t col = grid->n_cols; col-- > 0;)
        if (grid_best_row(grid, col) < grid->n_rows) return col;
    return grid->n_cols;
}

/* "unscaled: 45.6" when the grid has a row without scaling that is done. */
static void put_unscaled(const Grid *grid, size_t col, Buf *out)
{
    for (size_t row = 0; row < grid->n_rows; row++) {
        const GridCell *cell = grid_cell(grid, row, col);
        if (!str_equal(grid->rows[row].method, "none") || cell->status != CELL_DONE) continue;
        char value[GRID_TEXT_SIZE];
        grid_value_text(cell->value, grid->unit, value);
        buf_printf(out, "unscaled: %s · ", value);
        return;
    }
}

static void put_tile(const Grid *grid, Buf *out)
{
    size_t col = longest_column(grid);
    if (col == grid->n_cols) return;
    size_t row = grid_best_row(grid, col);
    const GridCell *cell = grid_cell(grid, row, col);
    char value[GRID_TEXT_SIZE];
    char low[GRID_TEXT_SIZE];
    char high[GRID_TEXT_SIZE];
    char lambda[GRID_TEXT_SIZE];
    grid_value_text(cell->value, grid->unit, value);
    grid_value_text(cell->ci_low, grid->unit, low);
    grid_value_text(cell->ci_high, grid->unit, high);
    grid_value_text(grid->formula_lambda[col], "", lambda);
    buf_puts(out, "<article class=\"tile\"><h3>");
    html_printf(out, "%s, best %s at %lld tokens", grid->model, grid->metric,
                (long long)grid->n_ctx[col]);
    buf_puts(out, "</h3><p class=\"big\">");
    html_text(out, value);
    buf_puts(out, "</p><p><b>");
    html_text(out, grid->rows[row].label);
    buf_puts(out, "</b>");
    if (*low && *high) html_printf(out, " (%s to %s)", low, high);
    buf_puts(out, "</p><p class=\"dim\">");
    put_unscaled(grid, col, out);
    if (grid->n_ctx_orig > 0)
        html_printf(out, "%.3g × the %s trained length %lld",
                    (double)grid->n_ctx[col] / (double)grid->n_ctx_orig, page_origin(grid),
                    (long long)grid->n_ctx_orig);
    if (*lambda) html_printf(out, " · λ by formula: %s", lambda);
    buf_puts(out, "</p></article>\n");
}

bool page_summary(Page *page, Err *err)
{
    Buf *out = page->out;
    bool limited = false;
    buf_puts(out, "<div class=\"tiles\">\n");
    for (size_t i = 0; i < page->grids.n; i++) {
        const Grid *grid = &page->grids.items[i];
        limited = limited || grid->limited;
        if (grid->place == 0) put_tile(grid, out);
    }
    buf_puts(out, "</div>\n<p>");
    Buf counts = {0};
    report_counts_text(page->counts, &counts);
    buf_putc(&counts, '.');
    bool ok = report_verified_text(page->store, page->options->run_id, &counts, err);
    html_text(out, buf_text(&counts));
    buf_free(&counts);
    buf_puts(
        out,
        " λ multiplies the base of the angles: θ′ = (λb)<sup>−2i/d</sup>; the formula's λ for a "
        "length m is (m / trained length)<sup>d/(d−2)</sup>. Ties for the best go to the smallest λ. "
        "Intervals are at 95 %.</p>\n");
    if (limited)
        buf_puts(out,
                 "<p class=\"warn\">Some of these cells were limited to fewer trials or windows "
                 "(--limit): they are not to be quoted.</p>\n");
    return ok;
}

static void put_head(Buf *out)
{
    buf_puts(out,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
             "'unsafe-inline'\"/>\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
             "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
             "<title>RoPE scaling, measured</title>\n<style>\n");
    html_style(out);
    for (int i = 0; i < CHART_MAX_SWITCHES; i++)
        buf_printf(out, "figure:has(.t%d:not(:checked)) .s%d{display:none}\n", i, i);
    buf_puts(out, "</style>\n</head>\n<body>\n"
                  "<svg width=\"0\" height=\"0\" class=\"defs\" aria-hidden=\"true\">");
    chart_defs(out);
    buf_puts(out, "</svg>\n");
}

/* Models by name, each once; the list is ordered by model. */
static void put_header(Page *page)
{
    Buf *out = page->out;
    buf_puts(out, "<header>\n<h1>RoPE scaling, measured</h1>\n<p class=\"dim\">");
    const char *last = NULL;
    for (size_t i = 0; i < page->grids.n; i++) {
        const Grid *grid = &page->grids.items[i];
        if (last && str_equal(last, grid->model_hash)) continue;
        html_printf(out, "%s%s", last ? ", " : "", grid->model);
        if (grid->n_ctx_orig > 0)
            html_printf(out, " (trained length %lld, %s)", (long long)grid->n_ctx_orig,
                        page_origin(grid));
        last = grid->model_hash;
    }
    if (!last) buf_puts(out, "This database holds no cells yet.");
    buf_puts(out, "</p>\n");
    if (page->counts[CELL_PENDING] > 0) {
        Buf counts = {0};
        report_counts_text(page->counts, &counts);
        buf_puts(out, "<p class=\"warn\"><strong>Unfinished.</strong> ");
        html_printf(out, "%s; what stands here may still change.", buf_text(&counts));
        buf_puts(out, "</p>\n");
        buf_free(&counts);
    }
    buf_puts(out, "</header>\n<main>\n");
}

static bool put_sections(Page *page, Err *err)
{
    Buf *out = page->out;
    Buf content = {0};
    bool ok = true;
    page->out = &content;
    for (size_t i = 0; ok && i < COUNT_OF(sections); i++) {
        buf_clear(&content);
        page->section = sections[i].id;
        ok = sections[i].write(page, err);
        if (!ok || content.len == 0) continue;
        buf_printf(
            out, "<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n",
            sections[i].id, sections[i].id, sections[i].id, sections[i].title);
        buf_append(out, content.data, content.len);
        buf_puts(out, "</section>\n");
    }
    page->out = out;
    buf_free(&content);
    return ok;
}

/* Loads the samples of every model; one without any is left out. */
static bool load_models(Page *page, Err *err)
{
    const char *last = "";
    for (size_t i = 0; i < page->grids.n; i++) {
        const char *hash = page->grids.items[i].model_hash;
        SeriesList list;
        if (str_equal(last, hash)) continue;
        last = hash;
        if (!series_load(page->store, hash, page->options->run_id, &list, err)) {
            if (err->code != ERR_USAGE) return false;
            continue;
        }
        page->models = mem_realloc(page->models, page->n_models + 1, sizeof *page->models);
        page->models[page->n_models++] = list;
    }
    return true;
}

static void free_page(Page *page)
{
    for (size_t i = 0; i < page->n_models; i++)
        series_free(&page->models[i]);
    free(page->models);
    grid_free(&page->grids);
}

/* Writes the page, and its charts into `figures` where that is not NULL. */
static bool write_page(Store *store, const ReportOptions *options, ReportFiles *figures, Buf *out,
                       Err *err)
{
    Page page = {.store = store, .options = options, .figures = figures, .out = out};
    bool ok = report_counts(store, options->run_id, page.counts, err) &&
              grid_load(store, options->run_id, &page.grids, err) && load_models(&page, err);
    if (ok) {
        put_head(out);
        put_header(&page);
        ok = put_sections(&page, err);
        buf_puts(
            out,
            "</main>\n<footer><p class=\"dim\">Made by ropewalk from its results database. Every chart "
            "has its numbers in a table under it.</p></footer>\n</body>\n</html>\n");
    }
    free_page(&page);
    return ok;
}

bool report_html(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    return write_page(store, options, NULL, out, err);
}

bool report_svg(Store *store, const ReportOptions *options, ReportFiles *out, Err *err)
{
    Buf page = {0};
    bool ok = write_page(store, options, out, &page, err);
    buf_free(&page);
    return ok;
}
