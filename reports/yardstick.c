#include "reports/yardstick.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/report_internal.h"
#include "reports/stats_hits.h"

/* One seed for every comparison, so that all of them see the same resamples and a report can be made again. */
enum { SEED = 1 };

static const double level = 0.05;

static double loss_sign(const Series *series)
{
    return series->is_hits ? -1.0 : 1.0;
}

size_t yardstick_unscaled(const SeriesList *list)
{
    size_t same = list->n_settings;
    for (size_t i = 0; i < list->n_settings; i++) {
        const SeriesSetting *setting = &list->settings[i];
        if (str_equal(setting->method, "none")) return i;
        bool is_one = setting->lambda == 1.0 || (isnan(setting->lambda) && setting->factor == 1.0);
        if (is_one && same == list->n_settings) same = i;
    }
    return same;
}

/* Whether a setting is measured at every length of a mix; *status: of the first that is not. */
static bool is_measured(const Series *series, size_t setting, const Mix *mix, CellStatus *status)
{
    *status = CELL_DONE;
    for (size_t i = 0; i < mix->n; i++) {
        const SeriesCell *cell = series_cell(series, setting, mix->parts[i].n_ctx);
        if (cell && cell->status == CELL_DONE && cell->n > 0) continue;
        *status = !cell ? CELL_PENDING : cell->status == CELL_DONE ? CELL_FAILED : cell->status;
        return false;
    }
    return true;
}

bool yardstick_applies(const SeriesList *list, const Series *series, const Mix *mix)
{
    CellStatus unused;
    for (size_t s = 0; s < list->n_settings; s++)
        if (is_measured(series, s, mix, &unused)) return true;
    return false;
}

static const Bootstrapped nothing = {
    .value = NAN, .interval = {NAN, NAN},
         .p = NAN, .se = NAN
};

/* Replaces what resampling says of hits; b hitting more is more loss of a. */
static void set_hits(const Series *series, size_t a, size_t b, const Mix *mix, Bootstrapped *out)
{
    HitStratum *strata = mem_alloc(mix->n, sizeof *strata);
    for (size_t i = 0; i < mix->n; i++)
        strata[i] = (HitStratum){
            .hits = series_paired_hits(series_cell(series, b, mix->parts[i].n_ctx),
                                       series_cell(series, a, mix->parts[i].n_ctx)),
            .weight = mix->parts[i].weight,
        };
    out->interval = stats_hits_interval(strata, mix->n);
    if (mix->n == 1) out->p = stats_mcnemar(strata[0].hits.only_first, strata[0].hits.only_second);
    free(strata);
}

Bootstrapped yardstick_difference(const Series *series, size_t a, size_t b, const Mix *mix)
{
    ClusterSum *clusters = mem_alloc(mix->n * SERIES_MAX_CLUSTERS, sizeof *clusters);
    Stratum *strata = mem_alloc(mix->n, sizeof *strata);
    bool complete = true;
    bool joint = series->same_targets;
    for (size_t i = 0; i < mix->n; i++) {
        const MixPart *part = &mix->parts[i];
        ClusterSum *own = clusters + i * SERIES_MAX_CLUSTERS;
        size_t n = series_pair(series_cell(series, a, part->n_ctx),
                               series_cell(series, b, part->n_ctx), own);
        strata[i] = (Stratum){own, n, loss_sign(series) * part->weight};
        complete = complete && n > 0;
        joint = joint && n == strata[0].n_clusters;
    }
    Bootstrapped out =
        complete ? stats_bootstrap_strata(strata, mix->n, joint || mix->n == 1, SEED) : nothing;
    if (complete && series->is_hits && mix->n > 1) out.p = stats_sign_flips(strata, mix->n, SEED);
    /* A setting differs from itself by nothing, and for certain. */
    if (complete && series->is_hits && a != b) set_hits(series, a, b, mix, &out);
    free(strata);
    free(clusters);
    return out;
}

static double mean_over(const Series *series, size_t setting, const Mix *mix)
{
    double mean = 0.0;
    for (size_t i = 0; i < mix->n; i++)
        mean +=
            mix->parts[i].weight * series_mean(series_cell(series, setting, mix->parts[i].n_ctx));
    return mean;
}

static void set_values(Yardstick *yardstick, const Mix *mix)
{
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        Verdict *verdict = &yardstick->verdicts[s];
        *verdict = (Verdict){.regret = nothing, .tax = nothing, .gain = nothing};
        verdict->p_holm = verdict->needed = verdict->value = (double)NAN;
        verdict->measured = is_measured(yardstick->series, s, mix, &verdict->status);
        if (verdict->measured) verdict->value = mean_over(yardstick->series, s, mix);
    }
}

static double rank_of(const SeriesSetting *setting)
{
    return report_tie_rank(setting->method, setting->lambda);
}

bool yardstick_is_better(const SeriesList *list, const Yardstick *yardstick, size_t setting,
                         size_t than)
{
    if (!yardstick->verdicts[setting].measured) return false;
    if (than == yardstick->n_settings) return true;
    double sign = loss_sign(yardstick->series);
    double loss = sign * yardstick->verdicts[setting].value;
    double other = sign * yardstick->verdicts[than].value;
    return loss < other ||
           (loss == other && rank_of(&list->settings[setting]) < rank_of(&list->settings[than]));
}

/* Where nothing was hit, none is best. */
static size_t find_best(const SeriesList *list, const Yardstick *yardstick)
{
    size_t none = yardstick->n_settings;
    size_t best = none;
    for (size_t s = 0; s < none; s++)
        if (yardstick_is_better(list, yardstick, s, best)) best = s;
    bool all_miss =
        best < none && yardstick->series->is_hits && yardstick->verdicts[best].value == 0.0;
    return all_miss ? none : best;
}

static int64_t count_samples(const Series *series, size_t setting, const Mix *mix)
{
    int64_t n = 0;
    for (size_t i = 0; i < mix->n; i++) {
        const SeriesCell *cell = series_cell(series, setting, mix->parts[i].n_ctx);
        for (size_t k = 0; cell && k < cell->n; k++)
            n += cell->samples[k].n;
    }
    return n;
}

static void set_regrets(Yardstick *yardstick, const Mix *mix)
{
    size_t n = yardstick->n_settings;
    double *p = mem_alloc(n + 1, sizeof *p);
    for (size_t s = 0; s < n; s++) {
        Verdict *verdict = &yardstick->verdicts[s];
        p[s] = (double)NAN;
        if (!verdict->measured || yardstick->best == n) continue;
        verdict->regret = yardstick_difference(yardstick->series, s, yardstick->best, mix);
        if (s == yardstick->best) yardstick->n_clusters = verdict->regret.n_clusters;
        if (s != yardstick->best) p[s] = verdict->regret.p;
        yardstick->n_compared += !isnan(p[s]);
    }
    stats_holm(p, n);
    for (size_t s = 0; s < n; s++) {
        Verdict *verdict = &yardstick->verdicts[s];
        verdict->p_holm = p[s];
        /* A difference without a p-value cannot rule a setting out. */
        verdict->in_set = verdict->measured && !(p[s] <= level);
        yardstick->n_set += verdict->in_set;
        if (!verdict->in_set || s == yardstick->best) continue;
        double each = (double)yardstick->n / (double)yardstick->n_clusters;
        verdict->needed =
            each * stats_clusters_needed(verdict->regret.value, verdict->regret.se,
                                         verdict->regret.n_clusters, yardstick->n_compared);
    }
    free(p);
}

/* The longest length within the trained one at which the unscaled model is measured. */
static int64_t find_tax_length(const SeriesList *list, const Yardstick *yardstick, size_t unscaled)
{
    int64_t longest = 0;
    for (size_t i = 0; i < yardstick->series->n_cells; i++) {
        const SeriesCell *cell = &yardstick->series->cells[i];
        if (cell->setting == unscaled && cell->status == CELL_DONE && cell->n > 0 &&
            cell->n_ctx <= list->n_ctx_orig)
            longest = max_i64(longest, cell->n_ctx);
    }
    return longest;
}

static Bootstrapped negated(Bootstrapped of)
{
    Interval interval = of.interval;
    of.value = -of.value;
    of.interval = (Interval){-interval.high, -interval.low};
    return of;
}

static void set_taxes_and_gains(const SeriesList *list, const Mix *mix, Yardstick *yardstick)
{
    size_t unscaled = yardstick_unscaled(list);
    if (unscaled == yardstick->n_settings) return;
    yardstick->tax_n_ctx = find_tax_length(list, yardstick, unscaled);
    if (yardstick->verdicts[unscaled].measured) yardstick->reference = unscaled;
    const MixPart within = {yardstick->tax_n_ctx, 1.0};
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        Verdict *verdict = &yardstick->verdicts[s];
        if (!verdict->measured) continue;
        if (yardstick->tax_n_ctx > 0)
            verdict->tax = yardstick_difference(yardstick->series, s, unscaled, &(Mix){&within, 1});
        if (yardstick->reference == unscaled)
            verdict->gain = negated(yardstick_difference(yardstick->series, s, unscaled, mix));
    }
}

static bool is_beaten(const Verdict *verdict, const Verdict *by)
{
    double tax = verdict->tax.value;
    double gain = verdict->gain.value;
    return by->tax.value <= tax && by->gain.value >= gain &&
           (by->tax.value < tax || by->gain.value > gain);
}

static void mark_front(Yardstick *yardstick)
{
    for (size_t s = 0; s < yardstick->n_settings; s++) {
        Verdict *verdict = &yardstick->verdicts[s];
        bool beaten = isnan(verdict->tax.value) || isnan(verdict->gain.value);
        for (size_t other = 0; !beaten && other < yardstick->n_settings; other++)
            beaten = is_beaten(verdict, &yardstick->verdicts[other]);
        verdict->on_front = !beaten;
    }
}

size_t yardstick_rules(const Yardstick *yardstick, const EffectiveRule *rules[YARDSTICK_MAX_RULES])
{
    size_t n = 0;
    for (const EffectiveRule *rule = effective_rules; rule->name; rule++) {
        if (rule->of_hits != yardstick->series->is_hits) continue;
        assert(n < YARDSTICK_MAX_RULES);
        rules[n++] = rule;
    }
    return n;
}

/* The curve of a setting, its points and their clusters in arrays that the caller frees. */
static Curve make_curve(const SeriesList *list, const Series *series, size_t setting,
                        CurvePoint **points, ClusterSum **clusters)
{
    size_t n = 0;
    for (size_t i = 0; i < series->n_cells; i++)
        n += series->cells[i].setting == setting && series->cells[i].n > 0;
    *points = mem_alloc(n + 1, sizeof **points);
    *clusters = mem_alloc(n * SERIES_MAX_CLUSTERS + 1, sizeof **clusters);
    n = 0;
    for (size_t i = 0; i < series->n_cells; i++) {
        const SeriesCell *cell = &series->cells[i];
        if (cell->setting != setting || cell->n == 0) continue;
        ClusterSum *own = *clusters + n * SERIES_MAX_CLUSTERS;
        (*points)[n++] = (CurvePoint){cell->n_ctx, own, series_clusters(cell, own)};
    }
    return (Curve){.points = *points,
                   .n = n,
                   .is_hits = series->is_hits,
                   .same_targets = series->same_targets,
                   .n_ctx_orig = list->n_ctx_orig};
}

static void set_reach(const SeriesList *list, Yardstick *yardstick, size_t setting)
{
    const EffectiveRule *rules[YARDSTICK_MAX_RULES];
    size_t n_rules = yardstick_rules(yardstick, rules);
    CurvePoint *points;
    ClusterSum *clusters;
    Curve curve = make_curve(list, yardstick->series, setting, &points, &clusters);
    for (size_t r = 0; r < n_rules; r++)
        yardstick->verdicts[setting].reach[r] = effective_length(rules[r], &curve, SEED);
    free(points);
    free(clusters);
}

const char *yardstick_methods(const Yardstick *yardstick)
{
    if (!yardstick->series->is_hits)
        return yardstick->n_clusters >= STATS_MIN_CLUSTERS ? "paired BCa bootstrap over clusters"
                                                           : "none: too few clusters";
    return yardstick->is_mix ? "Newcombe's of paired shares, their squares added; p by sign flips"
                             : "Newcombe's of paired shares; p by exact McNemar";
}

Yardstick yardstick_make(const SeriesList *list, const Series *series, const Mix *mix)
{
    Yardstick out = {.series = series, .n_settings = list->n_settings, .is_mix = mix->n > 1};
    out.verdicts = mem_alloc(list->n_settings + 1, sizeof *out.verdicts);
    out.reference = out.n_settings;
    set_values(&out, mix);
    out.best = find_best(list, &out);
    for (size_t s = 0; s < out.n_settings; s++)
        if (out.verdicts[s].measured) out.n = max_i64(out.n, count_samples(series, s, mix));
    set_regrets(&out, mix);
    set_taxes_and_gains(list, mix, &out);
    mark_front(&out);
    for (size_t s = 0; s < out.n_settings; s++)
        if (out.verdicts[s].measured) set_reach(list, &out, s);
    return out;
}

void yardstick_free(Yardstick *yardstick)
{
    free(yardstick->verdicts);
    *yardstick = (Yardstick){0};
}
