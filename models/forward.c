/* Llama's block (Touvron et al. 2023, arXiv 2302.13971, section 2.2):
 *
 *     x += Wo attention(rope(Wq norm(x)), rope(Wk norm(x)), Wv norm(x))
 *     x += Wdown (silu(Wgate norm(x)) * Wup norm(x))
 *
 * and logits = head norm(x). What ModelFeature names is put in where a model has it: biases, norms of queries and keys,
 * LayerNorm, a feed-forward without a gate, and the parallel residual, where both lines read the same x (Wang and
 * Komatsuzaki 2021, GPT-J; Black et al. 2022, arXiv 2204.06745, section 2.1.2). Keys are stored rotated, so each is rotated once. Angles of a
 * position are computed when a chunk first reaches it. */
#include "models/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "models/attention.h"
#include "models/kernels.h"

struct Forward {
    const Model *model;
    int64_t n_positions;
    int n_threads;
    RopeTable rope;
    int64_t n_angles; /* positions whose angles are there */
    AttentionShape attention;
    float *keys[ROPE_MAX_KEY_VARIANTS];        /* [n_layers], of attention_key_floats each */
    float *values;                             /* [n_layers], of attention_value_floats each */
    float *query_cos[ROPE_MAX_QUERY_VARIANTS]; /* [n_positions, n_pairs]; sin behind it */
    float *key_cos[ROPE_MAX_KEY_VARIANTS];
    float *rope_memory; /* of the angles and of keys[1], as the rotation in use needs them */
    size_t rope_floats;
    /* One chunk: */
    float *x;      /* [m, d_model] the residual stream */
    float *normed; /* [m, d_model] */
    float *delta;  /* [m, d_model] what attention adds to x at last, in a parallel block */
    float *queries[ROPE_MAX_QUERY_VARIANTS]; /* [m, n_heads * head_dim] */
    float *attended;                         /* [m, n_heads * head_dim] */
    float *new_keys;                         /* [m, n_kv_heads * head_dim] */
    float *turned_keys;                      /* [m, n_kv_heads * head_dim] */
    float *new_values;
    float *gate; /* [m, d_ff] */
    float *up;
    float *logits;  /* [FORWARD_HEAD_ROWS, vocab_size] */
    float *scratch; /* of attention */
    float *memory;  /* all of the above but rope_memory */
    Profile profile;
    double lap; /* when the last phase ended */
};

/* Books the time since the last call to a phase: some 30 ns a call, a dozen calls a layer and chunk. */
static void end_phase(Forward *f, Phase phase)
{
    double now = clock_monotonic_s();
    f->profile.s[phase] += now - f->lap;
    f->lap = now;
}

Profile forward_profile(const Forward *forward)
{
    return forward->profile;
}

static AttentionShape attention_shape(const ModelConfig *config, int64_t n_positions)
{
    return (AttentionShape){
        .n_heads = config->n_heads,
        .n_kv_heads = config->n_kv_heads,
        .head_dim = config->head_dim,
        .n_positions = n_positions,
        .window = config->window,
    };
}

/* Floats of every buffer, in the order of their pointers. config_check has bounded each factor,
 * so that products of two or three stay far below 2^63. */
enum { N_BUFFERS = 16 };
static void buffer_sizes(const ModelConfig *config, int64_t n_positions, int m,
                         size_t floats[N_BUFFERS])
{
    size_t rows = (size_t)m;
    size_t q_width = (size_t)config->n_heads * (size_t)config->head_dim;
    size_t kv_width = (size_t)config->n_kv_heads * (size_t)config->head_dim;
    AttentionShape shape = attention_shape(config, n_positions);
    size_t sizes[N_BUFFERS] = {
        (size_t)config->n_layers * attention_key_floats(&shape),
        (size_t)config->n_layers * attention_value_floats(&shape),
        rows * (size_t)config->d_model,
        rows * (size_t)config->d_model,
        rows * (size_t)config->d_model,
        rows * q_width,
        rows * q_width,
        rows * q_width,
        rows * q_width,
        rows * kv_width,
        rows * kv_width,
        rows * kv_width,
        rows * (size_t)config->d_ff,
        rows * (size_t)config->d_ff,
        (size_t)FORWARD_HEAD_ROWS * (size_t)config->vocab_size,
        attention_scratch_floats(&shape, m),
    };
    for (int i = 0; i < N_BUFFERS; i++)
        floats[i] = (sizes[i] + 15) / 16 * 16;
}

static size_t total_floats(const size_t floats[N_BUFFERS])
{
    size_t total = 0;
    for (int i = 0; i < N_BUFFERS; i++)
        total += floats[i];
    return total;
}

size_t forward_bytes(const ModelConfig *config, int64_t n_positions, int max_rows)
{
    size_t floats[N_BUFFERS];
    buffer_sizes(config, n_positions, max_rows, floats);
    return total_floats(floats) * sizeof(float);
}

Forward *forward_open(const Model *model, int64_t n_positions, int max_rows, int n_threads,
                      Err *err)
{
    assert(n_positions % KERNEL_KEYS == 0);
    size_t floats[N_BUFFERS];
    buffer_sizes(&model->config, n_positions, max_rows, floats);
    float *memory =
        mem_alloc_large(total_floats(floats), sizeof(float), "KV cache and scratch", err);
    if (!memory) return NULL;
    Forward *f = mem_zalloc(1, sizeof *f);
    *f = (Forward){
        .model = model,
        .n_positions = n_positions,
        .n_threads = n_threads,
        .attention = attention_shape(&model->config, n_positions),
        .memory = memory,
    };
    float **const buffers[N_BUFFERS] = {
        &f->keys[0],    &f->values,     &f->x,        &f->normed,   &f->delta,       &f->queries[0],
        &f->queries[1], &f->queries[2], &f->attended, &f->new_keys, &f->turned_keys, &f->new_values,
        &f->gate,       &f->up,         &f->logits,   &f->scratch};
    for (int i = 0; i < N_BUFFERS; i++) {
        *buffers[i] = memory;
        memory += floats[i];
    }
    return f;
}

void forward_close(Forward *forward)
{
    if (!forward) return;
    free(forward->memory);
    free(forward->rope_memory);
    free(forward);
}

/* Floats of one variant's cos and sin. */
static size_t angle_floats(const RopeTable *table, int64_t n_positions)
{
    return 2 * (size_t)n_positions * (size_t)table->n_pairs;
}

static size_t cache_floats(const ModelConfig *config, int64_t n_positions)
{
    AttentionShape shape = attention_shape(config, n_positions);
    return (size_t)config->n_layers * attention_key_floats(&shape);
}

static bool keys_turn_apart(const RopeTable *table)
{
    return table->rule != ROPE_RULE_ONE;
}

static size_t rope_floats(const ModelConfig *config, int64_t n_positions, const RopeTable *table)
{
    int n_variants = table->n_query_variants + (keys_turn_apart(table) ? table->n_key_variants : 0);
    size_t more_keys = table->n_key_variants > 1 ? cache_floats(config, n_positions) : 0;
    return (size_t)n_variants * angle_floats(table, n_positions) + more_keys;
}

size_t forward_rope_bytes(const ModelConfig *config, int64_t n_positions, const RopeTable *table)
{
    return rope_floats(config, n_positions, table) * sizeof(float);
}

bool forward_set_rope(Forward *f, const RopeTable *table, Err *err)
{
    const ModelConfig *config = &f->model->config;
    size_t need = rope_floats(config, f->n_positions, table);
    if (need > f->rope_floats) {
        float *memory =
            mem_alloc_large(need, sizeof(float), "angles and keys of the rotation", err);
        if (!memory) return false;
        free(f->rope_memory);
        f->rope_memory = memory;
        f->rope_floats = need;
    }
    float *next = f->rope_memory;
    for (int i = 0; i < table->n_query_variants; i++, next += angle_floats(table, f->n_positions))
        f->query_cos[i] = next;
    for (int i = 0; keys_turn_apart(table) && i < table->n_key_variants;
         i++, next += angle_floats(table, f->n_positions))
        f->key_cos[i] = next;
    if (!keys_turn_apart(table)) f->key_cos[0] = f->query_cos[0];
    f->keys[1] = table->n_key_variants > 1 ? next : NULL;
    f->rope = *table;
    f->n_angles = 0;
    return true;
}

/* The sines stand behind the cosines of all positions. */
static float *sin_of(const Forward *f, float *cos_table)
{
    return cos_table + (size_t)f->n_positions * (size_t)f->rope.n_pairs;
}

static void reach_angles(Forward *f, int64_t n)
{
    if (n <= f->n_angles) return;
    size_t at = (size_t)f->n_angles * (size_t)f->rope.n_pairs;
    int64_t n_new = n - f->n_angles;
    for (int i = 0; i < f->rope.n_query_variants; i++)
        rope_angles(&f->rope, &f->rope.query[i], f->n_angles, n_new, f->query_cos[i] + at,
                    sin_of(f, f->query_cos[i]) + at);
    for (int i = 0; keys_turn_apart(&f->rope) && i < f->rope.n_key_variants; i++)
        rope_angles(&f->rope, &f->rope.key[i], f->n_angles, n_new, f->key_cos[i] + at,
                    sin_of(f, f->key_cos[i]) + at);
    f->n_angles = n;
}

static void embed(Forward *f, const Chunk *chunk)
{
    size_t d_model = (size_t)f->model->config.d_model;
    for (int row = 0; row < chunk->n; row++)
        memcpy(f->x + (size_t)row * d_model,
               f->model->embedding + (size_t)chunk->tokens[row] * d_model, d_model * sizeof(float));
    memset(f->x + (size_t)chunk->n * d_model, 0,
           (size_t)(chunk->m - chunk->n) * d_model * sizeof(float));
}

/* Rotates every head of n rows in place by one variant's angles. x: [n, n_heads * head_dim]. */
static void rotate_heads(const Forward *f, float *x, float *cos_table, int64_t first, int n,
                         int n_heads)
{
    const ModelConfig *config = &f->model->config;
    int n_pairs = f->rope.n_pairs;
    const float *sin_table = sin_of(f, cos_table);
    for (int row = 0; row < n; row++) {
        size_t angle = (size_t)(first + row) * (size_t)n_pairs;
        for (int head = 0; head < n_heads; head++, x += config->head_dim)
            rope_rotate(x, cos_table + angle, sin_table + angle, n_pairs, config->rope_layout);
    }
}

/* Every variant of n rows of queries from the plain ones in queries[0]. */
static void turn_queries(Forward *f, int64_t first, int n)
{
    const ModelConfig *config = &f->model->config;
    size_t width = (size_t)config->n_heads * (size_t)config->head_dim;
    for (int row = 0; row < n; row++) {
        float scale = rope_query_scale(&f->rope, first + row);
        float *query = f->queries[0] + (size_t)row * width;
        for (size_t i = 0; scale != 1.0F && i < width; i++)
            query[i] *= scale;
    }
    for (int i = f->rope.n_query_variants - 1; i >= 0; i--) {
        if (i > 0) memcpy(f->queries[i], f->queries[0], (size_t)n * width * sizeof(float));
        rotate_heads(f, f->queries[i], f->query_cos[i], first, n, config->n_heads);
    }
}

/* Turns a chunk's keys in every variant and stores them. Returns the first row that was not
 * finite, or n. */
static int store_keys(Forward *f, int layer, int64_t first, int n)
{
    const ModelConfig *config = &f->model->config;
    size_t floats = (size_t)n * (size_t)config->n_kv_heads * (size_t)config->head_dim;
    size_t layer_offset = (size_t)layer * attention_key_floats(&f->attention);
    int first_bad = n;
    for (int i = 0; i < f->rope.n_key_variants; i++) {
        bool is_last = i + 1 == f->rope.n_key_variants; /* turns them where they are */
        float *turned = is_last ? f->new_keys : f->turned_keys;
        if (!is_last) memcpy(turned, f->new_keys, floats * sizeof(float));
        rotate_heads(f, turned, f->key_cos[i], first, n, config->n_kv_heads);
        int bad = attention_store_keys(&f->attention, turned, first, n, f->keys[i] + layer_offset);
        if (bad < first_bad) first_bad = bad;
    }
    return first_bad;
}

static int store_values(Forward *f, int layer, int64_t first, int n)
{
    return attention_store_values(&f->attention, f->new_values, first, n,
                                  f->values +
                                      (size_t)layer * attention_value_floats(&f->attention));
}

static void attend(Forward *f, int layer, int64_t first, int n)
{
    AttentionInput input = {
        .path = f->model->path,
        .rope = &f->rope,
        .values = f->values + (size_t)layer * attention_value_floats(&f->attention),
        .first = first,
        .m = n,
        .n_threads = f->n_threads,
    };
    for (int i = 0; i < f->rope.n_query_variants; i++)
        input.queries[i] = f->queries[i];
    for (int i = 0; i < f->rope.n_key_variants; i++)
        input.keys[i] = f->keys[i] + (size_t)layer * attention_key_floats(&f->attention);
    attention_chunk(&f->attention, &input, f->scratch, f->attended);
}

/* y = x Wᵀ + b, where the model has this bias. */
static void linear(const Forward *f, const float *x, const float *weight, const float *bias,
                   float *y, LinearShape shape)
{
    f->model->path->linear(x, weight, y, shape, f->n_threads);
    if (bias) kernels_add_bias(y, bias, shape.m, shape.n);
}

/* y += x Wᵀ + b */
static void add_linear(const Forward *f, const float *x, const float *weight, const float *bias,
                       float *y, LinearShape shape)
{
    f->model->path->add_linear(x, weight, y, shape, f->n_threads);
    if (bias) kernels_add_bias(y, bias, shape.m, shape.n);
}

static void norm(const Forward *f, const float *x, const float *weight, const float *bias, float *y,
                 int m)
{
    const ModelConfig *config = &f->model->config;
    LayerNorm layer_norm = {weight, bias, config->d_model, config->rms_eps};
    if (bias)
        f->model->path->layer_norm(x, &layer_norm, y, m);
    else
        f->model->path->rms_norm(x, weight, y, m, config->d_model, config->rms_eps);
}

/* Keys and values of m rows of normed, not rotated yet. */
static void project_keys(Forward *f, const float *const *slot, int m)
{
    const ModelConfig *config = &f->model->config;
    LinearShape shape = {m, config->n_kv_heads * config->head_dim, config->d_model};
    linear(f, f->normed, slot[SLOT_WK], slot[SLOT_BK], f->new_keys, shape);
    linear(f, f->normed, slot[SLOT_WV], slot[SLOT_BV], f->new_values, shape);
    if (config->features & MODEL_QK_NORM)
        f->model->path->rms_norm(f->new_keys, slot[SLOT_K_NORM], f->new_keys,
                                 m * config->n_kv_heads, config->head_dim, config->rms_eps);
}

/* Queries of m rows from normed, not rotated yet. */
static void project_queries(Forward *f, const float *const *slot, const float *normed, int m)
{
    const ModelConfig *config = &f->model->config;
    LinearShape shape = {m, config->n_heads * config->head_dim, config->d_model};
    linear(f, normed, slot[SLOT_WQ], slot[SLOT_BQ], f->queries[0], shape);
    if (config->features & MODEL_QK_NORM)
        f->model->path->rms_norm(f->queries[0], slot[SLOT_Q_NORM], f->queries[0],
                                 m * config->n_heads, config->head_dim, config->rms_eps);
}

/* Rows of a chunk that a layer computes beyond keys and values: at … at+n-1, and padding up to at+m-1. */
typedef struct {
    int at;
    int n;
    int m;
} Span;

/* Attention and the feed-forward read the same x. */
static bool is_parallel(const ModelConfig *config)
{
    return (config->features & MODEL_PARALLEL) != 0;
}

/* Stores keys and values of the chunk; adds Wo attention(…) to x, or writes it to delta, of the span. Returns the first row whose key or value was
 * not finite, or n. */
static int attention_block(Forward *f, int layer, const Chunk *chunk, Span span)
{
    const ModelConfig *config = &f->model->config;
    const float *const *slot = f->model->layers[layer].slot;
    int64_t first = chunk->first + span.at;
    norm(f, f->x, slot[SLOT_ATTN_NORM], slot[SLOT_ATTN_NORM_BIAS], f->normed, chunk->m);
    end_phase(f, PHASE_REST);
    project_keys(f, slot, chunk->m);
    end_phase(f, PHASE_LINEAR);
    int bad_key = store_keys(f, layer, chunk->first, chunk->n);
    int bad_value = store_values(f, layer, chunk->first, chunk->n);
    end_phase(f, PHASE_REST);
    if (span.n > 0) {
        project_queries(f, slot, f->normed + (size_t)span.at * (size_t)config->d_model, span.m);
        end_phase(f, PHASE_LINEAR);
        turn_queries(f, first, span.n);
        end_phase(f, PHASE_REST);
        attend(f, layer, first, span.n);
        end_phase(f, PHASE_ATTENTION);
        LinearShape shape = {span.m, config->d_model, config->n_heads * config->head_dim};
        float *x = f->x + (size_t)span.at * (size_t)config->d_model;
        if (is_parallel(config))
            linear(f, f->attended, slot[SLOT_WO], slot[SLOT_BO], f->delta, shape);
        else
            add_linear(f, f->attended, slot[SLOT_WO], slot[SLOT_BO], x, shape);
        end_phase(f, PHASE_LINEAR);
    }
    return bad_key < bad_value ? bad_key : bad_value;
}

/* x += Wdown (silu(Wgate norm(x)) * Wup norm(x)), or Wdown gelu(Wup norm(x)), of m rows. */
static void ffn_block(Forward *f, int layer, float *x, int m)
{
    const ModelConfig *config = &f->model->config;
    const float *const *slot = f->model->layers[layer].slot;
    LinearShape widen = {m, config->d_ff, config->d_model};
    LinearShape narrow = {m, config->d_model, config->d_ff};
    size_t n_inner = (size_t)m * (size_t)config->d_ff;
    bool gated = !(config->features & MODEL_UNGATED);
    norm(f, x, slot[SLOT_FFN_NORM], slot[SLOT_FFN_NORM_BIAS], f->normed, m);
    end_phase(f, PHASE_REST);
    linear(f, f->normed, slot[SLOT_W_UP], slot[SLOT_B_UP], f->up, widen);
    if (gated) linear(f, f->normed, slot[SLOT_W_GATE], slot[SLOT_B_GATE], f->gate, widen);
    end_phase(f, PHASE_LINEAR);
    if (gated)
        f->model->path->swiglu(f->gate, f->up, n_inner);
    else
        kernels_gelu(f->up, n_inner);
    end_phase(f, PHASE_REST);
    add_linear(f, gated ? f->gate : f->up, slot[SLOT_W_DOWN], slot[SLOT_B_DOWN], x, narrow);
    end_phase(f, PHASE_LINEAR);
}

/* One layer on x. Returns the first row whose key or value was not finite, or n. */
static int run_layer(Forward *f, int layer, const Chunk *chunk, Span span)
{
    const ModelConfig *config = &f->model->config;
    float *x = f->x + (size_t)span.at * (size_t)config->d_model;
    size_t n_x = (size_t)span.m * (size_t)config->d_model;
    int bad = attention_block(f, layer, chunk, span);
    if (span.n == 0) return bad;
    ffn_block(f, layer, x, span.m);
    if (is_parallel(config)) kernels_add(x, f->delta, n_x);
    return bad;
}

int64_t forward_chunk(Forward *f, const Chunk *chunk)
{
    assert(chunk->n >= 1 && chunk->n <= chunk->m && chunk->first + chunk->n <= f->n_positions);
    assert(chunk->from >= 0 && chunk->from <= chunk->to && chunk->to <= chunk->m);
    int last = f->model->config.n_layers - 1;
    int to = chunk->to < chunk->n ? chunk->to : chunk->n;
    /* Nobody reads what the last layer makes of rows that are not wanted. */
    Span whole = {0, chunk->n, chunk->m};
    Span wanted = {chunk->from, to > chunk->from ? to - chunk->from : 0, chunk->to - chunk->from};
    int first_bad = chunk->n;
    f->lap = clock_monotonic_s();
    reach_angles(f, chunk->first + chunk->n);
    embed(f, chunk);
    for (int layer = 0; layer <= last; layer++) {
        int bad = run_layer(f, layer, chunk, layer < last ? whole : wanted);
        if (bad < first_bad) first_bad = bad;
    }
    end_phase(f, PHASE_REST);
    return first_bad < chunk->n ? chunk->first + first_bad : -1;
}

const float *forward_head(Forward *f, const int *rows, int n_rows)
{
    assert(n_rows <= FORWARD_HEAD_ROWS);
    const ModelConfig *config = &f->model->config;
    size_t d_model = (size_t)config->d_model;
    f->lap = clock_monotonic_s();
    for (int i = 0; i < n_rows; i++)
        norm(f, f->x + (size_t)rows[i] * d_model, f->model->out_norm, f->model->out_norm_bias,
             f->normed + (size_t)i * d_model, 1);
    f->model->path->linear(f->normed, f->model->head, f->logits,
                           (LinearShape){n_rows, config->vocab_size, config->d_model},
                           f->n_threads);
    end_phase(f, PHASE_HEAD);
    return f->logits;
}
