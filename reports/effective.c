#include "reports/effective.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

static const double threshold = 0.5;
static const double kept_share = 0.85;

static int64_t n_trials(const CurvePoint *point)
{
    int64_t n = 0;
    for (size_t i = 0; i < point->n_clusters; i++)
        n += point->clusters[i].n;
    return n;
}

static int64_t first_least(const Curve *curve, const double *means)
{
    int64_t least = 0;
    for (size_t i = 1; i < curve->n; i++)
        if (means[i] < means[least]) least = (int64_t)i;
    return least;
}

/* Source: YaRN's figures, which are read where perplexity turns up. */
static int64_t find_within_5_percent(const Curve *curve, const double *means)
{
    int64_t least = first_least(curve, means);
    int64_t last = least;
    while (last + 1 < (int64_t)curve->n && means[last + 1] - means[least] <= log(1.05))
        last++;
    return last;
}

/* Source: NoLiMa, arXiv 2502.05167, which takes the best of the short lengths as base score. */
static int64_t find_85_percent(const Curve *curve, const double *means)
{
    int64_t best = 0;
    for (size_t i = 1; i < curve->n && curve->points[i].n_ctx <= curve->n_ctx_orig; i++)
        if (means[i] > means[best]) best = (int64_t)i;
    if (means[best] <= 0.0) return -1;
    int64_t last = best;
    while (last + 1 < (int64_t)curve->n && means[last + 1] >= kept_share * means[best])
        last++;
    return last;
}

static int64_t find_sure_half(const Curve *curve, const double *means)
{
    int64_t last = -1;
    while (last + 1 < (int64_t)curve->n) {
        int64_t n = n_trials(&curve->points[last + 1]);
        if (stats_wilson(llround(means[last + 1] * (double)n), n).low <= threshold) break;
        last++;
    }
    return last;
}

const EffectiveRule effective_rules[] = {
    {"perplexity-5%", "perplexity within 5 % of its own least",              false, find_within_5_percent},
    {"context-helps", "least perplexity: no longer context lowers it",       false, first_least          },
    {"retrieval-85%", "85 % of the setting's own retrieval at short length", true,  find_85_percent      },
    {"retrieval-50%", "retrieval whose 95 % lower bound exceeds 50 %",       true,  find_sure_half       },
    {NULL,            NULL,                                                  false, NULL                 },
};

/* The mean of a point's clusters, each as often as drawn; as they are when rng is NULL. */
static double mean_of(const CurvePoint *point, Rng *rng)
{
    double sum = 0.0;
    double n = 0.0;
    for (size_t i = 0; i < point->n_clusters; i++) {
        size_t at = rng ? rng_below(rng, (uint32_t)point->n_clusters) : i;
        sum += point->clusters[at].sum;
        n += (double)point->clusters[at].n;
    }
    return sum / n;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t length_at(const Curve *curve, int64_t index)
{
    return index < 0 ? 0 : curve->points[index].n_ctx;
}

/* Whether one draw of documents can serve every length. */
static bool is_joint(const Curve *curve)
{
    for (size_t i = 1; i < curve->n; i++)
        if (curve->points[i].n_clusters != curve->points[0].n_clusters) return false;
    return curve->same_targets;
}

static void resample(const EffectiveRule *rule, const Curve *curve, uint64_t seed,
                     EffectiveLength *out)
{
    bool joint = is_joint(curve);
    double *means = mem_alloc(curve->n, sizeof *means);
    int64_t *found = mem_alloc(EFFECTIVE_RESAMPLES, sizeof *found);
    for (uint32_t draw = 0; draw < EFFECTIVE_RESAMPLES; draw++) {
        for (size_t i = 0; i < curve->n; i++) {
            Rng rng = rng_open(seed, draw, joint ? 0 : (uint32_t)i, 1);
            means[i] = mean_of(&curve->points[i], &rng);
        }
        found[draw] = rule->find(curve, means);
    }
    qsort(found, EFFECTIVE_RESAMPLES, sizeof *found, compare_i64);
    size_t tail = EFFECTIVE_RESAMPLES / 40;
    out->low = length_at(curve, found[tail]);
    out->high = length_at(curve, found[EFFECTIVE_RESAMPLES - 1 - tail]);
    free(found);
    free(means);
}

EffectiveLength effective_length(const EffectiveRule *rule, const Curve *curve, uint64_t seed)
{
    assert(curve->n > 0 && rule->of_hits == curve->is_hits);
    double *means = mem_alloc(curve->n, sizeof *means);
    bool enough = true;
    for (size_t i = 0; i < curve->n; i++) {
        means[i] = mean_of(&curve->points[i], NULL);
        enough = enough && curve->points[i].n_clusters >= STATS_MIN_CLUSTERS;
    }
    int64_t last = rule->find(curve, means);
    free(means);
    EffectiveLength out = {.n_ctx = length_at(curve, last),
                           .low = -1,
                           .high = -1,
                           .is_longest = last + 1 == (int64_t)curve->n};
    if (enough) resample(rule, curve, seed, &out);
    return out;
}
