/* Flash-style attention on sgemm (Dao et al. 2022, arXiv 2205.14135, algorithm 1).
 *
 * For each key head, the queries of its group are stacked to one matrix of group * m rows. Keys
 * come in tiles of ATTENTION_TILE:
 *
 *     S = Q Kᵀ / sqrt(head_dim)         one sgemm, always of the same shape
 *     S[row, j] = -inf for keys after the row's own position (last tile only), or before its window
 *     online softmax: rows of S become P, the running maximum and sum move, O is rescaled
 *     O = O + P V                       one sgemm
 *
 * and O is divided by the sum at the end. Scratch is a tile of S or two a head, so memory is O(n
 * d) for the cache and O(1) beyond. A masked probability is exactly 0, and the caller keeps
 * cached values finite, so what lies after a row cannot reach it.
 *
 * Where the turn depends on the distance, a tile is near (all its pairs meet in one variant),
 * far, or mixed. A mixed tile computes S once for each variant that occurs in it and takes each
 * score from its own. */
#include "models/attention.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "models/kernels.h"

static size_t round_up_16(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* One key head's scratch, each part on a cache line. */
typedef struct {
    float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [group * m, head_dim] */
    float *scores;                           /* [group * m, ATTENTION_TILE] */
    float *other_scores;                     /* of one more variant of a mixed tile */
    float *output;                           /* [group * m, head_dim] */
    float *max;                              /* [group * m] */
    float *sum;                              /* [group * m] */
} HeadScratch;

static size_t stacked_rows(const AttentionShape *shape, int m)
{
    return (size_t)(shape->n_heads / shape->n_kv_heads) * (size_t)m;
}

static size_t head_scratch_floats(const AttentionShape *shape, int m)
{
    size_t rows = stacked_rows(shape, m);
    return (ROPE_MAX_QUERY_VARIANTS + 1) * round_up_16(rows * (size_t)shape->head_dim) +
           2 * rows * ATTENTION_TILE + 2 * round_up_16(rows);
}

size_t attention_scratch_floats(const AttentionShape *shape, int m)
{
    return (size_t)shape->n_kv_heads * head_scratch_floats(shape, m);
}

static HeadScratch carve(const AttentionShape *shape, int m, float *memory)
{
    size_t rows = stacked_rows(shape, m);
    size_t head_floats = round_up_16(rows * (size_t)shape->head_dim);
    HeadScratch s;
    for (int i = 0; i < ROPE_MAX_QUERY_VARIANTS; i++, memory += head_floats)
        s.queries[i] = memory;
    s.output = memory;
    s.max = s.output + head_floats;
    s.sum = s.max + round_up_16(rows);
    s.scores = s.sum + round_up_16(rows);
    s.other_scores = s.scores + rows * ATTENTION_TILE;
    return s;
}

/* Copies from [m, n_heads * head_dim] to the stacked [group * m, head_dim] of one key head. */
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

/* The first key that a query at p sees. */
static int64_t first_seen(const AttentionShape *shape, int64_t p)
{
    return shape->window ? max_i64(0, p + 1 - shape->window) : 0;
}

/* Softmax of a tile's rows. Keys of the tile stand at tile_first …; row r of each head stands at
 * first + r. */
static void softmax_tile(const AttentionShape *shape, const HeadScratch *s, int64_t tile_first,
                         int64_t first, int m)
{
    size_t n_rows = stacked_rows(shape, m);
    for (size_t stacked = 0; stacked < n_rows; stacked++) {
        float *row = s->scores + stacked * ATTENTION_TILE;
        int64_t p = first + (int64_t)(stacked % (size_t)m);
        int64_t end = clamp_i64(p + 1 - tile_first, 0, ATTENTION_TILE);
        int64_t start = clamp_i64(first_seen(shape, p) - tile_first, 0, end);
        if (start ==
            end) { /* the row sees nothing of this tile, and its maximum may be -inf still */
            memset(row, 0, ATTENTION_TILE * sizeof *row);
            continue;
        }
        for (int64_t j = 0; j < start; j++)
            row[j] = -INFINITY;
        for (int64_t j = end; j < ATTENTION_TILE; j++)
            row[j] = -INFINITY;
        float rescale =
            kernels_softmax_step(row, ATTENTION_TILE, &s->max[stacked], &s->sum[stacked]);
        if (rescale == 1.0F) continue;
        float *output = s->output + stacked * (size_t)shape->head_dim;
        for (int i = 0; i < shape->head_dim; i++)
            output[i] *= rescale;
    }
}

/* S of a tile in one variant. */
static void score_tile(const AttentionShape *shape, const AttentionInput *in, const HeadScratch *s,
                       size_t kv_offset, int variant, float *scores)
{
    int rows = (int)stacked_rows(shape, in->m);
    int head_dim = shape->head_dim;
    float scale = (float)(1.0 / sqrt((double)head_dim));
    int key = variant < in->rope->n_key_variants ? variant : in->rope->n_key_variants - 1;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, ATTENTION_TILE, head_dim, scale,
                s->queries[variant], head_dim, in->keys[key] + kv_offset, head_dim, 0.0F, scores,
                ATTENTION_TILE);
}

/* The first and last variant that pairs of this tile meet in. A variant never falls with the
 * distance, so the nearest and the farthest pair tell; for chunks of positions the nearest is the
 * last key with the first query that sees it. */
static void variants_of_tile(const AttentionInput *in, int64_t tile, int *low, int *high)
{
    int64_t last_key = min_i64(tile + ATTENTION_TILE, in->first + in->m) - 1;
    *low = rope_variant_of(in->rope, max_i64(in->first, last_key), last_key);
    *high = rope_variant_of(in->rope, in->first + in->m - 1, tile);
}

/* Takes the scores that belong to `variant` from the other buffer. */
static void merge_scores(const AttentionShape *shape, const AttentionInput *in,
                         const HeadScratch *s, int64_t tile, int variant)
{
    size_t n_rows = stacked_rows(shape, in->m);
    for (size_t stacked = 0; stacked < n_rows; stacked++) {
        int64_t p = in->first + (int64_t)(stacked % (size_t)in->m);
        int64_t n_seen = min_i64(ATTENTION_TILE, p + 1 - tile);
        for (int64_t j = 0; j < n_seen; j++) {
            size_t at = stacked * ATTENTION_TILE + (size_t)j;
            if (rope_variant_of(in->rope, p, tile + j) == variant)
                s->scores[at] = s->other_scores[at];
        }
    }
}

static void attend_head(const AttentionShape *shape, const AttentionInput *in, const HeadScratch *s,
                        int kv_head)
{
    int rows = (int)stacked_rows(shape, in->m);
    int head_dim = shape->head_dim;
    size_t head_offset = (size_t)kv_head * (size_t)shape->kv_stride * (size_t)head_dim;
    for (int i = 0; i < rows; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0.0F;
    }
    memset(s->output, 0, (size_t)rows * (size_t)head_dim * sizeof *s->output);
    int64_t first_tile = first_seen(shape, in->first) / ATTENTION_TILE * ATTENTION_TILE;
    for (int64_t tile = first_tile; tile < in->first + in->m; tile += ATTENTION_TILE) {
        size_t offset = head_offset + (size_t)tile * (size_t)head_dim;
        int low;
        int high;
        variants_of_tile(in, tile, &low, &high);
        score_tile(shape, in, s, offset, low, s->scores);
        for (int variant = low + 1; variant <= high; variant++) {
            score_tile(shape, in, s, offset, variant, s->other_scores);
            merge_scores(shape, in, s, tile, variant);
        }
        softmax_tile(shape, s, tile, in->first, in->m);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, head_dim, ATTENTION_TILE, 1.0F,
                    s->scores, ATTENTION_TILE, in->values + offset, head_dim, 1.0F, s->output,
                    head_dim);
    }
}

void attention_chunk(const AttentionShape *shape, const AttentionInput *input, float *scratch,
                     float *out)
{
#pragma omp parallel for num_threads(shape->n_threads) schedule(static) if (shape->n_threads > 1)
    for (int kv_head = 0; kv_head < shape->n_kv_heads; kv_head++) {
        HeadScratch s = carve(shape, input->m,
                              scratch + (size_t)kv_head * head_scratch_floats(shape, input->m));
        for (int variant = 0; variant < input->rope->n_query_variants; variant++)
            gather(shape, input->queries[variant], kv_head, input->m, s.queries[variant]);
        attend_head(shape, input, &s, kv_head);
        scatter_normalised(shape, &s, kv_head, input->m, out);
    }
}
