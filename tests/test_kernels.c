/* Every kernel path that this machine has, and attention in it, against plain loops in double. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
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

/* Runs a check on each path. */
static void on_every_path(void (*check)(const KernelPath *path))
{
    for (int i = 0; kernel_paths[i]; i++)
        if (kernel_paths[i]->is_supported()) check(kernel_paths[i]);
}

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
    float edges[4] = {0.0F, -INFINITY, -200.0F, NAN};
    path->exp(edges, 4);
    assert_true(edges[0] == 1.0F && edges[1] < 1e-37F && edges[2] < 1e-37F && isnan(edges[3]));
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

static bool is_bf16(const KernelPath *path)
{
    return str_equal(path->precision, "bf16");
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

static void test_a_row_of_logits_equals_a_plain_loop(void **state)
{
    (void)state;
    on_every_path(check_large_logits);
    on_every_path(check_logit_rows);
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

/* Softmax attention by its definition: one query row, all scores, in double. keys, values: [position, n_kv_heads * head_dim], from
 * the head on. */
static void brute_force_row(const AttentionShape *s, const float *q, const float *keys,
                            const float *values, int64_t position, double *out)
{
    double *score = mem_alloc((size_t)position + 1, sizeof *score);
    double top = -INFINITY;
    int64_t width = (int64_t)s->n_kv_heads * s->head_dim;
    int64_t first = s->window > 0 && position >= s->window ? position - s->window + 1 : 0;
    for (int64_t j = first; j <= position; j++) {
        double sum = 0.0;
        for (int i = 0; i < s->head_dim; i++)
            sum += (double)q[i] * (double)keys[j * width + i];
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
            out[i] += p * (double)values[j * width + i];
    }
    for (int i = 0; i < s->head_dim; i++)
        out[i] /= total;
    free(score);
}

/* Queries as the path sees them: those of bf16 are rounded after they are scaled. */
static float *queries_seen(const KernelPath *path, const float *q, size_t n, int head_dim)
{
    float *seen = mem_dup(q, n * sizeof *q);
    float scale = (float)(1.0 / sqrt(head_dim));
    if (!is_bf16(path)) return seen;
    for (size_t i = 0; i < n; i++)
        seen[i] *= scale;
    round_to_bf16(seen, n);
    for (size_t i = 0; i < n; i++)
        seen[i] /= scale;
    return seen;
}

/* Runs a timeline of n positions in chunks of m rows and compares each row with brute force. In bf16 that has the rounded operands; what
 * is left are the softmax's weights, each off by up to 2^-9, on values up to 1. */
static void check_attention(const KernelPath *path, AttentionShape shape, int64_t n, int m,
                            double offset, double tolerance)
{
    static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};
    size_t head_dim = (size_t)shape.head_dim;
    size_t q_width = (size_t)shape.n_heads * head_dim;
    size_t kv_width = (size_t)shape.n_kv_heads * head_dim;
    float *q = random_floats(10, (size_t)n * q_width, 2.0);
    float *k = random_floats(11, (size_t)n * kv_width, 2.0);
    float *v = random_floats(12, (size_t)n * kv_width, 1.0);
    for (size_t i = 0; offset != 0.0 && i < (size_t)n * q_width; i++)
        q[i] += (float)offset;
    for (size_t i = 0; offset != 0.0 && i < (size_t)n * kv_width; i++)
        k[i] -= (float)offset;
    float *q_seen = queries_seen(path, q, (size_t)n * q_width, shape.head_dim);
    float *k_seen = mem_dup(k, (size_t)n * kv_width * sizeof *k);
    float *v_seen = mem_dup(v, (size_t)n * kv_width * sizeof *v);
    if (is_bf16(path)) {
        round_to_bf16(k_seen, (size_t)n * kv_width);
        round_to_bf16(v_seen, (size_t)n * kv_width);
        tolerance += 0x1p-9;
    }
    float *keys = mem_alloc(attention_key_floats(&shape), sizeof *keys);
    float *values = mem_alloc(attention_value_floats(&shape), sizeof *values);
    float *scratch = mem_alloc(attention_scratch_floats(&shape, m), sizeof *scratch);
    float *got = mem_alloc((size_t)m * q_width, sizeof *got);
    double *want = mem_alloc(head_dim, sizeof *want);
    for (int64_t first = 0; first < n; first += m) {
        int rows = (int)min_i64(m, n - first);
        AttentionInput input = {.path = path,
                                .rope = &plain,
                                .queries = {q + (size_t)first * q_width},
                                .keys = {keys},
                                .values = values,
                                .first = first,
                                .m = rows,
                                .n_threads = 1};
        assert_int_equal(
            attention_store_keys(&shape, k + (size_t)first * kv_width, first, rows, keys), rows);
        assert_int_equal(
            attention_store_values(&shape, v + (size_t)first * kv_width, first, rows, values),
            rows);
        attention_chunk(&shape, &input, scratch, got);
        for (int row = 0; row < rows; row++) {
            for (int head = 0; head < shape.n_heads; head++) {
                size_t at = (size_t)head * head_dim;
                size_t kv = (size_t)(head / (shape.n_heads / shape.n_kv_heads)) * head_dim;
                brute_force_row(&shape, q_seen + (size_t)(first + row) * q_width + at, k_seen + kv,
                                v_seen + kv, first + row, want);
                for (int i = 0; i < shape.head_dim; i++)
                    assert_close((double)got[(size_t)row * q_width + at + (size_t)i], want[i], 0.0,
                                 tolerance);
            }
        }
    }
    free(q);
    free(k);
    free(v);
    free(q_seen);
    free(k_seen);
    free(v_seen);
    free(keys);
    free(values);
    free(scratch);
    free(got);
    free(want);
}

/* Heads in groups, widths that fill vectors and that do not, chunks that end anywhere. */
static void check_shapes(const KernelPath *path)
{
    check_attention(path, (AttentionShape){6, 2, 16, 384, 0}, 384, 128, 0.0, 3e-6);
    check_attention(path, (AttentionShape){4, 4, 8, 384, 0}, 256, 128, 0.0, 3e-6);
    check_attention(path, (AttentionShape){3, 1, 10, 288, 0}, 256, 100, 0.0, 3e-6);
    check_attention(path, (AttentionShape){2, 2, 48, 336, 0}, 300, 77, 0.0, 3e-6);
    check_attention(path, (AttentionShape){2, 1, 64, 336, 0}, 270, 256, 0.0, 3e-6);
    check_attention(path, (AttentionShape){1, 1, 80, 336, 0}, 300, 256, 0.0, 3e-6);
    check_attention(path, (AttentionShape){4, 2, 16, 384, 0}, 300, 1, 0.0, 3e-6);
}

static void test_attention_equals_brute_force(void **state)
{
    (void)state;
    on_every_path(check_shapes);
}

/* Windows within a panel, within a block, across blocks, and longer than the text. */
static void check_windows(const KernelPath *path)
{
    static const int64_t windows[] = {1, 5, 47, 48, 49, 200, 288, 289, 300, 1000};
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        check_attention(path, (AttentionShape){4, 2, 16, 672, windows[i]}, 600, 128, 0.0, 3e-6);
        check_attention(path, (AttentionShape){4, 2, 16, 384, windows[i]}, 300, 1, 0.0, 3e-6);
    }
}

static void test_attention_in_a_window_equals_brute_force(void **state)
{
    (void)state;
    on_every_path(check_windows);
}

/* Every raw score near -2.5e5: a finite stand-in for -inf would win the maximum. */
static void check_low_scores(const KernelPath *path)
{
    check_attention(path, (AttentionShape){2, 2, 16, 288, 0}, 256, 128, 250.0, 5e-2);
}

static void test_attention_survives_scores_below_any_sentinel(void **state)
{
    (void)state;
    on_every_path(check_low_scores);
}

enum { N_HEADS = 4, HEAD_DIM = 16, WIDTH = N_HEADS * HEAD_DIM, N_POSITIONS = 256 };

/* Rows 128 … 128+m-1 of one timeline. */
static void attend_rows(const KernelPath *path, int n_threads, int first, int m,
                        const float *const qkv[3], float *out)
{
    static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};
    AttentionShape shape = {N_HEADS, N_HEADS, HEAD_DIM, 6 * KERNEL_KEYS, 0};
    float *keys = mem_zalloc(attention_key_floats(&shape), sizeof *keys);
    float *values = mem_zalloc(attention_value_floats(&shape), sizeof *values);
    float *scratch = mem_alloc(attention_scratch_floats(&shape, m), sizeof *scratch);
    attention_store_keys(&shape, qkv[1], 0, N_POSITIONS, keys);
    attention_store_values(&shape, qkv[2], 0, N_POSITIONS, values);
    AttentionInput input = {.path = path,
                            .rope = &plain,
                            .queries = {qkv[0] + (size_t)first * WIDTH},
                            .keys = {keys},
                            .values = values,
                            .first = first,
                            .m = m,
                            .n_threads = n_threads};
    attention_chunk(&shape, &input, scratch, out);
    free(keys);
    free(values);
    free(scratch);
}

/* A row's bits are the same whatever threads there are, whatever rows are beside it, and whatever stands after it. */
static void check_independence(const KernelPath *path)
{
    float *qkv[3];
    float one[128 * WIDTH];
    float two[128 * WIDTH];
    for (int i = 0; i < 3; i++)
        qkv[i] = random_floats((uint32_t)(20 + i), (size_t)N_POSITIONS * WIDTH, 1.0);
    const float *const input[3] = {qkv[0], qkv[1], qkv[2]};
    attend_rows(path, 1, 128, 128, input, one);
    attend_rows(path, 2, 128, 128, input, two);
    assert_memory_equal(one, two, sizeof one);
    attend_rows(path, 1, 128 + 5, 9, input, two);
    assert_memory_equal(one + (ptrdiff_t)5 * WIDTH, two, 9 * WIDTH * sizeof *one);
    for (int i = 0; i < WIDTH; i++) { /* change position 200 */
        qkv[1][200 * WIDTH + i] = 1e6F;
        qkv[2][200 * WIDTH + i] = -1e6F;
    }
    attend_rows(path, 1, 128, 128, input, two);
    assert_memory_equal(one, two, (size_t)(200 - 128) * WIDTH * sizeof *one);
    assert_memory_not_equal(one, two, sizeof one);
    for (int i = 0; i < 3; i++)
        free(qkv[i]);
}

static void test_a_rows_attention_depends_on_what_it_sees_alone(void **state)
{
    (void)state;
    on_every_path(check_independence);
}

static void test_rows_that_are_not_finite_are_stored_as_zero(void **state)
{
    (void)state;
    AttentionShape shape = {1, 1, 4, KERNEL_KEYS, 0};
    float rows[3][4] = {
        {1, 2,   3,  4 },
        {5, NAN, 7,  8 },
        {9, 10,  11, 12}
    };
    float keys[4 * KERNEL_KEYS];
    float values[KERNEL_LANES * KERNEL_KEYS];
    assert_int_equal(attention_store_keys(&shape, rows[0], 0, 3, keys), 1);
    assert_int_equal(attention_store_values(&shape, rows[0], 0, 3, values), 1);
    for (int i = 0; i < 4; i++) {
        assert_true(keys[i * KERNEL_KEYS] == rows[0][i] && keys[i * KERNEL_KEYS + 1] == 0.0F &&
                    keys[i * KERNEL_KEYS + 2] == rows[2][i]);
        assert_true(values[i] == rows[0][i] && values[KERNEL_LANES + i] == 0.0F &&
                    values[2 * KERNEL_LANES + i] == rows[2][i]);
    }
    for (int i = 4; i < KERNEL_LANES; i++)
        assert_true(values[i] == 0.0F);
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
        cmocka_unit_test(test_attention_equals_brute_force),
        cmocka_unit_test(test_attention_in_a_window_equals_brute_force),
        cmocka_unit_test(test_attention_survives_scores_below_any_sentinel),
        cmocka_unit_test(test_a_rows_attention_depends_on_what_it_sees_alone),
        cmocka_unit_test(test_rows_that_are_not_finite_are_stored_as_zero),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
