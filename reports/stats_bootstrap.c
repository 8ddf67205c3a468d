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

static void draw_means(const ClusterSum *clusters, size_t n, uint64_t seed, double *means)
{
    Rng rng = rng_open(seed, 0, (uint32_t)n, 0);
    for (size_t i = 0; i < STATS_RESAMPLES; i++) {
        double sum = 0.0;
        double tokens = 0.0;
        for (size_t k = 0; k < n; k++) {
            const ClusterSum *drawn = &clusters[rng_below(&rng, (uint32_t)n)];
            sum += drawn->sum;
            tokens += (double)drawn->n;
        }
        means[i] = ratio(sum, tokens);
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

/* Σ d³ / (6 (Σ d²)^(3/2)) over d = the mean of the leave-one-out means minus each of them. */
static double jackknife_acceleration(const ClusterSum *clusters, size_t n, double scale)
{
    double sum = 0.0;
    double tokens = 0.0;
    double centre = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += clusters[i].sum;
        tokens += (double)clusters[i].n;
    }
    for (size_t i = 0; i < n; i++)
        centre += ratio(sum - clusters[i].sum, tokens - (double)clusters[i].n) / (double)n;
    double squares = 0.0;
    double cubes = 0.0;
    for (size_t i = 0; i < n; i++) {
        double off = centre - ratio(sum - clusters[i].sum, tokens - (double)clusters[i].n);
        squares += off * off;
        cubes += off * off * off;
    }
    return sqrt(squares) > tie * scale ? cubes / (6.0 * pow(squares, 1.5)) : 0.0;
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

Bootstrapped stats_bootstrap(const ClusterSum *clusters, size_t n_clusters, uint64_t seed)
{
    assert(n_clusters > 0 && n_clusters <= UINT32_MAX);
    Bootstrapped out = {
        .interval = {(double)NAN, (double)NAN},
          .p = (double)NAN
    };
    out.n_clusters = n_clusters;
    stats_clustered_mean(clusters, n_clusters, &out.value, &out.se);
    if (isnan(out.se)) return out;
    double scale = 0.0;
    for (size_t i = 0; i < n_clusters; i++)
        scale = fmax(scale, fabs(ratio(clusters[i].sum, (double)clusters[i].n)));
    double *means = mem_alloc(STATS_RESAMPLES, sizeof *means);
    draw_means(clusters, n_clusters, seed, means);
    qsort(means, STATS_RESAMPLES, sizeof *means, compare_doubles);
    Shift shift = {.bias = stats_normal_quantile(share_below(means, out.value, scale)),
                   .acceleration = jackknife_acceleration(clusters, n_clusters, scale)};
    out.interval = (Interval){end_at(means, &shift, -z95), end_at(means, &shift, z95)};
    out.p = p_of_zero(means, &shift, scale);
    free(means);
    return out;
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

double stats_clusters_needed(double mean, double se, size_t n_clusters)
{
    if (isnan(mean) || isnan(se) || mean == 0.0) return (double)NAN;
    double steps = (z95 + z80) * se / mean;
    return (double)n_clusters * steps * steps;
}
