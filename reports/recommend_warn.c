/* What the reader of an answer must know before believing it. */
#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "reports/recommend_internal.h"

/* Regrets that matter: 1 % of perplexity, 5 points of retrieval. */
static const double margin_nll = 0.00995;
static const double margin_hits = 0.05;

static void warn(Recommendation *answer, Buf *text)
{
    answer->warnings =
        mem_realloc(answer->warnings, answer->n_warnings + 1, sizeof *answer->warnings);
    answer->warnings[answer->n_warnings++] = buf_steal(text);
}

static void warn_of_limits(Recommendation *answer, const Yardstick *yardstick)
{
    Buf text = {0};
    if (!yardstick->series->limited) return;
    buf_printf(&text, "%s was measured with --limit: not to be quoted", recommend_kind(yardstick));
    warn(answer, &text);
}

static void warn_of_no_hits(Recommendation *answer, const Yardstick *yardstick)
{
    Buf text = {0};
    if (recommend_tells(yardstick)) return;
    buf_printf(&text,
               "no setting retrieves anything at these lengths (0 of %lld trials each): retrieval "
               "says nothing of which is best",
               (long long)yardstick->n);
    warn(answer, &text);
}

static const char *unit_of(const Yardstick *yardstick)
{
    return yardstick->series->is_hits ? "trials" : "tokens";
}

/* Two digits are all that a power calculation is good for. */
static double rounded_up(double n)
{
    double step = pow(10.0, floor(log10(n)) - 1.0);
    return step > 1.0 ? ceil(n / step) * step : ceil(n);
}

/* Appends "1 more trial", "8800 more tokens". */
static void put_more(const Yardstick *yardstick, double n, Buf *out)
{
    double more = rounded_up(fmax(1.0, n));
    buf_printf(out, "%.0f more %.*s", more, more == 1.0 ? 5 : 6, unit_of(yardstick));
}

/* Tokens or trials of n clusters of the size that there are. */
static double samples_of(const Yardstick *yardstick, double n_clusters)
{
    return n_clusters * (double)yardstick->n / (double)yardstick->n_clusters;
}

static void warn_of_few_clusters(Recommendation *answer, const Yardstick *yardstick)
{
    Buf text = {0};
    size_t n = yardstick->n_clusters;
    if (yardstick->series->is_hits || !recommend_tells(yardstick)) return;
    if (n == 0 || n >= STATS_MIN_CLUSTERS) return;
    buf_printf(&text,
               "the sweep is too small to tell by %s: %lld %s in %zu clusters give no interval; "
               "%d clusters, about ",
               recommend_kind(yardstick), (long long)yardstick->n, unit_of(yardstick), n,
               STATS_MIN_CLUSTERS);
    put_more(yardstick, samples_of(yardstick, STATS_MIN_CLUSTERS - (double)n), &text);
    buf_puts(&text, ", would");
    warn(answer, &text);
}

/* Settings in the set whose regret may be one that matters, and the sizes that would tell them from the best. */
static void warn_of_small_sweep(Recommendation *answer, const Yardstick *yardstick)
{
    double margin = yardstick->series->is_hits ? margin_hits : margin_nll;
    double least = INFINITY;
    double most = 0.0;
    size_t n_open = 0;
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        const Verdict *verdict = &yardstick->verdicts[s];
        if (!verdict->in_set || s == yardstick->best || !(verdict->regret.interval.high > margin))
            continue;
        n_open++;
        if (isnan(verdict->needed)) continue;
        least = fmin(least, verdict->needed);
        most = fmax(most, verdict->needed);
    }
    if (n_open == 0) return;
    Buf text = {0};
    buf_printf(&text,
               "the sweep is too small to tell by %s: %zu of the settings not worse than the best "
               "may still be worse than it by %s",
               recommend_kind(yardstick), n_open,
               yardstick->series->is_hits ? "5 points" : "1 % of perplexity");
    if (most > 0.0) {
        buf_puts(&text, "; about ");
        put_more(yardstick, least - (double)yardstick->n, &text);
        buf_puts(&text, n_open > 1 ? " would tell the first of them" : " would tell");
    }
    if (most > least) {
        buf_puts(&text, ", ");
        put_more(yardstick, most - (double)yardstick->n, &text);
        buf_puts(&text, " all");
    }
    if (most > 0.0) buf_puts(&text, " (95 %, power 80 %)");
    warn(answer, &text);
}

/* Says when the best by one yardstick is worse than the best by the other. */
static void warn_of_one_side(Recommendation *answer, const Yardstick *by, const Yardstick *other)
{
    const Verdict *verdict = &other->verdicts[by->best];
    if (!verdict->measured || verdict->in_set) return;
    Buf text = {0};
    char *label = recommend_label(answer, by->best);
    char *best = recommend_label(answer, other->best);
    char *behind = recommend_difference(other, &verdict->regret, false);
    buf_printf(&text, "%s and %s disagree: %s is best by %s, and by %s it is worse than %s: %s",
               recommend_kind(by), recommend_kind(other), label, recommend_kind(by),
               recommend_kind(other), best, behind);
    warn(answer, &text);
    free(label);
    free(best);
    free(behind);
}

static void warn_of_disagreement(Recommendation *answer)
{
    const Yardstick *nll = recommend_first(answer, false);
    const Yardstick *hits = recommend_first(answer, true);
    if (!nll || !hits) return;
    warn_of_one_side(answer, nll, hits);
    warn_of_one_side(answer, hits, nll);
    if (answer->n_agreed > 0) return;
    Buf text = {0};
    buf_puts(&text, "no setting is among the best by perplexity and by retrieval; the answer goes "
                    "by retrieval");
    warn(answer, &text);
}

static void warn_of_missing(Recommendation *answer, const Yardstick *yardstick)
{
    Buf text = {0};
    if (yardstick->tax_n_ctx > 0 || yardstick->series->n_cells == 0) return;
    buf_printf(&text,
               "%s at short length is not known: the sweep has no unscaled setting (--method none) "
               "at a length within the trained one",
               recommend_kind(yardstick));
    warn(answer, &text);
}

void recommend_warn(Recommendation *answer)
{
    warn_of_disagreement(answer);
    for (size_t i = 0; i < answer->n_yardsticks; i++) {
        const Yardstick *yardstick = &answer->yardsticks[i];
        warn_of_no_hits(answer, yardstick);
        warn_of_few_clusters(answer, yardstick);
        warn_of_small_sweep(answer, yardstick);
        warn_of_missing(answer, yardstick);
        warn_of_limits(answer, yardstick);
    }
}
