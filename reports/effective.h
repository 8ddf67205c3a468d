/* Effective length: how far a setting reaches, by each of the rules that people use. They disagree, so all are given. */
#ifndef REPORTS_EFFECTIVE_H
#define REPORTS_EFFECTIVE_H

#include "reports/stats.h"

enum { EFFECTIVE_RESAMPLES = 2000 };

/* One length: sums of nll over tokens, or hits over trials. */
typedef struct {
    int64_t n_ctx;
    const ClusterSum *clusters;
    size_t n_clusters; /* > 0 */
} CurvePoint;

/* One setting over the lengths that were measured. */
typedef struct {
    const CurvePoint *points; /* by rising n_ctx */
    size_t n;
    bool is_hits;       /* else nll */
    bool same_targets;  /* every length scores the same tokens, cluster by cluster */
    int64_t n_ctx_orig; /* lengths up to it are short; 0: unknown, the first length alone is */
} Curve;

typedef struct EffectiveRule EffectiveRule;

/* A rule reads a curve's means and says up to which length it holds, without a gap. */
struct EffectiveRule {
    const char *name; /* "perplexity-5%" */
    const char *help; /* one line */
    bool of_hits;
    /* Index of the last point that holds; -1: none does. means: [curve->n], of the data or of a resample. */
    int64_t (*find)(const Curve *curve, const double *means);
};

/* All rules. Ends with a row whose name is NULL. */
extern const EffectiveRule effective_rules[];

/* Lengths are those that were measured; 0 means that not even the shortest holds. */
typedef struct {
    int64_t n_ctx;
    int64_t
        low; /* 95 %; -1: no interval, since a length has fewer than STATS_MIN_CLUSTERS clusters */
    int64_t high;
    bool is_longest; /* n_ctx is the longest that was measured: the true one may be longer */
} EffectiveLength;

/* The effective length with the 2.5 % and 97.5 % percentiles of EFFECTIVE_RESAMPLES draws of whole clusters, the same documents at every
 * length where the targets are the same. The curve must be of the rule's kind and n > 0. */
EffectiveLength effective_length(const EffectiveRule *rule, const Curve *curve, uint64_t seed);

#endif
