#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/recommend_internal.h"
#include "reports/report_internal.h"
#include "reports/text_table.h"

enum { SAFE_SIZE = 512 };

const char *recommend_kind(const Yardstick *yardstick)
{
    return yardstick->series->is_hits ? "retrieval" : "perplexity";
}

char *recommend_label(const Recommendation *answer, size_t setting)
{
    char safe[SAFE_SIZE];
    char *label = report_short_label(answer->list->settings[setting].label);
    str_escape(label, strlen(label), safe, sizeof safe);
    free(label);
    return str_dup(safe);
}

/* A loss as people read it: percent of perplexity, or points of retrieval. */
static double shown(const Yardstick *yardstick, double loss)
{
    return 100.0 * (yardstick->series->is_hits ? -loss : expm1(loss)) + 0.0; /* never -0 */
}

char *recommend_difference(const Yardstick *yardstick, const Bootstrapped *difference, bool is_gain)
{
    double sign = is_gain ? -1.0 : 1.0;
    if (isnan(difference->value)) return str_dup("");
    double value = shown(yardstick, sign * difference->value);
    double a = shown(yardstick, sign * difference->interval.low);
    double b = shown(yardstick, sign * difference->interval.high);
    const char *unit = yardstick->series->is_hits ? " points" : " %";
    if (isnan(a)) return str_format("%+.3g%s", value, unit);
    return str_format("%+.3g%s (%+.3g to %+.3g)", value, unit, fmin(a, b), fmax(a, b));
}

/* "10.98", or "13/40" where a single length was asked for. */
static char *value_text(const Recommendation *answer, const Yardstick *yardstick,
                        const Verdict *verdict)
{
    if (!verdict->measured) return str_dup(cell_status_name(verdict->status));
    if (!yardstick->series->is_hits) return str_format("%.4g", exp(verdict->value));
    if (answer->mix.n > 1) return str_format("%.3g%%", 100.0 * verdict->value);
    return str_format("%.0f/%lld", verdict->value * (double)yardstick->n, (long long)yardstick->n);
}

char *recommend_p(double p)
{
    if (isnan(p)) return str_dup("");
    if (p < 0.001) return str_dup("<0.001");
    return str_format("%.3f", p);
}

/* "512 (256 to 512)"; + where the longest length that was measured still holds. */
static char *reach_text(const EffectiveLength *reach)
{
    const char *more = reach->is_longest ? "+" : "";
    if (reach->low < 0) return str_format("%lld%s", (long long)reach->n_ctx, more);
    return str_format("%lld%s (%lld to %lld)", (long long)reach->n_ctx, more, (long long)reach->low,
                      (long long)reach->high);
}

enum { COL_LABEL, COL_VALUE, COL_REGRET, COL_P, COL_TAX, COL_GAIN, COL_FRONT, N_COLS };

static void put_head(const Yardstick *yardstick, TextTable *table)
{
    static const char *const heads[N_COLS] = {
        [COL_LABEL] = "  setting",
        [COL_REGRET] = "against the best",
        [COL_P] = "p",
        [COL_GAIN] = "gain",
        [COL_FRONT] = "front",
    };
    for (size_t col = 0; col < N_COLS; col++)
        if (heads[col]) text_table_set(table, 0, col, str_dup(heads[col]));
    text_table_set(table, 0, COL_VALUE,
                   str_dup(yardstick->series->is_hits ? "hits" : "perplexity"));
    if (yardstick->tax_n_ctx > 0)
        text_table_set(table, 0, COL_TAX,
                       str_format("tax at %lld", (long long)yardstick->tax_n_ctx));
}

/* "* ntk:lambda=8": what stands before a row. */
static char *marked_label(const Recommendation *answer, const Yardstick *yardstick, size_t setting)
{
    bool is_equal = yardstick->verdicts[setting].in_set && recommend_tells(yardstick);
    char *label = recommend_label(answer, setting);
    char *marked = str_format("%s %s",
                              setting == yardstick->best ? "*"
                              : is_equal                 ? "="
                                                         : " ",
                              label);
    free(label);
    return marked;
}

static void put_verdict(const Recommendation *answer, const Yardstick *yardstick, size_t setting,
                        size_t row, TextTable *table)
{
    const Verdict *verdict = &yardstick->verdicts[setting];
    text_table_set(table, row, COL_LABEL, marked_label(answer, yardstick, setting));
    text_table_set(table, row, COL_VALUE, value_text(answer, yardstick, verdict));
    if (!verdict->measured) return;
    text_table_set(table, row, COL_REGRET,
                   setting == yardstick->best
                       ? str_dup("best")
                       : recommend_difference(yardstick, &verdict->regret, false));
    text_table_set(table, row, COL_P, recommend_p(verdict->p_holm));
    text_table_set(table, row, COL_TAX, recommend_difference(yardstick, &verdict->tax, false));
    text_table_set(table, row, COL_GAIN, recommend_difference(yardstick, &verdict->gain, true));
    text_table_set(table, row, COL_FRONT, str_dup(verdict->on_front ? "front" : ""));
}

static void put_heading(const Yardstick *yardstick, Buf *out)
{
    const Series *series = yardstick->series;
    char params[SAFE_SIZE];
    char corpus[SAFE_SIZE];
    str_escape(series->params, strlen(series->params), params, sizeof params);
    const char *name = series->corpus ? series->corpus : "";
    str_escape(name, strlen(name), corpus, sizeof corpus);
    buf_printf(out, "by %s: %s%s%s, seed %lld\n", recommend_kind(yardstick), params,
               *corpus ? " on " : "", corpus, (long long)series->seed);
}

/* What every number of the table is made of. */
static void put_footing(const Yardstick *yardstick, Buf *out)
{
    const char *unit = yardstick->series->is_hits ? "trials" : "tokens";
    buf_printf(out, "n = %lld %s a setting", (long long)yardstick->n, unit);
    if (!recommend_tells(yardstick)) {
        buf_puts(out, "; nothing was hit\n");
        return;
    }
    if (!yardstick->series->is_hits) buf_printf(out, " in %zu clusters", yardstick->n_clusters);
    buf_printf(out, "; 95 %% intervals: %s", yardstick_methods(yardstick));
    if (yardstick->n_compared > 0) buf_printf(out, ", Holm over %zu", yardstick->n_compared);
    buf_putc(out, '\n');
    buf_puts(out,
             "* best, = not worse than it at 95 %; tax, gain: against the unscaled model; front: "
             "no other has less tax and more gain\n");
}

/* Appends the first n rows of a table and frees it. */
static void put_table(TextTable *table, size_t n, Buf *out)
{
    size_t n_rows = table->n_rows;
    table->n_rows = n;
    text_table_put(table, false, out);
    table->n_rows = n_rows;
    text_table_free(table);
}

/* Effective lengths, a column a rule. */
static void put_reach(const Recommendation *answer, const Yardstick *yardstick, Buf *out)
{
    const EffectiveRule *rules[YARDSTICK_MAX_RULES];
    size_t n_rules = yardstick_rules(yardstick, rules);
    size_t n = 1;
    TextTable table = text_table_new(yardstick->n_settings + 1, n_rules + 1);
    text_table_set(&table, 0, 0, str_dup("  effective length"));
    for (size_t r = 0; r < n_rules; r++) {
        buf_printf(out, "%s: %s\n", rules[r]->name, rules[r]->help);
        text_table_set(&table, 0, r + 1, str_dup(rules[r]->name));
    }
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        if (!yardstick->verdicts[s].measured) continue;
        text_table_set(&table, n, 0, marked_label(answer, yardstick, s));
        for (size_t r = 0; r < n_rules; r++)
            text_table_set(&table, n, r + 1, reach_text(&yardstick->verdicts[s].reach[r]));
        n++;
    }
    put_table(&table, n, out);
    if (yardstick->n_clusters >= STATS_MIN_CLUSTERS)
        buf_printf(
            out, "95 %% intervals: percentiles of %d draws of %s; +: the longest length measured\n",
            EFFECTIVE_RESAMPLES, yardstick->series->is_hits ? "trials" : "clusters");
}

static void put_yardstick(const Recommendation *answer, const Yardstick *yardstick, Buf *out)
{
    size_t n = 1;
    TextTable table = text_table_new(yardstick->n_settings + 1, N_COLS);
    put_head(yardstick, &table);
    for (size_t s = 0; s < yardstick->n_settings; s++)
        if (yardstick->verdicts[s].measured || yardstick->verdicts[s].status != CELL_PENDING)
            put_verdict(answer, yardstick, s, n++, &table);
    put_heading(yardstick, out);
    put_table(&table, n, out);
    put_footing(yardstick, out);
    put_reach(answer, yardstick, out);
}

static void put_question(const Recommendation *answer, Buf *out)
{
    char model[SAFE_SIZE];
    str_escape(answer->list->model, strlen(answer->list->model), model, sizeof model);
    buf_printf(out, "%s", model);
    if (answer->list->n_ctx_orig > 0)
        buf_printf(out, ", trained at %lld tokens", (long long)answer->list->n_ctx_orig);
    buf_puts(out, ", for n_ctx ");
    for (size_t i = 0; i < answer->mix.n; i++) {
        buf_printf(out, "%s%lld", i ? ", " : "", (long long)answer->parts[i].n_ctx);
        if (answer->mix.n > 1) buf_printf(out, " (%.3g%%)", 100.0 * answer->parts[i].weight);
    }
    buf_putc(out, '\n');
}

/* "perplexity -57 % (…), retrieval +3 points (…)" of one kind of difference. */
static void put_differences(const Recommendation *answer, size_t setting,
                            const Bootstrapped *(*pick)(const Verdict *), Buf *out)
{
    const char *comma = "";
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        char *text = recommend_difference(yardstick, pick(&yardstick->verdicts[setting]), false);
        if (*text) buf_printf(out, "%s%s %s", comma, recommend_kind(yardstick), text);
        if (*text) comma = ", ";
        free(text);
    }
    if (!*comma) buf_puts(out, "not measured");
    buf_putc(out, '\n');
}

static const Bootstrapped *pick_regret(const Verdict *verdict)
{
    return &verdict->regret;
}

static const Bootstrapped *pick_tax(const Verdict *verdict)
{
    return &verdict->tax;
}

static void put_agreed(const Recommendation *answer, Buf *out)
{
    buf_puts(out, "not worse than the best at 95 %:");
    for (size_t s = 0; s < answer->list->n_settings; s++) {
        if (!answer->agreed[s]) continue;
        char *label = recommend_label(answer, s);
        buf_printf(out, " %s", label);
        free(label);
    }
    buf_puts(out, answer->n_agreed ? "\n" : " no setting by every yardstick\n");
}

static void put_formula(const Recommendation *answer, Buf *out)
{
    if (isnan(answer->formula_lambda)) return;
    buf_printf(out, "formula: lambda %.5g", answer->formula_lambda);
    if (answer->formula == answer->list->n_settings) {
        buf_puts(out, ", not measured\n");
        return;
    }
    if (!answer->is_formula) {
        char *label = recommend_label(answer, answer->formula);
        buf_printf(out, ", not measured; the nearest is %s", label);
        free(label);
    }
    buf_puts(out, "; against the best: ");
    put_differences(answer, answer->formula, pick_regret, out);
}

static void put_answer(const Recommendation *answer, Buf *out)
{
    if (answer->winner == answer->list->n_settings) {
        buf_puts(out, "nothing can be recommended\n");
        return;
    }
    char *label = recommend_label(answer, answer->winner);
    buf_printf(out, "take %s\n", label);
    free(label);
    put_agreed(answer, out);
    put_formula(answer, out);
}

static void put_bytes(double bytes, Buf *out)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024.0 && unit + 1 < COUNT_OF(units); unit++)
        bytes /= 1024.0;
    buf_printf(out, "%.4g %s", bytes, units[unit]);
}

void recommend_costs(const Recommendation *answer, Buf *out)
{
    if (answer->winner == answer->list->n_settings) return;
    char *label = recommend_label(answer, answer->winner);
    double values = recommend_kv_values(answer);
    buf_printf(out, "KV cache at %lld tokens: ", (long long)answer->parts[answer->mix.n - 1].n_ctx);
    if (isnan(values)) {
        buf_puts(out, "not known; the sweep that made this database is older: run it again\n");
    } else {
        put_bytes(2.0 * values, out);
        buf_puts(out, " in 16 bits, ");
        put_bytes(4.0 * values, out);
        buf_puts(out, " in 32\n");
    }
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        if (answer->yardsticks[i].tax_n_ctx == 0) continue;
        buf_printf(out, "tax of %s at %lld tokens: ", label,
                   (long long)answer->yardsticks[i].tax_n_ctx);
        put_differences(answer, answer->winner, pick_tax, out);
        break;
    }
    free(label);
}

void recommend_text(const Recommendation *answer, Buf *out)
{
    put_question(answer, out);
    put_answer(answer, out);
    for (size_t i = 0; i < answer->n_warnings; i++)
        buf_printf(out, "warning: %s\n", answer->warnings[i]);
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        buf_putc(out, '\n');
        put_yardstick(answer, &answer->yardsticks[i], out);
    }
}
