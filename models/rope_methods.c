/* The scaling methods: one function and one row each.
 *
 * Engineer B's methods (class theta) change inv_freq and leave positions alone; Engineer A's
 * (class position) change the position map, or the amplitude, or let the turn depend on the
 * distance. Neither calls the other: `pi` and `linear` are the same mathematics in two forms, and
 * that they agree is something the tests show instead of something the code assumes.
 *
 * Notation: s = m/m_l, L = m_l, d = n_rot, n = n_ctx, as in rope.h. A table arrives with θ_i in
 * query[0]. */
#include "models/rope_methods.h"

#include <math.h>
#include <string.h>

static double value(const RopeSpec *spec, RopeParam param, int64_t n_ctx)
{
    return rope_spec_value(spec, param, n_ctx);
}

/* λ = stretch^(d/(d-2)) on the base. */
static void stretch_base(const RopeSpec *spec, double stretch, RopeTable *table)
{
    rope_plain_angles(rope_lambda_of(stretch, spec->n_rot) * spec->theta, spec->n_rot,
                      table->query[0].inv_freq);
}

static void divide_all(RopeTable *table, double factor)
{
    for (int i = 0; i < table->n_pairs; i++)
        table->query[0].inv_freq[i] /= factor;
}

/* n/L, at least 1. */
static double stretch_of(const RopeSpec *spec, int64_t n_ctx)
{
    return fmax(1.0, (double)n_ctx / (double)spec->n_ctx_orig);
}

/* λ(s) = s^(d/(d-2)) needs a second pair. */
static bool check_width(const RopeSpec *spec, Err *err)
{
    if (spec->n_rot > 2) return true;
    return err_set(err, ERR_INPUT,
                   "%s: a rotary width of %d has one pair, whose angle no base changes",
                   spec->method->name, spec->n_rot);
}

static void init_linear(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    divide_all(table, value(spec, ROPE_FACTOR, n_ctx));
}

static void init_pi(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    table->query[0].position.divisor = value(spec, ROPE_FACTOR, n_ctx);
}

static void init_ntk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    if (rope_spec_has(spec, ROPE_ALPHA))
        stretch_base(spec, value(spec, ROPE_ALPHA, n_ctx), table);
    else
        rope_plain_angles(value(spec, ROPE_LAMBDA, n_ctx) * spec->theta, spec->n_rot,
                          table->query[0].inv_freq);
}

static void init_abf(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    rope_plain_angles(value(spec, ROPE_BASE, n_ctx), spec->n_rot, table->query[0].inv_freq);
}

static void init_dynamic_linear(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    divide_all(table, stretch_of(spec, n_ctx));
}

static void init_dynamic_ntk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double f = value(spec, ROPE_FACTOR, n_ctx);
    double s = stretch_of(spec, n_ctx);
    if (s > 1.0) stretch_base(spec, f * s - (f - 1.0), table);
}

/* Powers of two minus one: the table changes only when the length doubles. */
static void init_qwen_ntk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double exponent = ceil(log2((double)n_ctx / (double)spec->n_ctx_orig) + 1.0);
    double alpha = fmax(1.0, exp2(exponent) - 1.0);
    if (alpha > 1.0) stretch_base(spec, alpha, table);
}

/* The pair, as a real number, that makes `turns` turns within L. */
static double pair_of_turns(const RopeSpec *spec, double turns)
{
    const double pi = acos(-1.0);
    return spec->n_rot * log((double)spec->n_ctx_orig / (turns * 2.0 * pi)) /
           (2.0 * log(spec->theta));
}

typedef struct {
    double low;
    double high;
} Ramp;

/* Where the ramp between two numbers of turns begins and ends, in pairs. Its end is clamped to d
 * - 1, although the last pair is d/2 - 1: so did the authors. */
static Ramp ramp_of(const RopeSpec *spec, double fast, double slow, bool truncate)
{
    Ramp ramp = {pair_of_turns(spec, fast), pair_of_turns(spec, slow)};
    if (truncate) ramp = (Ramp){floor(ramp.low), ceil(ramp.high)};
    ramp = (Ramp){fmax(0.0, ramp.low), fmin(spec->n_rot - 1.0, ramp.high)};
    if (ramp.low == ramp.high) ramp.high += 0.001;
    return ramp;
}

/* 1 before the ramp, 0 behind it. */
static double ramp_at(Ramp ramp, int i)
{
    return 1.0 - fmin(1.0, fmax(0.0, (i - ramp.low) / (ramp.high - ramp.low)));
}

/* The part t of an angle, and of the rest the s-th part. At s = 1 that is the angle itself, and not one that is off by rounding. */
static double divide_rest(double angle, double s, double t)
{
    return s == 1.0 ? angle : (1.0 - t) * angle / s + t * angle;
}

/* θ' = θ/s where pairs turn slowly, NTK(s) between, θ where they turn fast. */
static void init_by_parts(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double s = value(spec, ROPE_FACTOR, n_ctx);
    double ntk[ROPE_MAX_PAIRS];
    if (s == 1.0) return; /* the three are one, and their mean would be off by rounding */
    rope_plain_angles(rope_lambda_of(s, spec->n_rot) * spec->theta, spec->n_rot, ntk);
    Ramp to_ntk = ramp_of(spec, 1.25, 0.75, true);
    Ramp to_plain = ramp_of(spec, 16.0, 2.0, true);
    for (int i = 0; i < table->n_pairs; i++) {
        double plain = table->query[0].inv_freq[i];
        double a = ramp_at(to_ntk, i);
        double b = ramp_at(to_plain, i) * value(spec, ROPE_EXT_FACTOR, n_ctx);
        table->query[0].inv_freq[i] = (plain / s * (1.0 - a) + ntk[i] * a) * (1.0 - b) + plain * b;
    }
}

/* g(s, c) = 0.1 c ln s + 1. */
static double yarn_mscale(double s, double c)
{
    return s > 1.0 ? 0.1 * c * log(s) + 1.0 : 1.0;
}

static double yarn_amplitude(const RopeSpec *spec, double s, int64_t n_ctx)
{
    double amplitude = yarn_mscale(s, 1.0);
    if (rope_spec_has(spec, ROPE_ATTENTION_FACTOR))
        amplitude = value(spec, ROPE_ATTENTION_FACTOR, n_ctx);
    else if (rope_spec_has(spec, ROPE_MSCALE) && rope_spec_has(spec, ROPE_MSCALE_ALL_DIM))
        amplitude = yarn_mscale(s, value(spec, ROPE_MSCALE, n_ctx)) /
                    yarn_mscale(s, value(spec, ROPE_MSCALE_ALL_DIM, n_ctx));
    return amplitude * value(spec, ROPE_ATTN_FACTOR, n_ctx);
}

static void yarn(const RopeSpec *spec, double s, int64_t n_ctx, RopeTable *table)
{
    Ramp ramp =
        ramp_of(spec, value(spec, ROPE_BETA_FAST, n_ctx), value(spec, ROPE_BETA_SLOW, n_ctx),
                value(spec, ROPE_TRUNCATE, n_ctx) != 0.0);
    for (int i = 0; i < table->n_pairs; i++) {
        double keep = ramp_at(ramp, i) * value(spec, ROPE_EXT_FACTOR, n_ctx);
        table->query[0].inv_freq[i] = divide_rest(table->query[0].inv_freq[i], s, keep);
    }
    table->amplitude = yarn_amplitude(spec, s, n_ctx);
}

static void init_yarn(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    yarn(spec, value(spec, ROPE_FACTOR, n_ctx), n_ctx, table);
}

static void init_dynamic_yarn(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    yarn(spec, stretch_of(spec, n_ctx), n_ctx, table);
}

static void init_llama3(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double f = value(spec, ROPE_FACTOR, n_ctx);
    double low = value(spec, ROPE_LOW_FREQ_FACTOR, n_ctx);
    double high = value(spec, ROPE_HIGH_FREQ_FACTOR, n_ctx);
    double length = (double)spec->n_ctx_orig;
    for (int i = 0; i < table->n_pairs; i++) {
        double plain = table->query[0].inv_freq[i];
        double turns = length * plain / (2.0 * acos(-1.0)); /* L / wavelength */
        double t = fmin(1.0, fmax(0.0, (turns - low) / (high - low)));
        table->query[0].inv_freq[i] = divide_rest(plain, f, t);
    }
}

static bool check_llama3(const RopeSpec *spec, Err *err)
{
    double low = value(spec, ROPE_LOW_FREQ_FACTOR, 1);
    double high = value(spec, ROPE_HIGH_FREQ_FACTOR, 1);
    if (high > low) return true;
    return err_set(err, ERR_USAGE, "llama3: high_freq_factor %g must be above low_freq_factor %g",
                   high, low);
}

static bool check_yarn(const RopeSpec *spec, Err *err)
{
    double fast = value(spec, ROPE_BETA_FAST, 1);
    double slow = value(spec, ROPE_BETA_SLOW, 1);
    if (fast >= slow) return true;
    return err_set(err, ERR_USAGE, "%s: beta_fast %g must not be below beta_slow %g",
                   spec->method->name, fast, slow);
}

static double longrope_amplitude(const RopeSpec *spec, double s, int64_t n_ctx)
{
    if (rope_spec_has(spec, ROPE_ATTENTION_FACTOR))
        return value(spec, ROPE_ATTENTION_FACTOR, n_ctx);
    return s > 1.0 ? sqrt(1.0 + log(s) / log((double)spec->n_ctx_orig)) : 1.0;
}

static void keep_start(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    table->n_start = (int64_t)value(spec, ROPE_START, n_ctx);
    if (table->n_start > 0)
        memcpy(table->start_inv_freq, table->query[0].inv_freq, sizeof table->start_inv_freq);
}

/* The whole sequence takes the long list as soon as it is longer than L. */
static void init_longrope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    const RopeFactors *factors =
        n_ctx > spec->n_ctx_orig ? &spec->long_factors : &spec->short_factors;
    keep_start(spec, n_ctx, table);
    for (int i = 0; i < factors->n; i++)
        table->query[0].inv_freq[i] /= factors->factor[i];
    table->amplitude = longrope_amplitude(spec, value(spec, ROPE_FACTOR, n_ctx), n_ctx);
}

/* φ_i(n) = 1 + (φ_i - 1) (n/L - 1) / (s - 1). */
static void init_dynamic_longrope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double s = value(spec, ROPE_FACTOR, n_ctx);
    double share = s > 1.0 ? fmin(1.0, (stretch_of(spec, n_ctx) - 1.0) / (s - 1.0)) : 0.0;
    keep_start(spec, n_ctx, table);
    for (int i = 0; i < spec->long_factors.n; i++)
        table->query[0].inv_freq[i] /= 1.0 + (spec->long_factors.factor[i] - 1.0) * share;
    table->amplitude = longrope_amplitude(spec, stretch_of(spec, n_ctx), n_ctx);
}

static bool check_factors(const RopeFactors *factors, const char *which, const RopeSpec *spec,
                          Err *err)
{
    if (factors->n != spec->n_rot / 2)
        return err_set(
            err, ERR_INPUT,
            "%s: the %s factor list has %d entries; one for each of the %d pairs is needed (%s_factor=1/1.1/…)",
            spec->method->name, which, factors->n, spec->n_rot / 2, which);
    for (int i = 0; i < factors->n; i++)
        if (!(factors->factor[i] > 0.0) || !isfinite(factors->factor[i]))
            return err_set(err, ERR_INPUT,
                           "%s: %s factor %d is %g; a finite number above 0 is needed",
                           spec->method->name, which, i, factors->factor[i]);
    return true;
}

static bool check_longrope(const RopeSpec *spec, Err *err)
{
    return check_factors(&spec->short_factors, "short", spec, err) &&
           check_factors(&spec->long_factors, "long", spec, err);
}

static bool check_per_pair(const RopeSpec *spec, Err *err)
{
    return check_factors(&spec->long_factors, "pair", spec, err);
}

static bool check_dynamic_longrope(const RopeSpec *spec, Err *err)
{
    return check_factors(&spec->long_factors, "long", spec, err);
}

/* What a file's own divisors say, whatever method they came from. */
static void init_per_pair(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    for (int i = 0; i < spec->long_factors.n; i++)
        table->query[0].inv_freq[i] /= spec->long_factors.factor[i];
    if (rope_spec_has(spec, ROPE_ATTENTION_FACTOR))
        table->amplitude = value(spec, ROPE_ATTENTION_FACTOR, n_ctx);
}

static void init_giraffe_power(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double s = value(spec, ROPE_FACTOR, n_ctx);
    double k = value(spec, ROPE_POWER, n_ctx);
    for (int i = 0; i < table->n_pairs; i++)
        table->query[0].inv_freq[i] *= pow(1.0 - 2.0 * i / spec->n_rot, k) / s;
}

static void init_giraffe_truncate(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double cut = 2.0 * acos(-1.0) / value(spec, ROPE_CUT_LENGTH, n_ctx);
    for (int i = 0; i < table->n_pairs; i++) {
        double *theta = &table->query[0].inv_freq[i];
        if (*theta < cut) *theta = *theta < cut / 8.0 ? 0.0 : cut / 16.0;
    }
}

static void init_ntk_mixed(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    double a = log(value(spec, ROPE_MIX, n_ctx)) / pow(spec->n_rot / 2.0, 0.75);
    for (int i = 0; i < table->n_pairs; i++)
        table->query[0].inv_freq[i] *= exp(-a * pow(i + 1.0, 0.75));
}

/* The first d' = fraction d dimensions turn, with exponents -2i/d'. */
static void init_partial(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    table->n_pairs = (int)(value(spec, ROPE_FRACTION, n_ctx) * spec->n_rot / 2.0);
    rope_plain_angles(spec->theta, 2 * table->n_pairs, table->query[0].inv_freq);
}

static bool check_partial(const RopeSpec *spec, Err *err)
{
    double fraction = value(spec, ROPE_FRACTION, 1);
    if (fraction * spec->n_rot >= 2.0) return true;
    return err_set(err, ERR_USAGE, "partial: fraction %g of a width of %d leaves no pair to turn",
                   fraction, spec->n_rot);
}

/* The first ⌊fraction d/2⌋ pairs turn, with exponents -2i/d; the slow rest stands still. */
static void init_proportional(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    int n_turning = (int)(value(spec, ROPE_FRACTION, n_ctx) * table->n_pairs);
    for (int i = 0; i < table->n_pairs; i++)
        table->query[0].inv_freq[i] =
            i < n_turning ? table->query[0].inv_freq[i] / value(spec, ROPE_FACTOR, n_ctx) : 0.0;
}

#define READS(param) ROPE_READS(ROPE_##param)
#define AUTO     \
 {               \
  ROPE_AUTO, 0.0 \
 }
#define NUMBER(x)  \
 {                 \
  ROPE_NUMBER, (x) \
 }

const RopeMethod rope_methods[] = {
    {.name = "none",
     .help = "the angles that the base gives, unscaled",
     .params = READS(LOG_N),
     .default_param = ROPE_LOG_N,
     .source = "RoFormer, Su et al. 2021, arXiv 2104.09864, equation 15"},
    {.name = "linear",
     .help = "Engineer B's linear scaling: theta' = theta / factor",
     .equivalent = "pi",
     .params = READS(FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source =
         "Position Interpolation, Chen et al. 2023, arXiv 2306.15595, equation 4, written on the angles",
     .init = init_linear},
    {.name = "pi",
     .help = "Engineer A's linear scaling: position p becomes p / factor, theta stays",
     .class_ = ROPE_CLASS_POSITION,
     .equivalent = "linear",
     .params = READS(FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source = "Position Interpolation, Chen et al. 2023, arXiv 2306.15595, equation 4",
     .init = init_pi},
    {.name = "ntk",
     .help = "NTK-aware: the base becomes lambda * theta (or alpha: lambda = alpha^(d/(d-2)))",
     .params = READS(LAMBDA) | READS(ALPHA) | READS(LOG_N),
     .default_param = ROPE_LAMBDA,
     .default_value = AUTO,
     .source =
         "NTK-aware scaled RoPE, bloc97 2023; YaRN, Peng et al. 2023, arXiv 2309.00071, section 3.1",
     .check = check_width,
     .init = init_ntk},
    {.name = "abf",
     .help = "another base, given as it is (adjusted base frequency)",
     .params = READS(BASE) | READS(LOG_N),
     .default_param = ROPE_BASE,
     .default_value = NUMBER(500000),
     .source = "Xiong et al. 2023, arXiv 2309.16039",
     .check = check_width,
     .init = init_abf},
    {.name = "dynamic-linear",
     .reads_n_ctx_orig = true,
     .help = "linear with factor n/m_l for each length n",
     .params = READS(LOG_N),
     .default_param = ROPE_LOG_N,
     .depends_on_n_ctx = true,
     .source = "jquesnelle/yarn, LlamaDynamicScaledRotaryEmbedding, 2023",
     .init = init_dynamic_linear},
    {.name = "dynamic-ntk",
     .reads_n_ctx_orig = true,
     .help = "ntk with alpha = factor n/m_l - (factor - 1) beyond m_l",
     .params = READS(FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = NUMBER(1),
     .depends_on_n_ctx = true,
     .source = "emozilla 2023; transformers, ROPE_INIT_FUNCTIONS[\"dynamic\"]",
     .check = check_width,
     .init = init_dynamic_ntk},
    {.name = "qwen-ntk",
     .reads_n_ctx_orig = true,
     .help = "dynamic ntk in steps: alpha = 2^ceil(log2(n/m_l) + 1) - 1",
     .params = READS(LOG_N),
     .default_param = ROPE_LOG_N,
     .depends_on_n_ctx = true,
     .source = "QwenLM/Qwen, modeling_qwen.py, get_ntk_alpha; Bai et al. 2023, arXiv 2309.16609",
     .check = check_width,
     .init = init_qwen_ntk},
    {.name = "by-parts",
     .reads_n_ctx_orig = true,
     .help = "slow pairs as linear, middle ones as ntk, fast ones unscaled",
     .params = READS(FACTOR) | READS(EXT_FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source = "jquesnelle/yarn, LlamaPartNTKScaledRotaryEmbedding, 2023",
     .check = check_width,
     .init = init_by_parts},
    {.name = "yarn",
     .reads_n_ctx_orig = true,
     .help = "slow pairs as linear, fast ones unscaled, a ramp between, and an amplitude",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(FACTOR) | READS(BETA_FAST) | READS(BETA_SLOW) | READS(EXT_FACTOR) |
               READS(ATTENTION_FACTOR) | READS(ATTN_FACTOR) | READS(MSCALE) |
               READS(MSCALE_ALL_DIM) | READS(TRUNCATE) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source = "YaRN, Peng et al. 2023, arXiv 2309.00071, definitions 2 and 3",
     .check = check_yarn,
     .init = init_yarn},
    {.name = "dynamic-yarn",
     .reads_n_ctx_orig = true,
     .help = "yarn with factor n/m_l for each length n",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(BETA_FAST) | READS(BETA_SLOW) | READS(EXT_FACTOR) | READS(ATTENTION_FACTOR) |
               READS(ATTN_FACTOR) | READS(MSCALE) | READS(MSCALE_ALL_DIM) | READS(TRUNCATE) |
               READS(LOG_N),
     .default_param = ROPE_BETA_FAST,
     .depends_on_n_ctx = true,
     .source = "YaRN, Peng et al. 2023, arXiv 2309.00071, section 3.3",
     .check = check_yarn,
     .init = init_dynamic_yarn},
    {.name = "llama3",
     .reads_n_ctx_orig = true,
     .help = "slow pairs divided by factor, fast ones unscaled, a blend by wavelength between",
     .params = READS(FACTOR) | READS(LOW_FREQ_FACTOR) | READS(HIGH_FREQ_FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = NUMBER(8),
     .source = "Llama 3.1, Meta 2024; transformers, ROPE_INIT_FUNCTIONS[\"llama3\"]",
     .check = check_llama3,
     .init = init_llama3},
    {.name = "longrope",
     .lists = ROPE_SHORT_LIST | ROPE_LONG_LIST,
     .reads_n_ctx_orig = true,
     .help = "each pair divided by its own searched factor; short list up to m_l, long one beyond",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(FACTOR) | READS(ATTENTION_FACTOR) | READS(START) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .depends_on_n_ctx = true,
     .source =
         "LongRoPE, Ding et al. 2024, arXiv 2402.13753; transformers, ROPE_INIT_FUNCTIONS[\"longrope\"]",
     .check = check_longrope,
     .init = init_longrope},
    {.name = "dynamic-longrope",
     .lists = ROPE_LONG_LIST,
     .reads_n_ctx_orig = true,
     .help = "longrope whose long factors grow with n from 1 to the list",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(FACTOR) | READS(ATTENTION_FACTOR) | READS(START) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .depends_on_n_ctx = true,
     .source = "microsoft/LongRoPE, rope/longrope.py, 2024",
     .check = check_dynamic_longrope,
     .init = init_dynamic_longrope},
    {.name = "per-pair",
     .lists = ROPE_PAIR_LIST,
     .help = "theta' = theta / pair_factor, a number for each pair",
     .params = READS(ATTENTION_FACTOR) | READS(LOG_N),
     .default_param = ROPE_LOG_N,
     .source = "llama.cpp, tensor rope_freqs.weight, which divides the angles in ggml_rope_ext",
     .check = check_per_pair,
     .init = init_per_pair},
    {.name = "giraffe-power",
     .help = "theta' = theta / factor * (1 - 2i/d)^power",
     .params = READS(FACTOR) | READS(POWER) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source =
         "Giraffe, Pal et al. 2023, arXiv 2308.10882; its code, python/models/interpolate.py, scale_power",
     .init = init_giraffe_power},
    {.name = "giraffe-truncate",
     .reads_n_ctx_orig = true,
     .help = "pairs slower than 2 pi / cut_length get one slow angle, the slowest stand still",
     .params = READS(CUT_LENGTH) | READS(LOG_N),
     .default_param = ROPE_CUT_LENGTH,
     .source =
         "Giraffe, Pal et al. 2023, arXiv 2308.10882; its code, python/models/interpolate.py, truncate",
     .init = init_giraffe_truncate},
    {.name = "ntk-mixed",
     .help = "theta' = theta exp(-a (i + 1)^0.75), a = ln(mix) / (d/2)^0.75",
     .params = READS(MIX) | READS(LOG_N),
     .default_param = ROPE_MIX,
     .source = "Su 2023, kexue.fm/archives/9706; bojone/rerope",
     .init = init_ntk_mixed},
    {.name = "rerope",
     .reads_n_ctx_orig = true,
     .help = "relative positions beyond the window all become the window",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(WINDOW) | READS(LOG_N),
     .default_param = ROPE_WINDOW,
     .source = "Su 2023, kexue.fm/archives/9708; bojone/rerope",
     .init = rope_init_rerope},
    {.name = "leaky-rerope",
     .reads_n_ctx_orig = true,
     .help = "relative positions beyond the window grow factor times slower",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(WINDOW) | READS(FACTOR) | READS(LOG_N),
     .default_param = ROPE_FACTOR,
     .default_value = AUTO,
     .source = "Su 2023, kexue.fm/archives/9708; bojone/rerope",
     .init = rope_init_leaky_rerope},
    {.name = "self-extend",
     .reads_n_ctx_orig = true,
     .help = "exact positions within the window, positions in groups beyond it",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(WINDOW) | READS(GROUP) | READS(LOG_N),
     .default_param = ROPE_GROUP,
     .default_value = AUTO,
     .source = "Self-Extend, Jin et al. 2024, arXiv 2401.01325",
     .check = rope_check_self_extend,
     .init = rope_init_self_extend},
    {.name = "dual-chunk",
     .reads_n_ctx_orig = true,
     .help = "positions modulo a chunk; the previous chunk and all others at fixed offsets",
     .class_ = ROPE_CLASS_POSITION,
     .params = READS(CHUNK) | READS(WINDOW) | READS(LOG_N),
     .default_param = ROPE_CHUNK,
     .source = "An et al. 2024, arXiv 2402.17463; its code, chunkllama_attn_replace.py",
     .check = rope_check_dual_chunk,
     .init = rope_init_dual_chunk},
    {.name = "xpos",
     .help = "a decay by position on top of the turn",
     .class_ = ROPE_CLASS_POSITION,
     .training_only = true,
     .source = "Sun et al. 2022, arXiv 2212.10554"},
    {.name = "partial",
     .help = "only the first share of the width turns, with the exponents of that share",
     .params = READS(FRACTION) | READS(LOG_N),
     .default_param = ROPE_FRACTION,
     .default_value = NUMBER(0.5),
     .source = "GPT-NeoX, Black et al. 2022, arXiv 2204.06745",
     .check = check_partial,
     .init = init_partial},
    {.name = "proportional",
     .help = "only the fastest share of the pairs turns, with the exponents of the whole width",
     .params = READS(FRACTION) | READS(FACTOR) | READS(LOG_N),
     .default_param = ROPE_FRACTION,
     .default_value = NUMBER(0.75),
     .source =
         "p-RoPE, Barbero et al. 2024, arXiv 2410.06205; transformers, ROPE_INIT_FUNCTIONS[\"proportional\"]",
     .init = init_proportional},
    {.name = NULL                                                                        },
};
