/* Backward through softmax(Q Kᵀ) V of one sequence, head by head, in blocks of query rows: what a block sees of the keys stays in
 * the second-level cache, and keys behind it cost nothing.
 *
 *     P = e^(S - L)   dV += Pᵀ dO   dS = P (dO Vᵀ - rowsum(dO O))   dQ = dS K   dK += dSᵀ Q
 *
 * Blocks go from the last to the first: the last one of a group's first head sees every key, so its products set d_keys and
 * d_values and all others add. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "models/train/gradients.h"

enum { BLOCK = 64 };

size_t gradient_attention_floats(int length)
{
    return 2 * (size_t)BLOCK * (size_t)length;
}

/* One head and one block of its queries. */
typedef struct {
    int head;
    int first; /* position of the first query */
    int m;
    int n;          /* keys that the block sees */
    bool adds;      /* to d_keys and d_values */
    size_t query;   /* floats before the block's first query */
    size_t key;     /* floats before the head's first key */
    size_t d_query; /* the same in d_queries */
    float *p;       /* [m, n] */
    float *d_s;     /* [m, n] */
} Block;

/* Probabilities from scores: rows of a block, of which each query sees the keys up to itself. */
static void exp_rows(const AttentionGradient *task, const Block *block)
{
    for (int row = 0; row < block->m; row++) {
        int position = block->first + row;
        int n_seen = position + 1;
        float *p = block->p + (size_t)row * (size_t)block->n;
        float log_sum_exp =
            task->log_sum_exp[(size_t)position * (size_t)task->n_heads + (size_t)block->head];
        for (int j = 0; j < n_seen; j++)
            p[j] -= log_sum_exp;
        task->path->exp(p, (size_t)n_seen);
        memset(p + n_seen, 0, (size_t)(block->n - n_seen) * sizeof *p);
    }
}

/* dS = scale P (dP - rowsum(dO O)) in the place of dP, where scale is that of the scores. */
static void softmax_rows(const AttentionGradient *task, const Block *block, float scale)
{
    int q_width = task->n_heads * task->head_dim;
    for (int row = 0; row < block->m; row++) {
        const float *p = block->p + (size_t)row * (size_t)block->n;
        float *d_s = block->d_s + (size_t)row * (size_t)block->n;
        size_t at = block->query + (size_t)row * (size_t)q_width;
        float inside = 0.0F;
#pragma omp simd reduction(+ : inside)
        for (int i = 0; i < task->head_dim; i++)
            inside += task->d_attended[at + (size_t)i] * task->attended[at + (size_t)i];
        for (int j = 0; j < block->n; j++)
            d_s[j] = scale * p[j] * (d_s[j] - inside);
    }
}

static void block_gradient(const AttentionGradient *task, const Block *b)
{
    int q_width = task->n_heads * task->head_dim;
    int kv_width = task->n_kv_heads * task->head_dim;
    int d = task->head_dim;
    float scale = (float)(1.0 / sqrt((double)d));
    float adds = b->adds ? 1.0F : 0.0F;
    const float *queries = task->queries + b->query;
    const float *d_out = task->d_attended + b->query;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b->m, b->n, d, scale, queries, q_width,
                task->keys + b->key, kv_width, 0.0F, b->p, b->n);
    exp_rows(task, b);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b->m, b->n, d, 1.0F, d_out, q_width,
                task->values + b->key, kv_width, 0.0F, b->d_s, b->n);
    softmax_rows(task, b, scale);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b->n, d, b->m, 1.0F, b->p, b->n, d_out,
                q_width, adds, task->d_values + b->key, task->qkv_width);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b->n, d, b->m, 1.0F, b->d_s, b->n, queries,
                q_width, adds, task->d_keys + b->key, task->qkv_width);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b->m, d, b->n, 1.0F, b->d_s, b->n,
                task->keys + b->key, kv_width, 0.0F, task->d_queries + b->d_query, task->qkv_width);
}

void gradient_attention(const AttentionGradient *task)
{
    int group = task->n_heads / task->n_kv_heads;
    size_t q_width = (size_t)task->n_heads * (size_t)task->head_dim;
    for (int head = 0; head < task->n_heads; head++)
        for (int first = (task->length - 1) / BLOCK * BLOCK; first >= 0; first -= BLOCK) {
            size_t at = (size_t)head * (size_t)task->head_dim;
            size_t kv_at = (size_t)(head / group) * (size_t)task->head_dim;
            int n = first + BLOCK < task->length ? first + BLOCK : task->length;
            Block block = {
                .head = head,
                .first = first,
                .m = n - first,
                .n = n,
                .adds = head % group != 0 || n < task->length,
                .query = (size_t)first * q_width + at,
                .key = kv_at,
                .d_query = (size_t)first * (size_t)task->qkv_width + at,
                .p = task->scratch,
                .d_s = task->scratch + (size_t)BLOCK * (size_t)task->length,
            };
            block_gradient(task, &block);
        }
}
