#include "tests/train_twin.h"

#include <math.h>
#include <stdlib.h>

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof *p);
    if (!p) abort();
    return p;
}

static const double *at(const TrainTwin *t, Slot slot, int layer)
{
    size_t start = t->layout->offset[slot];
    if (slot < N_LAYER_SLOTS) start += (size_t)layer * t->layout->layer_floats;
    return t->weights + start;
}

static void multiply(const double *x, const double *w, double *y, int n_out, int n_in)
{
    for (int o = 0; o < n_out; o++) {
        y[o] = 0.0;
        for (int i = 0; i < n_in; i++)
            y[o] += w[o * n_in + i] * x[i];
    }
}

static void normalise(const double *x, const double *gain, double *y, int d, double eps)
{
    double mean = 0.0;
    for (int i = 0; i < d; i++)
        mean += x[i] * x[i] / d;
    for (int i = 0; i < d; i++)
        y[i] = gain[i] * x[i] / sqrt(mean + eps);
}

/* q at p and k at j: pair by pair, the product of complex numbers turned by their distance. */
static double score(const TrainTwin *t, const double *q, const double *k, int p, int j)
{
    const ModelConfig *c = t->config;
    double sum = 0.0;
    int half = c->n_rot / 2;
    for (int i = 0; i < half; i++) {
        int a = c->rope_layout == ROPE_HALVES ? i : 2 * i;
        int b = c->rope_layout == ROPE_HALVES ? i + half : 2 * i + 1;
        double turn = (p - j) * t->theta[i];
        sum += t->amplitude * t->amplitude *
               (cos(turn) * (q[a] * k[a] + q[b] * k[b]) + sin(turn) * (q[a] * k[b] - q[b] * k[a]));
    }
    for (int i = c->n_rot; i < c->head_dim; i++)
        sum += q[i] * k[i];
    if (t->log_n > 0.0 && log(p + 1.0) > log(t->log_n)) sum *= log(p + 1.0) / log(t->log_n);
    return sum / sqrt(c->head_dim);
}

/* Keys and values of the positions so far, rows kv_width apart. */
typedef struct {
    double *k;
    double *v;
} Cache;

static void attend(const TrainTwin *t, const double *q, Cache cache, int p, double *out)
{
    const ModelConfig *c = t->config;
    int kv_width = c->n_kv_heads * c->head_dim;
    double *e = zeros((size_t)p + 1);
    double total = 0.0;
    for (int j = 0; j <= p; j++)
        total += e[j] = exp(score(t, q, cache.k + j * kv_width, p, j));
    for (int i = 0; i < c->head_dim; i++) {
        out[i] = 0.0;
        for (int j = 0; j <= p; j++)
            out[i] += e[j] / total * cache.v[j * kv_width + i];
    }
    free(e);
}

/* One token through one layer. */
static void layer(const TrainTwin *t, int l, double *x, Cache cache, int p)
{
    const ModelConfig *c = t->config;
    int d = c->d_model;
    int q_width = c->n_heads * c->head_dim;
    int kv_width = c->n_kv_heads * c->head_dim;
    double *h = zeros((size_t)d);
    double *q = zeros((size_t)q_width);
    double *o = zeros((size_t)q_width);
    double *gate = zeros((size_t)c->d_ff);
    double *up = zeros((size_t)c->d_ff);
    normalise(x, at(t, SLOT_ATTN_NORM, l), h, d, c->rms_eps);
    multiply(h, at(t, SLOT_WQ, l), q, q_width, d);
    multiply(h, at(t, SLOT_WK, l), cache.k + p * kv_width, kv_width, d);
    multiply(h, at(t, SLOT_WV, l), cache.v + p * kv_width, kv_width, d);
    for (int head = 0; head < c->n_heads; head++) {
        int kv = head / (c->n_heads / c->n_kv_heads) * c->head_dim;
        attend(t, q + head * c->head_dim, (Cache){cache.k + kv, cache.v + kv}, p,
               o + head * c->head_dim);
    }
    multiply(o, at(t, SLOT_WO, l), h, d, q_width);
    for (int i = 0; i < d; i++)
        x[i] += h[i];
    normalise(x, at(t, SLOT_FFN_NORM, l), h, d, c->rms_eps);
    multiply(h, at(t, SLOT_W_GATE, l), gate, c->d_ff, d);
    multiply(h, at(t, SLOT_W_UP, l), up, c->d_ff, d);
    for (int i = 0; i < c->d_ff; i++)
        gate[i] *= up[i] / (1.0 + exp(-gate[i]));
    multiply(gate, at(t, SLOT_W_DOWN, l), h, d, c->d_ff);
    for (int i = 0; i < d; i++)
        x[i] += h[i];
    free(h);
    free(q);
    free(o);
    free(gate);
    free(up);
}

static double nll(const TrainTwin *t, const double *x, int target)
{
    const ModelConfig *c = t->config;
    double *h = zeros((size_t)c->d_model);
    double *logits = zeros((size_t)c->vocab_size);
    double sum = 0.0;
    normalise(x, at(t, SLOT_OUT_NORM, 0), h, c->d_model, c->rms_eps);
    multiply(h, at(t, c->tied ? SLOT_EMBEDDING : SLOT_HEAD, 0), logits, c->vocab_size, c->d_model);
    for (int i = 0; i < c->vocab_size; i++)
        sum += exp(logits[i] - logits[target]);
    free(h);
    free(logits);
    return log(sum);
}

static double row_loss(const TrainTwin *t, const int32_t *tokens, const float *weights, int length)
{
    const ModelConfig *c = t->config;
    size_t cached = (size_t)length * (size_t)(c->n_kv_heads * c->head_dim);
    Cache *caches = calloc((size_t)c->n_layers, sizeof *caches);
    if (!caches) abort();
    for (int l = 0; l < c->n_layers; l++)
        caches[l] = (Cache){zeros(cached), zeros(cached)};
    double *x = zeros((size_t)c->d_model);
    double sum = 0.0;
    for (int p = 0; p < length; p++) {
        for (int i = 0; i < c->d_model; i++)
            x[i] = at(t, SLOT_EMBEDDING, 0)[tokens[p] * c->d_model + i];
        for (int l = 0; l < c->n_layers; l++)
            layer(t, l, x, caches[l], p);
        if (weights[p] > 0.0F) sum += (double)weights[p] * nll(t, x, tokens[p + 1]);
    }
    for (int l = 0; l < c->n_layers; l++) {
        free(caches[l].k);
        free(caches[l].v);
    }
    free(caches);
    free(x);
    return sum;
}

double train_twin_loss(const TrainTwin *twin, const TwinBatch *batch)
{
    double sum = 0.0;
    double total = 0.0;
    for (int row = 0; row < batch->n_rows; row++)
        sum += row_loss(twin, batch->tokens + row * (batch->length + 1),
                        batch->weights + row * batch->length, batch->length);
    for (int i = 0; i < batch->n_rows * batch->length; i++)
        total += (double)batch->weights[i];
    return sum / total;
}

double train_twin_slope(TrainTwin *twin, const TwinBatch *batch, size_t i)
{
    const double h = 1e-5;
    double own = twin->weights[i];
    twin->weights[i] = own + h;
    double above = train_twin_loss(twin, batch);
    twin->weights[i] = own - h;
    double below = train_twin_loss(twin, batch);
    twin->weights[i] = own;
    return (above - below) / (2.0 * h);
}

static bool decays(const TwinStep *step, size_t i)
{
    for (int k = 0; k < step->n_no_decay; k++)
        if (i >= step->no_decay[k][0] && i < step->no_decay[k][1]) return false;
    return true;
}

void train_twin_step(TrainTwin *twin, const TwinBatch *batch, const TwinStep *step)
{
    size_t n = twin->layout->n;
    const AdamwOptions *o = &step->options;
    double *gradient = zeros(n);
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) {
        gradient[i] = train_twin_slope(twin, batch, i);
        squares += gradient[i] * gradient[i];
    }
    double clip = sqrt(squares) > o->clip ? o->clip / sqrt(squares) : 1.0;
    for (size_t i = 0; i < n; i++) {
        double g = gradient[i] * clip;
        step->mean[i] = o->beta1 * step->mean[i] + (1.0 - o->beta1) * g;
        step->square[i] = o->beta2 * step->square[i] + (1.0 - o->beta2) * g * g;
        double mean = step->mean[i] / (1.0 - pow(o->beta1, step->step));
        double square = step->square[i] / (1.0 - pow(o->beta2, step->step));
        if (decays(step, i)) twin->weights[i] -= step->rate * o->weight_decay * twin->weights[i];
        twin->weights[i] -= step->rate * mean / (sqrt(square) + o->eps);
    }
    free(gradient);
}
