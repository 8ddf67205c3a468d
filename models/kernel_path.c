#include "models/kernel_path.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

extern const KernelPath kernel_path_avx512;
extern const KernelPath kernel_path_avx2;
extern const KernelPath kernel_path_blas;
extern const KernelPath kernel_path_generic;
extern const KernelPath kernel_path_avx512bf16;

const KernelPath *const kernel_paths[] = {
#ifdef __x86_64__
    &kernel_path_avx512,
    &kernel_path_avx2,
#endif
    &kernel_path_blas,
    &kernel_path_generic,
#ifdef __x86_64__
    &kernel_path_avx512bf16,
#endif
    NULL};

const KernelPath *kernel_path_find(const char *name)
{
    for (int i = 0; kernel_paths[i]; i++)
        if (str_equal(kernel_paths[i]->name, name)) return kernel_paths[i];
    return NULL;
}

const KernelPath *kernel_path_best_of(const char *precision)
{
    for (int i = 0; kernel_paths[i]; i++)
        if (str_equal(kernel_paths[i]->precision, precision) && kernel_paths[i]->is_supported())
            return kernel_paths[i];
    return NULL;
}

const KernelPath *kernel_path_best(void)
{
    return kernel_path_best_of("f32");
}

void kernel_path_product(const KernelPath *path, const float *x, const float *w, float *y,
                         LinearShape shape)
{
    if (!path->pack) {
        path->linear(x, w, y, shape, 1);
        return;
    }
    float *packed = mem_alloc(path->packed_floats(shape.n, shape.k), sizeof *packed);
    path->pack(w, shape.n, shape.k, packed);
    path->linear(x, packed, y, shape, 1);
    free(packed);
}

void kernel_path_names(char out[128])
{
    int at = 0;
    for (int i = 0; kernel_paths[i]; i++)
        if (str_equal(kernel_paths[i]->precision, "f32") && kernel_paths[i]->is_supported())
            at +=
                snprintf(out + at, 128 - (size_t)at, "%s%s", at ? ", " : "", kernel_paths[i]->name);
}
