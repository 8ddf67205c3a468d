#include <math.h>

#include "reports/stats.h"
#include "tests/test_util.h"

static void test_wilson_agrees_with_published_intervals(void **state)
{
    (void)state;
    /* Newcombe, Statistics in Medicine 17, 1998, table I, method 3. */
    static const struct {
        int64_t k;
        int64_t n;
        double low;
        double high;
    } rows[] = {
        {81, 263, 0.2553, 0.3662},
        {15, 148, 0.0624, 0.1605},
        {0,  20,  0.0,    0.1611},
        {1,  29,  0.0061, 0.1718}
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Interval got = stats_wilson(rows[i].k, rows[i].n);
        assert_close(got.low, rows[i].low, 0.0, 5e-5);
        assert_close(got.high, rows[i].high, 0.0, 5e-5);
    }
}

/* The twin solves |k/n - p| = z sqrt(p (1-p) / n) for p between `inside`, where it is below, and `outside`. */
static double wilson_end(double estimate, double n, double outside)
{
    double inside = estimate;
    for (int i = 0; i < 200; i++) {
        double p = 0.5 * (inside + outside);
        if (fabs(estimate - p) < 1.9599639845400545 * sqrt(p * (1.0 - p) / n))
            inside = p;
        else
            outside = p;
    }
    return inside;
}

static void test_wilson_solves_its_quadratic(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 40; n++) {
        for (int64_t k = 1; k < n; k++) {
            double estimate = (double)k / (double)n;
            Interval got = stats_wilson(k, n);
            assert_close(got.low, wilson_end(estimate, (double)n, 0.0), 0.0, 1e-12);
            assert_close(got.high, wilson_end(estimate, (double)n, 1.0), 0.0, 1e-12);
        }
    }
}

static void test_wilson_ends_at_0_and_1_exactly(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 2000; n++) {
        assert_true(stats_wilson(0, n).low == 0.0);
        assert_true(stats_wilson(n, n).high == 1.0);
        assert_true(stats_wilson(0, n).high > 0.0 && stats_wilson(n, n).low < 1.0);
    }
}

static void test_t_quantile_agrees_with_tables(void **state)
{
    (void)state;
    /* NIST/SEMATECH e-Handbook, table 1.3.6.7.2, with the further digits of Abramowitz and Stegun, table 26.10. */
    static const struct {
        int64_t df;
        double t;
    } rows[] = {
        {1,    12.706205},
        {2,    4.302653 },
        {3,    3.182446 },
        {4,    2.776445 },
        {5,    2.570582 },
        {9,    2.262157 },
        {10,   2.228139 },
        {15,   2.131450 },
        {30,   2.042272 },
        {60,   2.000298 },
        {100,  1.983972 },
        {120,  1.979930 },
        {1000, 1.962339 }
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_close(stats_t95(rows[i].df), rows[i].t, 0.0, 1e-6);
    assert_close(stats_t95((int64_t)1 << 40), 1.959963984540, 0.0, 1e-9);
}

/* Probability of |T| <= t: Simpson's rule over the density. */
static double t_mass(double t, double df)
{
    enum { STEPS = 20000 };
    double norm = exp(lgamma((df + 1.0) / 2.0) - lgamma(df / 2.0)) / sqrt(df * M_PI);
    double h = 2.0 * t / STEPS;
    double sum = 0.0;
    for (int i = 0; i <= STEPS; i++) {
        double x = -t + h * i;
        double weight = i == 0 || i == STEPS ? 1.0 : (i % 2 ? 4.0 : 2.0);
        sum += weight * pow(1.0 + x * x / df, -(df + 1.0) / 2.0);
    }
    return norm * sum * h / 3.0;
}

static void test_t_quantile_holds_95_percent(void **state)
{
    (void)state;
    static const int64_t dfs[] = {1, 2, 3, 4, 7, 8, 31, 98, 99, 199, 200, 201, 500};
    for (size_t i = 0; i < COUNT_OF(dfs); i++)
        assert_close(t_mass(stats_t95(dfs[i]), (double)dfs[i]), 0.95, 0.0, 1e-9);
}

static const ClusterSum clusters[] = {
    {12.5, 5 },
    {3.0,  1 },
    {44.0, 16},
    {7.25, 4 },
    {20.0, 10},
    {31.0, 9 },
    {0.5,  2 },
    {18.0, 8 },
    {26.0, 12},
    {9.0,  3 },
    {15.5, 5 },
    {2.0,  1 }
};

/* The twin uses raw moments: sum (s - R n)^2 = sum s^2 - 2 R sum s n + R^2 sum n^2. */
static void test_clustered_mean_agrees_with_raw_moments(void **state)
{
    (void)state;
    double s = 0.0;
    double n = 0.0;
    double ss = 0.0;
    double sn = 0.0;
    double nn = 0.0;
    const size_t n_clusters = COUNT_OF(clusters);
    const double g = (double)n_clusters;
    for (size_t i = 0; i < COUNT_OF(clusters); i++) {
        double size = (double)clusters[i].n;
        s += clusters[i].sum;
        n += size;
        ss += clusters[i].sum * clusters[i].sum;
        sn += clusters[i].sum * size;
        nn += size * size;
    }
    double ratio = s / n;
    double mean_size = n / g;
    double variance = (ss - 2.0 * ratio * sn + ratio * ratio * nn) / (g - 1.0);
    double mean;
    double se;
    stats_clustered_mean(clusters, COUNT_OF(clusters), &mean, &se);
    assert_close(mean, ratio, 1e-15, 0.0);
    assert_close(se, sqrt(variance / g) / mean_size, 1e-12, 0.0);
}

static void test_clustered_mean_of_equal_clusters_is_the_plain_standard_error(void **state)
{
    (void)state;
    ClusterSum equal[10];
    for (int i = 0; i < 10; i++)
        equal[i] = (ClusterSum){.sum = 4.0 * i, .n = 4};
    double mean;
    double se;
    stats_clustered_mean(equal, 10, &mean, &se);
    /* 0 … 9: mean 4.5, variance 55/6. */
    assert_close(mean, 4.5, 1e-15, 0.0);
    assert_close(se, sqrt(55.0 / 6.0 / 10.0), 1e-12, 0.0);
}

static void test_clustered_mean_gives_no_error_below_10_clusters(void **state)
{
    (void)state;
    double mean;
    double se;
    stats_clustered_mean(clusters, STATS_MIN_CLUSTERS - 1, &mean, &se);
    assert_true(isfinite(mean) && isnan(se));
    stats_clustered_mean(clusters, 0, &mean, &se);
    assert_true(isnan(mean) && isnan(se));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wilson_agrees_with_published_intervals),
        cmocka_unit_test(test_wilson_solves_its_quadratic),
        cmocka_unit_test(test_wilson_ends_at_0_and_1_exactly),
        cmocka_unit_test(test_t_quantile_agrees_with_tables),
        cmocka_unit_test(test_t_quantile_holds_95_percent),
        cmocka_unit_test(test_clustered_mean_agrees_with_raw_moments),
        cmocka_unit_test(test_clustered_mean_of_equal_clusters_is_the_plain_standard_error),
        cmocka_unit_test(test_clustered_mean_gives_no_error_below_10_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
