#include "models/train/gradients.h"

#include <math.h>
#include <string.h>

/* With r = 1 / sqrt(mean(x²) + eps): d_x = r w d_y - x r³/d Σ w d_y x. */
static void norm_row(const NormGradient *norm, const float *x, const float *d_y, float *d_x)
{
    int d = norm->d;
    const float *weight = norm->weight;
    float *d_weight = norm->d_weight;
    float squares = 0.0F;
    float along = 0.0F;
#pragma omp simd reduction(+ : squares, along)
    for (int i = 0; i < d; i++) {
        squares += x[i] * x[i];
        along += weight[i] * d_y[i] * x[i];
    }
    float scale = (float)(1.0 / sqrt((double)squares / d + norm->eps));
    float back = along * scale * scale * scale / (float)d;
#pragma omp simd
    for (int i = 0; i < d; i++) {
        d_weight[i] += d_y[i] * x[i] * scale;
        d_x[i] += scale * weight[i] * d_y[i] - back * x[i];
    }
}

void gradient_rms_norm(const NormGradient *norm)
{
    for (int row = 0; row < norm->m; row++) {
        size_t at = (size_t)row * (size_t)norm->d;
        norm_row(norm, norm->x + at, norm->d_y + at, norm->d_x + at);
    }
}

/* silu'(g) = s (1 + g (1 - s)) with s = 1 / (1 + e^-g). d_gate holds e^-g on entry. */
static void swiglu_row(const float *gate, const float *d_inner, float *d_gate, int d_ff)
{
    const float *up = gate + d_ff;
    float *d_up = d_gate + d_ff;
#pragma omp simd
    for (int i = 0; i < d_ff; i++) {
        float sigmoid = 1.0F / (1.0F + d_gate[i]);
        float silu = gate[i] * sigmoid;
        d_up[i] = d_inner[i] * silu;
        d_gate[i] = d_inner[i] * up[i] * (sigmoid + silu * (1.0F - sigmoid));
    }
}

void gradient_swiglu(const KernelPath *path, const float *gate_up, const float *d_inner,
                     float *d_gate_up, int m, int d_ff)
{
    for (int row = 0; row < m; row++, gate_up += 2 * d_ff, d_gate_up += 2 * d_ff, d_inner += d_ff) {
        for (int i = 0; i < d_ff; i++)
            d_gate_up[i] = -gate_up[i];
        path->exp(d_gate_up, (size_t)d_ff);
        swiglu_row(gate_up, d_inner, d_gate_up, d_ff);
    }
}

static float top_of(const float *x, int n)
{
    float top = x[0];
#pragma omp simd reduction(max : top)
    for (int i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

double gradient_cross_entropy(const KernelPath *path, float *logits, int n, int32_t target,
                              float weight)
{
    if (weight == 0.0F) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        return 0.0;
    }
    float top = top_of(logits, n);
    double own = (double)(logits[target] - top);
    for (int i = 0; i < n; i++)
        logits[i] -= top;
    path->exp(logits, (size_t)n);
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++)
        sum += (double)logits[i];
    float scale = (float)((double)weight / sum);
    for (int i = 0; i < n; i++)
        logits[i] *= scale;
    logits[target] -= weight;
    return log(sum) - own;
}
