/* The scaling methods: one function and one row each.
 *
 * Engineer B's methods (class theta) change inv_freq and leave positions alone; Engineer A's
 * (class position) change the position map and leave inv_freq alone. Neither calls the other:
 * `pi` and `linear` are the same mathematics in two forms, and that they agree is something the
 * tests show instead of something the code assumes. */
#include <math.h>

#include "models/rope.h"

/* θ' = θ / factor. */
static void init_linear(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double factor = rope_spec_value(spec, ROPE_FACTOR, n_ctx);
    for (int i = 0; i < table->n_pairs; i++)
        table->inv_freq[i] /= factor;
}

/* Ro'(x, p θ) = Ro(x, (p / factor) θ). */
static void init_pi(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double factor = rope_spec_value(spec, ROPE_FACTOR, n_ctx);
    if (factor == 1.0) return;
    table->position = ROPE_POSITION_DIVIDE;
    table->divisor = factor;
}

/* θ'_i = (λb)^(-2i/d). alpha is a stretch: λ = alpha^(d/(d-2)). */
static void init_ntk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double lambda = spec->param[ROPE_ALPHA].kind == ROPE_UNSET
                        ? rope_spec_value(spec, ROPE_LAMBDA, n_ctx)
                        : rope_lambda_of(rope_spec_value(spec, ROPE_ALPHA, n_ctx), spec->n_rot);
    rope_plain_angles(lambda * spec->theta, spec->n_rot, table->inv_freq);
}

static void init_none(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    (void)spec;
    (void)n_ctx;
    (void)table;
}

static bool check_none(const RopeSpec *spec, Err *err)
{
    (void)spec;
    (void)err;
    return true;
}

/* A factor below 1 would squeeze the context: nobody means that. */
static bool check_factor(const RopeSpec *spec, Err *err)
{
    const RopeValue *value = &spec->param[ROPE_FACTOR];
    if (value->kind == ROPE_NUMBER && value->number < 1.0)
        return err_set(
            err, ERR_USAGE,
            "%s: factor %g is below 1; factor = n_ctx / n_ctx_orig stretches the context and is at least 1",
            spec->method->name, value->number);
    return true;
}

static bool check_ntk(const RopeSpec *spec, Err *err)
{
    const RopeValue *lambda = &spec->param[ROPE_LAMBDA];
    const RopeValue *alpha = &spec->param[ROPE_ALPHA];
    if (spec->n_rot == 2)
        return err_set(err, ERR_INPUT,
                       "ntk: a rotary width of %d has one pair, whose angle no base changes",
                       spec->n_rot);
    if (lambda->kind == ROPE_NUMBER && !(lambda->number > 0.0))
        return err_set(err, ERR_USAGE, "ntk: lambda %g multiplies the base and must be above 0",
                       lambda->number);
    if (alpha->kind == ROPE_NUMBER && alpha->number < 1.0)
        return err_set(err, ERR_USAGE,
                       "ntk: alpha %g is below 1; lambda = alpha^(d/(d-2)) stretches the context",
                       alpha->number);
    return true;
}

#define READS(param) (1U << (param))

const RopeMethod rope_methods[] = {
    {
     .name = "none",
     .help = "the angles that the base gives, unscaled",
     .class_ = ROPE_CLASS_THETA,
     .source = "RoFormer, Su et al. 2021, arXiv 2104.09864, equation 15",
     .check = check_none,
     .init = init_none,
     },
    {
     .name = "linear",
     .help = "Engineer B's linear scaling: theta' = theta / factor",
     .class_ = ROPE_CLASS_THETA,
     .equivalent = "pi",
     .params = READS(ROPE_FACTOR),
     .default_param = ROPE_FACTOR,
     .source =
            "Position Interpolation, Chen et al. 2023, arXiv 2306.15595, equation 4, written on the angles",
     .check = check_factor,
     .init = init_linear,
     },
    {
     .name = "pi",
     .help = "Engineer A's linear scaling: position p becomes p / factor, theta stays",
     .class_ = ROPE_CLASS_POSITION,
     .equivalent = "linear",
     .params = READS(ROPE_FACTOR),
     .default_param = ROPE_FACTOR,
     .source = "Position Interpolation, Chen et al. 2023, arXiv 2306.15595, equation 4",
     .check = check_factor,
     .init = init_pi,
     },
    {
     .name = "ntk",
     .help =
            "NTK-aware scaling: the base becomes lambda * theta (or alpha: lambda = alpha^(d/(d-2)))",
     .class_ = ROPE_CLASS_THETA,
     .params = READS(ROPE_LAMBDA) | READS(ROPE_ALPHA),
     .default_param = ROPE_LAMBDA,
     .source =
            "NTK-aware scaled RoPE, bloc97 2023; YaRN, Peng et al. 2023, arXiv 2309.00071, section 3.1",
     .check = check_ntk,
     .init = init_ntk,
     },
    {.name = NULL          },
};
