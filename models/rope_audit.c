/* For pairs of positions (p, j) the audit asks how far pair i of a query at p is turned against that of a key at j. Were the
 * method a θ', that would be (p - j) θ'_i for all of them, so a least-squares line through the origin gives the only
 * candidate, and what is left over says how wrong it is. Positions are drawn at random, with the ends added by hand. */
#include "models/rope_audit.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

enum { N_SAMPLES = 4096, AUDIT_STREAM = 77 };

typedef struct {
    int64_t p;
    int64_t j;
} Pair;

static double turned(const RopeTable *table, Pair at, int i)
{
    return rope_relative_angle(table, at.p, at.j, i);
}

static void draw_pairs(int64_t n_ctx, uint64_t seed, Pair pairs[N_SAMPLES])
{
    Rng rng = rng_open(seed, AUDIT_STREAM, 0, 0);
    for (int s = 0; s < N_SAMPLES; s++) {
        int64_t a = (int64_t)(rng_unit(&rng) * (double)n_ctx);
        int64_t b = (int64_t)(rng_unit(&rng) * (double)n_ctx);
        pairs[s] = (Pair){max_i64(a, b), min_i64(a, b)};
    }
    pairs[0] = (Pair){n_ctx - 1, 0};
    pairs[1] = (Pair){n_ctx - 1, n_ctx - 2};
    pairs[2] = (Pair){1, 0};
}

/* Distance of an angle to the nearest full turn. */
static double wrapped(double angle)
{
    return fabs(remainder(angle, 2.0 * acos(-1.0)));
}

static void fit_pair(const RopeTable *table, const Pair pairs[N_SAMPLES], int i, RopeAudit *out)
{
    double turn_by_distance = 0.0;
    double distance_squared = 0.0;
    for (int s = 0; s < N_SAMPLES; s++) {
        double r = (double)(pairs[s].p - pairs[s].j);
        turn_by_distance += turned(table, pairs[s], i) * r;
        distance_squared += r * r;
    }
    out->theta_fit[i] = turn_by_distance / distance_squared;
    for (int s = 0; s < N_SAMPLES; s++) {
        double r = (double)(pairs[s].p - pairs[s].j);
        double residual = wrapped(turned(table, pairs[s], i) - r * out->theta_fit[i]);
        if (residual <= out->residual) continue;
        out->residual = residual;
        out->worst_pair = i;
        out->worst_query = pairs[s].p;
        out->worst_key = pairs[s].j;
    }
}

/* q·k of a unit pair changes by the chord of the angle that it is turned more. */
static double shift_error(const RopeTable *table, const Pair pairs[N_SAMPLES], int64_t n_ctx)
{
    double worst = 0.0;
    for (int s = 0; s < N_SAMPLES; s++) {
        int64_t shift = n_ctx - 1 - pairs[s].p;
        Pair moved = {pairs[s].p + shift, pairs[s].j + shift};
        for (int i = 0; i < table->n_pairs; i++)
            worst = fmax(
                worst,
                2.0 * sin(wrapped(turned(table, moved, i) - turned(table, pairs[s], i)) / 2.0));
    }
    return worst;
}

/* Amplitude is constant in a table; what a position adds is the scale of its query. */
static double norm_error(const RopeTable *table, int64_t n_ctx)
{
    return fabs((double)rope_query_scale(table, n_ctx - 1) / (double)rope_query_scale(table, 0) -
                1.0);
}

/* The fit adds thousands of products, so θ' is known to about 1e-13 of itself; times the distance that is rad. What is no
 * θ' at all leaves residuals above 1e-3. */
double rope_audit_tolerance(int64_t n_ctx)
{
    return 1e-12 + 1e-13 * (double)n_ctx;
}

void rope_audit(const RopeTable *table, int64_t n_ctx, uint64_t seed, RopeAudit *out)
{
    assert(n_ctx >= 2);
    Pair pairs[N_SAMPLES];
    *out = (RopeAudit){.amplitude = table->amplitude, .n_pairs = table->n_pairs};
    draw_pairs(n_ctx, seed, pairs);
    for (int i = 0; i < table->n_pairs; i++)
        fit_pair(table, pairs, i, out);
    out->shift_error = shift_error(table, pairs, n_ctx);
    out->norm_error = norm_error(table, n_ctx);
    double tolerance = rope_audit_tolerance(n_ctx);
    if (out->residual > tolerance || out->norm_error > 1e-6)
        out->verdict = ROPE_VERDICT_NOT;
    else if (fabs(out->amplitude - 1.0) > 1e-12)
        out->verdict = ROPE_VERDICT_AMPLITUDE;
}

const char *rope_verdict_text(RopeVerdict verdict)
{
    static const char *const texts[] = {
        [ROPE_VERDICT_EQUIVALENT] = "equivalent to a theta'",
        [ROPE_VERDICT_AMPLITUDE] = "equivalent to a theta' up to amplitude",
        [ROPE_VERDICT_NOT] = "not expressible as any theta'",
    };
    return texts[verdict];
}
