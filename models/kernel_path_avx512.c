/* AVX-512: 24 of the 32 registers of 16 floats are accumulators. */
#ifdef __x86_64__
# define KERNEL_VL 16
# define KERNEL_MR 8
# include "models/kernel_path.inc"

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

KERNEL_PATH(avx512, "avx512", "products and attention of our own, in vectors of 16 floats",
            is_supported, 1);
#endif
