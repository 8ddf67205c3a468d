/* What a model is: read from config.json, GGUF keys or a llama2.c header, and checked.
 *
 * Anything a config asks for that the engine does not do is refused here by its key, never run half-right. */
#ifndef MODELS_CONFIG_H
#define MODELS_CONFIG_H

#include <jansson.h>

#include "base/buf.h"
#include "models/rope.h"

/* Bounds that every config is held to before a size is computed from it. */
enum {
    CONFIG_MAX_WIDTH = 1 << 20, /* d_model, d_ff, n_heads * head_dim */
    CONFIG_MAX_LAYERS = 1 << 10,
    CONFIG_MAX_HEADS = 1 << 12,
    CONFIG_MAX_VOCAB = 1 << 21,
    CONFIG_MAX_BYTES = 1 << 20, /* of a config.json */
};

/* How a block differs from Llama's, which has none of these. */
typedef enum {
    MODEL_QKV_BIAS = 1 << 0,
    MODEL_OUT_BIAS = 1 << 1, /* of the attention's output matrix */
    MODEL_FFN_BIAS = 1 << 2,
    MODEL_QK_NORM = 1 << 3,    /* RMSNorm of each query and key head before it is rotated */
    MODEL_LAYER_NORM = 1 << 4, /* LayerNorm with a bias in the place of RMSNorm */
    MODEL_UNGATED = 1 << 5,    /* down(gelu(up)) in the place of down(silu(gate) * up) */
    MODEL_PARALLEL = 1 << 6,   /* attention and feed-forward both read the block's input */
} ModelFeature;

typedef struct {
    char arch[32];     /* "llama": a row of models/arch.c */
    unsigned features; /* ModelFeature bits */
    int d_model;
    int n_layers;
    int n_heads;
    int n_kv_heads; /* divides n_heads */
    int head_dim;   /* explicit; need not be d_model / n_heads */
    int d_ff;
    int vocab_size;
    int64_t n_ctx_train; /* as claimed by the file */
    int64_t window;      /* a query sees keys at distances below it; 0: all */
    double rms_eps;      /* epsilon of every norm */
    bool tied;           /* the config says that the head shares the embedding (the file decides) */
    bool
        qkv_by_head; /* rows of a fused q, k and v come as (q, k, v) of each head, not q of all heads first */
    RopeLayout rope_layout; /* a fact of format x architecture, never guessed */
    int n_rot;              /* rotated width of a head, even */
    RopeSpec rope;          /* the scaling it was trained with; method "none" for a plain model */
    int bos_id;             /* -1: none */
    int eos_id;             /* -1: none */
    char rope_found[512];   /* the RoPE keys as the file spells them, for `inspect` */
} ModelConfig;

/* Reads a parsed config.json. notes gets one line a default that was taken or a contradiction that was resolved.
 * Errors: INPUT (missing or wrong key, contradiction), UNSUPPORTED (feature named by its key). */
bool config_from_json(const json_t *root, const char *origin, ModelConfig *config, Buf *notes,
                      Err *err) MUST_USE;

/* Cross-checks that hold for every format: positive widths within bounds, heads divisible, even n_rot.
 * Errors: INPUT. */
bool config_check(const ModelConfig *config, const char *origin, Err *err) MUST_USE;

/* Appends a canonical text of everything that can change a number: equal texts, equal computation. */
void config_key(const ModelConfig *config, Buf *out);

#endif
