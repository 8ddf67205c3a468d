#include "tests/llama_twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof *p);
    if (!p) abort();
    return p;
}

static void multiply(const double *x, const float *w, double *y, int n_out, int n_in)
{
    for (int o = 0; o < n_out; o++) {
        y[o] = 0.0;
        for (int i = 0; i < n_in; i++)
            y[o] += (double)w[(size_t)o * (size_t)n_in + (size_t)i] * x[i];
    }
}

static void normalise(const double *x, const float *weight, double *y, int d, double eps)
{
    double mean = 0.0;
    for (int i = 0; i < d; i++)
        mean += x[i] * x[i] / d;
    for (int i = 0; i < d; i++)
        y[i] = x[i] / sqrt(mean + eps) * (double)weight[i];
}

/* The product of a query at p and a key at j: each pair is a complex number, and the query's
 * turns by the relative position. */
static double product(const ModelConfig *c, const TwinRope *rope, const double *q, const double *k,
                      int p, int j)
{
    double r = rope->relative ? rope->relative(p, j) : p - j;
    double amplitude = rope->amplitude != 0.0 ? rope->amplitude : 1.0;
    double sum = 0.0;
    for (int i = 0; i < c->n_rot / 2; i++) {
        int a = c->rope_layout == ROPE_HALVES ? i : 2 * i;
        int b = c->rope_layout == ROPE_HALVES ? i + c->n_rot / 2 : 2 * i + 1;
        double re = q[a] * cos(r * rope->theta[i]) - q[b] * sin(r * rope->theta[i]);
        double im = q[b] * cos(r * rope->theta[i]) + q[a] * sin(r * rope->theta[i]);
        sum += amplitude * amplitude * (re * k[a] + im * k[b]);
    }
    for (int i = c->n_rot; i < c->head_dim; i++)
        sum += q[i] * k[i];
    return sum * (rope->query_scale ? rope->query_scale(p) : 1.0) / sqrt(c->head_dim);
}

/* Keys and values of one head at all positions: rows kv_width apart. */
typedef struct {
    const double *k;
    const double *v;
} HeadCache;

/* Attention output of one head at one position. */
static void attend(const ModelConfig *c, const TwinRope *rope, const double *q, HeadCache cache,
                   int position, double *out)
{
    const double *k = cache.k;
    const double *v = cache.v;
    int kv_width = c->n_kv_heads * c->head_dim;
    double *weight = zeros((size_t)position + 1);
    double total = 0.0;
    double top = -1e300;
    for (int j = 0; j <= position; j++) {
        weight[j] = product(c, rope, q, k + (size_t)j * (size_t)kv_width, position, j);
        if (weight[j] > top) top = weight[j];
    }
    for (int j = 0; j <= position; j++)
        total += weight[j] = exp(weight[j] - top);
    for (int i = 0; i < c->head_dim; i++) {
        out[i] = 0.0;
        for (int j = 0; j <= position; j++)
            out[i] += weight[j] / total * v[(size_t)j * (size_t)kv_width + (size_t)i];
    }
    free(weight);
}

/* The layer's weights, row-major; free each. */
static void plain_weights(const Model *model, int layer, float *w[N_LAYER_SLOTS])
{
    for (int slot = 0; slot < N_LAYER_SLOTS; slot++) {
        Tensor shape = {0};
        w[slot] = NULL;
        if (!arch_has_slot(&model->config, (Slot)slot)) continue;
        arch_slot_shape(&model->config, (Slot)slot, &shape);
        w[slot] = calloc((size_t)tensor_count(&shape), sizeof *w[slot]);
        if (!w[slot]) abort();
        model_plain_weights(model, (Slot)slot, layer, w[slot]);
    }
}

static void layer_forward(const Model *model, int layer, const TwinRope *rope, double *x, int n)
{
    const ModelConfig *c = &model->config;
    float *w[N_LAYER_SLOTS];
    plain_weights(model, layer, w);
    int q_width = c->n_heads * c->head_dim;
    int kv_width = c->n_kv_heads * c->head_dim;
    double *h = zeros((size_t)c->d_model);
    double *q = zeros((size_t)n * (size_t)q_width);
    double *k = zeros((size_t)n * (size_t)kv_width);
    double *v = zeros((size_t)n * (size_t)kv_width);
    double *o = zeros((size_t)q_width);
    double *gate = zeros((size_t)c->d_ff);
    double *up = zeros((size_t)c->d_ff);
    for (int t = 0; t < n; t++) {
        normalise(x + (size_t)t * (size_t)c->d_model, w[SLOT_ATTN_NORM], h, c->d_model, c->rms_eps);
        multiply(h, w[SLOT_WQ], q + (size_t)t * (size_t)q_width, q_width, c->d_model);
        multiply(h, w[SLOT_WK], k + (size_t)t * (size_t)kv_width, kv_width, c->d_model);
        multiply(h, w[SLOT_WV], v + (size_t)t * (size_t)kv_width, kv_width, c->d_model);
    }
    for (int t = 0; t < n; t++) {
        double *row = x + (size_t)t * (size_t)c->d_model;
        for (int head = 0; head < c->n_heads; head++) {
            int kv = head * c->n_kv_heads / c->n_heads * c->head_dim;
            HeadCache cache = {k + kv, v + kv};
            attend(c, rope, q + (size_t)t * (size_t)q_width + (size_t)(head * c->head_dim), cache,
                   t, o + (size_t)head * (size_t)c->head_dim);
        }
        multiply(o, w[SLOT_WO], h, c->d_model, q_width);
        for (int i = 0; i < c->d_model; i++)
            row[i] += h[i];
        normalise(row, w[SLOT_FFN_NORM], h, c->d_model, c->rms_eps);
        multiply(h, w[SLOT_W_GATE], gate, c->d_ff, c->d_model);
        multiply(h, w[SLOT_W_UP], up, c->d_ff, c->d_model);
        for (int i = 0; i < c->d_ff; i++)
            gate[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
        multiply(gate, w[SLOT_W_DOWN], h, c->d_model, c->d_ff);
        for (int i = 0; i < c->d_model; i++)
            row[i] += h[i];
    }
    free(h);
    free(q);
    free(k);
    free(v);
    free(o);
    free(gate);
    free(up);
    for (int slot = 0; slot < N_LAYER_SLOTS; slot++)
        free(w[slot]);
}

double *llama_twin_logits(const Model *model, const TwinRope *rope, const int32_t *tokens, int n)
{
    const ModelConfig *c = &model->config;
    double *x = zeros((size_t)n * (size_t)c->d_model);
    double *h = zeros((size_t)c->d_model);
    double *logits = zeros((size_t)n * (size_t)c->vocab_size);
    float *head = calloc((size_t)c->vocab_size * (size_t)c->d_model, sizeof *head);
    if (!head) abort();
    model_plain_weights(model, SLOT_HEAD, 0, head);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < c->d_model; i++)
            x[(size_t)t * (size_t)c->d_model + (size_t)i] =
                (double)model->embedding[(size_t)tokens[t] * (size_t)c->d_model + (size_t)i];
    for (int layer = 0; layer < c->n_layers; layer++)
        layer_forward(model, layer, rope, x, n);
    for (int t = 0; t < n; t++) {
        normalise(x + (size_t)t * (size_t)c->d_model, model->out_norm, h, c->d_model, c->rms_eps);
        multiply(h, head, logits + (size_t)t * (size_t)c->vocab_size, c->vocab_size, c->d_model);
    }
    free(x);
    free(h);
    free(head);
    return logits;
}

double llama_twin_nll(const double *row, int vocab_size, int target)
{
    double top = row[0];
    double sum = 0.0;
    for (int i = 1; i < vocab_size; i++)
        top = fmax(top, row[i]);
    for (int i = 0; i < vocab_size; i++)
        sum += exp(row[i] - top);
    return top + log(sum) - row[target];
}
