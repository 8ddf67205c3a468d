/* Numbers that one can tell of a setting without a model. They are heuristics, and named so wherever they are shown: the
 * sweep measures, these only predict.
 *
 * All of them look at the angle between a query at position r and a key at 0, so that they hold for methods that divide positions
 * and for those whose turn depends on the distance as well. */
#ifndef MODELS_ROPE_MARKERS_H
#define MODELS_ROPE_MARKERS_H

#include "models/rope.h"

/* Farthest position that is searched for a negative sum of cosines and for unseen angles. */
enum { ROPE_MARKERS_REACH = 1 << 20 };

typedef struct {
    /* Pairs that complete a turn within n_ctx_orig under θ: the critical dimension.
     * Source: Liu et al. 2023, arXiv 2310.05209. */
    int n_turning;
    /* First p with Σ cos(p θ'_i) < 0, -1 when there is none up to ROPE_MARKERS_REACH.
     * Source: Xu et al. 2024, arXiv 2405.14591. */
    int64_t first_negative;
    /* Most radians that a pair reaches under θ' within n_ctx and did not reach under θ within n_ctx_orig; 0: none. A pair that
     * turned fully has seen every angle. */
    double unseen_angle;
    /* Longest context without an unseen angle, for the table of n_ctx; -1 when ROPE_MARKERS_REACH has none yet. */
    int64_t seen_reach;
    /* Distance of two neighbouring positions, sqrt(Σ |e^(iθ') - 1|²), as a share of what it is under θ. */
    double resolution;
} RopeMarkers;

/* The markers of a resolved spec at n_ctx. Where the table does not depend on n_ctx, unseen_angle alone does.
 * Errors: USAGE (a length out of range). */
bool rope_markers_of(const RopeSpec *spec, int64_t n_ctx, RopeMarkers *out, Err *err) MUST_USE;

/* RopeMarkers.unseen_angle alone. Errors: USAGE (a length out of range). */
bool rope_unseen_angle(const RopeSpec *spec, int64_t n_ctx, double *out, Err *err) MUST_USE;

#endif
