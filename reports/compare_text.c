#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/compare.h"
#include "reports/report_internal.h"
#include "reports/text_table.h"

enum { SAFE_SIZE = 512 };

enum {
    COL_N_CTX,
    COL_A,
    COL_B,
    COL_DIFFERENCE,
    COL_INTERVAL,
    COL_ONLY_A, /* of nll: the ratio of the perplexities */
    COL_ONLY_B, /* of nll: clusters */
    COL_P,
    COL_N,
    COL_VERDICT,
    N_COLS
};

static void put_escaped(const char *text, Buf *out)
{
    char safe[SAFE_SIZE];
    str_escape(text, strlen(text), safe, sizeof safe);
    buf_puts(out, safe);
}

static void put_setting(const char *name, const char *label, Buf *out)
{
    char *shown = report_short_label(label);
    buf_printf(out, "%s: ", name);
    put_escaped(shown, out);
    buf_putc(out, '\n');
    free(shown);
}

static char *value_text(const Comparison *row, double value, CellStatus status)
{
    if (status != CELL_DONE) return str_dup(cell_status_name(status));
    return str_format(row->series->is_hits ? "%.3f" : "%.4f", value);
}

static char *interval_text(const Bootstrapped *difference)
{
    if (isnan(difference->interval.low)) return str_dup("too few");
    return str_format("%+.4f to %+.4f", difference->interval.low, difference->interval.high);
}

static char *p_text(double p)
{
    if (isnan(p)) return str_dup("none");
    return p < 0.0001 ? str_dup("<0.0001") : str_format("%.4f", p);
}

static const char *verdict_text(CompareVerdict verdict)
{
    switch (verdict) {
    case COMPARE_A_BETTER: return "A is better";
    case COMPARE_B_BETTER: return "B is better";
    case COMPARE_NOT_DONE: return "not done";
    default: return "cannot tell";
    }
}

static void put_head(const Series *series, TextTable *table)
{
    static const char *const heads[N_COLS] = {
        [COL_N_CTX] = "n_ctx",
        [COL_A] = "A",
        [COL_B] = "B",
        [COL_VERDICT] = "which",
    };
    for (size_t col = 0; col < N_COLS; col++)
        if (heads[col]) text_table_set(table, 0, col, str_dup(heads[col]));
    if (!series_is_measured(series)) return;
    text_table_set(table, 0, COL_DIFFERENCE, str_dup("B - A"));
    text_table_set(table, 0, COL_INTERVAL, str_dup("95 % interval"));
    text_table_set(table, 0, COL_P, str_dup("p"));
    text_table_set(table, 0, COL_N, str_dup(series->is_hits ? "trials" : "tokens"));
    text_table_set(table, 0, COL_ONLY_A, str_dup(series->is_hits ? "only A" : "ppl B/A"));
    text_table_set(table, 0, COL_ONLY_B, str_dup(series->is_hits ? "only B" : "clusters"));
}

static void put_difference(const Comparison *row, size_t at, TextTable *table)
{
    text_table_set(table, at, COL_DIFFERENCE, str_format("%+.4f", row->difference.value));
    text_table_set(table, at, COL_INTERVAL, interval_text(&row->difference));
    text_table_set(table, at, COL_P, p_text(row->difference.p));
    text_table_set(table, at, COL_N, str_format("%lld", (long long)row->n));
    if (row->series->is_hits) {
        text_table_set(table, at, COL_ONLY_A, str_format("%lld", (long long)row->hits.only_first));
        text_table_set(table, at, COL_ONLY_B, str_format("%lld", (long long)row->hits.only_second));
    } else {
        text_table_set(table, at, COL_ONLY_A, str_format("%.4f", exp(row->difference.value)));
        text_table_set(table, at, COL_ONLY_B, str_format("%zu", row->difference.n_clusters));
    }
}

static void put_comparison(const Comparison *row, size_t at, TextTable *table)
{
    text_table_set(table, at, COL_N_CTX, str_format("%lld", (long long)row->n_ctx));
    text_table_set(table, at, COL_A, value_text(row, row->a, row->status_a));
    text_table_set(table, at, COL_B, value_text(row, row->b, row->status_b));
    text_table_set(table, at, COL_VERDICT, str_dup(verdict_text(row->verdict)));
    if (!isnan(row->difference.value)) put_difference(row, at, table);
}

static void put_why(const Comparison *row, const char *name, const char *why, Buf *out)
{
    if (!why) return;
    buf_printf(out, "n_ctx %lld, %s: ", (long long)row->n_ctx, name);
    put_escaped(why, out);
    buf_putc(out, '\n');
}

/* Appends the n rows of one series. */
static void put_series(const Comparison *rows, size_t n, Buf *out)
{
    const Series *series = rows[0].series;
    TextTable table = text_table_new(n + 1, N_COLS);
    put_head(series, &table);
    for (size_t i = 0; i < n; i++)
        put_comparison(&rows[i], i + 1, &table);
    buf_putc(out, '\n');
    put_escaped(series->probe, out);
    buf_putc(out, ' ');
    put_escaped(series->params, out);
    buf_puts(out, !series_is_measured(series) ? ": nothing was measured\n"
                  : series->is_hits           ? ": share of hits, more is better\n"
                                              : ": nll in nats a token, less is better\n");
    if (series->limited) buf_puts(out, "made with --limit: not to be quoted\n");
    text_table_put(&table, false, out);
    for (size_t i = 0; i < n; i++) {
        bool is_one = rows[i].why_a && rows[i].why_b && str_equal(rows[i].why_a, rows[i].why_b);
        put_why(&rows[i], is_one ? "A and B" : "A", rows[i].why_a, out);
        if (!is_one) put_why(&rows[i], "B", rows[i].why_b, out);
    }
    if (series_is_measured(series)) buf_printf(out, "%s\n", compare_method(series));
    text_table_free(&table);
}

static void put_gate(const CompareTable *table, Buf *out)
{
    size_t n_gated = 0;
    buf_putc(out, '\n');
    for (size_t i = 0; i < table->n; i++) {
        const Comparison *row = &table->items[i];
        n_gated += !isnan(row->margin);
        if (!row->tripped) continue;
        buf_puts(out, "gate: ");
        put_escaped(row->series->probe, out);
        buf_printf(out, " at n_ctx %lld: B is worse by %.4g, more than %.4g\n",
                   (long long)row->n_ctx, fabs(row->difference.value), row->margin);
    }
    if (!compare_all_done(table)) buf_puts(out, "gate: not every cell is done\n");
    if (!compare_trips(table) && compare_all_done(table))
        buf_printf(out, "gate: B is nowhere worse by more than its margin (%zu row%s)\n", n_gated,
                   n_gated == 1 ? "" : "s");
}

void compare_text(const CompareTable *table, Buf *out)
{
    bool has_margin = false;
    put_setting("A", table->a, out);
    put_setting("B", table->b, out);
    for (size_t first = 0, end; first < table->n; first = end) {
        const Series *series = table->items[first].series;
        for (end = first; end < table->n && table->items[end].series == series; end++)
            has_margin = has_margin || !isnan(table->items[end].margin);
        put_series(table->items + first, end - first, out);
    }
    if (table->n > 1)
        buf_puts(
            out,
            "\nrows are not corrected for one another: of twenty without a true difference about one is called better\n");
    if (has_margin) put_gate(table, out);
}
