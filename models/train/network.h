/* Forward and backward of Llama's block for a few whole sequences: the loss of their predicted tokens, and its gradient with
 * respect to every weight. */
#ifndef MODELS_TRAIN_NETWORK_H
#define MODELS_TRAIN_NETWORK_H

#include "models/kernel_path.h"
#include "models/train/layout.h"

/* What the passes read; shared between threads. */
typedef struct {
    const ModelConfig *config;
    const TrainLayout *layout;
    const KernelPath *path;
    const RopeTable *rope; /* of the rule ROPE_RULE_ONE */
    const float *cos;      /* [length, n_pairs] of every position */
    const float *sin;
    const float *minus_sin;
    const float *weights; /* as laid out */
} Network;

/* Sequences of one length. */
typedef struct {
    const int32_t *tokens;      /* [n_rows, length + 1] */
    const float *token_weights; /* [n_rows, length]: of predicting token i + 1 */
    int n_rows;
    int length;
} Sequences;

/* Memory of one thread's passes. */
typedef struct NetworkScratch NetworkScratch;

/* For up to max_tokens in all, in sequences of up to max_length. Errors: NOMEM. */
NetworkScratch *network_scratch_open(const ModelConfig *config, int max_tokens, int max_length,
                                     Err *err) MUST_USE;
void network_scratch_close(NetworkScratch *scratch);

/* Returns Σ weight * nll over the sequences and adds its gradient to `gradient`, which is laid out as the weights are. */
double network_gradient(const Network *network, NetworkScratch *scratch, const Sequences *in,
                        float *gradient);

#endif
