/* Passkey prompts of an exact length, cut in token space.
 *
 * Filler is cut from one fixed stream a (corpus, seed), so the filler of a shorter haystack is a prefix of a longer one's, and all prompts of a model
 * share their tokens up to the needle. */
#ifndef DATASETS_HAYSTACK_H
#define DATASETS_HAYSTACK_H

#include "base/rng.h"
#include "datasets/corpus.h"

enum { HAYSTACK_MAX_DIGITS = 9 };

typedef struct Haystack Haystack;

typedef struct {
    uint64_t seed;
    int n_digits;       /* width of the key, 1 … HAYSTACK_MAX_DIGITS; the first digit is not 0 */
    bool with_preface;  /* the task line that announces a hidden pass key */
    const Corpus *text; /* filler from a text instead of the repeated line; NULL: the line */
} HaystackOptions;

/* One prompt. Free with haystack_prompt_free. */
typedef struct {
    TokenList tokens;     /* prompt, then the answer */
    int64_t n_prompt;     /* tokens before the answer */
    int64_t n_answer;     /* tokens of the key as the model spells it after the prompt */
    int64_t needle_first; /* index of the needle's first token */
    int64_t needle_n;
    char key[HAYSTACK_MAX_DIGITS + 1];
} HaystackPrompt;

/* Tokenises the parts once. The backend must outlive it. Errors: UNSUPPORTED (no tokenizer), INPUT. */
Haystack *haystack_open(const HaystackOptions *options, const Backend *backend, Err *err) MUST_USE;
void haystack_close(Haystack *haystack);

/* The smallest n_ctx that holds BOS, preface, needle, question and answer budget. */
int64_t haystack_min_n_ctx(const Haystack *haystack);

/* Tokens that are kept free for the answer: the key's longest spelling and one more. */
int64_t haystack_answer_budget(const Haystack *haystack);

/* Builds the prompt of (n_ctx, depth, trial): n_prompt is exactly n_ctx - haystack_answer_budget. depth in 0 … 1 by tokens; the
 * needle stands at a boundary of the filler's sentences or words at most one sentence away, and needle_first says where. The key does not
 * appear elsewhere. with_needle false: filler of equal token length in the needle's place (the control).
 * Errors: INPUT (n_ctx below haystack_min_n_ctx). */
bool haystack_build(const Haystack *haystack, int64_t n_ctx, double depth, int64_t trial,
                    bool with_needle, HaystackPrompt *out, Err *err) MUST_USE;
void haystack_prompt_free(HaystackPrompt *prompt);

/* The first integer of an answer equals the key, digit for digit: "12345." hits 12345; "123456", "012345", "" do not. */
bool haystack_answer_hits(const char *answer, const char *key);

#endif
