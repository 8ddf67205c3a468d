/* Yardsticks: what one probe says of every setting at the lengths that are asked for.
 *
 * Settings are compared on the same samples, so that what makes a text hard or a needle easy drops out. Loss is nll in nats a token, or for
 * hits the share of misses: less is better. */
#ifndef REPORTS_YARDSTICK_H
#define REPORTS_YARDSTICK_H

#include "reports/effective.h"
#include "reports/series.h"
#include "reports/stats_bootstrap.h"

/* A length that is asked for, and its share. */
typedef struct {
    int64_t n_ctx;
    double weight; /* > 0; all of a mix add up to 1 */
} MixPart;

typedef struct {
    const MixPart *parts; /* by rising n_ctx, no length twice */
    size_t n;             /* > 0 */
} Mix;

enum { YARDSTICK_MAX_RULES = 2 };

/* What a yardstick says of one setting. Differences that could not be made have the value NaN. */
typedef struct {
    bool measured;     /* at every length of the mix */
    CellStatus status; /* of the first cell that is not done; PENDING where there is none */
    double value;      /* nats a token, or the share of hits */
    Bootstrapped
        regret; /* its loss less that of the best; p of hits is McNemar's, or of sign flips over several lengths */
    double
        p_holm; /* of the regret, corrected for all settings; NaN: no p-value, or the best itself */
    bool in_set; /* not worse than the best at 95 % */
    double
        needed; /* tokens or trials in all that would tell it from the best; NaN: cannot be said */
    Bootstrapped tax;  /* its loss less that of the unscaled model, at a short length */
    Bootstrapped gain; /* the unscaled model's loss less its own, over the mix */
    bool on_front;     /* no other setting has less tax and more gain */
    EffectiveLength reach[YARDSTICK_MAX_RULES];
} Verdict;

typedef struct {
    const Series *series;
    Verdict *verdicts; /* [list->n_settings] */
    size_t n_settings;
    size_t best;      /* n_settings: nothing is measured, or nothing was hit */
    size_t reference; /* the unscaled model; n_settings: not in the series at these lengths */
    int64_t
        tax_n_ctx; /* the longest length within the trained one that has the unscaled model; 0: none */
    int64_t n;     /* tokens or trials under the best's value */
    size_t n_clusters; /* that a difference is made of */
    size_t n_compared; /* p-values that were corrected together */
    size_t n_set;
    bool is_mix; /* over several lengths */
} Yardstick;

/* The loss of setting a less that of b over a mix, of the samples that both have; all NaN where a length has none. Interval and p-value of
 * hits are not resampled, which says too much where few pairs differ: Newcombe's, and exact. */
Bootstrapped yardstick_difference(const Series *series, size_t a, size_t b, const Mix *mix);

/* Whether a series says anything of a mix: some setting is measured at all its lengths. */
bool yardstick_applies(const SeriesList *list, const Series *series, const Mix *mix);

/* Fills what a series says; free with yardstick_free. The list must outlive it. */
Yardstick yardstick_make(const SeriesList *list, const Series *series, const Mix *mix);
void yardstick_free(Yardstick *yardstick);

/* Whether a setting has less loss than another, which may be n_settings: none. Ties go to the smallest lambda. */
bool yardstick_is_better(const SeriesList *list, const Yardstick *yardstick, size_t setting,
                         size_t than);

/* The rules of effective length that are of the yardstick's kind. Returns how many. */
size_t yardstick_rules(const Yardstick *yardstick, const EffectiveRule *rules[YARDSTICK_MAX_RULES]);

/* Index of the setting that does not scale, or n_settings. */
size_t yardstick_unscaled(const SeriesList *list);

/* How intervals and p-values were made: "95 % intervals: …; p: …". Lends. */
const char *yardstick_methods(const Yardstick *yardstick);

#endif
