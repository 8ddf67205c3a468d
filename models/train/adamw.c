#include "models/train/adamw.h"

#include <math.h>

void adamw_update(const AdamwStep *step, bool decays, const float *gradient, AdamwState state,
                  size_t n)
{
    const AdamwOptions *o = &step->options;
    float shrinks = (float)step->shrinks;
    float beta1 = (float)o->beta1;
    float beta2 = (float)o->beta2;
    float add1 = (float)(1.0 - o->beta1);
    float add2 = (float)(1.0 - o->beta2);
    float rate = (float)(step->rate / (1.0 - pow(o->beta1, (double)step->step)));
    float unbias = (float)(1.0 / sqrt(1.0 - pow(o->beta2, (double)step->step)));
    float eps = (float)o->eps;
    float keeps = decays ? (float)(1.0 - step->rate * o->weight_decay) : 1.0F;
    float *weights = state.weights;
    float *mean = state.mean;
    float *square = state.square;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] * shrinks;
        mean[i] = beta1 * mean[i] + add1 * g;
        square[i] = beta2 * square[i] + add2 * g * g;
        weights[i] = weights[i] * keeps - rate * mean[i] / (sqrtf(square[i]) * unbias + eps);
    }
}
