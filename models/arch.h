/* Architectures: one row of tensor names and facts each. */
#ifndef MODELS_ARCH_H
#define MODELS_ARCH_H

#include "models/config.h"
#include "models/tensor.h"

/* The tensors of one transformer. The per-layer ones come first. */
typedef enum {
    SLOT_ATTN_NORM, /* [d_model] */
    SLOT_WQ,        /* [n_heads * head_dim, d_model] */
    SLOT_WK,        /* [n_kv_heads * head_dim, d_model] */
    SLOT_WV,        /* [n_kv_heads * head_dim, d_model] */
    SLOT_WO,        /* [d_model, n_heads * head_dim] */
    SLOT_FFN_NORM,  /* [d_model] */
    SLOT_W_GATE,    /* [d_ff, d_model] */
    SLOT_W_UP,      /* [d_ff, d_model] */
    SLOT_W_DOWN,    /* [d_model, d_ff] */
    /* A bias has the rows of its matrix, or the width of its norm. */
    SLOT_ATTN_NORM_BIAS,
    SLOT_BQ,
    SLOT_BK,
    SLOT_BV,
    SLOT_BO,
    SLOT_FFN_NORM_BIAS,
    SLOT_B_GATE,
    SLOT_B_UP,
    SLOT_B_DOWN,
    SLOT_Q_NORM, /* [head_dim] */
    SLOT_K_NORM, /* [head_dim] */
    N_LAYER_SLOTS,
    SLOT_EMBEDDING = N_LAYER_SLOTS, /* [vocab_size, d_model] */
    SLOT_OUT_NORM,                  /* [d_model] */
    SLOT_OUT_NORM_BIAS,             /* [d_model] */
    SLOT_HEAD,                      /* [vocab_size, d_model] */
    N_SLOTS
} Slot;

/* Whether a config's key switches something on. */
typedef enum {
    KEY_FIXED,         /* the architecture has no such key: `false` passes, `true` is refused */
    KEY_DEFAULT_FALSE, /* the key decides; absent is false */
    KEY_DEFAULT_TRUE,  /* the key decides; absent is true */
} SwitchKey;

typedef struct {
    const char *name;      /* model_type in config.json */
    const char *gguf_name; /* general.architecture in GGUF, and the prefix of its keys */
    const char *help;
    RopeLayout hf_layout;
    RopeLayout gguf_layout;
    unsigned features;        /* ModelFeature bits that every model of it has */
    bool hf_qkv_by_head;      /* in Hugging Face files: ModelConfig.qkv_by_head */
    const char *activation;   /* hidden_act */
    const char *eps_key;      /* in config.json */
    const char *gguf_eps_key; /* below the prefix */
    SwitchKey attention_bias;
    SwitchKey mlp_bias;
    SwitchKey parallel_residual; /* key use_parallel_residual */
    bool reads_window;           /* key sliding_window holds for every layer */
    bool reads_partial_rotary;   /* keys partial_rotary_factor and rotary_pct */
    /* Keys at the top of config.json before transformers 5; NULL: rope_theta and partial_rotary_factor. */
    const char *v4_theta_key;
    const char *v4_rotary_key;
    /* What transformers takes where config.json lacks the key; 0: the general default. */
    double default_eps;
    int default_kv_heads;
    int default_head_dim;
    int64_t default_window;
    double default_rotary;
    /* %d is the layer; NULL: no such slot. Slots of one name lie in one fused tensor, below each other
     * in the order of Slot. */
    const char *slot_name[N_SLOTS];
    const char *gguf_slot_name[N_SLOTS];
} Arch;

enum { ARCH_NAME_SIZE = 96 }; /* of a tensor's name with its layer filled in */

/* All architectures. Ends with a row whose name is NULL. */
extern const Arch archs[];

/* The row of a model_type, or NULL. */
const Arch *arch_find(const char *name);

/* The row of a general.architecture, or NULL. */
const Arch *arch_find_gguf(const char *gguf_name);

/* Names of all rows as config.json or GGUF spells them, "llama, qwen2", for messages. */
void arch_names(bool gguf, char out[128]);

/* Whether models of this config have the slot. */
bool arch_has_slot(const ModelConfig *config, Slot slot);

/* The Hugging Face name of a slot's tensor; layer is not read for slots from N_LAYER_SLOTS on. The architecture must
 * name the slot. */
void arch_slot_name(const Arch *arch, Slot slot, int layer, char out[ARCH_NAME_SIZE]);

/* The Hugging Face name of a GGUF tensor; false when the architecture has no such tensor. */
bool arch_name_from_gguf(const Arch *arch, const char *gguf_name,
                         char out[ARCH_NAME_SIZE]) MUST_USE;

/* The shape that a slot must have; sets dims and n_dims of *out. */
void arch_slot_shape(const ModelConfig *config, Slot slot, Tensor *out);

/* Where the rows of a slot lie in its tensor, which may be fused: n_blocks blocks of block_rows rows, the first at row
 * `first`, one every `stride` rows. */
typedef struct {
    int64_t first;
    int64_t block_rows;
    int64_t stride;
    int64_t n_blocks;
    int64_t tensor_rows; /* of the whole tensor */
} SlotRows;

SlotRows arch_slot_rows(const ModelConfig *config, Slot slot);

enum { ARCH_KEYS_SIZE = 192 };

/* The shape of a slot's tensor in words, "[vocab_size, hidden_size]": the keys it comes from. Parts of a fused tensor are joined
 * by " + ". */
void arch_slot_shape_keys(const ModelConfig *config, Slot slot, char out[ARCH_KEYS_SIZE]);

#endif
