#include "tests/kernel_fixture.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

float *random_floats(uint32_t stream, size_t n, double scale)
{
    Rng rng = rng_open(99, stream, 0, 0);
    float *x = mem_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((rng_unit(&rng) * 2.0 - 1.0) * scale);
    return x;
}

void on_every_path(void (*check)(const KernelPath *path))
{
    for (int i = 0; kernel_paths[i]; i++)
        if (kernel_paths[i]->is_supported()) check(kernel_paths[i]);
}

bool is_bf16(const KernelPath *path)
{
    return str_equal(path->precision, "bf16");
}
