/* The knee: the length from which a setting loses what it had, measured on perplexity.
 *
 * The trained length that a file states is a claim. Plain RoPE holds up to about the length that it was trained at, so the knee of
 * plain RoPE is the measurement to hold the claim against. */
#ifndef REPORTS_KNEE_H
#define REPORTS_KNEE_H

#include "reports/grid.h"

/* Rise over the minimum that counts as a loss: 5 %. */
#define KNEE_RISE 0.05

typedef struct {
    double minimum;    /* lowest perplexity */
    int64_t min_n_ctx; /* where it is; the shortest such length */
    int64_t
        last_within; /* longest measured length up to which, from the minimum on, none exceeds it by more than 5 % */
    int64_t first_beyond; /* the next measured one, which does; 0: none was measured */
    double
        knee; /* crossing of the line between the two, in log n_ctx and log perplexity; NaN: none */
} Knee;

/* Finds the knee of n perplexities at rising lengths; those that are not finite or not above 0 are left out. False when fewer than two are
 * left. */
bool knee_find(const int64_t *n_ctx, const double *perplexity, size_t n, Knee *out) MUST_USE;

/* The knee of a row of a grid of nll or perplexity; false for other metrics too. */
bool knee_of_row(const Grid *grid, size_t row, Knee *out) MUST_USE;

/* The row of a grid without scaling ("none", or lambda 1), or n_rows. */
size_t knee_plain_row(const Grid *grid);

/* The knee of that row; false where there is none. */
bool knee_of_plain(const Grid *grid, Knee *out) MUST_USE;

typedef enum {
    KNEE_OPEN,   /* no claim, or no length long enough to tell */
    KNEE_AGREES, /* the claim lies between last_within and first_beyond, or differs from the knee by less than a factor of 1.5 */
    KNEE_LONGER, /* plain RoPE holds beyond the claim */
    KNEE_SHORTER, /* it fails within the claim */
} KneeVerdict;

/* What the knee of plain RoPE says of a claimed trained length; claimed is 0 where there is none. */
KneeVerdict knee_against_claim(const Knee *knee, int64_t claimed);

/* Appends one sentence: claim, knee, how it was interpolated, and the verdict. */
void knee_text(const Knee *knee, int64_t claimed, Buf *out);

#endif
