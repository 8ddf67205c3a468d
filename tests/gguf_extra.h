/* GGUF files of a small Llama with keys and tensors of RoPE scaling on top, for tests. */
#ifndef TESTS_GGUF_EXTRA_H
#define TESTS_GGUF_EXTRA_H

#include "base/buf.h"
#include "models/weights.h"

enum {
    GGUF_EXTRA_N_PAIRS = 8,
    GGUF_EXTRA_N_ROT = 2 * GGUF_EXTRA_N_PAIRS,
    GGUF_EXTRA_N_CTX_TRAIN = 4096,
    GGUF_EXTRA_BASE = 50000,
};

/* A key below "llama."; text NULL: a number. */
typedef struct {
    const char *name;
    double value;
    const char *text;
} GgufExtraKey;

/* A tensor of divisors: n numbers, or none when the name is NULL. */
typedef struct {
    const char *name;
    int n;
    float value[GGUF_EXTRA_N_PAIRS + 1];
} GgufExtraTensor;

/* What a test file has on top of the keys of a small Llama. */
typedef struct {
    uint32_t n_ctx_train; /* 0: GGUF_EXTRA_N_CTX_TRAIN */
    double theta;         /* 0: GGUF_EXTRA_BASE */
    GgufExtraKey keys[8];
    GgufExtraTensor tensors[3];
} GgufExtra;

/* Two keys of YaRN's, and that of the original length. */
#define GGUF_EXTRA_YARN(s)         \
 {"rope.scaling.type", 0, "yarn"}, \
 {                                 \
  "rope.scaling.factor", (s), NULL \
 }
#define GGUF_EXTRA_ORIGINAL(l)                      \
 {                                                  \
  "rope.scaling.original_context_length", (l), NULL \
 }

/* How many keys and tensors there are. */
size_t gguf_extra_count_keys(const GgufExtra *extra);
size_t gguf_extra_count_tensors(const GgufExtra *extra);

/* Appends a key to a file that is being built. */
void gguf_extra_put_key(Buf *b, const GgufExtraKey *key);

/* Appends what a file says of the tensors, the first of which stands at this place of its data and each next one a step behind. */
void gguf_extra_put_tensors(Buf *b, const GgufExtra *extra, uint64_t first, uint64_t step);

/* Writes a file with the extras and reads its config, which is good; the notes hold `note`. */
ModelConfig gguf_extra_read_good(const GgufExtra *extra, const char *note);

/* The config of such a file is refused with this code by a message that holds `part`. */
void gguf_extra_assert_refused(const GgufExtra *extra, ErrCode code, const char *part);

/* The rotation that a config asks for at n_ctx. */
RopeTable gguf_extra_table(const ModelConfig *config, int64_t n_ctx);

#endif
