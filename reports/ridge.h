/* Ridges: the best λ of plain scaling at every length, beside what the formula says of it. */
#ifndef REPORTS_RIDGE_H
#define REPORTS_RIDGE_H

#include "reports/series.h"

/* The formula's λ for a length `stretch` times the trained one: stretch^(d/(d-2)), never below 1; NaN where it is undefined (no trained
 * length: stretch not finite; d <= 2). Dynamic NTK of factor f is the formula at the stretch f·s - (f - 1). Source: bloc97 2023. */
double ridge_formula(double stretch, int64_t n_rot);

/* The λ of plain NTK scaling, where no scaling is 1; NaN of other methods. */
double ridge_lambda(const SeriesSetting *setting);

/* One length at which at least two λ are measured, and not all by misses alone. */
typedef struct {
    int64_t n_ctx;
    double best;  /* ties go to the smallest λ */
    double value; /* its nll in nats a token, or share of hits */
    double low; /* least and largest λ not told from the best at 95 %; NaN: too many to compare */
    double high;
    size_t n_lambdas; /* that were measured */
    bool is_largest;  /* of them: a better one may lie beyond */
} RidgePoint;

typedef struct {
    RidgePoint *points; /* by rising n_ctx */
    size_t n;
} Ridge;

/* The comparisons that a ridge has time for; one with more has no low and high. */
enum { RIDGE_MAX_COMPARED = 256 };

/* Differences are paired and p-values corrected by Holm at each length. Free with ridge_free. */
Ridge ridge_make(const SeriesList *list, const Series *series);
void ridge_free(Ridge *ridge);

#endif
