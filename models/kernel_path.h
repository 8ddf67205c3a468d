/* The engine's inner loops, as a table of functions for each kind of machine.
 *
 * One source (kernel_path.inc) is compiled for several vector widths; a model is loaded for one of them. In the paths of our own a
 * row's bits depend on nothing but the row: neither on the rows beside it nor on the threads. Sums over a row run in one order. */
#ifndef MODELS_KERNEL_PATH_H
#define MODELS_KERNEL_PATH_H

#include "models/rope.h"

/* Of y = x wᵀ: x is [m, k], w is [n, k], y is [m, n]. */
typedef struct {
    int m;
    int n;
    int k;
} LinearShape;

typedef struct {
    const float *weight; /* [d] */
    const float *bias;   /* [d] */
    int d;
    double eps;
} LayerNorm;

/* What is known of a row of logits. */
typedef struct {
    double log_sum_exp; /* not finite when a logit is NaN or +inf, or all are -inf */
    int32_t argmax;     /* the first of equals */
    int32_t
        rank; /* logits that come before the target's: greater ones, and equal ones of smaller id */
} LogitRow;

enum {
    KERNEL_KEYS = 48, /* keys of one panel of the cache */
    /* Keys between two steps of the online softmax; absolute multiples of it, so that bits do not depend on chunks. */
    KERNEL_BLOCK = 6 * KERNEL_KEYS,
    KERNEL_GROUP = 8,  /* query rows computed together */
    KERNEL_LANES = 16, /* rows of values are padded to a multiple of it */
    KERNEL_PACK_ROWS = 480,
};

/* Attention of stacked query rows to one key head; row r stands at position first + r % m. Queries come multiplied by
 * log2(e) / sqrt(head_dim): a score s weighs 2^s. */
typedef struct {
    const RopeTable *rope;
    const float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [n_rows, head_dim], scaled */
    const float *keys[ROPE_MAX_KEY_VARIANTS];      /* [panel, head_dim, KERNEL_KEYS] */
    const float *values;                           /* [position, value_stride] */
    int head_dim;
    int value_stride; /* head_dim up to a multiple of KERNEL_LANES */
    int64_t window;   /* a query sees keys at distances below it; 0: all before it */
    int64_t first;
    int m;
    int n_rows;    /* a multiple of KERNEL_GROUP */
    float *output; /* [n_rows, value_stride] Σ 2^(score - max) value, not divided by sum yet */
    float *max;    /* [n_rows] the greatest score */
    float *sums;   /* [n_rows, KERNEL_LANES]: scratch */
    float *sum;    /* [n_rows] Σ 2^(score - max), NaN for scores that have no softmax */
    void *own;     /* the path's own while it runs: NULL */
} AttendTask;

typedef struct {
    const char *name; /* "avx512" */
    const char
        *precision; /* of products: "f32", or "bf16": both sides rounded to it, sums in float */
    const char *help;
    bool (*is_supported)(void); /* by this machine */
    /* A row's bits depend on its place modulo this many rows, and calls must have a multiple of them: 1 in the paths of our own. */
    int granule;

    /* Floats of a packed [n, k] matrix; packing it, and back. Rows from a multiple of KERNEL_PACK_ROWS on are packed as a matrix of their
     * own. NULL: linear takes w as it is. */
    size_t (*packed_floats)(int n, int k);
    void (*pack)(const float *w, int n, int k, float *packed);
    void (*unpack)(const float *packed, int n, int k, float *w);

    /* y = x wᵀ, w packed; and y += x wᵀ, with one rounding more than the product alone. */
    void (*linear)(const float *x, const float *packed, float *y, LinearShape shape, int n_threads);
    void (*add_linear)(const float *x, const float *packed, float *y, LinearShape shape,
                       int n_threads);

    /* y = x / sqrt(mean(x²) + eps) * weight by row. x, y: [m, d]; y may be x. weight: [d].
     * Source: Zhang and Sennrich 2019, arXiv 1910.07467, equation 4. */
    void (*rms_norm)(const float *x, const float *weight, float *y, int m, int d, double eps);

    /* y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias by row. x, y: [m, d]; y may be x.
     * Source: Ba et al. 2016, arXiv 1607.06450, equation 4. */
    void (*layer_norm)(const float *x, const LayerNorm *norm, float *y, int m);

    /* gate = silu(gate) * up, silu(x) = x / (1 + e^-x). n elements.
     * Source: Shazeer 2020, arXiv 2002.05202, equation 6. */
    void (*swiglu)(float *gate, const float *up, size_t n);

    /* x = e^x for every element, within 2 ulp from -87 to 88; e^-87 below, e^88 above. For tests of the vector code. */
    void (*exp)(float *x, size_t n);

    /* Softmax attention, exact, in one pass over the keys, memory O(1): each row to the keys at positions 0 … its own (the last
     * `window` of them), each pair in the variant that rope_variant_of names. Values at positions up to the last row's must be
     * finite. Source: Milakov and Gimelshein 2018, arXiv 1805.02867, algorithm 3; Dao et al. 2022, arXiv 2205.14135, algorithm 1. */
    void (*attend)(const AttendTask *task);

    /* Of n logits; argmax and rank among the first n_ids. Sums are double. */
    LogitRow (*logit_row)(const float *logits, int64_t n, int n_ids, int32_t target);

    /* For benchmarks: multiplies and adds between registers for some milliseconds. Returns the floating-point operations. *sink
     * takes a result. */
    double (*peak)(float *sink);
} KernelPath;

/* All paths, best first within a precision. Ends with NULL. */
extern const KernelPath *const kernel_paths[];

/* The path of a name, or NULL. */
const KernelPath *kernel_path_find(const char *name);

/* The best of f32 that this machine supports. */
const KernelPath *kernel_path_best(void);

/* The best of a precision that this machine supports, or NULL. */
const KernelPath *kernel_path_best_of(const char *precision);

/* y = x wᵀ, w [n, k] plain: packs it first. For products that are made once. */
void kernel_path_product(const KernelPath *path, const float *x, const float *w, float *y,
                         LinearShape shape);

/* Names of the paths of f32 that this machine supports, "avx512, avx2, blas, generic", for messages. */
void kernel_path_names(char out[128]);

#endif
