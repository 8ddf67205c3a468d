/* What was said before the measurement, beside it: predictions and the verdicts of the audit. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/knee.h"
#include "reports/page.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

/* The stored markers of a setting, for the longest length of a grid. NaN: not stored; infinite: stored as none. */
typedef struct {
    double first_negative;
    double reach;
    double unseen;
    double resolution;
} Markers;

/* A row of the figure. */
typedef struct {
    Markers markers;
    bool has_knee;
    Knee knee;
    char *notes[1 + CHART_PREDICTIONS];
} Limit;

static void set_marker(Markers *markers, const char *quantity, double value)
{
    const struct {
        const char *quantity;
        double *field;
    } fields[] = {
        {"first_negative_sum", &markers->first_negative},
        {"seen_reach",         &markers->reach         },
        {"unseen_angle",       &markers->unseen        },
        {"resolution",         &markers->resolution    },
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (str_equal(fields[i].quantity, quantity))
            *fields[i].field = isnan(value) ? (double)INFINITY : value;
}

static bool load_markers(Stmt *stmt, const Grid *grid, size_t row, Markers *out, Err *err)
{
    bool any;
    bool ok;
    *out = (Markers){(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    stmt_reset(stmt);
    stmt_put_text(stmt, grid->model_hash);
    stmt_put_text(stmt, grid->rows[row].key);
    stmt_put_i64(stmt, grid->n_ctx[grid->n_cols - 1]);
    while ((ok = stmt_next(stmt, &any, err)) && any)
        if (stmt_text(stmt, 0)) set_marker(out, stmt_text(stmt, 0), stmt_double(stmt, 1));
    return ok;
}

static char *knee_note(const Knee *knee)
{
    if (knee->first_beyond == 0)
        return str_format(
            "within 5 %% of its lowest perplexity up to %lld tokens, the longest measured",
            (long long)knee->last_within);
    return str_format("knee at %.0f tokens, between %lld and %lld", knee->knee,
                      (long long)knee->last_within, (long long)knee->first_beyond);
}

static char *position_note(const char *what, double position)
{
    return isfinite(position) ? str_format("%s %.0f tokens", what, position)
                              : str_format("%s: none was found", what);
}

/* Whether there is anything to draw. */
static bool load_limits(Page *page, const Grid *grid, Limit *limits, bool *any, Err *err)
{
    Stmt stmt;
    bool ok = stmt_open(store_sqlite(page->store),
                        "SELECT quantity, value FROM prediction WHERE model_hash = ?"
                        " AND setting_key = ? AND n_ctx IN (0, ?)",
                        &stmt, err);
    *any = false;
    for (size_t row = 0; ok && row < grid->n_rows; row++) {
        Limit *limit = &limits[row];
        ok = load_markers(&stmt, grid, row, &limit->markers, err);
        limit->has_knee = knee_of_row(grid, row, &limit->knee);
        if (limit->has_knee) limit->notes[0] = knee_note(&limit->knee);
        limit->notes[1] = position_note("every angle trained up to", limit->markers.reach);
        limit->notes[2] =
            position_note("sum of cosines below 0 from", limit->markers.first_negative);
        *any = *any || !isnan(limit->markers.reach) || !isnan(limit->markers.first_negative);
    }
    stmt_close(&stmt);
    return ok;
}

static void free_limits(const Grid *grid, Limit *limits)
{
    for (size_t row = 0; row < grid->n_rows; row++)
        for (size_t i = 0; i < COUNT_OF(limits[row].notes); i++)
            free(limits[row].notes[i]);
    free(limits);
}

/* The axis ends at 16 times the longest length that was measured, or earlier where nothing lies that far. */
static double axis_end(const Grid *grid, const Limit *limits)
{
    double longest = (double)grid->n_ctx[grid->n_cols - 1];
    double end = 2.0 * longest;
    for (size_t row = 0; row < grid->n_rows; row++) {
        const Markers *markers = &limits[row].markers;
        if (isfinite(markers->reach)) end = fmax(end, markers->reach);
        if (isfinite(markers->first_negative)) end = fmax(end, markers->first_negative);
    }
    return fmin(end, 16.0 * longest);
}

static void put_limits(Page *page, const Grid *grid, const Limit *limits)
{
    LimitRow *rows = mem_zalloc(grid->n_rows + 1, sizeof *rows);
    for (size_t row = 0; row < grid->n_rows; row++) {
        const Limit *limit = &limits[row];
        bool found = limit->has_knee && limit->knee.first_beyond > 0;
        rows[row] = (LimitRow){
            .label = grid->rows[row].label,
            .low = limit->has_knee ? (double)limit->knee.last_within : (double)NAN,
            .high = found ? (double)limit->knee.first_beyond : (double)NAN,
            .limit = found ? limit->knee.knee : (double)NAN,
            .note = limit->notes[0],
            .predicted = {limit->markers.reach, limit->markers.first_negative},
            .predicted_notes = {limit->notes[1],      limit->notes[2]              },
        };
    }
    PageMarks marks;
    page_marks(grid, &marks);
    LimitChart chart = {
        .sentence = "Measured knee and predicted limits of every setting; the table under it holds "
                    "the same numbers",
        .x_label = "n_ctx (tokens)",
        .x_low = (double)grid->n_ctx[0],
        .x_high = axis_end(grid, limits),
        .measured_name = "measured knee (+5 % perplexity)",
        .predicted_names = {"every angle trained up to", "sum of cosines below 0 from"},
        .mark = marks.items[0],
        .rows = rows,
        .n_rows = grid->n_rows,
    };
    buf_puts(page->out, "<figure class=\"scroll\">\n");
    page_limits(page, "limits", &chart);
    buf_puts(page->out, "</figure>\n");
    free(rows);
}

/* A field of the table; an infinite number says that there is none. */
static void put_number(double value, Buf *out)
{
    char text[GRID_TEXT_SIZE] = "none found";
    if (!isinf(value)) grid_value_text(value, "", text);
    buf_printf(out, "<td>%s</td>", text);
}

static void put_limits_table(Page *page, const Grid *grid, const Limit *limits)
{
    Buf *out = page->out;
    buf_printf(out,
               "<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr>"
               "<th scope=\"col\">setting</th><th scope=\"col\">measured knee</th>"
               "<th scope=\"col\">every angle trained up to</th>"
               "<th scope=\"col\">Σ cos(pθ′) below 0 from</th>"
               "<th scope=\"col\">largest angle never trained at %lld (rad)</th>"
               "<th scope=\"col\">resolution of neighbours</th></tr></thead>\n<tbody>\n",
               (long long)grid->n_ctx[grid->n_cols - 1]);
    for (size_t row = 0; row < grid->n_rows; row++) {
        const Limit *limit = &limits[row];
        buf_puts(out, "<tr><th scope=\"row\">");
        html_text(out, grid->rows[row].label);
        buf_puts(out, "</th>");
        if (limit->has_knee && limit->knee.first_beyond == 0)
            buf_printf(out, "<td>above %lld</td>", (long long)limit->knee.last_within);
        else
            put_number(limit->has_knee ? round(limit->knee.knee) : (double)NAN, out);
        put_number(limit->markers.reach, out);
        put_number(limit->markers.first_negative, out);
        put_number(limit->markers.unseen, out);
        put_number(limit->markers.resolution, out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</tbody></table></div></details>\n");
}

static bool put_predictions(Page *page, const Grid *grid, Err *err)
{
    Limit *limits = mem_zalloc(grid->n_rows + 1, sizeof *limits);
    bool any;
    bool ok = load_limits(page, grid, limits, &any, err);
    if (ok && any) {
        if (page->out->len == 0)
            buf_puts(
                page->out,
                "<p>Hollow marks are heuristics of the angles alone, made before anything was measured; they "
                "are no limits, and one of them has been refuted by models that work beyond it. Filled marks are "
                "measured: where the perplexity of a setting is 5 % above its own lowest.</p>\n");
        page_grid_heading(page, grid);
        put_limits(page, grid, limits);
        put_limits_table(page, grid, limits);
    }
    free_limits(grid, limits);
    return ok;
}

/* A model's predictions stand beside its perplexities; where it has none, beside its first measurement, without knees. */
static bool is_for_predictions(const GridList *grids, size_t index)
{
    const Grid *grid = &grids->items[index];
    Knee unused;
    bool first = true;
    bool model_has_knees = false;
    for (size_t i = 0; i < grids->n; i++) {
        const Grid *other = &grids->items[i];
        if (!str_equal(other->model_hash, grid->model_hash)) continue;
        first = first && i >= index;
        for (size_t row = 0; other->place == 0 && row < other->n_rows; row++)
            model_has_knees = model_has_knees || knee_of_row(other, row, &unused);
    }
    bool has_knees = false;
    for (size_t row = 0; grid->place == 0 && row < grid->n_rows; row++)
        has_knees = has_knees || knee_of_row(grid, row, &unused);
    return grid->n_cols > 0 && (model_has_knees ? has_knees : first);
}

bool page_predictions(Page *page, Err *err)
{
    for (size_t i = 0; i < page->grids.n; i++)
        if (is_for_predictions(&page->grids, i) &&
            !put_predictions(page, &page->grids.items[i], err))
            return false;
    return true;
}

bool page_engineers(Page *page, Err *err)
{
    static const char sql[] =
        "SELECT model.name AS model, label AS setting, class, t.n_ctx, verdict,"
        " iif(amplitude = 1.0, NULL, amplitude) AS \"μ\","
        " printf('%.2g | %.2g', residual, residual_f32) AS \"residual (rad)\","
        " printf('%.2g | %.2g', shift_error, shift_error_f32) AS \"q·k\","
        " printf('%.2g | %.2g', norm_error, norm_error_f32) AS \"length\","
        " iif(largest_residue IS NULL, NULL, printf('%.2g, mean %.2g', largest_residue, mean_residue))"
        " AS \"residue (nats)\"" REPORT_SETTINGS_OF("audit") REPORT_SETTING_ORDER;
    size_t before = page->out->len;
    buf_puts(
        page->out,
        "<p>Engineer A changes the rotation (class position), Engineer B keeps it and scales θ (class theta). The "
        "audit takes how far queries are turned against keys, fits the best θ′ of every pair, and looks at "
        "what is left over: where that is rounding, A is B in disguise.</p>\n"
        "<p class=\"dim\">Over positions below n_ctx; two figures are in double | as the engine computes, in float. "
        "Residual: the largest angle that the best θ′ leaves over. q·k: its change, as a share of |q| |k|, when "
        "both positions move by the same shift. Length: the change of a rotated vector's, as a share of it. "
        "Residue: what is left over at the model; <code>ropewalk audit --db</code> measures it.</p>\n");
    size_t empty = page->out->len;
    if (!page_table(page, NULL, sql, err)) return false;
    if (page->out->len == empty) page->out->len = before;
    page_differences(page);
    return true;
}
