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

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* bits >> n, to the nearest; of two equally near the even one. */
static uint32_t shift_to_nearest(uint32_t bits, int n)
{
    uint32_t below_half = (UINT32_C(1) << (n - 1)) - 1;
    return (bits + below_half + (bits >> n & 1)) >> n;
}

uint16_t f32_to_bf16(float value)
{
    uint32_t bits = bits_of_float(value);
    if (value != value) return (uint16_t)(bits >> 16 | 0x40U); /* stays a NaN */
    return (uint16_t)shift_to_nearest(bits, 16);
}

/* Exponents from 113 (2^-14) on are normal in 5 bits; below, the value in units of 2^-24 is the mantissa. Rounding may carry into the
 * exponent, up to infinity, and is right all the same. */
uint16_t f32_to_f16(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000U;
    uint32_t magnitude = bits & 0x7fffffffU;
    if (value != value) return (uint16_t)(sign | 0x7e00U);
    if (magnitude >= (143U << 23)) return (uint16_t)(sign | 0x7c00U);
    if (magnitude >= (113U << 23))
        return (uint16_t)(sign | shift_to_nearest(magnitude - (112U << 23), 13));
    uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return (uint16_t)sign; /* below 2^-25 */
    uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
    return (uint16_t)(sign | shift_to_nearest(mantissa, 126 - (int)exponent));
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

static void write_f32_row(const float *from, void *to, size_t n)
{
    memcpy(to, from, n * sizeof *from);
}

static void store_u16(uint16_t bits, void *to, size_t i)
{
    memcpy((unsigned char *)to + i * sizeof bits, &bits, sizeof bits);
}

static void write_f16_row(const float *from, void *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_u16(f32_to_f16(from[i]), to, i);
}

static void write_bf16_row(const float *from, void *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_u16(f32_to_bf16(from[i]), to, i);
}

/* In the order of Dtype. */
static const DtypeInfo dtypes[] = {
    {"F32",  1, 4, f32_row,  write_f32_row },
    {"F16",  1, 2, f16_row,  write_f16_row },
    {"BF16", 1, 2, bf16_row, write_bf16_row},
    {"BOOL", 1, 1, NULL,     NULL          },
    {"U8",   1, 1, NULL,     NULL          },
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
