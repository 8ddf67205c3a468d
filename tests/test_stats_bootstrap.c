#include "reports/stats_bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tests/test_util.h"

enum { N = STATS_MIN_CLUSTERS };

static void test_normal_agrees_with_tables(void **state)
{
    (void)state;
    /* Abramowitz and Stegun, tables 26.1 and 26.5. */
    assert_close(stats_normal(0.0), 0.5, 0.0, 1e-15);
    assert_close(stats_normal(1.0), 0.841344746068543, 0.0, 1e-14);
    assert_close(stats_normal(-2.0), 0.022750131948179, 0.0, 1e-14);
    assert_close(stats_normal_quantile(0.975), 1.959963984540054, 0.0, 1e-12);
    assert_close(stats_normal_quantile(0.8), 0.841621233572914, 0.0, 1e-12);
    assert_close(stats_normal_quantile(1e-6), -4.753424308822899, 0.0, 1e-10);
}

static void test_normal_quantile_undoes_the_distribution(void **state)
{
    (void)state;
    for (int quarters = -28; quarters <= 16; quarters++) {
        double z = 0.25 * quarters;
        assert_close(stats_normal_quantile(stats_normal(z)), z, 1e-10, 1e-10);
    }
}

/* The twin: every multiset of N draws with its probability, instead of random ones. */
typedef struct {
    double mean;
    double weight;
} Outcome;

typedef struct {
    const ClusterSum *clusters;
    Outcome *outcomes;
    size_t n;
} Enumeration;

/* C(2N - 1, N - 1) ways to hand N draws to N clusters. */
enum { N_MULTISETS = 92378 };

static void enumerate(Enumeration *all, int cluster, int left, double sum, double tokens,
                      double log_weight)
{
    if (cluster == N - 1) {
        const ClusterSum *last = &all->clusters[cluster];
        double weight = exp(log_weight - lgamma(left + 1.0) + lgamma(N + 1.0) - N * log(N));
        all->outcomes[all->n++] =
            (Outcome){(sum + left * last->sum) / (tokens + left * (double)last->n), weight};
        return;
    }
    for (int k = 0; k <= left; k++)
        enumerate(all, cluster + 1, left - k, sum + k * all->clusters[cluster].sum,
                  tokens + k * (double)all->clusters[cluster].n, log_weight - lgamma(k + 1.0));
}

static double exact_share_below(const Enumeration *all, double x)
{
    double share = 0.0;
    for (size_t i = 0; i < all->n; i++) {
        bool tie = fabs(all->outcomes[i].mean - x) < 1e-11;
        share += tie ? 0.5 * all->outcomes[i].weight : 0.0;
        share += !tie && all->outcomes[i].mean < x ? all->outcomes[i].weight : 0.0;
    }
    return share;
}

/* The acceleration from the means without one cluster each, by a loop over the others. */
static double plain_acceleration(const ClusterSum *clusters)
{
    double means[N];
    double centre = 0.0;
    for (int out = 0; out < N; out++) {
        double sum = 0.0;
        double tokens = 0.0;
        for (int i = 0; i < N; i++) {
            if (i == out) continue;
            sum += clusters[i].sum;
            tokens += (double)clusters[i].n;
        }
        means[out] = sum / tokens;
        centre += means[out] / N;
    }
    double second = 0.0;
    double third = 0.0;
    for (int i = 0; i < N; i++) {
        second += pow(centre - means[i], 2.0);
        third += pow(centre - means[i], 3.0);
    }
    return third / 6.0 / (second * sqrt(second));
}

/* Bisection on the distribution function, with none of the code under test. */
static double plain_quantile(double p)
{
    double low = -9.0;
    double high = 9.0;
    for (int i = 0; i < 80; i++) {
        double middle = 0.5 * (low + high);
        *(0.5 + 0.5 * erf(middle / sqrt(2.0)) < p ? &low : &high) = middle;
    }
    return low;
}

/* Where an end of the interval lies in the exact distribution of the resampled means must be where BCa puts it, up to what
 * STATS_RESAMPLES draws can miss. */
static void check_end(const Enumeration *all, double a, double end, double value, double z)
{
    double bias = plain_quantile(exact_share_below(all, value));
    double wanted = 0.5 + 0.5 * erf((bias + (bias + z) / (1.0 - a * (bias + z))) / sqrt(2.0));
    assert_close(exact_share_below(all, end), wanted, 0.0, 0.008);
}

static double exact_p(const Enumeration *all, double a, double value)
{
    double bias = plain_quantile(exact_share_below(all, value));
    /* The level at which the end of the interval is 0, found by trying levels. */
    double low = -8.0;
    double high = 8.0;
    double share = exact_share_below(all, 0.0);
    for (int i = 0; i < 80; i++) {
        double z = 0.5 * (low + high);
        double at = bias + (bias + z) / (1.0 - a * (bias + z));
        *(0.5 + 0.5 * erf(at / sqrt(2.0)) < share ? &low : &high) = z;
    }
    return 1.0 - erf(fabs(low) / sqrt(2.0));
}

static void check_all(const Enumeration *all, double a, Bootstrapped got)
{
    check_end(all, a, got.interval.low, got.value, -1.959963984540054);
    check_end(all, a, got.interval.high, got.value, 1.959963984540054);
    assert_close(got.p, exact_p(all, a, got.value), 0.12, 0.001);
}

static void compare_with_enumeration(const ClusterSum *clusters, uint64_t seed)
{
    Enumeration all = {.clusters = clusters, .outcomes = calloc(N_MULTISETS, sizeof(Outcome))};
    assert_non_null(all.outcomes);
    enumerate(&all, 0, N, 0.0, 0.0, 0.0);
    assert_int_equal(all.n, N_MULTISETS);
    double total = 0.0;
    for (size_t i = 0; i < all.n; i++)
        total += all.outcomes[i].weight;
    assert_close(total, 1.0, 0.0, 1e-9);
    check_all(&all, plain_acceleration(clusters), stats_bootstrap(clusters, N, seed));
    free(all.outcomes);
}

static void test_bca_agrees_with_all_resamples_of_skewed_clusters(void **state)
{
    (void)state;
    static const double values[N] = {0.1, 0.2, 0.1, 0.4, -0.2, 0.3, 0.15, 2.5, 0.05, 0.9};
    ClusterSum clusters[N];
    for (int i = 0; i < N; i++)
        clusters[i] = (ClusterSum){.sum = values[i], .n = 1};
    compare_with_enumeration(clusters, 1);
    for (int i = 0; i < N; i++)
        clusters[i].sum = -values[i];
    compare_with_enumeration(clusters, 2);
}

static void test_bca_agrees_with_all_resamples_of_unequal_clusters(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        Rng rng = rng_open(seed, 9, 9, 9);
        ClusterSum clusters[N];
        for (int i = 0; i < N; i++) {
            int64_t n = 1 + rng_below(&rng, 400);
            double shift = 2.0 * rng_unit(&rng) - 0.7;
            clusters[i] = (ClusterSum){.sum = (double)n * shift, .n = n};
        }
        compare_with_enumeration(clusters, seed);
    }
}

/* Two strata of different sizes, drawn by themselves. The twin draws more often, from other numbers, and takes each cluster's influence
 * from the definition: the slope of the mean as the cluster's weight grows. */
static void test_bca_of_strata_agrees_with_plain_resampling(void **state)
{
    (void)state;
    enum { N_FIRST = 10, N_SECOND = 25, N_DRAWS = 200000 };
    Rng rng = rng_open(11, 1, 2, 3);
    double x[N_FIRST];
    double y[N_SECOND];
    ClusterSum first[N_FIRST];
    ClusterSum second[N_SECOND];
    for (int i = 0; i < N_FIRST; i++)
        first[i] = (ClusterSum){.sum = x[i] = pow(rng_unit(&rng), 4.0), .n = 1};
    for (int i = 0; i < N_SECOND; i++)
        second[i] = (ClusterSum){.sum = y[i] = 0.5 * rng_unit(&rng) - 0.2, .n = 1};
    Enumeration all = {.outcomes = calloc(N_DRAWS, sizeof(Outcome)), .n = N_DRAWS};
    assert_non_null(all.outcomes);
    for (int draw = 0; draw < N_DRAWS; draw++) {
        double mean = 0.0;
        for (int i = 0; i < N_FIRST; i++)
            mean += 0.3 * x[rng_below(&rng, N_FIRST)] / N_FIRST;
        for (int i = 0; i < N_SECOND; i++)
            mean += 0.7 * y[rng_below(&rng, N_SECOND)] / N_SECOND;
        all.outcomes[draw] = (Outcome){mean, 1.0 / N_DRAWS};
    }
    double mean_x = 0.0;
    double mean_y = 0.0;
    for (int i = 0; i < N_FIRST; i++)
        mean_x += x[i] / N_FIRST;
    for (int i = 0; i < N_SECOND; i++)
        mean_y += y[i] / N_SECOND;
    double second_moment = 0.0;
    double third_moment = 0.0;
    for (int i = 0; i < N_FIRST; i++) {
        second_moment += pow(0.3 * (x[i] - mean_x) / N_FIRST, 2.0);
        third_moment += pow(0.3 * (x[i] - mean_x) / N_FIRST, 3.0);
    }
    for (int i = 0; i < N_SECOND; i++) {
        second_moment += pow(0.7 * (y[i] - mean_y) / N_SECOND, 2.0);
        third_moment += pow(0.7 * (y[i] - mean_y) / N_SECOND, 3.0);
    }
    const Stratum strata[] = {
        {first,  N_FIRST,  0.3},
        {second, N_SECOND, 0.7}
    };
    Bootstrapped got = stats_bootstrap_strata(strata, 2, false, 4);
    assert_close(got.value, 0.3 * mean_x + 0.7 * mean_y, 1e-12, 0.0);
    assert_int_equal(got.n_clusters, N_FIRST + N_SECOND);
    check_all(&all, third_moment / 6.0 / pow(second_moment, 1.5), got);
    free(all.outcomes);
}

static void test_strata_add_their_variances_when_drawn_alone(void **state)
{
    (void)state;
    ClusterSum first[12];
    ClusterSum second[15];
    for (int i = 0; i < 12; i++)
        first[i] = (ClusterSum){.sum = i * i, .n = 1 + i % 4};
    for (int i = 0; i < 15; i++)
        second[i] = (ClusterSum){.sum = 3.0 * (i % 5), .n = 2 + i % 3};
    double mean[2];
    double se[2];
    stats_clustered_mean(first, 12, &mean[0], &se[0]);
    stats_clustered_mean(second, 15, &mean[1], &se[1]);
    const Stratum strata[] = {
        {first,  12, 2.0 },
        {second, 15, -1.0}
    };
    Bootstrapped got = stats_bootstrap_strata(strata, 2, false, 1);
    assert_close(got.value, 2.0 * mean[0] - mean[1], 1e-12, 0.0);
    assert_close(got.se, hypot(2.0 * se[0], se[1]), 1e-12, 0.0);
}

static void test_joint_strata_of_the_same_clusters_are_one(void **state)
{
    (void)state;
    ClusterSum clusters[N];
    for (int i = 0; i < N; i++)
        clusters[i] = (ClusterSum){.sum = i * i - 20.0, .n = 5 + i};
    const Stratum strata[] = {
        {clusters, N, 0.25},
        {clusters, N, 0.75}
    };
    Bootstrapped whole = stats_bootstrap(clusters, N, 3);
    Bootstrapped got = stats_bootstrap_strata(strata, 2, true, 3);
    assert_close(got.value, whole.value, 1e-12, 0.0);
    assert_close(got.interval.low, whole.interval.low, 1e-9, 0.0);
    assert_close(got.interval.high, whole.interval.high, 1e-9, 0.0);
    assert_close(got.p, whole.p, 1e-9, 0.0);
    assert_close(got.se, whole.se, 1e-12, 0.0);
    assert_int_equal(got.n_clusters, N);
    Bootstrapped alone = stats_bootstrap_strata(strata, 2, false, 3);
    assert_true(alone.se < got.se); /* independent halves average out */
}

static void test_bootstrap_is_the_same_each_time_and_follows_its_seed(void **state)
{
    (void)state;
    ClusterSum clusters[N];
    for (int i = 0; i < N; i++)
        clusters[i] = (ClusterSum){.sum = i * i, .n = 10};
    Bootstrapped a = stats_bootstrap(clusters, N, 1);
    Bootstrapped b = stats_bootstrap(clusters, N, 1);
    Bootstrapped c = stats_bootstrap(clusters, N, 2);
    assert_true(a.interval.low == b.interval.low && a.interval.high == b.interval.high);
    assert_true(a.interval.low != c.interval.low);
    assert_true(a.value == 2.85 && c.value == 2.85);
}

static void test_bootstrap_turns_with_the_sign_and_scales(void **state)
{
    (void)state;
    ClusterSum clusters[N];
    ClusterSum other[N];
    for (int i = 0; i < N; i++) {
        clusters[i] = (ClusterSum){.sum = i * i - 20.0, .n = 5 + i};
        other[i] = (ClusterSum){.sum = -1000.0 * clusters[i].sum, .n = 5 + i};
    }
    Bootstrapped a = stats_bootstrap(clusters, N, 3);
    Bootstrapped b = stats_bootstrap(other, N, 3);
    assert_close(b.interval.low, -1000.0 * a.interval.high, 1e-9, 0.0);
    assert_close(b.interval.high, -1000.0 * a.interval.low, 1e-9, 0.0);
    assert_close(a.p, b.p, 1e-9, 0.0);
}

static void test_bootstrap_of_equal_clusters_is_sure(void **state)
{
    (void)state;
    ClusterSum clusters[N];
    for (int i = 0; i < N; i++)
        clusters[i] = (ClusterSum){.sum = 0.1 * (i + 1), .n = i + 1};
    Bootstrapped got = stats_bootstrap(clusters, N, 1);
    assert_close(got.interval.low, 0.1, 1e-12, 0.0);
    assert_close(got.interval.high, 0.1, 1e-12, 0.0);
    assert_close(got.p, 1.0 / STATS_RESAMPLES, 1e-9, 0.0);
    for (int i = 0; i < N; i++)
        clusters[i].sum = 0.0;
    got = stats_bootstrap(clusters, N, 1);
    assert_true(got.value == 0.0 && got.interval.low == 0.0 && got.interval.high == 0.0);
    assert_close(got.p, 1.0, 0.0, 1e-12);
}

static void test_p_and_interval_tell_the_same(void **state)
{
    (void)state;
    for (uint32_t trial = 0; trial < 40; trial++) {
        Rng rng = rng_open(7, trial, 0, 0);
        ClusterSum clusters[16];
        for (int i = 0; i < 16; i++)
            clusters[i] = (ClusterSum){.sum = rng_unit(&rng) - 0.32, .n = 1};
        Bootstrapped got = stats_bootstrap(clusters, 16, trial);
        bool outside = got.interval.low > 0.0 || got.interval.high < 0.0;
        if (fabs(got.p - 0.05) > 0.002) assert_true(outside == (got.p < 0.05));
    }
}

static void test_few_clusters_have_a_value_and_no_interval(void **state)
{
    (void)state;
    ClusterSum clusters[N - 1];
    for (int i = 0; i < N - 1; i++)
        clusters[i] = (ClusterSum){.sum = i, .n = 2};
    Bootstrapped got = stats_bootstrap(clusters, N - 1, 1);
    assert_close(got.value, 2.0, 1e-15, 0.0);
    assert_true(isnan(got.interval.low) && isnan(got.interval.high) && isnan(got.p));
}

static void test_holm_agrees_with_hand_computed_values(void **state)
{
    (void)state;
    double p[] = {0.01, 0.04, 0.03, NAN, 0.005};
    static const double wanted[] = {0.03, 0.06, 0.06, NAN, 0.02};
    stats_holm(p, COUNT_OF(p));
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        if (isnan(wanted[i]))
            assert_true(isnan(p[i]));
        else
            assert_close(p[i], wanted[i], 0.0, 1e-15);
    }
    double one[] = {0.7, 0.6};
    stats_holm(one, 2);
    assert_true(one[0] == 1.0 && one[1] == 1.0);
    stats_holm(NULL, 0);
}

/* Holm's procedure in its own words: go through the hypotheses by rising p and reject while p <= level / those left. */
static void test_holm_rejects_what_the_step_down_procedure_rejects(void **state)
{
    (void)state;
    enum { M = 7 };
    for (uint32_t trial = 0; trial < 300; trial++) {
        Rng rng = rng_open(5, trial, 0, 0);
        double p[M];
        double adjusted[M];
        bool rejected[M] = {false};
        for (int i = 0; i < M; i++)
            adjusted[i] = p[i] = 0.1 * rng_unit(&rng) * rng_unit(&rng);
        stats_holm(adjusted, M);
        for (int left = M; left > 0; left--) {
            int least = -1;
            for (int i = 0; i < M; i++)
                if (!rejected[i] && (least < 0 || p[i] < p[least])) least = i;
            if (p[least] > 0.05 / left) break;
            rejected[least] = true;
        }
        for (int i = 0; i < M; i++)
            assert_true(rejected[i] == (adjusted[i] <= 0.05));
    }
}

static void test_clusters_needed_is_the_textbook_size(void **state)
{
    (void)state;
    /* (1.96 + 0.84)^2 = 7.849 standard deviations squared for a mean of one standard deviation; here sd = 4, n = 16. */
    assert_close(stats_clusters_needed(4.0, 1.0, 16, 1), 7.8489, 1e-4, 0.0);
    assert_close(stats_clusters_needed(-1.0, 1.0, 16, 1), 16.0 * 7.8489, 1e-4, 0.0);
    /* Of 5: 0.05 / 5 = 0.01, and (2.5758 + 0.8416)^2 = 11.679. */
    assert_close(stats_clusters_needed(4.0, 1.0, 16, 5), 11.679, 1e-4, 0.0);
    assert_true(isnan(stats_clusters_needed(0.0, 1.0, 16, 1)));
    assert_true(isnan(stats_clusters_needed(1.0, NAN, 9, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_agrees_with_tables),
        cmocka_unit_test(test_normal_quantile_undoes_the_distribution),
        cmocka_unit_test(test_bca_agrees_with_all_resamples_of_skewed_clusters),
        cmocka_unit_test(test_bca_agrees_with_all_resamples_of_unequal_clusters),
        cmocka_unit_test(test_bca_of_strata_agrees_with_plain_resampling),
        cmocka_unit_test(test_strata_add_their_variances_when_drawn_alone),
        cmocka_unit_test(test_joint_strata_of_the_same_clusters_are_one),
        cmocka_unit_test(test_bootstrap_is_the_same_each_time_and_follows_its_seed),
        cmocka_unit_test(test_bootstrap_turns_with_the_sign_and_scales),
        cmocka_unit_test(test_bootstrap_of_equal_clusters_is_sure),
        cmocka_unit_test(test_p_and_interval_tell_the_same),
        cmocka_unit_test(test_few_clusters_have_a_value_and_no_interval),
        cmocka_unit_test(test_holm_agrees_with_hand_computed_values),
        cmocka_unit_test(test_holm_rejects_what_the_step_down_procedure_rejects),
        cmocka_unit_test(test_clusters_needed_is_the_textbook_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
