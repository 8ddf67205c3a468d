/* Flash-style attention on sgemm (Dao et al. 2022, arXiv 2205.14135, algorithm 1).
 *
 * For each key head, the queries of its group are stacked to one matrix of group * m rows. Keys
 * come in tiles of ATTENTION_TILE:
 *
 *     S = Q Kᵀ / sqrt(head_dim)         one sgemm, always of the same shape
 *     S[row, j] = -inf for keys after the row's own position (last tile only)
 *     online softmax: rows of S become P, the running maximum and sum move, O is rescaled
 *     O = O + P V                       one sgemm
 *
 * and O is divided by the sum at the end. Scratch is one tile of S a head, so memory is O(n d)
 * for the cache and O(1) beyond. A masked probability is exactly 0, and the caller keeps cached
 * values finite, so what lies after a row cannot reach it. */
#include "models/attention.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "models/kernels.h"

static size_t round_up_16(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* One key head's scratch: queries, scores, output, running maximum and sum, each on a cache line. */
typedef struct {
    float *queries; /* [group * m, head_dim] */
    float *scores;  /* [group * m, ATTENTION_TILE] */
    float *output;  /* [group * m, head_dim] */
    float *max;     /* [group * m] */
    float *sum;     /* [group * m] */
} HeadScratch;

static size_t head_scratch_floats(const AttentionShape *shape, int m)
{
    size_t rows = (size_t)(shape->n_heads / shape->n_kv_heads) * (size_t)m;
    return 2 * round_up_16(rows * (size_t)shape->head_dim) + rows * ATTENTION_TILE +
           2 * round_up_16(rows);
}

size_t attention_scratch_floats(const AttentionShape *shape, int m)
{
    return (size_t)shape->n_kv_heads * head_scratch_floats(shape, m);
}

static HeadScratch carve(const AttentionShape *shape, int m, float *memory)
{
    size_t rows = (size_t)(shape->n_heads / shape->n_kv_heads) * (size_t)m;
    HeadScratch s;
    s.queries = memory;
    s.output = s.queries + round_up_16(rows * (size_t)shape->head_dim);
    s.max = s.output + round_up_16(rows * (size_t)shape->head_dim);
    s.sum = s.max + round_up_16(rows);
    s.scores = s.sum + round_up_16(rows);
    return s;
}

/* Copies between [m, n_heads * head_dim] and the stacked [group * m, head_dim] of one key head. */
static void gather(const AttentionShape *shape, const float *from, int kv_head, int m, float *to)
{
    int group = shape->n_heads / shape->n_kv_heads;
    size_t width = (size_t)shape->n_heads * (size_t)shape->head_dim;
    for (int g = 0; g < group; g++)
        for (int row = 0; row < m; row++, to += shape->head_dim)
            memcpy(to,
                   from + (size_t)row * width +
                       (size_t)(kv_head * group + g) * (size_t)shape->head_dim,
                   (size_t)shape->head_dim * sizeof *to);
}

static void scatter_normalised(const AttentionShape *shape, const HeadScratch *s, int kv_head,
                               int m, float *out)
{
    int group = shape->n_heads / shape->n_kv_heads;
    int head_dim = shape->head_dim;
    size_t width = (size_t)shape->n_heads * (size_t)head_dim;
    for (int g = 0; g < group; g++) {
        for (int row = 0; row < m; row++) {
            size_t stacked = (size_t)g * (size_t)m + (size_t)row;
            const float *from = s->output + stacked * (size_t)head_dim;
            float *to =
                out + (size_t)row * width + (size_t)(kv_head * group + g) * (size_t)head_dim;
            float scale = 1.0F / s->sum[stacked];
            for (int i = 0; i < head_dim; i++)
                to[i] = from[i] * scale;
        }
    }
}

/* Softmax of a tile's rows. Keys of the tile stand at tile_first …; row r of each head stands at
 * first + r. */
static void softmax_tile(const AttentionShape *shape, const HeadScratch *s, int64_t tile_first,
                         int64_t first, int m)
{
    int n_rows = shape->n_heads / shape->n_kv_heads * m;
    for (int stacked = 0; stacked < n_rows; stacked++) {
        float *row = s->scores + (size_t)stacked * ATTENTION_TILE;
        int64_t n_seen = first + stacked % m + 1 - tile_first;
        for (int64_t j = n_seen < 0 ? 0 : n_seen; j < ATTENTION_TILE; j++)
            row[j] = -INFINITY;
        float rescale =
            kernels_softmax_step(row, ATTENTION_TILE, &s->max[stacked], &s->sum[stacked]);
        if (rescale == 1.0F) continue;
        float *output = s->output + (size_t)stacked * (size_t)shape->head_dim;
        for (int i = 0; i < shape->head_dim; i++)
            output[i] *= rescale;
    }
}

static void attend_head(const AttentionShape *shape, const HeadScratch *s, const float *keys,
                        const float *values, int64_t first, int m)
{
    int rows = shape->n_heads / shape->n_kv_heads * m;
    int head_dim = shape->head_dim;
    float scale = (float)(1.0 / sqrt((double)head_dim));
    for (int i = 0; i < rows; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0.0F;
    }
    memset(s->output, 0, (size_t)rows * (size_t)head_dim * sizeof *s->output);
    for (int64_t tile = 0; tile < first + m; tile += ATTENTION_TILE) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, ATTENTION_TILE, head_dim, scale,
                    s->queries, head_dim, keys + tile * head_dim, head_dim, 0.0F, s->scores,
                    ATTENTION_TILE);
        softmax_tile(shape, s, tile, first, m);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, head_dim, ATTENTION_TILE, 1.0F,
                    s->scores, ATTENTION_TILE, values + tile * head_dim, head_dim, 1.0F, s->output,
                    head_dim);
    }
}

void attention_chunk(const AttentionShape *shape, const float *queries, const float *keys,
                     const float *values, int64_t first, int m, float *scratch, float *out)
{
    size_t stride = (size_t)shape->kv_stride * (size_t)shape->head_dim;
#pragma omp parallel for num_threads(shape->n_threads) schedule(static) if (shape->n_threads > 1)
    for (int kv_head = 0; kv_head < shape->n_kv_heads; kv_head++) {
        HeadScratch s = carve(shape, m, scratch + (size_t)kv_head * head_scratch_floats(shape, m));
        gather(shape, queries, kv_head, m, s.queries);
        attend_head(shape, &s, keys + (size_t)kv_head * stride, values + (size_t)kv_head * stride,
                    first, m);
        scatter_normalised(shape, &s, kv_head, m, out);
    }
}
