/* Kernels and attention against plain loops in double. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "models/attention.h"
#include "models/kernels.h"
#include "tests/engine_setup.h"

static float *random_floats(uint32_t stream, size_t n, double scale)
{
    Rng rng = rng_open(99, stream, 0, 0);
    float *x = mem_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((rng_unit(&rng) * 2.0 - 1.0) * scale);
    return x;
}

static void test_start_accepts_this_machines_sgemm(void **state)
{
    (void)state;
    Err err;
    assert_ok(kernels_start(&err), &err);
}

static void test_exp_is_within_two_ulp_and_zero_far_below(void **state)
{
    (void)state;
    enum { N = 100003 };
    float *x = mem_alloc(N, sizeof *x);
    float *y = mem_alloc(N, sizeof *y);
    for (int i = 0; i < N; i++)
        x[i] = y[i] = -86.9F + 174.5F * (float)i / N;
    kernels_exp(y, N);
    for (int i = 0; i < N; i++)
        assert_close((double)y[i], exp((double)x[i]), 2.4e-7, 0.0);
    float edges[4] = {0.0F, -INFINITY, -200.0F, NAN};
    kernels_exp(edges, 4);
    assert_true(edges[0] == 1.0F && edges[1] == 0.0F && edges[2] == 0.0F && isnan(edges[3]));
    free(x);
    free(y);
}

/* A tail element must not differ from one in the middle of a vector. */
static void test_exp_does_not_depend_on_an_elements_place(void **state)
{
    (void)state;
    float *x = random_floats(1, 64, 20.0);
    float whole[64];
    memcpy(whole, x, sizeof whole);
    kernels_exp(whole, 64);
    for (size_t i = 0; i < 64; i++) {
        float alone = x[i];
        kernels_exp(&alone, 1);
        assert_memory_equal(&alone, &whole[i], sizeof alone);
    }
    free(x);
}

static void test_linear_equals_a_plain_loop_for_any_tile_count(void **state)
{
    (void)state;
    static const int shapes[][3] = {
        {1,   1,    1 },
        {5,   511,  33},
        {4,   512,  64},
        {3,   513,  64},
        {128, 1500, 40}
    };
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        int m = shapes[s][0];
        int n = shapes[s][1];
        int k = shapes[s][2];
        float *x = random_floats(2, (size_t)m * (size_t)k, 1.0);
        float *w = random_floats(3, (size_t)n * (size_t)k, 1.0);
        float *y = mem_alloc((size_t)m * (size_t)n, sizeof *y);
        float *y2 = mem_alloc((size_t)m * (size_t)n, sizeof *y2);
        kernels_linear(x, w, y, (LinearShape){m, n, k}, 1);
        kernels_linear(x, w, y2, (LinearShape){m, n, k}, 2);
        assert_memory_equal(y, y2, (size_t)m * (size_t)n * sizeof *y);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                double sum = 0.0;
                for (int l = 0; l < k; l++)
                    sum += (double)x[i * k + l] * (double)w[j * k + l];
                assert_close((double)y[i * n + j], sum, 0.0, 2e-6 * sqrt(k));
            }
        }
        free(x);
        free(w);
        free(y);
        free(y2);
    }
}

static void test_rms_norm_equals_its_definition(void **state)
{
    (void)state;
    enum { M = 3, D = 37 };
    float *x = random_floats(4, M * D, 3.0);
    float *weight = random_floats(5, D, 1.0);
    float y[M * D];
    kernels_rms_norm(x, weight, y, M, D, 1e-5);
    for (int row = 0; row < M; row++) {
        double sum = 0.0;
        for (int i = 0; i < D; i++)
            sum += (double)x[row * D + i] * (double)x[row * D + i];
        for (int i = 0; i < D; i++)
            assert_close((double)y[row * D + i],
                         (double)x[row * D + i] / sqrt(sum / D + 1e-5) * (double)weight[i], 3e-7,
                         1e-9);
    }
    free(x);
    free(weight);
}

static void test_swiglu_equals_its_definition(void **state)
{
    (void)state;
    enum { N = 1001 };
    float *gate = random_floats(6, N, 30.0);
    float *up = random_floats(7, N, 2.0);
    float *got = mem_dup(gate, N * sizeof *gate);
    kernels_swiglu(got, up, N);
    for (int i = 0; i < N; i++)
        assert_close((double)got[i],
                     (double)gate[i] / (1.0 + exp(-(double)gate[i])) * (double)up[i], 6e-7, 1e-12);
    free(gate);
    free(up);
    free(got);
}

static void test_log_sum_exp_survives_large_logits(void **state)
{
    (void)state;
    float logits[5] = {1000.0F, 999.0F, -1000.0F, 998.5F, 0.0F};
    double want = 1000.0 + log(1.0 + exp(-1.0) + exp(-1.5));
    assert_close(kernels_log_sum_exp(logits, 5), want, 1e-10, 0.0);
    logits[2] = NAN;
    assert_false(isfinite(kernels_log_sum_exp(logits, 5)));
    logits[2] = INFINITY;
    assert_false(isfinite(kernels_log_sum_exp(logits, 5)));
}

static void test_all_finite_sees_each_kind(void **state)
{
    (void)state;
    float x[33] = {0};
    assert_true(kernels_all_finite(x, 33));
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 33; i++) {
        x[i] = bad[i % 3];
        assert_false(kernels_all_finite(x, 33));
        x[i] = 3e38F;
    }
    assert_true(kernels_all_finite(x, 33));
}

static void test_gelu_is_x_times_the_normal_distribution(void **state)
{
    (void)state;
    for (int i = -60; i <= 60; i++) {
        double x = 0.15 * i;
        float got = (float)x;
        kernels_gelu(&got, 1);
        assert_close((double)got, 0.5 * x * erfc(-x / sqrt(2.0)), 1e-6, 1e-6);
    }
}

static void test_layer_norm_equals_its_definition(void **state)
{
    (void)state;
    enum { M = 3, D = 37 };
    float *x = random_floats(30, M * D, 3.0);
    float *weight = random_floats(31, D, 1.0);
    float *bias = random_floats(32, D, 1.0);
    float got[M * D];
    kernels_layer_norm(x, &(LayerNorm){weight, bias, D, 1e-3}, got, M);
    for (int row = 0; row < M; row++) {
        double mean = 0.0;
        double variance = 0.0;
        for (int i = 0; i < D; i++)
            mean += (double)x[row * D + i] / D;
        for (int i = 0; i < D; i++)
            variance += pow((double)x[row * D + i] - mean, 2) / D;
        for (int i = 0; i < D; i++)
            assert_close((double)got[row * D + i],
                         ((double)x[row * D + i] - mean) / sqrt(variance + 1e-3) *
                                 (double)weight[i] +
                             (double)bias[i],
                         1e-6, 1e-6);
    }
    free(x);
    free(weight);
    free(bias);
}

/* Softmax attention by its definition: one query row, all scores, in double. */
static void brute_force_row(const AttentionShape *s, const float *q, const float *keys,
                            const float *values, int64_t position, double *out)
{
    double *score = mem_alloc((size_t)position + 1, sizeof *score);
    double top = -INFINITY;
    int64_t first = s->window > 0 && position >= s->window ? position - s->window + 1 : 0;
    for (int64_t j = first; j <= position; j++) {
        double sum = 0.0;
        for (int i = 0; i < s->head_dim; i++)
            sum += (double)q[i] * (double)keys[j * s->head_dim + i];
        score[j] = sum / sqrt(s->head_dim);
        top = fmax(top, score[j]);
    }
    double total = 0.0;
    for (int i = 0; i < s->head_dim; i++)
        out[i] = 0.0;
    for (int64_t j = first; j <= position; j++) {
        double p = exp(score[j] - top);
        total += p;
        for (int i = 0; i < s->head_dim; i++)
            out[i] += p * (double)values[j * s->head_dim + i];
    }
    for (int i = 0; i < s->head_dim; i++)
        out[i] /= total;
    free(score);
}

/* Runs a timeline of n positions in chunks of m rows and compares each row with brute force. */
static void check_attention(AttentionShape shape, int64_t n, int m, double offset, double tolerance)
{
    static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};
    size_t q_width = (size_t)shape.n_heads * (size_t)shape.head_dim;
    size_t kv_floats = (size_t)shape.n_kv_heads * (size_t)shape.kv_stride * (size_t)shape.head_dim;
    float *q = random_floats(10, (size_t)n * q_width, 2.0);
    float *k = random_floats(11, kv_floats, 2.0);
    float *v = random_floats(12, kv_floats, 1.0);
    for (size_t i = 0; offset != 0.0 && i < (size_t)n * q_width; i++)
        q[i] += (float)offset;
    for (size_t i = 0; offset != 0.0 && i < kv_floats; i++)
        k[i] -= (float)offset;
    float *scratch = mem_alloc(attention_scratch_floats(&shape, m), sizeof *scratch);
    float *got = mem_alloc((size_t)m * q_width, sizeof *got);
    double *want = mem_alloc((size_t)shape.head_dim, sizeof *want);
    for (int64_t first = 0; first < n; first += m) {
        AttentionInput input = {.rope = &plain,
                                .queries = {q + (size_t)first * q_width},
                                .keys = {k},
                                .values = v,
                                .first = first,
                                .m = m};
        attention_chunk(&shape, &input, scratch, got);
        for (int row = 0; row < m; row++) {
            for (int head = 0; head < shape.n_heads; head++) {
                size_t at = (size_t)head * (size_t)shape.head_dim;
                size_t kv = (size_t)(head / (shape.n_heads / shape.n_kv_heads)) *
                            (size_t)shape.kv_stride * (size_t)shape.head_dim;
                brute_force_row(&shape, q + (size_t)(first + row) * q_width + at, k + kv, v + kv,
                                first + row, want);
                for (int i = 0; i < shape.head_dim; i++)
                    assert_close((double)got[(size_t)row * q_width + at + (size_t)i], want[i], 0.0,
                                 tolerance);
            }
        }
    }
    free(q);
    free(k);
    free(v);
    free(scratch);
    free(got);
    free(want);
}

static void test_attention_equals_brute_force_with_grouped_heads(void **state)
{
    (void)state;
    check_attention((AttentionShape){6, 2, 16, 384, 1, 0}, 384, 128, 0.0, 3e-6);
    check_attention((AttentionShape){4, 4, 8, 384, 1, 0}, 256, 128, 0.0, 3e-6);
    check_attention((AttentionShape){3, 1, 10, 256, 1, 0}, 256, 128, 0.0, 3e-6);
}

static void test_attention_of_single_rows_equals_brute_force(void **state)
{
    (void)state;
    check_attention((AttentionShape){4, 2, 16, 384, 1, 0}, 300, 1, 0.0, 3e-6);
}

/* Windows within a tile, of a tile, across tiles, and longer than the text. */
static void test_attention_in_a_window_equals_brute_force(void **state)
{
    (void)state;
    static const int64_t windows[] = {1, 5, 127, 128, 129, 200, 256, 300, 1000};
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        check_attention((AttentionShape){4, 2, 16, 512, 1, windows[i]}, 512, 128, 0.0, 3e-6);
        check_attention((AttentionShape){4, 2, 16, 384, 1, windows[i]}, 300, 1, 0.0, 3e-6);
    }
}

/* Every raw score near -2.5e5: a finite stand-in for -inf would win the maximum. */
static void test_attention_survives_scores_below_any_sentinel(void **state)
{
    (void)state;
    check_attention((AttentionShape){2, 2, 16, 256, 1, 0}, 256, 128, 250.0, 5e-2);
}

static void test_attention_does_not_depend_on_threads_or_on_later_values(void **state)
{
    (void)state;
    AttentionShape shape = {4, 4, 16, 256, 1, 0};
    size_t width = 64;
    float *q = random_floats(20, 256 * width, 1.0);
    float *k = random_floats(21, 256 * width, 1.0);
    float *v = random_floats(22, 256 * width, 1.0);
    float *scratch = mem_alloc(attention_scratch_floats(&shape, 128), sizeof *scratch);
    float *one = mem_alloc(128 * width, sizeof *one);
    float *two = mem_alloc(128 * width, sizeof *two);
    static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};
    AttentionInput input = {
        .rope = &plain, .queries = {q}, .keys = {k}, .values = v, .first = 128, .m = 128};
    attention_chunk(&shape, &input, scratch, one);
    shape.n_threads = 2;
    attention_chunk(&shape, &input, scratch, two);
    assert_memory_equal(one, two, 128 * width * sizeof *one);
    for (size_t head = 0; head < 4; head++) /* change position 200 */
        for (size_t i = 0; i < 16; i++) {
            k[(head * 256 + 200) * 16 + i] = 1e6F;
            v[(head * 256 + 200) * 16 + i] = 1e6F;
        }
    attention_chunk(&shape, &input, scratch, two);
    assert_memory_equal(one, two, (200 - 128) * width * sizeof *one);
    free(q);
    free(k);
    free(v);
    free(scratch);
    free(one);
    free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_accepts_this_machines_sgemm),
        cmocka_unit_test(test_exp_is_within_two_ulp_and_zero_far_below),
        cmocka_unit_test(test_exp_does_not_depend_on_an_elements_place),
        cmocka_unit_test(test_linear_equals_a_plain_loop_for_any_tile_count),
        cmocka_unit_test(test_rms_norm_equals_its_definition),
        cmocka_unit_test(test_swiglu_equals_its_definition),
        cmocka_unit_test(test_log_sum_exp_survives_large_logits),
        cmocka_unit_test(test_all_finite_sees_each_kind),
        cmocka_unit_test(test_gelu_is_x_times_the_normal_distribution),
        cmocka_unit_test(test_layer_norm_equals_its_definition),
        cmocka_unit_test(test_attention_equals_brute_force_with_grouped_heads),
        cmocka_unit_test(test_attention_of_single_rows_equals_brute_force),
        cmocka_unit_test(test_attention_in_a_window_equals_brute_force),
        cmocka_unit_test(test_attention_survives_scores_below_any_sentinel),
        cmocka_unit_test(test_attention_does_not_depend_on_threads_or_on_later_values),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
