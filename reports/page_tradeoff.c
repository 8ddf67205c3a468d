/* The short-context tax of every setting against its long-context gain, both in differences from the unscaled model. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/report_internal.h"

/* Settings with both numbers, as series of one point. */
typedef struct {
    ChartSeries *series;
    ChartPoint *points;
    char **names;
    char **notes;
    size_t n;
} Scatter;

/* Percent of perplexity, or points of retrieval; a loss counts up, a gain down. */
static double shown(const Yardstick *yardstick, double loss)
{
    return 100.0 * (yardstick->series->is_hits ? loss : expm1(loss));
}

static double tax_of(const Yardstick *yardstick, size_t setting)
{
    return shown(yardstick, yardstick->verdicts[setting].tax.value);
}

static double gain_of(const Yardstick *yardstick, size_t setting)
{
    double gain = yardstick->verdicts[setting].gain.value;
    return yardstick->series->is_hits ? shown(yardstick, gain) : -shown(yardstick, -gain);
}

static void add_setting(const SeriesList *list, const Yardstick *yardstick, size_t setting,
                        const ChartLook *look, Scatter *out)
{
    const char *unit = yardstick->series->is_hits ? "points" : "%";
    double tax = tax_of(yardstick, setting);
    double gain = gain_of(yardstick, setting);
    size_t i = out->n++;
    char *label = report_short_label(list->settings[setting].label);
    out->names[i] = str_format("%s%s", label, yardstick->verdicts[setting].on_front ? " *" : "");
    out->notes[i] = str_format("%s: tax %.3g %s, gain %.3g %s", label, tax, unit, gain, unit);
    free(label);
    out->points[i] =
        (ChartPoint){.x = tax, .y = gain, .low = NAN, .high = NAN, .note = out->notes[i]};
    out->series[i] = (ChartSeries){
        .name = out->names[i], .look = *look, .points = &out->points[i], .n_points = 1};
}

static Scatter make_scatter(const SeriesList *list, const Yardstick *yardstick)
{
    size_t n = yardstick->n_settings;
    Scatter out = {.series = mem_zalloc(n + 1, sizeof *out.series),
                   .points = mem_zalloc(n + 1, sizeof *out.points),
                   .names = mem_zalloc(n + 1, sizeof *out.names),
                   .notes = mem_zalloc(n + 1, sizeof *out.notes)};
    ChartLook *looks = mem_zalloc(n + 1, sizeof *looks);
    page_setting_looks(list, looks);
    for (size_t s = 0; s < n; s++)
        if (!isnan(tax_of(yardstick, s)) && !isnan(gain_of(yardstick, s)))
            add_setting(list, yardstick, s, &looks[s], &out);
    free(looks);
    return out;
}

static void free_scatter(Scatter *scatter)
{
    for (size_t i = 0; i < scatter->n; i++) {
        free(scatter->names[i]);
        free(scatter->notes[i]);
    }
    free(scatter->names);
    free(scatter->notes);
    free(scatter->points);
    free(scatter->series);
}

void page_tradeoff(Page *page, const SeriesList *list, const Yardstick *yardstick, int64_t n_ctx)
{
    Scatter scatter = make_scatter(list, yardstick);
    bool is_hits = yardstick->series->is_hits;
    if (scatter.n > 1 && n_ctx > yardstick->tax_n_ctx) {
        char *sentence = str_format(
            "Tax at %lld tokens against gain at %lld tokens, by %s, both against the "
            "unscaled model; * on the front: no other setting has less tax and more gain",
            (long long)yardstick->tax_n_ctx, (long long)n_ctx,
            is_hits ? "retrieval" : "perplexity");
        char *x_label = str_format("tax at %lld tokens (%s)", (long long)yardstick->tax_n_ctx,
                                   is_hits ? "points lost" : "% more perplexity");
        buf_puts(page->out, "<figure><figcaption>");
        html_text(page->out, sentence);
        buf_puts(page->out, "</figcaption>\n");
        page_lines(page, "tradeoff",
                   &(LineChart){.sentence = sentence,
                                .x_label = x_label,
                                .y_label = is_hits ? "gain (points)" : "gain (% less perplexity)",
                                .unit = "",
                                .x_linear = true,
                                .is_scatter = true,
                                .series = scatter.series,
                                .n_series = scatter.n});
        buf_puts(page->out, "</figure>\n");
        free(x_label);
        free(sentence);
    }
    free_scatter(&scatter);
}
