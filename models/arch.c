#include "models/arch.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Names that most architectures share. */
#define HF_ATTENTION_NORMS                                    \
 [SLOT_ATTN_NORM] = "model.layers.%d.input_layernorm.weight", \
 [SLOT_FFN_NORM] = "model.layers.%d.post_attention_layernorm.weight"
#define HF_ENDS                                                                         \
 [SLOT_EMBEDDING] = "model.embed_tokens.weight", [SLOT_OUT_NORM] = "model.norm.weight", \
 [SLOT_HEAD] = "lm_head.weight"
#define HF_ATTENTION                                    \
 [SLOT_WQ] = "model.layers.%d.self_attn.q_proj.weight", \
 [SLOT_WK] = "model.layers.%d.self_attn.k_proj.weight", \
 [SLOT_WV] = "model.layers.%d.self_attn.v_proj.weight", \
 [SLOT_WO] = "model.layers.%d.self_attn.o_proj.weight"
#define HF_QKV_BIAS                                   \
 [SLOT_BQ] = "model.layers.%d.self_attn.q_proj.bias", \
 [SLOT_BK] = "model.layers.%d.self_attn.k_proj.bias", \
 [SLOT_BV] = "model.layers.%d.self_attn.v_proj.bias"
#define HF_OUT_BIAS [SLOT_BO] = "model.layers.%d.self_attn.o_proj.bias"
#define HF_SWIGLU                                        \
 [SLOT_W_GATE] = "model.layers.%d.mlp.gate_proj.weight", \
 [SLOT_W_UP] = "model.layers.%d.mlp.up_proj.weight",     \
 [SLOT_W_DOWN] = "model.layers.%d.mlp.down_proj.weight"
#define GGUF_NORMS_AND_ENDS                                                                \
 [SLOT_ATTN_NORM] = "blk.%d.attn_norm.weight", [SLOT_FFN_NORM] = "blk.%d.ffn_norm.weight", \
 [SLOT_EMBEDDING] = "token_embd.weight", [SLOT_OUT_NORM] = "output_norm.weight",           \
 [SLOT_HEAD] = "output.weight"
#define GGUF_ATTENTION                                                   \
 [SLOT_WQ] = "blk.%d.attn_q.weight", [SLOT_WK] = "blk.%d.attn_k.weight", \
 [SLOT_WV] = "blk.%d.attn_v.weight", [SLOT_WO] = "blk.%d.attn_output.weight"
#define GGUF_QKV_BIAS                                                \
 [SLOT_BQ] = "blk.%d.attn_q.bias", [SLOT_BK] = "blk.%d.attn_k.bias", \
 [SLOT_BV] = "blk.%d.attn_v.bias"
#define GGUF_OUT_BIAS [SLOT_BO] = "blk.%d.attn_output.bias"
#define GGUF_SWIGLU                                                              \
 [SLOT_W_GATE] = "blk.%d.ffn_gate.weight", [SLOT_W_UP] = "blk.%d.ffn_up.weight", \
 [SLOT_W_DOWN] = "blk.%d.ffn_down.weight"

/* Sources: transformers, configuration_*.py and modeling_*.py (names in files, and defaults of absent keys);
 * llama.cpp, gguf-py constants (names in GGUF). */
const Arch archs[] = {
    {.name = "llama",
     .gguf_name = "llama",
     .help = "Llama and its kin: RMSNorm, rotary attention with grouped keys, SwiGLU",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_INTERLEAVED,
     .activation = "silu",
     .eps_key = "rms_norm_eps",
     .gguf_eps_key = "attention.layer_norm_rms_epsilon",
     .attention_bias = KEY_DEFAULT_FALSE,
     .mlp_bias = KEY_DEFAULT_FALSE,
     .default_eps = 1e-6,
     .slot_name = {HF_ATTENTION_NORMS, HF_ENDS, HF_ATTENTION, HF_QKV_BIAS, HF_OUT_BIAS,
                   HF_SWIGLU, [SLOT_B_GATE] = "model.layers.%d.mlp.gate_proj.bias",
                   [SLOT_B_UP] = "model.layers.%d.mlp.up_proj.bias",
                   [SLOT_B_DOWN] = "model.layers.%d.mlp.down_proj.bias"},
     .gguf_slot_name =
         {GGUF_NORMS_AND_ENDS, GGUF_ATTENTION, GGUF_QKV_BIAS, GGUF_OUT_BIAS,
          GGUF_SWIGLU, [SLOT_B_GATE] = "blk.%d.ffn_gate.bias", [SLOT_B_UP] = "blk.%d.ffn_up.bias",
          [SLOT_B_DOWN] = "blk.%d.ffn_down.bias"}},
    {.name = "mistral",
     .gguf_name = NULL, /* such files call themselves llama */
     .help = "Mistral: Llama's block, with a sliding window where the config states one",
     .hf_layout = ROPE_HALVES,
     .activation = "silu",
     .eps_key = "rms_norm_eps",
     .reads_window = true,
     .default_eps = 1e-6,
     .default_kv_heads = 8,
     .default_window = 4096,
     .slot_name = {HF_ATTENTION_NORMS, HF_ENDS, HF_ATTENTION, HF_SWIGLU}},
    {.name = "qwen2",
     .gguf_name = "qwen2",
     .help = "Qwen 2 and 2.5: Llama's block, with biases of queries, keys and values",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_HALVES,
     .features = MODEL_QKV_BIAS,
     .activation = "silu",
     .eps_key = "rms_norm_eps",
     .gguf_eps_key = "attention.layer_norm_rms_epsilon",
     .default_eps = 1e-6,
     .default_kv_heads = 32,
     .slot_name = {HF_ATTENTION_NORMS, HF_ENDS, HF_ATTENTION, HF_QKV_BIAS, HF_SWIGLU},
     .gguf_slot_name = {GGUF_NORMS_AND_ENDS, GGUF_ATTENTION, GGUF_QKV_BIAS, GGUF_SWIGLU}},
    {.name = "qwen3",
     .gguf_name = "qwen3",
     .help = "Qwen 3: Llama's block, with a norm of each query and key head",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_HALVES,
     .features = MODEL_QK_NORM,
     .activation = "silu",
     .eps_key = "rms_norm_eps",
     .gguf_eps_key = "attention.layer_norm_rms_epsilon",
     .attention_bias = KEY_DEFAULT_FALSE,
     .default_eps = 1e-6,
     .default_kv_heads = 32,
     .default_head_dim = 128,
     .slot_name = {HF_ATTENTION_NORMS, HF_ENDS, HF_ATTENTION, HF_QKV_BIAS, HF_OUT_BIAS,
                   HF_SWIGLU, [SLOT_Q_NORM] = "model.layers.%d.self_attn.q_norm.weight",
                   [SLOT_K_NORM] = "model.layers.%d.self_attn.k_norm.weight"},
     .gguf_slot_name = {GGUF_NORMS_AND_ENDS, GGUF_ATTENTION, GGUF_QKV_BIAS, GGUF_OUT_BIAS,
                        GGUF_SWIGLU, [SLOT_Q_NORM] = "blk.%d.attn_q_norm.weight",
                        [SLOT_K_NORM] = "blk.%d.attn_k_norm.weight"}},
    {.name = "phi3",
     .gguf_name = "phi3",
     .help = "Phi 3: Llama's block with fused matrices, part of a head rotated, a sliding window",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_HALVES,
     .activation = "silu",
     .eps_key = "rms_norm_eps",
     .gguf_eps_key = "attention.layer_norm_rms_epsilon",
     .reads_window = true,
     .reads_partial_rotary = true,
     .default_eps = 1e-5,
     .default_rotary = 1.0,
     .slot_name = {HF_ATTENTION_NORMS,
                   HF_ENDS, [SLOT_WQ] = "model.layers.%d.self_attn.qkv_proj.weight",
                   [SLOT_WK] = "model.layers.%d.self_attn.qkv_proj.weight",
                   [SLOT_WV] = "model.layers.%d.self_attn.qkv_proj.weight",
                   [SLOT_WO] = "model.layers.%d.self_attn.o_proj.weight",
                   [SLOT_W_GATE] = "model.layers.%d.mlp.gate_up_proj.weight",
                   [SLOT_W_UP] = "model.layers.%d.mlp.gate_up_proj.weight",
                   [SLOT_W_DOWN] = "model.layers.%d.mlp.down_proj.weight"},
     .gguf_slot_name =
         {GGUF_NORMS_AND_ENDS, [SLOT_WQ] = "blk.%d.attn_qkv.weight",
          [SLOT_WK] = "blk.%d.attn_qkv.weight", [SLOT_WV] = "blk.%d.attn_qkv.weight",
          [SLOT_WO] = "blk.%d.attn_output.weight", [SLOT_W_GATE] = "blk.%d.ffn_up.weight",
          [SLOT_W_UP] = "blk.%d.ffn_up.weight", [SLOT_W_DOWN] = "blk.%d.ffn_down.weight"}},
    {.name = "gpt_neox",
     .gguf_name = "gptneox",
     .help = "GPT-NeoX and Pythia: LayerNorm, parallel residual, GELU, part of a head rotated",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_HALVES,
     .features = MODEL_LAYER_NORM | MODEL_UNGATED | MODEL_FFN_BIAS,
     .hf_qkv_by_head = true,
     .activation = "gelu",
     .eps_key = "layer_norm_eps",
     .gguf_eps_key = "attention.layer_norm_epsilon",
     .attention_bias = KEY_DEFAULT_TRUE,
     .parallel_residual = KEY_DEFAULT_TRUE,
     .reads_partial_rotary = true,
     .v4_theta_key = "rotary_emb_base",
     .v4_rotary_key = "rotary_pct",
     .default_eps = 1e-5,
     .default_rotary = 0.25,
     .slot_name = {[SLOT_ATTN_NORM] = "gpt_neox.layers.%d.input_layernorm.weight",
                   [SLOT_ATTN_NORM_BIAS] = "gpt_neox.layers.%d.input_layernorm.bias",
                   [SLOT_WQ] = "gpt_neox.layers.%d.attention.query_key_value.weight",
                   [SLOT_WK] = "gpt_neox.layers.%d.attention.query_key_value.weight",
                   [SLOT_WV] = "gpt_neox.layers.%d.attention.query_key_value.weight",
                   [SLOT_BQ] = "gpt_neox.layers.%d.attention.query_key_value.bias",
                   [SLOT_BK] = "gpt_neox.layers.%d.attention.query_key_value.bias",
                   [SLOT_BV] = "gpt_neox.layers.%d.attention.query_key_value.bias",
                   [SLOT_WO] = "gpt_neox.layers.%d.attention.dense.weight",
                   [SLOT_BO] = "gpt_neox.layers.%d.attention.dense.bias",
                   [SLOT_FFN_NORM] = "gpt_neox.layers.%d.post_attention_layernorm.weight",
                   [SLOT_FFN_NORM_BIAS] = "gpt_neox.layers.%d.post_attention_layernorm.bias",
                   [SLOT_W_UP] = "gpt_neox.layers.%d.mlp.dense_h_to_4h.weight",
                   [SLOT_B_UP] = "gpt_neox.layers.%d.mlp.dense_h_to_4h.bias",
                   [SLOT_W_DOWN] = "gpt_neox.layers.%d.mlp.dense_4h_to_h.weight",
                   [SLOT_B_DOWN] = "gpt_neox.layers.%d.mlp.dense_4h_to_h.bias",
                   [SLOT_EMBEDDING] = "gpt_neox.embed_in.weight",
                   [SLOT_OUT_NORM] = "gpt_neox.final_layer_norm.weight",
                   [SLOT_OUT_NORM_BIAS] = "gpt_neox.final_layer_norm.bias",
                   [SLOT_HEAD] = "embed_out.weight"},
     .gguf_slot_name =
         {GGUF_NORMS_AND_ENDS, GGUF_OUT_BIAS, [SLOT_ATTN_NORM_BIAS] = "blk.%d.attn_norm.bias",
          [SLOT_WQ] = "blk.%d.attn_qkv.weight", [SLOT_WK] = "blk.%d.attn_qkv.weight",
          [SLOT_WV] = "blk.%d.attn_qkv.weight", [SLOT_BQ] = "blk.%d.attn_qkv.bias",
          [SLOT_BK] = "blk.%d.attn_qkv.bias", [SLOT_BV] = "blk.%d.attn_qkv.bias",
          [SLOT_WO] = "blk.%d.attn_output.weight", [SLOT_FFN_NORM_BIAS] = "blk.%d.ffn_norm.bias",
          [SLOT_W_UP] = "blk.%d.ffn_up.weight", [SLOT_B_UP] = "blk.%d.ffn_up.bias",
          [SLOT_W_DOWN] = "blk.%d.ffn_down.weight", [SLOT_B_DOWN] = "blk.%d.ffn_down.bias",
          [SLOT_OUT_NORM_BIAS] = "output_norm.bias"}},
    {.name = NULL                                    },
};

/* What a side of a tensor's shape comes from. */
typedef enum {
    SIDE_NONE,
    SIDE_MODEL,
    SIDE_QUERIES,
    SIDE_KEYS,
    SIDE_HEAD,
    SIDE_FFN,
    SIDE_VOCAB
} Side;

typedef struct {
    Side rows;
    Side columns;
    unsigned needs; /* ModelFeature bits that a model with this slot has */
    unsigned bars;  /* and bits that it has not */
} SlotRow;

#define MATRIX(side, other) ((SlotRow){.rows = (side), .columns = (other)})
#define VECTOR(side, bits)  ((SlotRow){.rows = (side), .needs = (bits)})

static SlotRow slot_row(Slot slot)
{
    switch (slot) {
    case SLOT_ATTN_NORM:
    case SLOT_FFN_NORM:
    case SLOT_OUT_NORM: return VECTOR(SIDE_MODEL, 0);
    case SLOT_ATTN_NORM_BIAS:
    case SLOT_FFN_NORM_BIAS:
    case SLOT_OUT_NORM_BIAS: return VECTOR(SIDE_MODEL, MODEL_LAYER_NORM);
    case SLOT_WQ: return MATRIX(SIDE_QUERIES, SIDE_MODEL);
    case SLOT_WK:
    case SLOT_WV: return MATRIX(SIDE_KEYS, SIDE_MODEL);
    case SLOT_WO: return MATRIX(SIDE_MODEL, SIDE_QUERIES);
    case SLOT_W_GATE: return (SlotRow){SIDE_FFN, SIDE_MODEL, .bars = MODEL_UNGATED};
    case SLOT_W_UP: return MATRIX(SIDE_FFN, SIDE_MODEL);
    case SLOT_W_DOWN: return MATRIX(SIDE_MODEL, SIDE_FFN);
    case SLOT_BQ: return VECTOR(SIDE_QUERIES, MODEL_QKV_BIAS);
    case SLOT_BK:
    case SLOT_BV: return VECTOR(SIDE_KEYS, MODEL_QKV_BIAS);
    case SLOT_BO: return VECTOR(SIDE_MODEL, MODEL_OUT_BIAS);
    case SLOT_B_GATE:
        return (SlotRow){.rows = SIDE_FFN, .needs = MODEL_FFN_BIAS, .bars = MODEL_UNGATED};
    case SLOT_B_UP: return VECTOR(SIDE_FFN, MODEL_FFN_BIAS);
    case SLOT_B_DOWN: return VECTOR(SIDE_MODEL, MODEL_FFN_BIAS);
    case SLOT_Q_NORM:
    case SLOT_K_NORM: return VECTOR(SIDE_HEAD, MODEL_QK_NORM);
    default: return MATRIX(SIDE_VOCAB, SIDE_MODEL); /* embedding and head */
    }
}

const Arch *arch_find(const char *name)
{
    for (const Arch *arch = archs; arch->name; arch++)
        if (str_equal(arch->name, name)) return arch;
    return NULL;
}

const Arch *arch_find_gguf(const char *gguf_name)
{
    for (const Arch *arch = archs; arch->name; arch++)
        if (arch->gguf_name && str_equal(arch->gguf_name, gguf_name)) return arch;
    return NULL;
}

void arch_names(bool gguf, char out[128])
{
    int at = 0;
    for (const Arch *arch = archs; arch->name; arch++) {
        const char *name = gguf ? arch->gguf_name : arch->name;
        if (name) at += snprintf(out + at, 128 - (size_t)at, "%s%s", at ? ", " : "", name);
    }
}

/* Puts the layer in the place of %d, if the template has one. */
static void fill_template(const char *template, int layer, char out[ARCH_NAME_SIZE])
{
    const char *gap = strstr(template, "%d");
    if (gap)
        snprintf(out, ARCH_NAME_SIZE, "%.*s%d%s", (int)(gap - template), template, layer, gap + 2);
    else
        snprintf(out, ARCH_NAME_SIZE, "%s", template);
}

void arch_slot_name(const Arch *arch, Slot slot, int layer, char out[ARCH_NAME_SIZE])
{
    fill_template(arch->slot_name[slot], layer, out);
}

/* The layer in "blk.12.": -1 unless it is a plain decimal number of at most four digits. */
static int layer_of(const char *name, const char *prefix, size_t n_prefix)
{
    if (strncmp(name, prefix, n_prefix) != 0) return -1;
    const char *digits = name + n_prefix;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 4 || (n > 1 && digits[0] == '0')) return -1;
    int layer = 0;
    for (size_t i = 0; i < n; i++)
        layer = layer * 10 + (digits[i] - '0');
    return layer;
}

bool arch_name_from_gguf(const Arch *arch, const char *gguf_name, char out[ARCH_NAME_SIZE])
{
    for (int slot = 0; slot < N_SLOTS; slot++) {
        const char *template = arch->gguf_slot_name[slot];
        if (!template) continue;
        const char *gap = strstr(template, "%d");
        int layer = gap ? layer_of(gguf_name, template, (size_t)(gap - template)) : 0;
        if (layer < 0) continue;
        char filled[ARCH_NAME_SIZE];
        fill_template(template, layer, filled);
        if (!str_equal(filled, gguf_name)) continue;
        arch_slot_name(arch, (Slot)slot, layer, out);
        return true;
    }
    return false;
}

static int64_t side_length(const ModelConfig *config, Side side)
{
    switch (side) {
    case SIDE_MODEL: return config->d_model;
    case SIDE_QUERIES: return (int64_t)config->n_heads * config->head_dim;
    case SIDE_KEYS: return (int64_t)config->n_kv_heads * config->head_dim;
    case SIDE_HEAD: return config->head_dim;
    case SIDE_FFN: return config->d_ff;
    case SIDE_VOCAB: return config->vocab_size;
    default: return 0;
    }
}

bool arch_has_slot(const ModelConfig *config, Slot slot)
{
    SlotRow row = slot_row(slot);
    return (config->features & row.needs) == row.needs && !(config->features & row.bars);
}

void arch_slot_shape(const ModelConfig *config, Slot slot, Tensor *out)
{
    out->dims[0] = side_length(config, slot_row(slot).rows);
    out->dims[1] = side_length(config, slot_row(slot).columns);
    out->n_dims = out->dims[1] ? 2 : 1;
}

/* Whether two slots lie in one tensor. */
static bool is_fused_with(const Arch *arch, int slot, int other)
{
    return arch->slot_name[slot] && arch->slot_name[other] &&
           str_equal(arch->slot_name[slot], arch->slot_name[other]);
}

static bool is_qkv(Slot slot)
{
    return (slot >= SLOT_WQ && slot <= SLOT_WV) || (slot >= SLOT_BQ && slot <= SLOT_BV);
}

SlotRows arch_slot_rows(const ModelConfig *config, Slot slot)
{
    const Arch *arch = arch_find(config->arch);
    int64_t n_rows = side_length(config, slot_row(slot).rows);
    SlotRows out = {.block_rows = n_rows, .stride = n_rows, .n_blocks = 1};
    int n_before = 0;
    for (int other = 0; other < N_SLOTS; other++) {
        if (!is_fused_with(arch, slot, other)) continue;
        int64_t other_rows = side_length(config, slot_row((Slot)other).rows);
        out.tensor_rows += other_rows;
        if (other >= (int)slot) continue;
        out.first += other_rows;
        n_before++;
    }
    if (config->qkv_by_head && is_qkv(slot)) {
        out.block_rows = config->head_dim;
        out.n_blocks = n_rows / config->head_dim;
        out.stride = out.tensor_rows / out.n_blocks;
        out.first = n_before * out.block_rows;
    }
    return out;
}

static const char *side_keys(Side side)
{
    switch (side) {
    case SIDE_MODEL: return "hidden_size";
    case SIDE_QUERIES: return "num_attention_heads * head_dim";
    case SIDE_KEYS: return "num_key_value_heads * head_dim";
    case SIDE_HEAD: return "head_dim";
    case SIDE_FFN: return "intermediate_size";
    default: return "vocab_size";
    }
}

void arch_slot_shape_keys(const ModelConfig *config, Slot slot, char out[ARCH_KEYS_SIZE])
{
    const Arch *arch = arch_find(config->arch);
    int at = snprintf(out, ARCH_KEYS_SIZE, "[");
    for (int other = 0; other < N_SLOTS; other++)
        if (is_fused_with(arch, slot, other))
            at += snprintf(out + at, ARCH_KEYS_SIZE - (size_t)at, "%s%s", at > 1 ? " + " : "",
                           side_keys(slot_row((Slot)other).rows));
    if (slot_row(slot).columns)
        at += snprintf(out + at, ARCH_KEYS_SIZE - (size_t)at, ", %s",
                       side_keys(slot_row(slot).columns));
    snprintf(out + at, ARCH_KEYS_SIZE - (size_t)at, "]");
}
