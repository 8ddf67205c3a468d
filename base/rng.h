/* Counter-based random numbers: the k-th number of a stream depends on its key and on k, never on
 * what ran before, so that prompts are the same in any order, shard or thread. Source:
 * Philox4x32-10, Salmon et al., SC11 (Random123). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/base.h"

typedef struct {
    uint64_t seed;      /* the key */
    uint32_t stream[3]; /* which stream: for a probe (probe id and length, depth in ppm, trial) */
    uint32_t block;     /* next block of four numbers */
    uint32_t left[4];   /* numbers of the current block that are not used yet */
    int n_left;
} Rng;

Rng rng_open(uint64_t seed, uint32_t a, uint32_t b, uint32_t c);

uint32_t rng_u32(Rng *rng);

/* Uniform in 0 … n-1 without bias; n > 0. */
uint32_t rng_below(Rng *rng, uint32_t n);

/* Uniform in [0, 1), 53 bits. */
double rng_unit(Rng *rng);

/* n normal numbers of mean 0 and this standard deviation. Source: Box and Muller 1958. */
void rng_normals(Rng *rng, float deviation, float *out, size_t n);

#endif
