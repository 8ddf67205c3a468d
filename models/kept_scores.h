/* Scores of whole texts, kept so that a prefix of such a text need not be computed again: what comes behind a token does not change how it
 * was predicted. All under one rotation; a session (models/session.h) forgets them when it changes. */
#ifndef MODELS_KEPT_SCORES_H
#define MODELS_KEPT_SCORES_H

#include "models/session.h"

typedef struct KeptScores KeptScores;

/* Bytes that a text of n tokens takes. */
size_t kept_scores_bytes(int64_t n);

/* Room for max_bytes of texts, which is taken as they come. */
KeptScores *kept_scores_new(size_t max_bytes);
void kept_scores_free(KeptScores *kept);
void kept_scores_clear(KeptScores *kept);

/* The scores of rows 0 … n-2 of n tokens, from a kept text that begins with them; NULL: there is none. Lent until the next call that changes
 * what is kept. */
const TokenScore *kept_scores_find(const KeptScores *kept, const int32_t *tokens, int64_t n);

/* Keeps a text of n tokens with its n-1 scores; the oldest texts make room for it. One that all the room is too small for is not kept. */
void kept_scores_add(KeptScores *kept, const int32_t *tokens, int64_t n, const TokenScore *scores);

#endif
