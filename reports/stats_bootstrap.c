/* BCa: the percentiles of the resampled means, moved.
 *
 * Without bias half of the resampled means lie below the mean itself; z0 is how far that is from true, as a normal quantile. The
 * acceleration a is how fast the standard error changes with the mean, from the means without one cluster each. The ends of the
 * interval are the resampled means of ranks Φ(z0 + (z0 + z)/(1 - a(z0 + z))), z = ±1.96. The p-value inverts this map: the level
 * whose end would be 0. */
#include "reports/stats_bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

/* Relative to the values: resampled means nearer than this differ by rounding alone. */
static const double tie = 1e-12;

static const double z95 = 1.959963984540054;
static const double z80 = 0.8416212335729143; /* power */

/* The map of one bootstrap. */
typedef struct {
    double bias; /* z0 */
    double acceleration;
} Shift;

double stats_normal(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2);
}

double stats_normal_quantile(double p)
{
    enum { HALVINGS = 100, FARTHEST = 40 };
    assert(p > 0.0 && p < 1.0);
    double low = -FARTHEST;
    double high = 0.0; /* erfc is exact to the last digit in the lower tail alone */
    if (p > 0.5) return -stats_normal_quantile(1.0 - p);
    for (int i = 0; i < HALVINGS; i++) {
        double middle = 0.5 * (low + high);
        if (stats_normal(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

static double ratio(double sum, double n)
{
    return n > 0.0 ? sum / n : (double)NAN;
}

/* Adds a stratum's share of every resampled mean. */
static void draw_means(const Stratum *stratum, uint64_t seed, uint32_t stream, double *means)
{
    uint32_t n = (uint32_t)stratum->n_clusters;
    Rng rng = rng_open(seed, stream, n, 0);
    for (size_t i = 0; i < STATS_RESAMPLES; i++) {
        double sum = 0.0;
        double tokens = 0.0;
        for (size_t k = 0; k < n; k++) {
            const ClusterSum *drawn = &stratum->clusters[rng_below(&rng, n)];
            sum += drawn->sum;
            tokens += (double)drawn->n;
        }
        means[i] += stratum->weight * ratio(sum, tokens);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Share of the resampled means below x, those equal to it counted half, and kept off 0 and 1. */
static double share_below(const double *means, double x, double scale)
{
    double below = 0.0;
    for (size_t i = 0; i < STATS_RESAMPLES; i++) {
        if (fabs(means[i] - x) <= tie * scale)
            below += 0.5;
        else if (means[i] < x)
            below += 1.0;
    }
    return fmin(fmax(below, 0.5), STATS_RESAMPLES - 0.5) / STATS_RESAMPLES;
}

/* Strata whose clusters are drawn together. */
typedef struct {
    const Stratum *strata;
    size_t n_strata;
    size_t n_clusters; /* of each */
} Joint;

/* Adds a stratum's share of the means without one cluster each, and of the residuals of the linearised ratio (Cochran 6.4). */
static void add_parts(const Stratum *stratum, double *without, double *residual)
{
    double sum = 0.0;
    double tokens = 0.0;
    for (size_t i = 0; i < stratum->n_clusters; i++) {
        sum += stratum->clusters[i].sum;
        tokens += (double)stratum->clusters[i].n;
    }
    for (size_t i = 0; i < stratum->n_clusters; i++) {
        double own = stratum->clusters[i].sum;
        double n = (double)stratum->clusters[i].n;
        without[i] += stratum->weight * ratio(sum - own, tokens - n);
        residual[i] += stratum->weight * ratio(own - ratio(sum, tokens) * n, tokens);
    }
}

/* What the clusters say of the mean's spread. */
typedef struct {
    double variance;
    double
        squares; /* Σ d², Σ d³ over d = (n - 1)/n (the mean of the leave-one-out means minus each of them) */
    double cubes;
} Spread;

static void add_spread(const Joint *joint, Spread *out)
{
    size_t n = joint->n_clusters;
    double *without = mem_zalloc(n, sizeof *without);
    double *residual = mem_zalloc(n, sizeof *residual);
    for (size_t l = 0; l < joint->n_strata; l++)
        add_parts(&joint->strata[l], without, residual);
    double centre = 0.0;
    for (size_t i = 0; i < n; i++)
        centre += without[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double off = (centre - without[i]) * ((double)n - 1.0) / (double)n;
        out->squares += off * off;
        out->cubes += off * off * off;
        out->variance += (double)n / ((double)n - 1.0) * residual[i] * residual[i];
    }
    free(without);
    free(residual);
}

/* w / (1 + c w), where it is monotone; its limits beyond. */
static double bend(double w, double c)
{
    double below = 1.0 + c * w;
    return below > 0.0 ? w / below : copysign((double)INFINITY, w);
}

/* The resampled mean at a normal quantile z of the interval. sorted: rising. */
static double end_at(const double *sorted, const Shift *shift, double z)
{
    double share = stats_normal(shift->bias + bend(shift->bias + z, -shift->acceleration));
    double rank = share * (STATS_RESAMPLES + 1) - 1.0; /* from 0 */
    double last = STATS_RESAMPLES - 1;
    double clipped = fmin(fmax(rank, 0.0), last);
    size_t at = (size_t)clipped;
    double part = clipped - (double)at;
    return at + 1 < STATS_RESAMPLES ? sorted[at] + part * (sorted[at + 1] - sorted[at])
                                    : sorted[at];
}

static double p_of_zero(const double *means, const Shift *shift, double scale)
{
    double w = stats_normal_quantile(share_below(means, 0.0, scale)) - shift->bias;
    double z = bend(w, shift->acceleration) - shift->bias;
    double p = 2.0 * stats_normal(-fabs(z));
    return fmax(p, 1.0 / STATS_RESAMPLES);
}

/* The largest value that a resampled mean can have, up to its sign. */
static double scale_of(const Stratum *strata, size_t n_strata)
{
    double scale = 0.0;
    for (size_t l = 0; l < n_strata; l++) {
        double largest = 0.0;
        for (size_t i = 0; i < strata[l].n_clusters; i++)
            largest = fmax(largest,
                           fabs(ratio(strata[l].clusters[i].sum, (double)strata[l].clusters[i].n)));
        scale += fabs(strata[l].weight) * largest;
    }
    return scale;
}

static void resample(const Stratum *strata, size_t n_strata, bool joint, uint64_t seed,
                     Bootstrapped *out, const Spread *spread)
{
    double *means = mem_zalloc(STATS_RESAMPLES, sizeof *means);
    double scale = scale_of(strata, n_strata);
    for (size_t l = 0; l < n_strata; l++)
        draw_means(&strata[l], seed, joint ? 0 : (uint32_t)l, means);
    qsort(means, STATS_RESAMPLES, sizeof *means, compare_doubles);
    Shift shift = {.bias = stats_normal_quantile(share_below(means, out->value, scale))};
    if (sqrt(spread->squares) > tie * scale)
        shift.acceleration = spread->cubes / (6.0 * pow(spread->squares, 1.5));
    out->interval = (Interval){end_at(means, &shift, -z95), end_at(means, &shift, z95)};
    out->p = p_of_zero(means, &shift, scale);
    free(means);
}

Bootstrapped stats_bootstrap_strata(const Stratum *strata, size_t n_strata, bool joint,
                                    uint64_t seed)
{
    Bootstrapped out = {
        .interval = {(double)NAN, (double)NAN},
          .p = (double)NAN, .se = (double)NAN
    };
    Spread spread = {0};
    bool enough = n_strata > 0;
    for (size_t l = 0; l < n_strata; l++) {
        double mean;
        double unused;
        size_t n = strata[l].n_clusters;
        assert(n > 0 && n <= UINT32_MAX && (!joint || n == strata[0].n_clusters));
        stats_clustered_mean(strata[l].clusters, n, &mean, &unused);
        out.value += strata[l].weight * mean;
        out.n_clusters = l == 0 || !joint ? out.n_clusters + n : n;
        enough = enough && n >= STATS_MIN_CLUSTERS;
        if (!joint) add_spread(&(Joint){&strata[l], 1, n}, &spread);
    }
    if (!enough) return out;
    if (joint) add_spread(&(Joint){strata, n_strata, strata[0].n_clusters}, &spread);
    out.se = sqrt(spread.variance);
    resample(strata, n_strata, joint, seed, &out, &spread);
    return out;
}

Bootstrapped stats_bootstrap(const ClusterSum *clusters, size_t n_clusters, uint64_t seed)
{
    return stats_bootstrap_strata(&(Stratum){clusters, n_clusters, 1.0}, 1, true, seed);
}

typedef struct {
    double p;
    size_t at;
} RankedP;

static int compare_p(const void *a, const void *b)
{
    return compare_doubles(&((const RankedP *)a)->p, &((const RankedP *)b)->p);
}

void stats_holm(double *p, size_t n)
{
    RankedP *ranked = mem_alloc(n + 1, sizeof *ranked);
    size_t n_ranked = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i])) ranked[n_ranked++] = (RankedP){p[i], i};
    qsort(ranked, n_ranked, sizeof *ranked, compare_p);
    double largest = 0.0;
    for (size_t i = 0; i < n_ranked; i++) {
        largest = fmax(largest, fmin(1.0, ranked[i].p * (double)(n_ranked - i)));
        p[ranked[i].at] = largest;
    }
    free(ranked);
}

double stats_clusters_needed(double mean, double se, size_t n_clusters, size_t n_compared)
{
    if (isnan(mean) || isnan(se) || mean == 0.0) return (double)NAN;
    double z = stats_normal_quantile(1.0 - 0.025 / (double)n_compared);
    double steps = (z + z80) * se / mean;
    return (double)n_clusters * steps * steps;
}
