/* For pairs of positions (p, j) the audit asks how far pair i of a query at p is turned against that of a key at j. Were the
 * method a θ', that would be (p - j) θ'_i for all of them, so a least-squares line through the origin gives the only
 * candidate, and what is left over says how wrong it is. Positions are drawn at random, with the ends added by hand.
 *
 * The float figures take the engine's way for the first of these pairs: a row of rope_angles a position, rope_rotate, and dot
 * products by the best kernel path, TILE queries and keys at a time, of which the diagonal counts. */
#include "models/rope_audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "models/kernel_path.h"

enum {
    N_SAMPLES = 4096,
    N_FLOAT_SAMPLES = 1024,
    TILE = 64,
    AUDIT_STREAM = 77,
    VECTOR_STREAM = 78,
};

typedef struct {
    int64_t p;
    int64_t j;
} Pair;

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

/* Distance of an angle to the nearest full turn. As exact as remainder, which takes ten times as long. */
static double wrapped(double angle)
{
    const double two_pi = 6.283185307179586476925;
    return fabs(fma(-two_pi, nearbyint(angle / two_pi), angle));
}

static double least_squares(const Pair pairs[N_SAMPLES], const double turns[N_SAMPLES])
{
    double turn_by_distance = 0.0;
    double distance_squared = 0.0;
    for (int s = 0; s < N_SAMPLES; s++) {
        double r = (double)(pairs[s].p - pairs[s].j);
        turn_by_distance += turns[s] * r;
        distance_squared += r * r;
    }
    return turn_by_distance / distance_squared;
}

static void fit_pair(const Pair pairs[N_SAMPLES], const double turns[N_SAMPLES], int i,
                     RopeAudit *out)
{
    out->theta_fit[i] = least_squares(pairs, turns);
    for (int s = 0; s < N_SAMPLES; s++) {
        double r = (double)(pairs[s].p - pairs[s].j);
        double residual = wrapped(turns[s] - r * out->theta_fit[i]);
        if (residual <= out->residual) continue;
        out->residual = residual;
        out->worst_pair = i;
        out->worst_query = pairs[s].p;
        out->worst_key = pairs[s].j;
    }
}

/* q·k of a unit pair is a point at the angle that it is turned, as far out as its query is scaled; it changes by the distance of
 * two such points, here squared. */
static double score_change(double angle, double scale_a, double scale_b)
{
    double half = sin(angle / 2.0);
    return (scale_a - scale_b) * (scale_a - scale_b) + 4.0 * scale_a * scale_b * half * half;
}

/* Largest change of one pair's score when its positions move to the end of the context. */
static double shift_error(const RopeTable *table, const Pair pairs[N_SAMPLES],
                          const double turns[N_SAMPLES], int64_t n_ctx, int i)
{
    double worst = 0.0;
    double last_scale = (double)rope_query_scale(table, n_ctx - 1);
    for (int s = 0; s < N_SAMPLES; s++) {
        int64_t key = pairs[s].j + n_ctx - 1 - pairs[s].p;
        double moved = rope_relative_angle(table, n_ctx - 1, key, i);
        double scale = (double)rope_query_scale(table, pairs[s].p);
        double change = score_change(wrapped(moved - turns[s]), scale, last_scale);
        worst = change > worst ? change : worst;
    }
    return sqrt(worst);
}

static void audit_pair(const RopeTable *table, const Pair pairs[N_SAMPLES], int64_t n_ctx, int i,
                       RopeAudit *out)
{
    double turns[N_SAMPLES];
    for (int s = 0; s < N_SAMPLES; s++)
        turns[s] = rope_relative_angle(table, pairs[s].p, pairs[s].j, i);
    fit_pair(pairs, turns, i, out);
    out->shift_error = fmax(out->shift_error, shift_error(table, pairs, turns, n_ctx, i));
}

/* Amplitude is constant in a table; what a position adds is the scale of its query. */
static double norm_error(const RopeTable *table, int64_t n_ctx)
{
    return fabs((double)rope_query_scale(table, n_ctx - 1) / (double)rope_query_scale(table, 0) -
                1.0);
}

/* One row of the engine's angles. */
typedef struct {
    float cos[ROPE_MAX_PAIRS];
    float sin[ROPE_MAX_PAIRS];
} AngleRow;

static AngleRow angles_at(const RopeTable *table, const RopeVariant *variant, int64_t position)
{
    AngleRow row;
    rope_angles(table, variant, position, 1, row.cos, row.sin);
    return row;
}

/* The rows in which a query at p and a key at j meet. */
static void angles_of_pair(const RopeTable *table, Pair at, AngleRow *query, AngleRow *key)
{
    int variant = rope_variant_of(table, at.p, at.j);
    *query = angles_at(table, &table->query[variant], at.p);
    *key = angles_at(table, rope_key_variant(table, variant), at.j);
}

/* The angle from the key's stored turn to the query's. */
static double stored_turn(const AngleRow *query, const AngleRow *key, int i)
{
    double qc = (double)query->cos[i];
    double qs = (double)query->sin[i];
    double kc = (double)key->cos[i];
    double ks = (double)key->sin[i];
    return atan2(qs * kc - qc * ks, qc * kc + qs * ks);
}

static double float_residual(const RopeTable *table, const Pair pairs[N_SAMPLES],
                             const double *theta_fit)
{
    double worst = 0.0;
    for (int s = 0; s < N_FLOAT_SAMPLES; s++) {
        AngleRow query;
        AngleRow key;
        angles_of_pair(table, pairs[s], &query, &key);
        for (int i = 0; i < table->n_pairs; i++)
            worst = fmax(worst, wrapped(stored_turn(&query, &key, i) -
                                        (double)(pairs[s].p - pairs[s].j) * theta_fit[i]));
    }
    return worst;
}

static double norm_of(const float *x, int d)
{
    double sum = 0.0;
    for (int i = 0; i < d; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Vectors of a tile of pairs: as drawn, and turned to their positions. [TILE, d] each. */
typedef struct {
    float *plain_queries;
    float *plain_keys;
    float *queries;
    float *keys;
    int d;
} Vectors;

/* Turns query and key of one pair as the engine does. */
static void turn_vectors(const RopeTable *table, Pair at, const Vectors *vectors, int row)
{
    size_t offset = (size_t)row * (size_t)vectors->d;
    size_t bytes = (size_t)vectors->d * sizeof(float);
    float *query = vectors->queries + offset;
    float *key = vectors->keys + offset;
    float scale = rope_query_scale(table, at.p);
    AngleRow query_row;
    AngleRow key_row;
    angles_of_pair(table, at, &query_row, &key_row);
    memcpy(query, vectors->plain_queries + offset, bytes);
    memcpy(key, vectors->plain_keys + offset, bytes);
    for (int i = 0; i < vectors->d; i++)
        query[i] *= scale;
    rope_rotate(query, query_row.cos, query_row.sin, table->n_pairs, ROPE_HALVES);
    rope_rotate(key, key_row.cos, key_row.sin, table->n_pairs, ROPE_HALVES);
}

/* Scores of a tile's pairs, moved to the end of the context when `moved` is set; the change of norms goes into *norm_error. */
static void score_pairs(const RopeTable *table, const Pair *pairs, int64_t moved_to,
                        const Vectors *vectors, float scores[TILE * TILE], double *norm_error)
{
    int d = vectors->d;
    for (int row = 0; row < TILE; row++) {
        int64_t shift = moved_to ? moved_to - pairs[row].p : 0;
        size_t offset = (size_t)row * (size_t)d;
        turn_vectors(table, (Pair){pairs[row].p + shift, pairs[row].j + shift}, vectors, row);
        double query =
            norm_of(vectors->queries + offset, d) / norm_of(vectors->plain_queries + offset, d);
        double key = norm_of(vectors->keys + offset, d) / norm_of(vectors->plain_keys + offset, d);
        *norm_error = fmax(*norm_error, fabs(query / table->amplitude - 1.0));
        *norm_error = fmax(*norm_error, fabs(key / table->amplitude - 1.0));
    }
    kernel_path_product(kernel_path_best(), vectors->queries, vectors->keys, scores,
                        (LinearShape){TILE, TILE, d});
}

static void measure_tile(const RopeTable *table, const Pair *pairs, int64_t n_ctx,
                         const Vectors *vectors, RopeFloatAudit *out)
{
    float here[TILE * TILE];
    float moved[TILE * TILE];
    int d = vectors->d;
    score_pairs(table, pairs, 0, vectors, here, &out->norm_error);
    score_pairs(table, pairs, n_ctx - 1, vectors, moved, &out->norm_error);
    for (int row = 0; row < TILE; row++) {
        size_t offset = (size_t)row * (size_t)d;
        double size = norm_of(vectors->plain_queries + offset, d) *
                      norm_of(vectors->plain_keys + offset, d) * table->amplitude *
                      table->amplitude;
        double change = (double)here[row * TILE + row] - (double)moved[row * TILE + row];
        out->shift_error = fmax(out->shift_error, fabs(change) / size);
    }
}

static void audit_float(const RopeTable *table, const Pair pairs[N_SAMPLES], int64_t n_ctx,
                        uint64_t seed, RopeAudit *out)
{
    int d = 2 * table->n_pairs;
    size_t n = (size_t)TILE * (size_t)d;
    float *memory = mem_alloc(4 * n, sizeof *memory);
    Vectors vectors = {memory, memory + n, memory + 2 * n, memory + 3 * n, d};
    Rng rng = rng_open(seed, VECTOR_STREAM, 0, 0);
    out->in_float.residual = float_residual(table, pairs, out->theta_fit);
    for (int first = 0; first < N_FLOAT_SAMPLES; first += TILE) {
        for (size_t i = 0; i < 2 * n; i++)
            memory[i] = (float)(2.0 * rng_unit(&rng) - 1.0);
        measure_tile(table, pairs + first, n_ctx, &vectors, &out->in_float);
    }
    free(memory);
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
        audit_pair(table, pairs, n_ctx, i, out);
    out->norm_error = norm_error(table, n_ctx);
    audit_float(table, pairs, n_ctx, seed, out);
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
