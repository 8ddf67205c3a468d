#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "models/dequant.h"

/* Sign, exponent and fraction as numbers: shares nothing with the bit moves under test. */
static double number_of(uint16_t bits, int exponent_bits, int fraction_bits)
{
    int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    int fraction = bits & ((1 << fraction_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double sign = bits & 0x8000 ? -1.0 : 1.0;
    if (exponent == (1 << exponent_bits) - 1) return fraction ? (double)NAN : sign * HUGE_VAL;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(1.0 + ldexp(fraction, -fraction_bits), exponent - bias);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_value(uint32_t bits, float got, double want)
{
    bool equal = isnan(want) ? isnan(got) != 0
                             : bits_of(got) == bits_of((float)want) && (double)(float)want == want;
    if (!equal) fail_msg("bits %04x give %.9g, wanted is %.9g", bits, (double)got, want);
}

static void test_f16_is_exact_for_every_pattern(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++)
        check_value(bits, f16_to_f32((uint16_t)bits), number_of((uint16_t)bits, 5, 10));
}

static void test_bf16_is_exact_for_every_pattern(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++)
        check_value(bits, bf16_to_f32((uint16_t)bits), number_of((uint16_t)bits, 8, 7));
}

static void test_f16_known_values(void **state)
{
    (void)state;
    assert_true(f16_to_f32(0x3c00) == 1.0F);
    assert_true(f16_to_f32(0xc000) == -2.0F);
    assert_true(f16_to_f32(0x7bff) == 65504.0F);
    assert_true(f16_to_f32(0x0001) == 0x1p-24F);
    assert_true(signbit(f16_to_f32(0x8000)) != 0);
    assert_true(bf16_to_f32(0x3f80) == 1.0F);
}

/* Between every two neighbours: the value itself, the middle, and the floats beside the middle. */
static void check_rounding(uint16_t (*round_to)(float), int exponent_bits, int fraction_bits)
{
    uint32_t infinite = ((UINT32_C(1) << exponent_bits) - 1) << fraction_bits;
    for (uint32_t bits = 0; bits < infinite; bits++) {
        double low = number_of((uint16_t)bits, exponent_bits, fraction_bits);
        double high = number_of((uint16_t)(bits + 1), exponent_bits, fraction_bits);
        if (bits + 1 == infinite)
            high = 2.0 * low - number_of((uint16_t)(bits - 1), exponent_bits, fraction_bits);
        float middle = (float)((low + high) / 2.0);
        assert_int_equal(round_to((float)low), bits);
        assert_int_equal(round_to(-(float)low), bits | 0x8000U);
        assert_int_equal(round_to(middle), bits + (bits & 1));
        assert_int_equal(round_to(nextafterf(middle, 0.0F)), bits);
        assert_int_equal(round_to(nextafterf(middle, INFINITY)), bits + 1);
    }
    assert_int_equal(round_to(INFINITY), infinite);
    assert_int_equal(round_to(-INFINITY), infinite | 0x8000U);
    assert_true((round_to(NAN) & 0x7fffU) > infinite);
}

static void test_floats_round_to_the_nearest_f16(void **state)
{
    (void)state;
    check_rounding(f32_to_f16, 5, 10);
    assert_int_equal(f32_to_f16(1e30F), 0x7c00);
    assert_int_equal(f32_to_f16(-1e-30F), 0x8000);
}

static void test_floats_round_to_the_nearest_bf16(void **state)
{
    (void)state;
    check_rounding(f32_to_bf16, 8, 7);
}

static void test_rows_are_read_back_as_written(void **state)
{
    (void)state;
    const float values[] = {0.0F, -1.5F, 0.25F, 1024.0F};
    for (int d = 0; d < DTYPE_COUNT; d++) {
        const DtypeInfo *info = dtype_info((Dtype)d);
        unsigned char bytes[1 + sizeof values];
        float back[COUNT_OF(values)];
        assert_true((info->from_f32 == NULL) == (info->to_f32 == NULL));
        if (!info->from_f32 || !info->to_f32) continue;
        info->from_f32(values, bytes + 1, COUNT_OF(values));
        info->to_f32(bytes + 1, back, COUNT_OF(values));
        assert_memory_equal(back, values, sizeof values);
    }
}

static void test_rows_need_no_alignment(void **state)
{
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        const DtypeInfo *info = dtype_info((Dtype)d);
        if (!info->to_f32) continue;
        unsigned char bytes[1 + 4 * 8] = {0};
        float values[8];
        /* 1.0 in the top bytes of each element, from an odd address on */
        for (int i = 0; i < 8; i++) {
            unsigned char *last =
                bytes + 1 + (size_t)i * (size_t)info->block_bytes + (size_t)info->block_bytes - 1;
            last[0] = d == DTYPE_F16 ? 0x3c : 0x3f;
            last[-1] = d == DTYPE_F16 ? 0x00 : 0x80;
        }
        info->to_f32(bytes + 1, values, 8);
        for (int i = 0; i < 8; i++)
            assert_true(values[i] == 1.0F);
    }
}

static void test_types_are_found_by_name(void **state)
{
    (void)state;
    Dtype dtype;
    char names[128];
    for (int d = 0; d < DTYPE_COUNT; d++) {
        assert_true(dtype_find(dtype_info((Dtype)d)->name, &dtype));
        assert_int_equal(dtype, d);
    }
    assert_false(dtype_find("F8_E4M3", &dtype));
    assert_false(dtype_find("f32", &dtype));
    dtype_names(names);
    assert_string_equal(names, "F32 F16 BF16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_is_exact_for_every_pattern),
        cmocka_unit_test(test_bf16_is_exact_for_every_pattern),
        cmocka_unit_test(test_f16_known_values),
        cmocka_unit_test(test_floats_round_to_the_nearest_f16),
        cmocka_unit_test(test_floats_round_to_the_nearest_bf16),
        cmocka_unit_test(test_rows_are_read_back_as_written),
        cmocka_unit_test(test_rows_need_no_alignment),
        cmocka_unit_test(test_types_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
