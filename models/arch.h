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
    N_LAYER_SLOTS,
    SLOT_EMBEDDING = N_LAYER_SLOTS, /* [vocab_size, d_model] */
    SLOT_OUT_NORM,                  /* [d_model] */
    SLOT_HEAD,                      /* [vocab_size, d_model] */
    N_SLOTS
} Slot;

typedef struct {
    const char *name; /* model_type in config.json and general.architecture in GGUF */
    const char *help;
    RopeLayout hf_layout;
    RopeLayout gguf_layout;
    const char *slot_name[N_SLOTS];      /* Hugging Face names; %d is the layer */
    const char *gguf_slot_name[N_SLOTS]; /* GGUF names; %d is the layer */
} Arch;

enum { ARCH_NAME_SIZE = 96 }; /* of a tensor's name with its layer filled in */

/* All architectures. Ends with a row whose name is NULL. */
extern const Arch archs[];

/* The row of a name, or NULL. */
const Arch *arch_find(const char *name);

/* Names of all rows, "llama", for messages. out has capacity 128. */
void arch_names(char out[128]);

/* The Hugging Face name of a slot's tensor; layer is not read for slots from N_LAYER_SLOTS on. */
void arch_slot_name(const Arch *arch, Slot slot, int layer, char out[ARCH_NAME_SIZE]);

/* The Hugging Face name of a GGUF tensor; false when the architecture has no such tensor. */
bool arch_name_from_gguf(const Arch *arch, const char *gguf_name,
                         char out[ARCH_NAME_SIZE]) MUST_USE;

/* The shape that a slot must have; sets dims and n_dims of *out. */
void arch_slot_shape(const ModelConfig *config, Slot slot, Tensor *out);

/* The same in words, "[vocab_size, hidden_size]": the keys a shape comes from. */
const char *arch_slot_shape_keys(Slot slot);

#endif
