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

typedef struct {
    char arch[32]; /* "llama": a row of models/arch.c */
    int d_model;
    int n_layers;
    int n_heads;
    int n_kv_heads; /* divides n_heads */
    int head_dim;   /* explicit; need not be d_model / n_heads */
    int d_ff;
    int vocab_size;
    int64_t n_ctx_train; /* as claimed by the file */
    double rms_eps;
    bool tied; /* the config says that the head shares the embedding (the file decides) */
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
