/* The markers against golden values and against what must hold by their definition. */
#include "tests/test_util.h"

#include <math.h>

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

/* Trained at 256: (n - 1) θ' may reach 255 θ. The last pair of d = 48 that did not turn fully and is stretched least is the
 * tenth, by λ^(20/48). */
static void test_the_reach_of_seen_angles_is_what_the_formula_says(void **state)
{
    (void)state;
    assert_int_equal(markers_of("none", 48, 1e4, 256, 1024).seen_reach, 256);
    assert_int_equal(markers_of("linear:factor=4", 48, 1e4, 256, 1024).seen_reach, 1021);
    assert_int_equal(markers_of("pi:factor=4", 48, 1e4, 256, 1024).seen_reach, 1021);
    double ntk = 255.0 * pow(4.248508707450764, 20.0 / 48.0);
    assert_int_equal(markers_of("ntk", 48, 1e4, 256, 1024).seen_reach, 1 + (int64_t)floor(ntk));
    assert_int_equal(markers_of("rerope:window=64", 48, 1e4, 256, 1024).seen_reach, -1);
    assert_int_equal(markers_of("dual-chunk", 48, 1e4, 256, 1024).seen_reach, -1);
}

/* The relative position of a distance, by the definitions of the papers; the key stands at 0. */
static double twin_none(int64_t r)
{
    return (double)r;
}
static double twin_pi(int64_t r)
{
    return (double)r / 3.7;
}
static double twin_rerope(int64_t r)
{
    return r < 900 ? (double)r : 900.0;
}
static double twin_leaky_rerope(int64_t r)
{
    return r < 600 ? (double)r : 600.0 + (double)(r - 600) / 3.0;
}
static double twin_self_extend(int64_t r)
{
    return r < 101 ? (double)r : floor((double)r / 7.0) + 101.0 - 14.0;
}
static double twin_dual_chunk(int64_t r)
{
    if (r < 700) return (double)r;
    return r < 1400 && (double)(r % 700) + 700.0 < 800.0 ? (double)(r % 700) + 700.0 : 800.0;
}

/* Brute force over all positions, with cos for every term. */
static void test_markers_equal_a_search_by_the_definition_of_each_method(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double (*position)(int64_t r);
    } rows[] = {
        {"none",                             twin_none        },
        {"pi:factor=3.7",                    twin_pi          },
        {"rerope:window=900",                twin_rerope      },
        {"leaky-rerope:window=600,factor=3", twin_leaky_rerope},
        {"self-extend:window=101,group=7",   twin_self_extend },
        {"dual-chunk:chunk=800,window=100",  twin_dual_chunk  },
    };
    enum { N_ROT = 48, N_CTX_ORIG = 512, N = 4000 };
    for (size_t row = 0; row < COUNT_OF(rows); row++) {
        RopeMarkers got = markers_of(rows[row].text, N_ROT, 1e4, N_CTX_ORIG, N);
        int64_t negative = -1;
        int64_t reach = -1;
        double unseen = 0.0;
        for (int64_t r = 1; r < N; r++) {
            double sum = 0.0;
            for (int i = 0; i < N_ROT / 2; i++) {
                double theta = exp(-2.0 * i / N_ROT * log(1e4));
                double angle = rows[row].position(r) * theta;
                double seen = (N_CTX_ORIG - 1) * theta;
                sum += cos(angle);
                if (seen < 2.0 * acos(-1.0))
                    unseen = fmax(unseen, fmin(angle, 2.0 * acos(-1.0)) - seen);
            }
            if (negative < 0 && sum < 0.0) negative = r;
            if (reach < 0 && unseen > 1e-8) reach = r;
        }
        if (got.first_negative != negative && !(negative < 0 && got.first_negative >= N))
            fail_msg("%s: first negative sum at %lld, by the definition %lld", rows[row].text,
                     (long long)got.first_negative, (long long)negative);
        if (got.seen_reach != reach && !(reach < 0 && got.seen_reach >= N))
            fail_msg("%s: angles seen up to %lld, by the definition %lld", rows[row].text,
                     (long long)got.seen_reach, (long long)reach);
        assert_close(got.unseen_angle, unseen, 1e-9, 1e-8);
    }
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
        cmocka_unit_test(test_the_reach_of_seen_angles_is_what_the_formula_says),
        cmocka_unit_test(test_markers_equal_a_search_by_the_definition_of_each_method),
        cmocka_unit_test(test_resolution_falls_with_interpolation_and_not_for_the_fastest_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
