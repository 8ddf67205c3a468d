/* Attention in every kernel path that this machine has, against softmax by its definition, in double. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/attention.h"
#include "tests/engine_setup.h"
#include "tests/kernel_fixture.h"

static const RopeTable plain = {.n_query_variants = 1, .n_key_variants = 1};

/* A timeline of positions, in every variant of its rotation. */
typedef struct {
    const RopeTable *rope;
    float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [position, n_heads * head_dim] */
    float *keys[ROPE_MAX_KEY_VARIANTS];      /* [position, n_kv_heads * head_dim] */
    float *values;                           /* [position, n_kv_heads * head_dim] */
} Timeline;

/* The score of a query and a key of two positions, by the rules as rope.h words them. */
static double brute_force_score(const AttentionShape *s, const Timeline *t, int head, int64_t p,
                                int64_t j)
{
    int64_t span = t->rope->span;
    int query = 0;
    int key = 0;
    if (t->rope->rule == ROPE_RULE_WINDOW && p - j >= span) query = key = 1;
    if (t->rope->rule == ROPE_RULE_CHUNK && p / span != j / span)
        query = p / span == j / span + 1 ? 1 : 2;
    int kv_head = head / (s->n_heads / s->n_kv_heads);
    const float *q = t->queries[query] + (p * s->n_heads + head) * s->head_dim;
    const float *k = t->keys[key] + (j * s->n_kv_heads + kv_head) * s->head_dim;
    double sum = 0.0;
    for (int i = 0; i < s->head_dim; i++)
        sum += (double)q[i] * (double)k[i];
    return sum / sqrt(s->head_dim);
}

/* Softmax attention by its definition: one query row of a head, all scores, in double. */
static void brute_force_row(const AttentionShape *s, const Timeline *t, int head, int64_t position,
                            double *out)
{
    double *score = mem_alloc((size_t)position + 1, sizeof *score);
    double top = -INFINITY;
    int64_t width = (int64_t)s->n_kv_heads * s->head_dim;
    const float *values =
        t->values + (ptrdiff_t)(head / (s->n_heads / s->n_kv_heads)) * s->head_dim;
    int64_t first = s->window > 0 && position >= s->window ? position - s->window + 1 : 0;
    for (int64_t j = first; j <= position; j++) {
        score[j] = brute_force_score(s, t, head, position, j);
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

/* Random floats, each moved by `offset`. */
static float *moved_floats(uint32_t stream, size_t n, double scale, double offset)
{
    float *x = random_floats(stream, n, scale);
    for (size_t i = 0; offset != 0.0 && i < n; i++)
        x[i] += (float)offset;
    return x;
}

/* n positions whose queries lie around `offset`, and whose keys around -offset. */
static Timeline timeline_new(const AttentionShape *shape, const RopeTable *rope, int64_t n,
                             double offset)
{
    Timeline t = {.rope = rope};
    size_t n_q = (size_t)n * (size_t)shape->n_heads * (size_t)shape->head_dim;
    size_t n_kv = (size_t)n * (size_t)shape->n_kv_heads * (size_t)shape->head_dim;
    for (int i = 0; i < rope->n_query_variants; i++)
        t.queries[i] = moved_floats((uint32_t)(40 + i), n_q, 2.0, offset);
    for (int i = 0; i < rope->n_key_variants; i++)
        t.keys[i] = moved_floats((uint32_t)(50 + i), n_kv, 2.0, -offset);
    t.values = random_floats(12, n_kv, 1.0);
    return t;
}

static void timeline_free(Timeline *t)
{
    for (int i = 0; i < ROPE_MAX_QUERY_VARIANTS; i++)
        free(t->queries[i]);
    for (int i = 0; i < ROPE_MAX_KEY_VARIANTS; i++)
        free(t->keys[i]);
    free(t->values);
}

/* Rounds what a path of bf16 rounds: queries after they are scaled. */
static void timeline_round(const AttentionShape *shape, Timeline *t, int64_t n)
{
    size_t n_q = (size_t)n * (size_t)shape->n_heads * (size_t)shape->head_dim;
    size_t n_kv = (size_t)n * (size_t)shape->n_kv_heads * (size_t)shape->head_dim;
    float scale = (float)(M_LOG2E / sqrt(shape->head_dim));
    for (int i = 0; i < t->rope->n_query_variants; i++) {
        for (size_t j = 0; j < n_q; j++)
            t->queries[i][j] *= scale;
        round_to_bf16(t->queries[i], n_q);
        for (size_t j = 0; j < n_q; j++)
            t->queries[i][j] /= scale;
    }
    for (int i = 0; i < t->rope->n_key_variants; i++)
        round_to_bf16(t->keys[i], n_kv);
    round_to_bf16(t->values, n_kv);
}

/* What queries and keys are moved by, and how far a row may be off its definition. */
typedef struct {
    double offset;
    double tolerance;
} Scores;

static const Scores common = {0.0, 3e-6};

/* Runs a timeline of n positions in chunks of m rows and compares each row with brute force. In bf16 that has the rounded operands; what
 * is left are the softmax's weights, each off by up to 2^-9, on values up to 1. */
static void check_rule(const KernelPath *path, const RopeTable *rope, AttentionShape shape,
                       int64_t n, int m, Scores scores)
{
    size_t q_width = (size_t)shape.n_heads * (size_t)shape.head_dim;
    size_t kv_width = (size_t)shape.n_kv_heads * (size_t)shape.head_dim;
    double tolerance = scores.tolerance + (is_bf16(path) ? 0x1p-9 : 0.0);
    Timeline given = timeline_new(&shape, rope, n, scores.offset);
    Timeline seen = timeline_new(&shape, rope, n, scores.offset);
    if (is_bf16(path)) timeline_round(&shape, &seen, n);
    float *keys[ROPE_MAX_KEY_VARIANTS] = {NULL};
    for (int i = 0; i < rope->n_key_variants; i++)
        keys[i] = mem_alloc(attention_key_floats(&shape), sizeof(float));
    float *values = mem_alloc(attention_value_floats(&shape), sizeof *values);
    float *scratch = mem_alloc(attention_scratch_floats(&shape, m), sizeof *scratch);
    float *got = mem_alloc((size_t)m * q_width, sizeof *got);
    double *want = mem_alloc((size_t)shape.head_dim, sizeof *want);
    for (int64_t first = 0; first < n; first += m) {
        int rows = (int)min_i64(m, n - first);
        AttentionInput input = {.path = path,
                                .rope = rope,
                                .values = values,
                                .first = first,
                                .m = rows,
                                .n_threads = 1};
        for (int i = 0; i < rope->n_query_variants; i++)
            input.queries[i] = given.queries[i] + (size_t)first * q_width;
        for (int i = 0; i < rope->n_key_variants; i++) {
            const float *from = given.keys[i] + (size_t)first * kv_width;
            assert_int_equal(attention_store_keys(&shape, from, first, rows, keys[i]), rows);
            input.keys[i] = keys[i];
        }
        assert_int_equal(attention_store_values(&shape, given.values + (size_t)first * kv_width,
                                                first, rows, values),
                         rows);
        attention_chunk(&shape, &input, scratch, got);
        for (int row = 0; row < rows; row++) {
            for (int head = 0; head < shape.n_heads; head++) {
                const float *out = got + (size_t)row * q_width + (ptrdiff_t)head * shape.head_dim;
                brute_force_row(&shape, &seen, head, first + row, want);
                for (int i = 0; i < shape.head_dim; i++)
                    assert_close((double)out[i], want[i], 0.0, tolerance);
            }
        }
    }
    timeline_free(&given);
    timeline_free(&seen);
    for (int i = 0; i < rope->n_key_variants; i++)
        free(keys[i]);
    free(values);
    free(scratch);
    free(got);
    free(want);
}

static void check_attention(const KernelPath *path, AttentionShape shape, int64_t n, int m)
{
    check_rule(path, &plain, shape, n, m, common);
}

/* Heads in groups, widths that fill vectors and that do not, chunks that end anywhere. */
static void check_shapes(const KernelPath *path)
{
    check_attention(path, (AttentionShape){6, 2, 16, 384, 0}, 384, 128);
    check_attention(path, (AttentionShape){4, 4, 8, 384, 0}, 256, 128);
    check_attention(path, (AttentionShape){3, 1, 10, 288, 0}, 256, 100);
    check_attention(path, (AttentionShape){2, 2, 48, 336, 0}, 300, 77);
    check_attention(path, (AttentionShape){2, 1, 64, 336, 0}, 270, 256);
    check_attention(path, (AttentionShape){1, 1, 80, 336, 0}, 300, 256);
    check_attention(path, (AttentionShape){4, 2, 16, 384, 0}, 300, 1);
    check_attention(path, (AttentionShape){4, 2, 7, 384, 0}, 300, 1);
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
        check_attention(path, (AttentionShape){4, 2, 16, 672, windows[i]}, 600, 128);
        check_attention(path, (AttentionShape){4, 2, 16, 384, windows[i]}, 300, 1);
        check_attention(path, (AttentionShape){4, 2, 8, 384, windows[i]}, 301, 77);
    }
}

static void test_attention_in_a_window_equals_brute_force(void **state)
{
    (void)state;
    on_every_path(check_windows);
}

/* Spans within a group of rows, a panel and a block, and across them, with and without a window. */
static void check_rules(const KernelPath *path)
{
    static const int64_t spans[] = {1, 7, 48, 50, 130, 300};
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        RopeTable by_window = {
            .n_query_variants = 2, .n_key_variants = 2, .rule = ROPE_RULE_WINDOW, .span = spans[i]};
        RopeTable by_chunk = {
            .n_query_variants = 3, .n_key_variants = 1, .rule = ROPE_RULE_CHUNK, .span = spans[i]};
        for (int64_t window = 0; window <= 200; window += 100) {
            AttentionShape shape = {3, 1, 12, 384, window};
            check_rule(path, &by_window, shape, 340, 77, common);
            check_rule(path, &by_chunk, shape, 340, 77, common);
        }
    }
}

static void test_attention_by_distance_equals_brute_force(void **state)
{
    (void)state;
    on_every_path(check_rules);
}

/* Every raw score near -2.5e5: a finite stand-in for -inf would win the maximum. */
static void check_low_scores(const KernelPath *path)
{
    check_rule(path, &plain, (AttentionShape){2, 2, 16, 288, 0}, 256, 128, (Scores){250.0, 5e-2});
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
        cmocka_unit_test(test_attention_by_distance_equals_brute_force),
        cmocka_unit_test(test_attention_survives_scores_below_any_sentinel),
        cmocka_unit_test(test_a_rows_attention_depends_on_what_it_sees_alone),
        cmocka_unit_test(test_a_query_that_is_nan_gives_nan),
        cmocka_unit_test(test_a_query_that_is_infinite_gives_nan),
        cmocka_unit_test(test_rows_that_are_not_finite_are_stored_as_zero),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
