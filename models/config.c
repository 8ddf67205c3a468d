/* Reading order of a config.json: what must be refused, before what must be there (a GPT-2 config lacks hidden_size, but the
 * useful answer is that gpt2 is not supported); then widths, defaults as transformers has them, RoPE, cross-checks.
 *
 * Integers may be spelt as reals (4096.0); the text is parsed with integers as reals because real files hold 1e30 as an
 * integer. Strings are never taken for numbers. */
#include "models/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "models/arch.h"
#include "models/config_rope.h"

/* Keys that change what a model computes, with the one value that the engine computes whatever the architecture. Absent and
 * null always pass. */
static const struct {
    const char *key;
    const char *allowed; /* as JSON; NULL: must be absent */
} fixed_keys[] = {
    {"attention_out_bias",      "false"},
    {"quantization_config",     NULL   },
    {"compression_config",      NULL   },
    {"attn_logit_softcapping",  NULL   },
    {"final_logit_softcapping", NULL   },
    {"num_local_experts",       NULL   },
    {"num_experts",             NULL   },
    {"n_routed_experts",        NULL   },
    {"use_qk_norm",             "false"},
    {"qk_norm",                 "false"},
    {"clip_qkv",                NULL   },
    {"no_rope_layers",          NULL   },
    {"alibi",                   "false"},
    {"embedding_multiplier",    "1.0"  },
    {"residual_multiplier",     "1.0"  },
    {"attention_multiplier",    NULL   },
    {"logits_scaling",          "1.0"  },
    {"logit_scale",             "1.0"  },
};

/* Appends "key = value (supported: allowed)" to a list of refusals. */
static void add_refusal(Buf *refused, const char *key, const char *value, const char *allowed)
{
    char shown[80];
    str_escape(value, strlen(value), shown, sizeof shown);
    buf_printf(refused, "%s%s = %s (supported: %s)", refused->len ? "; " : "", key, shown, allowed);
}

/* Refuses a key unless it is absent, null, or the one allowed value (as JSON; NULL: none). */
static void hold_key(const json_t *root, const char *key, const char *allowed, Buf *refused)
{
    const json_t *value = json_find(root, key);
    if (!value) return;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text && !(allowed && str_equal(text, allowed)))
        add_refusal(refused, key, text, allowed ? allowed : "absent");
    free(text);
}

/* Keys that some architectures read and the others must not hold. */
static void refuse_keys_of_others(const json_t *root, const Arch *arch, Buf *refused)
{
    char activation[32];
    snprintf(activation, sizeof activation, "\"%s\"", arch->activation);
    hold_key(root, "hidden_act", activation, refused);
    if (arch->attention_bias == KEY_FIXED) hold_key(root, "attention_bias", "false", refused);
    if (arch->mlp_bias == KEY_FIXED) hold_key(root, "mlp_bias", "false", refused);
    if (arch->parallel_residual == KEY_FIXED)
        hold_key(root, "use_parallel_residual", "false", refused);
    hold_key(root, "use_sliding_window", "false", refused);
    /* Qwen's configs state a window beside the switch that turns it off. */
    if (!arch->reads_window && !json_is_false(json_find(root, "use_sliding_window")))
        hold_key(root, "sliding_window", NULL, refused);
    if (arch->reads_partial_rotary) return;
    hold_key(root, "partial_rotary_factor", "1.0", refused);
    hold_key(root, "rotary_pct", "1.0", refused);
}

static void refuse_layer_types(const json_t *root, Buf *refused)
{
    const json_t *types = json_find(root, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type && str_equal(type, "full_attention")) continue;
        add_refusal(refused, "layer_types", type ? type : "?", "full_attention");
        return;
    }
}

static bool refuse_unsupported(const json_t *root, const char *model_type, Err *err)
{
    Buf refused = {0};
    char names[128];
    arch_names(false, names);
    const Arch *arch = model_type ? arch_find(model_type) : NULL;
    if (arch)
        refuse_keys_of_others(root, arch, &refused);
    else
        add_refusal(&refused, "model_type", model_type ? model_type : "absent", names);
    for (size_t i = 0; i < COUNT_OF(fixed_keys); i++)
        hold_key(root, fixed_keys[i].key, fixed_keys[i].allowed, &refused);
    refuse_layer_types(root, &refused);
    bool ok = refused.len == 0;
    if (!ok) err_set(err, ERR_UNSUPPORTED, "not supported: %s", buf_text(&refused));
    buf_free(&refused);
    return ok;
}

/* Integer keys and where they go. */
typedef struct {
    const char *key;
    size_t offset; /* of an int in ModelConfig */
    int high;      /* 1 … high is allowed */
} IntKey;

static const IntKey required_keys[] = {
    {"hidden_size",         offsetof(ModelConfig, d_model),    CONFIG_MAX_WIDTH },
    {"intermediate_size",   offsetof(ModelConfig, d_ff),       CONFIG_MAX_WIDTH },
    {"num_hidden_layers",   offsetof(ModelConfig, n_layers),   CONFIG_MAX_LAYERS},
    {"num_attention_heads", offsetof(ModelConfig, n_heads),    CONFIG_MAX_HEADS },
    {"vocab_size",          offsetof(ModelConfig, vocab_size), CONFIG_MAX_VOCAB },
};

static bool read_int(const json_t *root, const IntKey *row, ModelConfig *config, Err *err)
{
    int64_t value = 0;
    if (!json_get_i64(root, row->key, 1, row->high, &value, err)) return false;
    if (value) *(int *)((char *)config + row->offset) = (int)value;
    return true;
}

/* Widths that may be absent: then they are what transformers takes for this architecture. */
static void default_widths(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes)
{
    if (!json_find(root, "num_key_value_heads")) {
        config->n_kv_heads = arch->default_kv_heads ? arch->default_kv_heads : config->n_heads;
        /* An architecture without grouped keys has no such key. */
        if (!arch->hf_qkv_by_head)
            buf_printf(notes, "num_key_value_heads is missing: taken as %s%d\n",
                       arch->default_kv_heads ? "" : "num_attention_heads, ", config->n_kv_heads);
    }
    if (!json_find(root, "head_dim") && arch->default_head_dim) {
        config->head_dim = arch->default_head_dim;
        buf_printf(notes, "head_dim is missing: taken as %d\n", config->head_dim);
    }
}

static bool read_widths(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes,
                        Err *err)
{
    static const IntKey kv = {"num_key_value_heads", offsetof(ModelConfig, n_kv_heads),
                              CONFIG_MAX_HEADS};
    static const IntKey head = {"head_dim", offsetof(ModelConfig, head_dim), 2 * ROPE_MAX_PAIRS};
    for (size_t i = 0; i < COUNT_OF(required_keys); i++) {
        if (!json_find(root, required_keys[i].key))
            return err_set(err, ERR_INPUT, "key \"%s\" is missing", required_keys[i].key);
        if (!read_int(root, &required_keys[i], config, err)) return false;
    }
    default_widths(root, arch, config, notes);
    if (!json_find(root, head.key) && !config->head_dim) {
        if (config->d_model % config->n_heads)
            return err_set(
                err, ERR_INPUT,
                "hidden_size %d is not a multiple of num_attention_heads %d and there is no head_dim",
                config->d_model, config->n_heads);
        config->head_dim = config->d_model / config->n_heads;
    }
    return read_int(root, &kv, config, err) && read_int(root, &head, config, err);
}

/* An id, or the first of a list of ids. */
static bool read_id(const json_t *root, const char *key, int *out, Buf *notes, Err *err)
{
    const json_t *value = json_find(root, key);
    int64_t id = -1;
    if (json_is_array(value)) {
        json_t *first = json_array_get(value, 0);
        buf_printf(notes, "%s is a list: the first is used\n", key);
        if (!json_is_number(first))
            return err_set(err, ERR_INPUT, "key \"%s\" is a list without numbers", key);
        double number = json_number_value(first);
        if (!(number >= -1 && number < CONFIG_MAX_VOCAB && number == floor(number)))
            return err_set(err, ERR_INPUT, "key \"%s\" holds %.17g, not a token id", key, number);
        id = (int64_t)number;
    } else if (!json_get_i64(root, key, -1, CONFIG_MAX_VOCAB - 1, &id, err)) {
        return false;
    }
    *out = (int)id;
    return true;
}

/* Sets bits of features where a key says so, or is absent and true by default. */
static bool read_switch(const json_t *root, const char *key, SwitchKey kind, unsigned bits,
                        ModelConfig *config, Err *err)
{
    bool on = kind == KEY_DEFAULT_TRUE;
    if (kind != KEY_FIXED && !json_get_bool(root, key, &on, err)) return false;
    if (on) config->features |= bits;
    return true;
}

static bool read_features(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes,
                          Err *err)
{
    config->features = arch->features;
    config->qkv_by_head = arch->hf_qkv_by_head;
    if (arch->reads_window && !json_object_get(root, "sliding_window") && arch->default_window) {
        config->window = arch->default_window;
        buf_printf(notes, "sliding_window is missing: taken as %lld\n", (long long)config->window);
    }
    if (arch->reads_window &&
        !json_get_i64(root, "sliding_window", 1, ROPE_MAX_POSITION, &config->window, err))
        return false;
    return read_switch(root, "attention_bias", arch->attention_bias,
                       MODEL_QKV_BIAS | MODEL_OUT_BIAS, config, err) &&
           read_switch(root, "mlp_bias", arch->mlp_bias, MODEL_FFN_BIAS, config, err) &&
           read_switch(root, "use_parallel_residual", arch->parallel_residual, MODEL_PARALLEL,
                       config, err);
}

static bool read_others(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes,
                        Err *err)
{
    config->n_ctx_train = 2048;
    config->rms_eps = arch->default_eps;
    if (!json_find(root, "max_position_embeddings"))
        buf_printf(notes, "max_position_embeddings is missing: taken as %lld\n",
                   (long long)config->n_ctx_train);
    if (!json_find(root, arch->eps_key))
        buf_printf(notes, "%s is missing: taken as %g\n", arch->eps_key, config->rms_eps);
    return json_get_i64(root, "max_position_embeddings", 1, ROPE_MAX_POSITION, &config->n_ctx_train,
                        err) &&
           json_get_double(root, arch->eps_key, &config->rms_eps, err) &&
           json_get_bool(root, "tie_word_embeddings", &config->tied, err) &&
           read_id(root, "bos_token_id", &config->bos_id, notes, err) &&
           read_id(root, "eos_token_id", &config->eos_id, notes, err);
}

static bool read_json(const json_t *root, ModelConfig *config, Buf *notes, Err *err)
{
    if (!json_is_object(root)) return err_set(err, ERR_INPUT, "is not a JSON object");
    const char *model_type = NULL;
    if (!json_get_string(root, "model_type", &model_type, err)) return false;
    if (!refuse_unsupported(root, model_type, err)) return false;
    const Arch *arch = arch_find(model_type);
    snprintf(config->arch, sizeof config->arch, "%s", arch->name);
    config->rope_layout = arch->hf_layout;
    return read_widths(root, arch, config, notes, err) &&
           read_features(root, arch, config, notes, err) &&
           read_others(root, arch, config, notes, err) &&
           config_rope_from_json(root, arch, config, notes, err);
}

bool config_from_json(const json_t *root, const char *origin, ModelConfig *config, Buf *notes,
                      Err *err)
{
    *config = (ModelConfig){.bos_id = -1, .eos_id = -1};
    if (!read_json(root, config, notes, err)) return err_prefix(err, "%s", origin);
    return config_check(config, origin, err);
}

static bool check_widths(const ModelConfig *c, Err *err)
{
    const struct {
        const char *name;
        int64_t value;
        int64_t high;
    } rows[] = {
        {"the model's width",       c->d_model,                        CONFIG_MAX_WIDTH  },
        {"the feed-forward width",  c->d_ff,                           CONFIG_MAX_WIDTH  },
        {"the number of layers",    c->n_layers,                       CONFIG_MAX_LAYERS },
        {"the number of heads",     c->n_heads,                        CONFIG_MAX_HEADS  },
        {"the number of key heads", c->n_kv_heads,                     CONFIG_MAX_HEADS  },
        {"the width of a head",     c->head_dim,                       2 * ROPE_MAX_PAIRS},
        {"heads x width of a head", (int64_t)c->n_heads * c->head_dim, CONFIG_MAX_WIDTH  },
        {"the vocabulary",          c->vocab_size,                     CONFIG_MAX_VOCAB  },
        {"the trained length",      c->n_ctx_train,                    ROPE_MAX_POSITION },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].value < 1 || rows[i].value > rows[i].high)
            return err_set(err, ERR_INPUT, "%s is %lld; 1 to %lld is allowed", rows[i].name,
                           (long long)rows[i].value, (long long)rows[i].high);
    return true;
}

static bool check_rope(const ModelConfig *c, Err *err)
{
    if (c->n_rot < 2 || c->n_rot % 2 || c->n_rot > c->head_dim)
        return err_set(
            err, ERR_INPUT,
            "the rotated width of a head is %d; an even number from 2 to the head's width %d is needed",
            c->n_rot, c->head_dim);
    RopeSpec resolved = c->rope;
    if (rope_spec_resolve(&resolved, c->n_ctx_train, err)) return true;
    err->code = ERR_INPUT;
    return err_prefix(err, "the model's own RoPE");
}

bool config_check(const ModelConfig *config, const char *origin, Err *err)
{
    bool ok = check_widths(config, err);
    if (ok && config->n_heads % config->n_kv_heads)
        ok = err_set(err, ERR_INPUT, "%d heads cannot share %d key heads evenly", config->n_heads,
                     config->n_kv_heads);
    if (ok && !(config->rms_eps >= 0 && config->rms_eps < 1))
        ok = err_set(err, ERR_INPUT, "the epsilon of the norms is %g; 0 to 1 is allowed",
                     config->rms_eps);
    if (ok && config->qkv_by_head && config->n_kv_heads != config->n_heads)
        ok = err_set(err, ERR_INPUT, "%d query heads and %d key heads cannot be fused head by head",
                     config->n_heads, config->n_kv_heads);
    ok = ok && check_rope(config, err);
    return ok || err_prefix(err, "%s", origin);
}

void config_key(const ModelConfig *c, Buf *out)
{
    char eps[32];
    str_from_double(c->rms_eps, eps);
    buf_printf(out,
               "arch=%s d_model=%d n_layers=%d n_heads=%d n_kv_heads=%d head_dim=%d d_ff=%d "
               "vocab_size=%d rms_eps=%s layout=%s bos=%d eos=%d rope=",
               c->arch, c->d_model, c->n_layers, c->n_heads, c->n_kv_heads, c->head_dim, c->d_ff,
               c->vocab_size, eps, c->rope_layout == ROPE_HALVES ? "halves" : "interleaved",
               c->bos_id, c->eos_id);
    rope_spec_key(&c->rope, out);
    /* Only where they are set: keys of plain Llama models stay what they were before these existed. */
    if (c->features) buf_printf(out, " features=%#x", c->features);
    if (c->window) buf_printf(out, " window=%lld", (long long)c->window);
    buf_putc(out, '\n');
}
