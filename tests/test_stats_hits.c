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

static Interval interval_of(int64_t both, int64_t only_first, int64_t only_second, int64_t neither)
{
    return stats_hits_interval(
        &(HitStratum){
            {both, only_first, only_second, neither},
            1.0
    },
        1);
}

static void test_hits_interval_agrees_with_published_values(void **state)
{
    (void)state;
    /* Newcombe 1998, the first of his examples. */
    Interval newcombe = interval_of(36, 12, 2, 0);
    assert_close(newcombe.low, 0.0569, 0.0, 5e-5);
    assert_close(newcombe.high, 0.3404, 0.0, 5e-5);
    /* Fagerland, Lydersen, Laake, Statistics in Medicine 33, 2014: airway hyper-responsiveness. */
    Interval airway = interval_of(1, 1, 7, 12);
    assert_close(airway.low, -0.507, 0.0, 5e-4);
    assert_close(airway.high, -0.026, 0.0, 5e-4);
}

static void test_hits_interval_has_a_width_where_resampling_has_none(void **state)
{
    (void)state;
    /* All pairs differ: both shares are at their end, and so are their Wilson intervals. */
    Interval all = interval_of(0, 40, 0, 0);
    double reach = 1.0 - stats_wilson(40, 40).low;
    assert_close(all.low, 1.0 - M_SQRT2 * reach, 1e-12, 0.0);
    assert_true(all.high == 1.0);
    /* No pair differs. */
    Interval none = interval_of(40, 0, 0, 0);
    assert_close(none.low, -reach, 1e-12, 0.0);
    assert_close(none.high, reach, 1e-12, 0.0);
    Interval mixed = interval_of(20, 0, 0, 20);
    assert_true(mixed.low < -0.01 && mixed.high > 0.01);
    Interval one = interval_of(0, 1, 0, 0);
    assert_true(one.low < 0.0 && one.high == 1.0);
}

static void test_hits_interval_turns_with_the_order(void **state)
{
    (void)state;
    enum { N = 6 };
    for (int b = 0; b <= N; b++)
        for (int c = 0; b + c <= N; c++)
            for (int both = 0; both + b + c <= N; both++) {
                if (both + b + c == 0) continue;
                Interval one = interval_of(both, b, c, 1);
                Interval other = interval_of(both, c, b, 1);
                assert_close(one.low, -other.high, 1e-12, 1e-12);
                assert_true(one.low >= -1.0 && one.low <= (double)(b - c) / (both + b + c + 1));
                assert_true(one.high <= 1.0 && one.high >= (double)(b - c) / (both + b + c + 1));
            }
}

/* Probability of a table of n pairs under the four chances. */
static double chance_of(const int *counts, const double *chances, int n)
{
    double log_chance = lgamma(n + 1.0);
    for (int i = 0; i < 4; i++)
        log_chance += counts[i] * log(chances[i]) - lgamma(counts[i] + 1.0);
    return exp(log_chance);
}

/* Counts all tables of 30 pairs: how often does the interval hold the true difference? */
static void test_hits_interval_covers_nineteen_of_twenty(void **state)
{
    (void)state;
    enum { N = 30 };
    static const double rows[][4] = {
        {0.25, 0.25, 0.25, 0.25},
        {0.60, 0.20, 0.10, 0.10},
        {0.30, 0.05, 0.25, 0.40},
        {0.05, 0.60, 0.05, 0.30},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        double covered = 0.0;
        double all = 0.0;
        for (int a = 0; a <= N; a++)
            for (int b = 0; a + b <= N; b++)
                for (int c = 0; a + b + c <= N; c++) {
                    double chance = chance_of((int[]){a, b, c, N - a - b - c}, rows[r], N);
                    Interval interval = interval_of(a, b, c, N - a - b - c);
                    double truth = rows[r][1] - rows[r][2];
                    all += chance;
                    covered += truth >= interval.low && truth <= interval.high ? chance : 0.0;
                }
        assert_close(all, 1.0, 1e-9, 0.0);
        assert_true(covered > 0.935 && covered < 0.985);
    }
}

static void test_hits_interval_of_strata_adds_squares(void **state)
{
    (void)state;
    const PairedHits hits = {5, 9, 3, 4};
    Interval one = interval_of(5, 9, 3, 4);
    const HitStratum halves[] = {
        {hits, 0.5},
        {hits, 0.5}
    };
    Interval both = stats_hits_interval(halves, 2);
    double value = 6.0 / 21.0;
    assert_close(value - both.low, (value - one.low) / M_SQRT2, 1e-12, 0.0);
    assert_close(both.high - value, (one.high - value) / M_SQRT2, 1e-12, 0.0);
    const HitStratum uneven[] = {
        {hits,           0.75},
        {{0, 0, 10, 30}, 0.25}
    };
    Interval second = interval_of(0, 0, 10, 30);
    Interval mixed = stats_hits_interval(uneven, 2);
    double middle = 0.75 * value - 0.25 * 0.25;
    assert_close(middle - mixed.low, hypot(0.75 * (value - one.low), 0.25 * (-0.25 - second.low)),
                 1e-12, 0.0);
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
        cmocka_unit_test(test_hits_interval_agrees_with_published_values),
        cmocka_unit_test(test_hits_interval_has_a_width_where_resampling_has_none),
        cmocka_unit_test(test_hits_interval_turns_with_the_order),
        cmocka_unit_test(test_hits_interval_covers_nineteen_of_twenty),
        cmocka_unit_test(test_hits_interval_of_strata_adds_squares),
        cmocka_unit_test(test_sign_flips_of_pairs_are_mcnemars_test),
        cmocka_unit_test(test_sign_flips_of_strata_agree_with_counting),
        cmocka_unit_test(test_sign_flips_hold_their_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
