/* AVX-512 with products of bf16, of linear and of attention; the rest is as in the avx512 path.
 *
 * See kernel_pairs.inc. */
#include "models/kernel_path.h"

#ifdef __AVX512BF16__ /* by the flags that the Makefile gives this file; tools that read it without them see nothing */
# define KERNEL_VL 16
# define KERNEL_MR 8
# define KERNEL_OWN_LINEAR
# define KERNEL_PAIRS
# define KERNEL_PRECISION "bf16"
# define KERNEL_PACKING   .packed_floats = packed_floats, .pack = pack, .unpack = unpack,
# include "models/kernel_path.inc"

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16");
}

KERNEL_PATH(avx512bf16, "avx512bf16", "as avx512, with products of bf16", is_supported, 1);
#endif
