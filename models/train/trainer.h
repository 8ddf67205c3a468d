/* Training by gradient descent: batches through a callback, the loss and its gradient (network.h), AdamW, a schedule.
 *
 * **A step's numbers do not depend on threads**: rows are dealt to a fixed number of shards, each of which sums its own
 * gradient, and the sums are added in order. */
#ifndef MODELS_TRAIN_TRAINER_H
#define MODELS_TRAIN_TRAINER_H

#include "models/train/adamw.h"
#include "models/train/layout.h"
#include "models/train/schedule.h"

enum { TRAIN_SHARDS = 8 }; /* most threads that a step can use */

/* One row to fill. */
typedef struct {
    int64_t step;
    int row;
    int length;
    int32_t *tokens; /* [length + 1] */
    float *weights;  /* [length]: of predicting tokens[i + 1]; none negative */
} TrainRow;

typedef struct {
    ModelConfig config;
    RopeTable rope; /* of the rule ROPE_RULE_ONE */
    TrainSchedule schedule;
    AdamwOptions adamw;
    int n_threads;
    /* Fills a row; a pure function of step, row and length for a run to be resumable. Called from several threads. */
    bool (*fill)(void *context, const TrainRow *row, Err *err);
    void *context;
} TrainerOptions;

typedef struct Trainer Trainer;

/* With all weights 0, at step 0. Errors: UNSUPPORTED (a model or rotation that cannot be trained), USAGE (a schedule out of
 * range), NOMEM. */
Trainer *trainer_open(const TrainerOptions *options, Err *err) MUST_USE;
void trainer_close(Trainer *trainer);

/* What one step did. */
typedef struct {
    int64_t step;     /* counted from 0 */
    double loss;      /* before the step: Σ weight * nll / Σ weight of its batch, nats */
    double norm;      /* of the gradient, before clipping */
    double rate;      /* learning rate */
    int64_t n_tokens; /* predicted ones, of any weight */
} TrainStep;

/* Takes one step. Errors: what `fill` says, INPUT (an id outside the vocabulary, a weight that is negative or not finite, all
 * weights 0), NONFINITE (the loss or the gradient; the weights are as before). */
bool trainer_step(Trainer *trainer, TrainStep *out, Err *err) MUST_USE;

/* Steps taken so far, and those of the schedule. */
int64_t trainer_steps(const Trainer *trainer);
int64_t trainer_total_steps(const Trainer *trainer);

const TrainLayout *trainer_layout(const Trainer *trainer);

/* All weights as laid out, and AdamW's means; they may be set before a step (train_layout_draw, train_layout_copy). Lends. */
AdamwState trainer_state(Trainer *trainer);

/* Goes on as if n steps had been taken to this state. */
void trainer_set_steps(Trainer *trainer, int64_t n);

/* Loss and gradient of the step that comes next, without taking it. gradient: as laid out. Errors: as trainer_step. */
bool trainer_gradient(Trainer *trainer, double *loss, float *gradient, Err *err) MUST_USE;

#endif
