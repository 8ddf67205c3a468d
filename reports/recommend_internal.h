/* What the files of the answer share. */
#ifndef REPORTS_RECOMMEND_INTERNAL_H
#define REPORTS_RECOMMEND_INTERNAL_H

#include "reports/recommend.h"

/* Whether a yardstick has a best setting. */
bool recommend_tells(const Yardstick *yardstick);

/* The first yardstick of a kind that tells settings apart, or NULL. */
const Yardstick *recommend_first(const Recommendation *answer, bool is_hits);

/* Fills the answer's warnings. */
void recommend_warn(Recommendation *answer);

/* "perplexity" or "retrieval"; lends. */
const char *recommend_kind(const Yardstick *yardstick);

/* A setting's name, short and safe to print; free with free(). */
char *recommend_label(const Recommendation *answer, size_t setting);

/* A p-value as people read it: "0.012", "<0.001", "" for NaN. Free with free(). */
char *recommend_p(double p);

/* A difference of loss as people read it, with its 95 % interval where there is one: nll as a change of perplexity in percent, hits as a
 * change of retrieval in points. is_gain: what was given counts down, so signs are turned. Free with free(). */
char *recommend_difference(const Yardstick *yardstick, const Bootstrapped *difference,
                           bool is_gain);

#endif
