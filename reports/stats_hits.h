/* Tests and intervals of paired hits: resampling says too much where few pairs differ, or all in one way. */
#ifndef REPORTS_STATS_HITS_H
#define REPORTS_STATS_HITS_H

#include "reports/stats_bootstrap.h"

/* Pairs of trials by which of the two hit. */
typedef struct {
    int64_t both;
    int64_t only_first;
    int64_t only_second;
    int64_t neither;
} PairedHits;

/* Pairs that are drawn among themselves, and the weight of their difference. */
typedef struct {
    PairedHits hits; /* at least one pair */
    double weight;
} HitStratum;

/* Two-sided exact p-value of McNemar's test for b pairs in which only the first hit and c in which only the second did: twice the smaller
 * tail of the binomial distribution of b + c at 1/2, at most 1. Source: McNemar, Psychometrika 12, 1947. */
double stats_mcnemar(int64_t b, int64_t c);

/* The same for Σ weight * mean over strata of paired differences: the share of sign patterns of the clusters under which the sum is as far
 * from 0 as it is. All patterns are counted where at most STATS_FLIPS_EXACT clusters are not 0, else STATS_RESAMPLES random ones, the
 * observed one among them. For one stratum of single pairs it is McNemar's test. n of each cluster > 0. Source: Fisher, The Design of
 * Experiments, 1935. */
enum { STATS_FLIPS_EXACT = 13 };
double stats_sign_flips(const Stratum *strata, size_t n_strata, uint64_t seed);

/* 95 % interval of Σ weight * (share of hits of the first - that of the second) over strata, weights of sum 1: each stratum's interval is made of the Wilson
 * intervals of its two shares and their correlation, and distances from the estimate add up in squares. It has a width where no pair
 * differs and where all do. Source: Newcombe, Statistics in Medicine 17, 1998, 2635-2650, method 10; Zou and Donner, Statistics in
 * Medicine 27, 2008, for the sum. */
Interval stats_hits_interval(const HitStratum *strata, size_t n_strata);

#endif
