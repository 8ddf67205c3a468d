/* The sum of cosines is looked for position by position. While pair 0 moves on by the same angle, every pair does (a table is
 * linear in stretches), so each cos and sin follows from the one before by one complex product; at the end of a stretch, and every
 * RESTART positions, they are computed anew, which keeps the error below 1e-13. */
#include "models/rope_markers.h"

#include <math.h>

static const double two_pi = 6.283185307179586476925;

/* Radians that are rounding: what a pair reaches is a product of a position and an angle. */
static const double rounding = 1e-9;

enum { RESTART = 256 };

/* e^(i angle) of every pair at one position, and what the next position multiplies it with. */
typedef struct {
    double cos[ROPE_MAX_PAIRS];
    double sin[ROPE_MAX_PAIRS];
    double step_cos[ROPE_MAX_PAIRS];
    double step_sin[ROPE_MAX_PAIRS];
    double step; /* of pair 0, rad */
} Phases;

static void restart_phases(const RopeTable *table, int64_t p, Phases *phases)
{
    for (int i = 0; i < table->n_pairs; i++) {
        double angle = rope_relative_angle(table, p, 0, i);
        double step = angle - rope_relative_angle(table, p - 1, 0, i);
        phases->cos[i] = cos(angle);
        phases->sin[i] = sin(angle);
        phases->step_cos[i] = cos(step);
        phases->step_sin[i] = sin(step);
        if (i == 0) phases->step = step;
    }
}

static void advance_phases(int n_pairs, Phases *phases)
{
#pragma omp simd
    for (int i = 0; i < n_pairs; i++) {
        double c = phases->cos[i];
        double s = phases->sin[i];
        phases->cos[i] = c * phases->step_cos[i] - s * phases->step_sin[i];
        phases->sin[i] = s * phases->step_cos[i] + c * phases->step_sin[i];
    }
}

static int64_t first_negative_sum(const RopeTable *table)
{
    Phases phases = {.step = (double)NAN};
    for (int64_t p = 1; p <= ROPE_MARKERS_REACH; p++) {
        double step = rope_relative_angle(table, p, 0, 0) - rope_relative_angle(table, p - 1, 0, 0);
        bool at_start = p == table->n_start || p == table->n_start + 1;
        bool goes_on = fabs(step - phases.step) < rounding && !at_start;
        if (goes_on && fabs(step) < rounding) continue;
        if (goes_on && p % RESTART != 0)
            advance_phases(table->n_pairs, &phases);
        else
            restart_phases(table, p, &phases);
        double sum = 0.0;
        for (int i = 0; i < table->n_pairs; i++)
            sum += phases.cos[i];
        if (sum < 0.0) return p;
    }
    return -1;
}

/* Largest angle that a pair has within n_ctx. Only chunks turn back, and beyond the third nothing changes. */
static double largest_angle(const RopeTable *table, int64_t n_ctx, int i)
{
    if (table->rule != ROPE_RULE_CHUNK) return rope_relative_angle(table, n_ctx - 1, 0, i);
    double largest = 0.0;
    for (int64_t p = min_i64(n_ctx, 3 * table->span) - 1; p > 0; p--)
        largest = fmax(largest, rope_relative_angle(table, p, 0, i));
    return largest;
}

static double unseen_angle(const RopeSpec *spec, const RopeTable *table, int64_t n_ctx)
{
    double theta[ROPE_MAX_PAIRS];
    double unseen = 0.0;
    rope_plain_angles(spec->theta, spec->n_rot, theta);
    for (int i = 0; i < table->n_pairs; i++) {
        double seen = (double)(spec->n_ctx_orig - 1) * theta[i];
        if (seen >= two_pi) continue;
        unseen = fmax(unseen, fmin(two_pi, largest_angle(table, n_ctx, i)) - seen);
    }
    return unseen > rounding ? unseen : 0.0;
}

bool rope_unseen_angle(const RopeSpec *spec, int64_t n_ctx, double *out, Err *err)
{
    RopeTable table;
    if (!rope_table_make(spec, n_ctx, &table, err)) return false;
    *out = unseen_angle(spec, &table, n_ctx);
    return true;
}

/* The unseen angle never falls with the length. */
static int64_t seen_reach(const RopeSpec *spec, const RopeTable *table)
{
    int64_t seen = 1;
    int64_t unseen = ROPE_MARKERS_REACH + 1;
    if (unseen_angle(spec, table, ROPE_MARKERS_REACH) == 0.0) return -1;
    while (unseen - seen > 1) {
        int64_t middle = seen + (unseen - seen) / 2;
        if (unseen_angle(spec, table, middle) == 0.0)
            seen = middle;
        else
            unseen = middle;
    }
    return seen;
}

static double squared_step(double angle)
{
    double half = sin(angle / 2.0);
    return 4.0 * half * half;
}

bool rope_markers_of(const RopeSpec *spec, int64_t n_ctx, RopeMarkers *out, Err *err)
{
    RopeTable table;
    double theta[ROPE_MAX_PAIRS];
    double step = 0.0;
    double plain_step = 0.0;
    if (!rope_table_make(spec, n_ctx, &table, err)) return false;
    *out = (RopeMarkers){.first_negative = first_negative_sum(&table),
                         .unseen_angle = unseen_angle(spec, &table, n_ctx),
                         .seen_reach = seen_reach(spec, &table)};
    rope_plain_angles(spec->theta, spec->n_rot, theta);
    for (int i = 0; i < spec->n_rot / 2; i++) {
        out->n_turning += two_pi / theta[i] <= (double)spec->n_ctx_orig;
        step += squared_step(i < table.n_pairs ? rope_scaled_angle(&table, i) : 0.0);
        plain_step += squared_step(theta[i]);
    }
    out->resolution = sqrt(step / plain_step);
    return true;
}
