/* A safetensors file in memory: no input may crash the reader, and every tensor that it accepts lies inside the input. */
#include <stdlib.h>

#include "models/weights_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Err err = {0};
    WeightFile *file = weights_new("fuzz.safetensors");
    weights_lend(file, data, size);
    if (safetensors_index(file, &err) && weights_sort(file, &err))
        for (size_t i = 0; i < weights_count(file); i++) {
            const Tensor *tensor = weights_tensor(file, i);
            const uint8_t *bytes = tensor->data;
            if (bytes < data || tensor->n_bytes > (size_t)(data + size - bytes)) abort();
            if (!weights_find(file, weights_name(file, i))) abort();
        }
    weights_close(file);
    return 0;
}
