/* The markers against golden values and against what must hold by their definition. */
#include "tests/test_util.h"

#include "models/rope_markers.h"

static RopeMarkers markers_of(const char *text, int n_rot, double theta, int64_t n_ctx_orig,
                              int64_t n_ctx)
{
    RopeSpec spec = {.n_rot = n_rot, .theta = theta, .n_ctx_orig = n_ctx_orig};
    RopeMarkers markers;
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    assert_ok(rope_markers_of(&spec, n_ctx, &markers, &err), &err);
    return markers;
}

static void test_turning_pairs_match_the_golden_values(void **state)
{
    (void)state;
    static const struct {
        double theta;
        int64_t n_ctx_orig;
        int n_rot;
        int n_turning;
    } golden[] = {
        {1e4, 4096, 128, 46},
        {1e4, 256,  48,  10},
        {1e4, 512,  48,  12},
        {1e4, 256,  64,  13},
        {5e5, 8192, 128, 35}
    };
    for (size_t i = 0; i < COUNT_OF(golden); i++)
        assert_int_equal(markers_of("none", golden[i].n_rot, golden[i].theta, golden[i].n_ctx_orig,
                                    golden[i].n_ctx_orig)
                             .n_turning,
                         golden[i].n_turning);
}

static void test_first_negative_sum_matches_the_golden_values(void **state)
{
    (void)state;
    static const char *const lambdas[] = {"ntk:lambda=1", "ntk:lambda=2", "ntk:lambda=4",
                                          "ntk:lambda=8", "ntk:lambda=16"};
    static const struct {
        int n_rot;
        int64_t first[5];
    } golden[] = {
        {48,  {706, 925, 1190, 1744, 2572} },
        {64,  {725, 1184, 1807, 2919, 5205}},
        {128, {1707, 2666, 2969, 6505, -1} },
    };
    for (size_t i = 0; i < COUNT_OF(golden); i++)
        for (size_t k = 0; k < 5; k++) {
            int64_t got = markers_of(lambdas[k], golden[i].n_rot, 1e4, 512, 512).first_negative;
            if (golden[i].first[k] > 0)
                assert_int_equal(got, golden[i].first[k]);
            else
                assert_true(got > 9000);
        }
}

static void test_unseen_angles_vanish_under_full_interpolation(void **state)
{
    (void)state;
    RopeMarkers plain = markers_of("none", 32, 1e4, 256, 1024);
    RopeMarkers linear = markers_of("linear:factor=4.02", 32, 1e4, 256, 1024);
    assert_true(plain.unseen_angle > 1.0);
    assert_close(linear.unseen_angle, 0.0, 0.0, 1e-12);
    assert_close(markers_of("none", 32, 1e4, 256, 256).unseen_angle, 0.0, 0.0, 1e-12);
}

static void test_resolution_falls_with_interpolation_and_not_for_the_fastest_pair(void **state)
{
    (void)state;
    assert_close(markers_of("none", 32, 1e4, 256, 1024).resolution, 1.0, 1e-12, 0.0);
    double linear = markers_of("linear:factor=4", 32, 1e4, 256, 1024).resolution;
    double ntk = markers_of("ntk:lambda=4", 32, 1e4, 256, 1024).resolution;
    assert_true(linear < 0.3 && ntk > 0.9 && ntk < 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turning_pairs_match_the_golden_values),
        cmocka_unit_test(test_first_negative_sum_matches_the_golden_values),
        cmocka_unit_test(test_unseen_angles_vanish_under_full_interpolation),
        cmocka_unit_test(test_resolution_falls_with_interpolation_and_not_for_the_fastest_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
