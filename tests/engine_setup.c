#include "tests/engine_setup.h"

#include <stdio.h>

#include "models/kernels.h"

int engine_setup(void **state)
{
    (void)state;
    Err err;
    if (kernels_start(&err)) return 0;
    fprintf(stderr, "%s\n", err.text);
    return -1;
}
