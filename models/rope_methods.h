/* Tables of the methods whose turn depends on the distance between query and key: rows of
 * rope_methods.c that fill more than one variant. */
#ifndef MODELS_ROPE_METHODS_H
#define MODELS_ROPE_METHODS_H

#include "models/rope.h"

void rope_init_rerope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);
void rope_init_leaky_rerope(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);
void rope_init_self_extend(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);
void rope_init_dual_chunk(const RopeSpec *spec, int64_t n_ctx, RopeTable *table);

/* Whether the window leaves room for groups, or the window of dual chunk attention for chunks.
 * Errors: USAGE. */
bool rope_check_self_extend(const RopeSpec *spec, Err *err);
bool rope_check_dual_chunk(const RopeSpec *spec, Err *err);

#endif
