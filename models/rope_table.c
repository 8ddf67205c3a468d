/* Tables, angles, rotation.
 *
 * Angles, products and range reduction are double: in float, the cosine of position 131072 is off
 * by 7e-3 (and by 1 near 2^24), in double it is exact to a float's last bit. */
#include <math.h>
#include <string.h>

#include "models/rope.h"

static const RopePosition identity_position = {.divisor = 1.0, .cap = INFINITY};

void rope_plain_angles(double base, int n_rot, double *inv_freq)
{
    for (int i = 0; i < n_rot / 2; i++)
        inv_freq[i] = pow(base, -2.0 * i / n_rot);
}

bool rope_table_make(const RopeSpec *spec, int64_t n_ctx, RopeTable *table, Err *err)
{
    if (n_ctx < 1 || n_ctx > ROPE_MAX_POSITION)
        return err_set(err, ERR_USAGE, "context length %lld: 1 to 2^40 is allowed",
                       (long long)n_ctx);
    *table = (RopeTable){
        .n_pairs = spec->n_rot / 2, .n_query_variants = 1, .n_key_variants = 1, .amplitude = 1.0};
    for (int i = 0; i < ROPE_MAX_QUERY_VARIANTS; i++)
        table->query[i].position = identity_position;
    for (int i = 0; i < ROPE_MAX_KEY_VARIANTS; i++)
        table->key[i].position = identity_position;
    rope_plain_angles(spec->theta, spec->n_rot, table->query[0].inv_freq);
    if (spec->method->init) spec->method->init(spec, n_ctx, table);
    if ((spec->method->params & ROPE_READS(ROPE_LOG_N)) &&
        rope_spec_value(spec, ROPE_LOG_N, n_ctx) == 1.0)
        table->log_n_length = (double)spec->n_ctx_orig;
    return true;
}

static bool variant_equal(const RopeVariant *a, const RopeVariant *b, int n_pairs)
{
    const RopePosition *p = &a->position;
    const RopePosition *q = &b->position;
    return p->modulus == q->modulus && p->divisor == q->divisor && p->whole == q->whole &&
           p->cap == q->cap && p->offset == q->offset &&
           memcmp(a->inv_freq, b->inv_freq, (size_t)n_pairs * sizeof a->inv_freq[0]) == 0;
}

bool rope_table_equal(const RopeTable *a, const RopeTable *b)
{
    if (a->n_pairs != b->n_pairs || a->n_query_variants != b->n_query_variants ||
        a->n_key_variants != b->n_key_variants || a->rule != b->rule || a->span != b->span ||
        a->amplitude != b->amplitude || a->n_start != b->n_start ||
        a->log_n_length != b->log_n_length)
        return false;
    for (int i = 0; i < a->n_query_variants; i++)
        if (!variant_equal(&a->query[i], &b->query[i], a->n_pairs)) return false;
    for (int i = 0; a->rule != ROPE_RULE_ONE && i < a->n_key_variants; i++)
        if (!variant_equal(&a->key[i], &b->key[i], a->n_pairs)) return false;
    return a->n_start == 0 || memcmp(a->start_inv_freq, b->start_inv_freq,
                                     (size_t)a->n_pairs * sizeof a->start_inv_freq[0]) == 0;
}

static double mapped_position(const RopePosition *map, int64_t position)
{
    double p = (double)(map->modulus ? position % map->modulus : position) / map->divisor;
    if (map->whole) p = floor(p);
    return fmin(p, map->cap) + map->offset;
}

double rope_angle(const RopeTable *table, const RopeVariant *variant, int64_t position, int pair)
{
    const double *inv_freq = position < table->n_start ? table->start_inv_freq : variant->inv_freq;
    return mapped_position(&variant->position, position) * inv_freq[pair];
}

void rope_angles(const RopeTable *table, const RopeVariant *variant, int64_t first, int64_t n,
                 float *cos_out, float *sin_out)
{
    assert(first >= 0 && first + n <= ROPE_MAX_POSITION);
    for (int64_t at = first; at < first + n; at++) {
        for (int i = 0; i < table->n_pairs; i++) {
            double angle = rope_angle(table, variant, at, i);
            *cos_out++ = (float)(table->amplitude * cos(angle));
            *sin_out++ = (float)(table->amplitude * sin(angle));
        }
    }
}

double rope_scaled_angle(const RopeTable *table, int pair)
{
    return table->query[0].inv_freq[pair] / table->query[0].position.divisor;
}

int rope_variant_of(const RopeTable *table, int64_t p, int64_t j)
{
    assert(j <= p);
    switch (table->rule) {
    case ROPE_RULE_ONE: return 0;
    case ROPE_RULE_WINDOW: return p - j >= table->span;
    case ROPE_RULE_CHUNK: {
        int64_t apart = p / table->span - j / table->span;
        return apart > 2 ? 2 : (int)apart;
    }
    }
    assert(!"a rule without a case");
    return 0;
}

const RopeVariant *rope_key_variant(const RopeTable *table, int variant)
{
    if (table->rule == ROPE_RULE_ONE) return &table->query[0];
    return &table->key[variant < table->n_key_variants ? variant : table->n_key_variants - 1];
}

double rope_relative_angle(const RopeTable *table, int64_t p, int64_t j, int pair)
{
    int variant = rope_variant_of(table, p, j);
    return rope_angle(table, &table->query[variant], p, pair) -
           rope_angle(table, rope_key_variant(table, variant), j, pair);
}

float rope_query_scale(const RopeTable *table, int64_t p)
{
    if (table->log_n_length == 0.0) return 1.0F;
    return (float)fmax(1.0, log((double)p + 1.0) / log(table->log_n_length));
}

static void rotate_halves(float *restrict a, float *restrict b, const float *restrict cos_row,
                          const float *restrict sin_row, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++) {
        float rotated = a[i] * cos_row[i] - b[i] * sin_row[i];
        b[i] = a[i] * sin_row[i] + b[i] * cos_row[i];
        a[i] = rotated;
    }
}

static void rotate_neighbours(float *restrict x, const float *restrict cos_row,
                              const float *restrict sin_row, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++) {
        float a = x[2 * i];
        float b = x[2 * i + 1];
        x[2 * i] = a * cos_row[i] - b * sin_row[i];
        x[2 * i + 1] = a * sin_row[i] + b * cos_row[i];
    }
}

void rope_rotate(float *x, const float *cos_row, const float *sin_row, int n_pairs,
                 RopeLayout layout)
{
    if (layout == ROPE_INTERLEAVED)
        rotate_neighbours(x, cos_row, sin_row, n_pairs);
    else
        rotate_halves(x, x + n_pairs, cos_row, sin_row, n_pairs);
}
