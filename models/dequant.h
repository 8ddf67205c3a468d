/* Element types and their conversion to float: one row a type. */
#ifndef MODELS_DEQUANT_H
#define MODELS_DEQUANT_H

#include "models/tensor.h"

/* A type: a row of `block` elements takes block_bytes bytes. */
typedef struct {
    const char *name; /* "F32", as safetensors and GGUF write it */
    int block;        /* elements a block */
    int block_bytes;
    /* Converts n elements (a multiple of block) from possibly unaligned bytes; exact. NULL: the type is stored in files
     * (masks of GPT-NeoX) and never computed with. */
    void (*to_f32)(const void *from, float *to, size_t n);
    /* Converts n floats, each to the nearest of the type, of two equally near ones to the even. NULL: the type is not written. */
    void (*from_f32)(const float *from, void *to, size_t n);
} DtypeInfo;

const DtypeInfo *dtype_info(Dtype dtype);

/* The type of a name; false if there is none. */
bool dtype_find(const char *name, Dtype *out) MUST_USE;

/* Names of the types that can be computed with, "F32 F16 BF16", for messages. out has capacity 128. */
void dtype_names(char out[128]);

/* One element. Source: IEEE 754-2008 binary16; bfloat16 is the upper half of binary32. */
float f16_to_f32(uint16_t bits);
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
uint16_t f32_to_bf16(float value);

#endif
