/* Training by definition, for nothing but comparison: the loss in double with plain loops, its gradient by central differences,
 * AdamW word for word. Shares no function with the trainer; only knows from its layout where each tensor lies. */
#ifndef TESTS_TRAIN_TWIN_H
#define TESTS_TRAIN_TWIN_H

#include "models/train/trainer.h"

typedef struct {
    const ModelConfig *config;
    const TrainLayout *layout;
    double theta[8];  /* the angle of each pair from one position to the next */
    double amplitude; /* of cos and sin */
    double log_n;     /* queries at p are scaled by max(1, ln(p + 1) / ln log_n); 0: not */
    double *weights;  /* [layout->n] */
} TrainTwin;

/* A batch: rows of length + 1 tokens, and length weights. */
typedef struct {
    const int32_t *tokens;
    const float *weights;
    int n_rows;
    int length;
} TwinBatch;

/* Σ weight * nll / Σ weight. */
double train_twin_loss(const TrainTwin *twin, const TwinBatch *batch);

/* The derivative with respect to weight i. */
double train_twin_slope(TrainTwin *twin, const TwinBatch *batch, size_t i);

/* One step of AdamW, the step-th from 1 on, with gradients by train_twin_slope; mean and square: [layout->n], zero at first.
 * Weights from no_decay[k][0] to no_decay[k][1] do not decay, for k up to n_no_decay. */
typedef struct {
    AdamwOptions options;
    double rate;
    int step;
    double *mean;
    double *square;
    const size_t (*no_decay)[2];
    int n_no_decay;
} TwinStep;

void train_twin_step(TrainTwin *twin, const TwinBatch *batch, const TwinStep *step);

#endif
