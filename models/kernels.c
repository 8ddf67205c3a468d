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
static bool product_is_right(const KernelPath *path, LinearShape shape, Err *err)
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
    kernel_path_product(path, x, w, y, shape);
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
        "products of path %s are wrong on this machine: [%d, %d] x [%d, %d] is off by %g (BLAS: %s); install "
        "another BLAS or set OPENBLAS_CORETYPE=Haswell",
        path->name, m, k, n, k, worst, kernels_blas_config());
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
        if (!product_is_right(kernel_path_find("blas"), shapes[i], err) ||
            !product_is_right(kernel_path_best(), shapes[i], err))
            return false;
    return true;
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

void kernels_add(float *x, const float *y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* All bits of an exponent are set in what is not finite. By bits, since a sum would wait for its last addition. */
bool kernels_all_finite(const float *x, size_t n)
{
    const uint32_t exponent = 0x7F800000U;
    uint32_t n_bad = 0;
#pragma omp simd reduction(+ : n_bad)
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        n_bad += (bits & exponent) == exponent;
    }
    return n_bad == 0;
}
