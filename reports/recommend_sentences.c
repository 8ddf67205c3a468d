/* The answer as one would say it: what to take and what that brings, then what is as good and what it costs. */
#include <math.h>
#include <stdlib.h>

#include "base/str.h"
#include "reports/recommend_internal.h"

enum { MAX_NAMED = 4 };

static const Verdict *verdict_of(const Yardstick *yardstick, size_t setting)
{
    return &yardstick->verdicts[setting];
}

/* Appends "perplexity", and where the answer has several of a kind what sets this one apart: "perplexity (truncated)". */
static void put_kind(const Recommendation *answer, const Yardstick *yardstick, Buf *out)
{
    const Series *series = yardstick->series;
    bool is_alone = true;
    bool by_protocol = *series->protocol != '\0';
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Series *other = answer->yardsticks[i].series;
        if (other == series || other->is_hits != series->is_hits) continue;
        is_alone = false;
        by_protocol = by_protocol && !str_equal(other->protocol, series->protocol);
    }
    buf_puts(out, recommend_kind(yardstick));
    if (!is_alone) buf_printf(out, " (%s)", by_protocol ? series->protocol : series->params);
}

/* Appends "12.3" or "38 of 40". */
static void put_value(const Yardstick *yardstick, size_t setting, Buf *out)
{
    const Verdict *verdict = verdict_of(yardstick, setting);
    if (!yardstick->series->is_hits)
        buf_printf(out, "%.4g", exp(verdict->value));
    else if (yardstick->is_mix)
        buf_printf(out, "%.3g %%", 100.0 * verdict->value);
    else
        buf_printf(out, "%.0f of %lld", verdict->value * (double)yardstick->n,
                   (long long)yardstick->n);
}

/* Appends what each yardstick says of the winner, beside the unscaled model. */
static void put_values(const Recommendation *answer, Buf *out)
{
    const char *before = ": ";
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        if (!verdict_of(yardstick, answer->winner)->measured) continue;
        buf_puts(out, before);
        put_kind(answer, yardstick, out);
        buf_putc(out, ' ');
        put_value(yardstick, answer->winner, out);
        before = "; ";
        if (yardstick->reference == yardstick->n_settings || yardstick->reference == answer->winner)
            continue;
        buf_puts(out, " against ");
        put_value(yardstick, yardstick->reference, out);
        buf_puts(out, " unscaled");
    }
}

/* Appends how many other settings no yardstick finds worse, the first of them by name. */
static void put_equals(const Recommendation *answer, Buf *out)
{
    size_t n = 0;
    for (size_t s = 0; s < answer->list->n_settings; s++)
        n += answer->agreed[s] && s != answer->winner;
    if (answer->n_agreed == 0) {
        buf_puts(out, "No setting is among the best by every probe");
        return;
    }
    if (n == 0) {
        buf_puts(out, "At 95 % every other setting is worse");
        return;
    }
    buf_puts(out, "At 95 % it cannot be told from ");
    size_t named = 0;
    for (size_t s = 0; s < answer->list->n_settings && named < MAX_NAMED; s++) {
        if (!answer->agreed[s] || s == answer->winner) continue;
        char *label = recommend_label(answer, s);
        buf_printf(out, "%s%s", named++ ? ", " : "", label);
        free(label);
    }
    if (n > named) buf_printf(out, " and %zu more", n - named);
}

/* Appends what the winner costs within the trained length, by every yardstick that knows. */
static void put_tax(const Recommendation *answer, Buf *out)
{
    Buf taxes = {0};
    int64_t n_ctx = 0;
    bool is_free = true;
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        const Bootstrapped *tax = &verdict_of(yardstick, answer->winner)->tax;
        if (yardstick->tax_n_ctx == 0 || yardstick->reference == answer->winner ||
            isnan(tax->value))
            continue;
        char *text = recommend_difference(yardstick, tax, false);
        buf_puts(&taxes, taxes.len ? ", " : "");
        put_kind(answer, yardstick, &taxes);
        buf_printf(&taxes, " %s", text);
        is_free = is_free && tax->value == 0.0;
        n_ctx = yardstick->tax_n_ctx;
        free(text);
    }
    if (n_ctx > 0)
        buf_printf(out, "; at %lld tokens, within the trained length, it costs %s",
                   (long long)n_ctx, is_free ? "nothing" : buf_text(&taxes));
    buf_free(&taxes);
}

void recommend_sentences(const Recommendation *answer, Buf *out)
{
    buf_puts(out, "For ");
    for (size_t i = 0; i < answer->mix.n; i++)
        buf_printf(out, "%s%lld", i ? ", " : "", (long long)answer->parts[i].n_ctx);
    if (answer->winner == answer->list->n_settings) {
        buf_puts(out, " tokens nothing can be recommended.");
        return;
    }
    char *label = recommend_label(answer, answer->winner);
    buf_printf(out, " tokens take %s", label);
    free(label);
    put_values(answer, out);
    buf_puts(out, ". ");
    put_equals(answer, out);
    put_tax(answer, out);
    buf_putc(out, '.');
}
