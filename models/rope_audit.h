/* Engineer A against Engineer B without a model: is there a θ' whose plain rotation equals this method's?
 *
 * A method turns queries and keys; what attention sees of a pair is the angle between them. If that angle is the distance times
 * some θ'_i at every pair of positions, the method is Engineer B's in disguise. The fit uses nothing but rotated
 * vectors: it knows neither the method's formula nor its angles. */
#ifndef MODELS_ROPE_AUDIT_H
#define MODELS_ROPE_AUDIT_H

#include "models/rope.h"

typedef enum {
    ROPE_VERDICT_EQUIVALENT, /* to θ', up to rounding */
    ROPE_VERDICT_AMPLITUDE,  /* to θ' and a factor on cos and sin */
    ROPE_VERDICT_NOT,        /* to no θ' */
} RopeVerdict;

/* The same figures for what the engine computes: angles in double, cos and sin stored as float, vectors turned and multiplied in
 * float. A vector's errors are measured on random vectors, so they lie below those of the worst one. */
typedef struct {
    double norm_error; /* largest | |Ro'(x)| / (μ |x|) - 1 | */
    double
        shift_error; /* largest change of q·k / (μ² |q| |k|) when both positions move by the same shift */
    double residual; /* largest | angle between the stored turns - distance θ'_i |, rad */
} RopeFloatAudit;

typedef struct {
    RopeVerdict verdict;
    double
        amplitude; /* μ: |Ro'(x)| / |x|, the same at every position when the verdict is not NOT */
    double theta_fit[ROPE_MAX_PAIRS]; /* the best θ' of each pair */
    int n_pairs;
    double norm_error; /* largest | |Ro'(x)| / (μ |x|) - 1 | */
    double
        shift_error; /* largest change of q·k / (|q| |k|) when both positions move by the same shift */
    double
        residual; /* largest | angle - distance θ'_i | over pairs of positions, wrapped to [0, π], rad */
    int worst_pair; /* where residual is reached */
    int64_t worst_query;
    int64_t worst_key;
    RopeFloatAudit in_float;
} RopeAudit;

/* Audits a table over positions below n_ctx, on positions and vectors drawn from seed; n_ctx >= 2. The verdict rests on the
 * figures in double. */
void rope_audit(const RopeTable *table, int64_t n_ctx, uint64_t seed, RopeAudit *out);

/* Largest residual, shift and norm error that rounding of double angles explains at n_ctx. */
double rope_audit_tolerance(int64_t n_ctx);

/* "equivalent to θ' = …": the verdict in words. */
const char *rope_verdict_text(RopeVerdict verdict);

#endif
