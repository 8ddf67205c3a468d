/* Products by OpenBLAS, which chooses its kernels at run time; the rest as in the generic path.
 *
 * sgemm's bits depend on the shape of the call and on a row's place in it, so shapes are fixed: BLAS_ROWS rows a call, and columns in
 * tiles of BLAS_COLUMNS, whoever computes them. Only generate's single rows make a call of another shape. */
#include <cblas.h>

#define KERNEL_VL 4
#define KERNEL_MR 4
#define KERNEL_OWN_LINEAR
#define KERNEL_PACKING
#include "models/kernel_path.inc"

/* Wide enough for sgemm to be near its peak, narrow enough to share out. */
enum { BLAS_ROWS = 64, BLAS_COLUMNS = 512 };

static bool is_supported(void)
{
    return true;
}

static void multiply(const float *x, const float *packed, float *y, LinearShape shape, bool adds,
                     int n_threads)
{
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int c = 0; c < shape.n; c += BLAS_COLUMNS) {
        int width = shape.n - c < BLAS_COLUMNS ? shape.n - c : BLAS_COLUMNS;
        for (int row = 0; row < shape.m; row += BLAS_ROWS) {
            int m = shape.m - row < BLAS_ROWS ? shape.m - row : BLAS_ROWS;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, width, shape.k, 1.0F,
                        x + (size_t)row * (size_t)shape.k, shape.k,
                        packed + (size_t)c * (size_t)shape.k, shape.k, adds ? 1.0F : 0.0F,
                        y + (size_t)row * (size_t)shape.n + c, shape.n);
        }
    }
}

KERNEL_PATH(blas, "blas", "products by OpenBLAS, the rest in plain C", is_supported, BLAS_ROWS);
