/* Pre-tokenizers: a text cut into the pieces that are merged one by one. */
#ifndef MODELS_PRETOKENIZE_H
#define MODELS_PRETOKENIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "models/regex.h"

/* What becomes of the stretches that a pattern matches. Source: SplitDelimiterBehavior of Hugging Face tokenizers. */
typedef enum {
    SPLIT_ISOLATED,             /* each is a piece */
    SPLIT_REMOVED,              /* gone */
    SPLIT_MERGED_WITH_PREVIOUS, /* the end of the piece before */
    SPLIT_MERGED_WITH_NEXT,     /* the beginning of the piece behind */
    SPLIT_CONTIGUOUS            /* neighbours are one piece */
} SplitBehavior;

/* Where Metaspace puts its mark before a piece that has none. */
typedef enum { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } PrependScheme;

typedef struct PreStep PreStep;

/* Zeroed leaves a text in one piece. Free with pretokenizer_free. */
typedef struct {
    PreStep *steps;
    size_t n;
} PreTokenizer;

/* Cuts by a pattern, of which it takes ownership; invert swaps matches and what is between. */
void pretokenizer_add_split(PreTokenizer *pre, Regex *regex, SplitBehavior behavior, bool invert);

/* Puts a space before each piece that does not start with one. */
void pretokenizer_add_prefix_space(PreTokenizer *pre);

/* Spells bytes in the alphabet of byte-level BPE. */
void pretokenizer_add_byte_level(PreTokenizer *pre);

/* Replaces each space by a mark (copied) and puts one before a piece that has none. */
void pretokenizer_add_metaspace(PreTokenizer *pre, const char *mark, PrependScheme scheme);

/* The pattern GPT-2 cuts with. */
extern const char pretokenizer_gpt2_pattern[];

/* Adds the steps of a pre-tokenizer known by its name in GGUF files ("gpt-2", "llama-bpe", …), spelling of bytes included;
 * *ignore_merges tells whether a piece that is a token stays whole. Errors: UNSUPPORTED (lists the names). */
bool pretokenizer_add_named(PreTokenizer *pre, const char *name, bool *ignore_merges,
                            Err *err) MUST_USE;

/* Whether a step spells bytes, so that any text can be encoded. */
bool pretokenizer_spells_bytes(const PreTokenizer *pre);

void pretokenizer_free(PreTokenizer *pre);

typedef struct {
    size_t start; /* in Pieces.text */
    size_t n;     /* bytes, not 0 */
} Piece;

typedef struct Cut Cut;

/* The pieces of a text, and what making them needs; one a thread. Zeroed is empty. Free with pieces_free. */
typedef struct {
    Buf text;
    Piece *list;
    size_t n;
    size_t cap;
    Buf next_text;
    Piece *next;
    size_t n_next;
    size_t cap_next;
    Cut *cuts;
    size_t n_cuts;
    size_t cap_cuts;
    RegexScratch *scratch;
} Pieces;

/* Cuts n bytes, n > 0. at_start: they are the beginning of the whole text. Bytes that are not UTF-8 are pieces of their own for a
 * step that cuts by a pattern. Errors: INPUT (a pattern that needs too many steps). */
bool pretokenizer_apply(const PreTokenizer *pre, const char *text, size_t n, bool at_start,
                        Pieces *pieces, Err *err) MUST_USE;

void pieces_free(Pieces *pieces);

#endif
