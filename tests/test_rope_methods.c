/* Every scaling method against golden values, published vectors and limits that must coincide. */
#include "tests/test_util.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/rope.h"

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

static double plain(int i, int n_rot, double theta)
{
    return exp(-2.0 * i / n_rot * log(theta));
}

/* θ_i / θ'_i. */
static double divisor(const RopeTable *table, int i, int n_rot, double theta)
{
    return plain(i, n_rot, theta) / rope_scaled_angle(table, i);
}

static void test_dynamic_ntk_changes_the_base_with_the_length(void **state)
{
    (void)state;
    static const struct {
        int64_t n_ctx;
        double base;
    } golden[] = {
        {4096,  10000.0          },
        {8192,  30527.7367488067 },
        {16384, 72195.86008650938}
    };
    for (size_t k = 0; k < COUNT_OF(golden); k++) {
        RopeTable table = table_of("dynamic-ntk:factor=2", 128, 1e4, 4096, golden[k].n_ctx);
        for (int i = 0; i < 64; i++)
            assert_close(rope_scaled_angle(&table, i), plain(i, 128, golden[k].base), 1e-12, 0.0);
    }
}

static void test_dynamic_methods_equal_none_within_the_trained_length(void **state)
{
    (void)state;
    static const char *const methods[] = {"dynamic-ntk:factor=4", "dynamic-linear", "qwen-ntk",
                                          "dynamic-yarn"};
    static const int64_t lengths[] = {1, 2048, 4096};
    RopeTable none = table_of("none", 128, 1e4, 4096, 4096);
    for (size_t m = 0; m < COUNT_OF(methods); m++) {
        for (size_t k = 0; k < COUNT_OF(lengths); k++) {
            RopeTable table = table_of(methods[m], 128, 1e4, 4096, lengths[k]);
            for (int i = 0; i < 64; i++)
                assert_close(rope_scaled_angle(&table, i), rope_scaled_angle(&none, i), 1e-15, 0.0);
            assert_true(table.amplitude == 1.0);
        }
    }
}

static void test_dynamic_ntk_of_factor_one_is_the_formulas_lambda_for_each_length(void **state)
{
    (void)state;
    RopeTable a = table_of("dynamic-ntk:factor=1", 64, 1e4, 512, 2048);
    RopeTable b = table_of("ntk:lambda=auto-each", 64, 1e4, 512, 2048);
    for (int i = 0; i < 32; i++)
        assert_close(rope_scaled_angle(&a, i), rope_scaled_angle(&b, i), 1e-15, 0.0);
}

static void test_qwen_ntk_moves_in_powers_of_two(void **state)
{
    (void)state;
    static const struct {
        int64_t n_ctx;
        double alpha;
    } golden[] = {
        {512,  1.0 },
        {513,  3.0 },
        {1024, 3.0 },
        {1025, 7.0 },
        {2048, 7.0 },
        {4096, 15.0}
    };
    for (size_t k = 0; k < COUNT_OF(golden); k++) {
        RopeTable table = table_of("qwen-ntk", 64, 1e4, 512, golden[k].n_ctx);
        double base = 1e4 * pow(golden[k].alpha, 64.0 / 62.0);
        assert_close(rope_scaled_angle(&table, 31), plain(31, 64, base), 1e-12, 0.0);
    }
}

static void test_yarn_keeps_fast_pairs_and_interpolates_slow_ones(void **state)
{
    (void)state;
    static const struct {
        int64_t n_ctx_orig;
        int low;
        int high;
    } corners[] = {
        {4096, 20, 46},
        {2048, 16, 41}
    };
    for (size_t k = 0; k < COUNT_OF(corners); k++) {
        RopeTable table = table_of("yarn:factor=8", 128, 1e4, corners[k].n_ctx_orig, 32768);
        for (int i = 0; i <= corners[k].low; i++)
            assert_close(divisor(&table, i, 128, 1e4), 1.0, 1e-12, 0.0);
        for (int i = corners[k].low + 1; i < corners[k].high; i++) {
            double t = (double)(i - corners[k].low) / (corners[k].high - corners[k].low);
            assert_close(divisor(&table, i, 128, 1e4), 1.0 / (1.0 - t + t / 8.0), 1e-12, 0.0);
        }
        for (int i = corners[k].high; i < 64; i++)
            assert_close(divisor(&table, i, 128, 1e4), 8.0, 1e-12, 0.0);
    }
}

static void test_yarn_uses_raw_corners_without_truncate(void **state)
{
    (void)state;
    RopeTable table = table_of("yarn:factor=32,truncate=0", 64, 150000.0, 4096, 131072);
    for (int i = 0; i < 32; i++) {
        double t = fmin(1.0, fmax(0.0, (i - 8.09278) / (17.39802 - 8.09278)));
        assert_close(divisor(&table, i, 64, 150000.0), 1.0 / (1.0 - t + t / 32.0), 2e-5, 0.0);
    }
}

static void test_yarn_amplitude_follows_each_of_its_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double amplitude;
    } golden[] = {
        {"yarn:factor=1",                                1.0               },
        {"yarn:factor=2",                                1.0693147180559945},
        {"yarn:factor=4",                                1.1386294361119891},
        {"yarn:factor=8",                                1.2079441541679836},
        {"yarn:factor=16",                               1.2772588722239781},
        {"yarn:factor=64",                               1.4158883083359672},
        {"yarn:factor=16,mscale=1,mscale_all_dim=1",     1.0               },
        {"yarn:factor=16,attention_factor=1",            1.0               },
        {"yarn:factor=4,attn_factor=0.8782488562869419", 1.0               },
    };
    for (size_t k = 0; k < COUNT_OF(golden); k++) {
        RopeTable table = table_of(golden[k].text, 128, 1e4, 4096, 8192);
        assert_close(table.amplitude, golden[k].amplitude, 1e-9, 0.0);
    }
}

static void test_yarns_limits_are_none_and_linear(void **state)
{
    (void)state;
    RopeTable none = table_of("none", 64, 1e4, 512, 2048);
    RopeTable linear = table_of("linear:factor=4", 64, 1e4, 512, 2048);
    RopeTable kept =
        table_of("yarn:factor=4,beta_fast=0.000002,beta_slow=0.000001", 64, 1e4, 512, 2048);
    RopeTable interpolated = table_of("yarn:factor=4,ext_factor=0", 64, 1e4, 512, 2048);
    for (int i = 0; i < 32; i++) {
        assert_close(rope_scaled_angle(&kept, i), rope_scaled_angle(&none, i), 1e-14, 0.0);
        assert_close(rope_scaled_angle(&interpolated, i), rope_scaled_angle(&linear, i), 1e-14,
                     0.0);
    }
}

static void test_llama3_divides_by_the_published_factors(void **state)
{
    (void)state;
    static const double blended_128[] = {1.20748, 1.55341, 2.02631, 2.69453, 3.68425, 5.25733};
    static const double blended_64[] = {1.65133, 3.29226, 9.66673};
    RopeTable table = table_of("llama3", 128, 5e5, 8192, 131072);
    for (int i = 0; i < 64; i++) {
        double want = i <= 28 ? 1.0 : i >= 35 ? 8.0 : blended_128[i - 29];
        assert_close(divisor(&table, i, 128, 5e5), want, 1e-5, 0.0);
    }
    table = table_of("llama3:factor=32", 64, 5e5, 8192, 131072);
    for (int i = 0; i < 32; i++) {
        double want = i <= 14 ? 1.0 : i >= 18 ? 32.0 : blended_64[i - 15];
        assert_close(divisor(&table, i, 64, 5e5), want, 1e-5, 0.0);
    }
}

static RopeSpec longrope_spec(const char *text, int64_t n_ctx_orig)
{
    RopeSpec spec = {.n_rot = 8, .theta = 1e4, .n_ctx_orig = n_ctx_orig};
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    spec.short_factors = (RopeFactors){
        4, {1.0, 1.1, 1.2, 1.3}
    };
    spec.long_factors = (RopeFactors){
        4, {1.0, 2.0, 8.0, 32.0}
    };
    assert_ok(rope_spec_resolve(&spec, 131072, &err), &err);
    return spec;
}

static void test_longrope_switches_beyond_the_trained_length(void **state)
{
    (void)state;
    RopeSpec spec = longrope_spec("longrope:factor=32", 4096);
    RopeTable at;
    RopeTable beyond;
    Err err;
    assert_ok(rope_table_make(&spec, 4096, &at, &err), &err);
    assert_ok(rope_table_make(&spec, 4097, &beyond, &err), &err);
    for (int i = 0; i < 4; i++) {
        assert_close(divisor(&at, i, 8, 1e4), spec.short_factors.factor[i], 1e-12, 0.0);
        assert_close(divisor(&beyond, i, 8, 1e4), spec.long_factors.factor[i], 1e-12, 0.0);
    }
    assert_close(at.amplitude, 1.1902380714, 1e-9, 0.0);
    RopeSpec eight = longrope_spec("longrope:factor=8", 8192);
    assert_ok(rope_table_make(&eight, 16384, &beyond, &err), &err);
    assert_close(beyond.amplitude, 1.1094003925, 1e-9, 0.0);
}

static void test_longrope_keeps_its_start_tokens(void **state)
{
    (void)state;
    RopeSpec spec = longrope_spec("longrope:factor=32,attention_factor=1,start=3", 4096);
    RopeTable table;
    float cos_row[2][4];
    float sin_row[2][4];
    Err err;
    assert_ok(rope_table_make(&spec, 8192, &table, &err), &err);
    rope_angles(&table, &table.query[0], 2, 2, cos_row[0], sin_row[0]);
    for (int i = 0; i < 4; i++) {
        assert_close((double)sin_row[0][i], sin(2.0 * plain(i, 8, 1e4)), 0.0, 1e-7);
        assert_close((double)sin_row[1][i],
                     sin(3.0 * plain(i, 8, 1e4) / spec.long_factors.factor[i]), 0.0, 1e-7);
    }
}

static void test_dynamic_longrope_grows_to_the_list(void **state)
{
    (void)state;
    RopeSpec spec = longrope_spec("dynamic-longrope:factor=32", 4096);
    RopeTable table;
    Err err;
    assert_ok(rope_table_make(&spec, 4096, &table, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_close(divisor(&table, i, 8, 1e4), 1.0, 1e-12, 0.0);
    assert_ok(rope_table_make(&spec, 131072, &table, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_close(divisor(&table, i, 8, 1e4), spec.long_factors.factor[i], 1e-12, 0.0);
    assert_ok(rope_table_make(&spec, 8192, &table, &err), &err);
    assert_close(divisor(&table, 3, 8, 1e4), 1.0 + 31.0 * 1.0 / 31.0, 1e-12, 0.0);
}

static void test_longrope_reads_lists_from_text(void **state)
{
    (void)state;
    RopeSpec spec = spec_of("longrope:factor=32,short_factor=1/1/1/1,long_factor=1/2/8.5/32", 8,
                            1e4, 4096, 131072);
    Err err;
    assert_int_equal(spec.long_factors.n, 4);
    assert_close(spec.long_factors.factor[2], 8.5, 0.0, 0.0);
    assert_err(rope_spec_parse("longrope:long_factor=1/x", &spec, &err), &err, ERR_USAGE,
               "1/1.1/8");
    assert_err(rope_spec_parse("yarn:long_factor=1", &spec, &err), &err, ERR_USAGE,
               "yarn does not read long_factor");
    assert_err(rope_spec_parse("dynamic-longrope:short_factor=1", &spec, &err), &err, ERR_USAGE,
               "it reads: factor, attention_factor, start, log_n, long_factor");
}

static void test_per_pair_divides_each_angle_by_its_own_number(void **state)
{
    (void)state;
    static const double divisors[] = {1.0, 1.0, 2.5, 8.0};
    RopeTable table = table_of("per-pair:pair_factor=1/1/2.5/8", 8, 5e5, 8192, 100);
    for (int i = 0; i < 4; i++)
        assert_close(divisor(&table, i, 8, 5e5), divisors[i], 1e-12, 0.0);
    assert_close(table.amplitude, 1.0, 0.0, 0.0);
    table = table_of("per-pair:pair_factor=1/1/1/1,attention_factor=1.19", 8, 5e5, 8192, 100);
    assert_close(table.amplitude, 1.19, 0.0, 0.0);
    RopeSpec spec = {.n_rot = 8, .theta = 1e4, .n_ctx_orig = 4096};
    Err err;
    assert_ok(rope_spec_parse("per-pair:pair_factor=1/2", &spec, &err), &err);
    assert_err(rope_spec_resolve(&spec, 8192, &err), &err, ERR_INPUT,
               "pair factor list has 2 entries; one for each of the 4 pairs");
}

static void test_longrope_refuses_lists_of_the_wrong_length(void **state)
{
    (void)state;
    RopeSpec spec = {.n_rot = 8, .theta = 1e4, .n_ctx_orig = 4096};
    Err err;
    assert_ok(rope_spec_parse("longrope", &spec, &err), &err);
    assert_err(rope_spec_resolve(&spec, 8192, &err), &err, ERR_INPUT,
               "short factor list has 0 entries");
}

static void test_by_parts_meets_plain_ntk_and_linear(void **state)
{
    (void)state;
    RopeTable table = table_of("by-parts:factor=4", 128, 1e4, 2048, 8192);
    assert_close(divisor(&table, 0, 128, 1e4), 1.0, 1e-12, 0.0);
    assert_close(divisor(&table, 63, 128, 1e4), 4.0, 1e-12, 0.0);
    double before = 0.0;
    for (int i = 0; i < 64; i++) {
        double now = divisor(&table, i, 128, 1e4);
        assert_true(now >= before - 1e-12 && now <= 4.0 + 1e-12);
        before = now;
    }
}

static void test_giraffe_and_mixed_equal_their_formulas(void **state)
{
    (void)state;
    RopeTable power = table_of("giraffe-power:factor=2,power=0.5", 32, 1e4, 512, 1024);
    RopeTable cut = table_of("giraffe-truncate:cut_length=512", 32, 1e4, 512, 1024);
    RopeTable mixed = table_of("ntk-mixed:mix=12", 32, 1e4, 512, 1024);
    double edge = 2.0 * acos(-1.0) / 512.0;
    for (int i = 0; i < 16; i++) {
        double theta = plain(i, 32, 1e4);
        double slow = theta >= edge ? theta : theta >= edge / 8.0 ? edge / 16.0 : 0.0;
        assert_close(rope_scaled_angle(&power, i), theta / 2.0 * sqrt(1.0 - i / 16.0), 1e-12, 0.0);
        assert_close(rope_scaled_angle(&cut, i), slow, 1e-12, 0.0);
        assert_close(rope_scaled_angle(&mixed, i), theta * pow(12.0, -pow((i + 1) / 16.0, 0.75)),
                     1e-12, 0.0);
    }
}

static void test_partial_and_proportional_turn_a_share(void **state)
{
    (void)state;
    RopeTable partial = table_of("partial:fraction=0.25", 64, 1e4, 512, 512);
    RopeTable proportional = table_of("proportional:fraction=0.25", 64, 1e4, 512, 512);
    assert_int_equal(partial.n_pairs, 8);
    assert_int_equal(proportional.n_pairs, 32);
    for (int i = 0; i < 8; i++) {
        assert_close(rope_scaled_angle(&partial, i), plain(i, 16, 1e4), 1e-12, 0.0);
        assert_close(rope_scaled_angle(&proportional, i), plain(i, 64, 1e4), 1e-12, 0.0);
    }
    for (int i = 8; i < 32; i++)
        assert_true(rope_scaled_angle(&proportional, i) == 0.0);
}

/* Relative position that a query at p sees of a key at j, read off the angles of pair 0 (inv_freq 1) in the variant that the rule names. */
static double relative_position(const RopeTable *table, int64_t p, int64_t j)
{
    int variant = rope_variant_of(table, p, j);
    const RopePosition *q = &table->query[variant].position;
    const RopePosition *k =
        &table->key[variant < table->n_key_variants ? variant : table->n_key_variants - 1].position;
    double at[2];
    const RopePosition *maps[2] = {q, k};
    int64_t positions[2] = {p, j};
    for (int i = 0; i < 2; i++) {
        int64_t x = maps[i]->modulus ? positions[i] % maps[i]->modulus : positions[i];
        double y = (double)x / maps[i]->divisor;
        if (maps[i]->whole) y = floor(y);
        at[i] = (y < maps[i]->cap ? y : maps[i]->cap) + maps[i]->offset;
    }
    return at[0] - at[1];
}

static void test_distance_methods_see_the_relative_positions_of_their_papers(void **state)
{
    (void)state;
    enum { L = 64, W = 16 };
    RopeTable rerope = table_of("rerope:window=16", 32, 1e4, L, 256);
    RopeTable leaky = table_of("leaky-rerope:window=16,factor=4", 32, 1e4, L, 256);
    RopeTable extend = table_of("self-extend:window=16,group=8", 32, 1e4, L, 256);
    RopeTable chunked = table_of("dual-chunk:chunk=48,window=8", 32, 1e4, L, 256);
    for (int64_t p = 0; p < 256; p += 3) {
        for (int64_t j = 0; j <= p; j++) {
            double r = (double)(p - j);
            bool near = p - j < W;
            assert_close(relative_position(&rerope, p, j), near ? r : W, 0.0, 1e-12);
            assert_close(relative_position(&leaky, p, j), near ? r : W + (r - W) / 4.0, 0.0, 1e-12);
            int64_t grouped = p / 8 - j / 8 + W - W / 8;
            assert_close(relative_position(&extend, p, j), near ? r : (double)grouped, 0.0, 1e-12);
            int64_t span = 40;
            double key = (double)(j % span);
            double query = p / span == j / span       ? (double)(p % span)
                           : p / span - j / span == 1 ? fmin((double)(p % span + span), 48.0)
                                                      : 48.0;
            assert_close(relative_position(&chunked, p, j), query - key, 0.0, 1e-12);
        }
    }
}

static void test_self_extends_group_fits_the_target(void **state)
{
    (void)state;
    RopeSpec spec = spec_of("self-extend:window=64", 32, 1e4, 256, 1024);
    double group = rope_spec_value(&spec, ROPE_GROUP, 1024);
    assert_true(64.0 + (1024.0 - 64.0) / group <= 2.0 * 256.0 / 3.0 + 1e-9);
    assert_true(64.0 + (1024.0 - 64.0) / (group - 1.0) > 2.0 * 256.0 / 3.0);
}

static void test_log_n_scales_late_queries_under_any_method(void **state)
{
    (void)state;
    RopeTable table = table_of("ntk:lambda=4,log_n=1", 32, 1e4, 256, 1024);
    assert_true(rope_query_scale(&table, 0) == 1.0F && rope_query_scale(&table, 255) == 1.0F);
    assert_close((double)rope_query_scale(&table, 65535), 2.0, 1e-6, 0.0);
    RopeTable without = table_of("ntk:lambda=4", 32, 1e4, 256, 1024);
    assert_true(rope_query_scale(&without, 65535) == 1.0F);
    assert_false(rope_table_equal(&table, &without));
}

static void test_transformers_vectors_agree(void **state)
{
    (void)state;
    json_error_t where;
    json_t *root =
        json_load_file(shared_path("data/fixtures/hf-rope/rope_inv_freq.json"), 0, &where);
    assert_non_null(root);
    size_t n_checked = 0;
    size_t k;
    const json_t *item;
    json_array_foreach(json_object_get(root, "cases"), k, item)
    {
        const char *type = json_string_value(json_object_get(item, "rope_type"));
        double factor = json_number_value(json_object_get(item, "factor"));
        const json_t *seq_len = json_object_get(item, "seq_len");
        int64_t n_ctx = json_is_integer(seq_len) ? json_integer_value(seq_len) : 2048;
        char text[64];
        if (strcmp(type, "default") == 0)
            snprintf(text, sizeof text, "none");
        else if (strcmp(type, "dynamic") == 0)
            snprintf(text, sizeof text, "dynamic-ntk:factor=%g", factor);
        else
            snprintf(text, sizeof text, "%s:factor=%g", type, factor);
        RopeTable table = table_of(text, 128, 1e4, 2048, n_ctx);
        const json_t *want = json_object_get(item, "inv_freq");
        for (int i = 0; i < 64; i++)
            assert_close(rope_scaled_angle(&table, i),
                         json_number_value(json_array_get(want, (size_t)i)), 1e-4, 0.0);
        const json_t *amplitude = json_object_get(item, "attention_factor");
        if (json_is_number(amplitude))
            assert_close(table.amplitude, json_number_value(amplitude), 1e-6, 0.0);
        n_checked++;
    }
    assert_true(n_checked >= 4);
    json_decref(root);
}

static void test_xpos_is_known_and_refused(void **state)
{
    (void)state;
    RopeSpec spec = {.n_rot = 64, .theta = 1e4, .n_ctx_orig = 512};
    Err err;
    assert_ok(rope_spec_parse("xpos", &spec, &err), &err);
    assert_err(rope_spec_resolve(&spec, 1024, &err), &err, ERR_UNSUPPORTED, "trained with");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic_ntk_changes_the_base_with_the_length),
        cmocka_unit_test(test_dynamic_methods_equal_none_within_the_trained_length),
        cmocka_unit_test(test_dynamic_ntk_of_factor_one_is_the_formulas_lambda_for_each_length),
        cmocka_unit_test(test_qwen_ntk_moves_in_powers_of_two),
        cmocka_unit_test(test_yarn_keeps_fast_pairs_and_interpolates_slow_ones),
        cmocka_unit_test(test_yarn_uses_raw_corners_without_truncate),
        cmocka_unit_test(test_yarn_amplitude_follows_each_of_its_keys),
        cmocka_unit_test(test_yarns_limits_are_none_and_linear),
        cmocka_unit_test(test_llama3_divides_by_the_published_factors),
        cmocka_unit_test(test_longrope_switches_beyond_the_trained_length),
        cmocka_unit_test(test_longrope_keeps_its_start_tokens),
        cmocka_unit_test(test_dynamic_longrope_grows_to_the_list),
        cmocka_unit_test(test_longrope_reads_lists_from_text),
        cmocka_unit_test(test_longrope_refuses_lists_of_the_wrong_length),
        cmocka_unit_test(test_per_pair_divides_each_angle_by_its_own_number),
        cmocka_unit_test(test_by_parts_meets_plain_ntk_and_linear),
        cmocka_unit_test(test_giraffe_and_mixed_equal_their_formulas),
        cmocka_unit_test(test_partial_and_proportional_turn_a_share),
        cmocka_unit_test(test_distance_methods_see_the_relative_positions_of_their_papers),
        cmocka_unit_test(test_self_extends_group_fits_the_target),
        cmocka_unit_test(test_log_n_scales_late_queries_under_any_method),
        cmocka_unit_test(test_transformers_vectors_agree),
        cmocka_unit_test(test_xpos_is_known_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
