/* The pieces of a vocabulary: text by id and id by text. */
#ifndef MODELS_VOCAB_H
#define MODELS_VOCAB_H

#include "base/buf.h"
#include "base/err.h"
#include "models/tokenizer.h"

enum {
    VOCAB_MAX_IDS = 1 << 21,   /* ids are below this */
    VOCAB_MAX_PIECE = 1 << 16, /* bytes of one piece */
};

typedef struct {
    uint32_t start; /* in Vocab.text */
    uint32_t n;     /* bytes */
    int kind;       /* a TokenKind; 0: no piece has this id */
} VocabEntry;

/* Zeroed is empty. Free with vocab_free. */
typedef struct {
    Buf text;
    VocabEntry *entries; /* by id */
    size_t n_entries;    /* largest id + 1 */
    size_t cap_entries;
    int32_t *slots; /* open addressing over the texts: id + 1, or 0 */
    size_t n_slots;
    size_t n_texts;
} Vocab;

/* Adds a piece. Where two pieces have one text, the first is found.
 * Errors: INPUT (id out of range or taken, a piece that is too long). */
bool vocab_add(Vocab *vocab, int64_t id, const char *text, size_t n, TokenKind kind,
               Err *err) MUST_USE;

/* The id of a text, or -1. */
int32_t vocab_find(const Vocab *vocab, const char *text, size_t n);

/* The id of a text that plain text may become: one of kind NORMAL or USER_DEFINED; else -1. */
int32_t vocab_find_plain(const Vocab *vocab, const char *text, size_t n);

/* The text of an id that has one; lends. */
const char *vocab_text(const Vocab *vocab, int32_t id, size_t *n);

/* The kind of any id; 0 where no piece has it. */
int vocab_kind(const Vocab *vocab, int32_t id);

/* The value of a byte piece "<0x00>" … "<0xFF>", or -1 for any other text. */
int vocab_byte_value(const char *text, size_t n);

/* Changes the kind of an id that has a text. */
void vocab_set_kind(Vocab *vocab, int32_t id, TokenKind kind);

void vocab_free(Vocab *vocab);

#endif
