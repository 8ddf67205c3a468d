/* What llama.cpp makes of a file's RoPE keys, written as one of our methods.
 *
 * For pair i with divisor φ_i (1 without a tensor), s = rope.scaling.factor, and e = yarn_ext_factor (when it is not stated or
 * negative: 1 for type yarn, 0 for the others):
 *
 *     θ'_i      = (1 - e γ_i) θ_i/φ_i/s + e γ_i θ_i/φ_i        γ: YaRN's ramp
 *     amplitude = attn_factor * yarn_attn_factor * (e = 0 ? 1 : 0.1 ln s + 1)
 *
 * so attn_factor is the whole amplitude of a LongRoPE model and a multiplier on top of YaRN's own: the same key, two meanings, which
 * is why both cases are spelt out here. yarn_log_multiplier m divides YaRN's amplitude by 0.1 m ln s + 1. rope_factors_short and
 * rope_factors_long are φ up to and beyond original_context_length; rope_freqs is φ at every length. */
#include "models/gguf_rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "models/config_rope.h"
#include "models/dequant.h"
#include "models/gguf.h"
#include "models/weights_internal.h"

enum {
    KEY_SIZE = 96,
    LLAMA3_N_CTX_ORIG =
        8192, /* what the converter takes where config.json states none at its top level */
};

static const char freqs_name[] = "rope_freqs.weight";
static const char long_name[] = "rope_factors_long.weight";
static const char short_name[] = "rope_factors_short.weight";

/* The keys as they stand in the file. */
typedef struct {
    char type[32]; /* "": not stated */
    double base;   /* this and the other reals: NaN when not stated */
    double factor;
    double old_factor; /* by its old name */
    double attn_factor;
    double ext_factor;
    double yarn_attn_factor;
    double beta_fast;
    double beta_slow;
    double log_multiplier;
    int64_t original; /* 0: not stated */
    bool finetuned;   /* for a person only */
} Keys;

static const struct {
    const char *name;
    size_t offset;
} real_keys[] = {
    {"rope.freq_base",                   offsetof(Keys, base)            },
    {"rope.scaling.factor",              offsetof(Keys, factor)          },
    {"rope.scale_linear",                offsetof(Keys, old_factor)      },
    {"rope.scaling.attn_factor",         offsetof(Keys, attn_factor)     },
    {"rope.scaling.yarn_ext_factor",     offsetof(Keys, ext_factor)      },
    {"rope.scaling.yarn_attn_factor",    offsetof(Keys, yarn_attn_factor)},
    {"rope.scaling.yarn_beta_fast",      offsetof(Keys, beta_fast)       },
    {"rope.scaling.yarn_beta_slow",      offsetof(Keys, beta_slow)       },
    {"rope.scaling.yarn_log_multiplier", offsetof(Keys, log_multiplier)  },
};

static const char type_key[] = "rope.scaling.type";
static const char original_key[] = "rope.scaling.original_context_length";
static const char finetuned_key[] = "rope.scaling.finetuned";
static const char length_key[] = "context_length";

bool gguf_rope_reads_key(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(real_keys); i++)
        if (str_equal(real_keys[i].name, key)) return true;
    return str_equal(key, type_key) || str_equal(key, original_key) ||
           str_equal(key, finetuned_key) || str_equal(key, length_key);
}

bool gguf_rope_reads_tensor(const char *name)
{
    return str_equal(name, freqs_name) || str_equal(name, long_name) || str_equal(name, short_name);
}

static const char *key_of(const char *prefix, const char *name, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.%s", prefix, name);
    return out;
}

static double *real_at(Keys *keys, size_t i)
{
    return (double *)((char *)keys + real_keys[i].offset);
}

static bool read_type(const Gguf *gguf, const char *prefix, Keys *keys, Err *err)
{
    static const char *const types[] = {"", "none", "linear", "yarn", "longrope"};
    char key[KEY_SIZE];
    GgufText text = {"", 0};
    if (!gguf_get_text(gguf, key_of(prefix, type_key, key), &text, err)) return false;
    str_escape(text.text, text.n, keys->type, sizeof keys->type);
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_equal(types[i], keys->type)) return true;
    return err_set(err, ERR_INPUT,
                   "key %s is of unknown type \"%s\"; none, linear, yarn and longrope are read",
                   key, keys->type);
}

static bool read_keys(const Gguf *gguf, const char *prefix, Keys *keys, Err *err)
{
    char key[KEY_SIZE];
    *keys = (Keys){0};
    for (size_t i = 0; i < COUNT_OF(real_keys); i++) {
        *real_at(keys, i) = (double)NAN;
        if (!gguf_get_double(gguf, key_of(prefix, real_keys[i].name, key), real_at(keys, i), err))
            return false;
    }
    return read_type(gguf, prefix, keys, err) &&
           gguf_get_i64(gguf, key_of(prefix, original_key, key), 0, ROPE_MAX_POSITION,
                        &keys->original, err) &&
           gguf_get_bool(gguf, key_of(prefix, finetuned_key, key), &keys->finetuned, err);
}

/* The keys as the file spells them, and the tensors. */
static void write_found(const WeightFile *file, const char *prefix, Keys *keys, ModelConfig *config)
{
    static const char *const tensors[] = {freqs_name, long_name, short_name};
    Buf text = {0};
    for (size_t i = 0; i < COUNT_OF(real_keys); i++)
        if (!isnan(*real_at(keys, i)))
            buf_printf(&text, "%s.%s=%.9g ", prefix, real_keys[i].name, *real_at(keys, i));
    if (keys->type[0]) buf_printf(&text, "%s.%s=%s ", prefix, type_key, keys->type);
    if (keys->original)
        buf_printf(&text, "%s.%s=%lld ", prefix, original_key, (long long)keys->original);
    if (keys->finetuned) buf_printf(&text, "%s.%s=true ", prefix, finetuned_key);
    for (size_t i = 0; i < COUNT_OF(tensors); i++)
        if (weights_find(file, tensors[i])) buf_printf(&text, "%s ", tensors[i]);
    buf_printf(&text, "%s.%s=%lld", prefix, length_key, (long long)config->n_ctx_train);
    str_escape(buf_text(&text), text.len, config->rope_found, sizeof config->rope_found);
    buf_free(&text);
}

/* What the keys come to, before a method is chosen. */
typedef struct {
    double factor;    /* s */
    double extension; /* e */
    double amplitude; /* of the attn_factor keys */
} Scaling;

static bool find_factor(const Keys *keys, const char *prefix, double *factor, Err *err)
{
    bool has_new = !isnan(keys->factor) && keys->factor != 0;
    bool has_old = !isnan(keys->old_factor) && keys->old_factor != 0;
    *factor = has_new ? keys->factor : has_old ? keys->old_factor : 1;
    if (has_new && has_old && keys->factor != keys->old_factor)
        return err_set(err, ERR_INPUT,
                       "%s.rope.scaling.factor is %g but its old name %s.rope.scale_linear is %g",
                       prefix, keys->factor, prefix, keys->old_factor);
    bool needs = str_equal(keys->type, "linear") || str_equal(keys->type, "yarn");
    if (needs && !has_new && !has_old)
        return err_set(err, ERR_INPUT, "%s.rope.scaling.factor is missing though the type is %s",
                       prefix, keys->type);
    if (str_equal(keys->type, "none") && *factor != 1)
        return err_set(err, ERR_INPUT, "%s.rope.scaling.factor is %g though the type is none",
                       prefix, *factor);
    return true;
}

static bool find_scaling(const Keys *keys, const char *prefix, Scaling *scaling, Err *err)
{
    bool has_extension = !isnan(keys->ext_factor) && keys->ext_factor >= 0;
    scaling->extension = has_extension ? keys->ext_factor : str_equal(keys->type, "yarn") ? 1 : 0;
    scaling->amplitude = (isnan(keys->attn_factor) ? 1 : keys->attn_factor) *
                         (isnan(keys->yarn_attn_factor) ? 1 : keys->yarn_attn_factor);
    return find_factor(keys, prefix, &scaling->factor, err);
}

static void set_number(RopeSpec *spec, RopeParam param, double number)
{
    spec->param[param] = (RopeValue){ROPE_NUMBER, number};
}

/* A scaling by a formula: none, linear or yarn. */
static void set_formula(const Keys *keys, const Scaling *scaling, RopeSpec *spec, Buf *notes)
{
    bool is_plain = scaling->extension == 0 && scaling->amplitude == 1;
    spec->method = rope_method_find(!is_plain ? "yarn" : scaling->factor != 1 ? "linear" : "none");
    if (is_plain) return;
    if (scaling->extension != 1) set_number(spec, ROPE_EXT_FACTOR, scaling->extension);
    if (scaling->extension == 0) { /* no ramp, and not YaRN's amplitude */
        set_number(spec, ROPE_ATTENTION_FACTOR, scaling->amplitude);
        return;
    }
    if (!isnan(keys->beta_fast)) set_number(spec, ROPE_BETA_FAST, keys->beta_fast);
    if (!isnan(keys->beta_slow)) set_number(spec, ROPE_BETA_SLOW, keys->beta_slow);
    if (scaling->amplitude != 1) set_number(spec, ROPE_ATTN_FACTOR, scaling->amplitude);
    if (!isnan(keys->log_multiplier) && keys->log_multiplier != 0) {
        set_number(spec, ROPE_MSCALE, 1);
        set_number(spec, ROPE_MSCALE_ALL_DIM, keys->log_multiplier);
    }
    if (!isnan(keys->yarn_attn_factor) && keys->yarn_attn_factor != 1)
        buf_printf(notes,
                   "yarn_attn_factor %g multiplies YaRN's own amplitude; some versions of "
                   "llama.cpp skip it\n",
                   keys->yarn_attn_factor);
}

/* Reads one number for each pair. */
static bool read_divisors(const WeightFile *file, const char *name, int n_pairs,
                          RopeFactors *factors, Err *err)
{
    float values[ROPE_MAX_PAIRS];
    char shape[96];
    const Tensor *tensor = weights_find(file, name);
    tensor_shape_text(tensor, shape);
    if (tensor->n_dims != 1 || tensor->dims[0] != n_pairs || n_pairs > ROPE_MAX_PAIRS)
        return err_set(err, ERR_INPUT, "tensor %s is %s, wanted is [%d]: one divisor for each pair",
                       name, shape, n_pairs);
    dtype_info(tensor->dtype)->to_f32(tensor->data, values, (size_t)n_pairs);
    factors->n = n_pairs;
    for (int i = 0; i < n_pairs; i++)
        factors->factor[i] = (double)values[i];
    return true;
}

static bool refuse_beside(const char *tensor, const char *what, double value, Err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "tensor %s beside %s %g is not supported", tensor, what,
                   value);
}

/* LongRoPE: two lists, and the amplitude as it is. */
static bool set_lists(const WeightFile *file, const Scaling *scaling, RopeSpec *spec, Err *err)
{
    if (!weights_find(file, long_name) || !weights_find(file, short_name))
        return err_set(err, ERR_INPUT, "longrope needs both tensors, %s and %s", short_name,
                       long_name);
    if (weights_find(file, freqs_name))
        return err_set(err, ERR_INPUT, "tensors %s and %s are both there; one kind is needed",
                       freqs_name, long_name);
    if (scaling->extension != 0)
        return refuse_beside(long_name, "YaRN's ramp, ext_factor", scaling->extension, err);
    if (scaling->factor != 1)
        return refuse_beside(long_name, "rope.scaling.factor", scaling->factor, err);
    spec->method = rope_method_find("longrope");
    set_number(spec, ROPE_ATTENTION_FACTOR, scaling->amplitude);
    return read_divisors(file, short_name, spec->n_rot / 2, &spec->short_factors, err) &&
           read_divisors(file, long_name, spec->n_rot / 2, &spec->long_factors, err);
}

/* Whether the divisors are those of llama3 with the numbers of all its releases, to a float's precision; then *spec is that method
 * with n_ctx_orig set. The file keeps no trace of them, and without n_ctx_orig nobody could say what λ(m) is. */
static bool become_llama3(const RopeFactors *divisors, int64_t n_ctx_orig, RopeSpec *spec)
{
    RopeSpec guess = {.theta = spec->theta,
                      .n_rot = spec->n_rot,
                      .n_ctx_orig = n_ctx_orig,
                      .method = rope_method_find("llama3")};
    double plain[ROPE_MAX_PAIRS];
    RopeTable table;
    Err unused;
    assert(divisors->n > 0);
    set_number(&guess, ROPE_FACTOR, divisors->factor[divisors->n - 1]);
    set_number(&guess, ROPE_LOW_FREQ_FACTOR, 1);
    set_number(&guess, ROPE_HIGH_FREQ_FACTOR, 4);
    if (!rope_spec_resolve(&guess, n_ctx_orig, &unused) ||
        !rope_table_make(&guess, n_ctx_orig, &table, &unused))
        return false;
    rope_plain_angles(guess.theta, guess.n_rot, plain);
    for (int i = 0; i < divisors->n; i++) {
        double wanted = plain[i] / table.query[0].inv_freq[i];
        if (!(fabs(divisors->factor[i] - wanted) <= 1e-6 * wanted)) return false;
    }
    *spec = guess;
    return true;
}

/* One list for every length, by llama3's formula where it is that. */
static bool set_pairs(const WeightFile *file, const Scaling *scaling, ModelConfig *config,
                      int64_t *original, Buf *notes, Err *err)
{
    RopeSpec *spec = &config->rope;
    if (scaling->extension != 0)
        return refuse_beside(freqs_name, "YaRN's ramp, ext_factor", scaling->extension, err);
    if (!read_divisors(file, freqs_name, spec->n_rot / 2, &spec->long_factors, err)) return false;
    spec->method = rope_method_find("per-pair");
    if (scaling->amplitude != 1) set_number(spec, ROPE_ATTENTION_FACTOR, scaling->amplitude);
    for (int i = 0; i < spec->long_factors.n; i++)
        spec->long_factors.factor[i] *= scaling->factor;
    int64_t n_ctx_orig = *original ? *original : LLAMA3_N_CTX_ORIG;
    if (scaling->factor != 1 || scaling->amplitude != 1 || n_ctx_orig > config->n_ctx_train ||
        !become_llama3(&config->rope.long_factors, n_ctx_orig, spec))
        return true;
    *original = n_ctx_orig;
    buf_printf(notes, "%s holds llama3's divisors for factor %g and original length %lld\n",
               freqs_name, spec->param[ROPE_FACTOR].number, (long long)n_ctx_orig);
    return true;
}

static bool set_method(const WeightFile *file, const char *prefix, Keys *keys, ModelConfig *config,
                       Buf *notes, Err *err)
{
    Scaling scaling;
    int64_t original = keys->original;
    bool has_lists = weights_find(file, long_name) || weights_find(file, short_name) ||
                     str_equal(keys->type, "longrope");
    if (!find_scaling(keys, prefix, &scaling, err)) return false;
    if (has_lists) {
        if (!set_lists(file, &scaling, &config->rope, err)) return false;
        if (original > 0 && original < config->n_ctx_train)
            scaling.factor = (double)config->n_ctx_train / (double)original;
    } else if (weights_find(file, freqs_name)) {
        if (!set_pairs(file, &scaling, config, &original, notes, err)) return false;
        if (rope_spec_has(&config->rope, ROPE_FACTOR))
            scaling.factor = config->rope.param[ROPE_FACTOR].number;
    } else {
        set_formula(keys, &scaling, &config->rope, notes);
    }
    config_rope_lengths(config, scaling.factor, original, notes);
    return true;
}

bool gguf_rope_read(const WeightFile *file, const char *prefix, ModelConfig *config, Buf *notes,
                    Err *err)
{
    const Gguf *gguf = file->state;
    char key[KEY_SIZE];
    Keys keys;
    config->n_ctx_train = 2048;
    if (!gguf_find(gguf, key_of(prefix, length_key, key)))
        buf_printf(notes, "%s is missing: taken as %lld\n", key, (long long)config->n_ctx_train);
    if (!gguf_get_i64(gguf, key, 1, ROPE_MAX_POSITION, &config->n_ctx_train, err) ||
        !read_keys(gguf, prefix, &keys, err))
        return false;
    write_found(file, prefix, &keys, config);
    config->rope = (RopeSpec){.method = rope_method_find("none"),
                              .theta = isnan(keys.base) ? CONFIG_DEFAULT_THETA : keys.base,
                              .n_rot = config->n_rot};
    if (isnan(keys.base))
        buf_printf(notes, "%s is missing: taken as %g\n", key_of(prefix, real_keys[0].name, key),
                   CONFIG_DEFAULT_THETA);
    return set_method(file, prefix, &keys, config, notes, err);
}
