/* A byte-level BPE vocabulary learnt from text, written as a tokenizer.json.
 *
 * Ids are the 256 bytes, BOS (256), then what the merges make. Texts are cut into pieces that no merge crosses: letters
 * with at most one space before them, one digit, one blank, any other byte; so digits are always single tokens.
 * Source: Sennrich et al. 2016, algorithm 1, on bytes; equal counts go to the lower ids. */
#ifndef DATASETS_BPE_LEARN_H
#define DATASETS_BPE_LEARN_H

#include "base/buf.h"
#include "base/err.h"

enum {
    BPE_BOS = 256,
    BPE_N_FIXED = 257, /* bytes and BOS */
    BPE_MAX_VOCAB = 2048,
};

typedef struct BpeLearner BpeLearner;

BpeLearner *bpe_learner_new(void);
void bpe_learner_free(BpeLearner *learner);

/* Counts n bytes as if they were there `times` times; they may be any bytes.
 * Errors: INPUT (a word of more than 64 KiB, more than 2 million words). */
bool bpe_learner_add(BpeLearner *learner, const char *text, size_t n, int64_t times,
                     Err *err) MUST_USE;

/* Counts the texts of a file, or of every file of a folder, once; of records the field "text". Errors: INPUT, UNSUPPORTED (as text_open). */
bool bpe_learner_add_path(BpeLearner *learner, const char *path, Err *err) MUST_USE;

/* One merge: the ids of two neighbours, which become the id BPE_N_FIXED + rank. */
typedef struct {
    int32_t left;
    int32_t right;
} BpeMerge;

/* Merges in order of rank. Zeroed is empty; free with bpe_merges_free. */
typedef struct {
    BpeMerge *list;
    size_t n;
} BpeMerges;

/* Merges the commonest pair until the vocabulary has vocab_size entries. The order in which texts
 * were added does not matter. Errors: USAGE (vocab_size outside BPE_N_FIXED + 1 … BPE_MAX_VOCAB), INPUT (the text has
 * too few pairs), NOMEM. */
bool bpe_learn(const BpeLearner *learner, int vocab_size, BpeMerges *out, Err *err) MUST_USE;
void bpe_merges_free(BpeMerges *merges);

/* Appends the tokenizer.json of a vocabulary, which puts BOS before a text. Source: the serialised
 * form of Hugging Face tokenizers 0.20. */
void bpe_write_json(const BpeMerges *merges, Buf *out);

#endif
