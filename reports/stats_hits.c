#include "reports/stats_hits.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

/* Relative to the largest sum: sums nearer than this differ by rounding alone. */
static const double tie = 1e-12;

double stats_mcnemar(int64_t b, int64_t c)
{
    assert(b >= 0 && c >= 0);
    double n = (double)b + (double)c;
    double tail = 0.0;
    for (int64_t k = 0; k <= min_i64(b, c); k++)
        tail += exp(lgamma(n + 1.0) - lgamma((double)k + 1.0) - lgamma(n - (double)k + 1.0) -
                    n * M_LN2);
    return fmin(1.0, 2.0 * tail);
}

/* The correlation of the two hits of a pair, drawn towards 0 where it is positive; 0 where one of them never or always hits. */
static double correlation(const PairedHits *hits)
{
    double both = (double)hits->both;
    double first = (double)hits->only_first;
    double second = (double)hits->only_second;
    double neither = (double)hits->neither;
    double margins = (both + first) * (second + neither) * (both + second) * (first + neither);
    double excess = both * neither - first * second;
    if (excess > 0.0) excess = fmax(0.0, excess - 0.5 * (both + first + second + neither));
    return margins > 0.0 ? excess / sqrt(margins) : 0.0;
}

/* The third side of a triangle with these two and the cosine between them; rounding must not make it imaginary. */
static double side(double a, double b, double cosine)
{
    return sqrt(fmax(0.0, a * a + b * b - 2.0 * cosine * a * b));
}

/* A share of hits less another of the same pairs, and how far its interval reaches to each side. */
typedef struct {
    double value;
    double below;
    double above;
} Reach;

static Reach reach_of(const PairedHits *hits)
{
    int64_t n = hits->both + hits->only_first + hits->only_second + hits->neither;
    int64_t n_first = hits->both + hits->only_first;
    int64_t n_second = hits->both + hits->only_second;
    double first = (double)n_first / (double)n;
    double second = (double)n_second / (double)n;
    Interval of_first = stats_wilson(n_first, n);
    Interval of_second = stats_wilson(n_second, n);
    double cosine = correlation(hits);
    return (Reach){.value = first - second,
                   .below = side(first - of_first.low, of_second.high - second, cosine),
                   .above = side(of_first.high - first, second - of_second.low, cosine)};
}

Interval stats_hits_interval(const HitStratum *strata, size_t n_strata)
{
    double value = 0.0;
    double below = 0.0;
    double above = 0.0;
    for (size_t i = 0; i < n_strata; i++) {
        Reach reach = reach_of(&strata[i].hits);
        value += strata[i].weight * reach.value;
        below = hypot(below, strata[i].weight * reach.below);
        above = hypot(above, strata[i].weight * reach.above);
    }
    /* Rounding must not push the ends past what a difference of shares can be. */
    return (Interval){.low = fmax(-1.0, value - below), .high = fmin(1.0, value + above)};
}

/* What each cluster that is not 0 adds to the weighted mean. */
static size_t list_parts(const Stratum *strata, size_t n_strata, double **parts)
{
    size_t n = 0;
    *parts = NULL;
    for (size_t l = 0; l < n_strata; l++) {
        double total = 0.0;
        for (size_t i = 0; i < strata[l].n_clusters; i++)
            total += (double)strata[l].clusters[i].n;
        *parts = mem_realloc(*parts, n + strata[l].n_clusters + 1, sizeof **parts);
        for (size_t i = 0; i < strata[l].n_clusters; i++)
            if (strata[l].clusters[i].sum != 0.0)
                (*parts)[n++] = strata[l].weight * strata[l].clusters[i].sum / total;
    }
    return n;
}

/* The sum of the parts under a pattern: bit i of word i / 32 turns part i. */
static double flipped_sum(const double *parts, size_t n, const uint32_t *pattern)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += pattern[i / 32] >> (i % 32) & 1 ? -parts[i] : parts[i];
    return sum;
}

double stats_sign_flips(const Stratum *strata, size_t n_strata, uint64_t seed)
{
    double *parts;
    size_t n = list_parts(strata, n_strata, &parts);
    size_t n_words = n / 32 + 1;
    uint32_t *pattern = mem_zalloc(n_words, sizeof *pattern);
    bool exact = n <= STATS_FLIPS_EXACT;
    uint32_t n_patterns = exact ? UINT32_C(1) << n : STATS_RESAMPLES;
    Rng rng = rng_open(seed, 0, (uint32_t)n, 2);
    double scale = 0.0;
    for (size_t i = 0; i < n; i++)
        scale += fabs(parts[i]);
    double limit = fabs(flipped_sum(parts, n, pattern)) - tie * scale;
    double n_as_far = 0.0;
    for (uint32_t k = 0; k < n_patterns; k++) {
        /* Pattern 0 is what was observed. */
        for (size_t w = 0; w < n_words && k > 0; w++)
            pattern[w] = exact ? k : rng_u32(&rng);
        n_as_far += fabs(flipped_sum(parts, n, pattern)) >= limit;
    }
    free(pattern);
    free(parts);
    return n_as_far / n_patterns;
}
