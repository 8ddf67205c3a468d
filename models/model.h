/* A loaded model: constant once open, shared between threads.
 *
 * Weights that are stored as F32 and aligned are used in the mapped file; others are converted to
 * float once, when the model is loaded (a chunk of prefill reads every weight, so converting on
 * each use would cost more than the memory saves). */
#ifndef MODELS_MODEL_H
#define MODELS_MODEL_H

#include "base/hash.h"
#include "models/arch.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "models/weights.h"

/* One layer, all row-major float: shapes as in models/arch.h; NULL for slots that the model has not. */
typedef struct {
    const float *slot[N_LAYER_SLOTS];
} LayerWeights;

typedef struct {
    ModelConfig config;
    WeightFile *file;
    Tokenizer *tokenizer; /* NULL: token ids only */
    char no_tokenizer_why[256];
    char hash[HASH_HEX_SIZE];   /* of weights, config and tokenizer */
    LayerWeights *layers;       /* n_layers of them */
    const float *embedding;     /* [vocab_size, d_model] */
    const float *out_norm;      /* [d_model] */
    const float *out_norm_bias; /* [d_model], or NULL */
    const float *head;          /* [vocab_size, d_model]; is embedding when the file has no head */
    int64_t n_nonfinite;        /* weights that are NaN or infinite */
    char nonfinite_tensor[128];
    float *owned; /* converted weights */
    Buf notes;    /* lines for a person */
} Model;

/* Loads a model of any format. Errors: INPUT, UNSUPPORTED, NOMEM. */
Model *model_load(const char *path, Err *err) MUST_USE;
void model_free(Model *model);

/* Whether every tensor that the config asks for is there with its shape, as model_load would check.
 * Errors: INPUT (names up to five), UNSUPPORTED (the config's). */
bool model_check(const WeightFile *file, Err *err) MUST_USE;

/* Bytes of converted weights that model_load would allocate; 0 when model_check fails. */
size_t model_owned_bytes(const WeightFile *file);

/* Weights of the model: elements of all slots, a shared head counted once. */
int64_t model_n_params(const ModelConfig *config, bool tied);

/* A model with random weights of a given shape, for benchmarks and tests: no file, no tokenizer,
 * hash of (config, seed). Weights are normal with variance 1/fan_in. Errors: NOMEM. */
Model *model_random(const ModelConfig *config, uint64_t seed, Err *err) MUST_USE;

#endif
