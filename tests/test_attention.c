/* Attention in every kernel path that this machine has, against softmax by its definition, in double. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/attention.h"
#include "tests/engine_setup.h"
#include "tests/kernel_fixture.h"

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
    float scale = (float)(M_LOG2E / sqrt(head_dim));
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
    check_attention(path, (AttentionShape){4, 2, 7, 384, 0}, 300, 1, 0.0, 3e-6);
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
        check_attention(path, (AttentionShape){4, 2, 8, 384, windows[i]}, 301, 77, 0.0, 3e-6);
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

enum { WIDTH = 64, N_POSITIONS = 256 };

/* How a timeline is attended to. */
typedef struct {
    const KernelPath *path;
    int head_dim;
    int n_threads;
} Way;

/* Rows first … first+m-1 of one timeline. */
static void attend_rows(Way way, int first, int m, const float *const qkv[3], float *out)
{
    static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};
    AttentionShape shape = {WIDTH / way.head_dim, WIDTH / way.head_dim, way.head_dim,
                            6 * KERNEL_KEYS, 0};
    float *keys = mem_zalloc(attention_key_floats(&shape), sizeof *keys);
    float *values = mem_zalloc(attention_value_floats(&shape), sizeof *values);
    float *scratch = mem_alloc(attention_scratch_floats(&shape, m), sizeof *scratch);
    attention_store_keys(&shape, qkv[1], 0, N_POSITIONS, keys);
    attention_store_values(&shape, qkv[2], 0, N_POSITIONS, values);
    AttentionInput input = {.path = way.path,
                            .rope = &plain,
                            .queries = {qkv[0] + (size_t)first * WIDTH},
                            .keys = {keys},
                            .values = values,
                            .first = first,
                            .m = m,
                            .n_threads = way.n_threads};
    attention_chunk(&shape, &input, scratch, out);
    free(keys);
    free(values);
    free(scratch);
}

/* A row's bits are the same whatever threads there are, whatever rows are beside it, and whatever stands after it. */
static void check_independence(const KernelPath *path, int head_dim)
{
    float *qkv[3];
    float one[128 * WIDTH];
    float two[128 * WIDTH];
    for (int i = 0; i < 3; i++)
        qkv[i] = random_floats((uint32_t)(20 + i), (size_t)N_POSITIONS * WIDTH, 1.0);
    const float *const input[3] = {qkv[0], qkv[1], qkv[2]};
    attend_rows((Way){path, head_dim, 1}, 128, 128, input, one);
    attend_rows((Way){path, head_dim, 2}, 128, 128, input, two);
    assert_memory_equal(one, two, sizeof one);
    attend_rows((Way){path, head_dim, 1}, 128 + 5, 9, input, two);
    assert_memory_equal(one + (ptrdiff_t)5 * WIDTH, two, 9 * WIDTH * sizeof *one);
    for (int i = 0; i < WIDTH; i++) { /* change position 200 */
        qkv[1][200 * WIDTH + i] = 1e6F;
        qkv[2][200 * WIDTH + i] = -1e6F;
    }
    attend_rows((Way){path, head_dim, 1}, 128, 128, input, two);
    assert_memory_equal(one, two, (size_t)(200 - 128) * WIDTH * sizeof *one);
    assert_memory_not_equal(one, two, sizeof one);
    for (int i = 0; i < 3; i++)
        free(qkv[i]);
}

/* Of the sign of a zero, too: only key 0, whose value is 0, has a weight to speak of, the rest is below 0 and underflows; rows that
 * see more stand beside the row, or do not. */
static void check_signs_of_zero(const KernelPath *path)
{
    enum { HEAD_DIM = 16, ROW = 140 };
    float qkv[3][N_POSITIONS * WIDTH];
    float beside[8 * WIDTH];
    float alone[WIDTH];
    for (int i = 0; i < N_POSITIONS * WIDTH; i++) {
        int row = i / WIDTH;
        qkv[0][i] = 10.0F;
        qkv[1][i] = row == 0 ? 10.0F : -10.0F;
        qkv[2][i] = row == 0 ? 0.0F : row <= ROW ? -0.25F : 0.25F;
    }
    const float *const input[3] = {qkv[0], qkv[1], qkv[2]};
    attend_rows((Way){path, HEAD_DIM, 1}, ROW, 8, input, beside);
    attend_rows((Way){path, HEAD_DIM, 1}, ROW, 1, input, alone);
    assert_memory_equal(beside, alone, sizeof alone);
}

static void check_independence_of_heads(const KernelPath *path)
{
    check_independence(path, 16);
    check_independence(path, 8);
    check_signs_of_zero(path);
}

static void test_a_rows_attention_depends_on_what_it_sees_alone(void **state)
{
    (void)state;
    on_every_path(check_independence_of_heads);
}

/* Rows 140 and 141 of the queries are NaN, one with a payload in its lowest bits, and reach nothing but their own output. */
static void check_nan(const KernelPath *path)
{
    float *qkv[3];
    float before[128 * WIDTH];
    float after[128 * WIDTH];
    const uint32_t nans[2] = {0x7FC00000U, 0x7FC00155U};
    for (int i = 0; i < 3; i++)
        qkv[i] = random_floats((uint32_t)(30 + i), (size_t)N_POSITIONS * WIDTH, 1.0);
    const float *const input[3] = {qkv[0], qkv[1], qkv[2]};
    attend_rows((Way){path, 16, 1}, 128, 128, input, before);
    for (int row = 0; row < 2; row++)
        for (int i = 0; i < WIDTH; i++)
            memcpy(&qkv[0][(140 + row) * WIDTH + i], &nans[row], sizeof nans[row]);
    attend_rows((Way){path, 16, 1}, 128, 128, input, after);
    for (int i = 0; i < 128 * WIDTH; i++) {
        bool is_nan_row = i / WIDTH == 140 - 128 || i / WIDTH == 141 - 128;
        assert_true(is_nan_row ? isnan(after[i]) : after[i] == before[i]);
    }
    for (int i = 0; i < 3; i++)
        free(qkv[i]);
}

static void test_a_query_that_is_nan_gives_nan(void **state)
{
    (void)state;
    on_every_path(check_nan);
}

/* Keys are above 0 in every element, so a query that is -inf in one of each head scores -inf with all of them. */
static void check_infinite(const KernelPath *path, float infinite)
{
    enum { ROW = 140, FIRST = 128, M = 128, HEAD_DIM = 16 };
    float *qkv[3];
    float out[M * WIDTH];
    for (int i = 0; i < 3; i++)
        qkv[i] = random_floats((uint32_t)(33 + i), (size_t)N_POSITIONS * WIDTH, 1.0);
    for (int i = 0; i < N_POSITIONS * WIDTH; i++)
        qkv[1][i] = fabsf(qkv[1][i]) + 0.1F;
    for (int i = 0; i < WIDTH; i += HEAD_DIM)
        qkv[0][ROW * WIDTH + i] = infinite;
    const float *const input[3] = {qkv[0], qkv[1], qkv[2]};
    attend_rows((Way){path, HEAD_DIM, 1}, FIRST, M, input, out);
    for (int i = 0; i < M * WIDTH; i++)
        assert_true(i / WIDTH == ROW - FIRST ? isnan(out[i]) : isfinite(out[i]));
    for (int i = 0; i < 3; i++)
        free(qkv[i]);
}

static void check_infinities(const KernelPath *path)
{
    check_infinite(path, INFINITY);
    check_infinite(path, -INFINITY);
}

static void test_a_query_that_is_infinite_gives_nan(void **state)
{
    (void)state;
    on_every_path(check_infinities);
}

/* Of nine rows of two heads, one in a run of four and the last one are not finite. */
static void test_rows_that_are_not_finite_are_stored_as_zero(void **state)
{
    (void)state;
    enum { N = 9, DIM = 4, FIRST = 4 };
    AttentionShape shape = {2, 2, DIM, KERNEL_KEYS, 0};
    float rows[N][2 * DIM];
    float keys[2 * DIM * KERNEL_KEYS];
    float values[2 * KERNEL_LANES * KERNEL_KEYS];
    for (int i = 0; i < N * 2 * DIM; i++)
        rows[i / (2 * DIM)][i % (2 * DIM)] = (float)(i + 1);
    rows[5][6] = NAN;
    rows[8][0] = INFINITY;
    assert_int_equal(attention_store_keys(&shape, rows[0], FIRST, N, keys), 5);
    assert_int_equal(attention_store_values(&shape, rows[0], FIRST, N, values), 5);
    for (int row = 0; row < N; row++)
        for (int head = 0; head < 2; head++)
            for (int i = 0; i < KERNEL_LANES; i++) {
                float want = row == 5 || row == 8 || i >= DIM ? 0.0F : rows[row][head * DIM + i];
                assert_true(values[(head * KERNEL_KEYS + FIRST + row) * KERNEL_LANES + i] == want);
                if (i < DIM)
                    assert_true(keys[(head * DIM + i) * KERNEL_KEYS + FIRST + row] == want);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_equals_brute_force),
        cmocka_unit_test(test_attention_in_a_window_equals_brute_force),
        cmocka_unit_test(test_attention_survives_scores_below_any_sentinel),
        cmocka_unit_test(test_a_rows_attention_depends_on_what_it_sees_alone),
        cmocka_unit_test(test_a_query_that_is_nan_gives_nan),
        cmocka_unit_test(test_a_query_that_is_infinite_gives_nan),
        cmocka_unit_test(test_rows_that_are_not_finite_are_stored_as_zero),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
