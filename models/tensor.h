/* A view of numbers that somebody else owns. Row-major: dims[0] varies slowest, dims[n_dims-1] is contiguous.
 * Formats that count dims the other way (GGUF) are turned round by their reader. */
#ifndef MODELS_TENSOR_H
#define MODELS_TENSOR_H

#include "base/err.h"

enum { TENSOR_MAX_DIMS = 4 };

/* Element types. Every one has a row in models/dequant.c. */
typedef enum { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_BOOL, DTYPE_U8, DTYPE_COUNT } Dtype;

typedef struct {
    Dtype dtype;
    int n_dims;
    int64_t dims[TENSOR_MAX_DIMS];
    const void *data; /* may be unaligned: it points into a mapped file */
    size_t n_bytes;
} Tensor;

/* Number of elements. */
int64_t tensor_count(const Tensor *tensor);

/* "[512, 64]" into out (capacity 96), for messages. */
void tensor_shape_text(const Tensor *tensor, char out[96]);

#endif
