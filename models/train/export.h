/* A trained model as a Hugging Face folder: config.json and model.safetensors. The tokenizer is its owner's to copy. */
#ifndef MODELS_TRAIN_EXPORT_H
#define MODELS_TRAIN_EXPORT_H

#include "models/train/layout.h"

typedef struct {
    const ModelConfig *config;
    const RopeSpec *rope; /* resolved: what it was trained with */
    int64_t n_ctx;        /* the length it was trained for */
    const TrainLayout *layout;
    const float *weights;
    Dtype dtype; /* that the weights are rounded to */
} TrainedModel;

/* Appends its config.json: a Llama of transformers 4, which 5 reads as well. Errors: UNSUPPORTED (config.json has no words for the
 * rotation; pairs are interleaved). */
bool train_export_config(const TrainedModel *model, Buf *out, Err *err) MUST_USE;

/* Writes both files into a folder that is there, the config last. Errors: UNSUPPORTED, OUTPUT, NOMEM. */
bool train_export(const TrainedModel *model, const char *folder, Err *err) MUST_USE;

#endif
