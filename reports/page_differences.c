/* Engineer A against Engineer B where both were measured: how much each setting that changes the rotation loses against the best one that
 * only scales θ, on the same prompts and windows. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/report_internal.h"
#include "reports/yardstick.h"

static const double level = 0.05;

/* Loss of a setting at a length; NaN: not measured. */
static double loss_at(const Series *series, size_t setting, int64_t n_ctx)
{
    double mean = series_mean(series_cell(series, setting, n_ctx));
    return series->is_hits ? -mean : mean;
}

/* Engineer B's setting with the least loss at a length; n_settings: none is measured. */
static size_t best_of_b(const SeriesList *list, const Series *series, int64_t n_ctx)
{
    size_t best = list->n_settings;
    for (size_t s = 0; s < list->n_settings; s++) {
        double loss = loss_at(series, s, n_ctx);
        if (list->settings[s].is_position || isnan(loss)) continue;
        if (best == list->n_settings || loss < loss_at(series, best, n_ctx)) best = s;
    }
    return best;
}

/* Whether a setting of Engineer A is measured at a length. */
static bool has_a(const SeriesList *list, const Series *series, int64_t n_ctx)
{
    for (size_t s = 0; s < list->n_settings; s++)
        if (list->settings[s].is_position && !isnan(loss_at(series, s, n_ctx))) return true;
    return false;
}

/* The longest length at which both engineers have a setting, or 0. */
static int64_t longest_common(const SeriesList *list, const Series *series)
{
    int64_t longest = 0;
    for (size_t i = 0; i < series->n_cells; i++) {
        int64_t n_ctx = series->cells[i].n_ctx;
        if (n_ctx > longest && has_a(list, series, n_ctx) &&
            best_of_b(list, series, n_ctx) < list->n_settings)
            longest = n_ctx;
    }
    return longest;
}

enum { ROW_LABEL, ROW_SHORT, ROW_FULL, N_TEXTS };

typedef struct {
    ForestRow *rows;
    char *(*texts)[N_TEXTS]; /* of the rows */
    size_t n;
} Pairs;

static bool is_equal(const Bootstrapped *difference)
{
    return difference->value == 0.0 && !(difference->interval.low < 0.0) &&
           !(difference->interval.high > 0.0);
}

static char *full_text(const Bootstrapped *difference, double scale)
{
    if (is_equal(difference)) return str_dup("equal");
    if (isnan(difference->interval.low)) return str_format("%+.3g", scale * difference->value);
    return str_format("%+.3g (%+.3g to %+.3g)", scale * difference->value,
                      scale * difference->interval.low, scale * difference->interval.high);
}

/* Adds A's loss less B's; label is taken over. */
static void add_pair(const Series *series, size_t a, size_t b, int64_t n_ctx, char *label,
                     Pairs *pairs)
{
    const MixPart length = {n_ctx, 1.0};
    double scale = series->is_hits ? 100.0 : 1.0;
    Bootstrapped difference = yardstick_difference(series, a, b, &(Mix){&length, 1});
    pairs->rows = mem_realloc(pairs->rows, pairs->n + 1, sizeof *pairs->rows);
    pairs->texts = mem_realloc(pairs->texts, pairs->n + 1, sizeof *pairs->texts);
    char **texts = pairs->texts[pairs->n];
    texts[ROW_LABEL] = label;
    texts[ROW_SHORT] =
        is_equal(&difference) ? str_dup("equal") : str_format("%+.3g", scale * difference.value);
    texts[ROW_FULL] = full_text(&difference, scale);
    pairs->rows[pairs->n++] = (ForestRow){
        .label = texts[ROW_LABEL],
        .text = texts[ROW_SHORT],
        .note = texts[ROW_FULL],
        .value = scale * difference.value,
        .low = scale * difference.interval.low,
        .high = scale * difference.interval.high,
        .is_told = difference.p <= level && difference.value != 0.0,
    };
}

static void free_pairs(Pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++)
        for (size_t k = 0; k < N_TEXTS; k++)
            free(pairs->texts[i][k]);
    free(pairs->texts);
    free(pairs->rows);
}

/* Whether two settings are one scaling said by both engineers: positions divided, and angles divided, by one factor. */
static bool are_twins(const SeriesSetting *a, const SeriesSetting *b)
{
    return str_equal(a->method, "pi") && str_equal(b->method, "linear") && a->factor == b->factor;
}

static void add_twins(const SeriesList *list, const Series *series, int64_t n_ctx, Pairs *pairs)
{
    for (size_t a = 0; a < list->n_settings; a++)
        for (size_t b = 0; b < list->n_settings; b++)
            if (are_twins(&list->settings[a], &list->settings[b]) &&
                !isnan(loss_at(series, a, n_ctx)) && !isnan(loss_at(series, b, n_ctx)))
                add_pair(series, a, b, n_ctx,
                         str_format("pi against linear, factor=%.5g", list->settings[a].factor),
                         pairs);
}

static Pairs find_pairs(const SeriesList *list, const Series *series, int64_t n_ctx, size_t best)
{
    Pairs pairs = {0};
    add_twins(list, series, n_ctx, &pairs);
    for (size_t a = 0; a < list->n_settings; a++)
        if (list->settings[a].is_position && !isnan(loss_at(series, a, n_ctx)))
            add_pair(series, a, best, n_ctx, report_short_label(list->settings[a].label), &pairs);
    return pairs;
}

static void put_figure(Page *page, const Series *series, int64_t n_ctx, const char *best,
                       const Pairs *pairs)
{
    Buf *out = page->out;
    char *sentence = str_format(
        "What Engineer A's settings lose against %s, the best of Engineer B's at %lld tokens, by %s",
        best, (long long)n_ctx, series->probe);
    buf_puts(out, "<figure><figcaption>");
    html_text(out, sentence);
    buf_puts(out, "</figcaption>\n");
    page_forest(page, series->probe,
                &(ForestChart){
                    .sentence = sentence,
                    .x_label = series->is_hits ? "points of retrieval lost (below 0: A is better)"
                                               : "nats a token lost (below 0: A is better)",
                    .rows = pairs->rows,
                    .n_rows = pairs->n,
                });
    buf_puts(out, "<details><summary>The numbers</summary>\n<table>\n<tbody>\n");
    for (size_t i = 0; i < pairs->n; i++) {
        buf_puts(out, "<tr><th scope=\"row\">");
        html_text(out, pairs->texts[i][ROW_LABEL]);
        buf_puts(out, "</th><td>");
        html_text(out, pairs->texts[i][ROW_FULL]);
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</tbody></table></details>\n</figure>\n");
    free(sentence);
}

static bool put_series(Page *page, const SeriesList *list, const Series *series, bool open)
{
    int64_t n_ctx = longest_common(list, series);
    if (n_ctx == 0) return open;
    size_t best = best_of_b(list, series, n_ctx);
    char *label = report_short_label(list->settings[best].label);
    Pairs pairs = find_pairs(list, series, n_ctx, best);
    if (!open) buf_puts(page->out, "<div class=\"pair\">\n");
    put_figure(page, series, n_ctx, label, &pairs);
    free_pairs(&pairs);
    free(label);
    return true;
}

void page_differences(Page *page)
{
    bool open = false;
    for (size_t i = 0; i < page->n_models; i++)
        for (size_t s = 0; s < page->models[i].n; s++)
            open = put_series(page, &page->models[i], &page->models[i].items[s], open);
    if (open)
        buf_puts(
            page->out,
            "</div>\n<p class=\"dim protocol\">Paired on the same prompts and windows; filled: told from 0 at "
            "95 %, not corrected for how many are shown. The best of B was chosen on these samples, so A "
            "looks a little worse than it is.</p>\n");
}
