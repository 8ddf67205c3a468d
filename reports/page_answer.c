/* The top of the page: what to take for the longest length that was measured, in two sentences, with how far every other setting is
 * from the best. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/page.h"
#include "reports/recommend_internal.h"
#include "reports/report_internal.h"

enum { MAX_ROWS = 12 };

/* The longest length at which any setting is measured, or 0. */
static int64_t longest_measured(const SeriesList *list)
{
    int64_t longest = 0;
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < list->items[i].n_cells; k++)
            if (list->items[i].cells[k].n > 0)
                longest = max_i64(longest, list->items[i].cells[k].n_ctx);
    return longest;
}

/* Settings that were measured, the best first. */
static size_t order_settings(const SeriesList *list, const Yardstick *yardstick, size_t *order)
{
    size_t n = 0;
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        if (!yardstick->verdicts[s].measured) continue;
        size_t at = n++;
        for (; at > 0 && yardstick_is_better(list, yardstick, s, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = s;
    }
    return n;
}

/* A loss in the unit of the chart: nats a token, or points of retrieval. */
static double shown(const Yardstick *yardstick, double loss)
{
    return (yardstick->series->is_hits ? 100.0 : 1.0) * loss;
}

static char *value_text(const Yardstick *yardstick, const Verdict *verdict)
{
    return yardstick->series->is_hits ? str_format("%.3g %%", 100.0 * verdict->value)
                                      : str_format("%.4g", verdict->value);
}

enum { ROW_LABEL, ROW_TEXT, N_TEXTS };

/* A row of the forest; its texts are for the caller to free. */
static ForestRow forest_row(const SeriesList *list, const Yardstick *yardstick, size_t setting,
                            char *texts[N_TEXTS])
{
    const Verdict *verdict = &yardstick->verdicts[setting];
    const Bootstrapped *regret = &verdict->regret;
    bool is_best = setting == yardstick->best;
    char *value = value_text(yardstick, verdict);
    texts[ROW_LABEL] = report_short_label(list->settings[setting].label);
    texts[ROW_TEXT] = is_best ? str_format("%s, the best", value)
                      : isnan(regret->value)
                          ? str_dup(value)
                          : str_format("%s, %+.3g", value, shown(yardstick, regret->value));
    free(value);
    return (ForestRow){
        .label = texts[ROW_LABEL],
        .text = texts[ROW_TEXT],
        .note = texts[ROW_TEXT],
        .value = is_best ? 0.0 : shown(yardstick, regret->value),
        .low = is_best ? (double)NAN : shown(yardstick, regret->interval.low),
        .high = is_best ? (double)NAN : shown(yardstick, regret->interval.high),
        .is_told = is_best || !verdict->in_set,
    };
}

static void put_cell(Buf *out, char *text)
{
    buf_puts(out, "<td>");
    html_text(out, text);
    buf_puts(out, "</td>");
    free(text);
}

/* The numbers of every setting in the order given. */
static void put_table(Page *page, const SeriesList *list, const Yardstick *yardstick,
                      const size_t *order, size_t n)
{
    Buf *out = page->out;
    buf_puts(out,
             "<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr>"
             "<th scope=\"col\">setting</th>");
    buf_printf(
        out,
        "<th scope=\"col\">%s</th><th scope=\"col\">against the best</th><th scope=\"col\">p</th>"
        "<th scope=\"col\">tax at %lld</th><th scope=\"col\">gain</th><th scope=\"col\">front</th></tr></thead>"
        "\n<tbody>\n",
        yardstick->series->is_hits ? "hits" : "nll", (long long)yardstick->tax_n_ctx);
    for (size_t i = 0; i < n; i++) {
        const Verdict *verdict = &yardstick->verdicts[order[i]];
        buf_puts(out, "<tr><th scope=\"row\">");
        html_text(out, list->settings[order[i]].label);
        buf_puts(out, "</th>");
        put_cell(out, value_text(yardstick, verdict));
        put_cell(out, order[i] == yardstick->best
                          ? str_dup("best")
                          : recommend_difference(yardstick, &verdict->regret, false));
        put_cell(out, recommend_p(verdict->p_holm));
        put_cell(out, recommend_difference(yardstick, &verdict->tax, false));
        put_cell(out, recommend_difference(yardstick, &verdict->gain, true));
        buf_printf(out, "<td>%s</td></tr>\n", verdict->on_front ? "front" : "");
    }
    buf_puts(out, "</tbody></table></div></details>\n");
}

static void put_forest(Page *page, const SeriesList *list, const Yardstick *yardstick,
                       int64_t n_ctx)
{
    size_t *order = mem_alloc(yardstick->n_settings + 1, sizeof *order);
    size_t n = order_settings(list, yardstick, order);
    size_t n_rows = (size_t)min_i64((int64_t)n, MAX_ROWS);
    ForestRow rows[MAX_ROWS];
    char *texts[MAX_ROWS][N_TEXTS];
    bool is_hits = yardstick->series->is_hits;
    for (size_t i = 0; i < n_rows; i++)
        rows[i] = forest_row(list, yardstick, order[i], texts[i]);
    char *sentence = str_format("What each setting loses against the best at %lld tokens, by %s",
                                (long long)n_ctx, is_hits ? "retrieval" : "perplexity");
    buf_puts(page->out, "<figure><figcaption>");
    html_text(page->out, sentence);
    html_printf(page->out, ", n = %lld %s", (long long)yardstick->n, is_hits ? "trials" : "tokens");
    if (n > n_rows) html_printf(page->out, "; the best %zu of %zu settings", n_rows, n);
    buf_puts(page->out, "</figcaption>\n");
    page_forest(page, recommend_kind(yardstick),
                &(ForestChart){
                    .sentence = sentence,
                    .x_label = is_hits ? "points of retrieval lost" : "nats a token lost",
                    .rows = rows,
                    .n_rows = n_rows,
                });
    put_table(page, list, yardstick, order, n);
    buf_puts(page->out, "</figure>\n");
    free(sentence);
    for (size_t i = 0; i < n_rows; i++) {
        free(texts[i][ROW_LABEL]);
        free(texts[i][ROW_TEXT]);
    }
    free(order);
}

static void put_methods(Page *page, const Recommendation *answer)
{
    buf_puts(
        page->out,
        "<p class=\"dim protocol\">Filled: told from the best at 95 %, corrected by Holm; hollow: not told.");
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        html_printf(page->out, " %s: %s.", yardstick->series->is_hits ? "Retrieval" : "Perplexity",
                    yardstick_methods(yardstick));
    }
    buf_puts(page->out, "</p>\n");
}

static void put_answer(Page *page, const SeriesList *list, const Recommendation *answer)
{
    Buf *out = page->out;
    Buf text = {0};
    recommend_sentences(answer, &text);
    buf_puts(out, "<p class=\"answer\">");
    if (page->n_models > 1) html_printf(out, "%s: ", list->model);
    html_text(out, buf_text(&text));
    buf_puts(out, "</p>\n");
    buf_free(&text);
    for (size_t i = 0; i < answer->n_warnings; i++) {
        buf_puts(out, "<p class=\"warn\">");
        html_printf(out, "Warning: %s.", answer->warnings[i]);
        buf_puts(out, "</p>\n");
    }
    buf_puts(out, "<div class=\"pair\">\n");
    for (size_t i = 0; i < answer->n_yardsticks; i++)
        if (recommend_tells(&answer->yardsticks[i]))
            put_forest(page, list, &answer->yardsticks[i], answer->parts[answer->mix.n - 1].n_ctx);
    for (size_t i = 0; i < answer->n_yardsticks; i++)
        if (recommend_tells(&answer->yardsticks[i]))
            page_tradeoff(page, list, &answer->yardsticks[i],
                          answer->parts[answer->mix.n - 1].n_ctx);
    buf_puts(out, "</div>\n");
    put_methods(page, answer);
}

bool page_answer(Page *page, Err *err)
{
    for (size_t i = 0; i < page->n_models; i++) {
        const SeriesList *list = &page->models[i];
        MixPart longest = {longest_measured(list), 1.0};
        Recommendation answer;
        if (longest.n_ctx == 0) continue;
        if (!recommend_make(list, &longest, 1, &answer, err)) return false;
        put_answer(page, list, &answer);
        recommend_free(&answer);
    }
    return true;
}
