/* What a model in training can do: held-out text and passkeys, by the engine and the probes of `sweep`. */
#ifndef HARNESS_TRAIN_MEASURE_H
#define HARNESS_TRAIN_MEASURE_H

#include "harness/train_data.h"

typedef struct {
    double held_out; /* nats per token, disjoint windows of n_ctx; NaN: no held-out text */
    double half;     /* share of passkeys at n_ctx / 2; NaN: too short for one */
    double full;     /* … at n_ctx */
} TrainMeasures;

/* Loads the model of a folder and measures it under the recipe's rotation. Errors: as model_load, CANCELLED. */
bool train_measure(const char *folder, const Recipe *recipe, const TrainData *data,
                   TrainMeasures *out, Err *err) MUST_USE;

#endif
