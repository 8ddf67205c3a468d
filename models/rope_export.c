/* Hugging Face keys, llama.cpp flags, GGUF keys and vLLM overrides for one setting.
 *
 * λ has no name anywhere: λ b is written as the base. Sources: transformers modeling_rope_utils.py (v4, v5), llama.cpp
 * common/arg.cpp and gguf-py constants.py, vLLM's --hf-overrides. Numbers are written so that they read back to the bit; GGUF and
 * llama.cpp keep floats, and the rounding is shown. */
#include "models/rope_export.h"

#include <math.h>
#include <stdlib.h>

#include "base/str.h"
#include "models/config_rope.h"

static bool is(const RopeSpec *spec, const char *name)
{
    return str_equal(spec->method->name, name);
}

static bool cannot(const RopeSpec *spec, const char *format, const char *why, Err *err)
{
    char text[ROPE_TEXT_SIZE];
    rope_spec_text(spec, text);
    return err_set(err, ERR_UNSUPPORTED, "%s cannot hold %s: %s", format, text, why);
}

/* What no program deploys by its configuration. */
static bool check_common(const RopeSpec *spec, const char *format, Err *err)
{
    if (rope_spec_has(spec, ROPE_LOG_N) && rope_spec_value(spec, ROPE_LOG_N, 1) != 0.0)
        return cannot(spec, format, "there is no query scale by position", err);
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        if (spec->param[i].kind == ROPE_AUTO_EACH)
            return cannot(spec, format, "auto-each is another setting at every length", err);
    return true;
}

/* {max_position_embeddings, rope_parameters} of v5, or {…, rope_theta, rope_scaling} of v4. */
static json_t *hf_json(const RopeSpec *spec, int64_t n_ctx, bool is_v5, Err *err)
{
    double theta;
    json_t *scaling = config_rope_to_json(spec, &theta, err);
    if (!scaling) return NULL;
    int64_t length =
        is(spec, "dynamic-ntk") ? spec->n_ctx_orig : n_ctx; /* "dynamic" grows from it */
    json_t *root = json_pack("{s:I}", "max_position_embeddings", (json_int_t)length);
    if (is_v5) {
        json_object_set_new(scaling, "rope_theta", json_real(theta));
        json_object_set_new(root, "rope_parameters", scaling);
        return root;
    }
    bool is_default =
        str_equal(json_string_value(json_object_get(scaling, "rope_type")), "default");
    json_object_set_new(root, "rope_theta", json_real(theta));
    json_object_set_new(root, "rope_scaling", is_default ? json_null() : json_incref(scaling));
    json_decref(scaling);
    return root;
}

static bool write_hf(const RopeSpec *spec, int64_t n_ctx, bool is_v5, size_t flags, Buf *out,
                     Err *err)
{
    json_t *root = hf_json(spec, n_ctx, is_v5, err);
    if (!root) return false;
    char *text = json_dumps(root, flags | JSON_REAL_PRECISION(17));
    buf_puts(out, text ? text : "");
    free(text);
    json_decref(root);
    return true;
}

static bool write_hf_v5(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err)
{
    return check_common(spec, "hf-v5", err) &&
           write_hf(spec, n_ctx, true, JSON_INDENT(2), out, err);
}

static bool write_hf_v4(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err)
{
    return check_common(spec, "hf-v4", err) &&
           write_hf(spec, n_ctx, false, JSON_INDENT(2), out, err);
}

static bool write_vllm(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err)
{
    Buf overrides = {0};
    bool ok = check_common(spec, "vllm", err) &&
              write_hf(spec, n_ctx, true, JSON_COMPACT, &overrides, err);
    if (ok)
        buf_printf(out, "--max-model-len %lld --hf-overrides '%s'", (long long)n_ctx,
                   buf_text(&overrides));
    buf_free(&overrides);
    return ok;
}

/* What llama.cpp's YaRN multiplies its own amplitude with. */
static double yarn_attn_factor(const RopeSpec *spec, int64_t n_ctx)
{
    RopeTable table;
    Err unused;
    bool ok = rope_table_make(spec, n_ctx, &table, &unused);
    assert(ok);
    (void)ok;
    double own = 1.0 + 0.1 * log(rope_spec_value(spec, ROPE_FACTOR, n_ctx));
    return table.amplitude / own;
}

static bool write_llama_cpp(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err)
{
    if (!check_common(spec, "llama.cpp", err)) return false;
    double base = rope_spec_base(spec, n_ctx);
    buf_printf(out, "-c %lld ", (long long)n_ctx);
    if (is(spec, "none") || is(spec, "ntk") || is(spec, "abf")) {
        buf_printf(out, "--rope-scaling none --rope-freq-base %.9g", (double)(float)base);
    } else if (is(spec, "linear") || is(spec, "pi")) {
        buf_printf(out, "--rope-scaling linear --rope-scale %.9g",
                   rope_spec_value(spec, ROPE_FACTOR, n_ctx));
    } else if (is(spec, "self-extend")) {
        buf_printf(out, "--rope-scaling none --grp-attn-n %.0f --grp-attn-w %.0f",
                   rope_spec_value(spec, ROPE_GROUP, n_ctx),
                   rope_spec_value(spec, ROPE_WINDOW, n_ctx));
    } else if (is(spec, "yarn") && rope_spec_value(spec, ROPE_TRUNCATE, n_ctx) == 1.0) {
        buf_printf(
            out,
            "--rope-scaling yarn --rope-scale %.9g --yarn-orig-ctx %lld --yarn-ext-factor %.9g "
            "--yarn-attn-factor %.9g --yarn-beta-fast %.9g --yarn-beta-slow %.9g",
            rope_spec_value(spec, ROPE_FACTOR, n_ctx), (long long)spec->n_ctx_orig,
            rope_spec_value(spec, ROPE_EXT_FACTOR, n_ctx), yarn_attn_factor(spec, n_ctx),
            rope_spec_value(spec, ROPE_BETA_FAST, n_ctx),
            rope_spec_value(spec, ROPE_BETA_SLOW, n_ctx));
    } else {
        buf_clear(out);
        return cannot(spec, "llama.cpp", "it has no flag for it", err);
    }
    return true;
}

static bool write_gguf(const RopeSpec *spec, int64_t n_ctx, Buf *out, Err *err)
{
    if (!check_common(spec, "gguf", err)) return false;
    double base = rope_spec_base(spec, n_ctx);
    if (is(spec, "linear") || is(spec, "pi")) {
        buf_printf(out, "llama.rope.scaling.type = linear\nllama.rope.scaling.factor = %.9g\n",
                   rope_spec_value(spec, ROPE_FACTOR, n_ctx));
    } else if (is(spec, "none") || is(spec, "ntk") || is(spec, "abf")) {
        buf_puts(out, "llama.rope.scaling.type = none\n");
    } else {
        return cannot(spec, "gguf", "its keys have no such scaling", err);
    }
    buf_printf(out, "llama.context_length = %lld\nllama.rope.freq_base = %.9g", (long long)n_ctx,
               (double)(float)base);
    if ((double)(float)base != base) buf_printf(out, " (rounded to float from %.17g)", base);
    return true;
}

const RopeExport rope_exports[] = {
    {"hf-v5",     "config.json of transformers 5: rope_parameters",             write_hf_v5    },
    {"hf-v4",     "config.json of transformers 4: rope_theta and rope_scaling", write_hf_v4    },
    {"vllm",      "flags of vllm serve",                                        write_vllm     },
    {"llama.cpp", "flags of llama-cli, llama-server and their kind",            write_llama_cpp},
    {"gguf",      "keys of a GGUF file",                                        write_gguf     },
    {NULL,        NULL,                                                         NULL           },
};
