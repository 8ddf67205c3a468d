/* What an engine needs beside a kernel path: starting BLAS, and loops whose bits are the same in every path. */
#ifndef MODELS_KERNELS_H
#define MODELS_KERNELS_H

#include "models/kernel_path.h"

/* Tells BLAS to use one thread a call, flushes subnormal numbers to zero in this thread and those it
 * starts, and compares the products of BLAS and of the best path with a plain loop on fixed data. Call once, before any thread is made.
 * Errors: UNSUPPORTED (a path multiplies wrongly on this machine; names it and the shape). */
bool kernels_start(Err *err) MUST_USE;

/* BLAS configuration and the core type it chose, "" where BLAS does not say. Lends. */
const char *kernels_blas_config(void);
const char *kernels_blas_core(void);

/* Every row of x += bias. x: [m, d]. */
void kernels_add_bias(float *x, const float *bias, int m, int d);

/* x = x Φ(x) with the exact error function. n elements.
 * Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2. */
void kernels_gelu(float *x, size_t n);

/* x += y. n elements. */
void kernels_add(float *x, const float *y, size_t n);

/* Whether all n elements are finite. */
bool kernels_all_finite(const float *x, size_t n);

#endif
