/* Random numbers: published answers, independence of order, no bias. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Source: Random123, kat_vectors, the lines "philox4x32 10". */
static void test_rng_gives_the_published_answers_of_philox(void **state)
{
    (void)state;
    static const struct {
        uint64_t key;
        uint32_t counter[4];
        uint32_t want[4];
    } known[] = {
        {0,                  {0},                          {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX,
         {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}                                                  },
        {0x299f31d0a4093822,
         {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}                                                  },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const uint32_t *counter = known[i].counter;
        Rng rng = rng_open(known[i].key, counter[1], counter[2], counter[3]);
        rng.block = counter[0];
        for (int k = 0; k < 4; k++)
            assert_int_equal(rng_u32(&rng), known[i].want[k]);
    }
}

static void test_streams_do_not_depend_on_what_ran_between(void **state)
{
    (void)state;
    enum { N = 37 };
    uint32_t alone[2][N];
    for (uint32_t s = 0; s < 2; s++) {
        Rng rng = rng_open(42, s, 512, 500000);
        for (int i = 0; i < N; i++)
            alone[s][i] = rng_u32(&rng);
    }
    Rng a = rng_open(42, 0, 512, 500000);
    Rng b = rng_open(42, 1, 512, 500000);
    for (int i = 0; i < N; i++) {
        assert_int_equal(rng_u32(&b), alone[1][i]);
        assert_int_equal(rng_u32(&a), alone[0][i]);
    }
}

static void test_seed_and_each_part_of_a_stream_change_the_numbers(void **state)
{
    (void)state;
    Rng streams[] = {rng_open(1, 2, 3, 4), rng_open(2, 2, 3, 4), rng_open(1ULL << 32 | 1, 2, 3, 4),
                     rng_open(1, 3, 3, 4), rng_open(1, 2, 4, 4), rng_open(1, 2, 3, 5)};
    uint32_t first[COUNT_OF(streams)];
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        first[i] = rng_u32(&streams[i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(first[i], first[j]);
    }
}

/* Fails unless k of n draws is within four standard deviations of probability p. */
static void assert_frequency(int k, int n, double p)
{
    assert_close(k, n * p, 0.0, 4.0 * sqrt(n * p * (1.0 - p)));
}

static void test_rng_below_is_uniform(void **state)
{
    (void)state;
    enum { N = 60000, SIDES = 6 };
    Rng rng = rng_open(7, 0, 0, 0);
    int count[SIDES] = {0};
    for (int i = 0; i < N; i++)
        count[rng_below(&rng, SIDES)]++;
    for (int i = 0; i < SIDES; i++)
        assert_frequency(count[i], N, 1.0 / SIDES);
}

/* A plain remainder would make the lowest third of this range twice as likely. */
static void test_rng_below_has_no_bias_where_a_remainder_would(void **state)
{
    (void)state;
    enum { N = 30000 };
    const uint32_t third = UINT32_C(1) << 30;
    Rng rng = rng_open(8, 0, 0, 0);
    int low = 0;
    for (int i = 0; i < N; i++) {
        uint32_t v = rng_below(&rng, 3 * third);
        assert_true(v < 3 * third);
        low += v < third;
    }
    assert_frequency(low, N, 1.0 / 3.0);
}

static void test_rng_below_one_is_zero(void **state)
{
    (void)state;
    Rng rng = rng_open(9, 0, 0, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(rng_below(&rng, 1), 0);
    assert_true(rng_below(&rng, UINT32_MAX) < UINT32_MAX);
}

static void test_rng_unit_is_uniform_with_53_bits(void **state)
{
    (void)state;
    enum { N = 40000 };
    Rng rng = rng_open(10, 0, 0, 0);
    int n_set[53] = {0};
    for (int i = 0; i < N; i++) {
        double v = rng_unit(&rng);
        assert_true(v >= 0.0 && v < 1.0);
        double scaled = ldexp(v, 53);
        assert_close(scaled, floor(scaled), 0.0, 0.0);
        for (int bit = 0; bit < 53; bit++)
            n_set[bit] += (int)((uint64_t)scaled >> bit & 1);
    }
    for (int bit = 0; bit < 53; bit++)
        assert_frequency(n_set[bit], N, 0.5);
}

/* Mean, variance and the share within one standard deviation; an odd count ends within a pair. */
static void test_rng_normals_are_normal(void **state)
{
    (void)state;
    enum { N = 40001 };
    float x[N];
    double sum = 0.0;
    double squares = 0.0;
    int n_near = 0;
    Rng rng = rng_open(11, 0, 0, 0);
    rng_normals(&rng, 3.0F, x, N);
    for (int i = 0; i < N; i++) {
        sum += (double)x[i] / 3.0;
        squares += (double)x[i] * (double)x[i] / 9.0;
        n_near += x[i] > -3.0F && x[i] < 3.0F;
    }
    assert_close(sum / N, 0.0, 0.0, 4.0 / sqrt(N));
    assert_close(squares / N, 1.0, 0.0, 4.0 * sqrt(2.0 / N));
    assert_frequency(n_near, N, 0.6826895);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng_gives_the_published_answers_of_philox),
        cmocka_unit_test(test_streams_do_not_depend_on_what_ran_between),
        cmocka_unit_test(test_seed_and_each_part_of_a_stream_change_the_numbers),
        cmocka_unit_test(test_rng_below_is_uniform),
        cmocka_unit_test(test_rng_below_has_no_bias_where_a_remainder_would),
        cmocka_unit_test(test_rng_below_one_is_zero),
        cmocka_unit_test(test_rng_unit_is_uniform_with_53_bits),
        cmocka_unit_test(test_rng_normals_are_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
