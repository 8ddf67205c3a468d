/* The rotation a model was trained with, as configs spell it. Used by the readers of config.json and of GGUF keys. */
#ifndef MODELS_CONFIG_ROPE_H
#define MODELS_CONFIG_ROPE_H

#include "models/arch.h"
#include "models/config.h"

/* Base when a file states none. Source: the RoFormer paper, and the default of every reader of such files. */
#define CONFIG_DEFAULT_THETA 10000.0

/* Fills config->rope, rope_found and n_rot (the rotated width of a head) from rope_theta, partial_rotary_factor, rope_scaling and
 * rope_parameters, and from what their like are called in some architectures. config->n_ctx_train and head_dim are read.
 * Errors: INPUT (two values that differ, an unknown key or type), UNSUPPORTED (a known type that has no method here, part of a head
 * in an architecture that turns whole ones). */
bool config_rope_from_json(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes,
                           Err *err) MUST_USE;

/* Replaces a dictionary that holds one for each layer type by the one that all layers use; other dictionaries stay. where: its key.
 * Errors: INPUT (a layer type without one), UNSUPPORTED (layers that would differ). */
bool config_rope_of_layers(const json_t *root, const char *where, json_t **dictionary,
                           Err *err) MUST_USE;

/* The scaling dictionary of a resolved spec, as config_rope_from_json reads it, and the rope_theta beside it. The
 * caller owns the reference. Errors: UNSUPPORTED (config.json has no words for it). */
json_t *config_rope_to_json(const RopeSpec *spec, double *theta, Err *err) MUST_USE;

/* Sets n_ctx_orig of config->rope, and its factor where the method has one. original is the stated trained length before scaling, 0
 * when the file has none; contradictions with factor and config->n_ctx_train are noted. */
void config_rope_lengths(ModelConfig *config, double factor, int64_t original, Buf *notes);

#endif
