/* Intervals and p-values by resampling clusters, and Holm's correction where many are read at once. */
#ifndef REPORTS_STATS_BOOTSTRAP_H
#define REPORTS_STATS_BOOTSTRAP_H

#include "reports/stats.h"

enum { STATS_RESAMPLES = 10000 };

/* A token-weighted mean and what resampling says of it. */
typedef struct {
    double value;
    Interval interval; /* 95 %; NaN below STATS_MIN_CLUSTERS clusters */
    double
        p; /* two-sided, of the mean being 0: the level at which the interval just holds 0; NaN as above */
    double se; /* as stats_clustered_mean */
    size_t n_clusters;
} Bootstrapped;

/* Σ sum / Σ n with a bias-corrected and accelerated (BCa) interval over STATS_RESAMPLES draws of whole clusters. With clusters
 * of paired differences (sum = Σ a - b over the same tokens) it compares two settings; exp of value and interval is then the ratio
 * of their perplexities. Equal seeds and cluster counts draw alike, so that several comparisons see the same resamples.
 * n_clusters and the n of each > 0. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14. */
Bootstrapped stats_bootstrap(const ClusterSum *clusters, size_t n_clusters, uint64_t seed);

/* Clusters that are drawn among themselves, and the weight of their mean. */
typedef struct {
    const ClusterSum *clusters;
    size_t n_clusters;
    double weight;
} Stratum;

/* The same for Σ weight * mean over strata: lengths of a mix, say. joint: cluster i of every stratum is the same document, and one
 * draw takes them all; the strata then have equally many. An interval needs STATS_MIN_CLUSTERS clusters in each. Source: Davison and
 * Hinkley, Bootstrap Methods and their Application, 1997, chapter 5, for the
 * acceleration of several samples. */
Bootstrapped stats_bootstrap_strata(const Stratum *strata, size_t n_strata, bool joint,
                                    uint64_t seed);

/* p-values so adjusted that all of them can be compared with one level: p[i] is replaced by the running maximum, in rising order, of
 * p times the number of values not yet passed, at most 1. NaN stays and does not count. Source: Holm, Scandinavian Journal of
 * Statistics 6, 1979. */
void stats_holm(double *p, size_t n);

/* Clusters that would show a mean of this size at 95 %, Bonferroni's way for n_compared means, in four of five repetitions, when n
 * clusters gave it this standard error; NaN when that cannot be said (mean 0, no standard error). Source: Cochran, Sampling Techniques,
 * 3rd ed., chapter 4, with normal quantiles and a power of 80 %. */
double stats_clusters_needed(double mean, double se, size_t n_clusters, size_t n_compared);

/* The distribution function of the normal distribution and its inverse (0 < p < 1), to 1e-12. */
double stats_normal(double z);
double stats_normal_quantile(double p);

#endif
