/* Tokens that are matched in a text as a whole, before anything else happens to it. */
#ifndef MODELS_ADDED_TOKENS_H
#define MODELS_ADDED_TOKENS_H

#include "models/vocab.h"

/* Source: AddedToken of Hugging Face tokenizers. */
typedef struct {
    int32_t id;
    bool is_special;  /* matched only where control tokens are parsed */
    bool single_word; /* not beside a letter, digit or mark */
    bool strips_left; /* takes the blanks before it along */
    bool strips_right;
} AddedToken;

/* Zeroed is empty. Free with added_tokens_free. */
typedef struct {
    AddedToken *tokens;
    size_t n;
    Vocab index; /* text -> place in tokens */
    struct {
        uint16_t *lengths; /* of the texts that start with this byte, longest first */
        size_t n;
    } by_first[256];
} AddedTokens;

/* Adds a token of n bytes of text; an empty text is never matched, and the first of two with one text counts.
 * Errors: INPUT (as vocab_add). */
bool added_tokens_add(AddedTokens *added, const AddedToken *token, const char *text, size_t n,
                      Err *err) MUST_USE;

typedef struct {
    size_t start;
    size_t end;
    int32_t id;
} AddedMatch;

/* Finds the leftmost, and there the longest, token at or behind `from`. False when there is none. */
bool added_tokens_next(const AddedTokens *added, const char *text, size_t n, size_t from,
                       bool parse_special, AddedMatch *match);

void added_tokens_free(AddedTokens *added);

#endif
