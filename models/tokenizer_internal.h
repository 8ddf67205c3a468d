/* What the readers of the tokenizer formats fill in, and tokenizer.c runs. Only tokenizer_*.c include this. */
#ifndef MODELS_TOKENIZER_INTERNAL_H
#define MODELS_TOKENIZER_INTERNAL_H

#include "base/json.h"
#include "models/added_tokens.h"
#include "models/bpe_merge.h"
#include "models/normalize.h"
#include "models/pretokenize.h"
#include "models/tokenizer.h"
#include "models/vocab.h"

enum { N_CHAR_IDS = 0x800 }; /* code points of at most two bytes of UTF-8 */

/* One thing a decoder does to the text of each token. */
typedef enum { DECODE_REPLACE, DECODE_BYTE_FALLBACK, DECODE_BYTE_LEVEL } DecodeKind;

typedef struct {
    DecodeKind kind;
    char *from; /* DECODE_REPLACE; owned */
    char *to;
} DecodeStep;

typedef struct {
    DecodeStep *steps;
    size_t n_steps;
    bool is_fused; /* what follows would see the joined text */
    char *strip;   /* taken off the start of a text, at most n_strip times; owned, may be NULL */
    size_t n_strip;
    Buf text;       /* of all tokens behind one another */
    uint32_t *ends; /* by id */
} Decoder;

struct Tokenizer {
    const char *kind;
    int32_t n_ids; /* ids at or above it are internal: see tokenizer_spm.c */
    Vocab vocab;
    AddedTokens added;            /* looked for in the text as it is given */
    AddedTokens added_normalized; /* looked for in the normalised text */
    Normalizer normalizer;
    PreTokenizer pre;
    bool refuses_text; /* no pre-tokenizer is known */
    MergeTable merges;
    uint32_t n_merges_read; /* the rank of the next one */
    bool ignore_merges;     /* a piece that is a token stays whole */
    int32_t char_ids[N_CHAR_IDS];
    int32_t byte_ids[256]; /* what spells a byte of a character without an id; -1: nothing */
    int32_t unk_id;        /* -1: none */
    bool fuse_unk;         /* neighbouring unknown characters are one token */
    Decoder decoder;
    int32_t bos_id;
    int32_t eos_id;
    bool adds_bos;
    Buf notes;
};

/* A tokenizer that knows nothing yet: all ids are -1. */
Tokenizer *tokenizer_new(const char *kind);

/* Adds the merge of two texts, which must be in the vocabulary as their product must be. A product that is a control token is left
 * out. Errors: INPUT (names the text that is missing). */
bool tokenizer_add_merge(Tokenizer *tokenizer, const char *left, size_t n_left, const char *right,
                         size_t n_right, Err *err) MUST_USE;

/* Refuses a vocabulary that needs merges and has none. Errors: INPUT. */
bool tokenizer_check_merges(const Tokenizer *tokenizer, Err *err) MUST_USE;

/* Adds a step of the decoder; copies the strings. */
void tokenizer_add_decode(Tokenizer *tokenizer, DecodeKind kind, const char *from, const char *to);

/* Makes the tables that depend on the whole vocabulary; the last call of a reader.
 * Errors: INPUT (a decoder that makes too much of a token). */
bool tokenizer_finish(Tokenizer *tokenizer, Err *err) MUST_USE;

/* Appends the ids of one piece. Errors: INPUT (a character that cannot be spelled), NOMEM. */
bool tokenizer_encode_piece(const Tokenizer *tokenizer, const char *text, size_t n, MergeRun *run,
                            TokenList *out, Err *err) MUST_USE;

/* The pieces of the vocabulary of a GGUF file, as they are and as added tokens. Errors: INPUT. */
bool tokenizer_add_pieces(Tokenizer *tokenizer, const SpmPiece *pieces, size_t n,
                          Err *err) MUST_USE;

/* Refuses a special id that no piece has; -1 passes. Errors: INPUT. */
bool tokenizer_check_id(const Tokenizer *tokenizer, const char *what, int id, Err *err) MUST_USE;

/* Post-processor and tokenizer_config.json (NULL: none) -> bos_id, eos_id, adds_bos, notes. Errors: INPUT, UNSUPPORTED. */
bool tokenizer_json_read_bos(Tokenizer *tokenizer, const json_t *root, const json_t *config,
                             Err *err) MUST_USE;

/* normalizer, pre_tokenizer and decoder of a tokenizer.json. Errors: INPUT, UNSUPPORTED (names the type). */
bool tokenizer_json_read_pipeline(Tokenizer *tokenizer, const json_t *root, Err *err) MUST_USE;

#endif
