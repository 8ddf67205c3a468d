/* What the forward pass keeps for the backward one, a layer:
 *
 *     x -> normed -> queries, keys (turned), values -> attended -> mid = x + Wo attended
 *       -> mid_normed -> gate_up -> inner = silu(gate) up -> next x = mid + Wdown inner
 *
 * Probabilities are not kept but made again (gradients_attention.c), so memory grows with the length, not its square. The backward
 * pass carries d_x, the gradient with respect to the residual stream, from the head down to the embedding. */
#include "models/train/network.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/attention.h"
#include "models/kernels.h"
#include "models/train/gradients.h"

/* One layer's values of all tokens. */
typedef struct {
    float *x;           /* [m, d_model] */
    float *normed;      /* [m, d_model] */
    float *queries;     /* [m, q_width] */
    float *keys;        /* [m, kv_width] */
    float *values;      /* [m, kv_width] */
    float *attended;    /* [m, q_width] */
    float *log_sum_exp; /* [m, n_heads] */
    float *mid;         /* [m, d_model] */
    float *mid_normed;  /* [m, d_model] */
    float *gate_up;     /* [m, 2 d_ff] */
    float *inner;       /* [m, d_ff] */
} Layer;

enum {
    N_LAYER_BUFFERS = sizeof(Layer) / sizeof(float *),
    HEAD_ROWS = 128, /* logits that are computed, and turned into gradients, at once */
};

struct NetworkScratch {
    Layer *layers; /* n_layers, and one of which only x is used: the head's input */
    float *memory;
    AttentionShape attention;
    /* Of one layer at a time: */
    float *qkv;        /* [m, q_width + 2 kv_width], and its gradient */
    float *d_x;        /* [m, d_model] */
    float *d_normed;   /* [m, d_model] */
    float *d_attended; /* [m, q_width] */
    float *d_gate_up;  /* [m, 2 d_ff] */
    float *d_inner;    /* [m, d_ff] */
    float *logits;     /* [HEAD_ROWS, vocab_size] */
    /* Of one sequence and layer at a time: */
    float *key_cache;
    float *value_cache;
    float *attention_scratch;
    float *gradient_scratch;
};

enum { N_SHARED_BUFFERS = 11 };

static int q_width_of(const ModelConfig *config)
{
    return config->n_heads * config->head_dim;
}

static int kv_width_of(const ModelConfig *config)
{
    return config->n_kv_heads * config->head_dim;
}

static int qkv_width_of(const ModelConfig *config)
{
    return q_width_of(config) + 2 * kv_width_of(config);
}

static AttentionShape attention_shape(const ModelConfig *config, int length)
{
    return (AttentionShape){
        .n_heads = config->n_heads,
        .n_kv_heads = config->n_kv_heads,
        .head_dim = config->head_dim,
        .n_positions = (length + KERNEL_KEYS - 1) / KERNEL_KEYS * KERNEL_KEYS,
    };
}

/* Floats of each buffer of a layer, in the order of Layer, up to whole cache lines. */
static void layer_sizes(const ModelConfig *config, int m, size_t floats[N_LAYER_BUFFERS])
{
    int d = config->d_model;
    int q = q_width_of(config);
    int kv = kv_width_of(config);
    const int widths[N_LAYER_BUFFERS] = {
        d, d, q, kv, kv, q, config->n_heads, d, d, 2 * config->d_ff, config->d_ff};
    for (int i = 0; i < N_LAYER_BUFFERS; i++)
        floats[i] = ((size_t)widths[i] * (size_t)m + 15) / 16 * 16;
}

static void shared_sizes(const ModelConfig *config, int m, const AttentionShape *attention,
                         int length, size_t floats[N_SHARED_BUFFERS])
{
    size_t rows = (size_t)m;
    const size_t sizes[N_SHARED_BUFFERS] = {
        rows * (size_t)qkv_width_of(config),
        rows * (size_t)config->d_model,
        rows * (size_t)config->d_model,
        rows * (size_t)q_width_of(config),
        rows * (size_t)config->d_ff * 2,
        rows * (size_t)config->d_ff,
        (size_t)HEAD_ROWS * (size_t)config->vocab_size,
        attention_key_floats(attention),
        attention_value_floats(attention),
        attention_scratch_floats(attention, length),
        gradient_attention_floats(length),
    };
    for (int i = 0; i < N_SHARED_BUFFERS; i++)
        floats[i] = (sizes[i] + 15) / 16 * 16;
}

static size_t sum_of(const size_t *floats, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += floats[i];
    return sum;
}

/* Points each of n buffers into memory; returns what is left of it. */
static float *carve(float **const *buffers, const size_t *floats, int n, float *memory)
{
    for (int i = 0; i < n; i++) {
        *buffers[i] = memory;
        memory += floats[i];
    }
    return memory;
}

static float *carve_layer(Layer *l, const size_t floats[N_LAYER_BUFFERS], float *memory)
{
    float **const buffers[N_LAYER_BUFFERS] = {
        &l->x,           &l->normed, &l->queries,    &l->keys,    &l->values, &l->attended,
        &l->log_sum_exp, &l->mid,    &l->mid_normed, &l->gate_up, &l->inner};
    return carve(buffers, floats, N_LAYER_BUFFERS, memory);
}

NetworkScratch *network_scratch_open(const ModelConfig *config, int max_tokens, int max_length,
                                     Err *err)
{
    size_t layer_floats[N_LAYER_BUFFERS];
    size_t shared_floats[N_SHARED_BUFFERS];
    AttentionShape attention = attention_shape(config, max_length);
    layer_sizes(config, max_tokens, layer_floats);
    shared_sizes(config, max_tokens, &attention, max_length, shared_floats);
    size_t n = sum_of(layer_floats, N_LAYER_BUFFERS) * ((size_t)config->n_layers + 1) +
               sum_of(shared_floats, N_SHARED_BUFFERS);
    float *memory = mem_alloc_large(n, sizeof *memory, "values kept for the backward pass", err);
    if (!memory) return NULL;
    NetworkScratch *s = mem_zalloc(1, sizeof *s);
    s->layers = mem_zalloc((size_t)config->n_layers + 1, sizeof *s->layers);
    s->attention = attention;
    s->memory = memory;
    for (int i = 0; i <= config->n_layers; i++)
        memory = carve_layer(&s->layers[i], layer_floats, memory);
    float **const buffers[N_SHARED_BUFFERS] = {&s->qkv,
                                               &s->d_x,
                                               &s->d_normed,
                                               &s->d_attended,
                                               &s->d_gate_up,
                                               &s->d_inner,
                                               &s->logits,
                                               &s->key_cache,
                                               &s->value_cache,
                                               &s->attention_scratch,
                                               &s->gradient_scratch};
    carve(buffers, shared_floats, N_SHARED_BUFFERS, memory);
    return s;
}

void network_scratch_close(NetworkScratch *scratch)
{
    if (!scratch) return;
    free(scratch->layers);
    free(scratch->memory);
    free(scratch);
}

/* y = x wᵀ, or y += x wᵀ. */
static void multiply(const float *x, const float *w, float *y, LinearShape s, float add)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, s.m, s.n, s.k, 1.0F, x, s.k, w, s.k, add,
                y, s.n);
}

/* d_x = d_y w of y = x wᵀ. */
static void multiply_back(const float *d_y, const float *w, float *d_x, LinearShape s)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s.m, s.k, s.n, 1.0F, d_y, s.n, w, s.k,
                0.0F, d_x, s.k);
}

/* d_w += d_yᵀ x of y = x wᵀ. */
static void add_products(const float *d_y, const float *x, float *d_w, LinearShape s)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, s.n, s.k, s.m, 1.0F, d_y, s.n, x, s.k,
                1.0F, d_w, s.k);
}

/* What the passes of one set of sequences work on. */
typedef struct {
    const Network *net;
    NetworkScratch *s;
    const Sequences *in;
    float *gradient;
    int m; /* tokens in all */
    LinearShape qkv, out, gate_up, down, head;
} Pass;

static Pass pass_of(const Network *net, NetworkScratch *s, const Sequences *in, float *gradient)
{
    const ModelConfig *c = net->config;
    int m = in->n_rows * in->length;
    return (Pass){
        .net = net,
        .s = s,
        .in = in,
        .gradient = gradient,
        .m = m,
        .qkv = {m, qkv_width_of(c), c->d_model   },
        .out = {m, c->d_model,      q_width_of(c)},
        .gate_up = {m, 2 * c->d_ff,     c->d_model   },
        .down = {m, c->d_model,      c->d_ff      },
        .head = {m, c->vocab_size,   c->d_model   },
    };
}

static const float *weight_of(const Pass *p, Slot slot, int layer)
{
    return p->net->weights + train_layout_at(p->net->layout, slot, layer);
}

static float *gradient_of(const Pass *p, Slot slot, int layer)
{
    return p->gradient + train_layout_at(p->net->layout, slot, layer);
}

static size_t stream_floats(const Pass *p)
{
    return (size_t)p->m * (size_t)p->net->config->d_model;
}

static void norm(const Pass *p, Slot slot, int layer, const float *x, float *y)
{
    const ModelConfig *c = p->net->config;
    p->net->path->rms_norm(x, weight_of(p, slot, layer), y, p->m, c->d_model, c->rms_eps);
}

/* d_x += what comes back through a norm from d_normed. */
static void norm_back(const Pass *p, Slot slot, int layer, const float *x)
{
    const ModelConfig *c = p->net->config;
    NormGradient task = {
        .x = x,
        .weight = weight_of(p, slot, layer),
        .d_y = p->s->d_normed,
        .d_x = p->s->d_x,
        .d_weight = gradient_of(p, slot, layer),
        .m = p->m,
        .d = c->d_model,
        .eps = c->rms_eps,
    };
    gradient_rms_norm(&task);
}

/* Rotates the heads of one row by the angles of a position, with the sines given. */
static void turn(const Pass *p, float *x, int n_heads, int position, const float *sines)
{
    const ModelConfig *c = p->net->config;
    int n_pairs = p->net->rope->n_pairs;
    size_t angle = (size_t)position * (size_t)n_pairs;
    for (int head = 0; head < n_heads; head++, x += c->head_dim)
        rope_rotate(x, p->net->cos + angle, sines + angle, n_pairs, c->rope_layout);
}

static void scale_query(const Pass *p, float *query, int position)
{
    float scale = rope_query_scale(p->net->rope, position);
    for (int i = 0; scale != 1.0F && i < q_width_of(p->net->config); i++)
        query[i] *= scale;
}

/* Splits qkv into queries, keys and values, and turns the first two. */
static void split_and_turn(const Pass *p, const Layer *l)
{
    const ModelConfig *c = p->net->config;
    size_t q = (size_t)q_width_of(c);
    size_t kv = (size_t)kv_width_of(c);
    for (int row = 0; row < p->m; row++) {
        const float *from = p->s->qkv + (size_t)row * (q + 2 * kv);
        float *query = l->queries + (size_t)row * q;
        float *key = l->keys + (size_t)row * kv;
        int position = row % p->in->length;
        memcpy(query, from, q * sizeof *query);
        memcpy(key, from + q, kv * sizeof *key);
        memcpy(l->values + (size_t)row * kv, from + q + kv, kv * sizeof *key);
        scale_query(p, query, position);
        turn(p, query, c->n_heads, position, p->net->sin);
        turn(p, key, c->n_kv_heads, position, p->net->sin);
    }
}

/* Turns the gradients in qkv back: a rotation's transpose is the rotation by the angle's negative, times the same amplitude. */
static void turn_back(const Pass *p)
{
    const ModelConfig *c = p->net->config;
    for (int row = 0; row < p->m; row++) {
        float *query = p->s->qkv + (size_t)row * (size_t)qkv_width_of(c);
        int position = row % p->in->length;
        turn(p, query, c->n_heads, position, p->net->minus_sin);
        turn(p, query + q_width_of(c), c->n_kv_heads, position, p->net->minus_sin);
        scale_query(p, query, position);
    }
}

static void attend(const Pass *p, const Layer *l, int row)
{
    const ModelConfig *c = p->net->config;
    NetworkScratch *s = p->s;
    int length = p->in->length;
    size_t first = (size_t)row * (size_t)length;
    AttentionInput input = {
        .path = p->net->path,
        .rope = p->net->rope,
        .queries = {l->queries + first * (size_t)q_width_of(c)},
        .keys = {s->key_cache},
        .values = s->value_cache,
        .m = length,
        .n_threads = 1,
        .log_sum_exp = l->log_sum_exp + first * (size_t)c->n_heads,
    };
    size_t kv_first = first * (size_t)kv_width_of(c);
    attention_store_keys(&s->attention, l->keys + kv_first, 0, length, s->key_cache);
    attention_store_values(&s->attention, l->values + kv_first, 0, length, s->value_cache);
    attention_chunk(&s->attention, &input, s->attention_scratch,
                    l->attended + first * (size_t)q_width_of(c));
}

static void attend_back(const Pass *p, const Layer *l, int row)
{
    const ModelConfig *c = p->net->config;
    NetworkScratch *s = p->s;
    size_t first = (size_t)row * (size_t)p->in->length;
    size_t q = first * (size_t)q_width_of(c);
    size_t kv = first * (size_t)kv_width_of(c);
    float *d_queries = s->qkv + first * (size_t)qkv_width_of(c);
    AttentionGradient task = {
        .path = p->net->path,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .length = p->in->length,
        .queries = l->queries + q,
        .keys = l->keys + kv,
        .values = l->values + kv,
        .attended = l->attended + q,
        .log_sum_exp = l->log_sum_exp + first * (size_t)c->n_heads,
        .d_attended = s->d_attended + q,
        .d_queries = d_queries,
        .d_keys = d_queries + q_width_of(c),
        .d_values = d_queries + q_width_of(c) + kv_width_of(c),
        .qkv_width = qkv_width_of(c),
        .scratch = s->gradient_scratch,
    };
    gradient_attention(&task);
}

/* inner = silu(gate) * up, the engine's kernel on the copy of a row's gate. */
static void activate(const Pass *p, const Layer *l)
{
    size_t d_ff = (size_t)p->net->config->d_ff;
    for (int row = 0; row < p->m; row++) {
        const float *gate = l->gate_up + (size_t)row * 2 * d_ff;
        float *inner = l->inner + (size_t)row * d_ff;
        memcpy(inner, gate, d_ff * sizeof *inner);
        p->net->path->swiglu(inner, gate + d_ff, d_ff);
    }
}

static void layer_forward(const Pass *p, int layer)
{
    const Layer *l = &p->s->layers[layer];
    float *next_x = p->s->layers[layer + 1].x;
    norm(p, SLOT_ATTN_NORM, layer, l->x, l->normed);
    multiply(l->normed, weight_of(p, SLOT_WQ, layer), p->s->qkv, p->qkv, 0.0F);
    split_and_turn(p, l);
    for (int row = 0; row < p->in->n_rows; row++)
        attend(p, l, row);
    memcpy(l->mid, l->x, stream_floats(p) * sizeof *l->mid);
    multiply(l->attended, weight_of(p, SLOT_WO, layer), l->mid, p->out, 1.0F);
    norm(p, SLOT_FFN_NORM, layer, l->mid, l->mid_normed);
    multiply(l->mid_normed, weight_of(p, SLOT_W_GATE, layer), l->gate_up, p->gate_up, 0.0F);
    activate(p, l);
    memcpy(next_x, l->mid, stream_floats(p) * sizeof *next_x);
    multiply(l->inner, weight_of(p, SLOT_W_DOWN, layer), next_x, p->down, 1.0F);
}

static void layer_backward(const Pass *p, int layer)
{
    const Layer *l = &p->s->layers[layer];
    NetworkScratch *s = p->s;
    add_products(s->d_x, l->inner, gradient_of(p, SLOT_W_DOWN, layer), p->down);
    multiply_back(s->d_x, weight_of(p, SLOT_W_DOWN, layer), s->d_inner, p->down);
    gradient_swiglu(p->net->path, l->gate_up, s->d_inner, s->d_gate_up, p->m, p->net->config->d_ff);
    add_products(s->d_gate_up, l->mid_normed, gradient_of(p, SLOT_W_GATE, layer), p->gate_up);
    multiply_back(s->d_gate_up, weight_of(p, SLOT_W_GATE, layer), s->d_normed, p->gate_up);
    norm_back(p, SLOT_FFN_NORM, layer, l->mid);
    add_products(s->d_x, l->attended, gradient_of(p, SLOT_WO, layer), p->out);
    multiply_back(s->d_x, weight_of(p, SLOT_WO, layer), s->d_attended, p->out);
    for (int row = 0; row < p->in->n_rows; row++)
        attend_back(p, l, row);
    turn_back(p);
    add_products(s->qkv, l->normed, gradient_of(p, SLOT_WQ, layer), p->qkv);
    multiply_back(s->qkv, weight_of(p, SLOT_WQ, layer), s->d_normed, p->qkv);
    norm_back(p, SLOT_ATTN_NORM, layer, l->x);
}

static int32_t token_at(const Pass *p, int row, int ahead)
{
    int length = p->in->length;
    return p->in->tokens[row / length * (length + 1) + row % length + ahead];
}

static void embed(const Pass *p)
{
    size_t d = (size_t)p->net->config->d_model;
    const float *embedding = weight_of(p, SLOT_EMBEDDING, 0);
    for (int row = 0; row < p->m; row++)
        memcpy(p->s->layers[0].x + (size_t)row * d, embedding + (size_t)token_at(p, row, 0) * d,
               d * sizeof(float));
}

static void embed_back(const Pass *p)
{
    size_t d = (size_t)p->net->config->d_model;
    float *d_embedding = gradient_of(p, SLOT_EMBEDDING, 0);
    for (int row = 0; row < p->m; row++)
        kernels_add(d_embedding + (size_t)token_at(p, row, 0) * d, p->s->d_x + (size_t)row * d, d);
}

/* The head, forward and backward at once: Σ weight * nll, and d_x of the last layer's output. */
static double head(const Pass *p)
{
    NetworkScratch *s = p->s;
    const Layer *last = &s->layers[p->net->config->n_layers];
    size_t d = (size_t)p->net->config->d_model;
    size_t vocab = (size_t)p->net->config->vocab_size;
    const float *weight = weight_of(p, SLOT_HEAD, 0);
    double loss = 0.0;
    norm(p, SLOT_OUT_NORM, 0, last->x, last->normed);
    for (int first = 0; first < p->m; first += HEAD_ROWS) {
        LinearShape shape = p->head;
        size_t at = (size_t)first * d;
        shape.m = p->m - first < HEAD_ROWS ? p->m - first : HEAD_ROWS;
        multiply(last->normed + at, weight, s->logits, shape, 0.0F);
        for (int row = 0; row < shape.m; row++) {
            float token_weight = p->in->token_weights[first + row];
            loss += (double)token_weight *
                    gradient_cross_entropy(p->net->path, s->logits + (size_t)row * vocab,
                                           (int)vocab, token_at(p, first + row, 1), token_weight);
        }
        add_products(s->logits, last->normed + at, gradient_of(p, SLOT_HEAD, 0), shape);
        multiply_back(s->logits, weight, s->d_normed + at, shape);
    }
    memset(s->d_x, 0, stream_floats(p) * sizeof *s->d_x);
    norm_back(p, SLOT_OUT_NORM, 0, last->x);
    return loss;
}

double network_gradient(const Network *network, NetworkScratch *scratch, const Sequences *in,
                        float *gradient)
{
    Pass pass = pass_of(network, scratch, in, gradient);
    embed(&pass);
    for (int layer = 0; layer < network->config->n_layers; layer++)
        layer_forward(&pass, layer);
    double loss = head(&pass);
    for (int layer = network->config->n_layers - 1; layer >= 0; layer--)
        layer_backward(&pass, layer);
    embed_back(&pass);
    return loss;
}
