/* Causal attention of one chunk of queries over the keys so far: exact, in tiles, with memory
 * that does not grow with n². */
#ifndef MODELS_ATTENTION_H
#define MODELS_ATTENTION_H

#include "base/base.h"

/* Keys of one tile; a power of two. */
enum { ATTENTION_TILE = 128 };

typedef struct {
    int n_heads;
    int n_kv_heads; /* query heads kv * group … kv * group + group - 1 share key head kv */
    int head_dim;
    int64_t kv_stride; /* positions between two key heads in keys and values */
    int n_threads;
} AttentionShape;

/* Floats of scratch that attention_chunk needs for m query rows. */
size_t attention_scratch_floats(const AttentionShape *shape, int m);

/* Attends from m query rows at positions first … first+m-1 to the keys at positions 0 … its own.
 * queries: [m, n_heads * head_dim], rotated. keys, values: [n_kv_heads, kv_stride, head_dim],
 * rotated keys, readable and finite up to the end of the tile that holds the last query. out: [m,
 * n_heads * head_dim]. A row's bits depend on its position mod m only through its place in the
 * chunk: m and first are multiples of one another in every call of a site. */
void attention_chunk(const AttentionShape *shape, const float *queries, const float *keys,
                     const float *values, int64_t first, int m, float *scratch, float *out);

#endif
