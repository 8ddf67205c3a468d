/* Causal attention of one chunk of queries over the keys so far: exact, in tiles, with memory
 * that does not grow with n². */
#ifndef MODELS_ATTENTION_H
#define MODELS_ATTENTION_H

#include "models/rope.h"

/* Keys of one tile; a power of two. */
enum { ATTENTION_TILE = 128 };

typedef struct {
    int n_heads;
    int n_kv_heads; /* query heads kv * group … kv * group + group - 1 share key head kv */
    int head_dim;
    int64_t kv_stride; /* positions between two key heads in keys and values */
    int n_threads;
    int64_t window; /* a query sees keys at distances below it; 0: all before it */
} AttentionShape;

/* One chunk's input: every variant of the rotation that `rope` names. */
typedef struct {
    const RopeTable *rope;
    const float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [m, n_heads * head_dim] */
    const float *keys[ROPE_MAX_KEY_VARIANTS];      /* [n_kv_heads, kv_stride, head_dim] */
    const float *values;                           /* [n_kv_heads, kv_stride, head_dim] */
    int64_t first;                                 /* position of the first query row */
    int m;
} AttentionInput;

/* Floats of scratch that attention_chunk needs for m query rows. */
size_t attention_scratch_floats(const AttentionShape *shape, int m);

/* Attends from m query rows at positions first … first+m-1 to the keys at positions 0 … its own
 * (the last `window` of them), each pair in the variant that rope_variant_of names. Keys and values must be readable and
 * finite up to the end of the tile that holds the last query. out: [m, n_heads * head_dim]. m
 * must be the same in all calls whose bits are to agree. */
void attention_chunk(const AttentionShape *shape, const AttentionInput *input, float *scratch,
                     float *out);

#endif
