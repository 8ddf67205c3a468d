/* Statistics of single series: intervals for hits and for means of clustered values. */
#ifndef REPORTS_STATS_H
#define REPORTS_STATS_H

#include "base/base.h"

typedef struct {
    double low;
    double high;
} Interval;

/* Wilson's score interval of k hits in n trials at 95 %. n > 0. Source: Wilson 1927; Brown, Cai,
 * DasGupta 2001. */
Interval stats_wilson(int64_t k, int64_t n);

/* Sums of one cluster (a document, or a block of one). */
typedef struct {
    double sum;
    int64_t n;
} ClusterSum;

/* Fewest clusters that an interval is given for. */
enum { STATS_MIN_CLUSTERS = 10 };

/* Token-weighted mean Σ sum / Σ n and its standard error with clusters as the sampling unit
 * (linearised ratio estimator); *se is NaN below STATS_MIN_CLUSTERS clusters. Source: Cochran,
 * Sampling Techniques, 3rd ed., section 6.4. */
void stats_clustered_mean(const ClusterSum *clusters, size_t n_clusters, double *mean, double *se);

/* Two-sided 95 % quantile of Student's t with df degrees of freedom (df >= 1), to 1e-6. Source:
 * Abramowitz and Stegun 26.7. */
double stats_t95(int64_t df);

#endif
