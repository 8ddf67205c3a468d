/* A second forward pass, written for nothing but comparison: double throughout, all positions at
 * once, every matrix product a plain loop, angles by its own formula. Shares no function with the
 * engine. */
#ifndef TESTS_LLAMA_TWIN_H
#define TESTS_LLAMA_TWIN_H

#include "models/model.h"

/* A rotation by its definition: what a query at p sees of a key at j <= p. */
typedef struct {
    const double *theta;              /* [n_rot / 2] */
    double (*relative)(int p, int j); /* NULL: p - j */
    double (*query_scale)(int p);     /* NULL: 1 */
    double amplitude;                 /* of cos and sin; 0 means 1 */
} TwinRope;

/* Logits [n, vocab_size] of n tokens at positions 0 … n-1. Free with free(). */
double *llama_twin_logits(const Model *model, const TwinRope *rope, const int32_t *tokens, int n);

/* -log softmax(row)[target]. */
double llama_twin_nll(const double *row, int vocab_size, int target);

#endif
