#include "models/rope_markers.h"

#include <math.h>

static const double two_pi = 6.283185307179586476925;

static int64_t first_negative_sum(const RopeTable *table)
{
    for (int64_t p = 1; p <= ROPE_MARKERS_REACH; p++) {
        double sum = 0.0;
        for (int i = 0; i < table->n_pairs; i++)
            sum += cos((double)p * rope_scaled_angle(table, i));
        if (sum < 0.0) return p;
    }
    return -1;
}

/* Radians of one pair that are new at n_ctx. */
static double unseen_of_pair(double theta, double scaled, int64_t n_ctx_orig, int64_t n_ctx)
{
    double seen = (double)(n_ctx_orig - 1) * theta;
    double reached = fmin(two_pi, (double)(n_ctx - 1) * scaled);
    return seen >= two_pi ? 0.0 : fmax(0.0, reached - seen);
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
    *out = (RopeMarkers){.first_negative = first_negative_sum(&table)};
    rope_plain_angles(spec->theta, spec->n_rot, theta);
    for (int i = 0; i < spec->n_rot / 2; i++) {
        double scaled = i < table.n_pairs ? rope_scaled_angle(&table, i) : 0.0;
        out->n_turning += two_pi / theta[i] <= (double)spec->n_ctx_orig;
        out->unseen_angle =
            fmax(out->unseen_angle, unseen_of_pair(theta[i], scaled, spec->n_ctx_orig, n_ctx));
        step += squared_step(scaled);
        plain_step += squared_step(theta[i]);
    }
    out->resolution = sqrt(step / plain_step);
    return true;
}
