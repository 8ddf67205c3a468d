/* Weights to disk: safetensors. */
#ifndef MODELS_WEIGHTS_WRITE_H
#define MODELS_WEIGHTS_WRITE_H

#include "models/tensor.h"

/* A tensor to write; the bytes are taken as they are. */
typedef struct {
    const char *name;
    Tensor tensor;
} NamedTensor;

/* Writes n tensors, in this order, under names that differ: the old file or the new one, never a part. Errors: OUTPUT, NOMEM.
 * Source: github.com/huggingface/safetensors, README "Format"; transformers asks for the metadata {"format": "pt"}. */
bool weights_write_safetensors(const char *path, const NamedTensor *tensors, size_t n,
                               Err *err) MUST_USE;

#endif
