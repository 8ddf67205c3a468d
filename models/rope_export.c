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

/* The prefix of its keys in GGUF files. */
static const char *prefix_of(const RopeExportTarget *target)
{
    return target->arch->gguf_name ? target->arch->gguf_name : "llama";
}

/* The table of a resolved spec, whose length was checked when it was resolved. */
static void make_table(const RopeSpec *spec, int64_t n_ctx, RopeTable *table)
{
    Err unused;
    bool ok = rope_table_make(spec, n_ctx, table, &unused);
    assert(ok);
    (void)ok;
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

/* The share of a head that turns, such that (int)(head_dim * share) is the width again. */
static double share_of(int n_rot, int head_dim)
{
    double share = (double)n_rot / head_dim;
    return (int)(head_dim * share) == n_rot ? share : nextafter(share, 1.0);
}

/* States the share of a head that turns, in the dictionary of v5 or at the top of v4. */
static void put_share(const RopeSpec *spec, const RopeExportTarget *target, bool is_v5,
                      json_t *scaling, json_t *root)
{
    RopeTable table;
    make_table(spec, target->n_ctx, &table);
    bool is_default = !target->arch->reads_partial_rotary || target->arch->default_rotary == 1.0;
    if (is_default && 2 * table.n_pairs == target->head_dim) return;
    const char *key = !is_v5 && target->arch->v4_rotary_key ? target->arch->v4_rotary_key
                                                            : "partial_rotary_factor";
    json_object_set_new(is_v5 ? scaling : root, key,
                        json_real(share_of(2 * table.n_pairs, target->head_dim)));
}

/* {max_position_embeddings, rope_parameters} of v5, or {…, rope_theta, rope_scaling} of v4. */
static json_t *hf_json(const RopeSpec *spec, const RopeExportTarget *target, bool is_v5, Err *err)
{
    double theta;
    json_t *scaling = config_rope_to_json(spec, &theta, err);
    if (!scaling) return NULL;
    if (target->own.n_ctx_orig == 0) /* nobody stated it, and the method does not read it */
        json_object_del(scaling, "original_max_position_embeddings");
    int64_t length =
        is(spec, "dynamic-ntk") ? spec->n_ctx_orig : target->n_ctx; /* "dynamic" grows from it */
    json_t *root = json_pack("{s:I}", "max_position_embeddings", (json_int_t)length);
    put_share(spec, target, is_v5, scaling, root);
    if (is_v5) {
        json_object_set_new(scaling, "rope_theta", json_real(theta));
        json_object_set_new(root, "rope_parameters", scaling);
        return root;
    }
    bool is_default =
        str_equal(json_string_value(json_object_get(scaling, "rope_type")), "default");
    const char *theta_key = target->arch->v4_theta_key;
    json_object_set_new(root, theta_key ? theta_key : "rope_theta", json_real(theta));
    json_object_set_new(root, "rope_scaling", is_default ? json_null() : json_incref(scaling));
    json_decref(scaling);
    return root;
}

static bool write_hf(const RopeSpec *spec, const RopeExportTarget *target, bool is_v5, size_t flags,
                     Buf *out, Err *err)
{
    if (is(spec, "partial") && !target->arch->reads_partial_rotary)
        return cannot(spec, "config.json", "models of this type rotate whole heads", err);
    json_t *root = hf_json(spec, target, is_v5, err);
    if (!root) return false;
    char *text = json_dumps(root, flags | JSON_REAL_PRECISION(17));
    buf_puts(out, text ? text : "");
    free(text);
    json_decref(root);
    return true;
}

static bool write_hf_v5(const RopeSpec *spec, const RopeExportTarget *target, Buf *out, Err *err)
{
    return check_common(spec, "hf-v5", err) &&
           write_hf(spec, target, true, JSON_INDENT(2), out, err);
}

static bool write_hf_v4(const RopeSpec *spec, const RopeExportTarget *target, Buf *out, Err *err)
{
    if (is(spec, "proportional"))
        return cannot(spec, "hf-v4", "transformers 4 has no type for it", err);
    return check_common(spec, "hf-v4", err) &&
           write_hf(spec, target, false, JSON_INDENT(2), out, err);
}

static bool write_vllm(const RopeSpec *spec, const RopeExportTarget *target, Buf *out, Err *err)
{
    Buf overrides = {0};
    bool ok = check_common(spec, "vllm", err) &&
              write_hf(spec, target, true, JSON_COMPACT, &overrides, err);
    if (ok)
        buf_printf(out, "--max-model-len %lld --hf-overrides '%s'", (long long)target->n_ctx,
                   buf_text(&overrides));
    buf_free(&overrides);
    return ok;
}

/* Divisors are a tensor of the file, which neither a flag nor a key takes out of it. */
static bool check_tensors(const RopeSpec *spec, const RopeExportTarget *target, const char *format,
                          Err *err)
{
    bool is_own = spec->method == target->own.method;
    if (is_own || (!target->own.method->lists && !is(&target->own, "llama3"))) return true;
    return cannot(spec, format, "the divisors in the model's own file would stay in effect", err);
}

/* Whether a method is the plain rotation under another base. */
static bool is_base(const RopeSpec *spec)
{
    return is(spec, "none") || is(spec, "ntk") || is(spec, "abf");
}

static bool is_linear(const RopeSpec *spec)
{
    return is(spec, "linear") || is(spec, "pi");
}

/* What llama.cpp multiplies its own amplitude with: YaRN's, or 1. */
static double attn_factor(const RopeSpec *spec, const RopeExportTarget *target)
{
    RopeTable table;
    if (!is(spec, "yarn")) return 1.0;
    make_table(spec, target->n_ctx, &table);
    bool has_ramp = rope_spec_value(spec, ROPE_EXT_FACTOR, target->n_ctx) != 0.0;
    double own =
        has_ramp ? 1.0 + 0.1 * log(rope_spec_value(spec, ROPE_FACTOR, target->n_ctx)) : 1.0;
    return table.amplitude / own;
}

/* The key rather than the flag --yarn-attn-factor: newer versions take no notice of the flag where there is a ramp. A scaled
 * file may hold the key, so it is set back. */
static void write_attn_factor(const RopeSpec *spec, const RopeExportTarget *target, Buf *out)
{
    double factor = attn_factor(spec, target);
    if ((float)factor != 1.0F || !rope_method_is_plain(target->own.method))
        buf_printf(out, " --override-kv %s.rope.scaling.attn_factor=float:%.9g", prefix_of(target),
                   factor);
}

static void write_yarn_flags(const RopeSpec *spec, int64_t n_ctx, Buf *out)
{
    buf_printf(out,
               "--rope-scaling yarn --rope-scale %.9g --yarn-orig-ctx %lld --yarn-ext-factor %.9g "
               "--yarn-beta-fast %.9g --yarn-beta-slow %.9g",
               rope_spec_value(spec, ROPE_FACTOR, n_ctx), (long long)spec->n_ctx_orig,
               rope_spec_value(spec, ROPE_EXT_FACTOR, n_ctx),
               rope_spec_value(spec, ROPE_BETA_FAST, n_ctx),
               rope_spec_value(spec, ROPE_BETA_SLOW, n_ctx));
}

static bool write_llama_cpp(const RopeSpec *spec, const RopeExportTarget *target, Buf *out,
                            Err *err)
{
    int64_t n_ctx = target->n_ctx;
    if (!check_common(spec, "llama.cpp", err) || !check_tensors(spec, target, "llama.cpp", err))
        return false;
    buf_printf(out, "-c %lld ", (long long)n_ctx);
    if (is_base(spec)) {
        buf_printf(out, "--rope-scaling none --rope-freq-base %.9g",
                   (double)(float)rope_spec_base(spec, n_ctx));
    } else if (is_linear(spec)) {
        buf_printf(out, "--rope-scaling linear --rope-scale %.9g",
                   rope_spec_value(spec, ROPE_FACTOR, n_ctx));
    } else if (is(spec, "self-extend")) {
        buf_printf(out, "--rope-scaling none --grp-attn-n %.0f --grp-attn-w %.0f",
                   rope_spec_value(spec, ROPE_GROUP, n_ctx),
                   rope_spec_value(spec, ROPE_WINDOW, n_ctx));
    } else if (is(spec, "yarn") && rope_spec_value(spec, ROPE_TRUNCATE, n_ctx) == 1.0) {
        write_yarn_flags(spec, n_ctx, out);
    } else {
        buf_clear(out);
        return cannot(spec, "llama.cpp", "it has no flag for it", err);
    }
    write_attn_factor(spec, target, out);
    return true;
}

/* A line "llama.rope.freq_base = 43873 (rounded to float from 43872.999187785033)". */
static void write_float(const char *arch, const char *key, double value, Buf *out)
{
    buf_printf(out, "\n%s.%s = %.9g", arch, key, (double)(float)value);
    if ((double)(float)value != value) buf_printf(out, " (rounded to float from %.17g)", value);
}

/* Keys that few architectures of llama.cpp read: a file with them would run under other numbers. */
static bool has_usual_ramp(const RopeSpec *spec)
{
    return rope_spec_value(spec, ROPE_TRUNCATE, 1) == 1.0 &&
           rope_spec_value(spec, ROPE_EXT_FACTOR, 1) == 1.0 &&
           rope_spec_value(spec, ROPE_BETA_FAST, 1) == 32.0 &&
           rope_spec_value(spec, ROPE_BETA_SLOW, 1) == 1.0;
}

static bool write_gguf(const RopeSpec *spec, const RopeExportTarget *target, Buf *out, Err *err)
{
    const char *arch = prefix_of(target);
    if (!check_common(spec, "gguf", err) || !check_tensors(spec, target, "gguf", err)) return false;
    if (is(spec, "yarn") && !has_usual_ramp(spec))
        return cannot(
            spec, "gguf",
            "llama.cpp reads keys for another ramp in few architectures; it has flags for it", err);
    bool is_yarn = is(spec, "yarn");
    if (!is_base(spec) && !is_linear(spec) && !is_yarn)
        return cannot(spec, "gguf", "its keys have no such scaling", err);
    buf_printf(out, "%s.rope.scaling.type = %s", arch,
               is_yarn           ? "yarn"
               : is_linear(spec) ? "linear"
                                 : "none");
    if (!is_base(spec))
        write_float(arch, "rope.scaling.factor", rope_spec_value(spec, ROPE_FACTOR, target->n_ctx),
                    out);
    if (is_yarn)
        buf_printf(out, "\n%s.rope.scaling.original_context_length = %lld", arch,
                   (long long)spec->n_ctx_orig);
    if (is_yarn || !rope_method_is_plain(target->own.method))
        write_float(arch, "rope.scaling.attn_factor", attn_factor(spec, target), out);
    buf_printf(out, "\n%s.context_length = %lld", arch, (long long)target->n_ctx);
    write_float(arch, "rope.freq_base", rope_spec_base(spec, target->n_ctx), out);
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
