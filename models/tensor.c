#include "models/tensor.h"

#include <stdio.h>

int64_t tensor_count(const Tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->n_dims; i++)
        count *= tensor->dims[i];
    return count;
}

void tensor_shape_text(const Tensor *tensor, char out[96])
{
    int at = snprintf(out, 96, "[");
    for (int i = 0; i < tensor->n_dims; i++)
        at += snprintf(out + at, 96 - (size_t)at, "%s%lld", i ? ", " : "",
                       (long long)tensor->dims[i]);
    snprintf(out + at, 96 - (size_t)at, "]");
}
