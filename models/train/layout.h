/* A model's weights as one vector of floats: where each tensor lies. Tensors of a layer follow each other in the order of
 * Slot without gaps, so that the rows of Wq, Wk and Wv are one matrix, and those of the gate and of up. */
#ifndef MODELS_TRAIN_LAYOUT_H
#define MODELS_TRAIN_LAYOUT_H

#include "models/model.h"

typedef struct {
    size_t offset[N_SLOTS]; /* of a layer's slots: from the layer's start */
    size_t floats[N_SLOTS]; /* 0 for slots that the model has not */
    size_t layer_floats;
    size_t n; /* of the whole vector */
} TrainLayout;

/* The head of a tied model is its embedding. Errors: UNSUPPORTED (names what the trainer does not do). */
bool train_layout_make(const ModelConfig *config, TrainLayout *layout, Err *err) MUST_USE;

/* Where a slot starts; layer is not read for slots from N_LAYER_SLOTS on. */
size_t train_layout_at(const TrainLayout *layout, Slot slot, int layer);

/* Draws all weights: matrices normal with variance 1/columns, those that write to the residual stream with 1/(2 n_layers) of
 * it; the embedding with deviation 0.05; gains 1. Source: Radford et al. 2019 (GPT-2), section 2.3, for the residual ones. */
void train_layout_draw(const ModelConfig *config, const TrainLayout *layout, uint64_t seed,
                       float *weights);

/* The weights of a model that has the config's shape. */
void train_layout_copy(const TrainLayout *layout, const Model *model, float *weights);

#endif
