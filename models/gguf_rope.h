/* The rotation that a GGUF file states: keys of one architecture and tensors of divisors. */
#ifndef MODELS_GGUF_ROPE_H
#define MODELS_GGUF_ROPE_H

#include "models/weights.h"

/* Fills config->n_ctx_train, rope and rope_found from keys that begin with prefix ("llama") and from the tensors of divisors;
 * config->n_rot is read. file must be a parsed GGUF file, sorted. notes gets what was assumed.
 * Errors: INPUT (a wrong type, keys that contradict each other, a tensor of another shape), UNSUPPORTED (a combination that has no
 * method here).
 * Source: llama.cpp, llama-context.cpp (which factors apply), ggml-cpu/ops.cpp, rope_yarn (what they do). */
bool gguf_rope_read(const WeightFile *file, const char *prefix, ModelConfig *config, Buf *notes,
                    Err *err) MUST_USE;

/* Whether gguf_rope_read reads the key, given without its prefix. */
bool gguf_rope_reads_key(const char *key);

/* Whether gguf_rope_read reads the tensor. */
bool gguf_rope_reads_tensor(const char *name);

#endif
