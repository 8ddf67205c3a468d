/* A second forward pass, written for nothing but comparison: double throughout, all positions at
 * once, every matrix product a plain loop, angles by its own formula. Shares no function with the
 * engine. */
#ifndef TESTS_LLAMA_TWIN_H
#define TESTS_LLAMA_TWIN_H

#include "models/model.h"

/* Logits [n, vocab_size] of n tokens under angles theta_scaled[i] (n_rot / 2 of them) at
 * positions 0 … n-1. Free with free(). */
double *llama_twin_logits(const Model *model, const double *theta_scaled, const int32_t *tokens,
                          int n);

/* -log softmax(row)[target]. */
double llama_twin_nll(const double *row, int vocab_size, int target);

#endif
