#include "reports/series.h"

#include "tests/test_util.h"

static void test_samples_pair_by_depth_and_index_with_equal_tokens(void **state)
{
    (void)state;
    SeriesSample a[] = {
        {0.0, 0, 0, 1.0, 5, -1, -1},
        {0.0, 1, 0, 2.0, 5, -1, -1},
        {0.0, 3, 1, 9.0, 5, -1, -1},
        {1.0, 0, 0, 4.0, 5, -1, -1},
        {1.0, 1, 0, 7.0, 6, -1, -1}
    };
    SeriesSample b[] = {
        {0.0, 0, 0, 0.5, 5, -1, -1},
        {0.0, 1, 0, 0.5, 5, -1, -1},
        {0.0, 2, 1, 0.5, 5, -1, -1},
        {1.0, 0, 0, 1.0, 5, -1, -1},
        {1.0, 1, 0, 1.0, 5, -1, -1}
    };
    SeriesCell left = {.samples = a, .n = COUNT_OF(a), .status = CELL_DONE};
    SeriesCell right = {.samples = b, .n = COUNT_OF(b), .status = CELL_DONE};
    ClusterSum out[SERIES_MAX_CLUSTERS];
    assert_int_equal(series_pair(&left, &right, out), 2);
    assert_true(out[0].sum == 2.0 && out[0].n == 10); /* samples 0 and 1 are one cluster */
    assert_true(out[1].sum == 3.0 && out[1].n == 5);
    assert_int_equal(series_pair(&left, NULL, out), 0);
    assert_int_equal(series_clusters(&left, out), 3);
    assert_true(out[2].sum == 11.0 && out[2].n == 11);
}

static void test_many_clusters_are_merged_with_their_neighbours(void **state)
{
    (void)state;
    enum { MANY = 3 * SERIES_MAX_CLUSTERS / 2 };
    static SeriesSample samples[MANY];
    for (int i = 0; i < MANY; i++)
        samples[i] = (SeriesSample){-1.0, i, i, 1.0, 2, -1, -1};
    SeriesCell cell = {.samples = samples, .n = MANY, .status = CELL_DONE};
    ClusterSum out[SERIES_MAX_CLUSTERS];
    assert_int_equal(series_clusters(&cell, out), SERIES_MAX_CLUSTERS);
    double sum = 0.0;
    for (int i = 0; i < SERIES_MAX_CLUSTERS; i++) {
        assert_true(out[i].sum == 1.0 || out[i].sum == 2.0);
        assert_true((double)out[i].n == 2.0 * out[i].sum);
        sum += out[i].sum;
    }
    assert_true(sum == MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_pair_by_depth_and_index_with_equal_tokens),
        cmocka_unit_test(test_many_clusters_are_merged_with_their_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
