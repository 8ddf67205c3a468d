#include "models/arch.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* In the order of Slot. */
const Arch archs[] = {
    {.name = "llama",
     .help = "Llama and its kin: RMSNorm, rotary attention with grouped keys, SwiGLU",
     .hf_layout = ROPE_HALVES,
     .gguf_layout = ROPE_INTERLEAVED,
     .slot_name =
         {"model.layers.%d.input_layernorm.weight", "model.layers.%d.self_attn.q_proj.weight",
          "model.layers.%d.self_attn.k_proj.weight", "model.layers.%d.self_attn.v_proj.weight",
          "model.layers.%d.self_attn.o_proj.weight",
          "model.layers.%d.post_attention_layernorm.weight", "model.layers.%d.mlp.gate_proj.weight",
          "model.layers.%d.mlp.up_proj.weight", "model.layers.%d.mlp.down_proj.weight",
          "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"},
     .gguf_slot_name = {"blk.%d.attn_norm.weight", "blk.%d.attn_q.weight", "blk.%d.attn_k.weight",
                        "blk.%d.attn_v.weight", "blk.%d.attn_output.weight",
                        "blk.%d.ffn_norm.weight", "blk.%d.ffn_gate.weight", "blk.%d.ffn_up.weight",
                        "blk.%d.ffn_down.weight", "token_embd.weight", "output_norm.weight",
                        "output.weight"}},
    {.name = NULL},
};

const Arch *arch_find(const char *name)
{
    for (const Arch *arch = archs; arch->name; arch++)
        if (str_equal(arch->name, name)) return arch;
    return NULL;
}

void arch_names(char out[128])
{
    int at = 0;
    for (const Arch *arch = archs; arch->name; arch++)
        at += snprintf(out + at, 128 - (size_t)at, "%s%s", arch == archs ? "" : ", ", arch->name);
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

void arch_slot_shape(const ModelConfig *config, Slot slot, Tensor *out)
{
    int64_t d_model = config->d_model;
    int64_t d_q = (int64_t)config->n_heads * config->head_dim;
    int64_t d_kv = (int64_t)config->n_kv_heads * config->head_dim;
    const int64_t rows[N_SLOTS] = {d_model,      d_q,
                                   d_kv,         d_kv,
                                   d_model,      d_model,
                                   config->d_ff, config->d_ff,
                                   d_model,      config->vocab_size,
                                   d_model,      config->vocab_size};
    const int64_t columns[N_SLOTS] = {0,       d_model, d_model,      d_model, d_q, 0,
                                      d_model, d_model, config->d_ff, d_model, 0,   d_model};
    out->dims[0] = rows[slot];
    out->dims[1] = columns[slot];
    out->n_dims = columns[slot] ? 2 : 1;
}

const char *arch_slot_shape_keys(Slot slot)
{
    static const char *const keys[N_SLOTS] = {"[hidden_size]",
                                              "[num_attention_heads * head_dim, hidden_size]",
                                              "[num_key_value_heads * head_dim, hidden_size]",
                                              "[num_key_value_heads * head_dim, hidden_size]",
                                              "[hidden_size, num_attention_heads * head_dim]",
                                              "[hidden_size]",
                                              "[intermediate_size, hidden_size]",
                                              "[intermediate_size, hidden_size]",
                                              "[hidden_size, intermediate_size]",
                                              "[vocab_size, hidden_size]",
                                              "[hidden_size]",
                                              "[vocab_size, hidden_size]"};
    return keys[slot];
}
