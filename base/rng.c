#include "base/rng.h"

#include <math.h>

#include <Random123/philox.h>

Rng rng_open(uint64_t seed, uint32_t a, uint32_t b, uint32_t c)
{
    return (Rng){
        .seed = seed, .stream = {a, b, c}
    };
}

uint32_t rng_u32(Rng *rng)
{
    if (rng->n_left == 0) {
        philox4x32_ctr_t counter = {
            {rng->block++, rng->stream[0], rng->stream[1], rng->stream[2]}
        };
        philox4x32_key_t key = {
            {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)}
        };
        philox4x32_ctr_t out = philox4x32(counter, key);
        for (int i = 0; i < 4; i++)
            rng->left[i] = out.v[i];
        rng->n_left = 4;
    }
    return rng->left[4 - rng->n_left--];
}

uint32_t rng_below(Rng *rng, uint32_t n)
{
    assert(n > 0);
    /* Numbers below 2^32 mod n would make small results likelier; they are drawn again. */
    uint32_t threshold = -n % n;
    for (;;) {
        uint32_t r = rng_u32(rng);
        if (r >= threshold) return r % n;
    }
}

double rng_unit(Rng *rng)
{
    uint64_t high = rng_u32(rng) >> 5;
    uint64_t low = rng_u32(rng) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

void rng_normals(Rng *rng, float deviation, float *out, size_t n)
{
    const float two_pi = 6.2831853F;
    for (size_t i = 0; i < n; i += 2) {
        float u = ((float)(rng_u32(rng) >> 8) + 0.5F) * 0x1p-24F;
        float angle = two_pi * (float)(rng_u32(rng) >> 8) * 0x1p-24F;
        float radius = deviation * sqrtf(-2.0F * logf(u));
        out[i] = radius * cosf(angle);
        if (i + 1 < n) out[i + 1] = radius * sinf(angle);
    }
}
