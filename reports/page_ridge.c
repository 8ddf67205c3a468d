/* The best λ at every length, with the curves of the formula and of dynamic NTK through the same plane. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/ridge.h"

enum {
    N_CURVE = 33,  /* points of a formula's curve */
    N_CURVES = 3,  /* the ridge and two formulas */
    N_DYNAMIC = 2, /* the factor of dynamic NTK that most model files ask for */
};

static double formula_at(const SeriesList *list, double n_ctx, double factor)
{
    double stretch = list->n_ctx_orig > 0 ? n_ctx / (double)list->n_ctx_orig : (double)NAN;
    return ridge_formula(factor * stretch - (factor - 1.0), list->n_rot);
}

/* Fills the curve of a formula over the lengths of a ridge. */
static void set_curve(const SeriesList *list, const Ridge *ridge, double factor, ChartPoint *points)
{
    double first = (double)ridge->points[0].n_ctx;
    double last = (double)ridge->points[ridge->n - 1].n_ctx;
    for (int i = 0; i < N_CURVE; i++) {
        double n_ctx = first * pow(last / first, (double)i / (N_CURVE - 1));
        points[i] =
            (ChartPoint){.x = n_ctx, .y = formula_at(list, n_ctx, factor), .low = NAN, .high = NAN};
    }
}

static char *point_note(const RidgePoint *point)
{
    Buf out = {0};
    buf_printf(&out, "best λ at %lld tokens: %.5g, of %zu", (long long)point->n_ctx, point->best,
               point->n_lambdas);
    if (!isnan(point->low))
        buf_printf(&out, "; not told from it: %.5g to %.5g", point->low, point->high);
    if (point->is_largest) buf_puts(&out, "; the largest measured, a better one may lie beyond");
    return buf_steal(&out);
}

static void put_chart(Page *page, const SeriesList *list, const Ridge *ridge, const char *sentence)
{
    ChartPoint *points = mem_alloc(ridge->n, sizeof *points);
    char **notes = mem_alloc(ridge->n, sizeof *notes);
    ChartPoint curves[2][N_CURVE];
    char trained[48];
    for (size_t i = 0; i < ridge->n; i++) {
        const RidgePoint *point = &ridge->points[i];
        notes[i] = point_note(point);
        points[i] = (ChartPoint){.x = (double)point->n_ctx,
                                 .y = point->best,
                                 .low = point->low,
                                 .high = point->high,
                                 .note = notes[i]};
    }
    set_curve(list, ridge, 1.0, curves[0]);
    set_curve(list, ridge, N_DYNAMIC, curves[1]);
    const ChartSeries series[N_CURVES] = {
        {.name = "best λ measured",                .look = {0, 0.7}, .points = points, .n_points = ridge->n},
        {.name = "formula (dynamic NTK, factor 1)",
         .look = {1, 0.7},
         .points = curves[0],
         .n_points = N_CURVE                                                                                },
        {.name = "dynamic NTK, factor 2",
         .look = {2, 0.7},
         .points = curves[1],
         .n_points = N_CURVE                                                                                },
    };
    snprintf(trained, sizeof trained, "trained: %lld", (long long)list->n_ctx_orig);
    const ChartMark mark = {list->n_ctx_orig > 0 ? (double)list->n_ctx_orig : (double)NAN, trained};
    page_lines(page, "lambda",
               &(LineChart){.sentence = sentence,
                            .x_label = "n_ctx (tokens)",
                            .y_label = "λ",
                            .unit = "",
                            .marks = &mark,
                            .n_marks = 1,
                            .series = series,
                            .n_series = N_CURVES});
    for (size_t i = 0; i < ridge->n; i++)
        free(notes[i]);
    free(notes);
    free(points);
}

static void put_number(double value, Buf *out)
{
    if (isnan(value))
        buf_puts(out, "<td></td>");
    else
        buf_printf(out, "<td>%.5g</td>", value);
}

static void put_table(const SeriesList *list, const Ridge *ridge, bool is_hits, Buf *out)
{
    buf_printf(
        out,
        "<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr>"
        "<th scope=\"col\">n_ctx</th><th scope=\"col\">best λ</th><th scope=\"col\">of</th>"
        "<th scope=\"col\">not told from</th><th scope=\"col\">to</th><th scope=\"col\">%s</th>"
        "<th scope=\"col\">formula</th><th scope=\"col\">dynamic NTK, factor 2</th></tr></thead>\n<tbody>\n",
        is_hits ? "hits" : "nll");
    for (size_t i = 0; i < ridge->n; i++) {
        const RidgePoint *point = &ridge->points[i];
        buf_printf(out, "<tr><th scope=\"row\">%lld</th><td>%.5g%s</td><td>%zu</td>",
                   (long long)point->n_ctx, point->best, point->is_largest ? " (largest)" : "",
                   point->n_lambdas);
        put_number(point->low, out);
        put_number(point->high, out);
        buf_printf(out, is_hits ? "<td>%.3g %%</td>" : "<td>%.4g</td>",
                   (is_hits ? 100.0 : 1.0) * point->value);
        put_number(formula_at(list, (double)point->n_ctx, 1.0), out);
        put_number(formula_at(list, (double)point->n_ctx, N_DYNAMIC), out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</tbody></table></div></details>\n");
}

/* A ridge of fewer than two lengths has no course to show. */
static void put_ridge(Page *page, const SeriesList *list, const Series *series)
{
    Buf *out = page->out;
    Ridge ridge = ridge_make(list, series);
    if (ridge.n > 1) {
        char *sentence =
            str_format("Best λ at every length by %s, among no scaling and ntk, with the "
                       "curves of the formula and of dynamic NTK",
                       series->is_hits ? "retrieval" : "perplexity");
        buf_puts(out, "<figure><figcaption>");
        if (page->n_models > 1) html_printf(out, "%s: ", list->model);
        html_text(out, sentence);
        html_printf(out, " (%s: %s, seed %lld)", series->probe, series->params,
                    (long long)series->seed);
        buf_puts(out, "</figcaption>\n");
        put_chart(page, list, &ridge, sentence);
        put_table(list, &ridge, series->is_hits, out);
        buf_puts(out, "</figure>\n");
        free(sentence);
    }
    ridge_free(&ridge);
}

bool page_ridge(Page *page, Err *err)
{
    (void)err;
    Buf *out = page->out;
    Buf figures = {0};
    page->out = &figures;
    for (size_t i = 0; i < page->n_models; i++)
        for (size_t k = 0; k < page->models[i].n; k++)
            put_ridge(page, &page->models[i], &page->models[i].items[k]);
    page->out = out;
    if (figures.len > 0) {
        buf_puts(out, "<div class=\"pair\">\n");
        buf_append(out, figures.data, figures.len);
        buf_printf(
            out,
            "</div>\n<p class=\"dim protocol\">Bars hold every λ that is not told from the "
            "best at 95 %%, on the same samples and corrected by Holm; a probe with more than "
            "%d such cells has none. Where the best is the largest that was measured, a better "
            "one may lie beyond. Lengths at which nothing was hit have no best.</p>\n",
            RIDGE_MAX_COMPARED);
    }
    buf_free(&figures);
    return true;
}
