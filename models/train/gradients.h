/* What the elementwise parts of the block hand back: gradients of a loss with respect to their inputs, from those with
 * respect to their outputs (d_ before a name). Products are in network.c. */
#ifndef MODELS_TRAIN_GRADIENTS_H
#define MODELS_TRAIN_GRADIENTS_H

#include "models/kernel_path.h"

/* Of y = x / sqrt(mean(x²) + eps) * weight, m rows of d. */
typedef struct {
    const float *x;
    const float *weight;
    const float *d_y;
    float *d_x;      /* added to */
    float *d_weight; /* added to */
    int m;
    int d;
    double eps;
} NormGradient;

void gradient_rms_norm(const NormGradient *norm);

/* Of inner = silu(gate) * up; rows hold gate and up side by side. gate_up, d_gate_up: [m, 2 d_ff], d_inner: [m, d_ff]. */
void gradient_swiglu(const KernelPath *path, const float *gate_up, const float *d_inner,
                     float *d_gate_up, int m, int d_ff);

/* Returns -ln softmax(logits)[target] and replaces the n logits by the gradient of weight times that. A weight of 0 gives 0 and
 * leaves zeros. */
double gradient_cross_entropy(const KernelPath *path, float *logits, int n, int32_t target,
                              float weight);

/* One sequence of causal attention. Rows of d_queries, d_keys and d_values are qkv_width apart. */
typedef struct {
    const KernelPath *path;
    int n_heads;
    int n_kv_heads;
    int head_dim;
    int length;
    const float *queries;     /* [length, n_heads * head_dim], turned */
    const float *keys;        /* [length, n_kv_heads * head_dim], turned */
    const float *values;      /* [length, n_kv_heads * head_dim] */
    const float *attended;    /* [length, n_heads * head_dim] */
    const float *log_sum_exp; /* [length, n_heads] */
    const float *d_attended;  /* [length, n_heads * head_dim] */
    float *d_queries;         /* with respect to the turned ones */
    float *d_keys;
    float *d_values;
    int qkv_width;
    float *scratch; /* gradient_attention_floats(length) */
} AttentionGradient;

size_t gradient_attention_floats(int length);

/* Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4: probabilities are made again from the scores and their log-sum-exp. */
void gradient_attention(const AttentionGradient *task);

#endif
