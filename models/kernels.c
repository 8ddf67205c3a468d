/* The idea: matrix products are OpenBLAS's, everything between them is a loop that the compiler
 * turns into vectors.
 *
 * sgemm's bits depend on the shape of the call and on a row's place in it, so shapes are fixed:
 * columns of w are cut into tiles of LINEAR_TILE, whoever computes them. exp is written out as a
 * polynomial in C, since a library's vector exp and scalar exp differ in the last bits and a tail
 * element would depend on where the tail starts. */
#include "models/kernels.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
# include <immintrin.h>
#endif

#include "base/mem.h"
#include "base/rng.h"

/* Columns of one sgemm call: wide enough for sgemm to be near its peak, narrow enough to share
 * out. */
enum { LINEAR_TILE = 512 };

/* Any CBLAS will do; these are OpenBLAS's own, and absent elsewhere. */
#pragma weak openblas_set_num_threads
#pragma weak openblas_get_config
#pragma weak openblas_get_corename

const char *kernels_blas_config(void)
{
    return openblas_get_config ? openblas_get_config() : "";
}

const char *kernels_blas_core(void)
{
    return openblas_get_corename ? openblas_get_corename() : "";
}

/* A worst case of 10 times the rounding error that a float sum of k products has. */
static bool product_is_right(LinearShape shape, Err *err)
{
    int m = shape.m;
    int n = shape.n;
    int k = shape.k;
    float *x = mem_alloc((size_t)m * (size_t)k, sizeof *x);
    float *w = mem_alloc((size_t)n * (size_t)k, sizeof *w);
    float *y = mem_alloc((size_t)m * (size_t)n, sizeof *y);
    Rng rng = rng_open(1, (uint32_t)m, (uint32_t)n, (uint32_t)k);
    for (int i = 0; i < m * k; i++)
        x[i] = (float)(rng_unit(&rng) - 0.5);
    for (int i = 0; i < n * k; i++)
        w[i] = (float)(rng_unit(&rng) - 0.5);
    for (int i = 0; i < m * n; i++)
        y[i] = (float)NAN;
    kernels_linear(x, w, y, shape, 1);
    double worst = 0.0;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0.0;
            for (int l = 0; l < k; l++)
                sum += (double)x[i * k + l] * (double)w[j * k + l];
            double off = fabs(sum - (double)y[i * n + j]);
            if (!(off <= worst)) worst = off; /* also when off is NaN */
        }
    }
    free(x);
    free(w);
    free(y);
    if (worst <= 1e-5) return true;
    return err_set(
        err, ERR_UNSUPPORTED,
        "sgemm of this machine's BLAS is wrong: [%d, %d] x [%d, %d] is off by %g (%s); install another BLAS or "
        "set OPENBLAS_CORETYPE=Haswell",
        m, k, n, k, worst, kernels_blas_config());
}

bool kernels_start(Err *err)
{
    static const LinearShape shapes[] = {
        {128, 96,  64 },
        {128, 513, 48 },
        {64,  40,  172},
        {1,   77,  64 },
        {3,   5,   7  }
    };
    if (openblas_set_num_threads) openblas_set_num_threads(1);
#ifdef __SSE2__
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    _mm_setcsr(_mm_getcsr() | 0x40U); /* denormals are zero: the macro for it needs SSE3 */
#endif
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (!product_is_right(shapes[i], err)) return false;
    return true;
}

void kernels_linear(const float *x, const float *w, float *y, LinearShape shape, int n_threads)
{
    int n_tiles = (shape.n + LINEAR_TILE - 1) / LINEAR_TILE;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1 && n_tiles > 1)
    for (int tile = 0; tile < n_tiles; tile++) {
        int first = tile * LINEAR_TILE;
        int width = shape.n - first < LINEAR_TILE ? shape.n - first : LINEAR_TILE;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, shape.m, width, shape.k, 1.0F, x,
                    shape.k, w + (size_t)first * (size_t)shape.k, shape.k, 0.0F, y + first,
                    shape.n);
    }
}

void kernels_rms_norm(const float *x, const float *weight, float *y, int m, int d, double eps)
{
    for (int row = 0; row < m; row++) {
        const float *in = x + (size_t)row * (size_t)d;
        float *out = y + (size_t)row * (size_t)d;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < d; i++)
            sum += (double)in[i] * (double)in[i];
        float scale = (float)(1.0 / sqrt(sum / d + eps));
#pragma omp simd
        for (int i = 0; i < d; i++)
            out[i] = in[i] * scale * weight[i];
    }
}

static double mean_of(const float *x, int d)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < d; i++)
        sum += (double)x[i];
    return sum / d;
}

static double variance_of(const float *x, int d, double mean)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < d; i++)
        sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sum / d;
}

void kernels_layer_norm(const float *x, const LayerNorm *norm, float *y, int m)
{
    int d = norm->d;
    for (int row = 0; row < m; row++, x += d, y += d) {
        double mean = mean_of(x, d);
        double scale = 1.0 / sqrt(variance_of(x, d, mean) + norm->eps);
#pragma omp simd
        for (int i = 0; i < d; i++)
            y[i] = (float)(((double)x[i] - mean) * scale) * norm->weight[i] + norm->bias[i];
    }
}

void kernels_add_bias(float *x, const float *bias, int m, int d)
{
    for (int row = 0; row < m; row++)
        kernels_add(x + (size_t)row * (size_t)d, bias, (size_t)d);
}

void kernels_gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5F * x[i] * (1.0F + erff(x[i] * 0.70710678F));
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree
 * 7, relative error 4e-9. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of
 * the sum. */
static inline float exp_f32(float x)
{
    const float round_magic = 12582912.0F;
    float clamped = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
    float shifted = clamped * 1.44269504F + round_magic;
    float n = shifted - round_magic;
    float r = clamped - n * 0.693359375F + n * 2.12194440e-4F;
    float p = 1.9841270e-4F;
    p = p * r + 1.3888889e-3F;
    p = p * r + 8.3333333e-3F;
    p = p * r + 4.1666667e-2F;
    p = p * r + 1.6666667e-1F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    union {
        float f;
        uint32_t bits;
    } shift = {.f = shifted}, power;
    power.bits = (shift.bits << 23) + 0x3F800000U;
    return x < -87.0F ? 0.0F : p * power.f;
}

void kernels_exp(float *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        x[i] = exp_f32(x[i]);
}

void kernels_swiglu(float *gate, const float *up, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1.0F + exp_f32(-gate[i])) * up[i];
}

void kernels_add(float *x, const float *y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

float kernels_softmax_step(float *scores, int n, float *max, float *sum)
{
    float top = *max;
#pragma omp simd reduction(max : top)
    for (int i = 0; i < n; i++)
        top = scores[i] > top ? scores[i] : top;
    float total = 0.0F;
#pragma omp simd reduction(+ : total)
    for (int i = 0; i < n; i++) {
        scores[i] = exp_f32(scores[i] - top);
        total += scores[i];
    }
    float rescale = exp_f32(*max - top);
    *max = top;
    *sum = *sum * rescale + total;
    return rescale;
}

double kernels_log_sum_exp(const float *logits, int64_t n)
{
    float top = -INFINITY;
    double sum = 0.0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)exp_f32(logits[i] - top);
    return (double)top + log(sum);
}

/* x - x is 0 for a finite x and NaN for others, and a sum keeps a NaN. */
bool kernels_all_finite(const float *x, size_t n)
{
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum == 0.0F;
}
