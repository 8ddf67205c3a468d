/* The inner loops of a transformer, on row-major float.
 *
 * No result depends on the number of threads: work is cut into tiles of a fixed size, each tile is one sgemm call
 * on one thread, and threads only share the tiles out. Sums over a row run in one order. */
#ifndef MODELS_KERNELS_H
#define MODELS_KERNELS_H

#include "base/err.h"

/* Tells BLAS to use one thread a call, flushes subnormal numbers to zero in this thread and those it
 * starts, and compares sgemm with a plain loop on fixed data. Call once, before any thread is made.
 * Errors: UNSUPPORTED (this machine's BLAS multiplies wrongly; names the shape). */
bool kernels_start(Err *err) MUST_USE;

/* BLAS configuration and the core type it chose, "" where BLAS does not say. Lends. */
const char *kernels_blas_config(void);
const char *kernels_blas_core(void);

/* Of y = x wᵀ: x is [m, k], w is [n, k], y is [m, n]. */
typedef struct {
    int m;
    int n;
    int k;
} LinearShape;

/* y = x wᵀ. */
void kernels_linear(const float *x, const float *w, float *y, LinearShape shape, int n_threads);

/* y = x / sqrt(mean(x²) + eps) * weight by row. x, y: [m, d]; y may be x. weight: [d].
 * Source: Zhang and Sennrich 2019, arXiv 1910.07467, equation 4. */
void kernels_rms_norm(const float *x, const float *weight, float *y, int m, int d, double eps);

typedef struct {
    const float *weight; /* [d] */
    const float *bias;   /* [d] */
    int d;
    double eps;
} LayerNorm;

/* y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias by row. x, y: [m, d]; y may be x.
 * Source: Ba et al. 2016, arXiv 1607.06450, equation 4. */
void kernels_layer_norm(const float *x, const LayerNorm *norm, float *y, int m);

/* Every row of x += bias. x: [m, d]. */
void kernels_add_bias(float *x, const float *bias, int m, int d);

/* x = x Φ(x) with the exact error function. n elements.
 * Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2. */
void kernels_gelu(float *x, size_t n);

/* gate = silu(gate) * up, silu(x) = x / (1 + e^-x). n elements.
 * Source: Shazeer 2020, arXiv 2002.05202, equation 6. */
void kernels_swiglu(float *gate, const float *up, size_t n);

/* x += y. n elements. */
void kernels_add(float *x, const float *y, size_t n);

/* One step of an online softmax over a row of n scores: scores become e^(score - max), where *max rises to the
 * largest score so far and *sum becomes the sum of all exponentials against it. Returns what the
 * earlier steps' results must be multiplied with. A score of -inf gives exactly 0. Start with
 * *max = -inf, *sum = 0.
 * Source: Milakov and Gimelshein 2018, arXiv 1805.02867, algorithm 3. */
float kernels_softmax_step(float *scores, int n, float *max, float *sum);

/* log Σ e^x of n logits, summed in double; not finite when a logit is not. */
double kernels_log_sum_exp(const float *logits, int64_t n);

/* Whether all n elements are finite. */
bool kernels_all_finite(const float *x, size_t n);

/* e^x for every element, within 2 ulp over the float range; 0 below -87. For tests of the vector code. */
void kernels_exp(float *x, size_t n);

#endif
