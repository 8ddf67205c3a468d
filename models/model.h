/* A loaded model: constant once open, shared between threads.
 *
 * Matrices are converted to float and packed for one kernel path when the model is loaded: a chunk of prefill reads every weight,
 * so doing it on each use would cost more than the memory saves. Vectors and the embedding are used in the mapped
 * file where they are stored as F32 and aligned. */
#ifndef MODELS_MODEL_H
#define MODELS_MODEL_H

#include "base/hash.h"
#include "models/arch.h"
#include "models/config.h"
#include "models/kernel_path.h"
#include "models/tokenizer.h"
#include "models/weights.h"

/* One layer, as float: matrices packed for the model's path, vectors plain; shapes as in models/arch.h, NULL for slots that the model has
 * not. */
typedef struct {
    const float *slot[N_LAYER_SLOTS];
} LayerWeights;

typedef struct {
    ModelConfig config;
    const KernelPath *path;
    WeightFile *file;
    Tokenizer *tokenizer; /* NULL: token ids only */
    char no_tokenizer_why[256];
    char hash[HASH_HEX_SIZE];   /* of weights, config and tokenizer */
    LayerWeights *layers;       /* n_layers of them */
    const float *embedding;     /* [vocab_size, d_model] */
    const float *out_norm;      /* [d_model] */
    const float *out_norm_bias; /* [d_model], or NULL */
    const float *head;   /* [vocab_size, d_model], packed; the embedding's when the file has none */
    int64_t n_nonfinite; /* weights that are NaN or infinite */
    char nonfinite_tensor[128];
    float *owned; /* packed and converted weights */
    Buf notes;    /* lines for a person */
} Model;

/* Loads a model of any format, for the best kernel path or for a given one. Errors: INPUT, UNSUPPORTED, NOMEM. */
Model *model_load(const char *file, Err *err) MUST_USE;
Model *model_load_for(const char *file, const KernelPath *path, Err *err) MUST_USE;
void model_free(Model *model);

/* Whether every tensor that the config asks for is there with its shape, as model_load would check.
 * Errors: INPUT (names up to five), UNSUPPORTED (the config's). */
bool model_check(const WeightFile *file, Err *err) MUST_USE;

/* Bytes of packed and converted weights that model_load would allocate; 0 when model_check fails. */
size_t model_owned_bytes(const WeightFile *file, const KernelPath *path);

/* A slot's matrix or vector, row-major; layer is not read for slots from N_LAYER_SLOTS on. out has the slot's elements. */
void model_plain_weights(const Model *model, Slot slot, int layer, float *out);

/* Weights of the model: elements of all slots, a shared head counted once. */
int64_t model_n_params(const ModelConfig *config, bool tied);

/* A model with random weights of a given shape, for benchmarks and tests: no file, no tokenizer,
 * hash of (config, seed). Weights are normal with variance 1/fan_in. Errors: NOMEM. */
Model *model_random(const ModelConfig *config, uint64_t seed, Err *err) MUST_USE;
Model *model_random_for(const ModelConfig *config, const KernelPath *path, uint64_t seed,
                        Err *err) MUST_USE;

#endif
