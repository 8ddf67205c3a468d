/* AdamW with decoupled weight decay. Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2. */
#ifndef MODELS_TRAIN_ADAMW_H
#define MODELS_TRAIN_ADAMW_H

#include "base/base.h"

typedef struct {
    double beta1; /* of the mean of gradients */
    double beta2; /* of the mean of their squares */
    double eps;
    double weight_decay; /* times the rate, of matrices of the layers and an untied head */
    double clip;         /* largest norm of a step's gradient over all weights; 0: any */
} AdamwOptions;

/* Numbers of one step. */
typedef struct {
    AdamwOptions options;
    double rate;
    int64_t step;   /* 1 for the first */
    double shrinks; /* what gradients are multiplied with: clipping */
} AdamwStep;

/* A stretch of weights with the means of their gradients and of the squares, each of the same length. */
typedef struct {
    float *weights;
    float *mean;
    float *square;
} AdamwState;

/* Updates n weights by their gradient. */
void adamw_update(const AdamwStep *step, bool decays, const float *gradient, AdamwState state,
                  size_t n);

#endif
