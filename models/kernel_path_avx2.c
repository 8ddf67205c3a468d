/* AVX2 with FMA: 12 of the 16 registers of 8 floats are accumulators. */
#ifdef __x86_64__
# define KERNEL_VL 8
# define KERNEL_MR 4
# include "models/kernel_path.inc"

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

KERNEL_PATH(avx2, "avx2", "products and attention of our own, in vectors of 8 floats", is_supported,
            1);
#endif
