/* The cache and the stacking around KernelPath.attend.
 *
 * Keys of a head lie in panels of KERNEL_KEYS positions, [panel][element][position], so that scores of neighbouring keys are neighbouring
 * lanes; values lie as rows, padded to whole vectors. For each key head, the queries of its group are stacked to one matrix of
 * group * m rows, up to whole groups of KERNEL_GROUP: all of them read the keys while these are in the cache. Rows that only fill up are
 * zero. */
#include "models/attention.h"

#include <math.h>
#include <string.h>

#include "models/kernels.h"

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t value_stride(const AttentionShape *shape)
{
    return round_up((size_t)shape->head_dim, KERNEL_LANES);
}

size_t attention_key_floats(const AttentionShape *shape)
{
    return (size_t)shape->n_kv_heads * (size_t)shape->n_positions * (size_t)shape->head_dim;
}

size_t attention_value_floats(const AttentionShape *shape)
{
    return (size_t)shape->n_kv_heads * (size_t)shape->n_positions * value_stride(shape);
}

/* Floats before a head's first key, and its first value. */
static size_t key_offset(const AttentionShape *shape, int kv_head)
{
    return (size_t)kv_head * (size_t)shape->n_positions * (size_t)shape->head_dim;
}

static size_t value_offset(const AttentionShape *shape, int kv_head)
{
    return (size_t)kv_head * (size_t)shape->n_positions * value_stride(shape);
}

/* Four neighbouring floats. */
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

static inline Four four_at(const float *p)
{
    return *(const Four *)(const void *)p;
}

/* One head's keys of four neighbouring rows, `width` floats apart, to a panel: column i of the rows to four places of its row i. */
static void store_four_keys(const float *rows, size_t width, size_t head_dim, float *panel)
{
    for (size_t i = 0; i < head_dim; i += 4, panel += (size_t)4 * KERNEL_KEYS) {
        Four a = four_at(rows + i);
        Four b = four_at(rows + width + i);
        Four c = four_at(rows + 2 * width + i);
        Four d = four_at(rows + 3 * width + i);
        Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        Four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        Four ab_end = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        Four cd_end = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        Four turned[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                          __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                          __builtin_shufflevector(ab_end, cd_end, 0, 1, 4, 5),
                          __builtin_shufflevector(ab_end, cd_end, 2, 3, 6, 7)};
        for (int j = 0; j < 4; j++)
            *(Four *)(void *)(panel + (size_t)j * KERNEL_KEYS) = turned[j];
    }
}

static void store_key(const float *row, size_t head_dim, bool usable, float *panel)
{
    for (size_t i = 0; i < head_dim; i++)
        panel[i * KERNEL_KEYS] = usable ? row[i] : 0.0F;
}

int attention_store_keys(const AttentionShape *shape, const float *rows, int64_t first, int n,
                         float *cache)
{
    size_t head_dim = (size_t)shape->head_dim;
    size_t width = (size_t)shape->n_kv_heads * head_dim;
    int first_bad = n;
    int step;
    for (int row = 0; row < n; row += step, rows += (size_t)step * width) {
        int64_t at = first + row;
        bool by_four =
            row + 4 <= n && at % 4 == 0 && head_dim % 4 == 0 && kernels_all_finite(rows, 4 * width);
        bool usable = by_four || kernels_all_finite(rows, width);
        if (!usable && row < first_bad) first_bad = row;
        float *panel =
            cache + (size_t)(at - at % KERNEL_KEYS) * head_dim + (size_t)(at % KERNEL_KEYS);
        for (int head = 0; head < shape->n_kv_heads; head++) {
            const float *from = rows + (size_t)head * head_dim;
            if (by_four)
                store_four_keys(from, width, head_dim, panel + key_offset(shape, head));
            else
                store_key(from, head_dim, usable, panel + key_offset(shape, head));
        }
        step = by_four ? 4 : 1;
    }
    return first_bad;
}

int attention_store_values(const AttentionShape *shape, const float *rows, int64_t first, int n,
                           float *cache)
{
    size_t head_dim = (size_t)shape->head_dim;
    size_t width = (size_t)shape->n_kv_heads * head_dim;
    size_t stride = value_stride(shape);
    int first_bad = n;
    for (int row = 0; row < n; row++, rows += width) {
        bool usable = kernels_all_finite(rows, width);
        if (!usable && row < first_bad) first_bad = row;
        for (int head = 0; head < shape->n_kv_heads; head++) {
            float *to = cache + value_offset(shape, head) + (size_t)(first + row) * stride;
            size_t n_usable = usable ? head_dim : 0;
            memcpy(to, rows + (size_t)head * head_dim, n_usable * sizeof *to);
            memset(to + n_usable, 0, (stride - n_usable) * sizeof *to);
        }
    }
    return first_bad;
}

/* One key head's scratch, each part on a cache line. */
typedef struct {
    float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [n_rows, head_dim] */
    float *output;                           /* [n_rows, value_stride] */
    float *max;                              /* [n_rows] */
    float *sum;                              /* [n_rows] */
    float *sums;                             /* [n_rows, KERNEL_LANES] */
} HeadScratch;

enum { FLOATS_PER_LINE = 16 };

static size_t stacked_rows(const AttentionShape *shape, int m)
{
    return round_up((size_t)(shape->n_heads / shape->n_kv_heads) * (size_t)m, KERNEL_GROUP);
}

static size_t query_floats(const AttentionShape *shape, int m)
{
    return round_up(stacked_rows(shape, m) * (size_t)shape->head_dim, FLOATS_PER_LINE);
}

static size_t head_scratch_floats(const AttentionShape *shape, int m)
{
    size_t rows = stacked_rows(shape, m);
    return ROPE_MAX_QUERY_VARIANTS * query_floats(shape, m) +
           rows * (value_stride(shape) + KERNEL_LANES) + 2 * round_up(rows, FLOATS_PER_LINE);
}

size_t attention_scratch_floats(const AttentionShape *shape, int m)
{
    return (size_t)shape->n_kv_heads * head_scratch_floats(shape, m);
}

static HeadScratch carve(const AttentionShape *shape, int m, float *memory)
{
    HeadScratch s;
    for (int i = 0; i < ROPE_MAX_QUERY_VARIANTS; i++, memory += query_floats(shape, m))
        s.queries[i] = memory;
    s.output = memory;
    s.max = s.output + stacked_rows(shape, m) * value_stride(shape);
    s.sum = s.max + round_up(stacked_rows(shape, m), FLOATS_PER_LINE);
    s.sums = s.sum + round_up(stacked_rows(shape, m), FLOATS_PER_LINE);
    return s;
}

/* Stacks the queries of one key head, times log2(e) / sqrt(head_dim). from: [m, n_heads * head_dim]. */
static void gather(const AttentionShape *shape, const float *from, int kv_head, int m, float *to)
{
    int group = shape->n_heads / shape->n_kv_heads;
    size_t head_dim = (size_t)shape->head_dim;
    size_t width = (size_t)shape->n_heads * head_dim;
    float scale = (float)(M_LOG2E / sqrt((double)head_dim));
    for (int g = 0; g < group; g++)
        for (int row = 0; row < m; row++, to += head_dim) {
            const float *query =
                from + (size_t)row * width + (size_t)(kv_head * group + g) * head_dim;
            for (size_t i = 0; i < head_dim; i++)
                to[i] = query[i] * scale;
        }
    size_t n_filled = stacked_rows(shape, m) - (size_t)group * (size_t)m;
    memset(to, 0, n_filled * head_dim * sizeof *to);
}

/* Divides the output of every query row by its sum, and puts it where the row came from. */
static void scatter(const AttentionShape *shape, HeadScratch s, int kv_head, int m, float *out)
{
    int group = shape->n_heads / shape->n_kv_heads;
    size_t head_dim = (size_t)shape->head_dim;
    size_t width = (size_t)shape->n_heads * head_dim;
    for (int g = 0; g < group; g++)
        for (int row = 0; row < m; row++, s.output += value_stride(shape)) {
            float *to = out + (size_t)row * width + (size_t)(kv_head * group + g) * head_dim;
            float scale = 1.0F / s.sum[g * m + row];
            for (size_t i = 0; i < head_dim; i++)
                to[i] = s.output[i] * scale + 0.0F; /* keys that only others see can turn -0 to 0 */
        }
}

/* ln Σ e^score of every query row of one key head. */
static void scatter_sums(const AttentionShape *shape, HeadScratch s, int kv_head, int m, float *out)
{
    int group = shape->n_heads / shape->n_kv_heads;
    for (int g = 0; g < group; g++)
        for (int row = 0; row < m; row++)
            out[row * shape->n_heads + kv_head * group + g] =
                (float)M_LN2 * s.max[g * m + row] + logf(s.sum[g * m + row]);
}

static void attend_head(const AttentionShape *shape, const AttentionInput *in, HeadScratch s,
                        int kv_head)
{
    AttendTask task = {
        .rope = in->rope,
        .values = in->values + value_offset(shape, kv_head),
        .head_dim = shape->head_dim,
        .value_stride = (int)value_stride(shape),
        .window = shape->window,
        .first = in->first,
        .m = in->m,
        .n_rows = (int)stacked_rows(shape, in->m),
        .output = s.output,
        .max = s.max,
        .sums = s.sums,
        .sum = s.sum,
    };
    for (int i = 0; i < in->rope->n_query_variants; i++) {
        gather(shape, in->queries[i], kv_head, in->m, s.queries[i]);
        task.queries[i] = s.queries[i];
    }
    for (int i = 0; i < in->rope->n_key_variants; i++)
        task.keys[i] = in->keys[i] + key_offset(shape, kv_head);
    in->path->attend(&task);
}

void attention_chunk(const AttentionShape *shape, const AttentionInput *input, float *scratch,
                     float *out)
{
#pragma omp parallel for num_threads(input->n_threads) schedule(static) if (input->n_threads > 1)
    for (int kv_head = 0; kv_head < shape->n_kv_heads; kv_head++) {
        HeadScratch s = carve(shape, input->m,
                              scratch + (size_t)kv_head * head_scratch_floats(shape, input->m));
        attend_head(shape, input, s, kv_head);
        scatter(shape, s, kv_head, input->m, out);
        if (input->log_sum_exp) scatter_sums(shape, s, kv_head, input->m, input->log_sum_exp);
    }
}
