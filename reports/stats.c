#include "reports/stats.h"

#include <math.h>

/* 97.5 % quantile of the normal distribution. */
static const double z95 = 1.959963984540054;

Interval stats_wilson(int64_t k, int64_t n)
{
    assert(n > 0 && k >= 0 && k <= n);
    double trials = (double)n;
    double p = (double)k / trials;
    double z2 = z95 * z95;
    double centre = (p + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    double half =
        z95 / (1.0 + z2 / trials) * sqrt(p * (1.0 - p) / trials + z2 / (4.0 * trials * trials));
    /* The ends at 0 and n hits are exact, and rounding must not push them off. */
    return (Interval){.low = k == 0 ? 0.0 : centre - half, .high = k == n ? 1.0 : centre + half};
}

void stats_clustered_mean(const ClusterSum *clusters, size_t n_clusters, double *mean, double *se)
{
    double sum = 0.0;
    double n = 0.0;
    for (size_t i = 0; i < n_clusters; i++) {
        sum += clusters[i].sum;
        n += (double)clusters[i].n;
    }
    *mean = n > 0.0 ? sum / n : (double)NAN;
    *se = (double)NAN;
    if (n_clusters < STATS_MIN_CLUSTERS || n <= 0.0) return;
    double squares = 0.0;
    for (size_t i = 0; i < n_clusters; i++) {
        double residual = clusters[i].sum - *mean * (double)clusters[i].n;
        squares += residual * residual;
    }
    double g = (double)n_clusters;
    *se = sqrt(g / (g - 1.0) * squares) / n;
}

/* Probability that |T| <= t, by the finite series in the angle of A&S 26.7.3 (odd df) and 26.7.4 (even). */
static double t_central_probability(double t, int64_t df)
{
    double angle = atan(t / sqrt((double)df));
    double cos2 = cos(angle) * cos(angle);
    bool odd = df % 2 != 0;
    if (df == 1) return 2.0 * angle / M_PI;
    double term = odd ? cos(angle) : 1.0;
    double series = term;
    for (int64_t j = odd ? 3 : 2; j <= df - 2; j += 2) {
        term *= cos2 * (double)(j - 1) / (double)j;
        series += term;
    }
    double scaled = sin(angle) * series;
    return odd ? 2.0 / M_PI * (angle + scaled) : scaled;
}

/* Cornish-Fisher expansion in 1/df, A&S 26.7.5: off by less than 1e-8 from 200 degrees of freedom on. */
static double t95_of_many(double df)
{
    double z = z95;
    double z3 = z * z * z;
    double z5 = z3 * z * z;
    double g1 = (z3 + z) / 4.0;
    double g2 = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    double g3 = (3.0 * z5 * z * z + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    return z + g1 / df + g2 / (df * df) + g3 / (df * df * df);
}

double stats_t95(int64_t df)
{
    assert(df >= 1);
    enum { MANY = 200, HALVINGS = 50 };
    if (df >= MANY) return t95_of_many((double)df);
    double low = 1.9;
    double high = 12.8;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = 0.5 * (low + high);
        if (t_central_probability(middle, df) < 0.95)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}
