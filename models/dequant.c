#include "models/dequant.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* sign 1, exponent 5 (bias 15), mantissa 10. Rebiasing adds 127 - 15; a subnormal is mantissa x 2^-24, which a float holds exactly. */
float f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000U) << 16;
    uint32_t exponent = (bits >> 10) & 0x1fU;
    uint32_t mantissa = bits & 0x3ffU;
    if (exponent == 0x1f) return float_of_bits(sign | 0x7f800000U | mantissa << 13);
    if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24F;
    return sign ? -magnitude : magnitude;
}

float bf16_to_f32(uint16_t bits)
{
    return float_of_bits((uint32_t)bits << 16);
}

static void f32_row(const void *from, float *to, size_t n)
{
    memcpy(to, from, n * sizeof *to);
}

static uint16_t load_u16(const void *from, size_t i)
{
    uint16_t bits;
    memcpy(&bits, (const unsigned char *)from + i * sizeof bits, sizeof bits);
    return bits;
}

static void f16_row(const void *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = f16_to_f32(load_u16(from, i));
}

static void bf16_row(const void *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_to_f32(load_u16(from, i));
}

/* In the order of Dtype. */
static const DtypeInfo dtypes[] = {
    {"F32",  1, 4, f32_row },
    {"F16",  1, 2, f16_row },
    {"BF16", 1, 2, bf16_row},
    {"BOOL", 1, 1, NULL    },
    {"U8",   1, 1, NULL    },
};

_Static_assert(COUNT_OF(dtypes) == DTYPE_COUNT, "every dtype has a row");
_Static_assert(sizeof(float) == 4, "float is IEEE 754 binary32");

const DtypeInfo *dtype_info(Dtype dtype)
{
    assert((size_t)dtype < COUNT_OF(dtypes));
    return &dtypes[dtype];
}

bool dtype_find(const char *name, Dtype *out)
{
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        if (!str_equal(dtypes[i].name, name)) continue;
        *out = (Dtype)i;
        return true;
    }
    return false;
}

void dtype_names(char out[128])
{
    int at = 0;
    for (size_t i = 0; i < COUNT_OF(dtypes); i++)
        if (dtypes[i].to_f32)
            at += snprintf(out + at, 128 - (size_t)at, "%s%s", at ? " " : "", dtypes[i].name);
}
