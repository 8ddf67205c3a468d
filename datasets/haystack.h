/* Passkey prompts of an exact length, cut in token space.
 *
 * Filler is cut from one fixed stream a (corpus, seed), so the filler of a shorter haystack is a
 * prefix of a longer one's, and all prompts of a model share their tokens up to the needle. */
#ifndef DATASETS_HAYSTACK_H
#define DATASETS_HAYSTACK_H

#include "base/rng.h"
#include "datasets/corpus.h"

enum {
    HAYSTACK_MAX_DIGITS = 9,
    HAYSTACK_MIN_TRAINING_DIGITS = 3, /* there are too few shorter keys to part them */
};

typedef struct Haystack Haystack;

typedef struct {
    uint64_t seed;
    int n_digits;       /* width of the key, 1 … HAYSTACK_MAX_DIGITS; the first digit is not 0 */
    bool with_bos;      /* whether prompts start with BOS */
    bool with_preface;  /* the task line that announces a hidden pass key */
    const Corpus *text; /* filler from a text instead of the repeated line; NULL: the line */
} HaystackOptions;

/* Tokens first … first+n-1. */
typedef struct {
    int64_t first;
    int64_t n;
} TokenSpan;

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

/* Tokens before the filler: BOS and preface. */
int64_t haystack_lead(const Haystack *haystack);

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

/* Whether a key (digits, the first not 0) may be trained on. Half of all keys of each width from
 * HAYSTACK_MIN_TRAINING_DIGITS on are, by a hash; the others, and all shorter ones, are asked for by
 * haystack_build alone, so that no key of a test was ever trained on. */
bool haystack_key_is_for_training(const char *key);

/* Which document to train on: a prompt with its answer and a full stop. */
typedef struct {
    int64_t n_tokens;      /* of all of it, BOS included */
    double depth;          /* 0 … 1, by tokens of filler */
    int n_digits;          /* HAYSTACK_MIN_TRAINING_DIGITS … HAYSTACK_MAX_DIGITS */
    bool with_preface;     /* the haystack must have been opened with it */
    const int32_t *filler; /* n_tokens of a text; NULL: the line, from a random token on */
} HaystackOrder;

/* Free with haystack_document_free. */
typedef struct {
    HaystackPrompt prompt; /* n_prompt tokens, the answer, the full stop */
    TokenSpan keys[3];     /* what spells the key: said, said again, answered */
} HaystackDocument;

/* The smallest n_tokens for an order of this width and preface, whatever the key. */
int64_t haystack_min_document(const Haystack *haystack, const HaystackOrder *order);

/* Writes a document of exactly n_tokens, by the same code and with the same text as
 * haystack_build. Draws phase and key from rng. Errors: as haystack_build. */
bool haystack_write(const Haystack *haystack, const HaystackOrder *order, Rng *rng,
                    HaystackDocument *out, Err *err) MUST_USE;
void haystack_document_free(HaystackDocument *document);

/* Appends the fixed text of a prompt once, without a key: what a tokenizer should know. */
void haystack_add_fixed_text(Buf *out);

typedef enum { ANSWER_HIT, ANSWER_MISS, ANSWER_OPEN } AnswerVerdict;

/* Judges an answer by its first integer, which must equal the key digit for digit: "12345." hits
 * 12345; "123456", "012345" and "" do not. OPEN: what follows could still decide it; never when
 * the answer is complete. */
AnswerVerdict haystack_judge(const char *answer, const char *key, bool is_complete);

#endif
