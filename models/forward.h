/* One chunk of tokens through the transformer: embedding, layers, head. Knows nothing of
 * timelines. */
#ifndef MODELS_FORWARD_H
#define MODELS_FORWARD_H

#include "models/model.h"
#include "models/rope.h"

/* Rows that the head computes at once. */
enum { FORWARD_HEAD_ROWS = 64 };

/* Where wall time goes. */
typedef enum {
    PHASE_LINEAR,    /* the layers' matrix products */
    PHASE_ATTENTION, /* scores, softmax, values */
    PHASE_HEAD,      /* the head's product, and what is taken from logits */
    PHASE_REST,      /* norms, rotation, activation, cache, embedding */
    PHASE_TOKENIZER, /* texts to tokens and back; booked by who asks for it */
    N_PHASES
} Phase;

typedef struct {
    double s[N_PHASES]; /* seconds of the wall clock */
} Profile;

/* Keys and values of every layer, and the buffers that a chunk needs. */
typedef struct Forward Forward;

/* For chunks of at most max_rows rows at positions below n_positions (a multiple of KERNEL_KEYS).
 * The model must outlive it.
 * Errors: NOMEM. */
Forward *forward_open(const Model *model, int64_t n_positions, int max_rows, int n_threads,
                      Err *err) MUST_USE;
void forward_close(Forward *forward);

/* Seconds spent in each phase since open. */
Profile forward_profile(const Forward *forward);

/* Bytes that forward_open would allocate. */
size_t forward_bytes(const ModelConfig *config, int64_t n_positions, int max_rows);

/* Bytes that forward_set_rope allocates on top: the angles, and a second set of keys where far
 * keys turn otherwise than near ones. */
size_t forward_rope_bytes(const ModelConfig *config, int64_t n_positions, const RopeTable *table);

/* Uses this rotation for chunks that follow. Errors: NOMEM. */
bool forward_set_rope(Forward *forward, const RopeTable *table, Err *err) MUST_USE;

/* Tokens at positions first … first+n-1. m >= n rows are computed, the others being padding. */
typedef struct {
    const int32_t *tokens;
    int64_t first;
    int n;
    int m;
    int from; /* rows from … to-1 are wanted by forward_head; keys and values are made for all */
    int to;
} Chunk;

/* Runs a chunk through all layers and stores its keys and values. Keys and values before it must be there already. Bits
 * are equal where first, m, from and to are multiples of the path's granule. Returns the first position whose key or
 * value was not finite, or -1; such rows are stored as zero, so that they cannot reach positions
 * before them. */
int64_t forward_chunk(Forward *forward, const Chunk *chunk);

/* Logits of n_rows wanted rows of the last chunk, [n_rows, vocab_size]; rows may be in any order. Where the path's granule is not
 * 1, they must be whole granules, in order. Lends until the next call. */
const float *forward_head(Forward *forward, const int *rows, int n_rows);

#endif
