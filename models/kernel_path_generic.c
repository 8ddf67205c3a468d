/* Plain C in vectors of 4 floats, compiled without contraction: the same bits on every machine whose float is IEEE 754's. */
#define KERNEL_VL 4
#define KERNEL_MR 4
#include "models/kernel_path.inc"

static bool is_supported(void)
{
    return true;
}

KERNEL_PATH(generic, "generic", "plain C, the same bits on every machine; slow", is_supported, 1);
