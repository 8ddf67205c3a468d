/* Passkey prompts of an exact length, cut in token space.
 *
 * Filler is cut from one fixed stream a (corpus, seed), so the filler of a shorter haystack is a
 * prefix of a longer one's, and all prompts of a model share their tokens up to the needle. */
#ifndef DATASETS_HAYSTACK_H
#define DATASETS_HAYSTACK_H

#include "base/rng.h"
#include "datasets/corpus.h"

enum { HAYSTACK_MAX_DIGITS = 9 };

typedef struct Haystack Haystack;

typedef struct {
    uint64_t seed;
    int n_digits;       /* width of the key, 1 … HAYSTACK_MAX_DIGITS; the first digit is not 0 */
    bool with_bos;      /* whether prompts start with BOS */
    bool with_preface;  /* the task line that announces a hidden pass key */
    const Corpus *text; /* filler from a text instead of the repeated line; NULL: the line */
} HaystackOptions;

/* Which prompt. */
typedef struct {
    int64_t n_ctx;
    double depth; /* 0 … 1, by tokens of filler */
    int64_t trial;
    bool is_control; /* filler of equal token length in the needle's place; key and answer stay */
} HaystackAsk;

/* One prompt. Free with haystack_prompt_free. */
typedef struct {
    TokenList tokens;     /* prompt, then the answer */
    int64_t n_prompt;     /* tokens before the answer */
    int64_t n_answer;     /* tokens of the key as the model spells it after the prompt */
    int64_t needle_first; /* index of the needle's first token; -1: a control */
    int64_t needle_n;
    char key[HAYSTACK_MAX_DIGITS + 1];
} HaystackPrompt;

/* Tokenises the parts once. The backend and the text must outlive it. Errors: UNSUPPORTED (no
 * tokenizer, no BOS), INPUT. */
Haystack *haystack_open(const HaystackOptions *options, const Backend *backend, Err *err) MUST_USE;
void haystack_close(Haystack *haystack);

/* The smallest n_ctx that holds BOS, preface, needle, question and answer budget, whatever the
 * key. */
int64_t haystack_min_n_ctx(const Haystack *haystack);

/* Tokens that are kept free for the answer: the key's longest spelling and one more. */
int64_t haystack_answer_budget(const Haystack *haystack);

/* Builds a prompt: n_prompt is exactly n_ctx - haystack_answer_budget. The needle stands at the
 * end of a sentence of the filler (of a word, where sentences are long) near the depth, and
 * needle_first says where. The key appears nowhere else, and the text that the tokens spell is
 * checked.
 * Errors: INPUT (n_ctx below haystack_min_n_ctx, a tokenizer that changes the text, a filler that
 * holds every key tried). */
bool haystack_build(const Haystack *haystack, const HaystackAsk *ask, HaystackPrompt *out,
                    Err *err) MUST_USE;
void haystack_prompt_free(HaystackPrompt *prompt);

typedef enum { ANSWER_HIT, ANSWER_MISS, ANSWER_OPEN } AnswerVerdict;

/* Judges an answer by its first integer, which must equal the key digit for digit: "12345." hits
 * 12345; "123456", "012345" and "" do not. OPEN: what follows could still decide it; never when
 * the answer is complete. */
AnswerVerdict haystack_judge(const char *answer, const char *key, bool is_complete);

#endif
