/* Causal attention of one chunk of queries over the keys so far: exact, in blocks, with memory
 * that does not grow with n². */
#ifndef MODELS_ATTENTION_H
#define MODELS_ATTENTION_H

#include "models/kernel_path.h"

typedef struct {
    int n_heads;
    int n_kv_heads; /* query heads kv * group … kv * group + group - 1 share key head kv */
    int head_dim;
    int64_t n_positions; /* of the cache; a multiple of KERNEL_KEYS */
    int64_t window;      /* a query sees keys at distances below it; 0: all before it */
} AttentionShape;

/* One chunk's input: every variant of the rotation that `rope` names. */
typedef struct {
    const KernelPath *path;
    const RopeTable *rope;
    const float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [m, n_heads * head_dim] */
    const float *keys[ROPE_MAX_KEY_VARIANTS];      /* attention_store_keys wrote them */
    const float *values;                           /* attention_store_values wrote them */
    int64_t first;                                 /* position of the first query row */
    int m;
    int n_threads;
    float *
        log_sum_exp; /* [m, n_heads] of each query's scores, written for a backward pass; or NULL */
} AttentionInput;

/* Floats of one layer's cached keys in one variant, and of its values. */
size_t attention_key_floats(const AttentionShape *shape);
size_t attention_value_floats(const AttentionShape *shape);

/* Stores n rows at positions first … first+n-1. rows: [n, n_kv_heads * head_dim]. Rows that are not finite become zero, so that they
 * cannot reach positions before them. Returns the first such row, or n. */
int attention_store_keys(const AttentionShape *shape, const float *rows, int64_t first, int n,
                         float *cache);
int attention_store_values(const AttentionShape *shape, const float *rows, int64_t first, int n,
                           float *cache);

/* Floats of scratch that attention_chunk needs for m query rows. */
size_t attention_scratch_floats(const AttentionShape *shape, int m);

/* Attends from m query rows at positions first … first+m-1 to the keys at positions 0 … its own
 * (the last `window` of them), each pair in the variant that rope_variant_of names.
 * out: [m, n_heads * head_dim]. */
void attention_chunk(const AttentionShape *shape, const AttentionInput *input, float *scratch,
                     float *out);

#endif
