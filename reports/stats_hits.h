/* Exact tests of paired hits: resampling says too much where few pairs differ. */
#ifndef REPORTS_STATS_HITS_H
#define REPORTS_STATS_HITS_H

#include "reports/stats_bootstrap.h"

/* Two-sided exact p-value of McNemar's test for b pairs in which only the first hit and c in which only the second did: twice the smaller
 * tail of the binomial distribution of b + c at 1/2, at most 1. Source: McNemar, Psychometrika 12, 1947. */
double stats_mcnemar(int64_t b, int64_t c);

/* The same for Σ weight * mean over strata of paired differences: the share of sign patterns of the clusters under which the sum is as far
 * from 0 as it is. All patterns are counted where at most STATS_FLIPS_EXACT clusters are not 0, else STATS_RESAMPLES random ones, the
 * observed one among them. For one stratum of single pairs it is McNemar's test. n of each cluster > 0. Source: Fisher, The Design of
 * Experiments, 1935. */
enum { STATS_FLIPS_EXACT = 13 };
double stats_sign_flips(const Stratum *strata, size_t n_strata, uint64_t seed);

#endif
