/* RoPE: golden values of the methods, and the identities that hold whatever the numbers are. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/rope.h"

/* The spec of a text for a model's rotary width, base and trained length, resolved for a target. */
static RopeSpec spec_of(const char *text, int n_rot, double theta, int64_t n_ctx_orig,
                        int64_t target)
{
    RopeSpec spec = {.n_rot = n_rot, .theta = theta, .n_ctx_orig = n_ctx_orig};
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, target, &err), &err);
    return spec;
}

static RopeTable table_of(const char *text, int n_rot, double theta, int64_t n_ctx_orig,
                          int64_t n_ctx)
{
    RopeSpec spec = spec_of(text, n_rot, theta, n_ctx_orig, n_ctx);
    RopeTable table;
    Err err;
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    return table;
}

static void test_lambda_quarter_gives_the_published_second_component(void **state)
{
    (void)state;
    RopeTable table = table_of("ntk:lambda=0.25", 128, 10000.0, 4096, 4096);
    assert_close(table.query[0].inv_freq[1], 0.8849264728778423, 1e-15, 0.0);
    assert_close(table.query[0].inv_freq[0], 1.0, 0.0, 0.0);
}

static void test_lambda_of_target_matches_the_golden_values(void **state)
{
    (void)state;
    static const struct {
        int n_rot;
        int64_t n_ctx_orig;
        int64_t target;
        double lambda;
    } golden[] = {
        {128, 4096, 8192,  2.022126168973791 },
        {128, 4096, 32768, 8.268462264056222 },
        {48,  256,  1024,  4.248508707450764 },
        {64,  512,  2048,  4.1829365928899485},
    };
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        RopeSpec spec =
            spec_of("ntk", golden[i].n_rot, 1e4, golden[i].n_ctx_orig, golden[i].target);
        assert_close(rope_spec_value(&spec, ROPE_LAMBDA, 1), golden[i].lambda, 1e-15, 0.0);
    }
}

static void test_lambda_of_target_interpolates_the_slowest_pair_fully(void **state)
{
    (void)state;
    RopeTable table = table_of("ntk:lambda=auto", 128, 10000.0, 4096, 8192);
    assert_close(table.query[0].inv_freq[63], 5.773909923447291e-05, 1e-14, 0.0);
    table = table_of("ntk:lambda=auto", 128, 10000.0, 4096, 32768);
    assert_close(table.query[0].inv_freq[63], 1.4434774808618228e-05, 1e-14, 0.0);
    table = table_of("ntk", 48, 10000.0, 256, 1024);
    assert_close(table.query[0].inv_freq[23], 3.669498169055172e-05, 1e-14, 0.0);
}

static void test_alpha_multiplies_the_base_that_the_model_has(void **state)
{
    (void)state;
    RopeTable table = table_of("ntk:alpha=2", 128, 1e6, 4096, 8192);
    for (int i = 0; i < 64; i++)
        assert_close(table.query[0].inv_freq[i], exp(-2.0 * i / 128.0 * log(2022126.168973791)),
                     1e-13, 0.0);
}

static void test_auto_is_never_below_one(void **state)
{
    (void)state;
    RopeSpec spec = spec_of("ntk", 64, 1e4, 512, 128);
    assert_close(rope_spec_value(&spec, ROPE_LAMBDA, 128), 1.0, 0.0, 0.0);
}

static void test_auto_each_follows_the_length_and_auto_does_not(void **state)
{
    (void)state;
    RopeSpec each = spec_of("ntk:lambda=auto-each", 64, 1e4, 512, 4096);
    RopeSpec fixed = spec_of("ntk:lambda=auto", 64, 1e4, 512, 2048);
    assert_true(rope_spec_depends_on_n_ctx(&each));
    assert_false(rope_spec_depends_on_n_ctx(&fixed));
    assert_close(rope_spec_value(&each, ROPE_LAMBDA, 2048), 4.1829365928899485, 1e-15, 0.0);
    assert_close(rope_spec_value(&fixed, ROPE_LAMBDA, 999), 4.1829365928899485, 1e-15, 0.0);
    assert_close(rope_spec_value(&each, ROPE_LAMBDA, 512), 1.0, 0.0, 0.0);
}

static void test_identity_parameters_are_bit_equal_to_none(void **state)
{
    (void)state;
    static const char *const identities[] = {
        "linear:factor=1",     "pi:factor=1",   "ntk:lambda=1",      "ntk:alpha=1",
        "linear:freq-scale=1", "yarn:factor=1", "by-parts:factor=1", "llama3:factor=1"};
    RopeSpec none_spec = spec_of("none", 48, 12345.0, 256, 1024);
    RopeTable none = table_of("none", 48, 12345.0, 256, 1024);
    Buf none_key = {0};
    rope_spec_key(&none_spec, &none_key);
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        RopeTable table = table_of(identities[i], 48, 12345.0, 256, 1024);
        assert_true(rope_table_equal(&table, &none));
        float want[2][24];
        float got[2][24];
        rope_angles(&none, &none.query[0], 777, 1, want[0], want[1]);
        rope_angles(&table, &table.query[0], 777, 1, got[0], got[1]);
        assert_memory_equal(want, got, sizeof want);
        RopeSpec spec = spec_of(identities[i], 48, 12345.0, 256, 1024);
        Buf key = {0};
        rope_spec_key(&spec, &key);
        assert_string_equal(buf_text(&key), buf_text(&none_key));
        buf_free(&key);
    }
    buf_free(&none_key);
}

/* The two engineers' linear scaling, through two different parts of the code. */
static void test_pi_and_linear_agree_to_rounding(void **state)
{
    (void)state;
    static const int64_t positions[] = {0, 1, 255, 4095, 131071, 16777215, 16777217};
    RopeTable a = table_of("pi:factor=3.7", 64, 1e4, 512, 2048);
    RopeTable b = table_of("linear:factor=3.7", 64, 1e4, 512, 2048);
    assert_false(rope_table_equal(&a, &b));
    assert_true(a.query[0].position.divisor == 3.7 && b.query[0].position.divisor == 1.0);
    assert_true(a.query[0].inv_freq[0] == 1.0 && b.query[0].inv_freq[0] == 1.0 / 3.7);
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        float cos_a[32];
        float sin_a[32];
        float cos_b[32];
        float sin_b[32];
        rope_angles(&a, &a.query[0], positions[i], 1, cos_a, sin_a);
        rope_angles(&b, &b.query[0], positions[i], 1, cos_b, sin_b);
        for (int k = 0; k < 32; k++) {
            assert_close((double)cos_a[k], (double)cos_b[k], 0.0, 1.2e-7);
            assert_close((double)sin_a[k], (double)sin_b[k], 0.0, 1.2e-7);
        }
    }
}

static void test_linear_divides_every_angle(void **state)
{
    (void)state;
    RopeTable table = table_of("linear:freq-scale=0.25", 16, 1e4, 512, 2048);
    for (int i = 0; i < 8; i++)
        assert_close(table.query[0].inv_freq[i], pow(10.0, -4.0 * i / 8.0) / 4.0, 1e-15, 0.0);
}

/* Twin in long double: powl, cosl of an 80-bit product. */
static void test_angles_are_exact_to_float_at_any_position(void **state)
{
    (void)state;
    static const int64_t positions[] = {
        1, 4096, 131072, (1 << 24) - 1, (1 << 24) + 1, INT64_C(1) << 31};
    RopeTable table = table_of("none", 128, 5e5, 8192, 8192);
    for (size_t p = 0; p < COUNT_OF(positions); p++) {
        float cos_got[64];
        float sin_got[64];
        rope_angles(&table, &table.query[0], positions[p], 1, cos_got, sin_got);
        for (int i = 0; i < 64; i++) {
            long double angle = (long double)positions[p] * powl(5e5L, -2.0L * i / 128.0L);
            /* a double angle of 2^31 has a spacing of 5e-7: that is the bound there */
            double bound = 6.1e-8 + (double)positions[p] * 2.3e-16;
            assert_close((double)cos_got[i], (double)cosl(angle), 0.0, bound);
            assert_close((double)sin_got[i], (double)sinl(angle), 0.0, bound);
        }
    }
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void random_vector(Rng *rng, float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)(rng_unit(rng) * 2.0 - 1.0);
}

static void rotate_at(const RopeTable *table, int64_t position, RopeLayout layout, float *x)
{
    float cos_row[ROPE_MAX_PAIRS];
    float sin_row[ROPE_MAX_PAIRS];
    rope_angles(table, &table->query[0], position, 1, cos_row, sin_row);
    rope_rotate(x, cos_row, sin_row, table->n_pairs, layout);
}

static void test_rotation_keeps_norms_in_both_layouts(void **state)
{
    (void)state;
    Rng rng = rng_open(7, 0, 0, 0);
    RopeTable table = table_of("ntk:lambda=5", 32, 1e4, 256, 1024);
    for (int trial = 0; trial < 100; trial++) {
        float x[40];
        random_vector(&rng, x, 40);
        double before = dot(x, x, 40);
        float tail[8];
        memcpy(tail, x + 32, sizeof tail);
        rotate_at(&table, trial * 97, trial % 2 ? ROPE_HALVES : ROPE_INTERLEAVED, x);
        assert_close(dot(x, x, 40), before, 1e-6, 0.0);
        assert_memory_equal(tail, x + 32, sizeof tail);
    }
}

static void test_products_depend_on_the_distance_only(void **state)
{
    (void)state;
    static const char *const methods[] = {"none", "linear:factor=4", "pi:factor=4", "ntk:lambda=9"};
    Rng rng = rng_open(8, 0, 0, 0);
    for (int trial = 0; trial < 200; trial++) {
        RopeTable table = table_of(methods[trial % 4], 32, 1e4, 256, 1024);
        RopeLayout layout = trial % 3 ? ROPE_HALVES : ROPE_INTERLEAVED;
        float q[32];
        float k[32];
        random_vector(&rng, q, 32);
        random_vector(&rng, k, 32);
        float q_far[32];
        float k_far[32];
        memcpy(q_far, q, sizeof q);
        memcpy(k_far, k, sizeof k);
        int64_t i = rng_below(&rng, 2000);
        int64_t j = rng_below(&rng, 2000);
        int64_t shift = rng_below(&rng, 100000);
        rotate_at(&table, i, layout, q);
        rotate_at(&table, j, layout, k);
        rotate_at(&table, i + shift, layout, q_far);
        rotate_at(&table, j + shift, layout, k_far);
        assert_close(dot(q, k, 32), dot(q_far, k_far, 32), 0.0, 5e-6);
    }
}

/* Pair i of a layout is a complex number that turns by the angle. */
static void test_layouts_pair_the_elements_they_name(void **state)
{
    (void)state;
    RopeTable table = table_of("none", 4, 100.0, 16, 16);
    float halves[4] = {1.0F, 0.0F, 0.0F, 0.0F};
    float interleaved[4] = {1.0F, 0.0F, 0.0F, 0.0F};
    rotate_at(&table, 1, ROPE_HALVES, halves);
    rotate_at(&table, 1, ROPE_INTERLEAVED, interleaved);
    assert_close((double)halves[2], sin(1.0), 0.0, 1e-7);
    assert_close((double)halves[1], 0.0, 0.0, 0.0);
    assert_close((double)interleaved[1], sin(1.0), 0.0, 1e-7);
    assert_close((double)interleaved[2], 0.0, 0.0, 0.0);
}

static void test_text_of_a_spec_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"none", "ntk:lambda=4.25", "ntk:alpha=2",
                                        "linear:factor=1.5", "ntk:lambda=auto-each"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        RopeSpec spec = spec_of(texts[i], 64, 1e4, 512, 2048);
        char text[ROPE_TEXT_SIZE];
        rope_spec_text(&spec, text);
        assert_string_equal(text, texts[i]);
    }
}

static void test_bad_parameters_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } bad[] = {
        {"ntk:lambda=0",        "above 0"                                             },
        {"ntk:lambda=-1",       "above 0"                                             },
        {"ntk:lambda=nan",      "a number"                                            },
        {"ntk:lambda=inf",      "a number"                                            },
        {"ntk:lambda",          "not key=value"                                       },
        {"ntk:factor=2",        "does not read factor; it reads: lambda, alpha, log_n"},
        {"none:lambda=2",       "it reads: log_n"                                     },
        {"linear:factor=0.5",   "at least 1"                                          },
        {"linear:freq-scale=2", "at least 1"                                          },
        {"linear:banana=2",     "unknown parameter \"banana\""                        },
        {"ntk:alpha=0.5",       "at least 1"                                          },
        {"ntkk",                "did you mean ntk?"                                   },
        {"",                    "unknown method"                                      },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        RopeSpec spec = {.n_rot = 64, .theta = 1e4, .n_ctx_orig = 512};
        Err err;
        assert_err(rope_spec_parse(bad[i].text, &spec, &err), &err, ERR_USAGE, bad[i].part);
    }
}

static void test_resolve_refuses_what_cannot_be_rotated(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        RopeSpec spec;
        ErrCode code;
        const char *part;
    } bad[] = {
        {"none",                 {.n_rot = 3, .theta = 1e4, .n_ctx_orig = 512},       ERR_INPUT, "even number"   },
        {"none",                 {.n_rot = 0, .theta = 1e4, .n_ctx_orig = 512},       ERR_INPUT, "even number"   },
        {"none",                 {.n_rot = 4096, .theta = 1e4, .n_ctx_orig = 512},    ERR_INPUT, "even number"   },
        {"ntk:lambda=2",         {.n_rot = 2, .theta = 1e4, .n_ctx_orig = 512},       ERR_INPUT, "one pair"      },
        {"none",                 {.n_rot = 64, .theta = 0.0, .n_ctx_orig = 512},      ERR_INPUT, "rope base"     },
        {"none",                 {.n_rot = 64, .theta = INFINITY, .n_ctx_orig = 512}, ERR_INPUT, "rope base"     },
        {"none",                 {.n_rot = 64, .theta = 1e4, .n_ctx_orig = 0},        ERR_INPUT, "trained length"},
        {"ntk:lambda=2,alpha=2",
         {.n_rot = 64, .theta = 1e4, .n_ctx_orig = 512},
         ERR_USAGE,                                                                              "both set"      },
        {"ntk",                  {.n_rot = 64, .theta = 1e4, .n_ctx_orig = 512},      ERR_USAGE, "target length" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        RopeSpec spec = {0};
        Err err;
        assert_ok(rope_spec_parse(bad[i].text, &spec, &err), &err);
        spec.n_rot = bad[i].spec.n_rot;
        spec.theta = bad[i].spec.theta;
        spec.n_ctx_orig = bad[i].spec.n_ctx_orig;
        assert_err(rope_spec_resolve(&spec, 0, &err), &err, bad[i].code, bad[i].part);
    }
}

static void test_lengths_out_of_range_are_refused(void **state)
{
    (void)state;
    RopeSpec spec = spec_of("none", 64, 1e4, 512, 512);
    RopeTable table;
    Err err;
    assert_err(rope_table_make(&spec, 0, &table, &err), &err, ERR_USAGE, "context length 0");
    assert_err(rope_table_make(&spec, ROPE_MAX_POSITION + 1, &table, &err), &err, ERR_USAGE,
               "2^40");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lambda_quarter_gives_the_published_second_component),
        cmocka_unit_test(test_lambda_of_target_matches_the_golden_values),
        cmocka_unit_test(test_lambda_of_target_interpolates_the_slowest_pair_fully),
        cmocka_unit_test(test_alpha_multiplies_the_base_that_the_model_has),
        cmocka_unit_test(test_auto_is_never_below_one),
        cmocka_unit_test(test_auto_each_follows_the_length_and_auto_does_not),
        cmocka_unit_test(test_identity_parameters_are_bit_equal_to_none),
        cmocka_unit_test(test_pi_and_linear_agree_to_rounding),
        cmocka_unit_test(test_linear_divides_every_angle),
        cmocka_unit_test(test_angles_are_exact_to_float_at_any_position),
        cmocka_unit_test(test_rotation_keeps_norms_in_both_layouts),
        cmocka_unit_test(test_products_depend_on_the_distance_only),
        cmocka_unit_test(test_layouts_pair_the_elements_they_name),
        cmocka_unit_test(test_text_of_a_spec_reads_back),
        cmocka_unit_test(test_bad_parameters_are_refused_by_name),
        cmocka_unit_test(test_resolve_refuses_what_cannot_be_rotated),
        cmocka_unit_test(test_lengths_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
