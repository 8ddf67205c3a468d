/* Every kernel path that this machine has, against plain loops in double. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/kernels.h"
#include "tests/engine_setup.h"
#include "tests/kernel_fixture.h"

static void test_start_accepts_this_machines_products(void **state)
{
    (void)state;
    Err err;
    assert_ok(kernels_start(&err), &err);
}

static void check_exp(const KernelPath *path)
{
    enum { N = 100003 };
    float *x = mem_alloc(N, sizeof *x);
    float *y = mem_alloc(N, sizeof *y);
    for (int i = 0; i < N; i++)
        x[i] = y[i] = -86.9F + 174.5F * (float)i / N;
    path->exp(y, N);
    for (int i = 0; i < N; i++)
        assert_close((double)y[i], exp((double)x[i]), 2.4e-7, 0.0);
    float edges[8] = {0.0F, -INFINITY, -200.0F, -87.0F, NAN, 88.0F, 88.7F, INFINITY};
    path->exp(edges, 8);
    assert_true(edges[0] == 1.0F && edges[3] < 1e-37F && isnan(edges[4]));
    assert_true(edges[1] == edges[3] && edges[2] == edges[3]);
    assert_true(edges[6] == edges[5] && edges[7] == edges[5]);
    assert_close((double)edges[5], exp(88.0), 2.4e-7, 0.0);
    free(x);
    free(y);
}

static void test_exp_is_within_two_ulp_and_tiny_far_below(void **state)
{
    (void)state;
    on_every_path(check_exp);
}

/* A tail element must not differ from one in the middle of a vector. */
static void check_places(const KernelPath *path)
{
    float *x = random_floats(1, 64, 20.0);
    float whole[64];
    memcpy(whole, x, sizeof whole);
    path->exp(whole, 64);
    for (size_t i = 0; i < 64; i++) {
        float alone = x[i];
        path->exp(&alone, 1);
        assert_memory_equal(&alone, &whole[i], sizeof alone);
    }
    free(x);
}

static void test_exp_does_not_depend_on_an_elements_place(void **state)
{
    (void)state;
    on_every_path(check_places);
}

/* A product, plainly and by threads, and packed back: of the factors as they are, or rounded where the path rounds them. */
static void check_product(const KernelPath *path, LinearShape shape)
{
    size_t n_weights = (size_t)shape.n * (size_t)shape.k;
    size_t n_out = (size_t)shape.m * (size_t)shape.n;
    float *x = random_floats(2, (size_t)shape.m * (size_t)shape.k, 1.0);
    float *w = random_floats(3, n_weights, 1.0);
    float *packed = mem_dup(w, n_weights * sizeof *w);
    float *y = mem_alloc(n_out, sizeof *y);
    float *y2 = mem_alloc(n_out, sizeof *y2);
    if (path->pack) {
        float *back = mem_zalloc(n_weights, sizeof *back);
        free(packed);
        packed = mem_alloc(path->packed_floats(shape.n, shape.k), sizeof *packed);
        path->pack(w, shape.n, shape.k, packed);
        path->unpack(packed, shape.n, shape.k, back);
        if (is_bf16(path)) round_to_bf16(w, n_weights);
        assert_memory_equal(back, w, n_weights * sizeof *w);
        free(back);
    }
    path->linear(x, packed, y, shape, 1);
    path->linear(x, packed, y2, shape, 2);
    assert_memory_equal(y, y2, n_out * sizeof *y);
    for (size_t i = 0; i < n_out; i++)
        y2[i] = 0.25F * (float)(i % 7);
    path->add_linear(x, packed, y2, shape, 1);
    for (size_t i = 0; i < n_out; i++) {
        float sum = 0.25F * (float)(i % 7) + y[i];
        assert_close((double)y2[i], (double)sum, 0.0, path->granule == 1 ? 0.0 : 1e-5);
    }
    if (path->granule == 1) { /* a row alone has the bits that it has among others */
        LinearShape one = {1, shape.n, shape.k};
        path->linear(x + (size_t)(shape.m - 1) * (size_t)shape.k, packed, y2, one, 1);
        assert_memory_equal(y2, y + (size_t)(shape.m - 1) * (size_t)shape.n,
                            (size_t)shape.n * sizeof *y);
    }
    if (is_bf16(path)) round_to_bf16(x, (size_t)shape.m * (size_t)shape.k);
    for (int i = 0; i < shape.m; i++) {
        for (int j = 0; j < shape.n; j++) {
            double sum = 0.0;
            for (int l = 0; l < shape.k; l++)
                sum += (double)x[i * shape.k + l] * (double)w[j * shape.k + l];
            assert_close((double)y[i * shape.n + j], sum, 0.0, 2e-6 * sqrt(shape.k));
        }
    }
    free(x);
    free(w);
    free(packed);
    free(y);
    free(y2);
}

static void check_products(const KernelPath *path)
{
    static const LinearShape shapes[] = {
        {1,   1,    1 },
        {5,   511,  33},
        {4,   512,  64},
        {3,   513,  64},
        {13,  49,   7 },
        {16,  17,   5 },
        {128, 1500, 40}
    };
    for (size_t s = 0; s < COUNT_OF(shapes); s++)
        check_product(path, shapes[s]);
}

static void test_products_equal_a_plain_loop_for_any_shape(void **state)
{
    (void)state;
    on_every_path(check_products);
}

/* Rows from KERNEL_PACK_ROWS on are packed as a matrix of their own. */
static void check_slices(const KernelPath *path)
{
    enum { N = KERNEL_PACK_ROWS + 77, K = 3 };
    if (!path->pack) return;
    size_t n_packed = path->packed_floats(N, K);
    float *w = random_floats(8, (size_t)N * K, 1.0);
    float *whole = mem_alloc(n_packed, sizeof *whole);
    float *slices = mem_alloc(n_packed, sizeof *slices);
    path->pack(w, N, K, whole);
    path->pack(w, KERNEL_PACK_ROWS, K, slices);
    path->pack(w + (size_t)KERNEL_PACK_ROWS * K, N - KERNEL_PACK_ROWS, K,
               slices + path->packed_floats(KERNEL_PACK_ROWS, K));
    assert_memory_equal(whole, slices, n_packed * sizeof *whole);
    free(w);
    free(whole);
    free(slices);
}

static void test_a_matrix_may_be_packed_in_slices(void **state)
{
    (void)state;
    on_every_path(check_slices);
}

static void check_rms_norm(const KernelPath *path)
{
    enum { M = 3, D = 37 };
    float *x = random_floats(4, M * D, 3.0);
    float *weight = random_floats(5, D, 1.0);
    float y[M * D];
    path->rms_norm(x, weight, y, M, D, 1e-5);
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

static void test_rms_norm_equals_its_definition(void **state)
{
    (void)state;
    on_every_path(check_rms_norm);
}

static void check_layer_norm(const KernelPath *path)
{
    enum { M = 3, D = 37 };
    float *x = random_floats(30, M * D, 3.0);
    float *weight = random_floats(31, D, 1.0);
    float *bias = random_floats(32, D, 1.0);
    float got[M * D];
    path->layer_norm(x, &(LayerNorm){weight, bias, D, 1e-3}, got, M);
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

static void test_layer_norm_equals_its_definition(void **state)
{
    (void)state;
    on_every_path(check_layer_norm);
}

static void check_swiglu(const KernelPath *path)
{
    enum { N = 1001 };
    float *gate = random_floats(6, N, 30.0);
    float *up = random_floats(7, N, 2.0);
    float *got = mem_dup(gate, N * sizeof *gate);
    path->swiglu(got, up, N);
    for (int i = 0; i < N; i++)
        assert_close((double)got[i],
                     (double)gate[i] / (1.0 + exp(-(double)gate[i])) * (double)up[i], 6e-7, 1e-12);
    free(gate);
    free(up);
    free(got);
}

static void test_swiglu_equals_its_definition(void **state)
{
    (void)state;
    on_every_path(check_swiglu);
}

static void check_large_logits(const KernelPath *path)
{
    float logits[5] = {1000.0F, 999.0F, -1000.0F, 998.5F, 0.0F};
    double want = 1000.0 + log(1.0 + exp(-1.0) + exp(-1.5));
    assert_close(path->logit_row(logits, 5, 5, 0).log_sum_exp, want, 1e-10, 0.0);
    logits[2] = NAN;
    assert_false(isfinite(path->logit_row(logits, 5, 5, 0).log_sum_exp));
    logits[2] = INFINITY;
    assert_false(isfinite(path->logit_row(logits, 5, 5, 0).log_sum_exp));
}

/* Ranks, argmax and sum of rows with equal logits, for sizes around the vector's. */
static void check_logit_rows(const KernelPath *path)
{
    for (int n = 1; n < 80; n++) {
        float logits[80];
        for (int i = 0; i < n; i++)
            logits[i] = (float)((i * 7 + n) % 5) - 2.0F;
        int n_ids = n > 3 ? n - 2 : n; /* the last two do not count as answers */
        int32_t target = (n * 3) % n_ids;
        LogitRow got = path->logit_row(logits, n, n_ids, target);
        double sum = 0.0;
        int32_t best = 0;
        int32_t rank = 0;
        for (int i = 0; i < n; i++)
            sum += exp((double)logits[i]);
        for (int i = 0; i < n_ids; i++) {
            if (logits[i] > logits[best]) best = i;
            rank += logits[i] > logits[target] || (logits[i] == logits[target] && i < target);
        }
        assert_close(got.log_sum_exp, log(sum), 1e-6, 1e-7);
        assert_int_equal(got.argmax, best);
        assert_int_equal(got.rank, rank);
    }
}

/* The argmax at every place of a row longer than the runs that are looked through. */
static void check_long_rows(const KernelPath *path)
{
    enum { N = 600 };
    float logits[N] = {0};
    for (int32_t best = 0; best < N; best++) {
        logits[best] = 1.0F;
        logits[N - 1] = 1.0F;
        assert_int_equal(path->logit_row(logits, N, N, 0).argmax, best);
        logits[best] = 0.0F;
    }
}

static void test_a_row_of_logits_equals_a_plain_loop(void **state)
{
    (void)state;
    on_every_path(check_large_logits);
    on_every_path(check_logit_rows);
    on_every_path(check_long_rows);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_accepts_this_machines_products),
        cmocka_unit_test(test_exp_is_within_two_ulp_and_tiny_far_below),
        cmocka_unit_test(test_exp_does_not_depend_on_an_elements_place),
        cmocka_unit_test(test_products_equal_a_plain_loop_for_any_shape),
        cmocka_unit_test(test_a_matrix_may_be_packed_in_slices),
        cmocka_unit_test(test_rms_norm_equals_its_definition),
        cmocka_unit_test(test_layer_norm_equals_its_definition),
        cmocka_unit_test(test_swiglu_equals_its_definition),
        cmocka_unit_test(test_a_row_of_logits_equals_a_plain_loop),
        cmocka_unit_test(test_all_finite_sees_each_kind),
        cmocka_unit_test(test_gelu_is_x_times_the_normal_distribution),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
