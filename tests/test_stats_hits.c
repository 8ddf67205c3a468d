#include "reports/stats_hits.h"

#include <math.h>

#include "base/rng.h"
#include "tests/test_util.h"

static void test_mcnemar_agrees_with_published_values(void **state)
{
    (void)state;
    /* Fay, "Exact McNemar's Test and Matching Confidence Intervals", vignette of the R package exact2x2. */
    assert_close(stats_mcnemar(9, 2), 0.06543, 1e-3, 0.0);
    /* Powers of two. */
    assert_close(stats_mcnemar(1, 7), 0.0703125, 1e-12, 0.0);
    assert_close(stats_mcnemar(0, 5), 0.0625, 1e-12, 0.0);
    assert_close(stats_mcnemar(2, 0), 0.5, 1e-12, 0.0);
    assert_true(stats_mcnemar(0, 0) == 1.0 && stats_mcnemar(4, 4) == 1.0);
}

/* Pascal's triangle, in whole numbers. */
static void test_mcnemar_agrees_with_whole_numbers(void **state)
{
    (void)state;
    enum { MOST = 50 };
    double row[MOST + 1] = {1.0};
    for (int n = 0; n <= MOST; n++) {
        for (int b = 0; b <= n; b++) {
            double tail = 0.0;
            for (int k = 0; k <= (b < n - b ? b : n - b); k++)
                tail += row[k];
            double wanted = fmin(1.0, 2.0 * ldexp(tail, -n));
            assert_close(stats_mcnemar(b, n - b), wanted, 1e-11, 0.0);
        }
        for (int k = n + 1; k > 0 && n < MOST; k--)
            row[k] += row[k - 1];
    }
}

static void test_mcnemar_of_many_pairs_is_finite(void **state)
{
    (void)state;
    double p = stats_mcnemar(500000, 502000);
    /* z = 2000 / sqrt(1002000) = 1.998. */
    assert_close(p, 2.0 * stats_normal(-1999.0 / sqrt(1002000.0)), 1e-4, 0.0);
}

/* Single pairs: b clusters of +1, c of -1 and some ties. */
static double flips_of_pairs(int b, int c, int ties)
{
    ClusterSum clusters[64];
    int n = b + c + ties;
    for (int i = 0; i < n; i++)
        clusters[i] = (ClusterSum){.sum = i < b ? 1.0 : i < b + c ? -1.0 : 0.0, .n = 1};
    return stats_sign_flips(&(Stratum){clusters, (size_t)n, 1.0}, 1, 1);
}

static void test_sign_flips_of_pairs_are_mcnemars_test(void **state)
{
    (void)state;
    for (int n = 0; n <= STATS_FLIPS_EXACT; n++)
        for (int b = 0; b <= n; b++)
            assert_close(flips_of_pairs(b, n - b, 3), stats_mcnemar(b, n - b), 1e-12, 0.0);
    assert_close(flips_of_pairs(25, 11, 9), stats_mcnemar(25, 11), 0.0, 0.006);
    assert_close(flips_of_pairs(14, 4, 9), stats_mcnemar(14, 4), 0.0, 0.006);
}

/* The twin goes through the patterns of two strata with nested loops over how many of each kind are turned. */
static void test_sign_flips_of_strata_agree_with_counting(void **state)
{
    (void)state;
    enum { B1 = 5, C1 = 1, B2 = 1, C2 = 4, N1 = 10, N2 = 20 };
    ClusterSum first[N1];
    ClusterSum second[N2];
    for (int i = 0; i < N1; i++)
        first[i] = (ClusterSum){.sum = i < B1 ? 1 : i < B1 + C1 ? -1 : 0, .n = 1};
    for (int i = 0; i < N2; i++)
        second[i] = (ClusterSum){.sum = i < B2 ? 1 : i < B2 + C2 ? -1 : 0, .n = 1};
    const double w1 = 0.8;
    const double w2 = 0.2;
    double observed = fabs(w1 * (B1 - C1) / N1 + w2 * (B2 - C2) / N2);
    double as_far = 0.0;
    for (int a = 0; a <= B1 + C1; a++)
        for (int b = 0; b <= B2 + C2; b++) {
            double sum = w1 * (2 * a - B1 - C1) / N1 + w2 * (2 * b - B2 - C2) / N2;
            double ways = exp(lgamma(B1 + C1 + 1) - lgamma(a + 1) - lgamma(B1 + C1 - a + 1) +
                              lgamma(B2 + C2 + 1) - lgamma(b + 1) - lgamma(B2 + C2 - b + 1));
            as_far += fabs(sum) >= observed - 1e-9 ? ways : 0.0;
        }
    const Stratum strata[] = {
        {first,  N1, w1},
        {second, N2, w2}
    };
    assert_close(stats_sign_flips(strata, 2, 1), ldexp(as_far, -(B1 + C1 + B2 + C2)), 1e-9, 0.0);
}

/* Under the null each p below a level comes up at most that often. */
static void test_sign_flips_hold_their_level(void **state)
{
    (void)state;
    enum { TRIALS = 400, N = 40 };
    int below = 0;
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        Rng rng = rng_open(3, trial, 0, 0);
        ClusterSum clusters[N];
        for (int i = 0; i < N; i++)
            clusters[i] = (ClusterSum){.sum = rng_unit(&rng) - 0.5, .n = 1};
        below += stats_sign_flips(&(Stratum){clusters, N, 1.0}, 1, trial) <= 0.05;
    }
    assert_in_range(below, 8, 35); /* 20 expected, four standard deviations are 17 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mcnemar_agrees_with_published_values),
        cmocka_unit_test(test_mcnemar_agrees_with_whole_numbers),
        cmocka_unit_test(test_mcnemar_of_many_pairs_is_finite),
        cmocka_unit_test(test_sign_flips_of_pairs_are_mcnemars_test),
        cmocka_unit_test(test_sign_flips_of_strata_agree_with_counting),
        cmocka_unit_test(test_sign_flips_hold_their_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
