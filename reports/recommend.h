/* The answer: which setting for these lengths, how sure, and what it costs at short ones. */
#ifndef REPORTS_RECOMMEND_H
#define REPORTS_RECOMMEND_H

#include <jansson.h>

#include "base/buf.h"
#include "reports/yardstick.h"

typedef struct {
    const SeriesList *list;
    MixPart *parts;
    Mix mix;
    double
        formula_lambda; /* λ(m) of the longest length, never below 1; NaN: the trained length is not known */
    size_t formula;  /* the measured setting whose λ is nearest to it; n_settings: none has one */
    bool is_formula; /* that setting's λ is λ(m), to half a percent */
    Yardstick *yardsticks;
    size_t n_yardsticks;
    bool *
        agreed; /* [n_settings]: not worse than the best by any yardstick that tells settings apart */
    size_t n_agreed;
    size_t winner; /* n_settings: nothing can be recommended */
    char **warnings;
    size_t n_warnings;
} Recommendation;

/* Answers for a mix of lengths; parts are sorted, and their weights scaled to a sum of 1. The list must outlive the answer, which is
 * freed with recommend_free. n > 0; weights > 0.
 * Errors: USAGE (a length that no setting was measured at: those that were are named; a length given twice). */
bool recommend_make(const SeriesList *list, const MixPart *parts, size_t n, Recommendation *out,
                    Err *err) MUST_USE;
void recommend_free(Recommendation *answer);

/* Appends the answer for people to read. */
void recommend_text(const Recommendation *answer, Buf *out);

/* Appends the answer in two sentences: what to take and what that brings, what is as good and what it costs. */
void recommend_sentences(const Recommendation *answer, Buf *out);

/* Appends what the winner costs: the key-value cache at the longest length, and the tax at short ones. */
void recommend_costs(const Recommendation *answer, Buf *out);

/* Values that the key-value cache holds at the longest length: two a layer, head, channel and token; NaN: the database does not say. */
double recommend_kv_values(const Recommendation *answer);

/* The answer as JSON; the caller owns the reference. Numbers that are absent are null. */
json_t *recommend_json(const Recommendation *answer);

#endif
