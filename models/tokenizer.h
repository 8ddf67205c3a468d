/* Text to token ids and back, for the tokenizers that come inside model files.
 *
 * Data never becomes control tokens: tokenizer_encode looks for special tokens in the text only
 * when parse_special is set. No BOS or EOS is added by encode; bos_id and adds_bos say what the
 * model was trained with. */
#ifndef MODELS_TOKENIZER_H
#define MODELS_TOKENIZER_H

#include "base/buf.h"
#include "base/err.h"

typedef struct Tokenizer Tokenizer;

/* A growable list of token ids. Free with token_list_free. */
typedef struct {
    int32_t *ids;
    size_t n;
    size_t cap;
} TokenList;

void token_list_add(TokenList *list, int32_t id);
void token_list_append(TokenList *list, const int32_t *ids, size_t n);
void token_list_free(TokenList *list);

/* Reads a tokenizer.json (BPE). config_path is tokenizer_config.json beside it, or NULL.
 * Errors: INPUT (damaged, zero merges, bad ids), UNSUPPORTED (Unigram, WordPiece, an unknown
 * pre-tokenizer: named). */
Tokenizer *tokenizer_open_json(const char *path, const char *config_path, Err *err) MUST_USE;

/* The same from memory (for fuzzing); config_text may be NULL. */
Tokenizer *tokenizer_parse_json(const char *text, size_t n, const char *config_text,
                                size_t n_config, const char *origin, Err *err) MUST_USE;

/* Kinds of a vocabulary entry. Source: GGUF tokenizer.ggml.token_type. */
typedef enum {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
} TokenKind;

/* One entry of a SentencePiece vocabulary. */
typedef struct {
    const char *text; /* not terminated; "▁" (U+2581) stands for a space */
    size_t n;
    float score;
    TokenKind kind;
} SpmPiece;

typedef struct {
    const SpmPiece *pieces;
    size_t n_pieces;
    int bos_id; /* -1: none */
    int eos_id;
    int unk_id;
    bool adds_bos;
    bool adds_prefix_space;
    const char *origin; /* file name for messages */
} SpmVocab;

/* A SentencePiece BPE tokenizer (GGUF "llama" model, llama2.c's tokenizer file): merges by score,
 * falls back to bytes. Copies what it needs. Errors: INPUT (ids out of range, a malformed byte
 * piece). */
Tokenizer *tokenizer_open_spm(const SpmVocab *vocab, Err *err) MUST_USE;

/* Reads llama2.c's tokenizer file (int max length; then for each of vocab_size entries float
 * score, int length, bytes).
 * Errors: INPUT. */
Tokenizer *tokenizer_open_llama2c(const char *path, int vocab_size, Err *err) MUST_USE;

/* A byte-level BPE vocabulary of GGUF ("gpt2" model): pieces by id, merges "a b" by rank.
 * pretokenizer is tokenizer.ggml.pre or the user's choice. Errors: INPUT, UNSUPPORTED (unknown
 * pretokenizer). */
typedef struct {
    const SpmPiece *pieces; /* score unused */
    size_t n_pieces;
    const char *const *merges;
    size_t n_merges;
    const char *pretokenizer; /* NULL: text is refused, ids still work */
    int bos_id;
    int eos_id;
    bool adds_bos;
    const char *origin;
} BpeVocab;
Tokenizer *tokenizer_open_bpe(const BpeVocab *vocab, Err *err) MUST_USE;

void tokenizer_free(Tokenizer *tokenizer);

/* Appends the ids of n bytes of text; on an error, none. text need not be valid UTF-8: byte-level
 * vocabularies and those with byte pieces take any byte, for others a byte that is no character is
 * an unknown character. Errors: UNSUPPORTED (no pre-tokenizer known), INPUT (a character that the
 * vocabulary cannot spell and that has no unknown token), NOMEM. */
bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n, bool parse_special,
                      TokenList *out, Err *err) MUST_USE;

/* Appends the text of n ids. Ids out of range append U+FFFD. skip_special leaves control tokens
 * out. The space that encode put before the first word is taken off when the first id is at the
 * start of a text (at_start). */
void tokenizer_decode(const Tokenizer *tokenizer, const int32_t *ids, size_t n, bool at_start,
                      bool skip_special, Buf *out);

int tokenizer_vocab_size(const Tokenizer *tokenizer); /* largest id + 1 */
int tokenizer_bos_id(const Tokenizer *tokenizer);     /* -1: none */
int tokenizer_eos_id(const Tokenizer *tokenizer);     /* -1: none */
bool tokenizer_adds_bos(
    const Tokenizer *tokenizer); /* whether the model expects BOS before a text */
const char *tokenizer_kind(
    const Tokenizer *tokenizer); /* "byte-level BPE", "SentencePiece BPE", … */

/* Lines a person should read (contradictions about BOS, …); "" if none. Lends. */
const char *tokenizer_notes(const Tokenizer *tokenizer);

#endif
